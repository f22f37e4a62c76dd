"""The paths of per-sample descent: each against the oracle, in every build; which one is taken."""

import numpy as np
import pytest
import reference
from networks import (
    BUILDS,
    PAIRS,
    descent_for,
    make_data,
    make_network,
    make_rows,
    oracle_weights,
)

from fastnn import SGD, Adagrad, Adam, AdamW, Dense, RMSprop, Sequential
from fastnn._core import PATHS
from fastnn.engine.gradient_descent import new_state
from fastnn.engine.per_sample import BLOCK, SPARSE, Path, density, path_for
from fastnn.losses import LOSSES
from fastnn.native.team import Team
from fastnn.native.threads import STEP_WORK

N_ROWS = 2 * BLOCK + 11  # a border of blocks, and a ragged last one
RATE = 0.02
PLAIN = SGD(RATE)
WIDE = [name for name in PATHS if name != "tiny"]
# Below, at and above the width of a vector and of a tile; one unit; wide rows of 256 and 272.
SHAPES = [(40, 70, 20, 3), (5, 17, 1), (16, 64, 32, 10), (3, 256, 33, 2), (130, 9, 18), (1, 1, 1)]

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
each_path = pytest.mark.parametrize("path", WIDE)


def rule_of(network, optimizer=PLAIN):
    return optimizer.rule(network.layer_rules, new_state(network, optimizer))


def descent_on(
    path, build, sizes, activations, loss, *, sparse=False, weights=None, optimizer=PLAIN, l2=(),
    block=BLOCK,
):  # fmt: skip
    network = make_network(build, sizes, activations, l2=l2)
    X, y = make_rows(network, loss, N_ROWS)
    if sparse:
        X[np.random.default_rng(1).random(X.shape) < 0.8] = 0
    data = make_data(network, loss, X, y, weights)
    descent = descent_for(network, optimizer, LOSSES[loss](), data, True)
    descent.__dict__["path"] = Path(path, block)  # whatever the rule says
    return X, y, descent


def assert_textbook(path, build, sizes, activations, loss, *, weights=None, **settings):
    """Three shuffled epochs give the oracle's weights, running loss and predictions."""
    X, y, descent = descent_on(path, build, sizes, activations, loss, weights=weights, **settings)
    network = descent.network
    expected = oracle_weights(network)
    rule = reference.rule_for(descent.optimizer, l2=settings.get("l2", ()))
    rate = descent.optimizer.learning_rate
    # Of the norm, since in float32 a relu may be on here and off there, whatever the path.
    bound = 1e-12 if network.dtype == "float64" else 1e-3
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(N_ROWS)
        _, a = reference.forward(expected, activations, X[order[:1]])
        *_, last = descent.epoch(order, 1)
        np.testing.assert_allclose(last.predictions[0], a[-1][0], rtol=bound * 50, atol=bound * 50)
        expected, L = reference.descend(
            expected, activations, loss, X, y, rate, 1, order, weights, rule
        )
        np.testing.assert_allclose(last.total / N_ROWS, L, rtol=bound * 10)
    for actual, wanted in zip(oracle_weights(network), expected, strict=True):
        error = np.linalg.norm(actual - wanted) / max(np.linalg.norm(wanted), 1)
        assert error < bound


@each_build
@each_path
@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("hidden", ["relu", "tanh", "gelu"])
def test_every_path_gives_the_textbook_weights(build, path, sizes, hidden):
    activations = [hidden] * (len(sizes) - 2) + ["linear"]
    assert_textbook(path, build, sizes, activations, "mean_squared_error")


@each_build
@each_path
@pytest.mark.parametrize(("loss", "output"), PAIRS)
@pytest.mark.parametrize("hidden", ["relu", "softplus"])
def test_every_path_takes_every_loss(build, path, loss, output, hidden):
    assert_textbook(path, build, (19, 24, 20, 3), [hidden, "relu", output], loss)


@each_build
@each_path
def test_more_outputs_than_are_laid_by_lane(build, path):
    assert_textbook(path, build, (6, 20, 21), ["relu", "softmax"], "categorical_crossentropy")


@each_build
@each_path
def test_rows_that_are_mostly_zeros(build, path):
    assert_textbook(path, build, (60, 33, 4), ["relu", "linear"], "mean_squared_error", sparse=True)


@each_build
@pytest.mark.parametrize("block", [1, 2, 5, 24, 128])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_blocks_of_any_length(build, block, momentum):
    sizes, activations = (40, 33, 4), ["relu", "softmax"]
    settings = {"optimizer": SGD(RATE / 4, momentum), "block": block}
    assert_textbook("blocked", build, sizes, activations, "categorical_crossentropy", **settings)


@each_build
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_blocks_of_one_narrow_layer_give_way_to_a_path_that_takes_it(build, momentum):
    optimizer = SGD(RATE / 4, momentum)
    assert_textbook(
        "blocked", build, (40, 5), ["linear"], "mean_squared_error", optimizer=optimizer
    )


