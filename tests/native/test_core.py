"""The kernels of every build this machine can run, against the oracle and central differences."""

from functools import partial

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    COMBINATIONS,
    PAIRS,
    adapted,
    assert_central_differences,
    assert_close,
    assert_gradient_agrees,
    core_of,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
    standardised,
    total_loss,
)

from fastnn import _core
from fastnn.data.arrays import features
from fastnn.engine.gradient_descent import new_state
from fastnn.engine.layout import layer_table, padded
from fastnn.losses import LOSSES
from fastnn.optimizers import SGD


@pytest.fixture(autouse=True)
def scratch_of_nan(monkeypatch):
    """Scratch memory holds NaN at first: a kernel that reads what none has written is found."""
    for build in BUILDS:
        core = core_of(*build)
        monkeypatch.setattr(core, "aligned_empty", partial(filled, core.aligned_empty))


def filled(allocate, n):
    """Memory full of NaN."""
    array = allocate(n)
    array[:] = np.nan
    return array


HIDDEN = list(reference.ACTIVATIONS)
# Sizes 1, odd, and around the paddings 4, 8 and 16 and the vector widths.
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65]

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)


def counts():
    """No steps made."""
    return np.zeros(1, _core.COUNTS)


def rule_of(network):
    """Plain gradient descent."""
    return SGD().rule(network.layer_rules, new_state(network, SGD()))


@each_build
@pytest.mark.parametrize("activation", HIDDEN)
def test_forward_agrees_for_every_activation_and_size(build, activation):
    for n in SIZES:
        network = make_network(build, [n, SIZES[-1] - n + 1, n], [activation, activation])
        X, _ = make_rows(network, "mean_squared_error", n_rows=n)
        _, a = reference.forward(oracle_weights(network), [activation] * 2, X)
        assert_close(network.predict(features(X, network.dtype)), a[-1], network.dtype)


@each_build
@pytest.mark.parametrize("n_rows", [1, 3, 6, 127, 128, 129, 255, 256, 257, 600])
def test_forward_agrees_for_any_number_of_rows_around_a_block(build, n_rows):
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    assert network.block in (128, 256)
    X, _ = make_rows(network, "mean_squared_error", n_rows)
    _, a = reference.forward(oracle_weights(network), ["tanh", "linear"], X)
    assert_close(network.predict(features(X, network.dtype)), a[-1], network.dtype)


@pytest.mark.parametrize(
    ("build", "hidden", "loss", "output"),
    [(build, *each) for build in BUILDS[:-2] for each in COMBINATIONS]
    + [
        (build, hidden, *pair)
        for build in BUILDS[-2:]
        for hidden in HIDDEN
        for pair in PAIRS
        if (hidden, pair[0]) != ("exponential", "log_loss")  # its bound: test_losses
    ],
)
@pytest.mark.parametrize("sizes", [(7, 17, 5), (7, 6, 5)])  # the second is narrow
def test_loss_and_gradient_agree_for_every_activation_and_loss(build, hidden, loss, output, sizes):
    network = make_network(build, sizes, [hidden, output])
    X, y = make_rows(network, loss, n_rows=260)
    assert_gradient_agrees(network, loss, X, y)


@each_build
@pytest.mark.parametrize("n", SIZES)
def test_gradient_agrees_for_every_size(build, n):
    for sizes in ([n, 3], [3, n, 2], [n, n, n]):
        network = make_network(build, sizes, ["tanh"] * (len(sizes) - 2) + ["linear"])
        X, y = make_rows(network, "mean_squared_error", n_rows=n)
        assert_gradient_agrees(network, "mean_squared_error", X, y)


@each_build
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("one_hot", [True, False])
def test_gradient_agrees_with_sample_weights(build, use_bias, one_hot):
    network = make_network(build, [6, 10, 4], ["relu", "softmax"], use_bias=use_bias)
    X, y = make_rows(network, "categorical_crossentropy", n_rows=90, one_hot=one_hot)
    weights = np.random.default_rng(1).integers(0, 4, 90)
    assert_gradient_agrees(network, "categorical_crossentropy", X, y, weights)


