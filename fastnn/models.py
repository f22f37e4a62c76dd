"""Sequential: the engine in Keras's words."""

from __future__ import annotations

import copy
import difflib
import math
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike

from fastnn import losses, optimizers
from fastnn.callbacks.base import Callback, checked_callbacks, tell
from fastnn.callbacks.history import History
from fastnn.callbacks.progress import progress
from fastnn.custom import (
    CustomLoss,
    CustomMetric,
    LossLike,
    MetricLike,
    checked_metrics,
    fitting_loss,
)
from fastnn.data.arrays import features, layer_weights, room_for
from fastnn.data.checks import flag, items, real_number, whole_number
from fastnn.data.columns import Columns
from fastnn.data.rows import Array, Rows
from fastnn.data.sources import RowChunks
from fastnn.engine.backpropagation import Pass, custom_gradient
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.gradient_descent import Descent, adopt_average, apply_gradient, new_state
from fastnn.engine.layout import weight_shapes
from fastnn.engine.network import Network, dropout_key
from fastnn.engine.per_sample import has_own_paths
from fastnn.engine.single_row import FewRows, OneRow
from fastnn.files import npz
from fastnn.files.arrays import count, named_arrays, restored_state, sorted_arrays
from fastnn.files.config import KINDS, from_config
from fastnn.inspection.learning_rates import LearningRateCurve, range_test
from fastnn.inspection.summary import layer_lines, training_lines
from fastnn.layers import (
    Dense,
    Dropout,
    Layer,
    ModelDType,
    Normalization,
    checked_dtype,
    checked_layers,
)
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer, OptimizerLike
from fastnn.training import evaluation, lbfgs
from fastnn.training.fit import Fit, descend, new_history, recorded, train_batch
from fastnn.training.plan import (
    Measured,
    Mode,
    Plan,
    Verbose,
    check_idle,
    checked_plan,
    checked_seed,
    checked_threads,
    mode_of,
)
from fastnn.training.row_checks import ClassWeight, GivenRows, Inputs, Prepared

if TYPE_CHECKING:
    from fastnn.estimators import MLPClassifier, MLPRegressor

LARGEST_MEMORY = 2**47  # bytes that a program can address
SHOWN_LAYERS = 6  # in a line
CUSTOM_LOSS_NEEDS_BATCHES = (
    "a loss of your own takes the rows of a batch: say fit(..., mode='minibatch') or mode='batch'"
)


# What a model has elsewhere, or under another name: an error says where, and nothing is set.
_LEARNING_RATE = "it is the optimiser's: model.optimizer.learning_rate = 0.1"
_COMPILED = "argument of model.compile(optimizer, loss, metrics)"
_REMEDIES = {
    "learning_rate": _LEARNING_RATE,
    "lr": _LEARNING_RATE,
    "momentum": "it is the optimiser's: model.compile(optimizer=SGD(0.1, momentum=0.9))",
    "loss": f"it is an {_COMPILED}",
    "metrics": f"they are an {_COMPILED}",
    "optimiser": "it is spelled model.optimizer, and comes with model.compile(optimizer, loss)",
    "weights": "take model.get_weights() and model.set_weights(weights)",
    "trainable": "it is said of each layer when it is made: Dense(8, 'relu', trainable=False)",
}


class _Elsewhere:
    """A name that models do not have: an error says what to take, and nothing is set."""

    def __init__(self, name: str) -> None:
        self._message = f"a model has no {name}; {_REMEDIES[name]}"

    def __get__(self, model: object, owner: type) -> Self:
        if model is None:
            return self
        raise AttributeError(self._message)

    def __set__(self, model: object, value: object) -> None:
        raise AttributeError(self._message)


class _Running:
    """Lives as long as a call of `fit`, whatever number of interrupts may strike it."""


