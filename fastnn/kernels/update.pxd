"""Update rules: how a gradient moves the weights.

A rule is linear in what it keeps: w, and with momentum a velocity v for each w. Its formula stands
once, for one vector; every sweep calls it, over a layer, over a row of W in per-sample descent, or
over the coefficients by which a block of rows is foreseen.
"""

from fastnn.kernels.simd cimport (
    WIDTH, descended, load, load_first, real, spread, store, store_first, vec,
)

cdef struct Rule:
    double momentum
    bint nesterov
    const double* decay  # of each layer: what L2 adds to dW is decay * W; NULL: nothing
    real* velocity  # laid out as the parameters; NULL: no momentum

cdef struct Motion:  # one step of a rule: dw counts with `decay` of w, v keeps `momentum` of itself
    real decay, rate, momentum
    real along, across  # w moves by `along` v and against `across` dw: momentum, or Nesterov's


cdef inline bint is_plain(const Rule* rule) noexcept nogil:
    """w := w - rate * dw and no more"""
    return rule.decay == NULL and rule.velocity == NULL


cdef inline Motion motion(const Rule* rule, double rate, double decay) noexcept nogil:
    cdef Motion m
    m.decay, m.rate, m.momentum = <real>decay, <real>rate, <real>rule.momentum
    m.along = m.momentum if rule.nesterov else 1
    m.across = m.rate if rule.nesterov else 0
    return m


cdef inline double decay_of(const Rule* rule, Py_ssize_t layer) noexcept nogil:
    return 0 if rule.decay == NULL else rule.decay[layer]


cdef inline vec moved(
    vec w, vec dw, real* v, Py_ssize_t n, const Motion* m, const bint has_velocity
) noexcept nogil:
    """w + along v - across dw, after v := momentum v - rate dw; dw counts with decay w

    The first n lanes of v.
    """
    cdef vec new
    dw = dw + spread(m.decay) * w
    if not has_velocity:
        return w - spread(m.rate) * dw
    new = spread(m.momentum) * load_first(v, n, 0) - spread(m.rate) * dw
    store_first(v, new, n)
    return w + (spread(m.along) * new - spread(m.across) * dw)


cdef inline void sgd(real* w, const real* dw, real learning_rate, Py_ssize_t n) noexcept nogil:
    """w := w - learning_rate * dw, for n a multiple of a vector"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(w + i, descended(load(w + i), learning_rate, load(dw + i)))
        i += WIDTH


cdef inline void move(
    real* w, real* v, const real* dw, Py_ssize_t n, const Motion* m
) noexcept nogil:
    """One step of all w, for n a multiple of a vector; v is NULL if there is no momentum"""
    cdef Py_ssize_t i = 0
    while i < n:
        if v == NULL:
            store(w + i, moved(load(w + i), load(dw + i), NULL, WIDTH, m, False))
        else:
            store(w + i, moved(load(w + i), load(dw + i), v + i, WIDTH, m, True))
        i += WIDTH
