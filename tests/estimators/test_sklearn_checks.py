"""scikit-learn's own checks of estimators, in every mode."""

from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import MLPClassifier, MLPRegressor

# rates with which 50 epochs are enough where a check asks for a score, and none diverges
SETTINGS = {
    "stochastic": {
        "solver": "sgd",
        "mode": "stochastic",
        "learning_rate_init": 0.001,
        "momentum": 0.5,
    },
    "minibatch": {"batch_size": 8, "learning_rate_init": 0.05},
    "batch": {"mode": "batch", "learning_rate_init": 0.1},
    "lbfgs": {"solver": "lbfgs", "alpha": 1.0},
}
ESTIMATORS = [
    made(hidden_layer_sizes=(5,), max_iter=20 if mode == "lbfgs" else 50, **settings)
    for made in (MLPClassifier, MLPRegressor)
    for mode, settings in SETTINGS.items()
]


def expected_failures(estimator):
    """The checks that repeat a row in place of weighing it.

    If a batch is not all rows, two rows are two steps, or go into two batches, where one row of
    weight 2 is one step, in one batch. Batch mode and L-BFGS pass.
    """
    if estimator.solver == "lbfgs" or estimator.mode == "batch":
        return {}
    reason = "the same rows twice make other batches than one row of weight 2"
    kinds = "dense", "sparse"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in kinds}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_check_of_scikit_learn(estimator, check):
    try:
        check(estimator)
    except SkipTest as skipped:
        pytest.fail(f"scikit-learn would not check this: {skipped}")
