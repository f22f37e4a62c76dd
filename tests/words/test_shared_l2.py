"""SharedL2 and losses divided by sample weights: every method computes one and the same L."""

import copy
import pickle

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    assert_central_differences,
    assert_close,
    assert_same_weights,
    descent_for,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
)

from fastnn import (
    L1,
    L2,
    LBFGS,
    SGD,
    Adam,
    BinaryCrossentropy,
    Callback,
    CategoricalCrossentropy,
    Dense,
    MeanSquaredError,
    Sequential,
    SharedL2,
    load,
)
from fastnn.engine.gradient_descent import adopt_average
from fastnn.engine.network import dropout_key
from fastnn.files.config import from_config, to_config
from fastnn.losses import LOSSES
from fastnn.models import learner_of
from fastnn.native.team import Team

BY_WEIGHT = "mean_with_sample_weight"
ACTIVATIONS = ["tanh", "relu", "linear"]
LOSS = MeanSquaredError(reduction=BY_WEIGHT)
N_ROWS, EPOCHS = 50, 2
MODES = {  # batch size, rows in a slice; 16 leaves a short batch of two rows
    "stochastic": (1, None),
    "minibatch": (16, None),
    "minibatch in slices": (40, 16),
    "batch": (N_ROWS, None),
    "batch in slices": (N_ROWS, 16),
}
USUAL, NARROW, BLOCKED = (4, 9, 5, 3), (4, 7, 5, 3), (30, 40, 5, 3)
ALPHA = {"alpha": (0.5, 0.0, 2.0)}
CASES = {  # widths, optimiser, what the layers have, dropout
    "plain": (USUAL, SGD(0.01), {}, None),
    "plain, narrow": (NARROW, SGD(0.01), {}, None),
    "alpha": (USUAL, SGD(0.01), ALPHA, None),
    "alpha, narrow": (NARROW, SGD(0.01), ALPHA, None),
    "alpha, blocks": (BLOCKED, SGD(0.01), ALPHA, None),
    "momentum": (BLOCKED, SGD(0.01, 0.9), ALPHA, None),
    "Nesterov, L1, L2": (
        USUAL,
        SGD(0.01, 0.8, nesterov=True),
        {"alpha": (0.0, 0.5, 0.0), "l1": (0.01, 0.0, 0.0), "l2": (0.0, 0.0, 0.02)},
        None,
    ),
    "Adam, factors": (USUAL, Adam(0.002), ALPHA | {"factors": (0.0, 1.0, 2.0)}, None),
    "clipped, mean": (
        USUAL,
        SGD(0.01, global_clipnorm=1.0, use_ema=True, ema_momentum=None),
        ALPHA,
        None,
    ),
    "dropout": (USUAL, SGD(0.01), ALPHA, (0.2, 0.0, 0.5)),
}
each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
each_mode = pytest.mark.parametrize("mode", MODES)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def start(build, case, mode, weights=None, loss=LOSS):
    """Return a network, its rows and the descent on them, equal at every call."""
    sizes, optimizer, layers, dropout = CASES[case]
    network = make_network(build, sizes, ACTIVATIONS, **layers, dropout=dropout)
    X, y = make_rows(network, loss, N_ROWS)
    if rows := MODES[mode][1]:
        network.slice_rows = network.block = rows
    data = make_data(network, loss, X, y, weights)
    return network, X, y, descent_for(network, copy.deepcopy(optimizer), loss, data)


def weights_with_zeros():
    return np.random.default_rng(3).integers(0, 4, N_ROWS) / 2


# ---- steps and losses, by the oracle ------------------------------------------------------------


