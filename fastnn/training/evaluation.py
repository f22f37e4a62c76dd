"""Evaluate and predict slice by slice, reporting to callbacks."""

from collections.abc import Sequence

import numpy as np

from fastnn.callbacks.base import Callback, notify
from fastnn.data.rows import Array, Rows
from fastnn.engine.backpropagation import evaluate_any
from fastnn.engine.network import Network, Slice, dropout_key, inverse
from fastnn.losses import Loss
from fastnn.metrics import Metric, Running
from fastnn.native.team import ALONE, Team

SAMPLED = 1  # apart from training, in the keys of dropout


class RunningMeans:
    """Loss and metrics over the rows so far, the loss weighted by w_i, with a penalty added.

    `scale` is what the loss of the rows is a multiple of: their number over their weight.
    """

    def __init__(self, metrics: Sequence[Metric], penalty: float, scale: float = 1.0) -> None:
        self._penalty, self._scale = penalty, scale
        self.n_rows, self.total = 0, 0.0  # the sum of w_i l_i
        self._metrics: list[tuple[Metric, Running]] = []
        for metric in metrics:
            self._metrics.append((metric, metric.running()))

    def add(self, piece: Slice, data: Rows) -> None:
        """Some more rows, a slice of `data`."""
        self.n_rows += piece.n_rows
        self.total = piece.total
        for metric, running in self._metrics:
            weights = None
            if metric.weighted and len(data.sample_weight):
                weights = data.sample_weight[piece.rows]
            running.add(piece.targets, piece.predictions, weights)

    def values(self, *, so_far: bool = False) -> dict[str, float]:
        """The means over all rows; `so_far` leaves out metrics that wait for the last row."""
        values = {"loss": self._scale * (self.total / self.n_rows) + self._penalty}
        for metric, running in self._metrics:
            if metric.streamed or not so_far:
                values[metric.name] = running.value()
        return values


def evaluate(
    network: Network,
    data: Rows,
    loss: Loss,
    metrics: Sequence[Metric],
    team: Team = ALONE,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """The loss of all rows, with what regularisers add, and the metrics."""
    share = inverse(loss.divisor(data.sample_weight, data.n_rows))
    means = RunningMeans(metrics, network.penalty(share), share * data.n_rows)
    notify(callbacks, "on_test_begin", {})
    notify(callbacks, "on_test_batch_begin", 0, {})
    for batch, piece in enumerate(evaluate_any(network, data, loss, team)):
        means.add(piece, data)
        if callbacks:
            notify(callbacks, "on_test_batch_end", batch, means.values(so_far=True))
            if means.n_rows < data.n_rows:
                notify(callbacks, "on_test_batch_begin", batch + 1, {})
    scores = means.values()
    notify(callbacks, "on_test_end", dict(scores))
    return scores


def predict(
    network: Network,
    rows: Rows,
    team: Team,
    callbacks: Sequence[Callback],
    out: Array | None = None,
) -> Array:
    """The outputs, shape (n_rows, n_outputs), of slice after slice if callbacks ask for it."""
    if not callbacks:
        return network.predict(rows, team, out)
    outputs = []
    notify(callbacks, "on_predict_begin", {})
    for batch, (start, stop) in enumerate(network.slices(len(rows.X))):
        notify(callbacks, "on_predict_batch_begin", batch, {})
        outputs.append(network.predict(rows.rows(start, stop), team))
        notify(callbacks, "on_predict_batch_end", batch, {"outputs": outputs[-1]})
    notify(callbacks, "on_predict_end", {})
    return np.concatenate(outputs, out=out)


def sample_predictions(
    network: Network, rows: Rows, team: Team, n_samples: int, seed: int
) -> tuple[Array, Array]:
    """Mean and standard deviation of the outputs over passes in which dropout leaves out units."""
    n_rows, core = len(rows.X), network.core
    outputs = np.empty((n_rows, network.n_outputs), network.dtype)
    mean, squares = np.zeros(outputs.shape), np.zeros(outputs.shape)
    context, seen = network.context(n_rows, training=True), network.rows(rows)
    for number in range(n_samples):
        context.key = dropout_key(seed, number, SAMPLED)
        for start, stop in network.slices(n_rows):
            piece = outputs[start:stop]
            team.run(core.evaluate, context, seen, None, start, stop, piece, 0.0)
        network.refuse_overflow("the output", outputs)
        difference = outputs - mean  # Welford 1962: nothing large is subtracted from large
        mean += difference / (number + 1)
        squares += difference * (outputs - mean)
    spread = np.sqrt(squares / n_samples)
    return mean.astype(network.dtype), spread.astype(network.dtype)
