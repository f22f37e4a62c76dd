"""`gradcheck`: right gradients pass, wrong ones are found and named."""

import numpy as np
import pytest
from networks import PAIRS

from fastnn import L1L2, Dense, Dropout, Normalization, Sequential, SharedL2, gradcheck
from fastnn.activations import ACTIVATIONS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4))


def made(layers, loss, dtype="float64"):
    model = Sequential(layers, dtype=dtype, seed=2)
    model.compile("SGD", loss)
    model.build(4)
    rng = np.random.default_rng(5)
    model.set_weights([W + rng.normal(size=W.shape) / 5 for W in model.get_weights()])
    return model


def targets_for(loss, k):
    if loss == "categorical_crossentropy":
        return RNG.integers(0, k, len(X))
    y = RNG.random((len(X), k))
    return np.where(y > 0.5, 1, -1) if "hinge" in loss else y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_every_loss_is_right(loss, output, dtype):
    k = 1 if loss == "half_squared_error" else 2  # its derivative is that of the sum
    model = made([Dense(5, "tanh"), Dense(k, output)], loss, dtype)
    before = model.get_weights()
    check = gradcheck(model, X, targets_for(loss, k))
    assert check.ok, check
    assert [block.name for block in check.blocks] == [
        *("dL/dW1", "dL/db1", "dL/dW2", "dL/db2", "dL/dX")
    ]
    for W, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(W, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_every_activation_is_right(hidden, dtype):
    model = made([Dense(6, hidden), Dense(5, hidden), Dense(1)], "mse", dtype)
    check = gradcheck(model, X, RNG.normal(size=12), sample_weight=np.arange(12.0))
    assert check.ok, check


def test_layers_and_regularisers_take_part():
    layers = [
        Normalization(),
        Dense(5, "tanh", kernel_regularizer=L1L2(0.01, 0.02)),
        Dropout(0.5),
        Dense(1, use_bias=False, kernel_regularizer=SharedL2(0.3)),
    ]
    layers[0].adapt(3 * X + 1)
    check = gradcheck(made(layers, "huber"), 3 * X + 1, RNG.normal(size=12))
    assert check.ok, check


def half(y_true, y_pred):
    e = y_pred - y_true
    return (e * e).mean() / 2, e / e.size


WRONG = {
    "factor 2": lambda y, p: (half(y, p)[0], 2 * half(y, p)[1]),
    "missing 1/n": lambda y, p: (half(y, p)[0], len(y) * half(y, p)[1]),
    "one wrong column": lambda y, p: (half(y, p)[0], half(y, p)[1] * [1.0, -1.0]),
    "one wrong row": lambda y, p: (
        half(y, p)[0],
        half(y, p)[1] * (np.arange(len(y)) != 3)[:, None],
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_custom_loss(dtype):
    layers = [Dense(5, "tanh"), Dense(2)]
    y = RNG.normal(size=(12, 2))
    assert gradcheck(made(layers, half, dtype), X, y).ok
    for name, loss in WRONG.items():
        check = gradcheck(made(layers, loss, dtype), X, y)
        assert not check.ok, name
        assert "THE GRADIENT IS WRONG" in repr(check)
        assert check.worst.entry in repr(check)


def test_the_worst_entry_is_named():
    def wrong(y_true, y_pred):
        value, slope = half(y_true, y_pred)
        slope[:, 1] *= 3
        return value, slope

    check = gradcheck(made([Dense(2)], wrong), X, RNG.normal(size=(12, 2)))
    W = check.blocks[0]
    assert W.place[1] == 1
    assert W.backpropagation == pytest.approx(3 * W.differences, rel=1e-6)
    bias = check.blocks[1]
    assert bias.entry == "dL/db1[1]"


def test_kinks_are_no_alarm_and_are_counted():
    model = Sequential([Dense(3, "relu"), Dense(1)], dtype="float64", seed=0)
    model.compile("SGD", "mae")
    model.build(2)
    model.set_weights([np.zeros((2, 3)), np.zeros(3), np.ones((3, 1)), np.zeros(1)])
    check = gradcheck(model, [[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0])  # z = 0 and yhat = y
    assert check.ok, check
    assert sum(block.n_kinks for block in check.blocks) > 0


def test_large_blocks_are_sampled_by_the_seed():
    model = made([Dense(40, "tanh"), Dense(1)], "mse")
    check = gradcheck(model, X, RNG.normal(size=12), n_entries=7, seed=3)
    assert [block.n_checked for block in check.blocks] == [7, 7, 7, 1, 7]
    assert "7 of 160" in repr(check)


def test_bad_input_is_refused():
    model = made([Dense(1)], "mse")
    with pytest.raises(TypeError, match="Sequential"):
        gradcheck("model", X, X[:, 0])
    with pytest.raises(ValueError, match="n_entries"):
        gradcheck(model, X, X[:, 0], n_entries=0)
    with pytest.raises(ValueError, match="columns"):
        gradcheck(model, X[:, :2], X[:, 0])
    with pytest.raises(ValueError, match="build"):
        fresh = Sequential([Dense(1)])
        fresh.compile(loss="mse")
        gradcheck(fresh, X, X[:, 0])


def test_many_rows_at_a_kink_are_no_alarm():
    rows = RNG.normal(size=(38, 4))
    rows[:23] = -np.abs(rows[:23])
    model = Sequential([Dense(6, "relu", kernel_initializer="ones"), Dense(8, "relu"), Dense(1)],
                       dtype="float64", seed=3)  # fmt: skip
    model.compile("SGD", "mse")
    model.build(4)
    check = gradcheck(model, rows, RNG.normal(size=38))
    assert check.ok, check
    assert sum(block.n_kinks for block in check.blocks) > 0
