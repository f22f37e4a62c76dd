"""fastnn: train dense feedforward networks on the CPU at the speed of the hardware."""

import os
import sys
from typing import TYPE_CHECKING, Any

try:
    from fastnn.native.backend import show_config
except (ImportError, ValueError) as error:
    # The command line reports this error in one line, like all its others. While the package is
    # being imported sys.argv[0] may be "-m", so the command's name comes from sys.orig_argv.
    command = "".join(sys.orig_argv[-len(sys.argv) :][:1]).removeprefix("-m")
    if os.path.basename(command) == "fastnn":
        print(f"fastnn: error: {error}", file=sys.stderr)
        sys.exit(2)
    raise
from fastnn._version import __version__
from fastnn.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    GradientMonitor,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    PathRecorder,
    Progress,
    ReduceLROnPlateau,
    StopAt,
    TerminateOnNaN,
)
from fastnn.callbacks.history import History
from fastnn.engine.divergence import Diverged
from fastnn.layers import Dense, Dropout, Normalization
from fastnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalLogLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
    Hinge,
    Huber,
    LogLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SquaredHinge,
)
from fastnn.models import Sequential, gradcheck, load
from fastnn.optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, RMSprop
from fastnn.regularizers import L1, L1L2, L2, SharedL2

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BinaryCrossentropy",
    "CSVLogger",
    "Callback",
    "CategoricalCrossentropy",
    "CategoricalLogLoss",
    "Dense",
    "Diverged",
    "Dropout",
    "EarlyStopping",
    "GradientMonitor",
    "HalfPoissonDeviance",
    "HalfSquaredError",
    "Hinge",
    "History",
    "Huber",
    "LambdaCallback",
    "LearningRateScheduler",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "ModelCheckpoint",
    "Normalization",
    "PathRecorder",
    "Poisson",
    "Progress",
    "RMSprop",
    "ReduceLROnPlateau",
    "Sequential",
    "SharedL2",
    "SquaredHinge",
    "StopAt",
    "TerminateOnNaN",
    "__version__",
    "gradcheck",
    "load",
    "show_config",
]

if TYPE_CHECKING:
    from fastnn.estimators import MLPClassifier as MLPClassifier
    from fastnn.estimators import MLPRegressor as MLPRegressor

ESTIMATORS = "MLPClassifier", "MLPRegressor"  # imported on first use: they need scikit-learn
# The public modules.
MODULES = ["activations", "callbacks", "custom", "initializers", "layers", "losses", "metrics"]
MODULES += ["models", "optimizers", "plot", "regularizers", "schedules"]


def __getattr__(name: str) -> Any:
    if name == "plot":  # on first use: few programs draw
        import fastnn.plot

        return fastnn.plot
    if name not in ESTIMATORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from fastnn import estimators
    except ModuleNotFoundError as error:
        if error.name not in ("sklearn", "scipy"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs scikit-learn: pip install scikit-learn", name=error.name
        ) from None
    return getattr(estimators, name)


def __dir__() -> list[str]:
    return sorted([*__all__, *ESTIMATORS, *MODULES])
