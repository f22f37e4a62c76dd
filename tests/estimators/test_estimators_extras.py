"""What the estimators have that scikit-learn's do not, and how they fit in with the rest of it."""

import copy
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import (
    SGD,
    Callback,
    CategoricalCrossentropy,
    Dense,
    Dropout,
    EarlyStopping,
    LogLoss,
    MLPClassifier,
    MLPRegressor,
    ReduceLROnPlateau,
    Sequential,
    StopAt,
)
from fastnn.estimators import base as perceptron
from fastnn.estimators import sparse_rows as rowset
from fastnn.layers import LARGEST_RATE
from fastnn.optimizers import SMALLEST_EPSILON

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(100, 5))
WEIGHTS = RNG.uniform(0.2, 3, 100)
BINARY = (X[:, 0] + X[:, 1] ** 2 > 0.8).astype(int)
CLASSES = np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])
LABELS = np.array(["a", "b", "c"])[CLASSES]
SEVERAL = (X[:, :3] > 0.2).astype(int)
NUMBERS = np.sin(X[:, 0]) + X[:, 1] ** 2 / 2
PAIRS = np.stack([NUMBERS, X[:, 2]], axis=1)
TRAIN, VALID = slice(0, 70), slice(70, 100)
SHORT = {"hidden_layer_sizes": 6, "max_iter": 4, "random_state": 0, "learning_rate_init": 0.02}

both = pytest.mark.parametrize("made", [MLPClassifier, MLPRegressor])
MODES = {
    "stochastic": {"mode": "stochastic", "solver": "sgd", "learning_rate_init": 0.005},
    "minibatch": {"batch_size": 16},
    "batch": {"mode": "batch"},
}
modes = pytest.mark.parametrize("mode", MODES)


def targets_for(made):
    return LABELS if made is MLPClassifier else NUMBERS


def bits(estimator):
    return [array.tobytes() for array in estimator.model_.get_weights()]


# ---- rows to validate with ----------------------------------------------------------------------


@modes
@pytest.mark.parametrize("weights", [None, WEIGHTS[VALID]], ids=["unweighed", "weighed"])
def test_the_loss_of_validation_is_that_of_the_weights_after_each_epoch(mode, weights):
    losses = []

    class Losses(Callback):
        def on_epoch_end(self, epoch, logs):
            probabilities = clf.predict_proba(X[VALID])
            losses.append(log_loss(LABELS[VALID], probabilities, sample_weight=weights))

    clf = MLPClassifier(**SHORT | MODES[mode], alpha=0, callbacks=[Losses()])
    held_out = {"X_val": X[VALID], "y_val": LABELS[VALID], "sample_weight_val": weights}
    clf.fit(X[TRAIN], LABELS[TRAIN], **held_out)
    np.testing.assert_allclose(clf.validation_loss_curve_, losses, rtol=1e-9)
    assert len(losses) == 4
    plain = clone(clf).set_params(callbacks=None).fit(X[TRAIN], LABELS[TRAIN])
    assert bits(plain) == bits(clf)  # they are never trained on
    assert plain.validation_loss_curve_ == []


@pytest.mark.parametrize("y", [NUMBERS, PAIRS, NUMBERS[:, None]], ids=["one", "two", "column"])
@pytest.mark.parametrize("n_rows", [1, 30])
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_a_regressors_rows_to_validate_with(y, n_rows):
    reg = MLPRegressor(**SHORT, alpha=0)
    reg.fit(X[TRAIN], y[TRAIN], X_val=X[70 : 70 + n_rows], y_val=y[70 : 70 + n_rows])
    predicted = reg.predict(X[70 : 70 + n_rows]).reshape(n_rows, -1)
    half = mean_squared_error(y[70 : 70 + n_rows].reshape(n_rows, -1), predicted) / 2
    assert reg.validation_loss_curve_[-1] == pytest.approx(half, rel=1e-9)


def test_early_stopping_looks_at_rows_that_were_given():
    clf = MLPClassifier(**SHORT, early_stopping=True)
    held_out = {"X_val": X[VALID], "y_val": LABELS[VALID]}
    clf.fit(X[TRAIN], LABELS[TRAIN], **held_out)
    assert clf.t_ == 4 * 70  # none of the others was held out
    assert clf.best_validation_score_ == clf.score(X[VALID], LABELS[VALID])
    sparsely = clone(clf).fit(
        sparse.csr_array(X[TRAIN]), LABELS[TRAIN],
        X_val=sparse.csr_array(X[VALID]), y_val=LABELS[VALID],
    )  # fmt: skip
    assert bits(sparsely) == bits(clf)
    assert sparsely.validation_scores_ == clf.validation_scores_


def test_several_labels_to_validate_with():
    clf = MLPClassifier(**SHORT, early_stopping=True)
    curves = []
    for form in (np.asarray, sparse.csr_array):
        y, y_val = form(SEVERAL[TRAIN]), form(SEVERAL[VALID])
        curves.append(clf.fit(X[TRAIN], y, X_val=X[VALID], y_val=y_val).validation_loss_curve_)
    assert curves[0] == curves[1]
    assert clf.best_validation_score_ == accuracy_score(SEVERAL[VALID], clf.predict(X[VALID]))


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ({"X_val": X}, "X_val and y_val belong together"),
        ({"y_val": LABELS}, "X_val and y_val belong together"),
        ({"sample_weight_val": WEIGHTS}, "X_val and y_val belong together"),
        ({"X_val": X[:, :3], "y_val": LABELS}, "X has 3 features, but .* expecting 5"),
        ({"X_val": X, "y_val": LABELS[:50]}, "inconsistent numbers of samples"),
        ({"X_val": X, "y_val": np.full(100, "z")}, r"`y` has classes not in .*'y' has \['z'\]"),
        ({"X_val": X, "y_val": LABELS, "sample_weight_val": -WEIGHTS}, "Negative values"),
    ],
)
def test_rows_to_validate_with_that_do_not_fit(held_out, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SHORT).fit(X, LABELS, **held_out)


# ---- scores -------------------------------------------------------------------------------------


def fit_scored(made, scoring, **weights):
    y = targets_for(made)
    estimator = made(**SHORT, early_stopping=True, scoring=scoring)
    given = {
        name: value[VALID if name.endswith("val") else TRAIN] for name, value in weights.items()
    }
    return estimator.fit(X[TRAIN], y[TRAIN], X_val=X[VALID], y_val=y[VALID], **given)


def test_a_score_by_its_name():
    clf = fit_scored(MLPClassifier, "balanced_accuracy")
    expected = balanced_accuracy_score(LABELS[VALID], clf.predict(X[VALID]))
    assert clf.best_validation_score_ == expected
    clf = fit_scored(MLPClassifier, "neg_log_loss")
    expected = -log_loss(LABELS[VALID], clf.predict_proba(X[VALID]))
    assert clf.best_validation_score_ == pytest.approx(expected, rel=1e-12)
    reg = fit_scored(MLPRegressor, "neg_mean_absolute_error")
    expected = -mean_absolute_error(NUMBERS[VALID], reg.predict(X[VALID]))
    assert reg.best_validation_score_ == pytest.approx(expected, rel=1e-12)


