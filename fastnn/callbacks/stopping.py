"""Callbacks that end a fit: a limit is reached, nothing improves, or a number is not finite."""

from __future__ import annotations

import math
import time

from fastnn.callbacks.base import Callback, Logs
from fastnn.callbacks.monitor import Direction, Monitor
from fastnn.data.checks import flag, real_number, whole_number
from fastnn.data.rows import Array


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
        self.loss = -math.inf if loss is None else real_number("loss", loss, example=0.01)

    def on_train_begin(self, logs: Logs) -> None:
        self._began, self._seen = time.perf_counter(), 0

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        self._seen += n_rows
        if self._seen >= self.samples or time.perf_counter() - self._began >= self.seconds:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if logs["loss"] <= self.loss:
            self.model.stop_training = True


class TerminateOnNaN(Callback):
    """Does nothing, so that a script for Keras runs: a loss that is not finite ends any fit.

    `fit` raises FloatingPointError then, and the model keeps its last finite weights.
    """


class EarlyStopping(Monitor):
    """Ends the fit when a number of the history gets better no more. Keras's rule and words.

    Parameters
    ----------
    monitor : str
        The number: "val_loss", "loss", "accuracy", "val_accuracy".
    min_delta : float
        A change has to be greater than this to count as better.
    patience : int
        How many epochs in a row may bring nothing better.
    verbose : int
        1 prints a line when it acts.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" knows it of all numbers but those that a function
        of your own returns.
    baseline : float, optional
        Patience begins again only with a number that is better than this, too.
    restore_best_weights : bool
        Whether the model gets the weights of the best epoch in the end, whatever ended the fit; so
        by default, unlike Keras. Of several such callbacks the last in the list decides.
    start_from_epoch : int
        Epochs before this one are not looked at.

    Attributes
    ----------
    best : float
        The best number so far.
    best_epoch, stopped_epoch : int or None
        The epoch that had it, and the one that ended the fit.

    Raises
    ------
    TypeError, ValueError
        If `patience`, `min_delta` or another argument is no number from its range, or `mode` is
        none of the three; in `fit` if its history has no number `monitor`.

    Examples
    --------
    >>> from fastnn import EarlyStopping
    >>> callback = EarlyStopping(patience=5)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: Direction = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, verbose=verbose, mode=mode, min_delta=min_delta)
        self.patience = whole_number("patience", patience, minimum=0)
        self.baseline = None
        if baseline is not None:
            self.baseline = real_number("baseline", baseline, example=0.5)
        self.restore_best_weights = flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = whole_number("start_from_epoch", start_from_epoch, minimum=0)

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self._worse = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.monitor not in logs or epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        self._worse += 1
        if self.is_better(value):
            kept = self.model.get_weights() if self.restore_best_weights else None
            # All at once: an interrupt in the copy leaves number and weights of one epoch.
            self.best, self.best_epoch, self._best_weights = value, epoch, kept
            if self.baseline is None or self.is_better(value, self.baseline):
                self._worse = 0
        elif self._worse >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True
            self.say(f"epoch {epoch + 1}: {self.monitor} has stopped getting better")

    def on_train_end(self, logs: Logs) -> None:
        if self._best_weights is not None and self.best_epoch is not None:
            self.model.set_weights(self._best_weights)
            self.say(f"the model has the weights of epoch {self.best_epoch + 1}")
