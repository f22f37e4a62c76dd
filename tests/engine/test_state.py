"""Weights, what the optimiser keeps, and the count of steps move together or not at all.

An interrupt is an exception raised at a line of fastnn, any line: there Python looks for signals.
"""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from networks import padding_of

import fastnn
from fastnn import (
    SGD,
    Adagrad,
    Adam,
    Callback,
    Dense,
    Dropout,
    Normalization,
    RMSprop,
    Sequential,
    SharedL2,
    load,
)
from fastnn.engine import gradient_descent
from fastnn.engine.divergence import KEPT_EVERY
from fastnn.models import learner_of
from fastnn.schedules import Schedule

PACKAGE = str(Path(fastnn.__file__).parent)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5)).astype(np.float32)
Y = np.tanh(X[:, 0] - X[:, 1])
OPTIMIZERS = {
    "SGD": lambda: SGD(0.05),
    "momentum": lambda: SGD(0.05, 0.9),
    "Adam": lambda: Adam(0.01),
    "average": lambda: Adam(0.01, use_ema=True, clipnorm=0.5),
}


def model_for(optimizer, **settings):
    model = Sequential([Dense(9, "tanh"), Dense(1)], seed=0, **settings)
    model.compile(optimizer, "mse")
    model.build(5)
    return model


def state_of(model):
    kept = learner_of(model).optimizer_state(learner_of(model).network).slots.tobytes()
    return b"".join(W.tobytes() for W in model.get_weights()), kept


def step_of(model):
    return 0 if learner_of(model).state is None else learner_of(model).state.step


class Interrupt(BaseException):
    pass


