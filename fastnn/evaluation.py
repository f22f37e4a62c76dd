"""Loss and metrics over rows, and predictions, slice after slice; callbacks may follow."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._team import ALONE, Team
from fastnn._validation import Array, Data, Features
from fastnn.callbacks import Callback
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.network import Network, Slice
from fastnn.passes import evaluate_any


def tell(callbacks: Sequence[Callback], hook: str, *told: Any) -> None:
    """Call a hook of each."""
    for callback in callbacks:
        getattr(callback, hook)(*told)


class RunningMeans:
    """Loss and metrics over the rows so far, the loss weighted by w_i, with a penalty added."""

    def __init__(self, metrics: Sequence[Metric], penalty: float) -> None:
        self._penalty = penalty
        self._n_rows, self._loss = 0, 0.0
        self._metrics = [(metric, metric.running()) for metric in metrics]

    def add(self, piece: Slice, data: Data) -> None:
        """Some more rows, a slice of `data`."""
        self._n_rows += piece.n_rows
        self._loss = piece.loss
        if self._metrics:
            for metric, running in self._metrics:
                weights = None
                if metric.weighted and len(data.sample_weight):
                    weights = data.sample_weight[piece.rows]
                running.add(piece.targets, piece.predictions, weights)

    def so_far(self) -> dict[str, float]:
        """All but the metrics that wait for the last row."""
        return self._values(streamed=True)

    def values(self) -> dict[str, float]:
        """The means over all rows."""
        return self._values(streamed=False)

    def _values(self, *, streamed: bool) -> dict[str, float]:
        values = {"loss": self._loss / self._n_rows + self._penalty}
        for metric, running in self._metrics:
            if metric.streamed or not streamed:
                values[metric.name] = running.value()
        return values


def evaluate(
    network: Network,
    data: Data,
    loss: Loss,
    metrics: Sequence[Metric],
    team: Team = ALONE,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """The loss sum_i w_i l_i / n, with what regularisers add, and the metrics over all rows."""
    means = RunningMeans(metrics, network.penalty())
    tell(callbacks, "on_test_begin", {})
    pieces = evaluate_any(network, data, loss, team)
    for batch in range(len(list(network.slices(data.n_rows)))):
        tell(callbacks, "on_test_batch_begin", batch, {})
        means.add(next(pieces), data)
        if callbacks:
            tell(callbacks, "on_test_batch_end", batch, means.so_far())
    scores = means.values()
    tell(callbacks, "on_test_end", scores)
    return scores


def predict(network: Network, rows: Features, team: Team, callbacks: Sequence[Callback]) -> Array:
    """The outputs, shape (n_rows, n_outputs), of slice after slice, as callbacks ask for it."""
    outputs = []
    tell(callbacks, "on_predict_begin", {})
    for batch, (start, stop) in enumerate(network.slices(len(rows.X))):
        tell(callbacks, "on_predict_batch_begin", batch, {})
        outputs.append(network.predict(rows.rows(start, stop), team))
        tell(callbacks, "on_predict_batch_end", batch, {"outputs": outputs[-1]})
    tell(callbacks, "on_predict_end", {})
    return np.concatenate(outputs)
