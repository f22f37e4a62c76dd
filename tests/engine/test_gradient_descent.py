"""The three modes of gradient descent: weights against the oracle, borders, slices, memory."""

import tracemalloc

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    COMBINATIONS,
    assert_close,
    assert_same_weights,
    descent_for,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
    total_loss,
)

from fastnn import SGD, Dense, Sequential
from fastnn.engine.gradient_descent import minibatch, stochastic
from fastnn.losses import LOSSES

RATE = 0.05
BATCH_SIZES = {"stochastic": 1, "minibatch": 16, "batch": 50}  # of 50 rows: 16 leaves a short one

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
each_mode = pytest.mark.parametrize("mode", BATCH_SIZES)


def start(build, sizes=(4, 9, 3), activations=("tanh", "linear"), loss="mean_squared_error",
          n_rows=50, weights=None):  # fmt: skip
    """A network, its rows and the descent on them; the same at every call."""
    network = make_network(build, sizes, activations)
    X, y = make_rows(network, loss, n_rows)
    data = make_data(network, loss, X, y, weights)
    return network, X, y, descent_for(network, SGD(RATE), LOSSES[loss](), data, True)


@each_build
@each_mode
@pytest.mark.parametrize(("hidden", "loss", "output"), COMBINATIONS)
@pytest.mark.parametrize("sizes", [(4, 9, 3), (4, 7, 3)])  # the second is narrow
def test_weights_and_running_loss_agree_with_the_oracle(build, mode, loss, output, hidden, sizes):
    network, X, y, descent = start(build, sizes, (hidden, output), loss)
    expected = oracle_weights(network)
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(len(X))
        *_, last = descent.epoch(order, BATCH_SIZES[mode])
        visited = np.arange(len(X)) if mode == "batch" else order
        expected, L = reference.descend(
            expected, [hidden, output], loss, X, y, RATE, BATCH_SIZES[mode], visited
        )
        assert_close(last.total / len(X), L, network.dtype, factor=10)
    assert_same_weights(network, expected, factor=10)


@each_build
@each_mode
@pytest.mark.parametrize("n_rows", [1, 2, 33, 129])
@pytest.mark.parametrize(
    "sizes", [(1, 1), (1, 1, 1), (3, 5, 7, 1), (17, 33, 9), (5, 17, 1), (20, 130, 200, 7)]
)
def test_any_size_agrees_with_the_oracle(build, mode, n_rows, sizes):
    activations = ["relu"] * (len(sizes) - 2) + ["linear"]
    network, X, y, descent = start(build, sizes, activations, n_rows=n_rows)
    size = {"stochastic": 1, "minibatch": 16, "batch": n_rows}[mode]
    expected, _ = reference.descend(
        oracle_weights(network), activations, "mean_squared_error", X, y, RATE, size, range(n_rows)
    )
    list(descent.epoch(None, size))
    assert_same_weights(network, expected, factor=10)


@each_build
@each_mode
@pytest.mark.parametrize("sizes", [(4, 9, 3), (4, 8, 3)])
def test_sample_weights_agree_with_the_oracle_and_weight_zero_moves_nothing(build, mode, sizes):
    weights = np.random.default_rng(3).integers(0, 3, 50)
    network, X, y, descent = start(build, sizes, weights=weights)
    order = np.arange(50)[::-1].copy()
    expected, L = reference.descend(
        oracle_weights(network), ["tanh", "linear"], "mean_squared_error", X, y, RATE,
        BATCH_SIZES[mode], order, weights,
    )  # fmt: skip
    *_, last = descent.epoch(order, BATCH_SIZES[mode])
    assert_same_weights(network, expected, factor=10)
    assert_close(last.total / 50, L, network.dtype, factor=10)


