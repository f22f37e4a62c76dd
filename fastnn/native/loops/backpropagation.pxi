"""Backpropagation of a block of rows: the chain rule, from dL/da of the output down to each dL/dW.

Gradient descent is not here: `weight_gradients` adds to whatever it is given; with DESCEND as the
epilogue of its tiles, to the weights themselves. `first` and `last` are rows of the block that
begins with the k-th row to visit.
"""

# from layout.pxi: Data, Network, ROWS, RecordPlaces, activations, delta, inputs, is_by_lane,
#     is_relu, kept, run, visited
# from narrow.pxi: backpropagate_by_lane, gradients_by_lane
# from record.pxi: keep_output_slope, keep_rows, place_of_row, places_of
# from forward.pxi: add_losses, drop_rows, evaluate_part

from fastnn.native.formulas.by_lane cimport activate_backward_by_lane, deltas_by_lane
from fastnn.native.formulas.activations cimport Activation, activate_backward
from fastnn.native.products.dense cimport (
    LINE, Layer, bias_gradient, columns, input_gradient, input_gradient_transposed, transpose,
    weight_gradient,
)
from fastnn.native.formulas.losses cimport is_fused, loss_delta
from fastnn.native.products.narrow cimport whole_vectors
from fastnn.native.simd.simd cimport WIDTH, real
from fastnn.native.simd.team cimport part_begin, part_end, wait
from fastnn.native.products.tiles cimport ADD, Epilogue, Product
from fastnn.native.products.one_unit cimport weight_gradient_unit

cdef void output_delta(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    double scale,
) noexcept nogil:
    """dz := scale * sample_weight * dl/dz of the output layer"""
    cdef Py_ssize_t r, i, j, n = net.output.n_out, stride = net.output.stride
    cdef const real* a
    cdef real* dz
    cdef real weight
    if is_by_lane(net.output):
        output_delta_by_lane(net, data, first, last, scale)
        return
    for r in range(first, last):
        i = visited(data, k + r)
        weight = <real>(scale if data.sample_weight == NULL else scale * data.sample_weight[i])
        a = activations(net, net.output) + r * stride
        dz = delta(net, net.output) + r * stride
        loss_delta(data.loss, a, data.y + i * data.n_targets, dz, weight, n)
        if not is_fused(data.loss):
            activate_backward(
                <Activation>net.output.activation, kept(net, net.output) + r * stride, dz, n
            )
        for j in range(n, stride):
            dz[j] = 0


cdef inline void output_delta_by_lane(
    const Network* net, const Data* data, Py_ssize_t first, Py_ssize_t last, double scale
) noexcept nogil:
    """dz of the output layer with one row per lane: at first in the place of z, no longer needed"""
    cdef const Layer* layer = net.output
    cdef const real* a = activations(net, layer)
    cdef real* dz = net.output_z
    cdef real* row
    cdef Py_ssize_t j, r, whole = (last - first) // WIDTH * WIDTH
    deltas_by_lane(
        data.loss, a, net.targets, net.row_weights, <real>scale, dz, layer.n_out, net.block, first,
        last,
    )
    if not is_fused(data.loss):
        activate_backward_by_lane(
            <Activation>layer.activation, kept(net, layer), dz, layer.n_out, net.block, first, last
        )
    transpose(
        dz + first, net.block, layer.n_out, whole, delta(net, layer) + first * layer.stride,
        layer.stride, layer.stride,
    )
    for r in range(first + whole, last):  # one by one: next to them another member writes
        for j in range(layer.stride):
            row = delta(net, layer) + r * layer.stride
            row[j] = dz[j * net.block + r] if j < layer.n_out else 0


cdef void take_output_gradient(
    const Network* net, const real* da, Py_ssize_t m
) noexcept nogil:
    """dz := da * f'(z) of the output layer, where da comes from outside, rows without padding"""
    cdef const Layer* layer = net.output
    cdef real* dz = delta(net, layer)
    cdef real* by_lane = net.output_z
    cdef Py_ssize_t r, j, n = layer.n_out, stride = layer.stride
    for r in range(m):
        for j in range(stride):
            dz[r * stride + j] = da[r * n + j] if j < n else 0
    if not is_by_lane(layer):
        backward_activation_rows(layer, kept(net, layer), dz, m)
        return
    transpose(dz, stride, m, n, by_lane, net.block, m)
    activate_backward_by_lane(
        <Activation>layer.activation, kept(net, layer), by_lane, n, net.block, 0, m
    )
    transpose(by_lane, net.block, n, m, dz, stride, stride)


