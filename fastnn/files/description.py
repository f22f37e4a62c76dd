"""The description of a model in plain values: what a file or a pickle holds beside the arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastnn.data.checks import items
from fastnn.data.rows import Array
from fastnn.engine.layout import weight_shapes
from fastnn.files.arrays import count, sorted_arrays
from fastnn.files.config import KINDS, from_config
from fastnn.layers import Dense, Layer, Normalization
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer, State


def described(
    layers: Sequence[Layer],
    loss: Loss | None,
    optimizer: Optimizer,
    metrics: Sequence[Metric],
    state: State | None,
    **others: Any,
) -> dict[str, Any]:
    """The description of a model, with its objects as they are.

    `others` are "n_features", "dtype", "seed", "epochs_trained", "metadata", and "feature_names" if
    the columns have names.
    """
    return others | {
        "layers": [
            {"kind": "Normalization"} if isinstance(layer, Normalization) else layer
            for layer in layers
        ],
        "compiled": {
            "loss": loss,
            "optimizer": optimizer,
            "step": state.step if state else 0,
            "rate": state.rate if state else 0.5,
            "metrics": list(metrics),
        },
    }


class Description(NamedTuple):
    """The parts of a model that was described, checked as far as that needs no model."""

    layers: list[Any]
    dtype: Any
    seed: Any
    n_features: int | None
    feature_names: tuple[str, ...] | None
    weights: list[Array]
    loss: Loss | None
    optimizer: Any
    metrics: list[Metric]
    compiled: Mapping[str, Any]  # with "step" and "rate"
    slots: Mapping[str, Array]
    epochs_trained: int
    metadata: dict[str, Any]


def parsed(config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Description:
    """The parts of the model that `config` and the arrays describe; an error if they cannot be."""
    weights, slots, statistics = sorted_arrays(arrays)
    kinds = {**KINDS, "Normalization": lambda: Normalization(**statistics)}
    layers = [from_config(entry, kinds) for entry in config["layers"]]
    n_features, compiled = config["n_features"], config["compiled"]
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    shapes = {} if n_features is None else weight_shapes(n_features, dense)
    if shapes != {name: array.shape for name, array in weights.items()}:
        raise ValueError("the arrays are not those of its layers")
    if not isinstance(config["metadata"], dict):
        raise TypeError(f"metadata={config['metadata']!r}: expected a dictionary")
    loss = from_config(compiled["loss"])
    metrics = [from_config(entry) for entry in items("metrics", compiled["metrics"], "[]")]
    if not all(isinstance(metric, Metric) for metric in metrics):
        raise TypeError(f"metrics={metrics!r}: expected metrics")
    if not isinstance(loss, Loss | None):
        raise TypeError(f"loss={loss!r}: expected a loss")
    return Description(
        layers=layers,
        dtype=config["dtype"],
        seed=config["seed"],
        n_features=n_features,
        feature_names=_checked_names(config.get("feature_names"), n_features),
        weights=[weights[name] for name in shapes],
        loss=loss,
        optimizer=from_config(compiled["optimizer"]),
        metrics=metrics,
        compiled=compiled,
        slots=slots,
        epochs_trained=count("epochs_trained", config["epochs_trained"]),
        metadata=config["metadata"],
    )


def _checked_names(names: Any, n_features: int | None) -> tuple[str, ...] | None:
    """The names of the columns; None if there are none, as in older files."""
    if names is None:
        return None
    are_text = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not are_text or n_features not in (None, len(names)):
        raise ValueError(f"feature_names={names!r} are not those of {n_features} columns")
    return tuple(names)
