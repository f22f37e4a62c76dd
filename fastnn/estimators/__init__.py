"""MLPClassifier and MLPRegressor: scikit-learn's names and behaviour on fastnn's engine."""

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.features import LayerFeatures
from fastnn.estimators.regressor import MLPRegressor

__all__ = ["LayerFeatures", "MLPClassifier", "MLPRegressor"]
