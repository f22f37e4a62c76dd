"""Losses: values and gradients against the oracle, for extreme outputs, and in all modes."""

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    assert_central_differences,
    assert_close,
    assert_gradient_agrees,
    assert_same_weights,
    descent_for,
    identity,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
    total_loss,
)

import fastnn
from fastnn import (
    SGD,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalLogLoss,
    Dense,
    HalfPoissonDeviance,
    HalfSquaredError,
    Huber,
    LogLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    Sequential,
)
from fastnn.losses import LOSSES
from fastnn.models import learner_of

CASES = {  # loss, output
    "huber": (Huber(0.3), "linear"),
    "wide huber": (Huber(2.5), "tanh"),
    "binary": (BinaryCrossentropy(label_smoothing=0.2), "sigmoid"),
    "categorical": (CategoricalCrossentropy(label_smoothing=0.3), "softmax"),
    "all smoothed": (CategoricalCrossentropy(label_smoothing=1), "softmax"),
    "log loss": (LogLoss(label_smoothing=0.2), "sigmoid"),
    "deviance": (HalfPoissonDeviance(), "exponential"),
}
# One output; a narrow network; few outputs, computed by lane; outputs that fill several vectors.
SIZES = [(7, 17, 1), (7, 6, 5), (7, 17, 5), (6, 20, 21)]

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
each_case = pytest.mark.parametrize("case", CASES)


def sizes_for(case):
    return SIZES[1:] if CASES[case][1] == "softmax" else SIZES


def probabilities(n_rows, n_outputs):
    y = np.random.default_rng(2).random((n_rows, n_outputs))
    return y / y.sum(axis=1, keepdims=True)


@each_build
@each_case
def test_value_and_gradient_agree_with_the_oracle(build, case):
    loss, output = CASES[case]
    for sizes in sizes_for(case):
        network = make_network(build, sizes, ["tanh", output])
        for one_hot in (True, False):
            X, y = make_rows(network, loss, 37, one_hot=one_hot)
            assert_gradient_agrees(network, loss, X, y, factor=20)
        if output == "softmax":
            y = probabilities(37, sizes[-1])
        weights = np.random.default_rng(1).integers(0, 3, 37)
        assert_gradient_agrees(network, loss, X, y, weights, factor=20)


@each_case
def test_gradient_agrees_with_central_differences(case):
    build, (loss, output) = BUILDS[-1], CASES[case]
    assert build[1] == "float64"
    for sizes in ((3, 9, 4), (3, 5, 4), (2, 18)):
        network = make_network(build, sizes, ["tanh"] * (len(sizes) - 2) + [output])
        assert_central_differences(
            network, make_data(network, loss, *make_rows(network, loss, 6)), loss
        )


@each_build
@each_case
@pytest.mark.parametrize("sizes", [(4, 9, 3), (4, 7, 3), (30, 40, 20)])  # the second is tiny
def test_all_modes_agree_with_the_oracle(build, case, sizes):
    loss, output = CASES[case]
    rate = 0.002 if output == "exponential" else 0.05  # its steps would explode
    for batch_size in (1, 16, 50):
        network = make_network(build, sizes, ["relu", output])
        X, y = make_rows(network, loss, 50)
        weights = np.random.default_rng(1).integers(0, 3, 50)
        data, order = make_data(network, loss, X, y, weights), np.arange(50)[::-1].copy()
        descent, start = descent_for(network, SGD(rate), loss, data), oracle_weights(network)
        *_, last = descent.epoch(order, batch_size)
        visited = np.arange(50) if batch_size == 50 else order
        expected, L = reference.descend(
            start, ["relu", output], loss, X, y, rate, batch_size, visited, weights
        )
        assert_close(last.total / 50, L, network.dtype, factor=10)
        assert_same_weights(network, expected, factor=10)


@each_build
@pytest.mark.parametrize("n", [1, 3, 20])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_smoothed_binary_crossentropy_is_exact_for_large_z(build, n, y):
    network, loss = identity(build, n, "sigmoid"), BinaryCrossentropy(label_smoothing=0.1)
    target = 0.9 * y + 0.05
    for z in (-1e4, -100.0, -80.5, 0.0, 80.5, 100.0, 1e4):
        data = make_data(network, loss, np.full((1, n), z), np.full((1, n), y))
        exact = target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)
        np.testing.assert_allclose(total_loss(network, data, loss), exact, rtol=1e-6)
        dz = np.diag(network.views(network.gradient(data, loss))["W1"]) * n / (z or 1)
        expected = (reference.sigmoid(z) - target) * (z != 0)
        np.testing.assert_allclose(dz, np.full(n, expected), rtol=2e-6)


