"""The rows of a fit, checked against the model's layers and loss, split and weighted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np

from fastnn.custom import CustomLoss
from fastnn.data.arrays import feature_array, is_sorted, sample_weights, targets
from fastnn.data.checks import real_number, shown, warn, whole_number
from fastnn.data.class_weights import class_weights
from fastnn.data.columns import Columns
from fastnn.data.rows import NO_WEIGHTS, Array, Rows
from fastnn.data.sources import EXAMPLE, ChunkSource, Source
from fastnn.layers import Normalization
from fastnn.losses import Loss

ClassWeight = Mapping[int, float] | Literal["balanced"]


@dataclass
class Requirements:
    """What a model requires of rows; the first rows settle what the model leaves open."""

    dtype: str
    loss: Loss
    n_outputs: int
    n_features: int | None  # None: any number
    normalization: Normalization | None
    names: tuple[str, ...] | None  # of the columns; None: those of the first frame

    def ordered(self, X: object, name: str = "X") -> object:
        """X with its columns in the order that the model knows, if it is a frame."""
        if type(X) is np.ndarray:
            return X
        columns = Columns(self.names)
        X = columns.ordered(X, name)
        self.names = columns.names
        return X

    def rows(self, X: object, y: object, weight: object | None, name: str = "") -> Rows:
        """Check rows to train on or to evaluate; `name` says in messages whose they are."""
        if type(X) is not np.ndarray:
            X = self.ordered(X, f"{name}X")
        checked = feature_array(X, self.dtype, n_features=self.n_features, name=f"{name}X")
        if self.normalization is not None:
            self.normalization.table_for(checked.shape[1])
        return Rows(checked, *self.labels(y, weight, len(checked), name))

    def labels(
        self, y: object, weight: object | None, n_rows: int, name: str = ""
    ) -> tuple[Array, Array]:
        """Check the targets and sample weights of n_rows rows."""
        if weight is not None and isinstance(self.loss, CustomLoss):
            raise ValueError(
                f"{name}sample_weight: a custom loss sees y_true and y_pred only; put the weights "
                f"into y, as a column, and use them there"
            )
        kind, n_outputs = self.loss.targets, self.n_outputs
        y_checked = targets(
            y, self.dtype, kind=kind, n_rows=n_rows, n_outputs=n_outputs, name=f"{name}y"
        )
        if weight is None:
            return y_checked, NO_WEIGHTS
        name = f"{name}sample_weight"
        return y_checked, sample_weights(weight, self.dtype, n_rows=n_rows, name=name)

    def validation(self, given: Sequence[object]) -> Rows:
        """Check validation data."""
        in_list = isinstance(given, list) and given and isinstance(given[0], tuple)
        if in_list or isinstance(given, Iterator):
            raise TypeError(
                "validation_data: expected arrays, (X, y) or (X, y, sample_weight); chunks are for "
                "training only"
            )
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            found = type(given).__name__
            if isinstance(given, tuple | list):
                found = f"a {found} of {len(given)}"
            raise TypeError(
                f"validation_data is {found}; expected two or three arrays, (X, y) or "
                f"(X, y, sample_weight), e.g. validation_data=(X, y)"
            )
        weight = given[2] if len(given) == 3 else None
        return self.rows(given[0], given[1], weight, "validation ")

    def weighted(self, rows: Rows, class_weight: object) -> Rows:
        """Rows to train on with the weights of their classes."""
        if len(rows.sample_weight):
            raise ValueError(
                f"give sample_weight or class_weight, not both; e.g. multiply them yourself: "
                f"sample_weight = sample_weight * np.array({self._example_weights(class_weight)})"
                f"[np.asarray(y, int)]"
            )
        weights = class_weights(
            class_weight, rows.y, self.dtype, kind=self.loss.targets, n_outputs=self.n_outputs
        )
        return rows._replace(sample_weight=weights)

    def _example_weights(self, class_weight: object) -> list[float]:
        """Weights of all classes: those given, otherwise some."""
        n_classes = self.n_outputs if self.loss.targets == "classes" else 2
        if not isinstance(class_weight, Mapping):
            return [1.0] * (n_classes - 1) + [5.0]
        return [class_weight.get(number, 1.0) for number in range(n_classes)]

    def split(self, rows: Rows, share: object) -> tuple[Rows, Rows]:
        """The rows to train on, and the last rows, that share of all, to validate with."""
        share = real_number("validation_split", share, above=0)
        border = int(rows.n_rows * (1 - min(share, 1.0)))
        if not 0 < border < rows.n_rows:
            raise ValueError(
                f"validation_split={share:g} of {rows.n_rows} rows leaves no rows on one side; "
                f"expected a share such as validation_split=0.2"
            )
        if is_sorted(rows.y, self.loss.targets):
            warn(
                "y is sorted, so the last rows, those of validation_split, are unlike the others: "
                "shuffle first, e.g. order = np.random.permutation(len(X)); X, y = X[order], "
                "y[order]"
            )
        return rows.rows(0, border), rows.rows(border, rows.n_rows)


@dataclass(frozen=True)
class GivenRows:
    """What `fit` was given as its rows, unchecked."""

    X: Any
    y: Any
    sample_weight: Any = None
    class_weight: Any = None
    validation_data: Any = None
    validation_split: Any = 0.0
    steps_per_epoch: Any = None

    def checked(self, asked: Requirements, n_epochs: int) -> tuple[Rows | Source, Rows | None]:
        """The rows to train on, and those to validate with if there are any."""
        validation = None
        if self.validation_data is not None:
            if self.validation_split:
                raise ValueError("give validation_data or validation_split, not both")
            if self.y is not None:
                asked.ordered(self.X)  # its names come before those of the validation rows
            validation = asked.validation(self.validation_data)
        if self.y is None:
            chunks = self._chunks(asked, n_epochs)
            source: Rows | Source = chunks
            n_features = chunks.first.n_features
        else:
            if self.steps_per_epoch is not None:
                self._refuse_steps()
            rows = asked.rows(self.X, self.y, self.sample_weight)
            if self.validation_split:
                rows, validation = asked.split(rows, self.validation_split)
            if self.class_weight is not None:
                rows = asked.weighted(rows, self.class_weight)
            source, n_features = rows, rows.X.shape[1]
        if validation is not None and validation.n_features != n_features:
            raise ValueError(
                f"validation X has {validation.n_features} columns, but X has {n_features}; "
                f"expected the same columns"
            )
        return source, validation

    def _refuse_steps(self) -> NoReturn:
        raise ValueError(
            f"steps_per_epoch={shown(self.steps_per_epoch)} counts chunks, but X and y are arrays, "
            f"of which an epoch takes all rows; leave it out"
        )

    def _chunks(self, asked: Requirements, n_epochs: int) -> Source:
        chunks, steps = _checked_iterable(self.X), self.steps_per_epoch
        self._refuse_what_needs_all_rows()
        if steps is not None:
            steps = whole_number("steps_per_epoch", steps, minimum=1)
        signs: set[float] = set()  # what the chunks of a hinge loss have for "no"

        def read(X: object, y: object, sample_weight: object | None = None) -> Rows:
            rows = asked.rows(X, y, sample_weight)
            asked.n_features = rows.n_features  # the first chunk decides for the others
            if asked.loss.targets == "signs":
                signs.update({float(rows.y.min())} - {1.0})
                if len(signs) > 1:
                    raise ValueError(
                        "some chunks have y of -1 and 1, others of 0 and 1; expected one of the "
                        "two in all of them, e.g. y = np.where(np.asarray(y) > 0, 1, -1)"
                    )
            if self.class_weight is None:
                return rows
            return asked.weighted(rows, self.class_weight)

        return ChunkSource(chunks, steps, n_epochs, read)

    def _refuse_what_needs_all_rows(self) -> None:
        if self.sample_weight is not None:
            raise ValueError("sample_weight comes with the chunks, each (X, y, sample_weight)")
        if self.validation_split:
            raise ValueError(
                "validation_split needs all rows, but they come in chunks; keep some apart and "
                "give validation_data=(X, y)"
            )
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows, but they come in chunks; "
                f"give numbers, e.g. class_weight={{0: 1.0, 1: 5.0}}"
            )


@dataclass(frozen=True)
class Prepared:
    """Checked rows, in the place of `GivenRows`."""

    source: Rows | Source
    validation: Rows | None


def _checked_iterable(chunks: object) -> Iterable[Any]:
    """What came in place of X and y; an array is no iterable of chunks."""
    if hasattr(chunks, "__array__") or not isinstance(chunks, Iterable):
        raise TypeError(
            f"y is missing: expected fit(X, y), or in place of X an iterable of chunks, each "
            f"{EXAMPLE}; X is {type(chunks).__name__}{'; call it' * callable(chunks)}"
        )
    return chunks
