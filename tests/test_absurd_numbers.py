"""Absurd values of every argument: only TypeError and ValueError may come, or it works."""

import inspect
import math
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import fastnn
from fastnn import (
    SGD,
    Callback,
    Dense,
    Dropout,
    Normalization,
    Sequential,
    callbacks,
    initializers,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from fastnn.custom import CustomMetric, check_loss

ABSURD = {
    "10**400": 10**400,
    "-10**400": -(10**400),
    "10**5000": 10**5000,
    "2**63": 2**63,
    "2**62": 2**62,
    "1e308": 1e308,
    "1e-320": 1e-320,
    "nan": math.nan,
    "inf": math.inf,
    "-0.0": -0.0,
    "-1": -1,
    "True": True,
    "'1'": "1",
    "None": None,
    "[]": [],
    "[10**400]": [10**400],
    "[[nan]]": [[math.nan]],
    "np.float64": np.float64(0.5),
    "np.float64 1e308": np.float64(1e308),
    "np.complex128": np.complex128(1 + 1j),
    "0-d": np.array(0.5),
    "0-d int": np.array(3),
    "0-d text": np.array("1"),
    "array of one": np.array([1.0]),
    "Decimal": Decimal("0.5"),
    "Decimal huge": Decimal("1e400"),
    "Decimal sNaN": Decimal("sNaN"),
    "Fraction": Fraction(1, 3),
    "Fraction huge": Fraction(10**400),
    "complex": 1 + 2j,
    "dict": {10**400: 10**400},
    "dict of one": {0: 10**400},
    "object": object(),
}

# What makes a call right but for one argument.
GIVEN = {
    "Dense": {"units": 2},
    "Dropout": {"rate": 0.5},
    "VarianceScaling": {"scale": 1.0, "fan": "in", "distribution": "normal"},
    "Values": {"values": [1.0]},
    "Stored": {"shape": (1,)},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [10], "values": [0.1, 0.01]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "InverseScaling": {"initial_learning_rate": 0.1},
    "OneCycle": {"max_learning_rate": 0.1, "total_steps": 10},
    "StopAt": {"seconds": 1.0},
    "ModelCheckpoint": {"filepath": "m.npz"},
    "CSVLogger": {"filename": "m.csv"},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1},
    "CustomMetric": {"function": max},
    "Normalization": {"mean": [0.0], "variance": [1.0]},
}


def classes_of(*groups):
    return {cls.__name__: cls for group in groups for cls in group}


CLASSES = classes_of(
    [Dense, Dropout, Normalization, CustomMetric],
    losses.LOSSES.values(),
    [type(one) for one in initializers.INITIALIZERS.values()],
    [initializers.Values, initializers.Stored],
    [type(one) for one in regularizers.REGULARIZERS.values()],
    schedules.SCHEDULES.values(),
    optimizers.OPTIMIZERS.values(),
    [getattr(callbacks, name) for name in dir(callbacks) if name in fastnn.__all__],
) | {f"metrics.{cls.__name__}": cls for cls in metrics.METRICS.values()}


def arguments_of(function):
    kinds = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.kind not in kinds and one.name != "self"]


CONSTRUCTIONS = [
    (name, argument) for name, cls in CLASSES.items() for argument in arguments_of(cls)
]


