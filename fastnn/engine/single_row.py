"""Single rows to learn and few rows to predict, as they arrive, at the price of a few calls.

What stays the same from call to call is prepared once; the core itself checks the rows. A row to
learn takes the path that needs no next row, "listed", or "fused" where every step moves all
weights.
"""

from typing import Any

import numpy as np
from numpy import empty, ndarray

from fastnn._core import Context
from fastnn.data.rows import Array
from fastnn.engine.divergence import KEPT_EVERY, DivergenceWatch
from fastnn.engine.network import Network
from fastnn.engine.per_sample import one_row_path
from fastnn.losses import Loss, settings_of

FEW_ROWS = 64
# Operations of rows in training, up to which they are predicted without letting another thread of
# Python in between: a tenth of a millisecond or less.
SHORT_WORK = 1e7


class OneRow:
    """Learns from single rows, each with a number as its target or with a row of numbers."""

    def __init__(self, watch: DivergenceWatch, loss: Loss) -> None:
        self.watch, self.loss, self.network = watch, loss, watch.network
        self.optimizer, self._snapshot = watch.optimizer, watch.snapshot
        core = self.network.core
        self._few_rows, self._stochastic = core.few_rows, core.stochastic
        self._settle = core.settle_step
        self._penalty = core.penalty if self.network.has_penalty else None
        self._is_standardised = self.network.is_standardised
        self._prepare()

    def _prepare(self) -> None:
        """Make the contexts: for a label or a number, and for a row of numbers."""
        network, n_outputs, kind = self.network, self.network.n_outputs, self.loss.targets
        self._table = network.normalization_table
        self._of_number = self._of_row = None
        if n_outputs == 1 or kind == "classes":
            self._of_number = self._context(1, *self.loss.range_of_targets(n_outputs))
        if n_outputs > 1 and kind == "classes":
            self._of_row = self._context(n_outputs, 0, 1, False)
            self._of_row.targets_add_up = True
        elif n_outputs > 1 and kind != "signs":
            self._of_row = self._context(n_outputs, *self.loss.range_of_targets(n_outputs))
        self._prepare_steps()

    def _context(self, n_targets: int, low: float, high: float, whole: bool) -> Context:
        network = self.network
        rule = self.optimizer.rule(network.layer_rules, self.watch.state)
        context = network.context(1, stochastic=True, quick=True)
        context.set_rule(*rule.for_core, one_row_path(plain=rule.is_plain))
        context.set_loss(settings_of(self.loss, n_targets, network.dtype))
        context.most_rows = 1
        context.lowest_target, context.highest_target = low, high
        context.whole_targets = whole
        return context

    def _prepare_steps(self) -> None:
        """Set what is the same for all steps, until the learning rate is set again."""
        self._rate, steps = self.optimizer.learning_rate, self.optimizer.constant_step()
        self._constant = steps is not None
        for context in (self._of_number, self._of_row):
            if context is not None and steps is not None:
                context.set_steps(steps)

    def learn(self, X: object, y: object, is_row: bool = False) -> float | None:
        """One update with X, shape (1, n_features), and y; returns the loss before it.

        With `is_row`, X has shape (n_features,). The loss includes what regularisers add. Returns
        None, and nothing has happened, if X or y is not as the core can take it at once, or another
        thread moves the weights. Raises `Diverged` if training has diverged.
        """
        if type(y) is list:
            y = _array_of(y)
        context = self._of_row if type(y) is ndarray and y.size > 1 else self._of_number
        if context is None or y is None:
            return None
        if self._is_standardised and self.network.normalization_table is not self._table:
            self._prepare()
            return self.learn(X, y, is_row)
        rows = self._few_rows(context, X, y, is_row)
        if rows is None:
            return None
        if self.optimizer.learning_rate is not self._rate:  # a property would take longer to ask
            self._prepare_steps()
        if not self._constant:
            context.set_steps(self.optimizer.steps(self.watch.state.step, 1))
        total = 0.0 if self._penalty is None else self._penalty(context, 1.0, 1.0)
        try:
            loss: float = self._stochastic(context, rows, None, 0, 1, None, total)
            if self._settle(self._snapshot, loss, KEPT_EVERY):
                return loss
        except RuntimeError:  # another thread moves the weights
            return None
        except BaseException:
            self.watch.settle()
            raise
        raise self.watch.diverged("at this row")


class FewRows:
    """Predicts few rows; each thread has an object of its own."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._n_outputs, self._dtype = network.n_outputs, np.dtype(network.dtype)
        core = network.core
        self._few_rows, self._evaluate = core.few_rows, core.evaluate
        self._all_finite, self._is_standardised = core.all_finite, network.is_standardised
        self._prepare()

    def _prepare(self) -> None:
        most = min(FEW_ROWS, int(SHORT_WORK / self.network.row_work))
        self._table = self.network.normalization_table
        self._context = self.network.context(max(most, 1), quick=True)
        self._context.most_rows = most

    def outputs(self, X: object, is_row: bool = False) -> Array | None:
        """The outputs for X, shape (n_rows, n_features) or, with `is_row`, (n_features,).

        None if X is not as the core can take it at once, or an output is not finite.
        """
        if self._is_standardised and self.network.normalization_table is not self._table:
            self._prepare()
        context = self._context
        rows = self._few_rows(context, X, None, is_row)
        if rows is None:
            return self._outputs_of_list(X, is_row) if type(X) is list else None
        n_rows = len(rows)
        outputs = empty((n_rows, self._n_outputs), self._dtype)
        self._evaluate(context, rows, None, 0, n_rows, outputs)
        return outputs if self._all_finite(outputs) else None

    def _outputs_of_list(self, X: list[Any], is_row: bool) -> Array | None:
        rows = _array_of(X) if len(X) <= FEW_ROWS else X
        return None if type(rows) is list else self.outputs(rows, is_row)


def _array_of(numbers: list[Any]) -> object:
    """The array that a list stands for; the list itself if it is no rectangle of numbers."""
    try:
        return np.asarray(numbers)
    except (ValueError, TypeError, OverflowError):
        return numbers