def test_scores_are_weighed_where_they_can_be():
    weights = {"sample_weight": WEIGHTS, "sample_weight_val": WEIGHTS}
    for scoring in (None, "r2"):
        reg = fit_scored(MLPRegressor, scoring, **weights)
        expected = r2_score(NUMBERS[VALID], reg.predict(X[VALID]), sample_weight=WEIGHTS[VALID])
        assert reg.best_validation_score_ == pytest.approx(expected, rel=1e-12)
    reg = fit_scored(MLPRegressor, lambda estimator, X, y: estimator.score(X, y), **weights)
    expected = r2_score(NUMBERS[VALID], reg.predict(X[VALID]))
    assert reg.best_validation_score_ == pytest.approx(expected, rel=1e-12)


@both
def test_the_loss_as_a_score(made):
    estimator = fit_scored(made, "loss")
    assert estimator.validation_scores_ == [-loss for loss in estimator.validation_loss_curve_]
    assert estimator.best_validation_score_ == -min(estimator.validation_loss_curve_)


@both
def test_a_score_of_ones_own_decides_what_is_kept(made):
    numbers, weights = iter([0.1, 0.9, 0.3, 0.2]), []

    def own(estimator, X, y):
        weights.append(bits(estimator))
        assert len(X) == len(y) == 30
        return next(numbers)

    estimator = fit_scored(made, own)
    assert estimator.validation_scores_ == [0.1, 0.9, 0.3, 0.2]
    assert bits(estimator) == weights[1]


# ---- callbacks ----------------------------------------------------------------------------------


def test_callbacks_of_fastnn_see_the_model_and_its_logs():
    seen = []

    class Seen(Callback):
        def on_epoch_end(self, epoch, logs):
            n_losses = len({"loss", "val_loss"} & logs.keys())
            seen.append((epoch, n_losses, self.model is clf.model_, clf.n_iter_))

    clf = MLPClassifier(**SHORT, callbacks=[Seen()])
    clf.fit(X[TRAIN], LABELS[TRAIN], X_val=X[VALID], y_val=LABELS[VALID])
    assert [entry[:2] for entry in seen] == [(n, 2) for n in range(4)]
    assert [entry[2:] for entry in seen] == [(True, n) for n in range(1, 5)]
    assert clf.model_.history.history["loss"] == clf.loss_curve_
    assert clf.model_.history.history["val_loss"] == clf.validation_loss_curve_


def test_a_callback_ends_the_fit():
    stop = EarlyStopping(monitor="val_loss", patience=1, min_delta=10, restore_best_weights=True)
    clf = MLPClassifier(**SHORT | {"max_iter": 50}, callbacks=[stop])
    held_out = {"X_val": X[VALID], "y_val": LABELS[VALID]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has not run out of epochs
        clf.fit(X[TRAIN], LABELS[TRAIN], **held_out)
    assert clf.n_iter_ == len(clf.validation_loss_curve_) == 2
    one = MLPClassifier(**SHORT | {"max_iter": 1}).fit(X[TRAIN], LABELS[TRAIN])
    assert bits(clf) == bits(one)
    clf = MLPClassifier(**SHORT | {"max_iter": 200}, callbacks=[StopAt(loss=0.8)])
    assert clf.fit(X, LABELS).loss_ <= 0.8 < clf.loss_curve_[-2]


def test_a_callback_lowers_the_rate():
    clf = MLPClassifier(**SHORT, callbacks=[ReduceLROnPlateau("loss", 0.5, 1, min_delta=10)])
    assert clf.fit(X, LABELS)._optimizer.learning_rate == pytest.approx(0.02 * 0.5**3)


# ---- modes, threads, dropout, averages ----------------------------------------------------------


@both
@modes
def test_threads_do_not_change_the_bits(made, mode):
    found = []
    for threads in (1, 2, None):
        estimator = made(**SHORT | MODES[mode] | {"hidden_layer_sizes": (64, 32)}, threads=threads)
        estimator.fit(X, targets_for(made))
        found.append([*bits(estimator), estimator.predict(X).tobytes()])
    assert found[0] == found[1] == found[2]


@both
def test_modes_are_batch_sizes(made):
    y, sgd = targets_for(made), {"solver": "sgd", "learning_rate_init": 0.005}
    for mode, size in {"stochastic": 1, "minibatch": 50, "batch": 100}.items():
        batches = {"batch_size": 50} if mode == "minibatch" else {}
        named = made(**SHORT | sgd, mode=mode, **batches).fit(X, y)
        assert bits(named) == bits(made(**SHORT | sgd, batch_size=size).fit(X, y))
        assert named.model_.optimizer is named._optimizer
    unnamed = made(**SHORT | sgd).fit(X, y)
    assert bits(unnamed) == bits(made(**SHORT | sgd, mode="batch").fit(X, y))  # "auto" is 100


@pytest.mark.parametrize(
    ("mode", "batch_size", "message"),
    [
        ("stochastic", 7, "mode='stochastic' updates after every row, but batch_size=7"),
        ("batch", 7, "mode='batch' uses all 100 rows for an update, but batch_size=7"),
        ("minibatch", 1, "mode='minibatch' with batch_size=1 updates after every row"),
    ],
)
def test_a_mode_and_a_batch_size_that_clash(mode, batch_size, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SHORT, mode=mode, batch_size=batch_size).fit(X, BINARY)


def test_dropout_of_each_layer():
    clf = MLPClassifier((6, 5, 4), max_iter=2, random_state=0, dropout=[0.5, 0, 0.25])
    clf.fit(X, BINARY)
    kinds = [layer for layer in clf.model_.layers if isinstance(layer, Dropout)]
    assert [layer.rate for layer in kinds] == [0.5, 0.25]
    places = [isinstance(layer, Dropout) for layer in clf.model_.layers]
    assert places == [False, True, False, False, True, False]
    assert bits(clf) == bits(clone(clf).fit(X, BINARY))
    assert bits(clf) != bits(clone(clf).set_params(random_state=1).fit(X, BINARY))
    same = clone(clf).set_params(dropout=0.5).fit(X, BINARY).model_.layers
    assert sum(isinstance(layer, Dropout) for layer in same) == 3
    with pytest.raises(ValueError, match="dropout=.* holds 2 rates, but there are 3 hidden layers"):
        clone(clf).set_params(dropout=(0.5, 0.5)).fit(X, BINARY)
    with pytest.raises(ValueError, match="dropout=1.5: expected"):
        clone(clf).set_params(dropout=(0.5, 1.5, 0)).fit(X, BINARY)


def test_the_seed_decides_what_dropout_leaves_out():
    initial = {"coef_init": [np.full((5, 6), 0.3), np.full((6, 1), 0.1)]}
    initial["intercept_init"] = [np.zeros(6), np.zeros(1)]
    clf = MLPClassifier(**SHORT, shuffle=False, dropout=0.5)
    found = [
        bits(clf.set_params(random_state=seed).fit(X, BINARY, **initial)) for seed in (1, 2, 1)
    ]
    assert found[0] == found[2] != found[1]


@both
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_average_ends_with_the_mean_of_the_weights_after_all_steps(made, solver):
    y = targets_for(made)
    settings = SHORT | {"solver": solver, "shuffle": False, "batch_size": 25, "max_iter": 3}
    first = {"classes": np.unique(y)} if made is MLPClassifier else {}
    steps, plain = [], made(**settings)
    for _ in range(3):
        for start in range(0, 100, 25):
            plain.partial_fit(X[start : start + 25], y[start : start + 25], **first)
            steps.append(plain.model_.get_weights())
    averaged = made(**settings, average=True).fit(X, y)
    for found, arrays in zip(averaged.model_.get_weights(), zip(*steps, strict=True), strict=True):
        np.testing.assert_allclose(found, np.mean(arrays, axis=0), rtol=1e-9, atol=1e-12)


# ---- using it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [BINARY, CLASSES, LABELS, SEVERAL], ids=["0/1", "0/1/2", "abc", "m"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, np.ndarray.tolist])
def test_a_classifier_writes_to_an_array_that_is_given(y, form):
    clf, rows = MLPClassifier(**SHORT).fit(X, y), form(X)
    expected = clf.predict(X)
    out = np.empty_like(expected)
    assert clf.predict(rows, out=out) is out
    np.testing.assert_array_equal(out, expected)
    expected = clf.predict_proba(X)
    out = np.empty_like(expected)
    assert clf.predict_proba(rows, out=out) is out
    np.testing.assert_array_equal(out, expected)
    wrong = np.empty((100, 7)), np.empty((50, expected.shape[1])), expected.astype(np.float32)
    for out in (*wrong, np.asfortranarray(expected), expected[::-1]):
        with pytest.raises(ValueError, match="out has shape .* and dtype .*; expected an array"):
            clf.predict_proba(rows, out=out)
    with pytest.raises(TypeError, match="out is list; expected an array"):
        clf.predict_proba(rows, out=[])
    with pytest.raises(ValueError, match="out has shape"):
        clf.predict(rows, out=np.empty(3))


@pytest.mark.parametrize("y", [NUMBERS, PAIRS], ids=["one", "two"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, np.ndarray.tolist])
def test_a_regressor_writes_to_an_array_that_is_given(y, form):
    reg, rows = MLPRegressor(**SHORT).fit(X, y), form(X)
    expected = reg.predict(X)
    out = np.empty_like(y)
    assert reg.predict(rows, out=out) is out
    np.testing.assert_array_equal(out, expected)
    other = np.empty((100, 1)) if y.ndim == 1 else np.empty(100)
    wrong = np.empty(99), other, out.astype(np.float32), np.empty((10, 10), order="F"), out[::-1]
    for array in wrong:
        with pytest.raises(ValueError, match="out has shape .* expected an array"):
            reg.predict(rows, out=array)
    with pytest.raises(TypeError, match="out is tuple"):
        reg.predict(rows, out=())
    with pytest.raises(TypeError):
        reg.predict(3.0, out=out)


def test_decisions_are_the_outputs_before_their_activation():
    clf = MLPClassifier(**SHORT)
    decisions = clf.fit(X, BINARY).decision_function(X)
    np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), clf.predict_proba(X)[:, 1])
    np.testing.assert_array_equal(clf.predict(X), decisions > 0)
    decisions = clf.fit(X, LABELS).decision_function(X)
    np.testing.assert_array_equal(clf.classes_[decisions.argmax(axis=1)], clf.predict(X))
    powers = np.exp(decisions)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), clf.predict_proba(X))
    decisions = clf.fit(X, SEVERAL).decision_function(X)
    np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), clf.predict_proba(X))
    np.testing.assert_array_equal(clf.predict(X), decisions > 0)
    np.testing.assert_array_equal(clf.decision_function(sparse.csr_array(X)), decisions)
    two = MLPClassifier(**SHORT, loss="categorical_crossentropy").fit(X, BINARY)
    decisions = two.decision_function(X)
    assert two.coefs_[-1].shape == (6, 2)
    np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), two.predict_proba(X)[:, 1])


