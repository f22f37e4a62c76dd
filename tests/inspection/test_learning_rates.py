"""Learning rates while training: schedules and callbacks in `fit`, SGD("auto"), the range test."""

import copy
import pickle
import warnings

import numpy as np
import pytest

from fastnn import (
    L2,
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Callback,
    Dense,
    Dropout,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    RMSprop,
    Sequential,
    load,
    schedules,
)
from fastnn.engine.network import Network
from fastnn.models import learner_of
from fastnn.schedules import (
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstantDecay,
    Schedule,
)

N_ROWS = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
BATCH_SIZES = {"stochastic": 1, "minibatch": 16, "batch": N_ROWS}  # 16 leaves a short last batch

modes = pytest.mark.parametrize("mode", BATCH_SIZES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model_for(optimizer="SGD", layers=None, loss="mse", *, dtype="float32", seed=5):
    model = Sequential(layers or [Dense(9, "tanh"), Dense(1)], dtype=dtype, seed=seed)
    model.compile(optimizer, loss)
    return model


def fit(model, mode, **options):
    return model.fit(X, Y, mode=mode, batch_size=BATCH_SIZES[mode], **options).history


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


# ---- schedules in fit ---------------------------------------------------------------------------


class Zigzag(Schedule):
    def rates(self, steps):
        return 0.01 + 0.01 * (steps % 7)


SCHEDULES = [
    ExponentialDecay(0.05, 10, 0.9),
    CosineDecay(0.01, 20, warmup_target=0.05, warmup_steps=3),
    PiecewiseConstantDecay([3, 11], [0.05, 0.02, 0.01]),
    Zigzag(),
]


@modes
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_history_has_the_rate_of_the_last_step_of_each_epoch(mode, schedule):
    model = model_for(SGD(schedule))
    rates = fit(model, mode, epochs=5)["learning_rate"]
    rates += fit(model, mode, epochs=2)["learning_rate"]  # goes on where the first fit ended
    steps = -(-N_ROWS // BATCH_SIZES[mode])
    assert rates == [schedule((epoch + 1) * steps - 1) for epoch in range(7)]


@modes
def test_history_has_a_constant_rate_too(mode):
    assert fit(model_for(Adam(0.003)), mode, epochs=2)["learning_rate"] == [0.003, 0.003]


class SetRate(Callback):
    """Sets the learning rates of these epochs."""

    def __init__(self, rates):
        self.rates = rates

    def on_epoch_begin(self, epoch, logs):
        self.model.optimizer.learning_rate = self.rates[epoch]


@pytest.mark.parametrize("optimizer", [SGD, RMSprop, Adagrad], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_is_what_a_callback_does_epoch_by_epoch(optimizer, schedule):
    scheduled, lowered = model_for(optimizer(schedule)), model_for(optimizer(1.0))
    one = fit(scheduled, "batch", epochs=8)
    other = fit(lowered, "batch", epochs=8, callbacks=[SetRate([schedule(e) for e in range(8)])])
    assert bits(scheduled) == bits(lowered)
    assert one["learning_rate"] == other["learning_rate"]
    assert one["loss"] == other["loss"]


@modes
def test_a_callback_may_set_the_rate_between_epochs(mode):
    lowered, stopped = model_for(SGD(0.1)), model_for(SGD(0.1))
    history = fit(lowered, mode, epochs=3, callbacks=[SetRate([0.1, 0.02, 0.005])])
    assert history["learning_rate"] == [0.1, 0.02, 0.005]
    for rate in history["learning_rate"]:
        stopped.optimizer.learning_rate = rate
        fit(stopped, mode)
    assert bits(lowered) == bits(stopped)


@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.1)], ids=repr)
def test_a_rate_set_within_an_epoch_holds_from_the_next_slice_on(optimizer):
    class Lower(Callback):
        def on_slice_end(self, n_rows, logs):
            self.model.optimizer.learning_rate = 0.01

    lowered, scheduled = (
        model_for(optimizer, dtype="float64"),
        model_for(optimizer, dtype="float64"),
    )
    scheduled.optimizer.learning_rate = PiecewiseConstantDecay([1], [0.1, 0.01])
    for model in (lowered, scheduled):
        model.build(4)
        learner_of(model).network.slice_rows = 32
    history = fit(lowered, "minibatch", callbacks=[Lower()])
    fit(scheduled, "minibatch")
    for actual, expected in zip(lowered.get_weights(), scheduled.get_weights(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
    assert history["learning_rate"] == [0.01]


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, "auto", "fast"])
def test_what_is_no_rate_cannot_be_set(rate):
    model = model_for(Adam(0.1))
    with pytest.raises(ValueError, match="learning_rate"):
        model.optimizer.learning_rate = rate
    assert model.optimizer.learning_rate == 0.1