@each_build
@each_mode
@pytest.mark.parametrize("case", CASES)
def test_weights_and_loss_agree_with_the_oracle(build, case, mode):
    weights, order = weights_with_zeros(), np.random.default_rng(0).permutation(N_ROWS)
    network, X, y, descent = start(build, case, mode, weights)
    *_, layers, dropout = CASES[case]
    optimizer, (size, _) = descent.optimizer, MODES[mode]
    expected, rule = oracle_weights(network), reference.rule_for(optimizer, **layers)
    for _ in range(EPOCHS):
        drop = None if dropout is None else (dropout_key(descent.seed, rule.t), dropout)
        visited = range(N_ROWS) if size == N_ROWS else order
        expected, L = reference.descend(
            expected, ACTIVATIONS, LOSS, X, y, optimizer.learning_rate, size, visited, weights,
            rule, drop,
        )  # fmt: skip
        *_, last = descent.epoch(order, size)
        assert_close(last.total / N_ROWS, L, network.dtype, factor=20)
    assert_same_weights(network, expected, factor=20)
    if optimizer.use_ema:
        adopt_average(network, optimizer, descent.state)
        expected = [rule.average.get(i, W) for i, W in enumerate(expected)]
        assert_same_weights(network, expected, factor=20)


@each_build
@pytest.mark.parametrize("mode", ["minibatch", "batch", "batch in slices"])
def test_a_batch_without_weight_makes_no_step(build, mode):
    weights = np.ones(N_ROWS)
    weights[16:32] = 0
    for idle in (weights, np.zeros(N_ROWS)):
        network, X, y, descent = start(build, "alpha", mode, idle)
        size, start_weights = MODES[mode][0], oracle_weights(network)
        rule = reference.rule_for(descent.optimizer, **ALPHA)
        expected, L = reference.descend(
            start_weights, ACTIVATIONS, LOSS, X, y, 0.01, size, range(N_ROWS), idle, rule
        )
        *_, last = descent.epoch(None, size)
        assert_close(last.total / N_ROWS, L, network.dtype, factor=20)
        assert_same_weights(network, expected, factor=20)
        assert descent.state.step == rule.t == (0 if not idle.any() else 1 if size > 16 else 3)


@each_build
@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
def test_without_weights_both_reductions_agree(build, mode):
    found = []
    for loss in (LOSS, MeanSquaredError()):
        network, *_, descent = start(build, "momentum", mode, loss=loss)
        *_, last = descent.epoch(None, MODES[mode][0])
        found.append((last.total, network.parameters.tobytes()))
    assert found[0] == found[1]


@each_build
@pytest.mark.parametrize("mode", ["minibatch", "batch"])
def test_twice_the_weights_are_the_same_weights_except_in_single_rows(build, mode):
    weights, found = weights_with_zeros(), []
    for factor in (1, 2):
        network, *_, descent = start(build, "plain", mode, factor * weights)
        *_, last = descent.epoch(None, MODES[mode][0])
        found.append((last.total, network.parameters.tobytes()))
    assert found[0] == found[1]
    network, *_, descent = start(build, "plain", "stochastic", 2 * weights)
    list(descent.epoch(None, 1))
    other, *_, descent = start(build, "plain", "stochastic", weights)
    descent.optimizer.learning_rate = 0.02
    list(descent.epoch(None, 1))
    assert_same_weights(network, oracle_weights(other))