@each_build
@pytest.mark.parametrize("path", PATHS)
def test_a_sample_weight_multiplies_the_step(build, path):
    weights = np.random.default_rng(5).random(N_ROWS) * 2
    weights[::7] = 0
    sizes = (4, 8, 5, 2)
    assert_textbook(
        path, build, sizes, ["relu", "tanh", "linear"], "mean_squared_error", weights=weights
    )


@each_build
@pytest.mark.parametrize(
    "hidden", ["relu", "sigmoid", "softmax", "leaky_relu", "elu", "selu", "softplus"]
)
@pytest.mark.parametrize("sizes", [(3, 8, 8, 1), (8, 8), (1, 5, 7, 2, 8), (7, 1)])
def test_tiny_networks_of_any_shape(build, sizes, hidden):
    activations = [hidden] * (len(sizes) - 2) + ["linear"]
    assert_textbook("tiny", build, sizes, activations, "mean_squared_error")


@each_build
@pytest.mark.parametrize(("loss", "output"), [pair for pair in PAIRS if pair[1] != "gelu"])
def test_tiny_networks_with_every_loss(build, loss, output):
    assert_textbook("tiny", build, (5, 7, 3), ["relu", output], loss)


# ---- rules that move every weight at every row ---------------------------------------------------

MOVING = {
    "momentum": (SGD(RATE / 4, momentum=0.9), ()),
    "nesterov": (SGD(RATE / 4, momentum=0.8, nesterov=True), ()),
    "decay": (PLAIN, (0.01, 0, 0.02)),
    "weight decay": (SGD(RATE, weight_decay=0.1), (0.01, 0.02)),
    "weight decay and nesterov": (SGD(RATE / 4, 0.9, nesterov=True, weight_decay=0.2), ()),
    "both": (SGD(RATE / 4, momentum=0.9), (0.01, 0.003)),
    "nesterov and decay": (SGD(RATE / 4, momentum=0.7, nesterov=True), (0.02, 0, 0.01)),
}
ADAPTIVE = [
    Adam(0.01), Adam(0.01, amsgrad=True, epsilon=1e-3), AdamW(0.01, weight_decay=0.1),
    RMSprop(0.005), RMSprop(0.002, momentum=0.8, weight_decay=0.01), Adagrad(0.05),
]  # fmt: skip
each_moving = pytest.mark.parametrize(("optimizer", "l2"), MOVING.values(), ids=MOVING)
each_moving_path = pytest.mark.parametrize("path", ["fused", "blocked"])


@each_build
@each_moving_path
@each_moving
@pytest.mark.parametrize("sizes", [(40, 70, 20, 3), (5, 17, 1), (1, 1, 1), (3, 40), (9, 8, 1)])
def test_momentum_and_decay_give_the_textbook_weights(build, path, optimizer, l2, sizes):
    activations = ["relu"] * (len(sizes) - 2) + ["linear"]
    loss = "mean_squared_error"
    assert_textbook(path, build, sizes, activations, loss, optimizer=optimizer, l2=l2)


@each_build
@pytest.mark.parametrize("optimizer", ADAPTIVE, ids=repr)
@pytest.mark.parametrize("sizes", [(40, 33, 20, 3), (5, 8, 1), (9, 2)])
def test_adaptive_rules_give_the_textbook_weights(build, optimizer, sizes):
    activations = ["silu"] * (len(sizes) - 2) + ["linear"]
    weights = np.random.default_rng(5).random(N_ROWS)
    assert_textbook(
        "fused", build, sizes, activations, "mean_squared_error", optimizer=optimizer,
        l2=(0.01, 0, 0.02), weights=weights,
    )  # fmt: skip


@each_build
@each_moving_path
@each_moving
@pytest.mark.parametrize(("loss", "output"), [PAIRS[3], *PAIRS[-2:]])
def test_momentum_and_decay_with_weights_and_sparse_rows(build, path, optimizer, l2, loss, output):
    weights = np.random.default_rng(5).random(N_ROWS) * 2
    weights[::7] = 0
    activations, settings = ["tanh", "relu", output], {"optimizer": optimizer, "l2": l2}
    assert_textbook(
        path, build, (19, 24, 20, 3), activations, loss, weights=weights, sparse=True, **settings
    )


@each_build
@each_moving
def test_threads_change_no_bit_with_momentum_and_decay(build, optimizer, l2):
    def trained(size):
        sizes, activations = (90, 100, 10), ["relu", "softmax"]
        *_, descent = descent_on(
            "blocked", build, sizes, activations, "categorical_crossentropy",
            optimizer=optimizer, l2=l2,
        )  # fmt: skip
        with Team(size) as descent.team:
            *_, last = descent.epoch(np.arange(N_ROWS)[::-1].copy(), 1)
        slots = descent.state.slots.tobytes()
        return descent.network.parameters.tobytes(), slots, last.total

    assert len({trained(size) for size in (1, 2, 3, 4, 7)}) == 1


