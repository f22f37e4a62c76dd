"""Rows in the lanes: softmax and losses of WIDTH rows at a time, for outputs laid unit by unit.

z, a, y, dz hold unit j of row r at [j * pitch + r], so that one vector is one unit of WIDTH rows
and no lane is lost to a row that is narrower than a vector; a layer of one unit always lies so.
`weight` and the losses hold one number a row. `first` and `last` are the rows to do; a row's bits
depend neither on them nor on its place. The formulas are those of `activations.pxd` and
`losses.pxd`.
"""

from fastnn.native.formulas.activations cimport (
    SOFTMAX, Activation, activate, activate_backward,
)
from fastnn.native.simd.elementary cimport exp, log1p
from fastnn.native.formulas.losses cimport (
    BINARY_CROSSENTROPY, CATEGORICAL_CROSSENTROPY, LABEL_CROSSENTROPY, POISSON_DEVIANCE,
    SQUARED_ERROR, Loss, binary_crossentropy_term, exp_below, loss_slope, loss_term,
    poisson_deviance_term, smoothed, times_target,
)
from fastnn.native.simd.simd cimport (
    WIDTH, divide, load_first, real, spread, store_first, vec, where,
)

# of the rows whose first unit begins at z, y: their losses
ctypedef vec (*Value)(
    const real* z, const real* y, Loss loss, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil
ctypedef void (*Delta)(
    const real* a, const real* y, real smoothing, vec weight, real* dz, Py_ssize_t n,
    Py_ssize_t pitch, Py_ssize_t rows,
) noexcept nogil


# ---- activations ------------------------------------------------------------------------------

cdef inline void activate_by_lane(
    Activation f, real* z, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """a := f(z)"""
    cdef Py_ssize_t j, r
    if f == SOFTMAX:
        r = first
        while r < last:
            softmax_by_lane(z + r, n, pitch, last - r)
            r += WIDTH
    else:
        for j in range(n):
            activate(f, z + j * pitch + first, last - first)


cdef inline void activate_backward_by_lane(
    Activation f, const real* a, real* da, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """dz := da * f'(z)"""
    cdef Py_ssize_t j, r
    if f == SOFTMAX:
        r = first
        while r < last:
            softmax_backward_by_lane(a + r, da + r, n, pitch, last - r)
            r += WIDTH
    else:
        for j in range(n):
            activate_backward(f, a + j * pitch + first, da + j * pitch + first, last - first)


cdef inline vec top_by_lane(
    const real* z, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """max_j z_j"""
    cdef vec z_j, top = load_first(z, rows, 0)
    cdef Py_ssize_t j
    for j in range(1, n):
        z_j = load_first(z + j * pitch, rows, 0)
        top = where(z_j > top, z_j, top)
    return top


cdef inline void softmax_by_lane(
    real* z, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """a_j := exp(z_j) / sum_k exp(z_k), shifted by max(z)"""
    cdef vec e, top = top_by_lane(z, n, pitch, rows), total = spread(0)
    cdef Py_ssize_t j
    for j in range(n):
        e = exp(load_first(z + j * pitch, rows, 0) - top)
        store_first(z + j * pitch, e, rows)
        total = total + e
    for j in range(n):
        e = load_first(z + j * pitch, rows, 0)
        store_first(z + j * pitch, divide(e, total), rows)


cdef inline void softmax_backward_by_lane(
    const real* a, real* da, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """dz_j := a_j * (da_j - sum_k a_k da_k)"""
    cdef vec inner = spread(0), a_j
    cdef Py_ssize_t j
    for j in range(n):
        a_j = load_first(a + j * pitch, rows, 0)
        inner = inner + a_j * load_first(da + j * pitch, rows, 0)
    for j in range(n):
        a_j = load_first(a + j * pitch, rows, 0)
        store_first(da + j * pitch, a_j * (load_first(da + j * pitch, rows, 0) - inner), rows)


# ---- losses -----------------------------------------------------------------------------------

cdef inline void losses_by_lane(
    Loss loss, const real* z, const real* a, const real* y, const real* weight, double* row_loss,
    Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """row_loss := weight * l, 0 where the weight is 0"""
    cdef Py_ssize_t r
    if loss.kind == SQUARED_ERROR:
        squared_errors(a, y, row_loss, n, pitch, first, last)
    elif loss.kind == BINARY_CROSSENTROPY:
        sweep_values(binary_crossentropies, z, y, loss, row_loss, n, pitch, first, last)
    elif loss.kind == POISSON_DEVIANCE:
        sweep_values(poisson_deviances, z, y, loss, row_loss, n, pitch, first, last)
    elif loss.kind == CATEGORICAL_CROSSENTROPY:
        sweep_values(categorical_crossentropies, z, y, loss, row_loss, n, pitch, first, last)
    elif loss.kind == LABEL_CROSSENTROPY:
        sweep_values(label_crossentropies, z, y, loss, row_loss, n, pitch, first, last)
    else:
        sums_of_terms(loss, a, y, row_loss, n, pitch, first, last)
    for r in range(first, last):
        row_loss[r] = 0 if weight[r] == 0 else weight[r] * (loss.share * row_loss[r])


cdef inline void deltas_by_lane(
    Loss loss, const real* a, const real* y, const real* weight, real scale, real* dz,
    Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """dz := scale * weight * dl/dz of a fused loss, scale * weight * dl/da of any other"""
    cdef real s = loss.setting, factor = <real>(scale * loss.slope_share)
    if loss.kind == SQUARED_ERROR:
        sweep_deltas(differences, a, y, 0, weight, 2 * factor, dz, n, pitch, first, last)
    elif loss.kind == BINARY_CROSSENTROPY or loss.kind == POISSON_DEVIANCE:
        sweep_deltas(differences, a, y, s, weight, factor, dz, n, pitch, first, last)
    elif loss.kind == CATEGORICAL_CROSSENTROPY:
        sweep_deltas(probability_differences, a, y, s, weight, factor, dz, n, pitch, first, last)
    elif loss.kind == LABEL_CROSSENTROPY:
        sweep_deltas(label_differences, a, y, s, weight, factor, dz, n, pitch, first, last)
    else:
        term_deltas_by_lane(loss, a, y, weight, factor, dz, n, pitch, first, last)


cdef inline void sweep_values(
    Value value, const real* z, const real* y, Loss loss, double* row_loss, Py_ssize_t n,
    Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """row_loss_r := value(z_r, y_r)"""
    cdef Py_ssize_t r = first
    while r < last:
        store_losses(row_loss + r, value(z + r, y + r, loss, n, pitch, last - r), last - r)
        r += WIDTH


cdef inline void store_losses(double* row_loss, vec losses, Py_ssize_t rows) noexcept nogil:
    cdef real lanes[16]
    cdef Py_ssize_t lane
    store_first(lanes, losses, WIDTH)
    for lane in range(min(WIDTH, rows)):
        row_loss[lane] = lanes[lane]


cdef inline void sweep_deltas(
    Delta delta, const real* a, const real* y, real smoothing, const real* weight, real scale,
    real* dz, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """dz_r := delta(a_r, y_r, scale * weight_r)"""
    cdef Py_ssize_t r
    cdef vec factor
    r = first
    while r < last:
        factor = spread(scale) * load_first(weight + r, last - r, 0)
        delta(a + r, y + r, smoothing, factor, dz + r, n, pitch, last - r)
        r += WIDTH


cdef inline void sums_of_terms(
    Loss loss, const real* a, const real* y, double* row_loss, Py_ssize_t n, Py_ssize_t pitch,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """row_loss := sum_j t(a_j, y_j)"""
    cdef Py_ssize_t j, at, r = first
    cdef vec sums
    while r < last:
        sums = spread(0)
        for j in range(n):
            at = j * pitch + r
            sums = sums + loss_term(
                loss, load_first(a + at, last - r, 0), load_first(y + at, last - r, 0)
            )
        store_losses(row_loss + r, sums, last - r)
        r += WIDTH


cdef inline void term_deltas_by_lane(
    Loss loss, const real* a, const real* y, const real* weight, real scale, real* da,
    Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """da_j := scale * weight * dt/da_j"""
    cdef Py_ssize_t j, at, r = first
    cdef vec factor, slope
    while r < last:
        factor = spread(scale) * load_first(weight + r, last - r, 0)
        for j in range(n):
            at = j * pitch + r
            slope = loss_slope(
                loss, load_first(a + at, last - r, 0), load_first(y + at, last - r, 0)
            )
            store_first(da + at, factor * slope, last - r)
        r += WIDTH


cdef inline void squared_errors(
    const real* a, const real* y, double* row_loss, Py_ssize_t n, Py_ssize_t pitch,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """sum_j (a_j - y_j)^2, in double precision: a square may be too large for `real`"""
    cdef Py_ssize_t j, r
    for r in range(first, last):
        row_loss[r] = 0
    for j in range(n):
        for r in range(first, last):
            row_loss[r] += (
                (<double>a[j * pitch + r] - y[j * pitch + r])
                * (<double>a[j * pitch + r] - y[j * pitch + r])
            )


cdef inline void differences(
    const real* a, const real* y, real smoothing, vec weight, real* dz, Py_ssize_t n,
    Py_ssize_t pitch, Py_ssize_t rows,
) noexcept nogil:
    """dz_j := weight (a_j - y_j), y smoothed as one class of two"""
    cdef Py_ssize_t j
    cdef vec y_j
    for j in range(n):
        y_j = smoothed(load_first(y + j * pitch, rows, 0), smoothing, 2)
        store_first(dz + j * pitch, weight * (load_first(a + j * pitch, rows, 0) - y_j), rows)


cdef inline vec up_to(real limit, vec losses) noexcept nogil:
    """min(losses, limit); NaN stays NaN"""
    return where(losses > spread(limit), spread(limit), losses)


cdef inline vec binary_crossentropies(
    const real* z, const real* y, Loss loss, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """sum_j (softplus(z_j) - y_j z_j)"""
    cdef vec z_j, y_j, sums = spread(0)
    cdef Py_ssize_t j
    for j in range(n):
        z_j, y_j = load_first(z + j * pitch, rows, 0), load_first(y + j * pitch, rows, 0)
        sums = sums + up_to(loss.limit, binary_crossentropy_term(z_j, y_j, loss.setting))
    return sums


cdef inline vec poisson_deviances(
    const real* z, const real* y, Loss loss, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """sum_j (y_j log(y_j / a_j) - y_j + a_j)"""
    cdef vec sums = spread(0)
    cdef Py_ssize_t j
    for j in range(n):
        sums = sums + poisson_deviance_term(
            load_first(z + j * pitch, rows, 0), load_first(y + j * pitch, rows, 0)
        )
    return sums


cdef inline vec log_of_others(
    const real* z, vec top, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """log sum_j exp(z_j) - z_top, where of several that are largest one is the top"""
    cdef vec z_j, lower = spread(0), tops = spread(0)
    cdef Py_ssize_t j
    for j in range(n):
        z_j = load_first(z + j * pitch, rows, 0)
        lower = lower + where(z_j == top, spread(0), exp_below(z_j, top))
        tops = tops + where(z_j == top, spread(1), spread(0))
    return log1p(lower + (tops - 1))


cdef inline vec categorical_crossentropies(
    const real* z, const real* y, Loss loss, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """l = sum_j y_j ((z_top - z_j) + log_of_others) with the smoothed y"""
    cdef vec top = top_by_lane(z, n, pitch, rows)
    cdef vec rest = log_of_others(z, top, n, pitch, rows), sums = spread(0), y_j, cost
    cdef Py_ssize_t j
    for j in range(n):
        y_j = smoothed(load_first(y + j * pitch, rows, 0), loss.setting, n)
        cost = (top - load_first(z + j * pitch, rows, 0)) + rest
        sums = sums + times_target(y_j, cost)
    return up_to(loss.limit, sums)


cdef inline void probability_differences(
    const real* a, const real* y, real smoothing, vec weight, real* dz, Py_ssize_t n,
    Py_ssize_t pitch, Py_ssize_t rows,
) noexcept nogil:
    """dz_j := weight (a_j sum_k y_k - y_j) with the smoothed y"""
    cdef vec total = spread(0), a_j, y_j
    cdef Py_ssize_t j
    for j in range(n):
        total = total + load_first(y + j * pitch, rows, 0)
    total = smoothed(total, smoothing, 1)
    for j in range(n):
        a_j = load_first(a + j * pitch, rows, 0)
        y_j = smoothed(load_first(y + j * pitch, rows, 0), smoothing, n)
        store_first(dz + j * pitch, weight * (a_j * total - y_j), rows)


cdef inline vec label_crossentropies(
    const real* z, const real* y, Loss loss, Py_ssize_t n, Py_ssize_t pitch, Py_ssize_t rows
) noexcept nogil:
    """l = (1 - s) (-log a_label) + s/n sum_j (-log a_j) with the smoothing s

    Here -log a_j = (z_top - z_j) + log_of_others.
    """
    cdef vec top = top_by_lane(z, n, pitch, rows), rest = log_of_others(z, top, n, pitch, rows)
    cdef vec label = load_first(y, rows, 0), z_label = spread(0), total = spread(0), z_j
    cdef Py_ssize_t j
    for j in range(n):
        z_j = load_first(z + j * pitch, rows, 0)
        z_label = where(label == spread(<real>j), z_j, z_label)
        total = total + ((top - z_j) + rest)
    if loss.setting == 0:
        return up_to(loss.limit, (top - z_label) + rest)
    return up_to(
        loss.limit,
        spread(1 - loss.setting) * ((top - z_label) + rest)
        + divide(spread(loss.setting), spread(<real>n)) * total,
    )


cdef inline void label_differences(
    const real* a, const real* y, real smoothing, vec weight, real* dz, Py_ssize_t n,
    Py_ssize_t pitch, Py_ssize_t rows,
) noexcept nogil:
    """dz_j := weight (a_j - y_j), where the smoothed y is 1 at the label and 0 elsewhere"""
    cdef vec label = load_first(y, rows, 0), y_j
    cdef Py_ssize_t j
    for j in range(n):
        y_j = smoothed(where(label == spread(<real>j), spread(1), spread(0)), smoothing, n)
        store_first(dz + j * pitch, weight * (load_first(a + j * pitch, rows, 0) - y_j), rows)
