"""The estimators' weights against scikit-learn's own from the same seed, and a Sequential's."""

import pickle

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import fastnn
from fastnn import (
    SGD,
    Adam,
    AdamW,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Dense,
    Dropout,
    HalfPoissonDeviance,
    HalfSquaredError,
    Huber,
    LogLoss,
    MLPClassifier,
    MLPRegressor,
    Sequential,
    SharedL2,
)
from fastnn.schedules import CosineDecay

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(7)
X = RNG.normal(size=(110, 5))
WEIGHTS = RNG.uniform(0.1, 3, 110)
CLASSES = np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])
KINDS = {  # class, settings, targets
    "binary": ("MLPClassifier", {}, (X[:, 0] * X[:, 1] > 0).astype(int)),
    "classes": ("MLPClassifier", {}, np.array(["a", "b", "c"])[CLASSES]),
    "labels": ("MLPClassifier", {}, (X[:, :4] + X[:, 1:] > 0.2).astype(int)),
    "numbers": ("MLPRegressor", {}, np.sin(X[:, 0]) + X[:, 1] ** 2 / 2),
    "outputs": ("MLPRegressor", {}, X[:, :3] * X[:, 1:4]),
    "counts": ("MLPRegressor", {"loss": "poisson"}, RNG.poisson(np.exp(X[:, 0] / 2))),
}
SOLVERS = {
    "plain": {"solver": "sgd", "momentum": 0},
    "momentum": {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.1},
    "adam": {"solver": "adam", "beta_1": 0.8, "epsilon": 1e-6},
}
SETTINGS = {"hidden_layer_sizes": (7, 4), "random_state": 3, "max_iter": 8, "alpha": 0.01}
SETTINGS |= {"batch_size": 32, "learning_rate_init": 0.01}  # 14 rows are left for the last batch

each_kind = pytest.mark.parametrize("kind", KINDS)
each_solver = pytest.mark.parametrize("solver", SOLVERS)
weighed = pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighed", "weighed"])


def two_of(kind, **settings):
    """The same estimator of both packages, and the targets."""
    name, of_kind, y = KINDS[kind]
    both = [
        getattr(package, name)(**SETTINGS | of_kind | settings)
        for package in (fastnn, neural_network)
    ]
    return *both, y


def assert_agree(ours, theirs, rtol=1e-9):
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert (ours.out_activation_, ours.n_outputs_) == (theirs.out_activation_, theirs.n_outputs_)
    assert (ours.n_layers_, ours.n_features_in_) == (theirs.n_layers_, theirs.n_features_in_)
    assert ours._no_improvement_count == theirs._no_improvement_count
    if ours.solver == "sgd":  # of Adam theirs holds the corrections of the moments, too
        assert ours._optimizer.learning_rate == pytest.approx(theirs._optimizer.learning_rate)
    for name in ("coefs_", "intercepts_"):
        for found, expected in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)
    for name in ("loss_", "loss_curve_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=rtol)
    for name in ("best_loss_", "validation_scores_", "best_validation_score_"):
        found, expected = getattr(ours, name), getattr(theirs, name)
        if expected is None:
            assert found is None
        else:
            np.testing.assert_allclose(found, expected, rtol=rtol)
    np.testing.assert_array_equal(getattr(ours, "classes_", 0), getattr(theirs, "classes_", 0))
    if isinstance(theirs, neural_network.MLPClassifier):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        for method in ("predict_proba", "predict_log_proba"):
            found, expected = getattr(ours, method)(X), getattr(theirs, method)(X)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
    else:
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-9)


# ---- scikit-learn -------------------------------------------------------------------------------


@each_kind
@each_solver
@weighed
def test_training_ends_in_scikit_learns_weights(kind, solver, weights):
    ours, theirs, y = two_of(kind, **SOLVERS[solver])
    assert_agree(ours.fit(X, y, weights), theirs.fit(X, y, weights))


