"""Per-sample descent: the layers above the first, which take one row after the other."""

# from layout.pxi: Data, Network, activations, delta, inputs, is_relu, visited
# from per_sample/layout.pxi: Samples, bias_of, keep_output, kept_row, place_of, row_of

from libc.string cimport memcpy

from fastnn.native.formulas.activations cimport Activation, activate, activate_backward
from fastnn.native.products.dense cimport Layer, columns
from fastnn.native.formulas.losses cimport is_fused, loss_delta
from fastnn.native.per_sample.active_rows cimport (
    add_rows, add_scaled, descend_list, descend_rows, list_relu, place_units, whole_chains,
)
from fastnn.native.per_sample.held_output cimport descend_held, forward_held
from fastnn.native.per_sample.moving_rows cimport descend_moving, descend_plain, move_row
from fastnn.native.simd.simd cimport real
from fastnn.native.formulas.update cimport PLAIN, Motion, Step, is_plain, motion, rule_of, slots_of


cdef inline bint lists_its_inputs(const Samples* s, const Layer* layer) noexcept nogil:
    """Whether a layer lists its inputs itself, if they come from a relu"""
    return layer < s.net.output or (layer == s.net.output and s.held == NULL)


cdef inline void activate_sample(
    const Samples* s, const Layer* layer, Py_ssize_t r
) noexcept nogil:
    """a := f(z), unless the list of the layer above does it; z and a of the output are kept."""
    cdef real* z = row_of(s, layer, r)
    if is_relu(layer) and lists_its_inputs(s, layer + 1):
        return
    if layer == s.net.output:
        keep_output(s, z, s.net.output_z, r)
    if layer.kept != layer.z:
        memcpy(kept_row(s, layer, r), z, layer.n_out * sizeof(real))
    activate(<Activation>layer.activation, z, layer.n_out)
    if layer == s.net.output:
        keep_output(s, z, activations(s.net, layer), r)


