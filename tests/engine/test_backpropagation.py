"""Forward, backward and apply as three calls, by the oracle and by central differences."""

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    assert_close,
    make_network,
    oracle_weights,
    standardised,
)

from fastnn import (
    L1L2,
    L2,
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Callback,
    Dense,
    Dropout,
    Normalization,
    RMSprop,
    Sequential,
)
from fastnn.data.arrays import features
from fastnn.engine.backpropagation import Pass
from fastnn.engine.network import dropout_key
from fastnn.models import learner_of
from fastnn.schedules import ExponentialDecay

RNG = np.random.default_rng(0)
N_ROWS = 40
X = RNG.normal(size=(N_ROWS, 5))
Y = np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2]), X[:, 3]], axis=1)
DL_DY = RNG.normal(size=(N_ROWS, 3)) / N_ROWS

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model_for(layers=None, optimizer="SGD", *, dtype="float64", loss="mse", seed=3):
    """A compiled model with weights, the same at every call, for 5 features."""
    layers = layers or [Dense(9, "tanh"), Dense(3)]
    model = Sequential(layers, dtype=dtype, seed=seed)
    model.compile(optimizer, loss)
    model.build(5)
    rng = np.random.default_rng(seed)
    model.set_weights([W + rng.normal(size=W.shape) / 5 for W in model.get_weights()])
    return model


def bits(model):
    """Weights, what the optimiser keeps, and its steps."""
    state = learner_of(model).state
    kept = (state.slots.tobytes(), state.step) if state else (b"", 0)
    return [weights.tobytes() for weights in model.get_weights()], kept


def oracle(weights, activations, rows, dL_dy, masks=None):
    """The outputs, and [dL/dW1, dL/db1, ..., dL/dX]."""
    z, a = reference.forward(weights, activations, rows, masks)
    _, activation_backward = reference.ACTIVATIONS[activations[-1]]
    dz = activation_backward(z[-1], dL_dy)
    gradients, dL_dX = reference.backward(weights, activations, z, a, dz, masks)
    return a[-1], [*(g for g in gradients if g is not None), dL_dX]


# ---- the oracle ---------------------------------------------------------------------------------


def assert_pass_agrees(network, n_rows):
    rng = np.random.default_rng(n_rows)
    rows = rng.normal(size=(n_rows, network.n_features)).astype(network.dtype)
    dL_dy = rng.normal(size=(n_rows, network.n_outputs)).astype(network.dtype) / n_rows
    activations = [layer.activation for layer in network.layers]
    outputs, expected = oracle(oracle_weights(network), activations, rows, dL_dy)
    passed = Pass(network, n_rows, drop=False)
    found = passed.forward(network.rows(features(rows, network.dtype)), None, 0, len(rows))
    assert_close(found, outputs, network.dtype, factor=5)
    gradient, again = network.new_gradient(), network.new_gradient()
    dL_dX = passed.input_gradient(dL_dy, gradient)
    found = [*network.views(gradient).values(), dL_dX]
    for actual, wanted in zip(found, expected, strict=True):
        assert_close(actual, wanted, network.dtype, factor=10)
    passed.backward(dL_dy, again)
    np.testing.assert_array_equal(again, gradient)