@each_kind
@pytest.mark.parametrize("activation", ["logistic", "tanh", "identity"])
def test_with_other_activations_too(kind, activation):
    ours, theirs, y = two_of(kind, activation=activation)
    assert_agree(ours.fit(X, y), theirs.fit(X, y))


@pytest.mark.parametrize("kind", ["binary", "classes", "numbers"])
@pytest.mark.parametrize("batch_size", ["auto", 1, 110, 500])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.filterwarnings("ignore:Got `batch_size`")
def test_with_batches_of_any_size(kind, batch_size, shuffle):
    settings = {"solver": "sgd", "learning_rate_init": 0.005}
    ours, theirs, y = two_of(kind, batch_size=batch_size, shuffle=shuffle, **settings)
    # of batch_size=1 the epoch's loss counts alpha with the weights at its beginning
    alpha = 0 if batch_size == 1 else 0.01
    for estimator in (ours, theirs):
        estimator.set_params(alpha=alpha).fit(X, y)
    assert_agree(ours, theirs)


@pytest.mark.parametrize("kind", ["binary", "numbers"])
def test_row_by_row_with_alpha(kind):
    ours, theirs, y = two_of(kind, batch_size=1, solver="sgd", learning_rate_init=0.005)
    ours.fit(X, y)
    theirs.fit(X, y)
    for found, expected in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "outputs"])
def test_an_adaptive_rate_falls_in_the_same_epochs(kind):
    settings = {"learning_rate": "adaptive", "solver": "sgd", "tol": 0.01, "max_iter": 100}
    ours, theirs, y = two_of(kind, n_iter_no_change=2, **settings)
    assert_agree(ours.fit(X, y), theirs.fit(X, y))
    assert ours._optimizer.learning_rate < 0.01


@each_kind
def test_a_fit_ends_in_the_same_epoch(kind):
    ours, theirs, y = two_of(kind, tol=0.02, n_iter_no_change=3, max_iter=200)
    assert_agree(ours.fit(X, y), theirs.fit(X, y), rtol=1e-6)
    assert ours.n_iter_ < 200


@each_kind
@weighed
def test_early_stopping_holds_out_the_same_rows(kind, weights):
    settings = {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 4}
    ours, theirs, y = two_of(kind, max_iter=40, **settings)
    assert_agree(ours.fit(X, y, weights), theirs.fit(X, y, weights), rtol=1e-7)


@each_kind
def test_early_stopping_ends_in_the_same_epoch(kind):
    # scores go on rising, but by less than tol
    settings = {"early_stopping": True, "tol": 0.1, "n_iter_no_change": 3}
    ours, theirs, y = two_of(kind, max_iter=100, **settings)
    assert_agree(ours.fit(X, y), theirs.fit(X, y), rtol=1e-7)
    assert ours.n_iter_ < 100


@each_kind
@pytest.mark.parametrize("solver", ["nesterov", "invscaling", "adam"])
@pytest.mark.parametrize("random_state", [3, None])
def test_warm_starts_go_on_alike(kind, solver, random_state):
    ours, theirs, y = two_of(kind, warm_start=True, max_iter=3, **SOLVERS[solver])
    if random_state is None:  # the orders of all fits are drawn from one state
        for estimator in (ours, theirs):
            estimator.set_params(random_state=np.random.RandomState(5))
    for _ in range(3):
        assert_agree(ours.fit(X, y), theirs.fit(X, y))
    assert len(ours.loss_curve_) == 9


def test_a_warm_start_with_early_stopping_goes_on_alike_where_scores_rise():
    settings = {"warm_start": True, "early_stopping": True, "learning_rate_init": 0.003}
    ours, theirs, y = two_of("numbers", max_iter=4, **settings)
    for _ in range(3):
        assert_agree(ours.fit(X, y), theirs.fit(X, y))
    assert np.all(np.diff(ours.validation_scores_) > 0)


