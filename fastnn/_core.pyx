"""The compiled core: forward pass, backpropagation and gradient descent, and what Python calls.

Backpropagation (`backward_rows`, `weight_gradients`) computes the gradient; gradient descent
(`minibatch_rows`, `stochastic_rows`, `update`) moves the weights with it; the plain step of a batch
that is one block is the last part of `weight_gradients`, its epilogue DESCEND. There is no policy:
the functions in this file trust what `fastnn/data` and `fastnn/engine` have checked, and nothing
below them allocates memory. The loops are in `fastnn/native/loops`, the kernels that they call in
the other folders of `fastnn/native`. Rows pass in blocks, and every sum runs in a fixed order: the
same arguments give the same bits.

Several threads, the members of a team, call a function together, each with its own number, and
alternate between two kinds of work with barriers in between: in the first, each passes its share of
a block's rows up and down the layers; in the second, it computes its share of the rows of every dW.
So each number is computed by one member alone, in the same way whoever it is, and the results do
not depend on the number of threads. A narrow network is too little work to share: its first member
does it all.
"""

cimport cython
from cpython.buffer cimport (
    Py_buffer, PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDED_RO, PyBUF_WRITABLE,
    PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport fabs, floor, isfinite
from libc.string cimport memset

import numpy as np

from fastnn.native.formulas.activations cimport (
    ELU, EXPONENTIAL, GELU, LEAKY_RELU, LINEAR, RELU, SELU, SIGMOID, SILU, SOFTMAX, SOFTPLUS, TANH,
    Activation, activate_backward, elu, gelu, gelu_slope, needs_z, place_of_largest, selu, silu,
    silu_slope,
)
from fastnn.native.formulas.losses cimport (
    ABSOLUTE_ERROR, BINARY_CROSSENTROPY, CATEGORICAL_CROSSENTROPY, HINGE, HUBER,
    LABEL_CROSSENTROPY, POISSON, POISSON_DEVIANCE, SQUARED_ERROR, SQUARED_HINGE, Loss, LossKind,
    LossSettings,
)
from fastnn.native.formulas.update cimport (
    ADAGRAD, ADAM, AMSGRAD, BY_GLOBAL_NORM, BY_NORM, BY_VALUE, MOMENTUM, PLAIN, RMSPROP,
    RMSPROP_MOMENTUM, Clip, Constants, Counts, LayerRule, Method, Rule, Step, slots_of_method,
)
from fastnn.native.per_sample.tiny cimport OCTET
from fastnn.native.products.dense cimport LINE, Layer
from fastnn.native.products.rows cimport (
    FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, Features,
    NumberType, is_finite, nonfinite_in_row, number_at,
)
from fastnn.native.simd.elementary cimport exp, log, sigmoid, softplus, sweep, tanh
from fastnn.native.simd.simd cimport (
    COMPILER, WIDTH, cpu_isa_level, float_mode, flush_subnormals, real, restore_float_mode,
)
from fastnn.native.products.tiles cimport ADD
from fastnn.native.simd.team cimport ABORTED, PLACES, Member, begin, exchange, wait

include "fastnn/native/loops/layout.pxi"
include "fastnn/native/loops/narrow.pxi"
include "fastnn/native/loops/record.pxi"
include "fastnn/native/loops/forward.pxi"
include "fastnn/native/loops/backpropagation.pxi"
include "fastnn/native/loops/minibatch.pxi"
include "fastnn/native/loops/per_sample/layout.pxi"
include "fastnn/native/loops/per_sample/upper_layers.pxi"
include "fastnn/native/loops/per_sample/first_layer.pxi"
include "fastnn/native/loops/per_sample/tiny.pxi"
include "fastnn/native/loops/per_sample/epoch.pxi"
include "fastnn/native/loops/snapshot.pxi"

# ---- what Python reads at import: codes, constants, and the fields of the tables ---------------

ACTIVATIONS = {
    "linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH, "softmax": SOFTMAX,
    "leaky_relu": LEAKY_RELU, "elu": ELU, "selu": SELU, "softplus": SOFTPLUS, "gelu": GELU,
    "silu": SILU, "exponential": EXPONENTIAL,
}
FROM_Z = frozenset(name for name, code in ACTIVATIONS.items() if needs_z(code))
LOSSES = {
    "squared error": SQUARED_ERROR, "absolute error": ABSOLUTE_ERROR, "huber": HUBER,
    "binary crossentropy": BINARY_CROSSENTROPY,
    "categorical crossentropy": CATEGORICAL_CROSSENTROPY, "label crossentropy": LABEL_CROSSENTROPY,
    "poisson": POISSON, "poisson deviance": POISSON_DEVIANCE, "hinge": HINGE,
    "squared hinge": SQUARED_HINGE,
}
METHODS = {
    "plain": PLAIN, "momentum": MOMENTUM, "adam": ADAM, "amsgrad": AMSGRAD, "rmsprop": RMSPROP,
    "rmsprop with momentum": RMSPROP_MOMENTUM, "adagrad": ADAGRAD,
}
SLOTS = {name: slots_of_method(code) for name, code in METHODS.items()}  # numbers per weight
CLIPS = {"clipvalue": BY_VALUE, "clipnorm": BY_NORM, "global_clipnorm": BY_GLOBAL_NORM}
PATHS = {"listed": LISTED, "swept": SWEPT, "blocked": BLOCKED, "tiny": TINY, "fused": FUSED}
ELEMENTWISE = (
    "exp", "log", "sigmoid", "tanh", "softplus", "elu", "selu", "gelu", "gelu_slope", "silu",
    "silu_slope",
)

# The numbers that are read where they lie, by the letters of the `struct` module.
NUMBER_TYPES = {
    "f": FLOAT32, "d": FLOAT64, "b": INT8, "h": INT16, "i": INT32, "l": INT64, "q": INT64,
    "?": UINT8, "B": UINT8, "H": UINT16, "I": UINT32, "L": UINT64, "Q": UINT64,
}
READABLE = frozenset(map(np.dtype, NUMBER_TYPES))

LINE_LENGTH = LINE  # every array of the parameters begins at a multiple of it
NARROW_WIDTH = OCTET  # the widest layer of a narrow network
MOST_TINY_LAYERS = TINY_LAYERS
BY_LANE_OUTPUTS = BY_LANE  # the widest output layer whose losses are computed one row per lane
TEAM_ABORTED, TEAM_PLACES = ABORTED, PLACES  # places among the words of a team

cdef Layer one_layer
cdef LayerRule one_layer_rule
cdef Step one_step
cdef Constants one_rule
cdef LossSettings one_loss
cdef Counts one_count
cdef RecordPlaces one_layer_record
LAYER = np.asarray(<Layer[:1]>&one_layer).dtype
LAYER_RULE = np.asarray(<LayerRule[:1]>&one_layer_rule).dtype
STEP = np.asarray(<Step[:1]>&one_step).dtype
CONSTANTS = np.asarray(<Constants[:1]>&one_rule).dtype
LOSS_SETTINGS = np.asarray(<LossSettings[:1]>&one_loss).dtype
COUNTS = np.asarray(<Counts[:1]>&one_count).dtype
RECORD_PLACES = np.asarray(<RecordPlaces[:1]>&one_layer_record).dtype
cdef object ARRAY = np.ndarray, SCALAR = np.generic


# ---- rows --------------------------------------------------------------------------------------

cdef int type_of_letter[128]
for letter in range(128):
    type_of_letter[letter] = NUMBER_TYPES.get(chr(letter), -1)
del letter


cdef int letter_type(const Py_buffer* view) noexcept:
    """The code of the type of an array's numbers, -1 if the kernels do not read it"""
    cdef unsigned char letter
    if view.format == NULL or view.format[0] == 0 or view.format[1] != 0:
        return -1
    letter = view.format[0]
    return type_of_letter[letter] if letter < 128 else -1


cdef int number_type(const Py_buffer* view) except -1:
    """The same, or ValueError"""
    cdef int found = letter_type(view)
    if found < 0:
        raise ValueError("numbers of this type cannot be read where they lie")
    return found


cdef int point_features(const Py_buffer* view, Features* rows) except -1:
    """Rows of numbers side by side, of any type that the kernels read; a vector is one row"""
    cdef Py_ssize_t last = view.ndim - 1
    if not 1 <= view.ndim <= 2 or view.strides[last] != view.itemsize:
        raise ValueError("expected rows whose numbers lie side by side")
    rows.type = <NumberType>number_type(view)
    if <size_t>view.buf % <size_t>view.itemsize:
        raise ValueError("the numbers are not aligned")
    rows.X, rows.n_features = <const unsigned char*>view.buf, view.shape[last]
    rows.stride = view.strides[0] if last else view.len
    if rows.stride % view.itemsize:
        raise ValueError("the rows are not aligned")
    rows.mean = rows.scale = NULL
    return 0


@cython.final
cdef class Rows:
    """Rows of X with their targets and sample weights, pointed at where they lie.

    X has shape (n_rows, n_features), any type of `READABLE`, and the numbers of a row side by side;
    y (n_rows, n_targets) and sample_weight (n_rows,) are contiguous, of the build's type. An empty
    array, or None, stands for none. The arrays stay alive, and cannot be resized, as long.
    """
    cdef Features X
    cdef Py_ssize_t n, n_targets
    cdef const real* y
    cdef const real* sample_weight
    cdef Py_buffer X_view, y_view, weight_view  # released with the object
    cdef real own_targets[16]  # of a single row; more of them are allocated
    cdef real* allocated

    def __cinit__(self, X=None, y=None, sample_weight=None):
        if X is None:
            return
        self.take_X(X)
        if y is not None and len(y):
            take_numbers(&self.y_view, y, self.n, 2)
            self.y, self.n_targets = <const real*>self.y_view.buf, self.y_view.shape[1]
        if sample_weight is not None and len(sample_weight):
            take_numbers(&self.weight_view, sample_weight, self.n, 1)
            self.sample_weight = <const real*>self.weight_view.buf

    cdef int take_X(self, X) except -1:
        PyBuffer_Release(&self.X_view)
        PyObject_GetBuffer(X, &self.X_view, PyBUF_STRIDED_RO | PyBUF_FORMAT)
        point_features(&self.X_view, &self.X)
        self.n = self.X_view.shape[0] if self.X_view.ndim == 2 else 1
        return 0

    def __len__(self):
        return self.n

    def __dealloc__(self):
        PyBuffer_Release(&self.X_view)
        PyBuffer_Release(&self.y_view)
        PyBuffer_Release(&self.weight_view)
        PyMem_Free(self.allocated)


cdef int take_numbers(Py_buffer* view, array, Py_ssize_t n, int ndim) except -1:
    """Numbers of the build's type, side by side, at least n of the first dimension"""
    PyBuffer_Release(view)
    PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    if view.ndim != ndim or number_type(view) != REAL_TYPE or view.shape[0] != n:
        raise ValueError(f"expected {n} rows, {ndim} dimensions, and numbers of the core's type")
    return 0


cdef int REAL_TYPE = FLOAT64 if sizeof(real) == 8 else FLOAT32
cdef object REAL = np.dtype("f8" if sizeof(real) == 8 else "f4")
cdef enum:
    ALIGNMENT = 64  # bytes


# ---- the context -------------------------------------------------------------------------------

@cython.final
cdef class Turn:
    """Whether a thread moves the weights, without the interpreter's lock; for all contexts of them.

    It is read and set while the interpreter's lock is held.
    """
    cdef bint taken


@cython.final
cdef class Context:
    """All that a pass through a network needs beside its rows: made once for a fit, or a thread.

    It points at the arrays given, keeps them alive, and takes none that could be resized meanwhile:
    parameters, scratch, slots and gradient have to be views of memory that is held elsewhere.

    Parameters
    ----------
    layers : array of LAYER
        The table of layers.
    layer_rules : array of LAYER_RULE
        How each layer is regularised and trained; no rows if no layer has anything of its own.
    parameters : array of shape (n_parameters,)
    normalization : array of shape (2, n_features), or (0, 0)
        Mean and 1 / standard deviation of each column.
    block : int
        How many rows pass through the layers together.
    scratch : array of shape (scratch_length(layers, block, stochastic),)
        Memory to work in.
    quick : bool
        Whether passes are so short that the interpreter's lock is kept while they run.
    turn : Turn, optional
        That of the weights; without it no other context may move them.
    """
    cdef Call call
    cdef Samples samples
    cdef const Layer[::1] layers
    cdef const LayerRule[::1] layer_rules
    cdef real[::1] parameters, scratch, gradient
    cdef const double[:, ::1] normalization
    cdef real[:, ::1] slots
    cdef Counts[::1] counts
    cdef const Step[::1] steps
    cdef Record record
    cdef const RecordPlaces[::1] record_places
    cdef real[::1] record_values, first_W_transposed
    cdef double[::1] record_losses
    cdef Py_ssize_t record_rows  # that there is room for; 0: nothing is kept
    cdef bint quick, stochastic, has_gradient
    cdef Py_ssize_t n_steps
    cdef int busy  # whether a thread is in it
    cdef Turn turn
    cdef public long long key  # for dropout: of the epoch,
    cdef long long position  # and where in it the rows begin that passed last
    cdef Py_ssize_t n_targets  # of each row, as the loss needs them; 0 before there is one
    # What `few_rows` takes:
    cdef public Py_ssize_t most_rows
    cdef public double lowest_target, highest_target
    cdef public bint whole_targets, targets_add_up  # up to 1

    @cython.boundscheck(True)
    def __cinit__(
        self, const Layer[::1] layers not None, const LayerRule[::1] layer_rules not None,
        parameters, const double[:, ::1] normalization not None, Py_ssize_t block, scratch,
        bint quick=False, Turn turn=None,
    ):
        refuse_owners(parameters, scratch)
        self.layers, self.layer_rules = layers, layer_rules
        self.parameters, self.scratch, self.normalization = parameters, scratch, normalization
        self.quick, self.turn = quick, Turn() if turn is None else turn
        if block < 1 or not (self.has_room(block, False) or self.has_room(block, True)):
            raise ValueError(f"scratch has {len(scratch)} numbers, too few for blocks of {block}")
        if len(parameters) < parameters_length(&layers[0], layers.shape[0]):
            raise ValueError(f"parameters has {len(parameters)} numbers, too few for the layers")
        if layer_rules.shape[0] not in (0, layers.shape[0]):
            raise ValueError(f"layer_rules has {layer_rules.shape[0]} rows; expected one a layer")
        self.call.net = point_network(layers, self.parameters, block, self.scratch)
        if normalization.shape[0]:
            if normalization.shape[1] != layers[0].n_in:
                raise ValueError("normalization has other columns than the network")
            self.call.data.X.mean = &normalization[0, 0]
            self.call.data.X.scale = &normalization[1, 0]

    @property
    def n_bytes(self):
        """The size of its scratch memory."""
        return self.scratch.shape[0] * sizeof(real)

    cdef bint has_room(self, Py_ssize_t block, bint stochastic) noexcept:
        """Whether scratch is long enough for per-sample descent, or for all else."""
        return self.scratch.shape[0] >= network_length(
            &self.layers[0], self.layers.shape[0], block, stochastic
        )

    @cython.boundscheck(True)
    def set_loss(self, const LossSettings[::1] loss not None):
        """Take the settings of a loss."""
        cdef Loss* taken = &self.call.data.loss
        self.refuse_busy()
        taken.kind, taken.setting = <LossKind>loss[0].kind, <real>loss[0].setting
        taken.share, taken.slope_share = loss[0].share, loss[0].slope_share
        taken.limit = <real>loss[0].limit
        self.n_targets = 1 if taken.kind == LABEL_CROSSENTROPY else self.call.net.output.n_out
        self.call.data.by_weight = loss[0].by_weight != 0

    @cython.boundscheck(True)
    def set_rule(
        self, const Constants[::1] constants not None, const LayerRule[::1] layer_rules not None,
        slots, Counts[::1] counts not None, path=None,
    ):
        """Take the rule of an optimiser and what it keeps, and for per-sample descent a path.

        slots has shape (n_slots, n_parameters); counts is one row; path is one of PATHS.
        """
        cdef Rule* rule = &self.call.rule
        cdef const Constants* given = &constants[0]
        cdef Counts* made = &counts[0]
        cdef real[:, ::1] kept = slots
        cdef Py_ssize_t n_slots = slots_of_method(<Method>given.method) + (given.averages != 0)
        self.refuse_busy()
        refuse_owners(slots, ())
        if kept.shape[0] != n_slots:
            raise ValueError(f"slots has {kept.shape[0]} rows, but the method keeps {n_slots}")
        if n_slots and kept.shape[1] != self.parameters.shape[0]:
            raise ValueError("slots has other columns than there are parameters")
        if layer_rules.shape[0] not in (0, self.layers.shape[0]):
            raise ValueError(f"layer_rules has {layer_rules.shape[0]} rows; expected one a layer")
        self.layer_rules, self.slots, self.counts = layer_rules, kept, counts
        rule.method, rule.clip = <Method>given.method, <Clip>given.clip
        rule.first, rule.second = given.first, given.second
        rule.nesterov, rule.epsilon = given.nesterov != 0, given.epsilon
        rule.shrinks, rule.limit = given.shrinks != 0, given.limit
        rule.layers = &layer_rules[0] if layer_rules.shape[0] else NULL
        rule.slots = &kept[0, 0] if n_slots else NULL
        rule.average = &kept[n_slots - 1, 0] if given.averages else NULL
        rule.n_parameters, rule.counts = self.parameters.shape[0], made
        self.stochastic = False
        if path is not None:
            self.prepare_samples(PATHS[path])
            self.stochastic = True

    cdef int prepare_samples(self, Path path) except -1:
        cdef const Network* net = &self.call.net
        if not self.has_room(net.block_rows, True):
            raise ValueError("scratch has too few numbers for per-sample descent")
        self.samples = point_samples(
            net, &self.call.rule, path, &self.scratch[0], self.scratch.shape[0]
        )
        return 0

    def set_gradient(self, gradient):
        """Take memory for a gradient, of n_parameters numbers."""
        self.refuse_busy()
        refuse_owners(gradient, ())
        if len(gradient) != self.parameters.shape[0]:
            raise ValueError("gradient has another length than the parameters")
        if not self.has_room(self.call.net.block_rows, False):
            raise ValueError("scratch has too few numbers for a gradient")
        self.gradient, self.has_gradient = gradient, True

    @cython.boundscheck(True)
    def set_record(
        self, const RecordPlaces[::1] places not None, values, double[::1] losses not None,
        W_transposed, bint given=False,
    ):
        """Keep the values of all layers while `evaluate` and `gradient` pass rows, from now on.

        places says, layer by layer, where each begins among the values, -1 of what is not wanted;
        losses has room for the loss of every row; W_transposed, of shape (n_out * in_stride,), is
        memory for the first layer's if its dL/dx is kept, otherwise empty. If dL/da of the outputs
        is `given`, among the values, `gradient` starts from it and needs neither targets nor loss.
        """
        cdef Record* record = &self.record
        cdef const Layer* layer
        cdef Py_ssize_t i, n = losses.shape[0], length = len(values)
        self.refuse_busy()
        refuse_owners(values, W_transposed)
        if self.call.net.narrow:
            raise ValueError("one row per lane in all layers: their values cannot be kept")
        if places.shape[0] != self.layers.shape[0] or n == 0:
            raise ValueError("expected places for every layer, and room for the losses of rows")
        for i in range(places.shape[0]):
            layer = &self.layers[i]
            require_room(places[i].x, n * layer.n_in, length)
            require_room(places[i].mask, n * layer.n_in, length)
            require_room(places[i].z, n * layer.n_out, length)
            require_room(places[i].a, n * layer.n_out, length)
            require_room(places[i].da, n * layer.n_out, length)
            require_room(places[i].dz, n * layer.n_out, length)
            require_room(places[i].dx, n * layer.in_stride, length)
        i = places.shape[0] - 1
        if places[i].da >= 0 and places[i].a < 0 or given and places[i].da < 0:
            raise ValueError("dL/da of the outputs needs a place, and the outputs themselves")
        layer = &self.layers[0]
        if len(W_transposed) != (layer.n_out * layer.in_stride if places[0].dx >= 0 else 0):
            raise ValueError("W_transposed has another length than the first layer's")
        self.record_places, self.record_values, self.record_losses = places, values, losses
        self.first_W_transposed, self.record_rows = W_transposed, n
        record.layers, record.values = &places[0], &self.record_values[0]
        record.losses, record.given = &losses[0], given
        record.W_transposed = &self.first_W_transposed[0] if len(W_transposed) else NULL
        self.call.data.record = record

    @cython.boundscheck(True)
    def set_steps(self, const Step[::1] steps not None):
        """Take the steps that a call makes, in order; a single one serves them all."""
        self.refuse_busy()
        self.call.steps.values, self.call.steps.constant = &steps[0], steps.shape[0] == 1
        self.steps, self.n_steps = steps, steps.shape[0]

    cdef int refuse_busy(self) except -1:
        if self.busy:
            raise RuntimeError(TAKEN)
        return 0

    cdef int require_steps(self, Py_ssize_t n) except -1:
        """Raise if there is no rule, or too few steps for n updates."""
        if self.call.rule.counts == NULL:
            raise ValueError("the context has no rule")
        if not self.call.steps.constant and self.n_steps < n:
            raise ValueError(f"the context has too few steps for {n} updates")
        return 0


cdef int require_room(Py_ssize_t place, Py_ssize_t n, Py_ssize_t length) except -1:
    """Raise if n numbers from a place on, unless it is -1, are more than there are"""
    if place < -1 or place >= 0 and place + n > length:
        raise ValueError(f"the values have {length} numbers, too few for {n} from {place} on")
    return 0


cdef str MOVING = "another thread is training this model; let one finish before the next begins"
cdef str TAKEN = "another thread is computing with this context; each thread needs one of its own"


cdef int refuse_owners(first, second) except -1:
    for array in (first, second):
        if len(array) and array.flags.owndata:
            raise ValueError(
                "the array owns its memory, so it could be resized while the core points at it; "
                "expected a view, as `aligned_zeros` makes it"
            )
    return 0


cdef Py_ssize_t parameters_length(const Layer* layers, Py_ssize_t n) noexcept nogil:
    """How many numbers the parameters of these layers take, with their padding"""
    cdef const Layer* last = layers + n - 1
    return whole_lines(max(last.W + last.n_in * last.stride, last.b + last.stride))


@cython.boundscheck(True)
def scratch_length(const Layer[::1] layers not None, Py_ssize_t block, bint stochastic):
    """How many numbers of scratch memory blocks of `block` rows need."""
    return network_length(&layers[0], layers.shape[0], block, stochastic)


cdef struct Visit:  # of a call: which rows, and where their outputs go
    Py_buffer order, predictions
    Py_ssize_t n  # rows


cdef int begin_call(
    Context context, Rows rows, order, Py_ssize_t start, Py_ssize_t stop, predictions, Member me,
    Call* call, Visit* visit,
) except -1:
    """call := the context's, for the rows visited start-th to stop-th; claims the context."""
    cdef Data* data = &call.data
    memset(visit, 0, sizeof(Visit))
    visit.n = stop - start
    if me.number == 0 and exchange(&context.busy, 1):
        raise RuntimeError(TAKEN)
    try:
        call[0] = context.call
        call.net.me = me
        data.X.X, data.X.type, data.X.stride = rows.X.X, rows.X.type, rows.X.stride
        data.X.n_features = rows.X.n_features
        data.y, data.n_targets, data.sample_weight = rows.y, rows.n_targets, rows.sample_weight
        data.key, data.position = context.key, start
        if me.number == 0:
            context.position = start
        data.order = NULL
        if data.X.n_features != call.net.layers.n_in:
            raise ValueError("the rows have other columns than the network")
        if data.y != NULL and data.n_targets != context.n_targets:
            raise ValueError(f"the rows have {data.n_targets} targets, not {context.n_targets}")
        if order is not None:
            PyObject_GetBuffer(order, &visit.order, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            if number_type(&visit.order) != INT64 or not 0 <= start <= stop <= visit.order.shape[0]:
                raise ValueError("order has too few numbers, or is not of int64")
            data.order = <const long long*>visit.order.buf + start
        elif 0 <= start <= stop <= rows.n:
            data.X.X += start * data.X.stride
            if data.y != NULL:
                data.y += start * data.n_targets
            if data.sample_weight != NULL:
                data.sample_weight += start
        else:
            raise ValueError(f"rows {start} to {stop} of {rows.n}")
        if context.record_rows and stop > context.record_rows:
            raise ValueError(f"the record has room for {context.record_rows} rows, not {stop}")
        data.predictions = data.kept_targets = NULL
        if predictions is not None:
            take_output(call, predictions, visit)
    except BaseException:
        end_call(context, visit, me)
        raise
    return 0


cdef int take_output(Call* call, predictions, Visit* visit) except -1:
    """Room for the outputs of the rows and, in more columns, for the targets behind all of them"""
    cdef Data* data = &call.data
    cdef Py_buffer* view = &visit.predictions
    PyObject_GetBuffer(predictions, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    if (
        view.ndim != 2 or number_type(view) != REAL_TYPE or view.shape[0] < visit.n
        or view.shape[1] not in (call.net.output.n_out, call.net.output.n_out + data.n_targets)
    ):
        raise ValueError("predictions has no room for the outputs")
    data.predictions = <real*>view.buf
    if view.shape[1] > call.net.output.n_out:
        data.kept_targets = data.predictions + visit.n * call.net.output.n_out
    return 0


cdef void end_call(Context context, Visit* visit, Member me) noexcept:
    PyBuffer_Release(&visit.order)
    PyBuffer_Release(&visit.predictions)
    if me.number == 0:
        exchange(&context.busy, 0)


cdef Member join_team(int member, int size, int[::1] team) noexcept nogil:
    """This thread's place in the team; without a team it is alone"""
    cdef Member me
    me.number, me.size = member, size
    me.words = NULL if team is None else &team[0]
    return me


# ---- passes over rows --------------------------------------------------------------------------
#
# They visit rows[order[start:stop]] or, without an order, rows[start:stop]. Every member of a team
# calls the same function with the same arguments and its number; member 0 gets the result. The
# first thing each does is to wait for all the others: a run begins with the whole team or, if that
# cannot be, not at all. Subnormal numbers count as zero while a pass runs.

cdef enum Task:
    EVALUATE
    GRADIENT
    STOCHASTIC
    MINIBATCH


cdef double run_pass(
    Task task, Call* call, Samples* samples, Py_ssize_t n, double total, double scale,
    Py_ssize_t batch_size, real* gradient,
) noexcept nogil:
    """One of the four passes over n rows; nothing if its team does not come together"""
    cdef float_mode mode_before
    if begin(&call.net.me):
        return total
    mode_before = flush_subnormals()
    if task == EVALUATE:
        total = evaluate_rows(&call.net, &call.data, n, total)
    elif task == GRADIENT:
        transpose_weights(&call.net, min(call.net.block_rows, n))
        if call.data.record != NULL and call.data.record.W_transposed != NULL:
            transpose_layer(&call.net, call.net.layers, call.data.record.W_transposed)
        if not wait(&call.net.me):
            total = add_gradient(&call.net, &call.data, 0, n, scale, gradient, total)
    elif task == STOCHASTIC:
        samples.net, samples.rule = &call.net, &call.rule
        total = stochastic_rows(samples, &call.data, n, &call.steps, total)
    else:
        total = minibatch_rows(
            &call.net, &call.data, n, batch_size, &call.rule, &call.steps, gradient,
            call.net.n_parameters, total,
        )
    restore_float_mode(mode_before)
    return total


cdef double visit_rows(
    Task task, Context context, Rows rows, order, Py_ssize_t start, Py_ssize_t stop, predictions,
    double total, double scale, Py_ssize_t batch_size, Member me,
) except? -1:
    """What the four functions below have in common"""
    cdef Call call
    cdef Visit visit
    cdef Samples samples
    cdef real* gradient = NULL
    cdef bint takes_turn = me.number == 0 and (task == STOCHASTIC or task == MINIBATCH)
    if stop == start:
        return total
    if task != EVALUATE and rows.y == NULL and not (task == GRADIENT and context.record.given):
        raise ValueError("the rows have no targets")
    if context.record_rows and task != EVALUATE and task != GRADIENT:
        raise ValueError("values of layers are kept of rows that do not move the weights")
    if context.record.given and me.size > 1:
        raise ValueError("a given dL/da is for one thread: members of a team share blocks")
    if task == STOCHASTIC:
        if not context.stochastic:
            raise ValueError("the context has no path for per-sample descent")
        samples = context.samples
        context.require_steps(stop - start)
    if task == MINIBATCH:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}")
        context.require_steps((stop - start + batch_size - 1) // batch_size)
    if context.has_gradient:
        gradient = &context.gradient[0]
    elif task == MINIBATCH or (task == GRADIENT and not context.record_rows):
        raise ValueError("the context has no room for a gradient")
    if takes_turn and context.turn.taken:
        raise RuntimeError(MOVING)
    begin_call(context, rows, order, start, stop, predictions, me, &call, &visit)
    if context.quick:
        total = run_pass(
            task, &call, &samples, visit.n, total, scale, batch_size, gradient
        )
    else:
        if takes_turn:
            context.turn.taken = True
        with nogil:
            total = run_pass(
                task, &call, &samples, visit.n, total, scale, batch_size, gradient
            )
        if takes_turn:
            context.turn.taken = False
    end_call(context, &visit, me)
    return total


def evaluate(
    Context context not None, Rows rows not None, order, Py_ssize_t start, Py_ssize_t stop,
    predictions, double total=0, int member=0, int size=1, int[::1] team=None,
):
    """predictions := the outputs of the rows visited, and behind all of them their targets.

    predictions is an array of (n, n_outputs), of (n, n_outputs + n_targets), or None. Returns
    total + the sum of sample_weight * l over the rows; total itself if they have no targets.
    """
    return visit_rows(
        EVALUATE, context, rows, order, start, stop, predictions, total, 0, 0,
        join_team(member, size, team),
    )


def gradient(
    Context context not None, Rows rows not None, order, Py_ssize_t start, Py_ssize_t stop,
    predictions, double total, double scale, int member=0, int size=1, int[::1] team=None,
):
    """The context's gradient := scale * dL/dW + gradient, where L is the sum of sample_weight * l.

    With a record the gradient may be missing: then only the record is filled.
    Returns total + L, so that the sum over all slices of an epoch is one chain of additions. This
    is backpropagation alone: nothing moves. With scale = 1 / rows, the calls for all slices of the
    rows add up to the mean gradient.
    """
    return visit_rows(
        GRADIENT, context, rows, order, start, stop, predictions, total, scale, 0,
        join_team(member, size, team),
    )


def stochastic(
    Context context not None, Rows rows not None, order, Py_ssize_t start, Py_ssize_t stop,
    predictions, double total=0, int member=0, int size=1, int[::1] team=None,
):
    """One update after every row, along the path and with the steps of the context.

    Returns total + the sum of sample_weight * l, each taken before its row's update.
    """
    return visit_rows(
        STOCHASTIC, context, rows, order, start, stop, predictions, total, 0, 0,
        join_team(member, size, team),
    )


def minibatch(
    Context context not None, Rows rows not None, order, Py_ssize_t start, Py_ssize_t stop,
    predictions, double total, Py_ssize_t batch_size, int member=0, int size=1, int[::1] team=None,
):
    """One update after every `batch_size` rows, along their mean gradient.

    Returns total + the sum of sample_weight * l, each taken before its batch's update; if a batch's
    loss is divided by its weights, or regularisers by its rows, its number of rows times its L.
    """
    return visit_rows(
        MINIBATCH, context, rows, order, start, stop, predictions, total, 0, batch_size,
        join_team(member, size, team),
    )


def backward(
    Context context not None, const real[:, ::1] dL_dy, real[::1] gradient, real[::1] transposed,
    real[:, ::1] dL_dx,
):
    """gradient := dL/dW + gradient, given dL/dy of the rows that `evaluate` has just passed.

    All in one block of the context's, of a network that is not narrow, which has no record. dL_dx,
    of rows that have their padding, := dL/dx of the rows as they were given, with room for the
    first W transposed, unless it is empty.
    """
    cdef float_mode mode_before
    cdef Network net = context.call.net
    cdef Data data = context.call.data
    cdef Py_ssize_t m = dL_dy.shape[0]
    if m == 0:
        return
    if m > net.block or not context.has_room(net.block_rows, False):
        raise ValueError(f"scratch has too few numbers for {m} rows")
    if gradient.shape[0] != net.n_parameters:
        raise ValueError("gradient has another length than the parameters")
    if exchange(&context.busy, 1):
        raise RuntimeError(TAKEN)
    with nogil:
        mode_before = flush_subnormals()
        data.key, data.position = context.key, context.position
        transpose_weights(&net, m)
        take_output_gradient(&net, &dL_dy[0, 0], m)
        backward_rows(&net, &data, 0, 0, m, m)
        weight_gradients(&net, m, &gradient[0], ADD, 0)
        if dL_dx.shape[0]:
            transpose_layer(&net, net.layers, &transposed[0])
            gradient_of_inputs(&net, &data, &transposed[0], &dL_dx[0, 0], 0, 0, m)
        restore_float_mode(mode_before)
    exchange(&context.busy, 0)


def update(Context context not None, real[::1] gradient):
    """One step of gradient descent: parameters := parameters - learning_rate * gradient.

    Or what the context's rule makes of it; what regularisers add to the gradient stays in it.
    """
    cdef float_mode mode_before
    cdef Call* call = &context.call
    context.require_steps(1)
    if gradient.shape[0] != call.net.n_parameters:
        raise ValueError("gradient has another length than the parameters")
    if context.turn.taken:
        raise RuntimeError(MOVING)
    if exchange(&context.busy, 1):
        raise RuntimeError(TAKEN)
    context.turn.taken = True
    with nogil:
        mode_before = flush_subnormals()
        descend(
            &call.net, &call.rule, &gradient[0], call.steps.values[0], call.net.n_parameters
        )
        call.rule.counts.made += 1
        restore_float_mode(mode_before)
    context.turn.taken = False
    exchange(&context.busy, 0)


def penalty(Context context not None, double own, double share):
    """sum (own (l1 |W| + l2 W^2) + share alpha / 2 W^2) over the weights of all layers."""
    if context.layer_rules.shape[0] == 0:
        return 0.0
    return penalty_of(&context.call.net, &context.layer_rules[0], own, share)


# ---- a few rows, as they arrive ----------------------------------------------------------------

def few_rows(Context context not None, X, y=None, bint is_row=False):
    """Rows of X, and the targets y of a single one, if the core can take them at once; or None.

    X is an array of shape (n_rows, n_features), of at most the context's `most_rows`; with
    `is_row`, of shape (n_features,). Of anything else the ordinary checks know the remedy, or what
    is wrong.
    """
    cdef Rows rows
    cdef Py_ssize_t i
    if type(X) is not ARRAY:
        return None
    rows = Rows.__new__(Rows)
    try:
        rows.take_X(X)
    except ValueError:
        return None
    if rows.X_view.ndim != 2 - is_row or rows.X.n_features != context.call.net.layers.n_in:
        return None
    if not 0 < rows.n <= context.most_rows:
        return None
    for i in range(rows.n):
        if nonfinite_in_row(&rows.X, i) >= 0:
            return None
    if y is None:
        return rows
    if rows.n != 1 or not is_apart(&rows.X_view, &context.call.net):
        return None
    return rows if take_target(context, rows, y) else None


cdef bint is_apart(const Py_buffer* row, const Network* net) noexcept nogil:
    """Whether a row does not lie among the parameters, which would move under it"""
    cdef const char* first = <const char*>row.buf
    cdef const char* start = <const char*>net.parameters
    return first + row.len <= start or first >= <const char*>(net.parameters + net.n_parameters)


cdef double EXACT = 2.0**53  # whole numbers above it are rounded on their way through a double


cdef bint take_target(Context context, Rows rows, y) except -1:
    """Whether y, a number or an array, is the target of a row as the loss takes it; copies it."""
    cdef Py_buffer view
    cdef bint fits
    rows.y, rows.n_targets = rows.own_targets, context.n_targets
    if isinstance(y, (float, int)):
        return (
            context.n_targets == 1 and -EXACT <= y <= EXACT
            and take_number(context, y, rows.own_targets)
        )
    if type(y) is not ARRAY and not isinstance(y, SCALAR):
        return False
    try:
        PyObject_GetBuffer(y, &view, PyBUF_STRIDED_RO | PyBUF_FORMAT)
    except (ValueError, BufferError):
        return False
    try:
        fits = take_numbers_of_row(context, rows, &view)
    finally:
        PyBuffer_Release(&view)
    return fits


cdef bint take_numbers_of_row(Context context, Rows rows, const Py_buffer* view) except -1:
    """Whether an array, of shape (1, n_targets) or of a single number, is a target; copies it"""
    cdef Features numbers
    cdef real* place = rows.own_targets
    cdef double value, total = 0
    cdef Py_ssize_t j, n = context.n_targets
    cdef int code = letter_type(view)
    if code < 0:
        return False
    if view.len != n * view.itemsize or view.ndim > 2 or <size_t>view.buf % <size_t>view.itemsize:
        return False
    if n > 1 and (view.ndim != 2 or view.shape[0] != 1 or view.strides[1] != view.itemsize):
        return False
    if n > 16:
        rows.allocated = place = <real*>PyMem_Malloc(n * sizeof(real))
        if place == NULL:
            raise MemoryError
        rows.y = place
    numbers.X, numbers.type = <const unsigned char*>view.buf, <NumberType>code
    for j in range(n):
        value = number_at(&numbers, j)
        if not (-EXACT <= value <= EXACT and take_number(context, value, place + j)):
            return False
        total += value
    # Where rounding might decide, at 1e-3, the ordinary check does.
    return not context.targets_add_up or fabs(total - 1) < 0.9e-3


cdef bint take_number(Context context, double value, real* place) noexcept:
    """Whether a number is a target of the loss; place := the number"""
    place[0] = <real>value
    return (
        is_finite(place[0]) and context.lowest_target <= value <= context.highest_target
        and (not context.whole_targets or value == floor(value))
    )


# ---- finite weights to go back to --------------------------------------------------------------
#
# Weights, what the optimiser keeps for them and its counts are copied, or restored, in one call,
# which no interrupt of Python can divide.

@cython.final
cdef class Snapshot:
    """A copy of parameters, slots and counts, made by `keep_state`, and those themselves.

    numbers is memory for (1 + n_slots) * n_parameters numbers.
    """
    cdef Kept kept
    cdef Counts kept_counts
    cdef real[::1] parameters, numbers
    cdef real[:, ::1] slots
    cdef Counts[::1] counts

    @cython.boundscheck(True)
    def __cinit__(self, parameters, slots, Counts[::1] counts not None, numbers):
        cdef Kept* kept = &self.kept
        refuse_owners(parameters, slots)
        refuse_owners(numbers, slots)
        self.parameters, self.slots = parameters, slots
        self.counts, self.numbers = counts, numbers
        kept.parameters, kept.n_parameters = &self.parameters[0], len(parameters)
        kept.slots = &self.slots[0, 0] if self.slots.shape[0] else NULL
        kept.n_slots = self.slots.shape[0] * self.slots.shape[1]
        kept.counts, kept.kept_counts = &self.counts[0], &self.kept_counts
        if self.numbers.shape[0] != kept.n_parameters + kept.n_slots:
            raise ValueError("numbers has another length than parameters and slots together")
        kept.numbers = &self.numbers[0]

    @property
    def steps(self):
        """How many steps had been made when the copy was made."""
        return self.kept_counts.made

    @property
    def steps_since(self):
        """How many steps have been made since."""
        return self.kept.counts.made - self.kept_counts.made


def keep_state(Snapshot snapshot not None):
    """Copy the state."""
    keep_copy(&snapshot.kept)


def restore_state(Snapshot snapshot not None):
    """Put the copy in the place of the state."""
    restore_copy(&snapshot.kept)


def is_finite_state(Snapshot snapshot not None):
    """Whether all parameters and slots are finite."""
    cdef bint finite
    with nogil:
        finite = is_finite_now(&snapshot.kept)
    return finite


def settle_step(Snapshot snapshot not None, double loss, Py_ssize_t every):
    """Whether loss, parameters and slots are finite after a single step; if not, restore the copy.

    The copy is renewed when `every` steps have been made since it was made.
    """
    cdef Kept* kept = &snapshot.kept
    if not isfinite(loss) or not is_finite_now(kept):
        restore_copy(kept)
        return False
    if kept.counts.made - kept.kept_counts.made >= every:
        keep_copy(kept)
    return True


cdef bint is_finite_now(const Kept* kept) noexcept nogil:
    return are_finite(kept.parameters, kept.n_parameters) and are_finite(kept.slots, kept.n_slots)


# ---- arrays by themselves ----------------------------------------------------------------------

def aligned_empty(Py_ssize_t n):
    """An uninitialised vector of n numbers that begins at a 64-byte border, to be pointed at.

    Behind it is room for a vector, which the kernels may load but never store. It is a view, so it
    cannot be resized.
    """
    return aligned(np.empty, n)


def aligned_zeros(Py_ssize_t n):
    """The same, filled with zeros; the system gives memory as they are touched."""
    return aligned(np.zeros, n)


cdef aligned(allocate, Py_ssize_t n):
    cdef Py_ssize_t length = n * sizeof(real), start
    memory = allocate(length + 2 * ALIGNMENT, np.uint8)
    cdef unsigned char[::1] view = memory
    start = -<Py_ssize_t>&view[0] & (ALIGNMENT - 1)
    return memory[start : start + length].view(REAL)


def activation_slopes(str activation, const real[:, ::1] kept, real[:, ::1] slopes):
    """slopes := f'(z) of an activation that acts on each unit alone; kept is a, or z of FROM_Z."""
    cdef Activation f = <Activation><int>ACTIVATIONS[activation]
    cdef Py_ssize_t r, j, n = slopes.shape[1]
    if f == SOFTMAX or kept.shape[0] != slopes.shape[0] or kept.shape[1] != n:
        raise ValueError("expected an elementwise activation, and arrays of one shape")
    for r in range(slopes.shape[0]):
        for j in range(n):
            slopes[r, j] = 1
        if f != LINEAR:
            activate_backward(f, &kept[r, 0], &slopes[r, 0], n)


def first_nonfinite(X):
    """Row and column of the first number that is not finite as `real`; (-1, -1) if all are."""
    cdef Rows rows = Rows(X)
    cdef Features numbers = rows.X
    cdef Py_ssize_t i = 0, column = -1, n = rows.n, n_features = numbers.n_features
    cdef bint has_gaps = numbers.stride != n_features * rows.X_view.itemsize
    if n == 0 or n_features == 0:
        return -1, -1
    with nogil:
        if not has_gaps:  # short rows are checked faster as one
            n, numbers.n_features = 1, n * n_features
        while i < n and column < 0:
            column = nonfinite_in_row(&numbers, i)
            i += 1
    if column < 0:
        return -1, -1
    return i - 1 + column // n_features, column % n_features


def all_finite(values):
    """Whether no number of an array is NaN or infinite."""
    cdef Py_buffer view
    cdef bint finite
    PyObject_GetBuffer(values, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    try:
        if number_type(&view) != REAL_TYPE:
            raise ValueError("expected numbers of the core's type")
        with nogil:
            finite = are_finite(<const real*>view.buf, view.len // view.itemsize)
    finally:
        PyBuffer_Release(&view)
    return finite


def largest_places(const real[:, ::1] outputs, long long[::1] places):
    """places_i := the first j with outputs_ij = max(outputs_i)"""
    cdef Py_ssize_t i, n = outputs.shape[0], n_outputs = outputs.shape[1]
    if n == 0 or n_outputs == 0:
        return
    with nogil:
        for i in range(n):
            places[i] = place_of_largest(&outputs[i, 0], n_outputs)


def elementwise(function, const real[::1] x, real[::1] y):
    """y := f(x), for tests and measurements; f is one of ELEMENTWISE."""
    cdef float_mode mode_before
    cdef Py_ssize_t n = x.shape[0]
    cdef int number = ELEMENTWISE.index(function)
    if n == 0:
        return
    with nogil:
        mode_before = flush_subnormals()
        if number == 0:
            sweep(exp, &x[0], &y[0], n)
        elif number == 1:
            sweep(log, &x[0], &y[0], n)
        elif number == 2:
            sweep(sigmoid, &x[0], &y[0], n)
        elif number == 3:
            sweep(tanh, &x[0], &y[0], n)
        elif number == 4:
            sweep(softplus, &x[0], &y[0], n)
        elif number == 5:
            sweep(elu, &x[0], &y[0], n)
        elif number == 6:
            sweep(selu, &x[0], &y[0], n)
        elif number == 7:
            sweep(gelu, &x[0], &y[0], n)
        elif number == 8:
            sweep(gelu_slope, &x[0], &y[0], n)
        elif number == 9:
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
