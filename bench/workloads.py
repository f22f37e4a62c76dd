"""What is trained: the four nets, the modes, the data, and a float64 reference to check against."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Weights = list[Array]  # [W1, b1, W2, b2, ...], every W is (n_in, n_out)

# Ragged on purpose: 300 = 9 * 32 + 12 = 256 + 44, so the last, smaller batch is checked too.
N_CHECKED_ROWS = 300

# Adam's, for all: the means' usual factors, and an epsilon so small that it does not matter where a
# library places it (beside the corrected root or the uncorrected one).
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-12


@dataclass(frozen=True)
class Net:
    """Layer widths from input to output, and the rows of the whole data set."""

    widths: tuple[int, ...]
    n_rows: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self.widths))

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products for one row of an exact step.

        2 n_in n_out each for forward, weight gradient and input gradient, which the first layer
        does not need. Biases, activations and loss are not counted.
        """
        products = [n_in * n_out for n_in, n_out in pairwise(self.widths)]
        return 6 * sum(products) - 2 * products[0]

    @property
    def is_binary(self) -> bool:
        """One sigmoid output and binary cross-entropy, instead of softmax and categorical."""
        return self.widths[-1] == 1


@dataclass(frozen=True)
class Mode:
    """One way to descend; ``batch_size`` None stands for all rows, ``rate`` None for a safe one."""

    name: str
    batch_size: int | None
    rate: float | None = None
    optimizer: str = "sgd"  # or "adam"


NETS = (
    Net((3, 8, 8, 1), n_rows=200_000),
    Net((30, 64, 32, 1), n_rows=100_000),
    Net((784, 128, 10), n_rows=20_000),
    Net((784, 512, 512, 10), n_rows=10_000),
)
MODES = (
    Mode("stochastic", 1),
    Mode("minibatch 32", 32),
    Mode("minibatch 256", 256),
    Mode("batch", None),
    Mode("minibatch 32, Adam", 32, rate=0.001, optimizer="adam"),
)
CELLS = tuple((net, mode) for net in NETS for mode in MODES)


def cell_name(cell: tuple[Net, Mode]) -> str:
    """What pytest calls a cell."""
    return ", ".join(part.name for part in cell)


def learning_rate(net: Net, mode: Mode) -> float:
    """Small enough to stay stable, large enough for updates to stand out of float32 rounding.

    One row moves z1 by rate * |x|^2 * dz1, and |x|^2 is about n_in; a mean over more rows bears a
    larger rate.
    """
    if mode.rate is not None:
        return mode.rate
    return min(0.2, 0.5 / net.widths[0] * (mode.batch_size or N_CHECKED_ROWS))


@cache
def initial_weights(net: Net, seed: int = 1) -> tuple[Array, ...]:
    """He-scaled weights and small non-zero biases: a peer that ignores its biases must show."""
    rng = np.random.default_rng(seed)
    weights = []
    for n_in, n_out in zip(net.widths, net.widths[1:], strict=False):
        weights.append(rng.normal(0.0, np.sqrt(2.0 / n_in), (n_in, n_out)).astype(np.float32))
        weights.append(rng.normal(0.0, 0.1, n_out).astype(np.float32))
    return tuple(weights)


@cache
def dataset(net: Net) -> tuple[Array, NDArray[np.int64]]:
    """Dense normal rows and integer labels drawn at random; every peer visits them in this order.

    Random labels keep the deltas alive, so no peer gains from a gradient that dies out.
    """
    rng = np.random.default_rng(2)
    X = rng.standard_normal((net.n_rows, net.widths[0]), dtype=np.float32)
    y = rng.integers(0, max(2, net.widths[-1]), net.n_rows)
    return X, y


def targets(y: NDArray[np.int64], n_out: int) -> Array:
    """The (n, n_out) array that ``output - target`` needs: 0/1 in one column, or one-hot rows."""
    if n_out == 1:
        return y[:, None].astype(np.float32)
    return np.eye(n_out, dtype=np.float32)[y]


def probabilities(z: Array, is_binary: bool) -> Array:
    if is_binary:
        return 1.0 / (1.0 + np.exp(-z))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _gradients(weights: Weights, x: Array, t: Array, is_binary: bool) -> Weights:
    """Mean gradient over the rows of x, in the order of ``weights``."""
    a = [x]
    for W, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        a.append(np.maximum(a[-1] @ W + b, 0.0))
    dz = (probabilities(a[-1] @ weights[-2] + weights[-1], is_binary) - t) / len(x)
    gradients: Weights = []
    for W, a_in in zip(weights[-2::-2], reversed(a), strict=True):
        gradients[:0] = [a_in.T @ dz, dz.sum(axis=0)]
        dz = (dz @ W.T) * (a_in > 0.0)
    return gradients


def _adam_directions(gradients: Weights, m: Weights, v: Weights, t: int) -> Weights:
    """Kingma, Ba 2015, algorithm 1: what the rate multiplies at step t = 1, 2, ...; moves m, v."""
    directions = []
    for g, mean, square in zip(gradients, m, v, strict=True):
        mean += (1 - BETA_1) * (g - mean)
        square += (1 - BETA_2) * (g**2 - square)
        root = np.sqrt(square / (1 - BETA_2**t))
        directions.append(mean / (1 - BETA_1**t) / (root + EPSILON))
    return directions


def descended(net: Net, mode: Mode, X: Array, y: NDArray[np.int64]) -> Weights:
    """The initial weights after one epoch over the given rows, all arithmetic in float64."""
    x, t = X.astype(np.float64), targets(y, net.widths[-1])
    weights = [w.astype(np.float64) for w in initial_weights(net)]
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    step = mode.batch_size or len(x)
    for k, start in enumerate(range(0, len(x), step), start=1):
        rows = slice(start, start + step)
        directions = _gradients(weights, x[rows], t[rows], net.is_binary)
        if mode.optimizer == "adam":
            directions = _adam_directions(directions, m, v, k)
        for w, direction in zip(weights, directions, strict=True):
            w -= learning_rate(net, mode) * direction
    return weights


@cache
def reference_weights(net: Net, mode: Mode) -> tuple[Array, ...]:
    """What the checked rows lead to."""
    X, y = dataset(net)
    return tuple(descended(net, mode, X[:N_CHECKED_ROWS], y[:N_CHECKED_ROWS]))


def update_error(net: Net, trained: Sequence[Array], reference: Sequence[Array]) -> float:
    """Worst array's |trained - reference| / |reference - initial|: doing nothing scores 1.

    Relative to the update, because an error in one epoch's steps hides behind the weights' size.
    """
    errors = [
        np.linalg.norm(got - expected) / np.linalg.norm(expected - before)
        for got, expected, before in zip(trained, reference, initial_weights(net), strict=True)
    ]
    return float(max(errors))