def test_a_warm_start_with_early_stopping_keeps_the_best_weights_of_its_own():
    settings = {"warm_start": True, "early_stopping": True, "learning_rate_init": 0.003}
    ours, theirs, y = two_of("outputs", max_iter=4, **settings)
    for _ in range(2):
        ours.fit(X, y)
        theirs.fit(X, y)
        assert_agree(ours, theirs)
    assert max(ours.validation_scores_[4:]) < ours.best_validation_score_  # of the first fit


@each_kind
@each_solver
def test_chunks_that_come_to_partial_fit(kind, solver):
    ours, theirs, y = two_of(kind, **SOLVERS[solver])
    first = {"classes": np.unique(y)} if kind in ("binary", "classes") else {}
    first = {"classes": np.arange(4)} if kind == "labels" else first
    for _ in range(2):
        for rows in (slice(0, 50), slice(50, 51), slice(51, 110)):
            # chunks shorter than batch_size=32 are clipped, with a warning
            for estimator in (ours, theirs):
                estimator.set_params(batch_size="auto" if rows.start == 50 else 32)
                estimator.partial_fit(X[rows], y[rows], **first)
            assert_agree(ours, theirs)


def test_partial_fit_after_fit_goes_on_alike():
    ours, theirs, y = two_of("classes")
    for estimator in (ours, theirs):
        estimator.fit(X, y).partial_fit(X[:60], y[:60], WEIGHTS[:60])
    assert_agree(ours, theirs)


def test_a_random_state_that_two_fits_share():
    found = []
    for package in (fastnn, neural_network):
        rng = np.random.RandomState(11)
        made = [package.MLPRegressor(**SETTINGS | {"random_state": rng}) for _ in range(2)]
        y = KINDS["numbers"][2]
        found.append([*(estimator.fit(X, y) for estimator in made), rng.uniform()])
    (ours, second, number), (theirs, their_second, their_number) = found
    assert_agree(ours, theirs)
    assert_agree(second, their_second)
    assert number == their_number  # as many have been drawn
    assert not np.array_equal(ours.coefs_[0], second.coefs_[0])


@pytest.mark.parametrize("kind", KINDS)
@weighed
def test_lbfgs_ends_near_by(kind, weights):
    settings = {"solver": "lbfgs", "alpha": 1.0, "activation": "tanh", "hidden_layer_sizes": 3}
    ours, theirs, y = two_of(kind, max_iter=5, tol=1e-9, **settings)
    ours.fit(X, y, weights)
    theirs.fit(X, y, weights)
    assert (ours.n_iter_, ours.n_outputs_) == (theirs.n_iter_, theirs.n_outputs_)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    for found, expected in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_initial_weights_are_the_same_numbers():
    for activation in ("logistic", "relu"):
        for dtype in (np.float32, np.float64):
            ours, theirs, y = two_of("classes", activation=activation, learning_rate_init=1e-300)
            for estimator in (ours, theirs):
                estimator.set_params(max_iter=1, solver="sgd").fit(X.astype(dtype), y)
            for found, expected in zip(ours.coefs_, theirs.coefs_, strict=True):
                np.testing.assert_array_equal(found, expected)
                assert found.dtype == dtype