OTHERS = {
    SGD: ["momentum", "nesterov", "weight_decay", "clipvalue", "use_ema"],
    Adam: ["beta_1", "beta_2", "epsilon", "amsgrad", "clipnorm"],
    AdamW: ["weight_decay", "global_clipnorm", "ema_momentum"],
    RMSprop: ["rho", "momentum", "epsilon"],
    Adagrad: ["epsilon"],
    LBFGS: ["history_size"],
}


@pytest.mark.parametrize(("cls", "name"), [(cls, n) for cls in OTHERS for n in OTHERS[cls]])
def test_all_but_the_rate_of_a_made_optimiser_is_fixed(cls, name):
    optimizer = model_for(cls()).optimizer
    before = getattr(optimizer, name)
    with pytest.raises(
        AttributeError, match=rf"{name} cannot be changed .*{cls.__name__}\({name}=0\.5"
    ):
        setattr(optimizer, name, 0.5)
    assert getattr(optimizer, name) == before


def test_models_compiled_with_one_optimiser_do_not_share_it():
    optimizer = SGD(0.1, momentum=0.5)
    one, other = model_for(optimizer), model_for(optimizer)
    one.optimizer.learning_rate = 0.01
    optimizer.learning_rate = 7.0
    assert [one.optimizer.learning_rate, other.optimizer.learning_rate] == [0.01, 0.1]
    fit(other, "batch", epochs=3)
    alone = model_for(SGD(0.1, momentum=0.5))
    fit(alone, "batch", epochs=3)
    assert bits(other) == bits(alone)


# ---- ReduceLROnPlateau --------------------------------------------------------------------------


def kerass_rule(values, rate, *, factor, patience, min_delta, cooldown, min_lr, higher):
    """The rates after each value: Keras's ReduceLROnPlateau, by its description."""
    best, wait, rest, rates = -np.inf if higher else np.inf, 0, 0, []
    for value in values:
        better = value > best + min_delta if higher else value < best - min_delta
        if rest > 0:
            rest -= 1
            wait = 0
        if better:
            best, wait = value, 0
        elif rest == 0:
            wait += 1
            if wait >= patience and rate > min_lr:
                rate, rest, wait = max(rate * factor, min_lr), cooldown, 0
        rates.append(rate)
    return rates


class Holder:
    """What the callback asks of a model."""

    def __init__(self, rate):
        self.optimizer = SGD(rate)


def rates_of(callback, name, values, rate=1.0):
    callback.model, callback.params = (
        Holder(rate),
        {"metrics": {name: "max" if "acc" in name else "min"}},
    )
    callback.on_train_begin({})
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"loss": 0.0, name: value})
        rates.append(callback.model.optimizer.learning_rate)
    return rates


PLATEAUS = [
    {},
    {"patience": 1},
    {"patience": 0, "factor": 0.9},
    {"patience": 3, "min_delta": 0.2},
    {"patience": 2, "cooldown": 3},
    {"patience": 1, "cooldown": 1, "factor": 0.7},
    {"patience": 1, "min_lr": 0.3, "factor": 0.5},
    {"patience": 2, "min_lr": 2.0},
    {"patience": 1, "cooldown": 2, "min_delta": 0.5, "min_lr": 0.01},
]
DEFAULTS = {"factor": 0.1, "patience": 10, "min_delta": 1e-4, "cooldown": 0, "min_lr": 0.0}


@pytest.mark.parametrize("settings", PLATEAUS, ids=repr)
@pytest.mark.parametrize(
    ("name", "mode", "higher"),
    [
        ("val_loss", "auto", False),
        ("val_accuracy", "auto", True),
        ("accuracy", "max", True),
        ("accuracy", "min", False),
        ("loss", "min", False),
    ],
)
def test_rates_on_a_plateau_are_those_of_kerass_rule(settings, name, mode, higher):
    callback = ReduceLROnPlateau(name, mode=mode, **settings)
    for seed in range(5):
        values = np.random.default_rng(seed).normal(size=60).cumsum() / 3
        expected = kerass_rule(values, 1.0, **(DEFAULTS | settings), higher=higher)
        assert rates_of(callback, name, values) == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) > 1 or settings.get("min_lr") == 2.0


