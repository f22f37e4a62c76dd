"""The network and the rows as the core sees them, and where everything lies in the scratch memory.

Scratch memory holds the losses of a block's rows; a stack with its rows of X and above them each
layer's activations; the z of the output layer; each layer's deltas dL/dz; and each layer's W
transposed, or what the stochastic mode needs in its place. With one row per lane (in all layers of
a narrow network, and in a narrow output layer for softmax and losses), a vector holds one unit of
several rows; the targets and weights of the block lie behind the z.
"""

from libc.string cimport memcpy

from fastnn.native.formulas.activations cimport RELU, Activation
from fastnn.native.products.dense cimport LINE, Layer
from fastnn.native.formulas.losses cimport Loss
from fastnn.native.products.rows cimport Features
from fastnn.native.simd.simd cimport real
from fastnn.native.simd.team cimport Member
from fastnn.native.products.tiles cimport Product, multiply
from fastnn.native.formulas.update cimport Rule, Step

cdef struct Network:
    const Layer* layers
    const Layer* output  # the last of them
    real* parameters
    Py_ssize_t n_parameters
    bint narrow  # one row per lane in all layers, in the same memory
    Py_ssize_t block_rows  # of a block, as many as were asked for
    Py_ssize_t block  # and the rows that there is room for: whole lines
    double* row_loss
    real* stack
    real* output_z
    real* targets  # with one row per lane (`is_by_lane`): the block's targets, unit by unit,
    real* row_weights  # and sample weights
    real* deltas
    real* transposed
    Member me

cdef enum:  # parts begin at multiples of these; not to be seen in the bits
    ROWS = 4  # of X: short, for batches are, and for 16 rows full tiles enough
    BY_LANE = 16  # the widest output layer whose softmax and losses take one row per lane

cdef Py_ssize_t LOSS_LENGTH = sizeof(double) // sizeof(real)  # of a row's loss, a double


cdef struct RecordPlaces:  # where a record keeps the values of a layer, among its numbers; or -1
    long long x, mask  # the layer's inputs, and the factors by which dropout made them of a
    long long z, a, da, dz
    long long dx  # dL/dx of the first layer, whose rows have their padding

cdef struct Record:  # the values of all layers, which otherwise the next block overwrites
    const RecordPlaces* layers
    real* values  # of each kind rows without padding, one for each visited row
    double* losses  # sample_weight * l of each row; NULL: they are not kept
    real* W_transposed  # of the first layer, if its dL/dx is kept
    bint given  # whether dL/da of the outputs is there already, from outside

cdef struct Data:
    Features X
    const real* y  # (rows, n_targets); NULL: no targets
    Py_ssize_t n_targets
    const real* sample_weight  # NULL: every weight is 1
    const long long* order  # the rows to visit; NULL: all, from first to last
    Loss loss
    bint by_weight  # whether the loss of a batch is divided by its sample weights, not its rows
    real* predictions  # NULL: not wanted; otherwise one row for each visited row
    real* kept_targets  # the same; gathering them later would cost more than a metric
    const Record* record  # NULL: no values are kept
    long long key, position  # for dropout: of the epoch, and where in it the first row is

cdef struct Steps:
    const Step* values
    bint constant  # one serves all

cdef struct Call:
    Network net
    Data data
    Rule rule
    Steps steps


cdef inline real* inputs(const Network* net, const Layer* layer) noexcept nogil:
    return net.stack + net.block * layer.x


cdef inline real* activations(const Network* net, const Layer* layer) noexcept nogil:
    return net.stack + net.block * layer.z


cdef inline real* kept(const Network* net, const Layer* layer) noexcept nogil:
    """What the activation's derivative is taken from: its outputs, or z"""
    return net.stack + net.block * layer.kept


cdef inline real* delta(const Network* net, const Layer* layer) noexcept nogil:
    return net.deltas + net.block * (layer.z - net.layers.in_stride)


cdef inline bint is_relu(const Layer* layer) noexcept nogil:
    return <Activation>layer.activation == RELU


