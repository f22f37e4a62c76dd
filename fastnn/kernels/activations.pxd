"""Activation functions a = f(z) of one row of n units, each with its derivative under it.

Every derivative is written in terms of the output a, so z need not be kept:
`backward` turns dL/da into dL/dz in place. The codes are those of `fastnn/activations.py`.
"""

from fastnn.kernels.elementary cimport sigmoid
from fastnn.kernels.simd cimport real, real_exp, real_tanh

cdef enum Activation:
    LINEAR = 0
    RELU = 1
    SIGMOID = 2
    TANH = 3
    SOFTMAX = 4


cdef inline void activate(Activation f, real* z, Py_ssize_t n) noexcept nogil:
    """a := f(z), in place"""
    cdef Py_ssize_t j
    if f == RELU:
        for j in range(n):
            z[j] = 0 if z[j] < 0 else z[j]  # this way round NaN stays NaN
    elif f == SIGMOID:
        for j in range(n):
            z[j] = sigmoid(z[j])
    elif f == TANH:
        for j in range(n):
            z[j] = real_tanh(z[j])
    elif f == SOFTMAX:
        softmax(z, n)


cdef inline void activate_backward(
    Activation f, const real* a, real* da, Py_ssize_t n
) noexcept nogil:
    """dz := da * f'(z), in place"""
    cdef Py_ssize_t j
    if f == RELU:
        for j in range(n):
            da[j] = da[j] if a[j] > 0 else 0
    elif f == SIGMOID:
        for j in range(n):
            da[j] *= a[j] * (1 - a[j])
    elif f == TANH:
        for j in range(n):
            da[j] *= 1 - a[j] * a[j]
    elif f == SOFTMAX:
        softmax_backward(a, da, n)


cdef inline Py_ssize_t argmax(const real* z, Py_ssize_t n) noexcept nogil:
    """The first j with the largest z_j"""
    cdef Py_ssize_t j, top = 0
    for j in range(1, n):
        top = j if z[j] > z[top] else top
    return top


cdef inline void softmax(real* z, Py_ssize_t n) noexcept nogil:
    """a_j := exp(z_j) / sum_k exp(z_k), shifted by max(z) so that nothing overflows"""
    cdef real top = z[argmax(z, n)], total = 0
    cdef Py_ssize_t j
    for j in range(n):
        z[j] = real_exp(z[j] - top)
        total += z[j]
    for j in range(n):
        z[j] /= total


cdef inline void softmax_backward(const real* a, real* da, Py_ssize_t n) noexcept nogil:
    """dz_j := a_j * (da_j - sum_k a_k da_k)"""
    cdef real inner = 0
    cdef Py_ssize_t j
    for j in range(n):
        inner += a[j] * da[j]
    for j in range(n):
        da[j] = a[j] * (da[j] - inner)
