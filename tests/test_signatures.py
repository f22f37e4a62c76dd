"""Signatures that one can read, and types that agree with the names the package knows."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

import fastnn
from fastnn import (
    activations,
    custom,
    initializers,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from fastnn.callbacks import monitor
from fastnn.native import backend
from fastnn.training import plan

MODULES = [fastnn, activations, initializers, losses, metrics, optimizers, custom]
MODULES += [regularizers, schedules]
PER_PARAMETER, BESIDE = 35, 50  # characters
NOISE = "numpy._typing", "npt.", "collections.abc", "typing.", "Union[", "ForwardRef", "fastnn."


def public_callables():
    """What users call: classes and functions of the public modules, and the classes' methods."""
    found = {}
    for module in MODULES:
        names = getattr(module, "__all__", vars(module))
        for name in names:
            thing = getattr(module, name)
            own = getattr(thing, "__module__", "").startswith("fastnn")
            is_private = getattr(thing, "__module__", "").startswith("fastnn.data")
            if name.startswith("_") or not own or is_private or not callable(thing):
                continue
            if isinstance(thing, type) and issubclass(thing, tuple):
                continue  # rows of the core's tables
            found[f"{thing.__module__}.{name}"] = thing
            if isinstance(thing, type):
                for method, function in inspect.getmembers(thing, inspect.isfunction):
                    if not method.startswith("_") and function.__module__.startswith("fastnn"):
                        found[f"{thing.__module__}.{name}.{method}"] = function
    return found


CALLABLES = public_callables()


@pytest.mark.parametrize("name", CALLABLES)
def test_signature_is_readable(name):
    signature = inspect.signature(CALLABLES[name])
    text = str(signature)
    assert [noise for noise in NOISE if noise in text] == []
    assert len(text) <= PER_PARAMETER * len(signature.parameters) + BESIDE


def test_the_signatures_of_the_estimators_are_readable():
    estimators = pytest.importorskip("fastnn.estimators")
    for cls in (estimators.MLPClassifier, estimators.MLPRegressor):
        for thing in (cls, cls.fit, cls.partial_fit, cls.predict, cls.learn_one, cls.predict_one):
            signature = inspect.signature(thing)
            assert [noise for noise in NOISE if noise in str(signature)] == []
            assert len(str(signature)) <= PER_PARAMETER * len(signature.parameters) + BESIDE


def test_fit_says_what_it_takes():
    text = str(inspect.signature(fastnn.Sequential.fit))
    assert text.startswith("(self, X: 'ArrayLike | RowChunks', y: 'ArrayLike | None' = None, *,")
    assert "mode: 'Mode | None' = None" in text


def names_of(alias):
    """The names of a Literal, or of those in a union."""
    if get_origin(alias) is Literal:
        return set(get_args(alias))
    return {name for part in get_args(alias) for name in names_of(part)}


@pytest.mark.parametrize(
    ("alias", "known"),
    [
        (activations.ActivationName, {*activations.ACTIVATIONS, "swish"}),
        (losses.LossName, losses.LOSSES),
        (losses.Reduction, losses.REDUCTIONS),
        (metrics.MetricName, metrics.METRICS),
        (initializers.InitializerName, initializers.INITIALIZERS),
        (initializers.Fan, initializers.FANS),
        (initializers.Distribution, initializers.DISTRIBUTIONS),
        (regularizers.RegularizerName, regularizers.REGULARIZERS),
        (plan.Mode, plan.MODES),
        (plan.Measured, plan.MEASURED),
        (monitor.Direction, monitor.DIRECTIONS),
        (backend.DType, backend.DTYPES),
    ],
)
def test_types_agree_with_the_names_that_are_known(alias, known):
    assert names_of(alias) == set(known)


def test_types_of_optimizers_are_their_names_and_those_of_their_classes():
    classes = optimizers.OPTIMIZERS
    written = {cls.__name__ for cls in classes.values()}
    assert names_of(optimizers.OptimizerName) == {*classes, *written}


