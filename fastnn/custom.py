"""Custom losses and metrics: functions of the user's that see whole blocks of outputs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from fastnn import metrics
from fastnn.data.arrays import TargetKind, initial_values
from fastnn.data.checks import items, real_number, shown
from fastnn.data.rows import Array
from fastnn.layers import Dense
from fastnn.losses import LOSSES, Loss, LossName
from fastnn.metrics import Metric, Running

LossFunction = Callable[[Any, Array], tuple[float, Any]]
LossLike = LossName | Loss | LossFunction  # what `compile` takes

EXAMPLE = (
    "def loss(y_true, y_pred): e = y_pred - np.reshape(y_true, y_pred.shape); "
    "return (e**2).mean(), 2 * e / e.size"
)


@dataclass(frozen=True)
class CustomLoss(Loss):
    """What `function(y_true, y_pred)` returns: L of the block, and dL/dy_pred."""

    name: ClassVar[str] = "custom loss"
    targets: ClassVar[TargetKind] = "anything"

    function: LossFunction

    @property
    def label(self) -> str:
        """What messages call it."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def value_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[float, Array]:
        """L and dL/dy_pred, in the dtype of y_pred; ValueError unless they are such.

        FloatingPointError if one is not finite, though the outputs are.
        """
        y_true = y_true.view()
        y_true.flags.writeable = False  # it is the user's
        try:
            value, gradient = self.function(y_true, y_pred.copy())
            value, gradient = float(value), np.asarray(gradient, y_pred.dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"loss={self.label} failed, or did not return (L, dL/dy_pred): {error}; e.g. "
                f"{EXAMPLE}"
            ) from error
        if gradient.shape != y_pred.shape:
            raise ValueError(
                f"loss={self.label} returned dL/dy_pred of shape {gradient.shape}; expected that "
                f"of y_pred, {y_pred.shape}, e.g. {EXAMPLE}"
            )
        finite = math.isfinite(value) and np.isfinite(gradient).all()
        if not finite and np.isfinite(y_pred).all():
            raise FloatingPointError(
                f"loss={self.label} returned L={value:g} for {len(y_pred)} rows"
                + (", and a dL/dy_pred that is not finite" if math.isfinite(value) else "")
                + "; the outputs are finite. Look at its formula, and for NaN in y"
            )
        return value, np.ascontiguousarray(gradient)


def check_loss(
    function: LossFunction, y_true: Any, y_pred: Any, *, tolerance: float = 1e-5
) -> float:
    """Compare the dL/dy_pred that a loss returns with central differences of its L.

    Each output in turn moves by h = 1e-5 * max(1, abs(y)) to both sides, in float64. It takes two
    calls of the loss for each output: check a few rows.

    Parameters
    ----------
    function : callable
        `function(y_true, y_pred) -> (L, dL/dy_pred)`, as `compile(loss=...)` takes it.
    y_true : array
        Targets as the loss takes them.
    y_pred : array of shape (n_rows, n_outputs)
        Outputs, away from corners of the loss.
    tolerance : float
        The largest error allowed, relative to the largest abs(dL/dy_pred).

    Returns
    -------
    float
        The largest error, so relative.

    Raises
    ------
    ValueError
        If an error is larger; it says where, and what was expected.

    Examples
    --------
    >>> from fastnn.custom import check_loss
    >>> def log_cosh(y_true, y_pred):
    ...     e = y_pred - y_true
    ...     return np.log(np.cosh(e)).mean(), np.tanh(e) / e.size
    >>> check_loss(log_cosh, [[1.0], [2.0]], [[1.5], [0.0]]) < 1e-8
    True
    """
    loss, y_true = CustomLoss(function), np.asarray(y_true)
    tolerance = real_number("tolerance", tolerance, above=0)
    y_pred = initial_values("y_pred", y_pred)
    if y_pred.size == 0:
        raise ValueError(f"y_pred is empty: its shape is {y_pred.shape}")
    _, gradient = loss.value_and_gradient(y_true, y_pred)
    expected = np.empty_like(gradient)
    for place in np.ndindex(y_pred.shape):
        h = 1e-5 * max(1.0, abs(y_pred[place]))
        sides = []
        for sign in (1, -1):
            moved = y_pred.copy()
            moved[place] += sign * h
            sides.append(loss.value_and_gradient(y_true, moved)[0])
        expected[place] = (sides[0] - sides[1]) / (2 * h)
    errors = np.abs(gradient - expected) / max(np.abs(expected).max(), np.finfo(np.float64).tiny)
    errors[np.isnan(errors)] = np.inf
    worst = np.unravel_index(int(np.argmax(errors)), errors.shape)
    error = float(errors[worst])
    if error > tolerance:
        raise ValueError(
            f"loss={loss.label}: dL/dy_pred[{', '.join(map(str, worst))}] is {gradient[worst]:g}, "
            f"but central differences of L give {expected[worst]:g}"
        )
    return error


MetricFunction = Callable[..., Any]


@dataclass(frozen=True)
class CustomMetric(Metric):
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
        """The function's number; an error that it raises says whose it is."""
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

    def __init__(self, metric: CustomMetric) -> None:
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


MetricLike = metrics.MetricName | metrics.Metric | MetricFunction


def checked_metrics(
    wanted: object, weighted: object, loss: Loss | None, output: Dense
) -> list[metrics.Metric]:
    """`metrics` and `weighted_metrics` of `compile`; the latter count the sample weights.

    A weighted metric whose name is taken is called "weighted_" and its name, as in Keras.
    """
    found = _fitted("metrics", wanted, loss, output)
    taken = {metric.name for metric in found}
    for metric in _fitted("weighted_metrics", weighted, loss, output):
        name = f"weighted_{metric.name}" if metric.name in taken else metric.name
        found.append(dataclasses.replace(metric, name=name, weighted=True))
    if len({metric.name for metric in found}) < len(found):
        names = [metric.name for metric in found]
        raise ValueError(
            f"metrics={names!r} names a metric twice; say each once, or give a function a name of "
            f"its own: fastnn.custom.CustomMetric(f, name='gain')"
        )
    return found


def _fitted(
    argument: str, wanted: object, loss: Loss | None, output: Dense
) -> list[metrics.Metric]:
    given = items(argument, () if wanted is None else wanted, "['accuracy']")
    own = [CustomMetric(one) if _is_function(one) else one for one in given]
    if loss is None and own:
        raise ValueError(
            f"{argument}={given!r}: metrics need a loss, e.g. loss={fitting_loss(output, own)!r}"
        )
    if isinstance(loss, CustomLoss) and not all(isinstance(one, CustomMetric) for one in own):
        raise ValueError(
            f"{argument}={given!r}: names need a loss of fastnn's, which says what a target means; "
            f"give a function of y_true and y_pred"
        )
    return [] if loss is None else [metrics.get(one, loss, output.units, argument) for one in own]


def fitting_loss(output: Dense, wanted: Sequence[object] = ()) -> str:
    """The name of a loss that goes with the output layer and these metrics, for messages."""
    for name in ("binary_crossentropy", "categorical_crossentropy", "mean_squared_error", "hinge"):
        loss = LOSSES[name]()
        try:
            loss.check_output(output.activation, output.units)
            [metrics.get(one, loss, output.units) for one in wanted]
        except (TypeError, ValueError):
            continue
        return name
    return "mean_squared_error"


def _is_function(metric: object) -> bool:
    return callable(metric) and not isinstance(metric, type)
