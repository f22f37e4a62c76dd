"""Per-sample descent: the paths through the first layer."""

# from layout.pxi: Data, Network, activations, delta, run, visited
# from per_sample/layout.pxi: BLOCKED, FUSED, LISTED, SWEPT, Samples, bias_of, gram_stride, row_of
# from per_sample/upper_layers.pxi: activate_sample, move_bias, move_layer

from libc.string cimport memset

from fastnn.native.products.dense cimport (
    LINE, Layer, bias_gradient, columns, forward, weight_gradient,
)
from fastnn.native.products.rows cimport gather
from fastnn.native.per_sample.active_rows cimport (
    add_rows, add_scaled, list_units, move_rows, scale_row, whole_chains,
)
from fastnn.native.per_sample.gram cimport gram
from fastnn.native.per_sample.moving_rows cimport mix, multiply_numbers
from fastnn.native.per_sample.sweep cimport sweep_rows
from fastnn.native.simd.simd cimport real
from fastnn.native.simd.team cimport part_begin, part_end
from fastnn.native.products.tiles cimport ADD, PUT, Product
from fastnn.native.formulas.update cimport (
    Motion, Step, is_plain, keeps_velocity, motion, move, rule_of, slots_of,
)


cdef inline real* step_of(const Network* net, Py_ssize_t r) noexcept nogil:
    """The first layer's dz of row r, later -rate * dz"""
    return delta(net, net.layers) + r * net.layers.stride


cdef void run_part(const Network* net, Product product) noexcept nogil:
    """This member's columns of a product: the same ones of W in both, which so stay in its cache"""
    cdef Py_ssize_t first = part_begin(&net.me, product.N, LINE)
    product.N = part_end(&net.me, product.N, LINE) - first
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
            s.x_ahead, layer.in_stride, n, is_plain(s.rule) and layer.b >= 0, s.G_ahead, ld, m
        )


cdef inline void swap_lookahead(Samples* s) noexcept nogil:
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
    run_part(net, product)
    if keeps_velocity(s.rule):
        product.B, product.C = slots_of(s.rule, layer.W), step_of(net, 0)
        run_part(net, product)


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
            row_from_coefficients(s, r, z, width)
        add_rows(
            step_of(net, 0), stride, s.all, s.G + r * gram_stride(net.block), r, z, z, width, False
        )
    elif s.path == LISTED or s.path == FUSED:
        n = s.n_units[0] = list_units(x, n, s.units, s.values)
        add_rows(W, stride, s.units, s.values, whole_chains(n), b, z, width, False)
    elif r == 0:
        add_rows(W, stride, s.all, x, n, b, z, width, False)
    else:
        sweep_rows(W, stride, x - layer.in_stride, step_of(net, r - 1), x, b, z, n, width)
    activate_sample(s, layer, r)


cdef inline void begin_coefficients(const Samples* s) noexcept nogil:
    """Begin with W and V as they are."""
    memset(s.of_W, 0, 2 * gram_stride(s.net.block) * sizeof(real))
    s.of_W[s.net.block] = s.of_V[s.net.block + 1] = 1


cdef inline void row_from_coefficients(
    const Samples* s, Py_ssize_t r, real* z, Py_ssize_t width
) noexcept nogil:
    """z_r := w_w x W + w_v x V + b of row r, and G_rk times what W has of x_k dz_k^T

    x W and x V with W and V as the block found them; the latter lies where dz_r will be.
    """
    cdef const Network* net = s.net
    cdef Py_ssize_t stride = gram_stride(net.block)
    scale_row(s.of_W[net.block], z, width)
    if keeps_velocity(s.rule):
        add_scaled(s.of_W[net.block + 1], step_of(net, r), z, width)
    add_scaled(1, bias_of(s, net.layers), z, width)
    multiply_numbers(s.of_W, s.G + r * stride, r)


cdef inline void step_coefficients(const Samples* s, Py_ssize_t r, Step step) noexcept nogil:
    """The coefficients of W and V after the step of row r: the rule, applied to them"""
    cdef Py_ssize_t n = gram_stride(s.net.block)
    cdef Motion m = motion(s.rule, step, rule_of(s.rule, 0), True)
    s.one_hot[r] = 1
    m.pitch = 0  # linear rules keep one slot
    move(s.of_W, s.of_V if keeps_velocity(s.rule) else NULL, s.one_hot, n, &m)
    s.one_hot[r] = 0


cdef void descend_first(const Samples* s, Py_ssize_t r, Step step) noexcept nogil:
    """step := -rate dz of row r; W or at least b moves along it, unless BLOCKED."""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t width = columns(layer.n_out, layer.stride)
    cdef real* dz = step_of(net, r)
    if s.path == FUSED:
        move_layer(s, layer, s.x + r * layer.in_stride, dz, s.dx, step)
        return
    if not is_plain(s.rule):
        step_coefficients(s, r, step)
        move_bias(s, layer, dz, step)
        return
    scale_row(-<real>step.rate, dz, width)
    if s.path == LISTED:
        move_rows(
            net.parameters + layer.W, layer.stride, s.units, s.values, s.n_units[0], dz, width
        )
    if s.path != BLOCKED and layer.b >= 0:
        add_scaled(1, dz, net.parameters + layer.b, width)


cdef void end_block(const Samples* s, Py_ssize_t m) noexcept nogil:
    """What W and b still lack of the block's m steps; this member's columns"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t n = columns(layer.n_out, layer.stride)
    cdef real* steps = step_of(net, 0)
    cdef Product product
    if s.path == BLOCKED and not is_plain(s.rule):
        apply_coefficients(s, m)
    elif s.path == BLOCKED:
        product = weight_gradient(layer, s.x, steps, m, net.parameters, ADD, 0, 0, layer.n_in)
        run_part(net, product)
        if layer.b >= 0:
            bias_gradient(
                layer, steps, m, net.parameters, ADD, 0, part_begin(&net.me, n, LINE),
                part_end(&net.me, n, LINE),
            )
    elif s.path == SWEPT and net.me.number == 0:
        move_rows(
            net.parameters + layer.W, layer.stride, s.all,
            s.x + (m - 1) * layer.in_stride, layer.n_in, step_of(net, m - 1),
            columns(layer.n_out, layer.stride),
        )


cdef void apply_coefficients(const Samples* s, Py_ssize_t m) noexcept nogil:
    """W, V := the combinations that m steps have led to; this member's columns"""
    cdef const Network* net = s.net
    cdef const Layer* layer = net.layers
    cdef Py_ssize_t i, n = columns(layer.n_out, layer.stride), block = net.block
    cdef Py_ssize_t first = part_begin(&net.me, n, LINE), last = part_end(&net.me, n, LINE)
    cdef real* W = net.parameters + layer.W
    cdef real* V = slots_of(s.rule, layer.W)
    if first == last:
        return
    for i in range(layer.n_in):
        mix(
            W + i * layer.stride + first, NULL if V == NULL else V + i * layer.stride + first,
            last - first, s.of_W[block], s.of_W[block + 1], s.of_V[block], s.of_V[block + 1],
        )
    add_products(s, m, s.of_W, net.parameters, first, last)
    if V != NULL:
        add_products(s, m, s.of_V, s.rule.slots, first, last)


cdef inline void add_products(
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
    run_part(net, product)
