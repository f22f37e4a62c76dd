"""Losses of one row: the value l, and under it the delta that backpropagation starts from.

z and a are the output layer before and after its activation, y the row's targets, n the number
of outputs. A cross-entropy is fused with its activation (`is_fused`): its value is taken from z,
which stays exact where a has rounded to 0 or 1, and its delta is dL/dz = a - y itself.
Any other loss gives dL/da. A loss is its kind, one
setting (the delta of Huber's, the label smoothing of a cross-entropy), and what the sum over the
outputs is multiplied by: 1/n makes it their mean.

A loss that is a sum of one term for each output is written once, for a vector of outputs:
`loss_term`, and its derivative `loss_slope`. The squared error alone adds up in double precision:
its square may be too large for `real`.

A value is within 8 ulp of that of its formula for these z, a and y: no small difference is taken of
two numbers that have been rounded (`tests/native/test_exact_losses.py`). Poisson's a - y log a,
which passes through 0, is so relative to the larger of its terms, and a derivative a - y relative
to a and y.
"""

from fastnn.native.formulas.activations cimport largest
from fastnn.native.simd.elementary cimport (
    Twofold, absolute, exact_sum, exp, exp_beyond_tangent, less_log, log, log1p, softplus,
)
from fastnn.native.simd.simd cimport (
    INFINITE, WIDTH, divide, first_lane, lane_sum, load_first, real, spread, store_first, vec,
    where,
)

cdef enum LossKind:
    SQUARED_ERROR = 0
    BINARY_CROSSENTROPY = 1
    CATEGORICAL_CROSSENTROPY = 2  # y holds one probability for each class
    LABEL_CROSSENTROPY = 3  # y holds the number of the class
    ABSOLUTE_ERROR = 4
    HUBER = 5
    POISSON = 6
    HINGE = 7
    SQUARED_HINGE = 8
    POISSON_DEVIANCE = 9

cdef struct LossSettings:  # what Python says of a loss
    long long kind
    double setting, share, slope_share, limit
    long long by_weight  # whether a batch's loss is divided by its sample weights, not its rows

cdef struct Loss:  # the same for the kernels, which pass it on by value
    LossKind kind
    real setting
    double share  # of the sum over the outputs
    double slope_share  # the same of its derivative, which scikit-learn's squared error has apart
    real limit  # of what a cross-entropy says of an output, or of a row; its derivative has none


cdef inline bint is_fused(Loss loss) noexcept nogil:
    """Whether the delta of the loss is dL/dz already."""
    return (
        BINARY_CROSSENTROPY <= loss.kind <= LABEL_CROSSENTROPY or loss.kind == POISSON_DEVIANCE
    )


cdef inline double loss_value(
    Loss loss, const real* z, const real* a, const real* y, Py_ssize_t n
) noexcept nogil:
    """l(a, y)"""
    if loss.kind == SQUARED_ERROR:
        return loss.share * squared_error(a, y, n)
    if loss.kind == BINARY_CROSSENTROPY:
        return loss.share * binary_crossentropy(z, y, loss.setting, loss.limit, n)
    if loss.kind == POISSON_DEVIANCE:
        return loss.share * poisson_deviance(z, y, n)
    if loss.kind == CATEGORICAL_CROSSENTROPY:
        return loss.share * up_to(loss.limit, categorical_crossentropy(z, y, loss.setting, n))
    if loss.kind == LABEL_CROSSENTROPY:
        return loss.share * up_to(loss.limit, label_crossentropy(z, y, loss.setting, n))
    return loss.share * sum_of_terms(loss, a, y, n)


cdef inline void loss_delta(
    Loss loss, const real* a, const real* y, real* delta, real weight, Py_ssize_t n
) noexcept nogil:
    """delta := weight * dl/dz of a fused loss, weight * dl/da of any other"""
    cdef real factor = <real>(weight * loss.slope_share)
    if loss.kind == SQUARED_ERROR:
        difference(a, y, 0, delta, 2 * factor, n)
    elif loss.kind == BINARY_CROSSENTROPY or loss.kind == POISSON_DEVIANCE:
        difference(a, y, loss.setting, delta, factor, n)
    elif loss.kind == CATEGORICAL_CROSSENTROPY:
        categorical_crossentropy_delta(a, y, loss.setting, delta, factor, n)
    elif loss.kind == LABEL_CROSSENTROPY:
        label_crossentropy_delta(a, y, loss.setting, delta, factor, n)
    else:
        term_deltas(loss, a, y, delta, factor, n)


