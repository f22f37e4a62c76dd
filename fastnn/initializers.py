"""Initialisers: how the weights and biases of a layer start.

Names and formulas are Keras's. Random numbers come from a generator that the caller seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fastnn.data.arrays import initial_values
from fastnn.data.checks import (
    lookup,
    real_number,
    shown,
    whole_number,
)
from fastnn.data.rows import Array

# The standard deviation of a standard normal distribution cut off at two standard deviations.
TRUNCATED_DEVIATION = 0.87962566103423978
Fan = Literal["in", "average"]
Distribution = Literal["uniform", "normal"]
FANS: dict[str, Fan] = {name: name for name in get_args(Fan)}
DISTRIBUTIONS: dict[str, Distribution] = {name: name for name in get_args(Distribution)}
# Accepted names, for editors and type checkers: the keys of INITIALIZERS.
InitializerName = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
    "random_uniform", "random_normal", "truncated_normal", "orthogonal", "constant", "ones",
    "zeros",
]  # fmt: skip


class Initializer:
    """Base class: an initialiser makes the first W (n_in, n_out) or b (n_out,) of a layer."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return float64 initial values of this shape, drawn from `rng` if they are random."""
        raise NotImplementedError


@dataclass(frozen=True)
class Zeros(Initializer):
    """Sets all weights to 0.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, kernel_initializer=initializers.Zeros()).kernel_initializer
    Zeros()
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """Sets all weights to 1.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, bias_initializer=initializers.Ones()).bias_initializer
    Ones()
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """Sets all weights to `value`.

    Parameters
    ----------
    value : float
        Any finite number.

    Raises
    ------
    TypeError, ValueError
        If `value` is not a finite number.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, bias_initializer=initializers.Constant(0.1)).bias_initializer
    Constant(value=0.1)
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", real_number("value", self.value, example=0.1))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.full(shape, self.value)


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Draws from the uniform distribution between `minval` and `maxval`.

    Parameters
    ----------
    minval, maxval : float
        The bounds, minval <= maxval.

    Raises
    ------
    TypeError, ValueError
        If a bound is not a finite number, or minval > maxval.

    Examples
    --------
    >>> from fastnn.initializers import RandomUniform
    >>> RandomUniform(-0.1, 0.1)
    RandomUniform(minval=-0.1, maxval=0.1)
    """

    minval: float = -0.05
    maxval: float = 0.05

    def __post_init__(self) -> None:
        for name, example in (("minval", -0.05), ("maxval", 0.05)):
            value = real_number(name, getattr(self, name), example=example)
            object.__setattr__(self, name, value)
        if not 0 <= self.maxval - self.minval < math.inf:
            raise ValueError(
                f"minval={self.minval:g}, maxval={self.maxval:g}: expected minval <= maxval and a "
                f"finite distance, e.g. minval=-0.05, maxval=0.05"
            )

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Draws from a normal distribution.

    Parameters
    ----------
    mean : float
        Any finite number.
    stddev : float
        The standard deviation, at least 0.

    Raises
    ------
    TypeError, ValueError
        If one of the two is not a finite number, or stddev < 0.

    Examples
    --------
    >>> from fastnn.initializers import RandomNormal
    >>> RandomNormal(stddev=0.01)
    RandomNormal(mean=0.0, stddev=0.01)
    """

    mean: float = 0.0
    stddev: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", real_number("mean", self.mean, example=0))
        stddev = real_number("stddev", self.stddev, low=0, example=0.05)
        object.__setattr__(self, "stddev", stddev)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return self.mean + self.stddev * rng.standard_normal(shape)


@dataclass(frozen=True)
class TruncatedNormal(RandomNormal):
    """Draws from a normal distribution cut off at two standard deviations, as in Keras.

    Values beyond two standard deviations are drawn again, so the standard deviation of the result
    is 0.8796 * stddev (`VarianceScaling` corrects for this, also as in Keras). The parameters are
    those of `RandomNormal`.

    Examples
    --------
    >>> from fastnn.initializers import TruncatedNormal
    >>> TruncatedNormal(stddev=0.01)
    TruncatedNormal(mean=0.0, stddev=0.01)
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return self.mean + self.stddev * _truncated_normal(rng, shape)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Draws weights with mean 0 and variance scale / fan.

    The named initialisers are special cases: Glorot and Bengio 2010 (scale 1, "average"), He et
    al. 2015 (scale 2, "in"), LeCun et al. 1998 (scale 1, "in").

    Parameters
    ----------
    scale : float
        Greater than 0.
    fan : str
        "in" for n_in, "average" for (n_in + n_out) / 2; for a bias both are n_out.
    distribution : str
        "uniform" between -sqrt(3 scale / fan) and sqrt(3 scale / fan), or "normal": a normal
        distribution cut off at two standard deviations, widened so that its variance is
        scale / fan.

    Raises
    ------
    TypeError, ValueError
        If `scale` is not a finite number greater than 0, or `fan` or `distribution` is unknown.

    Examples
    --------
    >>> from fastnn.initializers import VarianceScaling
    >>> VarianceScaling(0.5, "in", "uniform")
    VarianceScaling(scale=0.5, fan='in', distribution='uniform')
    """

    scale: float
    fan: Fan
    distribution: Distribution

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", real_number("scale", self.scale, above=0))
        object.__setattr__(self, "fan", lookup("fan", self.fan, FANS))
        distribution = lookup("distribution", self.distribution, DISTRIBUTIONS)
        object.__setattr__(self, "distribution", distribution)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        n_in, n_out = shape[0], shape[-1]
        fan = n_in if self.fan == "in" else (n_in + n_out) / 2
        deviation = math.sqrt(self.scale / fan)
        limit = math.sqrt(3) * deviation
        if self.distribution == "uniform":
            return rng.uniform(-limit, limit, shape)
        return _truncated_normal(rng, shape) * (deviation / TRUNCATED_DEVIATION)


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw standard normal numbers, and again those beyond two standard deviations."""
    values: Array = rng.standard_normal(shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(np.count_nonzero(far))
    return values


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Draws W = gain * Q with a random orthogonal matrix Q; not for a bias.

    Q^T Q = I if n_in >= n_out (orthonormal columns), otherwise Q Q^T = I (orthonormal rows), both
    to rounding in float64, so a square W with gain 1 preserves the length of every vector. Q comes
    from the Gram-Schmidt process on a matrix of normal numbers; this is its QR decomposition with
    a positive diagonal of R, so all orthogonal matrices are equally likely (Mezzadri 2007).
    Source: Saxe, McClelland, Ganguli 2013 (arXiv:1312.6120).

    Parameters
    ----------
    gain : float
        Any finite number; sqrt(2) is usual with relu.

    Raises
    ------
    TypeError, ValueError
        If `gain` is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(2, kernel_initializer="orthogonal")], dtype="float64")
    >>> model.build(3)
    >>> W1, b1 = model.get_weights()
    >>> np.allclose(W1.T @ W1, np.eye(2))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", real_number("gain", self.gain, example=1))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        n_in, n_out = shape
        rows = _orthonormal(_orthonormal(rng.standard_normal((min(shape), max(shape)))))
        return self.gain * (rows.T if n_in >= n_out else rows)


