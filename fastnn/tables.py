"""Tables in CSV files: one pass over the file, arrays out. Needs pyarrow.

The table comes in blocks of rows, every column as text first. So a column is judged as a whole,
never block by block, and a cell that is not a number can be shown with its row and column. Memory
stays near that of the resulting array.
"""

import csv
import difflib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, NamedTuple, NoReturn

import numpy as np

from fastnn._validation import Array

BLOCK_BYTES = 1 << 20
SHOWN_NAMES = 20  # how many columns or labels an error lists
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"[+-]?[0-9]+")
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
DELIMITERS = {",": '","', ";": '";"', "\t": "tab", "|": '"|"'}  # as a shell takes them


class Place(NamedTuple):
    """Where a block of a column begins, for errors."""

    column: str
    row: int  # counted from 0, the header not counted


@dataclass(frozen=True)
class Table:
    """What was read.

    Attributes
    ----------
    path : path
        The file.
    features : list of str
        The names of the columns of X.
    X : array of shape (n_rows, n_features)
        float64.
    target_name : str or None
        The column that is to be predicted, if it was asked for.
    target : pyarrow.ChunkedArray or None
        The text of its cells, without spaces around; never empty.
    """

    path: str | os.PathLike[str]
    features: list[str]
    X: Array
    target_name: str | None
    target: Any


def read(
    path: str | os.PathLike[str],
    *,
    features: Sequence[str] | None = None,
    target: str | None = None,
    delimiter: str = ",",
    dtype: str = "float32",
) -> Table:
    """Read the columns `features` and `target` of a UTF-8 CSV file with a header line.

    Parameters
    ----------
    path : path
        The file; a pipe will do.
    features : sequence of str, optional
        The columns of X, in this order; the file may have them in another one, and others beside.
        None takes all but the target.
    target : str, optional
        The column that is to be predicted.
    delimiter : str
        The character between two fields.
    dtype : {"float32", "float64"}
        Numbers beyond the range of this type are refused; X is float64 all the same.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    OSError
        If the file cannot be opened or read.
    ValueError
        If the file is not such a table; the message names row and column.
    """
    _pyarrow()
    with open(path, "rb") as file, _errors_name(path):
        return _read(file, path, features, target, delimiter, dtype)


