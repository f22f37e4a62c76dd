"""What scikit-learn draws from `random_state`, number by number: initial weights, visiting orders.

The formulas and the order of the draws are those of scikit-learn 1.9, so that a seed means the same
weights and the same batches as there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fastnn.data.rows import Array


def initial_weights(
    rng: np.random.RandomState, sizes: Sequence[int], activations: Sequence[str], dtype: str
) -> list[Array]:
    """W1, b1, W2, ... of layers of these sizes: uniform up to sqrt(6 / (n_in + n_out)).

    Up to sqrt(2 / (n_in + n_out)) for a sigmoid; of the output layer that of the layer below
    counts. Source: Glorot, Bengio 2010, but for the biases, which are drawn alike.
    """
    weights = []
    for (n_in, n_out), activation in zip(pairwise(sizes), activations, strict=True):
        bound = math.sqrt((2 if activation == "sigmoid" else 6) / (n_in + n_out))
        weights.append(rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype))
        weights.append(rng.uniform(-bound, bound, n_out).astype(dtype))
    return weights


@dataclass
class Orders:
    """A new order every epoch: the last one, shuffled."""

    rng: np.random.RandomState
    last: Array | None = None

    def draw(self, n_rows: int) -> Array:
        """The order of the next epoch; the first shuffles the natural one."""
        shuffled = np.arange(n_rows)
        self.rng.shuffle(shuffled)
        self.last = shuffled if self.last is None else self.last[shuffled]
        return self.last
