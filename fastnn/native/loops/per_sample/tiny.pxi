"""Per-sample descent of a tiny network, whose weights stay at hand during a block."""

# from layout.pxi: Data, Network, Steps, activations, step_at, visited
# from per_sample/layout.pxi: Samples, TINY_LAYERS

from fastnn.native.formulas.activations cimport (
    LINEAR, RELU, Activation, activate, activate_backward,
)
from fastnn.native.products.dense cimport Layer
from fastnn.native.formulas.losses cimport is_fused, loss_delta
from fastnn.native.simd.simd cimport (
    first_unit, load_octet, octet, octet_not_negative, octet_sum, octet_where_positive, real,
    spread_octet,
)
from fastnn.native.per_sample.tiny cimport OCTET, TinyLayer, move_rows_of, sum_rows


cdef void activate_row(Activation f, real* z, Py_ssize_t n) noexcept nogil:
    """The less usual ones pass here: what is compiled for several shapes stays short."""
    activate(f, z, n)


cdef void activate_row_backward(
    Activation f, const real* a, real* da, Py_ssize_t n
) noexcept nogil:
    activate_backward(f, a, da, n)


cdef inline octet activate_octet(Activation f, octet z, Py_ssize_t n) noexcept nogil:
    """a := f(z); a relu never leaves its register, since it has no address"""
    cdef octet a = z
    if f == RELU:
        return octet_not_negative(z)
    if f == LINEAR:
        return z
    activate_row(f, <real*>&a, n)
    return a


cdef inline octet activate_backward_octet(
    Activation f, octet a, octet da, Py_ssize_t n
) noexcept nogil:
    """dz := da * f'(z)"""
    cdef octet x = a, dz = da
    if f == RELU:
        return octet_where_positive(a, da)
    if f == LINEAR:
        return da
    activate_row_backward(f, <real*>&x, <real*>&dz, n)
    return dz


cdef inline void pass_tiny(
    const Samples* s, const Data* data, TinyLayer* tiny, Py_ssize_t k, Py_ssize_t m,
    const Steps* steps, const Py_ssize_t n_hidden, const bint single,
) noexcept nogil:
    """The rows of a block, one after the other: forward, backward, step

    Constant shapes keep the weights in registers, as far as these go. v is the step of b, in a
    network of a single output unit without that unit's own step as a factor: so it does not wait
    for the output. z of the next row's first layer is computed before the step and corrected by it:
    z := x' W + b + (x'x + 1) step, where x' is the next row.
    """
    cdef const Layer* layers = s.net.layers
    cdef const Layer* output = layers + n_hidden
    cdef TinyLayer t[TINY_LAYERS]
    cdef octet a[TINY_LAYERS]  # a[0] is x
    cdef octet v[TINY_LAYERS]
    cdef octet step, g, x_next = load_octet(s.x, layers.n_in), z
    cdef Py_ssize_t r, i
    for i in range(n_hidden + 1):
        t[i] = tiny[i]
    z = sum_rows(t[0].W, x_next, layers.n_in, t[0].b)
    for r in range(m):
        a[0] = x_next
        x_next = load_octet(s.x + min(r + 1, m - 1) * layers.in_stride, layers.n_in)
        g = spread_octet(octet_sum(a[0] * x_next) + (layers.b >= 0))
        forward_tiny(layers, t, z, a, n_hidden)
        if single:
            (<real*>&z)[0] = octet_sum(t[n_hidden].b + t[n_hidden].W_t[0] * a[n_hidden])
            output_step(s, data, <real*>&z, <real*>&step, step_at(steps, k + r).rate, k, r, 1)
            step = spread_octet((<real*>&step)[0])
            v[n_hidden] = first_unit()
        else:
            z = sum_rows(t[n_hidden].W, a[n_hidden], output.n_in, t[n_hidden].b)
            v[n_hidden] = spread_octet(0)
            output_step(
                s, data, <real*>&z, <real*>(v + n_hidden), step_at(steps, k + r).rate, k, r,
                output.n_out,
            )
        z = sum_rows(t[0].W, x_next, layers.n_in, t[0].b)
        backward_tiny(layers, t, a, v, n_hidden, single)
        z = z + (g * v[0] * step if single else g * v[0])
        descend_tiny(layers, t, a, v, step, n_hidden, single)
    for i in range(n_hidden + 1):
        tiny[i] = t[i]


