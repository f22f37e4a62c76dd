"""Update rules: how a gradient moves the weights."""

from fastnn.kernels.dense cimport Layer, add_scaled
from fastnn.kernels.simd cimport real


cdef inline void sgd(real* w, const real* dw, real learning_rate, Py_ssize_t n) noexcept nogil:
    """w := w - learning_rate * dw"""
    add_scaled(-learning_rate, dw, w, n)


cdef inline void sgd_sample(
    const Layer* layer, real* parameters, const real* x, const real* dz, real learning_rate
) noexcept nogil:
    """W := W - learning_rate * x dz^T, b := b - learning_rate * dz, the gradient of one sample

    The gradient is the outer product of x and dz, so each row of W is one sgd step along dz;
    the step of a unit that is off (x_i = 0) is zero.
    """
    cdef Py_ssize_t i
    for i in range(layer.n_in):
        if x[i] != 0:
            sgd(parameters + layer.W + i * layer.stride, dz, learning_rate * x[i], layer.stride)
    if layer.b >= 0:
        sgd(parameters + layer.b, dz, learning_rate, layer.stride)
