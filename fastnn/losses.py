"""Losses: what training minimises.

L = 1/n sum_i w_i l_i over the n rows of a batch, with the sample weights w_i (1 if not given).
Below, y_j and a_j are target and output j of one row, k is the number of outputs, and z is the
output layer before its activation. The kernels are in `fastnn/native/formulas/losses.pxd`.
"""

from __future__ import annotations

import math
import sys
from copy import copy
from dataclasses import InitVar, dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from fastnn._core import LOSS_SETTINGS
from fastnn._core import LOSSES as KERNELS
from fastnn.data.arrays import TargetKind
from fastnn.data.checks import flag, lookup, real_number, shown
from fastnn.data.rows import Array

LARGEST = sys.float_info.max

# Accepted names, for editors and type checkers: the keys of LOSSES and of REDUCTIONS.
LossName = Literal[
    "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy",
    "mean_squared_error", "mse", "mean_absolute_error", "mae", "huber", "poisson", "hinge",
    "squared_hinge", "log_loss", "categorical_log_loss", "half_squared_error",
    "half_poisson_deviance",
]  # fmt: skip
Reduction = Literal["sum_over_batch_size", "mean_with_sample_weight"]
REDUCTIONS: dict[str, Reduction] = {name: name for name in get_args(Reduction)}


