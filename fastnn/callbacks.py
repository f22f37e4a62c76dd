"""What runs beside the training: the hooks, with Keras's names, and small things built on them."""

import csv
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TextIO

from fastnn._validation import Array, finite_number, flag, real_number, whole_number
from fastnn.history import History
from fastnn.optimizers import Optimizer

Logs = dict[str, float]


class Model(Protocol):
    """What training and callbacks ask of the model that is trained."""

    stop_training: bool
    epochs_trained: int
    history: History

    @property
    def optimizer(self) -> Optimizer: ...

    def get_weights(self) -> list[Array]: ...

    def set_weights(self, weights: list[Array]) -> None: ...

    def save(self, path: str | os.PathLike[str]) -> None: ...


class Callback:
    """Base class: override the hooks you need. Names and arguments are Keras's.

    `self.model` is the model; set `self.model.stop_training = True` to end the fit: after the
    current epoch, or if a hook within the epoch does so after the current slice or batch; the
    numbers of that epoch are then those of the rows it came to. `self.params` is the `params` of
    the fit's `History`; in `evaluate` and `predict` it says "samples" and "verbose".
    """

    model: Model
    params: dict[str, Any]

    def on_train_begin(self, logs: Logs) -> None:
        """Called once, before the first epoch; `logs` is empty."""

    def on_train_end(self, logs: Logs) -> None:
        """Called once, after the last epoch, also if the fit was interrupted or failed.

        `logs` is that of the last epoch that was recorded.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before every epoch; `epoch` counts from 0, or `initial_epoch`."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after every epoch with what the history records of it."""

    def on_test_begin(self, logs: Logs) -> None:
        """Called before the validation of an epoch, or `evaluate`; `logs` is empty."""

    def on_test_end(self, logs: Logs) -> None:
        """Called after it; `logs` holds its numbers, without "val_" before their names."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a slice of the rows that are evaluated, hundredths of a second of work."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after it with the means so far."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Called before `predict`; `logs` is empty."""

    def on_predict_end(self, logs: Logs) -> None:
        """Called after it; `logs` is empty."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a slice of the rows to predict, hundredths of a second of work."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Array]) -> None:
        """Called after it with its outputs: {"outputs": array}."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a batch, of which `batch` counts those of the epoch from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after a batch with the running means so far.

        In stochastic mode a "batch" is a slice, some hundredths of a second of work. Whoever
        overrides one of the two makes every batch a slice of its own, or several if it is large;
        the bits stay the same. A fit with L-BFGS calls neither.
        """

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        """Called within an epoch after `n_rows` more rows, as a rule hundredths of a second apart.

        `logs` holds the running means so far. A slice ends where a batch ends, except that one
        batch may take several slices.
        """

    def check(self) -> None:
        """Raise if this fit cannot have the callback: called first, when nothing has changed yet.

        `self.model` and `self.params` are known.
        """

    @property
    def sees_batches(self) -> bool:
        """Whether a hook of single batches is overridden, by the class or on the object itself."""
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name)
            for name in ("on_train_batch_begin", "on_train_batch_end")
        )


def tell(callbacks: Sequence[Callback], hook: str, *told: Any) -> None:
    """Call a hook of each."""
    for callback in callbacks:
        getattr(callback, hook)(*told)


HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class LambdaCallback(Callback):
    """Hooks given as functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`.

    Raises TypeError if a name is not that of a hook of `Callback`, or its value is no function.
    """

    def __init__(self, **hooks: Callable[..., object]) -> None:
        for name, function in hooks.items():
            if name not in HOOKS or not callable(function):
                raise TypeError(
                    f"{name}={function!r}: expected functions by the names of hooks, "
                    f"{', '.join(HOOKS)}"
                )
            setattr(self, name, function)


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch: `schedule(epoch, rate) -> rate`.

    A schedule by steps is an argument of the optimiser, see `fastnn.schedules`.

    Examples
    --------
    >>> from fastnn import LearningRateScheduler
    >>> callback = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise TypeError(
                f"schedule={schedule!r}: expected a function, e.g. lambda epoch, rate: rate * 0.9"
            )
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate
        if not isinstance(rate, float):
            raise ValueError(
                f"LearningRateScheduler needs a number as learning rate, but it is {rate!r}; leave "
                f"one of the two out"
            )
        optimizer.learning_rate = self.schedule(epoch, rate)


class StopAt(Callback):
    """Ends the fit when it has taken long enough, seen enough rows, or reached a loss.

    Time and rows are looked at after every slice, some hundredths of a second of work (a batch is
    finished first); the loss, the running mean of an epoch, when the epoch ends.

    Parameters
    ----------
    seconds : float, optional
        From the beginning of the fit on.
    samples : int, optional
        How many rows to train on at least, those that come again counted again.
    loss : float, optional
        Of an epoch, with what regularisers add.

    Raises
    ------
    TypeError, ValueError
        If none is given, or one is not such a number.

    Examples
    --------
    >>> from fastnn import StopAt
    >>> callback = StopAt(seconds=60, loss=0.01)
    """

    def __init__(
        self,
        *,
        seconds: float | None = None,
        samples: int | None = None,
        loss: float | None = None,
    ) -> None:
        if seconds is None and samples is None and loss is None:
            raise ValueError("StopAt needs seconds, samples or loss, e.g. StopAt(seconds=60)")
        self.seconds = math.inf if seconds is None else real_number("seconds", seconds, above=0)
        self.samples = math.inf if samples is None else whole_number("samples", samples, minimum=1)
        self.loss = -math.inf if loss is None else finite_number("loss", loss, example=0.01)

    def on_train_begin(self, logs: Logs) -> None:
        self._began, self._seen = time.perf_counter(), 0

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        self._seen += n_rows
        if self._seen >= self.samples or time.perf_counter() - self._began >= self.seconds:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if logs["loss"] <= self.loss:
            self.model.stop_training = True


class CSVLogger(Callback):
    """Writes the history into a CSV file, a line an epoch: "epoch", then the numbers by name.

    Parameters
    ----------
    filename : path
    separator : str
        What stands between two fields.
    append : bool
        Whether to write behind what the file holds, without a line of names.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator = filename, separator
        self.append = flag("append", append)

    def on_train_begin(self, logs: Logs) -> None:
        self._file: TextIO = open(self.filename, "a" if self.append else "w", newline="")
        self._names: list[str] = []

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        writer = csv.writer(self._file, delimiter=self.separator)
        if not self._names:
            rest = self.params["metrics"]  # not all are there if this epoch has no validation
            self._names = [*logs, *(name for name in rest if name not in logs)]
            if not self.append or self._file.tell() == 0:
                writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(logs.get(name, "") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs) -> None:
        self._file.close()


class TerminateOnNaN(Callback):
    """Does nothing, so that a script for Keras runs: a loss that is not finite ends any fit.

    `fit` raises FloatingPointError then, and the model keeps its last finite weights.
    """