cdef inline void forward_tiny(
    const Layer* layers, const TinyLayer* t, octet z, octet* a, const Py_ssize_t n_hidden
) noexcept nogil:
    """a of the hidden layers, from z of the first"""
    cdef Py_ssize_t i
    for i in range(n_hidden):
        if i > 0:
            z = sum_rows(t[i].W, a[i], layers[i].n_in, t[i].b)
        a[i + 1] = activate_octet(<Activation>layers[i].activation, z, layers[i].n_out)


cdef inline void backward_tiny(
    const Layer* layers, const TinyLayer* t, const octet* a, octet* v, const Py_ssize_t n_hidden,
    const bint single,
) noexcept nogil:
    """v of the hidden layers, from that of the output: (W v) * f'(z)"""
    cdef Py_ssize_t i
    for i in range(n_hidden, 0, -1):
        if single and i == n_hidden:
            v[i - 1] = t[i].W_t[0]
        else:
            v[i - 1] = sum_rows(t[i].W_t, v[i], layers[i].n_out, spread_octet(0))
        v[i - 1] = activate_backward_octet(
            <Activation>layers[i - 1].activation, a[i], v[i - 1], layers[i].n_in
        )


cdef inline void descend_tiny(
    const Layer* layers, TinyLayer* t, const octet* a, octet* v, octet step,
    const Py_ssize_t n_hidden, const bint single,
) noexcept nogil:
    """b := b + v, W := W + a v^T, W^T := W^T + v a^T of all layers; W^T only where it is used"""
    cdef Py_ssize_t i
    for i in range(n_hidden + 1):
        v[i] = step * v[i] if single else v[i]
        if layers[i].b >= 0:
            t[i].b = t[i].b + v[i]
        if i < n_hidden or not single:
            move_rows_of(t[i].W, a[i], layers[i].n_in, v[i])
    for i in range(1, n_hidden + (not single)):
        move_rows_of(t[i].W_t, v[i], layers[i].n_out, a[i])
    if single:
        t[n_hidden].W_t[0] = t[n_hidden].W_t[0] + step * a[n_hidden]


cdef inline void output_step(
    const Samples* s, const Data* data, const real* z, real* step, double rate, Py_ssize_t k,
    Py_ssize_t r, const Py_ssize_t n,
) noexcept nogil:
    """step := -rate * sample_weight * dl/dz of the output layer, whose z and a are kept"""
    cdef const Network* net = s.net
    cdef Activation f = <Activation>net.output.activation
    cdef real a[OCTET]
    cdef Py_ssize_t j
    for j in range(n):
        net.output_z[j * net.block + r] = a[j] = z[j]
    activate(f, a, n)
    for j in range(n):
        activations(net, net.output)[j * net.block + r] = a[j]
    loss_delta(
        data.loss, a, data.y + visited(data, k + r) * data.n_targets, step,
        -<real>rate * net.row_weights[r], n,
    )
    if not is_fused(data.loss):
        activate_backward(f, a, step, n)


cdef inline void pass_tiny_rows(
    const Samples* s, const Data* data, TinyLayer* tiny, Py_ssize_t k, Py_ssize_t m,
    const Steps* steps,
) noexcept nogil:
    """The usual shapes as constants"""
    cdef Py_ssize_t n_hidden = s.net.output - s.net.layers
    cdef bint single = s.net.output.n_out == 1
    if single and n_hidden == 2:
        pass_tiny(s, data, tiny, k, m, steps, 2, True)
    elif single and n_hidden == 1:
        pass_tiny(s, data, tiny, k, m, steps, 1, True)
    elif not single and n_hidden == 1:
        pass_tiny(s, data, tiny, k, m, steps, 1, False)
    else:
        pass_tiny(s, data, tiny, k, m, steps, n_hidden, single)
