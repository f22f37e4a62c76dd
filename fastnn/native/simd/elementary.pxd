"""Elementary functions of a vector of numbers, without libm and without branches.

x is any number: NaN gives NaN, what is too large to write is an infinity, what is subnormal may
count as zero. Errors are the largest that `tests/native/test_elementary.py` finds in any build, in
units in the last place of the exact value. There is one definition of each function: a number
gives the same bits alone (`first_lane`), in any lane and at any end of an array.

The constants that depend on the number type stand side by side, float32 first.
"""

from fastnn.native.simd.simd cimport (
    INFINITE, MANTISSA_BITS, WIDTH, bits, divide, first_lane, from_bits, load_first, polynomial,
    real, rounded, spread, store_first, to_bits, vec, where,
)

ctypedef vec (*Function)(vec x) noexcept nogil


cdef inline void sweep(Function f, const real* x, real* y, Py_ssize_t n) noexcept nogil:
    """y := f(x), the last and shorter vector like all others"""
    cdef Py_ssize_t j = 0
    if n == 1:  # without a mask, whose stores a load that follows would have to wait for
        y[0] = first_lane(f(spread(x[0])))
        return
    while j < n:
        store_first(y + j, f(load_first(x + j, n - j, 0)), n - j)
        j += WIDTH


cdef inline vec either(double as_float32, double as_float64) noexcept nogil:
    """The constant for this build's number type, in all lanes"""
    return spread(<real>(as_float32 if sizeof(real) == 4 else as_float64))


# ---- parts of a number ----------------------------------------------------------------------

cdef inline vec rounder() noexcept nogil:
    """1.5 * 2^MANTISSA_BITS: numbers of this size are integers, and their last bits count them.

    So x + rounder() rounds x and holds it in its last bits; less rounder() it is a number again.
    """
    return either(12582912.0, 6755399441055744.0)


cdef inline vec times_power_of_2(vec x, vec n) noexcept nogil:
    """x * 2^n for an n that rounder() was added to, if x and the result are normal numbers"""
    return from_bits(to_bits(x) + (to_bits(n) << MANTISSA_BITS))


cdef inline vec absolute(vec x) noexcept nogil:
    """|x|"""
    return from_bits(to_bits(x) & ~to_bits(spread(-0.0)))


cdef inline vec with_sign_of(vec x, vec size) noexcept nogil:
    """size >= 0, negative where x is"""
    return from_bits(to_bits(size) | (to_bits(x) & to_bits(spread(-0.0))))


cdef inline vec size_up_to(vec most, vec x) noexcept nogil:
    """min(|x|, most)"""
    return where(absolute(x) > most, most, absolute(x))


# ---- exp and related functions: 2^n * exp(r) with the integer n nearest to x / log 2 -----------

cdef inline vec nearest_power(vec x) noexcept nogil:
    """x / log 2, rounded, plus rounder()"""
    return x * spread(1.4426950408889634) + rounder()


cdef inline vec rest(vec x, vec n) noexcept nogil:
    """r = x - n log 2, |r| <= log(2) / 2: n times the first part of log 2 is exact"""
    cdef vec r = x - n * either(0.693359375, 0.6931471803691238)
    return r - n * either(-2.12194440e-4, 1.9082149292705877e-10)


cdef inline vec expm1_of_rest(vec r) noexcept nogil:
    """exp(r) - 1 = r + r^2 q(r) for a rest r, q of least relative error (Remez)"""
    if sizeof(real) == 4:
        return r + r * r * polynomial(
            r, 0.5000000062, 0.1666654307, 0.04166628241, 0.008366578095, 0.001394643253
        )
    return r + r * r * polynomial(
        r, 0.50000000000000055, 0.166666666666666859, 0.0416666666665740308,
        0.00833333333331465332, 0.00138888889322808295, 0.000198412699029028926,
        2.48015045378619506e-5, 2.75572280578285449e-6, 2.76262971189372188e-7,
        2.51144441042094486e-8,
    )


cdef inline vec exp(vec x) noexcept nogil:
    """e^x = 2^n (1 + expm1(r)); 1.1 ulp"""
    cdef vec n = nearest_power(x)
    cdef vec y = times_power_of_2(1 + expm1_of_rest(rest(x, n - rounder())), n)
    y = where(x <= either(88.72283, 709.782712893384), y, x + INFINITE)
    return where(x < either(-87.33654, -708.3964185322641), spread(0), y)