def test_a_hinge_has_decisions_but_no_probabilities():
    clf = MLPClassifier(**SHORT | {"max_iter": 60}, loss="hinge").fit(X, BINARY)
    assert clf.decision_function(X).shape == (100,)
    np.testing.assert_array_equal(clf.predict(X), clf.decision_function(X) > 0)
    assert clf.score(X, BINARY) > 0.85
    assert not hasattr(clf, "predict_proba")
    with pytest.raises(AttributeError) as caught:
        clf.predict_proba(X)
    assert "there are no probabilities" in str(caught.value.__cause__)
    clf.fit(X, LABELS)  # one against all others
    assert clf.decision_function(X).shape == (100, 3)
    assert clf.score(X, LABELS) > 0.85
    assert clf.fit(X, SEVERAL).score(X, SEVERAL) > 0.6


def test_sigmoids_of_classes_are_made_to_add_up_to_one():
    clf = MLPClassifier(**SHORT, loss="binary_crossentropy").fit(X, LABELS)
    assert (clf.n_outputs_, clf.out_activation_) == (3, "logistic")
    probabilities = clf.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    outputs = clf.model_.predict(X)
    np.testing.assert_allclose(probabilities, outputs / outputs.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_sigmoids_that_have_all_become_0_or_1_still_tell_the_classes_apart(loss, dtype):
    clf = MLPClassifier((), loss=loss, out_activation="logistic", max_iter=1, alpha=0)
    clf.fit(np.eye(3, dtype=dtype), [5, 6, 7])
    clf.coefs_[0][...], clf.intercepts_[0][...] = np.eye(3), 0
    z = np.array([
        [-3091, -1868, -4238], [-300, -180, -431], [-100, -100, -101], [-90, 3, -800], [20, 40, 30],
        [500, 600, -600], [-1e30, -2e30, -3e30], [0.5, -0.5, 0],
    ], dtype)  # fmt: skip
    found = clf.predict_proba(z)
    assert found.dtype == dtype and np.isfinite(found).all()
    room = np.empty_like(found)
    assert clf.predict_proba(z, out=room) is room and np.array_equal(room, found)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=3e-7)
    logs = -np.logaddexp(0, -z.astype(float))
    expected = np.exp(logs - logs.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-37)
    far = np.exp(z[:3] - z[:3].max(axis=1, keepdims=True))  # the softmax of z
    np.testing.assert_allclose(found[:3], far / far.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(clf.predict(z), np.array([5, 6, 7])[z.argmax(axis=1)])
    np.testing.assert_array_equal(found.argmax(axis=1), z.argmax(axis=1))
    np.testing.assert_array_equal(clf.decision_function(z), z)
    assert [clf.predict_one(row) for row in z] == clf.predict(z).tolist()


# ---- row by row ---------------------------------------------------------------------------------

ONLINE = {"hidden_layer_sizes": (6, 3), "random_state": 0, "alpha": 0.01}


@pytest.mark.parametrize("solver", ["sgd", "adam", SGD(0.01)])
@pytest.mark.parametrize("y", [BINARY, LABELS, SEVERAL], ids=["two", "three", "several"])
def test_learning_one_row_is_partial_fit_of_it(solver, y):
    one, many = (MLPClassifier(**ONLINE, solver=solver) for _ in range(2))
    classes = np.arange(3) if y.ndim == 2 else np.unique(y)
    for clf in (one, many):
        clf.partial_fit(X[:5], y[:5], classes=classes)
    for i, x in enumerate(X[5:40], start=5):
        assert one.learn_one(x, y[i]) is one
        many.partial_fit(x[None], y[i : i + 1])
        np.testing.assert_array_equal(one.predict_one(x), one.predict(x[None])[0])
    assert bits(one) == bits(many)
    assert one.t_ == many.t_ == 40


@pytest.mark.parametrize("y", [NUMBERS, PAIRS], ids=["one", "two"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_regressor_learns_row_by_row(y, dtype):
    one, many = (MLPRegressor(**ONLINE) for _ in range(2))
    rows, y = X.astype(dtype), y.astype(dtype)
    for reg in (one, many):
        reg.partial_fit(rows[:5], y[:5])
    for x, target in zip(rows[5:40], y[5:40], strict=True):
        one.learn_one(x, target)
        many.partial_fit(x[None], target[None])
        np.testing.assert_array_equal(one.predict_one(x.tolist()), one.predict(x[None])[0])
    assert bits(one) == bits(many)


def test_class_weights_count_in_learning_one_row():
    one, many = (MLPClassifier(**ONLINE, class_weight={0: 3}) for _ in range(2))
    for clf in (one, many):
        clf.partial_fit(X[:5], BINARY[:5], classes=[0, 1])
    for x, target in zip(X[5:20], BINARY[5:20], strict=True):
        one.learn_one(x, target)
        many.partial_fit(x[None], [target])
    assert bits(one) == bits(many)


def test_rows_that_cannot_be_learned():
    clf = MLPClassifier(**ONLINE)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clf.learn_one(X[0], 0)
    clf.partial_fit(X, BINARY, classes=[0, 1])
    before = bits(clf)
    with pytest.raises(ValueError, match=r"`y` has classes not in"):
        clf.learn_one(X[0], 7)
    for x in (X[0, :3], np.full(5, np.nan)):
        with pytest.raises(ValueError, match="X"):
            clf.learn_one(x, 1)
    assert bits(clf) == before


def test_a_row_that_makes_training_diverge():
    reg = MLPRegressor(**ONLINE, solver="sgd", learning_rate_init=10.0).partial_fit(X[:1], [0.0])
    with pytest.raises(ValueError, match="^Solver produced non-finite parameter weights") as caught:
        for _ in range(70):
            reg.learn_one(100 * X[1], 1e3)
    assert isinstance(caught.value.__cause__, FloatingPointError)
    assert all(np.isfinite(W).all() for W in reg.coefs_)


# ---- weights ------------------------------------------------------------------------------------


def test_weights_that_are_changed_in_place_count():
    clf = MLPClassifier(**SHORT).fit(X, BINARY)
    clf.coefs_[1][...] = 0
    clf.intercepts_[1][0] = -2.0
    np.testing.assert_allclose(clf.decision_function(X), -2.0)
    assert not clf.predict(X).any()
    assert clf.predict_one(X[0]) == 0
    clf.intercepts_[1] = [3.0]
    assert clf.predict(X).all()
    assert clf.predict_one(X[0]) == 1
    clf.coefs_[0] = np.ones((5, 6))
    np.testing.assert_array_equal(clf.model_.get_weights()[0], 1)
    clf.coefs_ = [np.full((5, 6), 0.5), np.zeros((6, 1))]
    np.testing.assert_array_equal(clf.coefs_[0], 0.5)
    clf.intercepts_[:] = [np.arange(6.0), [1.0]]
    np.testing.assert_array_equal(clf.intercepts_[0], np.arange(6))


def test_rows_are_learned_from_weights_that_were_changed():
    changed, other = (MLPRegressor(**ONLINE).fit(X, NUMBERS) for _ in range(2))
    changed.learn_one(X[0], 1.0)
    other.partial_fit(X[:1], [1.0])
    for reg in (changed, other):
        reg.coefs_[0] = np.full((5, 6), 0.1)
    changed.learn_one(X[1], 0.5)
    other.partial_fit(X[1:2], [0.5])
    assert bits(changed) == bits(other)


def test_weights_of_another_shape_are_refused():
    clf = MLPClassifier(**SHORT).fit(X, BINARY)
    before = bits(clf)
    message = r"coefs_\[0\] has shape \(.*\); expected \(5, 6\)"
    for wrong in (np.zeros((6, 5)), np.zeros(6), 0.0, np.zeros((1, 6))):
        with pytest.raises(ValueError, match=message):
            clf.coefs_[0] = wrong
    with pytest.raises(ValueError, match=r"intercepts_\[-?1\] has shape"):
        clf.intercepts_[-1] = np.zeros(2)
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        clf.coefs_[1] = np.full((6, 1), np.nan)
    with pytest.raises(IndexError):
        clf.coefs_[2] = np.zeros((6, 1))
    with pytest.raises(ValueError, match="expected"):
        clf.coefs_ = [np.zeros((5, 6)), np.zeros((5, 6))]
    with pytest.raises(ValueError, match="has 1 arrays; expected 2"):
        clf.intercepts_ = [np.zeros(6)]
    assert bits(clf) == before


def test_weights_before_fit():
    for name in ("coefs_", "intercepts_"):
        assert not hasattr(MLPClassifier(), name)
        with pytest.raises(AttributeError, match=f"no attribute '{name}' before fit; initial"):
            getattr(MLPClassifier(), name)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ({"coef_init": [np.zeros((5, 6))]}, "coef_init has 1 arrays; expected 2, of the shapes"),
        ({"coef_init": [np.zeros((6, 5)), np.zeros((6, 1))]}, r"coef_init\[0\] has shape \(6, 5\)"),
        ({"intercept_init": [np.zeros(6), np.zeros(2)]}, r"intercept_init\[1\] has shape \(2,\)"),
        ({"intercept_init": [np.full(6, np.nan), [0]]}, r"intercept_init\[0\] holds NaN"),
    ],
)
def test_initial_weights_that_do_not_fit_are_named(initial, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SHORT).fit(X, BINARY, **initial)


def test_initial_weights_are_copied():
    coefs, intercepts = [np.ones((5, 6)), np.ones((6, 1))], [np.zeros(6), np.zeros(1)]
    clf = MLPClassifier(**SHORT).fit(X, BINARY, coef_init=coefs, intercept_init=intercepts)
    assert np.all(coefs[0] == 1)
    assert not np.array_equal(clf.coefs_[0], coefs[0])
    warm = clf.set_params(warm_start=True, learning_rate_init=1e-300, solver="sgd")
    np.testing.assert_array_equal(warm.fit(X, BINARY, coef_init=coefs).coefs_[0], 1)


# ---- what is refused ----------------------------------------------------------------------------


def test_activations_of_each_layer():
    clf = MLPClassifier((4, 3), ("tanh", "logistic"), max_iter=1).fit(X, BINARY)
    assert [layer.activation for layer in clf.model_.layers] == ["tanh", "sigmoid", "sigmoid"]
    with pytest.raises(ValueError, match="names 1, but there are 2 hidden layers; expected one"):
        clf.set_params(activation=["tanh"]).fit(X, BINARY)
    with pytest.raises(ValueError, match="activation='ghost' is unknown"):
        clf.set_params(activation=["tanh", "ghost"]).fit(X, BINARY)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ({}, {"coef_init": [np.zeros((3, 3))]}),
        ({}, {"sample_weight": -WEIGHTS}),
        ({}, {"X_val": X}),
        ({}, {"X_val": X[:, :4], "y_val": np.full(100, 9)}),
        ({"activation": ["relu", "relu"]}, {}),
        ({"dropout": [0.5, 0.5]}, {}),
        ({"mode": "stochastic", "batch_size": 7}, {}),
        ({"callbacks": ["none"]}, {}),
        ({"out_activation": "relu"}, {}),
        ({"max_iter": -1}, {}),
        ({"solver": "lbfgs", "mode": "stochastic"}, {}),
        ({"solver": "lbfgs", "dropout": 0.5}, {}),
        ({"early_stopping": True, "validation_fraction": 0.001}, {}),
        ({"callbacks": [EarlyStopping(monitor="val_loss")]}, {}),
    ],
)
def test_a_fit_that_is_refused_changes_nothing(parameters, arguments, warm_start):
    clf = MLPClassifier(**SHORT).fit(X, LABELS)
    expected, kept = clf.predict_proba(X), {**clf.__dict__}
    curve = list(clf.loss_curve_)
    clf.set_params(warm_start=warm_start, **parameters)
    with pytest.raises((TypeError, ValueError)):
        clf.fit(X[:, :4], CLASSES > 0, **arguments)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    assert clf.loss_curve_ == curve
    assert {**clf.__dict__} == kept | parameters | {"warm_start": warm_start}
    clf.set_params(**{name: getattr(MLPClassifier(), name) for name in parameters})
    assert clf.partial_fit(X, LABELS).t_ == 500


