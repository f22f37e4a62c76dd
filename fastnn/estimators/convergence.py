"""When scikit-learn's perceptrons end a fit or lower the learning rate, and what they keep."""

import math
import sys
from collections.abc import Callable
from typing import Any

from fastnn.callbacks.base import Callback, Logs

SMALLEST_RATE = 1e-6  # an adaptive one is lowered no further


class Record(Callback):
    """Writes into an estimator what scikit-learn's keep of each epoch, or iteration of L-BFGS."""

    def __init__(self, estimator: Any) -> None:
        self._estimator, self.verbose = estimator, bool(estimator.verbose)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.loss_ = logs["loss"]
        estimator.loss_curve_.append(estimator.loss_)
        if "val_loss" in logs:
            estimator.validation_loss_curve_.append(logs["val_loss"])
        self.say(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")


class Convergence(Record):
    """The same of gradient descent, which it also ends as scikit-learn does.

    `score` gives that of the rows held out for early stopping; without it the loss decides. After
    more than `n_iter_no_change` epochs in a row that were no better by `tol` the fit ends or, with
    an adaptive learning rate, goes on with a fifth of it.
    """

    def __init__(self, estimator: Any, n_rows: int, score: Callable[[Logs], float] | None) -> None:
        super().__init__(estimator)
        self._n_rows, self._score = n_rows, score

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        super().on_epoch_end(epoch, logs)
        estimator = self._estimator
        estimator.t_ += self._n_rows
        with estimator._averaged():
            stalled = self._loss_stalls() if self._score is None else self._score_stalls(logs)
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if stalled else 0
        self._scale_rate()
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._stop_or_lower_rate()

    def _loss_stalls(self) -> bool:
        estimator, loss = self._estimator, self._estimator.loss_
        best = math.inf if estimator.best_loss_ is None else estimator.best_loss_
        stalls: bool = loss > best - estimator.tol
        estimator.best_loss_ = min(loss, best)
        return stalls

    def _score_stalls(self, logs: Logs) -> bool:
        """Keeps the weights, too, if they are the best so far."""
        assert self._score is not None
        estimator, score = self._estimator, self._score(logs)
        estimator.validation_scores_.append(score)
        self.say(f"Validation score: {score:f}")
        stalls: bool = score < estimator.best_validation_score_ + estimator.tol
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            estimator._best_weights = self.model.get_weights()
        return stalls

    def _scale_rate(self) -> None:
        estimator = self._estimator
        if estimator._rate_rule == "invscaling":
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
        if estimator._rate_rule != "adaptive" or not isinstance(rate, float):
            self._stop(f"{message} Stopping.")
        elif rate <= SMALLEST_RATE:
            self._stop(f"{message} Learning rate too small. Stopping.")
        else:
            optimizer.learning_rate = rate / 5
            self.say(f"{message} Setting learning rate to {rate / 5:f}")
            estimator._no_improvement_count = 0

    def _stop(self, message: str) -> None:
        self.say(message)
        self.model.stop_training = True