@each_build
@each_mode
@pytest.mark.parametrize("case", ["alpha, blocks", "clipped, mean"])
def test_weights_are_bit_identical_on_any_number_of_threads(build, case, mode):
    found = []
    for threads in (1, 2):
        network, *_, descent = start(build, case, mode, weights_with_zeros())
        descent.team = Team(threads)
        with descent.team:
            *_, last = descent.epoch(None, MODES[mode][0])
        found.append((last.total, network.parameters.tobytes(), descent.state.slots.tobytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("weighted", [True, False])
def test_the_gradient_is_that_of_the_weighted_mean(weighted):
    network = make_network(("base", "float64"), (3, 5, 2), ["tanh", "linear"])
    X, y = make_rows(network, LOSS, 6)
    data = make_data(network, LOSS, X, y, np.arange(6.0) if weighted else None)
    plain = MeanSquaredError().divisor(data.sample_weight, 6)
    factor = (np.arange(6).sum() if weighted else plain) / plain
    weighed = data._replace(sample_weight=data.sample_weight / factor)
    gradient = network.gradient(data, LOSS)
    np.testing.assert_allclose(gradient, network.gradient(weighed, MeanSquaredError()), rtol=1e-9)
    assert_central_differences(network, weighed, MeanSquaredError())


# ---- as a user sees them ------------------------------------------------------------------------


X = np.random.default_rng(0).normal(size=(60, 4))
Y = X[:, 0] * X[:, 1] + X[:, 2]
W = np.random.default_rng(1).integers(0, 4, 60) / 2.0


def model_for(optimizer="SGD", alpha=0.5, *, layers=None, loss=LOSS, metrics=None, dtype="float64"):
    shared = SharedL2(alpha) if alpha else None
    layers = layers or [Dense(9, "tanh", kernel_regularizer=shared), Dense(1)]
    model = Sequential(layers, seed=1, dtype=dtype)
    model.compile(optimizer, loss, metrics)
    model.build(4)
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def L_of(model, X, y, w, alpha=0.5):
    """Compute sum w l / sum w + alpha/2 sum W1^2 / sum w from its definition."""
    squares = (model.predict(X)[:, 0] - y) ** 2
    return (w @ squares + alpha / 2 * np.sum(model.get_weights()[0] ** 2)) / w.sum()


def test_evaluate_history_and_searches_begin_with_the_same_L():
    L = L_of(model_for(), X, Y, W)
    assert model_for().evaluate(X, Y, sample_weight=W) == pytest.approx(L, rel=1e-12)
    for optimizer in (SGD(0.1), SGD("auto"), LBFGS()):
        if isinstance(optimizer, LBFGS):
            pytest.importorskip("scipy")
        model = model_for(optimizer)
        history = model.fit(
            X, Y, sample_weight=W, mode="batch", epochs=5, validation_data=(X, Y, W)
        ).history
        assert history["loss"][0] == pytest.approx(L, rel=1e-12)
        assert history["val_loss"][-1] == pytest.approx(L_of(model, X, Y, W), rel=1e-12)
        if optimizer.compares_costs:  # what a step reaches is what the next one begins with
            assert history["val_loss"][:-1] == pytest.approx(history["loss"][1:], rel=1e-12)
            assert history["loss"] == sorted(history["loss"], reverse=True)


def test_the_gradient_is_that_of_evaluate():
    model, step = model_for(), 1e-6
    weights, found = model.get_weights(), model.gradient(X, Y, sample_weight=W)["dL/dW1"]
    for place in [(0, 0), (3, 8)]:
        losses = []
        for sign in (1, -1):
            moved = [array.copy() for array in weights]
            moved[0][place] += sign * step
            model.set_weights(moved)
            losses.append(model.evaluate(X, Y, sample_weight=W))
        slope = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(found[place], slope, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [SGD("auto"), LBFGS(), SGD(0.1)], ids=repr)
def test_all_optimisers_find_the_weighted_ridge_solution(optimizer):
    """sum w (x v - y)^2 + alpha/2 v^2 has its minimum at (2 X'wX + alpha) v = 2 X'wy."""
    if isinstance(optimizer, LBFGS):
        pytest.importorskip("scipy")
    layers = [Dense(1, use_bias=False, kernel_regularizer=SharedL2(8.0))]
    model = model_for(optimizer, layers=layers)
    model.fit(X, Y, sample_weight=W, mode="batch", epochs=200)
    best = np.linalg.solve(2 * X.T * W @ X + 8 * np.eye(4), 2 * X.T * W @ Y)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], best, atol=1e-5)


