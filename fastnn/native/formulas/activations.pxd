"""Activation functions a = f(z), in place, each with its derivative under it.

Derivatives are written in terms of the output a, so z need not be kept: `backward` turns dL/da into
dL/dz in place. Only gelu and silu, which take some values twice, have a `slope` that asks for z.
"""

from libc.string cimport memset

from fastnn.native.simd.elementary cimport (
    either, exp, expm1, sigmoid, size_up_to, softplus, sweep, tail_over_bell, tanh, times_bell,
    times_exp,
)
from fastnn.native.simd.simd cimport (
    INFINITE, WIDTH, divide, first_lane, lane_max, lane_sum, load_first, real, spread, store_first,
    vec, where,
)

cdef enum Activation:
    LINEAR = 0
    RELU = 1
    SIGMOID = 2
    TANH = 3
    SOFTMAX = 4
    LEAKY_RELU = 5
    ELU = 6
    SELU = 7
    SOFTPLUS = 8
    GELU = 9
    SILU = 10
    EXPONENTIAL = 11


cdef inline bint needs_z(Activation f) noexcept nogil:
    """Whether its derivative is taken from z, which is then kept beside a = f(z)"""
    return f == GELU or f == SILU


ctypedef vec (*Derivative)(vec kept, vec da) noexcept nogil


cdef inline void activate(Activation f, real* z, Py_ssize_t n) noexcept nogil:
    """a := f(z) of one row of n units"""
    if f == RELU:
        sweep(relu, z, z, n)
    elif f == SIGMOID:
        sweep(sigmoid, z, z, n)
    elif f == TANH:
        sweep(tanh, z, z, n)
    elif f == SOFTMAX:
        softmax(z, n)
    elif f == LEAKY_RELU:
        sweep(leaky_relu, z, z, n)
    elif f == ELU:
        sweep(elu, z, z, n)
    elif f == SELU:
        sweep(selu, z, z, n)
    elif f == SOFTPLUS:
        sweep(softplus, z, z, n)
    elif f == GELU:
        sweep(gelu, z, z, n)
    elif f == SILU:
        sweep(silu, z, z, n)
    elif f == EXPONENTIAL:
        sweep(exp, z, z, n)


cdef inline void activate_backward(
    Activation f, const real* kept, real* da, Py_ssize_t n
) noexcept nogil:
    """dz := da * f'(z) of one row of n units; kept is a, of gelu and silu z"""
    if f == RELU:
        sweep_backward(relu_backward, kept, da, n)
    elif f == SIGMOID:
        sweep_backward(sigmoid_backward, kept, da, n)
    elif f == TANH:
        sweep_backward(tanh_backward, kept, da, n)
    elif f == SOFTMAX:
        softmax_backward(kept, da, n)
    elif f == LEAKY_RELU:
        sweep_backward(leaky_relu_backward, kept, da, n)
    elif f == ELU:
        sweep_backward(elu_backward, kept, da, n)
    elif f == SELU:
        sweep_backward(selu_backward, kept, da, n)
    elif f == SOFTPLUS:
        sweep_backward(softplus_backward, kept, da, n)
    elif f == GELU:
        sweep_backward(gelu_backward, kept, da, n)
    elif f == SILU:
        sweep_backward(silu_backward, kept, da, n)
    elif f == EXPONENTIAL:
        sweep_backward(exponential_backward, kept, da, n)


cdef inline void activate_block(
    Activation f, real* z, Py_ssize_t m, Py_ssize_t n, Py_ssize_t stride
) noexcept nogil:
    """a := f(z) of m rows; the padding, from n to stride, is zero before and after

    Elementwise functions sweep rows and padding as one where that takes no more vectors.
    """
    cdef bint rows_apart = f == SOFTMAX or stride - n >= WIDTH
    cdef Py_ssize_t r, length = n if rows_apart else m * stride
    for r in range(m if rows_apart else 1):
        activate(f, z + r * stride, length)
    cdef bint moves_zero = f == SIGMOID or f == SOFTPLUS or f == EXPONENTIAL
    if moves_zero and n < stride and not rows_apart:
        for r in range(m):
            memset(z + r * stride + n, 0, (stride - n) * sizeof(real))