@each_build
@pytest.mark.parametrize("path", PATHS)
def test_slices_of_whole_blocks_change_no_bit(build, path):
    results = []
    for slice_rows in (BLOCK, 2 * BLOCK, 1000):
        *_, descent = descent_on(path, build, (6, 8, 3), ["relu", "linear"], "mean_squared_error")
        descent.network.slice_rows = slice_rows
        losses = [piece.total for piece in descent.epoch(None, 1)]
        results.append((descent.network.parameters, losses[-1]))
    for parameters, loss in results[1:]:
        np.testing.assert_array_equal(parameters, results[0][0])
        assert loss == results[0][1]


@each_build
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sizes", [(8, 7, 3), (5, 8, 1)])
def test_any_number_of_threads_gives_the_same_bits(build, path, sizes):
    def trained(size):
        *_, descent = descent_on(path, build, sizes, ["relu", "linear"], "mean_squared_error")
        with Team(size) as descent.team:
            *_, last = descent.epoch(None, 1)
        return descent.network.parameters.tobytes(), last.total

    alone = trained(1)
    for size in (2, 3, 4, 7):
        assert trained(size) == alone


@each_build
def test_threads_share_a_wide_first_layer(build):
    def trained(size):
        sizes, activations = (90, 100, 10), ["relu", "softmax"]
        *_, descent = descent_on("blocked", build, sizes, activations, "categorical_crossentropy")
        with Team(size) as descent.team:
            *_, last = descent.epoch(np.arange(N_ROWS)[::-1].copy(), 1)
        return descent.network.parameters.tobytes(), last.total

    assert len({trained(size) for size in (1, 2, 3, 4, 7)}) == 1


def test_only_blocks_are_worth_more_threads():
    wide = make_network(BUILDS[0], (784, 128, 10), ["relu", "softmax"])
    assert path_for(wide, 1.0, rule_of(wide)).shared_work > 2 * STEP_WORK
    assert path_for(wide, 0.1, rule_of(wide)).shared_work == 0


# ---- which path is taken -------------------------------------------------------------------------

RULE = [
    ((3, 8, 8, 1), 1.0, "tiny"),
    ((3, 8, 8, 1), 0.1, "tiny"),
    ((30, 64, 32, 1), 1.0, "swept"),
    ((784, 128, 10), 1.0, "blocked"),
    ((784, 128, 10), SPARSE - 0.01, "listed"),
    ((30, 1), 1.0, "listed"),
    ((784, 10), 1.0, "listed"),
    ((400, 100), 1.0, "blocked"),
]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((3, 8, 8, 1), "fused"),
        ((30, 64, 1), "blocked"),
        ((784, 10), "fused"),
        ((784, 20), "blocked"),
    ],
)
def test_with_momentum_or_decay_it_is_blocks_or_a_sweep_of_all(sizes, expected):
    network = make_network(BUILDS[0], sizes, ["linear"] * (len(sizes) - 1))
    for share in (0.1, 1.0):
        for optimizer in (SGD(momentum=0.9), SGD(weight_decay=0.1)):
            assert path_for(network, share, rule_of(network, optimizer)).name == expected
        assert path_for(network, share, rule_of(network, Adam())).name == "fused"


@pytest.mark.parametrize(("sizes", "share", "expected"), RULE)
def test_the_rule_looks_at_shape_and_density(sizes, share, expected):
    network = make_network(BUILDS[0], sizes, ["linear"] * (len(sizes) - 1))
    assert path_for(network, share, rule_of(network)).name == expected


@pytest.mark.parametrize("number_type", ["float32", "float64", "int8", "uint16", "bool"])
def test_density_is_the_share_of_numbers_that_are_not_zero(number_type):
    network = make_network(BUILDS[0], (4, 2), ["linear"])
    X = np.array([[0, 1, 0, 0], [1, 1, 0, 0]], number_type)
    data = make_data(network, "mean_squared_error", X, np.zeros((2, 2)))
    assert density(data, standardised=False) == 3 / 8
    assert density(data, standardised=True) == 1


def test_a_sparse_table_and_its_dense_twin_train_alike():
    """The path follows the first rows; both ways lead to the same weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 500)).astype(np.float32)
    X[:, 100:] = 0
    y = X[:, 0] > 0

    def trained(X):
        model = Sequential([Dense(64, "relu"), Dense(1, "sigmoid")], seed=0)
        model.compile(loss="binary_crossentropy")
        model.fit(X, y, mode="stochastic", shuffle=False)
        return model.get_weights()[0]

    noise = np.where(X == 0, np.float32(1e-30), X)
    np.testing.assert_allclose(trained(X), trained(noise), rtol=0, atol=1e-5)