@each_build
def test_learning_rates_by_step(build):
    rates = np.linspace(0.0, 0.2, 50)
    network, X, y, descent = start(build)
    steps = np.zeros(50, network.core.STEP)
    steps["rate"] = rates
    expected = oracle_weights(network)
    for row, rate in enumerate(rates):
        expected, _ = reference.descend(
            expected, ["tanh", "linear"], "mean_squared_error", X, y, rate, 1, [row]
        )
    descent.stochastic_context.set_steps(steps)
    descent.visit(network.core.stochastic, descent.stochastic_context, None, 0, 50)
    assert_same_weights(network, expected, factor=10)


@each_build
@pytest.mark.parametrize("sizes", [(4, 9, 3), (4, 9, 1), (4, 8, 3), (3, 5, 2), (7, 7, 1)])
@pytest.mark.parametrize("n_rows", [30, 200, 300])
def test_a_minibatch_of_all_rows_is_batch_mode_bit_for_bit(build, sizes, n_rows):
    network, _, _, descent = start(build, sizes, n_rows=n_rows)
    *_, last = descent.epoch(None, n_rows)
    other, _, _, other_descent = start(build, sizes, n_rows=n_rows)
    *_, other_last = minibatch(other_descent, None, n_rows)
    np.testing.assert_array_equal(network.parameters, other.parameters)
    assert last.total == other_last.total


@each_build
def test_a_minibatch_of_one_row_is_stochastic_mode_within_rounding(build):
    order = np.random.default_rng(0).permutation(200)
    network, _, _, descent = start(build, n_rows=200)
    list(stochastic(descent, order))
    other, _, _, other_descent = start(build, n_rows=200)
    list(minibatch(other_descent, order, 1))
    assert_same_weights(network, oracle_weights(other))


@each_build
@pytest.mark.parametrize("batch_size", [1, 7, 64, 130, 1000])
@pytest.mark.parametrize("sizes", [(4, 9, 3), (4, 9, 1), (4, 8, 3)])
def test_slices_change_no_bit(build, batch_size, sizes):
    order = np.random.default_rng(0).permutation(1000)
    results = []
    for slice_rows in (64, 192, 100_000):
        network, _, _, descent = start(build, sizes, n_rows=1000)
        network.slice_rows, network.block = slice_rows, 64
        pieces = descent.epoch(order, batch_size)
        outputs = [(piece.total, piece.predictions.copy()) for piece in pieces]
        predictions = np.concatenate([output for _, output in outputs])
        assert len(predictions) == 1000
        loss = total_loss(network, descent.data, descent.loss)
        results.append((network.parameters, predictions, outputs[-1][0], loss))
    for result in results[1:]:
        for actual, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(actual, expected)


@each_build
def test_slices_return_the_rows_they_visited(build):
    order = np.random.default_rng(0).permutation(300)
    network, X, y, descent = start(build, n_rows=300)
    network.slice_rows = network.block = 64
    weights = oracle_weights(network)
    first = next(iter(minibatch(descent, order, 64)))
    np.testing.assert_array_equal(first.rows, order[:64])
    _, a = reference.forward(weights, ["tanh", "linear"], X[order[:64]])
    assert_close(first.predictions, a[-1], network.dtype)


def test_every_step_is_counted():
    for batch_size, steps in ((1, 50), (16, 4), (50, 1)):
        _, _, _, descent = start(BUILDS[0])
        list(descent.epoch(None, batch_size))
        assert descent.state.step == steps


def test_a_network_too_wide_for_a_block_in_a_slice_has_small_blocks():
    network = make_network(BUILDS[0], [5000, 5000, 1], ["relu", "linear"])
    assert (network.block, network.slice_rows) == (32, 32)


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
def test_memory_does_not_grow_with_rows(mode):
    def peak(n_rows):
        X = np.zeros((n_rows, 4), np.float32)
        y = np.zeros((n_rows, 1), np.float32)
        model = Sequential([Dense(8, "relu"), Dense(1, "sigmoid")], seed=0)
        model.compile(loss="binary_crossentropy")
        model.fit(X[:100], y[:100])
        tracemalloc.start()
        model.fit(X, y, mode=mode, shuffle=False)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak(400_000) < peak(1_000) + 50_000
