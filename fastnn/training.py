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
from fastnn.metrics import Accuracy
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

    def __init__(self, metrics: Sequence[Accuracy], y: Array, penalty: float) -> None:
        self._metrics, self._y, self._penalty = metrics, y, penalty
        self._n_rows = 0
        self._totals = dict.fromkeys(["loss", *(metric.name for metric in metrics)], 0.0)

    def add(self, piece: Slice) -> None:
        self._n_rows += piece.n_rows
        self._totals["loss"] = piece.loss
        for metric in self._metrics:
            self._totals[metric.name] += metric.total(self._y[piece.rows], piece.predictions)

    def values(self) -> dict[str, float]:
        means = {name: total / self._n_rows for name, total in self._totals.items()}
        means["loss"] += self._penalty
        return means


def evaluate(
    network: Network, data: Data, loss: Loss, metrics: Sequence[Accuracy], team: Team = ALONE
) -> dict[str, float]:
    """The loss sum_i w_i l_i / n, with what regularisers add, and the metrics over all rows."""
    means = RunningMeans(metrics, data.y, network.penalty())
    for piece in evaluate_any(network, data, loss, team):
        means.add(piece)
    return means.values()


def _validate(descent: Descent, data: Data, metrics: Sequence[Accuracy]) -> dict[str, float]:
    return evaluate(descent.network, data, descent.loss, metrics, descent.team)


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
    metrics: Sequence[Accuracy]
    validation: Data | None
    callbacks: Sequence[Callback]
    history: History

    def run(self, epochs: Callable[["Fit"], None]) -> None:
        """Let `epochs` go through them, by gradient descent as a rule."""
        self.watch = DivergenceWatch(self.descent)
        self._epochs_before = self.model.epochs_trained
        with _attended(self.callbacks), ExitStack() as stack:
            stack.callback(self.watch.settle)
            stack.callback(self.history.settle)
            self.model.history = self.history
            with self.descent.team:
                epochs(self)

    def begin_epoch(self, epoch: int) -> None:
        """What comes before it."""
        self._clipped_before = int(self.descent.state.clipped[0])
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)

    def order(self) -> Array | None:
        """The visiting order of the next epoch, also if the fit goes on where another ended."""
        epoch = self._epochs_before + len(self.history.epoch)
        return self.plan.order(epoch, self.descent.data.n_rows)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """What comes after it: the model is as the epoch left it."""
        logs |= self._steps_taken()
        if self.validation is not None and (epoch + 1) % self.plan.validation_freq == 0:
            scores = _validate(self.descent, self.validation, self.metrics)
            logs |= {f"val_{name}": value for name, value in scores.items()}
        self.history.append(epoch, logs)
        self.model.epochs_trained = self._epochs_before + len(self.history.epoch)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

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
        fit.end_epoch(epoch, _train_epoch(pieces, means, fit.callbacks))
        if fit.model.stop_training:
            break
    if fit.plan.numbers:
        adopt_average(descent.network, descent.optimizer, descent.state)


def train_batch(descent: Descent, metrics: Sequence[Accuracy]) -> dict[str, float]:
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
def _attended(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Call `on_train_begin` of each, and in the end `on_train_end` of each that has begun."""
    begun: list[Callback] = []
    try:
        for callback in callbacks:
            callback.on_train_begin()
            begun.append(callback)
        yield
    finally:
        with ExitStack() as ends:  # runs them all, though one may raise
            for callback in reversed(begun):
                ends.callback(callback.on_train_end)


def _train_epoch(
    pieces: Iterable[Slice], means: RunningMeans, callbacks: Sequence[Callback]
) -> dict[str, float]:
    """One epoch; returns its running means, its duration and its rate."""
    n_rows, begin = 0, time.perf_counter()
    for piece in pieces:
        n_rows += piece.n_rows
        means.add(piece)
        for callback in callbacks:
            callback.on_slice_end(piece.n_rows, means.values())
    seconds = time.perf_counter() - begin
    return means.values() | {"seconds": seconds, "samples_per_second": n_rows / seconds}