cdef inline void fused_slope(
    Loss loss, const real* a, const real* y, real* da, real weight, Py_ssize_t n
) noexcept nogil:
    """da := weight * dl/da of a fused loss, infinite where a has rounded to 0 or 1

    Only to be looked at: backpropagation starts from `loss_delta`, which is finite there.
    """
    cdef real factor = <real>(weight * loss.slope_share), s = loss.setting, target
    cdef bint labels = loss.kind == LABEL_CROSSENTROPY
    cdef Py_ssize_t j
    for j in range(n):
        if loss.kind == POISSON_DEVIANCE:
            da[j] = factor * (1 - ratio(y[j], a[j]))
        elif loss.kind == BINARY_CROSSENTROPY:
            target = smoothed_target(y[j], s, 2)
            da[j] = factor * (ratio(1 - target, 1 - a[j]) - ratio(target, a[j]))
        else:
            target = (j == <Py_ssize_t>y[0]) if labels else y[j]
            da[j] = factor * (0 - ratio(smoothed_target(target, s, n), a[j]))


cdef inline real ratio(real y, real a) noexcept nogil:
    """y / a, but 0 for y = 0 although a may be 0"""
    return 0 if y == 0 else y / a


cdef inline double squared_error(const real* a, const real* y, Py_ssize_t n) noexcept nogil:
    """sum_j (a_j - y_j)^2, without a half; added up over j mod 8, for speed and small errors"""
    cdef double sums[8]
    cdef Py_ssize_t j, q
    for q in range(8):
        sums[q] = 0
    for j in range(0, n - n % 8, 8):
        for q in range(8):
            sums[q] += (<double>a[j + q] - y[j + q]) * (<double>a[j + q] - y[j + q])
    for j in range(n - n % 8, n):
        sums[j % 8] += (<double>a[j] - y[j]) * (<double>a[j] - y[j])
    for q in range(1, 8):
        sums[0] += sums[q]
    return sums[0]


cdef inline void difference(
    const real* a, const real* y, real smoothing, real* delta, real factor, Py_ssize_t n
) noexcept nogil:
    """delta_j := factor (a_j - y_j), y smoothed as one class of two"""
    cdef Py_ssize_t j
    for j in range(n):
        delta[j] = factor * (a[j] - smoothed_target(y[j], smoothing, 2))


# ---- sums of one term for each output ---------------------------------------------------------

cdef inline Twofold nothing() noexcept nogil:
    """The sum of no terms"""
    cdef Twofold sums
    sums.high = sums.low = spread(0)
    return sums


cdef inline Twofold with_term(Twofold sums, vec term) noexcept nogil:
    """sums + term: however many there are, rounding does not add up"""
    cdef Twofold found = exact_sum(sums.high, term)
    found.low = found.low + sums.low
    return found


cdef inline double total_of(Twofold sums) noexcept nogil:
    """The sum of all lanes, infinite if it overflows"""
    cdef double high = lane_sum(sums.high), low = lane_sum(sums.low)
    return high + low if low == low else high


cdef inline vec loss_term(Loss loss, vec a, vec y) noexcept nogil:
    """t(a_j, y_j) of l = share sum_j t(a_j, y_j)"""
    if loss.kind == ABSOLUTE_ERROR:
        return absolute(a - y)
    if loss.kind == HUBER:
        return huber(a - y, spread(loss.setting))
    if loss.kind == POISSON:
        return a - y * log_shifted(a)
    if loss.kind == HINGE:
        return hinge(a, sign(y))
    return hinge(a, sign(y)) * hinge(a, sign(y))


cdef inline vec loss_slope(Loss loss, vec a, vec y) noexcept nogil:
    """dt/da_j; 0 at the corner of |e| and of the hinge"""
    if loss.kind == ABSOLUTE_ERROR:
        return absolute_slope(a - y)
    if loss.kind == HUBER:
        return huber_slope(a - y, spread(loss.setting))
    if loss.kind == POISSON:
        return divide((a - y) + spread(1e-7), a + spread(1e-7))
    if loss.kind == HINGE:
        return hinge_slope(a, sign(y))
    return 2 * hinge(a, sign(y)) * hinge_slope(a, sign(y))


cdef inline vec log_shifted(vec a) noexcept nogil:
    """log(a + 1e-7) for a >= 0, with what is rounded off in the sum"""
    cdef Twofold sum = exact_sum(a, spread(1e-7))
    return log(sum.high) + divide(sum.low, sum.high)


cdef inline vec absolute_slope(vec e) noexcept nogil:
    """d|e|/de: -1, 0 or 1, and NaN of NaN"""
    return where(e > spread(0), spread(1), where(e < spread(0), spread(-1), e))


cdef inline vec huber(vec e, vec delta) noexcept nogil:
    """e^2 / 2 for |e| < delta, otherwise delta |e| - delta^2 / 2

    Both are c (|e| - c/2) with c = min(|e|, delta).
    """
    cdef vec size = absolute(e)
    cdef vec c = where(size < delta, size, delta)
    return c * (size - c * spread(0.5))


