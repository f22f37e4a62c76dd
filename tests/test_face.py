"""What an interactive prompt shows: one line per object, and only public names."""

import pickle

import numpy as np
import pytest

import fastnn
from fastnn import (
    SGD,
    CSVLogger,
    Dense,
    Diverged,
    Dropout,
    EarlyStopping,
    History,
    LambdaCallback,
    ModelCheckpoint,
    Normalization,
    Progress,
    ReduceLROnPlateau,
    Sequential,
    StopAt,
    TerminateOnNaN,
)

X, y = np.arange(20.0).reshape(10, 2) / 20, np.arange(10.0) / 10


def model_of(*layers, **settings):
    model = Sequential(list(layers) or [Dense(1)], seed=0, **settings)
    model.compile("sgd", "mse")
    return model


# ---- one line ----------------------------------------------------------------------------------


def test_a_model_is_a_line():
    model = model_of(Normalization(), Dense(8, "relu"), Dropout(0.5), Dense(1))
    layers = "Dense(8, 'relu'), Dropout(rate=0.5), Dense(1, 'linear')"
    assert repr(model) == f"Sequential([Normalization(not adapted), {layers}])"
    model.layers[0].adapt(X)
    model.fit(X, y, epochs=3)
    front = "Normalization(adapted to 2 columns)"
    assert repr(model) == f"Sequential([{front}, {layers}], n_features=2, epochs_trained=3)"


def test_a_deep_model_is_a_short_line():
    text = repr(model_of(*[Dense(n, "relu") for n in range(1, 51)]))
    assert text == (
        "Sequential([Dense(1, 'relu'), Dense(2, 'relu'), Dense(3, 'relu'), ..., "
        "Dense(49, 'relu'), Dense(50, 'relu')])"
    )


def test_a_subclass_has_its_own_name():
    class Mine(Sequential):
        pass

    assert repr(Mine([Dense(1)])) == "Mine([Dense(1, 'linear')])"


def test_a_layer_says_what_is_not_the_default():
    layer = Dense(8, "tanh", use_bias=False, kernel_initializer=np.zeros((3, 8)))
    assert (
        repr(layer) == "Dense(8, 'tanh', use_bias=False, kernel_initializer=Values(shape=(3, 8)))"
    )
    assert eval(repr(Dense(8, kernel_regularizer=fastnn.L2(0.1))), vars(fastnn)) == Dense(
        8, kernel_regularizer=fastnn.L2(0.1)
    )


def test_a_history_is_a_line():
    assert repr(History()) == "History(0 epochs)"
    history = History(epoch=[0, 1, 2], history={"loss": [0.3123456, 0.2, 0.12]})
    assert repr(history) == "History(3 epochs, loss 0.3123 -> 0.12)"
    history = model_of().fit(X, y, epochs=300, validation_data=(X, y))
    assert repr(history).startswith("History(300 epochs, loss ")
    assert ", val_loss " in repr(history)
    assert len(repr(history)) < 80


def test_a_curve_of_learning_rates_is_a_line():
    curve = model_of().find_learning_rate(X, y)
    assert repr(curve).startswith("LearningRateCurve(suggestion=")
    assert len(repr(curve)) < 80


@pytest.mark.parametrize(
    ("callback", "shown"),
    [
        (EarlyStopping(patience=5), "EarlyStopping(patience=5)"),
        (EarlyStopping("loss", mode="min"), "EarlyStopping(monitor='loss', mode='min')"),
        (ModelCheckpoint("a.npz"), "ModelCheckpoint(filepath='a.npz')"),
        (ReduceLROnPlateau(factor=0.5), "ReduceLROnPlateau(factor=0.5)"),
        (CSVLogger("a.csv"), "CSVLogger(filename='a.csv')"),
        (TerminateOnNaN(), "TerminateOnNaN()"),
        (Progress(), "Progress()"),
        (LambdaCallback(on_epoch_end=print), "LambdaCallback()"),
    ],
)
def test_a_callback_says_what_it_was_made_with(callback, shown):
    assert repr(callback) == shown


def public_objects():
    from fastnn import initializers, losses, metrics, regularizers, schedules

    front = Normalization()
    front.adapt(np.zeros((3, 500)))
    yield from (
        Dense(3),
        Dropout(0.5),
        Normalization(),
        front,
        model_of(),
        model_of(front, Dense(1)),
    )
    yield from (SGD(), fastnn.Adam(), fastnn.LBFGS(), History(), StopAt(seconds=1))
    yield from (cls() for cls in {*losses.LOSSES.values(), *metrics.METRICS.values()})
    yield from (*initializers.INITIALIZERS.values(), *regularizers.REGULARIZERS.values())
    yield schedules.PiecewiseConstantDecay([10], [0.1, 0.01])
    yield Dense(2, kernel_initializer=np.zeros((500, 2)))


