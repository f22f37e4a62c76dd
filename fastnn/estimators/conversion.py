"""From a `Sequential` to an estimator around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor
from fastnn.layers import Dense
from fastnn.losses import Loss
from fastnn.models import Sequential, learner_of


def estimator_of(
    model: Sequential, classes: ArrayLike | None, parameters: dict[str, Any]
) -> MLPClassifier | MLPRegressor:
    """What `Sequential.as_estimator` returns."""
    learner = learner_of(model)
    loss, last = learner.compiled_loss(), learner.output
    n_outputs = last.units
    words = words_of(model, loss) | parameters
    if classes is None and loss.targets in MLPRegressor._kinds_of_targets:
        return MLPRegressor._around(model, **words)
    if loss.targets == "anything" and n_outputs == 1 and last.activation != "sigmoid":
        raise ValueError(
            f"classes={classes!r}: a custom loss does not say from which output on "
            f"Dense(1, {last.activation!r}) means the second class. End with Dense(1, 'sigmoid'), "
            f"whose border is 0.5, or Dense(2, 'softmax'); for numbers leave classes out: "
            f"model.as_estimator()"
        )
    classifier = MLPClassifier._around(model, **words)
    several = classes is None and n_outputs > 1 and loss.targets != "classes"
    labels = np.arange(max(2, n_outputs)) if classes is None else np.asarray(classes)
    if len(labels) != max(2, n_outputs) or (labels[1:] <= labels[:-1]).any():
        raise ValueError(
            f"classes={classes!r}: expected {max(2, n_outputs)} different labels, sorted, as "
            f"scikit-learn has them: that of the first output first"
        )
    classifier._learn_labels(np.eye(n_outputs) if several else labels)
    return classifier


def words_of(model: Sequential, loss: Loss) -> dict[str, Any]:
    """The parameters of an estimator that would make such a network."""
    learner = learner_of(model)
    dense, rates = learner.dense_layers, learner.dropout_rates
    alphas = {layer.alpha for layer in dense}
    plain = all(_is_plain(layer) for layer in dense)
    if not plain or len(alphas) > 1 or rates[0] or learner.normalization is not None:
        raise ValueError(
            "scikit-learn's words cannot say all layers of this network: expected Dense layers "
            "with biases, all trained alike, SharedL2 of one alpha or no regulariser, and Dropout "
            "above the first one only; a scaler goes before, in a Pipeline"
        )
    return {
        "hidden_layer_sizes": tuple(layer.units for layer in dense[:-1]),
        "activation": [layer.activation for layer in dense[:-1]],
        "out_activation": dense[-1].activation,
        "dropout": rates[1:],
        "alpha": alphas.pop(),
        "loss": loss,
        "solver": model.optimizer,
    }


def _is_plain(layer: Dense) -> bool:
    """Whether units, activation and alpha say all of a layer but its initial weights."""
    others = layer.l1, layer.l2, layer.rate_factor, layer.use_bias
    return others == (0, 0, 1, True)
