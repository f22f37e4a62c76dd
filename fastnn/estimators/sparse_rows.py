"""Rows as scikit-learn has checked them, and as the engine takes them: sparse ones made dense."""

import functools
from dataclasses import dataclass, replace
from typing import Any

from scipy import sparse

from fastnn.data.arrays import checked_features
from fastnn.data.rows import Array, Rows
from fastnn.data.sources import Source, SparseSource
from fastnn.training.plan import Plan
from fastnn.training.row_checks import Requirements

DENSE_BYTES = 1 << 28  # of sparse rows that are made dense at once; beyond, block by block
BLOCK_BYTES = 1 << 25


@dataclass(frozen=True)
class Rowset:
    """Checked rows, to train on or to validate with. X may be sparse; y is numbers."""

    X: Any
    y: Array
    sample_weight: Array | None

    def take(self, places: Array) -> "Rowset":
        weights = self.sample_weight
        chosen = None if weights is None else weights[places]
        return Rowset(self.X[places], self.y[places], chosen)

    def weighed(self, factors: Array | None) -> "Rowset":
        """The same rows, their weights multiplied."""
        if factors is None:
            return self
        weights = factors if self.sample_weight is None else self.sample_weight * factors
        return replace(self, sample_weight=weights)

    def rows(self, asked: Requirements, targets: Array) -> Rows:
        """All rows as the engine takes them."""
        X = checked_features(dense(self.X), asked.dtype).X
        return Rows(X, *asked.labels(targets, self.sample_weight, len(targets)))

    def source(self, plan: Plan, asked: Requirements, targets: Array) -> tuple[Plan, Rows | Source]:
        """Where the rows of an epoch come from, and the plan to visit them.

        Many sparse rows are made dense block by block, unless a batch takes them all; then the
        blocks come in the order of the epoch already.
        """
        n_rows, size = len(targets), plan.size(len(targets))
        row_bytes = self.X.shape[1] * self.X.dtype.itemsize
        few = n_rows * row_bytes <= DENSE_BYTES
        if few or size == n_rows or not sparse.issparse(self.X):
            return plan, self.rows(asked, targets)
        labels = asked.labels(targets, self.sample_weight, n_rows)
        block = max(1, BLOCK_BYTES // (row_bytes * size)) * size
        order = functools.partial(plan.order, 0, n_rows, size)
        source = SparseSource(self.X, *labels, block, order, asked.dtype)
        return replace(plan, shuffle=False, draw_order=None), source


def dense(X: Any) -> Array:
    """X without zeros left out."""
    found: Array = X.toarray() if sparse.issparse(X) else X
    return found
