"""Per-sample descent: the loop over blocks and their rows."""

# from layout.pxi: Data, Network, Steps, is_by_lane, load_targets, step_at
# from forward.pxi: add_losses, keep_predictions, row_losses
# from per_sample/layout.pxi: BLOCKED, Samples, TINY, TINY_LAYERS, begin_samples, end_samples
# from per_sample/upper_layers.pxi: delta_of_sample, descend_above, forward_above, has_one_output,
#     pass_unit
# from per_sample/first_layer.pxi: begin_block, begin_coefficients, descend_first, end_block,
#     forward_first, look_ahead, swap_lookahead
# from per_sample/tiny.pxi: pass_tiny_rows

from fastnn.native.simd.simd cimport real
from fastnn.native.simd.team cimport wait
from fastnn.native.per_sample.tiny cimport TinyLayer
from fastnn.native.formulas.update cimport Step, is_plain


cdef inline double pass_block(
    const Samples* s, const Data* data, TinyLayer* tiny, Py_ssize_t k, Py_ssize_t m,
    const Steps* steps, double total,
) noexcept nogil:
    """The rows of a block, one after the other; returns total + their losses."""
    if is_by_lane(s.net.output):
        load_targets(s.net, data, k, 0, m, s.net.block)
    if s.path == TINY:
        pass_tiny_rows(s, data, tiny, k, m, steps)
    else:
        pass_rows(s, data, k, m, steps)
    keep_predictions(s.net, data, k, 0, m)
    row_losses(s.net, data, k, 0, m)
    return add_losses(s.net, m, total)


cdef inline void pass_rows(
    const Samples* s, const Data* data, Py_ssize_t k, Py_ssize_t m, const Steps* steps
) noexcept nogil:
    """Forward, backward and step of one row after the other"""
    cdef Py_ssize_t r
    cdef Step step
    if s.path == BLOCKED and not is_plain(s.rule):
        begin_coefficients(s)
    for r in range(m):
        step = step_at(steps, k + r)
        forward_first(s, r)
        forward_above(s, r)
        if has_one_output(s):
            # The rate becomes rate * dz; the deltas below are those of dz = 1.
            step.rate = <real>step.rate * pass_unit(s, data, k, r)
        else:
            delta_of_sample(s, data, k, r)
        descend_above(s, r, step)
        descend_first(s, r, step)


cdef double stochastic_rows(
    Samples* s, const Data* data, Py_ssize_t n, const Steps* steps, double total
) noexcept nogil:
    """One update after every row; returns total + the losses before each update.

    Members share the columns of the first layer: each ends a block and begins the next one with its
    own. In between the rows pass on the first member, while the last one looks ahead.
    """
    cdef const Network* net = s.net
    cdef bint first = net.me.number == 0, last = net.me.number == net.me.size - 1
    cdef Py_ssize_t k = 0, m = min(net.block_rows, n), following
    cdef TinyLayer tiny[TINY_LAYERS]
    if first:
        begin_samples(s, tiny)
    if last:
        look_ahead(s, data, 0, m)
    wait(&net.me)
    while m > 0:
        following = min(net.block_rows, n - k - m)
        swap_lookahead(s)
        begin_block(s, m)
        wait(&net.me)
        if first:
            total = pass_block(s, data, tiny, k, m, steps, total)
        if last:
            look_ahead(s, data, k + m, following)
        wait(&net.me)
        end_block(s, m)
        k += m
        m = following
    wait(&net.me)
    if first:
        end_samples(s, tiny)
        s.rule.counts.made += n
    return total