def test_the_loss_of_an_epoch_divides_the_penalty_batch_by_batch():
    """Tiny steps leave the weights as they are; L1 and L2 count once, at the epoch's beginning."""
    layers = [
        Dense(9, "tanh", kernel_regularizer=SharedL2(0.5)),
        Dense(5, "tanh", kernel_regularizer=L1(0.01)),
        Dense(1, kernel_regularizer=L2(0.02)),
    ]
    for batch_size, starts in ((32, (0, 32)), (60, (0,)), (1, range(60))):
        model = model_for(SGD(1e-12), layers=layers)
        _, _, W2, _, W3, _ = model.get_weights()
        total = 0.0
        for i in starts:
            rows = slice(i, i + batch_size)
            w = W[rows]
            if batch_size == 1:  # a multiple of the step: L is w l
                total += w.item() * (model.predict(X[rows]).item() - Y[i]) ** 2
                total += 0.25 * np.sum(model.get_weights()[0] ** 2)
            else:
                total += len(w) * L_of(model, X[rows], Y[rows], w)
        expected = total / 60 + 0.01 * np.abs(W2).sum() + 0.02 * np.sum(W3**2)
        history = model.fit(X, Y, sample_weight=W, batch_size=batch_size, shuffle=False).history
        assert history["loss"] == [pytest.approx(expected, rel=1e-9)]