def test_a_plateau_worked_out_by_hand():
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=2, cooldown=1, min_delta=0.1)
    values = [5.0, 4.0, 3.95, 3.95, 3.95, 3.95, 3.95, 3.0, 3.0]
    expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert rates_of(callback, "loss", values) == expected


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        # 0.1 * 0.1 is a little more than 0.01
        ({"min_lr": 0.01}, ["1 reduced to 0.1", "0.1 reduced to 0.01, the lowest"]),
        ({"min_lr": 1.0}, []),
        ({"min_lr": 0.9999999999}, []),
        ({"factor": 0.0}, ["1 reduced to 0, the lowest"]),
    ],
)
def test_a_plateau_says_what_it_changes(settings, lines, capsys):
    callback = ReduceLROnPlateau("loss", patience=1, verbose=1, **settings)
    rates = rates_of(callback, "loss", [1.0] * 8)
    assert capsys.readouterr().out.splitlines() == [f"learning rate {line}" for line in lines]
    assert rates[-1] == settings.get("min_lr", 0) or not lines


def test_a_plateau_lowers_the_rate_of_a_fit():
    model = model_for(SGD(0.1))
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=100)
    rates = fit(model, "minibatch", epochs=7, callbacks=[callback])["learning_rate"]
    assert rates == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    assert model.optimizer.learning_rate == 0.0125
    rates = fit(model, "minibatch", epochs=3, callbacks=[callback])["learning_rate"]
    assert rates == [0.0125] * 3  # a new fit counts again


@pytest.mark.parametrize("factor", [0.0, 1e-10])
def test_a_rate_may_be_lowered_to_zero(factor):
    model = model_for(SGD(0.1))
    callback = ReduceLROnPlateau("loss", factor=factor, patience=1, min_delta=100)
    rates = fit(model, "batch", epochs=50, callbacks=[callback])["learning_rate"]
    assert rates[0] > rates[-1] == 0


# ---- a rate of 0 --------------------------------------------------------------------------------

OPTIMIZERS_OF_0 = [
    SGD(0),
    SGD(0, momentum=0.9, nesterov=True),
    SGD(0, weight_decay=0.1, clipnorm=1.0),
    Adam(0),
    AdamW(0),
    RMSprop(0, momentum=0.5),
    Adagrad(0, use_ema=True),
    SGD(schedules.ExponentialDecay(0, 10, 0.5)),
    SGD(schedules.PiecewiseConstantDecay([1], [0, 0])),
    SGD(schedules.PolynomialDecay(0, 10, 0)),
    SGD(schedules.CosineDecay(0, 10, warmup_target=0, warmup_steps=2)),
    SGD(schedules.CosineDecayRestarts(0, 10)),
    SGD(schedules.InverseTimeDecay(0, 10, 0.5)),
    SGD(schedules.InverseScaling(0)),
    SGD(schedules.OneCycle(0, 10)),
]


@modes
@pytest.mark.parametrize("optimizer", OPTIMIZERS_OF_0, ids=repr)
def test_a_rate_of_0_moves_nothing(optimizer, mode):
    model = model_for(optimizer)
    model.build(X.shape[1])
    before = [weights.tobytes() for weights in model.get_weights()]
    rates = fit(model, mode, epochs=2)["learning_rate"]
    assert rates == [0, 0]
    assert [weights.tobytes() for weights in model.get_weights()] == before


@pytest.mark.parametrize("way", ["scheduler", "setter", "plateau"])
def test_a_rate_of_0_may_be_set_in_training_and_left_again(way):
    def begin(epoch, logs):
        model.optimizer.learning_rate = (0.1, 0, 0.1)[epoch]

    model = model_for(SGD(0.1))
    callback = {
        "scheduler": LearningRateScheduler(lambda epoch: (0.1, 0, 0.1)[epoch]),
        "setter": LambdaCallback(on_epoch_begin=begin),
        "plateau": ReduceLROnPlateau("loss", factor=0, patience=1, min_delta=100),
    }[way]
    kept = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    rates = fit(model, "batch", epochs=3, callbacks=[callback, keep])["learning_rate"]
    assert rates == ([0.1, 0.1, 0] if way == "plateau" else [0.1, 0, 0.1])
    still = [all(map(np.array_equal, a, b)) for a, b in zip(kept, kept[1:], strict=False)]
    assert still == ([False, True] if way == "plateau" else [True, False])