def tried(call, **arguments):
    """What the call returns; None if it was refused as it should be, with a clear message."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return call(**arguments)
    except (TypeError, ValueError) as error:
        assert str(error) and "set_int_max_str_digits" not in str(error)
    return None


@pytest.mark.parametrize(("name", "argument"), CONSTRUCTIONS)
def test_constructors(name, argument):
    for value in ABSURD.values():
        made = tried(CLASSES[name], **GIVEN.get(name, {}) | {argument: value})
        if made is None:
            continue
        repr(made)
        if isinstance(made, schedules.Schedule):
            assert all(made(step) >= 0 for step in (0, 1, 10, 2**60))


# ---- methods ------------------------------------------------------------------------------------

X, y = np.array([[0.5, 1.0], [1.0, 0.0], [0.0, 0.5]]), np.array([0.0, 1.0, 1.0])


class Stop(Callback):
    """Ends a fit of 2**62 epochs or steps after the first."""

    def on_train_batch_end(self, batch, logs):
        self.model.stop_training = True


def compiled(loss="mse", activation="linear", units=1):
    model = Sequential([Dense(units, activation)], seed=0)
    model.compile(SGD(0.1), loss)
    return model


def built():
    model = compiled()
    model.build(2)
    model.forward(X)
    return model


METHODS = {
    "build": {},
    "compile": {},
    "fit": {"X": X, "y": y, "callbacks": [Stop()]},
    "train_on_batch": {"X": X[:1], "y": 1.0},
    "test_on_batch": {"X": X, "y": y},
    "predict": {"X": X},
    "predict_on_batch": {"X": X},
    "evaluate": {"X": X, "y": y},
    "gradient": {"X": X, "y": y},
    "forward": {"X": X},
    "backward": {"dL_dy": np.ones((3, 1))},
    "apply": {"gradient": {"dL/dW1": np.ones((2, 1)), "dL/db1": [1.0]}},
    "set_weights": {"weights": [np.ones((2, 1)), [1.0]]},
    "find_learning_rate": {"X": X, "y": y, "n_steps": 12},
}
CALLS = [(n, a) for n in METHODS for a in arguments_of(getattr(Sequential, n))] + [
    ("build", "n_features")
]


@pytest.mark.parametrize(("name", "argument"), CALLS)
def test_methods_of_a_model(name, argument):
    for value in ABSURD.values():
        model = compiled() if name == "build" else built()
        before = model.get_weights() if model.built else None
        arguments = METHODS[name] | {argument: value}
        try:
            tried(getattr(model, name), **arguments)
        except FloatingPointError:
            assert argument in ("X", "y", "dL_dy", "gradient", "weights", "sample_weight")
        if before is not None:
            assert all(np.isfinite(array).all() for array in model.get_weights())


@pytest.mark.parametrize("argument", ["steps_per_epoch", "epochs", "initial_epoch", "class_weight"])
def test_fit_of_chunks(argument):
    for value in ABSURD.values():
        model = compiled("binary_crossentropy", "sigmoid")
        tried(model.fit, X=[(X, y), (X, y)], callbacks=[Stop()], **{argument: value})


@pytest.mark.parametrize("argument", ["class_weight", "sample_weight", "y", "validation_data"])
@pytest.mark.parametrize("loss", ["mse", "categorical_crossentropy", "hinge", "poisson"])
def test_weights_and_targets(argument, loss):
    activation = {"categorical_crossentropy": "softmax", "poisson": "softplus"}.get(loss, "linear")
    model = compiled(loss, activation, units=2 if activation == "softmax" else 1)
    for value in [*ABSURD.values(), [1, 2, 10**400], [Decimal(1)] * 3, (X, [1, 0, 10**400])]:
        tried(model.fit, **{"X": X, "y": y, argument: value})
        tried(model.train_on_batch, X=X[:1], y=value)


@pytest.mark.parametrize("argument", ["layers", "dtype", "seed"])
def test_models(argument):
    for value in [*ABSURD.values(), 10**4000, 2**128, [10**400]]:
        model = tried(Sequential, **{"layers": [Dense(1)], argument: value})
        if model is not None:
            model.build(2)


@pytest.mark.parametrize("units", [2**40, 2**62, 2**63 - 1])
def test_networks_beyond_all_memory(units):
    model = Sequential([Dense(units), Dense(units)])
    with pytest.raises(ValueError, match="take .* GB"):
        model.build(units)
    assert not model.built


def test_seeds_up_to_the_entropy_of_numpy():
    model = Sequential([Dense(1)], seed=np.random.SeedSequence().entropy)
    model.compile("sgd", "mse")
    model.fit(X, y)
    with pytest.raises(ValueError, match="seed=.*expected at most"):
        Sequential([Dense(1)], seed=2**128)


@pytest.mark.parametrize("value", [10**400, math.inf, 2**63, None, "1", 1 + 2j])
def test_learning_rates_that_are_set(value):
    model = built()
    tried(lambda: setattr(model.optimizer, "learning_rate", value))


@pytest.mark.parametrize("value", [10**400, None, [], "1", 1 + 2j])
def test_numbers_that_functions_of_users_return(value):
    model = Sequential([Dense(1)])
    model.compile("sgd", lambda y_true, y_pred: (value, np.ones_like(y_pred)))
    tried(model.fit, X=X, y=y, mode="batch")
    model.compile("sgd", "mse", metrics=[CustomMetric(lambda y_true, y_pred: value, name="own")])
    tried(model.fit, X=X, y=y)
    scheduler = fastnn.LearningRateScheduler(lambda epoch: value)
    tried(model.fit, X=X, y=y, callbacks=[scheduler])


def test_check_loss():
    def loss(y_true, y_pred):
        with np.errstate(over="ignore"):
            return float((y_pred**2).mean()), 2 * y_pred / y_pred.size

    for value in ABSURD.values():
        tried(check_loss, function=loss, y_true=[[1.0]], y_pred=value)
        tried(check_loss, function=loss, y_true=[[1.0]], y_pred=[[1.0]], tolerance=value)


def test_adapt():
    for value in [*ABSURD.values(), [[10**400, 1.0]], [[Fraction(1, 3)]]]:
        tried(Normalization().adapt, X=value)
        tried(Normalization, mean=[1.0], variance=value)


def estimator_arguments():
    names = ["MLPClassifier", "MLPRegressor"]
    try:
        from fastnn import estimators
    except ModuleNotFoundError:
        return []
    return [(name, a) for name in names for a in arguments_of(getattr(estimators, name))]


@pytest.mark.parametrize(("name", "argument"), estimator_arguments())
def test_estimators(name, argument):
    from sklearn.exceptions import ConvergenceWarning

    from fastnn import estimators

    for label, value in ABSURD.items():
        settings = {"hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0}
        if label == "10**5000" or (argument == "max_iter" and label == "2**62"):
            continue  # of which scikit-learn's message does not come about; would train for ever
        if argument == "power_t":
            settings |= {"solver": "sgd", "learning_rate": "invscaling"}
        estimator = getattr(estimators, name)(**settings | {argument: value})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            tried(estimator.fit, X=X, y=y)
