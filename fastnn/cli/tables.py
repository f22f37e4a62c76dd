"""Tables in CSV files: one pass over the file, arrays out. Needs pyarrow.

The file is cut into blocks of whole rows, every column as text first. So nothing depends on where
a block ends, a column is judged as a whole, and a cell that is not a number can be shown with its
row and column. Memory stays near that of the resulting array.
"""

import csv
import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import chain, pairwise
from typing import Any, NamedTuple, NoReturn

import numpy as np

from fastnn.data.rows import Array

BLOCK_BYTES = 1 << 20
SHOWN_NAMES = 20  # how many columns or labels an error lists
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
DOTS_AND_COMMA = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?")  # 1.234,56
COMMAS_AND_DOT = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")  # 1,234.56
SEVERAL_NUMBERS = re.compile(r"\d\s+(?!\d{3}(?!\d))\S*\d")  # but 1 234 567 is a single one
MINUS_SIGNS = "\u2212\u2010\u2011\u2012\u2013"  # beside "-": the minus sign, hyphens, a dash
MISSING = ("", "nan", "na", "n/a", "null", "none", "?", "-")  # what stands for a number in a row
SPACES = " \t\n\r\v\f"  # what is cut off around a cell
DELIMITERS = {",": '","', ";": '";"', "\t": "tab", "|": '"|"'}  # as a shell takes them
QUOTE = b'"'
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_FORMATS = {  # by their first bytes
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "gzip data, to be unpacked first",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PAR1": "a Parquet table",
}


class Place(NamedTuple):
    """Where a block of a column begins, for errors."""

    column: str
    row: int  # counted from 0, the header not counted
    is_target: bool = False


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
    except OSError as error:  # in reading, which knows no name
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _read(
    file: BufferedReader,
    path: str | os.PathLike[str],
    features: Sequence[str] | None,
    target: str | None,
    delimiter: str,
    dtype: str,
) -> Table:
    _refuse_other_formats(file)
    blocks = _row_blocks(file, delimiter)
    header, first_rows = _header(blocks, delimiter)
    if features is None:
        features = [name for name in header if name != target]
    elif target is not None and set(features) <= set(header) and target not in header:
        raise ValueError(
            f"there is no column {target!r}, with which the predictions are to be compared; add "
            f"it, or use `fastnn predict`, which needs none. The columns are {listed(header)}"
        )
    _check_columns(header, [*features, *([] if target is None else [target])], delimiter)
    if not features:
        raise ValueError(f"there is no column beside the target {target!r} to learn from")
    content = _Content(header, features, target, delimiter, dtype)
    try:
        for block in chain([first_rows], blocks):
            content.add(block)
    except _RowError as error:
        raise ValueError(f"row {content.rows.count + 1} (the header not counted) {error}") from None
    if not content.rows.count:
        raise ValueError("the table has a header, but no rows below it")
    text = _pyarrow().chunked_array(content.texts) if content.texts else None
    return Table(path, list(features), content.rows.taken(), target, text)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
    except ImportError:
        raise ImportError("reading tables needs pyarrow: pip install pyarrow") from None
    return pyarrow


# ---- whole rows -------------------------------------------------------------------------------


class _RowError(ValueError):
    """What is wrong with the row that comes next; its number is added by who counts the rows."""


def _row_blocks(file: BufferedReader, delimiter: str) -> Iterator[bytes]:
    """The file in blocks of whole rows; raises _RowError at a quotation mark out of place."""
    data, more = file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK), True
    while more:
        chunk = file.read(max(BLOCK_BYTES, len(data)))  # a row of many blocks takes few steps
        data, more = data + chunk, bool(chunk)
        end, problem = _last_row_end(data, delimiter, more)
        if end:
            yield data[:end]
        if problem:
            raise _RowError(problem)
        data = data[end:]


def _token(delimiter: str) -> bytes:
    """A pattern of line ends, and of fields in quotation marks, whose closing one is group 1."""
    begin = rb"(?<![^\r\n%b])" % re.escape(delimiter.encode())  # elsewhere a mark is mere text
    return begin + rb'"[^"]*+(?:""[^"]*+)*("?)|\r\n|\n|\r'