cdef inline vec expm1(vec x) noexcept nogil:
    """e^x - 1 = 2^n expm1(r) + (2^n - 1), which loses nothing near 0, for |x| <= 40 or NaN"""
    cdef vec n = nearest_power(x)
    cdef vec power = times_power_of_2(spread(1), n)
    return power * expm1_of_rest(rest(x, n - rounder())) + (power - 1)


cdef inline vec sigmoid(vec x) noexcept nogil:
    """1 / (1 + exp(-x)); 2.5 ulp: where exp overflows the quotient is 0, as it should be"""
    return divide(spread(1), 1 + exp(-x))


cdef inline vec tanh(vec x) noexcept nogil:
    """(exp(2x) - 1) / (exp(2x) + 1) = e / (e + 2), e = expm1(2|x|), with the sign of x; 2.6 ulp

    From 20 on tanh is 1.
    """
    cdef vec e = expm1(2 * size_up_to(spread(20), x))
    return with_sign_of(x, divide(e, e + 2))


# ---- y e^x for x <= 0, a normal number although e^x alone may be subnormal ---------------------

cdef inline vec times_exp_of_parts(vec y, vec r, vec n) noexcept nogil:
    """y exp(r) 2^n, 0 where it is subnormal, for an n that rounder() was added to

    2^n would be subnormal below -126 (-1022): it is multiplied in as 2^(n + 64) 2^-64.
    """
    cdef vec power = times_power_of_2(spread(1), n + either(64, 512))
    y = (y + y * expm1_of_rest(r)) * power
    return y * either(5.421010862427522e-20, 7.458340731200207e-155)


cdef inline vec times_exp(vec y, vec x) noexcept nogil:
    """y e^x for -130 <= x <= 0, in float64 -1060 <= x <= 0"""
    cdef vec n = nearest_power(x)
    return times_exp_of_parts(y, rest(x, n - rounder()), n)


cdef inline vec times_bell(vec y, vec z) noexcept nogil:
    """y exp(-z^2 / 2) for 0 <= z <= 16, in float64 0 <= z <= 40

    z^2 = h^2 + (z - h) (z + h), where h, the upper half of z's digits, has an exact square: what
    z^2 alone loses in rounding is up to hundreds of ulp of the result.
    """
    cdef int lower_half = (MANTISSA_BITS >> 1) + 1
    cdef vec h = from_bits((to_bits(z) >> lower_half) << lower_half)
    cdef vec n = nearest_power(z * z * spread(-0.5))
    cdef vec r = rest(h * h * spread(-0.5), n - rounder()) - (z - h) * (z + h) * spread(0.5)
    return times_exp_of_parts(y, r, n)


cdef inline vec tail_over_bell(vec y, vec z) noexcept nogil:
    """y Q(z) exp(z^2 / 2) for 0 <= z <= 16, in float64 0 <= z <= 40

    Q is the upper tail of the normal distribution, the chance of more than z. y p(t) w for
    w = 4 / (z + k) and t = (z - k) / (z + k); p is from `tools/fit_tail.py`.
    """
    cdef vec w = divide(spread(4), z + either(3.4375, 5.5))  # so y * w is normal if the result is
    cdef vec t = z * w * spread(0.5) - 1  # so what rounding w does to p(t) goes against w
    cdef vec p
    if sizeof(real) == 4:
        p = polynomial(
            t, 0.1856960811, -0.1398472745, 0.07637739189, -0.02680036095, 3.233794175e-3,
            1.81713523e-3, -6.829775085e-4, -1.719427566e-4, 9.081942429e-5, 3.00490858e-5,
        )
    else:
        p = polynomial(
            t, 0.193442408569101692, -0.171295855143584528, 0.133899122265623673,
            -0.0917622663234049493, 0.0544681082144896746, -0.0274257724896794995,
            0.011274395203727227, -3.48087764142064535e-3, 6.10745668590083229e-4,
            6.74010002256208143e-5, -8.11306627190059755e-5, 1.78537127195999767e-5,
            4.07999487950355588e-6, -3.02972472748253496e-6, 1.11588183779393701e-7,
            3.70966202250426126e-7, -6.69439921267085975e-8, -4.43986561821944669e-8,
            1.25629674672552403e-8, 5.73490446138298591e-9, -1.41330254065163658e-9,
            -6.45029222865565724e-10,
        )
    return y * w * p


