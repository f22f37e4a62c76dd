"""The values of all layers that a record keeps, against the oracle, on every build."""

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    COMBINATIONS,
    PAIRS,
    adapted,
    assert_close,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
    standardised,
)

from fastnn.data.rows import Rows
from fastnn.engine.record import BACKWARD, FORWARD, Record
from fastnn.losses import get
from fastnn.native.team import Team

EVERY = FORWARD + BACKWARD


def oracle_values(network, loss, X, y, weights=None, masks=None):
    """z, a, da, dz of all layers, and dx, by the oracle; a of layer k is at [k - 1]."""
    activations = [layer.activation for layer in network.layers]
    matrices, last = oracle_weights(network), len(activations) - 1
    z, a = reference.forward(matrices, activations, X, masks)
    w = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    n = reference.divisor(loss, len(X), weights)
    _, dz = reference.loss_and_delta(
        loss, activations[-1], z[-1], a[-1], reference.targets(y, loss, a[-1].shape[1])
    )
    masks = [1.0] * len(activations) if masks is None else masks
    deltas, slopes = [dz * w[:, None] / n], []
    for k in range(last, -1, -1):
        da = deltas[-1] @ matrices[2 * k].T * masks[k]
        slopes.append(da)
        if k:
            deltas.append(reference.ACTIVATIONS[activations[k - 1]][1](z[k - 1], da))
    outputs = [reference.ACTIVATIONS[f][0](zk) for f, zk in zip(activations, z, strict=True)]
    return z, outputs, slopes[-2::-1], deltas[::-1], slopes[-1]


def assert_values(record, network, expected, factor=1):
    z, a, da, dz, dx = expected
    for k in range(len(network.layers)):
        assert_close(record.of("z", k + 1), z[k], network.dtype, factor)
        assert_close(record.of("a", k + 1), a[k], network.dtype, factor)
        assert_close(record.of("dz", k + 1), dz[k], network.dtype, factor)
        if k + 1 < len(network.layers):
            assert_close(record.of("da", k + 1), da[k], network.dtype, factor)
    assert_close(record.of("dx", 1), dx, network.dtype, factor)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@pytest.mark.parametrize(("hidden", "loss", "output"), COMBINATIONS, ids="-".join)
def test_values_are_the_oracles(build, hidden, loss, output):
    n_outputs = 3 if loss == "categorical_crossentropy" else 2
    network = make_network(build, [5, 9, 6, n_outputs], [hidden, hidden, output])
    X, y = make_rows(network, loss, 11)
    weights = np.arange(11) % 3
    record = Record(network, make_data(network, loss, X, y, weights), EVERY)
    gradient = network.new_gradient()
    L = record.backpropagate(get(loss), gradient)
    expected = oracle_values(network, loss, X, y, weights)
    assert_values(record, network, expected, factor=5)
    activations = [layer.activation for layer in network.layers]
    L_expected, dW = reference.gradient(oracle_weights(network), activations, loss, X, y, weights)
    assert_close(L, L_expected, network.dtype)
    for actual, each in zip(network.views(gradient).values(), dW, strict=True):
        assert_close(actual, each, network.dtype, 5)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@pytest.mark.parametrize(("loss", "output"), PAIRS, ids="-".join)
def test_dL_dyhat_times_the_slope_is_dL_dz(build, loss, output):
    n_outputs = 3 if loss == "categorical_crossentropy" else 1
    network = make_network(build, [4, 7, n_outputs], ["tanh", output])
    X, y = make_rows(network, loss, 40)
    record = Record(network, make_data(network, loss, X, y), EVERY)
    record.backpropagate(get(loss))
    z = record.of("z", 2).astype(np.float64)
    dz = reference.ACTIVATIONS[output][1](z, record.of("da", 2).astype(np.float64))
    assert_close(record.of("dz", 2), dz, network.dtype, 20)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@pytest.mark.parametrize(
    "sizes", [(1, 1), (3, 8, 4, 1), (17, 33, 5), (40, 64, 16), (30, 130, 17, 10), (300, 16, 20)]
)
def test_sizes_and_teams_and_slices(build, sizes, monkeypatch):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    loss = "binary_crossentropy" if sizes[-1] == 1 else "categorical_crossentropy"
    network = make_network(build, sizes, [*["relu"] * (len(sizes) - 2), output])
    n_rows = 2 * network.block + 5
    X, y = make_rows(network, loss, n_rows)
    data = make_data(network, loss, X, y)
    record = Record(network, data, EVERY)
    gradient = network.new_gradient()
    record.backpropagate(get(loss), gradient)
    assert_values(record, network, oracle_values(network, loss, X, y), factor=10)
    whole = {(kind, k): record.of(kind, k).copy() for k in (1,) for kind in ("z", "dz", "dx")}

    monkeypatch.setattr(network, "slice_rows", network.block)
    with Team(2) as team:
        shared = Record(network, data, EVERY, team=team)
        again = network.new_gradient()
        shared.backpropagate(get(loss), again)
    np.testing.assert_array_equal(again, gradient)
    for (kind, k), values in whole.items():
        np.testing.assert_array_equal(shared.of(kind, k), values)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
