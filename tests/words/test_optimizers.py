"""Every optimiser in every mode and build, with all options of a step, against the oracle."""

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    assert_close,
    assert_same_weights,
    descent_for,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
)

from fastnn import SGD, Adagrad, Adam, AdamW, Dense, RMSprop, Sequential, load
from fastnn.engine.gradient_descent import adopt_average
from fastnn.engine.network import dropout_key
from fastnn.losses import LOSSES
from fastnn.models import learner_of
from fastnn.native.team import Team
from fastnn.schedules import ExponentialDecay

ACTIVATIONS, LOSS = ["tanh", "relu", "linear"], "mean_squared_error"
BATCH_SIZES = {"stochastic": 1, "minibatch": 16, "batch": 50}  # of 50 rows: 16 leaves a short one
EPOCHS = 3

RATES = {SGD: 0.01, Adagrad: 0.01}  # where steps are long, rounding decides the sign of a weight
OPTIMIZERS = {
    "SGD": (SGD, {}),
    "momentum": (SGD, {"momentum": 0.9}),
    "Nesterov": (SGD, {"momentum": 0.8, "nesterov": True}),
    "Adam": (Adam, {}),
    "AMSGrad": (Adam, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "amsgrad": True}),
    "AdamW": (AdamW, {"weight_decay": 0.1}),
    "RMSprop": (RMSprop, {}),
    "RMSprop with momentum": (RMSprop, {"rho": 0.8, "momentum": 0.5}),
    "Adagrad": (Adagrad, {}),
}
LAYERS = {"l1": (0.01, 0.0, 0.02), "l2": (0.01, 0.02, 0.0)}
DROPOUT = (0.2, 0.0, 0.5)
FROZEN = (0.5, 0.0, 2.0)
MIXES = {  # settings of the optimiser, of the layers, and dropout
    "plain": ({}, {}, None),
    "schedule": ({"learning_rate": "schedule"}, {}, None),
    "weight decay": ({"learning_rate": "schedule", "weight_decay": 0.1}, {}, None),
    "clipvalue": ({"clipvalue": 1.0}, LAYERS, None),
    "clipnorm": ({"clipnorm": 1.5}, LAYERS, None),
    "global_clipnorm": ({"global_clipnorm": 2.0}, {"factors": FROZEN}, None),
    "average": ({"use_ema": True, "ema_momentum": 0.9}, {}, None),
    "penalties": ({}, LAYERS, None),
    "factors": ({}, {"factors": FROZEN}, None),
    "penalties and factors": ({}, LAYERS | {"factors": (0.5, 1.0, 2.0)}, None),
    "dropout": ({}, {}, DROPOUT),
    "all": (
        {"learning_rate": "schedule", "weight_decay": 0.1, "global_clipnorm": 2.0, "use_ema": True},
        LAYERS | {"factors": FROZEN},
        DROPOUT,
    ),
}
MATRIX = tuple(MIXES)
MIXES["mean"] = {"use_ema": True, "ema_momentum": None}, {}, None
each_mode = pytest.mark.parametrize("mode", BATCH_SIZES)
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def start(build, sizes, name, mix):
    """Return a network, its rows and the descent on them, equal at every call."""
    cls, settings = OPTIMIZERS[name]
    more, layers, dropout = MIXES[mix]
    network = make_network(build, sizes, ACTIVATIONS, **layers, dropout=dropout)
    X, y = make_rows(network, LOSS, 50)
    rate = RATES.get(cls, 0.002)
    if "learning_rate" in more:
        rate = ExponentialDecay(2 * rate, 10, 0.9)
    optimizer = cls(**(settings | more | {"learning_rate": rate}))
    descent = descent_for(network, optimizer, LOSSES[LOSS](), make_data(network, LOSS, X, y))
    return network, X, y, descent


def oracle(network, X, y, descent, mode, layers, dropout):
    """Return weights, losses and rule (with its state) of the oracle after some epochs."""
    optimizer, weights, losses = descent.optimizer, oracle_weights(network), []
    rule = reference.rule_for(optimizer, **layers)
    rate = optimizer.learning_rate
    for _ in range(EPOCHS):
        drop = None if dropout is None else (dropout_key(descent.seed, rule.t), dropout)
        weights, L = reference.descend(
            weights, ACTIVATIONS, LOSS, X, y, rate, BATCH_SIZES[mode], range(50), rule=rule,
            dropout=drop,
        )  # fmt: skip
        losses.append(L)
    return weights, losses, rule


