"""A single row through a dense layer, over those of its inputs that are not 0.

Every unit's sum runs over the inputs in their order, as in the tiles, where one that is 0 adds
nothing: the bits are the same. Here a row of W is left where it is if its input is 0, and more
columns are summed side by side than in a tile of one row, so that none waits for its last addition.
"""

from fastnn.native.products.dense cimport Layer, columns
from fastnn.native.per_sample.active_rows cimport add_rows, list_units
from fastnn.native.simd.simd cimport real

cdef enum:
    PIECE = 256  # inputs that are listed at a time
    ROOM = PIECE + 16  # with the zeros that follow a list
    SPARSE = 16  # with less than one nonzero input in 16, rows are quicker one by one
    WIDE = 512  # fewer inputs are not worth a look


cdef inline bint quicker_row_by_row(const Layer* layer, const real* x, Py_ssize_t m) noexcept nogil:
    """Whether m rows pass one by one, by the look of the first; it does not show in the bits"""
    cdef Py_ssize_t i, n = 0
    if m == 1 or layer.n_in < WIDE:
        return m == 1
    for i in range(layer.n_in):
        n += x[i] != 0
    return SPARSE * n < layer.n_in


cdef inline void forward_single(
    const Layer* layer, const real* parameters, const real* x, real* z
) noexcept nogil:
    """z := x W + b"""
    cdef int units[ROOM]
    cdef real values[ROOM]
    cdef Py_ssize_t n, i = 0, n_columns = columns(layer.n_out, layer.stride)
    for n in range(n_columns):
        z[n] = 0
    while i < layer.n_in:
        n = list_units(x + i, min(PIECE, layer.n_in - i), units, values)
        add_rows(
            parameters + layer.W + i * layer.stride, layer.stride, units, values, n, z, z,
            n_columns, True,
        )
        i += PIECE
    if layer.b >= 0:
        for n in range(n_columns):
            z[n] += parameters[layer.b + n]
