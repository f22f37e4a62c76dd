"""Which learning rate to take: a run with rates that grow from step to step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastnn.data.checks import warn
from fastnn.data.rows import Array
from fastnn.engine.gradient_descent import Descent, by_batches

SMOOTHING = 0.9  # how much of the running mean of the losses stays at a step
SETTLED = 10  # steps after which that mean has settled
HOPELESS = 4  # times the largest loss before that; a mean above it ends the run
EARLY = 0.2  # the share of the steps whose means say more of the first batches than of the rate
ROWS = 32  # that a rate is tried with at least
SAFETY = 10  # how far below the rate of the lowest loss the suggestion lies


@dataclass(frozen=True, repr=False)
class LearningRateCurve:
    """What `Sequential.find_learning_rate` found.

    Attributes
    ----------
    rates : array of shape (n_steps,)
        The learning rates tried, each a constant factor above the one before.
    losses : array of shape (n_steps,)
        The loss before the steps at each, with what regularisers add, as a running mean.
    suggestion : float
        A tenth of the rate at which the loss was lowest, times 1 - momentum.
    """

    rates: Array
    losses: Array
    suggestion: float

    def __repr__(self) -> str:
        return (
            f"LearningRateCurve(suggestion={self.suggestion:.3g}, {len(self.rates)} rates from "
            f"{self.rates[0]:.3g} to {self.rates[-1]:.3g})"
        )


def range_test(descent: Descent, order: Array, batch_size: int, rates: Array) -> LearningRateCurve:
    """One update after the other along the rows, over and over, until the loss explodes.

    Source: Smith 2017, "Cyclical learning rates for training neural networks" (arXiv:1506.01186).
    """
    means: list[float] = []
    mean, largest = 0.0, 0.0
    for t, loss in enumerate(_losses(descent, order, batch_size, rates), 1):
        mean += (1 - SMOOTHING) * (loss - mean)
        if not math.isfinite(mean):
            break
        means.append(mean / (1 - SMOOTHING**t))
        if t <= SETTLED:
            largest = max(largest, abs(loss))
        elif means[-1] > HOPELESS * largest:
            break
    if not means:
        raise FloatingPointError(
            "the loss is not finite before the first step; scale features and targets"
        )
    momentum = getattr(descent.optimizer, "momentum", 0.0)
    suggestion = float(_lowest(means, rates) / SAFETY) * (1 - momentum)
    if suggestion < rates[0]:
        raise ValueError(
            f"the loss falls at none of the rates from {rates[0]:g} on; scale features and "
            f"targets, or try lower ones, e.g. lowest={rates[0] / 1000:g}"
        )
    return LearningRateCurve(rates[: len(means)], np.array(means), suggestion)


def _lowest(means: list[float], rates: Array) -> float:
    """The rate at which the loss was lowest; a warning if it is the highest of all."""
    early = int(EARLY * len(means))
    lowest = float(rates[early + int(np.argmin(means[early:]))])
    if lowest == rates[-1]:
        warn(
            f"the loss still falls at the highest rate, {lowest:g}, so that a good rate may lie "
            f"above; try more: model.find_learning_rate(X, y, highest={100 * lowest:g})",
        )
    return lowest


def _losses(descent: Descent, order: Array, batch_size: int, rates: Array) -> Iterator[float]:
    """The mean loss before the steps at each rate; each goes through ROWS rows at least."""
    tried, optimizer = 0, descent.optimizer
    optimizer.learning_rate = float(rates[0])
    while True:
        descent.begin_sum()
        before, n_rows = 0.0, 0
        for piece in by_batches(descent, order, batch_size):
            n_rows += piece.n_rows
            if not piece.moved or n_rows < min(ROWS, len(order)):
                continue
            yield (piece.total - before) / n_rows + descent.network.penalty()
            before, n_rows, tried = piece.total, 0, tried + 1
            if tried == len(rates):
                return
            optimizer.learning_rate = float(rates[tried])