@each_build
@pytest.mark.parametrize("width", [8, 9])  # narrow or not
def test_gradient_behind_a_normalization(build, width):
    X = np.random.default_rng(0).normal(size=(80, 6)) * [1, 10, 100, 1e3, 1e4, 1e-3] + 50
    layer = adapted(X)
    network = make_network(build, [6, width, 1], ["relu", "sigmoid"], normalization=layer)
    _, y = make_rows(network, "binary_crossentropy", n_rows=80)
    data = make_data(network, "binary_crossentropy", X, y)
    L, expected = reference.gradient(
        oracle_weights(network), ["relu", "sigmoid"], "binary_crossentropy",
        standardised(layer, X), y,
    )  # fmt: skip
    flat = network.gradient(data, LOSSES["binary_crossentropy"]())
    for actual, gradient in zip(network.views(flat).values(), expected, strict=True):
        assert_close(actual, gradient, network.dtype)


# Nets whose losses, or all of whose layers, are computed with rows in the lanes.
ACROSS = [(7, 17, 1), (40, 1), (3, 8, 8, 1), (8, 3, 1, 5), (2, 7)]
USUAL = [*PAIRS[:2], *PAIRS[-2:]]  # where another thing is varied
ACROSS_CASES = [
    (sizes, *pair) for sizes in ACROSS for pair in PAIRS
    if sizes[-1] > 1 or pair[0] != "categorical_crossentropy"
]  # fmt: skip


@each_build
@pytest.mark.parametrize(
    ("sizes", "loss", "output", "use_bias"),
    [(*case, True) for case in ACROSS_CASES]
    + [(*case, False) for case in ACROSS_CASES if case[1:] in USUAL],
)
@pytest.mark.parametrize("n_rows", [1, 7, 258])
def test_gradient_agrees_with_rows_in_the_lanes(build, sizes, n_rows, loss, output, use_bias):
    hidden = ["tanh", "relu"][: len(sizes) - 2]
    network = make_network(build, sizes, [*hidden, output], use_bias=use_bias)
    X, y = make_rows(network, loss, n_rows, one_hot=n_rows == 7)
    # The only db of a layer of one unit may cancel to a thousandth of its summands.
    assert_gradient_agrees(network, loss, X, y, factor=20)
    weights = np.random.default_rng(1).integers(0, 3, n_rows)
    assert_gradient_agrees(network, loss, X, y, weights, factor=20)


@each_build
@pytest.mark.parametrize(("sizes", "loss", "output"), ACROSS_CASES)
def test_the_bits_of_a_row_do_not_depend_on_its_place(build, sizes, loss, output):
    network = make_network(build, sizes, ["sigmoid"] * (len(sizes) - 2) + [output])
    X, y = make_rows(network, loss, n_rows=37)
    kernel, predicted = LOSSES[loss](), network.predict(features(X, network.dtype))
    for row in range(37):
        alone = make_data(network, loss, X[row : row + 1], y[row : row + 1])
        only = make_data(network, loss, X, y, np.eye(37)[row])
        [piece] = network.evaluate(alone, kernel)
        assert piece.total == total_loss(network, only, kernel)
        np.testing.assert_array_equal(piece.predictions[0], predicted[row])


CORNERS = {  # loss: outputs, targets, dl/da of one output
    "mean_absolute_error": ([2, 2, 2], [2, 1, 3], [0, 1, -1]),
    "huber": ([0, 1, -1, 2, -2, 0.5], [0] * 6, [0, 1, -1, 1, -1, 0.5]),
    "hinge": ([1, -1, 0, 2, 0, -3], [1, 0, 0, 1, 1, 1], [0, 0, 1, 0, -1, -1]),
    "squared_hinge": ([1, -1, 0, 2, 0, -3], [1, 0, 0, 1, 1, 1], [0, 0, 2, 0, -2, -8]),
    "poisson": ([0, 1, 4], [0, 0, 1], [1, 1, 0.75]),
}


