"""The network: architecture, one flat vector of parameters with named views, passes over rows.

Every weight and bias lies in one vector, each array at a 64-byte border. A row of W is padded to
1, 4, 8 or a multiple of 16 numbers, the padding zero, so that the kernels need no special case
at the end of a row. Padding never leaves this file: views and copies hand out plain shapes.
"""

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fastnn import activations
from fastnn._backend import ISA, core
from fastnn._team import ALONE, Team
from fastnn._threads import thread_count
from fastnn._validation import Array, Data, Features
from fastnn.initializers import INITIALIZERS
from fastnn.layers import Dense, Normalization
from fastnn.losses import Loss

ALIGNMENT = 64  # bytes
LINE = 16  # numbers: every array begins at a multiple of this
# Rows that pass through the layers together. Shorter vectors make narrower tiles, which pass over a
# block more often: a smaller one stays in the cache.
BLOCK = 256 if ISA == "v4" else 128
NARROW = 8  # the widest layer of a network that one thread trains alone; in kernels/narrow.pxd
TINY_LAYERS = 8  # the most that per-sample descent keeps at hand; in loops/samples.pxi
SMALL_BLOCK = 16  # in a network so wide that a slice is shorter than a block, a multiple of this
# Between two returns to Python: floating-point operations, tenths of a second of them; and rows, of
# which the predictions are kept if there are metrics.
SLICE_WORK, SLICE_ROWS = 6e9, 1 << 17
NOT_STANDARDISED = np.empty((0, 0))
NO_LOSS = np.zeros(2)  # of rows without targets
UNIT_WORK = 50  # what a unit costs beside its weights: activation, loss, gather


class CoreArguments(NamedTuple):
    """The first arguments of most doors of the core."""

    layers: Array
    parameters: Array
    normalization: Array
    block: int
    scratch: Array


