"""The base class of callbacks that follow one number of the history."""

from __future__ import annotations

import copy
import difflib
import math
from typing import Literal, Self, get_args

from fastnn.callbacks.base import Callback, Logs
from fastnn.data.checks import lookup, real_number, shown, whole_number

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
        self.min_delta = real_number("min_delta", min_delta, low=0, example=1e-4)

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
            return (
                "; give fit validation data, e.g. validation_split=0.2, or fit of an estimator "
                "X_val and y_val"
            )
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
