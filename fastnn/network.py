"""The network: architecture, one flat vector of parameters with named views, passes over rows.

Every weight and bias lies in one vector, each array at a 64-byte border. A row of W is padded to
1, 4, 8 or a multiple of 16 numbers, the padding zero, so that the kernels need no special case
at the end of a row. Padding never leaves this file: views and copies hand out plain shapes.
"""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fastnn import activations
from fastnn._backend import core
from fastnn._validation import Array, Data, Features
from fastnn.initializers import INITIALIZERS
from fastnn.layers import Dense, Normalization
from fastnn.losses import Loss

ALIGNMENT = 64  # bytes
LINE = 16  # numbers: every array begins at a multiple of this
MAX_BLOCK = 64  # rows that pass through the layers together
SLICE_WORK = 2e8  # floating-point operations between two returns to Python, tens of milliseconds
UNIT_WORK = 50  # what a unit costs beside its weights: activation, loss, gather


class CoreArguments(NamedTuple):
    """The first arguments of most doors of the core."""

    layers: Array
    parameters: Array
    normalization: Array
    block: int
    scratch: Array


def padded(n: int) -> int:
    """The length of a row of n numbers with its padding."""
    return next((size for size in (1, 4, 8) if n <= size), -(-n // LINE) * LINE)


def aligned_zeros(n: int, dtype: str) -> Array:
    """n zeros that begin at a 64-byte border."""
    size = np.dtype(dtype).itemsize
    buffer = np.zeros(n * size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + n * size].view(dtype)


def _layer_table(n_features: int, layers: Sequence[Dense]) -> tuple[Array, int]:
    """The core's table of layers (`Layer` in `kernels/dense.pxd`) and the number of parameters."""
    table, n_in, position = [], n_features, 0
    for layer in layers:
        stride = padded(layer.units)
        W, position = position, _next_line(position + n_in * stride)
        b = -1
        if layer.use_bias:
            b, position = position, _next_line(position + stride)
        code = activations.get(layer.activation).code
        table.append([n_in, padded(n_in), layer.units, stride, W, b, code])
        n_in = layer.units
    return np.array(table, np.int64), position


def _next_line(position: int) -> int:
    return -(-position // LINE) * LINE


class Network:
    """A built network: n_features inputs, dense layers, parameters in `dtype`."""

    def __init__(
        self,
        n_features: int,
        layers: Sequence[Dense],
        dtype: str,
        normalization: Normalization | None = None,
    ) -> None:
        self.n_features = n_features
        self.n_outputs = layers[-1].units
        self.dtype = dtype
        self.layers = tuple(layers)
        self.core: ModuleType = core(dtype)
        self._normalization = normalization
        self._table, n_parameters = _layer_table(n_features, layers)
        self.parameters = aligned_zeros(n_parameters, dtype)
        self.slice_rows = self._rows_for(SLICE_WORK)
        self.block = min(MAX_BLOCK, self.slice_rows)
        self._scratch = aligned_zeros(self.core.scratch_length(self._table, self.block), dtype)

    def _rows_for(self, work: float) -> int:
        """How many rows a piece of work covers, from the shape alone; whole blocks if it can."""
        weights = sum(layer[0] * layer[2] for layer in self._table)
        units = self.n_features + sum(layer.units for layer in self.layers)
        rows = max(1, int(work / (6 * int(weights) + UNIT_WORK * units)))
        return rows if rows < MAX_BLOCK else rows // MAX_BLOCK * MAX_BLOCK

    # ---- parameters -----------------------------------------------------------------------

    def views(self, flat: Array) -> dict[str, Array]:
        """W1, b1, W2, ... as views, without padding, into a vector laid out as the parameters."""
        named = {}
        for number, (n_in, _, n_out, stride, W, b, _) in enumerate(self._table.tolist(), 1):
            named[f"W{number}"] = flat[W : W + n_in * stride].reshape(n_in, stride)[:, :n_out]
            if b >= 0:
                named[f"b{number}"] = flat[b : b + n_out]
        return named

    def initialize(self, seed: int) -> None:
        """Draw every layer's weights from its own stream of `seed`; biases are zero."""
        views = self.views(self.parameters)
        for number, layer in enumerate(self.layers, 1):
            stream = np.random.SeedSequence(seed, spawn_key=(number,))
            rng = np.random.Generator(np.random.Philox(stream))
            W = views[f"W{number}"]
            W[...] = INITIALIZERS[layer.kernel_initializer](rng, *W.shape)
            if layer.use_bias:
                views[f"b{number}"][...] = 0

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases, padding not counted."""
        return sum(view.size for view in self.views(self.parameters).values())

    def new_gradient(self) -> Array:
        """Zeros laid out as the parameters."""
        return aligned_zeros(len(self.parameters), self.dtype)

    # ---- passes over rows -----------------------------------------------------------------

    @property
    def arguments(self) -> CoreArguments:
        table = self._normalization.table if self._normalization else np.empty((0, 0))
        return CoreArguments(self._table, self.parameters, table, self.block, self._scratch)

    def slices(self, n_rows: int) -> Iterator[tuple[int, int]]:
        """Borders of the pieces in which n_rows pass through the core."""
        for start in range(0, n_rows, self.slice_rows):
            yield start, min(start + self.slice_rows, n_rows)

    @property
    def no_order(self) -> Array:
        """Stands for: all rows, from first to last."""
        return np.empty(0, np.int64)

    @property
    def no_predictions(self) -> Array:
        """Stands for: do not keep the predictions."""
        return np.empty((0, self.n_outputs), self.dtype)

    def predict(self, X: Features) -> Array:
        """The outputs, shape (n_rows, n_outputs)."""
        predictions = np.empty((len(X.X), self.n_outputs), self.dtype)
        nothing = np.empty(0, self.dtype)
        data = Data(*X, nothing.reshape(0, 0), nothing)
        for start, stop in self.slices(len(X.X)):
            self._evaluate(data.rows(start, stop), 0, predictions[start:stop])
        return predictions

    def refuse_overflow(self, what: str, values: Array) -> None:
        """Raise FloatingPointError if a result is not finite, though weights and rows are."""
        if not self.core.all_finite(values.ravel()):
            raise FloatingPointError(
                f"{what} is too large for {self.dtype}: the weights or the features are huge. "
                f"Scale the features, or use Sequential(..., dtype='float64')"
            )

    def evaluate(self, data: Data, loss: Loss) -> Iterator[tuple[float, Array, Array]]:
        """For each piece of the rows: the sum of w_i l_i, its targets and its predictions."""
        predictions = np.empty((self.slice_rows, self.n_outputs), self.dtype)
        for start, stop in self.slices(data.n_rows):
            piece, output = data.rows(start, stop), predictions[: stop - start]
            yield self._evaluate(piece, loss.code(data.y), output), piece.y, output

    def _evaluate(self, data: Data, loss_code: int, predictions: Array) -> float:
        total: float = self.core.evaluate(
            *self.arguments, *data, loss_code, self.no_order, predictions
        )
        return total

    def gradient(self, data: Data, loss: Loss) -> Array:
        """The flat gradient of L = 1/n sum_i w_i l_i; moves nothing."""
        gradient = self.new_gradient()
        for start, stop in self.slices(data.n_rows):
            self.core.gradient(
                *self.arguments,
                *data.rows(start, stop),
                loss.code(data.y),
                self.no_order,
                self.no_predictions,
                1 / data.n_rows,
                gradient,
            )
        return gradient