NARROW = [("plain", (4, 7, 5, 3)), ("dropout", (4, 7, 5, 3)), ("all", (4, 7, 5, 3))]


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@each_mode
@each_optimizer
@pytest.mark.parametrize(("mix", "sizes"), [(mix, (4, 9, 5, 3)) for mix in MATRIX] + NARROW)
def test_every_step_agrees_with_the_oracle(build, mode, name, mix, sizes):
    _, layers, dropout = MIXES[mix]
    network, X, y, descent = start(build, sizes, name, mix)
    expected, losses, rule = oracle(network, X, y, descent, mode, layers, dropout)
    for L in losses:
        *_, last = descent.epoch(None, BATCH_SIZES[mode])
        assert_close(last.total / 50, L, network.dtype, factor=20)
    assert_same_weights(network, expected, factor=20)
    assert descent.state.clipped == rule.clipped_steps
    if descent.optimizer.use_ema:
        adopt_average(network, descent.optimizer, descent.state)
        expected = [rule.average.get(i, W) for i, W in enumerate(expected)]
        assert_same_weights(network, expected, factor=20)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@each_mode
@each_optimizer
@pytest.mark.parametrize("mix", ["clipnorm", "all"])
def test_weights_are_bit_identical_on_any_number_of_threads(build, mode, name, mix):
    results = []
    for threads in (1, 3):
        network, _, _, descent = start(build, (20, 70, 40, 3), name, mix)
        descent.team = Team(threads)
        with descent.team:
            for _ in range(EPOCHS):
                list(descent.epoch(None, BATCH_SIZES[mode]))
        results.append((network.parameters, descent.state.slots, descent.state.clipped))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@each_mode
@pytest.mark.parametrize("sizes", [(4, 9, 5, 3), (30, 90, 70, 3)])  # the second keeps W as it is
@pytest.mark.parametrize("hidden", ["softmax", "relu", "gelu"])
def test_dropout_above_any_activation(build, mode, sizes, hidden):
    """Softmax included, whose derivative is not elementwise."""
    activations, rates = [hidden, hidden, "linear"], (0.0, 0.4, 0.3)
    network = make_network(build, sizes, activations, dropout=rates)
    X, y = make_rows(network, LOSS, 50)
    optimizer = SGD(0.01)
    descent = descent_for(network, optimizer, LOSSES[LOSS](), make_data(network, LOSS, X, y))
    drop = dropout_key(0, 0), rates
    expected, L = reference.descend(
        oracle_weights(network), activations, LOSS, X, y, 0.01, BATCH_SIZES[mode], range(50),
        dropout=drop,
    )  # fmt: skip
    *_, last = descent.epoch(None, BATCH_SIZES[mode])
    assert_close(last.total / 50, L, network.dtype, factor=20)
    assert_same_weights(network, expected, factor=20)


def test_clipping_is_not_always_on_nor_always_off():
    """Otherwise the matrix of cases above would not test the limit of clipping."""
    for mix in ("clipvalue", "clipnorm", "global_clipnorm"):
        _, layers, dropout = MIXES[mix]
        network, X, y, descent = start(BUILDS[0], (4, 9, 5, 3), "SGD", mix)
        *_, rule = oracle(network, X, y, descent, "stochastic", layers, dropout)
        assert 0 < rule.clipped_steps < rule.t


# Two by two weights and two biases after three steps along GRADIENTS: the results of
# Keras 3.15 in float64, rounded to 12 places.
W, B = [[0.5, -0.25], [1.0, -2.0]], [0.1, -0.3]
GRADIENTS = [
    ([[1.0, -2.0], [0.25, 3.0]], [0.5, -1.5]),
    ([[-0.5, 1.0], [2.0, 0.125]], [1.0, 0.75]),
    ([[0.3, 0.2], [-1.0, -4.0]], [-0.2, 0.4]),
]
KERAS = [
    (SGD(0.1), [0.42, -0.17, 0.875, -1.9125, -0.03, -0.265]),
    (SGD(0.1, momentum=0.9), [0.294, 0.082, 0.65225, -2.43675, -0.2055, -0.076]),
    (
        SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        [0.2233905, 0.12894325, 0.53727175, -2.2321625, -0.3037246, -0.0599512],
    ),
    (SGD(0.1, clipvalue=1.0), [0.42, -0.27, 0.975, -2.0125, -0.03, -0.315]),
    (
        SGD(0.1, clipnorm=1.0),
        [
            0.487874314726,
            -0.24507771488,
            0.930337136406,
            -1.988801919966,
            0.008377223398,
            -0.305131670195,
        ],
    ),
    (
        SGD(0.1, momentum=0.5, global_clipnorm=2.0),
        [
            0.456989548665,
            -0.202413550041,
            0.796927597647,
            -2.08018263171,
            -0.048199614577,
            -0.276320929003,
        ],
    ),
    (
        Adam(0.1),
        [
            0.336914024753,
            -0.108556679569,
            0.789380560335,
            -2.151424636825,
            -0.158703346524,
            -0.168174846962,
        ],
    ),
    (
        Adam(0.1, amsgrad=True, epsilon=0.01),
        [
            0.374639537322,
            -0.127340189937,
            0.859877774322,
            -2.136319499646,
            -0.08513025726,
            -0.190617836557,
        ],
    ),
    (
        AdamW(0.1, weight_decay=0.2),
        [
            0.312002684802,
            -0.098347346634,
            0.736175439184,
            -2.02844770032,
            -0.158693812978,
            -0.155025111688,
        ],
    ),
    (
        RMSprop(0.1),
        [
            0.241771604799,
            -0.112148621184,
            0.516384578625,
            -2.068077394628,
            -0.442771284682,
            -0.211394825598,
        ],
    ),
    (
        RMSprop(0.1, rho=0.5, momentum=0.5, epsilon=0.01),
        [
            0.314903659991,
            -0.147842843948,
            0.654973044964,
            -2.127347500138,
            -0.300541559045,
            -0.2312689167,
        ],
    ),
    (
        Adagrad(0.1),
        [
            0.422686892975,
            -0.204329407124,
            0.883965921073,
            -2.023773548737,
            -0.053617928811,
            -0.268917611362,
        ],
    ),
    (
        Adam(ExponentialDecay(0.1, 2, 0.5), weight_decay=0.1),
        [
            0.353281219262,
            -0.119581300683,
            0.807256458625,
            -2.094937547098,
            -0.099987604242,
            -0.173294644887,
        ],
    ),
]
KERAS_AVERAGE = [0.4225, -0.135, 0.875, -2.109375, -0.015, -0.22625]  # SGD(0.1), ema_momentum 0.5