def interrupted(call, line):
    """Run it, interrupted at the line-th line of fastnn; returns whether it came so far."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            count += 1
            if count == line:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        call()
    except Interrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def train_on_batches(model):
    for start in range(0, 64, 16):
        model.train_on_batch(X[start : start + 16], Y[start : start + 16])


def train_on_rows(model):
    for start in range(12):
        model.train_on_batch(X[start : start + 1], Y[start : start + 1])


def apply_gradients(model):
    for start in range(0, 64, 16):
        rows = X[start : start + 16]
        model.apply(model.backward((model.forward(rows) - Y[start : start + 16, None]) / 16))


def fit(model):
    model.fit(X, Y, epochs=2, batch_size=16, callbacks=[EachBatch()])


def fit_rows(model):
    learner_of(model).network.slice_rows = 16
    model.fit(X, Y, epochs=2, mode="stochastic")


def fit_all(model):
    model.fit(X, Y, epochs=6, mode="batch")


class EachBatch(Callback):
    """Makes every batch a slice of its own."""

    def on_train_batch_end(self, batch, logs):
        pass


WAYS = [train_on_batches, train_on_rows, apply_gradients, fit, fit_rows, fit_all]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_interrupt_anywhere_leaves_weights_and_count_of_one_piece(way, optimizer):
    known = {}  # the states after each number of steps
    watched = model_for(OPTIMIZERS[optimizer]())

    def remember(*_):
        known.setdefault(step_of(watched), set()).add(state_of(watched))

    remember()
    learner_of(watched).network.core = Watched(learner_of(watched).network.core, remember)
    way(watched)
    remember()
    line, n_seen = 1, 0
    while True:
        model = model_for(OPTIMIZERS[optimizer]())
        if not interrupted(lambda: way(model), line):  # noqa: B023
            break
        assert state_of(model) in known[step_of(model)], line
        assert model.epochs_trained == len(model.history.epoch)
        n_seen, line = n_seen + 1, line + 1 + line // 12
    assert n_seen > 30


class Watched:
    """The core, with a look after each call of it."""

    def __init__(self, core, look):
        self._core, self._look = core, look

    def __getattr__(self, name):
        found = getattr(self._core, name)
        if not callable(found):
            return found

        def call(*arguments):
            try:
                return found(*arguments)
            finally:
                self._look()

        return call


def test_a_batch_that_was_interrupted_before_its_step_can_be_repeated():
    class Rate(Schedule):
        strikes = False

        def rates(self, steps):
            if self.strikes and steps[0] == 2:
                self.strikes = False
                raise Interrupt
            return np.full(len(steps), 0.01)

    model, plain = (model_for(Adam(Rate()), dtype="float64") for _ in range(2))
    model.optimizer.learning_rate.strikes = True
    for start in range(0, 64, 16):
        batch = X[start : start + 16], Y[start : start + 16]
        plain.train_on_batch(*batch)
        try:
            model.train_on_batch(*batch)
        except Interrupt:
            model.train_on_batch(*batch)
    assert not model.optimizer.learning_rate.strikes
    assert state_of(model) == state_of(plain)


def test_a_schedule_that_fails_counts_no_step():
    class Late(Schedule):
        def rates(self, steps):
            return np.where(steps < 40, 0.01, np.nan)

    for mode in ("stochastic", "minibatch"):
        model, plain = (model_for(Adam(Late())) for _ in range(2))
        before = state_of(model)[0]
        with pytest.raises(ValueError, match="expected a finite rate"):
            model.fit(X, Y, mode=mode, batch_size=1 if mode == "stochastic" else 2, epochs=2)
        if mode == "stochastic":
            assert (state_of(model)[0], step_of(model)) == (before, 0)
        assert step_of(model) in (0, 32)
        for one in (model, plain):
            one.optimizer.learning_rate = 0.01
        if mode == "stochastic":
            assert model.train_on_batch(X, Y) == plain.train_on_batch(X, Y)
            assert state_of(model) == state_of(plain)


def test_a_schedule_cannot_write_where_steps_are_counted():
    class Careless(Schedule):
        def rates(self, steps):
            steps /= 1000.0
            return 0.01 / (1 + steps)

    class Careful(Schedule):
        def rates(self, steps):
            return 0.01 / (1 + steps / 1000.0)

    one, other = model_for(Adam(Careless())), model_for(Adam(Careful()))
    for model in (one, other):
        model.fit(X, Y, mode="stochastic")
    assert state_of(one) == state_of(other)


def test_compile_and_reset_are_done_or_not():
    for change in (lambda m: m.compile(Adam(use_ema=True), "mae"), lambda m: m.reset()):
        line = 1
        while True:
            model = model_for(SGD(0.1))
            model.fit(X, Y)
            if not interrupted(lambda: change(model), line):  # noqa: B023
                break
            state, optimizer = learner_of(model).state, model.optimizer
            assert state is None or len(state.slots) == optimizer.n_slots
            model.fit(X, Y)
            line += 1
        assert line > 20


# ---- copies of finite weights -------------------------------------------------------------------


@pytest.mark.parametrize("way", ["train_on_batch", "apply"])
@pytest.mark.parametrize("width", [9, 150])
def test_many_weights_are_seldom_copied(way, width):
    model = Sequential([Dense(width, "tanh"), Dense(width, "tanh"), Dense(1)], seed=0)
    model.compile(Adam(0.01), "mse")
    model.build(5)
    n_calls, copied_at = 2 * KEPT_EVERY, set()
    for i in range(n_calls):
        rows = slice(i % 16, i % 16 + 16)
        if way == "apply":
            model.apply(model.backward(model.forward(X[rows]) - Y[rows, None]))
        else:
            model.train_on_batch(X[rows], Y[rows])
        copied_at.add(learner_of(model)._watch.snapshot.steps)
    assert len(copied_at) == (n_calls if width == 9 else 3)


@pytest.mark.parametrize("n_before", [0, 5, KEPT_EVERY - 1, KEPT_EVERY, 3 * KEPT_EVERY + 10])
@pytest.mark.parametrize("way", ["train_on_batch", "apply", "rows"])
def test_divergence_leads_back_to_finite_weights_of_a_few_steps_before(way, n_before):
    model = model_for(SGD(0.01, 0.9))
    states, gradient = {}, model.gradient(X, Y)
    step = {
        "train_on_batch": lambda scale: model.train_on_batch(X[:16], np.full(16, scale)),
        "apply": lambda scale: model.apply(
            {name: np.full_like(g, scale) for name, g in gradient.items()}
        ),
        "rows": lambda scale: model.train_on_batch(X[:1], scale),
    }[way]
    states[0] = state_of(model)[0]
    for _ in range(n_before):
        step(1e-3)
        states[step_of(model)] = state_of(model)[0]
    with pytest.raises(fastnn.engine.divergence.Diverged):
        for _ in range(50):
            step(3e38)
            states[step_of(model)] = state_of(model)[0]
    assert all(np.isfinite(W).all() for W in model.get_weights())
    assert state_of(model)[0] == states[step_of(model)]
    assert step_of(model) >= (n_before if way != "rows" else n_before - KEPT_EVERY)
    if way != "apply":  # whose velocity is nearly infinite
        step(1e-3)  # it goes on


@pytest.mark.parametrize("optimizer", [Adam(0.01), RMSprop(0.01), Adagrad(0.01)], ids=str)
@pytest.mark.parametrize("n_rows", [1, 16])
def test_what_the_optimiser_keeps_is_never_left_infinite(optimizer, n_rows):
    model = Sequential([Dense(1)], seed=0)
    model.compile(optimizer, "mse")
    model.build(5)
    with pytest.raises(fastnn.Diverged):
        model.train_on_batch(X[:n_rows] * np.float32(1e11), Y[:n_rows])
    assert np.isfinite(learner_of(model).optimizer_state(learner_of(model).network).slots).all()


# ---- what single steps keep between calls -------------------------------------------------------


def test_batches_from_several_threads_are_trained_one_after_the_other():
    model = Sequential([Dense(64, "relu"), Dense(1)], seed=0)
    model.compile(SGD(1e-4), "mse", metrics=["mae"])
    model.build(5)
    sizes = (2, 17, 64, 40)

    def train(n_rows):
        for _ in range(60):
            model.train_on_batch(X[:n_rows], Y[:n_rows])

    with ThreadPoolExecutor(len(sizes)) as pool:
        list(pool.map(train, sizes))
    assert step_of(model) == 240  # one after the other: none is lost
    assert all(np.isfinite(W).all() for W in model.get_weights())


def test_rows_and_batches_of_two_threads_are_all_trained_on():
    """Single rows take no lock; while another thread moves the weights they go the batches' way."""
    model = Sequential([Dense(300, "relu"), Dense(300, "relu"), Dense(1)], seed=0)
    model.compile(SGD(1e-5), "mse")
    model.build(5)
    rows, targets = np.resize(X, (256, 5)).astype("f"), np.resize(Y, 256)
    model.train_on_batch(rows[:1], targets[:1])
    shared = []

    def batches():
        for _ in range(40):
            model.train_on_batch(rows, targets)
        shared.append(step_of(model))

    with ThreadPoolExecutor(1) as pool:
        job, n_rows = pool.submit(batches), 1
        while not job.done():
            model.train_on_batch(rows[:1], targets[:1])
            n_rows += 1
        job.result()
    assert step_of(model) == 40 + n_rows
    assert shared[0] > 45  # rows came in between
    assert all(np.isfinite(W).all() for W in model.get_weights())


