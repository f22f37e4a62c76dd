"""What MLPClassifier and MLPRegressor share: scikit-learn's behaviour on top of the learner.

They translate hyperparameters and hold what scikit-learn records of a fit; `model_` is a
`Sequential` around the learner that does the work. Where scikit-learn's formulas differ from
Keras's, scikit-learn's are used.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import OptimizeResult
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastnn.callbacks.base import Logs, checked_callbacks
from fastnn.callbacks.history import History
from fastnn.data.arrays import checked_features, layer_weights, room_for
from fastnn.data.checks import warn, whole_number
from fastnn.data.rows import Array, Rows
from fastnn.engine.divergence import Diverged
from fastnn.engine.layout import weight_shapes
from fastnn.engine.network import Network
from fastnn.estimators.convergence import Convergence, Record
from fastnn.estimators.parameters import OWN_WORDS, Parameters
from fastnn.estimators.random_state import Orders, initial_weights
from fastnn.estimators.sparse_rows import Rowset, dense
from fastnn.losses import Loss
from fastnn.models import Sequential, learner_of, model_of
from fastnn.optimizers import LBFGS, Optimizer
from fastnn.training.learner import Learner
from fastnn.training.plan import Plan
from fastnn.training.row_checks import Prepared

NOTHING_YET = History()  # that of an estimator without a model
PREDICTED_BYTES = 1 << 25  # of sparse rows, dense, to predict at a time
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


def _finite_or_nan(score: Callable[[], float]) -> float:
    """A score; NaN, as in scikit-learn, if outputs overflow."""
    try:
        return float(score())
    except FloatingPointError:
        return math.nan


def _as_rows(x: Any) -> Array:
    """A row of shape (n_features,), or (1, n_features), as an array of rows."""
    row = np.asarray(x)
    if row.ndim == 0 or row.size != row.shape[-1]:
        raise ValueError(
            f"x has shape {row.shape}; expected a single row of shape (n_features,). Several rows "
            f"are for partial_fit and predict"
        )
    return row.reshape(1, -1)


class WeightViews(list[Array]):
    """Views of a model's arrays; what is put in the place of one is copied into it."""

    def __init__(self, name: str, views: Sequence[Array]) -> None:
        super().__init__(views)
        self._name = name

    def __setitem__(self, place: Any, values: Any) -> None:
        places = range(len(self))[place]
        numbers, given = ([places], [values]) if isinstance(places, int) else (places, values)
        checked = [
            layer_weights(
                f"{self._name}[{number}]", array, self[number].shape, self[number].dtype.name
            ).copy()  # it may be a view of another one of them
            for number, array in zip(numbers, given, strict=True)
        ]
        for number, array in zip(numbers, checked, strict=True):
            self[number][...] = array