def test_types_of_the_estimators_agree_with_what_they_check():
    pytest.importorskip("sklearn")
    from fastnn.estimators import parameters

    constraints = parameters.Parameters._parameter_constraints
    for argument, alias in (
        ("solver", parameters.SolverName),
        ("loss", parameters.LossWord),
        ("activation", parameters.ActivationWord),
        ("out_activation", parameters.ActivationWord),
        ("learning_rate", parameters.RateRule),
        ("mode", plan.Mode),
    ):
        assert names_of(alias) == set(constraints[argument][0].options), argument


# ---- what a type checker says of programs -------------------------------------------------------

RIGHT = """
import numpy as np
from fastnn import SGD, Adam, CategoricalCrossentropy, Dense, EarlyStopping, L2, Sequential
from fastnn.initializers import Orthogonal, VarianceScaling
from fastnn.losses import LossName
from fastnn.schedules import CosineDecay

X, y = np.zeros((8, 2)), np.zeros(8)
layers = [
    Dense(4, "relu", kernel_initializer="he_normal", kernel_regularizer="l2"),
    Dense(4, "swish", kernel_initializer=np.zeros((4, 4)), kernel_regularizer=L2(0.1)),
    Dense(2, None, kernel_initializer=Orthogonal(), bias_initializer=[0.0, 1.0]),
]
model = Sequential(layers, dtype="float64", seed=0)
Sequential([Dense(1)], dtype=np.float64)
Sequential([Dense(1)], dtype=np.dtype(np.float32))
name: LossName = "mse" if model.built else "mae"
model.compile("adam", name, metrics=["mae", lambda y_true, y_pred: 0.0])
model.compile(SGD("auto"), "mean_squared_error")
model.compile(Adam(CosineDecay(0.1, 100)), CategoricalCrossentropy(reduction="sum_over_batch_size"))
history = model.fit(X, y, mode="minibatch", train_metrics="end", class_weight="balanced")
model.fit([(X, y), (X, y)], verbose="auto", callbacks=[EarlyStopping("loss", mode="min")])
model.fit(X.tolist(), y.tolist(), class_weight={0: 1.0, 1: 2.0}, validation_data=(X, y))
scores: dict[str, float] = model.evaluate(X, y, return_dict=True)
VarianceScaling(1.0, "in", "uniform")
"""

WRONG = [
    'Dense(4, "relo")',
    'Dense(4, kernel_initializer="he_nromal")',
    'Dense(4, kernel_regularizer="l3")',
    'Sequential([Dense(1)], dtype="float16")',
    'model.compile("adamm", "mse")',
    'model.compile("adam", "mean_square_error")',
    'model.compile("adam", "mse", metrics=["acuracy"])',
    'model.compile(Adam("auto"), "mse")',
    'model.compile("adam", MeanSquaredError(reduction="sum"))',
    'model.fit([[1.0]], [1.0], mode="mini-batch")',
    'model.fit([[1.0]], [1.0], train_metrics="last")',
    'model.fit([[1.0]], [1.0], class_weight="balance")',
    'model.find_learning_rate([[1.0]], [1.0], mode="stochastik")',
    'EarlyStopping(mode="mini")',
    'VarianceScaling(1.0, "out", "uniform")',
    'fastnn.show_config("dict")',
]

HEAD = """
import fastnn
from fastnn import Adam, Dense, EarlyStopping, MeanSquaredError, Sequential
from fastnn.initializers import VarianceScaling

model = Sequential([Dense(1)])
"""


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_a_type_checker_passes_right_calls_and_finds_typos(tmp_path):
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(RIGHT)
    wrong.write_text(HEAD + "\n".join(WRONG) + "\n")
    root = Path(fastnn.__file__).parent.parent
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent"]
        + [f"--cache-dir={tmp_path / 'cache'}", str(right), str(wrong)],
        cwd=tmp_path, env={"MYPYPATH": str(root), "PATH": ""}, capture_output=True, text=True,
    ).stdout  # fmt: skip
    lines = {line.split(": ")[0] for line in found.splitlines() if ": error: " in line}
    first = HEAD.count("\n") + 1
    assert lines == {f"wrong.py:{first + number}" for number in range(len(WRONG))}, found
