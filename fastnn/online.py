"""One row at a time, as rows arrive: what never changes is told the core once.

A row to learn takes the path that needs no next row, "listed", or "fused" where every step moves
all weights.
"""

import math

import numpy as np

from fastnn._validation import NUMBER_TYPES, Array
from fastnn.losses import Loss
from fastnn.network import Network
from fastnn.optimizers import Optimizer, State, remedy
from fastnn.paths import NAMES, one_row_path

ARRAYS, NUMBERS = (np.ndarray, np.generic), (float, int)  # unions are slower to make than to use
KEPT_EVERY = 64  # rows; in loops/stochastic.pxi


class OneRow:
    """Learns from single rows with a single target each.

    Whoever is about to change weights or the optimiser's state in another way sets `disturbed`.
    """

    def __init__(self, network: Network, optimizer: Optimizer, state: State, loss: Loss) -> None:
        self.network, self.optimizer, self.state, self.loss = network, optimizer, state, loss
        self.disturbed = False
        self._prepare_step()
        self._shape, self._dtype = (1, network.n_features), np.dtype(network.dtype)
        self._x_type = NUMBER_TYPES[self._dtype]
        self._low, self._high, self._whole = loss.range_of_targets(network.n_outputs)
        self._learn = network.core.learn_one
        self._prepare()

    def _prepare(self) -> None:
        """Tell the core where everything is; it keeps the weights as they are, to go back."""
        network = self.network
        rule = self.optimizer.rule(network.layer_rules, self.state)
        path = NAMES.index(one_row_path(plain=rule.is_plain))
        arguments = network.arguments(1, stochastic=True)
        kept = np.empty((1 + len(rule.slots)) * len(network.parameters), network.dtype)
        memory = bytearray(network.core.one_row_length())
        kernel = self.loss.kernel(np.empty((1, 1), network.dtype))
        network.core.prepare_one_row(*arguments, kernel, *rule, path, kept, memory)
        self._table, self._memory = arguments.normalization, memory
        self._alive = arguments, rule, kept  # the memory holds their addresses
        self.disturbed = False

    def _prepare_step(self) -> None:
        """What is the same of all steps, until the learning rate is set anew."""
        self._rate, self._step = self.optimizer.learning_rate, self.optimizer.constant_step()

    def learn(self, X: object, y: object) -> float | None:
        """One update with X, shape (1, n_features), and y; returns the loss before it.

        None, and nothing has happened, if they are not as this way takes them, or not right.
        Raises FloatingPointError if training has diverged.
        """
        if type(X) is not np.ndarray or X.shape != self._shape or X.strides[1] != X.itemsize:
            return None
        x_type = self._x_type if X.dtype is self._dtype else NUMBER_TYPES.get(X.dtype)
        if isinstance(y, ARRAYS):
            target = y.item() if y.size == 1 and y.ndim <= 2 else None
        else:
            target = y
        if x_type is None or not isinstance(target, NUMBERS):
            return None
        if not self._low <= target <= self._high or (self._whole and target % 1):
            return None
        if self.disturbed or self.network.normalization_table is not self._table:
            self._prepare()
        if self.optimizer.learning_rate is not self._rate:  # a property would take longer to ask
            self._prepare_step()
        step = self._step or self.optimizer.step(self.state.step)
        loss: float = self._learn(self._memory, X, x_type, target, step[0], step[1])
        if loss < math.inf:
            self.state.step += 1
            return loss
        if loss == math.inf:
            raise FloatingPointError(self._diverged())
        return None

    def _diverged(self) -> str:
        layers, standardised = self.network.layer_rules, self.network.is_standardised
        advice = remedy(self.optimizer, self.state.step, layers, standardised=standardised)
        return (
            f"training diverged: loss or weights are no longer finite. The model goes back to its "
            f"weights of at most {KEPT_EVERY} rows before. {advice}"
        )


class OnePrediction:
    """The outputs of single rows; each thread has one of its own."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._shape, self._dtype = (1, network.n_features), np.dtype(network.dtype)
        self._outputs = 1, network.n_outputs
        self._x_type = NUMBER_TYPES[self._dtype]
        self._predict = network.core.predict_one
        self._prepare()

    def _prepare(self) -> None:
        """Tell the core where everything is; the weights may change, not their place."""
        network = self.network
        arguments, memory = network.arguments(1), bytearray(network.core.one_prediction_length())
        network.core.prepare_one_prediction(*arguments, memory)
        self._table, self._memory = arguments.normalization, memory
        self._alive = arguments  # the memory holds their addresses

    def outputs(self, X: object) -> Array | None:
        """Those of X, shape (1, n_features); None if X is not as this way takes it, or wrong."""
        if type(X) is not np.ndarray or X.shape != self._shape or X.strides[1] != X.itemsize:
            return None
        x_type = self._x_type if X.dtype is self._dtype else NUMBER_TYPES.get(X.dtype)
        if x_type is None:
            return None
        if self.network.normalization_table is not self._table:
            self._prepare()
        outputs = np.empty(self._outputs, self._dtype)
        return outputs if self._predict(self._memory, X, x_type, outputs) else None
