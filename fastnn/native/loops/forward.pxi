"""Forward pass and losses of a block of rows.

`first` and `last` are rows of the block that begins with the k-th row to visit.
"""

# from layout.pxi: Data, Network, ROWS, activations, delta, inputs, is_by_lane, is_relu,
#     keep_by_lane, kept, load_targets, run, visited
# from narrow.pxi: evaluate_by_lane
# from record.pxi: keep_inputs, keep_losses, keep_outputs, keep_rows, places_of

from libc.string cimport memcpy

from fastnn.native.formulas.by_lane cimport activate_by_lane, losses_by_lane
from fastnn.native.formulas.activations cimport Activation, activate_block
from fastnn.native.products.dense cimport Layer, columns, forward, transpose
from fastnn.native.formulas.dropout cimport drop, row_key
from fastnn.native.formulas.losses cimport loss_value
from fastnn.native.products.rows cimport gather
from fastnn.native.simd.simd cimport real
from fastnn.native.per_sample.one_row cimport forward_single, quicker_row_by_row
from fastnn.native.simd.team cimport part_begin, part_end, wait
from fastnn.native.products.tiles cimport Product
from fastnn.native.products.one_unit cimport forward_unit

cdef void load_rows(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Lay rows of X at the bottom of the stack."""
    cdef Py_ssize_t r
    for r in range(first, last):
        gather(&data.X, visited(data, k + r), net.stack + r * net.layers.in_stride, 1)
    if is_by_lane(net.output) and data.y != NULL:
        load_targets(net, data, k, first, last, net.block)


cdef void forward_rows(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """z := a W + b, a := f(z), layer after layer; dropout acts on a before the next layer"""
    cdef const Layer* layer = net.layers
    while True:
        if layer.drop:
            drop_rows(
                net, data, layer, k, first, last, activations_below(net, layer), inputs(net, layer)
            )
        if data.record != NULL:
            keep_inputs(net, data, layer, k, first, last)
        if layer == net.output:
            forward_output(net, first, last)
            break
        forward_hidden(net, data, layer, k, first, last)
        layer += 1
    if data.record != NULL:
        keep_outputs(net, data, places_of(net, data, layer).z, k, net.output_z, first, last)
        keep_outputs(
            net, data, places_of(net, data, layer).a, k, activations(net, layer), first, last
        )


cdef inline const real* activations_below(const Network* net, const Layer* layer) noexcept nogil:
    """The layer's inputs before dropout; of the first layer, the rows of X, dropped in place"""
    return inputs(net, layer) if layer == net.layers else activations(net, layer - 1)


cdef void drop_rows(
    const Network* net, const Data* data, const Layer* layer, Py_ssize_t k, Py_ssize_t first,
    Py_ssize_t last, const real* a, real* x,
) noexcept nogil:
    """Dropout on rows of the layer's inputs, or of their gradient"""
    cdef Py_ssize_t r, stride = layer.in_stride
    cdef unsigned long long key
    for r in range(first, last):
        key = row_key(data.key, data.position + k + r, layer - net.layers)
        drop(
            a + r * stride, x + r * stride, columns(layer.n_in, stride), key,
            <unsigned int>layer.drop,
        )


cdef inline bint forward_product(
    const Network* net, const Layer* layer, const real* x, real* z, Py_ssize_t m, bint relu
) noexcept nogil:
    """z := x W + b of m rows, or relu of it where it is wanted and tiles make it; whether it is"""
    cdef Product product
    cdef Py_ssize_t r
    if layer.stride == 1:
        forward_unit(layer, net.parameters, x, z, m)
        return False
    if quicker_row_by_row(layer, x, m):
        for r in range(m):
            forward_single(layer, net.parameters, x + r * layer.in_stride, z + r * layer.stride)
        return False
    product = forward(layer, net.parameters, x, z, m, relu)
    run(&product)
    return relu


cdef inline void forward_hidden(
    const Network* net, const Data* data, const Layer* layer, Py_ssize_t k, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """z := x W + b, a := f(z)"""
    cdef Py_ssize_t m = last - first, n = layer.n_out, stride = layer.stride
    cdef const real* x = inputs(net, layer) + first * layer.in_stride
    cdef real* a = activations(net, layer) + first * layer.stride
    cdef real* z = kept(net, layer) + first * layer.stride
    cdef bint fuse = is_relu(layer) and layer.b >= 0 and data.record == NULL
    cdef bint fused = forward_product(net, layer, x, z, m, fuse)
    if data.record != NULL:
        keep_rows(data, places_of(net, data, layer).z, k + first, z, stride, n, 0, m)
    if z != a:
        memcpy(a, z, m * stride * sizeof(real))
    if not fused:
        activate_block(<Activation>layer.activation, a, m, n, stride)
    if data.record != NULL:
        keep_rows(data, places_of(net, data, layer).a, k + first, a, stride, n, 0, m)


cdef void forward_output(const Network* net, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """z := a W + b, a := f(z) of the output layer, whose z is kept"""
    cdef const Layer* layer = net.output
    cdef const real* x = inputs(net, layer) + first * layer.in_stride
    cdef real* z = net.output_z + first * layer.stride
    cdef real* a = activations(net, layer)
    cdef Py_ssize_t j, at, m = last - first
    cdef bint turned = is_by_lane(layer) and layer.stride > 1
    if turned:  # as rows for a moment, where dz will be
        z = delta(net, layer) + first * layer.stride
    forward_product(net, layer, x, z, m, False)
    if turned:
        transpose(z, layer.stride, m, layer.n_out, net.output_z + first, net.block, m)
    if is_by_lane(layer):
        for j in range(layer.n_out):
            at = j * net.block + first
            memcpy(a + at, net.output_z + at, m * sizeof(real))
            if layer.kept != layer.z:
                memcpy(kept(net, layer) + at, a + at, m * sizeof(real))
        activate_by_lane(<Activation>layer.activation, a, layer.n_out, net.block, first, last)
    else:
        memcpy(a + first * layer.stride, z, m * layer.stride * sizeof(real))
        if layer.kept != layer.z:
            memcpy(kept(net, layer) + first * layer.stride, z, m * layer.stride * sizeof(real))
        activate_block(
            <Activation>layer.activation, a + first * layer.stride, m, layer.n_out, layer.stride
        )


cdef void keep_predictions(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Copy outputs, without their padding, and targets to where the caller reads them."""
    cdef const real* a = activations(net, net.output)
    cdef Py_ssize_t r, n = net.output.n_out, n_targets = data.n_targets
    if is_by_lane(net.output):
        keep_by_lane(net, data, a, net.block, k, first, last)
        return
    if data.predictions != NULL:
        for r in range(first, last):
            memcpy(data.predictions + (k + r) * n, a + r * net.output.stride, n * sizeof(real))
    if data.kept_targets != NULL:
        for r in range(first, last):
            memcpy(
                data.kept_targets + (k + r) * n_targets,
                data.y + visited(data, k + r) * n_targets, n_targets * sizeof(real),
            )


cdef void row_losses(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """row_loss_r := sample_weight_r * l(a_r, y_r), 0 for a row of weight 0"""
    cdef const real* a = activations(net, net.output)
    cdef Py_ssize_t r, i, stride = net.output.stride
    cdef double weight
    if is_by_lane(net.output):
        losses_by_lane(
            data.loss, net.output_z, a, net.targets, net.row_weights, net.row_loss,
            net.output.n_out, net.block, first, last,
        )
        return
    for r in range(first, last):
        i = visited(data, k + r)
        weight = 1 if data.sample_weight == NULL else data.sample_weight[i]
        net.row_loss[r] = 0 if weight == 0 else weight * loss_value(
            data.loss, net.output_z + r * stride, a + r * stride, data.y + i * data.n_targets,
            net.output.n_out,
        )


cdef double add_losses(const Network* net, Py_ssize_t m, double total) noexcept nogil:
    """total + the sum of the losses of the block's rows, which is added up over r mod 8"""
    cdef double sums[8]
    cdef Py_ssize_t r, q
    for q in range(8):
        sums[q] = 0
    for r in range(0, m - m % 8, 8):
        for q in range(8):
            sums[q] += net.row_loss[r + q]
    for r in range(m - m % 8, m):
        sums[r % 8] += net.row_loss[r]
    for q in range(1, 8):
        sums[0] += sums[q]
    return total + sums[0]


cdef void evaluate_part(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """Forward pass and losses of this member's part of a block of m rows"""
    cdef Py_ssize_t first = part_begin(&net.me, m, ROWS), last = part_end(&net.me, m, ROWS)
    if net.narrow:
        if net.me.number == 0:
            evaluate_by_lane(net, data, k, m)
        return
    if first == last:
        return
    load_rows(net, data, k, first, last)
    forward_rows(net, data, k, first, last)
    keep_predictions(net, data, k, first, last)
    if data.y != NULL:
        row_losses(net, data, k, first, last)
        if data.record != NULL:
            keep_losses(net, data, k, first, last)


cdef double evaluate_rows(
    const Network* net, const Data* data, Py_ssize_t n, double total
) noexcept nogil:
    """Forward pass of n rows; returns total + the sum of their losses (0 without targets)."""
    cdef Py_ssize_t k = 0, m
    while k < n:
        m = min(net.block, n - k)
        evaluate_part(net, data, k, m)
        if wait(&net.me):  # the parts of the next block may begin at other rows of the stack
            return total
        if data.y != NULL:
            total = add_losses(net, m, total)
            if wait(&net.me):
                return total
        k += m
    return total