class BaseMLP(Parameters):
    """Base class of MLPClassifier and MLPRegressor."""

    model_: Sequential
    _made_of: list[Any]  # the hyperparameters that the present model was built with

    __metadata_request__predict: ClassVar = {"out": UNUSED}

    # ---- what the subclasses implement ---------------------------------------------------------

    _y_numeric: ClassVar[bool]

    def _learn_labels(self, y: Array) -> None:
        """Learn the classes from the first targets; regressors have none."""
        raise NotImplementedError

    def _take_classes(self, y: Any, classes: Any) -> None:
        """What `partial_fit` was given for `classes`, at its first call."""

    def _check_labels(self, y: Array, *, all_of_them: bool) -> None:
        """Refuse targets that are not of the known classes, or do not have all of them."""
        raise NotImplementedError

    def _coded(self, y: Array) -> Array:
        """Targets as numbers; of classes their places in `classes_`."""
        raise NotImplementedError

    def _weights_of_classes(self, y: Array) -> Array | None:
        """What `class_weight` makes of each row."""
        return None

    def _single_target(self, y: Any) -> Any:
        """The learner's target for a single row; None if it needs `partial_fit`."""
        raise NotImplementedError

    def _n_outputs(self, y: Array, loss: Loss) -> int:
        raise NotImplementedError

    def _targets(self, y: Array) -> Array:
        """The targets as the learner takes them."""
        raise NotImplementedError

    def _decided(self, outputs: Array) -> Array:
        """What `predict` returns for these outputs."""
        raise NotImplementedError

    def _decided_one(self, outputs: Array) -> Any:
        """What `predict` returns for the single row of these outputs."""
        return self._decided(outputs)[0]

    def _labelled(self, y: Array) -> Array:
        """What `predict` would return if every prediction were right."""
        raise NotImplementedError

    def _strata(self, y: Array) -> Array | None:
        """Labels to stratify the validation split by."""
        raise NotImplementedError

    @property
    def _decides_by_z(self) -> bool:
        """Whether `_decided` takes z of the output layer instead of its outputs."""
        return False

    _usual_score: ClassVar[Callable[..., float]]

    # ---- training ----------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        coef_init: Sequence[ArrayLike] | None = None,
        intercept_init: Sequence[ArrayLike] | None = None,
    ) -> Self:
        """Train on the rows of X.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n_samples, n_features)
            float32 rows make a float32 network, all others a float64 one.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            Labels, or 0 and 1 for each of several; of a regressor numbers.
        sample_weight : array of shape (n_samples,), optional
            The weights w_i >= 0.
        X_val, y_val, sample_weight_val : arrays, optional
            Rows to validate with: for `validation_loss_curve_` and, in place of rows held out, for
            `early_stopping`.
        coef_init, intercept_init : sequence of array, optional
            W of shape (n_in, n_out) and b of shape (n_out,) of each layer to begin with.

        Returns
        -------
        self
        """
        held_out, initial = (X_val, y_val, sample_weight_val), (coef_init, intercept_init)
        return self._fit(X, y, sample_weight, held_out=held_out, initial=initial)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, held_out: tuple[Any, Any, Any] = (None,) * 3,
        initial: tuple[Any, Any] = (None, None), incremental: bool = False, classes: Any = None,
    ) -> Self:  # fmt: skip
        """What `fit` and `partial_fit` do; a refused call leaves all as it was."""
        before, history = dict(self.__dict__), self._history
        try:
            if incremental:
                self._take_classes(y, classes)
            self._fit_rows(X, y, sample_weight, held_out, initial, incremental)
        except BaseException:  # Ctrl-C, too
            has_begun = self._history is not history and self._history.params
            if not has_begun:
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        return self

    @property
    def _history(self) -> History:
        model = self.__dict__.get("model_")
        return NOTHING_YET if model is None else model.history

    def _fit_rows(
        self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any, Any],
        initial: tuple[Any, Any], incremental: bool,
    ) -> None:  # fmt: skip
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        self._check_words(incremental=incremental)
        rows, of_class = self._checked(X, y, sample_weight, first=first, incremental=incremental)
        validation = self._checked_validation(*held_out)
        rng = check_random_state(self.random_state)
        self._begin(rows, rng, first=first, initial=initial, incremental=incremental)
        if self._is_lbfgs:
            self._minimise(rows.weighed(of_class), validation)
            return
        if self.early_stopping and not incremental and validation is None:
            train, held_back = self._held_out(rows, rng)
            rows, validation = rows.take(train), rows.take(held_back)
            of_class = None if of_class is None else of_class[train]
        self._descend(rows.weighed(of_class), validation, rng, incremental=incremental)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, *, first: bool, incremental: bool
    ) -> tuple[Rowset, Array | None]:
        """Rows to train on, and the weights of their classes.

        From the first ones follow the columns, and the classes unless `partial_fit` was given them.
        """
        X, y = self._arrays(X, y, reset=first)
        if first and not incremental:
            self._learn_labels(y)
        else:
            self._check_labels(y, all_of_them=not incremental)
        rows = Rowset(X, self._coded(y), self._weights(X, sample_weight))
        return rows, self._weights_of_classes(y)

    def _arrays(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, y_numeric=self._y_numeric,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        single = y.ndim == 2 and y.shape[1] == 1
        return X, column_or_1d(y, warn=True) if single else y

    def _weights(self, X: Any, sample_weight: Any) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        return weights

    def _checked_validation(self, X: Any, y: Any, sample_weight: Any) -> Rowset | None:
        """Rows that were given to validate with."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise ValueError(
                "X_val and y_val belong together: expected both, e.g. fit(X, y, X_val=Xv, y_val=yv)"
            )
        X, y = self._arrays(X, y, reset=False)
        self._check_labels(y, all_of_them=False)
        return Rowset(X, self._coded(y), self._weights(X, sample_weight))

    def _begin(
        self, rows: Rowset, rng: np.random.RandomState, *, first: bool, incremental: bool,
        initial: tuple[Any, Any],
    ) -> None:  # fmt: skip
        """Make a model with new weights, or with the present ones."""
        if incremental and not first and self._goes_on:
            return
        model = self._new_model(rows, rng, first=first, with_state=incremental)
        for name, arrays in zip(("coef_init", "intercept_init"), initial, strict=True):
            if arrays is not None:
                self._set_initial(model, name, arrays)
        self.model_, self._made_of = model, self._words
        if first:
            self._forget()
        if not incremental:
            self._begin_scores()

    @property
    def _goes_on(self) -> bool:
        """Whether the model is as the hyperparameters say, and can be trained step by step."""
        return self._made_of == self._words and not isinstance(self._optimizer, LBFGS)

    def _new_model(
        self, rows: Rowset, rng: np.random.RandomState, *, first: bool, with_state: bool
    ) -> Sequential:
        """A model of the first weights, drawn now, or of those that the present one has.

        After the first weights the seed of dropout is drawn.
        """
        loss = self._loss_for(rows.y)
        n_outputs, activation = self._n_outputs(rows.y, loss), self._output_activation(loss)
        layers = self._layers(n_outputs, activation)
        dtype = self.model_.dtype if with_state and not first else rows.X.dtype.name
        learner, n_features = Learner(layers, dtype), rows.X.shape[1]
        learner.compile(self._new_optimizer(), loss)
        if first:
            sizes = [n_features, *self._hidden_sizes, n_outputs]
            hidden = [str(layer.activation) for layer in learner.dense_layers[:-1]]
            last = hidden[-1:] or ["relu"]
            weights = initial_weights(rng, sizes, [*hidden, *last], dtype)
        else:
            weights = self._weights_for(weight_shapes(n_features, learner.dense_layers))
        learner.build(n_features, 0, weights)
        if not first and with_state and not isinstance(self._optimizer, LBFGS):
            learner.adopt_optimizer(self._learner)
        names = getattr(self, "feature_names_in_", None)
        learner.keep_names(None if names is None else tuple(names))
        has_dropout = any(learner.dropout_rates)
        return model_of(learner, int(rng.randint(2**31)) if has_dropout else 0)

    def _weights_for(self, shapes: dict[str, tuple[int, ...]]) -> list[Array]:
        """The present weights, for a network of these shapes."""
        weights = self.model_.get_weights()
        if [W.shape for W in weights] != list(shapes.values()):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes} does not fit the weights to go on "
                f"from, of {tuple(len(b) for b in weights[1:-2:2])} hidden units; for another "
                f"network take a new estimator, or warm_start=False"
            )
        return weights

    def _set_initial(self, model: Sequential, name: str, arrays: Any) -> None:
        """Put weights, or biases, in place of those that a model has."""
        if isinstance(arrays, str):
            raise TypeError(f"{name}={arrays!r}: expected a list of arrays, one for each layer")
        weights = model.get_weights()
        places = weights[0::2] if name.startswith("coef") else weights[1::2]
        if len(arrays) != len(places):
            raise ValueError(
                f"{name} has {len(arrays)} arrays; expected {len(places)}, of the shapes "
                f"{', '.join(str(place.shape) for place in places)}"
            )
        for number, (given, place) in enumerate(zip(arrays, places, strict=True)):
            place[...] = layer_weights(f"{name}[{number}]", given, place.shape, model.dtype)
        model.set_weights(weights)

    def _forget(self) -> None:
        """Reset what is recorded of fits."""
        self.n_iter_ = self.t_ = self._no_improvement_count = 0
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self._best_weights: list[Array] | None = None
        # What the weights were before their average took their place, and that average.
        self._moving_weights: list[Array] | None = None
        self._averaged_weights: list[Array] = []

    def _begin_scores(self) -> None:
        """Prepare scores for early stopping, or the loss; the best so far stays."""
        self._best_weights = None
        if self.early_stopping and not self._is_lbfgs:
            self.best_loss_ = None
            if self.validation_scores_ is None:
                self.validation_scores_, self.best_validation_score_ = [], -math.inf
        else:
            self.validation_scores_ = self.best_validation_score_ = None
            if self.best_loss_ is None:
                self.best_loss_ = math.inf

    def _held_out(self, rows: Rowset, rng: np.random.RandomState) -> tuple[Array, Array]:
        """The rows to train on and those to hold out, drawn as scikit-learn draws them."""
        train, validate = train_test_split(
            np.arange(len(rows.y)),
            random_state=rng,
            test_size=self.validation_fraction,
            stratify=self._strata(rows.y),
        )
        if len(validate) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return train, validate

    def _descend(
        self,
        rows: Rowset,
        validation: Rowset | None,
        rng: np.random.RandomState,
        *,
        incremental: bool,
    ) -> None:
        """Run gradient descent, and warn as scikit-learn does if it did not converge."""
        n_rows = len(rows.y)
        stops_early = self.early_stopping and not incremental
        score = self._scorer(validation) if stops_early and validation else None
        averaged = self._averaged if self._optimizer.use_ema else nullcontext
        rule = Convergence(self, n_rows, score, self._rate_rule, averaged)
        rule.no_improvement_count = self._no_improvement_count
        orders = Orders(rng) if self.shuffle else None
        plan = self._plan(n_rows, 1 if incremental else self.max_iter, orders)
        self.n_iter_ = 0
        if incremental:
            self._go_on_from_moving_weights()
        try:
            finished = self._run(plan, rows, validation, rule)
        finally:
            self._no_improvement_count = rule.no_improvement_count
            self._best_weights = rule.best_weights or self._best_weights
        if score is not None and self._best_weights is not None:
            self.model_.set_weights(self._best_weights)
        if finished and not incremental and not self.model_.stop_training:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                f"optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it the weights are the running average that the optimiser keeps."""
        self._moving_weights = self.model_.get_weights()
        self.model_.adopt_average()
        self._averaged_weights = self.model_.get_weights()
        try:
            yield
        finally:
            self._overwrite(self._moving_weights)

    def _go_on_from_moving_weights(self) -> None:
        """Put back the weights whose average the last fit ended with, unless they were changed."""
        moving, self._moving_weights = self._moving_weights, None
        if moving is None or not self._optimizer.use_ema:
            return
        pairs = zip(self.model_.get_weights(), self._averaged_weights, strict=True)
        if all(np.array_equal(weights, average) for weights, average in pairs):
            self._overwrite(moving)

    def _overwrite(self, weights: Sequence[Array]) -> None:
        """Put weights in place of the model's; what its optimiser keeps stays."""
        for view, array in zip(self._learner.weight_views(), weights, strict=True):
            view[...] = array

    def _minimise(self, rows: Rowset, validation: Rowset | None) -> None:
        """Run L-BFGS over all rows, and warn as scikit-learn does if it does not converge."""
        self.n_iter_ = 0
        plan = self._plan(len(rows.y), self.max_iter, None)
        if not self._run(plan, rows, validation, Record(self)):
            return
        found = OptimizeResult(self.model_.history.params["lbfgs"])
        self.loss_ = self.best_loss_ = float(found.fun)
        if not self.model_.stop_training:
            self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)

    def _plan(self, n_rows: int, epochs: Any, orders: Orders | None) -> Plan:
        return Plan(
            epochs=whole_number("max_iter", epochs, minimum=0), mode=None,
            batch_size=self._size_of_batches(n_rows),
            shuffle=False, seed=self.model_.seed, threads=self.threads,
            draw_order=None if orders is None else orders.draw,
        )  # fmt: skip

    def _run(self, plan: Plan, rows: Rowset, validation: Rowset | None, rule: Record) -> bool:
        """Train; whether it was finished. An interrupt leaves the weights of that moment."""
        learner, held_out = self._learner, None
        asked = learner.requirements()
        if validation is not None:
            held_out = validation.rows(asked, self._targets(validation.y))
        plan, source = rows.source(plan, asked, self._targets(rows.y))
        callbacks = [] if self.callbacks is None else checked_callbacks(self.callbacks)
        try:
            learner.fit(self.model_, plan, Prepared(source, held_out), [rule, *callbacks])
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
            return False
        except Diverged as error:
            self._best_weights = getattr(rule, "best_weights", None) or self._best_weights
            self._settle_divergence(error)
            return False
        return True

    def _settle_divergence(self, error: Diverged) -> None:
        """Continue with the best weights, if any were kept; otherwise raise an error."""
        said = f"training diverged {error.when}"
        if self._best_weights is None or self.validation_scores_ is None:
            message = f"{NOT_FINITE} In fact {said}; the last finite weights are kept."
            raise ValueError(f"{message} {self._remedy}") from error
        self.n_iter_ += 1
        self.loss_ = math.nan
        self.loss_curve_.append(math.nan)
        self.validation_scores_.append(math.nan)
        kept = "the weights with the best validation score are kept"
        warn(f"{said}; {kept}. {self._remedy}", ConvergenceWarning)

    @property
    def _remedy(self) -> str:
        """What to do when training has diverged."""
        scale = "scale the features, e.g. in a Pipeline behind StandardScaler()"
        rate = self._optimizer.rate(0)
        if self._is_lbfgs or not rate:
            return f"Most likely the data are to blame: {scale}"
        smaller = f"learning_rate_init={rate / 10:g}"
        if isinstance(self.solver, Optimizer):
            smaller = f"solver={type(self.solver).__name__}({rate / 10:g})"
        return f"Most likely the learning rate is too large: try {smaller}, or {scale}"

    def _scorer(self, rows: Rowset) -> Callable[[Logs], float]:
        """The score of the rows held out, as `scoring` has it; more is better."""
        y, weights = self._labelled(rows.y), rows.sample_weight
        if self.scoring == "loss":
            return lambda logs: -logs["val_loss"]
        if self.scoring is None:
            return lambda logs: _finite_or_nan(lambda: self._usual_score_of(rows.X, y, weights))
        scorer = get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
        twin = copy.copy(self)  # of the same model, which asks for no names of columns
        twin.__dict__.pop("feature_names_in_", None)
        weighs = weights is not None and "sample_weight" in inspect.signature(scorer).parameters
        arguments = {"sample_weight": weights} if weighs else {}
        return lambda logs: _finite_or_nan(lambda: scorer(twin, rows.X, y, **arguments))

    def _usual_score_of(self, X: Any, y: Array, weights: Array | None) -> float:
        """Accuracy or R2."""
        outputs = self._outputs_for(X, before_output=self._decides_by_z)
        return float(type(self)._usual_score(y, self._decided(outputs), sample_weight=weights))

    # ---- using -------------------------------------------------------------------------------

    def _outputs_of(self, X: Any, out: Array | None = None, before_output: bool = False) -> Array:
        """The outputs for the rows of X, shape (n_samples, n_features)."""
        own = self.__dict__
        if type(X) is np.ndarray and "model_" in own and "feature_names_in_" not in own:
            if out is None and not before_output:
                outputs = learner_of(own["model_"]).predict_few(X)
                if outputs is not None:
                    return outputs
            rows = self._right_rows(X)
            if rows is not None:
                return self._learner.outputs(rows, self.threads, out, before_output=before_output)
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        return self._outputs_for(X, out, before_output)

    def _right_rows(self, X: Array) -> Rows | None:
        """Rows that scikit-learn, whose checks take longer than small networks, would pass."""
        if X.dtype.kind != "f":
            return None
        try:
            return self._learner.features(X)
        except ValueError:
            return None  # scikit-learn has its own words for it

    def _room(self, X: Any, out: Any, *, flat: bool = False) -> Array | None:
        """`out`, if the outputs for these rows have room in it; `flat` if one column is none."""
        if out is None:
            return None
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        shape = (n_rows,) if flat and self.n_outputs_ == 1 else (n_rows, self.n_outputs_)
        room = room_for("out", out, shape, self.model_.dtype)
        return room[:, None] if room.ndim == 1 else room

    def _outputs_for(self, X: Any, out: Array | None = None, before_output: bool = False) -> Array:
        """The outputs for rows that scikit-learn has checked, sparse ones some at a time."""
        learner = self._learner
        if not sparse.issparse(X):
            rows = checked_features(X, learner.dtype)
            return learner.outputs(rows, self.threads, out, before_output=before_output)
        if out is None:
            out = np.empty((X.shape[0], self.n_outputs_), learner.dtype)
        step = max(1, PREDICTED_BYTES // (X.shape[1] * X.dtype.itemsize))
        for start in range(0, X.shape[0], step):
            stop = start + step
            rows = checked_features(dense(X[start:stop]), learner.dtype)
            learner.outputs(rows, self.threads, out[start:stop], before_output=before_output)
        return out

    def learn_one(self, x: ArrayLike, y: Any) -> Self:
        """One step with a single row of shape (n_features,): for rows that come one by one.

        The first rows, and with them the labels, come to `partial_fit`; after that a row of a small
        network takes microseconds. `loss_` stays, and so does the learning rate; parameters that
        are set meanwhile count from the next `partial_fit` on. Raises what `partial_fit` does.
        """
        if "model_" not in self.__dict__:
            check_is_fitted(self)
        target = self._single_target(y)
        if target is None:
            self._check_solver()
            self.partial_fit(_as_rows(x), [y])
            return self
        learner = learner_of(self.model_)
        try:
            if learner.learn_row(x, target, True) is None:
                learner.train_batch(_as_rows(x), target, None, self.model_.seed)
        except FloatingPointError as error:
            raise ValueError(f"{NOT_FINITE} {error}") from error
        self.t_ += 1
        return self

    def predict_one(self, x: ArrayLike) -> Any:
        """What `predict` says of a single row of shape (n_features,)."""
        own = self.__dict__
        if "model_" in own and "feature_names_in_" not in own:
            outputs = learner_of(own["model_"]).predict_few(x, True)
            if outputs is not None and (outputs.size == 1 or not self._decides_by_z):
                return self._decided_one(outputs)
        return self.predict(_as_rows(x))[0]

    @property
    def _takes_single_rows(self) -> bool:
        """Whether a row by itself can be learnt without `partial_fit`."""
        optimizer = self._optimizer
        return not (optimizer.use_ema or isinstance(optimizer, LBFGS))

    @classmethod
    def _around(cls, model: Sequential, **parameters: Any) -> Self:
        """An estimator whose network is this one."""
        estimator = cls(**parameters)
        estimator._validate_params()
        estimator._forget()
        estimator._begin_scores()
        estimator.model_, estimator._made_of = model, estimator._words
        estimator.n_features_in_ = learner_of(model).built().n_features
        if model.feature_names is not None:
            estimator.feature_names_in_ = np.array(model.feature_names, object)
        estimator.n_iter_ = model.epochs_trained
        return estimator

    @property
    def coefs_(self) -> list[Array]:
        """W of each layer, shape (n_in, n_out): views, so that changes in place count."""
        return self._views(0, "coefs_")

    @coefs_.setter
    def coefs_(self, arrays: Sequence[ArrayLike]) -> None:
        self._set_initial(self.model_, "coefs_", arrays)

    @property
    def intercepts_(self) -> list[Array]:
        """b of each layer, shape (n_out,): views, so that changes in place count."""
        return self._views(1, "intercepts_")

    @intercepts_.setter
    def intercepts_(self, arrays: Sequence[ArrayLike]) -> None:
        self._set_initial(self.model_, "intercepts_", arrays)

    def _views(self, offset: int, name: str) -> list[Array]:
        if "model_" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r} before fit; initial "
                f"weights: fit(X, y, coef_init=..., intercept_init=...)"
            )
        return WeightViews(name, self._learner.weight_views()[offset::2])

    @property
    def _optimizer(self) -> Optimizer:
        """Where scikit-learn has it; its learning rate is that of the next step."""
        return self.model_.optimizer

    @property
    def n_layers_(self) -> int:
        """How many layers, the inputs counted as one."""
        return len(self._network.layers) + 1

    @property
    def n_outputs_(self) -> int:
        """How many units the last layer has."""
        return self._network.n_outputs

    @property
    def out_activation_(self) -> str:
        """The activation of the last layer, in scikit-learn's words."""
        activation = str(self._network.layers[-1].activation)
        return OWN_WORDS.get(activation, activation)

    @property
    def _learner(self) -> Learner:
        """What does the work of `model_`."""
        return learner_of(self.model_)

    @property
    def _network(self) -> Network:
        return learner_of(self.model_).built()

    def _check_solver(self) -> bool:
        if self._is_lbfgs:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not "
                f"stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
