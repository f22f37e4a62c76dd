"""The products of a block's rows with each other: G_kj = x_k . x_j + 1."""

from fastnn.native.simd.simd cimport WIDTH, lane_sums, load_first, real, spread, store, vec


cdef inline void gram(
    const real* x, Py_ssize_t stride, Py_ssize_t n_in, real plus, real* G, Py_ssize_t ld,
    Py_ssize_t m,
) noexcept nogil:
    """G_kj := x_k x_j + plus for j <= k of m rows

    Up to 3 numbers in a row and 3 rows more are written, which mean nothing.
    """
    cdef Py_ssize_t k = 0, j
    while k < m:
        j = 0
        while j <= k:
            gram_tile(x + k * stride, x + j * stride, stride, n_in, plus, G + k * ld + j, ld)
            j += 4
        k += 4


cdef inline void gram_tile(
    const real* x, const real* y, Py_ssize_t stride, Py_ssize_t n_in, real plus, real* G,
    Py_ssize_t ld,
) noexcept nogil:
    """G := x y^T + plus, 4 x 4"""
    cdef vec sums[16]
    cdef real totals[16]
    cdef Py_ssize_t i = 0
    cdef int k, j
    for k in range(16):
        sums[k] = spread(0)
    while i + WIDTH <= n_in:
        gram_step(x + i, y + i, stride, WIDTH, sums)
        i += WIDTH
    if i < n_in:
        gram_step(x + i, y + i, stride, n_in - i, sums)
    k = 0
    while k < 16:
        store(totals + k, lane_sums(sums + k))
        k += WIDTH
    for k in range(4):
        for j in range(4):
            G[k * ld + j] = totals[4 * k + j] + plus


cdef inline void gram_step(
    const real* x, const real* y, Py_ssize_t stride, const Py_ssize_t left, vec* sums
) noexcept nogil:
    """sums_kj := sums_kj + x_k y_j of the next vector of numbers"""
    cdef vec y_i[4]
    cdef vec x_i
    cdef int k, j
    for j in range(4):
        y_i[j] = load_first(y + j * stride, left, 0)
    for k in range(4):
        x_i = load_first(x + k * stride, left, 0)
        for j in range(4):
            sums[4 * k + j] = sums[4 * k + j] + x_i * y_i[j]