@dataclass(frozen=True)
class Loss:
    """Base class: a loss l(a, y) of the outputs a and targets y of one row."""

    name: ClassVar[str]
    code: ClassVar[int]  # of its kernel
    targets: ClassVar[TargetKind]
    outputs: ClassVar[tuple[str, ...]] = ()  # output activations it accepts; () means any
    is_sum: ClassVar[bool] = False  # sums over the outputs instead of averaging
    is_bounded: ClassVar[bool] = False  # clips probabilities, see `limit`

    reduction: Reduction = field(default="sum_over_batch_size", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reduction", lookup("reduction", self.reduction, REDUCTIONS))

    @property
    def by_weight(self) -> bool:
        """Whether L = sum_i w_i l_i / sum_i w_i instead of 1/n sum_i w_i l_i."""
        return self.reduction == "mean_with_sample_weight"

    def averaged(self) -> Loss:
        """Return a copy of this loss that computes L = sum_i w_i l_i / sum_i w_i."""
        twin = copy(self)
        object.__setattr__(twin, "reduction", "mean_with_sample_weight")
        return twin

    def divisor(self, sample_weight: Array, n_rows: int) -> float:
        """Return what sum_i w_i l_i over `n_rows` rows is divided by."""
        if self.by_weight and len(sample_weight):
            return float(sample_weight.sum(dtype=np.float64))
        return float(n_rows)

    def shares(self, n_outputs: int) -> tuple[float, float]:
        """Factors that turn the sum over outputs into the loss l and into its derivative."""
        share = 1.0 if self.is_sum else 1 / n_outputs
        return share, share

    def limit(self, dtype: np.dtype[Any]) -> float:
        """Upper bound of l per output (per row for categorical losses)."""
        return -math.log(np.finfo(dtype).eps) if self.is_bounded else math.inf

    @property
    def setting(self) -> float:
        """The number that its kernel needs, such as delta or label_smoothing; 0 if none."""
        return 0.0

    def settings(self, n_targets: int, dtype: str) -> Array:
        """The settings of the kernel, one record of LOSS_SETTINGS; `settings_of` caches them."""
        settings = np.zeros(1, LOSS_SETTINGS)
        settings["kind"], settings["setting"] = self.code, self.setting
        settings["share"], settings["slope_share"] = self.shares(n_targets)
        settings["by_weight"], settings["limit"] = self.by_weight, self.limit(np.dtype(dtype))
        return settings

    def range_of_targets(self, n_outputs: int) -> tuple[float, float, bool]:
        """Return the smallest and the largest target allowed, and whether it must be whole."""
        return {
            "numbers": (-LARGEST, LARGEST, False),
            "counts": (0, LARGEST, False),
            "signs": (-1, 1, True),
            "probabilities": (0, 1, False),
            "classes": (0, n_outputs - 1, True),
        }[self.targets]

    def example(self, units: int) -> str:
        """An output layer that fits this loss, as code for messages."""
        return f"Dense({units}, {self.outputs[0]!r})"

    def check_output(self, activation: str | None, units: int) -> None:
        """Raise ValueError if the output layer does not fit this loss."""
        if activation == "softmax" and units == 1:
            raise ValueError(
                "softmax over one unit is always 1. For two classes use Dense(2, 'softmax'), "
                "or Dense(1, 'sigmoid') with loss='binary_crossentropy'"
            )
        if self.outputs and activation not in self.outputs:
            raise ValueError(
                f"loss={self.name!r} needs an output layer with activation "
                f"{' or '.join(map(repr, self.outputs))}, but it has {activation!r}; "
                f"e.g. {self.example(units)} as the last layer"
            )


@lru_cache
def settings_of(loss: Loss, n_targets: int, dtype: str) -> Array:
    """Return `loss.settings(n_targets, dtype)`, cached and read-only."""
    settings = loss.settings(n_targets, dtype)
    settings.flags.writeable = False
    return settings


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """l = 1/k sum_j (a_j - y_j)^2, without a half; dl/da_j = 2/k (a_j - y_j).

    Targets: any finite numbers, shape (n,) for one output, otherwise (n, k). Outputs: any
    activation. Sources: Legendre 1805, Gauss 1809 (least squares); Keras (mean without a half).

    Examples
    --------
    >>> from fastnn import Dense, MeanSquaredError, Sequential
    >>> model = Sequential([Dense(2, kernel_initializer="zeros")])
    >>> model.compile(loss=MeanSquaredError())
    >>> model.train_on_batch([[1.0]], [[1.0, 3.0]])
    5.0
    """

    name: ClassVar[str] = "mean_squared_error"
    code: ClassVar[int] = KERNELS["squared error"]
    targets: ClassVar[TargetKind] = "numbers"


@dataclass(frozen=True)
class HalfSquaredError(MeanSquaredError):
    """l = 1/(2k) sum_j (a_j - y_j)^2; the gradient used in training is a_j - y_j, without 1/k.

    This is scikit-learn's squared error. scikit-learn reports the mean over the k outputs but
    trains with the derivative of the sum, 1/2 sum_j (a_j - y_j)^2, which is k times dl/da_j; so
    does this loss. Prefer `MeanSquaredError` unless you need scikit-learn's numbers. Targets and
    outputs are those of `MeanSquaredError`.

    Examples
    --------
    >>> from fastnn import Dense, HalfSquaredError, Sequential
    >>> model = Sequential([Dense(2, kernel_initializer="zeros")])
    >>> model.compile(loss=HalfSquaredError())
    >>> model.train_on_batch([[1.0]], [[1.0, 3.0]])
    2.5
    """

    name: ClassVar[str] = "half_squared_error"

    def shares(self, n_outputs: int) -> tuple[float, float]:
        return 0.5 / n_outputs, 0.5


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """l = 1/k sum_j abs(a_j - y_j); dl/da_j = 1/k sign(a_j - y_j), 0 where a_j = y_j.

    Targets: any finite numbers, shape (n,) for one output, otherwise (n, k). Outputs: any
    activation. It fits the median of the targets, not their mean. Source: Keras.

    Examples
    --------
    >>> from fastnn import Dense, MeanAbsoluteError, Sequential
    >>> model = Sequential([Dense(2, kernel_initializer="zeros")])
    >>> model.compile(loss=MeanAbsoluteError())
    >>> model.train_on_batch([[1.0]], [[1.0, 3.0]])
    2.0
    """

    name: ClassVar[str] = "mean_absolute_error"
    code: ClassVar[int] = KERNELS["absolute error"]
    targets: ClassVar[TargetKind] = "numbers"


@dataclass(frozen=True)
class Huber(Loss):
    """l = 1/k sum_j h(a_j - y_j): h(e) = e^2 / 2 up to abs(e) = delta, beyond that linear.

    Beyond delta h(e) = delta abs(e) - delta^2 / 2. dl/da_j = 1/k (a_j - y_j), cut off at -delta/k
    and delta/k: an outlier pulls no harder than an error of delta. Targets: any finite numbers,
    shape (n,) for one output, otherwise (n, k). Outputs: any activation. Sources: Huber 1964,
    "Robust estimation of a location parameter" (formula with 1/2); Keras (mean over outputs,
    default delta).

    Parameters
    ----------
    delta : float
        The absolute error, greater than 0, above which the loss is linear.

    Raises
    ------
    TypeError, ValueError
        If `delta` is not a finite number greater than 0.

    Examples
    --------
    >>> from fastnn import Dense, Huber, Sequential
    >>> model = Sequential([Dense(2, kernel_initializer="zeros")])
    >>> model.compile(loss=Huber(delta=2))
    >>> model.train_on_batch([[1.0]], [[1.0, 3.0]])  # the mean of 1/2 and of 2 * 3 - 2
    2.25
    """

    name: ClassVar[str] = "huber"
    code: ClassVar[int] = KERNELS["huber"]
    targets: ClassVar[TargetKind] = "numbers"

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "delta", real_number("delta", self.delta, above=0))

    @property
    def setting(self) -> float:
        return self.delta


