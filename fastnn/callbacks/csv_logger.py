"""The numbers of every epoch in a CSV file."""

from __future__ import annotations

import contextlib
import csv
import os
from typing import Any, TextIO

from fastnn.callbacks.base import Callback, Logs
from fastnn.data.checks import flag, shown


class CSVLogger(Callback):
    """Writes the history into a CSV file, a line an epoch: "epoch", then the numbers by name.

    Parameters
    ----------
    filename : path
    separator : str
        The character between two fields.
    append : bool
        Whether to write behind what the file holds. Its first line must then name the columns of
        this fit, in any order; without a file, or in an empty one, they are written.

    Raises
    ------
    TypeError, ValueError
        If `separator` is not a single character that can part numbers; in `fit`, before anything
        is written, if the file to append to has other columns.
    OSError
        In `fit` if the file cannot be read or written.

    Examples
    --------
    >>> from fastnn import CSVLogger
    >>> callback = CSVLogger("history.csv", append=True)
    """

    _of_a_fit = *Callback._of_a_fit, "_file"

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(filename, str | os.PathLike):
            raise TypeError(
                f"filename={shown(filename)}: expected the name of a file, e.g. 'history.csv'"
            )
        self.filename, self.separator = os.fspath(filename), separator
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(
                f"separator={shown(separator)}: expected one character, e.g. separator=';'"
            )
        self.append = flag("append", append)

    def check(self) -> None:
        folder = os.path.dirname(self.filename)
        if folder and not os.path.isdir(folder):
            raise FileNotFoundError(f"there is no folder {folder!r}; make it first")
        recorded = sorted(self.params["metrics"], key=lambda name: name.startswith("val_"))
        names, found = ["epoch", *recorded], self._columns_of_the_file()
        if found is not None and sorted(found) != sorted(names):
            raise ValueError(
                f"{self.filename} has the columns {', '.join(found)}, but this fit records "
                f"{', '.join(names)}; take another file, or overwrite it, "
                f"CSVLogger({self.filename!r}, {self.separator!r})"
            )
        self._names, self._goes_on = found or names, found is not None

    def _columns_of_the_file(self) -> list[str] | None:
        """The columns of the file to append to; None if there is none, or nothing in it."""
        if not self.append or not os.path.isfile(self.filename):
            return None
        try:
            with open(self.filename, encoding="utf-8-sig", newline="") as file:
                return next(csv.reader(file, delimiter=self.separator), None)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.filename} is not a CSV file to append to: {error}") from None

    def on_train_begin(self, logs: Logs) -> None:
        self._file: TextIO = open(
            self.filename, "a" if self.append else "w", encoding="utf-8", newline=""
        )
        if not self._goes_on:
            self._write(self._names)
        elif not _ends_a_line(self.filename):
            self._file.write("\n")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        numbers = logs | {"epoch": epoch}  # not all are there if this epoch has no validation
        self._write([numbers.get(name, "") for name in self._names])

    def _write(self, cells: list[Any]) -> None:
        """Write a line at once; an error names the file, as that of `open` does."""
        try:
            csv.writer(self._file, delimiter=self.separator).writerow(cells)
            self._file.flush()
        except OSError as error:
            with contextlib.suppress(OSError):  # closing tries to write the same once more
                self._file.close()
            raise OSError(error.errno, error.strerror, self.filename) from None

    def on_train_end(self, logs: Logs) -> None:
        self._file.close()


def _ends_a_line(filename: str) -> bool:
    with open(filename, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
