"""fastnn: dense feedforward networks, trained on the CPU at the speed of the hardware."""

from fastnn._backend import show_config
from fastnn._version import __version__
from fastnn.callbacks import Callback, ReduceLROnPlateau
from fastnn.history import History
from fastnn.layers import Dense, Dropout, Normalization
from fastnn.models import Sequential, load
from fastnn.optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, RMSprop
from fastnn.regularizers import L1, L1L2, L2

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Callback",
    "Dense",
    "Dropout",
    "History",
    "Normalization",
    "RMSprop",
    "ReduceLROnPlateau",
    "Sequential",
    "__version__",
    "load",
    "show_config",
]