def padded(n: int) -> int:
    """The length of a row of n numbers with its padding.

    Rows whose distance is a large power of two would share few places in the nearest cache.
    """
    length = next((size for size in (1, 4, 8) if n <= size), -(-n // LINE) * LINE)
    return length if length % 256 else length + LINE


class Slice(NamedTuple):
    """What passed through the core between two returns to Python."""

    rows: Array | slice  # which rows
    n_rows: int
    loss: float  # the sum of w_i l_i from the first row of the epoch on
    predictions: Array  # the rows' outputs, valid until the next slice; no rows if not kept
    moved: bool = False  # whether weights moved


def aligned_empty(n: int, dtype: str) -> Array:
    """n numbers, not set to anything, that begin at a 64-byte border.

    Behind them is room for a vector, which the core may load but never stores.
    """
    return _aligned(np.empty, n, dtype)


def aligned_zeros(n: int, dtype: str) -> Array:
    """n zeros that begin at a 64-byte border; memory is taken as they are touched."""
    return _aligned(np.zeros, n, dtype)


def _aligned(allocate: Callable[..., Array], n: int, dtype: str) -> Array:
    n_bytes = n * np.dtype(dtype).itemsize
    buffer = allocate(n_bytes + 2 * ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + n_bytes].view(dtype)


def weight_shapes(n_features: int, layers: Sequence[Dense]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the weights: W1 (n_in, n_out), b1 (n_out,), W2, ..."""
    shapes: dict[str, tuple[int, ...]] = {}
    n_in = n_features
    for number, layer in enumerate(layers, 1):
        shapes[f"W{number}"] = (n_in, layer.units)
        if layer.use_bias:
            shapes[f"b{number}"] = (layer.units,)
        n_in = layer.units
    return shapes


def _layer_table(n_features: int, layers: Sequence[Dense]) -> tuple[Array, int]:
    """The core's table of layers (`Layer` in `kernels/dense.pxd`) and the number of parameters."""
    table, n_in, position, x = [], n_features, 0, 0
    for layer in layers:
        in_stride, stride = padded(n_in), padded(layer.units)
        W, position = position, _next_line(position + n_in * stride)
        b = -1
        if layer.use_bias:
            b, position = position, _next_line(position + stride)
        code = activations.get(layer.activation).code
        table.append([n_in, in_stride, layer.units, stride, W, b, code, x, x + in_stride])
        n_in, x = layer.units, x + in_stride
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
        self._row_work = self._work_of_a_row()
        self._is_narrow = max(n_features, *(layer.units for layer in layers)) <= NARROW
        self.slice_rows = self._slice_rows()
        self.block = min(BLOCK, self.slice_rows)
        self.no_order = np.empty(0, np.int64)  # stands for: all rows, from first to last
        self.no_predictions = np.empty((0, self.n_outputs), dtype)  # stands for: do not keep them

    def _work_of_a_row(self) -> int:
        """The floating-point operations of a row in training; a third of them lead forward."""
        n_weights = sum(n_in * n_out for n_in, _, n_out, *_ in self._table.tolist())
        n_units = self.n_features + sum(layer.units for layer in self.layers)
        work: int = 6 * n_weights + UNIT_WORK * n_units
        return work

    def _slice_rows(self) -> int:
        """How many rows a slice covers, from the shape alone; a number of whole blocks."""
        rows = min(int(SLICE_WORK / self._row_work), SLICE_ROWS)
        unit = BLOCK if rows >= BLOCK else SMALL_BLOCK
        return max(rows // unit, 1) * unit

    # ---- parameters -----------------------------------------------------------------------

    def views(self, flat: Array) -> dict[str, Array]:
        """W1, b1, W2, ... as views, without padding, into a vector laid out as the parameters."""
        named = {}
        for number, (n_in, _, n_out, stride, W, b, *_) in enumerate(self._table.tolist(), 1):
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

    def new_gradient(self) -> Array:
        """Zeros laid out as the parameters."""
        return aligned_zeros(len(self.parameters), self.dtype)

    def new_slots(self, n_slots: int) -> Array:
        """So many rows of them, for an optimiser."""
        length = len(self.parameters)
        return aligned_zeros(n_slots * length, self.dtype).reshape(n_slots, length)

    # ---- regularisation -------------------------------------------------------------------

    @property
    def decay(self) -> Array:
        """What the layers' regularisers add to dL/dW is decay * W; empty if there are none."""
        decay = np.array([2 * layer.l2 for layer in self.layers])
        return decay if decay.any() else np.empty(0)

    def penalty(self) -> float:
        """sum_k l2_k sum_ij W_ij^2 over the layers k: what regularisers add to the loss."""
        views = self.views(self.parameters)
        return sum(
            layer.l2 * float(np.square(views[f"W{number}"], dtype=np.float64).sum())
            for number, layer in enumerate(self.layers, 1)
            if layer.l2
        )

    # ---- passes over rows -----------------------------------------------------------------

    def training_team(self, threads: int | None, batch_size: int) -> Team:
        """A team for the gradients of such batches."""
        if self._is_narrow:
            return ALONE
        step = min(batch_size, self.block) * self._row_work
        return Team(thread_count(threads, step))

    def forward_team(self, threads: int | None, n_rows: int) -> Team:
        """A team to predict or evaluate n_rows."""
        if self._is_narrow:
            return ALONE
        return Team(thread_count(threads, min(n_rows, self.block) * self._row_work / 3))

    @property
    def is_standardised(self) -> bool:
        """Whether a Normalization layer stands before the first one with weights."""
        return self._normalization is not None

    @property
    def normalization_table(self) -> Array:
        """Mean and 1 / deviation of each column, or no rows; ever the same object if it is so."""
        layer = self._normalization
        return NOT_STANDARDISED if layer is None else layer.table_for(self.n_features)

    @property
    def is_tiny(self) -> bool:
        """Whether per-sample descent can keep all weights at hand."""
        return self._is_narrow and len(self.layers) <= TINY_LAYERS

    def arguments(self, n_rows: int, *, stochastic: bool = False) -> CoreArguments:
        """What the doors take for up to n_rows rows at a time, with scratch memory of its own.

        Each caller has its own scratch, so that threads may use one network together; the members
        of a team share it.
        """
        # Rows lie across in whole vectors; those of the stochastic mode pass one by one.
        block = min(self.block, n_rows if stochastic else _next_line(n_rows))
        length = self.core.scratch_length(self._table, block, stochastic)
        scratch = aligned_empty(length, self.dtype)
        table = self.normalization_table
        return CoreArguments(self._table, self.parameters, table, block, scratch)

    def slices(self, n_rows: int) -> Iterator[tuple[int, int]]:
        """Borders of the pieces in which n_rows pass through the core."""
        for start in range(0, n_rows, self.slice_rows):
            yield start, min(start + self.slice_rows, n_rows)

    def predict(self, X: Features, team: Team = ALONE) -> Array:
        """The outputs, shape (n_rows, n_outputs)."""
        predictions = np.empty((len(X.X), self.n_outputs), self.dtype)
        nothing = np.empty(0, self.dtype)
        arguments = self.arguments(len(X.X))
        for start, stop in self.slices(len(X.X)):
            rows = Data(*X.rows(start, stop), nothing.reshape(0, 0), nothing)
            visited = NO_LOSS, self.no_order, predictions[start:stop], 0.0
            team.run(self.core.evaluate, *arguments, *rows, *visited)
        self._refuse_overflow("the output", predictions)
        return predictions

    def evaluate(self, data: Data, loss: Loss, team: Team = ALONE) -> Iterator[Slice]:
        """Loss and outputs of all rows, slice by slice."""
        output = np.empty((min(self.slice_rows, data.n_rows), self.n_outputs), self.dtype)
        arguments, total = self.arguments(data.n_rows), 0.0
        common = loss.kernel(data.y), self.no_order
        for start, stop in self.slices(data.n_rows):
            predictions = output[: stop - start]
            rows = data.rows(start, stop)
            total = team.run(self.core.evaluate, *arguments, *rows, *common, predictions, total)
            yield Slice(slice(start, stop), stop - start, total, predictions)

    def gradient(self, data: Data, loss: Loss, team: Team = ALONE) -> Array:
        """The flat gradient of L = 1/n sum_i w_i l_i, and of the penalty; moves nothing."""
        gradient, arguments = self.new_gradient(), self.arguments(data.n_rows)
        common = loss.kernel(data.y), self.no_order, self.no_predictions, 0.0, 1 / data.n_rows
        for start, stop in self.slices(data.n_rows):
            rows = data.rows(start, stop)
            team.run(self.core.gradient, *arguments, *rows, *common, gradient)
        views, weights = self.views(gradient), self.views(self.parameters)
        for number, layer in enumerate(self.layers, 1):
            if layer.l2:
                views[f"W{number}"] += 2 * layer.l2 * weights[f"W{number}"]
        self._refuse_overflow("the gradient", gradient)
        return gradient

    def _refuse_overflow(self, what: str, values: Array) -> None:
        """Raise FloatingPointError if a result is not finite, though weights and rows are."""
        if not self.core.all_finite(values.ravel()):
            raise FloatingPointError(
                f"{what} is too large for {self.dtype}: the weights or the features are huge. "
                f"Scale the features, or use Sequential(..., dtype='float64')"
            )
