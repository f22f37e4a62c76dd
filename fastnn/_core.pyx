"""The compiled core: forward pass, backpropagation, gradient descent, and the doors to them.

Backpropagation (`backward_rows`, `weight_gradients`) computes the gradient; gradient descent
(`minibatch_rows`, `stochastic_rows`, `update`) moves the weights with it. There is no policy here:
the doors in this file trust arrays that `_validation.py` and `network.py` have checked; nothing
under them allocates. The loops behind them are in `fastnn/loops`, the kernels those call in
`fastnn/kernels`. Rows pass in blocks, and every sum runs in a fixed order: the same arguments give
the same bits.

Several threads, the members of a team, enter a door together, each with its number, and take turns
of two kinds between barriers: in the first each passes its share of a block's rows up and down the
layers; in the second it computes its share of the rows of every dW. So each number is computed by
one member alone, in the same way whoever it is: the threads leave no trace in the bits. A narrow
network is too little work to share: its first member does it all.
"""

from cpython.buffer cimport (
    Py_buffer, PyBUF_STRIDED_RO, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.math cimport NAN

from fastnn.native.formulas.activations cimport (
    elu, gelu, gelu_slope, place_of_largest, selu, silu, silu_slope,
)
from fastnn.native.products.dense cimport Layer
from fastnn.native.simd.elementary cimport exp, log, sigmoid, softplus, sweep, tanh
from fastnn.native.formulas.losses cimport Loss, LossKind
from fastnn.native.products.rows cimport NumberType, Rows, is_finite, nonfinite_in_row
from fastnn.native.simd.simd cimport (
    COMPILER, WIDTH, cpu_isa_level, float_mode, flush_subnormals, real, restore_float_mode,
)
from fastnn.native.simd.team cimport Member, begin, wait
from fastnn.native.formulas.update cimport Clip, Counts, LayerRule, Method, Rule, Step

include "fastnn/native/loops/layout.pxi"
include "fastnn/native/loops/narrow.pxi"
include "fastnn/native/loops/forward.pxi"
include "fastnn/native/loops/backpropagation.pxi"
include "fastnn/native/loops/minibatch.pxi"
include "fastnn/native/loops/per_sample/layout.pxi"
include "fastnn/native/loops/per_sample/upper_layers.pxi"
include "fastnn/native/loops/per_sample/first_layer.pxi"
include "fastnn/native/loops/per_sample/tiny.pxi"
include "fastnn/native/loops/per_sample/epoch.pxi"

# ---- the doors -------------------------------------------------------------------------------
#
# Every member of a team calls the same door with the same arguments and its number; what member 0
# gets is the result. The first thing each does is to wait for all the others: a run begins with the
# whole team or, if that cannot be, not at all.

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


cdef Loss point_loss(const double[::1] loss) noexcept nogil:
    """Its code and its numbers, as `fastnn.losses.Loss.kernel` gives them"""
    cdef Loss found
    found.kind, found.setting = <LossKind><int>loss[0], <real>loss[1]
    found.share, found.slope_share = loss[2], loss[3]
    found.limit = <real>loss[5]
    return found


cdef Call open_call(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    const double[::1] loss, const long long[::1] order, real[:, ::1] predictions, Member me,
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
    call.data.key, call.data.position = noise[0], noise[1]
    call.data.loss, call.data.by_weight = point_loss(loss), loss[4] != 0
    call.data.order = &order[0] if order.shape[0] else NULL
    call.data.predictions = &predictions[0, 0] if predictions.shape[0] else NULL
    call.data.kept_targets = NULL
    if predictions.shape[0] and predictions.shape[1] > call.net.output.n_out:
        call.data.kept_targets = (
            call.data.predictions + predictions.shape[0] * call.net.output.n_out
        )
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


def scratch_length(const long long[:, ::1] layers, Py_ssize_t block, bint stochastic):
    """How many numbers of scratch memory blocks of this many rows need."""
    return network_length(<const Layer*>&layers[0, 0], layers.shape[0], block, stochastic)


def evaluate(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    const double[::1] loss, const long long[::1] order, real[:, ::1] predictions, double total,
    int member=0, int size=1, int[::1] team=None,
):
    """predictions := the output for the rows in `order` (empty: all rows of X).

    Behind all the outputs come the targets, if `predictions` has columns for both.

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
                layers, parameters, normalization, block, scratch, noise, X, x_type, y,
                sample_weight, loss, order, predictions, me,
            )
            total = evaluate_rows(&call.net, &call.data, n, total)
            close_call(&call)
    return total


def gradient(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    const double[::1] loss, const long long[::1] order, real[:, ::1] predictions, double total,
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
                layers, parameters, normalization, block, scratch, noise, X, x_type, y,
                sample_weight, loss, order, predictions, me,
            )
            transpose_weights(&call.net, min(block, n))
            if not wait(&me):
                total = add_gradient(&call.net, &call.data, 0, n, scale, &gradient[0], total)
            close_call(&call)
    return total


def backward(
    const long long[:, ::1] layers, real[::1] parameters, Py_ssize_t block, real[::1] scratch,
    const long long[::1] noise, const real[:, ::1] dL_dy, real[::1] gradient,
    real[::1] transposed, real[:, ::1] dL_dx,
):
    """gradient := dL/dW + gradient, given dL/dy of the rows that `evaluate` has just passed

    Both in one block, with the same scratch memory, of a network that is not narrow. dL_dx, of rows
    that have their padding, := dL/dx, with room for the first W transposed, unless it is empty.
    """
    cdef float_mode mode_before
    cdef Network net
    cdef Data data
    cdef Py_ssize_t m = dL_dy.shape[0]
    if m == 0:
        return
    with nogil:
        mode_before = flush_subnormals()
        net = point_network(layers, parameters, block, scratch, join_team(0, 1, None))
        data.key, data.position = noise[0], noise[1]
        transpose_weights(&net, m)
        take_output_gradient(&net, &dL_dy[0, 0], m)
        backward_rows(&net, &data, 0, 0, m, m)
        weight_gradients(&net, m, &gradient[0], ADD, 0)
        if dL_dx.shape[0]:
            hand_out(&net, &data, &transposed[0], &dL_dx[0, 0], m)
        restore_float_mode(mode_before)


cdef Steps point_steps(const double[:, ::1] steps) noexcept nogil:
    cdef Steps found
    found.values, found.constant = <const Step*>&steps[0, 0], steps.shape[0] == 1
    return found


cdef Rule point_rule(
    const double[::1] rule, const double[:, ::1] layer_rules, real[:, ::1] slots,
    long long[::1] counts,
) noexcept nogil:
    """The rule's numbers, in the order of `fastnn.optimizers.Constants`, and what it keeps"""
    cdef Rule found
    found.method = <Method><int>rule[0]
    found.first, found.second, found.nesterov = rule[1], rule[2], rule[3] != 0
    found.epsilon, found.shrinks = rule[4], rule[5] != 0
    found.clip, found.limit = <Clip><int>rule[6], rule[7]
    found.layers = <const LayerRule*>&layer_rules[0, 0] if layer_rules.shape[0] else NULL
    found.slots = &slots[0, 0] if slots.shape[0] else NULL
    found.average = &slots[slots.shape[0] - 1, 0] if rule[8] != 0 else NULL
    found.n_parameters = slots.shape[1]
    found.counts = <Counts*>&counts[0]
    return found


def update(
    const long long[:, ::1] layers, real[::1] parameters, real[::1] gradient,
    const double[:, ::1] steps, const double[::1] rule, const double[:, ::1] layer_rules,
    real[:, ::1] slots, long long[::1] counts,
):
    """One step of gradient descent: parameters := parameters - learning_rate * gradient.

    Or what the rule makes of it; what it adds for the regularisers stays in the gradient.
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
        found = point_rule(rule, layer_rules, slots, counts)
        descend(&net, &found, &gradient[0], point_steps(steps).values[0], parameters.shape[0])
        found.counts.made += 1
        restore_float_mode(mode_before)


def stochastic(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    const double[::1] loss, const long long[::1] order, real[:, ::1] predictions, double total,
    const double[:, ::1] steps, const double[::1] rule, const double[:, ::1] layer_rules,
    real[:, ::1] slots, long long[::1] counts, int path,
    int member=0, int size=1, int[::1] team=None,
):
    """One update after every row, with its own of the `steps` (a single one serves all rows).

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
                layers, parameters, normalization, block, scratch, noise, X, x_type, y,
                sample_weight, loss, order, predictions, me,
            )
            call.rule = point_rule(rule, layer_rules, slots, counts)
            samples = point_samples(&call.net, &call.rule, <Path>path, scratch)
            call.steps = point_steps(steps)
            total = stochastic_rows(&samples, &call.data, n, &call.steps, total)
            close_call(&call)
    return total


def minibatch(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise,
    const unsigned char[:, :] X, int x_type, const real[:, ::1] y, const real[::1] sample_weight,
    const double[::1] loss, const long long[::1] order, real[:, ::1] predictions, double total,
    const double[:, ::1] steps, const double[::1] rule, const double[:, ::1] layer_rules,
    real[:, ::1] slots, long long[::1] counts, Py_ssize_t batch_size, real[::1] gradient,
    int member=0, int size=1, int[::1] team=None,
):
    """One update after every `batch_size` rows, along their mean gradient.

    Returns total + the sum of sample_weight * l, each taken before its batch's update; if a batch's
    is divided by its weights, or regularisers by its rows, its number of rows times its L.
    """
    cdef Call call
    cdef Member me = join_team(member, size, team)
    cdef Py_ssize_t n = order.shape[0] or X.shape[0]
    if n == 0:
        return total
    with nogil:
        if not begin(&me):
            call = open_call(
                layers, parameters, normalization, block, scratch, noise, X, x_type, y,
                sample_weight, loss, order, predictions, me,
            )
            call.rule = point_rule(rule, layer_rules, slots, counts)
            call.steps = point_steps(steps)
            total = minibatch_rows(
                &call.net, &call.data, n, batch_size, &call.rule, &call.steps, &gradient[0],
                gradient.shape[0], total,
            )
            close_call(&call)
    return total


# Training that diverges goes back to a copy of finite weights. Weights, what the optimiser keeps of
# them and its counts are copied in one call, which no interrupt of Python can divide.

cdef Kept point_kept(
    real[::1] parameters, real[:, ::1] slots, long long[::1] counts, real[::1] kept,
    long long[::1] kept_counts,
) noexcept nogil:
    cdef Kept found
    found.parameters, found.n_parameters = &parameters[0], parameters.shape[0]
    found.slots = &slots[0, 0] if slots.shape[0] else NULL
    found.n_slots = slots.shape[0] * slots.shape[1]
    found.counts, found.kept_counts = <Counts*>&counts[0], <Counts*>&kept_counts[0]
    found.numbers = &kept[0]
    return found


def keep_state(
    real[::1] parameters, real[:, ::1] slots, long long[::1] counts, real[::1] kept,
    long long[::1] kept_counts,
):
    """kept := the parameters and the slots behind them; kept_counts := counts."""
    cdef Kept all = point_kept(parameters, slots, counts, kept, kept_counts)
    keep(&all)


def restore_state(
    real[::1] parameters, real[:, ::1] slots, long long[::1] counts, real[::1] kept,
    long long[::1] kept_counts,
):
    """parameters, slots and counts := what `keep_state` kept of them."""
    cdef Kept all = point_kept(parameters, slots, counts, kept, kept_counts)
    go_back(&all)


# A single row is learnt without all that: what does not change from row to row is pointed at once,
# in memory of the caller's, who must keep the arrays alive as long.

def one_row_length():
    """The bytes of memory that `prepare_one_row` fills."""
    return sizeof(OneRow)


def prepare_one_row(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise, const double[::1] loss,
    const double[::1] rule, const double[:, ::1] layer_rules, real[:, ::1] slots,
    long long[::1] counts, int path, real[::1] kept, long long[::1] kept_counts,
    bytearray memory,
):
    """memory := what `learn_one` needs to know, for rows with a single target

    `kept` and `kept_counts` are what `keep_state` wrote.
    """
    cdef OneRow* one = <OneRow*><char*>memory
    cdef Data* data = &one.call.data
    one.call.net = point_network(layers, parameters, block, scratch, join_team(0, 1, None))
    one.call.rule = point_rule(rule, layer_rules, slots, counts)
    one.call.steps.values, one.call.steps.constant = &one.step, True
    one.step.share = 1
    one.samples = point_samples(&one.call.net, &one.call.rule, <Path>path, scratch)
    data.X = point_rows(NULL, 0, 0, one.call.net.layers.n_in, normalization)
    data.y, data.n_targets, data.loss = &one.target, 1, point_loss(loss)
    data.sample_weight, data.order, data.predictions = NULL, NULL, NULL
    data.kept_targets = NULL
    data.key, data.position = noise[0], noise[1]
    one.kept = point_kept(parameters, slots, counts, kept, kept_counts)


cdef inline bint is_aligned(const Py_buffer* numbers) noexcept nogil:
    return <size_t>numbers.buf % <size_t>numbers.itemsize == 0


cdef inline bint is_apart(const Py_buffer* row, const Network* net) noexcept nogil:
    """Whether a row does not lie among the parameters, which would move under it"""
    cdef const char* first = <const char*>row.buf
    cdef const char* start = <const char*>net.parameters
    return first + row.len <= start or first >= <const char*>(net.parameters + net.n_parameters)


def learn_one(bytearray memory, X, int x_type, double target, double rate, double shrink):
    """One update with the first row of X, whose numbers lie side by side; returns the loss before.

    NaN if a number of the row is not finite as `real`, or the row is unaligned or overlaps the
    weights: then nothing has happened. Infinity if loss, weights or slots are no longer finite:
    then the state is again the one kept, of at most KEPT_EVERY steps before.

    X is not a typed view, which takes longer to make than a row to learn, and the interpreter's
    lock is not released: the memory is for one at a time.
    """
    cdef OneRow* one = <OneRow*><char*>memory
    cdef double loss = NAN
    cdef float_mode mode_before
    cdef Py_buffer row
    PyObject_GetBuffer(X, &row, PyBUF_STRIDED_RO)
    mode_before = flush_subnormals()
    one.call.data.X.X, one.call.data.X.type = <const unsigned char*>row.buf, <NumberType>x_type
    one.target, one.step.rate, one.step.shrink = <real>target, rate, shrink
    if (
        is_aligned(&row)
        and is_apart(&row, &one.call.net)
        and nonfinite_in_row(&one.call.data.X, 0) < 0
        and is_finite(one.target)
    ):
        loss = learn_row(one)
    restore_float_mode(mode_before)
    PyBuffer_Release(&row)
    return loss


# The same for the outputs of a few rows.

def few_rows_length():
    """The bytes of memory that `prepare_few_rows` fills."""
    return sizeof(Call)


def prepare_few_rows(
    const long long[:, ::1] layers, real[::1] parameters, const double[:, ::1] normalization,
    Py_ssize_t block, real[::1] scratch, const long long[::1] noise, bytearray memory,
):
    """memory := what `predict_few_rows` needs to know"""
    cdef Call* call = <Call*><char*>memory
    call.net = point_network(layers, parameters, block, scratch, join_team(0, 1, None))
    call.data.X = point_rows(NULL, 0, 0, call.net.layers.n_in, normalization)
    call.data.y, call.data.n_targets = NULL, 0
    call.data.sample_weight, call.data.order, call.data.kept_targets = NULL, NULL, NULL
    call.data.key, call.data.position = noise[0], noise[1]


def predict_few_rows(bytearray memory, X, int x_type, outputs):
    """outputs := those of the rows of X, whose numbers lie side by side; whether all is finite

    As in `learn_one` the memory is for one at a time.
    """
    cdef Call* call = <Call*><char*>memory
    cdef float_mode mode_before
    cdef Py_buffer rows, place
    cdef Py_ssize_t r, n
    cdef bint finite
    PyObject_GetBuffer(X, &rows, PyBUF_STRIDED_RO)
    PyObject_GetBuffer(outputs, &place, PyBUF_WRITABLE)
    mode_before = flush_subnormals()
    n = rows.shape[0]
    call.data.X.X, call.data.X.type = <const unsigned char*>rows.buf, <NumberType>x_type
    call.data.X.stride = rows.strides[0]
    call.data.predictions = <real*>place.buf
    finite = is_aligned(&rows) and rows.strides[0] % rows.itemsize == 0
    for r in range(n):
        finite = finite and nonfinite_in_row(&call.data.X, r) < 0
    if finite:
        evaluate_rows(&call.net, &call.data, n, 0)
        finite = are_finite(call.data.predictions, n * call.net.output.n_out)
    restore_float_mode(mode_before)
    PyBuffer_Release(&place)
    PyBuffer_Release(&rows)
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


def largest_places(const real[:, ::1] outputs, long long[::1] places):
    """places_i := the first j with outputs_ij = max(outputs_i)"""
    cdef Py_ssize_t i, n = outputs.shape[0], n_outputs = outputs.shape[1]
    if n == 0 or n_outputs == 0:
        return
    with nogil:
        for i in range(n):
            places[i] = place_of_largest(&outputs[i, 0], n_outputs)


def elementwise(int function, const real[::1] x, real[::1] y):
    """y := f(x), for tests and measurements

    f is one of exp, log, sigmoid, tanh, softplus, elu, selu, gelu, gelu_slope, silu, silu_slope
    (0 to 10).
    """
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
        elif function == 4:
            sweep(softplus, &x[0], &y[0], n)
        elif function == 5:
            sweep(elu, &x[0], &y[0], n)
        elif function == 6:
            sweep(selu, &x[0], &y[0], n)
        elif function == 7:
            sweep(gelu, &x[0], &y[0], n)
        elif function == 8:
            sweep(gelu_slope, &x[0], &y[0], n)
        elif function == 9:
            sweep(silu, &x[0], &y[0], n)
        else:
            sweep(silu_slope, &x[0], &y[0], n)
        restore_float_mode(mode_before)


def isa_level():
    """The x86-64 level (1, 3 or 4) that this CPU can run; 1 on any other CPU."""
    return cpu_isa_level()


def build_info():
    """The compiler, the bytes of a vector and the bytes of a number in this build."""
    return COMPILER.decode(), WIDTH * sizeof(real), sizeof(real)


# ---- the life of a team ------------------------------------------------------------------------
#
# The handler of a signal may raise between any two steps of a Python function, before the first one
# too. Here it may not, only in what is called from here.

def opens(lock, int patience):
    """Wait for another thread to open a lock, `patience` milliseconds at most; whether it has.

    Many short waits: a process that is stopped meanwhile loses only one of them.
    """
    for _ in range(patience):
        if lock.acquire(timeout=0.001):
            lock.release()
            return True
    return False


def close_team(team, *error):
    """Call `team._dismiss()` until no exception interrupts it; then raise the last of them.

    This is the `__exit__` of a team: helpers end, whatever strikes the caller and however often.
    """
    interruption = None
    for _ in range(100_000):  # more than any storm of signals; an end all the same
        try:
            team._dismiss()
            break
        except BaseException as exception:
            interruption = exception
    if interruption is not None:
        raise interruption
