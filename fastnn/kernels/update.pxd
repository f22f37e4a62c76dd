"""Update rules: how a gradient moves the weights."""

from fastnn.kernels.dense cimport Layer, add_scaled
from fastnn.kernels.simd cimport WIDTH, descended, load, real, store


cdef inline void sgd(real* w, const real* dw, real learning_rate, Py_ssize_t n) noexcept nogil:
    """w := w - learning_rate * dw, for n a multiple of a vector"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(w + i, descended(load(w + i), learning_rate, load(dw + i)))
        i += WIDTH


cdef inline void sgd_sample(
    const Layer* layer, real* parameters, const real* x, const real* dz, real learning_rate
) noexcept nogil:
    """W := W - learning_rate * x dz^T, b := b - learning_rate * dz, the gradient of one sample

    The gradient is the outer product of x and dz, so each row of W moves along dz;
    the step of a unit that is off (x_i = 0) is zero.
    """
    cdef Py_ssize_t i
    for i in range(layer.n_in):
        if x[i] != 0:
            add_scaled(
                -learning_rate * x[i], dz, parameters + layer.W + i * layer.stride, layer.stride
            )
    if layer.b >= 0:
        add_scaled(-learning_rate, dz, parameters + layer.b, layer.stride)
