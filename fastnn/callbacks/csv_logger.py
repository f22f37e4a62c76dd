"""The callbacks that come with fastnn; those that look at one number are in `monitors.py`."""

from __future__ import annotations

import contextlib
import csv
import inspect
import math
import os
import time
from collections.abc import Callable
from typing import Any, TextIO

from fastnn._validation import finite_number, flag, real_number, shown, whole_number
from fastnn.hooks import Callback, LambdaCallback, Logs
from fastnn.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from fastnn.progress import Progress

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "Progress",
    "ReduceLROnPlateau",
    "StopAt",
    "TerminateOnNaN",
]


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch: `schedule(epoch, rate) -> rate`.

    Or `schedule(epoch) -> rate`. A schedule by steps is an argument of the optimiser, see
    `fastnn.schedules`. With `verbose=1` a line an epoch tells the rate.

    Examples
    --------
    >>> from fastnn import LearningRateScheduler
    >>> callback = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(
                f"schedule={shown(schedule)}: expected a function, "
                f"e.g. lambda epoch, rate: rate * 0.9"
            )
        self.schedule, self.verbose = schedule, whole_number("verbose", verbose, minimum=0)

    def check(self) -> None:
        rate = self.model.optimizer.learning_rate
        if not isinstance(rate, float):
            raise ValueError(
                f"LearningRateScheduler needs a number as learning rate, but it is {rate!r}; leave "
                f"one of the two out"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        optimizer = self.model.optimizer
        told = epoch, optimizer.learning_rate
        optimizer.learning_rate = self.schedule(*told[: _n_arguments(self.schedule)])
        self.say(f"epoch {epoch + 1}: learning rate {optimizer.learning_rate:g}")


def _n_arguments(schedule: Callable[..., float]) -> int:
    """1 if it takes no more, else 2."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return 1
    except ValueError:  # some builtins have no signature
        pass
    return 2


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
        The character between two fields.
    append : bool
        Whether to write behind what the file holds. Its first line must then name the columns of
        this fit, in any order; without a file, or in an empty one, they are written.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said above; in `fit`, before anything is written, if the file to
        append to has other columns.
    OSError
        In `fit` if the file cannot be read or written.

    Examples
    --------
    >>> from fastnn import CSVLogger
    >>> callback = CSVLogger("history.csv", append=True)
    """

    _of_a_fit = *Callback._of_a_fit, "_file"

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator = os.fspath(filename), separator
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(
                f"separator={shown(separator)}: expected one character, e.g. separator=';'"
            )
        self.append = flag("append", append)

    def check(self) -> None:
        recorded = sorted(self.params["metrics"], key=lambda name: name.startswith("val_"))
        names, found = ["epoch", *recorded], self._columns_of_the_file()
        if found is not None and sorted(found) != sorted(names):
            raise ValueError(
                f"{self.filename} has the columns {', '.join(found)}, but this fit records "
                f"{', '.join(names)}; take another file, or write it anew, "
                f"CSVLogger({self.filename!r}, {self.separator!r})"
            )
        self._names, self._goes_on = found or names, found is not None

    def _columns_of_the_file(self) -> list[str] | None:
        """Those of the file to append to; None if there is none, or nothing in it."""
        if not self.append or not os.path.isfile(self.filename):
            return None
        try:
            with open(self.filename, encoding="utf-8-sig", newline="") as file:
                return next(csv.reader(file, delimiter=self.separator), None)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.filename} is not a CSV file to append to: {error}") from None

    def on_train_begin(self, logs: Logs) -> None:
        self._file: TextIO = open(
            self.filename, "a" if self.append else "w", encoding="utf-8", newline=""
        )
        if not self._goes_on:
            self._write(self._names)
        elif not _ends_a_line(self.filename):
            self._file.write("\n")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        numbers = logs | {"epoch": epoch}  # not all are there if this epoch has no validation
        self._write([numbers.get(name, "") for name in self._names])

    def _write(self, cells: list[Any]) -> None:
        """Write a line at once; an error names the file, as that of `open` does."""
        try:
            csv.writer(self._file, delimiter=self.separator).writerow(cells)
            self._file.flush()
        except OSError as error:
            with contextlib.suppress(OSError):  # closing tries to write the same once more
                self._file.close()
            raise OSError(error.errno, error.strerror, self.filename) from None

    def on_train_end(self, logs: Logs) -> None:
        self._file.close()


def _ends_a_line(filename: str) -> bool:
    with open(filename, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


class TerminateOnNaN(Callback):
    """Does nothing, so that a script for Keras runs: a loss that is not finite ends any fit.

    `fit` raises FloatingPointError then, and the model keeps its last finite weights.
    """