@each_build
@pytest.mark.parametrize("loss", CORNERS)
@pytest.mark.parametrize("width", [1, 2, 20])  # rows that lie one per lane, and that do not
def test_slopes_at_corners_and_on_both_sides(build, loss, width):
    network = make_network(build, [1, width], ["linear"])
    network.parameters[:] = 0
    network.views(network.parameters)["W1"][...] = 1
    for a, y, slope in zip(*CORNERS[loss], strict=True):
        data = make_data(network, loss, [[a]], np.full((1, width), y))
        gradient = network.views(network.gradient(data, LOSSES[loss]()))
        np.testing.assert_allclose(gradient["b1"] * width, slope, rtol=1e-6, atol=1e-30)


@each_build
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("sizes", [(7, 17, 1), (7, 6, 3), (7, 20, 21)])
def test_a_hinge_takes_0_for_minus_1(build, loss, sizes):
    network = make_network(build, sizes, ["tanh", "linear"])
    X, y = make_rows(network, loss, 30, one_hot=True)
    assert set(y.ravel()) == {0, 1}
    assert_gradient_agrees(network, loss, X, y, factor=20)


@each_build
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_more_outputs_than_are_laid_by_lane(build, loss, output):
    network = make_network(build, (6, 20, 21), ["tanh", output])
    X, y = make_rows(network, loss, 30)
    weights = np.random.default_rng(1).integers(0, 3, 30)
    assert_gradient_agrees(network, loss, X, y, weights)


# scikit-learn's squared error is no match for its slope, unless it has one output: test_losses.py
SMOOTH = [
    (loss, output) for loss, output in PAIRS if output != "relu" and loss != "half_squared_error"
]


@pytest.mark.parametrize("hidden", [name for name in HIDDEN if name != "relu"])
@pytest.mark.parametrize(("loss", "output"), SMOOTH)
@pytest.mark.parametrize("sizes", [(3, 9, 4), (3, 5, 4)])  # the second is narrow
def test_gradient_agrees_with_central_differences(hidden, loss, output, sizes):
    build = BUILDS[-1]
    assert build[1] == "float64"
    network = make_network(build, sizes, [hidden, output])
    data = make_data(network, loss, *make_rows(network, loss, n_rows=6))
    assert_central_differences(network, data, LOSSES[loss]())


SLOPE_BOUNDS = {  # in eps: of 1, but of the exact slope itself for softplus
    "relu": 0, "sigmoid": 2, "tanh": 5, "leaky_relu": 1, "elu": 2, "selu": 3, "softplus": 6,
}  # fmt: skip


@each_build
@pytest.mark.parametrize("activation", SLOPE_BOUNDS)
def test_slope_is_exact_for_small_and_large_z(build, activation):
    network = make_network(build, [1, 1], [activation])
    sizes = np.concatenate([np.geomspace(1e-6, 1e4, 150), [20, 40, 80.5, 87, 88, 89, 710]])
    for z in np.concatenate([-sizes, [0], sizes]).astype(network.dtype):
        network.views(network.parameters)["W1"][...] = 1
        network.views(network.parameters)["b1"][...] = 0
        a = network.predict(features(np.array([[z]]), network.dtype))
        y = a - 0.5
        data = make_data(network, "mean_squared_error", [[z]], y)
        db = network.views(network.gradient(data, LOSSES["mean_squared_error"]()))["b1"][0]
        slope = db / (2 * (a.astype(np.float64) - y)).item()
        exact = reference.ACTIVATIONS[activation][1](np.array([[np.float64(z)]]), 1.0)[0, 0]
        scale = exact if activation == "softplus" else 1
        bound = SLOPE_BOUNDS[activation] * np.finfo(network.dtype).eps * scale
        assert abs(slope - exact) <= bound + 1e-37, z


@each_build
@pytest.mark.parametrize("z", [0.0, 1.0, 30.0, 88.0, 500.0, 1e4])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_binary_crossentropy_is_exact_for_large_z(build, z, y):
    network = make_network(build, [1, 1], ["sigmoid"])
    network.parameters[:] = 0
    network.views(network.parameters)["W1"][...] = 1
    for sign in (1, -1):
        data = make_data(network, "binary_crossentropy", [[sign * z]], [[y]])
        loss = total_loss(network, data, LOSSES["binary_crossentropy"]())
        exact = y * np.logaddexp(0, -sign * z) + (1 - y) * np.logaddexp(0, sign * z)
        # Subnormal results count as zero in the core: allow 1e-37.
        np.testing.assert_allclose(loss, exact, rtol=3e-7, atol=1e-37)


