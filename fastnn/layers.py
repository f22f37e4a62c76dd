"""Layers: Dense, Dropout before a Dense layer, and Normalization as the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from fastnn import activations, initializers, regularizers
from fastnn.activations import ActivationName
from fastnn.data.arrays import feature_array, float64_array
from fastnn.data.checks import flag, items, real_number, shown, whole_number
from fastnn.data.columns import Columns, names_of
from fastnn.data.rows import Array
from fastnn.initializers import Initial
from fastnn.native.backend import DTYPES, DType
from fastnn.regularizers import Regularizer, RegularizerLike

# What `Sequential(dtype=...)` accepts.
ModelDType = (
    DType | type[np.float32] | type[np.float64] | np.dtype[np.float32] | np.dtype[np.float64]
)

LARGEST_RATE = 1 - 2.0**-20  # of dropout, whose probabilities are multiples of 2^-32
EACH_COLUMN = "Pass a number for each column, e.g. Normalization(mean=[0.0], variance=[1.0])."
BLOCK_NUMBERS = 1 << 20  # how many numbers `adapt` converts to float64 at a time


@dataclass(frozen=True, repr=False)
class Dense:
    """A dense (fully connected) layer, a = f(x W + b).

    Parameters
    ----------
    units : int
        Number of outputs, n_out.
    activation : str, optional
        The function f: "linear", "relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu",
        "selu", "softplus", "gelu", "silu" or "exponential". None is "linear".
    use_bias : bool
        Whether the layer has the bias b, shape (n_out,).
    kernel_initializer : str, Initializer or array of shape (n_in, n_out)
        How the weights W, shape (n_in, n_out), are drawn: "glorot_uniform", "glorot_normal",
        "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "random_uniform",
        "random_normal", "truncated_normal", "orthogonal", "constant", "ones" or "zeros"; an object
        from `fastnn.initializers` with other settings; or the numbers themselves.
    bias_initializer : str, Initializer or array of shape (n_out,)
        How b is drawn, after W; accepts all of the above except "orthogonal".
    kernel_regularizer : str or Regularizer, optional
        The penalty that keeps W small: "l1", "l2", "l1_l2" or "shared_l2", or `L1`, `L2`, `L1L2`
        or `SharedL2` with other factors.
    trainable : bool
        Whether W and b are trained. If not they stay as they are, but the layers before this one
        still learn.
    learning_rate_multiplier : float
        A factor, at least 0, for the optimiser's learning rate in this layer.

    Raises
    ------
    TypeError, ValueError
        If `units` is not a whole number >= 1, a name is unknown, or an array is not finite. An
        array of another shape is refused when the model is built.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, "relu").kernel_initializer
    'glorot_uniform'
    """

    units: int
    activation: ActivationName | None = "linear"
    use_bias: bool = True
    kernel_initializer: Initial = "glorot_uniform"
    bias_initializer: Initial = "zeros"
    kernel_regularizer: RegularizerLike | None = None
    trainable: bool = True
    learning_rate_multiplier: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", whole_number("units", self.units, minimum=1))
        object.__setattr__(self, "activation", activations.get(self.activation).name)
        for name in ("use_bias", "trainable"):
            value = getattr(self, name)
            if type(value) is not bool:
                object.__setattr__(self, name, flag(name, value))
        for name in ("kernel_initializer", "bias_initializer"):
            value = getattr(self, name)
            if not isinstance(value, str) or value != getattr(type(self), name):
                found = initializers.get(name, value)
                object.__setattr__(self, name, value.lower() if isinstance(value, str) else found)
        if self.kernel_regularizer is not None:
            regularizer = regularizers.get(self.kernel_regularizer)
            object.__setattr__(self, "kernel_regularizer", regularizer)
        if not self.use_bias and self.bias_initializer != "zeros":
            raise ValueError(
                f"bias_initializer={self.bias_initializer!r}, but use_bias=False; leave one of "
                f"the two out"
            )
        name = "learning_rate_multiplier"
        factor = real_number(name, self.learning_rate_multiplier, low=0, example=0.1)
        object.__setattr__(self, name, factor)

    def __repr__(self) -> str:
        """Show units, activation, and all other arguments that differ from their default."""
        others = [
            f", {field.name}={getattr(self, field.name)!r}"
            for field in fields(self)[2:]
            if getattr(self, field.name) != field.default
        ]
        return f"Dense({self.units}, {self.activation!r}{''.join(others)})"

    @property
    def rate_factor(self) -> float:
        """The factor of the learning rate; 0 if the layer is not trained."""
        return self.learning_rate_multiplier if self.trainable else 0.0

    @property
    def l1(self) -> float:
        """The factor of sum_ij abs(W_ij) in the loss."""
        regularizer = self.kernel_regularizer
        return regularizer.l1 if isinstance(regularizer, Regularizer) else 0.0

    @property
    def l2(self) -> float:
        """The factor of sum_ij W_ij^2 in the loss."""
        regularizer = self.kernel_regularizer
        return regularizer.l2 if isinstance(regularizer, Regularizer) else 0.0

    @property
    def alpha(self) -> float:
        """The factor of 1/2 sum_ij W_ij^2 / m in the loss of a batch of m rows."""
        regularizer = self.kernel_regularizer
        return regularizer.alpha if isinstance(regularizer, Regularizer) else 0.0


@dataclass(frozen=True)
class Dropout:
    """Sets random inputs of the Dense layer that follows to 0 during training.

    Each input of each row is dropped independently with probability `rate`, and the others are
    multiplied by 1 / (1 - rate), so that their sum stays the same on average. `predict`, `evaluate`
    and `gradient` use all inputs as they are. As the first layer it drops features. Which inputs
    are dropped depends on the seed, the number of steps made before the epoch, the row's place in
    the epoch, the layer and the unit, but not on the number of threads. Sources: Srivastava et al.
    2014; Keras (scaling during training).

    Parameters
    ----------
    rate : float
        The probability, from 0 to below 1.

    Raises
    ------
    TypeError, ValueError
        If `rate` is not a number from 0 to below 1.

    Examples
    --------
    >>> from fastnn import Dense, Dropout, Sequential
    >>> model = Sequential([Dense(32, "relu"), Dropout(0.5), Dense(1, "sigmoid")])
    """

    rate: float

    def __post_init__(self) -> None:
        rate = real_number("rate", self.rate, low=0, high=LARGEST_RATE, example=0.5)
        object.__setattr__(self, "rate", rate)


class Normalization:
    """Standardises the features: (x - mean) / sqrt(variance), column by column.

    It can only be the first layer of a model. `adapt` learns mean and variance from data. Both are
    saved with the model, so that the model takes raw features from then on. From a constant column
    only the mean is subtracted.

    Parameters
    ----------
    mean, variance : array of shape (n_features,), optional
        The statistics, float64, if they are known already.

    Attributes
    ----------
    feature_names : tuple of str, optional
        The column names of the data frame passed to `adapt`; None if it was an array.

    Raises
    ------
    ValueError
        If only one of `mean` and `variance` is given, they are not finite, or a variance is < 0.

    Examples
    --------
    >>> from fastnn import Normalization
    >>> layer = Normalization()
    >>> layer.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> layer.mean, layer.variance
    (array([ 2., 20.]), array([  1., 100.]))
    """

    feature_names: tuple[str, ...] | None = None

    def __init__(self, mean: ArrayLike | None = None, variance: ArrayLike | None = None) -> None:
        self._variance: Array | None = None
        self._table = np.empty((0, 0))  # (2, n_features): mean, 1 / standard deviation
        if (mean is None) != (variance is None):
            raise ValueError("Normalization takes mean and variance together, or neither")
        if mean is not None and variance is not None:
            self._set(
                float64_array("Normalization mean", mean, EACH_COLUMN),
                float64_array("Normalization variance", variance, EACH_COLUMN),
            )

    def __repr__(self) -> str:
        if self._variance is None:
            return "Normalization(not adapted)"
        return f"Normalization(adapted to {len(self._variance)} columns)"

    @property
    def mean(self) -> Array | None:
        """The mean of each column, float64; None before `adapt`."""
        return None if self._variance is None else self._table[0]

    @property
    def variance(self) -> Array | None:
        """The variance of each column, float64; None before `adapt`."""
        return self._variance

    def adapt(self, X: ArrayLike) -> None:
        """Learn the mean and variance (divided by n) of X, shape (n_samples, n_features).

        This takes one pass over blocks of rows, in float64; memory does not grow with the rows. A
        model that has this layer uses the new statistics from now on. If X is a data frame with the
        same column names as before, the order of its columns does not matter.
        """
        columns = Columns(self.feature_names)
        if set(names_of(X) or ()) != set(self.feature_names or ()):
            columns = Columns()
        rows = feature_array(columns.ordered(X), "float64")
        mean, squares = _moments_by_blocks(rows)
        n = len(rows)
        if not np.isfinite(squares).all():
            column = int(np.argmin(np.isfinite(squares)))
            raise ValueError(
                f"X[:, {column}] holds numbers whose squares are too large for float64; scale them"
            )
        for j in np.flatnonzero(squares < n * np.finfo(np.float64).tiny):
            if (rows[:, j] != rows[0, j]).any():
                raise ValueError(
                    f"X[:, {j}] varies, but the squares of its deviations are too small for "
                    f"float64; scale it, e.g. X[:, {j}] *= 1e150"
                )
        self._set(mean, squares / n)
        self.feature_names = columns.names

    def table_for(self, n_features: int) -> Array:
        """Return the rows mean and 1 / standard deviation; ValueError unless adapted to n_features.

        The array has shape (2, n_features).
        """
        if self._variance is None:
            raise ValueError(
                "the Normalization layer has no statistics yet; call model.layers[0].adapt(X) first"
            )
        if self._table.shape[1] != n_features:
            raise ValueError(
                f"the Normalization layer was adapted to {self._table.shape[1]} columns, "
                f"but there are {n_features}; adapt it to this data"
            )
        return self._table

    def _set(self, mean: Array, variance: Array) -> None:
        finite = np.isfinite(mean).all() and np.isfinite(variance).all()
        if mean.ndim != 1 or mean.shape != variance.shape or not finite or (variance < 0).any():
            raise ValueError(
                f"Normalization got mean of shape {mean.shape} and variance of shape "
                f"{variance.shape}; expected two finite arrays (n_features,), variance >= 0"
            )
        deviation = np.sqrt(variance)
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
        table = np.array([mean, 1 / np.where(constant, 1.0, deviation)])
        table.flags.writeable = variance.flags.writeable = False
        self._variance, self._table = variance, table


def _moments_by_blocks(rows: Array) -> tuple[Array, Array]:
    """Return the mean and the sum of squared deviations from it, column by column."""
    block = max(1, BLOCK_NUMBERS // rows.shape[1])
    n, mean, squares = _moments(rows[:block])
    for start in range(block, len(rows), block):
        # Chan, Golub, LeVeque 1979: merge the moments of two samples of n and m rows.
        m, part_mean, part_squares = _moments(rows[start : start + block])
        step = part_mean - mean
        with np.errstate(over="ignore"):
            squares += part_squares + step**2 * (n * m / (n + m))
        mean += step * (m / (n + m))
        n += m
    return mean, squares


def _moments(rows: Array) -> tuple[int, Array, Array]:
    """Return the number of rows, their mean and their sum of squared deviations from it."""
    part = rows.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = part.mean(axis=0)
        return len(part), mean, ((part - mean) ** 2).sum(axis=0)


Layer = Dense | Dropout | Normalization


def checked_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Check that these are layers in an order that a model can have, and return them."""
    checked = items("layers", layers, "[Dense(8, 'relu'), Dense(1, 'sigmoid')]")
    for number, layer in enumerate(checked):
        if not isinstance(layer, Dense | Dropout | Normalization):
            raise TypeError(
                f"layers[{number}] is {shown(layer)}; expected Dense, Dropout or Normalization, "
                f"e.g. Sequential([Dense(8, 'relu'), Dense(1, 'sigmoid')])"
            )
        if number and isinstance(layer, Normalization):
            raise ValueError(f"layers[{number}] is a Normalization; it can only come first")
        if isinstance(layer, Dropout) and not isinstance(
            next(iter(checked[number + 1 : number + 2]), 0), Dense
        ):
            raise ValueError(f"layers[{number}] is a Dropout; expected a Dense layer after it")
    if not any(isinstance(layer, Dense) for layer in checked):
        raise ValueError("layers holds no Dense layer; e.g. Sequential([Dense(1, 'sigmoid')])")
    return checked


def checked_dtype(dtype: object) -> str:
    """Return "float32" or "float64"; ValueError for any other dtype."""
    try:
        name = "None" if dtype is None else np.dtype(dtype).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = shown(dtype)
    if name not in DTYPES:
        raise ValueError(f"dtype={name}: expected 'float32' or 'float64'")
    return name