cdef void gradient_of_inputs(
    const Network* net, const Data* data, const real* W_transposed, real* dx, Py_ssize_t k,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """dx := dL/dx of rows as they were given, before standardising and dropout"""
    cdef const Layer* layer = net.layers
    cdef const double* scale = data.X.scale
    cdef Py_ssize_t r, j, stride = layer.in_stride
    cdef Product product = input_gradient(
        layer, W_transposed, delta(net, layer) + first * layer.stride, dx + first * stride, NULL,
        last - first, False,
    )
    run(&product)
    if layer.drop:
        drop_rows(net, data, layer, k, first, last, dx, dx)
    if scale != NULL:
        for r in range(first, last):
            for j in range(layer.n_in):
                dx[r * stride + j] = <real>(dx[r * stride + j] * scale[j])


cdef inline Py_ssize_t panel(const Network* net, Py_ssize_t m) noexcept nogil:
    """Room for a member's part of m rows, one row per lane, in vectors of its own"""
    cdef Py_ssize_t units = (m + ROWS - 1) // ROWS
    return whole_vectors(min(m, (units + net.me.size - 1) // net.me.size * ROWS))


cdef inline bint keeps_weights(
    const Network* net, const Layer* layer, Py_ssize_t m
) noexcept nogil:
    """Whether m rows of dz and dx are quicker transposed than W is"""
    cdef Py_ssize_t width = net.me.size * panel(net, m)
    return 2 * width * (layer.n_in + layer.n_out) <= layer.n_in * layer.n_out


cdef void transpose_weights(const Network* net, Py_ssize_t m) noexcept nogil:
    """W^T of every layer with one below it, as far as blocks of up to m rows need it

    This member's rows of W.
    """
    cdef const Layer* layer = net.layers
    cdef real* transposed = net.transposed
    if net.narrow:
        return
    while layer != net.output:
        layer += 1
        if not keeps_weights(net, layer, m):
            transpose_layer(net, layer, transposed)
        transposed += layer.n_out * layer.in_stride


cdef void transpose_layer(
    const Network* net, const Layer* layer, real* transposed
) noexcept nogil:
    """W^T of a layer, of this member's rows of W"""
    cdef Py_ssize_t first = part_begin(&net.me, layer.n_in, LINE)
    cdef Py_ssize_t last = part_end(&net.me, layer.n_in, LINE)
    transpose(
        net.parameters + layer.W + first * layer.stride, layer.stride, last - first, layer.n_out,
        transposed + first, layer.in_stride,
        (columns(last, layer.in_stride) if last == layer.n_in else last) - first,
    )


cdef void backward_rows(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    Py_ssize_t m,
) noexcept nogil:
    """dL/dz of every layer below the output: (dz W^T) * f'(z), of some rows in a block of m

    The product leaves a relu's da where z > 0, which is its dz, unless both are kept.
    """
    cdef real* da
    cdef bint masked, keeps = data.record != NULL
    cdef const Layer* layer = net.layers
    cdef real* transposed = net.transposed
    while layer != net.output:
        layer += 1
        transposed += layer.n_out * layer.in_stride
    while layer != net.layers:
        transposed -= layer.n_out * layer.in_stride
        da = delta(net, layer - 1)
        masked = is_relu(layer - 1) and not keeps
        if keeps_weights(net, layer, m):
            delta_below_transposed(net, layer, transposed, first, last, m, masked)
        else:
            delta_below(net, layer, transposed, first, last, masked)
        if layer.drop:
            drop_rows(net, data, layer, k, first, last, da, da)
        layer -= 1
        if keeps:
            keep_rows(
                data, places_of(net, data, layer).da, k, da, layer.stride, layer.n_out, first, last
            )
        if not masked:
            backward_activation_rows(
                layer, kept(net, layer) + first * layer.stride, da + first * layer.stride,
                last - first,
            )
        if keeps:
            keep_rows(
                data, places_of(net, data, layer).dz, k, da, layer.stride, layer.n_out, first, last
            )


cdef void delta_below(
    const Network* net, const Layer* layer, const real* W_transposed, Py_ssize_t first,
    Py_ssize_t last, bint masked,
) noexcept nogil:
    """da of the layer below := dz W^T or, masked, the dz of a relu: the same where z > 0"""
    cdef const real* dz = delta(net, layer) + first * layer.stride
    cdef real* da_below = delta(net, layer - 1) + first * layer.in_stride
    cdef const real* below = kept(net, layer - 1) + first * layer.in_stride
    cdef Product product = input_gradient(
        layer, W_transposed, dz, da_below, below, last - first, masked
    )
    run(&product)


cdef void delta_below_transposed(
    const Network* net, const Layer* layer, real* scratch, Py_ssize_t first, Py_ssize_t last,
    Py_ssize_t m, bint masked,
) noexcept nogil:
    """The same bits as `delta_below`, as (W dz^T)^T: few rows, so W stays as it is"""
    cdef Py_ssize_t stride = panel(net, m)
    cdef real* dz_transposed = scratch + net.me.number * stride * (layer.n_in + layer.n_out)
    cdef real* dx_transposed = dz_transposed + layer.n_out * stride
    cdef const real* dz = delta(net, layer) + first * layer.stride
    cdef real* da_below = delta(net, layer - 1) + first * layer.in_stride
    cdef const real* below = kept(net, layer - 1) + first * layer.in_stride
    cdef Product product
    m = last - first
    transpose(dz, layer.stride, m, layer.n_out, dz_transposed, stride, m)
    product = input_gradient_transposed(
        layer, net.parameters, dz_transposed, dx_transposed, m, stride
    )
    run(&product)
    transpose(
        dx_transposed, stride, layer.n_in, m, da_below, layer.in_stride,
        columns(layer.n_in, layer.in_stride),
    )
    if masked:
        backward_activation_rows(layer - 1, below, da_below, m)


cdef inline void backward_activation_rows(
    const Layer* layer, const real* kept, real* da, Py_ssize_t m
) noexcept nogil:
    """dz := da * f'(z), in place"""
    cdef Py_ssize_t r
    for r in range(m):
        activate_backward(
            <Activation>layer.activation, kept + r * layer.stride, da + r * layer.stride,
            layer.n_out,
        )


cdef void weight_gradients(
    const Network* net, Py_ssize_t m, real* target, Epilogue epilogue, real rate
) noexcept nogil:
    """Of every layer: dL/dW and dL/db added to the gradient (ADD) or to the weights (DESCEND)

    This member's rows of every dW; the first, whose part is the smallest, also computes db.
    """
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t first, last
    cdef Product product
    if net.narrow:
        if net.me.number == 0:
            gradients_by_lane(net, m, target, epilogue, rate)
        return
    while True:
        first, last = part_begin(&net.me, layer.n_in, LINE), part_end(&net.me, layer.n_in, LINE)
        if layer.stride == 1:
            weight_gradient_unit(
                layer, inputs(net, layer), delta(net, layer), m, target, epilogue, rate,
                first, last,
            )
        elif first < last:
            product = weight_gradient(
                layer, inputs(net, layer), delta(net, layer), m, target, epilogue, rate,
                first, last,
            )
            run(&product)
        if net.me.number == 0 and layer.b >= 0:
            bias_gradient(
                layer, delta(net, layer), m, target, epilogue, rate, 0,
                columns(layer.n_out, layer.stride),
            )
        if layer == net.output:
            return
        layer += 1


cdef void backpropagate_part(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, double scale
) noexcept nogil:
    """Losses and deltas, times scale, of this member's part of m rows from the k-th visited on

    The transposed weights must be those of the parameters, for blocks of m rows.
    """
    cdef Py_ssize_t first = part_begin(&net.me, m, ROWS), last = part_end(&net.me, m, ROWS)
    evaluate_part(net, data, k, m)
    if net.narrow:
        if net.me.number == 0:
            backpropagate_by_lane(net, data, m, scale)
    elif first < last:
        if data.record == NULL:
            output_delta(net, data, k, first, last, scale)
            backward_rows(net, data, k, first, last, m)
        else:
            keep_backpropagation(net, data, k, first, last, m, scale)


cdef void keep_backpropagation(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    Py_ssize_t m, double scale,
) noexcept nogil:
    """The same with a record: from dL/da of the outputs down to dL/dx, each kept

    If dL/da of the outputs is given, one member does the whole block.
    """
    cdef const RecordPlaces* places = places_of(net, data, net.output)
    cdef Py_ssize_t n = net.output.n_out
    if data.record.given:
        take_output_gradient(net, place_of_row(data, places.da, k, n), m)
    else:
        output_delta(net, data, k, first, last, scale)
        keep_output_slope(net, data, k, first, last, scale)
    keep_rows(
        data, places.dz, k, delta(net, net.output), net.output.stride, n, first, last
    )
    backward_rows(net, data, k, first, last, m)
    if data.record.W_transposed != NULL:
        gradient_of_inputs(
            net, data, data.record.W_transposed,
            place_of_row(data, data.record.layers.dx, k, net.layers.in_stride), k, first, last,
        )


cdef double add_gradient(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t stop, double scale,
    real* gradient, double total,
) noexcept nogil:
    """gradient := scale * dL/dW + gradient over the rows visited k-th to stop-th

    Returns total + L. The transposed weights must be those of the parameters.
    """
    cdef Py_ssize_t m
    while k < stop:
        m = min(net.block, stop - k)
        backpropagate_part(net, data, k, m, scale)
        if wait(&net.me):
            return total
        if data.y != NULL:
            total = add_losses(net, m, total)
        if gradient != NULL:
            weight_gradients(net, m, gradient, ADD, 0)
        if wait(&net.me):
            return total
        k += m
    return total