def test_every_object_is_one_short_line():
    for thing in public_objects():
        text = repr(thing)
        assert "\n" not in text and " object at 0x" not in text
        assert len(text) < 120, text


def test_an_estimator_with_objects_is_short():
    estimators = pytest.importorskip("fastnn.estimators")
    text = repr(estimators.MLPClassifier(solver=SGD(0.1), callbacks=[EarlyStopping()]))
    assert len(text) < 120


# ---- the names of the package --------------------------------------------------------------------


def test_dir_shows_what_is_public():
    assert set(dir(fastnn)) == {*fastnn.__all__, *fastnn.ESTIMATORS, *fastnn.MODULES}
    for internal in ("TYPE_CHECKING", "Any", "_validation", "descent", "network", "training"):
        assert internal not in dir(fastnn)


def test_public_modules_stay_importable():
    import importlib

    for name in fastnn.MODULES:
        assert getattr(fastnn, name) is importlib.import_module(f"fastnn.{name}")


# ---- divergence ----------------------------------------------------------------------------------


def diverging(learning_rate=1e30):
    model = Sequential([Dense(1, kernel_initializer="ones")], seed=0)
    model.compile(SGD(learning_rate), "mse")
    model.build(2)
    return model


def by_single_rows(model):
    for _ in range(100):
        model.train_on_batch(X[1:2] * 1e9, 1.0)


DIVERGING = {
    "fit": lambda model: model.fit(X * 1e9, y, epochs=50),
    "fit, batch": lambda model: model.fit(X * 1e9, y, epochs=50, mode="batch"),
    "fit, stochastic": lambda model: model.fit(X * 1e9, y, epochs=50, mode="stochastic"),
    "train_on_batch": lambda model: [model.train_on_batch(X * 1e9, y) for _ in range(50)],
    "train_on_batch, single rows": by_single_rows,
    "apply": lambda model: [
        model.apply({"dL/dW1": np.full((2, 1), 1e30), "dL/db1": [1e30]}) for _ in range(2)
    ],
}


@pytest.mark.parametrize("call", DIVERGING)
def test_divergence_is_one_type(call):
    model = diverging()
    with pytest.raises(Diverged):
        DIVERGING[call](model)
    assert all(np.isfinite(array).all() for array in model.get_weights())
    assert issubclass(Diverged, FloatingPointError)


def test_divergence_says_when_and_survives_a_pickle():
    with pytest.raises(Diverged) as caught:
        diverging().fit(X * 1e9, y, epochs=50)
    assert caught.value.when.startswith("in epoch ")
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (str(twin), twin.when) == (str(caught.value), caught.value.when)


# ---- attributes that would have no effect --------------------------------------------------------


ELSEWHERE = ["learning_rate", "lr", "momentum", "loss", "metrics", "weights"]
ELSEWHERE += ["trainable", "optimiser"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_of_keras_that_a_model_has_elsewhere_are_refused(name):
    model = model_of()
    with pytest.raises(AttributeError, match=f"a model has no {name}; "):
        setattr(model, name, 0.1)
    with pytest.raises(AttributeError, match=f"a model has no {name}; "):
        getattr(model, name)
    assert not hasattr(model, name)
    assert name not in dir(model)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stop_trainig", "stop_training"),
        ("learn_rate", "learning_rate"),
        ("meta_data", "metadata"),
        ("predicts", "predict"),
        ("optimizr", "optimizer"),
    ],
)
def test_a_misspelt_attribute_is_refused(name, meant):
    model = model_of()
    with pytest.raises(AttributeError, match=f"a model has no {name}. Did you mean '{meant}'?"):
        setattr(model, name, True)
    assert name not in vars(model)


def test_every_name_of_a_model_can_be_read():
    model = model_of()
    assert [name for name in dir(model) if not hasattr(model, name)] == []
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'nothing'"):
        model.nothing  # noqa: B018


def test_attributes_of_users_and_of_subclasses_are_theirs():
    class Mine(Sequential):
        learning_rate = 0.5

        def __init__(self, threshold):
            super().__init__([Dense(1)])
            self.threshold, self.loss_of_mine = threshold, "mse"

    model = Mine(0.3)
    model.learning_rate, model.name = 0.1, "mine"
    assert (model.learning_rate, model.threshold, model.name) == (0.1, 0.3, "mine")


@pytest.mark.parametrize("name", ["lr", "momentun", "optimizer"])
def test_an_optimizer_names_what_it_has(name):
    with pytest.raises(AttributeError, match=f"SGD has no {name}; .*learning_rate"):
        setattr(SGD(0.1), name, 0.1)
