"""A step of gradient descent as long as it pays: Armijo's rule, on all rows or on a batch."""

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastnn.data.rows import Array
from fastnn.engine.network import Network
from fastnn.optimizers import State

ROUNDING = 2.0**-52  # of a cost, a double


class Search(NamedTuple):
    """How long a step is tried first, and when it is short enough."""

    growth: float  # the first rate tried, relative to that of the last step
    shrink: float  # each further one, relative to the one before
    share: float  # of the slope times the rate, by which the cost has to fall


OF_ALL_ROWS = Search(2.0, 0.5, 0.5)
GROWTH_OF_EPOCH = 4.0  # of the rate, at most, in an epoch of minibatches


def of_batch(share_of_rows: float) -> Search:
    """The search for a batch that holds this share of an epoch's rows.

    Source: Vaswani et al. 2019 (arXiv:1905.09997), Algorithm 1 with resetting option 2. Growth and
    share were chosen by measurement, see `bench/line_search.py`; they take 2 and 0.1.
    """
    return Search(GROWTH_OF_EPOCH**share_of_rows, 0.9, 0.2)


def follow_cost(
    network: Network, state: State, gradient: Array, before: float, cost: Callable[[], float],
    search: Search,
) -> None:  # fmt: skip
    """A step as long as it pays, by Armijo's rule (see `SGD`); `before` is the cost before it.

    No step if the cost cannot be lowered by more than its own rounding, or its slope overflows.
    """
    parameters, direction = network.parameters, network.direction(gradient)
    kept = parameters.copy()
    # Not np.dot, whose bits depend on the number of BLAS's threads.
    with np.errstate(over="ignore"):
        slope = float(np.multiply(direction, gradient, dtype=np.float64).sum())
    rate, lowered = min(search.growth * state.rate, sys.float_info.max), False  # not infinite
    kept_rate, kept_step, made = state.rate, state.step, False
    smallest = max(ROUNDING * abs(before), sys.float_info.min)
    try:
        while not lowered and smallest < rate * slope < math.inf:
            parameters[:] = kept - rate * direction
            lowered = cost() <= before - rate * search.share * slope
            rate = rate if lowered else rate * search.shrink
        if lowered:
            state.rate, state.step = rate, kept_step + 1
            made = True
    finally:
        if not made:  # an interrupt may have come before any of it, or in between
            parameters[:] = kept
            state.rate, state.step = kept_rate, kept_step
