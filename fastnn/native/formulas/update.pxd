"""Update rules: how a gradient moves the weights.

Each formula stands once, for one vector (but the plain step also where the gradient is computed,
`descended` and `descend_row`); every sweep calls it, over a layer, over a row of W in
per-sample descent, or (if the rule is linear in what it keeps) over the coefficients that
stand for the steps within a block of rows. The formulas are Keras's; `fastnn/optimizers.py` has
them in words.

A step is made of what is the same for all of a fit (`Rule`), of what each layer has of its own
(`LayerRule`) and of what changes from step to step (`Step`); a `Motion` is all three for one array.
"""

from libc.math cimport fabs

from fastnn.native.simd.simd cimport (
    INFINITE, WIDTH, descended, divide, larger, load, load_first, real, spread, square_root, store,
    store_first, vec, where,
)

cdef enum Method:  # and what each keeps for every weight
    PLAIN = 0
    MOMENTUM = 1  # a velocity; the last one that is linear
    ADAM = 2  # means of dw and of dw^2
    AMSGRAD = 3  # the same, and the largest mean of dw^2
    RMSPROP = 4  # a mean of dw^2
    RMSPROP_MOMENTUM = 5  # the same, and a velocity
    ADAGRAD = 6  # a sum of dw^2

cdef enum Clip:  # what is cut off of a gradient that is too long
    NOT_CLIPPED = 0
    BY_VALUE = 1  # every number at -limit and limit
    BY_NORM = 2  # each W and each b is scaled to that norm
    BY_GLOBAL_NORM = 3  # all of them together

cdef struct Counts:  # steps are counted where they are made, so no interrupt can come in between
    long long made
    long long clipped  # those with a gradient that was too long

cdef struct LayerRule:  # one row of a table
    double factor  # of the learning rate; 0: the layer stays as it is
    double l1, decay  # the regulariser adds l1 sign(W) + decay W to dW, nothing to db;
    double alpha  # another adds alpha W, divided by the weight of the batch's rows

cdef struct Step:  # one row of a table
    double rate
    double shrink  # decoupled weight decay: this much of each w
    double keep  # how much of the running average of the weights stays
    double share  # 1 / the weight of the batch; `minibatch_rows` sets it

cdef struct Constants:  # what is the same for all steps of a fit
    long long method
    double first, second  # momentum, beta_1 or rho; beta_2, or RMSprop's momentum
    long long nesterov
    double epsilon
    long long shrinks  # whether there is weight decay
    long long clip
    double limit
    long long averages  # whether a running average of the weights is kept, in the last slot

cdef struct Rule:  # the same for the kernels, with what the optimiser keeps
    Method method
    double first, second  # momentum, beta_1 or rho; beta_2, or RMSprop's momentum
    bint nesterov
    double epsilon
    bint shrinks  # whether any step does
    Clip clip
    double limit
    const LayerRule* layers  # NULL: the factor is 1 and nothing is added
    real* slots  # what is kept, one after the other, each laid out as the parameters
    real* average  # the last of them, if there is a running average of the weights, or NULL
    Py_ssize_t n_parameters
    Counts* counts

cdef struct Motion:  # one step of a rule over one array
    Method method
    real l1, decay, shrink, rate, first, second, epsilon
    real new_first, new_second  # 1 - first and 1 - second, which lose digits if `real` subtracts
    real along, across  # w moves by `along` v and against `across` dw: momentum, or Nesterov's
    real scale, limit  # of a gradient that is clipped
    Py_ssize_t pitch  # from one slot to the next


cdef inline int slots_of_method(Method method) noexcept nogil:
    """How many numbers it keeps for every weight"""
    if method == PLAIN:
        return 0
    if method == AMSGRAD:
        return 3
    return 2 if method == ADAM or method == RMSPROP_MOMENTUM else 1


cdef inline bint is_plain(const Rule* rule) noexcept nogil:
    """w := w - rate * dw and no more"""
    return rule.method == PLAIN and rule.layers == NULL and not rule.shrinks and is_simple(rule)


cdef inline bint is_simple(const Rule* rule) noexcept nogil:
    """Whether each weight's step depends on that weight alone (no clipping by norm, no average)"""
    return rule.clip == NOT_CLIPPED and rule.average == NULL


cdef inline bint keeps_velocity(const Rule* rule) noexcept nogil:
    return rule.method == MOMENTUM


cdef inline LayerRule rule_of(const Rule* rule, Py_ssize_t layer) noexcept nogil:
    cdef LayerRule found
    if rule.layers != NULL:
        return rule.layers[layer]
    found.factor, found.l1, found.decay, found.alpha = 1, 0, 0, 0
    return found


cdef inline Motion motion(
    const Rule* rule, Step step, LayerRule layer, bint regularised
) noexcept nogil:
    """A step of a layer's W, which may be regularised, or of its b"""
    cdef Motion m
    m.method, m.pitch = rule.method, rule.n_parameters
    m.l1 = <real>layer.l1 if regularised else 0
    m.decay = <real>(layer.decay + layer.alpha * step.share) if regularised else 0
    m.shrink, m.rate = <real>(layer.factor * step.shrink), <real>(layer.factor * step.rate)
    m.first, m.second, m.epsilon = <real>rule.first, <real>rule.second, <real>rule.epsilon
    m.new_first, m.new_second = <real>(1 - rule.first), <real>(1 - rule.second)
    m.along = m.first if rule.nesterov else 1
    m.across = m.rate if rule.nesterov else 0
    m.scale, m.limit = 1, INFINITE
    return m