cdef inline bint is_by_lane(const Layer* layer) noexcept nogil:
    """Whether a vector holds one unit of several rows, as it may in an output layer"""
    return layer.stride <= BY_LANE


cdef inline Py_ssize_t visited(const Data* data, Py_ssize_t k) noexcept nogil:
    """The row of X that is visited k-th"""
    return k if data.order == NULL else data.order[k]


cdef inline void lay_back(
    const real* x, Py_ssize_t pitch, real* rows, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """rows_rj := x_jr, for n units j with one row per lane, `pitch` apart"""
    cdef Py_ssize_t r, j
    if n == 1:
        memcpy(rows + first, x + first, (last - first) * sizeof(real))
        return
    for j in range(n):
        for r in range(first, last):
            rows[r * n + j] = x[j * pitch + r]


cdef inline void keep_by_lane(
    const Network* net, const Data* data, const real* a, Py_ssize_t pitch,
    Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """`keep_predictions` of outputs with one row per lane"""
    cdef Py_ssize_t n = net.output.n_out, n_targets = data.n_targets
    if data.predictions != NULL:
        lay_back(a, pitch, data.predictions + k * n, n, first, last)
    if data.kept_targets != NULL:
        lay_back(net.targets, pitch, data.kept_targets + k * n_targets, n_targets, first, last)


cdef void run(const Product* product) noexcept nogil:
    """All products pass here: the tiles are compiled once."""
    multiply(product)


cdef inline void load_targets(
    const Network* net, const Data* data, Py_ssize_t k, Py_ssize_t first, Py_ssize_t last,
    Py_ssize_t pitch,
) noexcept nogil:
    """Store targets and weights unit by unit, one row per lane."""
    cdef const long long* order = data.order
    cdef Py_ssize_t r, i, j, n = data.n_targets
    cdef const real* weight = data.sample_weight
    for j in range(n):
        for r in range(first, last):
            net.targets[j * pitch + r] = data.y[(k + r if order == NULL else order[k + r]) * n + j]
    for r in range(first, last):
        i = k + r if order == NULL else order[k + r]
        net.row_weights[r] = 1 if weight == NULL else weight[i]


cdef Py_ssize_t transposed_length(const Layer* layers, Py_ssize_t n_layers) noexcept nogil:
    """The numbers in all transposed weights"""
    cdef Py_ssize_t i, length = 0
    for i in range(1, n_layers):
        length += layers[i].n_out * layers[i].in_stride
    return length


cdef inline Py_ssize_t whole_lines(Py_ssize_t n) noexcept nogil:
    return (n + LINE - 1) // LINE * LINE


cdef Network point_network(
    const Layer[::1] layers, real[::1] parameters, Py_ssize_t block, real[::1] scratch
) noexcept nogil:
    """Where everything lies; `network_length` counts what is divided here."""
    cdef Network net
    net.layers = &layers[0]
    net.output = net.layers + layers.shape[0] - 1
    net.parameters, net.n_parameters = &parameters[0], parameters.shape[0]
    net.block_rows = block
    net.block = block = whole_lines(block)
    net.narrow = net.layers.narrow
    net.row_loss = <double*>&scratch[0]
    net.stack = &scratch[0] + block * LOSS_LENGTH
    net.output_z = net.stack + block * (net.output.z + net.output.stride)
    net.targets = net.output_z + block * net.output.stride
    net.row_weights = net.targets + block * min(net.output.stride, BY_LANE)
    net.deltas = net.row_weights + block
    net.transposed = net.deltas + block * (net.output.z + net.output.stride - net.layers.in_stride)
    net.transposed += LINE  # a load of deltas may run past their end; here another member may write
    net.me.number, net.me.size, net.me.words = 0, 1, NULL
    return net


cdef inline Step step_at(const Steps* steps, Py_ssize_t k) noexcept nogil:
    return steps.values[0] if steps.constant else steps.values[k]