def _plain_rows(delimiter: str) -> bytes:
    """A pattern of many rows at a time, whose quoted fields hold neither line ends nor marks.

    Rows are not repeated possessively, by `++`: of these Python 3.11.2 takes half of the row where
    the match ends.
    """
    between = re.escape(delimiter.encode())
    field = rb'(?:"[^"\r\n]*+"|[^"\r\n%b]*+)' % between
    return rb"(?<![^\r\n])(?:%b(?:%b%b)*+\r?\n)+" % (field, between, field)


def _last_row_end(data: bytes, delimiter: str, more: bool) -> tuple[int, str]:
    """Where the last whole row ends, and what is wrong with the next one, if anything.

    `more` says whether the file goes on after `data`, which begins with a row.
    """
    certain = len(data) - more  # a "\r" at the very end may be half of "\r\n"
    if b'"' not in data:
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, certain)) + 1
        return (end if more else len(data)), ""
    end, allowed = 0, b"\r\n" + delimiter.encode()
    for match in re.finditer(_plain_rows(delimiter) + b"|" + _token(delimiter), data):
        if match[1] is None:
            end = match.end() if match.end() <= certain or data.endswith(b"\n") else end
        elif match.end() == len(data):
            if not more and not match[1]:
                return end, _stray_mark("is opened and never closed", match[0])
        elif data[match.end()] not in allowed:
            return end, _stray_mark("closes in the middle of a field", match[0])
    return (end if more else len(data)), ""


def _stray_mark(problem: str, text: bytes) -> str:
    shown = _shortened(text[:1000].decode(errors="replace"))
    return (
        f"cannot be read: a quotation mark {problem}, at {shown}; take it out, or close it at the "
        f'end of its field; inside a quoted field write "" for one'
    )


def _rows_of(block: bytes, delimiter: str) -> list[bytes]:
    """Row by row, blank lines among them."""
    tokens = re.finditer(_token(delimiter), block)
    ends = [token.end() for token in tokens if token[1] is None]
    return [block[i:j] for i, j in pairwise([0, *ends, len(block)]) if i < j]


def _hides_rows(row: bytes, delimiter: str, width: int, numeric: Sequence[int]) -> bool:
    """Whether a row, with line ends in quotation marks, looks like several rows of the table.

    So it does if a line behind the first has a field for every column, and numbers in the columns
    `numeric`, where some may be missing but not all. A text without delimiters hides no row.
    """
    quoted = [token[0] for token in re.finditer(_token(delimiter), row) if token[1] is not None]
    if not any(delimiter.encode() in text and len(text.splitlines()) > 1 for text in quoted):
        return False
    for line in row.splitlines()[1:]:
        fields = line.decode(errors="replace").split(delimiter)
        if len(fields) >= width:
            cells = [fields[column].strip(SPACES + '"') for column in numeric]
            numbers = [cell for cell in cells if NUMBER.fullmatch(cell)]
            if numbers and all(cell in numbers or cell.lower() in MISSING for cell in cells):
                return True
    return False


# ---- the header -------------------------------------------------------------------------------


def _refuse_other_formats(file: BufferedReader) -> None:
    beginning = file.peek(4)
    for magic, kind in OTHER_FORMATS.items():
        if beginning.startswith(magic):
            raise ValueError(
                f"the first line is not UTF-8 text: the file holds {kind}; save the table as CSV "
                f"in UTF-8"
            )


def _header(blocks: Iterator[bytes], delimiter: str) -> tuple[list[str], bytes]:
    """The names of the columns, and the rows behind them in the same block."""
    try:
        for block in blocks:
            lines = block.splitlines(keepends=True)
            reader = csv.reader((line.decode() for line in lines), delimiter=delimiter)
            names = next(filter(None, reader), None)
            if names:
                return _checked_names(names), b"".join(lines[reader.line_num :])
    except UnicodeDecodeError:
        raise ValueError(
            "the first line is not UTF-8 text; save the table as CSV in UTF-8"
        ) from None
    except _RowError as error:
        raise ValueError(f"the header line {error}") from None
    except csv.Error as error:
        raise ValueError(f"the header line cannot be read: {error}") from None
    raise ValueError("the file is empty; expected a line with the names of the columns, then rows")


