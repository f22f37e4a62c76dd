"""Rows that come in chunks: `fit` on an iterable against fits on arrays, one after the other."""

import itertools

import numpy as np
import pytest

from fastnn import (
    L1L2,
    LBFGS,
    SGD,
    Callback,
    Dense,
    Dropout,
    LambdaCallback,
    Normalization,
    Sequential,
    StopAt,
)
from fastnn.callbacks.base import HOOKS
from fastnn.callbacks.progress import ProgressBar
from fastnn.models import learner_of

RNG = np.random.default_rng(0)
SIZES = 23, 1, 36  # the first one is shorter than the last, the second a single row
N_ROWS, N_FEATURES = sum(SIZES), 4
X = RNG.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
LABELS = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
WEIGHTS = RNG.uniform(0.5, 2, N_ROWS)
BATCH_SIZES = {"stochastic": 1, "minibatch": 8, "batch": None}

modes = pytest.mark.parametrize("mode", BATCH_SIZES)


def cut(*arrays, sizes=SIZES):
    """Chunks of this number of rows each."""
    borders = np.cumsum(sizes)[:-1]
    return list(zip(*(np.split(array, borders) for array in arrays), strict=True))


CHUNKS = cut(X, LABELS)


def model_for(optimizer="SGD", *, metrics=("accuracy",), before=(), loss="binary_crossentropy"):
    layers = [*before, Dense(6, "tanh"), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=3)
    model.compile(optimizer, loss, metrics)
    return model


def options_for(mode, **others):
    return {"mode": mode, "batch_size": BATCH_SIZES[mode], "shuffle": False, **others}


def state(model):
    """All that a fit leaves behind in weights and optimiser, as bits."""
    weights, kept = [array.tobytes() for array in model.get_weights()], learner_of(model).state
    return weights, None if kept is None else (kept.step, kept.slots.tobytes())


def fit_one_after_the_other(model, chunks, **options):
    """A fit on each chunk; returns the losses."""
    losses = []
    for X, y, *weight in chunks:
        weights = {"sample_weight": weight[0]} if weight else {}
        losses += model.fit(X, y, **weights, **options).history["loss"]
    return losses


def assert_whole(model):
    """Finite weights, a history of whole epochs, and a fit goes on."""
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    n_epochs = len(model.history.epoch)
    assert all(len(values) == n_epochs for values in model.history.history.values())
    before = model.epochs_trained
    assert len(model.fit(CHUNKS, epochs=2).epoch) == 2
    assert model.epochs_trained == before + 2


# ---- the same bits as fits on the chunks --------------------------------------------------------


def square_loss(y_true, y_pred):
    error = y_pred - y_true[:, None]
    return (error**2).mean(), 2 * error / error.size


MODELS = {
    "plain": {},
    "momentum": {"optimizer": SGD(0.1, momentum=0.9, clipnorm=0.3)},
    "adam": {"optimizer": "Adam"},
    "dropout": {"before": [Dropout(0.3)]},
    "dropout, adam": {"optimizer": "Adam", "before": [Dropout(0.3)]},
    "normalised": {"before": [Normalization(mean=[1.0, 0, 0, 0], variance=[2.0, 1, 1, 1])]},
    "custom loss": {"loss": square_loss, "metrics": ()},
}


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        pair
        for pair in itertools.product(MODELS, BATCH_SIZES)
        if pair != ("custom loss", "stochastic")
    ],
)
def test_chunks_are_trained_as_fits_one_after_the_other(settings, mode):
    in_chunks, in_arrays = model_for(**MODELS[settings]), model_for(**MODELS[settings])
    in_chunks.fit(CHUNKS, epochs=3, **options_for(mode))
    fit_one_after_the_other(in_arrays, 3 * CHUNKS, **options_for(mode))
    assert state(in_chunks) == state(in_arrays)


@modes
@pytest.mark.parametrize("weighed", ["all", "one"])
def test_sample_weights_come_in_the_chunks(mode, weighed):
    chunks = cut(X, LABELS, WEIGHTS)
    if weighed == "one":
        chunks = [CHUNKS[0], (*CHUNKS[1], None), chunks[2]]
    in_chunks, in_arrays, plain = (model_for("Adam") for _ in range(3))
    in_chunks.fit(chunks, epochs=2, **options_for(mode))
    fit_one_after_the_other(in_arrays, 2 * chunks, **options_for(mode))
    assert state(in_chunks) == state(in_arrays)
    plain.fit(CHUNKS, epochs=2, **options_for(mode))
    assert state(in_chunks) != state(plain)


@modes
def test_classes_are_weighed_in_every_chunk(mode):
    by_class, by_row = model_for(), model_for()
    by_class.fit(CHUNKS, class_weight={1: 5.0}, **options_for(mode))
    by_row.fit(cut(X, LABELS, np.where(LABELS, 5.0, 1.0)), **options_for(mode))
    assert state(by_class) == state(by_row)