def stepped(optimizer):
    """A model after the three steps."""
    model = Sequential([Dense(2)], dtype="float64")
    model.compile(optimizer)
    model.build(2)
    model.set_weights([W, B])
    for dW, db in GRADIENTS:
        model.apply({"dL/dW1": dW, "dL/db1": db})
    return model


@pytest.mark.parametrize(("optimizer", "expected"), KERAS, ids=lambda case: str(case)[:60])
def test_steps_are_those_of_keras(optimizer, expected):
    weights = np.concatenate([array.ravel() for array in stepped(optimizer).get_weights()])
    np.testing.assert_allclose(weights, expected, rtol=0, atol=2e-12)


def test_the_average_is_that_of_keras():
    model = stepped(SGD(0.1, use_ema=True, ema_momentum=0.5))
    average = learner_of(model).network.views(learner_of(model).state.slots[-1]).values()
    average = np.concatenate([array.ravel() for array in average])
    np.testing.assert_allclose(average, KERAS_AVERAGE, rtol=0, atol=2e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.1)], ids=repr)
def test_without_a_momentum_the_average_is_the_mean_after_all_steps(optimizer, dtype, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    made = type(optimizer)(0.1, use_ema=True, ema_momentum=None)
    models = [Sequential([Dense(4, "tanh"), Dense(1)], dtype=dtype, seed=0) for _ in range(2)]
    for model, rule in zip(models, (made, optimizer), strict=True):
        model.compile(rule, "mse")
        model.build(3)
    averaged, plain = models
    visited = []
    for i in range(0, 40, 5):
        averaged.train_on_batch(X[i : i + 5], X[i : i + 5, 0])
        plain.train_on_batch(X[i : i + 5], X[i : i + 5, 0])
        visited.append(plain.get_weights())
        if i == 10:  # a file keeps mean and number
            averaged.save(tmp_path / "model.npz")
            averaged = load(tmp_path / "model.npz")
            assert averaged.optimizer == made
    averaged.adopt_average()
    for mean, weights in zip(averaged.get_weights(), zip(*visited, strict=True), strict=True):
        assert_close(mean, np.mean(weights, axis=0, dtype=np.float64), dtype)


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
@each_mode
def test_the_mean_of_the_weights_agrees_with_the_oracle(build, mode):
    network, X, y, descent = start(build, (4, 9, 5, 3), "Adam", "mean")
    expected, _, rule = oracle(network, X, y, descent, mode, {}, None)
    for _ in range(EPOCHS):
        list(descent.epoch(None, BATCH_SIZES[mode]))
    assert_same_weights(network, expected, factor=20)
    adopt_average(network, descent.optimizer, descent.state)
    assert_same_weights(network, [rule.average[i] for i in range(6)], factor=20)


def test_the_momentum_of_an_average_is_below_one():
    for wrong in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="ema_momentum"):
            SGD(use_ema=True, ema_momentum=wrong)
    assert repr(SGD(use_ema=True, ema_momentum=None)).endswith("ema_momentum=None)")


@pytest.mark.parametrize("beta_2", [0.99, 0.999, 0.9999])
def test_the_means_of_adam_take_their_exact_share_in_float32(beta_2):
    model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(Adam(0.1, beta_2=beta_2, epsilon=1e-30), "mse")
    model.fit([[1.0]], [1.0])
    # the first step is as long as the rate; 1 - 0.999 in float32 would be off by 5e-5
    np.testing.assert_allclose(model.get_weights()[0], 0.1, rtol=5e-7)
