"""MLPClassifier and MLPRegressor by what scikit-learn's of these names promise."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import PoissonRegressor
from sklearn.utils.class_weight import compute_class_weight

from fastnn import Callback, MLPClassifier, MLPRegressor

# most fits here are shorter than what it takes to converge
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
SCORE = X[:, 0] - 2 * X[:, 1] * X[:, 2]
BINARY = (SCORE > 0).astype(int)
CLASSES = np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])
LABELS = np.array(["low", "middle", "high"])[CLASSES]
SEVERAL = np.stack([X[:, 0] > 0, X[:, 1] > 0.3, X[:, 2] + X[:, 3] > 0], axis=1).astype(int)
NUMBERS = np.sin(X[:, 0]) + X[:, 1] ** 2 / 2
PAIRS = np.stack([NUMBERS, X[:, 2]], axis=1)
COUNTS = RNG.poisson(np.exp(X[:, 0] / 2))

both = pytest.mark.parametrize("made", [MLPClassifier, MLPRegressor])


def targets_for(made):
    return CLASSES if made is MLPClassifier else NUMBERS


def bits(estimator):
    return [array.tobytes() for array in [*estimator.coefs_, *estimator.intercepts_]]


# ---- the objective ------------------------------------------------------------------------------


@both
def test_a_larger_alpha_makes_smaller_weights(made):
    y = targets_for(made)
    sums = []
    for alpha in (0, 10, 100):
        fitted = made(
            hidden_layer_sizes=8, alpha=alpha, learning_rate_init=0.01, random_state=1, max_iter=60
        )
        sums.append([np.abs(W).sum() for W in fitted.fit(X, y).coefs_])
    assert np.all(np.diff(sums, axis=0) < 0)


def test_one_step_is_the_formula():
    x, alpha, rate = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]]), 0.3, 0.2
    y = np.array([1, 0])
    W1, b1 = np.array([[0.1, 0.4], [-0.2, 0.3], [0.2, 0.1]]), np.array([0.05, -0.1])
    W2, b2 = np.array([[0.6], [-0.5]]), np.array([0.2])
    clf = MLPClassifier(
        2, "logistic", solver="sgd", alpha=alpha, learning_rate_init=rate, momentum=0, max_iter=1
    )
    clf.fit(x, y, coef_init=[W1, W2], intercept_init=[b1, b2])

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    h = sigmoid(x @ W1 + b1)
    p = sigmoid(h @ W2 + b2)
    d2 = (p - y[:, None]) / 2
    d1 = d2 @ W2.T * h * (1 - h)
    loss = -np.log(np.where(y == 1, p[:, 0], 1 - p[:, 0])).mean()
    penalty = alpha / 2 * (np.sum(W1**2) + np.sum(W2**2)) / 2
    assert clf.loss_ == pytest.approx(loss + penalty, rel=1e-12)
    expected_coefs = (
        W1 - rate * (x.T @ d1 + alpha * W1 / 2),
        W2 - rate * (h.T @ d2 + alpha * W2 / 2),
    )
    expected_intercepts = b1 - rate * d1.sum(axis=0), b2 - rate * d2.sum(axis=0)
    for found, expected in zip(clf.coefs_, expected_coefs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    for found, expected in zip(clf.intercepts_, expected_intercepts, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    W1, W2, b1, b2 = *expected_coefs, *expected_intercepts
    expected = sigmoid(sigmoid(x @ W1 + b1) @ W2 + b2)
    np.testing.assert_allclose(clf.predict_proba(x)[:, 1:], expected, rtol=1e-12)


@pytest.mark.parametrize("class_weight", [{0: 1, 2: 5}, "balanced", {0: 0.5, 1: 2, 2: 0}])
@pytest.mark.parametrize("given", [False, True])
def test_class_weights_are_the_sample_weights_they_stand_for(class_weight, given):
    sample_weight = RNG.uniform(0.5, 2, len(X)) if given else None
    if class_weight == "balanced":
        of_class = compute_class_weight("balanced", classes=np.arange(3), y=CLASSES)
    else:
        of_class = np.array([class_weight.get(label, 1) for label in range(3)])
    settings = {"hidden_layer_sizes": 4, "random_state": 0, "max_iter": 5}
    clf = MLPClassifier(class_weight=class_weight, **settings).fit(X, CLASSES, sample_weight)
    weights = of_class[CLASSES] * (1 if sample_weight is None else sample_weight)
    other = MLPClassifier(**settings).fit(X, CLASSES, weights)
    assert bits(clf) == bits(other)
    assert bits(clf) != bits(MLPClassifier(**settings).fit(X, CLASSES, sample_weight))


def test_class_weights_in_partial_fit():
    settings = {"hidden_layer_sizes": 4, "random_state": 0}
    clf = MLPClassifier(class_weight={1: 3.0}, **settings)
    other = MLPClassifier(**settings)
    for _ in range(3):
        clf.partial_fit(X, BINARY, classes=[0, 1])
        other.partial_fit(X, BINARY, np.where(BINARY == 1, 3.0, 1.0), classes=[0, 1])
    assert bits(clf) == bits(other)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        clf.set_params(class_weight="balanced").partial_fit(X, BINARY)


def test_poisson_without_hidden_layers_is_a_generalised_linear_model():
    glm = PoissonRegressor(alpha=0, tol=1e-9, max_iter=1000).fit(X, COUNTS)
    reg = MLPRegressor("poisson", (), alpha=0, solver="lbfgs", tol=1e-7, random_state=0)
    reg.fit(X, COUNTS)
    assert reg.out_activation_ == "exp"
    np.testing.assert_allclose(reg.predict(X), glm.predict(X), rtol=1e-4)
    squares = MLPRegressor("squared_error", (), alpha=0, solver="lbfgs", tol=1e-7, random_state=0)
    assert not np.allclose(squares.fit(X, COUNTS).predict(X), glm.predict(X), rtol=0.01)


# ---- L-BFGS -------------------------------------------------------------------------------------

activations = pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])


@activations
def test_lbfgs_classifies(activation):
    clf = MLPClassifier(20, activation, solver="lbfgs", max_iter=150, random_state=1)
    for y in (LABELS, (X[:, 0] > 0).astype(int)):
        assert clf.fit(X[:90], y[:90]).score(X[:90], y[:90]) > 0.95
        assert clf.score(X[90:], y[90:]) > 0.8
        assert clf.predict(X).dtype == y.dtype


@activations
def test_lbfgs_regresses(activation):
    reg = MLPRegressor(hidden_layer_sizes=20, activation=activation, solver="lbfgs", random_state=1)
    reg.set_params(max_iter=200, tol=1e-3).fit(X, NUMBERS)
    assert reg.score(X, NUMBERS) > (0.2 if activation == "identity" else 0.97)


@both
def test_lbfgs_stops_at_max_fun_with_a_warning(made):
    estimator = made(hidden_layer_sizes=20, solver="lbfgs", max_iter=150, tol=0, max_fun=10)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        estimator.fit(X, targets_for(made))
    assert 0 < estimator.n_iter_ <= 10


def test_lbfgs_says_when_it_was_not_done_at_max_iter():
    clf = MLPClassifier(20, solver="lbfgs", max_iter=3, tol=0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 3 iteration"):
        clf.fit(X, CLASSES)
    assert clf.n_iter_ == 3
    # those of the curve are from before each step, as everywhere; the last one is not
    assert np.all(np.diff([*clf.loss_curve_, clf.loss_]) < 0)
    assert clf.loss_ == pytest.approx(clf.model_.evaluate(X, CLASSES), rel=1e-12)


# ---- learning rates and the end of a fit --------------------------------------------------------


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_a_warm_start_goes_on_in_the_schedule(learning_rate):
    clf = MLPClassifier(
        4, solver="sgd", learning_rate=learning_rate, power_t=0.25, max_iter=1, warm_start=True
    )
    rates = [clf.fit(X, BINARY)._optimizer.learning_rate for _ in range(2)]
    rows = np.array([120, 240])
    expected = 0.001 / (rows + 1) ** 0.25 if learning_rate == "invscaling" else [0.001, 0.001]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert clf.t_ == 240


def test_an_adaptive_rate_falls_until_it_is_too_small(capsys):
    clf = MLPClassifier(
        4, solver="sgd", learning_rate="adaptive", tol=0.5, max_iter=3000, verbose=True
    )
    clf.fit(X, BINARY)
    assert clf.n_iter_ < 3000
    assert clf._optimizer.learning_rate <= 1e-6
    printed = capsys.readouterr().out
    assert "Setting learning rate to 0.000200" in printed
    assert printed.endswith("Learning rate too small. Stopping.\n")


@both
def test_a_fit_ends_when_the_loss_stalls(made, capsys):
    estimator = made(hidden_layer_sizes=4, solver="sgd", tol=0.5, max_iter=3000, verbose=10)
    estimator.fit(X, targets_for(made))
    assert estimator.n_iter_ < 3000
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {estimator.loss_curve_[0]:.8f}"
    assert lines[-1] == (
        "Training loss did not improve more than tol=0.500000 for 10 consecutive epochs. Stopping."
    )
    assert len(lines) == estimator.n_iter_ + 1
    estimator.partial_fit(X, targets_for(made))
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")


@pytest.mark.parametrize("n", [2, 5, 20])
def test_n_iter_no_change_epochs_are_not_enough(n):
    clf = MLPClassifier(4, solver="sgd", tol=0.1, max_iter=3000, n_iter_no_change=n)
    clf.fit(X, BINARY)
    assert clf._no_improvement_count == n + 1
    assert clf.n_iter_ < 3000


def test_with_n_iter_no_change_inf_all_epochs_are_done():
    clf = MLPClassifier(2, solver="sgd", tol=1e9, max_iter=200, n_iter_no_change=np.inf)
    clf.fit(X, BINARY)
    assert clf.n_iter_ == 200
    assert clf._no_improvement_count == 199


def test_a_fit_that_did_not_converge_says_so():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached") as caught:
        MLPClassifier(2, max_iter=2).fit(X, BINARY)
    assert caught[0].filename == __file__


@both
def test_rows_seen_and_epochs_are_counted(made):
    estimator = made(hidden_layer_sizes=3, max_iter=4).fit(X, targets_for(made))
    assert (estimator.n_iter_, estimator.t_, estimator.n_layers_) == (4, 480, 3)
    assert len(estimator.loss_curve_) == 4
    assert estimator.loss_ == estimator.loss_curve_[-1]
    assert estimator.best_loss_ == min(estimator.loss_curve_)
    estimator.fit(X, targets_for(made))
    assert (estimator.n_iter_, estimator.t_, len(estimator.loss_curve_)) == (4, 480, 4)


def test_a_batch_size_above_the_rows_is_clipped_with_a_warning():
    clf = MLPClassifier(3, batch_size=500, max_iter=2, random_state=0)
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        clf.fit(X, BINARY)
    assert bits(clf) == bits(clf.set_params(batch_size=120).fit(X, BINARY))


def test_shuffle_decides_the_order():
    reg = MLPRegressor(hidden_layer_sizes=1, max_iter=1, batch_size=1, random_state=0)
    shuffled = bits(reg.fit(X, NUMBERS))
    assert bits(reg.fit(X, NUMBERS)) == shuffled
    natural = bits(reg.set_params(shuffle=False).fit(X, NUMBERS))
    assert bits(reg.fit(X, NUMBERS)) == natural != shuffled


# ---- early stopping -----------------------------------------------------------------------------


@both
def test_early_stopping_keeps_scores_and_ends(made):
    estimator = made(
        hidden_layer_sizes=4, solver="sgd", tol=0.2, max_iter=3000, early_stopping=True
    )
    estimator.fit(X, targets_for(made))
    assert estimator.n_iter_ < 3000
    scores, best = estimator.validation_scores_, estimator.best_validation_score_
    assert len(scores) == estimator.n_iter_
    assert max(scores) == best
    stalls = [score < max(scores[:i], default=-np.inf) + 0.2 for i, score in enumerate(scores)]
    assert all(stalls[-11:])
    assert not all(stalls[-12:])
    assert estimator.best_loss_ is None
    assert estimator.t_ == 108 * estimator.n_iter_
    estimator.set_params(early_stopping=False).fit(X, targets_for(made))
    assert estimator.validation_scores_ is estimator.best_validation_score_ is None
    assert estimator.best_loss_ is not None


def test_early_stopping_prints_scores(capsys):
    clf = MLPClassifier(4, early_stopping=True, verbose=True, max_iter=2).fit(X, LABELS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"Validation score: {clf.validation_scores_[0]:f}"


@both
def test_early_stopping_goes_on_in_a_warm_start(made):
    estimator = made(hidden_layer_sizes=4, early_stopping=True, warm_start=True, max_iter=5)
    estimator.fit(X, targets_for(made))
    assert len(estimator.validation_scores_) == 5
    estimator.set_params(max_iter=7).fit(X, targets_for(made))
    assert len(estimator.validation_scores_) == 12


def test_rows_held_out_have_both_classes_in_their_shares():
    message = r"least populated class.*only 1 member"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(2, early_stopping=True).fit(X[:10], [0] * 9 + [1])


def test_early_stopping_with_labels_of_any_kind():
    for y in (LABELS, LABELS.astype(object), SEVERAL):
        clf = MLPClassifier(4, early_stopping=True, max_iter=20, random_state=0).fit(X, y)
        assert len(clf.validation_scores_) == clf.n_iter_
        assert 0 < clf.best_validation_score_ <= 1


def test_unit_weights_change_nothing_in_early_stopping():
    reg = MLPRegressor(hidden_layer_sizes=4, early_stopping=True, batch_size=10, random_state=3)
    plain = reg.set_params(max_iter=5).fit(X, NUMBERS).predict(X)
    weighed = reg.fit(X, NUMBERS, np.ones(120)).predict(X)
    np.testing.assert_allclose(weighed, plain, rtol=1e-12)


def test_too_few_rows_to_hold_some_out():
    with pytest.raises(ValueError, match="The validation set is too small. Increase"):
        MLPRegressor(early_stopping=True).fit(X[:5], NUMBERS[:5])


# ---- targets ------------------------------------------------------------------------------------


def test_several_labels_a_row():
    clf = MLPClassifier(20, "logistic", solver="lbfgs", max_iter=200, random_state=0)
    assert clf.fit(X, SEVERAL).score(X, SEVERAL) > 0.95
    assert clf.out_activation_ == "logistic"
    probabilities = clf.predict_proba(X)
    assert probabilities.shape == SEVERAL.shape
    assert np.ptp(probabilities.sum(axis=1)) > 0.5  # each label for itself
    np.testing.assert_array_equal(clf.predict(X), probabilities > 0.5)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(probabilities))
    assert bits(clf.fit(X, sparse.csr_array(SEVERAL))) == bits(clf.fit(X, SEVERAL))
    online = MLPClassifier(20, solver="sgd", learning_rate_init=0.2, random_state=0)
    for _ in range(100):
        online.partial_fit(X, SEVERAL, classes=[0, 1, 2])
    assert online.score(X, SEVERAL) > 0.9


def test_several_numbers_a_row():
    reg = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", max_iter=200, random_state=0)
    assert reg.fit(X, PAIRS).score(X, PAIRS) > 0.95
    assert reg.n_outputs_ == 2
    assert reg.predict(X).shape == (120, 2)


@pytest.mark.parametrize("y", [BINARY, np.array(["no", "yes"])[BINARY], LABELS, CLASSES - 7])
def test_labels_come_back_as_they_were(y):
    clf = MLPClassifier(10, learning_rate_init=0.05, max_iter=80, random_state=0).fit(X, y)
    np.testing.assert_array_equal(clf.classes_, np.unique(y))
    assert clf.predict(X).dtype == y.dtype
    assert clf.score(X, y) > 0.85
    probabilities = clf.predict_proba(X)
    assert probabilities.shape == (120, len(clf.classes_))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(clf.classes_[probabilities.argmax(axis=1)], clf.predict(X))
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(probabilities))
    assert clf.out_activation_ == ("softmax" if len(clf.classes_) > 2 else "logistic")


# ---- partial_fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("y", [BINARY, CLASSES])
def test_a_fit_is_as_many_partial_fits(solver, y):
    settings = {"hidden_layer_sizes": 8, "solver": solver, "batch_size": 120, "shuffle": False}
    settings |= {"learning_rate_init": 0.05, "random_state": 1}
    whole = MLPClassifier(max_iter=80, tol=0, n_iter_no_change=np.inf, **settings).fit(X, y)
    parts = MLPClassifier(**settings)
    for _ in range(80):
        parts.partial_fit(X, y, classes=np.unique(y))
    assert bits(whole) == bits(parts)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, parts.t_) == (1, 80 * 120)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_a_regressors_fit_is_as_many_partial_fits(momentum):
    settings = {"hidden_layer_sizes": 8, "solver": "sgd", "batch_size": 120, "random_state": 1}
    settings |= {"learning_rate_init": 0.01, "momentum": momentum}
    whole = MLPRegressor(max_iter=80, **settings).fit(X, NUMBERS)
    parts = MLPRegressor(**settings)
    for _ in range(80):
        parts.partial_fit(X, NUMBERS)
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-8)


def test_classes_that_come_later():
    clf = MLPClassifier(6, random_state=0, learning_rate_init=0.05)
    clf.partial_fit([[1.0], [2.0]], ["a", "b"], classes=["a", "b", "c"])
    assert list(clf.classes_) == ["a", "b", "c"]
    for _ in range(60):
        clf.partial_fit([[9.0], [8.0]], ["c", "c"])
    assert list(clf.predict([[9.0]])) == ["c"]


def test_partial_fit_refuses_classes_it_does_not_know():
    clf = MLPClassifier(3, random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        clf.partial_fit(X, BINARY)
    clf.partial_fit(X, BINARY, classes=[0, 1])
    before = bits(clf)
    with pytest.raises(ValueError, match="is not the same as on last call"):
        clf.partial_fit(X, BINARY, classes=[1, 2])
    message = r"`y` has classes not in `self.classes_`. `self.classes_` has \[0 1\]. 'y' has \[2\]."
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(X, np.full(120, 2))
    with pytest.raises(ValueError, match="has classes not in"):
        MLPClassifier(3).partial_fit(X, BINARY, classes=[2])
    assert bits(clf) == before


@both
def test_lbfgs_has_no_partial_fit(made):
    estimator = made(solver="lbfgs")
    assert not hasattr(estimator, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit") as caught:
        estimator.partial_fit(X, BINARY)
    assert str(caught.value.__cause__) == (
        "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
    )
    assert hasattr(estimator.set_params(solver="sgd"), "partial_fit")


@both
def test_partial_fit_trains_on_all_rows_also_with_early_stopping(made):
    y = targets_for(made)
    stopped = made(hidden_layer_sizes=4, early_stopping=True, random_state=0, max_iter=3).fit(X, y)
    rows, weights = stopped.t_, bits(stopped)
    stopped.partial_fit(X, y)
    assert stopped.t_ == rows + 120
    assert bits(stopped) != weights
    assert len(stopped.validation_scores_) == 3
    first = {"classes": [0, 1, 2]} if made is MLPClassifier else {}
    new = made(hidden_layer_sizes=4, early_stopping=True, random_state=0).partial_fit(X, y, **first)
    plain = made(hidden_layer_sizes=4, random_state=0).partial_fit(X, y, **first)
    assert bits(new) == bits(plain)


# ---- warm starts --------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_warm_start_needs_the_same_classes(solver):
    clf = MLPClassifier(2, solver=solver, warm_start=True, max_iter=5, random_state=0)
    clf.fit(X, CLASSES)
    clf.fit(X[::-1], CLASSES[::-1])
    before = bits(clf)
    message = "Previously got [0 1 2], `y` has "
    for y in (BINARY, np.where(CLASSES == 2, 3, CLASSES)):
        with pytest.raises(ValueError, match="warm_start can only be used where `y` has") as caught:
            clf.fit(X, y)
        assert str(caught.value).endswith(f"{message}{np.unique(y)}")
    assert bits(clf) == before


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_a_warm_start_does_all_its_epochs(made, solver):
    estimator = made(hidden_layer_sizes=8, solver=solver, warm_start=True, random_state=0, tol=0)
    estimator.set_params(n_iter_no_change=np.inf)
    for max_iter in (5, 9):
        estimator.set_params(max_iter=max_iter)
        with pytest.warns(ConvergenceWarning):
            estimator.fit(X, targets_for(made))
        assert estimator.n_iter_ == max_iter
    assert len(estimator.loss_curve_) == 14


@both
def test_without_warm_start_a_fit_begins_again(made):
    estimator = made(hidden_layer_sizes=3, random_state=0, max_iter=3)
    first = bits(estimator.fit(X, targets_for(made)))
    assert bits(estimator.fit(X, targets_for(made))) == first
    assert bits(estimator.set_params(warm_start=True).fit(X, targets_for(made))) != first


# ---- inputs -------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(
    "form", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.coo_array]
)
def test_sparse_rows_are_dense_rows(made, solver, form):
    thin, y = np.where(np.abs(X) > 0.8, X, 0), targets_for(made)
    estimator = made(hidden_layer_sizes=6, solver=solver, random_state=1, max_iter=5, batch_size=50)
    dense = bits(estimator.fit(thin, y))
    predicted = estimator.predict(thin)
    np.testing.assert_array_equal(estimator.predict(form(thin)), predicted)
    assert bits(estimator.fit(form(thin), y)) == dense
    np.testing.assert_array_equal(estimator.predict(form(thin)), predicted)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_rows_is_kept(made, dtype):
    rows = X.astype(dtype)
    estimator = made(hidden_layer_sizes=(5, 3), max_iter=5, random_state=0)
    estimator.fit(rows, targets_for(made))
    assert {array.dtype for array in estimator.coefs_ + estimator.intercepts_} == {np.dtype(dtype)}
    if made is MLPRegressor:
        assert estimator.predict(rows).dtype == dtype
    else:
        assert estimator.predict_proba(rows).dtype == dtype
        assert estimator.decision_function(rows).dtype == dtype


@both
def test_float32_is_near_float64(made):
    estimator = made(hidden_layer_sizes=(5, 3), max_iter=20, random_state=1)
    wide = estimator.fit(X, targets_for(made)).coefs_
    wide = [W.copy() for W in wide]
    narrow = estimator.fit(X.astype(np.float32), targets_for(made)).coefs_
    for W, w in zip(wide, narrow, strict=True):
        np.testing.assert_allclose(w, W, rtol=1e-3, atol=1e-5)


@both
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_names_of_columns_are_kept_and_asked_for(made, kind):
    module = pytest.importorskip(kind)
    names = ["a", "b", "c", "d", "e"]
    frame = module.DataFrame(dict(zip(names, X.T, strict=True)))
    y = module.Series(targets_for(made).tolist())
    estimator = made(hidden_layer_sizes=4, early_stopping=True, max_iter=3, random_state=0)
    for scoring in (None, "accuracy" if made is MLPClassifier else "r2"):
        estimator.set_params(scoring=scoring).fit(frame, y)  # warnings would be errors
        assert list(estimator.feature_names_in_) == names
    assert bits(estimator) == bits(copy.deepcopy(estimator).fit(X, targets_for(made)))
    np.testing.assert_array_equal(
        estimator.fit(frame, y).predict(frame), made.predict(estimator, frame)
    )
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[["b", "a", "c", "d", "e"]])


@both
def test_rows_of_another_width_are_refused(made):
    estimator = made(hidden_layer_sizes=2, max_iter=1)
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    estimator.fit(X, targets_for(made))
    for rows in (X[:, :3], X[:1, :3], sparse.csr_array(X[:, :3])):
        with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 5 features"):
            estimator.predict(rows)
    with pytest.raises(ValueError, match="X has 3 features"):
        estimator.partial_fit(X[:, :3], targets_for(made))
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.predict(np.full((1, 5), np.nan))


# ---- parameters ---------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hidden_layer_sizes", -1, "an int in the range [1, inf)"),
        ("activation", "ghost", "a str among"),
        ("solver", "hadoken", "a str among"),
        ("alpha", -1, "a float in the range [0.0, inf)"),
        ("batch_size", "all", "a str among {'auto'} or an int in the range [1, inf)"),
        ("learning_rate", "converge", "a str among"),
        ("learning_rate_init", -0.1, "a float in the range [0.0, inf)"),
        ("power_t", -1, "a float in the range [0.0, inf)"),
        ("max_iter", 0, "an int in the range [1, inf)"),
        ("loss", "guess", "a str among"),
        ("shuffle", "true", "an instance of 'bool'"),
        ("random_state", "seed", "an int in the range [0, 4294967295]"),
        ("tol", -1, "a float in the range [0.0, inf)"),
        ("warm_start", 2.5, "an instance of 'bool'"),
        ("momentum", 2, "a float in the range [0.0, 1.0]"),
        ("nesterovs_momentum", "no", "an instance of 'bool'"),
        ("early_stopping", "true", "an instance of 'bool'"),
        ("validation_fraction", 1, "a float in the range [0.0, 1.0)"),
        ("beta_1", 1, "a float in the range [0.0, 1.0)"),
        ("beta_2", -0.5, "a float in the range [0.0, 1.0)"),
        ("epsilon", 0, "a float in the range [1e-35, inf)"),
        ("n_iter_no_change", 0, "an int in the range [1, inf)"),
        ("max_fun", 0, "an int in the range [1, inf)"),
        ("out_activation", "square", "a str among"),
        ("dropout", 1.0, "a float in the range [0.0, 0.99999"),
        ("scoring", "best", "a str among"),
        ("mode", "online", "a str among"),
        ("average", "yes", "an instance of 'bool'"),
        ("callbacks", "none", "an instance of 'list'"),
        ("threads", 0, "an int in the range [1, inf)"),
    ],
)
def test_values_that_cannot_be_are_named(made, name, value, expected):
    with pytest.raises(
        ValueError, match=f"The '{name}' parameter of {made.__name__} must be "
    ) as caught:
        made(**{name: value}).fit(X, BINARY)
    assert expected in str(caught.value)
    assert str(caught.value).endswith(f"Got {value!r} instead.")


@pytest.mark.parametrize("sizes", [(0,), [4, 0], np.array([3, -1])])
def test_layers_need_units(sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0, got"):
        MLPClassifier(sizes).fit(X, BINARY)


@pytest.mark.parametrize("sizes", [3, (3,), [3], np.array([3]), np.int64(3)])
def test_sizes_may_be_said_in_many_ways(sizes):
    clf = MLPClassifier(sizes, max_iter=1).fit(X, BINARY)
    assert [W.shape for W in clf.coefs_] == [(5, 3), (3, 1)]


# ---- trouble ------------------------------------------------------------------------------------


@both
def test_values_too_large_to_train_on(made):
    huge = np.finfo(np.float64).max * RNG.uniform(size=(10, 2))
    message = (
        "^Solver produced non-finite parameter weights. The input data may contain large values "
        "and need to be preprocessed."
    )
    with pytest.raises(ValueError, match=message):
        made(hidden_layer_sizes=4, random_state=0).fit(huge, BINARY[:10])


def test_a_fit_that_diverges_is_an_error_and_its_weights_are_finite():
    reg = MLPRegressor(hidden_layer_sizes=20, activation="identity", solver="sgd", random_state=0)
    reg.set_params(learning_rate_init=1.0)
    with pytest.raises(ValueError, match=r"non-finite .* training diverged in epoch \d") as caught:
        reg.fit(X, NUMBERS)
    assert isinstance(caught.value.__cause__, FloatingPointError)
    assert all(np.isfinite(W).all() for W in reg.coefs_ + reg.intercepts_)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # in scikit-learn's R2
def test_with_early_stopping_a_fit_that_diverges_keeps_its_best_weights():
    class BestSoFar(Callback):
        score = -np.inf

        def on_epoch_end(self, epoch, logs):
            if (score := reg.validation_scores_[-1]) > self.score:
                self.score, self.weights = score, self.model.get_weights()

    best = BestSoFar()
    reg = MLPRegressor(hidden_layer_sizes=20, activation="identity", solver="sgd", random_state=0)
    reg.set_params(
        learning_rate_init=0.2, early_stopping=True, n_iter_no_change=50, callbacks=[best]
    )
    with pytest.warns(ConvergenceWarning, match="diverged"):
        reg.fit(X, 10 * NUMBERS)
    assert np.isnan(reg.validation_scores_[-1])
    assert isinstance(reg.validation_scores_[-1], float)
    assert np.isnan(reg.loss_)
    assert len(reg.validation_scores_) == len(reg.loss_curve_) == reg.n_iter_
    assert reg.best_validation_score_ == best.score
    for found, expected in zip(reg.model_.get_weights(), best.weights, strict=True):
        np.testing.assert_array_equal(found, expected)


class Interrupting(Callback):
    """Ctrl-C at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_after_an_interrupt_the_estimator_is_of_use(made, solver):
    y = targets_for(made)
    estimator = made(
        hidden_layer_sizes=4, solver=solver, random_state=0, callbacks=[Interrupting(3)]
    )
    with pytest.warns(UserWarning, match="^Training interrupted by user.$") as caught:
        estimator.fit(X, y)
    assert [warning.category for warning in caught] == [UserWarning]
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 4
    assert np.isfinite(estimator.score(X, y))
    estimator.set_params(callbacks=None)
    if solver != "lbfgs":
        estimator.partial_fit(X, y)
        assert len(estimator.loss_curve_) == 5
    estimator.fit(X, y)