@modes
@pytest.mark.parametrize("sizes", list(itertools.permutations(SIZES)))
def test_the_sizes_of_chunks_may_come_in_any_order(mode, sizes):
    chunks = cut(X, LABELS, sizes=sizes)
    in_chunks, in_arrays = model_for(), model_for()
    in_chunks.fit(chunks, epochs=2, **options_for(mode))
    fit_one_after_the_other(in_arrays, 2 * chunks, **options_for(mode))
    assert state(in_chunks) == state(in_arrays)


def test_each_chunk_takes_the_path_that_its_zeros_ask_for():
    """Stochastic mode goes through sparse rows another way, which rounds in another order."""
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(40, 300)).astype(np.float32)
    sparse = dense * (rng.random(dense.shape) < 0.03)
    y = rng.integers(0, 2, 40)
    chunks = [(sparse, y), (dense, y), (sparse[:7], y[:7]), (dense.astype(np.int8), y)]
    models = []
    for _ in range(2):
        model = Sequential([Dense(32, "tanh"), Dense(1, "sigmoid")], seed=3)
        model.compile("SGD", "binary_crossentropy")
        models.append(model)
    models[0].fit(chunks, epochs=2, mode="stochastic", shuffle=False)
    fit_one_after_the_other(models[1], 2 * chunks, mode="stochastic", shuffle=False)
    assert state(models[0]) == state(models[1])


@modes
def test_any_number_of_threads_gives_the_same_bits(mode):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(600, 64)), rng.integers(0, 2, 600)
    states = []
    for threads in (1, 2):
        model = Sequential([Dense(64, "relu"), Dense(1, "sigmoid")], seed=3)
        model.compile("SGD", "binary_crossentropy")
        chunks = cut(X, y, sizes=(300, 1, 299))
        model.fit(chunks, epochs=2, mode=mode, threads=threads)
        states.append(state(model))
    assert states[0] == states[1]


# ---- visiting order -----------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("steps", [None, 1])
def test_a_single_chunk_is_a_fit_on_its_arrays(mode, steps):
    """Shuffled again in every epoch, in a second fit too."""
    in_chunks, in_arrays = model_for("Adam"), model_for("Adam")
    options = options_for(mode, epochs=4, shuffle=True)
    for _ in range(2):
        chunked = in_chunks.fit([(X, LABELS)], steps_per_epoch=steps, **options).history
        whole = in_arrays.fit(X, LABELS, **options).history
        assert state(in_chunks) == state(in_arrays)
        for name in ("loss", "accuracy", "learning_rate"):
            assert chunked[name] == whole[name]


class Seen:
    """A metric that keeps what it was called with."""

    __name__ = "seen"

    def __init__(self):
        self.y_true, self.y_pred, self.weights = [], [], []

    def __call__(self, y_true, y_pred, sample_weight=None):
        self.y_true.append(y_true.copy())
        self.y_pred.append(y_pred.copy())
        self.weights.append(sample_weight)
        return float(np.abs(y_true - y_pred).max())


