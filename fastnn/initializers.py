"""Initial weights, drawn from a generator that the caller seeds; formulas and names are Keras's."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from fastnn._validation import Array

# The standard deviation of a standard normal distribution cut off at two standard deviations.
TRUNCATED_DEVIATION = 0.87962566103423978


class Initializer(Protocol):
    """Draws the weights W, shape (n_in, n_out), of one layer in float64."""

    def __call__(self, rng: "np.random.Generator", n_in: int, n_out: int) -> Array: ...


@dataclass(frozen=True)
class Zeros:
    """W = 0."""

    def __call__(self, rng: "np.random.Generator", n_in: int, n_out: int) -> Array:
        return np.zeros((n_in, n_out))


@dataclass(frozen=True)
class VarianceScaling:
    """Weights with mean 0 and variance scale / fan.

    fan is n_in ("in") or (n_in + n_out) / 2 ("average"). "uniform" draws from
    +-sqrt(3 scale / fan); "normal" draws from a normal distribution cut off at two standard
    deviations, widened so that its variance is scale / fan all the same.

    Sources: Glorot and Bengio 2010 (scale 1, average), He et al. 2015 (scale 2, in),
    LeCun et al. 1998 (scale 1, in).
    """

    scale: float
    fan: Literal["in", "average"]
    distribution: Literal["uniform", "normal"]

    def __call__(self, rng: "np.random.Generator", n_in: int, n_out: int) -> Array:
        fan = n_in if self.fan == "in" else (n_in + n_out) / 2
        deviation = math.sqrt(self.scale / fan)
        limit = math.sqrt(3) * deviation
        if self.distribution == "uniform":
            return rng.uniform(-limit, limit, (n_in, n_out))
        return _truncated_normal(rng, (n_in, n_out)) * (deviation / TRUNCATED_DEVIATION)


def _truncated_normal(rng: "np.random.Generator", shape: tuple[int, int]) -> Array:
    """Standard normal numbers, those beyond two standard deviations drawn again."""
    values: Array = rng.standard_normal(shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(np.count_nonzero(far))
    return values


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": VarianceScaling(1, "average", "uniform"),
    "glorot_normal": VarianceScaling(1, "average", "normal"),
    "he_uniform": VarianceScaling(2, "in", "uniform"),
    "he_normal": VarianceScaling(2, "in", "normal"),
    "lecun_uniform": VarianceScaling(1, "in", "uniform"),
    "lecun_normal": VarianceScaling(1, "in", "normal"),
    "zeros": Zeros(),
}
