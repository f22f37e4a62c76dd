"""Per-sample descent of a tiny network: a row of weights is one short vector, an octet.

Where no layer is wider than 8, nothing is long enough for a loop over columns: what counts is the
chain of dependent steps that leads from one sample's weights to the next one's. So W is held twice,
as rows W_i of n_out lanes and as rows W^T_j of n_in lanes; then z and dx are both sums of rows, and
no lanes need to be added up. Both move by the same products and stay equal to the last bit.
"""

from fastnn.kernels.dense cimport Layer
from fastnn.kernels.simd cimport octet, real, spread_octet

cdef enum:
    OCTET = 8

cdef struct TinyLayer:
    octet W[8]
    octet W_t[8]
    octet b
    octet z, a, dz  # of the current sample
    octet step  # -rate * dz


cdef inline void load_tiny(
    const Layer* layer, const real* parameters, TinyLayer* t
) noexcept nogil:
    """The layer's weights, with zeros in all other lanes"""
    cdef Py_ssize_t i, j
    cdef real w
    t.b = t.z = t.a = t.dz = t.step = spread_octet(0)
    for i in range(OCTET):
        t.W[i] = t.W_t[i] = t.b
    for j in range(layer.n_out):
        for i in range(layer.n_in):
            w = parameters[layer.W + i * layer.stride + j]
            (<real*>&t.W[i])[j] = (<real*>&t.W_t[j])[i] = w
        (<real*>&t.b)[j] = parameters[layer.b + j] if layer.b >= 0 else 0


cdef inline void store_tiny(
    const Layer* layer, real* parameters, const TinyLayer* t
) noexcept nogil:
    """The weights back to their place"""
    cdef Py_ssize_t i, j
    for j in range(layer.n_out):
        for i in range(layer.n_in):
            parameters[layer.W + i * layer.stride + j] = (<const real*>&t.W[i])[j]
        if layer.b >= 0:
            parameters[layer.b + j] = (<const real*>&t.b)[j]


cdef inline octet sum_of_rows(
    const octet* rows, const real* x, const Py_ssize_t n, octet start
) noexcept nogil:
    """start + sum_i x_i rows_i, in two chains"""
    cdef octet other = spread_octet(0)
    cdef Py_ssize_t i = 0
    while i + 2 <= n:
        start = start + spread_octet(x[i]) * rows[i]
        other = other + spread_octet(x[i + 1]) * rows[i + 1]
        i += 2
    if i < n:
        start = start + spread_octet(x[i]) * rows[i]
    return start + other


cdef inline octet sum_rows(
    const octet* rows, const real* x, Py_ssize_t n, octet start
) noexcept nogil:
    """The same, without a loop where all eight rows or one is used"""
    if n == OCTET:
        return sum_of_rows(rows, x, OCTET, start)
    if n == 1:
        return sum_of_rows(rows, x, 1, start)
    return sum_of_rows(rows, x, n, start)


cdef inline void move_rows_of(
    octet* rows, const real* x, const Py_ssize_t n, octet step
) noexcept nogil:
    """rows_i := rows_i + x_i step"""
    cdef Py_ssize_t i
    for i in range(n):
        rows[i] = rows[i] + spread_octet(x[i]) * step


cdef inline void descend_tiny(
    const Layer* layer, TinyLayer* t, const real* x, real rate
) noexcept nogil:
    """step := -rate dz, W := W + x step^T, b := b + step"""
    t.step = spread_octet(-rate) * t.dz
    if layer.n_in == OCTET:
        move_rows_of(t.W, x, OCTET, t.step)
    else:
        move_rows_of(t.W, x, layer.n_in, t.step)
    if layer.b >= 0:
        t.b = t.b + t.step


cdef inline void transposed_descend_tiny(
    const Layer* layer, TinyLayer* t, octet x
) noexcept nogil:
    """W^T := W^T + step x^T"""
    cdef const real* step = <const real*>&t.step
    if layer.n_out == OCTET:
        move_rows_of(t.W_t, step, OCTET, x)
    else:
        move_rows_of(t.W_t, step, layer.n_out, x)