def test_a_batch_within_a_batch_has_memory_of_its_own():
    def metric(y_true, y_pred):
        if nested:
            nested.pop()
            model.train_on_batch(X[:7], Y[:7])
        return 0.0

    model, nested = model_for(SGD(0.01)), []
    model.compile(SGD(0.01), "mse", metrics=[metric])
    for n_rows in (16, 16, 5):
        nested.append(1)
        model.train_on_batch(X[:n_rows], Y[:n_rows])
    assert step_of(model) == 6


@pytest.mark.parametrize("loss", ["mse", "a function"])
def test_statistics_that_are_adapted_again_count_at_once(loss):
    def squared(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return (e**2).mean(), 2 * e / e.size

    steps = []
    for keeps in (True, False):
        layer = Normalization(np.zeros(5), np.ones(5))
        model = Sequential([layer, Dense(4, "tanh"), Dense(1)], seed=0)
        model.compile(SGD(0.1), squared if loss == "a function" else loss)
        model.train_on_batch(X[:16], Y[:16])
        layer.adapt(X * 3 + 1)
        if not keeps:
            learner_of(model)._descent = None
        model.train_on_batch(X[:16], Y[:16])
        steps.append(state_of(model))
    assert steps[0] == steps[1]


def test_rows_and_targets_that_are_views_of_weights_are_copied():
    found = []
    for views in (True, False):
        model = Sequential([Dense(8), Dense(8, use_bias=False)], seed=0)
        model.compile(SGD(0.05, 0.9), "mse")
        model.build(8)
        W = learner_of(model).weight_views()[0]
        for mode in ("stochastic", "minibatch", "batch"):
            rows, targets = (W, W) if views else (W.copy(), W.copy())
            model.fit(
                rows, targets, mode=mode, epochs=2, batch_size=3 if mode == "minibatch" else None
            )
        out = W if views else np.empty_like(W)
        found.append((state_of(model), model.predict(W, out=out).tobytes()))
    assert found[0] == found[1]


def test_weights_may_be_set_from_views_of_each_other():
    model = Sequential([Dense(8, use_bias=False), Dense(8, use_bias=False)], seed=0)
    model.build(8)
    first, second = model.get_weights()
    model.set_weights(learner_of(model).weight_views()[::-1])
    assert [W.tobytes() for W in model.get_weights()] == [second.tobytes(), first.tobytes()]


# ---- padding ------------------------------------------------------------------------------------


def assert_padding_is_zero(model):
    if learner_of(model).network is not None:
        flats = [learner_of(model).network.parameters]
        flats += [] if learner_of(model).state is None else list(learner_of(model).state.slots)
        for flat in flats:
            assert not padding_of(learner_of(model).network, flat).any()


def calls(model, rng, folder):
    """One public call after the other, drawn at random; each returns the model to go on with."""
    y = rng.normal(size=40)
    rows = rng.normal(size=(40, 5))

    def saved():
        model.save(folder / "m.npz")
        return load(folder / "m.npz")

    def set_weights():
        model.set_weights([W * 0.5 for W in model.get_weights()])

    return [
        lambda: model.fit(rows, y, mode="batch", epochs=2),
        lambda: model.fit(rows, y, batch_size=7),
        lambda: model.fit(rows, y, mode="stochastic"),
        lambda: model.train_on_batch(rows, y),
        lambda: model.train_on_batch(rows[:1], y[:1]),
        lambda: model.apply(model.backward(model.forward(rows, training=True) / 40)),
        lambda: model.apply(model.gradient(rows, y)),
        set_weights,
        model.adopt_average,
        saved,
        lambda: copy.deepcopy(model),
        lambda: pickle.loads(pickle.dumps(model)),
        model.reset,
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.01),
        SGD(0.01, 0.9, nesterov=True, weight_decay=0.1),
        Adam(0.01, amsgrad=True, clipvalue=0.1),
        RMSprop(0.01, momentum=0.5, use_ema=True),
        Adagrad(0.01),
        Adagrad(0.01, use_ema=True, ema_momentum=None, global_clipnorm=1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_padding_stays_zero_whatever_is_called(optimizer, dtype, dropout, tmp_path):
    rng = np.random.default_rng([len(str(optimizer)), dropout > 0])
    layers = [
        Dense(9, "tanh", kernel_regularizer=SharedL2(0.5)),
        Dropout(dropout),
        Dense(3, "relu"),
    ]
    model = Sequential(
        [Normalization(np.zeros(5), np.full(5, 4.0)), *layers, Dense(1)], dtype=dtype, seed=0
    )
    model.compile(optimizer, "mse")
    model.build(5)
    for _ in range(30):
        possible = calls(model, rng, tmp_path)
        result = possible[rng.integers(len(possible))]()
        model = result if isinstance(result, Sequential) else model
        assert_padding_is_zero(model)


def test_an_average_after_loading_goes_on_as_before(tmp_path):
    for mode in ("batch", "minibatch", "stochastic"):
        layers = [Dense(9, "tanh", kernel_regularizer=SharedL2(100)), Dense(9, "tanh"), Dense(1)]
        one = Sequential(layers, seed=0)
        one.compile(Adagrad(0.01, use_ema=True), "mse")
        one.fit(X, Y, mode=mode)
        one.save(tmp_path / "m.npz")
        for other in (
            load(tmp_path / "m.npz"),
            copy.deepcopy(one),
            pickle.loads(pickle.dumps(one)),
        ):
            losses = [
                each.fit(X, Y, epochs=2, mode=mode).history["loss"]
                for each in (copy.deepcopy(one), other)
            ]
            assert losses[0] == losses[1]


# ---- slices -------------------------------------------------------------------------------------

SHAPES = [(8, 4, 1), (50, 64, 3), (784, 128, 10), (784, 512, 512, 10), (2000, 4000, 4000, 10)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_slice_is_a_bounded_amount_of_work(shape, dtype):
    """Numbers that are read or written, and multiply-adds, in a slice of single-row steps."""
    model = Sequential([Dense(n, "relu") for n in shape[1:]], dtype=dtype, seed=0)
    model.compile("sgd", "mse")
    network = fastnn.engine.network.Network(shape[0], model.layers, dtype)
    few = 3
    data = (
        learner_of(model)
        .requirements()
        .rows(np.ones((few, shape[0])), np.ones((few, shape[-1])), None)
    )
    moved = [  # arrays that a step reads and writes, roots and norms as further ones
        (SGD(0.1), 0),
        (SGD(0.1, 0.9), 2),
        (Adam(), 4),
        (Adam(amsgrad=True), 5),
        (Adam(amsgrad=True, use_ema=True, global_clipnorm=1.0), 9),
    ]
    for optimizer, arrays in moved:
        state = gradient_descent.new_state(network, optimizer)
        descent = gradient_descent.Descent(network, optimizer, state, learner_of(model).loss)
        descent.take(data)
        rows = descent.path.whole(descent.slice_rows(1))
        work = network.row_work + 15 * arrays * len(network.parameters)
        most = 6e9 if dtype == "float32" else 3e9
        assert rows * work <= most or rows <= 32, optimizer
        assert rows >= min(32, most / work / 8), optimizer  # and not needlessly short
