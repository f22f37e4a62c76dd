"""L-BFGS: where it arrives, what it records on the way, and what it refuses."""

import sys

import numpy as np
import pytest

from fastnn import L1, L2, LBFGS, Callback, Dense, Dropout, Sequential, load
from fastnn.models import learner_of

N_ROWS = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + RNG.normal(size=N_ROWS)
CLASSES = RNG.integers(0, 3, N_ROWS)

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model_for(layers=None, loss="mse", *, dtype="float64", metrics=None, optimizer="LBFGS"):
    model = Sequential(layers or [Dense(9, "tanh"), Dense(1)], dtype=dtype, seed=5)
    model.compile(optimizer, loss, metrics)
    model.build(4)
    return model


def fit(model, epochs=30, y=Y, **options):
    return model.fit(X, y, epochs=epochs, mode="batch", **options).history


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


class Recorder(Callback):
    """Notes each hook, what it is given, and the weights of that moment."""

    def __init__(self, stop_in=None, error=None):
        self.calls, self.stop_in, self.error = [], stop_in, error

    def note(self, hook, epoch=None, logs=None):
        self.calls.append((hook, epoch, dict(logs or {}), bits(self.model)))
        if (hook, epoch) == self.stop_in:
            if self.error:
                raise self.error
            self.model.stop_training = True

    def on_train_begin(self, logs):
        self.note("train begin")

    def on_train_end(self, logs):
        self.note("train end")

    def on_epoch_begin(self, epoch, logs):
        self.note("epoch begin", epoch)

    def on_epoch_end(self, epoch, logs):
        self.note("epoch end", epoch, logs)

    @property
    def hooks(self):
        return [call[:2] for call in self.calls]


# ---- where it arrives ---------------------------------------------------------------------------


@dtypes
def test_it_finds_the_least_squares_solution(dtype):
    model = model_for([Dense(1)], dtype=dtype)
    fit(model, 50)
    best, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(N_ROWS)]), Y, rcond=None)
    found = np.concatenate([weights.ravel() for weights in model.get_weights()])
    np.testing.assert_allclose(found, best, atol={"float32": 1e-3, "float64": 1e-6}[dtype])


def test_it_finds_the_ridge_solution():
    """n/2 of the gradient of |Xw - y|^2 / n + 0.5 |w|^2 is (X'X + 0.5 n I) w - X'y."""
    model = model_for([Dense(1, use_bias=False, kernel_regularizer=L2(0.5))])
    fit(model, 50)
    best = np.linalg.solve(X.T @ X + 0.5 * N_ROWS * np.eye(4), X.T @ Y)
    np.testing.assert_allclose(model.get_weights()[0].ravel(), best, atol=1e-6)


def test_l1_is_part_of_the_cost():
    model = model_for([Dense(1, use_bias=False, kernel_regularizer=L1(0.01))])
    history = fit(model, 20)
    W = model.get_weights()[0]
    cost = np.mean((X @ W - Y[:, None]) ** 2) + 0.01 * np.abs(W).sum()
    assert model.evaluate(X, Y) == pytest.approx(cost, rel=1e-12)
    assert cost < history["loss"][0]
    gradient = 2 / N_ROWS * X.T @ (X @ W - Y[:, None]) + 0.01 * np.sign(W)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


PROBLEMS = {
    "regression": (Y, [Dense(9, "tanh"), Dense(1)], "mse"),
    "narrow": (Y, [Dense(4, "tanh"), Dense(1)], "huber"),
    "two classes": (Y > 0, [Dense(8, "relu"), Dense(1, "sigmoid")], "binary_crossentropy"),
    "classes with L2": (
        CLASSES,
        [Dense(20, "tanh", kernel_regularizer=L2(0.01)), Dense(3, "softmax")],
        "categorical_crossentropy",
    ),
}


@dtypes
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_cost_falls_from_iteration_to_iteration(name, dtype):
    y, layers, loss = PROBLEMS[name]
    model = model_for(layers, loss, dtype=dtype)
    costs = fit(model, 40, y)["loss"]
    costs.append(model.evaluate(X, y))
    assert len(costs) > 30
    assert (np.diff(costs) <= {"float32": 1e-7, "float64": 0}[dtype]).all()
    assert costs[-1] < 0.8 * costs[0]


