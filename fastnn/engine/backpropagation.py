"""Forward and backward as two calls, for losses that are computed elsewhere.

Between the two the outputs of all layers are kept, of every row: what passes at once is one block,
and memory grows with it.
"""

from collections.abc import Iterator

import numpy as np

from fastnn.custom import CustomLoss
from fastnn.data.rows import Array, Data, Features
from fastnn.engine.layout import NO_LOSS, aligned_empty, padded
from fastnn.engine.network import Network, Slice
from fastnn.losses import Loss
from fastnn.native.team import Team


class Pass:
    """Up to n_rows that go forward through a network, and may go back.

    With `drop` units are dropped as in training.
    """

    def __init__(self, network: Network, n_rows: int, *, drop: bool) -> None:
        self._network, self.room = network, n_rows
        self._arguments = network.open_arguments(n_rows, drop=drop)
        self.outputs = np.empty((0, network.n_outputs), network.dtype)

    def forward(
        self, rows: Features, order: Array | None = None, noise: tuple[int, int] = (0, 0)
    ) -> Array:
        """The outputs of the rows in `order`, or of all; `noise` is that of `CoreArguments`."""
        network = self._network
        order = network.no_order if order is None else order
        self._arguments.noise[:] = noise
        nothing = np.empty(0, network.dtype)
        data = Data(*rows, nothing.reshape(0, 0), nothing)
        n_rows = len(order) or len(rows.X)
        self.outputs = np.empty((n_rows, network.n_outputs), network.dtype)
        network.core.evaluate(*self._arguments, *data, NO_LOSS, order, self.outputs, 0.0)
        return self.outputs

    def backward(self, dL_dy: Array, gradient: Array) -> None:
        """gradient := dL/dW + gradient, given dL/dy of the outputs, shape (n_rows, n_outputs)."""
        nothing = np.empty(0, self._network.dtype)
        self._call(dL_dy, gradient, nothing, nothing.reshape(0, 0))

    def input_gradient(self, dL_dy: Array, gradient: Array) -> Array:
        """The same, and dL/dX, shape (n_rows, n_features)."""
        network, n_in = self._network, self._network.n_features
        stride, units = padded(n_in), network.layers[0].units
        dtype = network.dtype
        transposed = aligned_empty(units * stride, dtype)
        dL_dx = aligned_empty(len(dL_dy) * stride, dtype).reshape(len(dL_dy), stride)
        self._call(dL_dy, gradient, transposed, dL_dx)
        table = self._arguments.normalization
        found = dL_dx[:, :n_in] * table[1] if len(table) else dL_dx[:, :n_in]
        return found.astype(dtype)

    def _call(self, dL_dy: Array, gradient: Array, transposed: Array, dL_dx: Array) -> None:
        layers, parameters, _, block, scratch, noise = self._arguments
        self._network.core.backward(
            layers, parameters, block, scratch, noise, dL_dy, gradient, transposed, dL_dx
        )


def own_gradient(
    passed: Pass, rows: Features, order: Array | None, y: Array, loss: CustomLoss, gradient: Array,
    noise: tuple[int, int] = (0, 0),
) -> tuple[float, Array]:  # fmt: skip
    """gradient := dL/dW + gradient of a loss of the user's own; returns L and the outputs.

    More rows than there is room for go forward twice, since the loss needs the outputs of all.
    """
    key, position = noise
    starts = range(0, len(y), passed.room)

    def forward(start: int) -> Array:
        stop = start + passed.room
        there = key, position + start
        if order is None:
            return passed.forward(rows.rows(start, stop), noise=there)
        return passed.forward(rows, order[start:stop], there)

    outputs = np.concatenate([forward(start) for start in starts])
    value, dL_dy = loss.value_and_gradient(y, outputs)
    for start in starts:
        if len(starts) > 1:
            forward(start)
        passed.backward(dL_dy[start : start + passed.room], gradient)
    return value, outputs


def evaluate_any(network: Network, data: Data, loss: Loss, team: Team) -> Iterator[Slice]:
    """Loss and outputs of all rows, slice by slice, whosever the loss is."""
    if isinstance(loss, CustomLoss):
        return evaluate_own(network, data, loss)
    return network.evaluate(data, loss, team)


def evaluate_own(network: Network, data: Data, loss: CustomLoss) -> Iterator[Slice]:
    """`Network.evaluate` for a loss of the user's own: that of each slice, by its rows."""
    total = 0.0
    for start, stop in network.slices(data.n_rows):
        predictions = network.predict(Features(data.X[start:stop], data.x_type))
        value, _ = loss.value_and_gradient(data.y[start:stop], predictions)
        total += value * (stop - start)
        y = data.y[start:stop]
        yield Slice(slice(start, stop), stop - start, total, predictions, y)
