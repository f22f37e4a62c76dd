"""Rows: samples with their targets and weights, as the engine takes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NO_TARGETS, NO_WEIGHTS = np.empty((0, 0)), np.empty(0)


class Rows(NamedTuple):
    """Checked samples, one a row; nothing is copied that the core can read where it lies."""

    X: Array  # (n_rows, n_features), of a dtype that the core reads, columns side by side
    y: Array = NO_TARGETS  # (n_rows, n_targets), of the model's dtype
    sample_weight: Array = NO_WEIGHTS  # (n_rows,), of the model's dtype; empty: all are 1

    @property
    def n_rows(self) -> int:
        return len(self.X)

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    def rows(self, start: int, stop: int) -> Rows:
        """The rows from `start` to before `stop`."""
        return Rows(self.X[start:stop], self.y[start:stop], self.sample_weight[start:stop])

    def every(self, step: int) -> Rows:
        """The first row, and every `step`-th after it."""
        y, sample_weight = (np.ascontiguousarray(array[::step]) for array in self[1:])
        return Rows(self.X[::step], y, sample_weight)