class Sequential:
    """A stack of layers, trained by gradient descent.

    Parameters
    ----------
    layers : sequence of Dense, Dropout and Normalization
        The layers from input to output. A `Normalization` may only be the first one, a `Dropout`
        stands before a `Dense`.
    dtype : {"float32", "float64"}
        The type of weights, activations and predictions.
    seed : int, optional
        Decides the initial weights and the visiting order of every epoch. The same seed gives the
        same bits. None draws one; `model.seed` tells which.

    Attributes
    ----------
    layers : tuple of Dense, Dropout and Normalization
    history : History
        The record of the last `fit`, also of one that was interrupted.
    epochs_trained : int
        How many epochs all calls of `fit` have finished.
    metadata : dict
        Anything that JSON can hold; saved and loaded with the model.
    feature_names : tuple of str, optional
        The names of the columns, if a frame was the first to give some, to `fit`, `train_on_batch`
        or `Normalization.adapt`; saved and loaded with the model. From then on frames may have
        their columns in another order, which is put right; a frame that lacks one, or has
        another, is refused. Arrays have no names: their columns are taken as they come.

    Raises
    ------
    TypeError, ValueError
        If `layers`, `dtype` or `seed` is not as said above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Sequential, SGD
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([0, 1, 1, 0])
    >>> model = Sequential([Dense(8, "tanh"), Dense(1, "sigmoid")], seed=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="binary_crossentropy")
    >>> history = model.fit(X, y, epochs=500, mode="stochastic")
    >>> model.predict(X).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    layers: tuple[Layer, ...]
    dtype: str
    seed: int
    history: History
    epochs_trained: int
    metadata: dict[str, Any]
    stop_training: bool

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        dtype: ModelDType = "float32",
        seed: int | None = None,
    ) -> None:
        self.layers = tuple(checked_layers(layers))
        self.dtype = checked_dtype(dtype)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed = checked_seed(seed)
        self.history = History()
        self.epochs_trained = 0
        self.metadata = {}
        self.stop_training = False
        self._running: weakref.ref[_Running] | None = None  # the `fit` that is at work
        self._network: Network | None = None
        self._loss: Loss | None = None
        self._optimizer: Optimizer = optimizers.SGD()
        self._metrics: list[Metric] = []
        self._state: optimizers.State | None = None
        # What single steps keep between calls, until the weights change in another way:
        self._watch: DivergenceWatch | None = None
        self._one_row: OneRow | None = None
        self._pass: Pass | None = None  # made by `forward`
        self._batch: Descent | None = None  # left by `train_on_batch`
        self._columns = Columns()
        self._by_thread = threading.local()  # what `predict` keeps for few rows

    def __repr__(self) -> str:
        shown = [repr(layer) for layer in self.layers]
        if len(shown) > SHOWN_LAYERS:
            shown[3:-2] = ["..."]
        parts = [f"[{', '.join(shown)}]"]
        if self._network is not None:
            parts.append(f"n_features={self._network.n_features}")
        if self.epochs_trained:
            parts.append(f"epochs_trained={self.epochs_trained}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __dir__(self) -> list[str]:
        kind = type(self)
        names = super().__dir__()
        return [one for one in names if not isinstance(getattr(kind, one, None), _Elsewhere)]

    if not TYPE_CHECKING:  # type checkers would take any name for an attribute

        def __setattr__(self, name: str, value: object) -> None:
            if name[0] != "_" and name not in self.__dict__ and not hasattr(type(self), name):
                _refuse_mistaken(name, type(self))
            object.__setattr__(self, name, value)

    # ---- building and compiling -------------------------------------------------------------

    @property
    def _dense_layers(self) -> list[Dense]:
        return [layer for layer in self.layers if isinstance(layer, Dense)]

    @property
    def _dropout(self) -> list[float]:
        """For each Dense layer the share of its inputs that training leaves out."""
        before = [None, *self.layers]
        return [
            below.rate if isinstance(below, Dropout) else 0.0
            for below, layer in zip(before, self.layers, strict=False)
            if isinstance(layer, Dense)
        ]

    @property
    def _normalization(self) -> Normalization | None:
        first = self.layers[0]
        return first if isinstance(first, Normalization) else None

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns, None as long as rows came without."""
        return self._known_columns().names

    def _known_columns(self) -> Columns:
        """What is known of the columns, to check rows against; may learn without the model."""
        known, layer = self._columns.names, self._normalization
        adapted = None if layer is None else layer.feature_names
        if known is not None and adapted not in (None, known):
            raise ValueError(
                "the Normalization layer was adapted to other columns than the model was trained "
                f"on; adapt it to these: model.layers[0].adapt(X[{list(known)!r}])"
            )
        return Columns(known or adapted)

    def _keep_names(self, columns: Columns) -> None:
        """Keep the names of the first frame, in the Normalization layer too.

        If that is adapted again, to a frame in another order, it puts its columns right.
        """
        self._columns, layer = columns, self._normalization
        if layer is not None and layer.feature_names is None:
            layer.feature_names = columns.names

    @property
    def built(self) -> bool:
        """Whether the model has weights: after `build`, the first `fit`, or `load`."""
        return self._network is not None

    def build(self, n_features: int) -> None:
        """Make the weights for inputs of `n_features` columns and draw their initial values.

        Raises ValueError if the model was built for another width, or if an array of initial
        values does not fit; the model is then as it was.
        """
        n_features = whole_number("n_features", n_features, minimum=1)
        if self._network is None:
            self._network = self._fresh_network(n_features)
        elif self._network.n_features != n_features:
            raise ValueError(
                f"n_features={n_features}, but the model was built for "
                f"{self._network.n_features}; make a new Sequential for other data"
            )

    def _fresh_network(self, n_features: int) -> Network:
        """A network with initial weights; ValueError if there is no memory for it."""
        shapes = weight_shapes(n_features, self._dense_layers).values()
        n_bytes = sum(map(math.prod, shapes)) * np.dtype(self.dtype).itemsize
        try:
            if n_bytes > LARGEST_MEMORY:
                raise MemoryError
            network = self._new_network(n_features)
            network.initialize(self.seed)
        except MemoryError:
            raise ValueError(
                f"n_features={n_features}: the weights of such a network take {n_bytes / 1e9:.3g} "
                f"GB, more than there is; take fewer features or units"
            ) from None
        return network

    def _new_network(self, n_features: int) -> Network:
        self._check_normalization(n_features)
        return Network(
            n_features, self._dense_layers, self.dtype, self._normalization, self._dropout
        )

    def _check_normalization(self, n_features: int) -> None:
        if self._normalization is not None:
            self._normalization.table_for(n_features)

    def compile(
        self,
        optimizer: OptimizerLike = "SGD",
        loss: LossLike | None = None,
        metrics: Sequence[MetricLike] | None = None,
        weighted_metrics: Sequence[MetricLike] | None = None,
    ) -> None:
        """Say what to minimise, and how. The weights stay as they are; the optimiser starts anew.

        Parameters
        ----------
        optimizer : str or Optimizer
            "SGD" is `SGD(learning_rate=0.01)`, without momentum; also "Adam", "AdamW", "RMSprop",
            "Adagrad" and "LBFGS", or one of these objects with other settings. The model keeps a
            copy of its own, `model.optimizer`.
        loss : str, Loss or callable, optional
            "binary_crossentropy", "categorical_crossentropy" (labels or one-hot rows),
            "mean_squared_error" ("mse"), "mean_absolute_error" ("mae"), "huber", "poisson"
            (counts), "hinge" or "squared_hinge" (targets -1 and 1, or 0 and 1), or one of these
            objects with other settings: `Huber(delta=2)`. Or a loss of your own, a function
            `loss(y_true, y_pred) -> (L, dL/dy_pred)` of the rows of a batch, in minibatch and
            batch mode: y_true as `fit` got it, y_pred of shape (n_rows, n_outputs), L the mean
            over the rows. `fastnn.custom.check_loss` compares the two with each other. Without
            a loss `forward`, `backward` and `apply` still work.
        metrics : sequence of str, Metric or callable, optional
            What to report beside the loss: "accuracy", "binary_accuracy",
            "categorical_accuracy", "top_k_accuracy", "mean_absolute_error" ("mae"),
            "mean_squared_error" ("mse"), "root_mean_squared_error" ("rmse"), "r2_score", or
            objects of `fastnn.metrics` with other settings: `TopKAccuracy(k=3)`. Or a function
            `metric(y_true, y_pred)`, such as scikit-learn's, which is called with all rows when
            an epoch ends; `fastnn.custom.CustomMetric` says more. Only these go with a loss of
            your own.
        weighted_metrics : sequence of str, Metric or callable, optional
            The same for metrics in which the sample weights count.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown, or a metric or the output layer's activation does not fit the
            loss.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Sequential
        >>> def log_cosh(y_true, y_pred):
        ...     e = y_pred - y_true[:, None]
        ...     return np.log(np.cosh(e)).mean(), np.tanh(e) / e.size
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile("SGD", log_cosh)
        >>> history = model.fit([[1.0], [2.0]], [1.0, 2.0], epochs=100, mode="batch")
        >>> history.history["loss"][-1] < 0.1
        True
        """
        self._refuse_within_fit("compile", "set model.optimizer.learning_rate to change it")
        new_loss = self._loss_for(loss)
        new_optimizer = optimizers.get(optimizer)
        output = self._dense_layers[-1]
        new_metrics = checked_metrics(metrics, weighted_metrics, new_loss, output)
        self._replace(
            _loss=new_loss, _optimizer=new_optimizer, _metrics=new_metrics, _state=None, _batch=None
        )

    def _replace(self, **parts: Any) -> None:
        """Set attributes that belong together, and drop what was made for the old ones.

        All in one call, so that no interrupt leaves the old ones beside the new.
        """
        vars(self).update(_watch=None, _one_row=None, _pass=None, **parts)

    def _loss_for(self, loss: object) -> Loss | None:
        """The loss of that name, or the loss itself; it fits the output layer."""
        if loss is None:
            return None
        if callable(loss) and not isinstance(loss, type | Loss):
            return CustomLoss(loss)
        found, output = losses.get(loss), self._dense_layers[-1]
        found.check_output(output.activation, output.units)
        return found

    # ---- training ---------------------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike | RowChunks,
        y: ArrayLike | None = None,
        *,
        epochs: int = 1,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        mode: Mode | None = None,
        batch_size: int | None = None,
        validation_data: tuple[ArrayLike, ...] | None = None,
        validation_split: float = 0.0,
        validation_freq: int = 1,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        verbose: Verbose = 0,
        callbacks: Sequence[Callback] | None = None,
        seed: int | None = None,
        threads: int | None = None,
        train_metrics: Measured = "running",
    ) -> History:
        """Train the model by gradient descent; a second call goes on where the first ended.

        Each update is W := W - learning_rate * dL/dW, or what the optimiser makes of it, with
        L = 1/m sum_i w_i l_i over the m rows of a batch; the last batch of an epoch may be shorter
        and counts with its own m. Regularisers add to L. The loss of an epoch is the mean of L
        before each update, with what they add at the epoch's beginning.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Floats, integers or booleans. Read where it lies (a memory map too), row by row.

            Or, without y, an iterable of chunks (X, y) or (X, y, sample_weight): a list, a
            generator, a DataLoader. Each chunk is trained as its arrays would be, before the next
            one is asked for; as one batch unless `mode` or `batch_size` says otherwise.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            The targets; see the loss for what they may be.
        epochs : int
            How many times to go through all rows, or the number that the last epoch has if
            `initial_epoch` is given: fit(epochs=5, initial_epoch=3) goes through them twice.
        initial_epoch : int
            How many epochs of a run were done before. Callbacks and `history.epoch` count on from
            it; if it is `epochs` or more, there is nothing to do, as in Keras.
        steps_per_epoch : int, optional
            Of chunks: how many make an epoch; the next goes on where it ends. Unless given, an
            epoch is all of them, so that a generator will do for one epoch.
        mode : {"stochastic", "minibatch", "batch"}, optional
            "stochastic": an update after every row (batch_size 1). "minibatch": after every
            `batch_size` rows. "batch": one update an epoch, or a chunk, with all its rows. The
            default is what `batch_size` says.
        batch_size : int, optional
            Rows in a batch; 32 unless given. 1 is "stochastic", n_samples or more is "batch".
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Evaluated after every epoch, never trained on.
        validation_split : float
            The share of the rows, the last ones, to use as validation data instead; a UserWarning
            if y is sorted, so that they are unlike the others.
        validation_freq : int
            Validate after every so many epochs; the history's lists of validation have one number
            for each of those.
        shuffle : bool
            Visit the rows, or those of each chunk, in a new random order in every epoch (batch
            mode needs none).
        sample_weight : array of shape (n_samples,), optional
            The weights w_i >= 0.
        class_weight : dict of int to float, or "balanced", optional
            The weight of each class in place of `sample_weight`; a class that is missing has 1.
            "balanced" is n / (n_classes * count), of the classes in y, as in scikit-learn. For
            labels, one-hot rows, or one column of 0 and 1 (or -1 and 1, the classes 0 and 1).
            Rows of validation are not weighed.
        verbose : {0, 1, 2, "auto"}
            0 is silent, 1 shows progress, 2 writes a line an epoch. "auto" is 0.
        callbacks : sequence of Callback, optional
            Whose hooks to call, in this order; see `Callback`.
        seed : int, optional
            Decides the visiting orders of this call, and what dropout leaves out, in place of the
            model's seed.
        threads : int, optional
            How many threads to run on at most; by default the CPUs that this process may use, or
            FASTNN_NUM_THREADS. Steps too small to gain from more run on fewer, and stochastic
            mode on one unless its first layer is large. The bits of the result are the same for
            every number.
        train_metrics : {"running", "end"}
            Whether loss and metrics of an epoch are running means, each taken before its step, as
            in Keras; or, for another pass over the rows, those of the weights that the epoch ends
            with, as the validation's are.

        Returns
        -------
        History
            Loss and metrics of every epoch; also `model.history`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as said above. The model is then as it was; after a chunk that
            is not, and whatever the iterable itself raises, it keeps what it has learned from
            those before, and `model.history` the finished epochs.
        Diverged
            If training diverges; it is a FloatingPointError. The model keeps its last finite
            weights.
        KeyboardInterrupt
            On Ctrl-C, within a second. The model keeps the weights of the last finished slice of
            the epoch, and `model.history` the finished epochs.
        """
        self._refuse_within_fit("fit", "its weights are at work")
        plan = checked_plan(
            epochs=epochs,
            mode="batch" if y is None and mode is None and batch_size is None else mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed if seed is None else seed,
            threads=threads,
            validation_freq=validation_freq,
            initial_epoch=initial_epoch,
            train_metrics=train_metrics,
            verbose=verbose,
        )
        rows = GivenRows(
            X, y, sample_weight, class_weight, validation_data, validation_split, steps_per_epoch
        )
        return self._fit(plan, rows, [*progress(plan.verbose), *checked_callbacks(callbacks)])

    def _fit(self, plan: Plan, rows: GivenRows | Prepared, callbacks: list[Callback]) -> History:
        """Train, with the model closed to what would disturb it."""
        running = _Running()
        self._running = weakref.ref(running)
        try:
            return self._train(plan, rows, callbacks)
        finally:
            self._running = None
            self._forget_single_steps()  # a callback may have made single steps within the fit

    def _train(self, plan: Plan, rows: GivenRows | Prepared, callbacks: list[Callback]) -> History:
        """Check all that is left to check, then train in the optimiser's way."""
        if rows.in_chunks:
            self._check_chunks(plan)
        columns = self._known_columns()
        source, validation = rows.checked(lambda: self._inputs(columns), len(plan.numbers))
        first, size = source.first, plan.size(source.first.n_rows)
        self._check_mode(size, first.n_rows)
        numbers = recorded(self._optimizer, self._metrics, validated=validation is not None)
        history = new_history(plan, source, numbers)
        self._introduce(callbacks, history.params)
        tell(callbacks, "check")
        self._forget_single_steps()
        self.build(first.n_features)
        self._keep_names(columns)
        self.stop_training = False
        descent = self._descent(first, size, plan.threads, plan.seed)
        fit = Fit(self, descent, source, plan, self._metrics, validation, callbacks, history)
        fit.run(lbfgs.minimise if isinstance(self._optimizer, optimizers.LBFGS) else descend)
        return self.history

    def _introduce(self, callbacks: Sequence[Callback], params: dict[str, Any]) -> None:
        """Tell callbacks whose they are."""
        for callback in callbacks:
            callback.model, callback.params = self, params

    def train_on_batch(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """One update with the rows of X as one batch: for rows that come one after the other.

        A single row of an array, with one target, takes about two microseconds for small networks
        (without metrics and regularisers); its result is that of `fit` with this row alone, to the
        last bit.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            The targets; a plain number will do for one row.
        sample_weight : array of shape (n_samples,), optional
            The weights w_i >= 0.
        return_dict : bool
            Whether to return a dictionary by name.

        Returns
        -------
        float, list of float, or dict
            The loss before the update alone if there are no metrics, otherwise a list with the
            loss first. What regularisers add is part of the loss.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled, or X, y do not fit it. The model is then as it was.
        Diverged
            A FloatingPointError, if the loss, weights, or what the optimiser keeps for them, are no
            longer finite. The model goes back to those before the call or, of single rows and large
            networks, at most 64 steps before.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.train_on_batch(np.array([[1.0, 2.0]], np.float32), 3.0)
        9.0
        """
        if sample_weight is None and not return_dict:
            loss = None if self._metrics else self._learn_row(X, y)
            if loss is not None:
                return loss
        columns = self._known_columns()
        data = self._inputs(columns).data(X, np.atleast_1d(y), sample_weight)
        self._check_optimizer("minibatch")
        self.build(data.n_features)
        self._keep_names(columns)
        self._pass = None
        descent = self._batch_descent(data)
        try:
            scores = train_batch(descent, self._steps_watch(), self._metrics)
        finally:
            descent.release()
        self._batch = descent
        return self._in_keras_form(scores, return_dict)

    def _batch_descent(self, data: Rows) -> Descent:
        """What the last `train_on_batch` has left for a batch of the same shape, or a new one.

        It is taken away while it is in use: another thread, or a call within the call, makes its
        own.
        """
        descent, self._batch = self._batch, None
        if descent is None or descent.state is not self._state or not descent.serves(data):
            return self._descent(data, data.n_rows, None)
        descent.take(data)
        descent.seed, descent.team = self.seed, descent.team_for(None, data.n_rows)
        return descent

    def _steps_watch(self) -> DivergenceWatch:
        """The watch that all single steps share, so that they seldom copy the weights."""
        watch = self._watch
        if watch is None:
            network = self._built()
            watch = DivergenceWatch(network, self._optimizer, self._optimizer_state(network))
            self._watch = watch
        return watch

    def _learn_row(self, X: object, y: object) -> float | None:
        """One update with a single row; the loss before it.

        None, and nothing has happened, if this row, or model, cannot go the short way.
        """
        if self._one_row is None and isinstance(X, np.ndarray) and X.shape[:1] == (1,):
            self._one_row = self._new_one_row()
        if self._one_row is None:
            return None
        if self._pass is not None:  # to ask is faster than to set
            self._pass = None
        return self._one_row.learn(X, y)

    def test_on_batch(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics over the rows of X: `evaluate`, by Keras's other name.

        A plain number will do as the target of one row. Returns and raises what `evaluate` does.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.build(2)
        >>> model.test_on_batch([[1.0, 2.0]], 3.0)
        9.0
        """
        y = np.atleast_1d(y)
        scores = self.evaluate(X, y, sample_weight=sample_weight, return_dict=True)
        return self._in_keras_form(scores, return_dict)

    def predict_on_batch(self, X: ArrayLike) -> Array:
        """The outputs for every row of X: `predict`, by Keras's other name.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="ones")])
        >>> model.build(2)
        >>> model.predict_on_batch([[1.0, 2.0]])
        array([[3.]], dtype=float32)
        """
        return self.predict(X)

    def reset(self) -> None:
        """Begin again: weights drawn anew from the seed, no step made, no epoch trained.

        What the optimiser keeps, `epochs_trained` and `history` are as when the model was made.
        Layers, seed, metadata, the width of the input and what `compile` was told stay; so does a
        learning rate that was set since.

        Raises
        ------
        RuntimeError
            Within a `fit`.
        ValueError
            If a layer began with an array that was not kept, as of a loaded model. The model is
            then as it was.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1)], seed=0)
        >>> model.compile("Adam", "mean_squared_error")
        >>> first = model.fit([[1.0], [2.0]], [1.0, 2.0], epochs=3).history["loss"]
        >>> model.reset()
        >>> model.fit([[1.0], [2.0]], [1.0, 2.0], epochs=3).history["loss"] == first
        True
        """
        self._refuse_within_fit("reset", "its weights are at work")
        network = None
        if self._network is not None:
            network = self._fresh_network(self._network.n_features)
        self._replace(
            _network=network, _state=None, _batch=None, history=History(), epochs_trained=0,
            stop_training=False,
        )  # fmt: skip

    def find_learning_rate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        lowest: float = 1e-6,
        highest: float = 10.0,
        n_steps: int = 100,
        mode: Mode | None = None,
        batch_size: int | None = None,
        sample_weight: ArrayLike | None = None,
        threads: int | None = None,
    ) -> LearningRateCurve:
        """Try learning rates that grow from step to step, on a copy: this model stays as it is.

        The copy is a deep one, with history and metadata. Weights must be those that training
        begins with: a model that has made steps is refused, since its loss would not show which
        rate new weights need; `reset` makes it new.

        Parameters
        ----------
        X, y, sample_weight, mode, batch_size, threads
            As in `fit`. The rows are visited in random order, again and again if they are few.
        lowest, highest : float
            The rates of the first and the last step; each is a constant factor above the one
            before.
        n_steps : int
            How many rates to try, from 2 to a million; fewer if the loss explodes. Each is tried
            for a step or, of batches shorter than 32 rows, for as many as make 32 rows.

        Returns
        -------
        LearningRateCurve
            `rates`, `losses` (running means, before each step) and a `suggestion`: a tenth of the
            rate at which the loss was lowest, and with momentum 1 - momentum of that. A
            UserWarning says so if that was `highest`, so that a larger rate may be better.

        Raises
        ------
        TypeError, ValueError
            If the model is trained already or not compiled with a loss, its optimiser has no
            learning rate, an argument is not as said above, or the loss falls at none of the
            rates.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Sequential
        >>> X = np.random.default_rng(0).normal(size=(500, 3))
        >>> model = Sequential([Dense(1)], seed=0)
        >>> model.compile("SGD", "mean_squared_error")
        >>> curve = model.find_learning_rate(X, X.sum(axis=1))
        >>> 0.001 < curve.suggestion < 1
        True
        """
        self._refuse_trained()
        low = real_number("lowest", lowest, above=0)
        high = real_number("highest", highest, above=low)
        rates = np.geomspace(low, high, whole_number("n_steps", n_steps, minimum=2, maximum=10**6))
        twin = copy.deepcopy(self)
        twin._optimizer.learning_rate = low
        data = twin._inputs().data(X, y, sample_weight)
        visits: dict[str, Any] = {"epochs": 1, "mode": mode, "batch_size": batch_size}
        plan = checked_plan(**visits, shuffle=True, seed=twin.seed, threads=threads)
        size = plan.size(data.n_rows)
        twin._check_mode(size, data.n_rows)
        twin.build(data.n_features)
        descent = twin._descent(data, max(size, 2), plan.threads)
        order = plan.order(0, data.n_rows)
        with descent.team:
            return range_test(
                descent, np.arange(data.n_rows) if order is None else order, size, rates
            )

    def _refuse_trained(self) -> None:
        """Raise if the weights have moved: near a minimum the loss tells no good rate."""
        steps = 0 if self._state is None else self._state.step
        if self.epochs_trained or steps:
            raise ValueError(
                "the model is trained already, and where training has been the loss no longer "
                "shows which learning rate new weights need; try it on new ones: "
                "import copy; fresh = copy.deepcopy(model); fresh.reset(); "
                "fresh.find_learning_rate(X, y)"
            )

    @property
    def _is_fitting(self) -> bool:
        return self._running is not None and self._running() is not None

    def _refuse_within_fit(self, method: str, why: str) -> None:
        if self._is_fitting:
            raise RuntimeError(
                f"{method} within a fit of the same model: {why}; end the fit first, with "
                f"model.stop_training = True"
            )

    def _forget_single_steps(self) -> None:
        """Drop what single steps keep of the weights, which are about to change otherwise."""
        self._replace()

    def _new_one_row(self) -> OneRow | None:
        """The short way for single rows; None if this model cannot take it."""
        network, loss = self._network, self._loss
        if network is None or loss is None or isinstance(loss, CustomLoss):
            return None
        state, optimizer = self._optimizer_state(network), self._optimizer
        if optimizer.needs_all_rows:
            return None
        if not has_own_paths(network, optimizer.rule(network.layer_rules, state)):
            return None
        return OneRow(self._steps_watch(), loss)

    def _watchers(self, callbacks: object, n_rows: int) -> list[Callback]:
        """The callbacks of an `evaluate` or `predict` of so many rows.

        Within a fit those that it has told its own parameters keep them.
        """
        checked = checked_callbacks(callbacks)
        if self._is_fitting:
            new = [callback for callback in checked if getattr(callback, "model", None) is not self]
        else:
            new = checked
        self._introduce(new, {"samples": n_rows, "verbose": 0})
        return checked

    def _in_keras_form(
        self, scores: dict[str, float], as_dict: bool
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics as Keras returns them."""
        if as_dict:
            return scores
        return list(scores.values()) if self._metrics else scores["loss"]

    def _inputs(self, columns: Columns | None = None) -> Inputs:
        """What the model asks of rows to train on or to evaluate."""
        columns = columns or self._known_columns()
        n_features = self._network.n_features if self._network else None
        loss, units = self._compiled_loss(), self._dense_layers[-1].units
        return Inputs(self.dtype, loss, units, n_features, self._normalization, columns)

    def _descent(
        self, data: Rows, batch_size: int, threads: int | None, seed: int | None = None
    ) -> Descent:
        network, keep = self._built(), bool(self._metrics)
        state, loss = self._optimizer_state(network), self._compiled_loss()
        descent = Descent(network, self._optimizer, state, loss, data, keep)
        descent.seed = self.seed if seed is None else seed
        descent.team = descent.team_for(threads, batch_size)
        return descent

    def _check_mode(self, size: int, n_rows: int) -> None:
        """Raise if loss or optimiser cannot work with batches of so many of these rows."""
        mode = "batch" if size >= n_rows else mode_of(size, n_rows)  # of a single row, too
        if mode == "stochastic" and isinstance(self._loss, CustomLoss):
            raise ValueError(CUSTOM_LOSS_NEEDS_BATCHES)
        self._check_optimizer(mode)

    def _check_chunks(self, plan: Plan) -> None:
        """Raise if a fit of rows in chunks asks for all of them at once."""
        if plan.mode == "batch" and plan.batch_size is not None:
            raise ValueError(
                f"mode='batch' makes each chunk a batch, but batch_size={plan.batch_size}; leave "
                f"one of them out, or use mode='minibatch'"
            )
        if isinstance(self._loss, CustomLoss) and plan.size(2) == 1:
            raise ValueError(CUSTOM_LOSS_NEEDS_BATCHES)
        if self._optimizer.needs_all_rows:
            raise ValueError(
                f"optimizer={self._optimizer} looks at the cost of all rows, but they come in "
                f"chunks; compile with another one, e.g. model.compile('SGD', "
                f"loss={self._loss_example!r})"
            )
        if plan.measured_at_end:
            raise ValueError(
                "train_metrics='end' goes through the rows once more, but chunks are gone by then; "
                "leave it out, or keep rows apart for validation_data"
            )

    def _check_optimizer(self, mode: str) -> None:
        """Raise if the optimiser cannot work in this mode."""
        if isinstance(self._optimizer, optimizers.LBFGS):
            lbfgs.scipy_optimize()  # before anything changes
        if not self._optimizer.needs_all_rows:
            return
        if mode != "batch":
            raise ValueError(
                f"optimizer={self._optimizer} looks at the cost of all rows, but this is {mode} "
                f"mode; say fit(..., mode='batch')"
            )
        if any(self._dropout):
            raise ValueError(
                f"optimizer={self._optimizer} compares the cost from step to step, which dropout "
                f"makes random; take the Dropout layers out, or another optimiser"
            )

    def _adopt_optimizer(self, other: Sequential) -> None:
        """Go on with another model's optimiser and what it keeps; the weights are as many."""
        self._replace(_optimizer=other._optimizer, _state=other._state, _batch=None)

    @property
    def optimizer(self) -> Optimizer:
        """The model's own optimiser; its `learning_rate` may be set, in callbacks too."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        try:
            new = repr(optimizer if isinstance(optimizer, str) else optimizers.get(optimizer))
            optimizers.get(optimizer)
        except (TypeError, ValueError):
            new = "'adam'"
        raise AttributeError(
            f"the optimiser comes with compile: model.compile({new}, loss={self._loss_example!r})"
        )

    @property
    def _loss_example(self) -> str:
        """The name of the model's loss or, for want of one, of a loss that fits; for messages."""
        if self._loss is not None and self._loss.name in losses.LOSSES:
            return self._loss.name
        return fitting_loss(self._dense_layers[-1])

    def _optimizer_state(self, network: Network) -> optimizers.State:
        state = self._state
        if state is None:
            state = self._state = new_state(network, self._optimizer)
        return state

    def _compiled_loss(self) -> Loss:
        if self._loss is None:
            raise ValueError(
                f"the model is not compiled with a loss; first call "
                f"model.compile(loss={self._loss_example!r})"
            )
        return self._loss

    def _built(self) -> Network:
        if self._network is None:
            raise ValueError("the model has no weights yet; call model.build(n_features) or fit")
        return self._network

    # ---- using ------------------------------------------------------------------------------

    def predict(
        self,
        X: ArrayLike,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        *,
        callbacks: Sequence[Callback] | None = None,
        threads: int | None = None,
        out: Array | None = None,
    ) -> Array:
        """The outputs for every row of X.

        Up to 64 rows of a small network take some microseconds. Rows in a list are first made into
        an array, which takes longer than the network if there are hundreds of numbers in a row.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        batch_size, verbose
            Without effect: memory is small without batches, and nothing is shown. They let calls
            written for Keras run as they are.
        callbacks : sequence of Callback, optional
            Their `on_predict_...` hooks are called, with a slice of the rows as a batch.
        threads : int, optional
            How many threads to run on at most, as in `fit`.
        out : array of shape (n_samples, n_outputs), optional
            Where to write them, of the model's dtype, in C order; it is also what is returned.

        Returns
        -------
        array of shape (n_samples, n_outputs)
            Of the model's dtype; probabilities if the last activation is sigmoid or softmax.

        Raises
        ------
        TypeError, ValueError
            If the model has no weights yet, or X or `out` is not as said above.
        FloatingPointError
            If a result overflows the model's dtype.
        """
        plain = batch_size is None and callbacks is None and threads is None and out is None
        if plain and type(verbose) is int and verbose == 0:
            outputs = self._outputs_of_few(X)
            if outputs is not None:
                return outputs
        check_idle(batch_size, verbose)
        network, wanted = self._built(), checked_threads(threads)
        given = self._known_columns().ordered(X)
        rows = features(given, self.dtype, n_features=network.n_features)
        if out is not None:
            out = room_for("out", out, (len(rows.X), network.n_outputs), self.dtype)
        watchers = self._watchers(callbacks, len(rows.X))
        with network.forward_team(wanted, len(rows.X)) as team:
            return evaluation.predict(network, rows, team, watchers, out)

    def _outputs_of_few(self, X: object) -> Array | None:
        """The outputs of a few rows; None if they cannot go the short way, or are not right."""
        network = self._network
        if network is None:
            return None
        few: FewRows | None = getattr(self._by_thread, "few_rows", None)
        if few is None or few.network is not network:
            few = self._by_thread.few_rows = FewRows(network)
        return few.outputs(X)

    @overload
    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        batch_size: int | None = ...,
        verbose: Verbose = ...,
        *,
        sample_weight: ArrayLike | None = ...,
        callbacks: Sequence[Callback] | None = ...,
        return_dict: Literal[False] = ...,
        threads: int | None = ...,
    ) -> float | list[float]: ...
    @overload
    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        batch_size: int | None = ...,
        verbose: Verbose = ...,
        *,
        sample_weight: ArrayLike | None = ...,
        callbacks: Sequence[Callback] | None = ...,
        return_dict: Literal[True],
        threads: int | None = ...,
    ) -> dict[str, float]: ...
    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        *,
        sample_weight: ArrayLike | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
        threads: int | None = None,
    ) -> float | list[float] | dict[str, float]:
        """The loss L = 1/n sum_i w_i l_i and the metrics over the rows of X.

        What the layers' regularisers add is part of the loss, as in Keras. `threads` is how many
        threads to run on at most, as in `fit`; `batch_size` and `verbose` have no effect, as in
        `predict`. The `on_test_...` hooks of `callbacks` are called, with a slice of the rows as a
        batch.

        Returns
        -------
        float, list of float, or dict
            The loss alone if there are no metrics, otherwise a list with the loss first; with
            `return_dict` a dictionary by name.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or has no weights, or X, y do not fit it.
        FloatingPointError
            If a result overflows the model's dtype.
        """
        check_idle(batch_size, verbose)
        loss = self._compiled_loss()
        network, wanted = self._built(), checked_threads(threads)
        data = self._inputs().data(X, y, sample_weight)
        watchers = self._watchers(callbacks, data.n_rows)
        with network.forward_team(wanted, data.n_rows) as team:
            scores = evaluation.evaluate(network, data, loss, self._metrics, team, watchers)
        if not math.isfinite(scores["loss"]):
            raise FloatingPointError(
                f"the loss is {scores['loss']}: weights, features or targets are huge; scale them"
            )
        return self._in_keras_form(scores, return_dict)

    def gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        threads: int | None = None,
    ) -> dict[str, Array]:
        """Backpropagation alone: the gradient of L = 1/n sum_i w_i l_i. No weight moves.

        What the layers' regularisers add is part of L; momentum is not. `threads` is how many
        threads to run on at most, as in `fit`.

        Returns
        -------
        dict of str to array
            "dL/dW1" of shape (n_in, n_out), "dL/db1" of shape (n_out,), "dL/dW2", ...

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or has no weights, or X, y do not fit it.
        FloatingPointError
            If a result overflows the model's dtype.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.build(2)
        >>> model.gradient([[1.0, 2.0]], [3.0])["dL/dW1"]
        array([[ -6.],
               [-12.]], dtype=float32)
        """
        loss = self._compiled_loss()
        network, wanted = self._built(), checked_threads(threads)
        data = self._inputs().data(X, y, sample_weight)
        if isinstance(loss, CustomLoss):
            flat = network.new_gradient()
            rows = Rows(data.X)
            passed = Pass(network, min(data.n_rows, network.slice_rows), drop=False)
            custom_gradient(passed, network.rows(rows), None, 0, data.y, loss, flat)
            network.add_penalty_gradient(flat, 1 / data.n_rows)
            network.refuse_overflow("the gradient", flat)
            return _named(network, flat)
        with network.training_team(wanted, data.n_rows) as team:
            flat = network.gradient(data, loss, team)
        return _named(network, flat)

    def forward(self, X: ArrayLike, *, training: bool = False) -> Array:
        """The outputs for every row of X, which then wait for `backward`.

        With `backward` and `apply` the three steps of gradient descent, for losses that are
        computed elsewhere: reinforcement learning, physics, another library's derivatives. Each
        row's outputs of all layers are kept until the weights change, so memory grows with the
        rows.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        training : bool
            Whether Dropout layers leave out units, others for every step that has been made.

        Returns
        -------
        array of shape (n_samples, n_outputs)

        Raises
        ------
        TypeError, ValueError
            If the model has no weights yet, or X is not as the model needs it.
        FloatingPointError
            If a result overflows the model's dtype.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import SGD, Dense, Sequential
        >>> X, y = np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]])
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile(SGD(0.1))
        >>> model.build(1)
        >>> for _ in range(500):
        ...     error = model.forward(X) - y  # dL/dy of L = 1/2 sum (y_pred - y)^2
        ...     model.apply(model.backward(error))
        >>> model.predict(X).round(1)
        array([[2.],
               [4.]], dtype=float32)
        """
        network = self._built()
        given = self._known_columns().ordered(X)
        rows = features(given, self.dtype, n_features=network.n_features)
        key = 0
        if flag("training", training):
            key = dropout_key(self.seed, self._optimizer_state(network).step)
        passed = Pass(network, rows.n_rows, drop=training)
        outputs = passed.forward(network.rows(rows), None, 0, rows.n_rows, key)
        network.refuse_overflow("the output", outputs)
        self._pass = passed
        return outputs.copy()

    def backward(self, dL_dy: ArrayLike, *, inputs: bool = False) -> dict[str, Array]:
        """Backpropagation from dL/dy of the rows that `forward` took. No weight moves.

        Parameters
        ----------
        dL_dy : array of shape (n_samples, n_outputs)
            How the loss changes with each output; of a mean over rows with its 1/n.
        inputs : bool
            Whether to return dL/dX too.

        Returns
        -------
        dict of str to array
            "dL/dW1", "dL/db1", "dL/dW2", ... with what regularisers add, as `gradient` returns
            them; and "dL/dX" of shape (n_samples, n_features) if asked for.

        Raises
        ------
        TypeError, ValueError
            If nothing went forward since the weights last changed, or dL_dy is not finite or not
            of the outputs' shape.
        FloatingPointError
            If a result overflows the model's dtype.
        """
        network, passed = self._built(), self._pass
        if passed is None:
            raise ValueError(
                "nothing has gone forward since the weights last changed; call "
                "y = model.forward(X), then model.backward(dL_dy)"
            )
        given = layer_weights("dL_dy", dL_dy, passed.outputs.shape, self.dtype)
        flat = network.new_gradient()
        dL_dX = passed.input_gradient(given, flat) if flag("inputs", inputs) else None
        if dL_dX is None:
            passed.backward(given, flat)
        network.add_penalty_gradient(flat, 1 / len(given))
        network.refuse_overflow("the gradient", flat)
        found = _named(network, flat)
        return found if dL_dX is None else found | {"dL/dX": dL_dX}

    def apply(self, gradient: Mapping[str, ArrayLike]) -> None:
        """One step of the optimiser along a gradient, whatever it is the gradient of.

        Parameters
        ----------
        gradient : dict of str to array
            "dL/dW1", "dL/db1", ... as `gradient` and `backward` return them, with what regularisers
            add; other names are left aside. Layers that are not trained do not move.

        Raises
        ------
        TypeError, ValueError
            If an array is missing, or not finite, or has another shape. The model is then as it
            was.
        Diverged
            A FloatingPointError, if weights are no longer finite. The model goes back to finite
            weights, and what the optimiser kept with them, of at most 64 steps before.
        """
        network, optimizer = self._built(), self._optimizer
        if optimizer.needs_all_rows:
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
                    f"gradient has no {key!r}; expected {', '.join(_named(network, flat))}"
                )
            view[...] = layer_weights(key, gradient[key], view.shape, self.dtype)
        self._pass = None
        apply_gradient(self._steps_watch(), flat)

    # ---- weights ----------------------------------------------------------------------------

    def get_weights(self) -> list[Array]:
        """Copies of the weights: W1 (n_in, n_out), b1 (n_out,), W2, ..., as in Keras."""
        return [view.copy() for view in self._weight_views()]

    def _weight_views(self) -> list[Array]:
        """The weights themselves, in the same order."""
        network = self._built()
        return list(network.views(network.parameters).values())

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Put weights in place of the model's, in the order of `get_weights`.

        Raises ValueError, and changes nothing, if their number, a shape or a value does not fit.
        """
        network = self._built()
        views = network.views(network.parameters)
        weights = items("weights", weights, "model.get_weights()")
        if len(weights) != len(views):
            raise ValueError(
                f"weights has {len(weights)} arrays; expected {len(views)}: {', '.join(views)}"
            )
        flat = network.new_gradient()  # beside the old ones, from which the new may be views
        for (name, view), values in zip(network.views(flat).items(), weights, strict=True):
            view[...] = layer_weights(name, values, view.shape, self.dtype)
        self._forget_single_steps()
        if self._state is not None and self._optimizer.use_ema:
            self._state.slots[-1] = flat  # an average of others would replace them
        network.parameters[:] = flat

    def adopt_average(self) -> None:
        """Put the running average of the weights in their place, as `fit` does when it ends.

        For an optimiser with `use_ema`, after single steps or a fit that was interrupted; without
        one, or before the first step, nothing happens.
        """
        if self._network is not None and self._state is not None:
            self._forget_single_steps()
            adopt_average(self._network, self._optimizer, self._state)

    def summary(self) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Of a compiled model that has its weights also optimiser, loss, the path that stochastic mode
        takes through the first layer (the page "One update per sample" of the documentation
        explains the names), and the threads and the memory that batches of 32 rows take.
        """
        network = self._network
        n_features, about = (
            network.n_features if network else None,
            f"{self.dtype}, seed {self.seed}",
        )
        for line in layer_lines(self.layers, n_features, about):
            print(line)
        if network is not None and self._loss is not None:
            state = self._optimizer_state(network)
            for line in training_lines(network, self._loss, self._optimizer, state):
                print(line)

    def as_estimator(
        self, *, classes: ArrayLike | None = None, **parameters: Any
    ) -> MLPClassifier | MLPRegressor:
        """A fitted scikit-learn estimator around this model, whose weights the two then share.

        For pipelines, searches and scores. Its `partial_fit` trains this model; its `fit` makes a
        new one from the parameters, which are read off this one. Needs scikit-learn.

        Parameters
        ----------
        classes : array, optional
            The labels of the outputs, sorted; with them it is a classifier, whatever the loss: of
            a single output more than 0.5 (of a hinge loss more than 0) means the second label.
            Without them it is a regressor if the loss takes numbers or counts or is a function of
            your own. Of a cross-entropy or a hinge loss it is a classifier of 0 and 1 (one
            output), of 0 ... k-1 (softmax), or of rows with several labels (several outputs, each
            of which says yes or no).
        **parameters
            Of `MLPClassifier` or `MLPRegressor`, in place of those read off.

        Raises
        ------
        ValueError
            If the model has no weights yet, is not compiled with a loss, or has layers that those
            parameters cannot say; if `classes` do not fit the outputs, or nobody says which
            outputs mean the second one: with a function of your own a single output that is no
            sigmoid.
        TypeError
            If a parameter is unknown.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(4, "relu"), Dense(1, "sigmoid")], seed=0)
        >>> model.compile("Adam", "binary_crossentropy")
        >>> model.build(2)
        >>> clf = model.as_estimator(classes=["ham", "spam"])
        >>> clf.predict([[1.0, 2.0]]).shape
        (1,)
        """
        from fastnn.estimators.conversion import estimator_of

        self._built()
        return estimator_of(self, classes, parameters)

    # ---- files and copies -------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an .npz file: layers, weights, statistics, settings, metadata.

        An array that a layer began with is not kept, only its shape: the weights are those of now.
        Nor is a function of your own, a loss or a metric: `compile` with it again after loading.

        The file is written beside its place, as ".fastnn-...", and moved there when it is complete:
        a crash leaves an older file whole, and several threads or processes may save to one path.
        What a process that was killed has left is removed by the next save to that path. A file
        keeps its permissions, and a symbolic link leads to the new file.

        Raises
        ------
        ValueError
            If the model has no weights yet, the name does not end in .npz, `metadata` holds what
            JSON cannot, is nested more than 100 deep or has whole numbers of more than 100 digits,
            or a layer or the optimiser has a part that is not of this package.
        OSError
            If the file cannot be written; an older file of that name is then still whole.
        """
        self._check_normalization(self._built().n_features)
        if not isinstance(self.metadata, dict):
            raise ValueError(f"metadata is {self.metadata!r}; expected a dictionary")
        config = self._config()
        compiled = config["compiled"]
        if isinstance(self._loss, CustomLoss):
            compiled["loss"] = None
        functions = [metric for metric in self._metrics if isinstance(metric, CustomMetric)]
        compiled["metrics"] = [one for one in self._metrics if one not in functions]
        npz.save(path, config, self._arrays())

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self._config(), "arrays": self._arrays(), "history": self.history}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(_model_from(state["config"], state["arrays"]).__dict__)
        self.history = state["history"]

    def _arrays(self) -> dict[str, Array]:
        return named_arrays(self._network, self._state, self._normalization)

    def _config(self) -> dict[str, Any]:
        """All but the arrays: layers, loss and optimiser as they are."""
        names = self.feature_names
        named = {} if names is None else {"feature_names": names}
        return named | {
            "n_features": self._network.n_features if self._network else None,
            "dtype": self.dtype,
            "seed": self.seed,
            "epochs_trained": self.epochs_trained,
            "layers": [
                {"kind": "Normalization"} if isinstance(layer, Normalization) else layer
                for layer in self.layers
            ],
            "compiled": {
                "loss": self._loss,
                "optimizer": self._optimizer,
                "step": self._state.step if self._state else 0,
                "rate": self._state.rate if self._state else 0.5,
                "metrics": self._metrics,
            },
            "metadata": self.metadata,
        }


for _name in _REMEDIES:
    setattr(Sequential, _name, _Elsewhere(_name))


def load(path: str | os.PathLike[str]) -> Sequential:
    """Read a model that `Sequential.save` wrote: it predicts, evaluates and trains on as before.

    Raises
    ------
    OSError
        If the file cannot be opened; FileNotFoundError if there is none.
    ValueError
        If the file is not a whole fastnn model. Whatever a file claims, it takes no more memory
        than its own size and that of the model, and nothing in it is executed.
    """
    config, arrays = npz.load(path)
    try:
        whole_number("n_features", config["n_features"], minimum=1)
        return _model_from(config, arrays)
    except Exception as error:  # an entry may be anything
        raise ValueError(f"{path} does not describe a fastnn model: {error}") from error


def _model_from(config: dict[str, Any], arrays: dict[str, Array]) -> Sequential:
    """The model that `_config` and `_arrays` describe."""
    weights, slots, statistics = sorted_arrays(arrays)
    kinds = {**KINDS, "Normalization": lambda: Normalization(**statistics)}
    layers = [from_config(entry, kinds) for entry in config["layers"]]
    model = Sequential(layers, dtype=config["dtype"], seed=config["seed"])
    n_features = config["n_features"]
    _restore_columns(model, config.get("feature_names"), n_features)
    shapes = {} if n_features is None else weight_shapes(n_features, model._dense_layers)
    if shapes != {name: array.shape for name, array in weights.items()}:
        raise ValueError("the arrays are not those of its layers")
    if n_features is not None:
        model._network = model._new_network(n_features)
        model.set_weights([weights[name] for name in shapes])
    model.epochs_trained = count("epochs_trained", config["epochs_trained"])
    if not isinstance(config["metadata"], dict):
        raise TypeError(f"metadata={config['metadata']!r}: expected a dictionary")
    model.metadata = config["metadata"]
    compiled = config["compiled"]
    _compile_again(model, compiled)
    model._state = restored_state(model._network, model._optimizer, compiled, slots)
    return model


def _compile_again(model: Sequential, compiled: dict[str, Any]) -> None:
    """Compile with the parts that a file names, if they are such."""
    optimizer, loss = from_config(compiled["optimizer"]), from_config(compiled["loss"])
    measured = [from_config(entry) for entry in items("metrics", compiled["metrics"], "[]")]
    if not all(isinstance(one, Metric) for one in measured):
        raise TypeError(f"metrics={measured!r}: expected metrics")
    if not isinstance(loss, Loss | None):
        raise TypeError(f"loss={loss!r}: expected a loss")
    model.compile(optimizer, loss, measured)


def _restore_columns(model: Sequential, names: Any, n_features: int | None) -> None:
    """Give a model the names of its columns again; older files have none."""
    if names is None:
        return
    are_text = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not are_text or n_features not in (None, len(names)):
        raise ValueError(f"feature_names={names!r} are not those of {n_features} columns")
    model._keep_names(Columns(names))


def _refuse_mistaken(name: str, model: type[Sequential]) -> None:
    """Raise if a new attribute's name means one that models have; others are free."""
    own = Sequential.__annotations__
    if name in own:
        return
    known = [*own, *(one for one in dir(model) if one[0] != "_")]
    for near in difflib.get_close_matches(name, known, n=1, cutoff=0.85):
        remedy = f"; {_REMEDIES[near]}" if near in _REMEDIES else ""
        raise AttributeError(f"a model has no {name}. Did you mean {near!r}?{remedy}")


def _named(network: Network, flat: Array) -> dict[str, Array]:
    """The arrays of a new gradient, by name; copied only where rows have padding between them."""
    views = network.views(flat)
    return {f"dL/d{name}": np.ascontiguousarray(view) for name, view in views.items()}
