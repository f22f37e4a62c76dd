"""The learner: a network with its loss, optimiser and metrics, and all that can be done with them.

`Sequential` and the scikit-learn estimators are two spellings of it. History, seed and metadata
belong to the model, which passes itself where callbacks need to see it.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from fastnn import losses, optimizers
from fastnn.callbacks.base import Callback, Model, checked_callbacks, notify
from fastnn.callbacks.history import History
from fastnn.custom import CustomLoss, checked_metrics, fitting_loss
from fastnn.data.arrays import features, layer_weights, room_for
from fastnn.data.checks import LARGEST_WHOLE, check_memory, items, whole_number
from fastnn.data.columns import Columns
from fastnn.data.rows import Array, Rows
from fastnn.engine.backpropagation import Pass, custom_gradient, per_sample_gradients
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.gradient_descent import Descent, adopt_average, apply_gradient, new_state
from fastnn.engine.layout import slices, weight_shapes
from fastnn.engine.network import Network, dropout_key, inverse
from fastnn.engine.per_sample import has_own_paths
from fastnn.engine.record import Record
from fastnn.engine.single_row import FewRows, OneRow
from fastnn.files.arrays import named_arrays
from fastnn.inspection.diagnosis import (
    MOST_ROWS,
    Costs,
    Diagnosis,
    Finding,
    diagnosed,
)
from fastnn.inspection.gradcheck import GradientCheck, checked_blocks
from fastnn.inspection.learning_rates import LearningRateCurve, range_test
from fastnn.inspection.trace import EVERY_KIND, Trace, trace_of
from fastnn.layers import Dense, Dropout, Layer, Normalization
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer, State
from fastnn.training import evaluation, lbfgs
from fastnn.training.fit import Fit, descend_epochs, new_history, recorded, train_batch
from fastnn.training.plan import Plan, mode_of
from fastnn.training.row_checks import GivenRows, Prepared, Requirements
from fastnn.training.trial import constant_loss, cost_of, longest_step

LARGEST_MEMORY = 2**47  # bytes that a program can address
FEW_STEPS = 100
JACOBIAN_ROWS = 4096  # whose values are kept at a time
MOST_KEPT = 2**20  # bytes that a fit leaves prepared for the next call
CUSTOM_LOSS_NEEDS_BATCHES = (
    "a custom loss takes the rows of a batch: say fit(..., mode='minibatch') or mode='batch'"
)

# Attributes of a learner that hold as long as its network, loss and optimiser stay.
NOTHING_PREPARED: dict[str, Any] = {
    "_descent": None,
    "_watch": None,
    "_is_watched": False,
    "_one_row": None,
    "_pass": None,
}


class _Running:
    """Lives as long as a call of `fit`, whatever interrupts it."""


class Learner:
    """A network to be trained and used.

    Attributes
    ----------
    layers : tuple of Dense, Dropout and Normalization
    dtype : str
    network : Network or None
        None before `build`.
    loss, optimizer, metrics
        What `compile` was given.
    state : State or None
        What the optimiser keeps; None before the first step.
    names : tuple of str or None
        The names of the columns of X, if rows had some.
    """

    def __init__(self, layers: Sequence[Layer], dtype: str) -> None:
        self.layers, self.dtype = tuple(layers), dtype
        self.dense_layers: list[Dense] = []
        self.dropout_rates: list[float] = []  # the share of its inputs that each of them drops
        rate = 0.0
        for layer in self.layers:
            if isinstance(layer, Dense):
                self.dense_layers.append(layer)
                self.dropout_rates.append(rate)
            rate = layer.rate if isinstance(layer, Dropout) else 0.0
        self.output = self.dense_layers[-1]
        first = self.layers[0]
        self.normalization = first if isinstance(first, Normalization) else None
        self.network: Network | None = None
        self.loss: Loss | None = None
        self.metrics: list[Metric] = []
        self.state: State | None = None
        self.names: tuple[str, ...] | None = None
        self._training = threading.RLock()  # held by the thread that moves the weights
        self._process = os.getpid()
        self._running: weakref.ref[_Running] | None = None  # the `fit` that is at work
        # What is prepared for the next call, as in NOTHING_PREPARED:
        self._descent: Descent | None = None
        self._watch: DivergenceWatch | None = None
        self._is_watched = False  # whether the watch has a copy of the present weights
        self._one_row: OneRow | None = None
        self._pass: Pass | None = None  # of `forward`, until the weights change
        self._by_thread = threading.local()  # what `predict_few` prepares
        self._drawn = (-1, 0)  # the units that `forward` dropped last, see `_next_draw`

    def _replace(self, **parts: Any) -> None:
        """Set attributes that belong together, and drop what was prepared for the old ones.

        All in one call, so that no interrupt leaves the old ones beside the new.
        """
        vars(self).update(NOTHING_PREPARED, **parts)

    def _prepared_bytes(self) -> int:
        """The size of what is prepared for the next call, but for single rows."""
        n_bytes = 0
        for part in (self._descent, self._watch):
            n_bytes += 0 if part is None else part.n_bytes
        return n_bytes

    def _weights_change(self) -> None:
        """Note that the weights are about to change in another way than by single steps."""
        vars(self).update(_is_watched=False, _pass=None)

    # ---- building and compiling -------------------------------------------------------------

    @cached_property
    def optimizer(self) -> Optimizer:
        """The learner's own optimiser, set by `compile`; before that plain gradient descent."""
        return optimizers.SGD()

    @property
    def loss_example(self) -> str:
        """The name of the loss, or if there is none of a loss that fits, for messages."""
        if self.loss is not None and self.loss.name in losses.LOSSES:
            return self.loss.name
        return fitting_loss(self.output)

    @property
    def known_names(self) -> tuple[str, ...] | None:
        """The names of the columns, those of the Normalization layer included."""
        layer = self.normalization
        adapted = None if layer is None else layer.feature_names
        if self.names is not None and adapted not in (None, self.names):
            raise ValueError(
                "the Normalization layer was adapted to other columns than the model was trained "
                f"on; adapt it to these: model.layers[0].adapt(X[{list(self.names)!r}])"
            )
        return self.names or adapted

    def keep_names(self, names: tuple[str, ...] | None) -> None:
        """Keep the names of the first frame, in the Normalization layer too.

        If that is adapted again, to a frame in another order, it orders the columns itself.
        """
        self.names, layer = names, self.normalization
        if layer is not None and layer.feature_names is None:
            layer.feature_names = names

    def built(self) -> Network:
        """The network, or an error that says how to get one."""
        if self.network is None:
            raise ValueError("the model has no weights yet; call model.build(n_features) or fit")
        return self.network

    def compiled_loss(self) -> Loss:
        """The loss, or an error that says how to get one."""
        if self.loss is None:
            raise ValueError(
                f"the model is not compiled with a loss; first call "
                f"model.compile(loss={self.loss_example!r})"
            )
        return self.loss

    def build(self, n_features: int, seed: int, weights: Sequence[Array] | None = None) -> None:
        """Make the network and draw its weights, unless they are given."""
        if self.network is None:
            self.network = self.fresh_network(n_features, seed, weights)
        elif self.network.n_features != n_features:
            raise ValueError(
                f"n_features={n_features}, but the model was built for "
                f"{self.network.n_features}; make a new Sequential for other data"
            )

    def fresh_network(
        self, n_features: int, seed: int, weights: Sequence[Array] | None = None
    ) -> Network:
        """A network with initial weights; ValueError if there is no memory for it."""
        shapes = weight_shapes(n_features, self.dense_layers).values()
        n_bytes = sum(map(math.prod, shapes)) * np.dtype(self.dtype).itemsize
        try:
            if n_bytes > LARGEST_MEMORY:
                raise MemoryError
            network = self.new_network(n_features)
            if weights is None:
                network.initialize(seed)
            else:
                for view, values in zip(network.weights, weights, strict=True):
                    view[...] = values
        except MemoryError:
            raise ValueError(
                f"n_features={n_features}: the weights of such a network take {n_bytes / 1e9:.3g} "
                f"GB, more than there is; take fewer features or units"
            ) from None
        return network

    def new_network(self, n_features: int) -> Network:
        """A network whose weights are all 0."""
        self.check_normalization(n_features)
        return Network(
            n_features, self.dense_layers, self.dtype, self.normalization, self.dropout_rates
        )

    def check_normalization(self, n_features: int) -> None:
        """Raise if a Normalization layer does not fit `n_features`, or was not adapted."""
        if self.normalization is not None:
            self.normalization.table_for(n_features)

    def compile(
        self, optimizer: object, loss: object, metrics: object = None, weighted: object = None
    ) -> None:
        """Take loss, optimiser and metrics; the weights stay, the optimiser starts again."""
        self.refuse_within_fit("compile", "set model.optimizer.learning_rate to change it")
        new_loss, output = self._loss_for(loss), self.output
        new_optimizer = optimizers.get(optimizer)
        new_metrics: list[Metric] = []
        if metrics is not None or weighted is not None:
            new_metrics = checked_metrics(metrics, weighted, new_loss, output)
        self._replace(loss=new_loss, optimizer=new_optimizer, metrics=new_metrics, state=None)

    def _loss_for(self, loss: object) -> Loss | None:
        """The loss of that name, or the loss itself, if it fits the output layer."""
        if loss is None:
            return None
        if callable(loss) and not isinstance(loss, type | Loss):
            return CustomLoss(loss)
        found = losses.get(loss)
        found.check_output(self.output.activation, self.output.units)
        if not isinstance(found, CustomLoss):
            for n_targets in (1, self.output.units):  # now, so that fits find them
                losses.settings_of(found, n_targets, self.dtype)
        return found

    def adopt_optimizer(self, other: Learner) -> None:
        """Continue with another learner's optimiser and what it keeps, for as many weights."""
        state = other.state
        if state is not None:
            slots = self.built().new_slots(len(state.slots))
            slots[...] = state.slots
            state = State(slots, state.rate, state.counts.copy())
        self._replace(optimizer=optimizers.get(other.optimizer), state=state)

    def restore(self, network: Network | None, state: State | None) -> None:
        """Take a network and an optimiser's state from a file."""
        self._replace(network=network, state=state)

    def reset(self, seed: int, model: Model, **parts: Any) -> None:
        """Draw the weights again and forget all steps, and set `parts` of the model with that.

        No interrupt comes between the two updates, which are one call of compiled code.
        """
        network = self.network
        if network is not None:
            network = self.fresh_network(network.n_features, seed)
        own = NOTHING_PREPARED | {"network": network, "state": None}
        deque(map(dict.update, (vars(self), vars(model)), (own, parts)), maxlen=0)

    def optimizer_state(self, network: Network) -> State:
        """What the optimiser keeps, made at the first call."""
        state = self.state
        if state is None:
            state = self.state = new_state(network, self.optimizer)
        return state

    # ---- a fit ------------------------------------------------------------------------------

    @property
    def is_fitting(self) -> bool:
        """Whether a call of `fit` is at work."""
        return self._running is not None and self._running() is not None

    def _wait_to_train(self) -> None:
        """Let another thread finish its step, so that none is lost; a fit would take too long."""
        if os.getpid() != self._process:  # forked: the thread that trained is not here
            self._process, self._training = os.getpid(), threading.RLock()
            self._replace(_running=None)
            if self.network is not None:
                self.network.turn = self.network.core.Turn()
        elif self.is_fitting:
            raise RuntimeError(
                "another thread is training this model, in a call of fit; wait for its end, or "
                "train a copy: copy.deepcopy(model)"
            )
        self._training.acquire()

    def refuse_within_fit(self, method: str, why: str) -> None:
        """Raise if a call of `fit` is at work."""
        if self._running is not None and self._running() is not None:
            raise RuntimeError(
                f"{method} within a fit of the same model: {why}; end the fit first, with "
                f"model.stop_training = True"
            )

    def requirements(self) -> Requirements:
        """What the network, as far as there is one, and the loss require of rows."""
        network, loss = self.network, self.loss or self.compiled_loss()
        n_features = None if network is None else network.n_features
        names = self.names if self.normalization is None else self.known_names
        return Requirements(
            self.dtype, loss, self.output.units, n_features, self.normalization, names
        )

    def fit(
        self, model: Model, plan: Plan, given: GivenRows | Prepared, callbacks: list[Callback]
    ) -> History:
        """Check the rows against the network, then train in the optimiser's way.

        `model` is what callbacks see; it gets the history and the count of epochs.
        """
        if not self._training.acquire(False):
            self._wait_to_train()
        try:
            self.refuse_within_fit("fit", "its weights are at work")
            return self._fit(model, plan, given, callbacks)
        finally:
            self._training.release()

    def _fit(
        self, model: Model, plan: Plan, given: GivenRows | Prepared, callbacks: list[Callback]
    ) -> History:
        running, optimizer = _Running(), self.optimizer
        self._running = weakref.ref(running)
        try:
            names = None
            if isinstance(given, Prepared):
                source, validation = given.source, given.validation
            else:
                if given.y is None:
                    self._check_chunks(plan)
                asked = self.requirements()
                source, validation = given.checked(asked, len(plan.epoch_numbers))
                names = asked.names
            first = source if isinstance(source, Rows) else source.first
            n_rows, n_features = first.X.shape
            size = plan.size(n_rows)
            self.check_mode(size, n_rows)
            numbers = recorded(optimizer, self.metrics, validated=validation is not None)
            history = new_history(plan, source, size, numbers)
            if callbacks:
                introduce(callbacks, model, history.params)
                notify(callbacks, "check")
            if self.network is None:
                self.build(n_features, model.seed)
            if names is not None:
                self.keep_names(names)
            self._weights_change()
            model.stop_training = False
            descent = self._descent_for(first, size, plan.threads, plan.seed)
            watch = self._current_watch()
            fit = Fit(
                model, descent, watch, source, plan, self.metrics, validation, callbacks, history
            )
            fit.run(lbfgs.minimise if isinstance(optimizer, optimizers.LBFGS) else descend_epochs)
            descent.release()
            self._descent = descent
        finally:
            self._running = None
            if self._prepared_bytes() > MOST_KEPT:
                self._replace()
            else:
                self._weights_change()  # a callback may have made single steps within the fit
        if plan.verbose and history.epoch and (severe := self.worst_finding(first)):
            print(f"Something is wrong: {severe} (model.diagnose(X, y) says more)", flush=True)
        return history

    def worst_finding(self, rows: Rows) -> str:
        """The worst that a diagnosis finds, if the network will hardly learn as it is.

        After a few steps a loss that is still high means nothing.
        """
        try:
            severe = self.diagnose(rows).severe
        except Exception:  # nobody has asked for it, and a custom loss may raise anything
            return ""
        is_early = self.optimizer_state(self.built()).step < FEW_STEPS
        found = [one for one in severe if one.kind != "no better than a constant" or not is_early]
        return str(found[0]) if found else ""

    def _descent_for(self, data: Rows, batch_size: int, threads: int | None, seed: int) -> Descent:
        """Gradient descent over these rows, with the memory of the last call if that is free.

        It is taken away while it is in use, so that a call within the call makes its own.
        """
        descent, self._descent = self._descent, None
        if descent is None or descent.state is not self.state:
            network = self.built()
            state, loss = self.optimizer_state(network), self.compiled_loss()
            descent = Descent(network, self.optimizer, state, loss)
        descent.take(data, keep_predictions=bool(self.metrics))  # the team depends on its path
        descent.seed, descent.batch_by_batch, descent.row_by_row = seed, False, False
        descent.team = descent.team_for(threads, batch_size)
        return descent

    def _current_watch(self) -> DivergenceWatch:
        """The watch over the network, with a copy of the weights as they are."""
        watch = self._watch
        if watch is None or watch.state is not self.state:
            network = self.built()
            watch = DivergenceWatch(network, self.optimizer, self.optimizer_state(network))
            self._watch = watch
        elif not self._is_watched:
            watch.begin()
        self._is_watched = True
        return watch

    def check_mode(self, batch_size: int, n_rows: int) -> None:
        """Raise if loss or optimiser cannot work with batches of this size."""
        mode = "batch" if batch_size >= n_rows else mode_of(batch_size, n_rows)
        if mode == "stochastic" and isinstance(self.loss, CustomLoss):
            raise ValueError(CUSTOM_LOSS_NEEDS_BATCHES)
        if self.optimizer.compares_costs:
            self.check_optimizer(mode)

    def check_optimizer(self, mode: str) -> None:
        """Raise if an optimiser that compares costs cannot work in this mode."""
        optimizer = self.optimizer
        if isinstance(optimizer, optimizers.LBFGS):
            lbfgs.scipy_optimize()  # before anything changes
        if mode != "batch" and not (mode == "minibatch" and optimizer.follows_cost):
            rows = "several rows" if optimizer.follows_cost else "all rows"
            raise ValueError(
                f"optimizer={optimizer} compares the cost of {rows} from step to step, but this is "
                f"{mode} mode; say fit(..., mode='batch')"
            )
        if any(self.dropout_rates):
            raise ValueError(
                f"optimizer={optimizer} compares the cost from step to step, which dropout "
                f"makes random; take the Dropout layers out, or another optimiser"
            )

    def _check_chunks(self, plan: Plan) -> None:
        """Raise if a fit of rows in chunks needs all of them at once."""
        if plan.mode == "batch" and plan.batch_size is not None:
            raise ValueError(
                f"mode='batch' makes each chunk a batch, but batch_size={plan.batch_size}; leave "
                f"one of them out, or use mode='minibatch'"
            )
        if isinstance(self.loss, CustomLoss) and plan.size(2) == 1:
            raise ValueError(CUSTOM_LOSS_NEEDS_BATCHES)
        if self.optimizer.compares_costs:
            raise ValueError(
                f"optimizer={self.optimizer} compares the cost of all rows, but they come in "
                f"chunks; compile with another one, e.g. model.compile('SGD', "
                f"loss={self.loss_example!r})"
            )
        if plan.measured_at_end:
            raise ValueError(
                "train_metrics='end' goes through the rows once more, but chunks are gone by then; "
                "leave it out, or keep rows apart for validation_data"
            )

    def try_learning_rates(self, rows: Rows, plan: Plan, rates: Array) -> LearningRateCurve:
        """One step after the other with growing rates; the weights move."""
        size = plan.size(rows.n_rows)
        self.check_mode(size, rows.n_rows)
        self.build(rows.n_features, plan.seed)
        descent = self._descent_for(rows, max(size, 2), plan.threads, plan.seed)
        order = plan.order(0, rows.n_rows, size)
        with descent.team:
            return range_test(
                descent, np.arange(rows.n_rows) if order is None else order, size, rates
            )

    # ---- single steps -----------------------------------------------------------------------

    def train_batch(
        self, X: object, y: object, sample_weight: object, seed: int
    ) -> dict[str, float]:
        """One update with the rows of X as one batch; loss and metrics before it."""
        if not self._training.acquire(False):
            self._wait_to_train()
        try:
            asked = self.requirements()
            y = y if y is None else np.atleast_1d(y)  # type: ignore[call-overload]
            rows = asked.rows(X, y, sample_weight)
            if self.optimizer.compares_costs:
                self.check_optimizer("single-step")
            if self.network is None:
                self.build(rows.n_features, seed)
            if asked.names is not None:
                self.keep_names(asked.names)
            self._pass = None
            descent = self._descent_for(rows, len(rows.X), None, seed)
            try:
                scores = train_batch(descent, self._current_watch(), self.metrics)
            finally:
                descent.release()
            self._descent = descent
            return scores
        finally:
            self._training.release()

    def learn_row(self, X: object, y: object, is_row: bool = False) -> float | None:
        """One update with a single row, shape (1, n_features) or, with `is_row`, (n_features,).

        Returns the loss before it. None, and nothing has happened, if this row, or model, needs
        the ordinary way, or another thread moves the weights. Without a lock, since the core does
        it all in one call that keeps the interpreter's.
        """
        one = self._one_row
        if one is None:
            one = self._one_row = self._new_one_row()
            if one is None:
                return None
        if self._running is not None:  # `train_batch` knows whether the fit is another thread's
            return None
        if not self._is_watched:
            self._current_watch()
        if self._pass is not None:  # to ask is faster than to set
            self._pass = None
        return one.learn(X, y, is_row)

    def _new_one_row(self) -> OneRow | None:
        """What is prepared for single rows; None if loss or optimiser need the ordinary way."""
        network, loss = self.network, self.loss
        if network is None or loss is None or isinstance(loss, CustomLoss):
            return None
        state, optimizer = self.optimizer_state(network), self.optimizer
        if optimizer.compares_costs:
            return None
        if not has_own_paths(network, optimizer.rule(network.layer_rules, state)):
            return None
        return OneRow(self._current_watch(), loss)

    # ---- using ------------------------------------------------------------------------------

    def predict_few(self, X: object, is_row: bool = False) -> Array | None:
        """The outputs for a few rows; None if they need the ordinary way."""
        few: FewRows | None = getattr(self._by_thread, "few_rows", None)
        if few is None or few.network is not self.network:
            if self.network is None:
                return None
            few = self._by_thread.few_rows = FewRows(self.network)
        return few.outputs(X, is_row)

    def features(self, X: object) -> Rows:
        """Check the features of rows to predict."""
        network = self.built()
        if type(X) is not np.ndarray:
            X = Columns(self.known_names).ordered(X)
        return features(X, self.dtype, n_features=network.n_features)

    def predict(
        self, model: Model, X: object, threads: int | None, callbacks: object, out: object
    ) -> Array:
        """The outputs for the rows of X, reported to callbacks, in `out` if that is given."""
        network, rows, room = self.built(), self.features(X), None
        if out is not None:
            room = room_for("out", out, (len(rows.X), network.n_outputs), self.dtype)
        watchers = self._watchers(model, callbacks, len(rows.X))
        with network.forward_team(threads, len(rows.X)) as team:
            return evaluation.predict(network, rows, team, watchers, room)

    def sample_predictions(
        self, X: object, n_samples: int, threads: int | None, seed: int
    ) -> tuple[Array, Array]:
        """Mean and standard deviation of outputs with dropout at work."""
        network, rows = self.built(), self.features(X)
        if not network.has_dropout:
            raise ValueError(
                f"samples={n_samples}: the model has no Dropout layer, so all samples would be the "
                f"same; e.g. Sequential([Dense(64, 'relu'), Dropout(0.2), Dense(1)])"
            )
        with network.forward_team(threads, len(rows.X)) as team:
            return evaluation.sample_predictions(network, rows, team, n_samples, seed)

    def outputs(
        self,
        rows: Rows,
        threads: int | None,
        out: Array | None = None,
        *,
        before_output: bool = False,
    ) -> Array:
        """The outputs for checked rows or, before the last activation, their z."""
        network = self.built()
        if before_output:
            network = network.before_output
        with network.forward_team(threads, len(rows.X)) as team:
            return network.predict(rows, team, out)

    def evaluate(
        self, model: Model, given: GivenRows, threads: int | None, callbacks: object
    ) -> dict[str, float]:
        """Loss and metrics over rows, reported to callbacks."""
        loss, network = self.compiled_loss(), self.built()
        rows = self.requirements().rows(given.X, given.y, given.sample_weight)
        watchers = self._watchers(model, callbacks, len(rows.X))
        with network.forward_team(threads, len(rows.X)) as team:
            scores = evaluation.evaluate(network, rows, loss, self.metrics, team, watchers)
        if not math.isfinite(scores["loss"]):
            raise FloatingPointError(
                f"the loss is {scores['loss']}: weights, features or targets are huge; scale them"
            )
        return scores

    def _watchers(self, model: Model, callbacks: object, n_rows: int) -> list[Callback]:
        """The callbacks of an `evaluate` or `predict` of n_rows rows.

        Within a fit, callbacks that know its parameters already keep them.
        """
        if callbacks is None:
            return []
        checked = new = checked_callbacks(callbacks)
        if self.is_fitting:
            new = [one for one in checked if getattr(one, "model", None) is not model]
        introduce(new, model, {"samples": n_rows, "verbose": 0})
        return checked

    def gradient(self, given: GivenRows, threads: int | None) -> dict[str, Array]:
        """The gradient of the loss over rows, by name; nothing moves."""
        loss, network = self.compiled_loss(), self.built()
        rows = self.requirements().rows(given.X, given.y, given.sample_weight)
        if isinstance(loss, CustomLoss):
            flat, n_rows = network.new_gradient(), rows.n_rows
            passed = Pass(network, min(n_rows, network.slice_rows), drop=False)
            custom_gradient(passed, network.rows(Rows(rows.X)), None, 0, rows.y, loss, flat)
            network.add_penalty_gradient(flat, 1 / n_rows)
            network.refuse_overflow("the gradient", flat)
            return named_gradient(network, flat)
        with network.training_team(threads, rows.n_rows) as team:
            return named_gradient(network, network.gradient(rows, loss, team))

    # ---- looking inside ---------------------------------------------------------------------

    def trace(self, given: GivenRows, threads: int | None, *, training: bool, seed: int) -> Trace:
        """Every value of the forward pass and of backpropagation over rows; nothing moves."""
        loss, network = self.compiled_loss(), self.built()
        rows = self.requirements().rows(given.X, given.y, given.sample_weight)
        key = dropout_key(seed, self.optimizer_state(network).step) if training else 0
        with network.training_team(threads, rows.n_rows) as team:
            record = Record(network, rows, EVERY_KIND, drop=training, key=key, team=team)
            return trace_of(record, loss)

    def diagnose(self, rows: Rows) -> Diagnosis:
        """What is wrong with the network, as far as some of these checked rows show."""
        loss, network = self.compiled_loss(), self.built()
        rows = rows.every(-(-rows.n_rows // MOST_ROWS))
        try:
            trace = trace_of(Record(network, rows, EVERY_KIND), loss)
        except FloatingPointError as error:
            finding = Finding("overflow", None, math.inf, True, "a value is not finite", str(error))
            return Diagnosis((finding,), rows.n_rows)
        now, share = float(trace["L"]), inverse(loss.divisor(rows.sample_weight, rows.n_rows))
        after, longest, far = self._trial_costs(trace, rows)
        has_begun = self.optimizer_state(network).step > 0
        constant = constant_loss(self.output, rows, loss, self.dtype) if has_begun else None
        costs = Costs(now, now - network.penalty(share), after, longest, far, constant)
        return diagnosed(trace, costs, "model.optimizer.learning_rate")

    def _trial_costs(self, trace: Trace, rows: Rows) -> tuple[float | None, float, float]:
        """The cost after the next step of the optimiser, and what `longest_step` finds.

        In float64, where no step is so short that it is rounded away.
        """
        now, loss, twin = float(trace["L"]), self.compiled_loss(), self._twin("float64")
        if self.optimizer.compares_costs:
            return None, 1.0, now
        network = twin.built()
        before = network.parameters.copy()
        if not isinstance(loss, CustomLoss):
            rows = Rows(rows.X, *(array.astype(np.float64) for array in rows[1:]))
        cost = partial(cost_of, network, rows, loss)
        start = cost()
        try:
            twin.apply(trace)
        except FloatingPointError:
            return math.inf, 1.0, now
        after = cost()
        return after, *longest_step(network, before, start, cost)

    def _twin(self, dtype: str) -> Learner:
        """A learner with copies of the weights and of what the optimiser keeps, without metrics."""
        twin, network = Learner(self.layers, dtype), self.built()
        twin.loss, twin.names = self.loss, self.names
        twin.build(network.n_features, 0, network.weights)
        twin.adopt_optimizer(self)
        return twin

    def check_trace(self, trace: object) -> None:
        """Raise if it is no trace of the present weights, or no step could follow from it."""
        network, optimizer = self.built(), self.optimizer
        if not isinstance(trace, Trace):
            raise TypeError(
                f"trace is {type(trace).__name__}; expected what model.trace(X, y) returns"
            )
        if optimizer.compares_costs:
            raise ValueError(
                f"optimizer={optimizer} looks for the length of its steps itself, so that none "
                f"follows from a trace; compile with another one, e.g. model.compile('SGD', "
                f"loss={self.loss_example!r})"
            )
        for name, view in network.views(network.parameters).items():
            if name not in trace or not np.array_equal(trace[name], view):
                raise ValueError(
                    f"the trace is of other weights than the present ones ({name} differs); trace "
                    f"again: model.trace(X, y)"
                )

    def number_of_layer(self, layer: object) -> int:
        """Which of the layers with weights gives the outputs of `layers[layer]`; 0 of none."""
        n = len(self.layers)
        index = whole_number("layer", layer, minimum=-LARGEST_WHOLE)
        if not -n <= index < n:
            raise ValueError(
                f"layer={index}: the model has {n} layers; expected 0 to {n - 1}, or -1 to {-n} "
                f"from the end, e.g. layer=0"
            )
        return sum(isinstance(one, Dense) for one in self.layers[: index % n + 1])

    def activations(self, X: object, number: int | None, threads: int | None) -> dict[str, Array]:
        """The outputs of all layers, or of one, by name; of number 0 the standardised rows."""
        network, rows = self.built(), self.features(X)
        kinds = ["a"] if number else ["x"] if number == 0 else ["a", "x"]
        with network.forward_team(threads, rows.n_rows) as team:
            record = Record(network, rows, kinds, team=team, number=number or None)
            record.forward()
        found = {"a0": record.of("x", 1)} if "x" in kinds and self.normalization else {}
        for i in range(1, len(network.layers) + 1):
            if record.keeps("a", i):
                found["yhat" if i == len(network.layers) else f"a{i}"] = record.of("a", i)
        for name, values in found.items():
            network.refuse_overflow(f"the activation {name}", values)
        return found

    def input_gradient(self, given: GivenRows, threads: int | None) -> Array:
        """dL/dX of rows; nothing moves."""
        loss, network = self.compiled_loss(), self.built()
        rows = self.requirements().rows(given.X, given.y, given.sample_weight)
        with network.training_team(threads, rows.n_rows) as team:
            record = Record(network, rows, ("a", "da", "dx"), team=team)
            record.backpropagate(loss)
        found = np.ascontiguousarray(record.of("dx", 1))
        network.refuse_overflow("the gradient", found)
        return found

    def per_sample_gradients(self, given: GivenRows) -> dict[str, Array]:
        """The gradient of each row's own w_i l_i, by name; nothing moves."""
        loss, network = self.compiled_loss(), self.built()
        rows = self.requirements().rows(given.X, given.y, given.sample_weight)
        flat = per_sample_gradients(network, rows, loss)
        if not network.core.all_finite(flat):
            network.refuse_overflow("a gradient", flat)
        return {f"dL/d{name}": view for name, view in network.views_of_rows(flat).items()}

    def jacobian(self, X: object) -> Array:
        """d output_j / d x_i of each row; nothing moves."""
        network, rows = self.built(), self.features(X)
        shape = len(rows.X), network.n_outputs, network.n_features
        check_memory(
            f"the Jacobians of {shape[0]} rows", math.prod(shape) * network.parameters.itemsize
        )
        found = np.empty(shape, self.dtype)
        for start, stop in slices(len(rows.X), JACOBIAN_ROWS):
            record = Record(network, rows.rows(start, stop), ("a", "da", "dx"))
            for j in range(network.n_outputs):
                record.backpropagate_from(np.eye(network.n_outputs)[j])
                found[start:stop, j] = record.of("dx", 1)
        network.refuse_overflow("the Jacobian", found)
        return found

    def gradcheck(self, given: GivenRows, n_entries: int, seed: int) -> GradientCheck:
        """Backpropagation against differences of the loss of a float64 twin."""
        loss, twin = self.compiled_loss(), self._twin("float64")
        double = twin.built()
        rows = twin.requirements().rows(given.X, given.y, given.sample_weight)
        rows = rows._replace(X=rows.X.astype(np.float64))
        gradient = self.gradient(given, None) | {"dL/dX": self.input_gradient(given, None)}
        numbers = {f"dL/d{name}": view for name, view in double.views(double.parameters).items()}
        numbers["dL/dX"] = rows.X
        cost = partial(cost_of, double, rows, loss)
        return checked_blocks(gradient, numbers, cost, self.dtype, n_entries, seed)

    # ---- the three steps of descent, one by one ---------------------------------------------

    def forward(self, X: object, *, training: bool, seed: int) -> Array:
        """The outputs for the rows of X, kept with those of all layers for `backward`."""
        network, rows = self.built(), self.features(X)
        key = dropout_key(seed, *self._next_draw()) if training else 0
        passed = Pass(network, rows.n_rows, drop=training)
        outputs = passed.forward(network.rows(rows), None, 0, rows.n_rows, key)
        network.refuse_overflow("the output", outputs)
        self._pass = passed
        return outputs.copy()

    def _next_draw(self) -> tuple[int, int]:
        """The steps made, and how often `forward` has drawn units since the last of them."""
        step = self.optimizer_state(self.built()).step
        before, count = self._drawn
        self._drawn = step, count + 1 if before == step else 0
        return self._drawn

    def backward(self, dL_dy: object, *, inputs: bool) -> dict[str, Array]:
        """The gradient by name, given dL/dy of the rows that `forward` took."""
        network, passed = self.built(), self._pass
        if passed is None:
            raise ValueError(
                "nothing has gone forward since the weights last changed; call "
                "y = model.forward(X), then model.backward(dL_dy)"
            )
        given = layer_weights("dL_dy", dL_dy, passed.outputs.shape, self.dtype)
        flat = network.new_gradient()
        dL_dX = passed.input_gradient(given, flat) if inputs else None
        if dL_dX is None:
            passed.backward(given, flat)
        network.add_penalty_gradient(flat, 1 / len(given))
        network.refuse_overflow("the gradient", flat)
        found = named_gradient(network, flat)
        return found if dL_dX is None else found | {"dL/dX": dL_dX}

    def apply(self, gradient: object) -> None:
        """One step of the optimiser along a gradient, given by name."""
        network, optimizer = self.built(), self.optimizer
        if optimizer.compares_costs:
            raise ValueError(
                f"optimizer={optimizer} looks for the length of its steps itself; compile with "
                f"another one, e.g. model.compile('SGD')"
            )
        if not isinstance(gradient, Mapping):
            raise TypeError(
                f"gradient is {type(gradient).__name__}; expected a dictionary of arrays by name, "
                f"as model.backward(dL_dy) returns it"
            )
        flat = network.new_gradient()
        for name, view in network.views(flat).items():
            if (key := f"dL/d{name}") not in gradient:
                raise ValueError(
                    f"gradient has no {key!r}; expected {', '.join(named_gradient(network, flat))}"
                )
            view[...] = layer_weights(key, gradient[key], view.shape, self.dtype)
        if not self._training.acquire(False):
            self._wait_to_train()
        try:
            self._pass = None
            apply_gradient(self._current_watch(), flat)
        finally:
            self._training.release()

    # ---- weights ----------------------------------------------------------------------------

    def weight_views(self) -> list[Array]:
        """The weights themselves: W1, b1, W2, ..."""
        return self.built().weights

    def set_weights(self, weights: object) -> None:
        """Put weights in place of the network's; if one does not fit, nothing changes."""
        network = self.built()
        views = network.views(network.parameters)
        given = items("weights", weights, "model.get_weights()")
        if len(given) != len(views):
            raise ValueError(
                f"weights has {len(given)} arrays; expected {len(views)}: {', '.join(views)}"
            )
        flat = network.new_gradient()  # beside the old ones, of which the new may be views
        for (name, view), values in zip(network.views(flat).items(), given, strict=True):
            view[...] = layer_weights(name, values, view.shape, self.dtype)
        self._weights_change()
        if self.state is not None and self.optimizer.use_ema:
            self.state.slots[-1] = flat  # an average of other weights would replace them
        network.parameters[:] = flat

    def adopt_average(self) -> None:
        """Put the running average of the weights in their place, if there is one."""
        if self.network is not None and self.state is not None:
            self._weights_change()
            adopt_average(self.network, self.optimizer, self.state)

    def arrays(self) -> dict[str, Array]:
        """Copies of all arrays by name, for files and pickles."""
        return named_arrays(self.network, self.state, self.normalization)


def introduce(callbacks: Sequence[Callback], model: Model, params: dict[str, Any]) -> None:
    """Give callbacks the model and the parameters of the call that they follow."""
    for callback in callbacks:
        callback.model, callback.params = model, params


def named_gradient(network: Network, flat: Array) -> dict[str, Array]:
    """The arrays of a new gradient, by name; copied only where rows have padding between them."""
    views = network.views(flat)
    return {f"dL/d{name}": np.ascontiguousarray(view) for name, view in views.items()}