def _checked_names(names: list[str]) -> list[str]:
    if any("\0" in name for name in names):
        raise ValueError(
            "the first line holds NUL bytes, as UTF-16 text does; save the table as CSV in UTF-8"
        )
    return [name.strip() for name in names]


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
            expected = DELIMITERS.get(delimiter, f'"{delimiter}"')
            raise ValueError(
                f"only one column was found, {_shortened(name)}: {expected} was expected between "
                f"the fields, not {spelled}; say --delimiter {spelled}"
            )


def _missing_columns(header: list[str], missing: list[str]) -> str:
    lowered = {name.lower(): name for name in header}
    near = difflib.get_close_matches(missing[0].strip().lower(), lowered, n=1)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else "."
    if any(NUMBER.fullmatch(name) for name in header):
        hint = (
            "; the first line holds numbers: is the header missing? Put a line with the names of "
            "the columns above it."
        )
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


class _Content:
    """The rows so far: the numbers of the features, the text of the target."""

    def __init__(
        self,
        header: list[str],
        features: Sequence[str],
        target: str | None,
        delimiter: str,
        dtype: str,
    ) -> None:
        self._header, self._features, self._target = header, features, target
        self._delimiter, self._dtype = delimiter, dtype
        self.rows, self.texts = _Rows(len(features)), list[Any]()

    def add(self, block: bytes) -> None:
        """Append the rows of a block. Raises ValueError at the first row that is wrong."""
        if not block or (len(self._header) > 1 and not block.strip(b"\r\n")):
            return
        try:
            numbers, text = self._parsed(block)
        except ValueError:
            rows = _rows_of(block, self._delimiter)
            if len(rows) == 1:
                raise
            half = len(rows) // 2  # the first error need not be that of the first such row
            self.add(b"".join(rows[:half]))
            self.add(b"".join(rows[half:]))
            return
        self.rows.add(numbers)
        self.texts += text

    def _parsed(self, block: bytes) -> tuple[list[Array], list[Any]]:
        """Columns of numbers, and the text of the target if there is one."""
        wanted = [*self._features, *([] if self._target is None else [self._target])]
        columns = _columns(block, self._header, wanted, self._delimiter)
        self._count_lines(block, len(columns[0]))
        places = [Place(name, self.rows.count, name == self._target) for name in wanted]
        text = []
        if self._target is not None:
            text = [_cleaned_text(columns.pop(), places.pop())]
        cells = zip(columns, places, strict=True)
        return [_numbers(column, place, self._dtype) for column, place in cells], text

    def _count_lines(self, block: bytes, n_rows: int) -> None:
        """Raise if quotation marks hide rows: if there are more lines than rows, and they do."""
        if b'"' not in block or n_rows >= len(block.splitlines()):
            return
        numeric = [self._header.index(name) for name in self._features]
        for row in _rows_of(block, self._delimiter):
            if _hides_rows(row, self._delimiter, len(self._header), numeric):
                n_lines = len(row.splitlines())
                problem = f"takes {n_lines} lines for one row, of which some look like rows"
                raise _RowError(
                    f"{_stray_mark(problem, row[row.index(QUOTE) :])}; if the lines are one text, "
                    f"write it in one line"
                )


def _columns(block: bytes, header: list[str], wanted: Sequence[str], delimiter: str) -> list[Any]:
    """The wanted columns of a block of rows, as text."""
    pa = _pyarrow()
    if block.startswith(BYTE_ORDER_MARK):  # of a cell: pyarrow drops one, so it gets another
        block = BYTE_ORDER_MARK + block
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(block), **_options(header, wanted, delimiter, len(block))
        )
    except pa.ArrowInvalid as error:
        raise _RowError(_parse_error(error, block, len(header), delimiter)) from None
    return [column.combine_chunks() for column in table.columns]


def _options(
    header: list[str], wanted: Sequence[str], delimiter: str, n_bytes: int
) -> dict[str, Any]:
    """What pyarrow is to do with one block. Columns go by number, for names may be there twice."""
    settings = _pyarrow().csv
    numbers = [str(number) for number in range(len(header))]
    return {
        "read_options": settings.ReadOptions(
            column_names=numbers, use_threads=False, block_size=n_bytes + 1
        ),
        "parse_options": settings.ParseOptions(
            delimiter=delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(header) > 1,  # in a single column it is an empty cell
        ),
        "convert_options": settings.ConvertOptions(
            column_types=dict.fromkeys(numbers, _pyarrow().string()),
            include_columns=[numbers[header.index(name)] for name in wanted],
            check_utf8=False,  # done here, where row and column are known
        ),
    }


