"""PathRecorder: where gradient descent has been, step by step."""

from __future__ import annotations

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.data.checks import lookup
from fastnn.data.rows import Array

MOST_NUMBERS = 50_000_000
EVERY = {"step": "step", "epoch": "epoch"}


class PathRecorder(Callback):
    """Records the weights at the beginning and after every step, for `fastnn.plot`.

    In stochastic mode with plain or momentum SGD there is a point after every 32 rows, as a rule,
    and not after each: the compiled loop computes ahead within such a block, and recording changes
    no bits. With the other optimisers there is one after every row, with L-BFGS after every epoch.

    Parameters
    ----------
    every : {"step", "epoch"}
        When to record.

    Attributes
    ----------
    path : array of shape (n_points, n_weights)
        The weights as `get_weights` returns them, one after the other in a row; the initial ones
        first.

    Raises
    ------
    ValueError
        If `every` is something else; when the fit begins, if the path would hold more than 50
        million numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, PathRecorder, Sequential
    >>> X = np.random.default_rng(0).normal(size=(40, 2))
    >>> model = Sequential([Dense(1)], seed=0)
    >>> model.compile(loss="mean_squared_error")
    >>> recorder = PathRecorder()
    >>> history = model.fit(X, X[:, 0], epochs=5, mode="stochastic", callbacks=[recorder])
    >>> recorder.path.shape  # five times 32 rows and 8 rows, and the beginning
    (11, 3)
    """

    _of_a_fit = (*Callback._of_a_fit, "_points")

    def __init__(self, every: str = "step") -> None:
        self.every = lookup("every", every, EVERY)
        self.sees_rows = self.every == "step"
        self._points: list[Array] = []

    @property
    def sees_batches(self) -> bool:
        return self.every == "step"

    @property
    def path(self) -> Array:
        """The points so far."""
        if not vars(self).get("_points"):
            raise AttributeError(
                "nothing is recorded yet: model.fit(X, y, epochs=10, callbacks=[recorder])"
            )
        return np.array(self._points)

    def on_train_begin(self, logs: Logs) -> None:
        self._points = []
        start = self._weights()
        n_points = 1 + self.params["epochs"] * (
            (self.params["steps"] or 1) if self.every == "step" else 1
        )
        if n_points * start.size > MOST_NUMBERS:
            raise ValueError(
                f"a path of {n_points:,} points of {start.size:,} weights is too long to keep; "
                f"record fewer, PathRecorder(every='epoch'), or train for fewer epochs"
            )
        self._points = [start]

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        if self.every == "step":
            self._points.append(self._weights())

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        here = self._weights()
        if self.every == "epoch" or not np.array_equal(here, self._points[-1]):  # by L-BFGS
            self._points.append(here)

    def _weights(self) -> Array:
        return np.concatenate([array.ravel() for array in self.model.get_weights()])
