"""One call of `fit`: its epochs, validation, callbacks, and the watch for divergence."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from fastnn.callbacks.base import Callback, Model, notify
from fastnn.callbacks.history import History
from fastnn.data.rows import Rows
from fastnn.data.sources import Source
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.gradient_descent import Descent, adopt_average
from fastnn.engine.network import Slice
from fastnn.metrics import Metric
from fastnn.native.team import ALONE
from fastnn.optimizers import Optimizer
from fastnn.training.evaluation import RunningMeans, evaluate
from fastnn.training.plan import Plan, mode_of

SHORTEST = 1e-9  # seconds: a coarse clock may show none at all for a short epoch


def new_history(plan: Plan, source: Rows | Source, size: int, numbers: dict[str, str]) -> History:
    """An empty history for these numbers of each epoch (see `recorded`).

    `size` is the batch size of the first rows.
    """
    if isinstance(source, Rows):
        n_rows: int | None = len(source.X)
        steps: int | None = -(-len(source.X) // size)
    else:
        n_rows = source.n_rows
        size = plan.size(n_rows or sys.maxsize)
        steps = source.n_steps(size)
    return History(
        params={
            "epochs": plan.epochs,
            "steps": steps,
            "verbose": plan.verbose,
            "mode": mode_of(size, n_rows or sys.maxsize),
            "batch_size": None if size == sys.maxsize else size,
            "samples": n_rows,
            "seed": plan.seed,
            "metrics": numbers,
            "initial_epoch": plan.initial_epoch,
            "validation_freq": plan.validation_freq,
        }
    )


def recorded(optimizer: Optimizer, metrics: Sequence[Metric], *, validated: bool) -> dict[str, str]:
    """All numbers that a fit records of an epoch, and in which direction each gets better."""
    found = {"loss": "min"}
    for metric in metrics:
        found[metric.name] = metric.better
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
    """One call of `fit`. However it ends, weights and history belong together."""

    model: Model
    descent: Descent
    watch: DivergenceWatch
    source: Rows | Source
    plan: Plan
    metrics: Sequence[Metric]
    validation: Rows | None
    callbacks: Sequence[Callback]
    history: History
    _epochs_before: int = field(init=False)  # those of earlier fits
    _clipped_before: int = field(init=False, default=0)  # this epoch
    _see_batches: list[Callback] = field(init=False)
    _streamed: Sequence[Metric] = field(init=False)  # what is measured while the weights move

    def __post_init__(self) -> None:
        self._epochs_before = self.model.epochs_trained
        self._see_batches = []
        for callback in self.callbacks:
            if callback.sees_batches:
                self._see_batches.append(callback)
        self._streamed = () if self.plan.measured_at_end else self.metrics
        self.descent.batch_by_batch = bool(self._see_batches)
        self.descent.row_by_row = any(callback.sees_rows for callback in self.callbacks)

    def run(self, train_epochs: Callable[["Fit"], None]) -> None:
        """Train in the way of `train_epochs`, as a rule `descend_epochs`."""
        self.model.history = self.history
        with ExitStack() as stack:
            if self.callbacks:
                stack.enter_context(_attended(self.callbacks, self.history))
            stack.callback(self.watch.settle)
            stack.callback(self._settle_history)
            if self.descent.team is not ALONE:
                stack.enter_context(self.descent.team)
            train_epochs(self)

    def _settle_history(self) -> None:
        """Let history and count of epochs agree, even if an interrupt came in between."""
        drop_unfinished(self.history)
        self.model.epochs_trained = self._epochs_before + len(self.history.epoch)

    def begin_epoch(self, epoch: int) -> None:
        """Prepare an epoch and announce it."""
        if self.descent.optimizer.clips:
            self._clipped_before = self.descent.state.clipped
        if self.callbacks:
            notify(self.callbacks, "on_epoch_begin", epoch, {})

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """One epoch by gradient descent; returns its means, its duration and its speed."""
        network, number = self.descent.network, len(self.history.epoch)
        penalty = network.penalty() if network.has_penalty else 0.0
        means, when = RunningMeans(self._streamed, penalty), f"in epoch {epoch + 1}"
        began, batch = time.perf_counter(), 0
        source = self.source
        chunks = (source,) if isinstance(source, Rows) else source.epoch(number)
        for chunk, data in enumerate(chunks):
            batch = self._train_chunk(data, chunk, batch, means, when)
            if self.model.stop_training:
                break
        self.watch.keep(when)
        seconds = time.perf_counter() - began
        logs = means.values()
        logs["seconds"] = seconds
        logs["samples_per_second"] = means.n_rows / max(seconds, SHORTEST)
        return logs

    def _train_chunk(
        self, data: Rows, chunk: int, batch: int, means: RunningMeans, when: str
    ) -> int:
        """Train on all its rows, or up to the batch in which a callback ends the fit.

        `batch` is the number of the first batch; returns that of the next. In stochastic mode, and
        if no callback looks at batches, a slice counts as one.
        """
        descent, watch, left = self.descent, self.watch, len(data.X)
        descent.take(data, keep_predictions=bool(self._streamed))  # the next chunk, if it is one
        # Counted from the first fit on, so that a fit that continues has orders of its own.
        lifetime_epoch = self._epochs_before + len(self.history.epoch)
        size = self.plan.size(left)
        order = self.plan.order(lifetime_epoch, left, size, chunk)
        if self._see_batches:
            notify(self._see_batches, "on_train_batch_begin", batch, {})
        for piece in descent.epoch(order, size, means.total):
            left -= piece.n_rows
            watch.check(piece.total, when, moved=piece.moved)
            if piece.moved:
                watch.keep_after_rows(piece.n_rows, when)
            means.add(piece, data)
            if self.callbacks:
                self._after(piece, batch, means.values(so_far=True))
            if piece.moved:  # otherwise a batch continues: a large one takes several slices
                batch += 1
                if self.model.stop_training:
                    break
                if left and self._see_batches:
                    notify(self._see_batches, "on_train_batch_begin", batch, {})
        return batch

    def _after(self, piece: Slice, batch: int, logs: dict[str, float]) -> None:
        notify(self.callbacks, "on_slice_end", piece.n_rows, logs)
        if piece.moved and self._see_batches:
            notify(self._see_batches, "on_train_batch_end", batch, dict(logs))

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Validate, record and announce an epoch; the model is as the epoch left it."""
        descent = self.descent
        if descent.optimizer.has_rate:
            logs["learning_rate"] = descent.last_rate
        if descent.optimizer.clips:
            logs["clipped_steps"] = float(descent.state.clipped - self._clipped_before)
        if self.plan.measured_at_end:
            logs |= self._evaluate(descent.data)
        if self.validation is not None and (epoch + 1) % self.plan.validation_freq == 0:
            scores = self._evaluate(self.validation, self.callbacks)
            logs |= {f"val_{name}": value for name, value in scores.items()}
        for name, value in logs.items():
            self.history.history.setdefault(name, []).append(value)
        self.history.epoch.append(epoch)
        self.model.epochs_trained = self._epochs_before + len(self.history.epoch)
        if self.callbacks:
            notify(self.callbacks, "on_epoch_end", epoch, dict(logs))

    def _evaluate(self, data: Rows, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
        descent = self.descent
        return evaluate(descent.network, data, descent.loss, self.metrics, descent.team, callbacks)


def drop_unfinished(history: History) -> None:
    """Drop what an interrupt left of an epoch that is not recorded as a whole."""
    n_epochs = len(history.epoch)
    for name, values in history.history.items():
        del values[len(history.validated) if name.startswith("val_") else n_epochs :]
    for values in history.monitored.values():
        del values[n_epochs:]


def descend_epochs(fit: Fit) -> None:
    """The epochs of a fit by gradient descent."""
    numbers = fit.plan.epoch_numbers
    for epoch in numbers:
        fit.begin_epoch(epoch)
        fit.end_epoch(epoch, fit.train_epoch(epoch))
        if fit.model.stop_training:
            break
    if numbers and fit.descent.optimizer.use_ema:
        adopt_average(fit.descent.network, fit.descent.optimizer, fit.descent.state)


def train_batch(
    descent: Descent, watch: DivergenceWatch, metrics: Sequence[Metric]
) -> dict[str, float]:
    """One update with all rows; loss and metrics before it."""
    network, data, when = descent.network, descent.data, "in this batch"
    means = RunningMeans(metrics, network.penalty() if network.has_penalty else 0.0)
    try:
        with ExitStack() as stack:
            if descent.team is not ALONE:
                stack.enter_context(descent.team)
            for piece in descent.epoch(None, len(data.X)):
                watch.check(piece.total, when, moved=piece.moved)
                means.add(piece, data)
        watch.keep_after_step(len(data.X), when)
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

    with ExitStack() as ends:  # runs them all, even if one raises; what comes last first
        for callback in reversed(callbacks):
            ends.callback(end, callback)
        for callback in callbacks:
            callback.on_train_begin({})
            begun.append(callback)
        yield
