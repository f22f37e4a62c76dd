"""Networks for tests: any shape, on any build of the core, with the oracle's view of them."""

import importlib

import numpy as np
import reference

from fastnn import L1L2, Dense, Normalization, SharedL2
from fastnn._version import module_name
from fastnn.activations import ACTIVATIONS
from fastnn.data.arrays import features, sample_weights, targets
from fastnn.data.rows import Rows
from fastnn.engine.gradient_descent import Descent, new_state
from fastnn.engine.network import Network
from fastnn.losses import get
from fastnn.native.backend import DTYPES, ISA_LEVELS, _core, builds_present
from fastnn.native.team import ALONE

RUNNABLE = [isa for isa in builds_present() if ISA_LEVELS[isa] <= _core.isa_level()]
BUILDS = [(isa, dtype) for isa in RUNNABLE for dtype in DTYPES]

# The output activations that each loss takes.
PAIRS = [
    ("mean_squared_error", "linear"),
    ("mean_squared_error", "relu"),
    ("mean_squared_error", "sigmoid"),
    ("mean_squared_error", "tanh"),
    ("mean_squared_error", "softmax"),
    ("mean_squared_error", "elu"),
    ("mean_squared_error", "softplus"),
    ("mean_squared_error", "gelu"),
    ("mean_absolute_error", "linear"),
    ("mean_absolute_error", "relu"),
    ("huber", "linear"),
    ("huber", "tanh"),
    ("poisson", "softplus"),
    ("poisson", "softmax"),
    ("hinge", "linear"),
    ("hinge", "tanh"),
    ("squared_hinge", "linear"),
    ("squared_hinge", "tanh"),
    ("binary_crossentropy", "sigmoid"),
    ("log_loss", "sigmoid"),
    ("half_squared_error", "linear"),
    ("half_poisson_deviance", "exponential"),
    ("categorical_crossentropy", "softmax"),
]

# Every activation of a hidden layer and every pair, one of the two the usual one; all of them with
# each other only bear on the gradient, in test_core.py. Units of exp make steps explode.
COMBINATIONS = [
    *((hidden, *PAIRS[0]) for hidden in ACTIVATIONS if hidden != "exponential"),
    *((hidden, *pair) for hidden in ("relu", "tanh") for pair in PAIRS[1:]),
]


def core_of(isa, dtype):
    return importlib.import_module(f"fastnn.{module_name(isa, dtype)}")


def make_network(
    build, sizes, activations, *, use_bias=True, normalization=None, l1=(), l2=(), alpha=(),
    factors=(), dropout=None,
):  # fmt: skip
    """A network with random weights and biases, on one build of the core."""
    isa, dtype = build
    nothing = [0.0] * len(activations)
    layers = [
        Dense(
            n, f, use_bias, learning_rate_multiplier=factor,
            kernel_regularizer=SharedL2(shared) if shared else L1L2(*penalty),
        )
        for n, f, factor, shared, *penalty in zip(
            sizes[1:], activations, factors or [1.0] * len(activations), (*alpha, *nothing),
            (*l1, *nothing), (*l2, *nothing), strict=False,
        )
    ]  # fmt: skip
    network = Network(sizes[0], layers, dtype, normalization, dropout)
    network.core = core_of(isa, dtype)
    network.turn = network.core.Turn()
    rng = np.random.default_rng(sum(sizes))
    for view in network.views(network.parameters).values():
        view[...] = rng.normal(size=view.shape) / np.sqrt(len(view))
    return network


def oracle_weights(network):
    """[W1, b1, ...] in float64 as the oracle takes them, with None for a missing bias."""
    views = network.views(network.parameters)
    numbers = range(1, len(network.layers) + 1)
    found = [views.get(f"{kind}{number}") for number in numbers for kind in "Wb"]
    return [None if view is None else view.astype(np.float64) for view in found]


