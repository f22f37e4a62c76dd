"""Elementary functions of one number: x is any real number, NaN gives NaN."""

from fastnn.kernels.simd cimport real, real_abs, real_exp, real_log1p


cdef inline real sigmoid(real x) noexcept nogil:
    """1 / (1 + exp(-x)), through exp(-|x|) so that nothing overflows."""
    cdef real e = real_exp(-real_abs(x))
    return (1 if x >= 0 else e) / (1 + e)


cdef inline real softplus(real x) noexcept nogil:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))"""
    return (0 if x < 0 else x) + real_log1p(real_exp(-real_abs(x)))
