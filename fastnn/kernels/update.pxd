"""Update rules: how a gradient moves the weights.

Each formula stands once, for one vector; every sweep calls it, over a layer, over a row of W in
per-sample descent, or (if the rule is linear in what it keeps) over the coefficients by which a
block of rows is foreseen. The formulas are Keras's; `fastnn/optimizers.py` has them in words, and
the codes.
"""

from fastnn.kernels.simd cimport (
    WIDTH, descended, divide, larger, load, load_first, real, spread, square_root, store,
    store_first, vec,
)

cdef enum Method:  # and what each keeps for every weight
    PLAIN = 0
    MOMENTUM = 1  # a velocity; the last one that is linear
    ADAM = 2  # means of dw and of dw^2
    AMSGRAD = 3  # the same, and the largest mean of dw^2
    RMSPROP = 4  # a mean of dw^2
    RMSPROP_MOMENTUM = 5  # the same, and a velocity
    ADAGRAD = 6  # a sum of dw^2

cdef struct Rule:
    Method method
    double first, second  # momentum, beta_1 or rho; beta_2, or RMSprop's momentum
    bint nesterov
    double epsilon
    double shrink  # decoupled weight decay: of each w, at every step
    const double* decay  # of each layer: what L2 adds to dW is decay * W; NULL: nothing
    real* slots  # what is kept, one after the other, each laid out as the parameters
    Py_ssize_t n_parameters

cdef struct Motion:  # one step of a rule over one array
    Method method
    real decay, shrink, rate, first, second, epsilon
    real along, across  # w moves by `along` v and against `across` dw: momentum, or Nesterov's
    Py_ssize_t pitch  # from one slot to the next


cdef inline bint is_plain(const Rule* rule) noexcept nogil:
    """w := w - rate * dw and no more"""
    return rule.method == PLAIN and rule.decay == NULL and rule.shrink == 0


cdef inline bint keeps_velocity(const Rule* rule) noexcept nogil:
    return rule.method == MOMENTUM


cdef inline Motion motion(const Rule* rule, double rate, double decay) noexcept nogil:
    cdef Motion m
    m.method, m.pitch = rule.method, rule.n_parameters
    m.decay, m.shrink, m.rate = <real>decay, <real>rule.shrink, <real>rate
    m.first, m.second, m.epsilon = <real>rule.first, <real>rule.second, <real>rule.epsilon
    m.along = m.first if rule.nesterov else 1
    m.across = m.rate if rule.nesterov else 0
    return m


cdef inline double decay_of(const Rule* rule, Py_ssize_t layer) noexcept nogil:
    return 0 if rule.decay == NULL else rule.decay[layer]


cdef inline real* slots_of(const Rule* rule, Py_ssize_t start) noexcept nogil:
    """What is kept for the parameters from `start` on"""
    return NULL if rule.slots == NULL else rule.slots + start


cdef inline vec moved(
    vec w, vec dw, real* slot, Py_ssize_t n, const Motion* m, const Method method
) noexcept nogil:
    """w after a step along dw, which counts with decay w; the first n lanes of the slots"""
    dw = dw + spread(m.decay) * w
    w = w - spread(m.shrink) * w
    if method == PLAIN:
        return w - spread(m.rate) * dw
    if method == MOMENTUM:
        return moved_by_momentum(w, dw, slot, n, m)
    if method == ADAM or method == AMSGRAD:
        return moved_by_adam(w, dw, slot, n, m, method)
    if method == ADAGRAD:
        return w - spread(m.rate) * divide(
            dw, square_root(summed(slot, dw * dw, n) + spread(m.epsilon))
        )
    dw = spread(m.rate) * divide(
        dw, square_root(averaged(slot, dw * dw, 1 - m.first, n) + spread(m.epsilon))
    )
    return w - dw if method == RMSPROP else w - summed_up(slot + m.pitch, dw, m.second, n)


cdef inline vec moved_by_momentum(
    vec w, vec dw, real* v, Py_ssize_t n, const Motion* m
) noexcept nogil:
    """w + along v - across dw, after v := momentum v - rate dw"""
    cdef vec new = spread(m.first) * load_first(v, n, 0) - spread(m.rate) * dw
    store_first(v, new, n)
    return w + (spread(m.along) * new - spread(m.across) * dw)


cdef inline vec moved_by_adam(
    vec w, vec dw, real* slot, Py_ssize_t n, const Motion* m, Method method
) noexcept nogil:
    """w - rate mean / (sqrt(square) + epsilon); the rate holds the corrections of the bias"""
    cdef vec mean = averaged(slot, dw, 1 - m.first, n)
    cdef vec square = averaged(slot + m.pitch, dw * dw, 1 - m.second, n)
    if method == AMSGRAD:
        square = larger(square, load_first(slot + 2 * m.pitch, n, 0))
        store_first(slot + 2 * m.pitch, square, n)
    return w - spread(m.rate) * divide(mean, square_root(square) + spread(m.epsilon))


cdef inline vec averaged(real* slot, vec x, real share, Py_ssize_t n) noexcept nogil:
    """slot := slot + share (x - slot)"""
    cdef vec old = load_first(slot, n, 0)
    old = old + spread(share) * (x - old)
    store_first(slot, old, n)
    return old


cdef inline vec summed(real* slot, vec x, Py_ssize_t n) noexcept nogil:
    """slot := slot + x"""
    cdef vec new = load_first(slot, n, 0) + x
    store_first(slot, new, n)
    return new


cdef inline vec summed_up(real* slot, vec x, real momentum, Py_ssize_t n) noexcept nogil:
    """slot := momentum slot + x"""
    cdef vec new = spread(momentum) * load_first(slot, n, 0) + x
    store_first(slot, new, n)
    return new


cdef inline void sgd(real* w, const real* dw, real learning_rate, Py_ssize_t n) noexcept nogil:
    """w := w - learning_rate * dw, for n a multiple of a vector"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(w + i, descended(load(w + i), learning_rate, load(dw + i)))
        i += WIDTH


cdef inline void move(
    real* w, real* slots, const real* dw, Py_ssize_t n, const Motion* m
) noexcept nogil:
    """One step of all w, for n a multiple of a vector; slots is NULL if nothing is kept"""
    if m.method == PLAIN:
        move_by(w, slots, dw, n, m, PLAIN)
    elif m.method == ADAM:
        move_by(w, slots, dw, n, m, ADAM)
    else:
        move_by(w, slots, dw, n, m, m.method)


cdef inline void move_by(
    real* w, real* slots, const real* dw, Py_ssize_t n, const Motion* m, const Method method
) noexcept nogil:
    """The same, the usual methods as constants"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(
            w + i,
            moved(
                load(w + i), load(dw + i), NULL if slots == NULL else slots + i, WIDTH, m, method
            ),
        )
        i += WIDTH
