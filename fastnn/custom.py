"""A metric of the user's own, such as one of scikit-learn's: a function of all rows of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from fastnn._validation import Array, shown
from fastnn.losses import Loss
from fastnn.metrics import Metric, Running

MetricFunction = Callable[..., Any]


@dataclass(frozen=True)
class OwnMetric(Metric):
    """What `function(y_true, y_pred)` returns, a number: called when an epoch ends.

    y_true and y_pred hold every row, in the order of the epoch; of shape (n_rows,) where there is
    one target or output, as scikit-learn's metrics take them, else (n_rows, n_targets) and
    (n_rows, n_outputs). Labels are whole numbers. In training the outputs are those that each row
    had before its step, as for all metrics; so they are kept, and memory grows with the rows. A
    function in `metrics=` becomes such an object.

    Parameters
    ----------
    function : callable
        `function(y_true, y_pred)`; with ``weighted=True`` also `sample_weight=...`, if there are
        such weights, as in scikit-learn.
    name : str, optional
        Its key in the history; the function's own name unless given.

    Raises
    ------
    TypeError, ValueError
        If `function` is none, or `name` not free; in `fit` and `evaluate`, if it does not return a
        number.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Sequential
    >>> def largest_error(y_true, y_pred):
    ...     return np.abs(y_pred - y_true).max()
    >>> model = Sequential([Dense(1, kernel_initializer="ones")])
    >>> model.compile(loss="mse", metrics=[largest_error])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0], [2.0]], [1, 4], return_dict=True)
    {'loss': 2.0, 'largest_error': 2.0}
    """

    streamed: ClassVar[bool] = False
    better: ClassVar[str] = ""

    function: MetricFunction
    name: str = field(default="", kw_only=True)
    labels: bool = field(default=False, kw_only=True, repr=False)  # whether targets are classes

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(
                f"function={shown(self.function)}: expected a function of y_true and y_pred"
            )
        if self.name == "":
            object.__setattr__(self, "name", _name_of(self.function))
        super().__post_init__()

    def fitted(self, loss: Loss, units: int, argument: str = "metrics") -> Metric:
        return replace(self, labels=loss.targets == "classes")

    def running(self) -> Running:
        return _Collected(self)

    def value(self, y_true: Array, y_pred: Array, weights: Array | None) -> float:
        """The function's number; an error of its own is told whose it is."""
        if self.labels and y_true.shape[1] == 1:
            y_true = y_true.astype(np.intp)
        given = {} if weights is None else {"sample_weight": weights}
        try:
            value = self.function(_flat(y_true), _flat(y_pred), **given)
        except Exception as error:
            error.add_note(
                f"raised by the metric {self.name!r}, which got y_true of shape "
                f"{_flat(y_true).shape} and, in y_pred, the outputs of the last layer, of shape "
                f"{_flat(y_pred).shape}, which are no labels"
            )
            raise
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(
                f"the metric {self.name!r} returned {shown(value)}; expected a number"
            ) from None


class _Collected:
    """Copies of all that was added, for a function of the whole."""

    def __init__(self, metric: OwnMetric) -> None:
        self._metric = metric
        self._rows: list[tuple[Array, Array]] = []
        self._weights: list[Array] = []
        self._weighs = False

    def add(self, y: Array, predictions: Array, weights: Array | None = None) -> None:
        self._rows.append((y.copy(), predictions.copy()))
        if self._metric.weighted:  # of chunks some may come without weights, which are then 1
            self._weighs |= weights is not None
            self._weights.append(np.ones(len(y)) if weights is None else weights.copy())

    def value(self) -> float:
        y_true, y_pred = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        weights = np.concatenate(self._weights) if self._weighs else None
        return self._metric.value(y_true, y_pred, weights)


def _name_of(function: Any) -> str:
    """`f1` of def f1, of functools.partial(f1, ...), and "lambda"."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def _flat(array: Array) -> Array:
    """Without the second dimension if it is 1."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
