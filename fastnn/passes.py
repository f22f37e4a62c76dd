"""Forward and backward as two calls, for losses that are computed elsewhere.

What passes through all layers at once is one block of rows, so its memory grows with them: each
row's outputs of all layers are kept until the gradient comes back.
"""

from collections.abc import Iterator

import numpy as np

from fastnn._team import Team
from fastnn._validation import Array, Data, Features
from fastnn.losses import Loss
from fastnn.network import NO_LOSS, Network, Slice, aligned_empty, padded
from fastnn.own_loss import OwnLoss


class Pass:
    """Rows that have gone forward through a network, and may go back."""

    def __init__(
        self, network: Network, rows: Features, noise: tuple[int, int] | None = None
    ) -> None:
        """Forward; with noise (see `CoreArguments`) units are dropped as in training."""
        self._network, self._n_rows = network, len(rows.X)
        self._arguments = network.open_arguments(self._n_rows, drop=noise is not None)
        self._arguments.noise[:] = noise or 0
        nothing = np.empty(0, network.dtype)
        data = Data(*rows, nothing.reshape(0, 0), nothing)
        self.outputs = np.empty((self._n_rows, network.n_outputs), network.dtype)
        visited = NO_LOSS, network.no_order, self.outputs, 0.0
        network.core.evaluate(*self._arguments, *data, *visited)

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
        dL_dx = aligned_empty(self._n_rows * stride, dtype).reshape(self._n_rows, stride)
        self._call(dL_dy, gradient, transposed, dL_dx)
        table = network.normalization_table
        found = dL_dx[:, :n_in] * table[1] if len(table) else dL_dx[:, :n_in]
        return found.astype(dtype)

    def _call(self, dL_dy: Array, gradient: Array, transposed: Array, dL_dx: Array) -> None:
        layers, parameters, _, block, scratch, noise = self._arguments
        self._network.core.backward(
            layers, parameters, block, scratch, noise, dL_dy, gradient, transposed, dL_dx
        )


def own_gradient(
    network: Network, data: Data, loss: OwnLoss, gradient: Array,
    noise: tuple[int, int] | None = None,
) -> tuple[float, Array]:  # fmt: skip
    """gradient := dL/dW + gradient of a loss of the user's own; returns L and the outputs."""
    passed = Pass(network, Features(data.X, data.x_type), noise)
    value, dL_dy = loss.value_and_gradient(data.y, passed.outputs)
    passed.backward(dL_dy, gradient)
    return value, passed.outputs


def evaluate_any(network: Network, data: Data, loss: Loss, team: Team) -> Iterator[Slice]:
    """Loss and outputs of all rows, slice by slice, whosever the loss is."""
    if isinstance(loss, OwnLoss):
        return evaluate_own(network, data, loss)
    return network.evaluate(data, loss, team)


def evaluate_own(network: Network, data: Data, loss: OwnLoss) -> Iterator[Slice]:
    """`Network.evaluate` for a loss of the user's own: that of each slice, by its rows."""
    total = 0.0
    for start, stop in network.slices(data.n_rows):
        predictions = network.predict(Features(data.X[start:stop], data.x_type))
        value, _ = loss.value_and_gradient(data.y[start:stop], predictions)
        total += value * (stop - start)
        yield Slice(slice(start, stop), stop - start, total, predictions)