def test_a_monitor_that_is_not_there_is_refused_by_name():
    model = model_for(SGD(0.1))
    before = model.history
    with pytest.raises(ValueError, match="'val_loss' is not among .* loss, .*validation data"):
        fit(model, "batch", epochs=3, callbacks=[ReduceLROnPlateau()])
    assert model.history is before
    assert model.epochs_trained == 0
    assert fit(model, "batch", epochs=2)["loss"]


@pytest.mark.parametrize(
    "optimizer", [SGD(ExponentialDecay(0.1, 10, 0.9)), SGD("auto"), LBFGS()], ids=repr
)
def test_a_plateau_needs_a_rate_that_is_a_number(optimizer):
    model = model_for(optimizer)
    model.build(4)
    before = bits(model)
    with pytest.raises(ValueError, match="needs a number as learning rate"):
        fit(model, "batch", callbacks=[ReduceLROnPlateau("loss")])
    assert bits(model) == before


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"factor": 1.0}, ValueError),
        ({"factor": -0.1}, ValueError),
        ({"factor": "half"}, TypeError),
        ({"patience": -1}, ValueError),
        ({"patience": 1.5}, TypeError),
        ({"mode": "lower"}, ValueError),
        ({"min_delta": -1}, ValueError),
        ({"cooldown": -1}, ValueError),
        ({"min_lr": -1}, ValueError),
    ],
)
def test_wrong_settings_of_a_plateau_are_refused_by_name(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        ReduceLROnPlateau(**settings)


# ---- SGD("auto") --------------------------------------------------------------------------------

CLASSES = RNG.integers(0, 3, N_ROWS)
PROBLEMS = {
    "linear regression": (Y, [Dense(1)], "mse"),
    "regression": (Y, [Dense(9, "tanh"), Dense(1)], "mse"),
    "regression with L2": (Y, [Dense(20, "elu", kernel_regularizer=L2(0.1)), Dense(1)], "mse"),
    "huber": (3 * Y, [Dense(20, "softplus"), Dense(1)], "huber"),
    "two classes": (Y > 0, [Dense(8, "relu"), Dense(1, "sigmoid")], "binary_crossentropy"),
    "classes": (CLASSES, [Dense(20, "tanh"), Dense(3, "softmax")], "categorical_crossentropy"),
    "classes with L2": (
        CLASSES,
        [Dense(8, "tanh"), Dense(3, "softmax", kernel_regularizer=L2(0.01))],
        "categorical_crossentropy",
    ),
    "layers with rates of their own": (
        Y,
        [Dense(9, "tanh", learning_rate_multiplier=5), Dense(9, "tanh", trainable=False), Dense(1)],
        "mse",
    ),
}


@dtypes
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("scale", [0.01, 1, 30])
def test_auto_lowers_the_cost_at_every_step(name, dtype, scale):
    y, layers, loss = PROBLEMS[name]
    model = model_for(SGD("auto"), layers, loss, dtype=dtype)
    costs = model.fit(scale * X, y, epochs=200, mode="batch").history["loss"]
    costs.append(model.evaluate(scale * X, y))
    rounding = {"float32": 1e-6, "float64": 1e-14}[dtype]
    assert (np.diff(costs) <= rounding * costs[0]).all()
    assert costs[-1] < 0.999 * costs[0]


def test_auto_takes_the_steps_of_armijos_rule():
    """By hand: the cost is w^2, its gradient 2 w, and a step of rate r multiplies w by 1 - 2 r."""
    model = model_for(SGD("auto"), [Dense(1, use_bias=False)], dtype="float64")
    model.build(1)
    model.set_weights([[[3.0]]])
    history = model.fit([[1.0], [-1.0]], [0.0, 0.0], epochs=2, mode="batch").history
    # 1: (1 - 2)^2 > 1 - 2; 1/2 leads to the bottom, where the gradient is 0.
    assert history["learning_rate"] == [0.5, 0.5]
    assert history["loss"] == [9.0, 0.0]
    assert model.get_weights()[0] == 0


@dtypes
def test_auto_stays_at_a_minimum(dtype):
    A = np.column_stack([X, np.ones(N_ROWS)])
    best, *_ = np.linalg.lstsq(A, Y, rcond=None)
    model = model_for(SGD("auto"), [Dense(1)], dtype=dtype)
    model.build(4)
    model.set_weights([best[:4, None], best[4:]])
    costs = model.fit(X, Y, epochs=30, mode="batch").history["loss"]
    found = np.concatenate([weights.ravel() for weights in model.get_weights()])
    np.testing.assert_allclose(found, best, atol={"float32": 1e-5, "float64": 1e-9}[dtype])
    assert costs[-1] == pytest.approx(costs[0], rel=1e-6)
    model.set_weights([np.zeros((4, 1)), np.zeros(1)])
    model.fit(X, np.zeros(N_ROWS), epochs=3, mode="batch")
    assert all((weights == 0).all() for weights in model.get_weights())


@dtypes
@pytest.mark.parametrize("how", ["file", "pickle", "fit"])
def test_auto_goes_on_after_a_pause_bit_for_bit(dtype, how, tmp_path):
    whole, parts = (model_for(SGD("auto"), dtype=dtype) for _ in range(2))
    expected = fit(whole, "batch", epochs=20)
    found = fit(parts, "batch", epochs=7)
    if how == "file":
        parts.save(tmp_path / "model.npz")
        parts = load(tmp_path / "model.npz")
    elif how == "pickle":
        parts = pickle.loads(pickle.dumps(parts))
    rest = fit(parts, "batch", epochs=13)
    for key in ("loss", "learning_rate"):
        assert found[key] + rest[key] == expected[key]
    assert bits(parts) == bits(whole)
    assert len(set(expected["learning_rate"])) > 1


def test_auto_takes_a_single_row_as_a_batch():
    model = model_for(SGD("auto"), dtype="float64")
    costs = model.fit(X[:1], Y[:1], mode="batch", epochs=20).history["loss"]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 1e-6


def test_auto_gives_the_same_bits_with_any_number_of_threads():
    layers = [Dense(64, "relu"), Dense(64, "relu"), Dense(1)]
    models = [model_for(SGD("auto"), layers) for _ in range(2)]
    for threads, model in enumerate(models, 1):
        fit(model, "batch", epochs=4, threads=threads)
    assert bits(models[0]) == bits(models[1])


def test_auto_is_refused_where_a_step_has_one_row_or_stands_alone():
    model = model_for(SGD("auto"))
    model.build(4)
    before = bits(model)
    with pytest.raises(ValueError, match=r"fit\(\.\.\., mode='batch'\)"):
        model.fit(X, Y, mode="stochastic")
    with pytest.raises(ValueError, match="learning_rate='auto'"):
        model.train_on_batch(X, Y)
    with pytest.raises(ValueError, match="learning_rate='auto'"):
        model.train_on_batch(X[:1], Y[:1])
    assert bits(model) == before


@pytest.mark.parametrize(
    "others",
    [
        {"momentum": 0.9},
        {"weight_decay": 0.1},
        {"clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"global_clipnorm": 1.0},
        {"use_ema": True},
    ],
    ids=repr,
)
def test_auto_is_for_plain_descent(others):
    with pytest.raises(ValueError, match="learning_rate='auto' is for plain gradient descent"):
        SGD("auto", **others)
    optimizer = SGD(0.1, **others)
    with pytest.raises(ValueError, match="learning_rate='auto' is for plain gradient descent"):
        optimizer.learning_rate = "auto"
    assert optimizer.learning_rate == 0.1


def test_auto_is_refused_with_dropout_and_by_other_optimisers():
    model = model_for(SGD("auto"), [Dense(9, "tanh"), Dropout(0.5), Dense(1)])
    for mode in ("batch", "minibatch"):
        with pytest.raises(ValueError, match="take the Dropout layers out"):
            fit(model, mode)
    with pytest.raises(ValueError, match=r"SGD\(learning_rate='auto'\)"):
        Adam("auto")


@pytest.mark.parametrize("trial", [1, 2, 3])
def test_an_interrupt_in_a_trial_leaves_the_last_accepted_weights(monkeypatch, trial):
    model, accepted, trials, evaluate = model_for(SGD("auto")), [], [], Network.evaluate

    class Keep(Callback):
        def on_epoch_end(self, epoch, logs):
            accepted.append(bits(self.model))
            trials.clear()

    def interrupted(network, *arguments):
        trials.append(network.parameters.tobytes())
        if len(accepted) >= 3 and len(trials) == trial:
            raise KeyboardInterrupt
        return evaluate(network, *arguments)

    monkeypatch.setattr(Network, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(model, "batch", epochs=100, callbacks=[Keep()])
    assert bits(model) == accepted[-1]
    assert learner_of(model).network.parameters.tobytes() != trials[-1]
    assert len(model.history.epoch) == len(accepted)
    monkeypatch.undo()
    assert fit(model, "batch", epochs=2)["loss"][1] > 0


def test_auto_names_a_remedy_that_has_a_number_in_it():
    model = model_for(SGD("auto"), [Dense(1, kernel_initializer="ones")])
    with pytest.raises(FloatingPointError, match=r"steps\. Standardise the features"):
        model.fit(np.full((3, 4), 3e38), np.ones(3), mode="batch")


# ---- find_learning_rate -------------------------------------------------------------------------


def everything(model):
    arrays = {name: array.tobytes() for name, array in learner_of(model).arrays().items()}
    return model.__getstate__()["config"], arrays, model.history, repr(model.optimizer)


@modes
@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1, momentum=0.9), Adam(ExponentialDecay(0.01, 10, 0.9)), SGD("auto")],
    ids=repr,
)
def test_the_search_leaves_the_model_as_it_was(mode, optimizer):
    model, twin = (model_for(optimizer) for _ in range(2))
    model.build(4)
    before = everything(model)
    model.find_learning_rate(X, Y, mode=mode, batch_size=BATCH_SIZES[mode])
    assert everything(model) == before
    for one in (model, twin):
        fit(one, "batch", epochs=3)
    assert bits(model) == bits(twin)


