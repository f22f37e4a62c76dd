"""How a network lies in memory: the table of its layers, and their padding.

Every weight and bias lies in one vector, each array at a 64-byte border. A row of W is padded to
1, 4, 8 or a multiple of 16 numbers, the padding zero, so that the kernels need no special case
at the end of a row. Padding never leaves the engine: views and copies have plain shapes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from fastnn._core import ACTIVATIONS, FROM_Z, LAYER, LINE_LENGTH
from fastnn.data.rows import Array
from fastnn.layers import Dense

NOT_STANDARDISED = np.empty((0, 0))


def slices(n_rows: int, length: int) -> Iterator[tuple[int, int]]:
    """Borders of pieces of n_rows; the last one may be shorter."""
    for start in range(0, n_rows, length):
        yield start, min(start + length, n_rows)


def padded(n: int) -> int:
    """The length of a row of n numbers with its padding: 1, 4, 8 or a multiple of LINE_LENGTH.

    Rows whose distance is a large power of two would share few places in the nearest cache.
    """
    if n <= 8:
        return 1 if n == 1 else 4 if n <= 4 else 8
    length = -(-n // LINE_LENGTH) * LINE_LENGTH
    return length if length % 256 else length + LINE_LENGTH


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


def layer_table(
    n_features: int, layers: Sequence[Dense], drop: Sequence[float], narrow: bool
) -> tuple[Array, int]:
    """The core's table of layers (its fields are those of LAYER) and the number of parameters.

    A row of the stack holds the network's inputs and each layer's outputs. Between them are values
    that would otherwise be overwritten: outputs from which dropout removes units on their way into
    the next layer, and z where the activation's derivative is computed from it.
    """
    table = np.zeros(len(layers), LAYER)
    n_in, in_stride = n_features, padded(n_features)
    position, x, top = 0, 0, in_stride
    for number, (layer, rate) in enumerate(zip(layers, drop, strict=True)):
        row, stride = table[number], padded(layer.units)
        row["n_in"], row["in_stride"] = n_in, in_stride
        row["n_out"], row["stride"] = layer.units, stride
        row["W"], length = position, n_in * stride
        position += length + -length % LINE_LENGTH
        row["b"] = -1
        if layer.use_bias:
            row["b"] = position
            position += stride + -stride % LINE_LENGTH
        activation = layer.activation or "linear"
        row["activation"] = ACTIVATIONS[activation]
        row["drop"], row["narrow"] = round(rate * 2**32), narrow
        if row["drop"] and number:
            x, top = top, top + in_stride
        kept, z = top, top + (stride if activation in FROM_Z else 0)
        row["x"], row["z"], row["kept"] = x, z, kept
        n_in, in_stride, x, top = layer.units, stride, z, z + stride
    return table, position
