"""The network: weights by name, regularisation, and passes over rows that move nothing."""

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fastnn import activations, initializers
from fastnn.data.arrays import layer_weights
from fastnn.data.rows import Array, Data, Features
from fastnn.engine.layout import (
    ACTIVATION_COLUMN,
    NARROW,
    NO_LOSS,
    NOT_STANDARDISED,
    CoreArguments,
    _layer_table,
    _next_line,
    aligned_empty,
    aligned_zeros,
    slices,
)
from fastnn.layers import Dense, Normalization
from fastnn.losses import Loss
from fastnn.native.backend import ISA, core
from fastnn.native.team import ALONE, Team
from fastnn.native.threads import thread_count

# Rows that pass through the layers together. Shorter vectors make narrower tiles, which pass over a
# block more often: a smaller one stays in the cache.
BLOCK = 256 if ISA == "v4" else 128
TINY_LAYERS = 8  # the most that per-sample descent keeps at hand; in loops/samples.pxi
SMALL_BLOCK = 16  # in a network so wide that a slice is shorter than a block, a multiple of this
# The most work and the most rows of a slice, i.e. between two returns to Python: floating-point
# operations that take a slow core a fraction of a second in float32 (twice that in float64).
SLICE_WORK = {"v4": 6e9, "v3": 3e9, "base": 2e9}[ISA]
SLICE_ROWS = 1 << 17  # whose predictions are kept if there are metrics
UNIT_WORK = 50  # what a unit costs beside its weights: activation, loss, gather


def inverse(weight: float) -> float:
    """1 / weight of some rows; 0 if they weigh nothing."""
    return 1 / weight if weight else 0.0


def dropout_key(seed: int, step: int) -> int:
    """What decides the units dropped in the epoch that begins after so many steps."""
    key = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return int(key.view(np.int64)[0])


class Slice(NamedTuple):
    """What passed through the core between two returns to Python."""

    rows: Array | slice  # which rows
    n_rows: int
    loss: float  # the sum of w_i l_i from the first row of the epoch on
    predictions: Array  # the rows' outputs, valid until the next slice; no rows if not kept
    targets: Array  # the same for their targets
    moved: bool = False  # whether weights moved


def _sum_of_squares(W: Array) -> float:
    # Not np.dot, whose bits depend on the number of BLAS's threads.
    return float(np.einsum("ij,ij->", W, W, dtype=np.float64))