@dataclass(frozen=True)
class Poisson(Loss):
    """l = 1/k sum_j (a_j - y_j log(a_j + 1e-7)); dl/da_j = 1/k (1 - y_j / (a_j + 1e-7)).

    This is the negative log-likelihood of counts y with means a, up to a constant, so it may be
    negative. Targets: counts or rates >= 0, shape (n,) for one output, otherwise (n, k). Outputs:
    softplus (the usual choice), exponential, relu, sigmoid or softmax. Sigmoid and softmax only
    give means up to 1; relu has no gradient where its output is 0 and a steep one just above.
    Source: Keras, which also accepts activations with negative outputs and then returns NaN.

    Examples
    --------
    >>> from fastnn import Dense, Poisson, Sequential
    >>> model = Sequential([Dense(1, "softplus", kernel_initializer="zeros")])
    >>> model.compile(loss=Poisson())
    >>> round(model.train_on_batch([[1.0]], [2]), 3)  # log 2 - 2 log(log 2)
    1.426
    """

    name: ClassVar[str] = "poisson"
    code: ClassVar[int] = KERNELS["poisson"]
    targets: ClassVar[TargetKind] = "counts"
    outputs: ClassVar[tuple[str, ...]] = ("softplus", "exponential", "relu", "sigmoid", "softmax")


@dataclass(frozen=True)
class HalfPoissonDeviance(Loss):
    """l = sum_j (y_j log(y_j / a_j) - y_j + a_j), with 0 log 0 = 0; dl/dz_j = a_j - y_j.

    Like `Poisson`, this is the negative log-likelihood of counts y with means a up to a constant,
    here chosen so that the loss is 0 where a = y and never negative. It is computed from z with
    a = exp(z). Targets: counts or rates >= 0, shape (n,) for one output, otherwise (n, k). Outputs:
    exponential. It sums over the outputs, as scikit-learn does.

    Examples
    --------
    >>> from fastnn import Dense, HalfPoissonDeviance, Sequential
    >>> model = Sequential([Dense(1, "exponential", kernel_initializer="zeros")])
    >>> model.compile(loss=HalfPoissonDeviance())
    >>> round(model.train_on_batch([[1.0]], [2]), 3)  # 2 log 2 - 2 + 1
    0.386
    """

    name: ClassVar[str] = "half_poisson_deviance"
    code: ClassVar[int] = KERNELS["poisson deviance"]
    targets: ClassVar[TargetKind] = "counts"
    outputs: ClassVar[tuple[str, ...]] = ("exponential",)
    is_sum: ClassVar[bool] = True


