"""Where the rows of an epoch come from: arrays, or an iterable of chunks."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from numpy.typing import ArrayLike

from fastnn.data.arrays import checked_features
from fastnn.data.rows import Array, Rows

RowChunks = Iterable[Sequence[ArrayLike]]  # what `fit` takes in place of X and y
EXAMPLE = "(X, y) or (X, y, sample_weight)"  # what a chunk is


class Source(Protocol):
    """Rows that come in chunks, in every epoch again. Rows that are all at hand are `Rows`."""

    @property
    def first(self) -> Rows:
        """The chunk that the first epoch begins with; known before that epoch only."""

    @property
    def n_rows(self) -> int | None:
        """How many rows an epoch has, if that is known."""

    def n_steps(self, batch_size: int) -> int | None:
        """How many batches an epoch has; of chunks how many chunks, if the user has said so."""

    def epoch(self, epoch: int) -> Iterable[Rows]:
        """The chunks of an epoch; `epoch` counts the epochs of the fit from 0."""


class SparseSource:
    """Sparse rows, of which each epoch makes a few dense at a time, in the order it visits them.

    `rows` is a checked SciPy matrix. Block borders coincide with batch borders, so results do not
    depend on the block size (except with dropout, whose counter restarts with each block). `order`
    returns the visiting order of the next epoch, None for the natural one.
    """

    def __init__(
        self,
        rows: Any,
        y: Array,
        sample_weight: Array,
        block_rows: int,
        order: Callable[[], Array | None],
        dtype: str,
    ) -> None:
        self._rows, self._y, self._sample_weight = rows, y, sample_weight
        self._block_rows, self._order, self._dtype = block_rows, order, dtype
        self.n_rows = len(y)
        self.first = self._block(slice(0, block_rows))

    def n_steps(self, batch_size: int) -> int:
        return -(-self.n_rows // batch_size)

    def epoch(self, epoch: int) -> Iterator[Rows]:
        order = self._order()
        for start in range(0, self.n_rows, self._block_rows):
            rows = slice(start, start + self._block_rows)
            yield self._block(rows if order is None else order[rows])

    def _block(self, rows: slice | Array) -> Rows:
        X = checked_features(self._rows[rows].toarray(), self._dtype)
        weights = self._sample_weight[rows] if len(self._sample_weight) else self._sample_weight
        return Rows(X.X, self._y[rows], weights)


class ChunkSource:
    """An iterable of chunks (X, y[, sample_weight]), of which `read` checks each.

    An epoch is `steps` chunks, going on where the epoch before ended; without `steps` all there
    are. An iterable that can be iterated again is, at its end; an iterator cannot. The first
    chunk is read at once.
    """

    def __init__(
        self, chunks: Iterable[Any], steps: int | None, n_epochs: int, read: Callable[..., Rows]
    ) -> None:
        self.n_rows: int | None = None
        self._ends_for_good = isinstance(chunks, Iterator)
        if self._ends_for_good and steps is None and n_epochs > 1:
            raise ValueError(
                f"a {type(chunks).__name__} cannot begin again, but there are {n_epochs} epochs; "
                f"give steps_per_epoch, the chunks of an epoch, or a list or another object that "
                f"begins again in every for loop"
            )
        self._chunks, self._steps, self._read = chunks, steps, read
        self._iterator: Iterator[Any] = iter(chunks)
        self._width: tuple[int, ...] = ()  # of the targets
        first = self._next("chunk 1 of epoch 1")
        if first is None:
            raise ValueError(f"the iterable holds no chunks; expected some, each {EXAMPLE}")
        self._ahead, self._width = [first], first.y.shape[1:]  # read, but not yet returned

    @property
    def first(self) -> Rows:
        return self._ahead[0]

    def n_steps(self, batch_size: int) -> int | None:
        return self._steps

    def epoch(self, epoch: int) -> Iterator[Rows]:
        if self._steps is None and epoch:
            self._iterator = iter(self._chunks)
        for number in itertools.count(1) if self._steps is None else range(1, self._steps + 1):
            place = f"chunk {number} of epoch {epoch + 1}"
            data = self._ahead.pop() if self._ahead else self._next(place)
            if data is None and self._steps is not None:
                data = self._begin_again(place)
            if data is None and number == 1:
                raise ValueError(
                    f"the iterable holds no chunks in epoch {epoch + 1}, though it did before; "
                    f"give one that begins again in every for loop, e.g. a list"
                )
            if data is None:
                return
            yield data

    def _begin_again(self, place: str) -> Rows:
        """The first chunk again, as `place`."""
        data = None
        if not self._ends_for_good:
            self._iterator = iter(self._chunks)
            data = self._next(place)
        if data is None:
            raise ValueError(
                f"the chunks have ended before {place}, but steps_per_epoch={self._steps}; give "
                f"fewer epochs or steps, or an iterable that begins again, e.g. a list, or never "
                f"ends, e.g. itertools.cycle(chunks)"
            )
        return data

    def _next(self, place: str) -> Rows | None:
        """The next chunk, checked; None if there are no more."""
        try:
            chunk = next(self._iterator)
        except StopIteration:
            return None
        except Exception as error:
            error.add_note(f"raised when fastnn asked for {place}")
            raise
        if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
            size = f" of {len(chunk)} items" if isinstance(chunk, tuple | list) else ""
            raise TypeError(
                f"{place} is a {type(chunk).__name__}{size}; expected {EXAMPLE}, as X came without "
                f"y. For arrays: fit(X, y)"
            )
        try:
            data = self._read(*chunk)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{place}: {error}") from error
        if self._width and data.y.shape[1:] != self._width:
            raise ValueError(
                f"{place}: y has rows of shape {data.y.shape[1:]}, but those of the first chunk "
                f"have {self._width}; give labels or one-hot rows throughout"
            )
        return data