@each_build
@pytest.mark.parametrize("n", [3, 20])
def test_smoothed_categorical_crossentropy_is_exact_for_large_z(build, n):
    network, loss = identity(build, n, "softmax"), CategoricalCrossentropy(label_smoothing=0.1)
    X = np.zeros((3, n))
    X[:, 0], X[:, 1] = [100.0, -100.0, 1e4], [-100.0, 100.0, 0.0]
    labels = np.array([0, 0, 2])
    for row, label in zip(X, labels, strict=True):
        for y in ([label], np.eye(n)[[label]]):
            data = make_data(network, loss, row[None], y)
            log_a = reference.log_softmax(row[None])[0]
            target = 0.9 * np.eye(n)[label] + 0.1 / n
            np.testing.assert_allclose(total_loss(network, data, loss), -target @ log_a, rtol=1e-6)
            dz = network.views(network.gradient(data, loss))["W1"][0] / row[0]
            np.testing.assert_allclose(dz, np.exp(log_a) - target, rtol=2e-6, atol=1e-7)


@each_build
@pytest.mark.parametrize("n", [1, 3, 20])
def test_the_deviance_is_exact_far_out_and_where_y_is_zero(build, n):
    network, loss = identity(build, n, "exponential"), HalfPoissonDeviance()
    for y in (0.0, 1e-30, 2.0, 1e6):
        for z in (-1e4, -100.0, -1.0, 0.0, 3.0, 80.0):
            data = make_data(network, loss, np.full((1, n), z), np.full((1, n), y))
            exact = n * ((y * (np.log(y) - z) if y else 0.0) - y + np.exp(z))
            # where outputs and targets nearly agree, large terms cancel
            size = n * (y * (1 + abs(z)) + np.exp(z))
            np.testing.assert_allclose(
                total_loss(network, data, loss), exact, rtol=1e-6, atol=2e-6 * size + 1e-37
            )
            if z:
                dz = np.diag(network.views(network.gradient(data, loss))["W1"]) / z
                np.testing.assert_allclose(dz, np.full(n, np.exp(z) - y), rtol=2e-5, atol=1e-37)


@each_build
def test_the_deviance_is_zero_where_outputs_equal_targets(build):
    network, loss = identity(build, 3, "exponential"), HalfPoissonDeviance()
    z = np.array([[-1.0, 0.0, 2.5]])
    data = make_data(network, loss, z, np.exp(z))
    assert total_loss(network, data, loss) == pytest.approx(0, abs=1e-5)
    assert np.abs(network.gradient(data, loss)).max() < 1e-5


def test_a_deviance_that_overflows_stops_the_fit():
    model = Sequential([Dense(1, "exponential", kernel_initializer="ones")])
    model.compile(loss=HalfPoissonDeviance())
    with pytest.raises(FloatingPointError, match="diverged"):
        model.fit([[100.0]], [1.0])
    for wrong in ("softplus", "linear"):
        with pytest.raises(ValueError, match="exponential"):
            Sequential([Dense(1, wrong)]).compile(loss="half_poisson_deviance")


@each_build
@pytest.mark.parametrize("sizes", SIZES)
def test_scikit_learns_losses_are_multiples_of_the_usual_ones(build, sizes):
    """With k outputs: k times the log loss; 1/2 the squared error, but k/2 times its gradient."""
    k = sizes[-1]
    pairs = [
        (LogLoss(), BinaryCrossentropy(), "sigmoid", k, k),
        (HalfSquaredError(), MeanSquaredError(), "linear", 0.5, k / 2),
    ]
    for loss, usual, output, of_value, of_gradient in pairs:
        network = make_network(build, sizes, ["tanh", output])
        X, y = make_rows(network, loss, 37)
        values, gradients = [], []
        for one in (loss, usual):
            data = make_data(network, one, X, y)
            values.append(total_loss(network, data, one))
            gradients.append(network.gradient(data, one))
        np.testing.assert_allclose(values[0], of_value * values[1], rtol=1e-6)
        assert_close(gradients[0], of_gradient * gradients[1].astype(float), network.dtype)


def test_half_a_squared_error_of_one_output_by_central_differences():
    network, loss = make_network(BUILDS[-1], (3, 9, 1), ["tanh", "linear"]), HalfSquaredError()
    data = make_data(network, loss, *make_rows(network, loss, 6))
    assert_central_differences(network, data, loss)


@each_build
@pytest.mark.parametrize("n", [3, 20])
def test_smoothing_of_targets_that_sum_to_one_but_for_rounding(build, n):
    loss = CategoricalCrossentropy(label_smoothing=0.3)
    network = make_network(build, [4, n], ["softmax"])
    X, _ = make_rows(network, loss, 9)
    assert_gradient_agrees(network, loss, X, np.full((9, n), 1.0009 / n))


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_stands_for_the_object_with_default_settings(name):
    assert LOSSES[name]() == fastnn.losses.get(name)
    face = [cls for cls in vars(fastnn).values() if isinstance(cls, type)]
    assert LOSSES[name] in face


