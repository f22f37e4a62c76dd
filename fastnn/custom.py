"""Custom losses and metrics: plain functions of the targets and outputs of many rows."""

from __future__ import annotations

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
from fastnn.metrics import Metric, MetricName, Running

LossFunction = Callable[[Any, Array], tuple[float, Any]]  # (y_true, y_pred) -> (L, dL/dy_pred)
MetricFunction = Callable[..., Any]  # (y_true, y_pred[, sample_weight]) -> a number
# What `compile(loss=...)` accepts, and each item of `compile(metrics=...)`.
LossLike = LossName | Loss | LossFunction
MetricLike = MetricName | Metric | MetricFunction

EXAMPLE = (
    "def loss(y_true, y_pred): e = y_pred - np.reshape(y_true, y_pred.shape); "
    "return (e**2).mean(), 2 * e / e.size"
)


# ---- losses -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CustomLoss(Loss):
    """A loss computed by `function(y_true, y_pred)`, which returns L and dL/dy_pred of a batch."""

    name: ClassVar[str] = "custom loss"
    targets: ClassVar[TargetKind] = "anything"

    function: LossFunction

    @property
    def label(self) -> str:
        """The function's name, for messages."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def value_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[float, Array]:
        """Call the function; return L and dL/dy_pred, the latter in the dtype of y_pred.

        Raises ValueError if the function fails or returns something else, FloatingPointError if it
        returns a value that is not finite for finite outputs.
        """
        y_true = y_true.view()
        y_true.flags.writeable = False  # the function must not change the caller's data
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
                + ", though the outputs are finite. Check its formula, and y for NaN"
            )
        return value, np.ascontiguousarray(gradient)


def check_loss(
    function: LossFunction, y_true: Any, y_pred: Any, *, tolerance: float = 1e-5
) -> float:
    """Check the gradient of a custom loss against central differences of its value.

    Each output y is moved by h = 1e-5 * max(1, abs(y)) in both directions, in float64. This calls
    the loss twice for each number in y_pred, so pass only a few rows.

    Parameters
    ----------
    function : callable
        `function(y_true, y_pred) -> (L, dL/dy_pred)`, as `compile(loss=...)` takes it.
    y_true : array
        Targets in the form that the loss expects.
    y_pred : array of shape (n_rows, n_outputs)
        Outputs, not at points where the loss has a corner.
    tolerance : float
        The largest error allowed, relative to the largest abs(dL/dy_pred).

    Returns
    -------
    float
        The largest relative error found.

    Raises
    ------
    ValueError
        If an error exceeds the tolerance; the message says where, and what was expected.

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


# ---- metrics ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CustomMetric(Metric):
    """A metric computed by `function(y_true, y_pred)` over all rows at the end of an epoch.

    y_true and y_pred hold every row, in the order of the epoch. With one target or one output they
    have shape (n_rows,), as scikit-learn's metrics expect, otherwise (n_rows, n_targets) and
    (n_rows, n_outputs). Labels are whole numbers. In training y_pred holds the outputs that each
    row had before its update, as for all metrics. All outputs are kept until the epoch ends, so
    memory grows with the number of rows. `compile` wraps each function in `metrics=` like this.

    Parameters
    ----------
    function : callable
        `function(y_true, y_pred)` returns a number. With ``weighted=True`` it is also passed
        `sample_weight=...` if there are sample weights, as in scikit-learn.
    name : str, optional
        The key in the history; by default the function's name.

    Raises
    ------
    TypeError, ValueError
        If `function` is not callable or `name` is reserved; in `fit` and `evaluate`, if the
        function does not return a number.

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
    labels: bool = field(default=False, kw_only=True, repr=False)  # targets are class labels

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
        return _CollectedRows(self)

    def value(self, y_true: Array, y_pred: Array, weights: Array | None) -> float:
        """Call the function; a note is added to its exceptions that names the metric."""
        if self.labels and y_true.shape[1] == 1:
            y_true = y_true.astype(np.intp)
        given = {} if weights is None else {"sample_weight": weights}
        try:
            value = self.function(_flat(y_true), _flat(y_pred), **given)
        except Exception as error:
            error.add_note(
                f"raised by the metric {self.name!r}, which got y_true of shape "
                f"{_flat(y_true).shape} and y_pred of shape {_flat(y_pred).shape}; y_pred holds "
                f"the outputs of the last layer, not labels"
            )
            raise
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(
                f"the metric {self.name!r} returned {shown(value)}; expected a number"
            ) from None


class _CollectedRows:
    """Collects copies of all rows, for a metric that needs them at once."""

    def __init__(self, metric: CustomMetric) -> None:
        self._metric = metric
        self._rows: list[tuple[Array, Array]] = []
        self._weights: list[Array] = []
        self._has_weights = False

    def add(self, y: Array, predictions: Array, weights: Array | None = None) -> None:
        self._rows.append((y.copy(), predictions.copy()))
        if self._metric.weighted:  # chunks without weights count with weight 1
            self._has_weights |= weights is not None
            self._weights.append(np.ones(len(y)) if weights is None else weights.copy())

    def value(self) -> float:
        y_true, y_pred = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        weights = np.concatenate(self._weights) if self._has_weights else None
        return self._metric.value(y_true, y_pred, weights)


def _name_of(function: Any) -> str:
    """Return "f1" for `def f1` and for `functools.partial(f1, ...)`, "lambda" for a lambda."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def _flat(array: Array) -> Array:
    """Turn shape (n, 1) into (n,); leave any other shape as it is."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def checked_metrics(
    unweighted: object, weighted: object, loss: Loss | None, output: Dense
) -> list[Metric]:
    """Return the metrics for `metrics=` and `weighted_metrics=` of `compile`, in this order.

    A weighted metric whose name is taken gets the prefix "weighted_", as in Keras.
    """
    found = _metrics_of("metrics", unweighted, loss, output)
    taken = {metric.name for metric in found}
    for metric in _metrics_of("weighted_metrics", weighted, loss, output):
        name = f"weighted_{metric.name}" if metric.name in taken else metric.name
        found.append(replace(metric, name=name, weighted=True))
    if len({metric.name for metric in found}) < len(found):
        names = [metric.name for metric in found]
        raise ValueError(
            f"metrics={names!r} names a metric twice; list each once, or give a function another "
            f"name: fastnn.custom.CustomMetric(f, name='gain')"
        )
    return found


def _metrics_of(argument: str, given: object, loss: Loss | None, output: Dense) -> list[Metric]:
    """Turn the names, objects and functions of one argument of `compile` into metrics."""
    listed = items(argument, () if given is None else given, "['accuracy']")
    found = [CustomMetric(one) if _is_function(one) else one for one in listed]
    if loss is None and found:
        raise ValueError(
            f"{argument}={listed!r}: metrics need a loss, e.g. loss={fitting_loss(output, found)!r}"
        )
    if isinstance(loss, CustomLoss) and not all(isinstance(one, CustomMetric) for one in found):
        raise ValueError(
            f"{argument}={listed!r}: built-in metrics need a built-in loss, which says what the "
            f"targets mean; with a custom loss pass functions of y_true and y_pred"
        )
    return [] if loss is None else [metrics.get(one, loss, output.units, argument) for one in found]


def fitting_loss(output: Dense, wanted: Sequence[object] = ()) -> str:
    """Name a loss that fits the output layer and these metrics, for messages."""
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
