"""The network: weights by name, regularisation, and passes over rows that move nothing."""

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fastnn import initializers
from fastnn._core import (
    ACTIVATIONS,
    FROM_Z,
    LAYER,
    LAYER_RULE,
    LINE_LENGTH,
    MOST_TINY_LAYERS,
    NARROW_WIDTH,
    Context,
    Turn,
)
from fastnn.data.arrays import layer_weights
from fastnn.data.rows import Array, Rows
from fastnn.engine.layout import NOT_STANDARDISED, layer_table, slices
from fastnn.layers import Dense, Normalization
from fastnn.losses import Loss, settings_of
from fastnn.native.backend import ISA, core
from fastnn.native.team import ALONE, Team
from fastnn.native.threads import STEP_WORK, thread_count
from fastnn.regularizers import Regularizer

# Rows that pass through the layers together. Shorter vectors make narrower tiles, which pass over a
# block more often: a smaller one stays in the cache.
BLOCK = 256 if ISA == "v4" else 128
SMALL_BLOCK = 16  # in a network so wide that a slice is shorter than a block, a multiple of this
# Maximum work and maximum rows of one slice, i.e. between two returns to Python: floating-point
# operations that take a slow core a fraction of a second in float32 (twice that in float64).
SLICE_WORK = {"v4": 6e9, "v3": 3e9, "base": 2e9}[ISA]
SLICE_ROWS = 1 << 17  # whose predictions are kept if there are metrics
UNIT_WORK = 50  # what a unit costs beside its weights: activation, loss, gather


def inverse(weight: float) -> float:
    """1 / weight of some rows; 0 if they weigh nothing."""
    return 1 / weight if weight else 0.0


def _whole_lines(n_rows: int) -> int:
    """n_rows, rounded up: by lane, rows come in whole vectors."""
    return -(-n_rows // LINE_LENGTH) * LINE_LENGTH


def dropout_key(seed: int, *place: int) -> int:
    """The key from which dropout draws: in training of the steps made before the epoch."""
    key = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)
    return int(key.view(np.int64)[0])


class Slice(NamedTuple):
    """What passed through the core between two returns to Python."""

    rows: Array | slice  # which rows
    n_rows: int
    total: float  # the sum of w_i l_i from the first row of the epoch on
    predictions: Array  # the rows' outputs, valid until the next slice; no rows if not kept
    targets: Array  # the same for their targets
    moved: bool = False  # whether weights moved


