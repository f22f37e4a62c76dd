"""Narrow networks: forward pass and backpropagation of a block of m rows, one row per lane."""

# from layout.pxi: Data, Network, is_relu, keep_by_lane, load_targets, visited

from libc.string cimport memcpy

from fastnn.native.formulas.by_lane cimport (
    activate_by_lane, activate_backward_by_lane, deltas_by_lane, losses_by_lane,
)
from fastnn.native.formulas.activations cimport Activation
from fastnn.native.products.dense cimport Layer
from fastnn.native.formulas.losses cimport is_fused
from fastnn.native.products.narrow cimport (
    forward_units, gradient_units, input_gradient_units, multiply_units, whole_vectors,
)
from fastnn.native.products.rows cimport gather
from fastnn.native.simd.simd cimport real
from fastnn.native.products.tiles cimport Epilogue, Product


cdef void load_by_lane(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """Inputs, targets and weights. Lanes behind the last row repeat it, with weight 0."""
    cdef Py_ssize_t r, j, lanes = whole_vectors(m)
    for r in range(lanes):
        gather(&data.X, visited(data, k + min(r, m - 1)), net.stack + r, lanes)
    if data.y == NULL:
        return
    load_targets(net, data, k, 0, m, lanes)
    for r in range(m, lanes):
        net.row_weights[r] = 0
        for j in range(data.n_targets):
            net.targets[j * lanes + r] = net.targets[j * lanes + m - 1]


cdef void forward_by_lane(const Network* net, Py_ssize_t lanes) noexcept nogil:
    """z := W^T x + b, a := f(z), layer after layer"""
    cdef const Layer* layer = net.layers
    cdef real* a
    cdef real* z
    cdef Product product
    cdef bint fused
    while True:
        a, z = net.stack + lanes * layer.z, net.stack + lanes * layer.kept
        fused = is_relu(layer) and layer != net.output
        product = forward_units(
            layer, net.parameters, net.stack + lanes * layer.x, z, lanes, fused
        )
        multiply_units(&product)
        if layer == net.output:
            memcpy(net.output_z, z, layer.n_out * lanes * sizeof(real))
        if z != a:
            memcpy(a, z, layer.n_out * lanes * sizeof(real))
        if not fused:
            activate_by_lane(<Activation>layer.activation, a, layer.n_out, lanes, 0, lanes)
        if layer == net.output:
            return
        layer += 1


cdef void evaluate_by_lane(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """Forward pass and losses, these if there are targets"""
    cdef Py_ssize_t lanes = whole_vectors(m), n = net.output.n_out
    cdef const real* a = net.stack + lanes * net.output.z
    load_by_lane(net, data, k, m)
    forward_by_lane(net, lanes)
    keep_by_lane(net, data, a, lanes, k, 0, m)
    if data.y != NULL:
        losses_by_lane(
            data.loss, net.output_z, a, net.targets, net.row_weights, net.row_loss, n, lanes, 0, m
        )


cdef inline real* delta_by_lane(
    const Network* net, const Layer* layer, Py_ssize_t lanes
) noexcept nogil:
    return net.deltas + lanes * (layer.z - net.layers.in_stride)


cdef void backpropagate_by_lane(
    const Network* net, const Data* data, Py_ssize_t m, double scale
) noexcept nogil:
    """The deltas of all layers, times scale"""
    cdef Py_ssize_t lanes = whole_vectors(m), n = net.output.n_out
    cdef const Layer* layer = net.output
    cdef const real* a = net.stack + lanes * layer.z
    cdef const real* below = net.stack + lanes * layer.kept
    cdef real* dz = delta_by_lane(net, layer, lanes)
    cdef Product product
    deltas_by_lane(data.loss, a, net.targets, net.row_weights, <real>scale, dz, n, lanes, 0, lanes)
    if not is_fused(data.loss):
        activate_backward_by_lane(<Activation>layer.activation, below, dz, n, lanes, 0, lanes)
    while layer != net.layers:
        below = net.stack + lanes * (layer - 1).kept
        dz = delta_by_lane(net, layer - 1, lanes)
        product = input_gradient_units(
            layer, net.parameters, delta_by_lane(net, layer, lanes), dz, below, lanes,
            is_relu(layer - 1),
        )
        multiply_units(&product)
        layer -= 1
        if not is_relu(layer):
            activate_backward_by_lane(
                <Activation>layer.activation, below, dz, layer.n_out, lanes, 0, lanes
            )


cdef void gradients_by_lane(
    const Network* net, Py_ssize_t m, real* target, Epilogue epilogue, real rate
) noexcept nogil:
    """Of every layer: dL/dW and dL/db added to the gradient (ADD) or to the weights (DESCEND)"""
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t lanes = whole_vectors(m)
    while True:
        gradient_units(
            layer, net.stack + lanes * layer.x, delta_by_lane(net, layer, lanes), lanes, target,
            epilogue, rate,
        )
        if layer == net.output:
            return
        layer += 1