def test_the_rows_of_each_chunk_are_shuffled_among_themselves():
    seen, numbers = Seen(), np.arange(40.0)
    model = Sequential([Dense(1)], seed=3)
    model.compile(SGD(1e-6), "mse", [seen])
    X = np.ones((40, 2))
    model.fit([(X[:20], numbers[:20]), (X[20:], numbers[20:])], epochs=2, batch_size=4)
    orders = [tuple(half) for rows in seen.y_true for half in (rows[:20], rows[20:] - 20)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({*orders, tuple(range(20))}) == 5  # other ones in each chunk and epoch


def test_the_seed_decides_the_orders():
    models = [model_for() for _ in range(3)]
    for model, seed in zip(models, (7, 7, 8), strict=True):
        model.fit(CHUNKS, epochs=2, batch_size=8, seed=seed)
    assert state(models[0]) == state(models[1]) != state(models[2])


# ---- loss and metrics ---------------------------------------------------------------------------


@modes
def test_loss_and_metrics_are_the_means_over_all_rows(mode):
    seen, alone = Seen(), Seen()
    in_chunks = model_for(SGD(0.1), metrics=["accuracy", "r2_score", seen])
    in_arrays = model_for(SGD(0.1), metrics=[alone])
    history = in_chunks.fit(CHUNKS, epochs=2, **options_for(mode)).history
    losses = fit_one_after_the_other(in_arrays, 2 * CHUNKS, **options_for(mode))
    for epoch in range(2):
        fits = slice(3 * epoch, 3 * epoch + 3)
        assert history["loss"][epoch] == pytest.approx(np.average(losses[fits], weights=SIZES))
        outputs = np.concatenate([np.atleast_1d(y_pred) for y_pred in alone.y_pred[fits]])
        assert np.array_equal(seen.y_true[epoch], LABELS)
        assert np.array_equal(seen.y_pred[epoch], outputs)
        assert history["seen"][epoch] == np.abs(LABELS - outputs).max()
        assert history["accuracy"][epoch] == ((outputs > 0.5) == LABELS).mean()
        left, all_there_is = ((LABELS - guess) ** 2 for guess in (outputs, LABELS.mean()))
        assert history["r2_score"][epoch] == pytest.approx(1 - left.sum() / all_there_is.sum())


@modes
def test_weights_that_stay_are_measured_as_by_evaluate(mode):
    """With what regularisers add, and weights of rows, at a rate that moves nothing."""
    layers = [Dense(6, "tanh", kernel_regularizer=L1L2(0.01, 0.01)), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=3, dtype="float64")
    model.compile(SGD(1e-300), "binary_crossentropy", ["mae"], ["accuracy", "mae"])
    history = model.fit(cut(X, LABELS, WEIGHTS), epochs=2, **options_for(mode)).history
    scores = model.evaluate(X, LABELS, sample_weight=WEIGHTS, return_dict=True)
    assert set(scores) == {"loss", "mae", "accuracy", "weighted_mae"}
    for name, value in scores.items():
        assert history[name] == pytest.approx([value, value])


def test_a_function_gets_the_weights_of_all_rows_of_which_some_came_without():
    seen = Seen()
    model = model_for(metrics=())
    model.compile("SGD", "binary_crossentropy", weighted_metrics=[seen])
    weighed = cut(X, LABELS, WEIGHTS)
    model.fit([CHUNKS[0], *weighed[1:]], shuffle=False)
    model.fit(CHUNKS, shuffle=False)
    some, none = seen.weights
    assert some == pytest.approx(np.concatenate([np.ones(SIZES[0]), WEIGHTS[SIZES[0] :]]))
    assert none is None


def test_samples_and_clipped_steps_are_those_of_all_chunks():
    model, seen = model_for(SGD(0.1, clipnorm=1e-6)), []
    callback = LambdaCallback(on_slice_end=lambda n_rows, logs: seen.append(n_rows))
    history = model.fit(CHUNKS, batch_size=8, callbacks=[callback]).history
    assert sum(seen) == N_ROWS
    assert history["clipped_steps"] == [3 + 1 + 5]
    rows = history["samples_per_second"][0] * history["seconds"][0]
    assert rows == pytest.approx(N_ROWS)


@modes
def test_validation_follows_every_epoch(mode):
    given = X[:20], LABELS[:20], WEIGHTS[:20]
    with_it, without = model_for(), model_for()
    options = options_for(mode, epochs=4)
    history = with_it.fit(CHUNKS, validation_data=given, validation_freq=2, **options)
    assert history.validated == [1, 3]
    scores = with_it.evaluate(X[:20], LABELS[:20], sample_weight=WEIGHTS[:20])
    assert [history.history[f"val_{name}"][-1] for name in ("loss", "accuracy")] == scores
    without.fit(CHUNKS, **options)
    assert state(with_it) == state(without)


# ---- what chunks may come from ------------------------------------------------------------------


class Loader:
    """Like a DataLoader: every loop begins again; its chunks are lists."""

    def __init__(self, chunks):
        self._chunks = chunks

    def __iter__(self):
        for chunk in self._chunks:
            yield list(chunk)


class Tensor:
    """Like one of another library: an array to those who ask for it."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype)


def tensors():
    return [tuple(map(Tensor, chunk)) for chunk in CHUNKS]


SOURCES = {
    "tuple": lambda: tuple(CHUNKS),
    "loader": lambda: Loader(CHUNKS),
    "tensors": lambda: Loader(tensors()),
    "lists of numbers": lambda: [(X.tolist(), y.tolist()) for X, y in CHUNKS],
    "other number types": lambda: [(X.astype(t), y) for (X, y), t in zip(CHUNKS, "fdf", strict=1)],
    "columns first": lambda: [(np.asfortranarray(X), y[:, None]) for X, y in CHUNKS],
}
ONCE = {
    "generator": lambda: (chunk for chunk in CHUNKS),
    "map": lambda: map(tuple, CHUNKS),
    "zip": lambda: zip(*zip(*CHUNKS, strict=True), strict=True),
    "islice": lambda: itertools.islice(itertools.cycle(CHUNKS), 3),
}


@pytest.mark.parametrize("source", SOURCES | ONCE)
def test_any_iterable_will_do(source):
    model, expected = model_for("Adam"), model_for("Adam")
    epochs = 1 if source in ONCE else 3
    model.fit((SOURCES | ONCE)[source](), epochs=epochs, batch_size=8)
    expected.fit(CHUNKS, epochs=epochs, batch_size=8)
    assert state(model) == state(expected)


def test_the_last_epoch_may_be_the_only_one_of_a_generator():
    history = model_for().fit(ONCE["generator"](), epochs=5, initial_epoch=4)
    assert history.epoch == [4]


@pytest.mark.parametrize("source", [*SOURCES, "cycle"])
@pytest.mark.parametrize("steps", [1, 2, 4])
@modes
def test_an_epoch_goes_on_where_the_one_before_ended(mode, steps, source):
    chunks = itertools.cycle(CHUNKS) if source == "cycle" else SOURCES[source]()
    model, expected = model_for("Adam"), model_for("Adam")
    history = model.fit(chunks, epochs=3, steps_per_epoch=steps, **options_for(mode)).history
    visited = list(itertools.islice(itertools.cycle(CHUNKS), 3 * steps))
    losses = fit_one_after_the_other(expected, visited, **options_for(mode))
    assert state(model) == state(expected)
    means = [
        np.average(losses[i : i + steps], weights=[len(y) for _, y in visited[i : i + steps]])
        for i in range(0, 3 * steps, steps)
    ]
    assert history["loss"] == pytest.approx(means)


def test_a_second_fit_takes_the_next_chunks_of_an_iterator():
    chunks = iter(CHUNKS)
    model, expected = model_for(), model_for()
    model.fit(chunks, epochs=2, steps_per_epoch=1, shuffle=False)
    assert next(chunks) is CHUNKS[2]
    fit_one_after_the_other(expected, CHUNKS[:2], shuffle=False)
    assert state(model) == state(expected)


def test_a_chunk_is_asked_for_when_the_one_before_has_been_trained():
    events = []

    def chunks():
        for number, chunk in enumerate(CHUNKS):
            events.append(f"chunk {number}")
            yield chunk
        events.append("end")

    callback = LambdaCallback(
        on_train_begin=lambda logs: events.append("begin"),
        on_slice_end=lambda n_rows, logs: events.append(f"{n_rows} rows"),
    )
    model_for().fit(chunks(), callbacks=[callback])
    rest = ["chunk 1", "1 rows", "chunk 2", "36 rows", "end"]
    assert events == ["chunk 0", "begin", "23 rows", *rest]


@modes
@pytest.mark.parametrize("weighted", [False, True])
def test_a_generator_may_fill_the_same_arrays_again(mode, weighted):
    """Numbers of the model's own type are read where they lie."""
    rows = [X[:60], LABELS[:60].astype(np.float32), WEIGHTS[:60].astype(np.float32)]
    chunks = cut(*rows[: 2 + weighted], sizes=(20, 20, 20))

    def refilled():
        arrays = [np.empty_like(array) for array in chunks[0]]
        for chunk in chunks:
            for array, numbers in zip(arrays, chunk, strict=True):
                array[...] = numbers
            yield arrays

    found, expected = Seen(), Seen()
    models = []
    for chunks_given, seen in ((refilled(), found), (chunks, expected)):
        model = model_for(metrics=("accuracy",))
        model.compile("SGD", "binary_crossentropy", ["accuracy"], [seen])
        model.fit(chunks_given, **options_for(mode))
        models.append(model)
    assert state(models[0]) == state(models[1])
    for name in ("loss", "accuracy", "seen"):
        assert models[0].history.history[name] == models[1].history.history[name]
    assert np.array_equal(found.y_true, expected.y_true)
    assert np.array_equal(found.y_pred, expected.y_pred)
    if weighted:
        assert np.array_equal(found.weights, expected.weights)


def test_a_chunk_is_a_batch_unless_something_else_is_said():
    """As in Keras, so that a DataLoader's batches are the fit's."""
    models = [model_for("Adam"), model_for("Adam")]
    params = models[0].fit(CHUNKS).params
    models[1].fit(CHUNKS, mode="batch")
    assert state(models[0]) == state(models[1])
    assert learner_of(models[0]).state.step == len(CHUNKS)
    assert (params["mode"], params["batch_size"]) == ("batch", None)


def test_chunks_build_the_model_and_say_so_in_the_params():
    model = model_for()
    params = model.fit(CHUNKS, epochs=2, steps_per_epoch=2, batch_size=30).params
    assert (model.built, learner_of(model).network.n_features) == (True, N_FEATURES)
    assert params["steps"] == 2
    assert params["samples"] is None
    assert (params["mode"], params["batch_size"]) == ("minibatch", 30)
    assert model.fit(CHUNKS, batch_size=8).params["steps"] is None


# ---- callbacks and progress ---------------------------------------------------------------------


def recorder(calls):
    """Notes every hook, with the number that it is given."""

    def noting(name):
        return lambda *reported: calls.append(
            (name, *(n for n in reported if not isinstance(n, dict)))
        )

    return LambdaCallback(**{name: noting(name) for name in HOOKS if name != "on_slice_end"})


@pytest.mark.parametrize(("mode", "n_batches"), [("stochastic", 3), ("minibatch", 9), ("batch", 3)])
def test_batches_are_counted_on_from_chunk_to_chunk(mode, n_batches):
    calls = []
    model_for().fit(CHUNKS, epochs=2, callbacks=[recorder(calls)], **options_for(mode))
    expected = [("on_train_begin",)]
    for epoch in range(2):
        expected.append(("on_epoch_begin", epoch))
        for batch in range(n_batches):
            expected += [("on_train_batch_begin", batch), ("on_train_batch_end", batch)]
        expected.append(("on_epoch_end", epoch))
    assert calls == [*expected, ("on_train_end",)]


@modes
def test_callbacks_change_no_bit(mode):
    models = [model_for("Adam", before=[Dropout(0.2)]) for _ in range(2)]
    for model, callbacks in zip(models, ([], [recorder([])]), strict=True):
        options = options_for(mode, epochs=3, shuffle=True)
        model.fit(CHUNKS, validation_data=(X, LABELS), callbacks=callbacks, **options)
    assert state(models[0]) == state(models[1])
    for name in ("loss", "accuracy", "val_loss"):
        assert models[0].history.history[name] == models[1].history.history[name]


def test_a_batch_is_given_the_means_so_far_of_all_chunks():
    reported = []
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: reported.append(logs))
    history = model_for().fit(CHUNKS, mode="batch", callbacks=[callback], epochs=1).history
    losses = fit_one_after_the_other(model_for(), CHUNKS, mode="batch")
    for n_chunks, logs in enumerate(reported, 1):
        mean = np.average(losses[:n_chunks], weights=SIZES[:n_chunks])
        assert logs["loss"] == pytest.approx(mean)
    assert reported[-1] == {name: history[name][0] for name in ("loss", "accuracy")}