@each_build
@pytest.mark.parametrize("n_rows", [1, 2, 33, 300])
@pytest.mark.parametrize(
    "sizes",
    [(1, 1), (1, 1, 1), (3, 7, 8, 2), (5, 17, 1), (17, 33, 9), (20, 130, 200, 7), (300, 20, 3)],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_outputs_and_gradients_of_any_size(build, sizes, n_rows, use_bias):
    activations = ["tanh"] * (len(sizes) - 2) + ["linear"]
    assert_pass_agrees(make_network(build, sizes, activations, use_bias=use_bias), n_rows)


@each_build
@pytest.mark.parametrize(
    ("hidden", "output"),
    [
        *((f, "softmax") for f in reference.ACTIVATIONS),
        *(("elu", f) for f in reference.ACTIVATIONS),
    ],
)
@pytest.mark.parametrize("sizes", [(4, 19, 3), (4, 7, 5, 3)])  # the second is narrow
def test_outputs_and_gradients_of_any_activation(build, sizes, hidden, output):
    activations = [hidden] * (len(sizes) - 2) + [output]
    assert_pass_agrees(make_network(build, sizes, activations), 21)


@dtypes
@pytest.mark.parametrize("units", [4, 9, 40])
@pytest.mark.parametrize("n_rows", [1, 7, 700])
def test_forward_is_predict(dtype, units, n_rows):
    rows = np.random.default_rng(n_rows).normal(size=(n_rows, 5))
    model = model_for([Dense(units, "softplus"), Dense(units, "relu"), Dense(3)], dtype=dtype)
    outputs = model.forward(rows)
    assert outputs.dtype == dtype
    assert_close(outputs, model.predict(rows), dtype)


def test_outputs_are_copies():
    model = model_for()
    outputs = model.forward(X)
    expected = model.backward(DL_DY)
    outputs[:] = np.nan
    for actual, wanted in zip(model.backward(DL_DY).values(), expected.values(), strict=True):
        np.testing.assert_array_equal(actual, wanted)


# ---- central differences ------------------------------------------------------------------------


def slopes(f, array):
    """df / d(each number of the array), which is changed and restored."""
    found, h = np.empty(array.shape), 1e-6
    for place in np.ndindex(array.shape):
        kept, sides = array[place], []
        for moved in (kept + h, kept - h):
            array[place] = moved
            sides.append(f())
        array[place] = kept
        found[place] = (sides[0] - sides[1]) / (2 * h)
    return found


STATISTICS = RNG.normal(size=5), RNG.uniform(0.1, 4, 5)
BY_DIFFERENCES = {
    **{f: [Dense(9, f), Dense(3, f)] for f in reference.ACTIVATIONS},
    "narrow": [Dense(6, "tanh"), Dense(3, "sigmoid")],
    "one layer": [Dense(3)],
    "no bias": [Dense(9, "tanh", use_bias=False), Dense(3, use_bias=False)],
    "Normalization": [Normalization(*STATISTICS), Dense(9, "tanh"), Dense(3)],
    "narrow Normalization": [Normalization(*STATISTICS), Dense(4, "tanh"), Dense(3)],
}


@pytest.mark.parametrize("name", BY_DIFFERENCES)
def test_gradients_are_what_changes_do_to_the_cost(name):
    model, rows = model_for(BY_DIFFERENCES[name]), X[:6].copy()
    model.forward(rows)
    found = model.backward(DL_DY[:6], inputs=True)
    weights = model.get_weights()

    def cost():
        model.set_weights(weights)
        return float(np.sum(model.predict(rows) * DL_DY[:6]))

    expected = [slopes(cost, array) for array in [*weights, rows]]
    assert list(found)[-1] == "dL/dX"
    for actual, wanted in zip(found.values(), expected, strict=True):
        size = np.abs(wanted).max()  # of exp units large: what cancels in a difference, too
        np.testing.assert_allclose(actual, wanted, rtol=1e-6, atol=1e-9 * max(1.0, size))


@pytest.mark.parametrize("units", [4, 9])
def test_backward_adds_what_regularisers_add(units):
    layers = [
        Dense(units, "tanh", kernel_regularizer=L1L2(0.1, 0.2)),
        Dense(3, kernel_regularizer=L2(0.3)),
    ]
    model = model_for(layers)
    outputs = model.forward(X)
    found = model.backward(2 * (outputs - Y) / Y.size)
    for name, wanted in model.gradient(X, Y).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-11, atol=1e-13)
    W1 = model.get_weights()[0]
    model.forward(X)
    alone = model.backward(np.zeros((N_ROWS, 3)))
    np.testing.assert_allclose(alone["dL/dW1"], 0.1 * np.sign(W1) + 0.4 * W1, rtol=1e-12)
    np.testing.assert_array_equal(alone["dL/db1"], 0)


# ---- dropout ------------------------------------------------------------------------------------

