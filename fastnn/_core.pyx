"""The compiled core: forward pass, backpropagation, gradient descent, and the doors to them.

Backpropagation (`backward`) computes the gradient and moves nothing; gradient descent
(`descend_sample`, `minibatch_rows`, `update`) moves the weights with it. There is no policy here:
the doors at the end trust arrays that `_validation.py` and `network.py` have checked; nothing
under them allocates.

Rows pass in blocks of m <= block rows. Scratch memory holds, one behind the other, a stack (the
block's rows of X, then each layer's activations), the z of the output layer, and two arrays of
deltas. Every sum runs in a fixed order: the same arguments give the same bits.
"""

from libc.string cimport memcpy, memset

from fastnn.kernels.activations cimport Activation, activate_backward, activate_block
from fastnn.kernels.dense cimport Layer, forward, input_gradient, weight_gradient
from fastnn.kernels.elementary cimport exp, log, sigmoid, softplus, sweep, tanh
from fastnn.kernels.losses cimport Loss, is_fused, loss_delta, loss_value
from fastnn.kernels.rows cimport NumberType, Rows, gather, is_finite, nonfinite_in_row
from fastnn.kernels.simd cimport (
    COMPILER, WIDTH, cpu_isa_level, float_mode, flush_subnormals, real, restore_float_mode,
)
from fastnn.kernels.update cimport sgd, sgd_sample

cdef struct Network:
    const Layer* layers
    const Layer* output  # the last of them
    real* parameters
    Py_ssize_t block
    real* stack
    real* output_z
    real* delta
    real* other_delta

cdef struct Data:
    Rows X
    const real* y  # (rows, n_targets); NULL: no targets
    Py_ssize_t n_targets
    const real* sample_weight  # NULL: every weight is 1
    const long long* order  # the rows to visit; NULL: all, from first to last
    Loss loss
    real* predictions  # NULL: not wanted; otherwise one row for each visited row

cdef struct Call:
    Network net
    Data data
    float_mode mode_before


# ---- forward pass and loss -----------------------------------------------------------------

cdef inline Py_ssize_t visited(const Data* data, Py_ssize_t k) noexcept nogil:
    """The row of X that is visited k-th"""
    return k if data.order == NULL else data.order[k]


cdef inline real* activations_above(const Layer* layer, real* x, Py_ssize_t m) noexcept nogil:
    """Where a layer's activations lie, given where its inputs lie: next on the stack"""
    return x + m * layer.in_stride