cdef inline void sweep_backward(
    Derivative f, const real* a, real* da, Py_ssize_t n
) noexcept nogil:
    """da := f(a, da), the last and shorter vector like all others"""
    cdef Py_ssize_t j = 0
    if n == 1:
        da[0] = first_lane(f(spread(a[0]), spread(da[0])))
        return
    while j < n:
        store_first(da + j, f(load_first(a + j, n - j, 0), load_first(da + j, n - j, 0)), n - j)
        j += WIDTH


cdef inline vec relu(vec z) noexcept nogil:
    """a := max(z, 0); this way round NaN stays NaN"""
    return where(z < spread(0), spread(0), z)


cdef inline vec relu_backward(vec a, vec da) noexcept nogil:
    """dz := da where a > 0"""
    return where(a > spread(0), da, spread(0))


# sigmoid is in elementary.pxd
cdef inline vec sigmoid_backward(vec a, vec da) noexcept nogil:
    """dz := da * a (1 - a)"""
    return da * (a * (1 - a))


# tanh is in elementary.pxd
cdef inline vec tanh_backward(vec a, vec da) noexcept nogil:
    """dz := da * (1 - a^2)"""
    return da * (1 - a * a)


cdef inline vec leaky_relu(vec z) noexcept nogil:
    """a := z where z > 0, else 0.2 z"""
    return where(z > spread(0), z, z * spread(0.2))


cdef inline vec leaky_relu_backward(vec a, vec da) noexcept nogil:
    """dz := da where a > 0, else 0.2 da"""
    return where(a > spread(0), da, da * spread(0.2))


cdef inline vec expm1_below_0(vec z) noexcept nogil:
    """exp(z) - 1 for z <= 0; below -40 it is -1 in either number type"""
    return expm1(where(z < spread(-40), spread(-40), z))


cdef inline vec elu(vec z) noexcept nogil:
    """a := z where z > 0, else exp(z) - 1; 1.2 ulp"""
    return where(z > spread(0), z, expm1_below_0(z))


cdef inline vec elu_backward(vec a, vec da) noexcept nogil:
    """dz := da where a > 0, else da (a + 1)"""
    return where(a > spread(0), da, da * (a + 1))


cdef inline vec selu(vec z) noexcept nogil:
    """a := s z where z > 0, else s alpha (exp(z) - 1); 2.3 ulp

    s = 1.05... and alpha = 1.67... keep mean 0 and variance 1 from layer to layer.
    """
    return where(
        z > spread(0), z * spread(1.0507009873554805),
        expm1_below_0(z) * spread(1.7580993408473768),
    )


cdef inline vec selu_backward(vec a, vec da) noexcept nogil:
    """dz := s da where a > 0, else da (a + s alpha)"""
    return da * where(
        a > spread(0), spread(1.0507009873554805), a + spread(1.7580993408473768)
    )


# softplus is in elementary.pxd
cdef inline vec softplus_backward(vec a, vec da) noexcept nogil:
    """dz := da (1 - exp(-a)), which is da sigmoid(z)"""
    return -da * expm1_below_0(-a)


cdef inline vec exponential_backward(vec a, vec da) noexcept nogil:
    """dz := da a"""
    return da * a


cdef inline vec gelu(vec z) noexcept nogil:
    """a := z Phi(z), the normal distribution function: Phi(z) = 1 - Q(z), Phi(-z) = Q(z); 3.9 ulp

    Where size_up_to cuts, a is subnormal below 0 and z above.
    """
    cdef vec size = size_up_to(either(16, 40), z)
    cdef vec factor = where(z < spread(0), -size, spread(1))
    cdef vec tail = times_bell(tail_over_bell(factor, size), size)
    return where(z < spread(0), tail, z * (1 - tail))


