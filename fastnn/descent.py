"""Gradient descent: the three ways of visiting the rows. The loops are in the core.

Each function trains for one epoch and yields after every slice of it. A slice covers a number of
rows that follows from the network's shape, never from a clock, and ends where a batch (or, in a
batch larger than a slice, a block) ends: the slices leave no trace in the bits. Between two slices
the weights are at a step's border, and Python may report, stop or be interrupted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fastnn._team import ALONE, Team
from fastnn._threads import thread_count
from fastnn._validation import Array, Data
from fastnn.losses import Loss
from fastnn.network import CoreArguments, Network, Slice
from fastnn.optimizers import Optimizer, Rule, State
from fastnn.paths import Path, density, one_row_path, path_for


@dataclass
class Descent:
    """What stays the same through a fit, with the memory it needs."""

    network: Network
    optimizer: Optimizer
    state: State
    loss: Loss
    data: Data
    keep_predictions: bool = False
    team: Team = ALONE
    total: float = 0.0  # the sum of w_i l_i of the epoch so far
    gradient: Array = field(init=False, repr=False)
    rule: Rule = field(init=False, repr=False)
    _predictions: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n_rows = self.data.n_rows
        self.gradient = self.network.new_gradient()
        self.rule = self.optimizer.rule(self.network.decay, self.state)
        self._predictions = self.network.no_predictions
        if self.keep_predictions:
            longest = min(n_rows, self.network.slice_rows)
            self._predictions = np.empty((longest, self.network.n_outputs), self.network.dtype)

    @cached_property
    def path(self) -> Path:
        """How the stochastic mode passes through the first layer."""
        if self.data.n_rows == 1:
            return Path(one_row_path(plain=self.rule.is_plain), 1)
        share = density(self.data, self.network.is_standardised)
        return path_for(self.network, share, self.rule)

    @cached_property
    def sample_arguments(self) -> CoreArguments:
        """What the door of the stochastic mode takes first."""
        return self.network.arguments(self.path.block, stochastic=True)

    @cached_property
    def batch_arguments(self) -> CoreArguments:
        """What the doors of the other modes take first."""
        return self.network.arguments(self.data.n_rows)

    def team_for(self, threads: int | None, batch_size: int) -> Team:
        """A team to train in such batches, as large as the work between two waits is worth."""
        if batch_size == 1:
            return Team(thread_count(threads, self.path.shared_work))
        return self.network.training_team(threads, batch_size)

    def rates(self, n_steps: int) -> Array:
        """The learning rates of the next steps, which are counted as made."""
        self.state.step += n_steps
        return self.optimizer.rates(self.state.step - n_steps, n_steps)

    def visit(
        self,
        door: Callable[..., float],
        arguments: CoreArguments,
        order: Array | None,
        start: int,
        stop: int,
        *settings: object,
        moved: bool = True,
    ) -> Slice:
        """Pass the rows visited start-th to stop-th through a door of the core."""
        data = self.data if order is not None else self.data.rows(start, stop)
        rows = slice(start, stop) if order is None else order[start:stop]
        visited = self.network.no_order if order is None else rows
        predictions = self._predictions[: stop - start]
        kernel = self.loss.kernel(self.data.y)
        rest = kernel, visited, predictions, self.total, *settings
        self.total = self.team.run(door, *arguments, *data, *rest)
        return Slice(rows, stop - start, self.total, predictions, moved)


def new_state(network: Network, optimizer: Optimizer) -> State:
    """That of an optimiser that has made no step."""
    slots = network.new_slots(optimizer.n_slots)
    slots[...] = optimizer.initial
    return State(slots)


def epoch_slices(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One epoch in the mode that the batch size means."""
    descent.total = 0.0
    if batch_size == 1:
        return stochastic(descent, order)
    if batch_size >= descent.data.n_rows:
        return batch(descent)
    return minibatch(descent, order, batch_size)


def stochastic(descent: Descent, order: Array | None) -> Iterator[Slice]:
    """One update after every row: W := W - learning_rate * w_i dl_i/dW."""
    door, arguments = descent.network.core.stochastic, descent.sample_arguments
    for start, stop in descent.network.slices(descent.data.n_rows):
        rates = descent.rates(stop - start)
        settings = rates, *descent.rule, descent.path.code
        yield descent.visit(door, arguments, order, start, stop, *settings)


def minibatch(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One update after every batch, along its mean gradient; the last one may be shorter."""
    door, arguments = descent.network.core.minibatch, descent.batch_arguments
    n_rows = descent.data.n_rows
    if batch_size > descent.network.slice_rows:
        for start in range(0, n_rows, batch_size):
            yield from _one_step(descent, order, start, min(start + batch_size, n_rows))
        return
    length = descent.network.slice_rows // batch_size * batch_size
    for start in range(0, n_rows, length):
        stop = min(start + length, n_rows)
        rates = descent.rates(-(-(stop - start) // batch_size))
        settings = rates, *descent.rule, batch_size, descent.gradient
        yield descent.visit(door, arguments, order, start, stop, *settings)


def batch(descent: Descent) -> Iterator[Slice]:
    """One update along the mean gradient of all rows, visited in their natural order."""
    return _one_step(descent, None, 0, descent.data.n_rows)


def _one_step(descent: Descent, order: Array | None, first: int, last: int) -> Iterator[Slice]:
    """Add up the mean gradient of the rows visited first-th to last-th, then move once."""
    network, settings = descent.network, (1 / (last - first), descent.gradient)
    descent.gradient[:] = 0
    for start, stop in network.slices(last - first):
        rows = order, first + start, first + stop
        piece = descent.visit(
            network.core.gradient, descent.batch_arguments, *rows, *settings, moved=False
        )
        if stop == last - first:
            table, parameters, *_ = descent.batch_arguments
            rate = descent.rates(1)[0]
            network.core.update(table, parameters, descent.gradient, rate, *descent.rule)
            piece = piece._replace(moved=True)
        yield piece
