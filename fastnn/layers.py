"""What a layer is: Dense, and the Normalization that may stand in front."""

from dataclasses import dataclass, field

import numpy as np

from fastnn import activations, initializers
from fastnn._validation import Array, features, lookup, whole_number

BLOCK_NUMBERS = 1 << 20  # how many numbers `adapt` turns into float64 at a time


@dataclass(frozen=True)
class Dense:
    """A dense layer: a = f(x W + b).

    Parameters
    ----------
    units : int
        Number of outputs, n_out.
    activation : str, optional
        The function f: "linear" (the default), "relu", "sigmoid", "tanh" or "softmax".
    use_bias : bool
        Whether the layer has the bias b, shape (n_out,), which starts at zero.
    kernel_initializer : str
        How the weights W, shape (n_in, n_out), are drawn: "glorot_uniform", "glorot_normal",
        "he_uniform", "he_normal", "lecun_uniform", "lecun_normal" or "zeros".

    Raises
    ------
    TypeError, ValueError
        If `units` is not a whole number of at least 1, or a name is unknown.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, "relu")
    Dense(units=8, activation='relu', use_bias=True, kernel_initializer='glorot_uniform')
    """

    units: int
    activation: str = "linear"
    use_bias: bool = True
    kernel_initializer: str = "glorot_uniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", whole_number("units", self.units, minimum=1))
        object.__setattr__(self, "activation", activations.get(self.activation).name)
        lookup("kernel_initializer", self.kernel_initializer, initializers.INITIALIZERS)
        object.__setattr__(self, "kernel_initializer", self.kernel_initializer.lower())


@dataclass(eq=False)
class Normalization:
    """Standardises the features: (x - mean) / sqrt(variance), column by column.

    It is the first layer of a model. `adapt` learns mean and variance; both are saved with the
    model, so that it takes raw features ever after. A column that never varies is only shifted.

    Parameters
    ----------
    mean, variance : array of shape (n_features,), optional
        The statistics, if they are known already; float64.

    Examples
    --------
    >>> from fastnn import Normalization
    >>> layer = Normalization()
    >>> layer.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> layer.mean, layer.variance
    (array([ 2., 20.]), array([  1., 100.]))
    """

    mean: Array | None = None
    variance: Array | None = None
    table: Array = field(init=False, repr=False)  # (2, n_features): mean, 1 / deviation

    def __post_init__(self) -> None:
        self.table = np.empty((0, 0))
        if (self.mean is None) != (self.variance is None):
            raise ValueError("Normalization takes mean and variance together, or neither")
        if self.mean is not None:
            mean = np.array(self.mean, np.float64)
            variance = np.array(self.variance, np.float64)
            if (
                mean.ndim != 1
                or mean.shape != variance.shape
                or not (np.isfinite([mean, variance]).all() and (variance >= 0).all())
            ):
                raise ValueError(
                    f"Normalization got mean of shape {mean.shape} and variance of shape "
                    f"{variance.shape}; expected two finite arrays (n_features,), variance >= 0"
                )
            self._set(mean, variance)

    def adapt(self, X: object) -> None:
        """Learn mean and variance (divided by n) of X, shape (n_samples, n_features).

        One pass over blocks of rows, in float64; memory does not grow with the rows.
        """
        width = features(X, "float64").n_features
        rows = np.asarray(X)
        block = max(1, BLOCK_NUMBERS // width)
        n, mean, squares = 0, np.zeros(width), np.zeros(width)
        for start in range(0, len(rows), block):
            m, part_mean, part_squares = _moments(rows[start : start + block])
            # Chan, Golub, LeVeque 1979: merge the moments of two samples of n and m rows.
            step = part_mean - mean
            squares += part_squares + step**2 * (n * m / (n + m))
            mean += step * (m / (n + m))
            n += m
        if not np.isfinite(squares).all():
            raise ValueError("X holds numbers whose squares are too large for float64; scale them")
        self._set(mean, squares / n)

    def _set(self, mean: Array, variance: Array) -> None:
        deviation = np.sqrt(variance)
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
        self.mean, self.variance = mean, variance
        self.table = np.array([mean, 1 / np.where(constant, 1.0, deviation)])


def _moments(rows: Array) -> tuple[int, Array, Array]:
    """Number, mean, and sum of squared deviations from the mean, column by column."""
    part = rows.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = part.mean(axis=0)
        return len(part), mean, ((part - mean) ** 2).sum(axis=0)
