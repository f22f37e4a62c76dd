"""Per-sample descent of a tiny network: a row of weights is one short vector, an octet.

Where no layer is wider than 8, nothing is long enough for a loop over columns: what counts is the
chain of dependent steps that leads from one sample's weights to the next one's. So W is held twice,
as rows W_i of n_out lanes and as rows W^T_j of n_in lanes; then z and dx are both sums of rows, and
no lanes need to be added up. Both move by the same products and stay equal to the last bit.
"""

from fastnn.native.products.dense cimport Layer
from fastnn.native.simd.simd cimport octet, real, spread_lane, spread_octet

cdef enum:
    OCTET = 8

cdef struct TinyLayer:
    octet W[8]
    octet W_t[8]
    octet b


cdef inline void load_tiny(
    const Layer* layer, const real* parameters, TinyLayer* t
) noexcept nogil:
    """The layer's weights, with zeros in all other lanes"""
    cdef Py_ssize_t i, j
    cdef real w
    t.b = spread_octet(0)
    for i in range(OCTET):
        t.W[i] = t.W_t[i] = t.b
    for j in range(layer.n_out):
        for i in range(layer.n_in):
            w = parameters[layer.W + i * layer.stride + j]
            (<real*>&t.W[i])[j] = (<real*>&t.W_t[j])[i] = w
        (<real*>&t.b)[j] = parameters[layer.b + j] if layer.b >= 0 else 0


cdef inline void store_tiny(
    const Layer* layer, real* parameters, const TinyLayer* t, bint transposed
) noexcept nogil:
    """The weights back to their place, from W or from W^T"""
    cdef Py_ssize_t i, j
    cdef real* W = parameters + layer.W
    for j in range(layer.n_out):
        for i in range(layer.n_in):
            W[i * layer.stride + j] = (
                (<const real*>&t.W_t[j])[i] if transposed else (<const real*>&t.W[i])[j]
            )
        if layer.b >= 0:
            parameters[layer.b + j] = (<const real*>&t.b)[j]


cdef inline octet sum_rows(
    const octet* rows, octet x, Py_ssize_t n, octet start
) noexcept nogil:
    """start + sum_i x_i rows_i of the first n rows, behind which there are zeros"""
    cdef octet even = start + spread_lane(x, 0) * rows[0] + spread_lane(x, 2) * rows[2]
    cdef octet odd = spread_lane(x, 1) * rows[1] + spread_lane(x, 3) * rows[3]
    if n <= 4:
        return even + odd
    return (even + odd) + (
        (spread_lane(x, 4) * rows[4] + spread_lane(x, 6) * rows[6])
        + (spread_lane(x, 5) * rows[5] + spread_lane(x, 7) * rows[7])
    )


cdef inline void move_rows_of(octet* rows, octet x, Py_ssize_t n, octet step) noexcept nogil:
    """rows_i := rows_i + x_i step"""
    cdef int i
    for i in range(4):
        rows[i] = rows[i] + spread_lane(x, i) * step
    if n > 4:
        for i in range(4, 8):
            rows[i] = rows[i] + spread_lane(x, i) * step
