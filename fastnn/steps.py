"""Single steps of the weights that gradient descent does not make by itself."""

from collections.abc import Callable

import numpy as np

from fastnn._validation import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer, State, remedy

ROUNDING = 2.0**-52  # of a cost, a double


def apply_gradient(network: Network, optimizer: Optimizer, state: State, gradient: Array) -> None:
    """A step along a gradient to which the regularisers have added.

    FloatingPointError, and no step, if it leads weights, or what the optimiser keeps, out of the
    finite numbers.
    """
    rule = optimizer.rule(network.layer_rules * [1, 0, 0, 0], state)
    kept = [network.parameters.copy(), state.slots.copy()]
    steps = optimizer.steps(state.step, 1)
    table, parameters, *_ = network.arguments(1)
    network.core.update(table, parameters, gradient, steps, *rule)
    if not all(network.core.all_finite(array.ravel()) for array in (parameters, state.slots)):
        parameters[:], state.slots[:] = kept
        raise FloatingPointError(
            f"the step leads to numbers that are not finite; the model keeps its own. "
            f"{remedy(optimizer, state.step, network.layer_rules)}"
        )
    state.step += 1


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
    rate, lowered = 2 * state.rate, False
    try:
        while not lowered and rate * slope > ROUNDING * abs(before):
            parameters[:] = kept - rate * direction
            lowered = cost() <= before - rate / 2 * slope
            rate = rate if lowered else rate / 2
    finally:
        if lowered:
            state.rate = rate
        else:
            parameters[:] = kept


def adopt_average(network: Network, optimizer: Optimizer, state: State) -> None:
    """The running average of the weights takes their place, if there is one."""
    if optimizer.use_ema and state.step:
        average = network.moving(state.slots[-1])
        for (_, w), (_, mean) in zip(network.moving(network.parameters), average, strict=True):
            w[:] = mean
