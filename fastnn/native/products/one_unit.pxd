"""A dense layer of one unit, z = x w + b: two of its products as vectors along the row of x.

Tiles keep one column of C in each vector's first lane and leave the other lanes idle. Here a row's
sum runs in the lanes, over j mod WIDTH, and they are added at its end; a weight's gradient is
added up over r mod 4 and these four at the end. Both orders depend on the shape alone.
"""

from fastnn.native.products.dense cimport Layer
from fastnn.native.simd.simd cimport (
    WIDTH, descended, lane_sums, load_first, real, spread, store_first, vec,
)
from fastnn.native.products.tiles cimport DESCEND, Epilogue


cdef inline void forward_unit(
    const Layer* layer, const real* parameters, const real* x, real* z, Py_ssize_t m
) noexcept nogil:
    """z := x w + b, WIDTH rows at a time; places behind the last row take the last row again"""
    cdef vec sums[16]
    cdef vec w
    cdef vec b = spread(parameters[layer.b] if layer.b >= 0 else 0)
    cdef const real* x_r
    cdef Py_ssize_t r = 0, j, left
    cdef int row
    while r < m:
        for row in range(WIDTH):
            sums[row] = spread(0)
        j = 0
        while j < layer.n_in:
            left = layer.n_in - j
            w = load_first(parameters + layer.W + j, left, 0)
            for row in range(WIDTH):
                x_r = x + min(r + row, m - 1) * layer.in_stride + j
                sums[row] = sums[row] + load_first(x_r, left, 0) * w
            j += WIDTH
        store_first(z + r, lane_sums(sums) + b, m - r)
        r += WIDTH


cdef inline void weight_gradient_unit(
    const Layer* layer, const real* x, const real* dz, Py_ssize_t m, real* target,
    Epilogue epilogue, real rate, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Numbers first to last of dw := x^T dz + dw (ADD) or of w := w - rate * x^T dz (DESCEND)"""
    cdef vec sums[4]
    cdef vec w
    cdef real* target_i
    cdef Py_ssize_t r, i = first, left
    cdef int q
    while i < last:
        left = last - i
        for q in range(4):
            sums[q] = spread(0)
        r = 0
        while r + 4 <= m:
            for q in range(4):
                sums[q] = sums[q] + spread(dz[r + q]) * load_first(
                    x + (r + q) * layer.in_stride + i, left, 0
                )
            r += 4
        while r < m:
            sums[r % 4] = sums[r % 4] + spread(dz[r]) * load_first(
                x + r * layer.in_stride + i, left, 0
            )
            r += 1
        target_i = target + layer.W + i
        sums[0] = (sums[0] + sums[1]) + (sums[2] + sums[3])
        w = load_first(target_i, left, 0)
        w = descended(w, rate, sums[0]) if epilogue == DESCEND else w + sums[0]
        store_first(target_i, w, left)
        i += WIDTH