DROPPING = {
    "wide": [Dropout(0.3), Dense(19, "relu"), Dropout(0.5), Dense(3)],
    "narrow": [Dropout(0.3), Dense(7, "tanh"), Dropout(0.5), Dense(3)],
    "softplus": [Dense(19, "softplus"), Dropout(0.5), Dense(7, "elu"), Dropout(0.2), Dense(3)],
    "standardised": [Normalization(*STATISTICS), Dropout(0.3), Dense(9, "tanh"), Dense(3)],
}


@dtypes
@pytest.mark.parametrize("name", DROPPING)
def test_training_drops_the_same_units_in_both_passes(name, dtype):
    layers = DROPPING[name]
    model = model_for(layers, dtype=dtype)
    weights, activations = (
        model.get_weights(),
        [layer.activation for layer in learner_of(model).dense_layers],
    )
    rows, scale = X, 1.0
    if name == "standardised":
        rows, scale = standardised(layers[0], X), 1 / np.sqrt(layers[0].variance)
    for step in range(2):  # the second draws others
        key = dropout_key(model.seed, step)
        masks = [
            reference.dropout_mask(key, range(N_ROWS), k, len(W), rate) if rate else 1.0
            for k, (W, rate) in enumerate(
                zip(weights[::2], learner_of(model).dropout_rates, strict=True)
            )
        ]
        outputs, expected = oracle(weights, activations, rows, DL_DY, masks)
        expected[-1] = expected[-1] * scale
        assert_close(model.forward(X, training=True), outputs, dtype, factor=5)
        found = model.backward(DL_DY, inputs=True)
        for actual, wanted in zip(found.values(), expected, strict=True):
            assert_close(actual, wanted, dtype, factor=10)
        model.apply({name: np.zeros_like(g) for name, g in found.items()})


def test_without_training_nothing_is_dropped():
    model = model_for(DROPPING["wide"])
    assert_close(model.forward(X), model.predict(X), "float64")
    assert np.abs(model.forward(X, training=True) - model.predict(X)).max() > 0.1


# ---- apply --------------------------------------------------------------------------------------

OPTIMIZERS = [
    SGD(0.05),
    SGD(0.05, momentum=0.9),
    SGD(0.05, momentum=0.9, nesterov=True),
    Adam(0.01),
    Adam(0.01, amsgrad=True),
    AdamW(0.01),
    RMSprop(0.01),
    RMSprop(0.01, momentum=0.5),
    Adagrad(0.01),
    SGD(ExponentialDecay(0.1, 1, 0.5)),
    SGD(0.1, clipvalue=0.05),
    Adam(0.01, clipnorm=0.1),
    SGD(0.1, momentum=0.5, global_clipnorm=0.1),
]
LAYERS = {
    "plain": [Dense(9, "tanh"), Dense(3)],
    "narrow": [Dense(5, "tanh"), Dense(3)],
    "penalties": [Dense(9, "tanh", kernel_regularizer=L1L2(0.1, 0.1)), Dense(3)],
    "factors": [
        Dense(9, "tanh", trainable=False),
        Dense(9, "tanh", learning_rate_multiplier=0.5, kernel_regularizer=L2(0.1)),
        Dense(3, learning_rate_multiplier=2),
    ],
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("name", LAYERS)
def test_apply_of_the_gradient_is_a_step_of_batch_mode(optimizer, name):
    model, other = model_for(LAYERS[name], optimizer), model_for(LAYERS[name], optimizer)
    for _ in range(4):
        model.apply(model.gradient(X, Y))
        other.fit(X, Y, mode="batch")
    for actual, wanted in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-10)


def test_apply_may_take_a_gradient_of_other_types_and_more_names():
    model, other = model_for(), model_for()
    gradient = model.gradient(X, Y)
    model.apply(gradient)
    other.apply({"loss": "low"} | {name: g.tolist() for name, g in gradient.items()})
    assert bits(model)[0] == bits(other)[0]