class Network:
    """A built network: n_features inputs, dense layers, parameters in `dtype`.

    `dropout` is, for each layer, the share of its inputs that training leaves out.
    """

    def __init__(
        self,
        n_features: int,
        layers: Sequence[Dense],
        dtype: str,
        normalization: Normalization | None = None,
        dropout: Sequence[float] | None = None,
    ) -> None:
        self.n_features = n_features
        self.n_outputs = layers[-1].units
        self.dtype = dtype
        self.layers = tuple(layers)
        self.core: ModuleType = core(dtype)
        self._normalization = normalization
        self._drop = tuple(dropout or [0.0] * len(layers))
        self.has_dropout = any(self._drop)
        widest = max(n_features, *(layer.units for layer in layers))
        self._is_narrow = widest <= NARROW
        self._table, n_parameters = self._new_table(narrow=self._is_narrow)
        self.parameters = aligned_zeros(n_parameters, dtype)
        self.row_work = self._work_of_a_row()
        self.slice_rows = self._slice_rows()
        self.block = min(BLOCK, self.slice_rows)
        self.no_order = np.empty(0, np.int64)  # stands for: all rows, from first to last
        self.no_predictions = np.empty((0, self.n_outputs), dtype)  # stands for: do not keep them

    def _new_table(self, *, narrow: bool, drop: bool = False) -> tuple[Array, int]:
        rates = self._drop if drop else [0.0] * len(self.layers)
        return _layer_table(self.n_features, self.layers, rates, narrow)

    @property
    def table(self) -> Array:
        """The core's table of layers."""
        return self._table

    @cached_property
    def _training_table(self) -> Array:
        """That of a pass that drops units, for which rows do not lie across."""
        return self._new_table(narrow=False, drop=True)[0] if self.has_dropout else self._table

    @cached_property
    def _open_table(self) -> Array:
        """That of a pass in two parts, forward and backward, for which rows do not lie across."""
        return self._new_table(narrow=False)[0]

    def _work_of_a_row(self) -> int:
        """The floating-point operations of a row in training; a third of them lead forward."""
        n_weights = sum(n_in * n_out for n_in, _, n_out, *_ in self._table.tolist())
        n_units = self.n_features + sum(layer.units for layer in self.layers)
        work: int = 6 * n_weights + UNIT_WORK * n_units
        return work

    def slice_rows_for(self, work: float) -> int:
        """How many rows a slice covers if each takes so much work beside its own; at least 1."""
        slice_work = SLICE_WORK if self.dtype == "float32" else SLICE_WORK / 2
        most = slice_work / (self.row_work + work * len(self.parameters))
        return max(min(int(most), SLICE_ROWS), 1)

    def _slice_rows(self) -> int:
        """How many rows a slice covers if they do not move the weights: whole blocks."""
        rows = self.slice_rows_for(0)
        unit = BLOCK if rows >= BLOCK else SMALL_BLOCK
        return max(rows // unit, 1) * unit

    # ---- parameters -----------------------------------------------------------------------

    def views(self, flat: Array) -> dict[str, Array]:
        """W1, b1, W2, ... as views, without padding, into a vector laid out as the parameters."""
        named = {}
        for number, (n_in, _, n_out, stride, W, b, *_) in enumerate(self._table.tolist(), 1):
            named[f"W{number}"] = flat[W : W + n_in * stride].reshape(n_in, stride)[:, :n_out]
            if b >= 0:
                named[f"b{number}"] = flat[b : b + n_out]
        return named

    def initialize(self, seed: int) -> None:
        """Draw every layer's weights, then its bias, from the layer's own stream of `seed`."""
        views = self.views(self.parameters)
        for number, layer in enumerate(self.layers, 1):
            stream = np.random.SeedSequence(seed, spawn_key=(number,))
            rng = np.random.Generator(np.random.Philox(stream))
            for letter, argument in (("W", "kernel_initializer"), ("b", "bias_initializer")):
                view = views.get(f"{letter}{number}")
                if view is not None:
                    draw = initializers.get(argument, getattr(layer, argument))
                    values, where = draw(rng, view.shape), f"layer {number}: {argument}"
                    view[...] = layer_weights(where, values, view.shape, self.dtype)

    def new_gradient(self) -> Array:
        """Zeros laid out as the parameters."""
        return aligned_zeros(len(self.parameters), self.dtype)

    def new_slots(self, n_slots: int) -> Array:
        """So many rows of them, for an optimiser."""
        length = len(self.parameters)
        return aligned_zeros(n_slots * length, self.dtype).reshape(n_slots, length)

    # ---- regularisation -------------------------------------------------------------------

    @cached_property
    def layer_rules(self) -> Array:
        """One row a layer (`LayerRule` in `kernels/update.pxd`), none if no layer has its own.

        The factor of the learning rate, and l1, 2 * l2 and alpha of what the regulariser adds to
        dL/dW.
        """
        rules = [[one.rate_factor, one.l1, 2 * one.l2, one.alpha] for one in self.layers]
        special = any(rule != [1, 0, 0, 0] for rule in rules)
        return np.array(rules, np.float64) if special else np.empty((0, 4))

    @cached_property
    def has_penalty(self) -> bool:
        """Whether regularisers add to the loss."""
        return any(layer.l1 or layer.l2 or layer.alpha for layer in self.layers)

    def penalty(self, share: float = 0.0) -> float:
        """sum_k (l1_k sum_ij |W_ij| + (l2_k + share alpha_k / 2) sum_ij W_ij^2) over the layers k.

        It is part of the loss; `share` is 1 / weight of the rows.
        """
        if not self.has_penalty:
            return 0.0
        views, penalty = self.views(self.parameters), 0.0
        for number, layer in enumerate(self.layers, 1):
            W = views[f"W{number}"]
            if layer.l1:
                penalty += layer.l1 * float(np.abs(W, dtype=np.float64).sum())
            if factor := layer.l2 + share * layer.alpha / 2:
                penalty += factor * _sum_of_squares(W)
        return penalty

    def shared_penalty(self) -> float:
        """sum_k alpha_k / 2 sum_ij W_ij^2: what the rows of a batch share."""
        views = self.views(self.parameters)
        alphas = {f"W{number}": layer.alpha for number, layer in enumerate(self.layers, 1)}
        shared = [alpha / 2 * _sum_of_squares(views[W]) for W, alpha in alphas.items() if alpha]
        return sum(shared)

    def add_penalty_gradient(self, gradient: Array, share: float) -> None:
        """gradient := that of the penalty + gradient, of a vector laid out as the parameters."""
        views, weights = self.views(gradient), self.views(self.parameters)
        for number, layer in enumerate(self.layers, 1):
            W, dW = weights[f"W{number}"], views[f"W{number}"]
            if layer.l1:
                dW += layer.l1 * np.sign(W)
            if factor := 2 * layer.l2 + share * layer.alpha:
                dW += factor * W

    def moving(self, flat: Array) -> Iterator[tuple[float, Array]]:
        """The arrays of a vector laid out as the parameters, of the layers that are trained.

        Each with the factor of its learning rate, W with its padding.
        """
        for layer, (n_in, _, _, stride, W, b, *_) in zip(
            self.layers, self._table.tolist(), strict=True
        ):
            if layer.rate_factor:
                yield layer.rate_factor, flat[W : W + n_in * stride]
                if b >= 0:
                    yield layer.rate_factor, flat[b : b + stride]

    def direction(self, gradient: Array) -> Array:
        """The gradient with each layer's factor of the learning rate."""
        direction = np.zeros_like(gradient)
        for (factor, g), (_, d) in zip(self.moving(gradient), self.moving(direction), strict=True):
            np.multiply(g, factor, out=d)
        return direction

    # ---- passes over rows -----------------------------------------------------------------

    def training_team(self, threads: int | None, batch_size: int) -> Team:
        """A team for the gradients of such batches."""
        if self._is_narrow:
            return ALONE
        step = min(batch_size, self.block) * self.row_work
        return Team(thread_count(threads, step))

    def forward_team(self, threads: int | None, n_rows: int) -> Team:
        """A team to predict or evaluate n_rows."""
        if self._is_narrow:
            return ALONE
        return Team(thread_count(threads, min(n_rows, self.block) * self.row_work / 3))

    @property
    def is_standardised(self) -> bool:
        """Whether a Normalization layer stands before the first one with weights."""
        return self._normalization is not None

    @property
    def normalization_table(self) -> Array:
        """Mean and 1 / deviation of each column, or no rows; ever the same object if it is so."""
        layer = self._normalization
        return NOT_STANDARDISED if layer is None else layer.table_for(self.n_features)

    @property
    def is_tiny(self) -> bool:
        """Whether per-sample descent can keep all weights at hand, and nothing else is needed."""
        from_outputs = not any(activations.get(layer.activation).from_z for layer in self.layers)
        return self._is_narrow and from_outputs and len(self.layers) <= TINY_LAYERS

    def arguments(
        self, n_rows: int, *, stochastic: bool = False, training: bool = False
    ) -> CoreArguments:
        """What the doors take for up to n_rows rows at a time, with scratch memory of its own.

        Each caller has its own scratch, so that threads may use one network together; the members
        of a team share it. In `training` units are dropped.
        """
        layers = self._training_table if training else self._table
        # Rows lie across in whole vectors; those of the stochastic mode pass one by one.
        block = min(self.block, n_rows if stochastic else _next_line(n_rows))
        return self._arguments(layers, block, stochastic)

    def open_arguments(self, n_rows: int, *, drop: bool) -> CoreArguments:
        """The same for a pass of n_rows in one block, forward and backward in two calls."""
        layers = self._training_table if drop and self.has_dropout else self._open_table
        return self._arguments(layers, _next_line(n_rows))

    def _arguments(self, layers: Array, block: int, stochastic: bool = False) -> CoreArguments:
        length = self.core.scratch_length(layers, block, stochastic)
        scratch = aligned_empty(length, self.dtype)
        table, noise = self.normalization_table, np.zeros(2, np.int64)
        return CoreArguments(layers, self.parameters, table, block, scratch, noise)

    def slices(self, n_rows: int) -> Iterator[tuple[int, int]]:
        """Borders of the pieces in which n_rows pass through the core."""
        return slices(n_rows, self.slice_rows)

    @cached_property
    def before_output(self) -> "Network":
        """The same network, of the same weights, whose outputs are the z of its last layer."""
        twin = copy.copy(self)
        twin._table = self._table.copy()
        twin._table[-1, ACTIVATION_COLUMN] = activations.Linear.code
        return twin

    def apart(self, data: Data) -> Data:
        """The same rows; copied is what shares memory with the weights, which training moves."""
        X, x_type, *rest = data
        arrays = [
            array.copy() if np.may_share_memory(array, self.parameters) else array
            for array in (X, *rest)
        ]
        return Data(arrays[0], x_type, *arrays[1:])

    def predict(self, X: Features, team: Team = ALONE, out: Array | None = None) -> Array:
        """The outputs, shape (n_rows, n_outputs), in `out` if that is given."""
        read = X.X, self.parameters
        if out is None or any(np.may_share_memory(out, array) for array in read):
            predictions = np.empty((len(X.X), self.n_outputs), self.dtype)
        else:
            predictions = out
        nothing = np.empty(0, self.dtype)
        arguments = self.arguments(len(X.X))
        for start, stop in self.slices(len(X.X)):
            rows = Data(*X.rows(start, stop), nothing.reshape(0, 0), nothing)
            visited = NO_LOSS, self.no_order, predictions[start:stop], 0.0
            team.run(self.core.evaluate, *arguments, *rows, *visited)
        self.refuse_overflow("the output", predictions)
        if out is not None and predictions is not out:
            out[...] = predictions
            return out
        return predictions

    def evaluate(self, data: Data, loss: Loss, team: Team = ALONE) -> Iterator[Slice]:
        """Loss and outputs of all rows, slice by slice."""
        output = np.empty((min(self.slice_rows, data.n_rows), self.n_outputs), self.dtype)
        arguments, total = self.arguments(data.n_rows), 0.0
        common = loss.kernel(data.y), self.no_order
        for start, stop in self.slices(data.n_rows):
            predictions = output[: stop - start]
            rows = data.rows(start, stop)
            total = team.run(self.core.evaluate, *arguments, *rows, *common, predictions, total)
            yield Slice(slice(start, stop), stop - start, total, predictions, rows.y)

    def gradient(self, data: Data, loss: Loss, team: Team = ALONE) -> Array:
        """The flat gradient of the loss over all rows, and of the penalty; moves nothing."""
        gradient, arguments = self.new_gradient(), self.arguments(data.n_rows)
        share = inverse(loss.divisor(data.sample_weight, data.n_rows))
        common = loss.kernel(data.y), self.no_order, self.no_predictions, 0.0, share
        for start, stop in self.slices(data.n_rows):
            rows = data.rows(start, stop)
            team.run(self.core.gradient, *arguments, *rows, *common, gradient)
        self.add_penalty_gradient(gradient, share)
        self.refuse_overflow("the gradient", gradient)
        return gradient

    def refuse_overflow(self, what: str, values: Array) -> None:
        """Raise FloatingPointError if a result is not finite, though weights and rows are."""
        if not self.core.all_finite(values.ravel()):
            other = " or take float64" if self.dtype == "float32" else ""
            raise FloatingPointError(
                f"{what} is too large for {self.dtype}: the weights or the features are huge. "
                f"Scale the features{other}"
            )
