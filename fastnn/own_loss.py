"""A loss of the user's own: a function of a whole block of outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn._validation import Array, TargetKind, initial_values, real_number
from fastnn.losses import Loss, LossName

LossFunction = Callable[[Any, Array], tuple[float, Any]]
LossLike = LossName | Loss | LossFunction  # what `compile` takes

EXAMPLE = (
    "def loss(y_true, y_pred): e = y_pred - np.reshape(y_true, y_pred.shape); "
    "return (e**2).mean(), 2 * e / e.size"
)


@dataclass(frozen=True)
class OwnLoss(Loss):
    """What `function(y_true, y_pred)` returns: L of the block, and dL/dy_pred."""

    name: ClassVar[str] = "own loss"
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
    >>> from fastnn.own_loss import check_loss
    >>> def log_cosh(y_true, y_pred):
    ...     e = y_pred - y_true
    ...     return np.log(np.cosh(e)).mean(), np.tanh(e) / e.size
    >>> check_loss(log_cosh, [[1.0], [2.0]], [[1.5], [0.0]]) < 1e-8
    True
    """
    loss, y_true = OwnLoss(function), np.asarray(y_true)
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