cdef inline vec huber_slope(vec e, vec delta) noexcept nogil:
    """e for |e| < delta, otherwise delta with the sign of e"""
    return where(e > delta, delta, where(e < -delta, -delta, e))


cdef inline vec sign(vec y) noexcept nogil:
    """A target of a hinge: y, but -1 for 0"""
    return where(y == spread(0), spread(-1), y)


cdef inline vec hinge(vec a, vec y) noexcept nogil:
    """max(1 - y a, 0)"""
    cdef vec missing = 1 - y * a
    return where(missing < spread(0), spread(0), missing)


cdef inline vec hinge_slope(vec a, vec y) noexcept nogil:
    """-y where y a < 1, otherwise 0"""
    return where(y * a < spread(1), -y, spread(0))


cdef inline double sum_of_terms(
    Loss loss, const real* a, const real* y, Py_ssize_t n
) noexcept nogil:
    """sum_j t(a_j, y_j); behind the row a = y is such that t = 0"""
    cdef real rest = 1 if loss.kind == HINGE or loss.kind == SQUARED_HINGE else 0
    cdef Twofold sums = nothing()
    cdef vec term
    cdef Py_ssize_t j = 0
    while j < n:
        term = loss_term(loss, load_first(a + j, n - j, rest), load_first(y + j, n - j, rest))
        sums = with_term(sums, term)
        j += WIDTH
    return total_of(sums)


cdef inline void term_deltas(
    Loss loss, const real* a, const real* y, real* da, real weight, Py_ssize_t n
) noexcept nogil:
    """da_j := weight dt/da_j"""
    cdef vec factor = spread(weight)
    cdef Py_ssize_t j = 0
    if n == 1:  # without a mask, as in `sweep` of `elementary.pxd`
        da[0] = first_lane(factor * loss_slope(loss, spread(a[0]), spread(y[0])))
        return
    while j < n:
        store_first(
            da + j,
            factor * loss_slope(loss, load_first(a + j, n - j, 0), load_first(y + j, n - j, 0)),
            n - j,
        )
        j += WIDTH


# ---- the deviance of counts, whose outputs are exp(z) -------------------------------------------

cdef inline vec poisson_deviance_term(vec z, vec y) noexcept nogil:
    """y log(y / a) - y + a, with a = exp(z) and 0 log 0 = 0

    It is y (exp(u) - 1 - u) for u = z - log y. Far from 0 exp(u) may overflow, but not y exp(u).
    """
    cdef vec known = where(y == spread(0), spread(1), y), a = exp(z)
    cdef vec u = less_log(z, known)
    cdef vec far = where(a < spread(INFINITE), a - known * (1 + u), a)
    cdef vec near = known * exp_beyond_tangent(u)
    return where(
        y == spread(0), a, where(u < spread(-1), far, where(u > spread(1.5), far, near))
    )


cdef inline double poisson_deviance(const real* z, const real* y, Py_ssize_t n) noexcept nogil:
    """sum_j (y_j log(y_j / a_j) - y_j + a_j); behind the row z = 0 and y = 1 add nothing"""
    cdef Twofold sums = nothing()
    cdef Py_ssize_t j = 0
    while j < n:
        sums = with_term(
            sums,
            poisson_deviance_term(load_first(z + j, n - j, 0), load_first(y + j, n - j, 1)),
        )
        j += WIDTH
    return total_of(sums)


# ---- cross-entropies --------------------------------------------------------------------------

cdef inline vec smoothed(vec y, real smoothing, Py_ssize_t n_classes) noexcept nogil:
    """y (1 - smoothing) + smoothing / n_classes; y itself without smoothing, to the last bit"""
    return y * spread(1 - smoothing) + divide(spread(smoothing), spread(<real>n_classes))


cdef inline real smoothed_target(real y, real smoothing, Py_ssize_t n_classes) noexcept nogil:
    """`smoothed` of one number"""
    return y * (1 - smoothing) + smoothing / n_classes


cdef inline vec binary_crossentropy_term(vec z, vec y, real smoothing) noexcept nogil:
    """softplus(z) - y z, the cross-entropy of sigmoid(z) and the smoothed y

    Written as softplus(-|z|) + |z| * (y if z < 0 else 1 - y): no term is negative, nothing
    cancels. Smoothing 1 - y gives 1 - the smoothed y.
    """
    cdef vec wrong = smoothed(where(z < spread(0), y, 1 - y), smoothing, 2)
    cdef vec linear = where(wrong == spread(0), spread(0), wrong * absolute(z))  # not 0 * inf
    return softplus(-absolute(z)) + linear


cdef inline double up_to(double limit, double loss) noexcept nogil:
    """min(loss, limit); NaN stays NaN"""
    return limit if loss > limit else loss