def test_sample_weights_count():
    weights = np.repeat([1.0, 0.0], N_ROWS // 2)
    model = model_for([Dense(1)])
    fit(model, 50, y=np.where(weights, Y, 1e3), sample_weight=weights)
    half = N_ROWS // 2
    A = np.column_stack([X[:half], np.ones(half)])
    best, *_ = np.linalg.lstsq(A, Y[:half], rcond=None)
    found = np.concatenate([weights.ravel() for weights in model.get_weights()])
    np.testing.assert_allclose(found, best, atol=1e-5)


def test_a_single_row_is_a_batch():
    model = model_for()
    model.fit(X[:1], Y[:1], mode="batch", epochs=20)
    assert model.evaluate(X[:1], Y[:1]) < 1e-8


def test_layers_that_are_not_trained_stay():
    layers = [Dense(9, "tanh", trainable=False), Dense(9, "tanh"), Dense(1)]
    model = model_for(layers)
    before = model.get_weights()
    history = fit(model)
    moved = [(a != b).any() for a, b in zip(model.get_weights(), before, strict=True)]
    assert moved == [False, False, True, True, True, True]
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_more_gradients_remembered_lead_elsewhere():
    models = [model_for(optimizer=LBFGS(history_size=size)) for size in (1, 10)]
    costs = [fit(model)["loss"][-1] for model in models]
    assert costs[1] < costs[0]


# ---- what it records ----------------------------------------------------------------------------


def test_history_has_one_entry_an_iteration_with_the_numbers_before_it():
    model = model_for(
        [Dense(8, "tanh"), Dense(3, "softmax")], "categorical_crossentropy", metrics=["accuracy"]
    )
    seen, half = [model.evaluate(X, CLASSES)], slice(0, 30)

    class Look(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append(self.model.evaluate(X, CLASSES))
            scores = self.model.evaluate(X[half], CLASSES[half])
            assert [logs["val_loss"], logs["val_accuracy"]] == pytest.approx(scores, rel=1e-12)

    history = fit(model, 12, CLASSES, validation_data=(X[half], CLASSES[half]), callbacks=[Look()])
    assert [len(values) for values in history.values()] == [12] * len(history)
    assert set(history) == {
        "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "samples_per_second",
    }  # fmt: skip
    before = [list(pair) for pair in zip(history["loss"], history["accuracy"], strict=True)]
    np.testing.assert_allclose(before, seen[:-1], rtol=1e-12)
    assert model.history.epoch == list(range(12))
    assert model.history.params["mode"] == "batch"
    assert model.epochs_trained == 12


def test_hooks_are_called_in_order_with_the_accepted_weights():
    recorder, model = Recorder(), model_for()
    history = fit(model, 3, callbacks=[recorder])
    middle = [(hook, epoch) for epoch in range(3) for hook in ("epoch begin", "epoch end")]
    assert recorder.hooks == [("train begin", None), *middle, ("train end", None)]
    at = {call[:2]: call for call in recorder.calls}
    for epoch in range(3):
        logs = at["epoch end", epoch][2]
        assert logs == {name: values[epoch] for name, values in history.items()}
        if epoch:
            assert at["epoch begin", epoch][3] == at["epoch end", epoch - 1][3]
        assert at["epoch begin", epoch][3] != at["epoch end", epoch][3]
    assert bits(model) == at["epoch end", 2][3]


def test_stop_training_ends_after_the_iteration():
    recorder, model = Recorder(stop_in=("epoch end", 4)), model_for()
    assert len(fit(model, 30, callbacks=[recorder])["loss"]) == 5
    assert bits(model) == recorder.calls[-2][3]
    assert model.epochs_trained == 5


def test_fewer_iterations_are_the_beginning_of_more():
    short, long = model_for(), model_for()
    assert fit(short, 5)["loss"] == fit(long, 9)["loss"][:5]
    assert bits(short) != bits(long)


def test_no_epochs_move_nothing():
    model, recorder = model_for(), Recorder()
    before = bits(model)
    assert fit(model, 0, callbacks=[recorder]) == {}
    assert bits(model) == before
    assert recorder.hooks == [("train begin", None), ("train end", None)]


@dtypes
def test_at_a_minimum_it_ends_early_without_an_error(dtype):
    model = model_for([Dense(1)], dtype=dtype)
    assert len(fit(model, 500)["loss"]) < 200
    before, cost = model.get_weights(), model.evaluate(X, Y)
    assert len(fit(model, 500)["loss"]) < 200
    assert model.evaluate(X, Y) <= cost
    for actual, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-3)
    model.set_weights([np.zeros((4, 1)), np.zeros(1)])
    history = fit(model, 5, np.zeros(N_ROWS))  # the gradient is 0 to begin with
    assert history["loss"] == [0.0]
    assert all((weights == 0).all() for weights in model.get_weights())


@dtypes
def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(dtype):
    layers = [Dense(64, "relu"), Dense(32, "tanh"), Dense(1)]
    models = [model_for(layers, dtype=dtype) for _ in range(2)]
    histories = [fit(model, 8, threads=t)["loss"] for t, model in enumerate(models, 1)]
    assert bits(models[0]) == bits(models[1])
    assert histories[0] == histories[1]


def test_many_slices_are_one_pass():
    whole, parts = model_for(), model_for()
    rows, y = np.tile(X, (20, 1)), np.tile(Y, 20)
    learner_of(parts).network.slice_rows = 256
    for model in (whole, parts):
        model.fit(rows, y, epochs=5, mode="batch")
    assert bits(whole) == bits(parts)


# ---- where it ends ------------------------------------------------------------------------------


def record(model, epochs=300, **options):
    """What SciPy says of the search, and the history."""
    history = model.fit(X, Y, epochs=epochs, mode="batch", **options)
    return history.params["lbfgs"], history.history


def test_the_history_keeps_what_the_search_says():
    model = model_for()
    found, history = record(model, 5)
    assert list(found) == ["status", "message", "nit", "nfev", "fun"]
    assert (found["status"], found["nit"]) == (1, 5)
    assert "LIMIT" in found["message"]
    assert found["nfev"] >= 5
    assert found["fun"] == pytest.approx(model.evaluate(X, Y), rel=1e-12)
    assert len(history["loss"]) == 5
    found, history = record(model_for([Dense(1)]))
    assert found["nit"] == len(history["loss"]) < 300  # the bottom
    found, _ = record(model_for(), callbacks=[Recorder(stop_in=("epoch end", 1))])
    assert found["nit"] == 2


def test_it_ends_where_the_cost_falls_by_too_little():
    ends = []
    for tolerance in (1e-2, 1e-4):
        model = model_for(optimizer=LBFGS(cost_tolerance=tolerance))
        found, history = record(model)
        costs = [*history["loss"], found["fun"]]
        falls = -np.diff(costs) / np.maximum(np.abs(costs[:-1]), 1)
        assert found["status"] == 0
        assert falls[-1] <= tolerance < falls[:-1].min()
        ends.append(found["nit"])
    assert ends[0] < ends[1]


def test_it_ends_where_the_gradient_is_small():
    model = model_for(optimizer=LBFGS(gradient_tolerance=0.05))
    found, _ = record(model)
    largest = max(np.abs(g).max() for g in model.gradient(X, Y).values())
    assert found["status"] == 0
    assert largest <= 0.05
    before = bits(model)
    again, history = record(model)  # an epoch that does not move
    assert (again["nit"], history["loss"]) == (0, [found["fun"]])
    assert bits(model) == before


def test_it_ends_after_a_number_of_passes():
    found, history = record(model_for(optimizer=LBFGS(max_evaluations=7)))
    assert found["status"] == 1
    assert 7 <= found["nfev"] < 30  # a line search is not cut short
    assert found["nit"] == len(history["loss"]) < 300


def test_limits_of_the_search_survive_a_file_and_show(tmp_path):
    optimizer = LBFGS(5, cost_tolerance=1e-3, gradient_tolerance=1e-2, max_evaluations=30)
    model = model_for(optimizer=optimizer)
    model.save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").optimizer == optimizer
    assert repr(optimizer) == (
        "LBFGS(history_size=5, cost_tolerance=0.001, gradient_tolerance=0.01, max_evaluations=30)"
    )
    assert repr(LBFGS()) == "LBFGS(history_size=10)"


@pytest.mark.parametrize(
    ("name", "wrong", "error"),
    [
        ("cost_tolerance", -1e-9, ValueError),
        ("gradient_tolerance", np.inf, ValueError),
        ("gradient_tolerance", "small", TypeError),
        ("max_evaluations", 0, ValueError),
        ("max_evaluations", 2.5, TypeError),
    ],
)
def test_limits_of_the_search_are_checked(name, wrong, error):
    with pytest.raises(error, match=name):
        LBFGS(**{name: wrong})


# ---- interrupts and refusals --------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("hook", ["epoch begin", "epoch end"])
def test_an_error_in_a_callback_keeps_the_accepted_weights(hook, error):
    recorder, model = Recorder((hook, 3), error), model_for()
    with pytest.raises(error):
        fit(model, callbacks=[recorder])
    at = {call[:2]: call[3] for call in recorder.calls}
    assert bits(model) == at[hook, 3]
    assert recorder.hooks[-1] == ("train end", None)
    assert len(model.history.epoch) == {"epoch begin": 3, "epoch end": 4}[hook]
    assert fit(model, 2)["loss"][1] < fit(model_for(), 1)["loss"][0]


def test_an_interrupt_within_a_search_keeps_the_accepted_weights(monkeypatch):
    from fastnn.training import lbfgs

    model, recorder, passes = model_for(), Recorder(), []
    slices = lbfgs.gradient_slices

    def interrupted(*arguments):
        passes.append(learner_of(model).network.parameters.tobytes())
        if len(passes) == 9:
            raise KeyboardInterrupt
        return slices(*arguments)

    monkeypatch.setattr(lbfgs, "gradient_slices", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(model, callbacks=[recorder])
    ends = [call[3] for call in recorder.calls if call[0] == "epoch end"]
    assert bits(model) == ends[-1]
    assert learner_of(model).network.parameters.tobytes() != passes[-1]


@pytest.mark.parametrize("options", [{"mode": "stochastic"}, {"mode": "minibatch"}, {}])
def test_other_modes_are_refused(options):
    model = model_for()
    before = bits(model)
    with pytest.raises(ValueError, match=r"LBFGS.*say fit\(\.\.\., mode='batch'\)"):
        model.fit(X, Y, **options)
    for rows in (slice(0, 5), slice(0, 1)):
        with pytest.raises(ValueError, match="LBFGS"):
            model.train_on_batch(X[rows], Y[rows])
    assert bits(model) == before


def test_dropout_is_refused():
    model = model_for([Dense(9, "tanh"), Dropout(0.5), Dense(1)])
    with pytest.raises(ValueError, match="which dropout makes random; take the Dropout layers out"):
        fit(model)
    fit(model_for([Dense(9, "tanh"), Dropout(0.0), Dense(1)]), 2)


def test_a_loss_that_is_not_finite_keeps_the_weights():
    model = model_for([Dense(1, kernel_initializer="ones")], dtype="float32")
    before = bits(model)
    with pytest.raises(FloatingPointError, match=r"finite weights\. Standardise the features"):
        model.fit(np.full((3, 4), 3e38), np.ones(3), mode="batch")
    assert bits(model) == before


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (2.5, TypeError)])
def test_history_size_is_a_whole_number(size, error):
    with pytest.raises(error, match="history_size"):
        LBFGS(size)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    model = model_for()
    before = bits(model)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scipy") as info:
        fit(model)
    assert info.value.name == "scipy"
    assert model.history.epoch == []
    assert bits(model) == before


def test_a_callbacks_stop_iteration_is_an_error_and_no_end():
    model, recorder = model_for(), Recorder(("epoch end", 1), StopIteration("none left"))
    with pytest.raises(RuntimeError, match="a callback raised StopIteration"):
        fit(model, callbacks=[recorder])
    assert fit(model, epochs=2)["loss"]
