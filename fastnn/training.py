"""Training, epoch after epoch: visiting order, validation, callbacks, a watch on the loss."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from fastnn._team import ALONE, Team
from fastnn._validation import Array, Data
from fastnn.callbacks import Callback, Model
from fastnn.descent import Descent, epoch_slices
from fastnn.history import History
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.network import Network, Slice
from fastnn.optimizers import remedy
from fastnn.passes import evaluate_any
from fastnn.steps import adopt_average

COPIED_NUMBERS = 400_000  # in a copy of all weights at every slice
MINIBATCH = 32  # rows in a minibatch if nothing else is said, as in Keras


@dataclass(frozen=True)
class Plan:
    """How the rows are to be visited."""

    epochs: int
    batch_size: int
    shuffle: bool
    seed: int
    validation_freq: int = 1
    initial_epoch: int = 0

    @property
    def numbers(self) -> range:
        """Those of the epochs."""
        return range(self.initial_epoch, self.epochs)

    def order(self, epoch: int, n_rows: int) -> Array | None:
        """The visiting order of an epoch: a permutation that depends on seed and epoch alone.

        None, the natural order, without shuffling and in batch mode, where order has no effect.
        """
        if not self.shuffle or self.batch_size >= n_rows:
            return None
        rng = np.random.Generator(np.random.Philox([self.seed, epoch]))
        return rng.permutation(n_rows)


def batch_size_for(mode: str | None, batch_size: int | None, n_rows: int) -> int:
    """The batch size that `mode` and `batch_size` ask for together."""
    if mode == "minibatch" and batch_size == 1:
        raise ValueError(
            "mode='minibatch' with batch_size=1 updates after every row: say mode='stochastic', "
            "or take a larger batch_size"
        )
    if mode == "stochastic" and batch_size not in (None, 1):
        raise ValueError(
            f"mode='stochastic' updates after every row, but batch_size={batch_size}; "
            f"leave one of them out, or use mode='minibatch'"
        )
    if mode == "batch" and batch_size is not None and batch_size < n_rows:
        raise ValueError(
            f"mode='batch' uses all {n_rows} rows for an update, but batch_size={batch_size}; "
            f"leave one of them out, or use mode='minibatch'"
        )
    if mode == "stochastic":
        return 1
    return n_rows if mode == "batch" else min(batch_size or MINIBATCH, n_rows)


def mode_of(batch_size: int, n_rows: int) -> str:
    """The name of what a batch size means for that many rows."""
    if batch_size == 1:
        return "stochastic"
    return "batch" if batch_size >= n_rows else "minibatch"


class RunningMeans:
    """Loss and metrics over the rows so far, the loss weighted by w_i, with a penalty added."""

    def __init__(self, metrics: Sequence[Metric], y: Array, penalty: float) -> None:
        self._y, self._penalty = y, penalty
        self._n_rows, self._loss = 0, 0.0
        self._metrics = {metric.name: metric.running() for metric in metrics}

    def add(self, piece: Slice) -> None:
        self._n_rows += piece.n_rows
        self._loss = piece.loss
        if self._metrics:
            y = self._y[piece.rows]
            for metric in self._metrics.values():
                metric.add(y, piece.predictions)

    def values(self) -> dict[str, float]:
        loss = self._loss / self._n_rows + self._penalty
        return {"loss": loss} | {name: metric.value() for name, metric in self._metrics.items()}


def evaluate(
    network: Network, data: Data, loss: Loss, metrics: Sequence[Metric], team: Team = ALONE
) -> dict[str, float]:
    """The loss sum_i w_i l_i / n, with what regularisers add, and the metrics over all rows."""
    means = RunningMeans(metrics, data.y, network.penalty())
    for piece in evaluate_any(network, data, loss, team):
        means.add(piece)
    return means.values()


class DivergenceWatch:
    """Keeps weights of a slice that ended well, to go back to, and what the optimiser kept of each.

    Copies are made when an epoch ends, and within it so rarely that they take a hundredth of the
    time at most.
    """

    def __init__(self, descent: Descent) -> None:
        self._descent = descent
        self._arrays = descent.network.parameters, descent.state.slots
        self._kept = [array.copy() for array in self._arrays]
        self._kept_step = descent.state.step
        self._every = 1 + sum(array.size for array in self._arrays) // COPIED_NUMBERS  # slices
        self._slices = 0  # since the copy

    def _are_finite(self, *arrays: Array) -> bool:
        return all(self._descent.network.core.all_finite(array.ravel()) for array in arrays)

    def settle(self) -> None:
        """Whatever ended the fit, leave finite weights."""
        if not self._are_finite(*self._arrays):
            self._go_back()

    def _go_back(self) -> None:
        for array, kept in zip(self._arrays, self._kept, strict=True):
            array[:] = kept
        self._descent.state.step = self._kept_step

    def _keep(self) -> None:
        for array, kept in zip(self._arrays, self._kept, strict=True):
            kept[:] = array
        self._kept_step, self._slices = self._descent.state.step, 0

    def checked(self, pieces: Iterable[Slice], when: str) -> Iterator[Slice]:
        """Hand the slices on; FloatingPointError at the first that is seen not to have ended well.

        The weights are looked at after every slice, what the optimiser keeps before it is copied
        and at the end of the epoch.
        """
        for piece in pieces:
            self._refuse_unless(math.isfinite(piece.loss), when)
            if piece.moved:
                self._refuse_unless(self._are_finite(self._arrays[0]), when)
                self._slices += 1
                if self._slices >= self._every:
                    self._refuse_unless(self._are_finite(*self._arrays), when)
                    self._keep()
            yield piece
        self._refuse_unless(self._are_finite(*self._arrays), when)
        self._keep()

    def _refuse_unless(self, fine: bool, when: str) -> None:
        if not fine:
            self._go_back()
            raise FloatingPointError(self._message(when))

    def _message(self, when: str) -> str:
        descent = self._descent
        state, layers = descent.state, descent.rule.layers
        standardised = descent.network.is_standardised
        advice = remedy(descent.optimizer, state.step, layers, standardised=standardised)
        return (
            f"training diverged {when}: loss or weights are no longer finite. The model keeps its "
            f"last finite weights. {advice}"
        )


@dataclass
class Fit:
    """One call of `fit`. Whatever ends it, weights and history are of one piece."""

    model: Model
    descent: Descent
    plan: Plan
    metrics: Sequence[Metric]
    validation: Data | None
    callbacks: Sequence[Callback]
    history: History
    measured_at_end: bool = False  # whether loss and metrics are those of the epoch's last weights

    def run(self, epochs: Callable[["Fit"], None]) -> None:
        """Let `epochs` go through them, by gradient descent as a rule."""
        self.watch = DivergenceWatch(self.descent)
        self._epochs_before = self.model.epochs_trained
        self.descent.batch_by_batch = any(callback.sees_batches for callback in self.callbacks)
        with _attended(self.callbacks, self.history), ExitStack() as stack:
            stack.callback(self.watch.settle)
            stack.callback(self.history.settle)
            self.model.history = self.history
            with self.descent.team:
                epochs(self)

    def begin_epoch(self, epoch: int) -> None:
        """What comes before it."""
        self._clipped_before = int(self.descent.state.clipped[0])
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, {})

    def order(self) -> Array | None:
        """The visiting order of the next epoch, also if the fit goes on where another ended."""
        epoch = self._epochs_before + len(self.history.epoch)
        return self.plan.order(epoch, self.descent.data.n_rows)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """What comes after it: the model is as the epoch left it."""
        logs |= self._steps_taken()
        if self.measured_at_end:
            logs |= self._evaluate(self.descent.data)
        if self.validation is not None and (epoch + 1) % self.plan.validation_freq == 0:
            logs |= self._validate(self.validation)
        self.history.append(epoch, logs)
        self.model.epochs_trained = self._epochs_before + len(self.history.epoch)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def _validate(self, data: Data) -> dict[str, float]:
        """The numbers of the validation rows, as the history calls them."""
        for callback in self.callbacks:
            callback.on_test_begin({})
        scores = self._evaluate(data)
        for callback in self.callbacks:
            callback.on_test_end(scores)
        return {f"val_{name}": value for name, value in scores.items()}

    def _evaluate(self, data: Data) -> dict[str, float]:
        descent = self.descent
        return evaluate(descent.network, data, descent.loss, self.metrics, descent.team)

    def _steps_taken(self) -> dict[str, float]:
        """The learning rate of the last step, and how many were clipped if any may be."""
        descent, logs = self.descent, {}
        optimizer, state = descent.optimizer, descent.state
        if not math.isnan(rate := optimizer.last_rate(state)):
            logs["learning_rate"] = rate
        if optimizer.clips:
            logs["clipped_steps"] = float(state.clipped[0] - self._clipped_before)
        return logs


def descend(fit: Fit) -> None:
    """The epochs of a fit by gradient descent."""
    descent, size = fit.descent, fit.plan.batch_size
    for epoch in fit.plan.numbers:
        fit.begin_epoch(epoch)
        slices = epoch_slices(descent, fit.order(), size)
        pieces = fit.watch.checked(slices, f"in epoch {epoch + 1}")
        means = RunningMeans(fit.metrics, descent.data.y, descent.network.penalty())
        fit.end_epoch(epoch, _train_epoch(fit, pieces, means))
        if fit.model.stop_training:
            break
    if fit.plan.numbers:
        adopt_average(descent.network, descent.optimizer, descent.state)


def train_batch(descent: Descent, metrics: Sequence[Metric]) -> dict[str, float]:
    """One update with all rows; loss and metrics before it."""
    watch = DivergenceWatch(descent)
    means = RunningMeans(metrics, descent.data.y, descent.network.penalty())
    pieces = epoch_slices(descent, None, descent.data.n_rows)
    try:
        with descent.team:
            for piece in watch.checked(pieces, "in this batch"):
                means.add(piece)
    finally:
        watch.settle()
    return means.values()


@contextmanager
def _attended(callbacks: Sequence[Callback], history: History) -> Iterator[None]:
    """Call `on_train_begin` of each, and in the end `on_train_end` of each that has begun."""
    begun: list[Callback] = []
    try:
        for callback in callbacks:
            callback.on_train_begin({})
            begun.append(callback)
        yield
    finally:
        with ExitStack() as ends:  # runs them all, though one may raise
            for callback in reversed(begun):
                ends.callback(callback.on_train_end, history.last())


def _train_epoch(fit: Fit, pieces: Iterable[Slice], means: RunningMeans) -> dict[str, float]:
    """One epoch; returns its running means, its duration and its rate."""
    begin, seen = time.perf_counter(), 0
    callbacks = fit.callbacks
    batches = [callback for callback in callbacks if callback.sees_batches]
    for batch, piece in enumerate(_announced(pieces, batches, fit.descent.data.n_rows)):
        means.add(piece)
        for callback in callbacks:
            callback.on_slice_end(piece.n_rows, means.values())
        for callback in batches:
            callback.on_train_batch_end(batch, means.values())
        seen += piece.n_rows
        if fit.model.stop_training:
            break
    seconds = time.perf_counter() - begin
    return means.values() | {"seconds": seconds, "samples_per_second": seen / seconds}


def _announced(
    pieces: Iterable[Slice], callbacks: Sequence[Callback], n_rows: int
) -> Iterator[Slice]:
    """The slices of n_rows, each with `on_train_batch_begin` before it."""
    iterator, batch = iter(pieces), 0
    while n_rows > 0:
        for callback in callbacks:
            callback.on_train_batch_begin(batch, {})
        piece = next(iterator)
        yield piece
        n_rows, batch = n_rows - piece.n_rows, batch + 1
    yield from iterator  # none; but what follows the last one is done
