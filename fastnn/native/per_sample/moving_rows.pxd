"""Steps of rows of W under a rule that moves every row, whatever x is: momentum, decay, Adam."""

from fastnn.native.simd.simd cimport (
    WIDTH, lane_sums, load, load_beside, load_first, real, spread, store, store_first, vec,
)
from fastnn.native.formulas.update cimport MOMENTUM, PLAIN, Method, Motion, moved
from fastnn.native.per_sample.active_rows cimport scale_row


cdef inline void descend_moving(
    real* W, real* slots, Py_ssize_t stride, const real* x, const real* dz, const Motion* m,
    real* dx, Py_ssize_t n_in, Py_ssize_t n_columns,
) noexcept nogil:
    """dx := W dz, then a step of W along dW = x dz^T; slots are NULL if the rule keeps nothing

    dx has room for a vector more.
    """
    cdef vec sums[16]
    cdef Py_ssize_t i = 0, r
    while i < n_in:
        for r in range(WIDTH):
            sums[r] = spread(0)
        for r in range(min(WIDTH, n_in - i)):
            sums[r] = move_row(W, slots, x[i + r], dz, m, n_columns)
            W += stride
            slots = NULL if slots == NULL else slots + stride
        store(dx + i, lane_sums(sums))
        i += WIDTH


cdef inline vec move_row(
    real* w, real* slots, real x, const real* dz, const Motion* m, Py_ssize_t n_columns
) noexcept nogil:
    """A step of w along dw = x dz; returns what w dz was, lane by lane"""
    if m.method == PLAIN:
        return move_row_by(w, slots, x, dz, m, n_columns, PLAIN)
    if m.method == MOMENTUM:
        return move_row_by(w, slots, x, dz, m, n_columns, MOMENTUM)
    return move_row_by(w, slots, x, dz, m, n_columns, m.method)


cdef inline vec move_row_by(
    real* w, real* slots, real x, const real* dz, const Motion* m, Py_ssize_t n_columns,
    const Method method,
) noexcept nogil:
    """The same, the usual methods as constants"""
    cdef vec w_j, dz_j, total = spread(0)
    cdef Py_ssize_t j = 0, left
    while j < n_columns:
        left = n_columns - j
        w_j, dz_j = load_first(w + j, left, 0), load_first(dz + j, left, 0)
        total = total + w_j * dz_j
        w_j = moved(
            w_j, spread(x) * dz_j, NULL if slots == NULL else slots + j, left, m, method
        )
        store_first(w + j, w_j, left)
        j += WIDTH
    return total


cdef inline void descend_plain(
    real* W, Py_ssize_t stride, const real* x, const real* dz, const Motion* m, real* dx,
    Py_ssize_t n_in, Py_ssize_t n_columns,
) noexcept nogil:
    """`descend_moving` for plain steps with decay or l1: whole vectors, and no slots"""
    cdef Motion own = m[0]  # no store to W can change it, so it stays in registers
    cdef vec sums[16]
    cdef vec w, x_i
    cdef Py_ssize_t i = 0, r
    while i < n_in:
        if stride == 1:  # a single unit, whose weights lie side by side
            w, x_i = load_first(W + i, n_in - i, 0), load_first(x + i, n_in - i, 0)
            store(dx + i, w * spread(dz[0]))
            w = moved(w, x_i * spread(dz[0]), NULL, n_in - i, &own, PLAIN)
            store_first(W + i, w, n_in - i)
        else:
            for r in range(WIDTH):
                sums[r] = spread(0)
            for r in range(min(WIDTH, n_in - i)):
                sums[r] = move_plain_row(W, x[i + r], dz, &own, n_columns)
                W += stride
            store(dx + i, lane_sums(sums))
        i += WIDTH


cdef inline vec move_plain_row(
    real* w, real x, const real* dz, const Motion* m, Py_ssize_t n_columns
) noexcept nogil:
    """A plain step of w along dw = x dz; returns what w dz was, lane by lane

    The zeros behind the last dz cancel weights of the next row.
    """
    cdef vec w_j, dz_j, total = spread(0)
    cdef Py_ssize_t j = 0
    while j + WIDTH <= n_columns:
        w_j, dz_j = load(w + j), load(dz + j)
        total = total + w_j * dz_j
        store(w + j, moved(w_j, spread(x) * dz_j, NULL, WIDTH, m, PLAIN))
        j += WIDTH
    if j < n_columns:
        w_j, dz_j = load_beside(w + j, n_columns - j), load_first(dz + j, n_columns - j, 0)
        total = total + w_j * dz_j
        w_j = moved(w_j, spread(x) * dz_j, NULL, n_columns - j, m, PLAIN)
        store_first(w + j, w_j, n_columns - j)
    return total


cdef inline void mix(
    real* w, real* v, Py_ssize_t n, real w_w, real w_v, real v_w, real v_v
) noexcept nogil:
    """w, v := w_w w + w_v v, v_w w + v_v v; v is NULL if there is none"""
    cdef vec w_j, v_j
    cdef Py_ssize_t j = 0
    if v == NULL:
        scale_row(w_w, w, n)
        return
    while j < n:
        w_j, v_j = load_first(w + j, n - j, 0), load_first(v + j, n - j, 0)
        store_first(w + j, spread(w_w) * w_j + spread(w_v) * v_j, n - j)
        store_first(v + j, spread(v_w) * w_j + spread(v_v) * v_j, n - j)
        j += WIDTH


cdef inline void multiply_numbers(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    """y := x y, number by number"""
    cdef Py_ssize_t j
    for j in range(n):
        y[j] *= x[j]