def test_float32_agrees_as_far_as_its_digits_go():
    ours, theirs, y = two_of("numbers", alpha=0)
    rows = X.astype(np.float32)
    for found, expected in zip(ours.fit(rows, y).coefs_, theirs.fit(rows, y).coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


# ---- a Sequential -------------------------------------------------------------------------------

OUTPUTS = {"binary": (1, "sigmoid"), "classes": (3, "softmax"), "labels": (4, "sigmoid")}
OUTPUTS |= {"numbers": (1, "linear"), "outputs": (3, "linear"), "counts": (1, "exponential")}
LOSSES = {"binary": LogLoss(), "classes": CategoricalCrossentropy(), "labels": LogLoss()}
LOSSES |= {"numbers": HalfSquaredError(), "outputs": HalfSquaredError()}
LOSSES |= {"counts": HalfPoissonDeviance()}
MODES = {"stochastic": 1, "minibatch": 32, "batch": 110}
OPTIMIZERS = {  # words of the estimator, and the object they stand for
    "plain": ({"solver": "sgd", "momentum": 0}, SGD(0.01)),
    "nesterov": ({"solver": "sgd"}, SGD(0.01, momentum=0.9, nesterov=True)),
    "adam": ({"solver": "adam"}, Adam(0.01, epsilon=1e-8)),
}


def network_for(kind, optimizer, loss=None, alpha=0.0, dtype="float64"):
    penalty = SharedL2(alpha) if alpha else None
    units, activation = OUTPUTS[kind]
    layers = [Dense(7, "tanh", kernel_regularizer=penalty)]
    layers += [Dense(4, "tanh", kernel_regularizer=penalty)]
    model = Sequential(
        [*layers, Dense(units, activation, kernel_regularizer=penalty)], dtype=dtype, seed=4
    )
    model.compile(optimizer, loss or LOSSES[kind])
    model.build(5)
    return model


def initial(model):
    return {"coef_init": model.get_weights()[0::2], "intercept_init": model.get_weights()[1::2]}


def coded(kind):
    return CLASSES if kind == "classes" else KINDS[kind][2]


def assert_same_bits(estimator, model):
    for found, expected in zip(estimator.model_.get_weights(), model.get_weights(), strict=True):
        assert found.tobytes() == expected.tobytes()


@each_kind
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_spellings_give_the_same_bits(kind, mode, optimizer, dtype):
    name, settings, y = KINDS[kind]
    words, made = OPTIMIZERS[optimizer]
    model = network_for(kind, made, dtype=dtype)
    settings = settings | words | {"hidden_layer_sizes": (7, 4), "activation": "tanh"}
    settings |= {"alpha": 0, "shuffle": False, "learning_rate_init": 0.01, "max_iter": 4}
    size = {} if mode == "batch" else {"batch_size": MODES[mode]}
    estimator = getattr(fastnn, name)(mode=mode, **size, **settings)
    rows = X.astype(dtype)
    estimator.fit(rows, y, **initial(model))
    model.fit(rows, coded(kind), epochs=4, mode=mode, shuffle=False, **size)
    assert_same_bits(estimator, model)
    outputs = model.predict(rows)
    if kind == "numbers":
        np.testing.assert_array_equal(estimator.predict(rows), outputs[:, 0])
    if kind in ("classes", "labels"):
        np.testing.assert_array_equal(estimator.predict_proba(rows), outputs)
    np.testing.assert_allclose(estimator.loss_curve_, model.history.history["loss"], rtol=1e-6)


@each_kind
@pytest.mark.parametrize("mode", MODES)
def test_both_spellings_agree_with_alpha_and_weights(kind, mode):
    name, settings, y = KINDS[kind]
    model = network_for(kind, SGD(0.01), LOSSES[kind].averaged(), alpha=0.05)
    settings = settings | {"hidden_layer_sizes": (7, 4), "activation": "tanh", "momentum": 0}
    settings |= {"alpha": 0.05, "shuffle": False, "solver": SGD(0.01), "max_iter": 4}
    size = {} if mode == "batch" else {"batch_size": MODES[mode]}
    estimator = getattr(fastnn, name)(mode=mode, **size, **settings)
    estimator.fit(X, y, WEIGHTS, **initial(model))
    options = {"epochs": 4, "mode": mode, "shuffle": False, **size}
    model.fit(X, coded(kind), sample_weight=WEIGHTS, **options)
    assert_same_bits(estimator, model)
    assert estimator.loss_curve_ == model.history.history["loss"]


OWN = {  # what only fastnn has, and the layers and arguments of `compile` that it means
    "output activation": (
        "numbers",
        {"out_activation": "softplus"},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(1, "softplus")], SGD(0.01), HalfSquaredError()),
    ),
    "dropout": (
        "binary",
        {"dropout": (0.5, 0.0), "solver": "adam", "learning_rate_init": 0.01},
        (
            [Dense(7, "relu"), Dropout(0.5), Dense(4, "relu"), Dense(1, "sigmoid")],
            Adam(0.01, epsilon=1e-8),
            LogLoss(),
        ),
    ),
    "cross-entropy of classes": (
        "classes",
        {"loss": CategoricalCrossentropy(label_smoothing=0.1)},
        (
            [Dense(7, "relu"), Dense(4, "relu"), Dense(3, "softmax")],
            SGD(0.01),
            CategoricalCrossentropy(label_smoothing=0.1),
        ),
    ),
    "two classes by softmax": (
        "binary",
        {"loss": "categorical_crossentropy"},
        (
            [Dense(7, "relu"), Dense(4, "relu"), Dense(2, "softmax")],
            SGD(0.01),
            CategoricalCrossentropy(),
        ),
    ),
    "binary cross-entropy": (
        "binary",
        {"loss": BinaryCrossentropy(from_logits=False)},
        (
            [Dense(7, "relu"), Dense(4, "relu"), Dense(1, "sigmoid")],
            SGD(0.01),
            BinaryCrossentropy(),
        ),
    ),
    "hinge": (
        "binary",
        {"loss": "hinge"},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(1, "linear")], SGD(0.01), "hinge"),
    ),
    "squared hinge": (
        "binary",
        {"loss": "squared_hinge", "out_activation": "tanh"},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(1, "tanh")], SGD(0.01), "squared_hinge"),
    ),
    "squares of classes": (
        "binary",
        {"loss": "mean_squared_error"},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(1)], SGD(0.01), "mse"),
    ),
    "AdamW": (
        "numbers",
        {"solver": AdamW(0.02, weight_decay=0.1)},
        (
            [Dense(7, "relu"), Dense(4, "relu"), Dense(1)],
            AdamW(0.02, weight_decay=0.1),
            HalfSquaredError(),
        ),
    ),
    "a schedule": (
        "numbers",
        {"learning_rate": CosineDecay(0.02, 16), "solver": "sgd", "nesterovs_momentum": False},
        (
            [Dense(7, "relu"), Dense(4, "relu"), Dense(1)],
            SGD(CosineDecay(0.02, 16), momentum=0.9),
            HalfSquaredError(),
        ),
    ),
    "Huber": (
        "outputs",
        {"loss": Huber(delta=0.5)},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(3)], SGD(0.01), Huber(delta=0.5)),
    ),
    "absolute errors": (
        "numbers",
        {"loss": "mae"},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(1)], SGD(0.01), "mae"),
    ),
    "activations of layers": (
        "numbers",
        {"activation": ["gelu", "identity"]},
        ([Dense(7, "gelu"), Dense(4), Dense(1)], SGD(0.01), HalfSquaredError()),
    ),
    "Keras's Poisson": (
        "counts",
        {"loss": fastnn.Poisson(), "out_activation": "exp"},
        ([Dense(7, "relu"), Dense(4, "relu"), Dense(1, "exponential")], SGD(0.01), "poisson"),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("own", OWN)
def test_what_only_fastnn_has_is_the_network_it_stands_for(own, mode):
    kind, settings, (layers, optimizer, loss) = OWN[own]
    name, _, y = KINDS[kind]
    settings = {"solver": SGD(0.01), "hidden_layer_sizes": (7, 4), "alpha": 0} | settings
    if mode != "batch":
        settings["batch_size"] = MODES[mode]
    estimator = getattr(fastnn, name)(
        mode=mode, shuffle=False, max_iter=4, random_state=6, n_iter_no_change=100, **settings
    )
    model = Sequential(layers, dtype="float64", seed=1)
    model.compile(optimizer, loss)
    model.build(5)
    estimator.fit(X, y, **initial(model))
    model.seed = estimator.model_.seed  # which decides what dropout leaves out
    start = model.get_weights()
    batches = {} if mode == "batch" else {"batch_size": MODES[mode]}
    model.fit(X, coded(kind), epochs=4, shuffle=False, mode=mode, **batches)
    assert_same_bits(estimator, model)
    assert not np.array_equal(model.get_weights()[0], start[0])
    assert [str(layer) for layer in estimator.model_.layers] == [str(layer) for layer in layers]
    assert np.isfinite(estimator.score(X, y))


# ---- as_estimator -------------------------------------------------------------------------------


@each_kind
def test_an_estimator_around_a_network_shares_its_weights(kind):
    model = network_for(kind, Adam(0.01), alpha=0.05)
    twin = pickle.loads(pickle.dumps(model))
    labels = {"binary": ["no", "yes"], "classes": ["a", "b", "c"]}.get(kind)
    estimator = model.as_estimator(classes=labels, shuffle=False)
    assert type(estimator).__name__ == KINDS[kind][0]
    y = np.array(labels)[coded(kind)] if labels else coded(kind)
    copied = pickle.loads(pickle.dumps(estimator))
    estimator.partial_fit(X, y)
    assert_same_bits(estimator, model)
    assert_same_bits(copied, twin)
    twin.fit(X, coded(kind), batch_size=110, shuffle=False)
    assert_same_bits(estimator, twin)
    assert np.isfinite(estimator.score(X, y))
    model.fit(X, coded(kind), epochs=2)
    assert_same_bits(estimator, model)
    if labels:
        assert set(estimator.predict(X)) <= set(labels)


def test_the_fit_of_an_estimator_around_a_network_makes_a_new_one():
    model = network_for("classes", Adam(0.02), alpha=0.05)
    before = model.get_weights()
    estimator = clone(model.as_estimator(max_iter=5, random_state=2, batch_size=40))
    estimator.fit(X, KINDS["classes"][2])
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [layer.units for layer in estimator.model_.layers] == [7, 4, 3]
    assert {layer.kernel_regularizer for layer in estimator.model_.layers} == {SharedL2(0.05)}
    assert repr(estimator.model_.optimizer) == repr(model.optimizer)
    direct = MLPClassifier(
        (7, 4), "tanh", solver=Adam(0.02), alpha=0.05, loss=CategoricalCrossentropy(),
        max_iter=5, random_state=2, batch_size=40,
    )  # fmt: skip
    assert_same_bits(estimator, direct.fit(X, KINDS["classes"][2]).model_)


def test_the_layers_of_a_network_are_read_off():
    layers = [Dense(7, "relu"), Dropout(0.5), Dense(4, "gelu"), Dense(1, "softplus")]
    model = Sequential(layers, seed=1)
    model.compile(AdamW(0.01), Huber(delta=2))
    model.build(5)
    parameters = model.as_estimator(max_iter=3).get_params()
    expected = {
        "hidden_layer_sizes": (7, 4), "activation": ["relu", "gelu"], "alpha": 0,
        "out_activation": "softplus", "dropout": [0.5, 0.0], "max_iter": 3,
    }  # fmt: skip
    assert {name: parameters[name] for name in expected} == expected
    assert repr(parameters["loss"]) == "Huber(delta=2.0)"
    assert parameters["solver"] is model.optimizer


def test_networks_that_no_estimator_can_be_around():
    model = Sequential([Dense(3, use_bias=False), Dense(1)])
    model.compile("SGD", "mse")
    with pytest.raises(ValueError, match="no weights yet"):
        model.as_estimator()
    model.build(5)
    with pytest.raises(ValueError, match="cannot say all layers of this network"):
        model.as_estimator()
    model = network_for("classes", SGD(0.01))
    with pytest.raises(ValueError, match="expected 3 different labels, sorted"):
        model.as_estimator(classes=["a", "b"])
    with pytest.raises(TypeError, match="colour"):
        model.as_estimator(colour="blue")
    with pytest.raises(ValueError, match="The 'max_iter' parameter"):
        model.as_estimator(max_iter=0)
    model = Sequential([Dense(1)])
    model.build(5)
    with pytest.raises(ValueError, match="not compiled with a loss"):
        model.as_estimator()


def test_a_regressor_stays_one_of_its_losses():
    assert isinstance(network_for("numbers", SGD(0.01), "huber").as_estimator(), MLPRegressor)
    with_labels = network_for("numbers", SGD(0.01), "mse").as_estimator(classes=[-3, 4])
    assert isinstance(with_labels, MLPClassifier)
    assert set(with_labels.predict(X)) <= {-3, 4}


def squares(y_true, y_pred):
    e = y_pred - np.reshape(y_true, y_pred.shape)
    return np.square(e).mean(), 2 * e / e.size


def network_of(last, y, loss=squares):
    model = Sequential([Dense(6, "tanh"), last], seed=0)
    model.compile(Adam(0.01), loss)
    model.fit(X, y, epochs=3)
    return model


def test_an_estimator_with_a_loss_of_ones_own_is_a_regressor_unless_there_are_classes():
    y = 5 + X[:, 0]
    model = network_of(Dense(1), y)
    estimator = model.as_estimator(max_iter=4, random_state=0)
    assert isinstance(estimator, MLPRegressor)
    np.testing.assert_array_equal(estimator.predict(X), model.predict(X).ravel())
    assert estimator.partial_fit(X, y).model_ is model
    assert np.isfinite(cross_val_score(estimator, X, y, cv=2)).all()
    with pytest.raises(ValueError, match="on Dense.1, 'linear'. means the second"):
        model.as_estimator(classes=["no", "yes"])
    several = network_of(Dense(2), np.stack([y, -y], axis=1)).as_estimator()
    assert isinstance(several, MLPRegressor) and several.predict(X).shape == (len(X), 2)


@pytest.mark.parametrize(
    ("last", "labels"),
    [
        (Dense(1, "sigmoid"), ["no", "yes"]),
        (Dense(2, "softmax"), ["no", "yes"]),
        (Dense(3, "softmax"), ["a", "b", "c"]),
    ],
    ids=str,
)
def test_a_loss_of_ones_own_with_classes_makes_a_classifier(last, labels):
    coded = np.arange(len(X)) % len(labels)
    model = network_of(last, coded if last.units == 1 else np.eye(last.units)[coded])
    estimator = model.as_estimator(classes=labels, max_iter=3, random_state=0)
    outputs = model.predict(X)
    places = outputs[:, 0] > 0.5 if last.units == 1 else outputs.argmax(axis=1)
    np.testing.assert_array_equal(estimator.predict(X), np.array(labels)[places.astype(int)])
    fitted = clone(estimator).fit(X, np.array(labels)[coded])
    assert set(fitted.predict(X)) <= set(labels)


@pytest.mark.parametrize(
    ("last", "loss", "made"),
    [
        (Dense(2), "mse", MLPRegressor),
        (Dense(1, "sigmoid"), "mse", MLPRegressor),
        (Dense(1, "softplus"), "poisson", MLPRegressor),
        (Dense(1, "sigmoid"), "binary_crossentropy", MLPClassifier),
        (Dense(2, "sigmoid"), "log_loss", MLPClassifier),
        (Dense(1), "hinge", MLPClassifier),
    ],
    ids=str,
)
def test_a_loss_says_what_an_estimator_without_classes_is(last, loss, made):
    y = np.zeros((len(X), last.units))
    y[::2] = 1
    estimator = network_of(last, y, loss).as_estimator()
    assert isinstance(estimator, made)
    assert estimator.predict(X).ndim == min(last.units, 2)
