"""A narrow output layer, held output-major: W^T, with a row of n_in weights for each unit."""

from fastnn.native.simd.simd cimport (
    WIDTH, lane_sum, lane_sums, load_first, real, spread, store_first, vec,
)


cdef inline void forward_held(
    const real* W_t, Py_ssize_t ld, const real* x, const real* start, real* z, Py_ssize_t n_in,
    Py_ssize_t n_out,
) noexcept nogil:
    """z := start + W^T x"""
    cdef vec sums[16]
    cdef Py_ssize_t j = 0, left
    cdef int u
    if n_out == 1:
        dot_rows(W_t, ld, x, n_in, sums, 1)
        z[0] = start[0] + lane_sum(sums[0])
        return
    while j < n_out:
        left = min(WIDTH, n_out - j)
        for u in range(WIDTH):
            sums[u] = spread(0)
        u = 0
        while left - u >= 4:
            dot_rows(W_t + (j + u) * ld, ld, x, n_in, sums + u, 4)
            u += 4
        while left - u >= 1:
            dot_rows(W_t + (j + u) * ld, ld, x, n_in, sums + u, 1)
            u += 1
        store_first(z + j, load_first(start + j, left, 0) + lane_sums(sums), left)
        j += WIDTH


cdef inline void dot_rows(
    const real* W_t, Py_ssize_t ld, const real* x, Py_ssize_t n_in, vec* sums, const int units
) noexcept nogil:
    """sums_u := W^T_u x, lane by lane"""
    cdef vec totals[4]
    cdef Py_ssize_t i = 0
    cdef int u
    for u in range(units):
        totals[u] = spread(0)
    while i + WIDTH <= n_in:
        dot_step(W_t + i, ld, x + i, WIDTH, totals, units)
        i += WIDTH
    if i < n_in:
        dot_step(W_t + i, ld, x + i, n_in - i, totals, units)
    for u in range(units):
        sums[u] = totals[u]


cdef inline void dot_step(
    const real* W_t, Py_ssize_t ld, const real* x, const Py_ssize_t left, vec* totals,
    const int units,
) noexcept nogil:
    """totals_u := totals_u + W^T_u x of the next vector of numbers"""
    cdef vec x_i = load_first(x, left, 0)
    cdef int u
    for u in range(units):
        totals[u] = totals[u] + load_first(W_t + u * ld, left, 0) * x_i


cdef inline void descend_held(
    real* W_t, Py_ssize_t ld, const real* x, const real* dz, real scale, real* dx,
    Py_ssize_t n_in, Py_ssize_t n_out,
) noexcept nogil:
    """dx := W dz, then W^T := W^T + scale dz x^T"""
    cdef Py_ssize_t i = 0
    while i + WIDTH <= n_in:
        descend_held_step(W_t + i, ld, x + i, dz, scale, dx + i, WIDTH, n_out)
        i += WIDTH
    if i < n_in:
        descend_held_step(W_t + i, ld, x + i, dz, scale, dx + i, n_in - i, n_out)


cdef inline void descend_held_step(
    real* W_t, Py_ssize_t ld, const real* x, const real* dz, real scale, real* dx,
    const Py_ssize_t left, Py_ssize_t n_out,
) noexcept nogil:
    """The step of one vector of units, and their dx"""
    cdef vec w, x_i = spread(scale) * load_first(x, left, 0), even = spread(0), odd = spread(0)
    cdef Py_ssize_t u = 0
    while u + 2 <= n_out:
        w = load_first(W_t, left, 0)
        even = even + spread(dz[u]) * w
        store_first(W_t, w + spread(dz[u]) * x_i, left)
        w = load_first(W_t + ld, left, 0)
        odd = odd + spread(dz[u + 1]) * w
        store_first(W_t + ld, w + spread(dz[u + 1]) * x_i, left)
        W_t += 2 * ld
        u += 2
    if u < n_out:
        w = load_first(W_t, left, 0)
        even = even + spread(dz[u]) * w
        store_first(W_t, w + spread(dz[u]) * x_i, left)
    store_first(dx, even + odd, left)
