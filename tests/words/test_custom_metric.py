"""Custom metrics: what the functions are called with, when, and what they may return."""

import copy
import functools
import pickle

import numpy as np
import pytest

from fastnn import LBFGS, SGD, Callback, Dense, EarlyStopping, LambdaCallback, Sequential, load
from fastnn.custom import CustomMetric
from fastnn.models import learner_of

N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
LABELS = RNG.integers(0, 3, N_ROWS)
NUMBERS = np.stack([np.sin(X[:, 0]), X[:, 1] - X[:, 2]], axis=1)
WEIGHTS = RNG.choice([0.5, 1.0, 3.0], N_ROWS)
HALF = slice(0, 25)
BATCH_SIZES = {"stochastic": 1, "minibatch": 8, "batch": N_ROWS}

KINDS = {  # output layer, loss, targets
    "number": (Dense(1), "mse", NUMBERS[:, 0]),
    "numbers": (Dense(2), "mse", NUMBERS),
    "bit": (Dense(1, "sigmoid"), "binary_crossentropy", LABELS % 2),
    "signs": (Dense(1), "hinge", 2 * (LABELS % 2) - 1),
    "labels": (Dense(3, "softmax"), "categorical_crossentropy", LABELS),
    "one-hot": (Dense(3, "softmax"), "categorical_crossentropy", np.eye(3)[LABELS]),
}
kinds = pytest.mark.parametrize("kind", KINDS)
modes = pytest.mark.parametrize("mode", BATCH_SIZES)


def largest_error(y_true, y_pred):
    return abs(y_pred - y_true).max()


def error(y_true, y_pred, sample_weight=None):
    """A metric that takes sample weights like those of scikit-learn."""
    return np.average(abs(y_pred - y_true), weights=sample_weight)


def model_for(kind="number", metrics=(), *, rate=0.05, weighted=(), optimizer=None, **options):
    output, loss, _ = KINDS[kind]
    model = Sequential([Dense(5, "tanh"), output], seed=1, **options)
    model.compile(optimizer or SGD(rate), loss, metrics, weighted)
    model.build(X.shape[1])
    return model


def fit(model, kind="number", mode="minibatch", **options):
    options = {"batch_size": BATCH_SIZES[mode]} | options
    return model.fit(X, KINDS[kind][2], mode=mode, **options).history


class Seen:
    """A metric that records its arguments and returns how often it was called."""

    def __init__(self):
        self.calls = []

    def __call__(self, y_true, y_pred, **weights):
        self.calls.append((y_true, y_pred, weights.get("sample_weight")))
        return len(self.calls)


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


# ---- arguments ----------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_gets_all_rows_in_the_shapes_of_scikit_learn(kind, dtype, weighted):
    """One column is 1-D, several are a matrix, labels are whole numbers, weights or not."""
    seen = Seen()
    lists = {"weighted": [seen]} if weighted else {"metrics": [seen]}
    model, y = model_for(kind, dtype=dtype, **lists), KINDS[kind][2]
    learner_of(model).network.slice_rows = learner_of(model).network.block = 16
    model.evaluate(X, y)
    (y_true, y_pred, weights), predictions = seen.calls[0], model.predict(X)
    assert weights is None
    np.testing.assert_allclose(y_true, y.astype(dtype))
    assert y_true.shape == y.shape
    assert y_true.dtype == (np.intp if kind == "labels" else dtype)
    assert y_pred.dtype == dtype
    assert y_pred.shape == ((N_ROWS,) if predictions.shape[1] == 1 else predictions.shape)
    np.testing.assert_array_equal(y_pred.reshape(predictions.shape), predictions)


@modes
def test_in_training_it_gets_the_outputs_before_each_step_in_the_order_of_the_epoch(mode):
    seen = Seen()
    model = model_for(metrics=[seen], rate=1e-300, dtype="float64")
    fit(model, mode=mode)
    y_true, y_pred, _ = seen.calls[0]
    order = np.arange(N_ROWS)
    if mode != "batch":
        order = np.random.Generator(np.random.Philox([model.seed, 0])).permutation(N_ROWS)
    np.testing.assert_array_equal(y_true, NUMBERS[order, 0])
    np.testing.assert_allclose(y_pred, model.predict(X)[order, 0], rtol=1e-12)


