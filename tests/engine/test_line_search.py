"""SGD("auto") in minibatches: Armijo's rule on each batch; how fast the rate may grow."""

import numpy as np
import pytest
import reference

from fastnn import SGD, Callback, Dense, LambdaCallback, PathRecorder, Sequential
from fastnn.engine import line_search
from fastnn.models import learner_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int)


def made(loss="mse", dtype="float64", layers=None, seed=0):
    last = Dense(1) if loss != "binary_crossentropy" else Dense(1, "sigmoid")
    model = Sequential(layers or [Dense(8, "tanh"), last], dtype=dtype, seed=seed)
    model.compile(SGD("auto"), loss)
    model.build(4)
    return model


class Rates(Callback):
    """The rate of every step."""

    def on_train_begin(self, logs):
        self.rates = []

    def on_train_batch_end(self, batch, logs):
        self.rates.append(learner_of(self.model).state.rate)


def batches(epochs, n_rows=90, size=20, seed=0):
    """The rows of each batch, as the model's seed shuffles them."""
    for epoch in range(epochs):
        order = np.random.Generator(np.random.Philox([seed, epoch])).permutation(n_rows)
        yield from (order[start : start + size] for start in range(0, n_rows, size))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_crossentropy"])
def test_each_step_is_armijos_on_its_own_batch(loss, weighted):
    model, path, rates = made(loss), PathRecorder(), Rates()
    y = LABELS if loss == "binary_crossentropy" else Y
    w = RNG.random(90) if weighted else None
    model.fit(X, y, epochs=4, batch_size=20, callbacks=[path, rates], sample_weight=w)
    shapes = [W.shape for W in model.get_weights()]
    activations = ["tanh", "sigmoid" if loss == "binary_crossentropy" else "linear"]

    def at(flat):
        arrays, start = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            arrays.append(flat[start : start + size].reshape(shape))
            start += size
        return arrays

    found = list(zip(path.path, path.path[1:], rates.rates, batches(4), strict=False))
    assert len(found) == 4 * 5
    for before, after, rate, rows in found:
        some = None if w is None else w[rows]
        L, g = reference.gradient(at(before), activations, loss, X[rows], y[rows, None], some)
        g = np.concatenate([array.ravel() for array in g])
        np.testing.assert_allclose(after, before - rate * g, rtol=0, atol=1e-12)
        reached, _ = reference.gradient(at(after), activations, loss, X[rows], y[rows, None], some)
        assert reached <= L - 0.2 * rate * (g @ g) + 1e-13


def test_the_rate_grows_by_a_factor_of_four_an_epoch_at_most():
    model, rates = made(), Rates()
    learner_of(model).optimizer_state(learner_of(model).network).rate = 1e-6
    model.fit(X, Y, epochs=5, batch_size=20, callbacks=[rates])
    grown = np.array([1e-6, *rates.rates])
    np.testing.assert_allclose(grown[5::5] / grown[:-5:5], 4.0, rtol=1e-9)
    assert (grown[1:] / grown[:-1] <= 4.0 ** (20 / 90) + 1e-9).all()


def test_the_history_has_the_last_rate_and_it_goes_on_from_there(tmp_path):
    model = made()
    history = model.fit(X, Y, epochs=3, batch_size=16).history
    assert history["learning_rate"][-1] == learner_of(model).state.rate
    model.save(tmp_path / "m.npz")
    from fastnn import load

    again = load(tmp_path / "m.npz")
    again.fit(X, Y, epochs=2, batch_size=16)
    model.fit(X, Y, epochs=2, batch_size=16)
    for W, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_slices_and_callbacks_do_not_show(dtype):
    rows, y = RNG.normal(size=(400, 300)), RNG.normal(size=400)
    weights = []
    for threads, callbacks in ((1, []), (2, []), (2, [Rates()])):
        model = Sequential([Dense(300, "relu"), Dense(200, "relu"), Dense(1)], dtype=dtype, seed=1)
        model.compile(SGD("auto"), "mse")
        model.fit(rows, y, epochs=2, batch_size=128, threads=threads, callbacks=callbacks)
        weights.append([W.tobytes() for W in model.get_weights()])
    assert weights[0] == weights[1] == weights[2]


def test_a_custom_loss_takes_the_same_steps():
    def own(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return (e * e).mean(), 2 * e / e.size

    one, other = made("mse"), made(own)
    for model in (one, other):
        model.fit(X, Y, epochs=4, batch_size=20)
    for W, V in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-7, atol=1e-9)


def test_an_interrupt_in_a_trial_leaves_the_last_accepted_weights(monkeypatch):
    model, path = made(), PathRecorder()
    descended = []

    follow = line_search.follow_cost

    def stop_in_cost(*arguments):
        network, cost = arguments[0], arguments[4]

        def breaking():
            descended.append(1)
            if len(descended) == 12:
                raise KeyboardInterrupt
            return cost()

        return follow(network, *arguments[1:4], breaking, arguments[5])

    monkeypatch.setattr("fastnn.engine.gradient_descent.follow_cost", stop_in_cost)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=9, batch_size=20, callbacks=[path])
    flat = np.concatenate([W.ravel() for W in model.get_weights()])
    assert any((flat == point).all() for point in path.path)
    monkeypatch.undo()
    assert np.isfinite(model.fit(X, Y, epochs=1).history["loss"]).all()


def test_batches_without_weight_make_no_step():
    model, rates = made(), Rates()
    model.compile(SGD("auto"), "mse")
    w = np.zeros(90)
    w[:1] = 1
    model.fit(X, Y, epochs=1, batch_size=10, shuffle=False, sample_weight=w, callbacks=[rates])
    assert np.isfinite(np.concatenate([W.ravel() for W in model.get_weights()])).all()


def test_the_loss_falls_and_nothing_is_asked_of_the_user():
    model = made("binary_crossentropy")
    seen = []
    model.fit(X, LABELS, epochs=30, callbacks=[LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))])  # fmt: skip
    assert seen[-1] < 0.5 * seen[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["batch", "minibatch"])
def test_a_slope_that_overflows_makes_no_step_and_ends(mode, dtype):
    huge = 1e21 if dtype == "float32" else 1e160
    x, y = huge * np.array([[1.0], [-1.0]] * 4), np.full(8, 1e18)
    model = Sequential([Dense(1, kernel_initializer="zeros")], dtype=dtype)
    model.compile(SGD("auto"), "mse")
    model.fit(x, y, epochs=2, mode=mode, batch_size=8 if mode == "batch" else 2)
    assert np.isfinite(np.concatenate([W.ravel() for W in model.get_weights()])).all()


@pytest.mark.parametrize("mode", ["batch", "minibatch"])
def test_a_cost_of_zero_with_a_slope_ends_too(mode):
    def flat(y_true, y_pred):
        return 0.0, np.ones_like(y_pred)

    model = Sequential([Dense(1, kernel_initializer="zeros")], dtype="float64")
    model.compile(SGD("auto"), flat)
    model.fit(X, Y, epochs=2, mode=mode, batch_size=90 if mode == "batch" else 20)
    assert not model.get_weights()[0].any()
