"""Gradient descent: the ways of visiting the rows, and single steps. The loops are in the core.

`Descent.epoch` chooses the way; each yields after every slice of the epoch. A slice covers a number
of rows that follows from the network's shape, never from a clock, and ends where a batch (or, in a
batch larger than a slice, a block) ends: results do not depend on the slices. Between two slices
the weights are at a step's border, and Python may report, stop or be interrupted.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial

import numpy as np

from fastnn._core import Context
from fastnn.custom import CustomLoss
from fastnn.data.rows import Array, Rows
from fastnn.engine.backpropagation import (
    Pass,
    custom_gradient,
    custom_outputs,
    evaluate_any,
)
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.layout import slices
from fastnn.engine.line_search import OF_ALL_ROWS, follow_cost, of_batch
from fastnn.engine.network import Network, Slice, dropout_key, inverse, team_of
from fastnn.engine.per_sample import GENERAL, Path, density, has_own_paths, one_row_path, path_for
from fastnn.losses import Loss, settings_of
from fastnn.native.team import ALONE, Team
from fastnn.optimizers import Optimizer, State

NO_ROWS = Rows(np.empty((0, 0)))
NONE_KEPT = np.empty((0, 0))


class Descent:
    """Gradient descent on one network by one optimiser: its rule, its memory, the rows it visits.

    It lives as long as network, optimiser and loss belong together; `take` gives it rows.

    Attributes
    ----------
    data : Rows
        The rows that it visits.
    keep_predictions : bool
        Whether each slice brings the outputs and the targets of its rows.
    batch_by_batch : bool
        Whether every batch ends a slice; rows of the stochastic mode do not by that.
    row_by_row : bool
        Whether in stochastic mode a slice is as short as the path allows: a row, or a block.
    seed : int
        For dropout.
    team : Team
        The threads that share the work.
    total : float
        The sum of w_i l_i over the rows visited so far in this epoch.
    gradient : array
        Laid out as the parameters.
    """

    def __init__(self, network: Network, optimizer: Optimizer, state: State, loss: Loss) -> None:
        self.network, self.optimizer, self.state, self.loss = network, optimizer, state, loss
        self.keep_predictions = self.batch_by_batch = self.row_by_row = False
        self.seed, self.team, self.total = 0, ALONE, 0.0
        self.gradient = network.new_gradient()
        self.rule = optimizer.rule(network.layer_rules, state)
        self.is_custom = isinstance(loss, CustomLoss)
        self.step_work = self.rule.work  # for each weight
        self._pass: Pass | None = None
        self._rate: object = None  # the learning rate, and the steps of one that stays the same
        self._constant: Array | None = None
        self._shape: tuple[int, ...] = ()  # of the targets that the memory is made for
        self._table = network.normalization_table
        self.data = self._given = NO_ROWS
        self.rows: object = None  # the rows as the core sees them

    def take(self, data: Rows, *, keep_predictions: bool = False) -> None:
        """Go on with these rows; memory that was made for as many others is used again."""
        keep, network, made = keep_predictions, self.network, self.__dict__
        table = network.normalization_table if network.is_standardised else self._table
        if data is self._given and keep == self.keep_predictions and table is self._table:
            return
        for name in ("path", "stochastic_context"):
            made.pop(name, None)
        if data.y.shape != self._shape or table is not self._table:
            made.pop("batch_context", None)
        if table is not self._table:
            self._pass = None
        if data.y.shape != self._shape or keep != self.keep_predictions:
            made.pop("_predictions", None)
        self._shape, self._table, self.keep_predictions = data.y.shape, table, keep
        self._given, self.data = data, network.apart(data)
        seen = Rows(self.data.X) if self.is_custom else self.data  # not a custom loss's targets
        self.rows = network.core.Rows(*seen)

    def release(self) -> None:
        """Let go of the rows; the memory for as many others stays."""
        for name in ("path", "stochastic_context"):
            self.__dict__.pop(name, None)
        self.data = self._given = NO_ROWS
        self.rows = None

    @property
    def n_bytes(self) -> int:
        """The size of what stays after `release`."""
        n_bytes, made = self.gradient.nbytes, self.__dict__
        if (kept := made.get("_predictions")) is not None:
            n_bytes += kept.nbytes
        if (context := made.get("batch_context")) is not None:
            n_bytes += context.n_bytes
        return n_bytes if self._pass is None else n_bytes + self._pass.n_bytes

    @cached_property
    def _predictions(self) -> Array | None:
        """A buffer for a slice's predictions and targets; None if no metric needs them."""
        if not self.keep_predictions:
            return None
        longest = min(len(self.data.X), self.network.slice_rows)
        width = self.network.n_outputs + self.data.y.shape[1]
        return np.empty((longest, width), self.network.dtype)

    @cached_property
    def path(self) -> Path:
        """How per-sample descent passes through the first layer."""
        if len(self.data.X) == 1 and has_own_paths(self.network, self.rule):
            return Path(one_row_path(plain=self.rule.is_plain), 1)
        share = density(self.data, self.network.is_standardised)
        return path_for(self.network, share, self.rule)

    @cached_property
    def stochastic_context(self) -> Context:
        """What the core needs for the stochastic mode."""
        context = self.network.context(self.path.block, stochastic=True)
        context.set_rule(*self.rule.for_core, self.path.name)
        context.set_loss(settings_of(self.loss, self.data.y.shape[1], self.network.dtype))
        return context

    @cached_property
    def batch_context(self) -> Context:
        """What the core needs for the other modes."""
        context = self.network.context(len(self.data.X), training=True)
        context.set_rule(*self.rule.for_core)
        context.set_gradient(self.gradient)
        if not self.is_custom:
            context.set_loss(settings_of(self.loss, self.data.y.shape[1], self.network.dtype))
        return context

    def pass_for(self, n_rows: int) -> Pass:
        """For a custom loss: forward and backward of n_rows, or of as many as a slice has."""
        n_rows = min(n_rows, self.network.slice_rows)
        if self._pass is None or self._pass.room < n_rows:
            self._pass = Pass(self.network, n_rows, drop=True)
        return self._pass

    def team_for(self, threads: int | None, batch_size: int) -> Team:
        """A team to train in batches of this size, as large as the work between waits is worth."""
        if batch_size == 1 and self.path.name != GENERAL:
            return team_of(threads, self.path.shared_work)
        return self.network.training_team(threads, batch_size)

    def epoch(self, order: Array | None, batch_size: int, total: float = 0.0) -> Iterator[Slice]:
        """Visit all rows once, in the mode that the batch size means, slice by slice.

        One row: `stochastic`, which passes rows to `minibatch` if no path of its own takes them.
        Fewer than all: `minibatch`, which passes them to `by_batches` if a batch needs several
        slices or makes no step. All: one step. A custom loss, or a line search on batches: always
        `by_batches`.
        `total` is the sum of w_i l_i over earlier chunks of the epoch.
        """
        self.total, n_rows = total, len(self.data.X)
        if self.network.has_dropout:
            self.begin_sum(total)
        if batch_size == 1 and not self.is_custom and not self.optimizer.compares_costs:
            return stochastic(self, order)
        if self.is_custom or (self.optimizer.follows_cost and batch_size < n_rows):
            return by_batches(self, order, batch_size)
        if batch_size < n_rows:
            return minibatch(self, order, batch_size)
        if n_rows <= self.network.block and not self.optimizer.compares_costs:
            return minibatch(self, None, n_rows)  # the same bits, without a gradient in memory
        return _one_step(self, None, 0, n_rows)

    def begin_sum(self, total: float = 0.0) -> None:
        """Begin to add up losses, from `total` on; dropout draws again."""
        self.total = total
        if self.network.has_dropout:
            self.batch_context.key = dropout_key(self.seed, self.state.step)

    def has_idle_batch(self, order: Array | None, batch_size: int) -> bool:
        """Whether the sample weights of any batch are all 0, so that it makes no step."""
        weights = self.data.sample_weight
        if batch_size == 1 or not self.loss.by_weight:
            return False
        weights = weights if order is None else weights[order]
        borders = np.arange(0, len(weights), batch_size)
        return not np.maximum.reduceat(weights, borders).all()

    def weight(self, order: Array | None = None, first: int = 0, last: int | None = None) -> float:
        """What the losses of the rows visited from `first` to before `last` are divided by."""
        last, weights = len(self.data.X) if last is None else last, self.data.sample_weight
        if len(weights):
            weights = weights[slice(first, last) if order is None else order[first:last]]
        return self.loss.divisor(weights, last - first)

    def cost(self) -> float:
        """L over all rows, with what regularisers add."""
        *_, last = evaluate_any(self.network, self.data, self.loss, self.team)
        share = inverse(self.weight())
        return last.total * share + self.network.penalty(share)

    def batch_cost(self, order: Array | None, first: int, last: int) -> float:
        """The same of the rows visited from `first` to before `last`."""
        network, share = self.network, inverse(self.weight(order, first, last))
        if isinstance(self.loss, CustomLoss):
            y = self.data.y[slice(first, last) if order is None else order[first:last]]
            value, _ = custom_outputs(self.pass_for(len(y)), self.rows, order, first, y, self.loss)
            return value + network.penalty(share)
        total = 0.0
        for start, stop in slices(last - first, network.slice_rows):
            visit = self.batch_context, self.rows, order, first + start, first + stop, None, total
            total = self.team.run(network.core.evaluate, *visit)
        return total * share + network.penalty(share)

    def steps(self, n_steps: int) -> Array:
        """The next steps; the core counts them when it has made them."""
        optimizer = self.optimizer
        if optimizer.learning_rate is not self._rate:
            self._rate, self._constant = optimizer.learning_rate, optimizer.constant_step()
        if self._constant is not None and not optimizer.use_ema:
            return self._constant
        return optimizer.steps(self.state.step, n_steps)

    @property
    def last_rate(self) -> float:
        """The learning rate of the last step."""
        if self._constant is not None and self.optimizer.learning_rate is self._rate:
            return float(self.optimizer.learning_rate)  # type: ignore[arg-type]
        return self.optimizer.last_rate(self.state)

    def slice_rows(self, batch_size: int) -> int:
        """How many rows a slice covers if every batch of this size moves the weights."""
        network = self.network
        return min(network.slice_rows, network.slice_rows_for(self.step_work / batch_size))

    def visit(
        self,
        function: Callable[..., float],
        context: Context,
        order: Array | None,
        start: int,
        stop: int,
        *settings: object,
        moved: bool = True,
    ) -> Slice:
        """Pass the rows visited from `start` to before `stop` through a function of the core."""
        kept = self._predictions
        if kept is not None:
            kept = kept[: stop - start]
        arguments = context, self.rows, order, start, stop, kept, self.total, *settings
        run = function if self.team is ALONE else partial(self.team.run, function)
        self.total = run(*arguments)
        rows = slice(start, stop) if order is None else order[start:stop]
        if kept is None:
            return Slice(rows, stop - start, self.total, NONE_KEPT, NONE_KEPT, moved)
        return Slice(rows, stop - start, self.total, *self._split(kept), moved)

    def _split(self, kept: Array) -> tuple[Array, Array]:
        """The outputs and, behind all of them, the targets, each as if it were alone."""
        n_rows, width = kept.shape
        n_outputs, flat = self.network.n_outputs, kept.reshape(-1)
        outputs, y = flat[: n_rows * n_outputs], flat[n_rows * n_outputs :]
        return outputs.reshape(n_rows, n_outputs), y.reshape(n_rows, width - n_outputs)