@modes
def test_it_may_not_reach_the_rows_that_are_trained_on(mode):
    def spoil(y_true, y_pred):
        y_true[:] = y_pred[:] = 1e6
        return 0.0

    y = NUMBERS[:, 0].copy()
    models = model_for(dtype="float64"), model_for(metrics=[spoil], dtype="float64")
    for model in models:
        options = {"mode": mode, "batch_size": BATCH_SIZES[mode], "epochs": 3, "shuffle": False}
        model.fit(X, y, validation_data=(X, y), **options)
    np.testing.assert_array_equal(y, NUMBERS[:, 0])
    assert bits(models[0]) == bits(models[1])


def test_rows_in_a_buffer_that_is_used_again_are_kept():
    room = np.empty((10, 4)), np.empty(10), np.empty(10)

    def chunks():
        for start in range(0, N_ROWS, 10):
            for array, rows in zip(room, (X, NUMBERS[:, 0], WEIGHTS), strict=True):
                array[:] = rows[start : start + 10]
            yield room

    seen = Seen()
    model = model_for(weighted=[seen], dtype="float64")
    model.fit(chunks(), shuffle=False, batch_size=5)
    y_true, _, weights = seen.calls[0]
    np.testing.assert_array_equal(y_true, NUMBERS[:, 0])
    np.testing.assert_array_equal(weights, WEIGHTS)


# ---- when it is called --------------------------------------------------------------------------


@modes
def test_it_is_called_once_an_epoch_for_training_and_for_validation(mode):
    """Callbacks after each batch still get the other metrics."""
    seen, reported = Seen(), []
    model = model_for(metrics=[seen, "mae"])
    learner_of(model).network.slice_rows = learner_of(model).network.block = 16
    hook = LambdaCallback(
        on_train_batch_end=lambda batch, logs: reported.append(set(logs)),
        on_test_batch_end=lambda batch, logs: reported.append(set(logs)),
    )
    options = {"validation_data": (X[HALF], NUMBERS[HALF, 0]), "callbacks": [hook]}
    history = fit(model, mode=mode, epochs=3, **options)
    assert [len(y_true) for y_true, *_ in seen.calls] == [N_ROWS, 25] * 3
    assert (history["Seen"], history["val_Seen"]) == ([1, 3, 5], [2, 4, 6])
    assert len(reported) >= 6
    assert all(names == {"loss", "mae"} for names in reported)


def test_validation_calls_it_when_it_takes_place():
    seen = Seen()
    options = {"validation_split": 0.5, "validation_freq": 2}
    history = fit(model_for(metrics=[seen]), epochs=4, **options)
    assert (history["Seen"], history["val_Seen"]) == ([1, 2, 4, 5], [3, 6])


def test_at_the_end_of_an_epoch_it_can_be_measured_again():
    model = model_for(metrics=[largest_error])
    history = fit(model, epochs=3, train_metrics="end")
    predictions = model.predict(X)[:, 0]
    expected = largest_error(NUMBERS[:, 0].astype(np.float32), predictions)
    assert history["largest_error"][-1] == expected
    assert len(history["largest_error"]) == 3


def test_an_epoch_that_ends_early_has_the_metric_of_the_rows_seen():
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs):
            self.model.stop_training = batch == 2

    seen = Seen()
    fit(model_for(metrics=[seen]), epochs=3, callbacks=[Stop()])
    assert [len(y_true) for y_true, *_ in seen.calls] == [24]


def test_weights_are_bit_identical_with_and_without_it():
    plain, measured = model_for(), model_for(metrics=[largest_error])
    losses = [fit(model, epochs=3)["loss"] for model in (plain, measured)]
    assert losses[0] == losses[1]
    assert bits(plain) == bits(measured)