@both
def test_a_partial_fit_that_is_refused_changes_nothing(made):
    estimator = made(**SHORT).fit(X, targets_for(made))
    before, state = bits(estimator), {**estimator.__dict__}
    for rows, y in ((X[:, :3], targets_for(made)), (X * np.nan, targets_for(made)), (X, X)):
        with pytest.raises(ValueError):
            estimator.partial_fit(rows, y)
    with pytest.raises(ValueError, match="Negative"):
        estimator.partial_fit(X, targets_for(made), -WEIGHTS)
    assert bits(estimator) == before
    assert {**estimator.__dict__} == state


# ---- sparse rows in blocks ----------------------------------------------------------------------


@both
@pytest.mark.parametrize("batch_size", [16, 1, 100])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighed", "weighed"])
def test_sparse_rows_block_by_block_give_the_bits_of_dense_ones(
    monkeypatch, made, batch_size, shuffle, weights
):
    thin, y = np.where(np.abs(X) > 0.7, X, 0), targets_for(made)
    # row by row alpha counts in the loss with the weights that a block begins with, not an epoch
    rate = {"learning_rate_init": 0.002, "alpha": 0} if batch_size == 1 else {}
    settings = SHORT | rate | {"solver": "sgd", "batch_size": batch_size, "shuffle": shuffle}
    dense = made(**settings).fit(thin, y, weights)
    monkeypatch.setattr(rowset, "DENSE_BYTES", 0)
    monkeypatch.setattr(rowset, "BLOCK_BYTES", 40 * 5 * 8)
    monkeypatch.setattr(perceptron, "PREDICTED_BYTES", 7 * 5 * 8)
    blocks = []
    made_dense = rowset.SparseSource._block

    def noting(self, rows):
        data = made_dense(self, rows)
        blocks.append(len(data.X))
        return data

    monkeypatch.setattr(rowset.SparseSource, "_block", noting)
    thin = sparse.csr_array(thin)
    in_blocks = made(**settings).fit(thin, y, weights)
    assert bits(in_blocks) == bits(dense)
    # a block holds whole batches, 40 rows at most; the one before the epochs is the first to check
    expected = {16: [32, *[32, 32, 32, 4] * 4], 1: [40, *[40, 40, 20] * 4], 100: []}
    assert blocks == expected[batch_size]
    np.testing.assert_allclose(in_blocks.loss_curve_, dense.loss_curve_, rtol=1e-12)
    np.testing.assert_array_equal(in_blocks.predict(thin), dense.predict(thin.toarray()))
    dense.partial_fit(thin.toarray(), y)
    assert bits(in_blocks.partial_fit(thin, y)) == bits(dense)