def new_state(network: Network, optimizer: Optimizer) -> State:
    """The state of an optimiser that has made no step; padding is zero, as in the weights."""
    slots = network.new_slots(optimizer.n_slots)
    initial = optimizer.initial
    if initial:
        for slot in slots[: optimizer.n_slots - optimizer.use_ema]:
            for view in network.views(slot).values():
                view[...] = initial
    return State(slots)


def stochastic(descent: Descent, order: Array | None) -> Iterator[Slice]:
    """One update after every row: W := W - learning_rate * w_i dl_i/dW."""
    if descent.path.name == GENERAL:
        yield from minibatch(descent, order, 1)
        return
    function, context = descent.network.core.stochastic, descent.stochastic_context
    shared, n_rows = descent.network.shared_penalty(), len(descent.data.X)
    length = descent.path.whole(descent.slice_rows(1))
    if descent.row_by_row:
        length = descent.path.shortest
    for start in range(0, n_rows, length):
        stop = min(start + length, n_rows)
        descent.total += (stop - start) * shared
        context.set_steps(descent.steps(stop - start))
        yield descent.visit(function, context, order, start, stop)


def minibatch(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One update after every batch, along its mean gradient; the last one may be shorter.

    The core counts steps by batches, so it gets none that makes no step.
    """
    network, n_rows = descent.network, len(descent.data.X)
    weighted = len(descent.data.sample_weight) > 0
    if batch_size > network.slice_rows or (weighted and descent.has_idle_batch(order, batch_size)):
        yield from by_batches(descent, order, batch_size)
        return
    shared = network.shared_penalty() if batch_size == 1 else 0.0  # otherwise the core adds it
    length = descent.slice_rows(batch_size) if descent.step_work else network.slice_rows
    length = max(length // batch_size, 1) * batch_size
    if descent.batch_by_batch and batch_size > 1:
        length = batch_size
    for start in range(0, n_rows, length):
        stop = min(start + length, n_rows)
        descent.total += (stop - start) * shared
        descent.batch_context.set_steps(descent.steps(-(-(stop - start) // batch_size)))
        yield descent.visit(
            network.core.minibatch, descent.batch_context, order, start, stop, batch_size
        )


def by_batches(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One update after every batch, of which each ends a slice."""
    for start, stop in slices(len(descent.data.X), batch_size):
        yield from _one_step(descent, order, start, stop)


def _custom_gradient(descent: Descent, order: Array | None, start: int, stop: int) -> Slice:
    """The mean gradient, by a custom loss, of the rows visited from `start` to before `stop`."""
    rows = slice(start, stop) if order is None else order[start:stop]
    y, key = descent.data.y[rows], descent.batch_context.key
    descent.gradient[:] = 0
    passed, loss = descent.pass_for(stop - start), descent.loss
    assert isinstance(loss, CustomLoss)
    value, outputs = custom_gradient(
        passed, descent.rows, order, start, y, loss, descent.gradient, key
    )
    descent.total += value * (stop - start)
    return Slice(rows, stop - start, descent.total, outputs, y)


def _one_step(descent: Descent, order: Array | None, first: int, last: int) -> Iterator[Slice]:
    """Add up the mean gradient of the rows visited first-th to last-th, then move once."""
    n_rows, before, weight = 0, descent.total, descent.weight(order, first, last)
    for piece in gradient_slices(descent, order, first, last, inverse(weight)):
        n_rows += piece.n_rows
        if n_rows < last - first:
            yield piece
        else:
            L = _loss_of_batch(descent, before, n_rows, weight)
            if weight:
                move(descent, L, 1 / weight, order, first, last)
            yield piece._replace(total=descent.total, moved=True)


def _loss_of_batch(descent: Descent, before: float, n_rows: int, weight: float) -> float:
    """L of the rows that have been added up since the total was `before`, without l1 and l2.

    The total has then risen by n_rows * L.
    """
    shared = descent.network.shared_penalty()
    L = (descent.total - before + shared) * inverse(weight)
    if shared or weight != n_rows:
        descent.total = before + n_rows * L
    return L


def gradient_slices(
    descent: Descent, order: Array | None, first: int, last: int, share: float
) -> Iterator[Slice]:
    """Add up the gradient of the rows visited first-th to last-th, times `share`; nothing moves."""
    if descent.is_custom:
        yield _custom_gradient(descent, order, first, last)
        return
    network = descent.network
    function, context = network.core.gradient, descent.batch_context
    descent.gradient[:] = 0
    for start, stop in slices(last - first, network.slice_rows):
        rows = order, first + start, first + stop
        yield descent.visit(function, context, *rows, share, moved=False)


def move(
    descent: Descent, L: float, share: float, order: Array | None, first: int, last: int
) -> None:
    """One step along the gradient that has been added up, of the rows visited, whose loss is L."""
    network, steps = descent.network, descent.steps(1)
    if descent.optimizer.follows_cost:
        network.add_penalty_gradient(descent.gradient, share)
        before, n_rows = L + network.penalty(), len(descent.data.X)
        cost, search = descent.cost, OF_ALL_ROWS
        if last - first < n_rows:
            cost = partial(descent.batch_cost, order, first, last)
            search = of_batch((last - first) / n_rows)
        follow_cost(network, descent.state, descent.gradient, before, cost, search)
    else:
        steps["share"] = share
        descent.batch_context.set_steps(steps)
        network.core.update(descent.batch_context, descent.gradient)


def apply_gradient(watch: DivergenceWatch, gradient: Array) -> None:
    """A step along a gradient to which the regularisers have added.

    `Diverged` if it leads weights, or what the optimiser keeps, out of the finite numbers.
    """
    context, when = watch.context, "in this step"
    context.set_steps(watch.optimizer.steps(watch.state.step, 1))
    try:
        watch.network.core.update(context, gradient)
        watch.keep_after_step(0, when)
    except BaseException:
        watch.settle()
        raise


def adopt_average(network: Network, optimizer: Optimizer, state: State) -> None:
    """The running average of the weights takes their place, if there is one."""
    if optimizer.use_ema and state.step:
        averaged = network.parameters.copy()
        means = network.moving(state.slots[-1])
        for (_, w), (_, mean) in zip(network.moving(averaged), means, strict=True):
            w[:] = mean
        network.parameters[:] = averaged  # at once: no interrupt comes in between