def test_after_an_interrupt_early_stopping_keeps_the_best_weights():
    clf = MLPClassifier(4, early_stopping=True, random_state=0, callbacks=[Interrupting(30)])
    clf.set_params(learning_rate_init=0.05, tol=0, n_iter_no_change=100, validation_fraction=0.3)
    seen = []

    class Weights(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(self.model.get_weights())

    clf.callbacks.insert(0, Weights())
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(X, BINARY)
    assert len(clf.validation_scores_) == 31
    best = int(np.argmax(clf.validation_scores_))
    assert best < 30
    for found, expected in zip(clf.model_.get_weights(), seen[best], strict=True):
        np.testing.assert_array_equal(found, expected)


# ---- metadata -----------------------------------------------------------------------------------


@both
def test_sample_weights_may_be_routed_but_room_for_outputs_is_not(made):
    routed = {name for name in dir(made) if name.startswith("set_") and name.endswith("_request")}
    assert routed == {"set_fit_request", "set_partial_fit_request", "set_score_request"}


# ---- copies -------------------------------------------------------------------------------------


@both
def test_from_a_file_it_learns_on(made, tmp_path):
    y = targets_for(made)
    estimator = made(hidden_layer_sizes=6, learning_rate_init=0.02, random_state=0, max_iter=10)
    estimator.fit(X, y)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    loaded = joblib.load(tmp_path / "estimator.joblib")
    assert bits(loaded) == bits(estimator)
    assert loaded.loss_curve_ == estimator.loss_curve_
    np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
    # with Adam's moments, too; the orders are drawn from the seed again
    assert bits(loaded.partial_fit(X, y)) == bits(estimator.partial_fit(X, y))
    target = 1 if made is MLPClassifier else 7.0
    for _ in range(300):
        loaded.partial_fit(X[:1], [target])
    assert loaded.predict(X[:1])[0] == pytest.approx(target, rel=0.01)
    assert bits(loaded) != bits(estimator)


def test_an_estimator_that_is_not_fitted_is_pickled_too():
    clf = pickle.loads(pickle.dumps(MLPClassifier(3, random_state=0, max_iter=2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert clf.fit(X, BINARY).n_iter_ == 2