@pytest.mark.parametrize(
    "optimizer",
    [AdamW(0.1, weight_decay=0.5), SGD(0.1, momentum=0.9, use_ema=True, clipnorm=1.0)],
    ids=repr,
)
def test_layers_that_are_not_trained_do_not_move(optimizer):
    layers = [Dense(9, "tanh"), Dense(8, "tanh", trainable=False), Dense(3)]
    model = model_for(layers, optimizer)
    before = model.get_weights()
    for _ in range(3):
        model.apply(model.gradient(X, Y))
    moved = [(a != b).any() for a, b in zip(model.get_weights(), before, strict=True)]
    assert moved == [True, True, False, False, True, True]
    gradient = model.gradient(X, Y)
    assert np.abs(gradient["dL/dW2"]).max() > 0


WRONG = [
    ({"dL/dW1": None}, "gradient has no 'dL/dW1'; expected dL/dW1, dL/db1, dL/dW2, dL/db2"),
    ({"dL/db2": None}, "gradient has no 'dL/db2'"),
    ({"dL/db2": np.zeros(4)}, r"dL/db2 has shape \(4,\); expected \(3,\)"),
    ({"dL/dW2": np.zeros((3, 9))}, r"dL/dW2 has shape \(3, 9\); expected \(9, 3\)"),
    ({"dL/db2": [0, np.nan, 0]}, "dL/db2 holds NaN"),
    ({"dL/db2": [0, 0, np.inf]}, "dL/db2 holds NaN or inf"),
    ({"dL/db2": [0, 0, 1e300]}, "dL/db2 .*too large for float32"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_no_gradient_is_refused_and_all_stays_as_it_was(change, message):
    model = model_for(optimizer=Adam(0.01), dtype="float32")
    model.apply(model.gradient(X, Y))
    model.forward(X)
    before, expected = bits(model), model.backward(DL_DY)
    gradient = {name: g for name, g in (expected | change).items() if g is not None}
    with pytest.raises(ValueError, match=message):
        model.apply(gradient)
    assert bits(model) == before
    again = model.backward(DL_DY)  # what went forward still waits
    np.testing.assert_array_equal(again["dL/dW1"], expected["dL/dW1"])


HUGE = {
    "weights": (SGD(1e10), 1e30),
    "weights with momentum": (SGD(1e10, momentum=0.9), 1e30),
    "Adam's mean of squares, but not yet the weights": (Adam(0.01), 1e30),
    "Adagrad's sum of squares, but not yet the weights": (Adagrad(0.01), 1e30),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_step_out_of_the_finite_numbers_leads_back(name):
    optimizer, size = HUGE[name]
    model = model_for(optimizer=optimizer, dtype="float32")
    gradient = {name: 1e-9 * g for name, g in model.gradient(X, Y).items()}
    learner_of(model).optimizer_state(learner_of(model).network)
    seen = [bits(model)]
    model.apply(gradient)
    seen.append(bits(model))
    with pytest.raises(FloatingPointError, match="no longer finite. The model goes back"):
        model.apply({name: np.full_like(g, size) for name, g in gradient.items()})
    assert bits(model) in seen
    model.apply(gradient)  # goes on as if nothing had been
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize("optimizer", [LBFGS(), SGD("auto")], ids=repr)
def test_optimisers_that_look_for_their_own_steps_are_refused(optimizer):
    model = model_for(optimizer=optimizer)
    before = bits(model)
    with pytest.raises(ValueError, match="looks for the length of its steps itself"):
        model.apply(model.gradient(X, Y))
    assert bits(model) == before


# ---- backward refused ---------------------------------------------------------------------------

CHANGES = {
    "set_weights": lambda model: model.set_weights(model.get_weights()),
    "fit": lambda model: model.fit(X, Y),
    "apply": lambda model: model.apply(model.gradient(X, Y)),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
}


@pytest.mark.parametrize("name", CHANGES)
def test_backward_is_refused_once_the_weights_have_changed(name):
    model = model_for()
    model.forward(X)
    CHANGES[name](model)
    with pytest.raises(ValueError, match="nothing has gone forward since the weights last changed"):
        model.backward(DL_DY)


def test_backward_is_refused_after_single_rows_too():
    model = model_for([Dense(1)])
    row = X[:1].copy()
    model.train_on_batch(row, 1.0)  # the first makes the short way
    for _ in range(2):
        model.forward(X)
        model.train_on_batch(row, 1.0)
        with pytest.raises(ValueError, match="nothing has gone forward"):
            model.backward(np.ones((N_ROWS, 1)))


def test_backward_is_refused_without_forward():
    model = model_for()
    with pytest.raises(ValueError, match=r"call y = model\.forward\(X\)"):
        model.backward(DL_DY)


@pytest.mark.parametrize(
    ("dL_dy", "message"),
    [
        (DL_DY[:5], r"dL_dy has shape \(5, 3\); expected \(40, 3\)"),
        (DL_DY[:, 0], r"dL_dy has shape \(40,\); expected \(40, 3\)"),
        (DL_DY * np.nan, "dL_dy holds NaN"),
    ],
)
def test_backward_refuses_what_is_no_gradient(dL_dy, message):
    model = model_for()
    model.forward(X)
    with pytest.raises(ValueError, match=message):
        model.backward(dL_dy)
    assert np.isfinite(model.backward(DL_DY)["dL/dW1"]).all()


def test_flags_are_flags():
    model = model_for()
    with pytest.raises(TypeError, match="training='yes'"):
        model.forward(X, training="yes")
    model.forward(X)
    with pytest.raises(TypeError, match="inputs=2"):
        model.backward(DL_DY, inputs=2)


def test_what_moves_no_weight_leaves_the_pass():
    model = model_for()
    model.forward(X)
    expected = model.backward(DL_DY)["dL/dW1"]
    model.predict(2 * X), model.evaluate(2 * X, Y), model.gradient(2 * X, Y)
    model.find_learning_rate(2 * X, Y, n_steps=5)
    np.testing.assert_array_equal(model.backward(DL_DY)["dL/dW1"], expected)


def test_an_output_that_overflows_is_an_error_and_the_pass_before_stays():
    model = model_for([Dense(3, kernel_initializer="ones")], dtype="float32")
    model.forward(X)
    with pytest.raises(FloatingPointError, match="too large for float32"):
        model.forward(np.full((2, 5), 3e38))
    np.testing.assert_allclose(model.backward(DL_DY)["dL/dW1"], X.T @ DL_DY, rtol=1e-4)


def test_three_calls_train_without_a_loss():
    model = Sequential([Dense(16, "tanh"), Dense(3)], seed=0)
    model.compile(Adam(0.02))
    model.build(5)
    costs = []
    for _ in range(200):
        error = model.forward(X) - Y
        costs.append(float(np.mean(error**2)))
        model.apply(model.backward(2 * error / error.size))
    assert costs[-1] < costs[0] / 20


class PassesOn(Callback):
    """Lets rows go forward in the middle of a fit."""

    def on_epoch_begin(self, epoch, logs):
        self.model.forward(X)


def test_rows_that_went_forward_in_a_callback_wait_no_longer():
    model = Sequential([Dense(3)], seed=0)
    model.compile("SGD", "mse")
    model.fit(X, X[:, :3], callbacks=[PassesOn()])
    with pytest.raises(ValueError, match="nothing has gone forward"):
        model.backward(np.ones((len(X), 3)))


def test_inputs_are_scaled_as_they_were_on_their_way_forward():
    layer = Normalization()
    layer.adapt(X)
    model = Sequential([layer, Dense(1)], seed=0)
    model.build(X.shape[1])
    model.forward(X)
    before = model.backward(np.ones((len(X), 1)), inputs=True)["dL/dX"]
    layer.adapt(10 * X)
    after = model.backward(np.ones((len(X), 1)), inputs=True)["dL/dX"]
    np.testing.assert_array_equal(after, before)


def test_a_gradient_that_overflows_is_refused():
    model = Sequential([Dense(1)], seed=0)
    model.build(X.shape[1])
    model.forward(X)
    with pytest.raises(FloatingPointError, match="the gradient is too large"):
        model.backward(np.full((len(X), 1), 3e38))