TRAINED = {
    "fit": lambda model: model.fit(X, Y),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
    "a single row": lambda model: model.train_on_batch(X[:1], 0.5),
    "apply": lambda model: model.apply(model.gradient(X, Y)),
}


@pytest.mark.parametrize("train", TRAINED)
def test_a_trained_model_is_refused_and_the_line_suggested_works(train, tmp_path):
    model = model_for(dtype="float64")
    model.build(4)
    expected = model.find_learning_rate(X, Y, n_steps=20).suggestion
    TRAINED[train](model)
    model.save(tmp_path / "model.npz")
    for one in (model, load(tmp_path / "model.npz"), copy.copy(model)):
        with pytest.raises(ValueError, match="trained already.*reset") as caught:
            one.find_learning_rate(X, Y, n_steps=20)
        line = str(caught.value).split("new ones: ")[1].replace("(X, y)", "(X, y, n_steps=20)")
        names = {"model": one, "X": X, "y": Y}
        exec(line.replace("fresh.find", "curve = fresh.find"), names)
        assert names["curve"].suggestion == expected


def test_weights_that_were_set_by_hand_are_no_training():
    model = model_for()
    model.build(4)
    model.set_weights([2 * array for array in model.get_weights()])
    assert model.find_learning_rate(X, Y, n_steps=20).suggestion > 0