@dataclass(frozen=True)
class Hinge(Loss):
    """l = 1/k sum_j max(1 - y_j a_j, 0); dl/da_j = -1/k y_j where y_j a_j < 1, otherwise 0.

    Targets: -1 and 1, or 0 and 1, where 0 stands for -1; shape (n,) for one output, otherwise
    (n, k). Outputs: linear or tanh; above 0 means class 1. Sources: Cortes, Vapnik 1995,
    "Support-vector networks"; Keras (mean over outputs, both codings of the targets).

    Examples
    --------
    >>> from fastnn import Dense, Hinge, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
    >>> model.compile(loss=Hinge())
    >>> model.train_on_batch([[1.0]], [-1])
    1.0
    """

    name: ClassVar[str] = "hinge"
    code: ClassVar[int] = KERNELS["hinge"]
    targets: ClassVar[TargetKind] = "signs"
    outputs: ClassVar[tuple[str, ...]] = ("linear", "tanh")


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """l = 1/k sum_j max(1 - y_j a_j, 0)^2; dl/da_j = -2/k y_j max(1 - y_j a_j, 0).

    Targets and outputs: those of `Hinge`. There is no 1/2 before the square, as in Keras.

    Examples
    --------
    >>> from fastnn import Dense, Sequential, SquaredHinge
    >>> model = Sequential([Dense(2, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(loss=SquaredHinge())
    >>> model.train_on_batch([[1.0]], [[-1, 1]])
    1.0
    """

    name: ClassVar[str] = "squared_hinge"
    code: ClassVar[int] = KERNELS["squared hinge"]
    targets: ClassVar[TargetKind] = "signs"
    outputs: ClassVar[tuple[str, ...]] = ("linear", "tanh")


@dataclass(frozen=True)
class Crossentropy(Loss):
    """Base class of the cross-entropies: checks `from_logits` and `label_smoothing`."""

    from_logits: InitVar[bool] = False
    label_smoothing: float = 0.0

    def __post_init__(self, from_logits: bool) -> None:
        super().__post_init__()
        if flag("from_logits", from_logits):
            activation = self.outputs[0]
            raise ValueError(
                f"from_logits=True: in fastnn the output layer applies the {activation}, and the "
                f"loss is computed from the layer's output before it, as accurately as from "
                f"logits; a second {activation} would be wrong. End the model with "
                f"{self.example(1)} and leave from_logits out: "
                f"loss={type(self).__name__}()"
            )
        smoothing = real_number("label_smoothing", self.label_smoothing, low=0, high=1, example=0.1)
        object.__setattr__(self, "label_smoothing", smoothing)

    @property
    def setting(self) -> float:
        return self.label_smoothing


@dataclass(frozen=True)
class BinaryCrossentropy(Crossentropy):
    """l = -1/k sum_j (y_j log a_j + (1 - y_j) log(1 - a_j)); dl/dz_j = 1/k (a_j - y_j).

    It is computed from z, the input of the sigmoid, and so stays accurate for outputs near 0 and
    1. Targets: 0, 1 or probabilities between; shape (n,) for one output, otherwise (n, k), where
    each output is a yes-or-no question of its own. Outputs: sigmoid. This is the negative
    log-likelihood of a Bernoulli trial; the mean over outputs is Keras's.

    Parameters
    ----------
    from_logits : bool
        Must be False, because the output layer applies the sigmoid.
    label_smoothing : float
        A number s from 0 to 1: the targets become y_j (1 - s) + s/2, as in Keras. With s > 0 the
        loss has its minimum at a finite z, so training does not push z towards infinity.

    Raises
    ------
    TypeError, ValueError
        If `from_logits` is not False, or `label_smoothing` is not a number from 0 to 1.

    Examples
    --------
    >>> from fastnn import BinaryCrossentropy, Dense, Sequential
    >>> model = Sequential([Dense(1, "sigmoid", kernel_initializer="zeros")])
    >>> model.compile(loss=BinaryCrossentropy(label_smoothing=0.1))
    >>> model.build(n_features=1)
    >>> round(float(model.gradient([[1.0]], [1])["dL/db1"][0]), 3)  # 0.5 - 0.95
    -0.45
    """

    name: ClassVar[str] = "binary_crossentropy"
    code: ClassVar[int] = KERNELS["binary crossentropy"]
    targets: ClassVar[TargetKind] = "probabilities"
    outputs: ClassVar[tuple[str, ...]] = ("sigmoid",)