def test_a_search_for_the_learning_rate_does_without_it():
    seen = Seen()
    model = model_for(metrics=[seen])
    before = bits(model)
    assert model.find_learning_rate(X, NUMBERS[:, 0]).suggestion > 0
    assert (seen.calls, bits(model)) == ([], before)


def test_lbfgs_measures_it_with_the_weights_at_the_start_of_each_iteration():
    pytest.importorskip("scipy")
    seen = Seen()
    model = model_for(metrics=[seen, largest_error], optimizer=LBFGS())
    at_first = largest_error(NUMBERS[:, 0].astype(np.float32), model.predict(X)[:, 0])
    options = {"epochs": 4, "validation_data": (X[HALF], NUMBERS[HALF, 0])}
    history = fit(model, mode="batch", **options)
    assert history["largest_error"][0] == at_first
    assert history["largest_error"][-1] < at_first
    assert [len(y_true) for y_true, *_ in seen.calls] == [N_ROWS, 25] * 4


# ---- weights ------------------------------------------------------------------------------------


@modes
def test_weighted_it_gets_the_sample_weights_by_name(mode):
    model = model_for(weighted=[error], rate=1e-300, dtype="float64")
    y, predictions = NUMBERS[:, 0], model.predict(X)[:, 0]
    expected = error(y, predictions, WEIGHTS)
    validation = X[HALF], y[HALF], WEIGHTS[HALF][::-1]
    history = fit(model, mode=mode, sample_weight=WEIGHTS, validation_data=validation)
    assert history["error"] == pytest.approx([expected], rel=1e-12)
    few = error(y[HALF], predictions[HALF], WEIGHTS[HALF][::-1])
    assert history["val_error"] == pytest.approx([few], rel=1e-12)
    assert model.evaluate(X, y, sample_weight=WEIGHTS)[1] == pytest.approx(expected, rel=1e-12)
    assert model.evaluate(X, y)[1] == pytest.approx(error(y, predictions), rel=1e-12)


def test_without_sample_weights_it_gets_none():
    seen = Seen()
    model_for(metrics=[seen]).evaluate(X, NUMBERS[:, 0], sample_weight=WEIGHTS)
    assert seen.calls[0][2] is None
    weighted = CustomMetric(seen, weighted=True)
    model_for(metrics=[weighted]).evaluate(X, NUMBERS[:, 0], sample_weight=WEIGHTS)
    np.testing.assert_array_equal(seen.calls[1][2], WEIGHTS)


def test_rows_of_chunks_without_weights_have_weight_one():
    seen, y = Seen(), NUMBERS[:, 0]
    chunks = [(X[:20], y[:20]), (X[20:30], y[20:30], WEIGHTS[20:30]), (X[30:], y[30:])]
    model_for(weighted=[seen]).fit(chunks, shuffle=False)
    expected = [*np.ones(20), *WEIGHTS[20:30], *np.ones(20)]
    np.testing.assert_array_equal(seen.calls[0][2], expected)


def test_in_both_lists_it_has_two_names():
    model = model_for(metrics=[error], weighted=[error])
    scores = model.evaluate(X, NUMBERS[:, 0], sample_weight=WEIGHTS, return_dict=True)
    assert list(scores) == ["loss", "error", "weighted_error"]
    assert scores["error"] != scores["weighted_error"]


def test_class_weights_reach_it():
    seen = Seen()
    model = model_for("labels", weighted=[seen])
    fit(model, "labels", shuffle=False, class_weight={1: 4.0})
    np.testing.assert_array_equal(seen.calls[0][2], np.where(LABELS == 1, 4.0, 1.0))


# ---- names --------------------------------------------------------------------------------------

NAMED = {
    "def": (largest_error, "largest_error"),
    "lambda": (lambda y_true, y_pred: 0.5, "lambda"),
    "partial": (functools.partial(error, sample_weight=WEIGHTS), "error"),
    "partial of a partial": (functools.partial(functools.partial(error)), "error"),
    "method": (Seen().__call__, "__call__"),
    "object": (Seen(), "Seen"),
    "own name": (CustomMetric(largest_error, name="worst"), "worst"),
    "named lambda": (CustomMetric(lambda y_true, y_pred: 0.5, name="half"), "half"),
}