# Of 3 features and classes, where rows lie one per lane, and of 9: the six more change nothing.
@pytest.fixture(params=[3, 9])
def identity(request):
    """A network whose z is its row of X, and a function that fills rows up"""

    def make(build):
        network = make_network(build, [request.param] * 2, ["softmax"], use_bias=False)
        network.views(network.parameters)["W1"][...] = np.eye(request.param)
        return network

    def fill(rows, value):
        missing = ((0, 0), (0, request.param - 3))
        return np.pad(np.array(rows, float), missing, constant_values=value)

    return make, fill


@each_build
def test_categorical_crossentropy_is_exact_for_large_z(build, identity):
    make, fill = identity
    network = make(build)
    X = fill([[500.0, 0.0, -500.0], [-1e4, 0.0, 1e4], [90.0, 90.0, 90.0]], -2e4)
    data = make_data(network, "categorical_crossentropy", X, [2, 1, 0])
    [piece] = network.evaluate(data, LOSSES["categorical_crossentropy"]())
    np.testing.assert_allclose(piece.total, 1000 + 1e4 + np.log(3), rtol=1e-6)
    np.testing.assert_allclose(piece.predictions[0, :3], [1, 0, 0], atol=1e-37)


@each_build
@pytest.mark.parametrize("one_hot", [False, True])
def test_categorical_crossentropy_is_exact_for_a_nearly_certain_answer(build, identity, one_hot):
    make, fill = identity
    network, y = make(build), fill([[1.0, 0.0, 0.0]], 0) if one_hot else np.zeros(1)
    X = fill([[20.0, 0.0, -1.0]], -1e4)
    data = make_data(network, "categorical_crossentropy", X, y)
    loss = total_loss(network, data, LOSSES["categorical_crossentropy"]())
    np.testing.assert_allclose(loss, np.log1p(np.exp(-20) + np.exp(-21)), rtol=1e-5)


@each_build
def test_gradient_for_targets_that_sum_to_one_but_for_rounding(build):
    network = make_network(build, [4, 3], ["softmax"])
    X, _ = make_rows(network, "categorical_crossentropy", n_rows=9)
    y = np.full((9, 3), 0.3336)
    assert_gradient_agrees(network, "categorical_crossentropy", X, y)


@each_build
@pytest.mark.parametrize("sizes", [(1, 1), (1, 9, 1), (1, 9, 2)])
def test_a_row_of_weight_zero_does_not_count_though_its_loss_overflows(build, sizes):
    network = make_network(build, sizes, ["linear"] * (len(sizes) - 1))
    y = np.array([[np.finfo(network.dtype).max], [0.5]]).repeat(sizes[-1], axis=1)
    data = make_data(network, "mean_squared_error", [[1.0], [1.0]], y, [0, 1])
    alone = make_data(network, "mean_squared_error", [[1.0]], y[1:])
    kernel = LOSSES["mean_squared_error"]()
    assert total_loss(network, data, kernel) == total_loss(network, alone, kernel)


@each_build
@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("n", [3, 9])
def test_nan_and_infinity_survive_every_kernel(build, activation, n):
    network = make_network(build, [2, n, 3], [activation, "linear"])
    for bad in (np.nan, np.inf):
        network.views(network.parameters)["b1"][:] = bad
        data = make_data(network, "mean_squared_error", np.ones((1, 2)), np.ones((1, 3)))
        [piece] = network.evaluate(data, LOSSES["mean_squared_error"]())
        bounded = bad == np.inf and activation in ("sigmoid", "tanh")
        assert np.isfinite(piece.predictions).all() == bounded
        assert not network.core.all_finite(network.parameters)


@each_build
def test_finite_checks_name_the_place(build):
    core = make_network(build, [3, 1], ["linear"]).core
    dtype = build[1]
    X = np.zeros((50, 3))
    assert core.first_nonfinite(features(X, dtype).X) == (-1, -1)
    for bad in (np.nan, np.inf, -np.inf):
        X[:] = 0
        X[37, 1] = X[40, 0] = bad
        assert core.first_nonfinite(X) == (37, 1)
        assert core.first_nonfinite(X[::-1, :2]) == (9, 0)  # rows may be apart, and backwards
    values = np.zeros(77, dtype)
    assert core.all_finite(values)
    values[76] = np.inf
    assert not core.all_finite(values)


