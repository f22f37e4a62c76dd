"""Gradient descent: the three ways of visiting the rows. The loops are in the core.

Each function trains for one epoch and yields after every slice of it. A slice covers a number of
rows that follows from the network's shape, never from a clock, and ends where a batch (or, in a
batch larger than a slice, a block) ends: the slices leave no trace in the bits. Between two slices
the weights are at a step's border, and Python may report, stop or be interrupted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fastnn._validation import Array, Data
from fastnn.losses import Loss
from fastnn.network import Network
from fastnn.optimizers import SGD


class Slice(NamedTuple):
    """What one slice of an epoch did."""

    n_rows: int
    loss: float  # the sum of w_i l_i, each before the update of its step
    rows: Array | slice  # the rows visited
    predictions: Array  # their outputs, each before the update of its step


@dataclass
class Descent:
    """What stays the same through a fit, with the memory it needs."""

    network: Network
    optimizer: SGD
    loss: Loss
    data: Data
    keep_predictions: bool = False
    step: int = 0  # weight updates so far
    gradient: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.gradient = self.network.new_gradient()

    def rates(self, n_steps: int) -> Array:
        """The learning rates of the next steps, which are counted as made."""
        self.step += n_steps
        return self.optimizer.rates(self.step - n_steps, n_steps)

    def visit(self, order: Array | None, start: int, stop: int) -> "Visit":
        """The arguments for the rows visited start-th to stop-th; no order is natural order."""
        network = self.network
        data = self.data if order is not None else self.data.rows(start, stop)
        predictions = network.no_predictions
        if self.keep_predictions:
            predictions = np.empty((stop - start, network.n_outputs), network.dtype)
        rows = slice(start, stop) if order is None else order[start:stop]
        return Visit(
            (
                *network.arguments,
                *data,
                self.loss.code(self.data.y),
                network.no_order if order is None else order[start:stop],
                predictions,
            ),
            rows,
            predictions,
        )


class Visit(NamedTuple):
    """The common arguments of the core's doors for some rows, and what they refer to."""

    arguments: tuple[object, ...]
    rows: Array | slice
    predictions: Array

    def done(self, start: int, stop: int, loss: float) -> Slice:
        return Slice(stop - start, loss, self.rows, self.predictions)


def epoch_slices(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One epoch in the mode that the batch size means."""
    if batch_size == 1:
        return stochastic(descent, order)
    if batch_size >= descent.data.n_rows:
        return batch(descent)
    return minibatch(descent, order, batch_size)


def stochastic(descent: Descent, order: Array | None) -> Iterator[Slice]:
    """One update after every row: W := W - learning_rate * w_i dl_i/dW."""
    core = descent.network.core
    for start, stop in descent.network.slices(descent.data.n_rows):
        visit = descent.visit(order, start, stop)
        loss = core.stochastic(*visit.arguments, descent.rates(stop - start))
        yield visit.done(start, stop, loss)


def minibatch(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One update after every batch, along its mean gradient; the last one may be shorter."""
    core, n_rows = descent.network.core, descent.data.n_rows
    if batch_size > descent.network.slice_rows:
        for start in range(0, n_rows, batch_size):
            yield from _one_step(descent, order, start, min(start + batch_size, n_rows))
        return
    length = descent.network.slice_rows // batch_size * batch_size
    for start in range(0, n_rows, length):
        stop = min(start + length, n_rows)
        visit = descent.visit(order, start, stop)
        rates = descent.rates(-(-(stop - start) // batch_size))
        loss = core.minibatch(*visit.arguments, rates, batch_size, descent.gradient)
        yield visit.done(start, stop, loss)


def batch(descent: Descent) -> Iterator[Slice]:
    """One update along the mean gradient of all rows, visited in their natural order."""
    yield from _one_step(descent, None, 0, descent.data.n_rows)


def _one_step(descent: Descent, order: Array | None, first: int, last: int) -> Iterator[Slice]:
    """Add up the mean gradient of the rows visited first-th to last-th, then move once."""
    network = descent.network
    descent.gradient[:] = 0
    for start, stop in network.slices(last - first):
        visit = descent.visit(order, first + start, first + stop)
        loss = network.core.gradient(*visit.arguments, 1 / (last - first), descent.gradient)
        if stop == last - first:
            network.core.update(network.parameters, descent.gradient, descent.rates(1)[0])
        yield visit.done(start, stop, loss)