cdef inline vec gelu_slope(vec z) noexcept nogil:
    """f'(z) = Phi(z) + z phi(z) = 1 - f'(-z), phi(z) = exp(-z^2 / 2) / sqrt(2 pi)

    4.2 ulp of Phi(z) + |z| phi(z), which does not pass through 0 with f'.
    """
    cdef vec size = size_up_to(either(16, 40), z)
    cdef vec below = times_bell(
        tail_over_bell(spread(1), size) - size * spread(0.3989422804014327), size
    )
    return where(z < spread(0), below, 1 - below)


cdef inline vec gelu_backward(vec z, vec da) noexcept nogil:
    """dz := da f'(z)"""
    return da * gelu_slope(z)


cdef inline vec silu(vec z) noexcept nogil:
    """a := z sigmoid(z) = z / (1 + exp(-z)), below 0 z exp(z) / (1 + exp(z)); 2.6 ulp

    Where size_up_to cuts, a is subnormal below 0 and z above.
    """
    cdef vec size = size_up_to(either(104, 760), z)
    cdef vec e = times_exp(spread(1), -size)
    return divide(where(z < spread(0), times_exp(-size, -size), z), 1 + e)


cdef inline vec silu_slope(vec z) noexcept nogil:
    """f'(z) = s (1 + z (1 - s)) = 1 - f'(-z), s = sigmoid(z)

    Below 0 it is e (1 + z + e) / (1 + e)^2 with e = exp(z). 3.7 ulp of s (1 + |z| (1 - s)), which
    does not pass through 0 with f'.
    """
    cdef vec size = size_up_to(either(104, 760), z)
    cdef vec e = times_exp(spread(1), -size)
    cdef vec below = divide(times_exp(1 - size + e, -size), (1 + e) * (1 + e))
    return where(z < spread(0), below, 1 - below)


cdef inline vec silu_backward(vec z, vec da) noexcept nogil:
    """dz := da f'(z)"""
    return da * silu_slope(z)


cdef inline real largest(const real* z, Py_ssize_t n) noexcept nogil:
    """max_j z_j"""
    cdef vec z_j, tops = spread(-INFINITE)
    cdef Py_ssize_t j = 0
    while j < n:
        z_j = load_first(z + j, n - j, -INFINITE)
        tops = where(z_j > tops, z_j, tops)
        j += WIDTH
    return lane_max(tops)


cdef inline Py_ssize_t place_of_largest(const real* a, Py_ssize_t n) noexcept nogil:
    """The first j with a_j = max(a); 0 if a_0 is NaN"""
    cdef Py_ssize_t j, place = 0
    for j in range(1, n):  # no jump but the loop's own: the classes of rows are hard to predict
        place = j if a[j] > a[place] else place
    return place


cdef inline void softmax(real* z, Py_ssize_t n) noexcept nogil:
    """a_j := exp(z_j) / sum_k exp(z_k), shifted by max(z) so that nothing overflows"""
    cdef vec e, top = spread(largest(z, n)), sums = spread(0)
    cdef Py_ssize_t j = 0
    while j < n:
        e = exp(load_first(z + j, n - j, -INFINITE) - top)
        store_first(z + j, e, n - j)
        sums = sums + e
        j += WIDTH
    sums = spread(lane_sum(sums))
    j = 0
    while j < n:
        store_first(z + j, divide(load_first(z + j, n - j, 0), sums), n - j)
        j += WIDTH


cdef inline void softmax_backward(const real* a, real* da, Py_ssize_t n) noexcept nogil:
    """dz_j := a_j * (da_j - sum_k a_k da_k)"""
    cdef vec a_j, inner = spread(0)
    cdef Py_ssize_t j = 0
    while j < n:
        inner = inner + load_first(a + j, n - j, 0) * load_first(da + j, n - j, 0)
        j += WIDTH
    inner = spread(lane_sum(inner))
    j = 0
    while j < n:
        a_j = load_first(a + j, n - j, 0)
        store_first(da + j, a_j * (load_first(da + j, n - j, 0) - inner), n - j)
        j += WIDTH