def make_rows(network, loss, n_rows, *, seed=0, one_hot=False):
    """Random X in the network's dtype, and targets that suit the loss; one_hot: of 0 and 1."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, network.n_features)).astype(network.dtype)
    n_outputs = network.n_outputs
    kind = get(loss).targets
    if kind == "classes":
        labels = rng.integers(0, n_outputs, n_rows)
        return X, np.eye(n_outputs)[labels] if one_hot else labels
    y = rng.random((n_rows, n_outputs))
    if kind == "signs":
        y = (y > 0.5) if one_hot else np.where(y > 0.5, 1, -1)
    elif kind != "probabilities":
        y = 4 * y if kind == "counts" else 4 * y - 2
    return X, y.astype(network.dtype)


def make_data(network, loss, X, y, weights=None):
    """X, y and weights as the core takes them."""
    dtype, kind = network.dtype, get(loss).targets
    return Rows(
        features(X, dtype).X,
        targets(y, dtype, kind=kind, n_rows=len(X), n_outputs=network.n_outputs),
        sample_weights(weights, dtype, n_rows=len(X)),
    )


def descent_for(network, optimizer, loss, data, keep_predictions=False, team=ALONE):
    """Descent over rows, by an optimiser that has made no step."""
    descent = Descent(network, optimizer, new_state(network, optimizer), loss)
    descent.take(data, keep_predictions=keep_predictions)
    descent.team = team
    return descent


def standardised(normalization, X):
    """What the Normalization layer makes of X, by its definition."""
    return (X - normalization.mean) / np.sqrt(normalization.variance)


def adapted(X):
    layer = Normalization()
    layer.adapt(X)
    return layer


def total_loss(network, data, kernel):
    """The sum of w_i l_i over all rows."""
    *_, last = network.evaluate(data, kernel)
    return last.total


def tolerance(dtype):
    """How far rounding may take a few sums of order one."""
    return {"float32": 2e-5, "float64": 1e-12}[dtype]


def assert_close(actual, expected, dtype, factor=1):
    """Compare to the scale of the whole array: single entries may cancel to nearly nothing."""
    scale = max(1e-3, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=factor * tolerance(dtype) * scale)


def assert_same_weights(network, expected, factor=1):
    for W, W_expected in zip(oracle_weights(network), expected, strict=True):
        if W_expected is not None:
            assert_close(W, W_expected, network.dtype, factor)


def assert_gradient_agrees(network, loss, X, y, weights=None, factor=1):
    """Loss and gradient are the oracle's, and nothing moves."""
    activations = [layer.activation for layer in network.layers]
    L, expected = reference.gradient(oracle_weights(network), activations, loss, X, y, weights)
    before = network.parameters.copy()
    data, kernel = make_data(network, loss, X, y, weights), get(loss)
    flat = network.gradient(data, kernel)
    total = total_loss(network, data, kernel)
    assert_close(total / len(X), L, network.dtype)
    gradients = [gradient for gradient in expected if gradient is not None]
    for actual, gradient in zip(network.views(flat).values(), gradients, strict=True):
        assert_close(actual, gradient, network.dtype, factor)
    np.testing.assert_array_equal(network.parameters, before)


def assert_central_differences(network, data, kernel):
    """The gradient of a float64 network is what changes of each parameter do to the loss."""
    step = 1e-5
    gradient = network.views(network.gradient(data, kernel))
    for name, view in network.views(network.parameters).items():
        slopes = np.empty(view.shape)
        for index in np.ndindex(view.shape):
            losses = []
            for change in (step, -2 * step):
                view[index] += change
                losses.append(total_loss(network, data, kernel))
            view[index] += step
            slopes[index] = (losses[0] - losses[1]) / (2 * step * data.n_rows)
        np.testing.assert_allclose(gradient[name], slopes, rtol=1e-6, atol=1e-9)


def padding_of(network, flat):
    """What lies between the arrays of a vector laid out as the parameters; it has to be zero."""
    rest = flat.copy()
    for view in network.views(rest).values():
        view[...] = 0
    return rest


def identity(build, n, activation, *, use_bias=False):
    """A network whose z is its row of X."""
    network = make_network(build, [n, n], [activation], use_bias=use_bias)
    network.views(network.parameters)["W1"][...] = np.eye(n)
    return network
