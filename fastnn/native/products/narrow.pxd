"""Dense layers of a narrow network (`engine/network.py` says which are): one row in each lane.

x and z, dx and dz hold unit j of row r at [j * lanes + r]; `lanes` is the number of rows, rounded
up to whole vectors. So a vector is one unit of WIDTH rows, which no width leaves half empty.
A product over units is added up in their order. A gradient is added up over rows, each lane by
itself, and the lanes at the end: the order depends on a row's place in its block alone.
"""

from fastnn.native.products.dense cimport Layer
from fastnn.native.simd.simd cimport (
    WIDTH, descended, lane_sums, load, load_first, not_negative, real, spread, store, store_first,
    vec, where_positive,
)
from fastnn.native.products.tiles cimport (
    DESCEND, PUT, PUT_BIASED, PUT_BIASED_RELU, PUT_MASKED, Epilogue, Product,
)

cdef inline Py_ssize_t whole_vectors(Py_ssize_t m) noexcept nogil:
    """m, rounded up to a multiple of WIDTH"""
    return (m + WIDTH - 1) // WIDTH * WIDTH


# ---- products over units ----------------------------------------------------------------------

cdef inline Product forward_units(
    const Layer* layer, const real* parameters, const real* x, real* z, Py_ssize_t lanes, bint relu
) noexcept nogil:
    """z := W^T x + b, or relu(W^T x + b)"""
    cdef Product p
    p.A, p.sm, p.sk = parameters + layer.W, 1, layer.stride
    p.B, p.ldb = x, lanes
    p.C, p.ldc = z, lanes
    p.M, p.N, p.K = layer.n_out, lanes, layer.n_in
    p.bias = parameters + layer.b if layer.b >= 0 else NULL
    p.guard, p.rate = NULL, 0
    p.epilogue = PUT_BIASED_RELU if relu else PUT_BIASED
    return p


cdef inline Product input_gradient_units(
    const Layer* layer, const real* parameters, const real* dz, real* dx, const real* x,
    Py_ssize_t lanes, bint relu,
) noexcept nogil:
    """dx := W dz, or the same where x > 0: then x is relu(z) of the layer below, dx its dz"""
    cdef Product p
    p.A, p.sm, p.sk = parameters + layer.W, layer.stride, 1
    p.B, p.ldb = dz, lanes
    p.C, p.ldc = dx, lanes
    p.M, p.N, p.K = layer.n_in, lanes, layer.n_out
    p.bias, p.guard, p.rate = NULL, x, 0
    p.epilogue = PUT_MASKED if relu else PUT
    return p


cdef inline void multiply_units(const Product* p) noexcept nogil:
    """C := epilogue(A B), the bias one number a row of C"""
    cdef Py_ssize_t i = 0
    while p.M - i >= 8:
        tile_of_units(p, i, 8)
        i += 8
    if p.M - i >= 4:
        tile_of_units(p, i, 4)
        i += 4
    if p.M - i >= 2:
        tile_of_units(p, i, 2)
        i += 2
    if p.M - i >= 1:
        tile_of_units(p, i, 1)


cdef inline void tile_of_units(const Product* p, Py_ssize_t i, const int units) noexcept nogil:
    """Rows i to i+units of C"""
    cdef vec sums[8]
    cdef vec b
    cdef const real* A
    cdef Py_ssize_t k, r = 0, sm = p.sm, lanes = p.N
    cdef int u
    while r < lanes:
        for u in range(units):
            sums[u] = spread(0) if p.bias == NULL else spread(p.bias[i + u])
        A = p.A + i * sm
        for k in range(p.K):
            b = load(p.B + k * lanes + r)
            for u in range(units):
                sums[u] = sums[u] + b * spread(A[u * sm])
            A += p.sk
        if p.epilogue == PUT_BIASED_RELU:
            for u in range(units):
                sums[u] = not_negative(sums[u])
        elif p.epilogue == PUT_MASKED:
            for u in range(units):
                sums[u] = where_positive(load(p.guard + (i + u) * lanes + r), sums[u])
        for u in range(units):
            store(p.C + (i + u) * lanes + r, sums[u])
        r += WIDTH