@each_build
@pytest.mark.parametrize("n_outputs", [*SIZES, 300])
@pytest.mark.parametrize("of", ["numbers", "ties"])
def test_the_place_of_the_largest_output_is_that_of_argmax(build, n_outputs, of):
    """Of several it is the first."""
    core, dtype = make_network(build, [3, 1], ["linear"]).core, build[1]
    rng = np.random.default_rng(n_outputs)
    outputs = rng.normal(size=(200, n_outputs)).astype(dtype)
    if of == "ties":
        outputs = np.sign(outputs).round() * 0.5  # a few values, each many times
        outputs[7] = -np.inf
        outputs[8, rng.integers(n_outputs)] = np.inf
        outputs[9] = np.nan
    places = np.full(200, -1)
    core.largest_places(outputs, places)
    np.testing.assert_array_equal(places, outputs.argmax(axis=1))


@each_build
def test_no_rows_are_no_work(build):
    network = make_network(build, [3, 1], ["linear"])
    core, gradient, dtype = network.core, network.new_gradient(), network.dtype
    rows = core.Rows(np.empty((0, 3), dtype))
    context = network.context(1)
    context.set_rule(
        np.zeros(1, core.CONSTANTS), network.layer_rules, network.new_slots(0), counts()
    )
    context.set_gradient(gradient)
    samples = network.context(1, stochastic=True)
    samples.set_rule(*rule_of(network).for_core, "listed")
    assert core.evaluate(context, rows, None, 0, 0, None, 7.0) == 7
    assert core.gradient(context, rows, None, 0, 0, None, 7.0, 1.0) == 7
    assert core.stochastic(samples, rows, None, 0, 0, None, 7.0) == 7
    assert core.minibatch(context, rows, None, 0, 0, None, 7.0, 8) == 7
    assert core.first_nonfinite(np.empty((0, 3), dtype)) == (-1, -1)
    nothing = np.empty(0, dtype)
    assert core.all_finite(nothing)
    core.largest_places(nothing.reshape(0, 3), np.empty(0, np.int64))
    no_outputs = nothing.reshape(0, 1)
    core.backward(network.open_context(1, drop=False), no_outputs, gradient, nothing, no_outputs)
    assert not gradient.any()


@each_build
def test_the_core_leaves_the_floating_point_mode_as_it_was(build):
    tiny = np.array([np.finfo(np.float32).tiny], np.float32)
    network = make_network(build, [2, 1], ["linear"])
    network.predict(features(np.ones((3, 2)), network.dtype))
    assert (tiny / 2)[0] != 0


@each_build
def test_subnormals_count_as_zero_in_the_core(build):
    network = make_network(build, [1, 1], ["linear"], use_bias=False)
    tiny = np.finfo(network.dtype).tiny
    network.views(network.parameters)["W1"][...] = tiny
    assert network.predict(features(np.array([[0.25]]), network.dtype))[0, 0] == 0
    assert network.predict(features(np.array([[2.0]]), network.dtype))[0, 0] == 2 * tiny