@modes
def test_a_fit_ends_within_an_epoch_and_asks_for_no_more_chunks(mode):
    chunks = iter(CHUNKS * 2)
    model, expected = model_for("Adam"), model_for("Adam")
    stop = StopAt(samples=24)  # with the second chunk
    options = options_for(mode, epochs=9, steps_per_epoch=3)
    history = model.fit(chunks, callbacks=[stop], **options)
    assert history.epoch == [0]
    assert model.epochs_trained == 1
    assert next(chunks) is CHUNKS[2]
    losses = fit_one_after_the_other(expected, CHUNKS[:2], **options_for(mode))
    assert state(model) == state(expected)
    assert history.history["loss"] == pytest.approx([np.average(losses, weights=SIZES[:2])])
    assert_whole(model)


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("steps", [None, 2])
def test_lines_tell_of_every_epoch(capsys, verbose, steps):
    model_for().fit(CHUNKS, epochs=2, steps_per_epoch=steps, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("loss" in line and "accuracy" in line and "samples/s" in line for line in lines)


def test_the_bar_learns_from_the_first_epoch_how_long_it_is(capsys):
    pytest.importorskip("tqdm")
    bar, totals = ProgressBar(), []
    note = LambdaCallback(on_epoch_begin=lambda epoch, logs: totals.append(bar._bar.total))
    model_for().fit(CHUNKS, epochs=3, callbacks=[bar, note])
    assert totals == [None, 3 * N_ROWS, 3 * N_ROWS]
    assert bar._bar.n == 3 * N_ROWS
    assert "samples" in capsys.readouterr().err


# ---- refused before anything moves --------------------------------------------------------------


def with_nan(X):
    X = X.copy()
    X[5, 1] = np.nan
    return X


def failing(number, error):
    """Chunks, of which asking for the number-th, counted from 1, raises."""
    yield from CHUNKS[: number - 1]
    raise error


class Locked(TypeError):
    def __init__(self, what, where):
        super().__init__(f"{what} is locked in {where}")


class NotReadable:
    """Its numbers are not to be had; the error is of a kind that takes more than a message."""

    def __array__(self, dtype=None, copy=None):
        raise Locked("the tensor", "a vault")


FIRST = X[:23], LABELS[:23]
REFUSED = {  # what makes the chunks, or X; the error; options of fit
    "array": (lambda: X, TypeError, r"y is missing: expected fit\(X, y\)", {}),
    "tensor": (lambda: Tensor(X), TypeError, "y is missing.*X is Tensor", {}),
    "number": (lambda: 3, TypeError, "y is missing.*X is int", {}),
    "weighed array": (lambda: X, TypeError, "y is missing", {"sample_weight": WEIGHTS}),
    "split array": (lambda: X, TypeError, "y is missing", {"validation_split": 0.2}),
    "nothing": (lambda: None, TypeError, "y is missing.*X is NoneType", {}),
    "text": (lambda: "abc", TypeError, "chunk 1 of epoch 1 is a str", {}),
    "rows": (X.tolist, TypeError, "chunk 1 of epoch 1 is a list of 4 items", {}),
    "dict": (lambda: [{"X": X, "y": LABELS}], TypeError, r"1 is a dict; expected \(X, y\)", {}),
    "one item": (lambda: [(X,)], TypeError, "chunk 1 of epoch 1 is a tuple of 1 items", {}),
    "four items": (lambda: [[*FIRST, None, None]], TypeError, "is a list of 4 items", {}),
    "arrays": (lambda: [X, X], TypeError, "chunk 1 of epoch 1 is a ndarray; expected", {}),
    "empty list": (list, ValueError, "holds no chunks", {}),
    "empty iterator": (lambda: iter(()), ValueError, "holds no chunks", {}),
    "empty and steps": (list, ValueError, "holds no chunks", {"steps_per_epoch": 2}),
    "empty chunk": (lambda: [(X[:0], LABELS[:0])], ValueError, "1 of epoch 1: X is empty", {}),
    "NaN": (lambda: [(with_nan(X), LABELS)], ValueError, r"chunk 1 .*: X\[5, 1\] is nan", {}),
    "labels": (lambda: [(X, LABELS + 7)], ValueError, "1 of epoch 1: y holds values from 7", {}),
    "rows of y": (lambda: [(X, LABELS[1:])], ValueError, "chunk 1 of epoch 1: y has shape", {}),
    "names": (lambda: [(X, ["a"] * N_ROWS)], TypeError, "chunk 1 of epoch 1: y has dtype", {}),
    "not readable": (lambda: [(NotReadable(), LABELS)], TypeError, "1: the tensor is locked", {}),
    "weights": (lambda: [(*FIRST, -WEIGHTS[:23])], ValueError, "1: sample_weight holds neg", {}),
    "weights twice": (
        lambda: [(*FIRST, WEIGHTS[:23])], ValueError, "sample_weight or class_weight",
        {"class_weight": {1: 2.0}},
    ),
    "generator, epochs": (
        ONCE["generator"], ValueError, "generator cannot begin again.*2 epochs.*steps_per_ep",
        {"epochs": 2},
    ),
    "map, epochs": (ONCE["map"], ValueError, "a map cannot begin again", {"epochs": 3}),
    "sample_weight": (
        lambda: CHUNKS, ValueError, "sample_weight comes with the chunks",
        {"sample_weight": WEIGHTS},
    ),
    "split": (
        lambda: CHUNKS, ValueError, "validation_split needs all rows.*validation_data",
        {"validation_split": 0.2},
    ),
    "split and data": (
        lambda: CHUNKS, ValueError, "validation_data or validation_split, not both",
        {"validation_split": 0.2, "validation_data": (X, LABELS)},
    ),
    "balanced": (
        lambda: CHUNKS, ValueError, "class_weight='balanced' needs all rows.*give numbers",
        {"class_weight": "balanced"},
    ),
    "classes": (lambda: CHUNKS, ValueError, "the class 7", {"class_weight": {7: 1.0}}),
    "measured at the end": (
        lambda: CHUNKS, ValueError, "train_metrics='end' goes through", {"train_metrics": "end"},
    ),
    "validation": (
        lambda: CHUNKS, ValueError, "validation X has 3 columns, but",
        {"validation_data": (X[:, :3], LABELS)},
    ),
    "no steps": (lambda: CHUNKS, ValueError, "steps_per_epoch=0: .*1", {"steps_per_epoch": 0}),
    "half steps": (lambda: CHUNKS, TypeError, "steps_per_epoch=1.5", {"steps_per_epoch": 1.5}),
    "mode": (
        lambda: CHUNKS, ValueError, "mode='batch' makes each chunk a batch",
        {"mode": "batch", "batch_size": 8},
    ),
    "raised": (lambda: failing(1, OSError("gone")), OSError, "gone", {}),
    "interrupted": (lambda: failing(1, KeyboardInterrupt("stop")), KeyboardInterrupt, "stop", {}),
}  # fmt: skip


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_at_once_leaves_the_model_as_it_was(case, built):
    chunks, error, match, options = REFUSED[case]
    model, twin = model_for("Adam"), model_for("Adam")
    if built:
        for each in (model, twin):
            each.fit(CHUNKS)
    history, before = model.history, model.history.to_dict()
    with pytest.raises(error, match=match):
        model.fit(chunks(), **options)
    assert model.built == built
    assert model.history is history
    assert history.to_dict() == before
    if built:
        assert state(model) == state(twin)
    else:
        assert learner_of(model).state is None
        assert model.epochs_trained == 0
    for each in (model, twin):
        each.fit(CHUNKS, batch_size=8)
    assert state(model) == state(twin)


@pytest.mark.parametrize("steps", [0, 2])
def test_steps_per_epoch_goes_with_chunks_only(steps):
    model = model_for()
    with pytest.raises(ValueError, match=f"steps_per_epoch={steps} counts chunks, but X and y are"):
        model.fit(X, LABELS, steps_per_epoch=steps)
    assert not model.built


def test_chunks_of_another_width_than_the_model_are_refused():
    model = model_for()
    model.build(N_FEATURES + 1)
    before = state(model)
    with pytest.raises(ValueError, match="chunk 1 of epoch 1: X has 4 columns, but the model was"):
        model.fit(CHUNKS)
    assert state(model) == before


@modes
def test_optimisers_that_look_at_all_rows_are_refused(mode):
    for optimizer in (SGD("auto"), LBFGS()):
        model = model_for(optimizer)
        with pytest.raises(ValueError, match="but they come in chunks; compile with another"):
            model.fit(CHUNKS, **options_for(mode))
        assert not model.built
        model.compile("SGD", "binary_crossentropy")
        model.fit(CHUNKS)
        assert_whole(model)


def test_a_model_that_is_not_compiled_asks_for_no_chunk():
    model, chunks = Sequential([Dense(1)]), iter(CHUNKS)
    with pytest.raises(ValueError, match="^the model is not compiled"):
        model.fit(chunks)
    assert next(chunks) is CHUNKS[0]


def test_a_loss_of_ones_own_takes_no_single_rows_of_chunks():
    model = model_for(loss=square_loss, metrics=())
    with pytest.raises(ValueError, match="a custom loss takes the rows of a batch"):
        model.fit(CHUNKS, mode="stochastic")
    assert not model.built


# ---- errors on the way --------------------------------------------------------------------------


def then(*chunk):
    """Two chunks, then this one, then a good one."""
    return lambda: iter([*CHUNKS[:2], chunk, CHUNKS[2]])


X3, Y3 = CHUNKS[2]
LATE = {  # what makes the chunks, the third of which fails; the error; options of fit
    "raises": (lambda: failing(3, OSError("the disk is gone")), OSError, "the disk is gone", {}),
    "width": (then(X3[:, :3], Y3), ValueError, "chunk 3 of epoch 1: X has 3 columns", {}),
    "empty": (then(X3[:0], Y3[:0]), ValueError, "chunk 3 of epoch 1: X is empty", {}),
    "one item": (then(X3), TypeError, r"chunk 3 of epoch 1 is a tuple of 1 items; expected", {}),
    "four items": (then(X3, Y3, None, None), TypeError, "3 of epoch 1 is a tuple of 4 items", {}),
    "dict": (
        lambda: iter([*CHUNKS[:2], {"X": X3, "y": Y3}]), TypeError, "3 of epoch 1 is a dict", {},
    ),
    "NaN": (then(with_nan(X3), Y3), ValueError, r"chunk 3 of epoch 1: X\[5, 1\] is nan", {}),
    "infinite y": (then(X3, np.full(36, np.inf)), ValueError, "3 of epoch 1: y holds NaN", {}),
    "labels": (then(X3, Y3 + 1), ValueError, "chunk 3 of epoch 1: y holds values from 1 to 2", {}),
    "rows": (then(X3, Y3[1:]), ValueError, "chunk 3 of epoch 1: y has shape", {}),
    "weights": (then(X3, Y3, WEIGHTS), ValueError, "chunk 3 of epoch 1: sample_weight has s", {}),
    "not readable": (then(NotReadable(), Y3), TypeError, "3 of epoch 1: the tensor is locked", {}),
    "too few": (
        lambda: iter(CHUNKS[:2]), ValueError,
        r"ended before chunk 3 of epoch 1, but steps_per_epoch=3.*itertools\.cycle",
        {"steps_per_epoch": 3},
    ),
    "interrupted": (lambda: failing(3, KeyboardInterrupt("stop")), KeyboardInterrupt, "stop", {}),
}  # fmt: skip


@modes
@pytest.mark.parametrize("case", LATE)
def test_an_error_on_the_way_leaves_what_was_learned_before(mode, case):
    chunks, error, match, options = LATE[case]
    model, expected, calls = model_for("Adam"), model_for("Adam"), []
    with pytest.raises(error, match=match):
        model.fit(chunks(), callbacks=[recorder(calls)], **options_for(mode), **options)
    fit_one_after_the_other(expected, CHUNKS[:2], **options_for(mode))
    assert state(model) == state(expected)
    assert (model.epochs_trained, model.history.epoch, model.history.history) == (0, [], {})
    assert calls[-1] == ("on_train_end",)
    assert_whole(model)


def endless(n_good, error):
    """This number of good chunks, again and again the same three, then an error."""
    yield from itertools.islice(itertools.cycle(CHUNKS), n_good)
    raise error


@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt()])
def test_the_finished_epochs_stay_in_the_history(error):
    model, expected = model_for("Adam"), model_for("Adam")
    with pytest.raises(type(error)):
        model.fit(endless(7, error), epochs=4, steps_per_epoch=3, shuffle=False)
    whole = expected.fit(CHUNKS, epochs=2, shuffle=False).history
    expected.fit(*CHUNKS[0], shuffle=False)
    assert state(model) == state(expected)
    assert model.epochs_trained == 2
    assert model.history.epoch == [0, 1]
    assert model.history.history["loss"] == whole["loss"]
    assert_whole(model)