@both
def test_sparse_rows_are_predicted_some_at_a_time(monkeypatch, made):
    estimator, sizes = made(**SHORT).fit(X, targets_for(made)), []
    expected, make_dense = estimator.predict(X), perceptron.dense

    def noting(rows):
        sizes.append(rows.shape[0])
        return make_dense(rows)

    monkeypatch.setattr(perceptron, "PREDICTED_BYTES", 30 * 5 * 8)
    monkeypatch.setattr(perceptron, "dense", noting)
    np.testing.assert_array_equal(estimator.predict(sparse.csr_array(X)), expected)
    assert sizes == [30, 30, 30, 10]


# ---- scikit-learn at hand or not ----------------------------------------------------------------


def run_python(code):
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_fastnn_alone_does_not_import_scikit_learn():
    code = """
        import sys, fastnn
        from fastnn import Sequential
        assert "MLPClassifier" in dir(fastnn)
        print("sklearn" in sys.modules, "scipy" in sys.modules)
        fastnn.MLPRegressor
        print("sklearn" in sys.modules)
    """
    assert run_python(code).split() == ["False", "False", "True"]


@pytest.mark.parametrize("missing", ["sklearn", "scipy"])
def test_what_to_install_is_said(missing):
    code = f"""
        import sys
        class Missing:
            def find_spec(name, path=None, target=None):
                if name == {missing!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        sys.meta_path.insert(0, Missing)
        import fastnn
        try:
            from fastnn import MLPClassifier
        except ModuleNotFoundError as error:
            print(error)
        try:
            fastnn.MLPRegressor
        except ModuleNotFoundError as error:
            print(error)
    """
    reported = run_python(code).splitlines()
    expected = "needs scikit-learn: pip install scikit-learn"
    assert reported == [f"MLPClassifier {expected}", f"MLPRegressor {expected}"]


