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

from fastnn._core import Context
from fastnn.custom import CustomLoss
from fastnn.data.rows import Array, Rows
from fastnn.engine.backpropagation import Pass, custom_gradient, evaluate_any
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.layout import slices
from fastnn.engine.line_search import follow_cost
from fastnn.engine.network import Network, Slice, dropout_key, inverse
from fastnn.engine.per_sample import GENERAL, Path, density, has_own_paths, one_row_path, path_for
from fastnn.losses import Loss
from fastnn.native.team import ALONE, Team
from fastnn.native.threads import thread_count
from fastnn.optimizers import Optimizer, Rule, State


@dataclass
class Descent:
    """What stays the same through a fit, or while its rows do, with the memory it needs."""

    network: Network
    optimizer: Optimizer
    state: State
    loss: Loss
    data: Rows
    keep_predictions: bool = False
    seed: int = 0  # of dropout
    batch_by_batch: bool = False  # whether every batch ends a slice
    team: Team = ALONE
    total: float = 0.0  # the sum of w_i l_i of the epoch so far
    gradient: Array = field(init=False, repr=False)
    rule: Rule = field(init=False, repr=False)
    _pass: Pass | None = field(init=False, repr=False, default=None)
    _step_work: float = field(init=False, repr=False)  # for each weight
    _shape: tuple[int, ...] = field(init=False, repr=False)  # of the rows it is made for
    _given: Rows = field(init=False, repr=False)  # `data`, before views of weights are copied
    _normalization_table: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keep(self.data)
        self._normalization_table = self.network.normalization_table
        self.gradient = self.network.new_gradient()
        self.rule = self.optimizer.rule(self.network.layer_rules, self.state)
        self._step_work = self.rule.work

    def take(self, data: Rows) -> None:
        """Go on with these rows. The memory for others serves if they are as many."""
        if data is self._given:
            return
        made_of = ["rows", "path", "samples"]  # the rows; and of how many there are:
        if data.n_rows != self._shape[0]:
            made_of += ["batches", "_predictions"]
        for name in made_of:
            self.__dict__.pop(name, None)
        self._keep(data)

    def _keep(self, data: Rows) -> None:
        self._given, self.data, self._shape = data, self.network.apart(data), _shape_of(data)

    def serves(self, data: Rows) -> bool:
        """Whether its memory is made for such rows, and for the normalization as it is now."""
        table = self.network.normalization_table
        return self._shape == _shape_of(data) and table is self._normalization_table

    def release(self) -> None:
        """Let go of the rows; the memory for as many others stays."""
        self.__dict__.pop("rows", None)
        self.data = self._given = Rows(self.data.X[:0].copy(), self.data.y[:0].copy())

    @cached_property
    def rows(self) -> object:
        """The rows as the core sees them; a custom loss looks at the targets in its stead."""
        custom = isinstance(self.loss, CustomLoss)
        return self.network.rows(Rows(self.data.X) if custom else self.data)

    @cached_property
    def _predictions(self) -> Array | None:
        """A buffer for a slice's predictions and targets; None if no metric needs them."""
        if not self.keep_predictions:
            return None
        longest = min(self.data.n_rows, self.network.slice_rows)
        width = self.network.n_outputs + self.data.y.shape[1]
        return np.empty((longest, width), self.network.dtype)

    @cached_property
    def path(self) -> Path:
        """How the stochastic mode passes through the first layer."""
        if self.data.n_rows == 1 and has_own_paths(self.network, self.rule):
            return Path(one_row_path(plain=self.rule.is_plain), 1)
        share = density(self.data, self.network.is_standardised)
        return path_for(self.network, share, self.rule)

    @cached_property
    def samples(self) -> Context:
        """What the core needs for the stochastic mode."""
        context = self.network.context(self.path.block, stochastic=True)
        context.set_rule(*self.rule, self.path.name)
        return self._with_loss(context)

    @cached_property
    def batches(self) -> Context:
        """What the core needs for the other modes."""
        context = self.network.context(self.data.n_rows, training=True)
        context.set_rule(*self.rule)
        context.set_gradient(self.gradient)
        return self._with_loss(context)

    def _with_loss(self, context: Context) -> Context:
        if not isinstance(self.loss, CustomLoss):
            context.set_loss(self.loss.settings(self.data.y.shape[1], self.network.dtype))
        return context

    def pass_for(self, n_rows: int) -> Pass:
        """For a loss of the user's own: forward and backward of so many rows, or of a slice."""
        n_rows = min(n_rows, self.network.slice_rows)
        if self._pass is None or self._pass.room < n_rows:
            self._pass = Pass(self.network, n_rows, drop=True)
        return self._pass

    def team_for(self, threads: int | None, batch_size: int) -> Team:
        """A team to train in such batches, as large as the work between two waits is worth."""
        if batch_size == 1 and self.path.name != GENERAL:
            return Team(thread_count(threads, self.path.shared_work))
        return self.network.training_team(threads, batch_size)

    def is_stochastic(self, batch_size: int) -> bool:
        """Whether such batches are single rows, which weigh their steps."""
        apart = isinstance(self.loss, CustomLoss) or self.optimizer.needs_all_rows
        return batch_size == 1 and not apart

    def has_idle_batch(self, order: Array | None, batch_size: int) -> bool:
        """Whether all rows of any batch weigh nothing, so that it makes no step."""
        weights = self.data.sample_weight
        if batch_size == 1 or not (self.loss.by_weight and len(weights)):
            return False
        weights = weights if order is None else weights[order]
        borders = np.arange(0, self.data.n_rows, batch_size)
        return not np.maximum.reduceat(weights, borders).all()

    def begin_epoch(self, total: float = 0.0) -> None:
        """Nothing, or so much, is added up yet; dropout draws anew."""
        self.total = total
        if self.network.has_dropout:
            self.batches.key = dropout_key(self.seed, self.state.step)

    def weight(self, order: Array | None = None, first: int = 0, last: int | None = None) -> float:
        """What the losses of the rows visited first-th to last-th are divided by; of all rows."""
        last, weights = self.data.n_rows if last is None else last, self.data.sample_weight
        if len(weights):
            weights = weights[slice(first, last) if order is None else order[first:last]]
        return self.loss.divisor(weights, last - first)

    def cost(self) -> float:
        """L over all rows, what regularisers add included."""
        *_, last = evaluate_any(self.network, self.data, self.loss, self.team)
        share = inverse(self.weight())
        return last.loss * share + self.network.penalty(share)

    def steps(self, n_steps: int) -> Array:
        """The next steps; the core counts them when it has made them."""
        return self.optimizer.steps(self.state.step, n_steps)

    def slice_rows(self, batch_size: int) -> int:
        """How many rows a slice covers in such batches, of which every one moves the weights."""
        network = self.network
        return min(network.slice_rows, network.slice_rows_for(self._step_work / batch_size))

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
        rows = slice(start, stop) if order is None else order[start:stop]
        kept = None if self._predictions is None else self._predictions[: stop - start]
        visit = context, self.rows, order, start, stop, kept, self.total
        self.total = self.team.run(function, *visit, *settings)
        outputs, y = (NONE_KEPT, NONE_KEPT) if kept is None else self._split(kept)
        return Slice(rows, stop - start, self.total, outputs, y, moved)

    def _split(self, kept: Array) -> tuple[Array, Array]:
        """The outputs and, behind all of them, the targets, each as if it were alone."""
        n_rows, width = kept.shape
        n_outputs, flat = self.network.n_outputs, kept.reshape(-1)
        outputs, y = flat[: n_rows * n_outputs], flat[n_rows * n_outputs :]
        return outputs.reshape(n_rows, n_outputs), y.reshape(n_rows, width - n_outputs)