cdef inline real* slots_of(const Rule* rule, Py_ssize_t start) noexcept nogil:
    """What is kept for the parameters from `start` on"""
    return NULL if rule.slots == NULL else rule.slots + start


cdef inline vec moved(
    vec w, vec dw, real* slot, Py_ssize_t n, const Motion* m, const Method method
) noexcept nogil:
    """w after a step along dw, to which the regulariser adds; the first n lanes of the slots"""
    dw = penalised(w, dw, m)
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
        dw, square_root(averaged(slot, dw * dw, m.new_first, n) + spread(m.epsilon))
    )
    return w - dw if method == RMSPROP else w - summed_up(slot + m.pitch, dw, m.second, n)


cdef inline vec penalised(vec w, vec dw, const Motion* m) noexcept nogil:
    """dw + decay w + l1 sign(w)"""
    dw = dw + spread(m.decay) * w
    if m.l1 != 0:
        dw = dw + where(w > spread(0), spread(m.l1), where(w < spread(0), spread(-m.l1), w))
    return dw


cdef inline vec clipped(vec dw, const Motion* m) noexcept nogil:
    """scale dw, cut off at -limit and limit; NaN stays NaN"""
    dw = spread(m.scale) * dw
    dw = where(dw > spread(m.limit), spread(m.limit), dw)
    return where(dw < spread(-m.limit), spread(-m.limit), dw)


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
    cdef vec mean = averaged(slot, dw, m.new_first, n)
    cdef vec square = averaged(slot + m.pitch, dw * dw, m.new_second, n)
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
                load(w + i), clipped(load(dw + i), m), NULL if slots == NULL else slots + i,
                WIDTH, m, method,
            ),
        )
        i += WIDTH


cdef inline void average(real* mean, const real* w, real keep, Py_ssize_t n) noexcept nogil:
    """mean := keep mean + (1 - keep) w"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(mean + i, spread(keep) * load(mean + i) + spread(1 - keep) * load(w + i))
        i += WIDTH


cdef inline void add_penalty(
    const real* w, real* dw, Py_ssize_t n, const Motion* m
) noexcept nogil:
    """dw := dw + decay w + l1 sign(w)"""
    cdef Py_ssize_t i = 0
    while i < n:
        store(dw + i, penalised(load(w + i), load(dw + i), m))
        i += WIDTH


cdef inline double sum_of_squares(const real* dw, Py_ssize_t n) noexcept nogil:
    """In double precision, for the square may be too large for `real`; n a multiple of 16"""
    cdef double sums[8]
    cdef Py_ssize_t i, q
    for q in range(8):
        sums[q] = 0
    for i in range(0, n, 8):
        for q in range(8):
            sums[q] += <double>dw[i + q] * dw[i + q]
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + (
        (sums[1] + sums[5]) + (sums[3] + sums[7])
    )


cdef inline double penalty_sum(
    const real* w, Py_ssize_t n, double l1, double l2
) noexcept nogil:
    """l1 sum |w_i| + l2 sum w_i^2 in double precision; n a multiple of 16"""
    cdef double penalty = 0
    if l1 != 0:
        penalty += l1 * interleaved_sum(w, n, False)
    if l2 != 0:
        penalty += l2 * interleaved_sum(w, n, True)
    return penalty


cdef inline double interleaved_sum(const real* w, Py_ssize_t n, const bint squared) noexcept nogil:
    """sum |w_i| or sum w_i^2, in four chains, so that none waits for its last addition"""
    cdef double a[8]
    cdef double b[8]
    cdef double c[8]
    cdef double d[8]
    cdef Py_ssize_t i = 0, q
    for q in range(8):
        a[q] = b[q] = c[q] = d[q] = 0
    while i + 32 <= n:
        for q in range(8):
            a[q] += size_of(w[i + q], squared)
        for q in range(8):
            b[q] += size_of(w[i + 8 + q], squared)
        for q in range(8):
            c[q] += size_of(w[i + 16 + q], squared)
        for q in range(8):
            d[q] += size_of(w[i + 24 + q], squared)
        i += 32
    while i < n:
        for q in range(8):
            a[q] += size_of(w[i + q], squared)
        i += 8
    for q in range(8):
        a[q] += (b[q] + c[q]) + d[q]
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))


cdef inline double size_of(double w, const bint squared) noexcept nogil:
    return w * w if squared else fabs(w)


cdef inline bint exceeds(const real* dw, Py_ssize_t n, real limit) noexcept nogil:
    """Whether |dw_i| > limit for any i"""
    cdef Py_ssize_t i
    cdef bint found = False
    for i in range(n):
        found |= dw[i] > limit or dw[i] < -limit
    return found
