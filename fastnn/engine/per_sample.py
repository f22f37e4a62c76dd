"""Which way per-sample descent takes through the weights of the first layer.

Every path gives the weights of one update after every row, up to rounding. "listed" visits the
weights of the features that are not zero, twice for each row; "swept" visits all of them once for
each row; "blocked" twice for a block of rows, whose products with each other stand in for the steps
in between; "tiny" keeps the few weights of a narrow network at hand; "fused" moves all weights at
every row, as momentum, L2 and Adam do, in the pass that computes dx. With dropout,
clipped gradients or averaged weights the loop of the minibatches takes one row as a batch,
"general". The number of threads has no say. The loops are in `fastnn/native/loops/per_sample`,
their kernels in `fastnn/native/per_sample`, the algebra is in `docs/per_sample.md`.
"""

from typing import NamedTuple

import numpy as np

from fastnn._core import BY_LANE_OUTPUTS, LINE_LENGTH
from fastnn.data.rows import Rows
from fastnn.engine.network import Network
from fastnn.optimizers import Rule

GENERAL = "general"
MEASURED_ROWS = 1024  # of X, for its density
SPARSE = 0.4  # the density below which lists of features pay; `bench/paths.py` measures it
BLOCKED_WEIGHTS = 30_000  # in a first layer that no longer fits the nearest cache
MOVING_WEIGHTS = 500  # where blocks pay if every row moves all weights
BLOCK = 32  # rows: a longer block has more corrections, a shorter one visits the weights more often


class Path(NamedTuple):
    """A path, the rows of its blocks and what threads can share of a block."""

    name: str
    block: int
    shared_work: float = 0.0  # floating-point operations

    @property
    def shortest(self) -> int:
        """The rows of the shortest slice that changes no bits: a block where rows look ahead."""
        return 1 if self.name in ("listed", "fused") else self.block

    def whole(self, n_rows: int) -> int:
        """`n_rows`, rounded to whole blocks unless every row moves all weights."""
        if self.name == "fused" and n_rows < self.block:
            return n_rows  # a block of a large network would take seconds
        return max(n_rows // self.block, 1) * self.block


def path_for(network: Network, density: float, rule: Rule) -> Path:
    """The quickest path for the shape of the first layer and the share of X that is not zero."""
    if not has_own_paths(network, rule):
        return Path(GENERAL, 1)
    n_in, n_out = network.n_features, network.layers[0].units
    # The core keeps its z unit by unit, one row per lane, not as the rows of a block.
    one_narrow_layer = len(network.layers) == 1 and n_out <= BY_LANE_OUTPUTS
    if not rule.is_plain:
        large = n_in * n_out >= MOVING_WEIGHTS and not one_narrow_layer
        name = "blocked" if large and rule.is_linear else "fused"
    elif network.is_tiny:
        name = "tiny"
    elif density < SPARSE or one_narrow_layer:
        name = "listed"
    else:
        name = "blocked" if n_in * n_out >= BLOCKED_WEIGHTS else "swept"
    block = min(BLOCK, network.slice_rows)
    shared = name == "blocked" and n_out > LINE_LENGTH  # threads share whole lines of columns
    return Path(name, block, 4.0 * block * n_in * n_out if shared else 0.0)


def has_own_paths(network: Network, rule: Rule) -> bool:
    """Whether per-sample descent need not go through batches of one row."""
    return rule.is_simple and not network.has_dropout


def one_row_path(*, plain: bool) -> str:
    """The path for a row that has no next one."""
    return "listed" if plain else "fused"


def density(data: Rows, standardised: bool) -> float:
    """The share of numbers that are not zero in the first rows, as the first layer sees them."""
    if standardised or data.n_rows == 0:
        return 1.0
    rows = data.X[:MEASURED_ROWS]
    return float(np.count_nonzero(rows) / rows.size)