# ---- together with scikit-learn -----------------------------------------------------------------


def quick(made=MLPClassifier, **settings):
    return made(**SHORT | {"max_iter": 30} | settings)


def test_in_a_pipeline_with_a_search():
    pipeline = make_pipeline(StandardScaler(), quick())
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(), (8,), (4, 4)],
        "mlpclassifier__mode": ["batch", "minibatch"],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, LABELS)
    assert search.best_score_ > 0.75
    assert search.score(X, LABELS) > 0.8


def test_a_search_in_processes_of_its_own_finds_the_same():
    grid = {"hidden_layer_sizes": [(), (8,)]}
    alone, parallel = (
        GridSearchCV(quick(), grid, cv=2, n_jobs=n_jobs).fit(X, LABELS) for n_jobs in (1, 2)
    )
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(parallel.cv_results_[name], alone.cv_results_[name])
    assert bits(parallel.best_estimator_) == bits(alone.best_estimator_)


def test_cross_validation_and_importance():
    assert cross_val_score(quick(MLPRegressor, max_iter=100), X, NUMBERS, cv=3).mean() > 0.6
    scores = cross_val_score(quick(), X, LABELS, cv=3, scoring="roc_auc_ovr")
    assert scores.mean() > 0.8
    fitted = quick().fit(X, CLASSES)
    importance = permutation_importance(fitted, X, CLASSES, n_repeats=3, random_state=0)
    assert set(np.argsort(importance.importances_mean)[-2:]) == {0, 1}


@pytest.mark.parametrize(
    "ensemble",
    [
        AdaBoostClassifier(quick(), n_estimators=3, random_state=0),
        BaggingClassifier(quick(), n_estimators=3, random_state=0),
        StackingClassifier([("mlp", quick()), ("lr", LogisticRegression())], cv=3),
        CalibratedClassifierCV(quick(), cv=3),
        CalibratedClassifierCV(quick(loss="hinge"), cv=3),
    ],
    ids=["boosted", "bagged", "stacked", "calibrated", "calibrated hinge"],
)
def test_as_a_part_of_other_classifiers(ensemble):
    assert ensemble.fit(X, LABELS).score(X, LABELS) > 0.75


def test_as_a_part_of_other_regressors():
    bagged = BaggingRegressor(quick(MLPRegressor, max_iter=100), n_estimators=3, random_state=0)
    assert bagged.fit(X, NUMBERS).score(X, NUMBERS) > 0.6
    several = MultiOutputRegressor(quick(MLPRegressor, max_iter=100)).fit(X, PAIRS)
    assert several.score(X, PAIRS) > 0.6


def test_sample_weights_are_routed_to_it():
    with sklearn.config_context(enable_metadata_routing=True):
        plain, weighed = quick(), quick().set_fit_request(sample_weight=True)
        weighed = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), weighed)
        weighed.fit(X, LABELS, sample_weight=WEIGHTS)
    expected = plain.fit(StandardScaler().fit_transform(X), LABELS, WEIGHTS)
    assert bits(weighed[-1]) == bits(expected)


@both
def test_clones_have_the_same_parameters(made):
    settings = {
        "hidden_layer_sizes": (3, 2), "activation": ["relu", "tanh"], "solver": SGD(0.01),
        "dropout": (0.1, 0.0), "mode": "batch", "callbacks": [EarlyStopping("loss")], "threads": 1,
    }  # fmt: skip
    estimator = made(**settings)
    twin = clone(estimator)
    assert twin.get_params().keys() == made().get_params().keys()
    assert {name: twin.get_params()[name] for name in ("dropout", "mode", "threads")} == {
        "dropout": (0.1, 0.0), "mode": "batch", "threads": 1,
    }  # fmt: skip
    assert repr(twin.get_params()["solver"]) == repr(SGD(0.01))
    for name, value in settings.items():
        assert getattr(estimator, name) is value
    other = made().set_params(**estimator.get_params())
    assert other.get_params() == estimator.get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'colour'"):
        other.set_params(colour="blue")
    estimator.set_params(random_state=0)
    twin = clone(estimator).fit(X, targets_for(made))
    assert bits(estimator.fit(X, targets_for(made))) == bits(twin)
    assert not hasattr(clone(estimator), "model_")


def test_only_what_is_not_the_default_is_shown():
    clf = MLPClassifier((5, 3), mode="batch", dropout=0.1, random_state=0)
    assert " ".join(repr(clf).split()) == (
        "MLPClassifier(dropout=0.1, hidden_layer_sizes=(5, 3), mode='batch', random_state=0)"
    )
    assert repr(MLPRegressor("huber")) == "MLPRegressor(loss='huber')"


def test_a_copy_is_another_estimator():
    clf = MLPClassifier(**SHORT, loss=CategoricalCrossentropy()).fit(X, LABELS)
    twin = copy.deepcopy(clf)
    twin.partial_fit(X, LABELS)
    assert bits(twin) != bits(clf)
    assert bits(clf.partial_fit(X, LABELS)) == bits(twin)


def test_the_network_is_at_hand():
    clf = MLPClassifier(**SHORT).fit(X, BINARY)
    assert isinstance(clf.model_, Sequential)
    np.testing.assert_array_equal(clf.model_.predict(X)[:, 0], clf.predict_proba(X)[:, 1])
    assert [type(layer) for layer in clf.model_.layers] == [Dense, Dense]


# ---- the mean of the weights, beside what else looks at them ------------------------------------

MEAN = {"solver": "sgd", "average": True, "shuffle": False, "batch_size": 16}


def test_chunk_after_chunk_the_average_is_that_of_all_steps():
    whole = MLPRegressor(**SHORT | MEAN, tol=0).fit(X, NUMBERS)
    chunks = MLPRegressor(**SHORT | MEAN)
    for _ in range(SHORT["max_iter"]):
        chunks.partial_fit(X, NUMBERS)
    assert bits(chunks) == bits(whole)


def test_early_stopping_scores_and_keeps_the_average():
    scored = []

    def score(estimator, X_val, y_val):
        scored.append(bits(estimator))
        return float(len(scored))  # the last one is the best

    stopped = MLPRegressor(**SHORT | MEAN, early_stopping=True, scoring=score)
    stopped.fit(X, NUMBERS, X_val=X, y_val=NUMBERS)
    plain = MLPRegressor(**SHORT | MEAN).fit(X, NUMBERS)
    assert bits(stopped) == scored[-1] == bits(plain)


# ---- what is changed between fits, and what does not go together --------------------------------


def test_words_that_change_count_from_the_next_partial_fit_on():
    ours = MLPClassifier((6,), random_state=0, alpha=0.1, learning_rate_init=0.01)
    theirs = neural_network.MLPClassifier((6,), random_state=0, alpha=0.1, learning_rate_init=0.01)
    for alpha, activation in ((0.1, "relu"), (5.0, "relu"), (5.0, "tanh"), (5.0, "tanh")):
        for estimator in (ours, theirs):
            estimator.set_params(alpha=alpha, activation=activation)
            estimator.partial_fit(X, LABELS, classes=np.unique(LABELS))
        for W, V in zip(ours.coefs_, theirs.coefs_, strict=True):
            np.testing.assert_allclose(W, V, rtol=1e-9, atol=1e-12)