# ---- sums over rows ---------------------------------------------------------------------------

cdef inline void gradient_units(
    const Layer* layer, const real* x, const real* dz, Py_ssize_t lanes, real* target,
    Epilogue epilogue, real rate,
) noexcept nogil:
    """dW := x dz^T + dW, db := sum_r dz_r + db (ADD), or the same as a step of W and b (DESCEND)"""
    cdef vec totals[96]  # of W in rows of `stride`, then of b, then zeros up to a whole vector
    cdef real sums[96]
    cdef real scale = rate if epilogue == DESCEND else -1
    cdef Py_ssize_t i, j, n = layer.n_in * layer.stride
    for i in range(layer.n_in + 1):
        for j in range(layer.n_out, layer.stride):
            totals[i * layer.stride + j] = spread(0)
    for i in range(n + layer.stride, whole_vectors(n + layer.stride)):
        totals[i] = spread(0)
    i = 0
    while i < layer.n_in:
        gradient_rows(layer, x + i * lanes, dz, lanes, totals + i * layer.stride, layer.n_in - i)
        i += 2
    bias_totals(layer, dz, lanes, totals + n)
    i = 0
    while i < n + layer.stride:
        store(sums + i, lane_sums(totals + i))
        i += WIDTH
    descend_along(sums, target + layer.W, n, scale)
    if layer.b >= 0:
        descend_along(sums + n, target + layer.b, layer.stride, scale)


cdef inline void bias_totals(
    const Layer* layer, const real* dz, Py_ssize_t lanes, vec* totals
) noexcept nogil:
    """totals_j := sum_r dz_j, lane by lane"""
    cdef vec sums
    cdef Py_ssize_t j, r
    for j in range(layer.n_out):
        sums = spread(0)
        r = 0
        while r < lanes:
            sums = sums + load(dz + j * lanes + r)
            r += WIDTH
        totals[j] = sums


cdef inline void gradient_rows(
    const Layer* layer, const real* x, const real* dz, Py_ssize_t lanes, vec* totals,
    Py_ssize_t left,
) noexcept nogil:
    """The totals of the first two rows of dW, or of the last one if only one is left"""
    cdef Py_ssize_t j = 0, stride = layer.stride
    while layer.n_out - j >= 4:
        if left >= 2:
            tile_of_totals(x, dz + j * lanes, lanes, totals + j, stride, 2, 4)
        else:
            tile_of_totals(x, dz + j * lanes, lanes, totals + j, stride, 1, 4)
        j += 4
    while j < layer.n_out:
        if left >= 2:
            tile_of_totals(x, dz + j * lanes, lanes, totals + j, stride, 2, 1)
        else:
            tile_of_totals(x, dz + j * lanes, lanes, totals + j, stride, 1, 1)
        j += 1


cdef inline void tile_of_totals(
    const real* x, const real* dz, Py_ssize_t lanes, vec* totals, Py_ssize_t stride,
    const int rows, const int columns,
) noexcept nogil:
    """totals_ij := sum_r x_i dz_j, lane by lane"""
    cdef vec sums[8]
    cdef vec x_i
    cdef Py_ssize_t r = 0
    cdef int i, j
    for i in range(rows * columns):
        sums[i] = spread(0)
    while r < lanes:
        for i in range(rows):
            x_i = load(x + i * lanes + r)
            for j in range(columns):
                sums[i * columns + j] = sums[i * columns + j] + x_i * load(dz + j * lanes + r)
        r += WIDTH
    for i in range(rows):
        for j in range(columns):
            totals[i * stride + j] = sums[i * columns + j]


cdef inline void descend_along(
    const real* dw, real* w, Py_ssize_t n, real scale
) noexcept nogil:
    """w := w - scale * dw"""
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(
            w + i,
            descended(load_first(w + i, n - i, 0), scale, load_first(dw + i, n - i, 0)), n - i,
        )
        i += WIDTH
