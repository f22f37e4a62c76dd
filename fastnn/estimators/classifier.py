"""MLPClassifier: scikit-learn's classifier of this name on fastnn's engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from fastnn.callbacks.base import Callback
from fastnn.data.arrays import room_for
from fastnn.data.rows import Array
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.parameters import Activations, ActivationWord, LossWord, RateRule, SolverName
from fastnn.losses import CategoricalLogLoss, LogLoss, Loss
from fastnn.models import learner_of
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule
from fastnn.training.plan import Mode

LABELS = str, int, float, np.generic  # what a single one may be


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Classifier: scikit-learn's MLPClassifier on fastnn's engine, and what it does not have.

    Parameters, defaults, attributes and formulas are scikit-learn's up to `max_fun`: from the same
    `random_state` training ends in the same weights, up to rounding. What follows is fastnn's own.
    The loss of a batch is sum_i w_i l_i / sum_i w_i + alpha/2 sum W^2 / sum_i w_i, with the sample
    weights w_i (1 unless given); l is the log loss, -sum_j y_ij log p_ij over the classes, or over
    the labels of a row that may have several.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        The units of each hidden layer; () leaves none.
    activation : str or sequence of str
        "identity", "logistic", "tanh", "relu", or any other of `Dense`; of all hidden layers, or
        one for each.
    solver : str or Optimizer
        "sgd", "adam", "lbfgs" (SciPy's, over all rows), "adamw", "rmsprop", "adagrad"; or an
        optimiser with settings of its own, in place of those below.
    alpha : float
        How strongly weights are drawn to 0, see above; biases are not.
    batch_size : int or "auto"
        Rows in a batch; "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule
        How it goes on from `learning_rate_init`: "invscaling" is learning_rate_init /
        (t + 1)^power_t with the t rows seen before the epoch; "adaptive" divides by 5 where it
        would stop, until 1e-6. Of solver "adam" both mean "constant". A schedule gives the rate of
        every step in its place.
    learning_rate_init : float
        The step size to begin with.
    power_t : float
        The exponent of "invscaling".
    max_iter : int
        How many epochs at most; of "lbfgs" iterations.
    shuffle : bool
        Whether to visit the rows in a new random order in every epoch.
    random_state : int, RandomState or None
        Decides initial weights, visiting orders, and the rows held out.
    tol : float
        By how much an epoch has to be better to count. Of "lbfgs" the largest number that is left
        in the gradient.
    verbose : bool or int
        Whether to print the loss of every epoch.
    warm_start : bool
        Whether `fit` goes on from the weights of the fit before.
    momentum : float
        Of "sgd", from 0 to 1.
    nesterovs_momentum : bool
        Whether it is Nesterov's.
    early_stopping : bool
        Whether to hold rows out, or to take `X_val` of `fit`, and stop when their score no longer
        improves; the best weights are kept.
    validation_fraction : float
        The share of rows to hold out.
    beta_1, beta_2, epsilon : float
        Of "adam" and "adamw".
    n_iter_no_change : int or inf
        After more epochs than that without improvement training stops.
    max_fun : int
        How many passes over the rows "lbfgs" may make.
    loss : str or Loss
        "log_loss", or another of `Sequential.compile`, such as "hinge", "mean_squared_error" or
        CategoricalCrossentropy(label_smoothing=0.1).
    out_activation : str, optional
        The activation of the output layer; the one that suits the loss unless given.
    dropout : float or sequence of float
        How much of each hidden layer's outputs is left out while training.
    class_weight : dict, list of dict, "balanced" or None
        What the weights of rows are multiplied by, for each label; "balanced" is
        n_samples / (n_classes * count).
    scoring : str, callable or None
        What early stopping looks at: the name of a score of scikit-learn, a function
        (estimator, X, y), "loss" (of validation, the less the better), or None, accuracy.
    mode : {"stochastic", "minibatch", "batch"}, optional
        "stochastic" is batch_size=1, "batch" all rows; unless given, what `batch_size` says. In
        stochastic mode a weight multiplies the row's step.
    average : bool
        Whether to end with the mean of the weights after all steps. Early stopping looks at it;
        `partial_fit` goes on from the weights themselves.
    callbacks : sequence of Callback, optional
        Objects of fastnn whose hooks to call; their `model` is `model_`.
    threads : int, optional
        How many threads to run on at most. The bits of the result are the same for every number.

    Attributes
    ----------
    model_ : Sequential
        The network, with its optimiser and `history`.
    classes_ : array
        The labels, sorted.
    coefs_, intercepts_ : list of array
        W of shape (n_in, n_out) and b of shape (n_out,), of each layer: views of the network's.
    loss_, best_loss_ : float
        The loss of the last epoch and the lowest; the latter None with early stopping.
    loss_curve_, validation_loss_curve_ : list of float
        That of each epoch (of "lbfgs" before each iteration), and of the rows to validate with
        after it, if there are any.
    validation_scores_, best_validation_score_ : list of float, float
        Of early stopping, otherwise None.
    n_iter_, t_ : int
        Epochs of the last fit; rows seen in all.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Layers, inputs counted as one; units of the last one, and its activation.
    n_features_in_, feature_names_in_ : int, array of str
        Columns of X, and their names if it had some.

    Raises
    ------
    ValueError, TypeError
        From `fit`, if a parameter or the data do not fit; ValueError if training
        diverges, after which the weights are the last finite ones.

    Examples
    --------
    >>> from fastnn import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> clf.predict(X[:2]), clf.score(X, y) > 0.95
    (array([0, 0]), True)
    """

    _y_numeric = False
    _kinds_of_targets = "numbers", "probabilities", "classes", "signs", "anything"
    _usual_score: ClassVar[Callable[..., float]] = staticmethod(accuracy_score)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    classes_: Array

    __metadata_request__predict_proba: ClassVar = {"out": UNUSED}

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Activations = "relu",
        *,
        solver: SolverName | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: RateRule | Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: LossWord | Loss = "log_loss",
        out_activation: ActivationWord | None = None,
        dropout: float | Sequence[float] = 0.0,
        class_weight: Any = None,
        scoring: str | Callable[..., float] | None = None,
        mode: Mode | None = None,
        average: bool = False,
        callbacks: Sequence[Callback] | None = None,
        threads: int | None = None,
    ) -> None:
        self._keep(locals())

    # ---- labels ------------------------------------------------------------------------------

    def _learn_labels(self, y: Array) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _check_labels(self, y: Array, *, all_of_them: bool) -> None:
        if type_of_target(y).startswith("multilabel") != self._is_multilabel:
            fitted = "with multilabel input" if self._is_multilabel else "with one label a row"
            raise ValueError(f"The object was fitted {fitted}, but `y` is not such.")
        found, known = unique_labels(y), self.classes_
        if all_of_them and set(found) != set(known):
            raise ValueError(
                f"warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {known}, `y` has {found}"
            )
        if len(np.setdiff1d(found, known, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has "
                f"{found}."
            )

    def _coded(self, y: Array) -> Array:
        if self._is_multilabel:
            return np.asarray(y.toarray() if hasattr(y, "toarray") else y, np.float64)
        return np.searchsorted(self.classes_, y)

    def _weights_of_classes(self, y: Array) -> Array | None:
        if self.class_weight is None:
            return None
        try:
            weights = self._computed_weights(y)
        except OverflowError as error:
            raise ValueError(f"class_weight holds numbers too large for float64: {error}") from None
        if (weights < 0).any() or not weights.any():
            raise ValueError(
                f"class_weight={self.class_weight!r}: expected weights >= 0, one of them above 0"
            )
        return weights

    def _computed_weights(self, y: Array) -> Array:
        """scikit-learn's; of all labels, since a chunk need not have every one of them."""
        if self._is_multilabel:
            weights: Array = compute_sample_weight(self.class_weight, y)
            return weights
        of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        return np.asarray(of_class)[self._coded(y)]

    @property
    def _is_multilabel(self) -> bool:
        kind: str = self._label_binarizer.y_type_
        return kind.startswith("multilabel")

    def _loss_for(self, y: Array) -> Loss:
        loss = super()._loss_for(y)
        if isinstance(loss, LogLoss) and not self._is_multilabel and len(self.classes_) > 2:
            return CategoricalLogLoss(label_smoothing=loss.label_smoothing).averaged()
        return loss

    def _n_outputs(self, y: Array, loss: Loss) -> int:
        if self._is_multilabel:
            return int(y.shape[1])
        one_column = len(self.classes_) <= 2 and loss.targets != "classes"
        one_column &= self._output_activation(loss) != "softmax"  # which of one unit is always 1
        return 1 if one_column else max(2, len(self.classes_))

    def _targets(self, y: Array) -> Array:
        learner = self._learner
        n_outputs, kind = learner.output.units, learner.compiled_loss().targets
        if y.ndim == 2 or n_outputs == 1 or kind == "classes":
            return y
        return np.eye(n_outputs, dtype=learner.dtype)[y]

    @property
    def _decides_by_z(self) -> bool:
        """Whether there is a sigmoid for each class, several of which may have rounded to 0 or 1:
        z of the output layer still tells which is the largest."""
        output = learner_of(self.model_).output
        return output.activation == "sigmoid" and output.units > 1 and not self._is_multilabel

    @property
    def _border(self) -> float:
        """The decision threshold: larger outputs mean yes."""
        loss = learner_of(self.model_).loss
        return 0.0 if loss is not None and loss.targets == "signs" else 0.5

    def _decided(self, outputs: Array) -> Array:
        if self._is_multilabel:
            chosen: Array = (outputs > self._border).astype(int)
            return chosen
        if outputs.shape[1] > 1:
            places = outputs.argmax(axis=1)
        else:
            places = outputs[:, 0] > self._border
            if len(self.classes_) == 1:
                places[:] = False
        labels: Array = self.classes_.take(places)
        return labels

    def _decided_one(self, outputs: Array) -> Any:
        if self._is_multilabel or len(self.classes_) == 1:
            return self._decided(outputs)[0]
        if outputs.size > 1:
            return self.classes_[outputs.argmax()]
        return self.classes_[1 if outputs.item() > self._border else 0]

    def _labelled(self, y: Array) -> Array:
        return y if self._is_multilabel else self.classes_.take(y)

    def _strata(self, y: Array) -> Array | None:
        return y[:, None].astype(bool) if y.ndim == 1 and len(self.classes_) <= 2 else None

    # ---- training and using ------------------------------------------------------------------

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """One epoch over these rows, from the weights and the optimiser's state as they are.

        Nothing is held out, also with `early_stopping`.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array of shape (n_classes,), optional
            All labels that will ever come; needed at the first call.
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def _take_classes(self, y: Any, classes: Any) -> None:
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._learn_labels(y if multilabel else classes)

    def predict(self, X: Any, out: Array | None = None) -> Array:
        """The label of each row, or for rows of several labels 0 and 1 for each of them.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n_samples, n_features)
        out : array, optional
            Where to write them, of the shape and dtype of what is returned.
        """
        if "model_" not in self.__dict__:
            check_is_fitted(self)
        decided = self._decided(self._outputs_of(X, before_output=self._decides_by_z))
        if out is None:
            return decided
        out = room_for("out", out, decided.shape, decided.dtype)
        out[...] = decided
        return out

    def _gives_probabilities(self) -> bool:
        if "model_" in self.__dict__ and self.out_activation_ not in ("logistic", "softmax"):
            raise AttributeError(
                f"there are no probabilities: the outputs are those of "
                f"out_activation={self.out_activation_!r}; see decision_function"
            )
        return True

    @available_if(lambda self: self._gives_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any, out: Array | None = None) -> Array:
        """The probability of each label, shape (n_samples, n_classes), in the order of `classes_`.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n_samples, n_features)
        out : array of shape (n_samples, n_classes), optional
            Where to write them, of the dtype that training had.
        """
        if "model_" not in self.__dict__:
            check_is_fitted(self)
        last = learner_of(self.model_).output
        if last.activation == "softmax" or (last.units > 1 and self._is_multilabel):
            return self._outputs_of(X, self._room(X, out))
        outputs = self._outputs_of(X, before_output=self._decides_by_z)
        shape = len(outputs), max(2, last.units)
        found = np.empty(shape, outputs.dtype)
        if out is not None:
            found = room_for("out", out, shape, outputs.dtype)
        if last.units > 1:
            found[:] = _shares_of_sigmoids(outputs)
        else:
            found[:, 1:] = outputs
            np.subtract(1, outputs, out=found[:, :1])
        return found

    @available_if(lambda self: self._gives_probabilities())  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        probabilities: Array = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            np.log(probabilities, out=probabilities)
        return probabilities

    def decision_function(self, X: Any) -> Array:
        """Signed confidence: the pre-activation output z for sigmoid and softmax.

        Otherwise it is the output minus the decision threshold.

        Shape (n_samples,) for two classes, above 0 for the second; otherwise one column for each.
        """
        check_is_fitted(self)
        probabilities = self.out_activation_ in ("logistic", "softmax")
        z = self._outputs_of(X, before_output=probabilities)
        if not probabilities:
            z -= self._border
        if z.shape[1] == 1:
            return z.ravel()
        return z[:, 1] - z[:, 0] if len(self.classes_) == 2 and not self._is_multilabel else z

    def _single_target(self, y: Any) -> int | None:
        key = self.model_, self.class_weight
        if self.__dict__.get("_targets_of") != key or not self._takes_single_rows:
            self._targets_of, self._known_targets = key, self._single_targets()
        return self._known_targets.get(y) if isinstance(y, LABELS) else None

    def _single_targets(self) -> dict[Any, int]:
        """The learner's target for each label, if it is one number and all weights are 1."""
        loss = self._learner.compiled_loss()
        one_number = self.n_outputs_ == 1 or loss.targets == "classes"
        plain = self._takes_single_rows and self.class_weight is None
        if not one_number or self._is_multilabel or not plain:
            return {}
        return {label: place for place, label in enumerate(self.classes_.tolist())}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _shares_of_sigmoids(z: Array) -> Array:
    """p_j = sigmoid(z_j) / sum_k sigmoid(z_k), in the dtype of z, from the logarithms of the
    sigmoids, which may all be 0; the largest p is where the largest z is."""
    z_double = z.astype(np.float64)
    logs = np.minimum(z_double, 0) - np.log1p(np.exp(-np.abs(z_double)))
    shares: Array = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(z.dtype)
    rows, places = np.arange(len(z)), z.argmax(axis=1)
    tied = shares.argmax(axis=1) != places  # by rounding
    rows, places = rows[tied], places[tied]
    shares[rows, places] = np.nextafter(shares[rows].max(axis=1), z.dtype.type(1))
    return shares
