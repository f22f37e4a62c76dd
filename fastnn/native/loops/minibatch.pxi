"""Gradient descent by minibatches: W := W - learning_rate * dL/dW, or what a rule makes of it."""

# from layout.pxi: Data, Network, Steps, step_at, visited, whole_lines
# from forward.pxi: add_losses
# from backpropagation.pxi: add_gradient, backpropagate_part, transpose_weights, weight_gradients

from libc.math cimport sqrt
from libc.string cimport memset

from fastnn.native.products.dense cimport LINE, Layer
from fastnn.native.simd.simd cimport real
from fastnn.native.simd.team cimport part_begin, part_end, wait
from fastnn.native.products.tiles cimport DESCEND
from fastnn.native.formulas.update cimport (
    BY_GLOBAL_NORM, BY_NORM, BY_VALUE, NOT_CLIPPED, LayerRule, Motion, Rule, Step, add_penalty,
    average, exceeds, is_plain, motion, move, rule_of, sgd, penalty_sum, slots_of,
    sum_of_squares,
)


cdef double descend_block(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, Step step, double total
) noexcept nogil:
    """One update along the mean gradient of a batch that is one block, without a gradient between

    Returns total + the losses before it.
    """
    backpropagate_part(net, data, k, m, step.share)
    if wait(&net.me):
        return total
    total = add_losses(net, m, total)
    weight_gradients(net, m, net.parameters, DESCEND, <real>step.rate)
    return total


cdef double descend_blocks(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, const Rule* rule, Step step,
    real* gradient, Py_ssize_t n_parameters, double total,
) noexcept nogil:
    """One update along the mean gradient of a batch, added up block by block

    Returns total + the losses before it.
    """
    cdef Py_ssize_t first = part_begin(&net.me, n_parameters, LINE)
    cdef Py_ssize_t last = part_end(&net.me, n_parameters, LINE)
    memset(gradient + first, 0, (last - first) * sizeof(real))
    total = add_gradient(net, data, k, k + m, step.share, gradient, total)
    descend(net, rule, gradient, step, n_parameters)
    wait(&net.me)
    return total


cdef double descend_batch(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, const Rule* rule, Step step,
    real* gradient, Py_ssize_t n_parameters, double weight, double penalty, double total,
) noexcept nogil:
    """One update along the mean gradient of a batch; returns total + m L, the L before it"""
    cdef bint summed = weight == m and penalty == 0  # m L is the sum of the rows' losses
    cdef double before = total
    if not summed:
        total = 0
    if m <= net.block and is_plain(rule):
        total = descend_block(net, data, k, m, step, total)
    else:
        total = descend_blocks(net, data, k, m, rule, step, gradient, n_parameters, total)
    return total if summed else before + m * ((total + penalty) / weight)


cdef double weight_of(const Data* data, Py_ssize_t k, Py_ssize_t m) noexcept nogil:
    """What the loss of a batch is divided by: the sum of its sample weights, or its rows"""
    cdef double weight = 0
    cdef Py_ssize_t r
    if not data.by_weight or data.sample_weight == NULL:
        return m
    for r in range(k, k + m):
        weight += data.sample_weight[visited(data, r)]
    return weight


cdef double shared_penalty(const Network* net, const Rule* rule) noexcept nogil:
    """sum alpha/2 W^2, which the rows of a batch share; 0 on all members but the first"""
    if rule.layers == NULL or net.me.number != 0:
        return 0
    return penalty_of(net, rule.layers, 0, 1)


cdef double penalty_of(
    const Network* net, const LayerRule* rules, double own, double share
) noexcept nogil:
    """sum (own l1 |W| + (own decay + share alpha) / 2 W^2) over the weights of all layers"""
    cdef const Layer* layer = net.layers
    cdef double penalty = 0, l1, l2
    while True:
        l1, l2 = own * rules.l1, (own * rules.decay + share * rules.alpha) / 2
        if l1 != 0 or l2 != 0:
            penalty += penalty_sum(
                net.parameters + layer.W, whole_lines(layer.n_in * layer.stride), l1, l2
            )
        if layer == net.output:
            return penalty
        layer += 1
        rules += 1


cdef void descend(
    const Network* net, const Rule* rule, real* gradient, Step step, Py_ssize_t n_parameters
) noexcept nogil:
    """A step of all weights along a gradient: this member's part of them"""
    cdef const Layer* layer = net.layers
    cdef LayerRule own
    cdef Py_ssize_t first, last
    cdef double norm = 0
    cdef bint too_long = False
    if is_plain(rule):
        first = part_begin(&net.me, n_parameters, LINE)
        last = part_end(&net.me, n_parameters, LINE)
        sgd(net.parameters + first, gradient + first, <real>step.rate, last - first)
        return
    if rule.clip != NOT_CLIPPED:
        add_penalties(net, rule, gradient, step)
        if wait(&net.me):
            return
    if rule.clip == BY_GLOBAL_NORM:
        norm = global_norm(net, rule, gradient)
    while True:
        own = rule_of(rule, layer - net.layers)
        if own.factor != 0:
            descend_layer(net, rule, layer, gradient, step, own, norm, &too_long)
        if layer == net.output:
            break
        layer += 1
    if too_long and net.me.number == 0:
        rule.counts.clipped += 1