@each_build
@pytest.mark.parametrize("sizes", [(3, 5, 2), (3, 9, 2), (9, 1)])
def test_padding_stays_zero(build, sizes):
    network = make_network(build, sizes, ["tanh"] * (len(sizes) - 2) + ["softmax"])
    data = make_data(network, "categorical_crossentropy", *make_rows(
        network, "categorical_crossentropy", n_rows=40
    ))  # fmt: skip
    core, loss = network.core, LOSSES["categorical_crossentropy"]()
    settings = loss.settings(data.y.shape[1], network.dtype)
    rows, gradient, slots, made = (
        core.Rows(*data),
        network.new_gradient(),
        network.new_slots(2),
        counts(),
    )
    steps = np.array([(0.1, 0.1, 0.5, 1.0)], core.STEP)
    plain = np.zeros(1, core.CONSTANTS), np.empty(0, core.LAYER_RULE), network.new_slots(0), made
    constants = np.zeros(1, core.CONSTANTS)
    constants["method"], constants["first"] = core.METHODS["momentum"], 0.5
    constants["nesterov"] = constants["shrinks"] = 1
    rules = np.array([(0.5, 0.1, 0.1, 0.1)] * (len(sizes) - 1), core.LAYER_RULE)
    moving = constants, rules, slots[:1], made
    limited = constants.copy()
    limited["clip"], limited["limit"], limited["averages"] = core.CLIPS["clipnorm"], 0.1, 1
    clipping = limited, rules, slots, made
    fitting = [name for name in core.PATHS if name != "tiny" or network.is_tiny]
    calls = [(plain, name) for name in fitting]
    calls += [(moving, name) for name in ("blocked", "fused")]
    for rule, path in calls:
        context = network.context(16, stochastic=True)
        context.set_rule(*rule, path)
        context.set_loss(settings)
        context.set_steps(steps)
        core.stochastic(context, rows, None, 0, 40, None, 0.0)
    for rule in (plain, moving, clipping):
        context = network.context(40)
        context.set_rule(*rule)
        context.set_loss(settings)
        context.set_steps(steps)
        context.set_gradient(gradient)
        core.minibatch(context, rows, None, 0, 40, None, 0.0, 8)
    assert made["clipped"] == 5
    for flat in (network.parameters, gradient, *slots):
        used = sum(np.count_nonzero(view) for view in network.views(flat).values())
        assert np.count_nonzero(flat) == used
        assert flat.ctypes.data % 64 == 0


@each_build
@pytest.mark.parametrize("activation", HIDDEN)
def test_padding_of_activations_is_zero(build, activation):
    for n in SIZES:
        network = make_network(build, [1, n, 9], [activation, "linear"])
        data = make_data(network, "mean_squared_error", *make_rows(
            network, "mean_squared_error", n_rows=5
        ))  # fmt: skip
        block, core = 16, network.core
        table, _ = layer_table(1, network.layers, [0.0, 0.0], narrow=False)
        length = core.scratch_length(table, block, False)
        scratch = core.aligned_empty(length)
        context = core.Context(
            table, network.layer_rules, network.parameters, np.empty((0, 0)), block, scratch
        )
        core.evaluate(context, core.Rows(data.X), None, 0, 5, None)
        # behind the block's losses and its numbers of X
        start = block * (8 // network.parameters.itemsize + 1)
        hidden = scratch[start : start + 5 * padded(n)].reshape(5, -1)
        assert np.isfinite(hidden).all()
        assert not hidden[:, n:].any()


@each_build
@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize(
    "sizes", [(784, 100, 10), (257, 33, 3), (256, 17, 2), (255, 70, 1), (9, 5, 20), (300, 4)]
)
def test_a_single_row_has_the_bits_that_it_has_among_others(build, sizes, share):
    rng = np.random.default_rng(0)
    activations = ["relu", "tanh"][: len(sizes) - 1]
    network = make_network(build, sizes, activations, use_bias=sizes[0] != 256)
    X = rng.normal(size=(5, sizes[0])) * (rng.random((5, sizes[0])) < share)
    rows = features(X.astype(network.dtype), network.dtype)
    together = network.predict(rows)
    alone = np.vstack([network.predict(rows.rows(i, i + 1)) for i in range(5)])
    np.testing.assert_array_equal(alone, together)


@each_build
@pytest.mark.parametrize("use_bias", [True, False])
def test_sparse_rows_have_the_bits_that_they_have_beside_a_dense_one(build, use_bias):
    rng = np.random.default_rng(0)
    network = make_network(build, (600, 21, 5), ["relu", "softmax"], use_bias=use_bias)
    X = rng.normal(size=(9, 600)) * (rng.random((9, 600)) < 0.02)
    X[0] = rng.normal(size=600)  # the first one decides how its block passes
    X[5] = 0
    rows = features(X.astype(network.dtype), network.dtype)
    np.testing.assert_array_equal(network.predict(rows)[1:], network.predict(rows.rows(1, 9)))
