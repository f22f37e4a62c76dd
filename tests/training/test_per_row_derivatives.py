"""The gradient of each row, and the Jacobian of each row."""

import numpy as np
import pytest
import reference
from networks import PAIRS, assert_close

from fastnn import L2, Dense, Normalization, Sequential

RNG = np.random.default_rng(1)


def made(layers, loss, n_features, dtype="float64"):
    model = Sequential(layers, dtype=dtype, seed=2)
    model.compile("SGD", loss)
    model.build(n_features)
    return model


def weights_of(model):
    return [W.astype(np.float64) for W in model.get_weights()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_each_rows_gradient_is_the_oracles(loss, output, dtype):
    k = 3 if output == "softmax" else 1
    model = made([Dense(17, "tanh"), Dense(k, output)], loss, 5, dtype)
    X, y = RNG.normal(size=(6, 5)).astype(dtype), RNG.random((6, k)).astype(dtype)
    if loss == "categorical_crossentropy":
        y = RNG.integers(0, k, 6)
    if "hinge" in loss:
        y = np.where(y > 0.5, 1, -1)
    w = np.arange(6.0)
    found = model.per_sample_gradients(X, y, sample_weight=w)
    for i in range(6):
        expected = reference.gradient(
            weights_of(model), ["tanh", output], loss, X[i : i + 1], y[i : i + 1], w[i : i + 1]
        )[1]
        for values, each in zip(found.values(), expected, strict=True):
            assert_close(values[i], each, dtype, 5)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 8, 4, 1), (17, 33, 5), (40, 16, 10)])
def test_their_mean_is_the_gradient(sizes):
    model = made([Dense(n, "tanh") for n in sizes[1:]], "mse", sizes[0])
    X, y = RNG.normal(size=(30, sizes[0])), RNG.normal(size=(30, sizes[-1]))
    found = model.per_sample_gradients(X, y)
    for name, values in model.gradient(X, y).items():
        assert found[name].shape == (30, *values.shape)
        np.testing.assert_allclose(found[name].mean(axis=0), values, rtol=1e-9, atol=1e-14)
    alone = model.gradient(X[4:5], y[4:5])
    for name, values in alone.items():
        np.testing.assert_allclose(found[name][4], values, rtol=1e-12, atol=1e-15)


def test_regularisers_do_not_add_to_them_and_custom_losses_work():
    def half(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return (e * e).mean() / 2, e / e.size

    X, y = RNG.normal(size=(5, 3)), RNG.normal(size=5)
    plain = made([Dense(4, "tanh"), Dense(1)], "mse", 3)
    layers = [Dense(4, "tanh", kernel_regularizer=L2(0.5)), Dense(1)]
    for loss, factor in (("mse", 1.0), (half, 2.0)):
        model = made(layers, loss, 3)
        model.set_weights(plain.get_weights())
        expected = plain.per_sample_gradients(X, y)
        for name, values in model.per_sample_gradients(X, y).items():
            np.testing.assert_allclose(factor * values, expected[name], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", ["linear", "softmax", "sigmoid"])
@pytest.mark.parametrize("n_rows", [1, 7, 300])
def test_the_jacobian_is_a_central_difference(output, dtype, n_rows):
    X = RNG.normal(2, 3, size=(n_rows, 4))
    layers = [Normalization(), Dense(6, "gelu"), Dense(3, output)]
    layers[0].adapt(RNG.normal(2, 3, size=(50, 4)))
    model = made(layers, None, 4, dtype)
    twin = made(layers, None, 4)
    twin.set_weights(model.get_weights())
    J = model.jacobian(X)
    assert J.shape == (n_rows, 3, 4)
    assert J.dtype == dtype
    step, expected = 1e-5, np.empty(J.shape)
    for i in range(4):
        moved = np.zeros(4)
        moved[i] = step
        expected[:, :, i] = (twin.predict(X + moved) - twin.predict(X - moved)) / (2 * step)
    assert_close(J, expected, dtype, 5 if dtype == "float32" else 1e3)


def test_a_jacobian_does_not_depend_on_the_slices(monkeypatch):
    model, X = made([Dense(6, "tanh"), Dense(2)], None, 3), RNG.normal(size=(50, 3))
    whole = model.jacobian(X)
    monkeypatch.setattr("fastnn.training.learner.JACOBIAN_ROWS", 7)
    np.testing.assert_array_equal(model.jacobian(X), whole)


def test_what_does_not_fit_is_refused():
    model = made([Dense(1)], "mse", 2)
    with pytest.raises(ValueError, match="columns"):
        model.jacobian([[1.0]])
    with pytest.raises(ValueError, match="y has"):
        model.per_sample_gradients([[1.0, 2.0]], [1.0, 2.0])
    wide = made([Dense(4000), Dense(1)], "mse", 4000, "float32")
    rows = np.zeros((10_000, 4000), np.float32)
    with pytest.raises(ValueError, match=r"10000 rows take 640 GB, more .*X\[:100\]"):
        wide.per_sample_gradients(rows, np.ones(10_000))
