"""GradientMonitor: the norm of each layer's gradient, after every epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.data.rows import Array


class GradientMonitor(Callback):
    """Measures the gradient of each layer after every epoch, into `history.monitored`.

    A gradient that is smaller from layer to layer on its way back vanishes; one of 0 stays 0.

    Parameters
    ----------
    X, y, sample_weight
        The rows to measure with, as for `Sequential.gradient`: some hundred are enough. They are
        not trained on.

    Attributes
    ----------
    norms : dict of str to list of float
        One number for each epoch: "gradient norm 1" is sqrt(sum dL/dW1^2 + sum dL/db1^2), the same
        of each other layer, and "silent units 1" the share of the units of hidden layer 1 that
        give 0 for every row, which of relu units means that they are dead. The same lists are in
        `history.monitored`.

    Raises
    ------
    TypeError, ValueError
        When the fit begins, before anything moves, if the rows do not fit the model.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, GradientMonitor, Sequential
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> model = Sequential([Dense(4, "relu"), Dense(1)], seed=0)
    >>> model.compile(loss="mean_squared_error")
    >>> monitor = GradientMonitor(X[:50], X[:50, 0])
    >>> history = model.fit(X, X[:, 0], epochs=3, callbacks=[monitor])
    >>> [len(numbers) for numbers in history.monitored.values()]
    [3, 3, 3]
    >>> list(history.monitored)
    ['gradient norm 1', 'gradient norm 2', 'silent units 1']
    """

    _of_a_fit = (*Callback._of_a_fit, "norms")

    def __init__(self, X: Any, y: Any, sample_weight: Any = None) -> None:
        self.X, self.y, self.sample_weight = X, y, sample_weight

    def on_train_begin(self, logs: Logs) -> None:
        self._measured()  # refuses rows that do not fit
        self.norms: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in self._measured().items():
            self.norms.setdefault(name, []).append(value)
        self.model.history.monitored |= self.norms

    def _measured(self) -> dict[str, float]:
        """All numbers for the weights as they are."""
        gradient = self.model.gradient(self.X, self.y, sample_weight=self.sample_weight)
        squares: dict[str, float] = {}
        for name, array in gradient.items():
            number = name.removeprefix("dL/d")[1:]
            squares[number] = squares.get(number, 0.0) + _sum_of_squares(array)
        found = {f"gradient norm {k}": float(np.sqrt(total)) for k, total in squares.items()}
        for name, values in self.model.activations(self.X).items():
            if name not in ("a0", "yhat"):
                silent = float((values == 0).all(axis=0).mean())
                found[f"silent units {name[1:]}"] = silent
        return found


def _sum_of_squares(array: Array) -> float:
    return float(np.square(array, dtype=np.float64).sum())