cdef void load_block(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """Lay the rows visited k-th to (k+m)-th at the bottom of the stack."""
    cdef Py_ssize_t r
    for r in range(m):
        gather(&data.X, visited(data, k + r), net.stack + r * net.layers.in_stride)


cdef real* forward_block(const Network* net, Py_ssize_t m) noexcept nogil:
    """z := a W + b, a := f(z), layer after layer; returns the output activations."""
    cdef const Layer* layer = net.layers
    cdef real* x = net.stack
    cdef real* a
    while True:
        a = activations_above(layer, x, m)
        forward(layer, net.parameters, x, a, m)
        if layer == net.output:
            memcpy(net.output_z, a, m * layer.stride * sizeof(real))
        activate_block(<Activation>layer.activation, a, m, layer.n_out, layer.stride)
        if layer == net.output:
            return a
        x = a
        layer += 1


cdef void keep_predictions(
    const Network* net, const Data* data, Py_ssize_t k, const real* a, Py_ssize_t m
) noexcept nogil:
    """Copy the block's output, without its padding, to where the caller reads it."""
    cdef Py_ssize_t r, n = net.output.n_out
    if data.predictions != NULL:
        for r in range(m):
            memcpy(data.predictions + (k + r) * n, a + r * net.output.stride, n * sizeof(real))


cdef double add_loss(
    const Network* net, const Data* data, Py_ssize_t k, const real* a, Py_ssize_t m, double total
) noexcept nogil:
    """total + sum_r sample_weight_r * l(a_r, y_r), a row of weight 0 left out"""
    cdef Py_ssize_t r, i, stride = net.output.stride
    cdef double weight
    for r in range(m):
        i = visited(data, k + r)
        weight = 1 if data.sample_weight == NULL else data.sample_weight[i]
        if weight != 0:
            total += weight * loss_value(
                data.loss, net.output_z + r * stride, a + r * stride,
                data.y + i * data.n_targets, net.output.n_out,
            )
    return total


cdef double evaluate_rows(
    const Network* net, const Data* data, Py_ssize_t n, double loss
) noexcept nogil:
    """Forward pass of n rows; returns loss + the sum of their losses (0 without targets)."""
    cdef Py_ssize_t k = 0, m
    cdef const real* a
    while k < n:
        m = min(net.block, n - k)
        load_block(net, data, k, m)
        a = forward_block(net, m)
        keep_predictions(net, data, k, a, m)
        if data.y != NULL:
            loss = add_loss(net, data, k, a, m, loss)
        k += m
    return loss


# ---- backpropagation: the chain rule, from dL/da of the output down to dL/dW of each layer --

cdef void output_delta(
    const Network* net, const Data* data, Py_ssize_t k, const real* a, Py_ssize_t m, double scale
) noexcept nogil:
    """delta := scale * sample_weight * dl/dz of the output layer"""
    cdef Py_ssize_t r, i, j, n = net.output.n_out, stride = net.output.stride
    cdef real weight
    cdef real* delta = net.delta
    for r in range(m):
        i = visited(data, k + r)
        weight = <real>(scale if data.sample_weight == NULL else scale * data.sample_weight[i])
        loss_delta(data.loss, a, data.y + i * data.n_targets, delta, weight, n)
        if not is_fused(data.loss):
            activate_backward(<Activation>net.output.activation, a, delta, n)
        for j in range(n, stride):
            delta[j] = 0
        a += stride
        delta += stride


cdef inline void delta_below(
    const Network* net, const Layer* layer, const real* x, const real* dz, real* dz_below,
    Py_ssize_t m,
) noexcept nogil:
    """dL/dz of the layer below, whose activations x are: (dz W^T) * f'(z)"""
    cdef Py_ssize_t r
    input_gradient(layer, net.parameters, dz, dz_below, m)
    for r in range(m):
        activate_backward(
            <Activation>(layer - 1).activation, x + r * layer.in_stride,
            dz_below + r * layer.in_stride, layer.n_in,
        )


cdef void backward(const Network* net, const real* a, Py_ssize_t m, real* gradient) noexcept nogil:
    """gradient := dL/dW, dL/db of every layer + gradient, from the delta of the output layer."""
    cdef const Layer* layer = net.output
    cdef const real* x
    cdef real* dz = net.delta
    cdef real* dz_below = net.other_delta
    while True:
        x = a - m * layer.in_stride
        weight_gradient(layer, x, dz, gradient, m)
        if layer == net.layers:
            return
        delta_below(net, layer, x, dz, dz_below, m)
        dz, dz_below = dz_below, dz
        a = x
        layer -= 1


cdef double add_gradient(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t stop, double scale,
    real* gradient, double loss,
) noexcept nogil:
    """gradient := scale * dL/dW + gradient over the rows visited k-th to stop-th

    Returns loss + L.
    """
    cdef Py_ssize_t m
    cdef const real* a
    while k < stop:
        m = min(net.block, stop - k)
        load_block(net, data, k, m)
        a = forward_block(net, m)
        keep_predictions(net, data, k, a, m)
        loss = add_loss(net, data, k, a, m, loss)
        output_delta(net, data, k, a, m, scale)
        backward(net, a, m, gradient)
        k += m
    return loss


# ---- gradient descent: W := W - learning_rate * dL/dW ---------------------------------------

cdef void descend_sample(const Network* net, const real* a, real learning_rate) noexcept nogil:
    """Backpropagation and update of one sample, layer by layer: the layer below needs dz W^T
    with W as it was, so each layer hands its delta down before it moves."""
    cdef const Layer* layer = net.output
    cdef const real* x
    cdef real* dz = net.delta
    cdef real* dz_below = net.other_delta
    while True:
        x = a - layer.in_stride
        if layer != net.layers:
            delta_below(net, layer, x, dz, dz_below, 1)
        sgd_sample(layer, net.parameters, x, dz, learning_rate)
        if layer == net.layers:
            return
        dz, dz_below = dz_below, dz
        a = x
        layer -= 1


cdef inline double rate(const double[::1] rates, Py_ssize_t step) noexcept nogil:
    """The learning rate of a step; one entry serves them all."""
    return rates[0] if rates.shape[0] == 1 else rates[step]


cdef double stochastic_rows(
    const Network* net, const Data* data, Py_ssize_t n, const double[::1] rates, double loss
) noexcept nogil:
    """One update after every row; returns loss + the losses before each update."""
    cdef Py_ssize_t k
    cdef const real* a
    for k in range(n):
        load_block(net, data, k, 1)
        a = forward_block(net, 1)
        keep_predictions(net, data, k, a, 1)
        loss = add_loss(net, data, k, a, 1, loss)
        output_delta(net, data, k, a, 1, 1)
        descend_sample(net, a, <real>rate(rates, k))
    return loss


cdef double minibatch_rows(
    const Network* net, const Data* data, Py_ssize_t n, Py_ssize_t batch_size,
    const double[::1] rates, real* gradient, Py_ssize_t n_parameters, double loss,
) noexcept nogil:
    """One update along the mean gradient of each batch; the last batch may be shorter.

    Returns loss + the losses before each update.
    """
    cdef Py_ssize_t k = 0, step = 0, stop
    while k < n:
        stop = min(k + batch_size, n)
        memset(gradient, 0, n_parameters * sizeof(real))
        loss = add_gradient(net, data, k, stop, 1.0 / (stop - k), gradient, loss)
        sgd(net.parameters, gradient, <real>rate(rates, step), n_parameters)
        step += 1
        k = stop
    return loss


# ---- the doors -------------------------------------------------------------------------------

cdef Py_ssize_t widest_row(const Layer* layers, Py_ssize_t n_layers) noexcept nogil:
    """The longest row of deltas, padding included"""
    cdef Py_ssize_t i, widest = 0
    for i in range(n_layers):
        widest = max(widest, layers[i].stride)
    return widest


cdef Py_ssize_t stack_width(const Layer* layers, Py_ssize_t n_layers) noexcept nogil:
    """The length of one row of the stack: its X and all its activations"""
    cdef Py_ssize_t i, width = layers.in_stride
    for i in range(n_layers):
        width += layers[i].stride
    return width


cdef Network point_network(
    const long long[:, ::1] layers, real[::1] parameters, Py_ssize_t block, real[::1] scratch
) noexcept nogil:
    """Where everything lies; `scratch_length` counts what is divided here."""
    cdef Network net
    cdef Py_ssize_t n = layers.shape[0]
    net.layers = <const Layer*>&layers[0, 0]
    net.output = net.layers + n - 1
    net.parameters = &parameters[0]
    net.block = block
    net.stack = &scratch[0]
    net.output_z = net.stack + block * stack_width(net.layers, n)
    net.delta = net.output_z + block * net.output.stride
    net.other_delta = net.delta + block * widest_row(net.layers, n)
    return net


cdef Rows point_rows(
    const unsigned char[:, :] X, int x_type, Py_ssize_t n_features,
    const double[:, ::1] normalization,
) noexcept nogil:
    """X as the kernels see it"""
    cdef Rows rows
    rows.X = &X[0, 0]
    rows.stride = X.strides[0]
    rows.n_features = n_features
    rows.type = <NumberType>x_type
    rows.mean = &normalization[0, 0] if normalization.shape[0] else NULL
    rows.scale = &normalization[1, 0] if normalization.shape[0] else NULL
    return rows


cdef Call open_call(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const unsigned char[:, :] X, int x_type,
    const real[:, ::1] y, const real[::1] sample_weight, int loss, const long long[::1] order,
    real[:, ::1] predictions,
) noexcept nogil:
    """Arrays to pointers, an empty array to NULL; subnormals count as zero until `close_call`."""
    cdef Call call
    call.net = point_network(layers, parameters, block, scratch)
    call.data.X = point_rows(X, x_type, call.net.layers.n_in, normalization)
    call.data.y = &y[0, 0] if y.shape[0] else NULL
    call.data.n_targets = y.shape[1]
    call.data.sample_weight = &sample_weight[0] if sample_weight.shape[0] else NULL
    call.data.loss = <Loss>loss
    call.data.order = &order[0] if order.shape[0] else NULL
    call.data.predictions = &predictions[0, 0] if predictions.shape[0] else NULL
    call.mode_before = flush_subnormals()
    return call


cdef void close_call(const Call* call) noexcept nogil:
    restore_float_mode(call.mode_before)


def scratch_length(const long long[:, ::1] layers, Py_ssize_t block):
    """How many numbers of scratch memory blocks of this many rows need."""
    cdef const Layer* layer = <const Layer*>&layers[0, 0]
    cdef Py_ssize_t n = layers.shape[0]
    return block * (
        stack_width(layer, n) + layer[n - 1].stride + 2 * widest_row(layer, n)
    )


def evaluate(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
):
    """predictions := the output for the rows in `order` (empty: all rows of X).

    Returns total + the sum of sample_weight * l over them; total itself if y is empty.
    """
    cdef Call call
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        call = open_call(
            layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
            loss, order, predictions,
        )
        total = evaluate_rows(&call.net, &call.data, n, total)
        close_call(&call)
    return total


def gradient(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
    double scale, real[::1] gradient,
):
    """gradient := scale * dL/dW + gradient, where L is the sum of sample_weight * l.

    Returns total + L, so that the sum over all slices of an epoch is one chain of additions.
    Backpropagation alone: nothing moves. With scale = 1 / rows, the calls for all slices of the
    rows add up to the mean gradient.
    """
    cdef Call call
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        call = open_call(
            layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
            loss, order, predictions,
        )
        total = add_gradient(&call.net, &call.data, 0, n, scale, &gradient[0], total)
        close_call(&call)
    return total


def update(real[::1] parameters, const real[::1] gradient, double learning_rate):
    """parameters := parameters - learning_rate * gradient: one step of gradient descent."""
    cdef float_mode mode_before
    if parameters.shape[0] == 0:
        return
    with nogil:
        mode_before = flush_subnormals()
        sgd(&parameters[0], &gradient[0], <real>learning_rate, parameters.shape[0])
        restore_float_mode(mode_before)


def stochastic(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
    const double[::1] rates,
):
    """One update after every row, with its learning rate (a single rate serves all rows).

    Returns total + the sum of sample_weight * l, each taken before its row's update.
    """
    cdef Call call
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        call = open_call(
            layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
            loss, order, predictions,
        )
        total = stochastic_rows(&call.net, &call.data, n, rates, total)
        close_call(&call)
    return total


def minibatch(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
    const double[::1] rates, Py_ssize_t batch_size, real[::1] gradient,
):
    """One update after every `batch_size` rows, along their mean gradient.

    Returns total + the sum of sample_weight * l, each taken before its batch's update.
    """
    cdef Call call
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        call = open_call(
            layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
            loss, order, predictions,
        )
        total = minibatch_rows(
            &call.net, &call.data, n, batch_size, rates, &gradient[0], gradient.shape[0], total
        )
        close_call(&call)
    return total


def first_nonfinite(const unsigned char[:, :] X, int x_type, Py_ssize_t n_features):
    """Row and column of the first number that is not finite as `real`; (-1, -1) if all are."""
    cdef Rows rows
    cdef Py_ssize_t i, column = -1, n = X.shape[0]
    if n == 0 or n_features == 0:
        return -1, -1
    with nogil:
        rows.X, rows.stride = &X[0, 0], X.strides[0]
        rows.n_features, rows.type = n_features, <NumberType>x_type
        for i in range(n):
            column = nonfinite_in_row(&rows, i)
            if column >= 0:
                break
    return i if column >= 0 else -1, column


def all_finite(const real[::1] values):
    """Whether no number is NaN or infinite."""
    cdef Py_ssize_t j, n = values.shape[0]
    cdef bint finite = True
    with nogil:
        for j in range(n):
            finite &= is_finite(values[j])
    return finite


def elementwise(int function, const real[::1] x, real[::1] y):
    """y := f(x), f one of exp, log, sigmoid, tanh, softplus (0 to 4); for tests and measurements"""
    cdef float_mode mode_before
    cdef Py_ssize_t n = x.shape[0]
    if n == 0:
        return
    with nogil:
        mode_before = flush_subnormals()
        if function == 0:
            sweep(exp, &x[0], &y[0], n)
        elif function == 1:
            sweep(log, &x[0], &y[0], n)
        elif function == 2:
            sweep(sigmoid, &x[0], &y[0], n)
        elif function == 3:
            sweep(tanh, &x[0], &y[0], n)
        else:
            sweep(softplus, &x[0], &y[0], n)
        restore_float_mode(mode_before)


def isa_level():
    """The x86-64 level (1, 3 or 4) that this CPU can run; 1 on any other CPU."""
    return cpu_isa_level()


def build_info():
    """The compiler, the bytes of a vector and the bytes of a number in this build."""
    return COMPILER.decode(), WIDTH * sizeof(real), sizeof(real)