def team_of(threads: int | None, work: float) -> Team:
    """A team of at most `threads`, and no more than the work between two waits is worth."""
    size = thread_count(threads, work)
    return ALONE if size == 1 else Team(size)


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
        self.turn: Turn = self.core.Turn()  # whether a thread moves the weights
        self._normalization = normalization
        self.dropout_rates = tuple(dropout or [0.0] * len(layers))
        self.has_dropout = any(self.dropout_rates)
        self._is_narrow = n_features <= NARROW_WIDTH
        for layer in layers:
            self._is_narrow = self._is_narrow and layer.units <= NARROW_WIDTH
        self._table, n_parameters = self._new_table(narrow=self._is_narrow)
        self._places = [  # where each layer's arrays lie among the parameters
            dict(zip(LAYER.fields or (), row, strict=True)) for row in self._table.tolist()
        ]
        self.parameters: Array = self.core.aligned_zeros(n_parameters)
        self.layer_rules = self._layer_rules()
        self.has_penalty = self._has_penalty()
        self.row_work = self._work_of_a_row()
        self.slice_rows = self._slice_rows()
        self.block = min(BLOCK, self.slice_rows)

    def _new_table(self, *, narrow: bool, drop: bool = False) -> tuple[Array, int]:
        rates = self.dropout_rates if drop else [0.0] * len(self.layers)
        return layer_table(self.n_features, self.layers, rates, narrow)

    @cached_property
    def _training_table(self) -> Array:
        """The table of layers for passes with dropout, never with one row per lane."""
        return self._new_table(narrow=False, drop=True)[0] if self.has_dropout else self._table

    @cached_property
    def _open_table(self) -> Array:
        """The table for forward and backward as two calls, never with one row per lane."""
        return self._new_table(narrow=False)[0]

    def _work_of_a_row(self) -> int:
        """The floating-point operations of a row in training; a third of them lead forward."""
        work: int = UNIT_WORK * self.n_features
        for place in self._places:
            work += (6 * place["n_in"] + UNIT_WORK) * place["n_out"]
        return work

    def slice_rows_for(self, work: float) -> int:
        """How many rows a slice covers if each takes `work` for every weight beside its own."""
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
        for number, place in enumerate(self._places, 1):
            n_in, n_out, stride = place["n_in"], place["n_out"], place["stride"]
            W, b = place["W"], place["b"]
            named[f"W{number}"] = flat[W : W + n_in * stride].reshape(n_in, stride)[:, :n_out]
            if b >= 0:
                named[f"b{number}"] = flat[b : b + n_out]
        return named

    def views_of_rows(self, rows: Array) -> dict[str, Array]:
        """The same of several such vectors, shape (n, n_parameters): W1 (n, n_in, n_out), ..."""
        first = self.views(rows[0]).items()
        steps = rows.strides[:1]
        return {
            name: as_strided(view, (len(rows), *view.shape), (*steps, *view.strides))
            for name, view in first
        }

    @property
    def weights(self) -> list[Array]:
        """W1, b1, W2, ... as views into the parameters."""
        return list(self.views(self.parameters).values())

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
        zeros: Array = self.core.aligned_zeros(len(self.parameters))
        return zeros

    def new_slots(self, n_slots: int) -> Array:
        """Zero-filled optimiser state, shape (n_slots, n_parameters)."""
        length = len(self.parameters)
        zeros: Array = self.core.aligned_zeros(n_slots * length)
        return zeros.reshape(n_slots, length)

    # ---- regularisation -------------------------------------------------------------------

    def _layer_rules(self) -> Array:
        """One row (`LayerRule` of the core) a layer; none if no layer has anything of its own.

        The factor of the learning rate, and l1, 2 * l2 and alpha of what the regulariser adds to
        dL/dW.
        """
        rules = np.zeros(len(self.layers), LAYER_RULE)
        for row, layer in zip(rules, self.layers, strict=True):
            row["factor"], penalty = layer.rate_factor, layer.kernel_regularizer
            if isinstance(penalty, Regularizer):
                row["l1"], row["decay"], row["alpha"] = penalty.l1, 2 * penalty.l2, penalty.alpha
        own = (rules["factor"] != 1) | (rules["l1"] + rules["decay"] + rules["alpha"] > 0)
        return rules if own.any() else rules[:0]

    def _has_penalty(self) -> bool:
        """Whether regularisers add to the loss."""
        rules = self.layer_rules
        return bool((rules["l1"] + rules["decay"] + rules["alpha"]).any())

    def penalty(self, share: float = 0.0) -> float:
        """sum_k (l1_k sum_ij |W_ij| + (l2_k + share alpha_k / 2) sum_ij W_ij^2) over the layers k.

        It is part of the loss; `share` is 1 / weight of the rows.
        """
        if not self.has_penalty:
            return 0.0
        return float(self.core.penalty(self._weights_alone, 1.0, share))

    def shared_penalty(self) -> float:
        """sum_k alpha_k / 2 sum_ij W_ij^2, which is divided among the rows of a batch."""
        if not self.has_penalty:
            return 0.0
        return float(self.core.penalty(self._weights_alone, 0.0, 1.0))

    @cached_property
    def _weights_alone(self) -> Context:
        """A context for functions of the weights, through which no rows pass."""
        return self.context(1)

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
        for layer, place in zip(self.layers, self._places, strict=True):
            W, b, stride = place["W"], place["b"], place["stride"]
            if layer.rate_factor:
                yield layer.rate_factor, flat[W : W + place["n_in"] * stride]
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
        work = min(batch_size, self.block) * self.row_work
        return ALONE if self._is_narrow or work < 2 * STEP_WORK else team_of(threads, work)

    def forward_team(self, threads: int | None, n_rows: int) -> Team:
        """A team to predict or evaluate n_rows."""
        work = min(n_rows, self.block) * self.row_work / 3
        return ALONE if self._is_narrow or work < 2 * STEP_WORK else team_of(threads, work)

    @cached_property
    def is_standardised(self) -> bool:
        """Whether a Normalization layer stands before the first one with weights."""
        return self._normalization is not None

    @property
    def normalization_table(self) -> Array:
        """Mean and 1 / deviation of each column, or no rows; one object as long as it holds."""
        layer = self._normalization
        return NOT_STANDARDISED if layer is None else layer.table_for(self.n_features)

    @property
    def is_tiny(self) -> bool:
        """Whether per-sample descent can keep all weights at hand, and nothing else is needed."""
        from_outputs = not any(layer.activation in FROM_Z for layer in self.layers)
        return self._is_narrow and from_outputs and len(self.layers) <= MOST_TINY_LAYERS

    def context(
        self, n_rows: int, *, stochastic: bool = False, training: bool = False, quick: bool = False
    ) -> Context:
        """What the core needs to pass up to n_rows rows at a time, with scratch memory of its own.

        Each thread needs a context of its own; the members of a team share one. In `training`,
        dropout removes units. `quick` is for passes of microseconds.
        """
        layers = self._training_table if training else self._table
        # In stochastic mode rows pass one by one.
        block = min(self.block, n_rows if stochastic else _whole_lines(n_rows))
        return self._context(layers, block, stochastic, quick)

    def open_context(self, n_rows: int, *, drop: bool) -> Context:
        """A context for n_rows in one block, forward and backward in two calls."""
        layers = self._training_table if drop and self.has_dropout else self._open_table
        return self._context(layers, _whole_lines(n_rows))

    def record_context(self, n_rows: int, *, drop: bool) -> Context:
        """A context for passes that keep the values of all layers, block by block."""
        layers = self._training_table if drop and self.has_dropout else self._open_table
        return self._context(layers, min(self.block, _whole_lines(n_rows)))

    def _context(
        self, layers: Array, block: int, stochastic: bool = False, quick: bool = False
    ) -> Context:
        length = self.core.scratch_length(layers, block, stochastic)
        scratch = self.core.aligned_empty(length)
        rules, table = self.layer_rules, self.normalization_table
        found: Context = self.core.Context(
            layers, rules, self.parameters, table, block, scratch, quick, self.turn
        )
        return found

    def scratch_bytes(self, n_rows: int) -> int:
        """The size of the scratch memory for training with batches of n_rows."""
        block = min(self.block, _whole_lines(n_rows))
        length: int = self.core.scratch_length(self._training_table, block, False)
        return length * self.parameters.itemsize

    def rows(self, rows: Rows) -> object:
        """The same rows as the core sees them."""
        return self.core.Rows(*rows)

    def slices(self, n_rows: int) -> Iterator[tuple[int, int]]:
        """Borders of the pieces in which n_rows pass through the core."""
        return slices(n_rows, self.slice_rows)

    @cached_property
    def before_output(self) -> "Network":
        """The same network, of the same weights, whose outputs are the z of its last layer."""
        twin = copy.copy(self)
        twin._table = self._table.copy()
        twin._table["activation"][-1] = ACTIVATIONS["linear"]
        return twin

    def apart(self, data: Rows) -> Rows:
        """The same rows, with copies of arrays that share memory with the weights."""
        for name, array in zip(data._fields, data, strict=True):
            if np.may_share_memory(array, self.parameters):
                data = data._replace(**{name: array.copy()})
        return data

    def predict(self, X: Rows, team: Team = ALONE, out: Array | None = None) -> Array:
        """The outputs, shape (n_rows, n_outputs), in `out` if that is given."""
        read = X.X, self.parameters
        if out is None or any(np.may_share_memory(out, array) for array in read):
            predictions = np.empty((len(X.X), self.n_outputs), self.dtype)
        else:
            predictions = out
        context, rows = self.context(len(X.X)), self.core.Rows(X.X)
        for start, stop in self.slices(len(X.X)):
            outputs = predictions[start:stop]
            team.run(self.core.evaluate, context, rows, None, start, stop, outputs, 0.0)
        self.refuse_overflow("the output", predictions)
        if out is not None and predictions is not out:
            out[...] = predictions
            return out
        return predictions

    def evaluate(self, data: Rows, loss: Loss, team: Team = ALONE) -> Iterator[Slice]:
        """Loss and outputs of all rows, slice by slice."""
        output = np.empty((min(self.slice_rows, data.n_rows), self.n_outputs), self.dtype)
        context, rows, total = self.context(data.n_rows), self.core.Rows(*data), 0.0
        context.set_loss(settings_of(loss, data.y.shape[1], self.dtype))
        for start, stop in self.slices(data.n_rows):
            predictions = output[: stop - start]
            visit = context, rows, None, start, stop, predictions, total
            total = team.run(self.core.evaluate, *visit)
            yield Slice(slice(start, stop), stop - start, total, predictions, data.y[start:stop])

    def gradient(self, data: Rows, loss: Loss, team: Team = ALONE) -> Array:
        """The flat gradient of the loss over all rows, and of the penalty; moves nothing."""
        gradient, context = self.new_gradient(), self.context(data.n_rows)
        rows = self.core.Rows(*data)
        context.set_loss(settings_of(loss, data.y.shape[1], self.dtype))
        context.set_gradient(gradient)
        share = inverse(loss.divisor(data.sample_weight, data.n_rows))
        for start, stop in self.slices(data.n_rows):
            team.run(self.core.gradient, context, rows, None, start, stop, None, 0.0, share)
        self.add_penalty_gradient(gradient, share)
        self.refuse_overflow("the gradient", gradient)
        return gradient

    def refuse_overflow(self, what: str, values: Array) -> None:
        """Raise FloatingPointError if a result is not finite, though weights and rows are."""
        if not self.core.all_finite(values):
            other = " or take float64" if self.dtype == "float32" else ""
            raise FloatingPointError(
                f"{what} is too large for {self.dtype}: the weights or the features are huge. "
                f"Scale the features{other}"
            )
