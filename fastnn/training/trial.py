"""What a diagnosis compares a network with: trial steps, and the best constant answer."""

import math
from collections.abc import Callable

import numpy as np

from fastnn.custom import CustomLoss
from fastnn.data.rows import Array, Rows
from fastnn.engine.gradient_descent import Descent, new_state
from fastnn.engine.network import Network, inverse
from fastnn.layers import Dense
from fastnn.losses import Loss
from fastnn.native.team import ALONE
from fastnn.optimizers import SGD

LONGEST, NEARLY = 1e9, 0.5
ROUNDS = 100  # of gradient descent by line search, to find the best constant answer


def cost_of(network: Network, rows: Rows, loss: Loss) -> float:
    """L over rows with what regularisers add; infinite or NaN if it overflows."""
    share = inverse(loss.divisor(rows.sample_weight, rows.n_rows))
    if isinstance(loss, CustomLoss):
        try:
            value = loss.value_and_gradient(rows.y, network.predict(rows))[0]
        except FloatingPointError:
            return math.inf
        return value + network.penalty(share)
    *_, last = network.evaluate(rows, loss, ALONE)
    return last.total * share + network.penalty(share)


def constant_loss(output: Dense, rows: Rows, loss: Loss, dtype: str) -> float:
    """The loss of the best answer that is the same for every row.

    A network without inputs, that is with a bias alone, finds it by gradient descent. Means and,
    for absolute errors, medians are where it begins.
    """
    layer = Dense(output.units, output.activation, kernel_initializer="zeros")
    network = Network(1, [layer], dtype)
    if layer.activation in (None, "linear") and rows.y.dtype.kind == "f" and rows.y.ndim == 2:
        middle = np.median if loss.name == "mean_absolute_error" else np.mean
        network.weights[1][...] = middle(rows.y, axis=0)
    without = Rows(np.zeros((rows.n_rows, 1), dtype), rows.y, rows.sample_weight)
    optimizer = SGD("auto")
    descent = Descent(network, optimizer, new_state(network, optimizer), loss)
    descent.take(without)
    for _ in range(ROUNDS):
        before = network.parameters.copy()
        for _ in descent.epoch(None, rows.n_rows):
            pass
        if np.array_equal(network.parameters, before):
            break
    return cost_of(network, without, loss)


def longest_step(
    network: Network, before: Array, now: float, cost: Callable[[], float]
) -> tuple[float, float]:
    """How much longer a step may be and still lower the cost in proportion, and the cost then.

    The step is the one from `before` to the network's weights, which end up somewhere else; `now`
    is the cost before it. Powers of 10 are tried, as far as that goes.
    """
    step, after = network.parameters - before, cost()
    gain, longest, lowest = now - after, 1.0, after
    while gain > 0 and longest < LONGEST:
        factor = 10 * longest
        network.parameters[:] = before + factor * step
        reached = cost()
        if not now - reached > NEARLY * factor * gain:
            break
        longest, lowest = factor, reached
    return longest, lowest