NONE_KEPT = np.empty((0, 0))


def _shape_of(data: Rows) -> tuple[int, ...]:
    """The numbers of rows and of targets."""
    return data.n_rows, *data.y.shape[1:]


def new_state(network: Network, optimizer: Optimizer) -> State:
    """That of an optimiser that has made no step; its padding is zero, as that of the weights."""
    slots = network.new_slots(optimizer.n_slots)
    for slot in slots[: optimizer.n_slots - optimizer.use_ema]:
        for view in network.views(slot).values():
            view[...] = optimizer.initial
    return State(slots)


def epoch_slices(
    descent: Descent, order: Array | None, batch_size: int, total: float = 0.0
) -> Iterator[Slice]:
    """One visit of all rows in the mode that the batch size means.

    `total` is the sum of w_i l_i of chunks of the epoch before.
    """
    descent.begin_epoch(total)
    if descent.is_stochastic(batch_size):
        return stochastic(descent, order)
    if isinstance(descent.loss, CustomLoss):
        return by_batches(descent, order, batch_size)
    if batch_size >= descent.data.n_rows:
        return batch(descent)
    return minibatch(descent, order, batch_size)


def stochastic(descent: Descent, order: Array | None) -> Iterator[Slice]:
    """One update after every row: W := W - learning_rate * w_i dl_i/dW."""
    if descent.path.name == GENERAL:
        yield from minibatch(descent, order, 1)
        return
    function, context = descent.network.core.stochastic, descent.samples
    shared = descent.network.shared_penalty()
    for start, stop in slices(descent.data.n_rows, descent.path.whole(descent.slice_rows(1))):
        descent.total += (stop - start) * shared
        context.set_steps(descent.steps(stop - start))
        yield descent.visit(function, context, order, start, stop)


