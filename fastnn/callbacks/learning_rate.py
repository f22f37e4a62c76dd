"""Callbacks that look at one number of the history."""

from __future__ import annotations

import copy
import difflib
import math
import os
from typing import Literal, Self, get_args

from fastnn._validation import (
    Array,
    finite_number,
    flag,
    lookup,
    number_between,
    shown,
    whole_number,
)
from fastnn.hooks import Callback, Logs
from fastnn.optimizers import BELOW_1

NEAR = 1e-9  # relative, of two learning rates that differ by rounding
SIGNS = {"min": 1.0, "max": -1.0}

Direction = Literal["auto", "min", "max"]
DIRECTIONS: dict[str, Direction] = {name: name for name in get_args(Direction)}


class Monitor(Callback):
    """Base class: which number to look at, and what is better than the best so far."""

    _results = ("best", "best_epoch", "stopped_epoch", "_best_weights", "_worse", "_resting")

    def __sklearn_clone__(self) -> Self:
        """A copy without the results of a fit, for scikit-learn's `clone`."""
        twin = copy.deepcopy(self)
        for name in self._results:
            vars(twin).pop(name, None)
        return twin

    def __init__(self, monitor: str, *, verbose: int, mode: Direction, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor={shown(monitor)}: expected a name, e.g. monitor='val_loss'")
        self.monitor, self.verbose = monitor, whole_number("verbose", verbose, minimum=0)
        self.mode = lookup("mode", mode, DIRECTIONS)
        self.min_delta = number_between("min_delta", min_delta, 0, None, example=1e-4)

    def check(self) -> None:
        if self.monitor not in self.params["metrics"]:
            raise ValueError(
                f"monitor={self.monitor!r} is not among the numbers of this fit, "
                f"{', '.join(self.params['metrics'])}{self._remedy(list(self.params['metrics']))}"
            )
        if not self._direction:
            raise ValueError(
                f"mode='auto', but nobody knows whether more of {self.monitor!r} is better; "
                f"say mode='max' or mode='min'"
            )

    def _remedy(self, known: list[str]) -> str:
        """What to do about a number that this fit does not record."""
        validated = any(name.startswith("val_") for name in known)
        if self.monitor.startswith("val_") and not validated:
            return "; give fit validation data, e.g. validation_split=0.2"
        begun = [name for name in known if self.monitor and name.startswith(self.monitor)]
        near = begun or difflib.get_close_matches(self.monitor, known, n=1, cutoff=0.7)
        if near:
            return f". Did you mean {near[0]!r}?"
        return "; a metric is recorded if compile gets it, e.g. metrics=['accuracy']"

    @property
    def _direction(self) -> str:
        known: str = self.params["metrics"][self.monitor]
        return known if self.mode == "auto" else self.mode

    def on_train_begin(self, logs: Logs) -> None:
        self._sign = SIGNS[self._direction]
        self.best = self._sign * math.inf

    def is_better(self, value: float, reference: float | None = None) -> bool:
        """Whether a number is better than another, or the best so far, by more than min_delta."""
        reference = self.best if reference is None else reference
        return self._sign * value < self._sign * reference - self.min_delta


class EarlyStopping(Monitor):
    """Ends the fit when a number of the history gets better no more. Keras's rule and words.

    Parameters
    ----------
    monitor : str
        The number: "val_loss", "loss", "accuracy", "val_accuracy".
    min_delta : float
        What counts as better: more than so much.
    patience : int
        How many epochs in a row may bring nothing better.
    verbose : int
        1 prints a line when it acts.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" knows it of all numbers but those that a function
        of your own returns.
    baseline : float, optional
        Patience begins anew only with what is better than this, too.
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
        If an argument is not as said above; in `fit` if its history has no such number.

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
            self.baseline = finite_number("baseline", baseline, example=0.5)
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


class ModelCheckpoint(Monitor):
    """Saves the model after every epoch, or after those that are the best so far.

    Parameters
    ----------
    filepath : str
        An .npz file; may hold numbers of the epoch: "model-{epoch:02d}-{val_loss:.3f}.npz", where
        `epoch` counts from 1, as in Keras. A file is written beside its place and moved there.
    monitor : str
        What decides which epoch is the best.
    verbose : int
        1 prints a line for every file.
    save_best_only : bool
        Whether to save only what is better than all before, in earlier fits too.
    save_weights_only : bool
        Without effect: a file holds the weights and, which is little beside them, how to go on.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" knows it of all numbers but those that a function
        of your own returns.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said above; in `fit`, before it begins, if its history has no such
        number, though `save_best_only` asks for it, or the path names what some epochs do not have.
    OSError
        In `fit` if the file cannot be written.

    Examples
    --------
    >>> from fastnn import ModelCheckpoint
    >>> callback = ModelCheckpoint("best.npz", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Direction = "auto",
    ) -> None:
        super().__init__(monitor, verbose=verbose, mode=mode, min_delta=0.0)
        path = os.fspath(filepath) if isinstance(filepath, os.PathLike) else filepath
        if not isinstance(path, str):
            raise TypeError(
                f"filepath={shown(filepath)}: expected the name of an .npz file, e.g. 'best.npz'"
            )
        if not path.endswith(".npz") or os.path.basename(path) == ".npz":
            raise ValueError(
                f"filepath={path!r}: models are .npz files, e.g. 'best.npz' or "
                f"'model-{{epoch:02d}}.npz'"
            )
        self.filepath = path
        flag("save_weights_only", save_weights_only)
        self.save_best_only = flag("save_best_only", save_best_only)

    def check(self) -> None:
        if self.save_best_only:
            super().check()
        known = [*self.params["metrics"]]
        validated = self.save_best_only and self.monitor.startswith("val_")
        if self.params["validation_freq"] > 1 and not validated:
            known = [name for name in known if not name.startswith("val_")]
        self._path(0, dict.fromkeys(known, 0.0))

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(epoch=epoch + 1, **logs)
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            wrong = f"asks for {error}" if isinstance(error, LookupError) else f"fails: {error}"
            raise ValueError(
                f"filepath={self.filepath!r} {wrong}; known are epoch, {', '.join(logs)}, of every "
                f"epoch, e.g. 'model-{{epoch:02d}}-{{loss:.3f}}.npz'"
            ) from None

    def on_train_begin(self, logs: Logs) -> None:
        if self.save_best_only and not hasattr(self, "best"):  # as in Keras: a file is not
            super().on_train_begin(logs)  # overwritten by what is worse

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            if self.monitor not in logs or not self.is_better(logs[self.monitor]):
                return
        path = self._path(epoch, logs)
        self.model.save(path)
        if self.save_best_only:  # not before there is a file of it
            self.best = logs[self.monitor]
        self.say(f"epoch {epoch + 1}: saved {path}")


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` when a number of the history gets better no more.

    Parameters
    ----------
    monitor : str
        The number: "val_loss", "loss", "accuracy", "val_accuracy".
    factor : float
        From 0 to below 1.
    patience : int
        How many epochs in a row may bring nothing better; those without the number do not count.
    verbose : int
        1 prints a line when it acts.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" knows it of all numbers but those that a function
        of your own returns.
    min_delta : float
        What counts as better: more than so much.
    cooldown : int
        How long to wait after a reduction; the `cooldown`-th epoch after it counts again, as in
        Keras.
    min_lr : float
        The learning rate goes no lower.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said above; in `fit` if the history has no such number, or the
        learning rate is not a number.

    Examples
    --------
    >>> from fastnn import ReduceLROnPlateau
    >>> callback = ReduceLROnPlateau("loss", factor=0.5, patience=3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Direction = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, verbose=verbose, mode=mode, min_delta=min_delta)
        self.factor = number_between("factor", factor, 0, BELOW_1, example=0.1)
        self.patience = whole_number("patience", patience, minimum=0)
        self.cooldown = whole_number("cooldown", cooldown, minimum=0)
        self.min_lr = number_between("min_lr", min_lr, 0, None, example=1e-6)

    def check(self) -> None:
        super().check()
        optimizer = self.model.optimizer
        if not isinstance(optimizer.learning_rate, float) or optimizer.needs_all_rows:
            raise ValueError(
                f"ReduceLROnPlateau needs a number as learning rate, but the optimizer is "
                f"{optimizer}; leave one of the two out"
            )

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self._worse = self._resting = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.monitor not in logs:  # an epoch without validation
            return
        if self._resting:
            self._resting, self._worse = self._resting - 1, 0
        if self.is_better(logs[self.monitor]):
            self.best, self._worse = logs[self.monitor], 0
        elif not self._resting:
            self._worse += 1
            if self._worse >= self.patience:
                self._reduce()

    def _reduce(self) -> None:
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate
        lowest = self.min_lr
        # What is near enough to the lowest to be printed alike is the lowest.
        if isinstance(rate, float) and rate > lowest * (1 + NEAR):
            lower = rate * self.factor
            optimizer.learning_rate = lower = lower if lower > lowest * (1 + NEAR) else lowest
            self._worse, self._resting = 0, self.cooldown
            last = ", the lowest" * (lower == lowest)
            self.say(f"learning rate {rate:g} reduced to {lower:g}{last}")
