"""The outputs of a hidden layer as features, for pipelines."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.base import ClassNamePrefixFeaturesOutMixin as NamedOutputs
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn.data.rows import Array
from fastnn.estimators.sparse_rows import dense
from fastnn.models import Sequential, learner_of


class LayerFeatures(NamedOutputs, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer from rows to the outputs of a layer of a network.

    `fit` trains a copy of the estimator, as scikit-learn's meta-estimators do. For a network that
    is trained already, and is to stay as it is, pass `sklearn.frozen.FrozenEstimator(network)`.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    layer : int
        Which layer of `estimator.model_.layers`, counted from 0, or from -1 backwards; -2 is the
        last hidden layer.

    Attributes
    ----------
    estimator_ : estimator
        The fitted one.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from fastnn.estimators import LayerFeatures, MLPClassifier
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]], ["up", "down", "up", "down"]
    >>> network = MLPClassifier(hidden_layer_sizes=(5,), solver="lbfgs", random_state=0).fit(X, y)
    >>> features = LayerFeatures(FrozenEstimator(network))
    >>> features.fit_transform(X).shape
    (4, 5)
    >>> make_pipeline(features, LogisticRegression()).fit(X, y).score(X, y)
    1.0
    """

    def __init__(self, estimator: Any, layer: int = -2) -> None:
        self.estimator = estimator
        self.layer = layer

    def fit(self, X: ArrayLike, y: Any = None, **fit_params: Any) -> Self:
        """Fit a copy of the estimator; a frozen one stays as it is.

        Raises
        ------
        TypeError, ValueError
            If the estimator is no network of fastnn, has no such layer, or refuses X or y.
        """
        fitted = clone(self.estimator)
        fitted.fit(X, y, **fit_params)
        model = getattr(fitted, "model_", None)
        if not isinstance(model, Sequential):
            raise TypeError(
                f"estimator is {type(self.estimator).__name__}; expected an MLPClassifier or "
                f"MLPRegressor of fastnn, or FrozenEstimator(one of them)"
            )
        learner_of(model).number_of_layer(self.layer)
        self.estimator_ = fitted
        self.n_features_in_ = fitted.n_features_in_
        if hasattr(fitted, "feature_names_in_"):
            self.feature_names_in_ = fitted.feature_names_in_
        return self

    def transform(self, X: ArrayLike) -> Array:
        """The outputs of the layer, shape (n_samples, units)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        learner = learner_of(self.estimator_.model_)
        found = learner.activations(dense(X), learner.number_of_layer(self.layer), None)
        return next(iter(found.values()))

    @property
    def _n_features_out(self) -> int:
        """For scikit-learn's `get_feature_names_out`: "layerfeatures0", ..."""
        learner = learner_of(self.estimator_.model_)
        number = learner.number_of_layer(self.layer)
        network = learner.built()
        return network.layers[number - 1].units if number else network.n_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self.estimator).input_tags.sparse
        return tags
