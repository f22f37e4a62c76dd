"""A single row through a dense layer, over those of its inputs that are not 0.

Every unit's sum runs over the inputs in their order, as in the tiles, where one that is 0 adds
nothing: the bits are the same. Here a row of W is left where it is if its input is 0, and more
columns are summed side by side than in a tile of one row, so that none waits for its last addition.
"""

from fastnn.kernels.dense cimport Layer, columns
from fastnn.kernels.sample cimport list_units
from fastnn.kernels.simd cimport WIDTH, load, real, spread, store_first, vec

cdef enum:
    PIECE = 256  # inputs that are listed at a time
    ROOM = PIECE + 16  # with the zeros that follow a list
    SPARSE = 16  # of so many inputs less than one is not 0: rows are then quicker one by one
    WIDE = 512  # fewer inputs are not worth a look


cdef inline bint go_singly(const Layer* layer, const real* x, Py_ssize_t m) noexcept nogil:
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
        add_listed(
            parameters + layer.W + i * layer.stride, layer.stride, units, values, n, z, n_columns
        )
        i += PIECE
    if layer.b >= 0:
        for n in range(n_columns):
            z[n] += parameters[layer.b + n]


cdef inline void add_listed(
    const real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n, real* z,
    Py_ssize_t n_columns,
) noexcept nogil:
    """z := z + values_0 W_units_0 + values_1 W_units_1 + ..., n of them one after the other"""
    cdef Py_ssize_t j = 0, vectors
    while j < n_columns:
        vectors = (n_columns - j) // WIDTH
        if vectors >= 8:
            add_columns(W + j, stride, units, values, n, z + j, 8, WIDTH)
            j += 8 * WIDTH
        elif vectors >= 4:
            add_columns(W + j, stride, units, values, n, z + j, 4, WIDTH)
            j += 4 * WIDTH
        elif vectors >= 2:
            add_columns(W + j, stride, units, values, n, z + j, 2, WIDTH)
            j += 2 * WIDTH
        else:
            add_columns(W + j, stride, units, values, n, z + j, 1, n_columns - j)
            j += WIDTH


cdef inline void add_columns(
    const real* W, Py_ssize_t stride, const int* units, const real* values, Py_ssize_t n, real* z,
    const int vectors, Py_ssize_t left,
) noexcept nogil:
    """Some columns of it, the last vector `left` wide"""
    cdef vec sums[8]
    cdef vec value
    cdef const real* row
    cdef Py_ssize_t i
    cdef int v
    for v in range(vectors):
        sums[v] = load(z + v * WIDTH)
    for i in range(n):
        row, value = W + units[i] * stride, spread(values[i])
        for v in range(vectors):
            sums[v] = sums[v] + value * load(row + v * WIDTH)
    for v in range(vectors):
        store_first(z + v * WIDTH, sums[v], left)
