"""Callbacks: objects whose methods `fit` calls before and after its epochs, slices and batches."""

from fastnn.callbacks.base import Callback, LambdaCallback
from fastnn.callbacks.checkpoint import ModelCheckpoint
from fastnn.callbacks.csv_logger import CSVLogger
from fastnn.callbacks.gradient_monitor import GradientMonitor
from fastnn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from fastnn.callbacks.path_recorder import PathRecorder
from fastnn.callbacks.progress import Progress
from fastnn.callbacks.stopping import EarlyStopping, StopAt, TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "GradientMonitor",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "PathRecorder",
    "Progress",
    "ReduceLROnPlateau",
    "StopAt",
    "TerminateOnNaN",
]
