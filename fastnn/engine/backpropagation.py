"""Forward and backward as two calls, for losses that are computed elsewhere.

All layer outputs are kept between the two calls, so memory grows with the number of rows.
"""

from collections.abc import Iterator

import numpy as np

from fastnn.custom import CustomLoss
from fastnn.data.checks import check_memory
from fastnn.data.rows import Array, Rows
from fastnn.engine.layout import padded, slices
from fastnn.engine.network import Network, Slice
from fastnn.losses import Loss, settings_of
from fastnn.native.team import Team


class Pass:
    """Up to n_rows that go forward through a network, and may go back.

    With `drop` units are dropped as in training.
    """

    def __init__(self, network: Network, n_rows: int, *, drop: bool) -> None:
        self._network, self.room = network, n_rows
        self._context = network.open_context(n_rows, drop=drop)
        self.outputs = np.empty((0, network.n_outputs), network.dtype)

    @property
    def n_bytes(self) -> int:
        """The size of what it keeps."""
        return self._context.n_bytes + self.outputs.nbytes

    def forward(
        self, rows: object, order: Array | None, start: int, stop: int, key: int = 0
    ) -> Array:
        """The outputs of the rows visited from `start` to before `stop`; `key` is for dropout.

        `rows` are the network's, as `Network.rows` returns them; without an order they are visited
        from first to last.
        """
        network, self._context.key = self._network, key
        self.outputs = np.empty((stop - start, network.n_outputs), network.dtype)
        network.core.evaluate(self._context, rows, order, start, stop, self.outputs)
        return self.outputs

    def backward(self, dL_dy: Array, gradient: Array) -> None:
        """gradient := dL/dW + gradient, given dL/dy of the outputs, shape (n_rows, n_outputs)."""
        nothing = np.empty(0, self._network.dtype)
        empty = nothing.reshape(0, 0)
        self._network.core.backward(self._context, dL_dy, gradient, nothing, empty)

    def input_gradient(self, dL_dy: Array, gradient: Array) -> Array:
        """Computes the same gradient, and returns dL/dX, shape (n_rows, n_features)."""
        network, n_in = self._network, self._network.n_features
        stride, units = padded(n_in), network.layers[0].units
        transposed = network.core.aligned_empty(units * stride)
        dL_dx: Array = network.core.aligned_empty(len(dL_dy) * stride).reshape(len(dL_dy), stride)
        network.core.backward(self._context, dL_dy, gradient, transposed, dL_dx)
        return dL_dx[:, :n_in].copy()


def custom_outputs(
    passed: Pass, rows: object, order: Array | None, first: int, y: Array, loss: CustomLoss,
    key: int = 0,
) -> tuple[float, tuple[Array, Array]]:  # fmt: skip
    """L of a custom loss, the outputs, and dL/dy; `y` are the targets from the first-th row on."""
    outputs = np.concatenate(
        [
            passed.forward(rows, order, first + start, first + stop, key)
            for start, stop in slices(len(y), passed.room)
        ]
    )
    value, dL_dy = loss.value_and_gradient(y, outputs)
    return value, (outputs, dL_dy)


def custom_gradient(
    passed: Pass, rows: object, order: Array | None, first: int, y: Array, loss: CustomLoss,
    gradient: Array, key: int = 0,
) -> tuple[float, Array]:  # fmt: skip
    """gradient := dL/dW + gradient of a custom loss; returns L and the outputs.

    `y` are the targets of the rows visited from `first` on. More rows than there is room for go
    forward twice, since the loss needs the outputs of all of them.
    """
    value, (outputs, dL_dy) = custom_outputs(passed, rows, order, first, y, loss, key)
    for start, stop in slices(len(y), passed.room):
        if len(y) > passed.room:
            passed.forward(rows, order, first + start, first + stop, key)
        passed.backward(dL_dy[start:stop], gradient)
    return value, outputs


def per_sample_gradients(network: Network, data: Rows, loss: Loss) -> Array:
    """The gradient of each row's w_i l_i without penalties, each laid out as the parameters.

    Shape (n_rows, n_parameters).
    """
    n_rows = data.n_rows
    check_memory(f"the gradients of {n_rows} rows", n_rows * network.parameters.nbytes)
    flat = network.new_slots(n_rows)
    if isinstance(loss, CustomLoss):
        passed, rows = Pass(network, 1, drop=False), network.rows(Rows(data.X))
        for i in range(n_rows):
            custom_gradient(passed, rows, None, i, data.y[i : i + 1], loss, flat[i])
        return flat
    context, rows = network.context(1), network.rows(data)
    context.set_loss(settings_of(loss, data.y.shape[1], network.dtype))
    for i in range(n_rows):
        context.set_gradient(flat[i])
        network.core.gradient(context, rows, None, i, i + 1, None, 0.0, 1.0)
    return flat


def evaluate_any(network: Network, data: Rows, loss: Loss, team: Team) -> Iterator[Slice]:
    """Loss and outputs of all rows, slice by slice, for a custom loss, too."""
    if isinstance(loss, CustomLoss):
        return evaluate_custom(network, data, loss)
    return network.evaluate(data, loss, team)


def evaluate_custom(network: Network, data: Rows, loss: CustomLoss) -> Iterator[Slice]:
    """`Network.evaluate` for a custom loss: the loss of each slice counts by its rows."""
    total = 0.0
    for start, stop in network.slices(data.n_rows):
        predictions = network.predict(Rows(data.X[start:stop]))
        value, _ = loss.value_and_gradient(data.y[start:stop], predictions)
        total += value * (stop - start)
        y = data.y[start:stop]
        yield Slice(slice(start, stop), stop - start, total, predictions, y)
