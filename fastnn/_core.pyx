"""The compiled core: forward pass, backpropagation, gradient descent, and the doors to them.

Backpropagation (`backward_rows`, `weight_gradients`) computes the gradient; gradient descent
(`minibatch_rows`, `stochastic_rows`, `update`) moves the weights with it. There is no policy here:
the doors at the end trust arrays that `_validation.py` and `network.py` have checked; nothing
under them allocates.

Rows pass in blocks. Scratch memory holds the losses of the block's rows; a stack with its rows of
X and above them each layer's activations; the z of the output layer; each layer's deltas dL/dz;
and each layer's W transposed, or what the stochastic mode needs in its place. Where rows lie across
(in all layers of a narrow network, and in a narrow output layer for softmax and losses), a vector
holds one unit of several rows; the targets and weights of the block lie behind the z. Every sum
runs in a fixed order: the same arguments give the same bits.

Several threads, the members of a team, enter a door together, each with its number, and take turns
of two kinds between barriers: in the first each passes its share of a block's rows up and down the
layers; in the second it computes its share of the rows of every dW. So each number is computed by
one member alone, in the same way whoever it is: the threads leave no trace in the bits. A narrow
network is too little work to share: its first member does it all.
"""

from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy, memset

from fastnn.kernels.across cimport (
    activate_across, activate_backward_across, deltas_across, losses_across,
)
from fastnn.kernels.activations cimport (
    LINEAR, RELU, Activation, activate, activate_backward, activate_block,
)
from fastnn.kernels.dense cimport (
    Layer, bias_gradient, columns, forward, input_gradient, input_gradient_transposed, transpose,
    weight_gradient,
)
from fastnn.kernels.elementary cimport exp, log, sigmoid, softplus, sweep, tanh
from fastnn.kernels.losses cimport Loss, is_fused, loss_delta, loss_value
from fastnn.kernels.narrow cimport (
    forward_units, gradient_units, input_gradient_units, is_narrow, multiply_units,
    whole_vectors,
)
from fastnn.kernels.rows cimport (
    FLOAT32, FLOAT64, NumberType, Rows, gather, is_finite, nonfinite_in_row,
)
from fastnn.kernels.sample cimport (
    add_rows, add_scaled, descend_held, descend_list, descend_moving, descend_rows, forward_held,
    gram, list_relu, list_units, mix, move_rows, multiply_numbers, place_units, scale_row,
    sweep_rows, whole_chains,
)
from fastnn.kernels.simd cimport (
    COMPILER, WIDTH, cpu_isa_level, first_unit, float_mode, flush_subnormals, load_octet,
    octet, octet_not_negative, octet_sum, octet_where_positive, real, restore_float_mode,
    spread_octet,
)
from fastnn.kernels.team cimport Member, begin, share_begin, share_end, wait
from fastnn.kernels.tiles cimport ADD, DESCEND, PUT, Epilogue, Product, multiply
from fastnn.kernels.tiny cimport (
    OCTET, TinyLayer, load_tiny, move_rows_of, store_tiny, sum_rows,
)
from fastnn.kernels.unit cimport forward_unit, weight_gradient_unit
from fastnn.kernels.update cimport Motion, Rule, decay_of, is_plain, motion, move, sgd

cdef struct Network:
    const Layer* layers
    const Layer* output  # the last of them
    real* parameters
    bint narrow  # rows lie across in all layers, in the same memory
    Py_ssize_t length  # of a block in rows, as it was asked for
    Py_ssize_t block  # and the rows that there is room for: whole lines
    double* row_loss
    real* stack
    real* output_z
    real* targets  # where rows lie across (`lies_across`): the block's targets, unit by unit,
    real* weights  # and its sample weights
    real* deltas
    real* transposed
    Member me

cdef enum:  # shares begin at multiples of these; not to be seen in the bits
    ROWS = 4  # of X: short, for batches are, and for 16 rows full tiles enough
    ACROSS = 16  # the widest rows of outputs that are laid across for softmax and losses
    LINE = 16  # rows of W, and parameters: columns of W^T then begin at a border of the cache

cdef Py_ssize_t LOSS_LENGTH = sizeof(double) // sizeof(real)  # of a row's loss, a double


cdef struct Data:
    Rows X
    const real* y  # (rows, n_targets); NULL: no targets
    Py_ssize_t n_targets
    const real* sample_weight  # NULL: every weight is 1
    const long long* order  # the rows to visit; NULL: all, from first to last
    Loss loss
    real* predictions  # NULL: not wanted; otherwise one row for each visited row

cdef struct Rates:
    const double* values  # of each step
    bint constant  # one serves all steps

cdef struct Call:
    Network net
    Data data
    Rule rule
    Rates rates
    float_mode mode_before


# ---- where things lie in the scratch memory; all of them (block, ...) -------------------------

cdef inline real* inputs(const Network* net, const Layer* layer) noexcept nogil:
    return net.stack + net.block * layer.x


cdef inline real* activations(const Network* net, const Layer* layer) noexcept nogil:
    return net.stack + net.block * layer.z


cdef inline real* delta(const Network* net, const Layer* layer) noexcept nogil:
    return net.deltas + net.block * (layer.z - net.layers.in_stride)


cdef inline bint is_relu(const Layer* layer) noexcept nogil:
    return <Activation>layer.activation == RELU


cdef inline bint lies_across(const Layer* layer) noexcept nogil:
    """Whether a vector holds one unit of several rows, as it may in an output layer"""
    return layer.stride <= ACROSS


cdef inline Py_ssize_t visited(const Data* data, Py_ssize_t k) noexcept nogil:
    """The row of X that is visited k-th"""
    return k if data.order == NULL else data.order[k]


cdef void run(const Product* product) noexcept nogil:
    """All products pass here: the tiles are compiled once."""
    multiply(product)


# ---- forward pass and loss, of rows `first` to `last` of the block that begins with the k-th ----