@contextmanager
def _errors_name(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _read(
    file: BufferedReader,
    path: str | os.PathLike[str],
    features: Sequence[str] | None,
    target: str | None,
    delimiter: str,
    dtype: str,
) -> Table:
    header = _header(file, delimiter)
    if features is None:
        features = [name for name in header if name != target]
    wanted = [*features, *([] if target is None else [target])]
    _check_columns(header, wanted, delimiter)
    if not features:
        raise ValueError(f"there is no column beside the target {target!r} to learn from")
    rows, texts = _Rows(len(features)), []
    for block in _blocks(file, header, wanted, delimiter):
        places = [Place(name, rows.count) for name in wanted]
        if target is not None:
            texts.append(_cleaned_text(block.pop(), places.pop()))
        rows.add([_numbers(*cells, dtype) for cells in zip(block, places, strict=True)])
    if not rows.count:
        raise ValueError("the table has a header, but no rows below it")
    text = _pyarrow().chunked_array(texts) if texts else None
    return Table(path, list(features), rows.taken(), target, text)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
    except ImportError:
        raise ImportError("reading tables needs pyarrow: pip install pyarrow") from None
    return pyarrow


# ---- the header -------------------------------------------------------------------------------


def _header(file: BufferedReader, delimiter: str) -> list[str]:
    """The names of the columns; leaves the file at the first row."""
    try:
        for fields in csv.reader(_text_lines(file), delimiter=delimiter):
            if fields:
                return [name.strip() for name in fields]
    except UnicodeDecodeError:
        raise ValueError(
            "the first line is not UTF-8 text; save the table as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise ValueError(f"the header line cannot be read: {error}") from None
    raise ValueError("the file is empty; expected a line with the names of the columns, then rows")


def _text_lines(file: BufferedReader) -> Iterator[str]:
    """Line by line as asked for, so that the rows are left to pyarrow."""
    encoding = "utf-8-sig"
    while line := file.readline():
        yield line.decode(encoding)
        encoding = "utf-8"


def _check_columns(header: list[str], wanted: Sequence[str], delimiter: str) -> None:
    missing = [name for name in wanted if name not in header]
    if len(header) == 1 and (missing or len(wanted) == 1):
        _refuse_if_undivided(header[0], delimiter)
    if missing:
        raise ValueError(_missing_columns(header, missing))
    for name in wanted:
        if not name:
            raise ValueError(
                f"column {header.index(name) + 1} has no name; give it one, or leave it out (row "
                f"numbers come from pandas: use table.to_csv(path, index=False))"
            )
        if header.count(name) > 1:
            raise ValueError(
                f"{header.count(name)} columns are named {name!r}; give every column its own name"
            )


def _refuse_if_undivided(name: str, delimiter: str) -> None:
    """Raise if the only column looks like several with another delimiter between."""
    for other, spelled in DELIMITERS.items():
        if other != delimiter and other in name:
            expected = DELIMITERS.get(delimiter, delimiter)
            raise ValueError(
                f"only one column was found, {_shortened(name)}: {expected} was expected between "
                f"the fields, not {spelled}; say --delimiter {spelled}"
            )


def _missing_columns(header: list[str], missing: list[str]) -> str:
    lowered = {name.lower(): name for name in header}
    near = difflib.get_close_matches(missing[0].strip().lower(), lowered, n=1)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else "."
    if all(NUMBER.fullmatch(name) for name in header):
        hint = "; the first line holds numbers: put a line with the names of the columns above it."
    beginning = "there is no column" if len(missing) == 1 else "there are no columns"
    return f"{beginning} {listed(missing)}{hint} The columns are {listed(header)}"


def listed(names: Sequence[str]) -> str:
    """Names for a message, at most `SHOWN_NAMES` of them."""
    shown = ", ".join(map(_shortened, names[:SHOWN_NAMES]))
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


# ---- the rows ---------------------------------------------------------------------------------


class _Rows:
    """An array that takes blocks of columns and grows; never held twice."""

    def __init__(self, width: int) -> None:
        self._array = np.empty((0, width))
        self.count = 0

    def add(self, columns: list[Array]) -> None:
        """Append a block of rows, given column by column."""
        stop = self.count + len(columns[0])
        if stop > len(self._array):
            self._resize(stop + stop // 8)
        for number, column in enumerate(columns):
            self._array[self.count : stop, number] = column
        self.count = stop

    def _resize(self, n_rows: int) -> None:
        # In place (realloc moves pages, not bytes), which is safe: nobody else has the array yet.
        self._array.resize((n_rows, self._array.shape[1]), refcheck=False)

    def taken(self) -> Array:
        """The array, without the room kept for more rows."""
        self._resize(self.count)
        return self._array


def _blocks(
    file: BufferedReader, header: list[str], wanted: Sequence[str], delimiter: str
) -> Iterator[list[Any]]:
    """The wanted columns as text, block after block."""
    pa = _pyarrow()
    ragged: list[Any] = []
    if not file.peek(1):  # pyarrow calls no rows at all an error
        return
    try:
        with pa.csv.open_csv(file, **_options(header, wanted, delimiter, ragged)) as reader:
            for batch in reader:
                if len(batch):
                    yield batch.columns
    except pa.ArrowInvalid as error:
        raise ValueError(_parse_error(error, ragged, header, delimiter)) from None


def _options(
    header: list[str], wanted: Sequence[str], delimiter: str, ragged: list[Any]
) -> dict[str, Any]:
    """What pyarrow is to do. Columns go by number; a row of another length lands in `ragged`."""
    settings = _pyarrow().csv
    numbers = [str(number) for number in range(len(header))]
    return {
        "read_options": settings.ReadOptions(
            column_names=numbers,
            use_threads=False,  # with threads, rows of another length have no number
            block_size=max(BLOCK_BYTES, 64 * sum(map(len, header))),
        ),
        "parse_options": settings.ParseOptions(
            delimiter=delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(header) > 1,  # in a single column it is an empty cell
            invalid_row_handler=lambda row: _kept(row, ragged),
        ),
        "convert_options": settings.ConvertOptions(
            column_types=dict.fromkeys(numbers, _pyarrow().string()),
            include_columns=[numbers[header.index(name)] for name in wanted],
            check_utf8=False,  # done here, where row and column are known
        ),
    }


def _kept(row: Any, ragged: list[Any]) -> str:
    ragged.append(row)
    return "error"


def _parse_error(error: Exception, ragged: list[Any], header: list[str], delimiter: str) -> str:
    if not ragged:
        return (
            f"the rows cannot be read: {error}. Most likely a quotation mark is opened and never "
            f"closed; write a quotation mark inside a quoted field twice"
        )
    row = ragged[0]
    fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
    return (
        f"row {row.number} (the header not counted) has {fields}, but the header names "
        f"{len(header)} columns: {_shortened(row.text)}; put a field for every column, with "
        f'quotation marks around one that holds {delimiter!r}, like "a{delimiter}b"'
    )


def _shortened(text: str, length: int = 60) -> str:
    return repr(text if len(text) <= length else text[: length - 3] + "...")


# ---- cells ------------------------------------------------------------------------------------


def _numbers(column: Any, place: Place, dtype: str) -> Array:
    """The numbers that a block of a column spells, as float64."""
    number_type = _pyarrow().float64()
    try:
        values = column.cast(number_type)
    except ValueError:
        column = _cleaned_text(column, place)  # only now: most tables need no cleaning
        try:
            values = column.cast(number_type)
        except ValueError:
            row = _first_failure(column, lambda piece: piece.cast(number_type))
            _refuse_cell(column, row, place, dtype)
    array: Array = values.to_numpy(zero_copy_only=False)
    refused = np.flatnonzero(~(np.abs(array) <= np.finfo(dtype).max))
    if len(refused):
        _refuse_cell(column, int(refused[0]), place, dtype)
    return array


def _cleaned_text(column: Any, place: Place) -> Any:
    """The text without spaces around. Raises ValueError at an empty cell, or one not in UTF-8."""
    pa = _pyarrow()
    cleaned = pa.compute.ascii_trim_whitespace(column)
    try:
        cleaned.validate(full=True)
    except ValueError:
        row = _first_failure(cleaned, lambda piece: piece.validate(full=True))
        _refuse(place, row, "is not UTF-8 text; save the table as CSV in UTF-8")
    empty = pa.compute.index(cleaned, "").as_py()
    if empty >= 0:
        _refuse(place, empty, "is empty; fill it, or leave the row or the column out")
    return cleaned


def _first_failure(column: Any, check: Callable[[Any], object]) -> int:
    """The first row at which `check`, which fails for the whole column, fails."""
    good, bad = 0, len(column)  # it passes for the rows before `good`, fails for those before `bad`
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            check(column.slice(good, middle - good))
            good = middle
        except ValueError:
            bad = middle
    return good


def _refuse_cell(column: Any, row: int, place: Place, dtype: str) -> NoReturn:
    """Say why the text in that row is not a number that `dtype` can hold."""
    text = column[row].as_py().strip()
    if DECIMAL_COMMA.fullmatch(text):
        problem = (
            f"is not a number; write {text.replace(',', '.')} if the comma marks decimals, "
            f"{text.replace(',', '')} if it marks thousands"
        )
    elif not NUMBER.fullmatch(text) and text.lower().strip("+-") in ("nan", "inf", "infinity"):
        problem = "is not a finite number; put one, or leave the row or the column out"
    elif not NUMBER.fullmatch(text):
        problem = "is not a number; write text as numbers, or leave the column out"
    elif np.isfinite(float(text)):
        problem = f"is too large for {dtype}; train with --dtype float64"
    else:
        problem = "is too large for a number of 64 bits; put a smaller one"
    _refuse(place, row, f"is {_shortened(text)}, which {problem}")


def _refuse(place: Place, row: int, problem: str) -> NoReturn:
    raise ValueError(
        f"row {place.row + row + 1} (the header not counted), column {place.column!r} {problem}"
    )


# ---- the target -------------------------------------------------------------------------------


def labels(table: Table) -> list[str]:
    """The different texts of the target: in the order of their numbers, otherwise of the alphabet.

    Raises ValueError at "nan", which stands for a missing label.
    """
    unique: list[str] = _pyarrow().compute.unique(table.target).to_pylist()
    for text in unique:
        if text.lower() == "nan":
            row = _pyarrow().compute.index(table.target, text).as_py()
            with _errors_name(table.path):
                _refuse(_target_place(table), row, f"is {text!r}: put a label, or drop the row")
    if all(map(NUMBER.fullmatch, unique)):
        return sorted(unique, key=lambda text: (float(text), text))
    return sorted(unique)


def label_numbers(table: Table, known: Sequence[str]) -> Array:
    """The target as positions in `known`. Raises ValueError at another label."""
    pa = _pyarrow()
    positions = pa.compute.index_in(table.target, value_set=pa.array(known, pa.string()))
    if positions.null_count:
        row = pa.compute.index(positions.is_null(), True).as_py()
        problem = f"is {table.target[row].as_py()!r}; the model knows the labels {listed(known)}"
        with _errors_name(table.path):
            _refuse(_target_place(table), row, problem)
    numbers: Array = positions.to_numpy().astype(np.int64)
    return numbers


def target_numbers(table: Table, dtype: str) -> Array:
    """The target as float64. Raises ValueError at a cell that is not a number `dtype` can hold."""
    with _errors_name(table.path):
        shared = _numbers(table.target, _target_place(table), dtype)
    return shared.copy()  # pyarrow's own memory is read-only


def _target_place(table: Table) -> Place:
    return Place(str(table.target_name), 0)