def test_the_search_does_not_build_the_model():
    model = model_for()
    model.find_learning_rate(X, Y, n_steps=3)
    assert not model.built


@modes
def test_the_same_search_gives_the_same_curve(mode):
    curves = [model_for().find_learning_rate(X, Y, mode=mode, threads=t) for t in (1, 2)]
    other = model_for(seed=6).find_learning_rate(X, Y, mode=mode)
    np.testing.assert_array_equal(curves[0].losses, curves[1].losses)
    assert curves[0].suggestion == curves[1].suggestion
    assert curves[0].losses[0] != other.losses[0]


@pytest.mark.filterwarnings("ignore:the loss still falls")
@modes
@pytest.mark.parametrize("n_steps", [2, 37])
def test_the_curve_has_a_loss_for_each_rate(mode, n_steps):
    curve = model_for().find_learning_rate(
        X, Y, mode=mode, lowest=1e-5, highest=1e-2, n_steps=n_steps
    )
    assert len(curve.rates) == len(curve.losses) == n_steps
    np.testing.assert_allclose(curve.rates, np.geomspace(1e-5, 1e-2, n_steps), rtol=1e-12)
    assert 1e-6 <= curve.suggestion <= 1e-3


def test_a_loss_that_still_falls_at_the_end_is_a_warning():
    model = model_for(layers=[Dense(1)])
    with pytest.warns(UserWarning, match="still falls at the highest rate, 0.001") as caught:
        model.find_learning_rate(X, Y, highest=1e-3)
    assert caught[0].filename == __file__
    line = str(caught[0].message).split("try more: ")[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(line.replace("=0.1)", "=10)"), {"model": model, "X": X, "Y": Y, "y": Y})


def test_the_curve_ends_where_the_loss_explodes():
    curve = model_for(layers=[Dense(1)]).find_learning_rate(X, Y, highest=1e6, n_steps=200)
    assert len(curve.rates) == len(curve.losses) < 200
    assert np.isfinite(curve.losses).all()
    assert curve.suggestion < 1


@pytest.mark.filterwarnings("ignore:the loss still falls")
def test_the_losses_are_running_means_before_each_step():
    """In batch mode with rates too small to matter all are the loss of the whole table."""
    model = model_for(dtype="float64")
    model.build(4)
    curve = model.find_learning_rate(X, Y, mode="batch", lowest=1e-12, highest=1e-11, n_steps=9)
    np.testing.assert_allclose(curve.losses, model.evaluate(X, Y), rtol=1e-9)


@modes
@pytest.mark.parametrize("seed", range(3))
def test_the_suggestion_is_near_the_best_fixed_rate(mode, seed):
    rows = np.random.default_rng(seed).normal(size=(200, 4))
    y = rows @ [1.0, -2.0, 0.5, 3.0]
    options = {"mode": mode, "batch_size": {"stochastic": 1, "minibatch": 32, "batch": 200}[mode]}
    suggestion = model_for(layers=[Dense(1)], seed=seed).find_learning_rate(rows, y, **options)
    losses, rates = [], np.geomspace(1e-5, 10, 25)
    for rate in rates:
        model = model_for(SGD(rate), [Dense(1)], seed=seed)
        try:
            model.fit(rows, y, epochs={"stochastic": 1}.get(mode, 20), **options)
            losses.append(model.evaluate(rows, y))
        except FloatingPointError:
            losses.append(np.inf)
    best = rates[np.argmin(losses)]
    assert best / 30 < suggestion.suggestion < 3 * best


def test_a_loss_below_zero_does_not_end_the_search():
    """Poisson's is negative where the counts are large."""
    counts = np.random.default_rng(0).poisson(30, N_ROWS)
    model = model_for("SGD", [Dense(4), Dense(1, "softplus")], "poisson")
    curve = model.find_learning_rate(X, counts)
    assert curve.losses.min() < 0
    assert 0.01 < curve.suggestion < 1


@pytest.mark.parametrize("mode", ["minibatch", "batch"])
def test_the_search_takes_a_loss_of_ones_own(mode):
    def own_mse(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return (e**2).mean(), 2 * e / e.size

    own, built_in = (
        model_for(loss=loss, dtype="float64").find_learning_rate(X, Y, mode=mode)
        for loss in (own_mse, "mse")
    )
    n = min(len(own.losses), len(built_in.losses)) // 2  # before rounding grows
    np.testing.assert_allclose(own.losses[:n], built_in.losses[:n], rtol=1e-9)
    assert own.suggestion == pytest.approx(built_in.suggestion)


def test_rows_of_weight_zero_do_not_count():
    weights = np.zeros(N_ROWS)
    weights[:20] = 1
    y = np.where(weights, Y, 1e6)
    curve = model_for().find_learning_rate(X, y, mode="batch", sample_weight=weights)
    assert curve.losses[0] < 10


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lowest": 0}, ValueError, "lowest"),
        ({"lowest": -1e-3}, ValueError, "lowest"),
        ({"lowest": "low"}, TypeError, "lowest"),
        ({"highest": 1e-7}, ValueError, "highest"),
        ({"highest": np.inf}, ValueError, "highest"),
        ({"n_steps": 1}, ValueError, "n_steps"),
        ({"n_steps": 2.5}, TypeError, "n_steps"),
        ({"mode": "online"}, ValueError, "mode"),
        ({"mode": "batch", "batch_size": 3}, ValueError, "batch_size=3"),
        ({"threads": 0}, ValueError, "threads"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight"),
    ],
)
def test_wrong_arguments_of_the_search_are_refused_by_name(options, error, message):
    model = model_for()
    with pytest.raises(error, match=message):
        model.find_learning_rate(X, Y, **options)
    assert not model.built


def test_the_search_needs_a_loss_and_an_optimiser_with_a_rate():
    with pytest.raises(ValueError, match="not compiled with a loss"):
        Sequential([Dense(1)]).find_learning_rate(X, Y)
    with pytest.raises(ValueError, match="LBFGS has no learning rate"):
        model_for(LBFGS()).find_learning_rate(X, Y)


def test_a_search_without_a_finite_loss_says_so():
    with pytest.raises(FloatingPointError, match="not finite before the first step"):
        model_for(layers=[Dense(1, kernel_initializer="ones")]).find_learning_rate(
            np.full((3, 4), 3e38), np.ones(3)
        )


# ---- what a schedule of one's own may not do ----------------------------------------------------


class Given(Schedule):
    """Rates that are not as they should be."""

    def __init__(self, function):
        object.__setattr__(self, "function", function)

    def rates(self, steps):
        return self.function(steps)


@pytest.mark.parametrize(
    "function",
    [lambda steps: 0.1, lambda steps: -0.1 + 0 * steps, lambda steps: steps * np.nan,
     lambda steps: steps[:-1]],
)  # fmt: skip
def test_rates_of_a_schedule_are_checked(function):
    model = model_for(SGD(Given(function)))
    with pytest.raises(ValueError, match="`rates` returned shape"):
        model.fit(X, Y, batch_size=16)


def test_a_model_with_a_schedule_of_ones_own_can_be_copied_but_not_saved(tmp_path):
    model = model_for(SGD(Zigzag()))
    model.fit(X, Y)
    twin = copy.deepcopy(model)
    for each in (model, twin):
        each.fit(X, Y)
    assert bits(model) == bits(twin)
    model.reset()
    assert len(model.find_learning_rate(X, Y, n_steps=5).rates) == 5
    with pytest.raises(ValueError, match="Zigzag.*a file could not restore"):
        model.save(tmp_path / "model.npz")


@pytest.mark.parametrize("optimizer", [Adam(0.01), Adam(Zigzag()), SGD(Zigzag())], ids=repr)
def test_single_rows_take_the_steps_of_fit_to_the_last_bit(optimizer):
    fitted, taught = model_for(optimizer), model_for(optimizer)
    for row, target in zip(X, Y, strict=True):
        fitted.fit(row[None], [target])
        taught.train_on_batch(row[None], target)
    assert bits(fitted) == bits(taught)


def test_lbfgs_has_nothing_to_set():
    model = Sequential([Dense(1)])
    model.compile("LBFGS", "mse")
    with pytest.raises(ValueError, match="no learning rate"):
        model.optimizer.learning_rate = 0.1
    for name in ("use_ema", "clipnorm", "history_size", "lerning_rate"):
        with pytest.raises(AttributeError, match=name):
            setattr(model.optimizer, name, 1)


# ---- what is refused, and what is taken ---------------------------------------------------------


class Compiles(Callback):
    def on_epoch_begin(self, epoch, logs):
        self.model.compile("SGD", "mse")


def test_a_model_is_not_compiled_within_a_fit():
    model = model_for()
    with pytest.raises(RuntimeError, match="compile within a fit"):
        model.fit(X, Y, callbacks=[Compiles()])
    model.compile("SGD", "mse")


def test_an_optimiser_comes_with_compile():
    with pytest.raises(AttributeError, match=r"model.compile\(SGD\(learning_rate=0.1\)"):
        model_for().optimizer = SGD(0.1)


def test_numpys_flags_are_flags_in_files_too(tmp_path):
    model = Sequential([Dense(3, use_bias=np.True_), Dense(1, trainable=np.False_)])
    model.compile(Adam(amsgrad=np.True_, use_ema=np.True_), "mse")
    model.fit(X, Y)
    model.save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").optimizer == model.optimizer


def test_what_comes_second_is_what_comes_second_in_keras():
    assert Adagrad(0.1, 0.2).initial_accumulator_value == 0.2
    with pytest.raises(TypeError):
        AdamW(0.1, 0.01)  # there it is the weight decay


def test_a_search_in_vain_says_so():
    model = model_for(layers=[Dense(1)])
    with pytest.raises(ValueError, match="falls at none of the rates from 1e-06 on"):
        model.find_learning_rate(1e6 * X, Y)