def test_a_huber_of_large_delta_is_half_a_squared_error_and_of_small_delta_an_absolute_one():
    X = np.random.default_rng(0).normal(size=(40, 3))
    values = {}
    for loss in (Huber(1e30), MeanSquaredError(), Huber(1e-3), MeanAbsoluteError()):
        model = Sequential([Dense(2)], seed=0)
        model.compile(loss=loss)
        model.build(3)
        values[loss] = model.evaluate(X, X[:, :2])
    large, squared, small, absolute = values.values()
    assert large == pytest.approx(squared / 2, rel=1e-6)
    assert small / 1e-3 == pytest.approx(absolute, abs=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        Huber(0.2),
        BinaryCrossentropy(label_smoothing=0.3),
        HalfSquaredError(),
        HalfPoissonDeviance(),
    ],
    ids=repr,
)
def test_a_single_row_uses_the_settings_of_the_loss(loss):
    X, y = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32), np.arange(10) % 2
    output = Dense(1, loss.outputs[0] if loss.outputs else "linear")
    online, fitted = (Sequential([Dense(5, "tanh"), output], seed=0) for _ in range(2))
    for model in (online, fitted):
        model.compile(SGD(0.1), loss)
        model.build(4)
    for i in range(10):
        before = online.train_on_batch(X[i : i + 1], y[i])
        assert fitted.fit(X[i : i + 1], y[i : i + 1]).history["loss"] == [before]
    assert learner_of(online)._one_row is not None
    for one, other in zip(online.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_smoothing_keeps_the_weights_of_a_separable_problem_small():
    X = np.array([[-1.0], [1.0]])
    found = []
    for smoothing in (0, 0.2):
        model = Sequential([Dense(1, "sigmoid", use_bias=False)], seed=0)
        model.compile(SGD(1.0), BinaryCrossentropy(label_smoothing=smoothing))
        model.fit(X, [0, 1], epochs=400, mode="batch")
        found.append(model.predict([[1.0]]).item())
    assert found[0] > 0.99
    assert found[1] == pytest.approx(0.9, abs=1e-5)


@each_build
@pytest.mark.parametrize("n", [1, 3, 20])
def test_the_log_losses_of_scikit_learn_have_a_bound(build, n):
    bound = -np.log(np.finfo(build[1]).eps)
    z = np.zeros((2, n))
    z[0], z[1] = -1000.0, 5.0
    network = identity(build, n, "sigmoid")
    data = make_data(network, "log_loss", z, np.ones((2, n)))
    expected = n * (bound + np.logaddexp(0, -5.0))
    np.testing.assert_allclose(total_loss(network, data, LogLoss()), expected, rtol=1e-5)
    assert np.isfinite(network.gradient(data, LogLoss())).all()
    if n > 1:
        network, loss = identity(build, n, "softmax"), CategoricalLogLoss()
        z[:] = 0
        z[0, 0] = 1000.0
        for y in ([1, 1], np.eye(n)[[1, 1]]):
            data = make_data(network, loss, z, np.array(y))
            expected = bound + np.log(n)
            np.testing.assert_allclose(total_loss(network, data, loss), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [1, 16, 20])
def test_weights_of_all_sizes_divide_the_loss(units, dtype):
    """With few units, whose rows are computed by lane, and with many."""
    limits = np.finfo(dtype)
    X, y = np.ones((6, 1)), np.tile([[1.0], [0], [1], [1], [1], [0]], (1, units))
    expected = None
    small = 1e-37 if dtype == "float32" else 1e-290  # so that the products with l are normal
    for weight in (1, small, 1e-30, limits.max / 4096, limits.max, 0, limits.tiny / 8):
        loss = MeanAbsoluteError(reduction="mean_with_sample_weight")
        model = Sequential([Dense(units, kernel_initializer="zeros")], dtype=dtype, seed=0)
        model.compile(SGD(0.1), loss, metrics=["r2_score"], weighted_metrics=["mae", "r2_score"])
        model.build(1)
        weights = np.full(6, weight, dtype)
        if weight == limits.max:
            with pytest.raises(ValueError, match="sample_weight adds up to .*, too much for float"):
                model.evaluate(X, y, sample_weight=weights)
            continue
        found = [*model.evaluate(X, y, sample_weight=weights)]
        found += [model.gradient(X, y, sample_weight=weights)["dL/db1"][0]]
        for sizes in ({"batch_size": 2}, {"mode": "batch"}):
            found += model.fit(X, y, sample_weight=weights, **sizes).history["loss"]
        found += [model.get_weights()[1][0]]
        if weight <= limits.tiny:  # nothing weighs anything
            assert found[0] == found[-1] == 0 and np.isfinite(found).all()
            continue
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=f"{weight}")