def test_chunks_count_as_their_rows_even_one_that_is_a_single_row():
    model = model_for(SGD(1e-12), loss="mse")
    plain = model_for(alpha=0, loss="mse").evaluate(X, Y)
    borders = [0, 40, 59, 60]
    chunks = [(X[i:j], Y[i:j]) for i, j in zip(borders, borders[1:], strict=False)]
    history = model.fit(chunks, epochs=2).history
    expected = plain + 3 * 0.25 * np.sum(model.get_weights()[0] ** 2) / 60
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1), Adam(), SGD(0.1, use_ema=True), SGD(0.1, use_ema=True, ema_momentum=None)],
    ids=repr,
)
@pytest.mark.parametrize("idle", [0, 1, 2])
def test_rows_without_weight_train_as_if_they_were_not_there(optimizer, idle):
    """A running average, for example, starts with the first batch that has any weight."""
    rows = np.arange(60) // 20 != idle
    model, fewer = (model_for(optimizer) for _ in range(2))
    options = {"batch_size": 20, "shuffle": False, "epochs": 3}
    model.fit(X, Y, sample_weight=rows * 1.0, **options)
    fewer.fit(X[rows], Y[rows], **options)
    assert learner_of(model).state.step == learner_of(fewer).state.step == 6
    for one, other in zip(model.get_weights(), fewer.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_metrics_see_the_rows_without_weight():
    layers = [Dense(1, "sigmoid")]
    model = model_for(
        SGD(1e-12), layers=layers, loss=BinaryCrossentropy(reduction=BY_WEIGHT),
        metrics=["accuracy"],
    )  # fmt: skip
    weights = np.repeat([0.0, 1.0, 1.0], 20)
    history = model.fit(X, Y > 0, sample_weight=weights, batch_size=20).history
    assert history["accuracy"] == [model.evaluate(X, Y > 0)[1]]


@each_dtype
@pytest.mark.parametrize("batch_size", [1, 16, 60])
def test_weights_are_bit_identical_with_and_without_batch_callbacks(dtype, batch_size):
    class Look(Callback):
        def on_train_batch_end(self, batch, logs):
            pass

    found = []
    for callbacks in ([], [Look()]):
        model = model_for(SGD(0.05), dtype=dtype)
        options = {"batch_size": batch_size, "epochs": 2, "callbacks": callbacks}
        history = model.fit(X, Y, sample_weight=W, **options).history
        found.append((history["loss"], bits(model)))
    assert found[0] == found[1]


@pytest.mark.parametrize("copied", ["pickle", "copy", "file"])
def test_copies_and_files_keep_reduction_and_alpha(copied, tmp_path):
    model = model_for(Adam())
    model.fit(X, Y, sample_weight=W, epochs=2)
    model.save(tmp_path / "model.npz")
    twin = {
        "pickle": lambda: pickle.loads(pickle.dumps(model)),
        "copy": lambda: copy.deepcopy(model),
        "file": lambda: load(tmp_path / "model.npz"),
    }[copied]()
    assert twin.layers == model.layers
    assert twin.layers[0].alpha == 0.5
    assert learner_of(twin).loss == LOSS != MeanSquaredError()
    histories = [one.fit(X, Y, sample_weight=W, epochs=2).history["loss"] for one in (model, twin)]
    assert histories[0] == histories[1]
    assert bits(model) == bits(twin)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_takes_a_reduction(name):
    loss = LOSSES[name](reduction=BY_WEIGHT)
    assert from_config(to_config(loss)) == loss != LOSSES[name]()
    weights = np.array([0.5, 0.0, 2.5])
    assert (loss.divisor(weights, 3), LOSSES[name]().divisor(weights, 3)) == (3.0, 3)
    assert loss.divisor(weights[:0], 7) == 7
    with pytest.raises(ValueError, match=r"reduction='mean'.*mean_with_sample_weight"):
        LOSSES[name](reduction="mean")


def test_class_weights_count_as_sample_weights():
    loss = CategoricalCrossentropy(reduction=BY_WEIGHT)
    labels, share = np.arange(60) % 3, np.array([1.0, 2.0, 0.5])
    models = [model_for(alpha=0, layers=[Dense(3, "softmax")], loss=loss) for _ in range(2)]
    models[0].fit(X, labels, class_weight=dict(enumerate(share)))
    models[1].fit(X, labels, sample_weight=share[labels])
    assert bits(models[0]) == bits(models[1])


def test_a_custom_loss_shares_as_the_built_in_one_does():
    def squared(y_true, y_pred):
        e = y_pred - y_true.reshape(y_pred.shape)
        return (e**2).mean(), 2 * e / e.size

    models = [model_for(SGD(0.05), loss=loss) for loss in ("mse", squared)]
    for batch_size in (16, 60):
        options = {"batch_size": batch_size, "epochs": 2}
        histories = [model.fit(X, Y, **options).history["loss"] for model in models]
        np.testing.assert_allclose(*histories, rtol=1e-12)
    assert models[0].evaluate(X, Y) == pytest.approx(models[1].evaluate(X, Y), rel=1e-12)
    gradients = [model.gradient(X, Y)["dL/dW1"] for model in models]
    np.testing.assert_allclose(*gradients, rtol=1e-9, atol=1e-12)


def test_backward_and_apply_are_a_batch():
    model, trained = (model_for(SGD(0.1), loss="mse") for _ in range(2))
    error = model.forward(X) - Y[:, None]
    model.apply(model.backward(2 * error / 60))
    trained.train_on_batch(X, Y)
    for one, other in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_alpha_is_a_number_of_at_least_zero():
    assert Dense(3, kernel_regularizer="shared_l2").alpha == 0.0001
    assert Dense(3, kernel_regularizer=L2(0.1)).alpha == Dense(3).alpha == 0
    for wrong in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="alpha"):
            SharedL2(wrong)
    with pytest.raises(TypeError, match="alpha"):
        SharedL2("much")


def test_a_step_is_that_of_scikit_learn():
    neural = pytest.importorskip("sklearn.neural_network")
    peer = neural.MLPRegressor(
        hidden_layer_sizes=(9,), activation="tanh", solver="sgd", alpha=0.5, momentum=0.0,
        learning_rate_init=0.05, batch_size=16, shuffle=False, random_state=0,
    )  # fmt: skip
    peer.partial_fit(X[:16], Y[:16])  # draws the weights
    layers = [Dense(n, f, kernel_regularizer=SharedL2(0.5)) for n, f in ((9, "tanh"), (1, None))]
    model = model_for(SGD(0.05), layers=layers, loss="half_squared_error")
    pairs = zip(peer.coefs_, peer.intercepts_, strict=True)
    model.set_weights([array for pair in pairs for array in pair])
    peer.partial_fit(X, Y)
    history = model.fit(X, Y, batch_size=16, shuffle=False).history
    for k in range(2):
        np.testing.assert_allclose(model.get_weights()[2 * k], peer.coefs_[k], rtol=1e-9)
    assert history["loss"] == [pytest.approx(peer.loss_, rel=1e-12)]
