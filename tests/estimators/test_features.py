"""The outputs of a layer as features in scikit-learn's pipelines."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn.estimators import LayerFeatures, MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


def network(**more):
    settings = {"hidden_layer_sizes": (7, 5), "max_iter": 60, "random_state": 0} | more
    return MLPClassifier(**settings, n_iter_no_change=100, learning_rate_init=0.01)


@pytest.fixture
def fitted():
    with pytest.warns(UserWarning, match=""):
        return network().fit(X, Y)


def test_they_are_the_outputs_of_the_fitted_networks_layer(fitted):
    features = LayerFeatures(FrozenEstimator(fitted)).fit(X)
    found = features.transform(X)
    np.testing.assert_array_equal(found, fitted.model_.activations(X, layer=-2))
    assert found.shape == (150, 5)
    assert features.estimator_.estimator is fitted
    first = LayerFeatures(FrozenEstimator(fitted), layer=0).fit_transform(X)
    assert first.shape == (150, 7)


@pytest.mark.filterwarnings("ignore")
def test_in_a_pipeline_and_in_cross_validation(fitted):
    pipeline = make_pipeline(
        StandardScaler(), LayerFeatures(network()), LogisticRegression(max_iter=1000)
    )
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.75
    frozen = make_pipeline(LayerFeatures(FrozenEstimator(fitted)), LogisticRegression())
    assert frozen.fit(X, Y).score(X, Y) > 0.9
    trained = LayerFeatures(fitted).fit(X, Y)
    assert trained.estimator_ is not fitted


def test_frames_sparse_rows_and_names(fitted):
    features = LayerFeatures(FrozenEstimator(fitted)).fit(X)
    np.testing.assert_allclose(
        features.transform(sparse.csr_matrix(X)), features.transform(X), rtol=1e-6
    )
    assert list(features.get_feature_names_out()) == [f"layerfeatures{i}" for i in range(5)]
    with pytest.warns(UserWarning, match=""):
        named = network().fit(pd.DataFrame(X, columns=list("abcd")), Y)
    frame = pd.DataFrame(X, columns=list("abcd"))
    assert LayerFeatures(FrozenEstimator(named)).fit(frame).transform(frame).shape == (150, 5)
    with pytest.raises(ValueError, match="names"):
        LayerFeatures(FrozenEstimator(named)).fit(frame).transform(frame[list("dcba")])


def test_what_does_not_fit_is_refused(fitted):
    with pytest.raises(TypeError, match="MLPClassifier"):
        LayerFeatures(LogisticRegression()).fit(X, Y)
    with pytest.raises(ValueError, match="layer"):
        LayerFeatures(FrozenEstimator(fitted), layer=7).fit(X)
    with pytest.raises(ValueError, match="features"):
        LayerFeatures(FrozenEstimator(fitted)).fit(X).transform(X[:, :2])
    with pytest.raises(Exception, match="not fitted"):
        LayerFeatures(MLPRegressor()).transform(X)