cdef inline double binary_crossentropy(
    const real* z, const real* y, real smoothing, real limit, Py_ssize_t n
) noexcept nogil:
    """-sum_j (y_j log a_j + (1 - y_j) log(1 - a_j)) = sum_j (softplus(z_j) - y_j z_j)

    Beyond the row y = -1, which is no target, adds nothing.
    """
    cdef Twofold sums = nothing()
    cdef vec y_j, term
    cdef Py_ssize_t j = 0
    while j < n:
        y_j = load_first(y + j, n - j, -1)
        term = binary_crossentropy_term(load_first(z + j, n - j, 0), y_j, smoothing)
        term = where(term > spread(limit), spread(limit), term)
        sums = with_term(sums, where(y_j < spread(0), spread(0), term))
        j += WIDTH
    return total_of(sums)


cdef inline vec exp_below(vec z, vec top) noexcept nogil:
    """exp(z - top) for z <= top, with what is rounded off in the difference"""
    cdef Twofold difference = exact_sum(z, -top)
    cdef vec e = exp(difference.high)
    return where(e == spread(0), e, e + e * difference.low)  # not 0 * inf


cdef inline real log_of_others(const real* z, real top, Py_ssize_t n) noexcept nogil:
    """log sum_j exp(z_j) - top = log1p(the sum of exp(z_j - top) over the others)

    Of several that are largest, one is the top and each other adds exp(0) = 1.
    """
    cdef vec z_j, tops = spread(0)
    cdef Twofold lower = nothing()
    cdef Py_ssize_t j = 0
    while j < n:
        z_j = load_first(z + j, n - j, -INFINITE)
        lower = with_term(
            lower, where(z_j == spread(top), spread(0), exp_below(z_j, spread(top)))
        )
        tops = tops + where(z_j == spread(top), spread(1), spread(0))
        j += WIDTH
    return first_lane(log1p(spread(<real>(total_of(lower) + (lane_sum(tops) - 1)))))


cdef inline vec times_target(vec y, vec cost) noexcept nogil:
    """y cost, but 0 for y = 0 although the cost may be infinite"""
    return where(y == spread(0), spread(0), y * cost)


cdef inline double categorical_crossentropy(
    const real* z, const real* y, real smoothing, Py_ssize_t n
) noexcept nogil:
    """l = -sum_j y_j log a_j = sum_j y_j ((top - z_j) + log_of_others) with the smoothed y

    Beyond the row y = -1, which is no target, adds nothing.
    """
    cdef real top = largest(z, n)
    cdef vec y_j, term, rest = spread(log_of_others(z, top, n))
    cdef Twofold sums = nothing()
    cdef Py_ssize_t j = 0
    while j < n:
        y_j = load_first(y + j, n - j, -1)
        term = (spread(top) - load_first(z + j, n - j, 0)) + rest
        term = times_target(smoothed(y_j, smoothing, n), term)
        sums = with_term(sums, where(y_j < spread(0), spread(0), term))
        j += WIDTH
    return total_of(sums)


cdef inline void categorical_crossentropy_delta(
    const real* a, const real* y, real smoothing, real* dz, real weight, Py_ssize_t n
) noexcept nogil:
    """dz_j := weight * (a_j sum_k y_k - y_j) with the smoothed y

    The sum is 1 up to the rounding of the targets.
    """
    cdef real total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += y[j]
    total = total * (1 - smoothing) + smoothing
    for j in range(n):
        dz[j] = weight * (a[j] * total - smoothed_target(y[j], smoothing, n))


cdef inline double label_crossentropy(
    const real* z, const real* y, real smoothing, Py_ssize_t n
) noexcept nogil:
    """l = (1 - s) (-log a_label) + s/n sum_j (-log a_j) with the smoothing s

    Here -log a_j = (top - z_j) + log_of_others.
    """
    cdef real top = largest(z, n)
    cdef double rest = log_of_others(z, top, n)
    cdef double at_label = (<double>top - z[<Py_ssize_t>y[0]]) + rest
    cdef Twofold below = nothing()
    cdef Py_ssize_t j = 0
    if smoothing == 0:
        return at_label
    while j < n:
        below = with_term(below, spread(top) - load_first(z + j, n - j, top))
        j += WIDTH
    return (1 - smoothing) * at_label + smoothing / n * (total_of(below) + n * rest)


cdef inline void label_crossentropy_delta(
    const real* a, const real* y, real smoothing, real* dz, real weight, Py_ssize_t n
) noexcept nogil:
    """dz_j := weight * (a_j - s/n - (1 - s) [j is the label]) with the smoothing s"""
    cdef real share = smoothing / n
    cdef Py_ssize_t j
    for j in range(n):
        dz[j] = weight * (a[j] - share)
    dz[<Py_ssize_t>y[0]] -= weight * (1 - smoothing)