cdef void forward_above(const Samples* s, Py_ssize_t r) noexcept nogil:
    """z := a W + b, a := f(z) of all layers above the first"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef real* x
    cdef real* z
    while layer != (net.output - 1 if has_one_output(s) else net.output):
        layer += 1
        x = inputs(net, layer) + r * layer.in_stride
        z = row_of(s, layer, r)
        if layer == net.output and s.held != NULL:
            forward_held(
                s.held, layer.in_stride, x, bias_of(s, layer), z, layer.n_in, layer.n_out
            )
        else:
            forward_upper(s, layer, x, z)
        activate_sample(s, layer, r)


cdef inline void forward_upper(
    const Samples* s, const Layer* layer, real* x, real* z
) noexcept nogil:
    """z := x W + b; behind a relu over the units that are on, of which a list is kept

    There x comes as z of the layer below.
    """
    cdef Py_ssize_t at = place_of(s, layer), n = layer.n_in
    cdef const real* W = s.net.parameters + layer.W
    cdef Py_ssize_t width = columns(layer.n_out, layer.stride)
    if is_relu(layer - 1):
        n = list_relu(x, n, s.units + at, s.values + at)
        s.n_units[layer - s.net.layers] = n
        add_rows(
            W, layer.stride, s.units + at, s.values + at, whole_chains(n), bias_of(s, layer), z,
            width, False,
        )
    else:
        add_rows(W, layer.stride, s.all, x, n, bias_of(s, layer), z, width, False)


cdef inline void delta_of_sample(
    const Samples* s, const Data* data, Py_ssize_t k, Py_ssize_t r
) noexcept nogil:
    """dz := sample_weight * dl/dz of the output layer"""
    cdef const Network* net = s.net
    cdef Py_ssize_t i = visited(data, k + r), n = net.output.n_out, stride = net.output.stride
    cdef real weight = 1 if data.sample_weight == NULL else data.sample_weight[i]
    cdef const real* a = row_of(s, net.output, r)
    cdef const real* below = a if net.output.kept == net.output.z else kept_row(s, net.output, r)
    cdef real* dz = delta(net, net.output) + r * stride
    cdef Py_ssize_t j
    loss_delta(data.loss, a, data.y + i * data.n_targets, dz, weight, n)
    if not is_fused(data.loss):
        activate_backward(<Activation>net.output.activation, below, dz, n)
    for j in range(n, columns(n, stride)):
        dz[j] = 0


cdef inline bint has_one_output(const Samples* s) noexcept nogil:
    """Whether there is one output above other layers: the deltas of all are multiples of its own"""
    return s.held != NULL and s.net.output.n_out == 1


cdef inline real pass_unit(
    const Samples* s, const Data* data, Py_ssize_t k, Py_ssize_t r
) noexcept nogil:
    """z and a of the one output; returns its dz, in the place of which there is 1

    So the layers below need not wait for it: it multiplies the rate of their steps. With that
    30-64-32-1 computes dx while the sigmoid is on its way.
    """
    cdef const Layer* layer = s.net.output
    cdef Py_ssize_t i = visited(data, k + r)
    cdef real z, a, dz, weight = 1 if data.sample_weight == NULL else data.sample_weight[i]
    forward_held(
        s.held, layer.in_stride, inputs(s.net, layer) + r * layer.in_stride, bias_of(s, layer),
        &z, columns(layer.n_in, layer.in_stride), 1,
    )
    s.net.output_z[r] = a = z
    activate(<Activation>layer.activation, &a, 1)
    activations(s.net, layer)[r] = a
    loss_delta(data.loss, &a, data.y + i * data.n_targets, &dz, weight, 1)
    if not is_fused(data.loss):
        activate_backward(
            <Activation>layer.activation, &a if layer.kept == layer.z else &z, &dz, 1
        )
    delta(s.net, layer)[r] = 1
    return dz


cdef void descend_above(const Samples* s, Py_ssize_t r, Step step) noexcept nogil:
    """dz of the first layer from that of the output; all layers between take their step."""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.output
    cdef const real* x
    cdef const real* dz
    cdef const real* below
    cdef real* dz_below
    cdef real rate = <real>step.rate
    cdef Py_ssize_t i
    while layer != net.layers:
        x = inputs(net, layer) + r * layer.in_stride
        dz = delta(net, layer) + r * layer.stride
        dz_below = delta(net, layer - 1) + r * layer.in_stride
        below = kept_row(s, layer - 1, r)
        if layer == net.output and s.held != NULL:
            descend_held(
                s.held, layer.in_stride, x, dz, -rate, dz_below,
                columns(layer.n_in, layer.in_stride), layer.n_out,
            )
            activate_backward(<Activation>(layer - 1).activation, below, dz_below, layer.n_in)
        elif not is_plain(s.rule):
            move_layer(s, layer, x, dz, s.dx, step)
            for i in range(columns(layer.n_in, layer.in_stride)):
                dz_below[i] = s.dx[i] if i < layer.n_in else 0
            activate_backward(<Activation>(layer - 1).activation, below, dz_below, layer.n_in)
        else:
            descend_upper(s, layer, x, dz, below, dz_below, rate)
        if layer.b >= 0 and is_plain(s.rule):
            add_scaled(-rate, dz, net.parameters + layer.b, columns(layer.n_out, layer.stride))
        layer -= 1


cdef inline void move_layer(
    const Samples* s, const Layer* layer, const real* x, const real* dz, real* dx, Step step
) noexcept nogil:
    """dx := W dz, then a step of W and b by a rule that moves all of them"""
    cdef const Network* net = s.net
    cdef Motion m = motion(s.rule, step, rule_of(s.rule, layer - net.layers), True)
    cdef Py_ssize_t width = columns(layer.n_out, layer.stride)
    if m.method == PLAIN:
        descend_plain(net.parameters + layer.W, layer.stride, x, dz, &m, dx, layer.n_in, width)
    else:
        descend_moving(
            net.parameters + layer.W, slots_of(s.rule, layer.W), layer.stride, x, dz, &m, dx,
            layer.n_in, width,
        )
    move_bias(s, layer, dz, step)


cdef inline void move_bias(
    const Samples* s, const Layer* layer, const real* dz, Step step
) noexcept nogil:
    """A step of b by a rule that is not plain"""
    cdef Motion m = motion(s.rule, step, rule_of(s.rule, layer - s.net.layers), False)
    if layer.b >= 0:
        move_row(
            s.net.parameters + layer.b, slots_of(s.rule, layer.b), 1, dz, &m,
            columns(layer.n_out, layer.stride),
        )


cdef inline void descend_upper(
    const Samples* s, const Layer* layer, const real* x, const real* dz, const real* below,
    real* dz_below, real rate,
) noexcept nogil:
    """dz below := (W dz) * f'(z), then W := W - rate x dz^T, of the units in the list

    Those in the list of a relu are those where relu' = 1; elsewhere it is 0.
    """
    cdef real* W = s.net.parameters + layer.W
    cdef Py_ssize_t i, n, at = place_of(s, layer), n_below = columns(layer.n_in, layer.in_stride)
    cdef Py_ssize_t width = columns(layer.n_out, layer.stride)
    if is_relu(layer - 1):
        n = s.n_units[layer - s.net.layers]
        descend_rows(
            W, layer.stride, s.units + at, s.values + at, n, dz, -rate, width, s.dx
        )
        place_units(x, n_below, s.dx, dz_below)
    else:
        descend_list(W, layer.stride, s.all, x, layer.n_in, dz, -rate, width, s.dx)
        for i in range(n_below):
            dz_below[i] = s.dx[i] if i < layer.n_in else 0
        activate_backward(<Activation>(layer - 1).activation, below, dz_below, layer.n_in)