@pytest.mark.parametrize("case", NAMED)
def test_its_key_is_its_name(case):
    metric, name = NAMED[case]
    history = fit(model_for(metrics=["mse", metric]), validation_data=(X, NUMBERS[:, 0]))
    assert list(history)[:3] == ["loss", "mse", name]
    assert f"val_{name}" in history


def test_scores_come_in_the_order_given():
    model = model_for(metrics=[largest_error, "mae", error], rate=1e-300)
    y, order = NUMBERS[:, 0], ["loss", "largest_error", "mae", "error"]
    scores = model.evaluate(X, y, return_dict=True)
    assert list(scores) == order
    assert scores["error"] == pytest.approx(scores["mae"])
    assert scores["largest_error"] > scores["mae"]
    for call in (model.evaluate, model.test_on_batch, model.train_on_batch):
        assert call(X, y) == pytest.approx(list(scores.values()), rel=1e-5)
        assert list(call(X, y, return_dict=True)) == order
    assert len(model.train_on_batch(X[:1], y[:1])) == 4


@pytest.mark.parametrize(
    "metrics",
    [
        [lambda y, a: 0.0, lambda y, a: 1.0],
        [error, functools.partial(error)],
        ["mae", CustomMetric(error, name="mae")],
    ],
)
def test_one_name_twice_is_refused(metrics):
    with pytest.raises(ValueError, match="names a metric twice"):
        model_for(metrics=metrics)


def test_names_that_the_history_needs_are_refused():
    def loss(y_true, y_pred):
        return 0.0

    with pytest.raises(ValueError, match="name='loss': expected an unused key of the history"):
        model_for(metrics=[loss])
    assert fit(model_for(metrics=[CustomMetric(loss, name="price")]))["price"] == [0.0]
    with pytest.raises(TypeError, match="name=3"):
        CustomMetric(loss, name=3)


@pytest.mark.parametrize("what", [3, None, "mae"])
def test_only_functions_are_accepted(what):
    with pytest.raises(TypeError, match="expected a function of y_true and y_pred"):
        CustomMetric(what)


def test_its_repr_says_what_it_is():
    assert repr(CustomMetric(largest_error)).startswith("CustomMetric(name='largest_error', ")
    assert "function=<function largest_error at" in repr(CustomMetric(largest_error, weighted=True))


# ---- what may go wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, "high", np.zeros(2), (0.5, 1), 1j])
def test_what_it_returns_must_be_a_number(wrong):
    model = model_for(metrics=[CustomMetric(lambda y, a: wrong, name="odd")])
    with pytest.raises(TypeError, match="the metric 'odd' returned .*; expected a number"):
        model.evaluate(X, NUMBERS[:, 0])


@pytest.mark.parametrize("right", [1, True, np.float32(0.5), np.int64(3), np.array(0.25)])
def test_all_kinds_of_numbers_become_floats(right):
    model = model_for(metrics=[lambda y, a: right])
    assert type(model.evaluate(X, NUMBERS[:, 0])[1]) is float
    assert fit(model)["lambda"] == [float(right)]


class Failing:
    """A metric that raises when it is called for the nth time."""

    def __init__(self, n):
        self.left = n

    def __call__(self, y_true, y_pred):
        self.left -= 1
        if not self.left:
            raise ZeroDivisionError("no rows of class 7")
        return 0.0


@modes
@pytest.mark.parametrize(("n", "n_epochs"), [(1, 0), (2, 0), (5, 2), (6, 2)])
def test_an_error_in_it_leaves_model_and_history_consistent(mode, n, n_epochs):
    """The error comes in training or in validation; its note names the metric."""
    model = model_for(metrics=[Failing(n)])
    validation = X[HALF], NUMBERS[HALF, 0]
    with pytest.raises(ZeroDivisionError, match="class 7") as info:
        fit(model, mode=mode, epochs=4, validation_data=validation)
    (note,) = info.value.__notes__
    assert note.startswith("raised by the metric 'Failing', which got y_true of shape (")
    assert model.epochs_trained == n_epochs == len(model.history.epoch)
    assert {len(values) for values in model.history.history.values()} <= {n_epochs}
    other = model_for()
    fit(other, mode=mode, epochs=n_epochs + 1)  # the epoch that it failed in had made its steps
    assert bits(model) == bits(other)
    assert fit(model, mode=mode, validation_data=validation)["Failing"] == [0.0]