def test_what_the_iterable_raises_comes_through_with_a_note():
    error = OSError("gone")
    with pytest.raises(OSError, match="gone") as caught:
        model_for().fit(endless(4, error), epochs=2, steps_per_epoch=3)
    assert caught.value is error
    (note,) = error.__notes__
    assert note == "raised when fastnn asked for chunk 2 of epoch 2"


def test_a_wrong_chunk_says_what_was_wrong_with_its_arrays():
    with pytest.raises(ValueError, match="chunk 3 of epoch 1") as caught:
        model_for().fit(LATE["NaN"][0]())
    assert type(caught.value.__cause__) is ValueError


class OnlyOnce:
    """Begins where it ended, though it is no iterator."""

    def __init__(self):
        self._chunks = iter(CHUNKS)

    def __iter__(self):
        return self._chunks


@pytest.mark.parametrize(
    ("steps", "match"),
    [(None, "no chunks in epoch 2, though it did"), (3, "ended before chunk 1 of epoch 2")],
)
def test_an_iterable_that_does_not_begin_again_is_found_out(steps, match):
    model, expected = model_for(), model_for()
    with pytest.raises(ValueError, match=match):
        model.fit(OnlyOnce(), epochs=2, steps_per_epoch=steps)
    expected.fit(CHUNKS)
    assert state(model) == state(expected)
    assert (model.epochs_trained, model.history.epoch) == (1, [0])
    assert_whole(model)


