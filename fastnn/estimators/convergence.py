"""When scikit-learn's perceptrons end a fit or lower the learning rate, and what they record."""

import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastnn.callbacks.base import Callback, Logs
from fastnn.data.rows import Array

SMALLEST_RATE = 1e-6  # an adaptive one is lowered no further


class Record(Callback):
    """Writes into an estimator what scikit-learn records of each epoch, or L-BFGS iteration."""

    def __init__(self, estimator: Any) -> None:
        self._estimator, self.verbose = estimator, bool(estimator.verbose)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.loss_ = logs["loss"]
        estimator.loss_curve_.append(estimator.loss_)
        if "val_loss" in logs:
            estimator.validation_loss_curve_.append(logs["val_loss"])
        if self.verbose:
            self.say(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")


class Convergence(Record):
    """Does that for gradient descent, which it also ends as scikit-learn does.

    `score` scores the rows held out for early stopping; without it the loss decides. After more
    than `n_iter_no_change` epochs in a row that were no better by `tol` the fit ends or, with an
    adaptive learning rate, goes on with a fifth of it.

    Parameters
    ----------
    estimator : BaseMLP
    n_rows : int
        Rows of an epoch.
    score : callable, optional
    rate_rule : str
        How epochs change the learning rate: "constant", "invscaling" or "adaptive".
    averaged : callable
        A context in which the weights are their running average.

    Attributes
    ----------
    no_improvement_count : int
        Epochs in a row that were no better.
    best_weights : list of array or None
        The weights with the best score.
    """

    def __init__(
        self,
        estimator: Any,
        n_rows: int,
        score: Callable[[Logs], float] | None,
        rate_rule: str = "constant",
        averaged: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        super().__init__(estimator)
        self._n_rows, self._score, self._rate_rule = n_rows, score, rate_rule
        self._averaged = averaged
        self.no_improvement_count = 0
        self.best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        super().on_epoch_end(epoch, logs)
        estimator = self._estimator
        estimator.t_ += self._n_rows
        with self._averaged():
            stalled = self._loss_stalls() if self._score is None else self._score_stalls(logs)
        self.no_improvement_count = self.no_improvement_count + 1 if stalled else 0
        if self._rate_rule == "invscaling":
            self._scale_rate()
        if self.no_improvement_count > estimator.n_iter_no_change:
            self._stop_or_lower_rate()

    def _loss_stalls(self) -> bool:
        """Whether the loss is no better."""
        estimator, loss = self._estimator, self._estimator.loss_
        best = math.inf if estimator.best_loss_ is None else estimator.best_loss_
        stalls: bool = loss > best - estimator.tol
        estimator.best_loss_ = min(loss, best)
        return stalls

    def _score_stalls(self, logs: Logs) -> bool:
        """Whether the score is no better; keeps the weights if they are the best so far."""
        assert self._score is not None
        estimator, score = self._estimator, self._score(logs)
        estimator.validation_scores_.append(score)
        self.say(f"Validation score: {score:f}")
        stalls: bool = score < estimator.best_validation_score_ + estimator.tol
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self.best_weights = self.model.get_weights()
        return stalls

    def _scale_rate(self) -> None:
        """Set the rate to learning_rate_init / (t + 1)^power_t after t rows."""
        estimator = self._estimator
        try:
            divisor = (estimator.t_ + 1) ** float(estimator.power_t)
        except OverflowError:
            divisor = math.inf
        rate = max(estimator.learning_rate_init / divisor, sys.float_info.min)
        self.model.optimizer.learning_rate = rate

    def _stop_or_lower_rate(self) -> None:
        estimator, optimizer = self._estimator, self.model.optimizer
        what = "Training loss" if self._score is None else "Validation score"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        rate = optimizer.learning_rate
        if self._rate_rule != "adaptive" or not isinstance(rate, float):
            self._stop(f"{message} Stopping.")
        elif rate <= SMALLEST_RATE:
            self._stop(f"{message} Learning rate too small. Stopping.")
        else:
            optimizer.learning_rate = rate / 5
            self.say(f"{message} Setting learning rate to {rate / 5:f}")
            self.no_improvement_count = 0

    def _stop(self, message: str) -> None:
        self.say(message)
        self.model.stop_training = True
