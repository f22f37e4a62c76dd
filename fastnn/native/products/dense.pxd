"""The dense layer z = x W + b: its three matrix products.

Shapes, for a block of m rows: x (m, n_in) and z (m, n_out) with the row strides `in_stride` and
`stride`; W (n_in, n_out) with row stride `stride`; b (n_out). The gradients dx, dz, dW, db have
the shapes of x, z, W, b. Between n_out and `stride` W and b hold zeros; rows of x and z, and of
their gradients, do so as far as `columns`, and what follows there is never read.
"""

from fastnn.native.simd.simd cimport (
    WIDTH, descended, load, load_first, real, spread, store, transpose_square, vec,
)
from fastnn.native.products.tiles cimport (
    DESCEND, PUT, PUT_BIASED, PUT_BIASED_RELU, PUT_MASKED, Epilogue, Product,
)

cdef enum:  # longer rows are padded to a multiple of it, and W and b begin at one
    LINE = 16  # the columns of W^T then begin at a border of the cache

cdef struct Layer:  # one row of the layer table, which is int64 on every machine
    long long n_in, in_stride, n_out, stride
    long long W, b  # where they begin in the parameters; b is -1 in a layer without bias
    long long activation
    long long x, z  # where, in a row of the stack, the layer's inputs and outputs begin
    long long kept  # and what the activation's derivative is taken from
    long long drop  # the share of its inputs that dropout leaves out, times 2^32
    long long narrow  # the same in all layers: whether there is one row per lane, see `narrow.pxd`


# ---- a block of rows --------------------------------------------------------------------------

cdef inline Py_ssize_t columns(Py_ssize_t n, Py_ssize_t stride) noexcept nogil:
    """n with its padding up to a line: what a product computes of a row of `stride` numbers"""
    return min((n + LINE - 1) // LINE * LINE, stride)


cdef inline Product forward(
    const Layer* layer, const real* parameters, const real* x, real* z, Py_ssize_t m, bint relu
) noexcept nogil:
    """z := x W + b, or relu(x W + b); relu takes a layer with a bias"""
    cdef Product p
    p.A, p.sm, p.sk = x, layer.in_stride, 1
    p.B, p.ldb = parameters + layer.W, layer.stride
    p.C, p.ldc = z, layer.stride
    p.M, p.N, p.K = m, columns(layer.n_out, layer.stride), layer.n_in
    p.bias = parameters + layer.b if layer.b >= 0 else NULL
    p.guard, p.rate = NULL, 0
    p.epilogue = PUT if layer.b < 0 else PUT_BIASED_RELU if relu else PUT_BIASED
    return p


cdef inline Product input_gradient(
    const Layer* layer, const real* W_transposed, const real* dz, real* dx, const real* x,
    Py_ssize_t m, bint relu,
) noexcept nogil:
    """dx := dz W^T, or the same where x > 0: then x is relu(z) of the layer below, dx its dz"""
    cdef Product p
    p.A, p.sm, p.sk = dz, layer.stride, 1
    p.B, p.ldb = W_transposed, layer.in_stride
    p.C, p.ldc = dx, layer.in_stride
    p.M, p.N, p.K = m, columns(layer.n_in, layer.in_stride), layer.n_out
    p.bias, p.guard, p.rate = NULL, x, 0
    p.epilogue = PUT_MASKED if relu else PUT
    return p


cdef inline Product input_gradient_transposed(
    const Layer* layer, const real* parameters, const real* dz_transposed, real* dx_transposed,
    Py_ssize_t m, Py_ssize_t stride,
) noexcept nogil:
    """dx^T := W dz^T, the same sums, of m numbers a row"""
    cdef Product p
    p.A, p.sm, p.sk = parameters + layer.W, layer.stride, 1
    p.B, p.ldb = dz_transposed, stride
    p.C, p.ldc = dx_transposed, stride
    p.M, p.N, p.K = layer.n_in, m, layer.n_out
    p.bias, p.guard, p.rate = NULL, NULL, 0
    p.epilogue = PUT
    return p


cdef inline Product weight_gradient(
    const Layer* layer, const real* x, const real* dz, Py_ssize_t m, real* target,
    Epilogue epilogue, real rate, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Rows first to last of dW := x^T dz + dW (ADD) or of W := W - rate * x^T dz (DESCEND)"""
    cdef Product p
    p.A, p.sm, p.sk = x + first, 1, layer.in_stride
    p.B, p.ldb = dz, layer.stride
    p.C, p.ldc = target + layer.W + first * layer.stride, layer.stride
    p.M, p.N, p.K = last - first, columns(layer.n_out, layer.stride), m
    p.bias, p.guard, p.rate = NULL, NULL, rate
    p.epilogue = epilogue
    return p


cdef inline void bias_gradient(
    const Layer* layer, const real* dz, Py_ssize_t m, real* target, Epilogue epilogue, real rate,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Columns first to last of db := sum_r dz_r + db (ADD) or b := b - rate * sum_r dz_r (DESCEND)

    Added up over r mod 4, so that no addition waits for the one before; rows shorter than a vector
    over the lanes that hold a unit.
    """
    cdef real* db = target + layer.b
    cdef real total, scale = rate if epilogue == DESCEND else -1
    cdef real lanes[16]
    cdef Py_ssize_t j = first, lane, stride = layer.stride
    while j + WIDTH <= last:
        store(db + j, descended(load(db + j), scale, column_sums(dz + j, stride, m)))
        j += WIDTH
    if stride < WIDTH and first < last:
        store(lanes, lane_totals(dz, m * stride))
        for j in range(stride):
            total, lane = 0, j
            while lane < WIDTH:
                total += lanes[lane]
                lane += stride
            db[j] -= scale * total


cdef inline vec column_sums(const real* dz, Py_ssize_t stride, Py_ssize_t m) noexcept nogil:
    """sum_r dz_r of WIDTH columns"""
    cdef vec totals[4]
    cdef Py_ssize_t r = 0
    cdef int q
    for q in range(4):
        totals[q] = spread(0)
    while r + 4 <= m:
        for q in range(4):
            totals[q] = totals[q] + load(dz + (r + q) * stride)
        r += 4
    while r < m:
        totals[r % 4] = totals[r % 4] + load(dz + r * stride)
        r += 1
    return (totals[0] + totals[1]) + (totals[2] + totals[3])


cdef inline vec lane_totals(const real* dz, Py_ssize_t n) noexcept nogil:
    """The sum of all vectors of n numbers"""
    cdef vec totals = spread(0)
    cdef Py_ssize_t i = 0
    while i < n:
        totals = totals + load_first(dz + i, n - i, 0)
        i += WIDTH
    return totals


cdef inline void transpose(
    const real* a, Py_ssize_t lda, Py_ssize_t m, Py_ssize_t n, real* b, Py_ssize_t ldb,
    Py_ssize_t padded,
) noexcept nogil:
    """b := a^T, where a is (m, n) and b (n, m), with zeros up to the column `padded`

    Rows of a are read in whole vectors, b is written up to `padded`.
    """
    cdef Py_ssize_t i = 0, j
    while lda >= WIDTH and i + WIDTH <= m:
        j = 0
        while j < n:
            transpose_square(a + i * lda + j, lda, b + j * ldb + i, ldb, n - j)
            j += WIDTH
        i += WIDTH
    for i in range(i, padded):
        for j in range(n):
            b[j * ldb + i] = a[i * lda + j] if i < m else 0
