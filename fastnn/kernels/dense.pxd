"""The dense layer z = x W + b: its three matrix products, and the same for a single row.

Shapes, for a block of m rows: x (m, n_in) and z (m, n_out) with the row strides `in_stride` and
`stride`; W (n_in, n_out) with row stride `stride`; b (n_out). The gradients dx, dz, dW, db have
the shapes of x, z, W, b. The padding between n_out and `stride` is zero in all of them.
"""

from fastnn.kernels.simd cimport WIDTH, lane_sum, load, real, spread, store, transpose_square, vec
from fastnn.kernels.tiles cimport (
    DESCEND, PUT, PUT_BIASED, PUT_BIASED_RELU, PUT_MASKED, Epilogue, Product,
)

cdef struct Layer:  # one row of the layer table, which is int64 on every machine
    long long n_in, in_stride, n_out, stride
    long long W, b  # where they begin in the parameters; b is -1 in a layer without bias
    long long activation
    long long x, z  # where, in a row of the stack, the layer's inputs and outputs begin


# ---- a block of rows --------------------------------------------------------------------------

cdef inline Product forward(
    const Layer* layer, const real* parameters, const real* x, real* z, Py_ssize_t m, bint relu
) noexcept nogil:
    """z := x W + b, or relu(x W + b); relu takes a layer with a bias"""
    cdef Product p
    p.A, p.sm, p.sk = x, layer.in_stride, 1
    p.B, p.ldb = parameters + layer.W, layer.stride
    p.C, p.ldc = z, layer.stride
    p.M, p.N, p.K = m, layer.stride, layer.n_in
    p.bias = parameters + layer.b if layer.b >= 0 else NULL
    p.guard, p.rate, p.packed = NULL, 0, NULL
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
    p.M, p.N, p.K = m, layer.in_stride, layer.n_out
    p.bias, p.guard, p.rate, p.packed = NULL, x, 0, NULL
    p.epilogue = PUT_MASKED if relu else PUT
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
    p.M, p.N, p.K = last - first, layer.stride, m
    p.bias, p.guard, p.rate, p.packed = NULL, NULL, rate, NULL
    p.epilogue = epilogue
    return p


cdef inline void bias_gradient(
    const Layer* layer, const real* dz, Py_ssize_t m, real* target, Epilogue epilogue, real rate
) noexcept nogil:
    """db := sum_r dz_r + db (ADD) or b := b - rate * sum_r dz_r (DESCEND)"""
    cdef real* db = target + layer.b
    cdef real total, scale = rate if epilogue == DESCEND else -1
    cdef vec totals
    cdef Py_ssize_t r, j = 0
    while j + WIDTH <= layer.stride:
        totals = spread(0)
        for r in range(m):
            totals = totals + load(dz + r * layer.stride + j)
        store(db + j, load(db + j) - spread(scale) * totals)
        j += WIDTH
    while j < layer.stride:
        total = 0
        for r in range(m):
            total += dz[r * layer.stride + j]
        db[j] -= scale * total
        j += 1


cdef inline void transpose(
    const Layer* layer, const real* parameters, real* W_transposed, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """W^T, (n_out, n_in) with row stride `in_stride`: columns first to last

    Those up to n_in bring along the padding, which is zero.
    """
    cdef const real* W = parameters + layer.W
    cdef Py_ssize_t stride = layer.stride, in_stride = layer.in_stride
    cdef Py_ssize_t n_in = layer.n_in, n_out = layer.n_out, i = first, j
    while stride >= WIDTH and i + WIDTH <= last:
        j = 0
        while j < n_out:
            transpose_square(
                W + i * stride + j, stride, W_transposed + j * in_stride + i, in_stride, n_out - j
            )
            j += WIDTH
        i += WIDTH
    for i in range(i, in_stride if last == n_in else last):
        for j in range(n_out):
            W_transposed[j * in_stride + i] = W[i * stride + j] if i < n_in else 0


# ---- one row ----------------------------------------------------------------------------------

cdef inline void add_scaled(real alpha, const real* x, real* y, Py_ssize_t n) noexcept nogil:
    """y := alpha*x + y"""
    cdef Py_ssize_t j
    for j in range(n):
        y[j] += alpha * x[j]


cdef inline real dot(const real* x, const real* y, Py_ssize_t n) noexcept nogil:
    """sum_j x_j y_j"""
    cdef vec sums = spread(0)
    cdef real total
    cdef Py_ssize_t j = 0
    while j + WIDTH <= n:
        sums = sums + load(x + j) * load(y + j)
        j += WIDTH
    total = lane_sum(sums)
    while j < n:
        total += x[j] * y[j]
        j += 1
    return total


cdef inline void forward_row(
    const Layer* layer, const real* parameters, const real* x, real* z
) noexcept nogil:
    """z := x W + b"""
    cdef Py_ssize_t i, j
    for j in range(layer.stride):
        z[j] = 0 if layer.b < 0 else parameters[layer.b + j]
    for i in range(layer.n_in):
        add_scaled(x[i], parameters + layer.W + i * layer.stride, z, layer.stride)


cdef inline void input_gradient_row(
    const Layer* layer, const real* parameters, const real* dz, real* dx
) noexcept nogil:
    """dx := dz W^T"""
    cdef Py_ssize_t i
    for i in range(layer.n_in):
        dx[i] = dot(parameters + layer.W + i * layer.stride, dz, layer.stride)
    for i in range(layer.n_in, layer.in_stride):
        dx[i] = 0