def test_a_fit_that_diverges_in_a_later_chunk_keeps_finite_weights():
    model = model_for(loss="mse", metrics=())
    huge = X3 * np.float32(1e37)
    model.compile(SGD(1e30), "mse")
    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        model.fit([*CHUNKS[:1], (huge, Y3), (huge, Y3)], mode="stochastic")
    model.compile("SGD", "mse")
    assert_whole(model)


class Failing(Callback):
    def on_train_batch_end(self, batch, logs):
        if batch == 4:
            raise RuntimeError("out of paper")


def test_an_error_in_a_callback_within_a_later_chunk_leaves_what_was_learned_before():
    model, expected = model_for("Adam"), model_for("Adam")
    with pytest.raises(RuntimeError, match="out of paper"):
        model.fit(CHUNKS, batch_size=8, shuffle=False, callbacks=[Failing()])
    trained = [*CHUNKS[:2], (X3[:8], Y3[:8])]
    fit_one_after_the_other(expected, trained, batch_size=8, shuffle=False)
    assert state(model) == state(expected)
    assert_whole(model)


# ---- what the first chunk does not decide -------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"verbose": 7},
        {"threads": 0},
        {"train_metrics": "end"},
        {"callbacks": [print]},
        {"mode": "batch", "batch_size": 8},
        {"validation_data": (X, LABELS[:-1])},
        {"steps_per_epoch": 0},
    ],
    ids=str,
)
def test_what_has_nothing_to_do_with_a_chunk_is_refused_before_one_is_asked_for(options):
    chunks = iter(CHUNKS)
    with pytest.raises((TypeError, ValueError)):
        model_for().fit(chunks, **options)
    assert next(chunks) is CHUNKS[0]


