"""Gradient descent by minibatches: W := W - learning_rate * dL/dW, or what a rule makes of it.
"""

from libc.string cimport memset

from fastnn.kernels.dense cimport Layer
from fastnn.kernels.simd cimport real
from fastnn.kernels.team cimport share_begin, share_end, wait
from fastnn.kernels.tiles cimport DESCEND
from fastnn.kernels.update cimport (
    Motion, Rule, decay_of, is_plain, motion, move, sgd, slots_of,
)


cdef double descend_block(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, real rate, double loss
) noexcept nogil:
    """One update along the mean gradient of a batch that is one block, without a gradient between

    Returns loss + the losses before it.
    """
    backpropagate_share(net, data, k, m, 1.0 / m)
    if wait(&net.me):
        return loss
    loss = add_losses(net, m, loss)
    weight_gradients(net, m, net.parameters, DESCEND, rate)
    return loss


cdef double descend_blocks(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, const Rule* rule, real rate,
    real* gradient, Py_ssize_t n_parameters, double loss,
) noexcept nogil:
    """One update along the mean gradient of a batch, added up block by block

    Returns loss + the losses before it.
    """
    cdef Py_ssize_t first = share_begin(&net.me, n_parameters, LINE)
    cdef Py_ssize_t last = share_end(&net.me, n_parameters, LINE)
    memset(gradient + first, 0, (last - first) * sizeof(real))
    loss = add_gradient(net, data, k, k + m, 1.0 / m, gradient, loss)
    descend(net, rule, gradient, rate, n_parameters)
    wait(&net.me)
    return loss


cdef void descend(
    const Network* net, const Rule* rule, const real* gradient, real rate, Py_ssize_t n_parameters
) noexcept nogil:
    """A step of all weights along a gradient: this member's share of them"""
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t first, last
    if is_plain(rule):
        first = share_begin(&net.me, n_parameters, LINE)
        last = share_end(&net.me, n_parameters, LINE)
        sgd(net.parameters + first, gradient + first, rate, last - first)
        return
    while True:
        move_share(
            net, rule, gradient, layer.W, layer.n_in * layer.stride,
            motion(rule, rate, decay_of(rule, layer - net.layers)),
        )
        if layer.b >= 0:
            move_share(net, rule, gradient, layer.b, layer.stride, motion(rule, rate, 0))
        if layer == net.output:
            return
        layer += 1


cdef inline void move_share(
    const Network* net, const Rule* rule, const real* gradient, Py_ssize_t start, Py_ssize_t n,
    Motion m,
) noexcept nogil:
    """A step of the n parameters from `start` on, with their padding up to a line"""
    cdef Py_ssize_t first = start + share_begin(&net.me, n, LINE)
    cdef Py_ssize_t last = start + (share_end(&net.me, n, LINE) + LINE - 1) // LINE * LINE
    move(
        net.parameters + first, slots_of(rule, first), gradient + first, last - first, &m
    )


cdef double minibatch_rows(
    const Network* net, const Data* data, Py_ssize_t n, Py_ssize_t batch_size, const Rule* rule,
    const Rates* rates, real* gradient, Py_ssize_t n_parameters, double loss,
) noexcept nogil:
    """One update along the mean gradient of each batch; the last batch may be shorter.

    Returns loss + the losses before each update.
    """
    cdef Py_ssize_t k = 0, step = 0, m, largest = min(batch_size, min(net.block, n))
    cdef real rate
    transpose_weights(net, largest)
    if wait(&net.me):
        return loss
    while k < n:
        m = min(batch_size, n - k)
        rate = <real>rate_of(rates, step)
        if m <= net.block and is_plain(rule):
            loss = descend_block(net, data, k, m, rate, loss)
        else:
            loss = descend_blocks(net, data, k, m, rule, rate, gradient, n_parameters, loss)
        transpose_weights(net, largest)
        if wait(&net.me):
            return loss
        step += 1
        k += m
    return loss
