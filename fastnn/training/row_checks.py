"""Rows as a model takes them: checked against its layers and its loss, split, weighed."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fastnn._validation import (
    Array,
    Data,
    features,
    is_sorted,
    real_number,
    sample_weights,
    targets,
)
from fastnn.class_weights import class_weights
from fastnn.columns import Columns
from fastnn.layers import Normalization
from fastnn.losses import Loss
from fastnn.own_loss import OwnLoss


@dataclass(frozen=True)
class Inputs:
    """What a model asks of rows; `n_features` is None if any width will do."""

    dtype: str
    loss: Loss
    n_outputs: int
    n_features: int | None = None
    normalization: Normalization | None = None
    columns: Columns = field(default_factory=Columns)  # learns the names of the first frame

    def data(self, X: object, y: object, weight: object | None, name: str = "") -> Data:
        """Check rows that are to be trained on or evaluated; `name` says whose they are."""
        X = self.columns.ordered(X, f"{name}X")
        rows = features(X, self.dtype, n_features=self.n_features, name=f"{name}X")
        if self.normalization is not None:
            self.normalization.table_for(rows.n_features)
        return Data(*rows, *self.labels(y, weight, len(rows.X), name))

    def labels(
        self, y: object, weight: object | None, n_rows: int, name: str = ""
    ) -> tuple[Array, Array]:
        """The targets and sample weights of so many rows, checked."""
        if isinstance(self.loss, OwnLoss) and weight is not None:
            raise ValueError(
                f"{name}sample_weight: a loss of your own sees y_true and y_pred only; put the "
                f"weights into y, as a column, and use them there"
            )
        y_checked = targets(
            y,
            self.dtype,
            kind=self.loss.targets,
            n_rows=n_rows,
            n_outputs=self.n_outputs,
            name=f"{name}y",
        )
        weights = sample_weights(weight, self.dtype, n_rows=n_rows, name=f"{name}sample_weight")
        return y_checked, weights

    def validation(self, given: Sequence[object]) -> Data:
        """Check validation data."""
        in_list = isinstance(given, list) and given and isinstance(given[0], tuple)
        if in_list or isinstance(given, Iterator):
            raise TypeError(
                "validation_data: expected arrays, (X, y) or (X, y, sample_weight); chunks are for "
                "training only"
            )
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise TypeError(
                f"validation_data is {type(given).__name__}; expected a tuple (X, y) or "
                f"(X, y, sample_weight), e.g. validation_data=(X, y)"
            )
        weight = given[2] if len(given) == 3 else None
        return self.data(given[0], given[1], weight, "validation ")

    def weighed(self, data: Data, class_weight: object | None) -> Data:
        """Rows to train on with the weights of their classes, if there are any."""
        if class_weight is None:
            return data
        if len(data.sample_weight):
            raise ValueError(
                f"give sample_weight or class_weight, not both; e.g. multiply them yourself: "
                f"sample_weight = sample_weight * np.array({self._example_weights(class_weight)})"
                f"[np.asarray(y, int)]"
            )
        weights = class_weights(
            class_weight, data.y, self.dtype, kind=self.loss.targets, n_outputs=self.n_outputs
        )
        return data._replace(sample_weight=weights)

    def _example_weights(self, class_weight: object) -> list[float]:
        """Weights of all classes: those given, otherwise some."""
        n_classes = self.n_outputs if self.loss.targets == "classes" else 2
        if not isinstance(class_weight, Mapping):
            return [1.0] * (n_classes - 1) + [5.0]
        return [class_weight.get(number, 1.0) for number in range(n_classes)]

    def split(self, data: Data, share: object) -> tuple[Data, Data]:
        """The rows to train on, and the last ones, that share of all, to validate with."""
        share = real_number("validation_split", share, above=0)
        border = int(data.n_rows * (1 - min(share, 1.0)))
        if not 0 < border < data.n_rows:
            raise ValueError(
                f"validation_split={share:g} of {data.n_rows} rows leaves no rows on one side; "
                f"expected a share such as validation_split=0.2"
            )
        if is_sorted(data.y, self.loss.targets):
            warnings.warn(
                "y is sorted, so the last rows, those of validation_split, are unlike the others: "
                "shuffle first, e.g. order = np.random.permutation(len(X)); X, y = X[order], "
                "y[order]",
                stacklevel=7,  # who calls `fit`
            )
        return data.rows(0, border), data.rows(border, data.n_rows)
