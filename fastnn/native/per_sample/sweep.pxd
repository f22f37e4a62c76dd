"""The first layer in one sweep: the step of one sample and the forward pass of the next."""

from fastnn.native.simd.simd cimport WIDTH, load_first, real, spread, store_first, vec


cdef inline void sweep_rows(
    real* W, Py_ssize_t stride, const real* x, const real* step, const real* x_next,
    const real* start, real* z, Py_ssize_t n_in, Py_ssize_t n_columns,
) noexcept nogil:
    """W := W + x step^T, then z := start + x_next W"""
    cdef Py_ssize_t j = 0, vectors
    while j < n_columns:
        vectors = (n_columns - j) // WIDTH
        if vectors >= 4:
            sweep_tile(
                W + j, stride, x, step + j, x_next, start + j, z + j, n_in, 4, WIDTH
            )
            j += 4 * WIDTH
        elif vectors >= 2:
            sweep_tile(
                W + j, stride, x, step + j, x_next, start + j, z + j, n_in, 2, WIDTH
            )
            j += 2 * WIDTH
        else:
            sweep_tile(
                W + j, stride, x, step + j, x_next, start + j, z + j, n_in, 1, n_columns - j
            )
            j += WIDTH


cdef inline void sweep_tile(
    real* W, Py_ssize_t stride, const real* x, const real* step, const real* x_next,
    const real* start, real* z, Py_ssize_t n_in, const int vectors, Py_ssize_t left,
) noexcept nogil:
    """Some columns of it, the last vector `left` wide"""
    cdef vec sums[4]
    cdef vec steps[4]
    cdef vec w
    cdef Py_ssize_t i
    cdef int v
    for v in range(vectors):
        sums[v] = load_first(start + v * WIDTH, left, 0)
        steps[v] = load_first(step + v * WIDTH, left, 0)
    for i in range(n_in):
        for v in range(vectors):
            w = load_first(W + v * WIDTH, left, 0) + spread(x[i]) * steps[v]
            store_first(W + v * WIDTH, w, left)
            sums[v] = sums[v] + spread(x_next[i]) * w
        W += stride
    for v in range(vectors):
        store_first(z + v * WIDTH, sums[v], left)
