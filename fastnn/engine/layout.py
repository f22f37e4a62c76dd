"""How a network lies in memory: the table of its layers, padding, aligned arrays.

Every weight and bias lies in one vector, each array at a 64-byte border. A row of W is padded to
1, 4, 8 or a multiple of 16 numbers, the padding zero, so that the kernels need no special case
at the end of a row. Padding never leaves the engine: views and copies have plain shapes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fastnn import activations
from fastnn.data.rows import Array
from fastnn.layers import Dense

ALIGNMENT = 64  # bytes
LINE = 16  # numbers: every array begins at a multiple of this
NARROW = 8  # the widest layer of a network that lies across, which one thread trains alone
NOT_STANDARDISED = np.empty((0, 0))
NO_LOSS = np.zeros(6)  # of rows without targets
ACTIVATION_COLUMN = 6  # of the table of layers


class CoreArguments(NamedTuple):
    """The first arguments of most doors of the core."""

    layers: Array
    parameters: Array
    normalization: Array
    block: int
    scratch: Array
    noise: Array  # for dropout: the epoch's key, and the position of the next row in the epoch


def slices(n_rows: int, length: int) -> Iterator[tuple[int, int]]:
    """Borders of pieces of n_rows; the last one may be shorter."""
    for start in range(0, n_rows, length):
        yield start, min(start + length, n_rows)


def padded(n: int) -> int:
    """The length of a row of n numbers with its padding.

    Rows whose distance is a large power of two would share few places in the nearest cache.
    """
    length = next((size for size in (1, 4, 8) if n <= size), -(-n // LINE) * LINE)
    return length if length % 256 else length + LINE


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


def _layer_table(
    n_features: int, layers: Sequence[Dense], drop: Sequence[float], narrow: bool
) -> tuple[Array, int]:
    """The core's table of layers (`Layer` in `kernels/dense.pxd`) and the number of parameters.

    A row of the stack holds the network's inputs and each layer's outputs. Between them is what
    would otherwise be overwritten: outputs from which units are dropped on their way into the next
    layer, and z where the activation's derivative is taken from it.
    """
    table: list[list[int]] = []
    n_in, position, x, top = n_features, 0, 0, padded(n_features)
    for layer, rate in zip(layers, drop, strict=True):
        in_stride, stride = padded(n_in), padded(layer.units)
        W, position = position, _next_line(position + n_in * stride)
        b = -1
        if layer.use_bias:
            b, position = position, _next_line(position + stride)
        threshold = round(rate * 2**32)
        if threshold and table:
            x, top = top, top + in_stride
        activation = activations.get(layer.activation)
        kept, z = top, top + (stride if activation.from_z else 0)
        place = [n_in, in_stride, layer.units, stride, W, b]
        table.append([*place, activation.code, x, z, kept, threshold, narrow])
        n_in, x, top = layer.units, z, z + stride
    return np.array(table, np.int64), position


def _next_line(position: int) -> int:
    return -(-position // LINE) * LINE