cdef void load_rows(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Lay rows of X at the bottom of the stack."""
    cdef Py_ssize_t r
    for r in range(first, last):
        gather(&data.X, visited(data, k + r), net.stack + r * net.layers.in_stride, 1)
    if lies_across(net.output) and data.y != NULL:
        load_targets(net, data, k, first, last, net.block)


cdef inline void load_targets(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    Py_ssize_t pitch,
) noexcept nogil:
    """Lay targets and weights of rows across."""
    cdef const long long* order = data.order
    cdef Py_ssize_t r, j, n = data.n_targets
    cdef const real* weight = data.sample_weight
    for j in range(n):
        for r in range(first, last):
            net.targets[j * pitch + r] = data.y[(k + r if order == NULL else order[k + r]) * n + j]
    for r in range(first, last):
        net.weights[r] = 1 if weight == NULL else weight[k + r if order == NULL else order[k + r]]


cdef void forward_rows(const Network* net, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """z := a W + b, a := f(z), layer after layer"""
    cdef const Layer* layer = net.layers
    cdef const real* x
    cdef real* a
    cdef Product product
    cdef bint fused
    while layer != net.output:
        fused = is_relu(layer) and layer.b >= 0
        x = inputs(net, layer) + first * layer.in_stride
        a = activations(net, layer) + first * layer.stride
        if layer.stride == 1:
            fused = False
            forward_unit(layer, net.parameters, x, a, last - first)
        else:
            product = forward(layer, net.parameters, x, a, last - first, fused)
            run(&product)
        if not fused:
            activate_block(
                <Activation>layer.activation, a, last - first, layer.n_out, layer.stride
            )
        layer += 1
    forward_output(net, first, last)


cdef void forward_output(const Network* net, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The same of the output layer, whose z is kept"""
    cdef const Layer* layer = net.output
    cdef const real* x = inputs(net, layer) + first * layer.in_stride
    cdef real* z = net.output_z + first * layer.stride
    cdef real* a = activations(net, layer)
    cdef Py_ssize_t j, at, m = last - first
    cdef Product product
    if layer.stride == 1:
        forward_unit(layer, net.parameters, x, z, m)
    else:
        if lies_across(layer):  # as rows for a moment, where dz will be
            z = delta(net, layer) + first * layer.stride
        product = forward(layer, net.parameters, x, z, m, False)
        run(&product)
        if lies_across(layer):
            transpose(z, layer.stride, m, layer.n_out, net.output_z + first, net.block, m)
    if lies_across(layer):
        for j in range(layer.n_out):
            at = j * net.block + first
            memcpy(a + at, net.output_z + at, m * sizeof(real))
        activate_across(<Activation>layer.activation, a, layer.n_out, net.block, first, last)
    else:
        memcpy(a + first * layer.stride, z, m * layer.stride * sizeof(real))
        activate_block(
            <Activation>layer.activation, a + first * layer.stride, m, layer.n_out, layer.stride
        )


cdef void keep_predictions(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Copy outputs, without their padding, to where the caller reads them."""
    cdef const real* a = activations(net, net.output)
    cdef Py_ssize_t r, j, n = net.output.n_out
    if data.predictions == NULL:
        return
    for r in range(first, last):
        if lies_across(net.output):
            for j in range(n):
                data.predictions[(k + r) * n + j] = a[j * net.block + r]
        else:
            memcpy(
                data.predictions + (k + r) * n, a + r * net.output.stride, n * sizeof(real)
            )


cdef void row_losses(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """row_loss_r := sample_weight_r * l(a_r, y_r), 0 for a row of weight 0"""
    cdef const real* a = activations(net, net.output)
    cdef Py_ssize_t r, i, stride = net.output.stride
    cdef double weight
    if lies_across(net.output):
        losses_across(
            data.loss, net.output_z, a, net.targets, net.weights, net.row_loss, net.output.n_out,
            net.block, first, last,
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


cdef void evaluate_share(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """Forward pass and losses of this member's share of a block of m rows"""
    cdef Py_ssize_t first = share_begin(&net.me, m, ROWS), last = share_end(&net.me, m, ROWS)
    if net.narrow:
        if net.me.number == 0:
            evaluate_across(net, data, k, m)
        return
    if first == last:
        return
    load_rows(net, data, k, first, last)
    forward_rows(net, first, last)
    keep_predictions(net, data, k, first, last)
    if data.y != NULL:
        row_losses(net, data, k, first, last)


cdef double evaluate_rows(
    const Network* net, const Data* data, Py_ssize_t n, double loss
) noexcept nogil:
    """Forward pass of n rows; returns loss + the sum of their losses (0 without targets)."""
    cdef Py_ssize_t k = 0, m
    while k < n:
        m = min(net.block, n - k)
        evaluate_share(net, data, k, m)
        if wait(&net.me):  # the shares of the next block may begin at other rows of the stack
            return loss
        if data.y != NULL:
            loss = add_losses(net, m, loss)
            if wait(&net.me):
                return loss
        k += m
    return loss


# ---- backpropagation: the chain rule, from dL/da of the output down to dL/dW of each layer --

cdef void output_delta(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    double scale,
) noexcept nogil:
    """dz := scale * sample_weight * dl/dz of the output layer"""
    cdef Py_ssize_t r, i, j, n = net.output.n_out, stride = net.output.stride
    cdef const real* a
    cdef real* dz
    cdef real weight
    if lies_across(net.output):
        output_delta_across(net, data, first, last, scale)
        return
    for r in range(first, last):
        i = visited(data, k + r)
        weight = <real>(scale if data.sample_weight == NULL else scale * data.sample_weight[i])
        a = activations(net, net.output) + r * stride
        dz = delta(net, net.output) + r * stride
        loss_delta(data.loss, a, data.y + i * data.n_targets, dz, weight, n)
        if not is_fused(data.loss):
            activate_backward(<Activation>net.output.activation, a, dz, n)
        for j in range(n, stride):
            dz[j] = 0


cdef inline void output_delta_across(
    const Network* net, const Data* data, Py_ssize_t first, Py_ssize_t last, double scale
) noexcept nogil:
    """The same for rows that lie across: at first in the place of z, which has been used"""
    cdef const Layer* layer = net.output
    cdef const real* a = activations(net, layer)
    cdef real* dz = net.output_z
    deltas_across(
        data.loss, a, net.targets, net.weights, <real>scale, dz, layer.n_out, net.block, first,
        last,
    )
    if not is_fused(data.loss):
        activate_backward_across(
            <Activation>layer.activation, a, dz, layer.n_out, net.block, first, last
        )
    transpose(
        dz + first, net.block, layer.n_out, last - first,
        delta(net, layer) + first * layer.stride, layer.stride, layer.stride,
    )


cdef inline bint keeps_weights(const Layer* layer, Py_ssize_t m) noexcept nogil:
    """Whether m rows of dz and dx are quicker transposed than W is"""
    return 2 * whole_vectors(m) * (layer.n_in + layer.n_out) <= layer.n_in * layer.n_out


cdef void transpose_weights(const Network* net, Py_ssize_t m) noexcept nogil:
    """W^T of every layer that hands a gradient down, as far as blocks of up to m rows need it

    This member's rows of W.
    """
    cdef const Layer* layer = net.layers
    cdef real* transposed = net.transposed
    cdef Py_ssize_t first, last
    if net.narrow:
        return
    while layer != net.output:
        layer += 1
        if not keeps_weights(layer, m):
            first = share_begin(&net.me, layer.n_in, LINE)
            last = share_end(&net.me, layer.n_in, LINE)
            transpose(
                net.parameters + layer.W + first * layer.stride, layer.stride, last - first,
                layer.n_out, transposed + first, layer.in_stride,
                (columns(last, layer.in_stride) if last == layer.n_in else last) - first,
            )
        transposed += layer.n_out * layer.in_stride


cdef void backward_rows(
    const Network* net, Py_ssize_t first, Py_ssize_t last, Py_ssize_t m
) noexcept nogil:
    """dL/dz of every layer below the output: (dz W^T) * f'(z), of some rows in a block of m"""
    cdef const Layer* layer = net.layers
    cdef real* transposed = net.transposed
    while layer != net.output:
        layer += 1
        transposed += layer.n_out * layer.in_stride
    while layer != net.layers:
        transposed -= layer.n_out * layer.in_stride
        if keeps_weights(layer, m):
            hand_down_transposed(net, layer, transposed, first, last, m)
        else:
            hand_down(net, layer, transposed, first, last)
        layer -= 1


cdef void hand_down(
    const Network* net, const Layer* layer, const real* W_transposed, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """dz of the layer below := (dz W^T) * f'(z)"""
    cdef const real* dz = delta(net, layer) + first * layer.stride
    cdef real* dz_below = delta(net, layer - 1) + first * layer.in_stride
    cdef const real* x = inputs(net, layer) + first * layer.in_stride
    cdef bint relu = is_relu(layer - 1)
    cdef Product product = input_gradient(
        layer, W_transposed, dz, dz_below, x, last - first, relu
    )
    run(&product)
    if not relu:
        backward_activation_rows(layer - 1, x, dz_below, last - first)


cdef void hand_down_transposed(
    const Network* net, const Layer* layer, real* scratch, Py_ssize_t first, Py_ssize_t last,
    Py_ssize_t m,
) noexcept nogil:
    """The same to the last bit as (W dz^T)^T * f'(z): few rows, so W stays as it is"""
    cdef Py_ssize_t stride = whole_vectors(m)
    cdef real* dz_transposed = scratch + first
    cdef real* dx_transposed = scratch + layer.n_out * stride + first
    cdef const real* dz = delta(net, layer) + first * layer.stride
    cdef real* dz_below = delta(net, layer - 1) + first * layer.in_stride
    cdef const real* x = inputs(net, layer) + first * layer.in_stride
    cdef Product product
    m = last - first
    transpose(dz, layer.stride, m, layer.n_out, dz_transposed, stride, m)
    product = input_gradient_transposed(
        layer, net.parameters, dz_transposed, dx_transposed, m, stride
    )
    run(&product)
    transpose(
        dx_transposed, stride, layer.n_in, m, dz_below, layer.in_stride,
        columns(layer.n_in, layer.in_stride),
    )
    backward_activation_rows(layer - 1, x, dz_below, m)


cdef inline void backward_activation_rows(
    const Layer* layer, const real* a, real* da, Py_ssize_t m
) noexcept nogil:
    """dz := da * f'(z), in place"""
    cdef Py_ssize_t r
    for r in range(m):
        activate_backward(
            <Activation>layer.activation, a + r * layer.stride, da + r * layer.stride, layer.n_out
        )


cdef void weight_gradients(
    const Network* net, Py_ssize_t m, real* target, Epilogue epilogue, real rate
) noexcept nogil:
    """Of every layer: dL/dW and dL/db added to the gradient (ADD) or to the weights (DESCEND)

    This member's rows of every dW; the first, whose share is the smallest, also computes db.
    """
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t first, last
    cdef Product product
    if net.narrow:
        if net.me.number == 0:
            gradients_across(net, m, target, epilogue, rate)
        return
    while True:
        first, last = share_begin(&net.me, layer.n_in, LINE), share_end(&net.me, layer.n_in, LINE)
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


cdef void backpropagate_share(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m, double scale
) noexcept nogil:
    """Losses and deltas, times scale, of this member's share of m rows from the k-th visited on

    The transposed weights must be those of the parameters, for blocks of m rows.
    """
    cdef Py_ssize_t first = share_begin(&net.me, m, ROWS), last = share_end(&net.me, m, ROWS)
    evaluate_share(net, data, k, m)
    if net.narrow:
        if net.me.number == 0:
            backpropagate_across(net, data, m, scale)
    elif first < last:
        output_delta(net, data, k, first, last, scale)
        backward_rows(net, first, last, m)


cdef double add_gradient(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t stop, double scale,
    real* gradient, double loss,
) noexcept nogil:
    """gradient := scale * dL/dW + gradient over the rows visited k-th to stop-th

    Returns loss + L. The transposed weights must be those of the parameters.
    """
    cdef Py_ssize_t m
    while k < stop:
        m = min(net.block, stop - k)
        backpropagate_share(net, data, k, m, scale)
        if wait(&net.me):
            return loss
        loss = add_losses(net, m, loss)
        weight_gradients(net, m, gradient, ADD, 0)
        if wait(&net.me):
            return loss
        k += m
    return loss


# ---- narrow networks: the same passes over a block of m rows, which lie across -----------------

cdef void load_across(
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
        net.weights[r] = 0
        for j in range(data.n_targets):
            net.targets[j * lanes + r] = net.targets[j * lanes + m - 1]


cdef void forward_across(const Network* net, Py_ssize_t lanes) noexcept nogil:
    """z := W^T x + b, a := f(z), layer after layer"""
    cdef const Layer* layer = net.layers
    cdef real* a
    cdef Product product
    cdef bint fused
    while True:
        a = net.stack + lanes * layer.z
        fused = is_relu(layer) and layer != net.output
        product = forward_units(
            layer, net.parameters, net.stack + lanes * layer.x, a, lanes, fused
        )
        multiply_units(&product)
        if layer == net.output:
            memcpy(net.output_z, a, layer.n_out * lanes * sizeof(real))
        if not fused:
            activate_across(<Activation>layer.activation, a, layer.n_out, lanes, 0, lanes)
        if layer == net.output:
            return
        layer += 1


cdef void evaluate_across(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """Forward pass and losses, these if there are targets"""
    cdef Py_ssize_t r, j, lanes = whole_vectors(m), n = net.output.n_out
    cdef const real* a = net.stack + lanes * net.output.z
    load_across(net, data, k, m)
    forward_across(net, lanes)
    if data.predictions != NULL:
        for r in range(m):
            for j in range(n):
                data.predictions[(k + r) * n + j] = a[j * lanes + r]
    if data.y != NULL:
        losses_across(
            data.loss, net.output_z, a, net.targets, net.weights, net.row_loss, n, lanes, 0, m
        )


cdef inline real* delta_across(
    const Network* net, const Layer* layer, Py_ssize_t lanes
) noexcept nogil:
    return net.deltas + lanes * (layer.z - net.layers.in_stride)


cdef void backpropagate_across(
    const Network* net, const Data* data, Py_ssize_t m, double scale
) noexcept nogil:
    """The deltas of all layers, times scale"""
    cdef Py_ssize_t lanes = whole_vectors(m), n = net.output.n_out
    cdef const Layer* layer = net.output
    cdef const real* x = net.stack + lanes * layer.z
    cdef real* dz = delta_across(net, layer, lanes)
    cdef Product product
    deltas_across(data.loss, x, net.targets, net.weights, <real>scale, dz, n, lanes, 0, lanes)
    if not is_fused(data.loss):
        activate_backward_across(<Activation>layer.activation, x, dz, n, lanes, 0, lanes)
    while layer != net.layers:
        x = net.stack + lanes * layer.x
        dz = delta_across(net, layer - 1, lanes)
        product = input_gradient_units(
            layer, net.parameters, delta_across(net, layer, lanes), dz, x, lanes,
            is_relu(layer - 1),
        )
        multiply_units(&product)
        layer -= 1
        if not is_relu(layer):
            activate_backward_across(
                <Activation>layer.activation, x, dz, layer.n_out, lanes, 0, lanes
            )


cdef void gradients_across(
    const Network* net, Py_ssize_t m, real* target, Epilogue epilogue, real rate
) noexcept nogil:
    """Of every layer: dL/dW and dL/db added to the gradient (ADD) or to the weights (DESCEND)"""
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t lanes = whole_vectors(m)
    while True:
        gradient_units(
            layer, net.stack + lanes * layer.x, delta_across(net, layer, lanes), lanes, target,
            epilogue, rate,
        )
        if layer == net.output:
            return
        layer += 1


# ---- gradient descent: W := W - learning_rate * dL/dW ---------------------------------------

cdef inline double rate_of(const Rates* rates, Py_ssize_t step) noexcept nogil:
    """The learning rate of a step"""
    return rates.values[0] if rates.constant else rates.values[step]


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
        net.parameters + first, rule.velocity + first if rule.velocity != NULL else NULL,
        gradient + first, last - first, &m,
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


# ---- gradient descent, sample by sample ---------------------------------------------------------
#
# The layers above the first take one row after the other, always in the same way: forward, dz down,
# and in the same pass over the rows of W its step. The first layer, as a rule the largest, has
# four paths through the rows of a block; all give the weights of one step after every row, up to
# rounding. A tiny network has a path of its own through all layers. A rule that moves every weight
# at every step, momentum or decay, takes FUSED or BLOCKED; its formula is in `update.pxd`.

cdef enum Path:
    LISTED = 0  # visits the rows of W whose x is not 0, twice for every sample
    SWEPT = 1  # visits W once for every sample: its step rides in the next one's forward pass
    BLOCKED = 2  # visits W twice for the whole block; steps within it are corrections of z
    TINY = 3  # keeps all weights of a tiny network at hand, see `tiny.pxd`
    FUSED = 4  # visits W twice for every sample, the second time to move all of it

cdef struct Samples:
    const Network* net
    const Rule* rule
    Path path
    int* units  # of each layer that lists the units of its x, see `place_of`
    real* values  # and what they are, in the same place
    Py_ssize_t* n_units  # how many each lists
    int* all  # 0, 1, 2, ...
    real* dx  # of the units listed
    real* x  # the rows of the block, and of the next one
    real* x_ahead
    real* G  # x_k x_j + 1 within the block; with a rule that is not plain, without the 1
    real* G_ahead  # and within the next one
    real* of_W  # with such a rule, what W and V are now made of: so much of the x_j dz_j^T of the
    real* of_V  # block, and behind them of W and of V as they were at its beginning
    real* held  # the output layer's W transposed; NULL: it stays as it is
    real* zeros  # a bias
    real* output  # a row of the output layer
    real* unit  # zeros, where a step writes a 1 for a moment
    real* spare  # a vector that is not read


cdef enum:
    HELD = 16  # the widest output layer that is held output-major
    TINY_LAYERS = 8  # the most layers of a network that takes the path TINY


cdef inline Py_ssize_t place_of(const Samples* s, const Layer* layer) noexcept nogil:
    """Where the layer's list begins"""
    return layer.x + (layer - s.net.layers) * 2 * LINE


cdef inline bint is_held(const Network* net) noexcept nogil:
    return net.output != net.layers and net.output.n_out <= HELD


cdef void begin_samples(const Samples* s, TinyLayer* tiny) noexcept nogil:
    """The output layer's W, output-major, or all W of a tiny network"""
    cdef const Layer* layer = s.net.output
    cdef Py_ssize_t i
    if s.path == TINY:
        for i in range(layer - s.net.layers + 1):
            load_tiny(s.net.layers + i, s.net.parameters, tiny + i)
    if s.held != NULL:
        transpose(
            s.net.parameters + layer.W, layer.stride, layer.n_in, layer.n_out, s.held,
            layer.in_stride, columns(layer.n_in, layer.in_stride),
        )


cdef void end_samples(const Samples* s, const TinyLayer* tiny) noexcept nogil:
    """These W back to their places"""
    cdef const Layer* layer = s.net.output
    cdef Py_ssize_t i
    if s.path == TINY:
        for i in range(layer - s.net.layers + 1):
            store_tiny(
                s.net.layers + i, s.net.parameters, tiny + i,
                s.net.layers + i == layer and layer.n_out == 1,
            )
    if s.held != NULL:
        transpose(
            s.held, layer.in_stride, layer.n_out, layer.n_in, s.net.parameters + layer.W,
            layer.stride, columns(layer.n_out, layer.stride),
        )


cdef inline const real* bias_of(const Samples* s, const Layer* layer) noexcept nogil:
    return s.net.parameters + layer.b if layer.b >= 0 else s.zeros


cdef inline real* row_of(const Samples* s, const Layer* layer, Py_ssize_t r) noexcept nogil:
    """Where z and a of the sample are while it passes"""
    if layer == s.net.output and lies_across(layer):
        return s.output
    return activations(s.net, layer) + r * layer.stride


cdef inline void keep_output(
    const Samples* s, const real* row, real* block, Py_ssize_t r
) noexcept nogil:
    """Lay a row of the output layer where that of the block belongs."""
    cdef const Layer* layer = s.net.output
    cdef Py_ssize_t j
    if lies_across(layer):
        for j in range(layer.n_out):
            block[j * s.net.block + r] = row[j]
    elif row != block + r * layer.stride:
        memcpy(block + r * layer.stride, row, layer.stride * sizeof(real))


cdef inline bint is_listed(const Samples* s, const Layer* layer) noexcept nogil:
    """Whether a layer lists its inputs itself, if they come from a relu"""
    return layer < s.net.output or (layer == s.net.output and s.held == NULL)


cdef inline void activate_sample(
    const Samples* s, const Layer* layer, Py_ssize_t r
) noexcept nogil:
    """a := f(z), unless the list of the layer above does it; z and a of the output are kept."""
    cdef real* z = row_of(s, layer, r)
    if is_relu(layer) and is_listed(s, layer + 1):
        return
    if layer == s.net.output:
        keep_output(s, z, s.net.output_z, r)
    activate(<Activation>layer.activation, z, layer.n_out)
    if layer == s.net.output:
        keep_output(s, z, activations(s.net, layer), r)


cdef void forward_above(const Samples* s, Py_ssize_t r) noexcept nogil:
    """z := a W + b, a := f(z) of all layers above the first"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef real* x
    cdef real* z
    while layer != (net.output - 1 if is_unit(s) else net.output):
        layer += 1
        x = inputs(net, layer) + r * layer.in_stride
        z = row_of(s, layer, r)
        if layer == net.output and s.held != NULL:
            forward_held(
                s.held, layer.in_stride, x, bias_of(s, layer), z, layer.n_in, layer.n_out
            )
        else:
            forward_listed(s, layer, x, z)
        activate_sample(s, layer, r)


cdef inline void forward_listed(
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
            width,
        )
    else:
        add_rows(W, layer.stride, s.all, x, n, bias_of(s, layer), z, width)


cdef inline void delta_of_sample(
    const Samples* s, const Data* data, Py_ssize_t k, Py_ssize_t r
) noexcept nogil:
    """dz := sample_weight * dl/dz of the output layer"""
    cdef const Network* net = s.net
    cdef Py_ssize_t i = visited(data, k + r), n = net.output.n_out, stride = net.output.stride
    cdef real weight = 1 if data.sample_weight == NULL else data.sample_weight[i]
    cdef const real* a = row_of(s, net.output, r)
    cdef real* dz = delta(net, net.output) + r * stride
    cdef Py_ssize_t j
    loss_delta(data.loss, a, data.y + i * data.n_targets, dz, weight, n)
    if not is_fused(data.loss):
        activate_backward(<Activation>net.output.activation, a, dz, n)
    for j in range(n, columns(n, stride)):
        dz[j] = 0


cdef inline bint is_unit(const Samples* s) noexcept nogil:
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
    cdef real a, dz, weight = 1 if data.sample_weight == NULL else data.sample_weight[i]
    forward_held(
        s.held, layer.in_stride, inputs(s.net, layer) + r * layer.in_stride, bias_of(s, layer),
        &a, columns(layer.n_in, layer.in_stride), 1,
    )
    s.net.output_z[r] = a
    activate(<Activation>layer.activation, &a, 1)
    activations(s.net, layer)[r] = a
    loss_delta(data.loss, &a, data.y + i * data.n_targets, &dz, weight, 1)
    if not is_fused(data.loss):
        activate_backward(<Activation>layer.activation, &a, &dz, 1)
    delta(s.net, layer)[r] = 1
    return dz


cdef void descend_above(const Samples* s, Py_ssize_t r, real rate) noexcept nogil:
    """dz of the first layer from that of the output; all layers between take their step."""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.output
    cdef const real* x
    cdef const real* dz
    cdef real* dz_below
    cdef Py_ssize_t i
    while layer != net.layers:
        x = inputs(net, layer) + r * layer.in_stride
        dz = delta(net, layer) + r * layer.stride
        dz_below = delta(net, layer - 1) + r * layer.in_stride
        if layer == net.output and s.held != NULL:
            descend_held(
                s.held, layer.in_stride, x, dz, -rate, dz_below,
                columns(layer.n_in, layer.in_stride), layer.n_out,
            )
            activate_backward(<Activation>(layer - 1).activation, x, dz_below, layer.n_in)
        elif not is_plain(s.rule):
            move_layer(s, layer, x, dz, s.dx, rate)
            for i in range(columns(layer.n_in, layer.in_stride)):
                dz_below[i] = s.dx[i] if i < layer.n_in else 0
            activate_backward(<Activation>(layer - 1).activation, x, dz_below, layer.n_in)
        else:
            descend_listed(s, layer, x, dz, dz_below, rate)
        if layer.b >= 0 and is_plain(s.rule):
            add_scaled(-rate, dz, net.parameters + layer.b, columns(layer.n_out, layer.stride))
        layer -= 1


cdef inline void move_layer(
    const Samples* s, const Layer* layer, const real* x, const real* dz, real* dx, real rate
) noexcept nogil:
    """dx := W dz, then a step of W and b by a rule that moves all of them"""
    cdef const Network* net = s.net
    cdef Motion m = motion(s.rule, rate, decay_of(s.rule, layer - net.layers))
    cdef real* velocity = s.rule.velocity
    descend_moving(
        net.parameters + layer.W, NULL if velocity == NULL else velocity + layer.W, layer.stride,
        x, dz, &m, dx, layer.n_in, columns(layer.n_out, layer.stride),
    )
    move_bias(s, layer, dz, rate)


cdef inline void move_bias(
    const Samples* s, const Layer* layer, const real* dz, real rate
) noexcept nogil:
    """A step of b by a rule that is not plain"""
    cdef real one = 1
    cdef real* velocity = s.rule.velocity
    cdef Motion m = motion(s.rule, rate, 0)
    if layer.b >= 0:
        descend_moving(
            s.net.parameters + layer.b, NULL if velocity == NULL else velocity + layer.b,
            layer.stride, &one, dz, &m, s.spare, 1, columns(layer.n_out, layer.stride),
        )


cdef inline void descend_listed(
    const Samples* s, const Layer* layer, const real* x, const real* dz, real* dz_below, real rate
) noexcept nogil:
    """dz below := (W dz) * f'(z), then W := W - rate x dz^T, of the units in the list

    Those in the list of a relu are those where relu' = 1; elsewhere it is 0.
    """
    cdef real* W = s.net.parameters + layer.W
    cdef Py_ssize_t i, n, at = place_of(s, layer), below = columns(layer.n_in, layer.in_stride)
    cdef Py_ssize_t width = columns(layer.n_out, layer.stride)
    if is_relu(layer - 1):
        n = s.n_units[layer - s.net.layers]
        descend_rows(
            W, layer.stride, s.units + at, s.values + at, n, dz, -rate, width, s.dx
        )
        place_units(x, below, s.dx, dz_below)
    else:
        descend_list(W, layer.stride, s.all, x, layer.n_in, dz, -rate, width, s.dx)
        for i in range(below):
            dz_below[i] = s.dx[i] if i < layer.n_in else 0
        activate_backward(<Activation>(layer - 1).activation, x, dz_below, layer.n_in)


# ---- the first layer's paths --------------------------------------------------------------------

cdef inline real* step_of(const Network* net, Py_ssize_t r) noexcept nogil:
    """The first layer's dz of row r, later -rate * dz"""
    return delta(net, net.layers) + r * net.layers.stride


cdef void run_share(const Network* net, Product product) noexcept nogil:
    """This member's columns of a product: the same ones of W in both, which so stay in its cache"""
    cdef Py_ssize_t first = share_begin(&net.me, product.N, LINE)
    product.N = share_end(&net.me, product.N, LINE) - first
    if product.N <= 0:
        return
    product.B += first
    product.C += first
    if product.bias != NULL:
        product.bias += first
    run(&product)


cdef void look_ahead(
    const Samples* s, const Data* data, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """What the next block needs and no weight changes: its m rows, and their products

    The rows' padding is zero, so that products of rows meet no remainder.
    """
    cdef const Layer* layer = s.net.layers
    cdef Py_ssize_t r, j, n = columns(layer.n_in, layer.in_stride), ld = gram_stride(s.net.block)
    cdef real* x = s.x_ahead
    for r in range(m):
        gather(&data.X, visited(data, k + r), x, 1)
        for j in range(layer.n_in, n):
            x[j] = 0
        x += layer.in_stride
    if s.path == BLOCKED:
        gram(
            s.x_ahead, layer.in_stride, n, is_plain(s.rule) and layer.b >= 0, s.G_ahead, ld, 0, m
        )


cdef inline void turn_over(Samples* s) noexcept nogil:
    """The next block becomes the present one."""
    s.x, s.x_ahead = s.x_ahead, s.x
    s.G, s.G_ahead = s.G_ahead, s.G


cdef void begin_block(const Samples* s, Py_ssize_t m) noexcept nogil:
    """BLOCKED: z of all rows with W as it is; this member's columns"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Product product
    if s.path != BLOCKED:
        return
    product = forward(layer, net.parameters, s.x, activations(net, layer), m, False)
    if not is_plain(s.rule):
        product.bias, product.epilogue = NULL, PUT
    run_share(net, product)
    if s.rule.velocity != NULL:
        product.B, product.C = s.rule.velocity + layer.W, step_of(net, 0)
        run_share(net, product)


cdef void forward_first(const Samples* s, Py_ssize_t r) noexcept nogil:
    """z of row r, with all the steps before it; SWEPT: the last of them is made here."""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t n = layer.n_in, stride = layer.stride, width = columns(layer.n_out, stride)
    cdef const real* x = s.x + r * layer.in_stride
    cdef const real* b = bias_of(s, layer)
    cdef real* z = row_of(s, layer, r)
    cdef real* W = net.parameters + layer.W
    if s.path == BLOCKED:  # z_r := z_r + sum_k (x_r x_k + 1) step_k
        if not is_plain(s.rule):
            foresee_row(s, r, z, width)
        add_rows(step_of(net, 0), stride, s.all, s.G + r * gram_stride(net.block), r, z, z, width)
    elif s.path == LISTED or s.path == FUSED:
        n = s.n_units[0] = list_units(x, n, s.units, s.values)
        add_rows(W, stride, s.units, s.values, whole_chains(n), b, z, width)
    elif r == 0:
        add_rows(W, stride, s.all, x, n, b, z, width)
    else:
        sweep_rows(W, stride, x - layer.in_stride, step_of(net, r - 1), x, b, z, n, width)
    activate_sample(s, layer, r)


cdef inline void begin_foreseen(const Samples* s) noexcept nogil:
    """W and V are made of themselves alone."""
    memset(s.of_W, 0, 2 * gram_stride(s.net.block) * sizeof(real))
    s.of_W[s.net.block] = s.of_V[s.net.block + 1] = 1


cdef inline void foresee_row(
    const Samples* s, Py_ssize_t r, real* z, Py_ssize_t width
) noexcept nogil:
    """z_r := w_w x W + w_v x V + b of row r, and G_rk times what W has of x_k dz_k^T

    x W and x V with W and V as the block found them; the latter lies where dz_r will be.
    """
    cdef const Network* net = s.net
    cdef Py_ssize_t stride = gram_stride(net.block)
    scale_row(s.of_W[net.block], z, width)
    if s.rule.velocity != NULL:
        add_scaled(s.of_W[net.block + 1], step_of(net, r), z, width)
    add_scaled(1, bias_of(s, net.layers), z, width)
    multiply_numbers(s.of_W, s.G + r * stride, r)


cdef inline void foresee_step(const Samples* s, Py_ssize_t r, real rate) noexcept nogil:
    """What W and V are made of after the step of row r: the rule, applied to the coefficients"""
    cdef Py_ssize_t n = gram_stride(s.net.block)
    cdef Motion m = motion(s.rule, rate, decay_of(s.rule, 0))
    s.unit[r] = 1
    move(s.of_W, NULL if s.rule.velocity == NULL else s.of_V, s.unit, n, &m)
    s.unit[r] = 0


cdef void descend_first(const Samples* s, Py_ssize_t r, real rate) noexcept nogil:
    """step := -rate dz of row r; W or at least b moves along it, unless BLOCKED."""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t width = columns(layer.n_out, layer.stride)
    cdef real* step = step_of(net, r)
    if s.path == FUSED:
        move_layer(s, layer, s.x + r * layer.in_stride, step, s.dx, rate)
        return
    if not is_plain(s.rule):
        foresee_step(s, r, rate)
        move_bias(s, layer, step, rate)
        return
    scale_row(-rate, step, width)
    if s.path == LISTED:
        move_rows(
            net.parameters + layer.W, layer.stride, s.units, s.values, s.n_units[0], step, width
        )
    if s.path != BLOCKED and layer.b >= 0:
        add_scaled(1, step, net.parameters + layer.b, width)


cdef void end_block(const Samples* s, Py_ssize_t m) noexcept nogil:
    """What W and b still lack of the block's m steps; this member's columns"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t n = columns(layer.n_out, layer.stride)
    cdef real* steps = step_of(net, 0)
    cdef Product product
    if s.path == BLOCKED and not is_plain(s.rule):
        end_foreseen(s, m)
    elif s.path == BLOCKED:
        product = weight_gradient(layer, s.x, steps, m, net.parameters, ADD, 0, 0, layer.n_in)
        run_share(net, product)
        if layer.b >= 0:
            bias_gradient(
                layer, steps, m, net.parameters, ADD, 0, share_begin(&net.me, n, LINE),
                share_end(&net.me, n, LINE),
            )
    elif s.path == SWEPT and net.me.number == 0:
        move_rows(
            net.parameters + layer.W, layer.stride, s.all,
            s.x + (m - 1) * layer.in_stride, layer.n_in, step_of(net, m - 1),
            columns(layer.n_out, layer.stride),
        )


cdef void end_foreseen(const Samples* s, Py_ssize_t m) noexcept nogil:
    """W, V := what they are made of after m steps; this member's columns"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t i, n = columns(layer.n_out, layer.stride), block = net.block
    cdef Py_ssize_t first = share_begin(&net.me, n, LINE), last = share_end(&net.me, n, LINE)
    cdef real* W = net.parameters + layer.W
    cdef real* V = NULL if s.rule.velocity == NULL else s.rule.velocity + layer.W
    if first == last:
        return
    for i in range(layer.n_in):
        mix(
            W + i * layer.stride + first, NULL if V == NULL else V + i * layer.stride + first,
            last - first, s.of_W[block], s.of_W[block + 1], s.of_V[block], s.of_V[block + 1],
        )
    add_foreseen(s, m, s.of_W, net.parameters, first, last)
    if V != NULL:
        add_foreseen(s, m, s.of_V, s.rule.velocity, first, last)


cdef inline void add_foreseen(
    const Samples* s, Py_ssize_t m, const real* shares, real* target, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """W or V += sum_r shares_r x_r dz_r^T; the products lie where z of the rows was"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef real* scaled = activations(net, layer)
    cdef Product product
    cdef Py_ssize_t r, j
    for r in range(m):
        for j in range(first, last):
            scaled[r * layer.stride + j] = shares[r] * step_of(net, r)[j]
    product = weight_gradient(layer, s.x, scaled, m, target, ADD, 0, 0, layer.n_in)
    run_share(net, product)


# ---- a tiny network: only the beginning and the end of a block are those of the other paths -----

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
    const Rates* rates, const Py_ssize_t n_hidden, const bint single,
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
        for i in range(n_hidden):
            if i > 0:
                z = sum_rows(t[i].W, a[i], layers[i].n_in, t[i].b)
            a[i + 1] = activate_octet(<Activation>layers[i].activation, z, layers[i].n_out)
        if single:
            (<real*>&z)[0] = octet_sum(t[n_hidden].b + t[n_hidden].W_t[0] * a[n_hidden])
            output_step(s, data, <real*>&z, <real*>&step, rate_of(rates, k + r), k, r, 1)
            step = spread_octet((<real*>&step)[0])
            v[n_hidden] = first_unit()
        else:
            z = sum_rows(t[n_hidden].W, a[n_hidden], output.n_in, t[n_hidden].b)
            v[n_hidden] = spread_octet(0)
            output_step(
                s, data, <real*>&z, <real*>(v + n_hidden), rate_of(rates, k + r), k, r,
                output.n_out,
            )
        z = sum_rows(t[0].W, x_next, layers.n_in, t[0].b)
        for i in range(n_hidden, 0, -1):
            if single and i == n_hidden:
                v[i - 1] = t[i].W_t[0]
            else:
                v[i - 1] = sum_rows(t[i].W_t, v[i], layers[i].n_out, spread_octet(0))
            v[i - 1] = activate_backward_octet(
                <Activation>layers[i - 1].activation, a[i], v[i - 1], layers[i].n_in
            )
        z = z + (g * v[0] * step if single else g * v[0])
        descend_tiny(layers, t, a, v, step, n_hidden, single)
    for i in range(n_hidden + 1):
        tiny[i] = t[i]


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
        -<real>rate * net.weights[r], n,
    )
    if not is_fused(data.loss):
        activate_backward(f, a, step, n)


cdef inline double pass_block(
    const Samples* s, const Data* data, TinyLayer* tiny, Py_ssize_t k, Py_ssize_t m,
    const Rates* rates, double loss,
) noexcept nogil:
    """The rows of a block, one after the other; returns loss + their losses."""
    cdef Py_ssize_t r
    cdef real rate
    cdef Py_ssize_t n_hidden = s.net.output - s.net.layers
    cdef bint single = s.net.output.n_out == 1
    if lies_across(s.net.output):
        load_targets(s.net, data, k, 0, m, s.net.block)
    if not is_plain(s.rule):
        begin_foreseen(s)
    if s.path == TINY and single and n_hidden == 2:
        pass_tiny(s, data, tiny, k, m, rates, 2, True)
    elif s.path == TINY and single and n_hidden == 1:
        pass_tiny(s, data, tiny, k, m, rates, 1, True)
    elif s.path == TINY and not single and n_hidden == 1:
        pass_tiny(s, data, tiny, k, m, rates, 1, False)
    elif s.path == TINY:
        pass_tiny(s, data, tiny, k, m, rates, n_hidden, single)
    for r in range(m if s.path != TINY else 0):
        rate = <real>rate_of(rates, k + r)
        forward_first(s, r)
        forward_above(s, r)
        if is_unit(s):
            rate *= pass_unit(s, data, k, r)
        else:
            delta_of_sample(s, data, k, r)
        descend_above(s, r, rate)
        descend_first(s, r, rate)
    keep_predictions(s.net, data, k, 0, m)
    row_losses(s.net, data, k, 0, m)
    return add_losses(s.net, m, loss)


cdef double stochastic_rows(
    Samples* s, const Data* data, Py_ssize_t n, const Rates* rates, double loss
) noexcept nogil:
    """One update after every row; returns loss + the losses before each update.

    Members share the columns of the first layer: each ends a block and begins the next one with its
    own. In between the rows pass on the first member, while the last one looks ahead.
    """
    cdef const Network* net = s.net
    cdef bint first = net.me.number == 0, last = net.me.number == net.me.size - 1
    cdef Py_ssize_t k = 0, m = min(net.length, n), following
    cdef TinyLayer tiny[TINY_LAYERS]
    if first:
        begin_samples(s, tiny)
    if last:
        look_ahead(s, data, 0, m)
    wait(&net.me)
    while m > 0:
        following = min(net.length, n - k - m)
        turn_over(s)
        begin_block(s, m)
        wait(&net.me)
        if first:
            loss = pass_block(s, data, tiny, k, m, rates, loss)
        if last:
            look_ahead(s, data, k + m, following)
        wait(&net.me)
        end_block(s, m)
        k += m
        m = following
    wait(&net.me)
    if first:
        end_samples(s, tiny)
    return loss


# ---- the doors -------------------------------------------------------------------------------
#
# Every member of a team calls the same door with the same arguments and its number; what member 0
# gets is the result. The first thing each does is to wait for all the others: a run begins with the
# whole team or, if that cannot be, not at all.

cdef Py_ssize_t transposed_length(const Layer* layers, Py_ssize_t n_layers) noexcept nogil:
    """The numbers in all transposed weights"""
    cdef Py_ssize_t i, length = 0
    for i in range(1, n_layers):
        length += layers[i].n_out * layers[i].in_stride
    return length


cdef inline Py_ssize_t whole_lines(Py_ssize_t n) noexcept nogil:
    return (n + LINE - 1) // LINE * LINE


cdef Network point_network(
    const long long[:, ::1] layers, real[::1] parameters, Py_ssize_t block, real[::1] scratch,
    Member me,
) noexcept nogil:
    """Where everything lies; `scratch_length` counts what is divided here."""
    cdef Network net
    cdef Py_ssize_t n = layers.shape[0]
    net.layers = <const Layer*>&layers[0, 0]
    net.output = net.layers + n - 1
    net.parameters = &parameters[0]
    net.length = block
    net.block = block = whole_lines(block)
    net.narrow = is_narrow(net.layers, n)
    net.row_loss = <double*>&scratch[0]
    net.stack = &scratch[0] + block * LOSS_LENGTH
    net.output_z = net.stack + block * (net.output.z + net.output.stride)
    net.targets = net.output_z + block * net.output.stride
    net.weights = net.targets + block * min(net.output.stride, ACROSS)
    net.deltas = net.weights + block
    net.transposed = net.deltas + block * (net.output.z + net.output.stride - net.layers.in_stride)
    net.me = me
    return net


cdef Rows point_rows(
    const unsigned char* X, Py_ssize_t stride, int x_type, Py_ssize_t n_features,
    const double[:, ::1] normalization,
) noexcept nogil:
    """X as the kernels see it"""
    cdef Rows rows
    rows.X, rows.stride = X, stride
    rows.n_features = n_features
    rows.type = <NumberType>x_type
    rows.mean = &normalization[0, 0] if normalization.shape[0] else NULL
    rows.scale = &normalization[1, 0] if normalization.shape[0] else NULL
    return rows


cdef Call open_call(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const unsigned char[:, :] X, int x_type,
    const real[:, ::1] y, const real[::1] sample_weight, int loss, const long long[::1] order,
    real[:, ::1] predictions, Member me,
) noexcept nogil:
    """Arrays to pointers, an empty array to NULL; subnormals count as zero until `close_call`."""
    cdef Call call
    call.net = point_network(layers, parameters, block, scratch, me)
    call.data.X = point_rows(
        &X[0, 0], X.strides[0], x_type, call.net.layers.n_in, normalization
    )
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


cdef Member join_team(int member, int size, int[::1] team) noexcept nogil:
    """Who has come; without the words of a team: one who is alone"""
    cdef Member me
    me.number, me.size = member, size
    me.words = NULL if team is None else &team[0]
    return me


cdef Samples point_samples(
    const Network* net, const Rule* rule, const long long[:, ::1] layers, Path path,
    real[::1] scratch,
) noexcept nogil:
    """What the stochastic mode has at the end of the scratch memory, `samples_length` numbers"""
    cdef Samples s
    cdef Py_ssize_t i, n = layers.shape[0], n_units = units_length(net.layers, n)
    s.net, s.rule, s.path = net, rule, path
    s.dx = &scratch[0] + scratch.shape[0] - samples_length(net.layers, n, net.block)
    s.values = s.dx + n_units
    s.units = <int*>(s.dx + 2 * n_units)
    s.zeros = s.dx + 3 * n_units
    s.all = <int*>(s.dx + 4 * n_units)
    s.G = s.dx + 4 * n_units + all_length(net.layers, net.output, net.block)
    s.held = s.G + net.block * gram_stride(net.block)
    s.n_units = <Py_ssize_t*>(s.held + HELD * net.output.in_stride)
    s.output = <real*>(s.n_units + n)
    s.of_W = s.output + 2 * LINE
    s.of_V = s.of_W + gram_stride(net.block)
    s.unit = s.of_V + gram_stride(net.block)
    s.spare = s.unit + gram_stride(net.block)
    s.G_ahead = s.spare + LINE
    s.x, s.x_ahead = net.stack, s.G_ahead + net.block * gram_stride(net.block)
    if net.me.number == 0:
        for i in range(all_length(net.layers, net.output, net.block)):
            s.all[i] = <int>i
        memset(s.zeros, 0, n_units * sizeof(real))
        memset(s.unit, 0, gram_stride(net.block) * sizeof(real))
    if path == TINY or not is_held(net) or not is_plain(rule):
        s.held = NULL
    return s


cdef inline Py_ssize_t gram_stride(Py_ssize_t block) noexcept nogil:
    return block + LINE


cdef Py_ssize_t units_length(const Layer* layers, Py_ssize_t n) noexcept nogil:
    """The numbers in the lists of the units of all layers; no layer has more units than that."""
    return ((layers[n - 1].z + layers[n - 1].stride) // LINE + 2 * n + 2) * LINE


cdef inline Py_ssize_t all_length(
    const Layer* layers, const Layer* output, Py_ssize_t block
) noexcept nogil:
    """How many numbers the list of all counts: units of the widest input, or rows of a block"""
    cdef Py_ssize_t length = block
    while layers <= output:
        length = max(length, layers.in_stride)
        layers += 1
    return length


cdef Py_ssize_t samples_length(
    const Layer* layers, Py_ssize_t n, Py_ssize_t block
) noexcept nogil:
    """The numbers that `point_samples` divides"""
    return (
        4 * units_length(layers, n) + all_length(layers, layers + n - 1, block)
        + (2 * block + 3) * gram_stride(block) + HELD * layers[n - 1].in_stride
        + block * layers.in_stride
        + n * sizeof(Py_ssize_t) // sizeof(real) + 3 * LINE
    )


def scratch_length(const long long[:, ::1] layers, Py_ssize_t block, bint stochastic):
    """How many numbers of scratch memory blocks of this many rows need."""
    cdef const Layer* first = <const Layer*>&layers[0, 0]
    cdef const Layer* last = first + layers.shape[0] - 1
    cdef Py_ssize_t n = layers.shape[0], units = last.z + last.stride
    cdef Py_ssize_t row = 2 * units - first.in_stride + last.stride + min(last.stride, ACROSS) + 1
    cdef Py_ssize_t transposed = 0 if is_narrow(first, n) else transposed_length(first, n)
    block = whole_lines(block)
    if stochastic:
        transposed = samples_length(first, n, block)
    return block * (LOSS_LENGTH + row) + transposed


def evaluate(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
    int member=0, int size=1, int[::1] team=None,
):
    """predictions := the output for the rows in `order` (empty: all rows of X).

    Returns total + the sum of sample_weight * l over them; total itself if y is empty.
    """
    cdef Call call
    cdef Member me = join_team(member, size, team)
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        if not begin(&me):
            call = open_call(
                layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
                loss, order, predictions, me,
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
    int member=0, int size=1, int[::1] team=None,
):
    """gradient := scale * dL/dW + gradient, where L is the sum of sample_weight * l.

    Returns total + L, so that the sum over all slices of an epoch is one chain of additions.
    Backpropagation alone: nothing moves. With scale = 1 / rows, the calls for all slices of the
    rows add up to the mean gradient.
    """
    cdef Call call
    cdef Member me = join_team(member, size, team)
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        if not begin(&me):
            call = open_call(
                layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
                loss, order, predictions, me,
            )
            transpose_weights(&call.net, min(block, n))
            if not wait(&me):
                total = add_gradient(&call.net, &call.data, 0, n, scale, &gradient[0], total)
            close_call(&call)
    return total


cdef Rates point_rates(const double[::1] rates) noexcept nogil:
    cdef Rates found
    found.values, found.constant = &rates[0], rates.shape[0] == 1
    return found


cdef Rule point_rule(
    const double[::1] rule, const double[::1] decay, real[:, ::1] slots
) noexcept nogil:
    """The rule's numbers, momentum and whether it is Nesterov's, and what it keeps"""
    cdef Rule found
    found.momentum, found.nesterov = rule[0], rule[1] != 0
    found.decay = &decay[0] if decay.shape[0] else NULL
    found.velocity = &slots[0, 0] if slots.shape[0] else NULL
    return found


def update(
    const long long[:, ::1] layers, real[::1] parameters, const real[::1] gradient,
    double learning_rate, const double[::1] rule, const double[::1] decay, real[:, ::1] slots,
):
    """One step of gradient descent: parameters := parameters - learning_rate * gradient.

    Momentum and decay as the rule has them.
    """
    cdef float_mode mode_before
    cdef Network net
    cdef Rule found
    if parameters.shape[0] == 0:
        return
    with nogil:
        mode_before = flush_subnormals()
        net.layers = <const Layer*>&layers[0, 0]
        net.output = net.layers + layers.shape[0] - 1
        net.parameters, net.me = &parameters[0], join_team(0, 1, None)
        found = point_rule(rule, decay, slots)
        descend(&net, &found, &gradient[0], <real>learning_rate, parameters.shape[0])
        restore_float_mode(mode_before)


def stochastic(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
    const double[::1] rates, const double[::1] rule, const double[::1] decay, real[:, ::1] slots,
    int path,
    int member=0, int size=1, int[::1] team=None,
):
    """One update after every row, with its learning rate (a single rate serves all rows).

    Returns total + the sum of sample_weight * l, each taken before its row's update.
    """
    cdef Call call
    cdef Samples samples
    cdef Member me = join_team(member, size, team)
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        if not begin(&me):
            call = open_call(
                layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
                loss, order, predictions, me,
            )
            call.rule = point_rule(rule, decay, slots)
            samples = point_samples(&call.net, &call.rule, layers, <Path>path, scratch)
            call.rates = point_rates(rates)
            total = stochastic_rows(&samples, &call.data, n, &call.rates, total)
            close_call(&call)
    return total


def minibatch(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    int loss, const long long[::1] order, real[:, ::1] predictions, double total,
    const double[::1] rates, const double[::1] rule, const double[::1] decay, real[:, ::1] slots,
    Py_ssize_t batch_size, real[::1] gradient,
    int member=0, int size=1, int[::1] team=None,
):
    """One update after every `batch_size` rows, along their mean gradient.

    Returns total + the sum of sample_weight * l, each taken before its batch's update.
    """
    cdef Call call
    cdef Member me = join_team(member, size, team)
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        if not begin(&me):
            call = open_call(
                layers, parameters, normalization, block, scratch, X, x_type, y, sample_weight,
                loss, order, predictions, me,
            )
            call.rule, call.rates = point_rule(rule, decay, slots), point_rates(rates)
            total = minibatch_rows(
                &call.net, &call.data, n, batch_size, &call.rule, &call.rates, &gradient[0],
                gradient.shape[0], total,
            )
            close_call(&call)
    return total


# A single row is learnt without all that: what does not change from row to row is pointed at once,
# in memory of the caller's, who must keep the arrays alive as long.

cdef struct OneRow:
    Call call
    Samples samples
    real target
    double rate
    real* kept  # weights that were finite, and behind them what the optimiser kept with them
    Py_ssize_t n_parameters
    Py_ssize_t n_learnt  # rows since then

cdef enum:
    KEPT_EVERY = 64  # rows: to look through all weights after each would take longer than to learn

cdef NumberType REAL_TYPE = FLOAT32 if sizeof(real) == 4 else FLOAT64


def one_row_length():
    """The bytes of memory that `prepare_one_row` fills."""
    return sizeof(OneRow)


def prepare_one_row(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, int loss, const double[::1] rule,
    const double[::1] decay, real[:, ::1] slots, int path, real[::1] kept,
    bytearray memory,
):
    """memory := what `learn_one` needs to know, for rows with a single target"""
    cdef OneRow* one = <OneRow*><char*>memory
    cdef Data* data = &one.call.data
    one.call.net = point_network(layers, parameters, block, scratch, join_team(0, 1, None))
    one.call.rule = point_rule(rule, decay, slots)
    one.call.rates.values, one.call.rates.constant = &one.rate, True
    one.samples = point_samples(&one.call.net, &one.call.rule, layers, <Path>path, scratch)
    data.X = point_rows(NULL, 0, REAL_TYPE, one.call.net.layers.n_in, normalization)
    data.y, data.n_targets, data.loss = &one.target, 1, <Loss>loss
    data.sample_weight, data.order, data.predictions = NULL, NULL, NULL
    one.kept, one.n_parameters, one.n_learnt = &kept[0], parameters.shape[0], 0
    keep_weights(one)


def learn_one(bytearray memory, const real[:, :] X, double target, double rate):
    """One update with the first row of X; returns its loss before the update.

    NaN if numbers of the row are not side by side, or not finite: then nothing has happened.
    Infinity if it turns out that loss or weights are no longer finite: then the weights are those
    of up to KEPT_EVERY rows before.
    """
    cdef OneRow* one = <OneRow*><char*>memory
    cdef double loss = NAN
    cdef float_mode mode_before
    if X.shape[0] == 0 or X.strides[1] != sizeof(real) or X.shape[1] != one.call.data.X.n_features:
        return loss
    with nogil:
        mode_before = flush_subnormals()
        one.call.data.X.X = <const unsigned char*>&X[0, 0]
        one.target, one.rate = <real>target, rate
        if nonfinite_in_row(&one.call.data.X, 0) < 0 and is_finite(one.target):
            loss = learn_row(one)
        restore_float_mode(mode_before)
    return loss


cdef double learn_row(OneRow* one) noexcept nogil:
    """The loss before the update, infinity if it or the weights are not finite"""
    cdef double loss = stochastic_rows(&one.samples, &one.call.data, 1, &one.call.rates, 0)
    cdef bint finite = loss - loss == 0
    one.n_learnt += 1
    if finite and one.n_learnt < KEPT_EVERY:
        return loss
    one.n_learnt = 0
    if finite and are_finite(one.call.net.parameters, one.n_parameters):
        keep_weights(one)
        return loss
    go_back(one)
    return INFINITY


cdef void keep_weights(OneRow* one) noexcept nogil:
    cdef Py_ssize_t n = one.n_parameters
    memcpy(one.kept, one.call.net.parameters, n * sizeof(real))
    if one.call.rule.velocity != NULL:
        memcpy(one.kept + n, one.call.rule.velocity, n * sizeof(real))


cdef void go_back(OneRow* one) noexcept nogil:
    cdef Py_ssize_t n = one.n_parameters
    memcpy(one.call.net.parameters, one.kept, n * sizeof(real))
    if one.call.rule.velocity != NULL:
        memcpy(one.call.rule.velocity, one.kept + n, n * sizeof(real))


cdef inline bint are_finite(const real* values, Py_ssize_t n) noexcept nogil:
    cdef bint finite = True
    cdef Py_ssize_t j
    for j in range(n):
        finite &= is_finite(values[j])
    return finite


def first_nonfinite(const unsigned char[:, :] X, int x_type, Py_ssize_t n_features):
    """Row and column of the first number that is not finite as `real`; (-1, -1) if all are."""
    cdef Rows rows
    cdef Py_ssize_t i = 0, column = -1, n = X.shape[0]
    if n == 0 or n_features == 0:
        return -1, -1
    with nogil:
        rows.X, rows.stride = &X[0, 0], X.strides[0]
        rows.n_features, rows.type = n_features, <NumberType>x_type
        if X.strides[0] == X.shape[1]:  # no gaps: short rows are checked faster as one
            n, rows.n_features = 1, n * n_features
        while i < n and column < 0:
            column = nonfinite_in_row(&rows, i)
            i += 1
    if column < 0:
        return -1, -1
    return i - 1 + column // n_features, column % n_features


def all_finite(const real[::1] values):
    """Whether no number is NaN or infinite."""
    cdef bint finite = True
    if values.shape[0] == 0:
        return True
    with nogil:
        finite = are_finite(&values[0], values.shape[0])
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