def _parse_error(error: Exception, row: bytes, width: int, delimiter: str) -> str:
    """What is wrong with a row that pyarrow does not take."""
    n_fields = re.sub(_token(delimiter), b"", row).count(delimiter.encode()) + 1
    if n_fields == width:
        return f"cannot be read: {error}"
    fields = "1 field" if n_fields == 1 else f"{n_fields} fields"
    text = row.strip(b"\r\n").decode(errors="backslashreplace")
    return (
        f"has {fields}, but the header names {width} columns: {_shortened(text)}; put a field for "
        f"every column, with quotation marks around one that holds {delimiter!r}, like "
        f'"a{delimiter}b"'
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
        _refuse(place, empty, f"is empty; fill it, or {_omission(place)}")
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
    text = column[row].as_py().strip(SPACES)
    if NUMBER.fullmatch(text) and np.isfinite(float(text)):
        problem = f"is too large for {dtype}; train with --dtype float64"
    elif NUMBER.fullmatch(text):
        problem = "is too large for a number of 64 bits; put a smaller one"
    elif text.lower().strip("+-") in ("nan", "inf", "infinity"):
        problem = f"is not a finite number; put one, or {_omission(place)}"
    else:
        problem = f"is not a number; {_advice(text, place)}"
    _refuse(place, row, f"is {_shortened(text)}, which {problem}")


def _omission(place: Place) -> str:
    return "drop the row" if place.is_target else "leave the row or the column out"


def _advice(text: str, place: Place) -> str:
    """What to write in place of a text that is not a number."""
    if DECIMAL_COMMA.fullmatch(text):
        return (
            f"write {text.replace(',', '.')} if the comma marks decimals, "
            f"{text.replace(',', '')} if it marks thousands"
        )
    if text == place.column:
        return "leave out the line that repeats the header"
    if text.lower() in ("true", "false"):
        return "write 1 for true and 0 for false"
    if "%" in text:
        return "write a share such as 0.05, or leave the percent sign out of every row"
    number = _plain_number(text)
    if not number and place.is_target:
        return "write numbers, or train with --task classification for labels"
    if not number:
        return "write text as numbers, or leave the column out"
    odd = next((character for character in text if not character.isascii()), "")
    held = f"it holds {unicodedata.name(odd, 'a character')} (U+{ord(odd):04X}), " if odd else ""
    return f"{held}write {number}"


def _plain_number(text: str) -> str:
    """The number behind other signs, as in "\u22121.234,56 \u20ac"; "" if there is none."""
    if SEVERAL_NUMBERS.search(text):
        return ""  # without the spaces it would be another number
    plain = "".join(map(_plain_character, text))
    if DOTS_AND_COMMA.fullmatch(plain):
        plain = plain.replace(".", "").replace(",", ".")
    elif COMMAS_AND_DOT.fullmatch(plain):
        plain = plain.replace(",", "")
    elif DECIMAL_COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    return plain if NUMBER.fullmatch(plain) else ""


def _plain_character(character: str) -> str:
    """A digit or a minus sign of ASCII; "" for a space or a currency."""
    if character in MINUS_SIGNS:
        return "-"
    if character.isspace() or character in "_'\u2019":
        return ""
    if unicodedata.category(character) in ("Sc", "Cf"):  # currencies; signs that nobody sees
        return ""
    return str(unicodedata.decimal(character, character))


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


def near_labels(labels: Sequence[str]) -> list[list[str]]:
    """Groups of labels that differ by spaces, by case or in how a number is spelled alone."""
    groups: dict[str | float, list[str]] = {}
    for text in labels:
        plain = "".join(text.split()).casefold()
        groups.setdefault(float(text) if NUMBER.fullmatch(text) else plain, []).append(text)
    return [group for group in groups.values() if len(group) > 1]


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


def target_numbers(table: Table) -> Array:
    """The target as float64. Raises ValueError at a cell that is not such a number."""
    with _errors_name(table.path):
        shared = _numbers(table.target, _target_place(table), "float64")
    return shared.copy()  # pyarrow's own memory is read-only


def _target_place(table: Table) -> Place:
    return Place(str(table.target_name), 0, is_target=True)
