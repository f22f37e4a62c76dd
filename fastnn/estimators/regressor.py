"""MLPRegressor: scikit-learn's regressor of this name on fastnn's engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastnn.callbacks.base import Callback
from fastnn.data.rows import Array
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.parameters import Activations, ActivationWord, LossWord, RateRule, SolverName
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule
from fastnn.training.plan import Mode


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Regressor: scikit-learn's MLPRegressor on fastnn's engine, and what it does not have.

    From the same `random_state` training ends in scikit-learn's weights, up to rounding. The loss
    of a batch is sum_i w_i l_i / sum_i w_i + alpha/2 sum W^2 / sum_i w_i, with the sample weights
    w_i (1 unless given); l is half the mean of the squared errors of a row's k outputs, while, as
    in scikit-learn, the steps go along the derivative of half their sum.

    Parameters
    ----------
    loss : str or Loss
        "squared_error"; "poisson", half the deviance of counts, whose output is exp(z); or another
        of `Sequential.compile`, such as "mean_absolute_error", "huber" or Huber(delta=2).
    hidden_layer_sizes, activation, solver, ... : see `MLPClassifier`
        All others, but `class_weight`, are those of the classifier. `scoring=None` is R^2.

    Attributes
    ----------
    model_, coefs_, intercepts_, loss_, ... : see `MLPClassifier`
        All are those of the classifier, but `classes_`.

    Raises
    ------
    ValueError, TypeError
        From `fit`, if a parameter or the data do not fit; ValueError if training
        diverges, after which the weights are the last finite ones.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLPRegressor
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> y = np.sin(3 * X[:, 0])
    >>> reg = MLPRegressor(solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.99
    True
    """

    _y_numeric = True
    _kinds_of_targets = "numbers", "counts", "anything"
    _usual_score: ClassVar[Callable[..., float]] = staticmethod(r2_score)

    def __init__(
        self,
        loss: LossWord | Loss = "squared_error",
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
        out_activation: ActivationWord | None = None,
        dropout: float | Sequence[float] = 0.0,
        scoring: str | Callable[..., float] | None = None,
        mode: Mode | None = None,
        average: bool = False,
        callbacks: Sequence[Callback] | None = None,
        threads: int | None = None,
    ) -> None:
        self._keep(locals())

    def _learn_labels(self, y: Array) -> None:
        if y.dtype.kind in "USO":
            raise ValueError("y holds text; expected numbers. For labels take MLPClassifier")

    def _check_labels(self, y: Array, *, all_of_them: bool) -> None:
        n_columns = 1 if y.ndim == 1 else int(y.shape[1])
        if "model_" in self.__dict__ and n_columns != self.n_outputs_:
            raise ValueError(
                f"y has {n_columns} columns, but there are {self.n_outputs_} outputs; for other "
                f"targets take a new estimator, or warm_start=False"
            )

    def _coded(self, y: Array) -> Array:
        return y

    def _single_target(self, y: Any) -> Any:
        if not self._takes_single_rows:
            return None
        if isinstance(y, float | int) or np.ndim(y) == 0:
            return y
        return np.reshape(y, (1, -1))

    def _n_outputs(self, y: Array, loss: Loss) -> int:
        return 1 if y.ndim == 1 else int(y.shape[1])

    def _targets(self, y: Array) -> Array:
        return y

    def _decided(self, outputs: Array) -> Array:
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _decided_one(self, outputs: Array) -> Any:
        return outputs[0, 0] if outputs.size == 1 else outputs[0]

    def _labelled(self, y: Array) -> Array:
        return y

    def _strata(self, y: Array) -> None:
        return None

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over these rows, from the weights and the optimiser's state as they are.

        Nothing is held out, also with `early_stopping`. X, y and sample_weight are as in `fit`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any, out: Array | None = None) -> Array:
        """The outputs, shape (n_samples,), or (n_samples, n_outputs) if there are several.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n_samples, n_features)
        out : array, optional
            Where to write them, of the dtype that training had.
        """
        if out is None:
            return self._decided(self._outputs_of(X))
        check_is_fitted(self)
        self._outputs_of(X, self._room(X, out, flat=True))
        return out
