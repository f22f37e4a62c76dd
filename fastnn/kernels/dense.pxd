"""The dense layer z = x W + b, for a block of m rows.

Shapes: x (m, n_in) and z (m, n_out) with the row strides `in_stride` and `stride`;
W (n_in, n_out) with row stride `stride`; b (n_out). The gradients dx, dz, dW, db have the shapes
of x, z, W, b. The padding between n_out and `stride` is zero in W, b and z and stays zero.
"""

from fastnn.kernels.simd cimport WIDTH, lane_sum, load, real, spread, vec

cdef struct Layer:  # one row of the layer table, which is int64 on every machine
    long long n_in, in_stride, n_out, stride
    long long W, b  # where they begin in the parameters; b is -1 in a layer without bias
    long long activation


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


cdef inline void forward(
    const Layer* layer, const real* parameters, const real* x, real* z, Py_ssize_t m
) noexcept nogil:
    """z := x W + b"""
    cdef const real* W = parameters + layer.W
    cdef Py_ssize_t _, i, j
    for _ in range(m):
        for j in range(layer.stride):
            z[j] = 0 if layer.b < 0 else parameters[layer.b + j]
        for i in range(layer.n_in):
            add_scaled(x[i], W + i * layer.stride, z, layer.stride)
        x += layer.in_stride
        z += layer.stride


cdef inline void input_gradient(
    const Layer* layer, const real* parameters, const real* dz, real* dx, Py_ssize_t m
) noexcept nogil:
    """dx := dz W^T"""
    cdef const real* W = parameters + layer.W
    cdef Py_ssize_t _, i
    for _ in range(m):
        for i in range(layer.n_in):
            dx[i] = dot(W + i * layer.stride, dz, layer.stride)
        for i in range(layer.n_in, layer.in_stride):
            dx[i] = 0
        dx += layer.in_stride
        dz += layer.stride


cdef inline void weight_gradient(
    const Layer* layer, const real* x, const real* dz, real* gradient, Py_ssize_t m
) noexcept nogil:
    """dW := x^T dz + dW, db := sum_r dz_r + db"""
    cdef real* dW = gradient + layer.W
    cdef Py_ssize_t _, i
    for _ in range(m):
        for i in range(layer.n_in):
            add_scaled(x[i], dz, dW + i * layer.stride, layer.stride)
        if layer.b >= 0:
            add_scaled(1, dz, gradient + layer.b, layer.stride)
        x += layer.in_stride
        dz += layer.stride
