"""One call of `fit`: its epochs, validation, callbacks, and the watch for divergence."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from fastnn.callbacks.base import Callback, Model, tell
from fastnn.callbacks.history import History
from fastnn.data.rows import Rows
from fastnn.data.sources import Source
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.gradient_descent import Descent, adopt_average, epoch_slices
from fastnn.engine.network import Slice
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer
from fastnn.training.evaluation import RunningMeans, evaluate
from fastnn.training.plan import Plan, mode_of

SHORTEST = 1e-9  # seconds: a coarse clock may show none at all for a short epoch


def new_history(plan: Plan, source: Source, numbers: dict[str, str]) -> History:
    """An empty one, that is to hold these numbers (see `recorded`)."""
    size = plan.size(source.n_rows or sys.maxsize)
    return History(
        params={
            "epochs": plan.epochs,
            "steps": source.n_steps(size),
            "verbose": plan.verbose,
            "mode": mode_of(size, source.n_rows or sys.maxsize),
            "batch_size": None if size == sys.maxsize else size,
            "samples": source.n_rows,
            "seed": plan.seed,
            "metrics": numbers,
            "initial_epoch": plan.initial_epoch,
            "validation_freq": plan.validation_freq,
        }
    )


def recorded(optimizer: Optimizer, metrics: Sequence[Metric], *, validated: bool) -> dict[str, str]:
    """All numbers that a fit records of an epoch, and in which direction each gets better."""
    found = {"loss": "min"} | {metric.name: metric.better for metric in metrics}
    if validated:
        found |= {f"val_{name}": better for name, better in found.items()}
    found |= {"seconds": "min", "samples_per_second": "max"}
    if optimizer.has_rate:
        found["learning_rate"] = ""
    if optimizer.clips:
        found["clipped_steps"] = "min"
    return found


@dataclass
class Fit:
    """One call of `fit`. Whatever ends it, weights and history are of one piece."""

    model: Model
    descent: Descent
    source: Source
    plan: Plan
    metrics: Sequence[Metric]
    validation: Rows | None
    callbacks: Sequence[Callback]
    history: History
    watch: DivergenceWatch = field(init=False)
    _epochs_before: int = field(init=False)  # those of earlier fits
    _clipped_before: int = field(init=False, default=0)  # this epoch
    _see_batches: list[Callback] = field(init=False)

    def __post_init__(self) -> None:
        descent = self.descent
        self.watch = DivergenceWatch(descent.network, descent.optimizer, descent.state)
        self._epochs_before = self.model.epochs_trained
        self._see_batches = [callback for callback in self.callbacks if callback.sees_batches]
        self.descent.batch_by_batch = bool(self._see_batches)
        self.descent.keep_predictions = bool(self._streamed)

    @property
    def _streamed(self) -> Sequence[Metric]:
        """What is measured while the weights move."""
        return () if self.plan.measured_at_end else self.metrics

    def run(self, epochs: Callable[["Fit"], None]) -> None:
        """Let `epochs` go through them, by gradient descent as a rule."""
        self.model.history = self.history
        with _attended(self.callbacks, self.history), ExitStack() as stack:
            stack.callback(self.watch.settle)
            stack.callback(self._settle_history)
            with self.descent.team:
                epochs(self)

    def _settle_history(self) -> None:
        """Leave history and count of epochs of one piece, though an interrupt came in between."""
        self.history.settle()
        self.model.epochs_trained = self._epochs_before + len(self.history.epoch)

    def begin_epoch(self, epoch: int) -> None:
        """What comes before it."""
        self._clipped_before = self.descent.state.clipped
        tell(self.callbacks, "on_epoch_begin", epoch, {})

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """One epoch by gradient descent; returns its means, its duration and its rate."""
        means = RunningMeans(self._streamed, self.descent.network.penalty())
        when, began, batch = f"in epoch {epoch + 1}", time.perf_counter(), 0
        for chunk, data in enumerate(self.source.epoch(len(self.history.epoch))):
            batch = self._train_chunk(data, chunk, batch, means, when)
            if self.model.stop_training:
                break
        self.watch.keep(when)
        seconds = time.perf_counter() - began
        rate = {"seconds": seconds, "samples_per_second": means.n_rows / max(seconds, SHORTEST)}
        return means.values() | rate

    def _train_chunk(
        self, data: Rows, chunk: int, batch: int, means: RunningMeans, when: str
    ) -> int:
        """All its rows, or up to the batch in which a callback ends the fit.

        `batch` is the number of the first batch; returns that of the next.
        """
        self.descent.take(data)
        left = data.n_rows
        tell(self._see_batches, "on_train_batch_begin", batch, {})
        for piece in self._slices(data, chunk, means.total):
            left -= piece.n_rows
            self.watch.check(piece.loss, when, moved=piece.moved)
            if piece.moved:
                self.watch.keep_after_rows(piece.n_rows, when)
            means.add(piece, data)
            if self.callbacks:
                self._after(piece, batch, means.so_far())
            if piece.moved:  # else a batch goes on: of many rows it takes several slices
                batch += 1
                if self.model.stop_training:
                    break
                if left:
                    tell(self._see_batches, "on_train_batch_begin", batch, {})
        return batch

    def _slices(self, data: Rows, chunk: int, total: float) -> Iterator[Slice]:
        # Epochs count from the first fit on: one that goes on has orders of its own.
        epoch = self._epochs_before + len(self.history.epoch)
        order = self.plan.order(epoch, data.n_rows, chunk)
        return epoch_slices(self.descent, order, self.plan.size(data.n_rows), total)

    def _after(self, piece: Slice, batch: int, logs: dict[str, float]) -> None:
        tell(self.callbacks, "on_slice_end", piece.n_rows, logs)
        if piece.moved:
            tell(self._see_batches, "on_train_batch_end", batch, dict(logs))

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """What comes after it: the model is as the epoch left it."""
        logs |= self._steps_taken()
        if self.plan.measured_at_end:
            logs |= self._evaluate(self.descent.data)
        if self.validation is not None and (epoch + 1) % self.plan.validation_freq == 0:
            scores = self._evaluate(self.validation, self.callbacks)
            logs |= {f"val_{name}": value for name, value in scores.items()}
        self.history.append(epoch, logs)
        self.model.epochs_trained = self._epochs_before + len(self.history.epoch)
        tell(self.callbacks, "on_epoch_end", epoch, dict(logs))

    def _evaluate(self, data: Rows, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
        descent = self.descent
        return evaluate(descent.network, data, descent.loss, self.metrics, descent.team, callbacks)

    def _steps_taken(self) -> dict[str, float]:
        """The learning rate of the last step, and how many were clipped if any may be."""
        descent, logs = self.descent, {}
        optimizer, state = descent.optimizer, descent.state
        if optimizer.has_rate:
            logs["learning_rate"] = optimizer.last_rate(state)
        if optimizer.clips:
            logs["clipped_steps"] = float(state.clipped - self._clipped_before)
        return logs


def descend(fit: Fit) -> None:
    """The epochs of a fit by gradient descent."""
    for epoch in fit.plan.numbers:
        fit.begin_epoch(epoch)
        fit.end_epoch(epoch, fit.train_epoch(epoch))
        if fit.model.stop_training:
            break
    if fit.plan.numbers:
        adopt_average(fit.descent.network, fit.descent.optimizer, fit.descent.state)


def train_batch(
    descent: Descent, watch: DivergenceWatch, metrics: Sequence[Metric]
) -> dict[str, float]:
    """One update with all rows; loss and metrics before it."""
    means, when = RunningMeans(metrics, descent.network.penalty()), "in this batch"
    try:
        with descent.team:
            for piece in epoch_slices(descent, None, descent.data.n_rows):
                watch.check(piece.loss, when, moved=piece.moved)
                means.add(piece, descent.data)
        watch.keep_after_step(descent.data.n_rows, when)
    except BaseException:
        watch.settle()
        raise
    return means.values()


@contextmanager
def _attended(callbacks: Sequence[Callback], history: History) -> Iterator[None]:
    """Call `on_train_begin` of each, and in the end `on_train_end` of each that has begun.

    Both in the order of the list, as in Keras.
    """
    begun: list[Callback] = []

    def end(callback: Callback) -> None:
        if callback in begun:
            callback.on_train_end(history.last())

    with ExitStack() as ends:  # runs them all, though one may raise; what comes last first
        for callback in reversed(callbacks):
            ends.callback(end, callback)
        for callback in callbacks:
            callback.on_train_begin({})
            begun.append(callback)
        yield
