"""Callbacks that change the learning rate: by a schedule, or when nothing improves."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from fastnn.callbacks.base import Callback, Logs
from fastnn.callbacks.monitor import Direction, Monitor
from fastnn.data.checks import (
    real_number,
    shown,
    whole_number,
)
from fastnn.optimizers import BELOW_1


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
        given = epoch, optimizer.learning_rate
        optimizer.learning_rate = self.schedule(*given[: _n_arguments(self.schedule)])
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


NEAR = 1e-9  # relative, of two learning rates that differ by rounding


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
        A change has to be greater than this to count as better.
    cooldown : int
        How long to wait after a reduction; the `cooldown`-th epoch after it counts again, as in
        Keras.
    min_lr : float
        The learning rate goes no lower.

    Raises
    ------
    TypeError, ValueError
        If `factor` is not below 1 or another argument is no number from its range; in `fit` if the
        history has no number `monitor`, or the learning rate is not a number.

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
        self.factor = real_number("factor", factor, low=0, high=BELOW_1, example=0.1)
        self.patience = whole_number("patience", patience, minimum=0)
        self.cooldown = whole_number("cooldown", cooldown, minimum=0)
        self.min_lr = real_number("min_lr", min_lr, low=0, example=1e-6)

    def check(self) -> None:
        super().check()
        optimizer = self.model.optimizer
        if not isinstance(optimizer.learning_rate, float) or optimizer.compares_costs:
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
