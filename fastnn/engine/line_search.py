"""Single steps of the weights that gradient descent does not make by itself."""

import sys
from collections.abc import Callable

import numpy as np

from fastnn._validation import Array
from fastnn.divergence import DivergenceWatch
from fastnn.network import Network
from fastnn.optimizers import Optimizer, State

ROUNDING = 2.0**-52  # of a cost, a double


def apply_gradient(watch: DivergenceWatch, gradient: Array) -> None:
    """A step along a gradient to which the regularisers have added.

    `Diverged` if it leads weights, or what the optimiser keeps, out of the finite numbers.
    """
    network, optimizer, state = watch.network, watch.optimizer, watch.state
    rule, when = optimizer.rule(network.layer_rules * [1, 0, 0, 0], state), "in this step"
    steps = optimizer.steps(state.step, 1)
    try:
        network.core.update(network.table, network.parameters, gradient, steps, *rule)
        watch.keep_after_step(0, when)
    except BaseException:
        watch.settle()
        raise


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


def adopt_average(network: Network, optimizer: Optimizer, state: State) -> None:
    """The running average of the weights takes their place, if there is one."""
    if optimizer.use_ema and state.step:
        averaged = network.parameters.copy()
        means = network.moving(state.slots[-1])
        for (_, w), (_, mean) in zip(network.moving(averaged), means, strict=True):
            w[:] = mean
        network.parameters[:] = averaged  # at once: no interrupt comes in between