# ---- log and related functions: k log 2 + log(1 + f) with sqrt(1/2) <= 1 + f < sqrt(2) ---------

cdef inline vec exponent(vec x) noexcept nogil:
    """k for x = 2^k (1 + f), a positive normal number"""
    cdef bits steps = to_bits(x) - to_bits(either(0.70710678, 0.7071067811865476))
    cdef bits biased = (steps + to_bits(spread(1))) >> MANTISSA_BITS
    return from_bits(to_bits(rounder()) + biased) - (rounder() + either(127, 1023))


cdef inline vec log_of_parts(vec k, vec f) noexcept nogil:
    """k log 2 + log(1 + f)

    log(1 + f) = 2 atanh(s) = f - s (f - z p(z)) for s = f / (2 + f) and z = s^2 (Remez).
    """
    cdef vec s = divide(f, 2 + f)
    cdef vec z = s * s
    cdef vec p
    if sizeof(real) == 4:
        p = polynomial(z, 0.6666677443, 0.3997771823, 0.2986802139)
    else:
        p = polynomial(
            z, 0.66666666666667266, 0.399999999994552472, 0.28571428734852725,
            0.222221992423467329, 0.181835335490859355, 0.153147580017403528,
            0.147895214681892323,
        )
    f = f - (s * (f - z * p) - k * either(-2.12194440e-4, 1.9082149292705877e-10))
    return k * either(0.693359375, 0.6931471803691238) + f


cdef inline vec log(vec x) noexcept nogil:
    """log x = k log 2 + log(1 + f), -inf at 0 and NaN below; 1.0 ulp"""
    cdef vec k = exponent(x)
    cdef vec y = log_of_parts(k, times_power_of_2(x, rounder() - k) - 1)
    y = where(x < spread(INFINITE), y, x)
    y = where(x == spread(0), spread(-INFINITE), y)
    return where(x < spread(0), spread(INFINITE - INFINITE), y)


cdef inline vec log1p(vec x) noexcept nogil:
    """log(1 + x) for x >= 0; where k = 0, f is x itself, unrounded; 2 ulp"""
    cdef vec k = exponent(1 + x)
    cdef vec f = times_power_of_2(1 + x, rounder() - k) - 1
    cdef vec y = log_of_parts(k, where(k == spread(0), x, f))
    return where(x < spread(INFINITE), y, x)