def test_an_error_in_it_leaves_the_weights_alone_in_evaluate():
    model = model_for(metrics=[Failing(1)])
    before = bits(model)
    with pytest.raises(ZeroDivisionError) as info:
        model.evaluate(X, NUMBERS[:, 0])
    (note,) = info.value.__notes__
    assert note.startswith("raised by the metric 'Failing', which got y_true of shape (")
    assert bits(model) == before
    assert model.evaluate(X, NUMBERS[:, 0])[1] == 0.0


# ---- early stopping -----------------------------------------------------------------------------


class Given:
    """A metric that returns given values in validation and 9 in training."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, y_true, y_pred):
        return 9.0 if len(y_true) == N_ROWS else self.values.pop(0)


@pytest.mark.parametrize(
    ("direction", "values", "best"),
    [
        ("min", [3.0, 1.0, 2.0, 4.0], 1),
        ("max", [3.0, 4.0, 2.0, 4.0], 1),
        ("min", [float("nan"), 2.0, float("nan"), float("nan")], 1),
        ("max", [2.0, 3.0, float("nan"), float("nan")], 1),
    ],
)
def test_early_stopping_takes_the_best_of_it_and_never_nan(direction, values, best):
    callback = EarlyStopping("val_Given", patience=2, mode=direction)
    model = model_for(metrics=[Given(*values)])
    validation = X[HALF], NUMBERS[HALF, 0]
    history = fit(model, epochs=9, callbacks=[callback], validation_data=validation)
    np.testing.assert_array_equal(history["val_Given"], values)
    assert (callback.best_epoch, callback.stopped_epoch) == (best, 3)
    other = model_for()
    fit(other, epochs=best + 1)
    assert bits(model) == bits(other)


# ---- with a custom loss -------------------------------------------------------------------------


def own_mse(y_true, y_pred):
    e = y_pred[:, 0] - y_true
    return (e**2).mean(), 2 * e[:, None] / e.size


@pytest.mark.parametrize("mode", ["minibatch", "batch"])
def test_its_value_does_not_depend_on_whether_the_loss_is_custom(mode):
    own, built_in = model_for(metrics=[largest_error]), model_for(metrics=[largest_error])
    own.compile(SGD(0.05), own_mse, [largest_error])
    histories = [
        fit(model, mode=mode, epochs=2, validation_data=(X[HALF], NUMBERS[HALF, 0]))
        for model in (own, built_in)
    ]
    for key in ("loss", "largest_error", "val_largest_error"):
        assert histories[0][key] == pytest.approx(histories[1][key], rel=1e-4)
    scores = own.evaluate(X, NUMBERS[:, 0])
    assert scores == pytest.approx(built_in.evaluate(X, NUMBERS[:, 0]), rel=1e-4)


def test_it_gets_targets_in_the_form_that_a_custom_loss_gets():
    def loss(y_true, y_pred):
        return 0.0, np.zeros_like(y_pred)

    seen, words = Seen(), np.array([f"row {i}" for i in range(N_ROWS)])
    model = model_for("labels")
    model.compile(SGD(), loss, [seen])
    model.fit(X, words, shuffle=False)
    np.testing.assert_array_equal(seen.calls[0][0], words)


def test_with_a_custom_loss_all_metrics_must_be_functions():
    model = model_for()
    for lists in ({"metrics": [error, "mae"]}, {"weighted_metrics": ["mae"]}):
        with pytest.raises(ValueError, match="built-in metrics need a built-in loss"):
            model.compile(SGD(), own_mse, **lists)


def test_without_a_loss_metrics_are_refused():
    with pytest.raises(ValueError, match="metrics need a loss"):
        Sequential([Dense(1)]).compile(metrics=[error])


# ---- files, copies and pickles ------------------------------------------------------------------


def test_a_file_leaves_functions_out_and_the_rest_works(tmp_path):
    model = model_for(metrics=[largest_error, "mae"], weighted=[error, "mse"])
    fit(model)
    model.save(tmp_path / "model.npz")
    loaded = load(tmp_path / "model.npz")
    y = NUMBERS[:, 0]
    scores = model.evaluate(X, y, sample_weight=WEIGHTS, return_dict=True)
    there = loaded.evaluate(X, y, sample_weight=WEIGHTS, return_dict=True)
    assert there == {name: scores[name] for name in ("loss", "mae", "mse")}
    assert list(fit(loaded))[:3] == ["loss", "mae", "mse"]
    assert "largest_error" in model.evaluate(X, y, return_dict=True)  # saving took nothing away
    loaded.compile(SGD(), "mse", [largest_error])
    fit(loaded)


def test_a_file_of_a_model_with_a_custom_loss_leaves_both_out(tmp_path):
    model = model_for()
    model.compile(SGD(), own_mse, [largest_error])
    fit(model)
    model.save(tmp_path / "model.npz")
    loaded = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


JOURNEYS = {
    "copy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("way", JOURNEYS)
@pytest.mark.parametrize("loss", ["mse", own_mse])
def test_copies_and_pickles_keep_it(way, loss):
    metrics = [largest_error, CustomMetric(error, name="mean")]
    model = model_for()
    model.compile(SGD(0.1), loss, metrics, [error])
    fit(model)
    other = JOURNEYS[way](model)
    scores = model.evaluate(X, NUMBERS[:, 0], return_dict=True)
    assert list(scores) == ["loss", "largest_error", "mean", "error"]
    assert other.evaluate(X, NUMBERS[:, 0], return_dict=True) == scores
    assert fit(other)["largest_error"] == fit(model)["largest_error"]


@pytest.mark.parametrize("way", JOURNEYS)
def test_a_copy_passes_labels_and_weights_as_the_model_does(way):
    model = JOURNEYS[way](model_for("labels", weighted=[kind_of_labels]))
    assert model.evaluate(X, LABELS, sample_weight=WEIGHTS)[1] == 1.0


def kind_of_labels(y_true, y_pred, sample_weight=None):
    return y_true.dtype.kind == "i" and sample_weight is not None


def test_a_lambda_stays_with_a_copy():
    model = model_for(metrics=[lambda y, a: 0.5])
    assert copy.deepcopy(model).evaluate(X, NUMBERS[:, 0])[1] == 0.5


# ---- scikit-learn's -----------------------------------------------------------------------------


def test_functions_of_scikit_learn_work_unchanged():
    sklearn = pytest.importorskip("sklearn.metrics")
    model = model_for(metrics=[sklearn.median_absolute_error], weighted=[sklearn.r2_score])
    y, a = NUMBERS[:, 0].astype(np.float32), model.predict(X)[:, 0]
    scores = model.evaluate(X, y, sample_weight=WEIGHTS, return_dict=True)
    assert scores["median_absolute_error"] == sklearn.median_absolute_error(y, a)
    assert scores["r2_score"] == pytest.approx(sklearn.r2_score(y, a, sample_weight=WEIGHTS))
    classes = model_for("labels", weighted=[sklearn.log_loss])
    scores = classes.evaluate(X, LABELS, sample_weight=WEIGHTS, return_dict=True)
    assert scores["log_loss"] * WEIGHTS.mean() == pytest.approx(scores["loss"], rel=1e-5)


def test_measured_at_the_end_a_function_is_called_once_an_epoch():
    calls = []

    def seen(y_true, y_pred):
        calls.append(len(y_true))
        return 0.0

    model = Sequential([Dense(1)], seed=0)
    model.compile("SGD", "mse", [seen])
    model.fit(np.eye(4), np.arange(4.0), epochs=3, train_metrics="end")
    assert calls == [4, 4, 4]
