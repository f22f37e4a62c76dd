"""The rows of a fit, checked against the model's layers and loss, split and weighted."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fastnn.custom import CustomLoss
from fastnn.data.arrays import features, is_sorted, sample_weights, targets
from fastnn.data.checks import real_number, shown, whole_number
from fastnn.data.class_weights import class_weights
from fastnn.data.columns import Columns
from fastnn.data.rows import Array, Rows
from fastnn.data.sources import EXAMPLE, ArraySource, ChunkSource, Source
from fastnn.layers import Normalization
from fastnn.losses import Loss


@dataclass(frozen=True)
class Inputs:
    """What a model asks of rows; `n_features` is None if any width will do."""

    dtype: str
    loss: Loss
    n_outputs: int
    n_features: int | None = None
    normalization: Normalization | None = None
    columns: Columns = field(default_factory=Columns)  # learns the names of the first frame

    def data(self, X: object, y: object, weight: object | None, name: str = "") -> Rows:
        """Check rows that are to be trained on or evaluated; `name` says whose they are."""
        X = self.columns.ordered(X, f"{name}X")
        rows = features(X, self.dtype, n_features=self.n_features, name=f"{name}X")
        if self.normalization is not None:
            self.normalization.table_for(rows.n_features)
        return Rows(rows.X, *self.labels(y, weight, len(rows.X), name))

    def labels(
        self, y: object, weight: object | None, n_rows: int, name: str = ""
    ) -> tuple[Array, Array]:
        """The targets and sample weights of so many rows, checked."""
        if isinstance(self.loss, CustomLoss) and weight is not None:
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

    def validation(self, given: Sequence[object]) -> Rows:
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

    def weighed(self, data: Rows, class_weight: object | None) -> Rows:
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

    def split(self, data: Rows, share: object) -> tuple[Rows, Rows]:
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


ClassWeight = Mapping[int, float] | Literal["balanced"]


@dataclass(frozen=True)
class GivenRows:
    """What `fit` was told of its rows, checked when the model is ready for them."""

    X: Any
    y: Any
    sample_weight: Any
    class_weight: Any
    validation_data: Any
    validation_split: Any
    steps_per_epoch: Any

    @property
    def in_chunks(self) -> bool:
        return self.y is None

    def checked(self, inputs: Callable[[], Inputs], n_epochs: int) -> tuple[Source, Rows | None]:
        """The rows to train on, and those to validate with if there are any.

        `inputs` is asked anew for every chunk: the first decides how wide the others must be.
        """
        if self.validation_data is not None and self.validation_split:
            raise ValueError("give validation_data or validation_split, not both")
        if not self.in_chunks:
            inputs().columns.ordered(self.X)  # whose names come before those of validation rows
        validation = None
        if self.validation_data is not None:
            validation = inputs().validation(self.validation_data)
        if self.in_chunks:
            source: Source = self._chunks(inputs, n_epochs)
        else:
            source, validation = self._arrays(inputs(), validation)
        if validation is not None and validation.n_features != source.first.n_features:
            raise ValueError(
                f"validation X has {validation.n_features} columns, but X has "
                f"{source.first.n_features}; expected the same columns"
            )
        return source, validation

    def _arrays(self, inputs: Inputs, validation: Rows | None) -> tuple[Source, Rows | None]:
        if self.steps_per_epoch is not None:
            raise ValueError(
                f"steps_per_epoch={shown(self.steps_per_epoch)} counts chunks, but X and y are "
                f"arrays, of which an epoch takes all rows; leave it out"
            )
        data = inputs.data(self.X, self.y, self.sample_weight)
        if self.validation_split:
            data, validation = inputs.split(data, self.validation_split)
        return ArraySource(inputs.weighed(data, self.class_weight)), validation

    def _chunks(self, inputs: Callable[[], Inputs], n_epochs: int) -> Source:
        chunks, steps = _checked_iterable(self.X), self.steps_per_epoch
        self._refuse_what_needs_all_rows()
        inputs()  # whatever is wrong with the model is not the first chunk's fault
        if steps is not None:
            steps = whole_number("steps_per_epoch", steps, minimum=1)
        signs: set[float] = set()  # what the chunks of a hinge loss have for "no"

        def read(X: object, y: object, sample_weight: object | None = None) -> Rows:
            asked = inputs()
            data = asked.data(X, y, sample_weight)
            if asked.loss.targets == "signs":
                signs.update({float(data.y.min())} - {1.0})
                if len(signs) > 1:
                    raise ValueError(
                        "some chunks have y of -1 and 1, others of 0 and 1; expected one of the "
                        "two in all of them, e.g. y = np.where(np.asarray(y) > 0, 1, -1)"
                    )
            return asked.weighed(data, self.class_weight)

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
    """Rows that have been checked, in the place of `GivenRows`."""

    source: Source
    validation: Rows | None
    in_chunks = False

    def checked(self, inputs: Callable[[], Inputs], n_epochs: int) -> tuple[Source, Rows | None]:
        return self.source, self.validation


def _checked_iterable(chunks: object) -> Iterable[Any]:
    """What came in place of X and y; an array is no iterable of chunks."""
    if hasattr(chunks, "__array__") or not isinstance(chunks, Iterable):
        raise TypeError(
            f"y is missing: expected fit(X, y), or in place of X an iterable of chunks, each "
            f"{EXAMPLE}; X is {type(chunks).__name__}{'; call it' * callable(chunks)}"
        )
    return chunks