def test_a_single_row_first_does_not_let_a_stochastic_custom_loss_in():
    def squares(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return np.square(e).mean(), 2 * e / e.size

    chunks = iter([(X[:1], LABELS[:1]), (X, LABELS)])
    with pytest.raises(ValueError, match="a custom loss takes the rows of a batch"):
        model_for(loss=squares, metrics=None).fit(chunks, mode="stochastic")


def test_targets_of_another_width_name_the_chunk():
    model = Sequential([Dense(2, "softmax")], seed=3)
    model.compile("SGD", "categorical_crossentropy")
    chunks = [(X, LABELS), (X, np.eye(2)[LABELS])]
    with pytest.raises(ValueError, match=r"chunk 2 of epoch 1: y has rows of shape \(2,\).*\(1,\)"):
        model.fit(chunks)
    assert model.fit(chunks[:1]).epoch == [0]


def test_the_model_is_at_work_while_the_first_chunk_is_made():
    model = model_for()

    def meddling():
        model.compile("Adam", "binary_crossentropy")
        yield X, LABELS

    with pytest.raises(RuntimeError, match="compile within a fit"):
        model.fit(meddling())
    assert model.fit(X, LABELS).epoch == [0]


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_chunks_have_one_coding_of_no_and_yes(loss):
    X = np.ones((2, 1))

    def fit(*targets):
        model = Sequential([Dense(1)], seed=0)
        model.compile(loss=loss)
        return model.fit([(X, y) for y in targets], epochs=2).history["loss"]

    assert fit([0, 1], [1, 1], [0, 0]) == fit([-1, 1], [1, 1], [-1, -1])
    for targets in (([-1, 1], [1, 1], [0, 0]), ([0, 0], [1, 1], [-1, -1])):
        with pytest.raises(ValueError, match="chunk 3 of epoch 1: some chunks have y of -1 and 1"):
            fit(*targets)
