"""A step of gradient descent as long as it pays: Armijo's rule."""

import sys
from collections.abc import Callable

import numpy as np

from fastnn.data.rows import Array
from fastnn.engine.network import Network
from fastnn.optimizers import State

ROUNDING = 2.0**-52  # of a cost, a double


def follow_cost(
    network: Network, state: State, gradient: Array, before: float, cost: Callable[[], float]
) -> None:
    """A step as long as it pays, by Armijo's rule (see `SGD`); `before` is the cost before it.

    No step if the cost cannot be lowered by more than its own rounding.
    """
    parameters, direction = network.parameters, network.direction(gradient)
    kept = parameters.copy()
    # Not np.dot, whose bits depend on the number of BLAS's threads.
    slope = float(np.multiply(direction, gradient, dtype=np.float64).sum())
    rate, lowered = min(2 * state.rate, sys.float_info.max), False  # not infinite
    kept_rate, kept_step, made = state.rate, state.step, False
    try:
        while not lowered and rate * slope > ROUNDING * abs(before):
            parameters[:] = kept - rate * direction
            lowered = cost() <= before - rate / 2 * slope
            rate = rate if lowered else rate / 2
        if lowered:
            state.rate, state.step = rate, kept_step + 1
            made = True
    finally:
        if not made:  # an interrupt may have come before any of it, or in between
            parameters[:] = kept
            state.rate, state.step = kept_rate, kept_step
