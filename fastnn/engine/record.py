"""The values of all layers, row by row: what forward pass and backpropagation compute on their way.

The kernels are those that train; with a record, the loops keep each value before the next layer, or
the next block of rows, writes over it (`fastnn/native/loops/record.pxi`).
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from fastnn._core import LINE_LENGTH, RECORD_PLACES
from fastnn.custom import CustomLoss
from fastnn.data.checks import check_memory
from fastnn.data.rows import Array, Rows
from fastnn.engine.layout import padded
from fastnn.engine.network import Network, inverse
from fastnn.losses import Loss, settings_of
from fastnn.native.team import ALONE, Team

FORWARD = ("x", "mask", "z", "a")
BACKWARD = ("da", "dz", "dx")


class Record:
    """Memory for the values of all layers of some rows, and the passes that fill it.

    Parameters
    ----------
    network : Network
    rows : Rows
        Checked features and, for backpropagation, targets and sample weights.
    kinds : collection of str
        What to keep: "x", the inputs of each layer as its product takes them, where they are not
        the outputs of the layer below, and "mask", the factors by which dropout made them; "z" and
        "a"; "da" = dL/da, "dz" = dL/dz and "dx" = dL/dx of the rows as they were given.
    drop : bool
        Whether dropout leaves out units, as in training; `key` says which.
    number : int, optional
        The only layer of which to keep values: 1, 2, ...
    """

    def __init__(
        self, network: Network, rows: Rows, kinds: Collection[str], *, drop: bool = False,
        key: int = 0, team: Team = ALONE, number: int | None = None,
    ) -> None:  # fmt: skip
        self.network, self.rows = network, network.apart(rows)
        n_rows = len(rows.X)
        self._team, self._n_rows = team, n_rows
        self._drops = [bool(rate) and drop for rate in network.dropout_rates]
        self._places, length = self._new_places(kinds, number)
        check_memory(f"the values of {n_rows} rows", length * network.parameters.itemsize)
        self._values: Array = network.core.aligned_empty(length)
        self.row_losses = np.zeros(n_rows)
        first, stride = network.layers[0], padded(network.n_features)
        self._W_transposed: Array = network.core.aligned_empty(
            first.units * stride if "dx" in kinds else 0
        )
        self._context = network.record_context(n_rows, drop=drop)
        self._context.key = key
        self._keep(given=False)

    def _new_places(self, kinds: Collection[str], only: int | None) -> tuple[Array, int]:
        """Where each kind of value of each layer begins, and how many numbers there are in all."""
        network, length, n_in = self.network, 0, self.network.n_features
        places = np.zeros(len(network.layers), RECORD_PLACES)
        for i, layer in enumerate(network.layers):
            drops = self._drops[i]
            widths = dict.fromkeys(("z", "a", "da", "dz"), layer.units)
            widths["x"] = n_in if i == 0 or drops else 0
            widths["mask"] = n_in if drops else 0
            widths["dx"] = 0 if i else padded(n_in)
            for kind, width in widths.items():
                kept = kind in kinds and width > 0 and only in (None, i + 1)
                places[kind][i] = length if kept else -1
                length += -(-self._n_rows * width // LINE_LENGTH) * LINE_LENGTH if kept else 0
            n_in = layer.units
        return places, length

    def _keep(self, *, given: bool) -> None:
        self._context.set_record(
            self._places, self._values, self.row_losses, self._W_transposed, given
        )

    def keeps(self, kind: str, number: int) -> bool:
        """Whether values of that kind are kept of layer 1, 2, ..."""
        return bool(self._places[kind][number - 1] >= 0)

    def of(self, kind: str, number: int) -> Array:
        """The values of a kind that is kept of layer 1, 2, ..., one row for each row."""
        network, place = self.network, int(self._places[kind][number - 1])
        n_in = network.n_features if number == 1 else network.layers[number - 2].units
        width = n_in if kind in ("x", "mask", "dx") else network.layers[number - 1].units
        stride = padded(width) if kind == "dx" else width
        found: Array = self._values[place : place + self._n_rows * stride]
        return found.reshape(self._n_rows, stride)[:, :width]

    def forward(self) -> None:
        """Pass the rows forward."""
        self._pass_slices(self.network.core.evaluate, self.network.rows(Rows(self.rows.X)))

    def backpropagate(self, loss: Loss, gradient: Array | None = None) -> float:
        """Pass the rows forward and back; gradient := dL/dW + gradient. Returns L.

        L = 1/n sum_i w_i l_i, or divided by sum_i w_i if the loss says so; without penalties.
        """
        if gradient is not None:
            self._context.set_gradient(gradient)
        if isinstance(loss, CustomLoss):
            return self._backpropagate_custom(loss)
        self._context.set_loss(settings_of(loss, self.rows.y.shape[1], self.network.dtype))
        share = self.share(loss)
        function, rows = self.network.core.gradient, self.network.rows(self.rows)
        return share * self._pass_slices(function, rows, share)

    def share(self, loss: Loss) -> float:
        """What the sum of w_i l_i is multiplied by."""
        return inverse(loss.divisor(self.rows.sample_weight, self._n_rows))

    def _backpropagate_custom(self, loss: CustomLoss) -> float:
        """The loss needs the outputs of all rows: forward, then both ways from its dL/dy."""
        self.forward()
        outputs = self.of("a", len(self._places))
        value, dL_dy = loss.value_and_gradient(self.rows.y, outputs.copy())
        self.backpropagate_from(dL_dy)
        return value

    def backpropagate_from(self, dL_dy: Array) -> None:
        """Pass the rows forward, then back from dL/dy of their outputs."""
        self.of("da", len(self._places))[...] = dL_dy
        self._keep(given=True)
        self._team = ALONE  # blocks are not shared: the core takes the dL/dy of a whole one
        self._pass_slices(self.network.core.gradient, self.network.rows(Rows(self.rows.X)), 1.0)

    def _pass_slices(self, function: Any, rows: object, *scale: float) -> float:
        total = 0.0
        for start, stop in self.network.slices(self._n_rows):
            arguments = self._context, rows, None, start, stop, None, total, *scale
            total = self._team.run(function, *arguments)
        return total
