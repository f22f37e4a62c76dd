"""The epochs of a fit by L-BFGS: SciPy's, on the cost of all rows and its gradient."""

import math
import time
from types import ModuleType
from typing import Any

import numpy as np

from fastnn.callbacks.base import notify
from fastnn.data.rows import Array
from fastnn.engine.divergence import Diverged
from fastnn.engine.gradient_descent import gradient_slices
from fastnn.engine.network import inverse
from fastnn.optimizers import LBFGS
from fastnn.training.evaluation import evaluate
from fastnn.training.fit import SHORTEST, Fit


def scipy_optimize() -> ModuleType:
    """SciPy's module, or an error that says how to install it."""
    try:
        from scipy import optimize
    except ModuleNotFoundError:
        raise ModuleNotFoundError("LBFGS needs SciPy: pip install scipy", name="scipy") from None
    module: ModuleType = optimize
    return module


class _Problem:
    """The cost as a function of the weights, and what happens after an iteration."""

    def __init__(self, fit: Fit) -> None:
        self._fit, self._network = fit, fit.descent.network
        self.weights = self._network.parameters.astype(np.float64)  # the last ones accepted
        self._epoch = fit.plan.initial_epoch
        self._begun = False
        self._scores: dict[str, float] = {}  # the loss that the iteration begins with, and metrics

    def _begin(self) -> None:
        """Before an iteration, whose first cost is asked for."""
        self._begun = True
        fit, descent = self._fit, self._fit.descent
        fit.begin_epoch(self._epoch)
        self._began = time.perf_counter()
        if fit.metrics:
            arguments = self._network, descent.data, descent.loss, fit.metrics, descent.team
            self._scores = evaluate(*arguments)

    def cost(self, weights: Array) -> tuple[float, Array]:
        """L and dL/dw of all rows, those that are not trained zero."""
        descent, network = self._fit.descent, self._network
        if not self._begun:
            self._begin()
        network.parameters[:] = weights
        descent.begin_sum()
        share = inverse(descent.weight())
        for _ in gradient_slices(descent, None, 0, descent.data.n_rows, share):
            pass  # Python may be interrupted here
        loss = descent.total * share + network.penalty(share)
        if not math.isfinite(loss):
            raise Diverged(
                "training diverged: the loss is no longer finite. The model keeps its last finite "
                "weights. Standardise the features (with a Normalization layer) and, in a "
                "regression, the targets",
                f"in epoch {self._epoch + 1}",
            )
        self._scores = self._scores or {"loss": loss}
        network.add_penalty_gradient(descent.gradient, share)
        gradient = np.zeros(len(weights))
        pairs = zip(network.moving(descent.gradient), network.moving(gradient), strict=True)
        for (_, found), (_, place) in pairs:
            place[:] = found
        return loss, gradient

    def end(self, intermediate_result: Any) -> None:
        """After an iteration; StopIteration ends the search, which a callback's own must not."""
        self.weights[:] = intermediate_result.x
        self._fit.descent.state.step += 1
        try:
            self._end_epoch()
        except StopIteration as error:
            raise RuntimeError("a callback raised StopIteration") from error
        self._scores = {"loss": float(intermediate_result.fun)}
        if self._fit.model.stop_training:
            raise StopIteration

    def settle(self) -> None:
        """An iteration that has found nothing lower is an epoch, too."""
        if self._begun:
            self._end_epoch()

    def _end_epoch(self) -> None:
        fit, n_rows = self._fit, self._fit.descent.data.n_rows
        self._begun, self._network.parameters[:] = False, self.weights
        seconds = time.perf_counter() - self._began
        rate = {"seconds": seconds, "samples_per_second": n_rows / max(seconds, SHORTEST)}
        notify(fit.callbacks, "on_slice_end", n_rows, self._scores)
        fit.end_epoch(self._epoch, self._scores | rate)
        self._epoch += 1


def _options(optimizer: LBFGS, n_epochs: int) -> dict[str, float]:
    """In SciPy's words."""
    return {
        "maxiter": n_epochs,
        "maxfun": optimizer.max_evaluations or 20 * n_epochs + 20,
        "maxcor": optimizer.history_size,
        "ftol": optimizer.cost_tolerance,
        "gtol": optimizer.gradient_tolerance,
    }


def minimise(fit: Fit) -> None:
    """An epoch is an iteration; the search ends early where it finds nothing lower."""
    optimizer, optimize = fit.descent.optimizer, scipy_optimize()
    assert isinstance(optimizer, LBFGS)
    if not (n_epochs := len(fit.plan.epoch_numbers)):
        return
    problem = _Problem(fit)
    options = _options(optimizer, n_epochs)
    try:
        found = optimize.minimize(
            problem.cost,
            problem.weights.copy(),
            jac=True,
            method="L-BFGS-B",
            callback=problem.end,
            options=options,
        )
        names = [name for name in ("status", "message", "nit", "nfev", "fun") if name in found]
        fit.history.params["lbfgs"] = {name: found[name] for name in names}
        problem.settle()
    finally:
        fit.descent.network.parameters[:] = problem.weights
