"""Update rules: how a gradient moves the weights."""

from fastnn.kernels.simd cimport WIDTH, descended, load, real, store


cdef inline void sgd(real* w, const real* dw, real learning_rate, Py_ssize_t n) noexcept nogil:
    """w := w - learning_rate * dw, for n a multiple of a vector"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(w + i, descended(load(w + i), learning_rate, load(dw + i)))
        i += WIDTH
