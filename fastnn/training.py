"""Training, epoch after epoch: visiting order, validation, callbacks, a watch on the loss."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastnn._validation import Array, Data
from fastnn.callbacks import Callback
from fastnn.descent import Descent, Slice, epoch_slices
from fastnn.history import History
from fastnn.losses import Loss
from fastnn.metrics import Accuracy
from fastnn.network import Network

MINIBATCH = 32  # rows in a minibatch if nothing else is said, as in Keras


class Trainee(Protocol):
    """What training asks of a model beside its network."""

    stop_training: bool
    epochs_trained: int


@dataclass(frozen=True)
class Plan:
    """How the rows are to be visited."""

    epochs: int
    batch_size: int
    shuffle: bool
    seed: int

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


def evaluate(
    network: Network, data: Data, loss: Loss, metrics: Sequence[Accuracy]
) -> dict[str, float]:
    """The loss sum_i w_i l_i / n and the metrics over all rows."""
    totals = dict.fromkeys(["loss", *(metric.name for metric in metrics)], 0.0)
    for piece_loss, y, predictions in network.evaluate(data, loss):
        totals["loss"] += piece_loss
        for metric in metrics:
            totals[metric.name] += metric.total(y, predictions)
    return {name: total / data.n_rows for name, total in totals.items()}


class RunningMeans:
    """Loss and metrics of an epoch so far, each before the update of its step."""

    def __init__(self, metrics: Sequence[Accuracy]) -> None:
        self._metrics = metrics
        self._n_rows = 0
        self._totals = dict.fromkeys(["loss", *(metric.name for metric in metrics)], 0.0)

    def add(self, piece: Slice, y: Array) -> None:
        self._n_rows += piece.n_rows
        self._totals["loss"] += piece.loss
        for metric in self._metrics:
            self._totals[metric.name] += metric.total(y[piece.rows], piece.predictions)

    def values(self) -> dict[str, float]:
        return {name: total / self._n_rows for name, total in self._totals.items()}


class DivergenceWatch:
    """Keeps the weights of the last slice that ended well, and goes back to them."""

    def __init__(self, descent: Descent) -> None:
        self._descent = descent
        self._kept = descent.network.parameters.copy()

    def check(self, piece: Slice, epoch: int) -> None:
        """Raise FloatingPointError if the loss or a weight is not finite any more."""
        network = self._descent.network
        if math.isfinite(piece.loss) and network.core.all_finite(network.parameters):
            self._kept[:] = network.parameters
            return
        network.parameters[:] = self._kept
        rate = self._descent.optimizer.learning_rate
        raise FloatingPointError(
            f"training diverged in epoch {epoch + 1}: loss or weights are no longer finite. The "
            f"model keeps its last finite weights. Most likely learning_rate={rate:g} is too large "
            f"for features of this scale: try SGD(learning_rate={rate / 10:g}), or standardise the "
            f"features with a Normalization layer"
        )


def train(
    model: Trainee,
    descent: Descent,
    plan: Plan,
    *,
    metrics: Sequence[Accuracy],
    validation: Data | None,
    callbacks: Sequence[Callback],
    history: History,
) -> None:
    """Run the epochs of the plan. Whatever ends them, weights and history are of one piece."""
    model.stop_training = False
    before = model.epochs_trained
    with ExitStack() as stack:
        begun: list[Callback] = []
        stack.callback(_end, begun)
        stack.callback(history.settle)
        for callback in callbacks:
            callback.on_train_begin()
            begun.append(callback)
        for epoch in range(plan.epochs):
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            order = plan.order(before + epoch, descent.data.n_rows)
            logs = _train_epoch(descent, order, plan.batch_size, metrics, callbacks, epoch)
            if validation is not None:
                scores = evaluate(descent.network, validation, descent.loss, metrics)
                logs |= {f"val_{name}": value for name, value in scores.items()}
            history.append(epoch, logs)
            model.epochs_trained = before + len(history.epoch)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if model.stop_training:
                break


def _end(callbacks: Sequence[Callback]) -> None:
    """Call `on_train_end` of each in turn, the rest too if one raises."""
    with ExitStack() as stack:
        for callback in reversed(callbacks):
            stack.callback(callback.on_train_end)


def _train_epoch(
    descent: Descent,
    order: Array | None,
    batch_size: int,
    metrics: Sequence[Accuracy],
    callbacks: Sequence[Callback],
    epoch: int,
) -> dict[str, float]:
    """One epoch; returns its running means, its duration and its rate."""
    means, watch = RunningMeans(metrics), DivergenceWatch(descent)
    begin = time.perf_counter()
    for piece in epoch_slices(descent, order, batch_size):
        watch.check(piece, epoch)
        means.add(piece, descent.data.y)
        for callback in callbacks:
            callback.on_slice_end(piece.n_rows, means.values())
    seconds = time.perf_counter() - begin
    rate = descent.data.n_rows / seconds
    return means.values() | {"seconds": seconds, "samples_per_second": rate}
