"""Regularisers: penalties added to the loss so that the weights stay small."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from fastnn.data.checks import lookup, real_number, shown

# Accepted names, for editors and type checkers: the keys of REGULARIZERS.
RegularizerName = Literal["l1", "l2", "l1_l2", "shared_l2"]


class Regularizer:
    """Base class: adds l1 * sum_ij abs(W_ij) + l2 * sum_ij W_ij^2 + alpha/2 * sum_ij W_ij^2 / m.

    The sum is added to the loss of a batch of m rows. A subclass sets one or two of the factors.
    """

    l1: float = 0.0
    l2: float = 0.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        for factor in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = real_number(factor.name, getattr(self, factor.name), low=0, example=0.01)
            object.__setattr__(self, factor.name, value)


@dataclass(frozen=True)
class L1(Regularizer):
    """Adds l1 * sum_ij abs(W_ij) to the loss, as in Keras, which drives many weights close to 0.

    Every step adds l1 * sign(W) to dL/dW, with sign(0) = 0, whatever the batch size. Biases are
    not penalised. Source: Tibshirani 1996 (the lasso).

    Parameters
    ----------
    l1 : float
        The factor, at least 0.

    Raises
    ------
    TypeError, ValueError
        If `l1` is not a finite number >= 0.

    Examples
    --------
    >>> from fastnn import Dense, L1
    >>> Dense(8, "relu", kernel_regularizer=L1(0.001)).kernel_regularizer
    L1(l1=0.001)
    """

    l1: float = 0.01


@dataclass(frozen=True)
class L2(Regularizer):
    """Adds l2 * sum_ij W_ij^2 to the loss, without a factor 1/2, as in Keras.

    Every step adds 2 * l2 * W to dL/dW, whatever the batch size. Biases are not penalised. In
    stochastic mode the weights therefore shrink by the factor 1 - 2 * learning_rate * l2 at every
    row; in float32 a change of less than 6e-8 of a weight is lost to rounding.

    Parameters
    ----------
    l2 : float
        The factor, at least 0.

    Raises
    ------
    TypeError, ValueError
        If `l2` is not a finite number >= 0.

    Examples
    --------
    >>> from fastnn import Dense, L2
    >>> Dense(8, "relu", kernel_regularizer=L2(0.001)).kernel_regularizer
    L2(l2=0.001)
    """

    l2: float = 0.01


@dataclass(frozen=True)
class L1L2(Regularizer):
    """Adds l1 * sum_ij abs(W_ij) + l2 * sum_ij W_ij^2 to the loss: `L1` and `L2` together.

    The name "l1_l2" means `L1L2(0.01, 0.01)`, as in Keras 2, because with the default factors 0
    nothing would be added.
    Source: Zou, Hastie 2005 (the elastic net).

    Parameters
    ----------
    l1, l2 : float
        The factors, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a factor is not a finite number >= 0.

    Examples
    --------
    >>> from fastnn import Dense, L1L2
    >>> layer = Dense(8, "relu", kernel_regularizer=L1L2(l1=0.001, l2=0.01))
    >>> layer.l1, layer.l2
    (0.001, 0.01)
    """

    l1: float = 0.0
    l2: float = 0.0


@dataclass(frozen=True)
class SharedL2(Regularizer):
    """Adds alpha/2 * sum_ij W_ij^2 / m to the loss of a batch of m rows, as scikit-learn does.

    Every step adds alpha * W / m to dL/dW. The penalty is divided by the rows of the batch, as the
    loss is, so its strength relative to the summed loss does not depend on m. Where the loss is
    divided by the sample weights (`reduction="mean_with_sample_weight"`), their sum takes the
    place of m. Biases are not penalised. In stochastic mode m is 1. The penalty in the reported
    loss of an epoch uses the weights before each step, in stochastic mode those at the beginning
    of the epoch. `evaluate` counts all its rows as one batch.

    Parameters
    ----------
    alpha : float
        The factor, at least 0.

    Raises
    ------
    TypeError, ValueError
        If `alpha` is not a finite number >= 0.

    Examples
    --------
    >>> from fastnn import Dense, SharedL2
    >>> Dense(8, "relu", kernel_regularizer=SharedL2(0.001)).alpha
    0.001
    """

    alpha: float = 0.0001


RegularizerLike = Regularizer | RegularizerName  # what a layer accepts

REGULARIZERS: dict[str, Regularizer] = {
    "l1": L1(),
    "l2": L2(),
    "l1_l2": L1L2(0.01, 0.01),
    "shared_l2": SharedL2(),
}


def get(regularizer: object) -> Regularizer | None:
    """Return the regulariser that a name or an object stands for, or None."""
    if regularizer is None or isinstance(regularizer, Regularizer):
        return regularizer
    if not isinstance(regularizer, str):
        raise TypeError(
            f"kernel_regularizer={shown(regularizer)}: expected 'l1', 'l2', 'l1_l2', or an object "
            f"such as L2, e.g. kernel_regularizer=L2(0.01)"
        )
    return lookup("kernel_regularizer", regularizer, REGULARIZERS)