def _orthonormal(rows: Array) -> Array:
    """Make the rows orthonormal in place, by Gram-Schmidt; run it twice for full precision.

    NumPy's QR decomposition is not used because its bits depend on the threads of its BLAS.
    """
    for i in range(len(rows)):
        rows[i] /= np.sqrt(np.square(rows[i]).sum())
        projections = (rows[i + 1 :] * rows[i]).sum(axis=1)
        rows[i + 1 :] -= projections[:, None] * rows[i]
    return rows


class Values(Initializer):
    """Starts with the numbers of an array; a layer makes this object from an array it is given.

    Parameters
    ----------
    values : array
        Shape (n_in, n_out) for W, (n_out,) for b, checked when the model is built. It is copied.

    Attributes
    ----------
    values : array
        The numbers in float64, read-only.

    Raises
    ------
    TypeError, ValueError
        If `values` does not hold finite real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense
    >>> Dense(2, kernel_initializer=np.zeros((3, 2))).kernel_initializer
    Values(shape=(3, 2))
    """

    def __init__(self, values: object) -> None:
        self.values = initial_values("values", values)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return self.values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Values) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.values.shape, *self.values.flat[:8]))

    def __repr__(self) -> str:
        return f"Values(shape={self.values.shape})"

    def __reduce__(self) -> tuple[type[Values], tuple[Array]]:
        return Values, (self.values,)  # unpickled arrays must be read-only, too


@dataclass(frozen=True)
class Stored(Initializer):
    """Takes the place of `Values` in a loaded model, whose file does not keep the initial array.

    Raises
    ------
    ValueError
        If it is used to initialise another model.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        shape = tuple(whole_number("shape", size, minimum=0) for size in self.shape)
        object.__setattr__(self, "shape", shape)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        raise ValueError(
            f"the layer was loaded from a file, which does not keep the array of shape "
            f"{self.shape} that it was initialised with; make a new layer, "
            f"e.g. Dense(2, kernel_initializer=np.zeros((3, 2)))"
        )


# What a layer accepts: a name, an initialiser, or the numbers themselves.
Initial = InitializerName | Initializer | Array | Sequence[float] | Sequence[Sequence[float]]

INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": VarianceScaling(1, "average", "uniform"),
    "glorot_normal": VarianceScaling(1, "average", "normal"),
    "he_uniform": VarianceScaling(2, "in", "uniform"),
    "he_normal": VarianceScaling(2, "in", "normal"),
    "lecun_uniform": VarianceScaling(1, "in", "uniform"),
    "lecun_normal": VarianceScaling(1, "in", "normal"),
    "random_uniform": RandomUniform(),
    "random_normal": RandomNormal(),
    "truncated_normal": TruncatedNormal(),
    "orthogonal": Orthogonal(),
    "constant": Constant(),
    "ones": Ones(),
    "zeros": Zeros(),
}


def get(name: str, value: object) -> Initializer:
    """Return the initialiser that `value` stands for: a name, an initialiser or an array.

    `name` is the argument's name for messages: "kernel_initializer" or "bias_initializer".
    """
    found = lookup(name, value, INITIALIZERS) if isinstance(value, str) else value
    if isinstance(value, list | tuple) or getattr(value, "ndim", False):
        found = Values(initial_values(name, value))
    if not isinstance(found, Initializer):
        raise TypeError(
            f"{name}={shown(value)}: expected a name, an initialiser or an array, "
            f"e.g. {name}='random_normal'"
        )
    if isinstance(found, Orthogonal) and name == "bias_initializer":
        raise ValueError(f"{name}={value!r} needs a matrix, not a bias; e.g. {name}='ones'")
    return found
