"""Single rows to learn, and few rows to predict, as they arrive.

The core is given once what stays the same from call to call.

A row to learn takes the path that needs no next row, "listed", or "fused" where every step moves
all weights.
"""

import math

import numpy as np

from fastnn.data.rows import NUMBER_TYPES, Array
from fastnn.engine.divergence import DivergenceWatch
from fastnn.engine.network import Network
from fastnn.engine.per_sample import NAMES, one_row_path
from fastnn.losses import Loss

NUMBERS = (float, int)  # a union is slower to make than to use
EXACT = 2.0**53  # whole numbers above it are rounded on their way through a double
FEW_ROWS = 64
# Operations of rows in training, up to which they are predicted without letting another thread of
# Python in between: a tenth of a millisecond or less.
SHORT_WORK = 1e7


class OneRow:
    """Learns from single rows with a single target each."""

    def __init__(self, watch: DivergenceWatch, loss: Loss) -> None:
        self.watch, self.loss = watch, loss
        self.network, self.optimizer, self.state = watch.network, watch.optimizer, watch.state
        network = self.network
        self._prepare_step()
        self._shape, self._dtype = (1, network.n_features), np.dtype(network.dtype)
        self._x_type = NUMBER_TYPES[self._dtype]
        low, high, self._whole = loss.range_of_targets(network.n_outputs)
        self._low, self._high = max(low, -EXACT), min(high, EXACT)
        self._learn = network.core.learn_one
        self._prepare()

    def _prepare(self) -> None:
        """Tell the core where everything is."""
        network, watch = self.network, self.watch
        rule = self.optimizer.rule(network.layer_rules, self.state)
        path = NAMES.index(one_row_path(plain=rule.is_plain))
        arguments = network.arguments(1, stochastic=True)
        memory = bytearray(network.core.one_row_length())
        kernel = self.loss.kernel(np.empty((1, 1), network.dtype))
        kept = watch.kept, watch.kept_counts
        network.core.prepare_one_row(*arguments, kernel, *rule, path, *kept, memory)
        self._table, self._memory = arguments.normalization, memory
        self._alive = arguments, rule, kept  # the memory holds their addresses

    def _prepare_step(self) -> None:
        """What is the same of all steps, until the learning rate is set anew."""
        self._rate, self._step = self.optimizer.learning_rate, self.optimizer.constant_step()

    def learn(self, X: object, y: object) -> float | None:
        """One update with X, shape (1, n_features), and y; returns the loss before it.

        None, and nothing has happened, if they are not as this way takes them, or not right.
        Raises `Diverged` if training has diverged.
        """
        if type(X) is not np.ndarray or X.shape != self._shape or X.strides[1] != X.itemsize:
            return None
        x_type = self._x_type if X.dtype is self._dtype else NUMBER_TYPES.get(X.dtype)
        target = y if isinstance(y, NUMBERS) else _single_number(y)
        if x_type is None or target is None:
            return None
        if not self._low <= target <= self._high or (self._whole and target % 1):
            return None
        if self.network.normalization_table is not self._table:
            self._prepare()
        if self.optimizer.learning_rate is not self._rate:  # a property would take longer to ask
            self._prepare_step()
        step = self._step or self.optimizer.step(self.state.step)
        loss: float = self._learn(self._memory, X, x_type, target, step[0], step[1])
        if loss < math.inf:
            return loss
        if loss == math.inf:
            raise self.watch.diverged("at this row")
        return None


def _single_number(y: object) -> float | int | None:
    """The number in an array that holds one, or of a NumPy scalar; None if it is none."""
    if not (type(y) is np.ndarray or isinstance(y, np.generic)):
        return None
    if y.dtype not in NUMBER_TYPES or y.size != 1 or y.ndim > 2:
        return None
    number: float | int = y.item()
    return number


class FewRows:
    """The outputs of a few rows; each thread has one of its own."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._n_features, self._dtype = network.n_features, np.dtype(network.dtype)
        self._n_outputs = network.n_outputs
        self._most = min(FEW_ROWS, int(SHORT_WORK / network.row_work))
        self._x_type = NUMBER_TYPES[self._dtype]
        self._predict = network.core.predict_few_rows
        self._prepare()

    def _prepare(self) -> None:
        """Tell the core where everything is; the weights may change, not their place."""
        network = self.network
        arguments = network.arguments(max(self._most, 1))
        memory = bytearray(network.core.few_rows_length())
        network.core.prepare_few_rows(*arguments, memory)
        self._table, self._memory = arguments.normalization, memory
        self._alive = arguments  # the memory holds their addresses

    def outputs(self, X: object) -> Array | None:
        """Those of X, (n_rows, n_features); None if X is not as this way takes it, or wrong."""
        if type(X) is list and len(X) <= self._most:
            X = _array_of(X)
        if type(X) is not np.ndarray or X.ndim != 2 or X.strides[1] != X.itemsize:
            return None
        n_rows, n_features = X.shape
        if n_features != self._n_features or not 0 < n_rows <= self._most:
            return None
        x_type = self._x_type if X.dtype is self._dtype else NUMBER_TYPES.get(X.dtype)
        if x_type is None:
            return None
        if self.network.normalization_table is not self._table:
            self._prepare()
        outputs = np.empty((n_rows, self._n_outputs), self._dtype)
        return outputs if self._predict(self._memory, X, x_type, outputs) else None


def _array_of(rows: list[object]) -> object:
    """Rows that a list holds; the list itself if they are no rectangle of numbers."""
    try:
        return np.asarray(rows)
    except (ValueError, TypeError, OverflowError):
        return rows
