"""Gradient descent, sample by sample: what the files of this mode have in common.

The layers above the first take one row after the other, always in the same way: forward, then dz of
the layer below and, in the same pass over the rows of W, their step. The first layer, as a rule the
largest, has four paths through the rows of a block; all give the weights of one step after every
row, up to rounding. A tiny network has a path of its own through all layers. A rule that moves
every weight at every step, such as momentum or decay, takes FUSED or BLOCKED; its formula is in
`update.pxd`.

The length of the scratch memory is computed here, too, where the lengths of all its parts are
known.
"""

# from layout.pxi: BY_LANE, LOSS_LENGTH, Network, activations, is_by_lane, kept, transposed_length,
#     whole_lines

from libc.string cimport memcpy, memset

from fastnn.native.products.dense cimport LINE, Layer, columns, transpose
from fastnn.native.simd.simd cimport real
from fastnn.native.per_sample.tiny cimport TinyLayer, load_tiny, store_tiny
from fastnn.native.formulas.update cimport Rule, is_plain

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
    real* of_W  # if the rule is not plain: coefficients of the outer products x_j dz_j^T
    real* of_V  # of the block in W and V, and of W and V as the block found them
    real* held  # the output layer's W transposed; NULL: it stays as it is
    real* zeros  # a bias
    real* output  # a row of the output layer
    real* one_hot  # zeros, where a step writes a 1 for a moment


cdef enum:
    HELD = 16  # the widest output layer that is held output-major
    TINY_LAYERS = 8  # the most layers of a network that takes the path TINY


cdef inline Py_ssize_t place_of(const Samples* s, const Layer* layer) noexcept nogil:
    """Where the layer's list begins"""
    return layer.x + (layer - s.net.layers) * 2 * LINE


cdef inline bint is_held(const Network* net) noexcept nogil:
    return net.output != net.layers and net.output.n_out <= HELD


cdef void begin_samples(const Samples* s, TinyLayer* tiny) noexcept nogil:
    """The output layer's W with its padding, output-major, or all W of a tiny network"""
    cdef const Layer* layer = s.net.output
    cdef Py_ssize_t i
    if s.path == TINY:
        for i in range(layer - s.net.layers + 1):
            load_tiny(s.net.layers + i, s.net.parameters, tiny + i)
    if s.held != NULL:
        transpose(
            s.net.parameters + layer.W, layer.stride, layer.n_in,
            columns(layer.n_out, layer.stride), s.held, layer.in_stride,
            columns(layer.n_in, layer.in_stride),
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
            s.held, layer.in_stride, columns(layer.n_out, layer.stride), layer.n_in,
            s.net.parameters + layer.W, layer.stride, columns(layer.n_out, layer.stride),
        )


cdef inline const real* bias_of(const Samples* s, const Layer* layer) noexcept nogil:
    return s.net.parameters + layer.b if layer.b >= 0 else s.zeros


cdef inline real* row_of(const Samples* s, const Layer* layer, Py_ssize_t r) noexcept nogil:
    """Where z and a of the sample are while it passes"""
    if layer == s.net.output and is_by_lane(layer):
        return s.output
    return activations(s.net, layer) + r * layer.stride


cdef inline real* kept_row(const Samples* s, const Layer* layer, Py_ssize_t r) noexcept nogil:
    """Where the row is from which the activation's derivative is taken, of a hidden layer always"""
    return kept(s.net, layer) + r * layer.stride


cdef inline void keep_output(
    const Samples* s, const real* row, real* block, Py_ssize_t r
) noexcept nogil:
    """Lay a row of the output layer where that of the block belongs."""
    cdef const Layer* layer = s.net.output
    cdef Py_ssize_t j
    if is_by_lane(layer):
        for j in range(layer.n_out):
            block[j * s.net.block + r] = row[j]
    elif row != block + r * layer.stride:
        memcpy(block + r * layer.stride, row, layer.stride * sizeof(real))


cdef Samples point_samples(
    const Network* net, const Rule* rule, Path path, real* scratch, Py_ssize_t length
) noexcept nogil:
    """What the stochastic mode has at the end of the scratch memory, `samples_length` numbers"""
    cdef Samples s
    cdef Py_ssize_t i, n = net.output - net.layers + 1, n_units = units_length(net.layers, n)
    s.net, s.rule, s.path = net, rule, path
    if path == BLOCKED and net.output == net.layers and is_by_lane(net.output):
        # z of the block would not be kept as rows; `path_for` never chooses it, a caller might
        s.path = LISTED if is_plain(rule) else FUSED
    s.dx = scratch + length - samples_length(net.layers, n, net.block)
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
    s.one_hot = s.of_V + gram_stride(net.block)
    s.G_ahead = s.one_hot + gram_stride(net.block)
    s.x, s.x_ahead = net.stack, s.G_ahead + net.block * gram_stride(net.block)
    for i in range(all_length(net.layers, net.output, net.block)):
        s.all[i] = <int>i
    memset(s.zeros, 0, n_units * sizeof(real))
    memset(s.one_hot, 0, gram_stride(net.block) * sizeof(real))
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
        + n * sizeof(Py_ssize_t) // sizeof(real) + 2 * LINE
    )


cdef Py_ssize_t network_length(
    const Layer* layers, Py_ssize_t n, Py_ssize_t block, bint stochastic
) noexcept nogil:
    """The numbers that `point_network` divides, and at their end `point_samples`"""
    cdef const Layer* last = layers + n - 1
    cdef Py_ssize_t units = last.z + last.stride
    cdef Py_ssize_t row = 2 * units - layers.in_stride + last.stride + min(last.stride, BY_LANE) + 1
    cdef Py_ssize_t rest = 0 if layers.narrow else transposed_length(layers, n)
    block = whole_lines(block)
    if stochastic:
        rest = samples_length(layers, n, block)
    return block * (LOSS_LENGTH + row) + LINE + rest