cdef inline void descend_layer(
    const Network* net, const Rule* rule, const Layer* layer, real* gradient, Step step,
    LayerRule own, double norm, bint* too_long,
) noexcept nogil:
    """A step of its W and b; whether any gradient was too long"""
    cdef Py_ssize_t n = layer.n_in * layer.stride
    cdef Motion m = motion(rule, step, own, rule.clip == NOT_CLIPPED)
    clip(rule, &m, gradient + layer.W, whole_lines(n), norm, too_long)
    move_part(net, rule, gradient, layer.W, n, &m, <real>step.keep)
    if layer.b >= 0:
        m = motion(rule, step, own, False)
        clip(rule, &m, gradient + layer.b, whole_lines(layer.stride), norm, too_long)
        move_part(net, rule, gradient, layer.b, layer.stride, &m, <real>step.keep)


cdef inline void move_part(
    const Network* net, const Rule* rule, const real* gradient, Py_ssize_t start, Py_ssize_t n,
    const Motion* m, real keep,
) noexcept nogil:
    """A step of the n parameters from `start` on, with their padding up to a line"""
    cdef Py_ssize_t first = start + part_begin(&net.me, n, LINE)
    cdef Py_ssize_t last = start + whole_lines(part_end(&net.me, n, LINE))
    move(net.parameters + first, slots_of(rule, first), gradient + first, last - first, m)
    if rule.average != NULL:
        average(rule.average + first, net.parameters + first, keep, last - first)


# ---- gradients that are too long ----------------------------------------------------------------
#
# Each member looks at all of the gradient, in the same order: nobody writes there until all have
# taken their step.

cdef void add_penalties(
    const Network* net, const Rule* rule, real* gradient, Step step
) noexcept nogil:
    """What the regularisers add, which counts in the norms; this member's part"""
    cdef const Layer* layer = net.layers
    cdef Motion m
    cdef Py_ssize_t first, last
    if rule.layers == NULL:
        return
    while True:
        m = motion(rule, step, rule_of(rule, layer - net.layers), True)
        first = part_begin(&net.me, layer.n_in * layer.stride, LINE)
        last = whole_lines(part_end(&net.me, layer.n_in * layer.stride, LINE))
        add_penalty(net.parameters + layer.W + first, gradient + layer.W + first, last - first, &m)
        if layer == net.output:
            return
        layer += 1


cdef double global_norm(
    const Network* net, const Rule* rule, const real* gradient
) noexcept nogil:
    """The norm of the gradient of all layers that move"""
    cdef const Layer* layer = net.layers
    cdef double squares = 0
    while True:
        if rule_of(rule, layer - net.layers).factor != 0:
            squares += sum_of_squares(
                gradient + layer.W, whole_lines(layer.n_in * layer.stride)
            )
            if layer.b >= 0:
                squares += sum_of_squares(gradient + layer.b, whole_lines(layer.stride))
        if layer == net.output:
            return sqrt(squares)
        layer += 1


cdef inline void clip(
    const Rule* rule, Motion* m, const real* gradient, Py_ssize_t n, double norm, bint* too_long
) noexcept nogil:
    """How much of an array's gradient its step takes; NaN in it stays"""
    if rule.clip == BY_VALUE:
        m.limit = <real>rule.limit
        too_long[0] |= exceeds(gradient, n, m.limit)
        return
    if rule.clip == BY_NORM:
        norm = sqrt(sum_of_squares(gradient, n))
    if rule.clip >= BY_NORM and not norm <= rule.limit:
        m.scale = <real>(rule.limit / norm)
        too_long[0] = True


cdef double minibatch_rows(
    const Network* net, const Data* data, Py_ssize_t n, Py_ssize_t batch_size, const Rule* rule,
    const Steps* steps, real* gradient, Py_ssize_t n_parameters, double total,
) noexcept nogil:
    """One update along the mean gradient of each batch; the last batch may be shorter.

    Returns total + the losses before each update.
    """
    cdef Py_ssize_t k = 0, number = 0, m, largest = min(batch_size, min(net.block, n))
    cdef double weight, penalty = 0
    cdef Step step
    transpose_weights(net, largest)
    if wait(&net.me):
        return total
    while k < n:
        m = min(batch_size, n - k)
        step = step_at(steps, number)
        weight = m
        if batch_size > 1:  # a single row's weight scales its step
            weight, penalty = weight_of(data, k, m), shared_penalty(net, rule)
        if weight > 0:
            step.share = 1 / weight
            total = descend_batch(
                net, data, k, m, rule, step, gradient, n_parameters, weight, penalty, total
            )
            if net.me.number == 0:
                rule.counts.made += 1
        transpose_weights(net, largest)
        if wait(&net.me):
            return total
        number += 1
        k += m
    return total