def minibatch(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One update after every batch, along its mean gradient; the last one may be shorter.

    The core counts steps by batches, so it gets none that makes no step.
    """
    function, context = descent.network.core.minibatch, descent.batches
    n_rows = descent.data.n_rows
    if batch_size > descent.network.slice_rows or descent.has_idle_batch(order, batch_size):
        yield from by_batches(descent, order, batch_size)
        return
    shared = descent.network.shared_penalty() if batch_size == 1 else 0.0  # else in the core
    length = max(descent.slice_rows(batch_size) // batch_size, 1) * batch_size
    if descent.batch_by_batch and batch_size > 1:
        length = batch_size
    for start, stop in slices(n_rows, length):
        descent.total += (stop - start) * shared
        context.set_steps(descent.steps(-(-(stop - start) // batch_size)))
        yield descent.visit(function, context, order, start, stop, batch_size)


def batch(descent: Descent) -> Iterator[Slice]:
    """One update along the mean gradient of all rows, visited in their natural order.

    Few rows pass as one minibatch: the same bits, but the gradient need not lie in memory.
    """
    n_rows = descent.data.n_rows
    if n_rows <= descent.network.block and not descent.optimizer.needs_all_rows:
        return minibatch(descent, None, n_rows)
    return _one_step(descent, None, 0, n_rows)


def by_batches(descent: Descent, order: Array | None, batch_size: int) -> Iterator[Slice]:
    """One update after every batch, of which each ends a slice."""
    n_rows = descent.data.n_rows
    for start, stop in slices(n_rows, batch_size):
        yield from _one_step(descent, order, start, stop)


def _custom_gradient(
    descent: Descent, loss: CustomLoss, order: Array | None, start: int, stop: int
) -> Slice:
    """The mean gradient, by a custom loss, of the rows visited from `start` to before `stop`."""
    rows = slice(start, stop) if order is None else order[start:stop]
    y, key = descent.data.y[rows], descent.batches.key
    descent.gradient[:] = 0
    passed = descent.pass_for(stop - start)
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
                move(descent, L, 1 / weight)
            yield piece._replace(loss=descent.total, moved=True)


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
    if isinstance(descent.loss, CustomLoss):
        yield _custom_gradient(descent, descent.loss, order, first, last)
        return
    network = descent.network
    function, context = network.core.gradient, descent.batches
    descent.gradient[:] = 0
    for start, stop in slices(last - first, network.slice_rows):
        rows = order, first + start, first + stop
        yield descent.visit(function, context, *rows, share, moved=False)


def move(descent: Descent, L: float, share: float) -> None:
    """One step along the gradient that has been added up, of rows whose loss is L."""
    network, steps = descent.network, descent.steps(1)
    if descent.optimizer.follows_cost:
        network.add_penalty_gradient(descent.gradient, share)
        before = L + network.penalty()
        follow_cost(network, descent.state, descent.gradient, before, descent.cost)
    else:
        steps["share"] = share
        descent.batches.set_steps(steps)
        network.core.update(descent.batches, descent.gradient)


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