def test_sizes_may_be_an_array():
    clf = MLPClassifier(**SHORT | {"hidden_layer_sizes": np.array([4, 3])}).fit(X, LABELS)
    assert [len(b) for b in clf.partial_fit(X, LABELS).intercepts_] == [4, 3, 3]


def test_after_lbfgs_another_solver_takes_over():
    clf = MLPClassifier(**SHORT | {"solver": "lbfgs"}).fit(X, LABELS)
    before = clf.score(X, LABELS)
    clf.set_params(solver="adam", batch_size=16).partial_fit(X, LABELS)
    assert type(clf.model_.optimizer).__name__ == "Adam"
    assert clf.score(X, LABELS) >= before - 0.1
    with pytest.raises(AttributeError, match="partial_fit is only available for stochastic"):
        MLPClassifier(**SHORT | {"solver": "lbfgs"}).fit(X, LABELS).learn_one(X[0], LABELS[0])


@pytest.mark.parametrize("wrong", [X[:2], None, 3.0, [[X[0]]] * 2])
def test_a_single_row_is_one_row(wrong):
    estimator = MLPRegressor(**SHORT).fit(X, X[:, 0])
    for call in (estimator.predict_one, lambda x: estimator.learn_one(x, 1.0)):
        with pytest.raises(ValueError, match=r"x has shape .*; expected a single row of shape"):
            call(wrong)
    assert estimator.predict_one(X[:1]) == estimator.predict_one(X[0])


def test_learn_one_hears_of_new_weights_of_classes():
    first = MLPClassifier(**SHORT).partial_fit(X, BINARY, classes=[0, 1])
    second = copy.deepcopy(first)
    for estimator in (first, second):
        estimator.learn_one(X[0], 0)
        estimator.set_params(class_weight={0: 0.5})
    first.learn_one(X[1], 0)
    second.partial_fit(X[1:2], [0])
    assert bits(first) == bits(second)


def test_early_stopping_may_be_turned_on_and_off_between_fits():
    clf = MLPClassifier(**SHORT, warm_start=True).fit(X, BINARY)
    assert clf.validation_scores_ is None
    clf.set_params(early_stopping=True).fit(X, BINARY)
    assert len(clf.validation_scores_) == clf.n_iter_
    assert clf.best_loss_ is None
    clf.set_params(early_stopping=False).fit(X, BINARY)
    assert clf.validation_scores_ is None
    assert np.isfinite(clf.best_loss_)


def test_every_warm_fit_has_a_dropout_of_its_own():
    clf = MLPClassifier(**SHORT, dropout=0.5, warm_start=True)
    clf.set_params(random_state=np.random.RandomState(0))
    seeds = {clf.fit(X, BINARY).model_.seed for _ in range(4)}
    assert len(seeds) == 4
    assert 0 not in seeds


EACH = MLPClassifier, MLPRegressor


@pytest.mark.parametrize(
    ("made", "words", "match"),
    [
        *(
            (made, {"solver": SGD(0.1), "learning_rate": "adaptive"}, "rate of its")
            for made in EACH
        ),
        *((made, {"solver": SGD(0.1), "average": True}, "a solver by name") for made in EACH),
        *((made, {"solver": "lbfgs", "average": True}, "a solver by name") for made in EACH),
        (MLPClassifier, {"loss": "poisson"}, "is not for MLPClassifier"),
        (MLPRegressor, {"loss": "hinge"}, "is not for MLPRegressor"),
        (MLPRegressor, {"loss": CategoricalCrossentropy()}, "is not for MLPRegressor"),
        (MLPClassifier, {"class_weight": "foo"}, "The 'class_weight' parameter"),
        (MLPClassifier, {"class_weight": {"a": 0, "b": 0, "c": 0}}, "expected weights >= 0"),
    ],
    ids=str,
)
def test_words_that_do_not_go_together(made, words, match):
    with pytest.raises(ValueError, match=match):
        made(**SHORT | words).fit(X, targets_for(made))


def test_one_label_a_row_and_several_are_distinguished():
    one = MLPClassifier(**SHORT).partial_fit(X, CLASSES, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="fitted with one label a row"):
        one.partial_fit(X, SEVERAL)
    with pytest.raises(ValueError, match="fitted with one label a row"):
        MLPClassifier(**SHORT).fit(X, CLASSES, X_val=X, y_val=SEVERAL)
    several = MLPClassifier(**SHORT, warm_start=True).fit(X, SEVERAL)
    with pytest.raises(ValueError, match="fitted with multilabel input"):
        several.fit(X, CLASSES)
    with pytest.raises(ValueError, match="y has 1 columns, but there are 2 outputs"):
        MLPRegressor(**SHORT).fit(X, PAIRS).partial_fit(X, NUMBERS)


def test_a_warm_start_of_another_size_is_refused_in_scikit_learns_words():
    clf = MLPClassifier(**SHORT, warm_start=True).fit(X, CLASSES)
    before = bits(clf)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=7 does not fit .* of \(6,\) hidden"):
        clf.set_params(hidden_layer_sizes=7).fit(X, CLASSES)
    assert bits(clf) == before


@pytest.mark.parametrize(
    ("loss", "out_activation"),
    [
        ("log_loss", None),
        ("mean_squared_error", None),
        ("mean_squared_error", "tanh"),
        ("hinge", None),
        ("hinge", "tanh"),
    ],
)
@pytest.mark.parametrize("y", [BINARY, CLASSES], ids=["two", "three"])
def test_decisions_are_those_of_predict(loss, out_activation, y):
    settings = SHORT | {"max_iter": 30, "loss": loss, "out_activation": out_activation}
    clf = MLPClassifier(**settings).fit(X, y)
    decisions = clf.decision_function(X)
    places = (decisions > 0).astype(int) if y is BINARY else decisions.argmax(axis=1)
    np.testing.assert_array_equal(clf.classes_[places], clf.predict(X))


def test_the_loss_that_scikit_learn_has_is_softmax_as_an_object_too():
    named = MLPClassifier(**SHORT).fit(X, CLASSES)
    made = MLPClassifier(**SHORT, loss=LogLoss()).fit(X, CLASSES)
    assert made.out_activation_ == "softmax"
    assert bits(named) == bits(made)


def test_callbacks_keep_no_network_and_their_errors_are_their_own():
    class Fails(Callback):
        def on_epoch_end(self, epoch, logs):
            raise FloatingPointError("mine")

    stopping = EarlyStopping(monitor="loss", patience=50)
    clf = MLPClassifier(**SHORT, callbacks=[stopping]).fit(X, BINARY)
    assert not hasattr(clone(clf).callbacks[0], "model")
    with pytest.raises(FloatingPointError, match="^mine$"):
        MLPClassifier(**SHORT, callbacks=[Fails()]).fit(X, BINARY)