@dataclass(frozen=True)
class LogLoss(BinaryCrossentropy):
    """l = -sum_j (y_j log a_j + (1 - y_j) log(1 - a_j)); dl/dz_j = a_j - y_j.

    This is scikit-learn's log loss. It differs from `BinaryCrossentropy` in two ways: it sums over
    the outputs instead of averaging, and it clips the probability of the true answer to at least
    the machine epsilon of the dtype, so one output adds at most 36 (16 in float32) to the loss. The
    gradient a_j - y_j is not clipped.

    Parameters
    ----------
    from_logits, label_smoothing
        As in `BinaryCrossentropy`.

    Examples
    --------
    >>> from fastnn import Dense, LogLoss, Sequential
    >>> model = Sequential([Dense(2, "sigmoid", kernel_initializer="zeros")])
    >>> model.compile(loss=LogLoss())
    >>> round(model.train_on_batch([[1.0]], [[0, 1]]), 3)  # 2 log 2
    1.386
    """

    name: ClassVar[str] = "log_loss"
    is_sum: ClassVar[bool] = True
    is_bounded: ClassVar[bool] = True


@dataclass(frozen=True)
class CategoricalCrossentropy(Crossentropy):
    """l = -sum_j y_j log a_j, with y one-hot or probabilities; dl/dz_j = a_j - y_j.

    This is the negative log-likelihood of the class, as in Keras: a sum over the classes, not a
    mean. It is computed from z, the input of the softmax. Targets: labels 0 ... k-1, shape (n,),
    or class probabilities, shape (n, k), each row summing to 1. Outputs: softmax.

    Parameters
    ----------
    from_logits : bool
        Must be False, because the output layer applies the softmax.
    label_smoothing : float
        A number s from 0 to 1: the targets become y_j (1 - s) + s/k, also those given as labels.
        Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7.

    Raises
    ------
    TypeError, ValueError
        If `from_logits` is not False, or `label_smoothing` is not a number from 0 to 1.

    Examples
    --------
    >>> from fastnn import CategoricalCrossentropy, Dense, Sequential
    >>> model = Sequential([Dense(4, "softmax", kernel_initializer="zeros")])
    >>> model.compile(loss=CategoricalCrossentropy(label_smoothing=0.2))
    >>> model.build(n_features=1)
    >>> model.gradient([[1.0]], [3])["dL/db1"].round(3)  # 0.25 - 0.05, and 0.25 - 0.85
    array([ 0.2,  0.2,  0.2, -0.6], dtype=float32)
    """

    name: ClassVar[str] = "categorical_crossentropy"
    code: ClassVar[int] = KERNELS["categorical crossentropy"]
    labels_code: ClassVar[int] = KERNELS["label crossentropy"]
    targets: ClassVar[TargetKind] = "classes"
    outputs: ClassVar[tuple[str, ...]] = ("softmax",)
    is_sum: ClassVar[bool] = True

    def example(self, units: int) -> str:
        return super().example(max(units, 2))

    def settings(self, n_targets: int, dtype: str) -> Array:
        settings = super().settings(n_targets, dtype)
        settings["kind"] = self.labels_code if n_targets == 1 else self.code
        return settings


@dataclass(frozen=True)
class CategoricalLogLoss(CategoricalCrossentropy):
    """l = -sum_j y_j log a_j; dl/dz_j = a_j - y_j.

    This is scikit-learn's log loss for several classes: `CategoricalCrossentropy`, but with the
    probability of the true class clipped as in `LogLoss`, so one row adds at most 36 (16 in
    float32) to the loss. The gradient is not clipped.

    Parameters
    ----------
    from_logits, label_smoothing
        As in `CategoricalCrossentropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import CategoricalLogLoss, Dense, Sequential
    >>> model = Sequential([Dense(2, "softmax", kernel_initializer=[[100.0, 0.0]])])
    >>> model.compile(loss=CategoricalLogLoss())
    >>> model.build(n_features=1)
    >>> round(model.evaluate([[1.0]], [1]), 3)  # not 100
    15.942
    """

    name: ClassVar[str] = "categorical_log_loss"
    is_bounded: ClassVar[bool] = True


LOSSES: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "log_loss": LogLoss,
    "categorical_log_loss": CategoricalLogLoss,
    "half_squared_error": HalfSquaredError,
    "half_poisson_deviance": HalfPoissonDeviance,
}


def get(loss: object) -> Loss:
    """Return the loss that `loss` stands for: a name (with default settings) or a loss object."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(
            f"loss={shown(loss)}: expected a name or a loss, e.g. loss='binary_crossentropy' or "
            f"loss=Huber(delta=2)"
        )
    return lookup("loss", loss, LOSSES)()
