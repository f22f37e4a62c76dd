"""Keeping the values of all layers, row by row, for those who want to look at them.

The loops of the forward pass and of backpropagation call these functions where a value exists: the
next layer, or the next block of rows, writes over it. Without a record nothing is kept.
"""

# from layout.pxi: Data, Network, RecordPlaces, inputs, is_by_lane, lay_back, visited

from libc.string cimport memcpy

from fastnn.native.products.dense cimport Layer
from fastnn.native.formulas.dropout cimport drop, row_key
from fastnn.native.formulas.losses cimport fused_slope, is_fused, loss_delta
from fastnn.native.simd.simd cimport real


cdef inline const RecordPlaces* places_of(
    const Network* net, const Data* data, const Layer* layer
) noexcept nogil:
    return data.record.layers + (layer - net.layers)


cdef inline real* place_of_row(
    const Data* data, long long place, Py_ssize_t row, Py_ssize_t n
) noexcept nogil:
    """Where values of n units are kept of the row visited `row`-th in this call"""
    return data.record.values + place + (data.position + row) * n


cdef void keep_rows(
    const Data* data, long long place, Py_ssize_t k, const real* rows, Py_ssize_t stride,
    Py_ssize_t n, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Copy rows of a block, which begins with the k-th visited, without their padding."""
    cdef Py_ssize_t r
    if place < 0:
        return
    for r in range(first, last):
        memcpy(place_of_row(data, place, k + r, n), rows + r * stride, n * sizeof(real))


cdef void keep_outputs(
    const Network* net, const Data* data, long long place, Py_ssize_t k, const real* values,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """The same of the output layer, which may have one row per lane."""
    cdef const Layer* layer = net.output
    if place < 0:
        return
    if is_by_lane(layer):
        lay_back(
            values, net.block, place_of_row(data, place, k, layer.n_out), layer.n_out, first, last
        )
    else:
        keep_rows(data, place, k, values, layer.stride, layer.n_out, first, last)


cdef void keep_inputs(
    const Network* net, const Data* data, const Layer* layer, Py_ssize_t k, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """The inputs of a layer, and the factors that dropout has made them with."""
    cdef const RecordPlaces* places = places_of(net, data, layer)
    cdef unsigned long long key
    cdef real* mask
    cdef Py_ssize_t r, j
    keep_rows(
        data, places.x, k, inputs(net, layer), layer.in_stride, layer.n_in, first, last
    )
    if places.mask < 0:
        return
    for r in range(first, last):
        mask = place_of_row(data, places.mask, k + r, layer.n_in)
        for j in range(layer.n_in):
            mask[j] = 1
        key = row_key(data.key, data.position + k + r, layer - net.layers)
        drop(mask, mask, layer.n_in, key, <unsigned int>layer.drop)


cdef void keep_output_slope(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    double scale,
) noexcept nogil:
    """dL/da of the outputs: scale * sample_weight * dl/da, of a fused loss too."""
    cdef const RecordPlaces* places = places_of(net, data, net.output)
    cdef Py_ssize_t r, i, n = net.output.n_out
    cdef const real* a
    cdef const real* y
    cdef real* da
    cdef real weight
    if places.da < 0:
        return
    for r in range(first, last):
        i = visited(data, k + r)
        weight = <real>(scale if data.sample_weight == NULL else scale * data.sample_weight[i])
        a = place_of_row(data, places.a, k + r, n)
        da = place_of_row(data, places.da, k + r, n)
        y = data.y + i * data.n_targets
        if is_fused(data.loss):
            fused_slope(data.loss, a, y, da, weight, n)
        else:
            loss_delta(data.loss, a, y, da, weight, n)


cdef void keep_losses(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """sample_weight * l of each row."""
    if data.record.losses != NULL:
        memcpy(
            data.record.losses + data.position + k + first, net.row_loss + first,
            (last - first) * sizeof(double),
        )