def test_rows_held_out_are_not_weighed_by_their_class():
    def fitted(**options):
        clf = MLPClassifier(**SHORT, early_stopping=True, **options)
        return clf.fit(X[TRAIN], BINARY[TRAIN], sample_weight=WEIGHTS[TRAIN])

    halves = fitted(class_weight={0: 0.5, 1: 0.5})
    assert halves.validation_loss_curve_ != []
    plain = fitted()
    np.testing.assert_allclose(halves.validation_scores_, plain.validation_scores_)


@pytest.mark.parametrize("classes", [["c", "b", "a"], ["a", "b", "b"], ["a", "b"]])
def test_labels_of_outputs_have_to_be_sorted(classes):
    model = MLPClassifier(**SHORT).fit(X, CLASSES).model_
    with pytest.raises(ValueError, match="expected 3 different labels, sorted"):
        model.as_estimator(classes=classes)


@pytest.mark.parametrize(
    ("made", "words", "error", "match"),
    [
        (MLPClassifier, {"solver": "lbfgs", "mode": "stochastic"}, ValueError, "mode='stochastic'"),
        (MLPRegressor, {"solver": "lbfgs", "dropout": 0.2}, ValueError, "and no dropout, but"),
        (
            MLPRegressor,
            {"solver": SGD("auto"), "mode": "stochastic"},
            ValueError,
            "compares the cost from step to step",
        ),
        (MLPClassifier, {"out_activation": "tanh"}, ValueError, "expected 'softmax'"),
        (MLPClassifier, {"hidden_layer_sizes": (2.5,)}, ValueError, "must be whole numbers"),
        (MLPClassifier, {"class_weight": {"a": -1}}, ValueError, "expected weights >= 0"),
    ],
    ids=str,
)
def test_errors_name_what_the_user_wrote(made, words, error, match):
    with pytest.raises(error, match=match):
        made(**SHORT | words).fit(X, targets_for(made))


def test_text_is_nothing_to_regress_nor_to_begin_with():
    with pytest.raises(ValueError, match="y holds text; .* take MLPClassifier"):
        MLPRegressor(**SHORT).fit(X, LABELS)
    with pytest.raises(TypeError, match="coef_init='glorot': expected a list of arrays"):
        MLPRegressor(**SHORT).fit(X, NUMBERS, coef_init="glorot")
    with pytest.raises(ValueError, match=r"e.g. out=np.empty\(\(100,\), '<U1'\)"):
        MLPClassifier(**SHORT).fit(X, LABELS).predict(X, out=np.empty(100))


def test_a_line_search_takes_minibatches_if_asked():
    reg = MLPRegressor(**SHORT | {"solver": SGD("auto"), "mode": "minibatch", "batch_size": 16})
    history = reg.fit(X, NUMBERS).model_.history
    assert history.params["mode"] == "minibatch"
    assert reg.loss_curve_[-1] < reg.loss_curve_[0]


def test_a_line_search_takes_all_rows_however_many_they_are():
    many = np.tile(X, (3, 1))
    reg = MLPRegressor(**SHORT | {"solver": SGD("auto")}).fit(many, np.tile(NUMBERS, 3))
    assert reg.model_.history.params["mode"] == "batch"
    assert reg.loss_curve_ == sorted(reg.loss_curve_, reverse=True)


@pytest.mark.parametrize(
    ("parameter", "allowed", "refused"),
    [
        ("learning_rate_init", 0, -1e-9),
        ("epsilon", SMALLEST_EPSILON, SMALLEST_EPSILON / 2),
        ("dropout", LARGEST_RATE, np.nextafter(LARGEST_RATE, 1)),
        ("dropout", [LARGEST_RATE], [1.0]),
    ],
)
def test_bounds_are_those_of_what_a_parameter_stands_for(parameter, allowed, refused):
    settings = {"hidden_layer_sizes": (3,), "max_iter": 1, "tol": 0, "random_state": 0}
    MLPClassifier(**settings | {parameter: allowed}).fit(X, BINARY)
    with pytest.raises(ValueError, match=f"(?i){parameter}"):
        MLPClassifier(**settings | {parameter: refused}).fit(X, BINARY)


# ---- what is left when weights were changed, or a fit did not begin ------------------------------


def averaged(**changes):
    clf = MLPClassifier((5,), average=True, max_iter=3, random_state=0, solver="sgd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.set_params(learning_rate_init=0.1).fit(X3, Y3)
        if changes:
            clf.set_params(**changes).fit(X3, Y3)
    return clf


X3 = np.random.default_rng(3).normal(size=(60, 3))
Y3 = (X3[:, 0] > 0).astype(int)


def test_after_averaging_an_estimator_goes_on_from_the_weights_it_has():
    clf = averaged(average=False, warm_start=True, max_iter=200)
    losses = [clf.partial_fit(X3, Y3).loss_ for _ in range(3)]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]


def test_weights_that_were_set_are_not_replaced_by_those_of_before_averaging():
    clf = averaged()
    clf.coefs_ = [np.zeros_like(W) for W in clf.coefs_]
    clf.partial_fit(X3, Y3)
    assert max(abs(W).max() for W in clf.coefs_) < 0.05


def test_views_may_be_swapped():
    clf = MLPClassifier((8, 8, 8), max_iter=1, solver="sgd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(X3, Y3)
    b = clf.intercepts_
    b[0][:], b[1][:] = 1, 2
    b[0:2] = [b[1], b[0]]
    assert (clf.intercepts_[0] == 2).all() and (clf.intercepts_[1] == 1).all()


def test_an_interrupt_before_a_fit_begins_leaves_the_estimator_as_it_was(monkeypatch):
    clf = MLPClassifier((5,), max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(X3, np.array(["no", "yes"])[Y3])
    before = dict(vars(clf))

    def strike(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(MLPClassifier, "_new_model", strike)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X3, np.array(["cat", "dog"])[Y3])
    assert vars(clf) == before
    assert set(clf.predict(X3)) <= {"no", "yes"}


def test_a_refused_first_partial_fit_takes_no_classes():
    clf = MLPClassifier((5,), solver="sgd", random_state=0)
    with pytest.raises(ValueError, match="NaN"):
        clf.partial_fit(X3 * np.nan, Y3, classes=[0, 1])
    clf.partial_fit(X3, np.array(["a", "b"])[Y3], classes=["a", "b"])
    assert list(clf.classes_) == ["a", "b"]


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_a_softmax_has_a_unit_for_each_of_two_labels(loss):
    clf = MLPClassifier(
        (8,), loss=loss, out_activation="softmax", learning_rate_init=0.05, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(X3, Y3)
    assert clf.n_outputs_ == 2
    assert clf.score(X3, Y3) > 0.9
    probabilities = clf.predict_proba(X3)
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_a_softmax_of_one_unit_is_refused():
    with pytest.raises(ValueError, match=r"softmax over one unit is always 1"):
        Sequential([Dense(4), Dense(1, "softmax")]).compile("sgd", "mse")