cdef inline vec softplus(vec x) noexcept nogil:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)); 2.7 ulp"""
    return where(x < spread(0), spread(0), x) + log1p(exp(-absolute(x)))


# ---- twice the digits: a number as the sum of two, the second being what the first lacks -------

cdef struct Twofold:
    vec high
    vec low


cdef inline Twofold exact_sum(vec x, vec y) noexcept nogil:
    """x + y without an error (Knuth)"""
    cdef Twofold found
    cdef vec added
    found.high = x + y
    added = found.high - x
    found.low = (x - (found.high - added)) + (y - added)
    return found


cdef inline Twofold exact_product(vec x, vec y) noexcept nogil:
    """x y without an error that counts (Dekker), from products of half as many digits each"""
    cdef int lower_half = (MANTISSA_BITS >> 1) + 1
    cdef vec x_upper = from_bits((to_bits(x) >> lower_half) << lower_half), x_lower = x - x_upper
    cdef vec y_upper = from_bits((to_bits(y) >> lower_half) << lower_half), y_lower = y - y_upper
    cdef Twofold found
    found.high = rounded(x * y)
    found.low = (
        ((x_upper * y_upper - found.high) + x_upper * y_lower) + x_lower * y_upper
    ) + x_lower * y_lower
    return found


cdef inline Twofold times(Twofold x, Twofold y) noexcept nogil:
    """x y"""
    cdef Twofold found = exact_product(x.high, y.high)
    found.low = found.low + (x.high * y.low + x.low * y.high)
    return found


cdef inline Twofold quotient(vec x, Twofold y) noexcept nogil:
    """x / y"""
    cdef Twofold found, product
    found.high = divide(x, y.high)
    product = exact_product(found.high, y.high)
    found.low = divide(((x - product.high) - product.low) - found.high * y.low, y.high)
    return found


cdef inline Twofold next_term(real odd, Twofold z, Twofold sum) noexcept nogil:
    """1 / odd + z * sum, with 1 / odd the larger"""
    cdef Twofold divisor, first, rest = times(z, sum)
    divisor.high, divisor.low = spread(odd), spread(0)
    first = quotient(spread(1), divisor)
    sum = exact_sum(first.high, rest.high)
    sum.low = sum.low + (first.low + rest.low)
    return sum


cdef inline Twofold atanh_series(Twofold z) noexcept nogil:
    """1/3 + z/5 + z^2/7 + ... for 0 <= z <= 0.0295; what z has made small needs fewer digits"""
    cdef Twofold sum
    sum.low = spread(0)
    if sizeof(real) == 4:
        sum.high = polynomial(
            z.high, 0.09090909, 0.07692308, 0.06666667, 0.05882353, 0.05263158, 0.04761905,
        )
    else:
        sum.high = polynomial(
            z.high, 0.047619047619047616, 0.043478260869565216, 0.04, 0.037037037037037035,
            0.034482758620689655, 0.03225806451612903, 0.030303030303030304, 0.02857142857142857,
            0.02702702702702703, 0.02564102564102564, 0.024390243902439025,
        )
        sum = next_term(13, z, next_term(15, z, next_term(17, z, next_term(19, z, sum))))
        sum = next_term(11, z, sum)
    return next_term(3, z, next_term(5, z, next_term(7, z, next_term(9, z, sum))))


cdef inline vec less_log(vec z, vec x) noexcept nogil:
    """z - log x for x > 0, as exact where the two nearly agree

    log x = k log 2 + 2 atanh(s), atanh(s) = s + s^3 (1/3 + s^2/5 + ...) with s = f / (2 + f), as
    in `log`; the first two of the three parts of log 2 are so short that k times each is exact.
    """
    cdef vec k = exponent(x), f = times_power_of_2(x, rounder() - k) - 1
    cdef Twofold s = quotient(f, exact_sum(spread(2), f))
    cdef Twofold square = times(s, s)
    cdef Twofold cubic = times(times(s, square), atanh_series(square))
    cdef Twofold sum = exact_sum(z, -k * either(0.693145751953125, 0.6931471805598903))
    cdef vec low = sum.low - k * either(-1.2905320270077144e-11, -1.3124698417785255e-27)
    sum = exact_sum(sum.high, -(s.high + s.high))
    low = low + sum.low
    sum = exact_sum(sum.high, -k * either(1.4286197256296873e-06, 5.4979230187085024e-14))
    low = low + sum.low
    sum = exact_sum(sum.high, -(cubic.high + cubic.high))
    low = low + sum.low
    return sum.high + (low - 2 * (s.low + cubic.low))


cdef inline vec exp_beyond_tangent(vec x) noexcept nogil:
    """exp(x) - 1 - x for -1 <= x <= 1.5, by its series: relatively exact near 0, and never below"""
    if sizeof(real) == 4:
        return x * x * polynomial(
            x, 0.5, 0.16666667, 0.041666668, 0.008333334, 1.3888889e-3, 1.984127e-4, 2.4801588e-5,
            2.7557319e-6, 2.7557319e-7, 2.5052108e-8, 2.0876757e-9, 1.6059044e-10, 1.1470746e-11,
        )
    return x * x * polynomial(
        x, 0.5, 0.16666666666666666, 0.041666666666666664, 0.008333333333333333,
        0.001388888888888889, 0.0001984126984126984, 2.48015873015873e-05, 2.7557319223985893e-06,
        2.755731922398589e-07, 2.505210838544172e-08, 2.08767569878681e-09, 1.6059043836821613e-10,
        1.1470745597729725e-11, 7.647163731819816e-13, 4.779477332387385e-14,
        2.8114572543455206e-15, 1.5619206968586225e-16, 8.22063524662433e-18,
        4.110317623312165e-19, 1.9572941063391263e-20, 8.896791392450574e-22,
        3.868170170630684e-23,
    )
