"""Sequential: the engine in Keras's words."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from fastnn import optimizers
from fastnn._core import CLIPS
from fastnn.callbacks.base import Callback, checked_callbacks
from fastnn.callbacks.history import History
from fastnn.callbacks.progress import progress
from fastnn.custom import CustomLoss, CustomMetric, LossLike, MetricLike
from fastnn.data.arrays import layer_weights
from fastnn.data.checks import flag, lookup, real_number, whole_number
from fastnn.data.rows import Array
from fastnn.data.sources import RowChunks
from fastnn.files import npz
from fastnn.files.arrays import restored_state
from fastnn.files.description import Description, described, parsed
from fastnn.inspection.diagnosis import Diagnosis
from fastnn.inspection.gradcheck import GradientCheck
from fastnn.inspection.learning_rates import LearningRateCurve
from fastnn.inspection.summary import layer_lines, training_lines
from fastnn.inspection.trace import Trace
from fastnn.inspection.update import Moved, explained
from fastnn.inspection.writing import FORMATS, Format
from fastnn.layers import Layer, ModelDType, checked_dtype, checked_layers
from fastnn.optimizers import Optimizer, OptimizerLike
from fastnn.training.learner import Learner
from fastnn.training.plan import (
    Measured,
    Mode,
    Verbose,
    check_idle,
    checked_plan,
    checked_seed,
    checked_threads,
)
from fastnn.training.row_checks import ClassWeight, GivenRows

if TYPE_CHECKING:
    from fastnn.estimators import MLPClassifier, MLPRegressor

SHOWN_LAYERS = 6  # in a line


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
    _learner: Learner

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        dtype: ModelDType = "float32",
        seed: int | None = None,
    ) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        learner = Learner(checked_layers(layers), checked_dtype(dtype))
        vars(self).update(_untrained(learner, checked_seed(seed)))

    def __repr__(self) -> str:
        shown = [repr(layer) for layer in self.layers]
        if len(shown) > SHOWN_LAYERS:
            shown[3:-2] = ["..."]
        parts = [f"[{', '.join(shown)}]"]
        if self._learner.network is not None:
            parts.append(f"n_features={self._learner.network.n_features}")
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
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns, None as long as rows came without."""
        return self._learner.known_names

    @property
    def built(self) -> bool:
        """Whether the model has weights: after `build`, the first `fit`, or `load`."""
        return self._learner.network is not None

    def build(self, n_features: int) -> None:
        """Make the weights for inputs of `n_features` columns and draw their initial values.

        Raises ValueError if the model was built for another width, or if an array of initial
        values does not fit; the model is then as it was.
        """
        self._learner.build(whole_number("n_features", n_features, minimum=1), self.seed)

    def compile(
        self,
        optimizer: OptimizerLike = "SGD",
        loss: LossLike | None = None,
        metrics: Sequence[MetricLike] | None = None,
        weighted_metrics: Sequence[MetricLike] | None = None,
    ) -> None:
        """Choose optimiser, loss and metrics. The weights stay; the optimiser starts from scratch.

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
            objects with other settings: `Huber(delta=2)`. Or a custom loss, a function
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
            an epoch ends; see `fastnn.custom.CustomMetric`. With a custom loss only functions
            can be metrics.
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
        self._learner.compile(optimizer, loss, metrics, weighted_metrics)

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
        """Train the model by gradient descent; a second call continues where the first ended.

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
            Validate after every `validation_freq`-th epoch; the history's lists of validation have
            one number for each of those.
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
            If an argument or the rows do not fit the model, which then is as it was. If a chunk
            does not, or the iterable itself raises, the model keeps what it has learned from the
            chunks before, and `model.history` the finished epochs.
        RuntimeError
            Within a `fit` of the same model, in a callback or in another thread.
        Diverged
            If training diverges; it is a FloatingPointError. The model keeps its last finite
            weights.
        KeyboardInterrupt
            On Ctrl-C, within a second. The model keeps the weights of the last finished slice of
            the epoch, and `model.history` the finished epochs.
        """
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
        given = GivenRows(
            X, y, sample_weight, class_weight, validation_data, validation_split, steps_per_epoch
        )
        shown = progress(plan.verbose) if plan.verbose else []
        asked = [] if callbacks is None else checked_callbacks(callbacks)
        return self._learner.fit(self, plan, given, [*shown, *asked])

    def train_on_batch(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """One update with the rows of X as one batch: for rows that come one after the other.

        A single row of an array, with a label, a number or a row of numbers, takes two to three
        microseconds for small networks without metrics; its result is that of `fit` with this row
        alone, to the last bit.

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
        RuntimeError
            While another thread is in a `fit` of this model; for its single steps the call waits.
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
        learner = self._learner
        if type(X) is ndarray and X.ndim == 2 and len(X) == 1 and sample_weight is None:
            loss = None if return_dict or learner.metrics else learner.learn_row(X, y)
            if loss is not None:
                return loss
        scores = learner.train_batch(X, y, sample_weight, self.seed)
        if return_dict or learner.metrics:
            return self._in_keras_form(scores, return_dict)
        return scores["loss"]

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
        y = y if y is None else np.atleast_1d(y)
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
        """Begin again: weights drawn from the seed once more, no step made, no epoch trained.

        What the optimiser keeps, `epochs_trained` and `history` are as when the model was made.
        Layers, seed, metadata, the width of the input and what `compile` was given stay; so does a
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
        self._learner.refuse_within_fit("reset", "its weights are at work")
        self._learner.reset(
            self.seed, self, history=History(), epochs_trained=0, stop_training=False
        )

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
            learning rate, an argument does not fit, or the loss falls at none of the rates.

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
        twin.optimizer.learning_rate = low
        learner = twin._learner
        rows = learner.requirements().rows(X, y, sample_weight)
        visits: dict[str, Any] = {"epochs": 1, "mode": mode, "batch_size": batch_size}
        plan = checked_plan(**visits, shuffle=True, seed=twin.seed, threads=threads)
        return learner.try_learning_rates(rows, plan, rates)

    def _refuse_trained(self) -> None:
        """Raise if the weights have moved: near a minimum the loss tells no good rate."""
        state = self._learner.state
        if self.epochs_trained or (state is not None and state.step):
            raise ValueError(
                "the model is trained already, and where training has been the loss no longer "
                "shows which learning rate new weights need; try it on new ones: "
                "import copy; fresh = copy.deepcopy(model); fresh.reset(); "
                "fresh.find_learning_rate(X, y)"
            )

    def _in_keras_form(
        self, scores: dict[str, float], as_dict: bool
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics as Keras returns them."""
        if as_dict:
            return scores
        return list(scores.values()) if self._learner.metrics else scores["loss"]

    @property
    def optimizer(self) -> Optimizer:
        """The model's own optimiser; its `learning_rate` may be set, in callbacks too."""
        return self._learner.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        try:
            new = repr(optimizer if isinstance(optimizer, str) else optimizers.get(optimizer))
            optimizers.get(optimizer)
        except (TypeError, ValueError):
            new = "'adam'"
        raise AttributeError(
            f"the optimiser comes with compile: model.compile({new}, "
            f"loss={self._learner.loss_example!r})"
        )

    # ---- using ------------------------------------------------------------------------------

    @overload
    def predict(
        self,
        X: ArrayLike,
        batch_size: int | None = ...,
        verbose: Verbose = ...,
        *,
        callbacks: Sequence[Callback] | None = ...,
        threads: int | None = ...,
        out: Array | None = ...,
        samples: None = ...,
    ) -> Array: ...
    @overload
    def predict(
        self,
        X: ArrayLike,
        batch_size: int | None = ...,
        verbose: Verbose = ...,
        *,
        threads: int | None = ...,
        samples: int,
    ) -> tuple[Array, Array]: ...
    def predict(
        self,
        X: ArrayLike,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        *,
        callbacks: Sequence[Callback] | None = None,
        threads: int | None = None,
        out: Array | None = None,
        samples: int | None = None,
    ) -> Array | tuple[Array, Array]:
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
        samples : int, optional
            Monte-Carlo dropout: pass the rows this often, at least twice, with other units left
            out each time, and return mean and standard deviation of the outputs. The model's seed
            decides which units: the same call gives the same numbers, on any number of threads.
            The deviation says how unsure the network is of a row. Source: Gal, Ghahramani 2016
            (arXiv:1506.02142).

        Returns
        -------
        array of shape (n_samples, n_outputs), or two of them
            Of the model's dtype; probabilities if the last activation is sigmoid or softmax. With
            `samples` the means and the standard deviations.

        Raises
        ------
        TypeError, ValueError
            If the model has no weights yet, or X or `out` does not fit; if there are `samples` but
            no Dropout layer.
        FloatingPointError
            If a result overflows the model's dtype.
        """
        if samples is not None:
            check_idle(batch_size, verbose)
            return self._sample(X, samples, threads, callbacks, out)
        plain = batch_size is None and callbacks is None and threads is None and out is None
        if plain and type(verbose) is int and verbose == 0:
            outputs = self._learner.predict_few(X)
            if outputs is not None:
                return outputs
        check_idle(batch_size, verbose)
        return self._learner.predict(self, X, checked_threads(threads), callbacks, out)

    def _sample(
        self, X: object, samples: object, threads: object, callbacks: object, out: object
    ) -> tuple[Array, Array]:
        """`predict` with Monte-Carlo dropout."""
        for name, given in (("callbacks", callbacks), ("out", out)):
            if given is not None:
                raise ValueError(
                    f"samples={samples!r} returns two arrays and takes no {name}; leave out {name}"
                )
        n_samples = whole_number("samples", samples, minimum=2)
        return self._learner.sample_predictions(X, n_samples, checked_threads(threads), self.seed)

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
        given, wanted = GivenRows(X, y, sample_weight), checked_threads(threads)
        scores = self._learner.evaluate(self, given, wanted, callbacks)
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
        given = GivenRows(X, y, sample_weight)
        return self._learner.gradient(given, checked_threads(threads))

    def trace(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        training: bool = False,
        threads: int | None = None,
    ) -> Trace:
        """Every value of the forward pass and of backpropagation, by its name in the chain rule.

        The numbers come from the kernels that train, and no weight moves: `explain()` of the
        result writes the chain rule with them, `explain_update` the step of the optimiser that
        would follow. The values of all rows are kept, so memory grows with the rows.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or (n_features,)
            The rows; a vector is one of them.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            The targets; of one row as a vector a number, or a vector of n_outputs, will do.
        sample_weight : array of shape (n_samples,), optional
            The weights w_i >= 0.
        training : bool
            Whether Dropout layers leave out units, as in the next step of training.
        threads : int, optional
            As in `fit`.

        Returns
        -------
        Trace
            A mapping from names to arrays: "x", "W1", "b1", "z1", "a1", ..., "yhat", "y", "l",
            "L", "dL/dyhat", "dL/dz3", "dL/dW3", "dL/db3", "dL/da2", ..., "dL/dx".

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or has no weights, or X, y do not fit it.
        FloatingPointError
            If a result overflows the model's dtype.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="ones")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.build(2)
        >>> t = model.trace([1.0, 2.0], 5.0)
        >>> t["yhat"], t["dL/dyhat"]
        (array([[3.]], dtype=float32), array([[-4.]], dtype=float32))
        >>> t["dL/dW1"].ravel()
        array([-4., -8.], dtype=float32)
        """
        given = GivenRows(*_as_rows(X, y), sample_weight)
        drop = flag("training", training)
        return self._learner.trace(given, checked_threads(threads), training=drop, seed=self.seed)

    def explain_update(self, trace: Trace, format: Format = "text", *, digits: int = 4) -> str:
        """The step of gradient descent that follows a trace, weight by weight. Nothing moves.

        Backpropagation has computed dL/dW; gradient descent, or what the compiled optimiser makes
        of it, uses it: W1[0,2] := 0.31 - 0.05 · 0.12 = 0.304. The numbers are those of the
        optimiser's kernel, on a copy of the model. Of larger networks three weights of each array
        are shown.

        Parameters
        ----------
        trace : Trace
            As `trace` returned it, for the weights as they are now.
        format : {"text", "markdown", "latex"}
        digits : int
            How many significant digits numbers have, 1 to 17.

        Raises
        ------
        TypeError, ValueError
            If `trace` is none, or of other weights than the present ones; if the optimiser looks
            for the length of its steps itself, as L-BFGS and SGD("auto") do.

        Examples
        --------
        >>> from fastnn import SGD, Dense, Sequential
        >>> model = Sequential([Dense(1, use_bias=False, kernel_initializer="ones")])
        >>> model.compile(SGD(0.1), loss="mean_squared_error")
        >>> model.build(1)
        >>> print(model.explain_update(model.trace([1.0], 3.0)))
        GRADIENT DESCENT
        The step of SGD(learning_rate=0.1). Backpropagation has computed the gradient g = dL/dW;
        now every weight moves against its own g.
        <BLANKLINE>
        W := W - rate · g
        <BLANKLINE>
        W1[0,0] := 1 - 0.1 · (-4) = 1.4
        """
        checked = lookup("format", format, FORMATS)
        digits = whole_number("digits", digits, minimum=1, maximum=17)
        self._learner.check_trace(trace)
        return explained(_step_of_copy(self, trace), checked, digits)

    def activations(
        self, X: ArrayLike, layer: int | None = None, *, threads: int | None = None
    ) -> Array | dict[str, Array]:
        """The outputs of a layer, or of all of them, for every row of X.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        layer : int, optional
            Which of `model.layers`, counted from 0, or from -1 backwards. A Dropout layer passes
            on what it gets, as in `predict`; a Normalization layer gives the standardised rows.
        threads : int, optional
            As in `predict`.

        Returns
        -------
        array of shape (n_samples, units), or dict of str to array
            Without `layer` the outputs of all of them by name, as in `trace`: "a1", "a2", ...,
            "yhat", and "a0" of a Normalization layer.

        Raises
        ------
        TypeError, ValueError
            If the model has no weights yet, X does not fit it, or there is no such layer.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(3, "relu"), Dense(1)], seed=0)
        >>> model.build(2)
        >>> model.activations([[1.0, 2.0]], layer=0).shape
        (1, 3)
        >>> list(model.activations([[1.0, 2.0]]))
        ['a1', 'yhat']
        """
        number = None if layer is None else self._learner.number_of_layer(layer)
        found = self._learner.activations(X, number, checked_threads(threads))
        return found if layer is None else next(iter(found.values()))

    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        threads: int | None = None,
    ) -> Array:
        """dL/dX: how the loss changes with each number of each row. No weight moves.

        For saliency, adversarial examples, sensitivities. L = 1/n sum_i w_i l_i over the n rows
        of X, so each row's gradient holds the 1/n.

        Returns
        -------
        array of shape (n_samples, n_features)
            With respect to X as it was given, before a Normalization layer.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or has no weights, or X, y do not fit it.
        FloatingPointError
            If a result overflows the model's dtype.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="ones")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.build(2)
        >>> model.input_gradient([[1.0, 2.0]], [5.0])
        array([[-4., -4.]], dtype=float32)
        """
        given = GivenRows(X, y, sample_weight)
        return self._learner.input_gradient(given, checked_threads(threads))

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
            Whether Dropout layers leave out units, others at every call; `backward` knows which.

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
        return self._learner.forward(X, training=flag("training", training), seed=self.seed)

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
        return self._learner.backward(dL_dy, inputs=flag("inputs", inputs))

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
        self._learner.apply(gradient)

    def per_sample_gradients(
        self, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> dict[str, Array]:
        """The gradient of each row by itself: of w_i l_i, without what regularisers add.

        There is no 1/n in it: the mean over the rows is `gradient`, as long as no regulariser
        adds to that. For influence, clipping row by row, gradient noise. No weight moves. Memory
        grows with the rows: each takes as much as all weights.

        Returns
        -------
        dict of str to array
            "dL/dW1" of shape (n_samples, n_in, n_out), "dL/db1" of shape (n_samples, n_out), ...

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or has no weights, X, y do not fit it, or there is no
            memory for as many gradients.
        FloatingPointError
            If a result overflows the model's dtype.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.build(1)
        >>> model.per_sample_gradients([[1.0], [2.0]], [3.0, 4.0])["dL/db1"].ravel()
        array([-6., -8.], dtype=float32)
        """
        return self._learner.per_sample_gradients(GivenRows(X, y, sample_weight))

    def jacobian(self, X: ArrayLike) -> Array:
        """How each output changes with each number of its row: d output_j / d x_i.

        With respect to X as it was given, before a Normalization layer.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs, n_features)

        Raises
        ------
        TypeError, ValueError
            If the model has no weights yet, or X is not as the model needs it.
        FloatingPointError
            If a result overflows the model's dtype.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(2, kernel_initializer=[[1.0, 2.0], [3.0, 4.0]])])
        >>> model.build(2)
        >>> model.jacobian([[5.0, 6.0]])[0]
        array([[1., 3.],
               [2., 4.]], dtype=float32)
        """
        return self._learner.jacobian(X)

    # ---- weights ----------------------------------------------------------------------------

    def get_weights(self) -> list[Array]:
        """Copies of the weights: W1 (n_in, n_out), b1 (n_out,), W2, ..., as in Keras."""
        return [view.copy() for view in self._learner.weight_views()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Put weights in place of the model's, in the order of `get_weights`.

        Raises ValueError, and changes nothing, if their number, a shape or a value does not fit.
        """
        self._learner.set_weights(weights)

    def adopt_average(self) -> None:
        """Put the running average of the weights in their place, as `fit` does when it ends.

        For an optimiser with `use_ema`, after single steps or a fit that was interrupted; without
        one, or before the first step, nothing happens.
        """
        self._learner.adopt_average()

    def diagnose(
        self, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Diagnosis:
        """What is wrong with the network, with these rows; nothing moves.

        Looks for units that are dead, saturated or copies of each other, gradients that are 0,
        vanish or explode, inputs that are not scaled, a learning rate too high or too low (by a
        trial step on a copy), and a loss no better than the best constant answer. The page
        "When training fails" of the documentation has each rule with its threshold.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`, a thousand rows of which at most are looked at, evenly spaced.

        Returns
        -------
        Diagnosis
            Its findings, the worst first, each with layer, figure and the line to change. Printed,
            one line each.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or has no weights, or X, y do not fit it.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Sequential
        >>> X = np.random.default_rng(0).normal(size=(200, 3))
        >>> model = Sequential([Dense(8, "relu", bias_initializer="ones"), Dense(1)], seed=0)
        >>> model.compile("SGD", "mean_squared_error")
        >>> model.build(3)
        >>> model.diagnose(X, X[:, 0])
        nothing is wrong, as far as 200 rows show: units, slopes, gradients, inputs, the step, ...
        >>> [finding.kind for finding in model.diagnose(1000 * X, X[:, 0])]
        ['learning rate too high', 'inputs not scaled']
        """
        learner = self._learner
        learner.built()
        return learner.diagnose(learner.requirements().rows(X, y, sample_weight))

    def summary(self) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Of a compiled model that has its weights also optimiser, loss, the path that stochastic mode
        takes through the first layer (the page "One update per sample" of the documentation
        explains the names), and the threads and the memory that batches of 32 rows take.
        """
        learner = self._learner
        network, loss = learner.network, learner.loss
        n_features = None if network is None else network.n_features
        for line in layer_lines(self.layers, n_features, f"{self.dtype}, seed {self.seed}"):
            print(line)
        if network is not None and loss is not None:
            state = learner.optimizer_state(network)
            for line in training_lines(network, loss, learner.optimizer, state):
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

        self._learner.built()
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
        learner = self._learner
        learner.check_normalization(learner.built().n_features)
        if not isinstance(self.metadata, dict):
            raise ValueError(f"metadata is {self.metadata!r}; expected a dictionary")
        config = self._config()
        compiled = config["compiled"]
        if isinstance(compiled["loss"], CustomLoss):
            compiled["loss"] = None
        metrics = [one for one in compiled["metrics"] if not isinstance(one, CustomMetric)]
        compiled["metrics"] = metrics
        npz.save(path, config, learner.arrays())

    def __getstate__(self) -> dict[str, Any]:
        arrays = self._learner.arrays()
        return {"config": self._config(), "arrays": arrays, "history": self.history}

    def __setstate__(self, state: dict[str, Any]) -> None:
        made = _model_from(parsed(state["config"], state["arrays"]))
        vars(self).update(vars(made), history=state["history"])

    def _config(self) -> dict[str, Any]:
        """All but the arrays: layers, loss and optimiser as they are."""
        learner, names = self._learner, self.feature_names
        network = learner.network
        return described(
            self.layers,
            learner.loss,
            learner.optimizer,
            learner.metrics,
            learner.state,
            n_features=None if network is None else network.n_features,
            dtype=self.dtype,
            seed=self.seed,
            epochs_trained=self.epochs_trained,
            metadata=self.metadata,
            **({} if names is None else {"feature_names": names}),
        )


for _name in _REMEDIES:
    setattr(Sequential, _name, _Elsewhere(_name))


def gradcheck(
    model: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    n_entries: int = 50,
    seed: int = 0,
) -> GradientCheck:
    """Check a model's gradient, with your loss and data, against central differences of the loss.

    Backpropagation runs in the model's own dtype. The differences (L(w + h) - L(w - h)) / 2h are
    taken in float64, on a twin of the same weights; h is 1e-5 of a number, and less where the loss
    has a kink near by. L holds what regularisers add. The model stays as it is. Each number that
    is checked takes two passes over X or more, so pass a few rows.

    Parameters
    ----------
    model : Sequential
        Compiled, with weights.
    X, y, sample_weight
        As for `Sequential.gradient`.
    n_entries : int
        How many entries of each block to check; blocks that have more are sampled.
    seed : int
        Decides which.

    Returns
    -------
    GradientCheck
        `ok`, the `worst` block, and all `blocks`: "dL/dW1", "dL/db1", ..., "dL/dX". Printed, a
        table that names the worst entry of each.

    Raises
    ------
    TypeError, ValueError
        If the model is not compiled or has no weights, or X, y do not fit it.

    Examples
    --------
    >>> from fastnn import Dense, Sequential, gradcheck
    >>> model = Sequential([Dense(3, "tanh"), Dense(1)], dtype="float64", seed=0)
    >>> model.compile(loss="mean_squared_error")
    >>> model.build(2)
    >>> gradcheck(model, [[1.0, 2.0], [3.0, 4.0]], [1.0, 0.0]).ok
    True
    """
    if not isinstance(model, Sequential):
        raise TypeError(
            f"model is {type(model).__name__}; expected a Sequential, e.g. of an estimator "
            f"estimator.model_"
        )
    n_entries = whole_number("n_entries", n_entries, minimum=1)
    given = GivenRows(X, y, sample_weight)
    return model._learner.gradcheck(given, n_entries, checked_seed(seed))


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
        return _model_from(parsed(config, arrays))
    except Exception as error:  # an entry may be anything
        raise ValueError(f"{path} does not describe a fastnn model: {error}") from error


def _model_from(description: Description) -> Sequential:
    """The model that was described."""
    model = Sequential(description.layers, dtype=description.dtype, seed=description.seed)
    learner, n_features = model._learner, description.n_features
    learner.keep_names(description.feature_names)
    network = None
    if n_features is not None:
        network = learner.new_network(n_features)
        for view, values in zip(network.weights, description.weights, strict=True):
            view[...] = layer_weights("weights", values, view.shape, model.dtype)
    learner.compile(description.optimizer, description.loss, description.metrics)
    state = restored_state(network, learner.optimizer, description.compiled, description.slots)
    learner.restore(network, state)
    model.epochs_trained, model.metadata = description.epochs_trained, description.metadata
    return model


def _untrained(learner: Learner, seed: int) -> dict[str, Any]:
    """The attributes of a model that has not been trained."""
    return {
        "layers": learner.layers,
        "dtype": learner.dtype,
        "seed": seed,
        "history": History(),
        "epochs_trained": 0,
        "metadata": {},
        "stop_training": False,
        "_learner": learner,
    }


def learner_of(model: Sequential) -> Learner:
    """What does the work of a model; estimators share it."""
    return model._learner


def model_of(learner: Learner, seed: int) -> Sequential:
    """A model around a learner."""
    model = Sequential.__new__(Sequential)
    vars(model).update(_untrained(learner, seed))
    return model


def _step_of_copy(model: Sequential, gradient: Mapping[str, Array]) -> Moved:
    """A step of the optimiser on a copy of the model, along a gradient by name."""
    learner, twin = model._learner, copy.deepcopy(model)
    before = learner.optimizer_state(learner.built())
    optimizer, network = learner.optimizer, learner.built()
    twin.apply(gradient)
    after, weights = twin._learner.optimizer_state(network), twin.get_weights()
    if optimizer.clips:  # at rate 1 weights that are 0 become minus the clipped gradient
        limits = {name: getattr(optimizer, name) for name in CLIPS}
        twin.set_weights([np.zeros_like(array) for array in weights])
        twin.compile(optimizers.SGD(1.0, **limits))
        twin.apply(gradient)
        left = zip(network.views(network.parameters), twin.get_weights(), strict=True)
        gradient = {f"dL/d{name}": -array for name, array in left}
    names = dict(zip(network.views(network.parameters), weights, strict=True))
    return Moved(network, optimizer, gradient, before, after, names)


def _as_rows(X: Any, y: Any) -> tuple[Any, Any]:
    """X and y with two dimensions, if X is a vector: one row, with its target or targets."""
    if np.ndim(X) != 1:
        return X, y
    return np.asarray(X)[np.newaxis], y if y is None else np.asarray(y)[np.newaxis]


def _refuse_mistaken(name: str, model: type[Sequential]) -> None:
    """Raise if a new attribute's name means one that models have; others are free."""
    own = Sequential.__annotations__
    if name in own:
        return
    known = [*own, *(one for one in dir(model) if one[0] != "_")]
    for near in difflib.get_close_matches(name, known, n=1, cutoff=0.85):
        remedy = f"; {_REMEDIES[near]}" if near in _REMEDIES else ""
        raise AttributeError(f"a model has no {name}. Did you mean {near!r}?{remedy}")