def test_it_does_what_training_does_bit_for_bit(build):
    """Beside a narrow network, whose kernels take one row per lane."""
    network = make_network(build, [20, 40, 30, 10], ["relu", "gelu", "softmax"])
    X, y = make_rows(network, "categorical_crossentropy", 300)
    data, loss = (
        make_data(network, "categorical_crossentropy", X, y),
        get("categorical_crossentropy"),
    )
    gradient, record = network.new_gradient(), Record(network, data, EVERY)
    record.backpropagate(loss, gradient)
    np.testing.assert_array_equal(gradient, network.gradient(data, loss))
    np.testing.assert_array_equal(record.of("a", 3), network.predict(Rows(data.X)))


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@pytest.mark.parametrize("is_standardised", [False, True])
def test_dropout_and_normalisation(build, is_standardised):
    X = np.random.default_rng(3).normal(2, 3, size=(20, 6))
    layer = adapted(X) if is_standardised else None
    network = make_network(
        build, [6, 8, 7, 1], ["tanh", "relu", "sigmoid"], normalization=layer,
        dropout=[0.2, 0.5, 0.0],
    )  # fmt: skip
    y = (X[:, 0] > 2).astype(float)
    data = make_data(network, "binary_crossentropy", X.astype(network.dtype), y)
    record = Record(network, data, EVERY, drop=True, key=99)
    record.backpropagate(get("binary_crossentropy"))
    masks = [
        reference.dropout_mask(99, range(20), 0, 6, 0.2),
        reference.dropout_mask(99, range(20), 1, 8, 0.5),
        np.ones(7),
    ]
    assert_close(record.of("mask", 1), masks[0], network.dtype)
    assert_close(record.of("mask", 2), masks[1], network.dtype)
    inputs = standardised(layer, X) if is_standardised else X
    z, a, da, dz, dx = oracle_values(network, "binary_crossentropy", inputs, y, masks=masks)
    if is_standardised:
        dx = dx / np.sqrt(layer.variance)
    assert_values(record, network, (z, a, da, dz, dx), factor=5)
    assert_close(record.of("x", 1), inputs * masks[0], network.dtype)
    assert_close(record.of("x", 2), a[0] * masks[1], network.dtype)


def test_one_layer_alone_is_kept(build=("base", "float64")):
    network = make_network(build, [4, 6, 5, 1], ["tanh", "tanh", "linear"])
    X, _ = make_rows(network, "mse", 9)
    record = Record(network, Rows(X), ["a"], number=2)
    record.forward()
    assert [record.keeps("a", k) for k in (1, 2, 3)] == [False, True, False]
    whole = Record(network, Rows(X), ["a"])
    whole.forward()
    np.testing.assert_array_equal(record.of("a", 2), whole.of("a", 2))


def test_the_core_refuses_a_record_that_does_not_fit():
    network = make_network(("base", "float32"), [4, 6, 1], ["tanh", "sigmoid"])
    core, context = network.core, network.record_context(8, drop=False)
    X, y = make_rows(network, "binary_crossentropy", 9)
    data = make_data(network, "binary_crossentropy", X, y)
    places = Record(network, data, EVERY)._places
    nothing = core.aligned_empty(0)
    with pytest.raises(ValueError, match="too few"):
        context.set_record(places, core.aligned_empty(10), np.zeros(9), nothing)
    with pytest.raises(ValueError, match="W_transposed"):
        context.set_record(places, core.aligned_empty(10_000), np.zeros(9), nothing)
    places["dx"] = -1
    places["a"][-1] = -1
    with pytest.raises(ValueError, match="needs a place"):
        context.set_record(places, core.aligned_empty(10_000), np.zeros(9), nothing)
    places["da"][-1] = -1
    context.set_record(places, core.aligned_empty(10_000), np.zeros(8), nothing)
    with pytest.raises(ValueError, match="room for 8 rows"):
        core.evaluate(context, core.Rows(X), None, 0, 9, None)
    with Team(2) as team, pytest.raises(ValueError, match="one thread"):
        record = Record(network, data, EVERY)
        record._keep(given=True)
        team.run(core.gradient, record._context, core.Rows(X), None, 0, 9, None, 0.0, 1.0)
    narrow = network.context(8)
    with pytest.raises(ValueError, match="one row per lane"):
        narrow.set_record(places, core.aligned_empty(10_000), np.zeros(8), nothing)
