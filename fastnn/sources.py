"""Where the rows of an epoch come from: arrays, or an iterable of chunks."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fastnn._validation import Data, whole_number
from fastnn.inputs import Inputs

EXAMPLE = "(X, y) or (X, y, sample_weight)"  # what a chunk is


class Source(Protocol):
    """The rows of each epoch, all at once or in chunks."""

    @property
    def first(self) -> Data:
        """The rows that the first epoch begins with."""

    def epoch(self, epoch: int) -> Iterable[Data]:
        """The chunks of an epoch, of which `epoch` counts those of the fit from 0."""


class AllRows:
    """The same rows in every epoch."""

    def __init__(self, data: Data) -> None:
        self.first = data

    def epoch(self, epoch: int) -> Iterable[Data]:
        return (self.first,)


class Chunks:
    """An iterable of chunks (X, y[, sample_weight]), of which `read` checks each.

    An epoch is `steps` chunks, going on where the epoch before ended; without `steps` all there
    are. What begins anew when iterated again does so at its end, an iterator cannot. The first
    chunk is read at once.
    """

    def __init__(
        self, chunks: Iterable[Any], steps: int | None, n_epochs: int, read: Callable[..., Data]
    ) -> None:
        self._ends_for_good = isinstance(chunks, Iterator)
        if self._ends_for_good and steps is None and n_epochs > 1:
            raise ValueError(
                f"a {type(chunks).__name__} can be gone through once, but there are {n_epochs} "
                f"epochs; give steps_per_epoch, the chunks of an epoch, or a list or another "
                f"object that begins anew in every for loop"
            )
        self._chunks, self._steps, self._read = chunks, steps, read
        self._iterator: Iterator[Any] = iter(chunks)
        self._ahead = [self._expected(self._next("chunk 1 of epoch 1"))]  # read, but not handed out

    @property
    def first(self) -> Data:
        return self._ahead[0]

    @property
    def steps(self) -> int | None:
        """How many chunks an epoch has, if that was said."""
        return self._steps

    def epoch(self, epoch: int) -> Iterator[Data]:
        if self._steps is None and epoch:
            self._iterator = iter(self._chunks)
        for number in itertools.count(1) if self._steps is None else range(1, self._steps + 1):
            place = f"chunk {number} of epoch {epoch + 1}"
            data = self._ahead.pop() if self._ahead else self._next(place)
            if data is None and self._steps is not None:
                data = self._begin_again(place)
            if data is None and number > 1:
                return
            yield self._expected(data, epoch)

    def _expected(self, data: Data | None, epoch: int = 0) -> Data:
        """The first chunk of an epoch, which there must be."""
        if data is None and epoch:
            raise ValueError(
                f"the iterable holds no chunks in epoch {epoch + 1}, though it did before; the "
                f"model keeps what it has learned. Give one that begins anew in every for loop, "
                f"e.g. a list"
            )
        if data is None:
            raise ValueError(f"the iterable holds no chunks; expected some, each {EXAMPLE}")
        return data

    def _begin_again(self, place: str) -> Data:
        """The first chunk again, as `place`."""
        data = None
        if not self._ends_for_good:
            self._iterator = iter(self._chunks)
            data = self._next(place)
        if data is None:
            raise ValueError(
                f"the chunks have ended before {place}, but steps_per_epoch={self._steps}; the "
                f"model keeps what it has learned. Give fewer epochs or steps, or an iterable "
                f"that begins anew, e.g. a list, or never ends, e.g. itertools.cycle(chunks)"
            )
        return data

    def _next(self, place: str) -> Data | None:
        """The next chunk, checked; None if there are no more."""
        try:
            chunk = next(self._iterator)
        except StopIteration:
            return None
        except Exception as error:
            error.add_note(f"raised when asked for {place}; the model keeps what it has learned")
            raise
        if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
            size = f" of {len(chunk)} items" if isinstance(chunk, tuple | list) else ""
            raise TypeError(
                f"{place} is a {type(chunk).__name__}{size}; expected {EXAMPLE}, as X came without "
                f"y. For arrays: fit(X, y)"
            )
        try:
            return self._read(*chunk)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{place}: {error}") from error


@dataclass(frozen=True)
class Given:
    """What `fit` was told of rows."""

    X: Any
    y: Any
    steps_per_epoch: Any
    sample_weight: Any
    class_weight: Any
    validation_data: Any
    validation_split: Any

    def checked(self, inputs: Callable[[], Inputs], n_epochs: int) -> tuple[Source, Data | None]:
        """The rows to train on, and those to validate with if there are any.

        `inputs` is asked anew for every chunk: the first decides how wide the others must be.
        """
        if self.validation_data is not None and self.validation_split:
            raise ValueError("give validation_data or validation_split, not both")
        if self.y is None:
            return self._in_chunks(inputs, n_epochs)
        return self._in_arrays(inputs())

    def _in_arrays(self, inputs: Inputs) -> tuple[Source, Data | None]:
        if self.steps_per_epoch is not None:
            raise ValueError(
                f"steps_per_epoch={self.steps_per_epoch} counts chunks, but X and y are arrays, of "
                f"which an epoch takes all rows; leave it out"
            )
        data, validation = inputs.data(self.X, self.y, self.sample_weight), None
        if self.validation_split:
            data, validation = inputs.split(data, self.validation_split)
        elif self.validation_data is not None:
            validation = inputs.validation(self.validation_data, data.n_features)
        return AllRows(inputs.weighed(data, self.class_weight)), validation

    def _in_chunks(self, inputs: Callable[[], Inputs], n_epochs: int) -> tuple[Source, Data | None]:
        chunks = _checked_iterable(self.X)
        self._refuse_what_needs_all_rows()
        inputs()  # whatever is wrong with the model is not the first chunk's fault
        steps = self.steps_per_epoch
        if steps is not None:
            steps = whole_number("steps_per_epoch", steps, minimum=1)

        def read(X: object, y: object, sample_weight: object | None = None) -> Data:
            asked = inputs()
            return asked.weighed(asked.data(X, y, sample_weight), self.class_weight)

        source, validation = Chunks(chunks, steps, n_epochs, read), None
        if self.validation_data is not None:
            n_features = source.first.n_features
            validation = inputs().validation(self.validation_data, n_features)
        return source, validation

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


def _checked_iterable(chunks: object) -> Iterable[Any]:
    """What came in place of X and y; an array is no iterable of chunks."""
    if hasattr(chunks, "__array__") or not isinstance(chunks, Iterable):
        raise TypeError(
            f"y is missing: expected fit(X, y), or in place of X an iterable of chunks, each "
            f"{EXAMPLE}; X is {type(chunks).__name__}"
        )
    return chunks
