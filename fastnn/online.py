"""Learning from one row at a time, as rows arrive: what never changes is told the core once.

A row takes the path that needs no next row, "listed", or "fused" where every step moves all
weights. What this way cannot take, it leaves to `fit`'s machinery: then `learn` returns NaN and
nothing has happened. Whoever changes the weights or the optimiser's state in another way makes a
new `OneRow` afterwards.
"""

import math

import numpy as np

from fastnn.losses import Loss
from fastnn.network import Network
from fastnn.optimizers import SGD, State, remedy
from fastnn.paths import NAMES, one_row_path

NAN = math.nan


class OneRow:
    """Learns from single rows in the model's number type with a single target each."""

    def __init__(self, network: Network, optimizer: SGD, state: State, loss: Loss) -> None:
        self.network, self.optimizer, self.state, self.loss = network, optimizer, state, loss
        self._shape, self._dtype = (1, network.n_features), np.dtype(network.dtype)
        self._low, self._high, self._whole = loss.range_of_targets(network.n_outputs)
        self._learn = network.core.learn_one
        self._prepare()

    def _prepare(self) -> None:
        network = self.network
        rule = self.optimizer.rule(network.decay, self.state)
        path = NAMES.index(one_row_path(plain=rule.is_plain))
        arguments = network.arguments(1, stochastic=True)
        kept = np.empty((1 + len(rule.slots)) * len(network.parameters), network.dtype)
        memory = bytearray(network.core.one_row_length())
        code = self.loss.code(np.empty((1, 1)))
        network.core.prepare_one_row(*arguments, code, *rule, path, kept, memory)
        self._table, self._memory = arguments.normalization, memory
        self._alive = arguments, rule, kept  # the memory holds their addresses

    def learn(self, X: object, y: object) -> float:
        """One update with X, shape (1, n_features), and y; returns the loss before it, or NaN.

        Raises FloatingPointError if training has diverged.
        """
        if type(X) is not np.ndarray or X.dtype is not self._dtype or X.shape != self._shape:
            return NAN
        target = y.item() if type(y) is np.ndarray and y.size == 1 else y
        if not isinstance(target, (float, int)):
            return NAN
        if not self._low <= target <= self._high or (self._whole and target % 1):
            return NAN
        if self.network.normalization_table is not self._table:
            self._prepare()  # the Normalization layer has new statistics
        loss: float = self._learn(self._memory, X, target, self.optimizer.learning_rate)
        if loss == math.inf:
            raise FloatingPointError(
                "training diverged: loss or weights are no longer finite. The model goes back to "
                f"its weights of at most 64 rows before. {remedy(self.optimizer)}"
            )
        self.state.step += 1
        return loss
