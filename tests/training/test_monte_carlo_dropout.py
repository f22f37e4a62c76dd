"""Mean and spread of predictions with dropout at work, and forward passes in training."""

import numpy as np
import pytest
import reference

from fastnn import Dense, Dropout, Sequential
from fastnn.engine.network import dropout_key

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 5))


def made(rate=0.4, dtype="float32", seed=3):
    model = Sequential([Dense(30, "relu"), Dropout(rate), Dense(2, "tanh")], dtype=dtype, seed=seed)
    model.compile("SGD", "mse")
    model.build(5)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_and_spread_are_those_of_the_oracles_passes(dtype):
    model = made(dtype=dtype)
    mean, spread = model.predict(X, samples=20)
    assert mean.dtype == spread.dtype == dtype
    weights = [W.astype(np.float64) for W in model.get_weights()]
    passes = []
    for number in range(20):
        mask = reference.dropout_mask(dropout_key(3, number, 1), range(40), 1, 30, 0.4)
        passes.append(reference.forward(weights, ["relu", "tanh"], X, [1.0, mask])[1][-1])
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(mean, np.mean(passes, axis=0), rtol=0, atol=tolerance)
    np.testing.assert_allclose(spread, np.std(passes, axis=0), rtol=0, atol=tolerance)


def test_the_same_call_gives_the_same_numbers():
    model = made()
    one, two = model.predict(X, samples=5), model.predict(X, samples=5, threads=1)
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, made(seed=4).predict(X, samples=5))


def test_threads_and_slices_do_not_show(monkeypatch):
    model = Sequential([Dense(400, "relu"), Dropout(0.5), Dense(300, "relu"), Dense(3)], seed=1)
    model.build(200)
    rows = RNG.normal(size=(700, 200))
    one = model.predict(rows, samples=3, threads=1)
    np.testing.assert_array_equal(one, model.predict(rows, samples=3, threads=2))


def test_a_large_mean_keeps_a_small_spread():
    model = Sequential([Dropout(0.5), Dense(1)], dtype="float64", seed=0)
    model.build(1)
    model.set_weights([[[1e-3]], [1e6]])
    mean, spread = model.predict([[1.0]], samples=200)
    assert mean == pytest.approx(1e6)
    assert spread == pytest.approx(1e-3, rel=0.2)


def test_forward_draws_new_units_at_every_call_and_backward_redraws_them():
    model = made(dtype="float64")
    W = [w.astype(np.float64) for w in model.get_weights()]
    seen = []
    for call in range(3):
        outputs = model.forward(X, training=True)
        mask = reference.dropout_mask(dropout_key(3, 0, call), range(40), 1, 30, 0.4)
        z, a = reference.forward(W, ["relu", "tanh"], X, [1.0, mask])
        np.testing.assert_allclose(outputs, a[-1], rtol=1e-12)
        dz = reference.ACTIVATIONS["tanh"][1](z[-1], np.ones_like(outputs))
        expected, _ = reference.backward(W, ["relu", "tanh"], z, a, dz, [1.0, mask])
        found = model.backward(np.ones_like(outputs))
        for values, each in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(values, each, rtol=1e-10, atol=1e-13)
        seen.append(outputs)
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])
    np.testing.assert_array_equal(model.forward(X), model.predict(X))


def test_what_does_not_fit_is_refused():
    model = made()
    with pytest.raises(ValueError, match="samples=1"):
        model.predict(X, samples=1)
    with pytest.raises((TypeError, ValueError), match="samples"):
        model.predict(X, samples="many")
    with pytest.raises(ValueError, match="leave out out"):
        model.predict(X, samples=5, out=np.empty((40, 2), np.float32))
    plain = Sequential([Dense(1)])
    plain.build(5)
    with pytest.raises(ValueError, match="no Dropout layer"):
        plain.predict(X, samples=5)
