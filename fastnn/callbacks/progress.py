"""What a fit shows of itself: a bar, or lines."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from fastnn.callbacks.base import Callback, Logs
from fastnn.data.checks import whole_number

NOT_SHOWN = "seconds", "samples_per_second", "learning_rate"  # in a line
LINES = 10  # about how many in place of a bar
SILENCE = 30.0  # seconds of an epoch after which a line is due
BAR = "{percentage:3.0f}% |{bar:10}| {desc}{rate_fmt}, {remaining} left{postfix}"
ENDLESS_BAR = "{desc}{n_fmt} samples, {rate_fmt}{postfix}"  # nobody knows how many rows there are


def format_logs(logs: Logs) -> str:
    """ "loss 0.1234  val_loss 0.2345  accuracy 0.95", without the timing"""
    names = [name for name in logs if name not in NOT_SHOWN and not name.startswith("val_")]
    pairs = [each for name in names for each in (name, f"val_{name}") if each in logs]
    return "  ".join(f"{name} {logs[name]:.4g}" for name in pairs)


class Progress(Callback):
    """Shows how a fit goes: what `fit(verbose=1)` adds to the callbacks.

    On a terminal a bar on standard error, with epoch, rows a second, time left, loss and metrics;
    it needs tqdm (``pip install tqdm``). Without tqdm, or if standard error is a file or
    a notebook, about ten lines on standard output with the same, free of control characters.

    Parameters
    ----------
    lines : int, optional
        About how many lines, and no bar. After half a minute without a line another one is
        written, and after the last epoch in any case.

    Raises
    ------
    TypeError, ValueError
        If `lines` is not a whole number of at least 1.

    Examples
    --------
    >>> from fastnn import Progress
    >>> callback = Progress(lines=10)
    """

    _of_a_fit = *Callback._of_a_fit, "_display"

    def __init__(self, lines: int | None = None) -> None:
        self._lines = None if lines is None else whole_number("lines", lines, minimum=1)

    def on_train_begin(self, logs: Logs) -> None:
        bar = self._lines is None and _is_terminal(sys.stderr) and _tqdm_is_installed()
        self._display: Callback = ProgressBar() if bar else EpochLines(self._lines or LINES)
        self._display.params = self.params
        self._display.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._display.on_epoch_begin(epoch, logs)

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        self._display.on_slice_end(n_rows, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._display.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Logs) -> None:
        self._display.on_train_end(logs)


class EpochLines(Callback):
    """Writes a line after an epoch: after each, or after about `lines` evenly spaced ones."""

    def __init__(self, lines: int | None = None, stream: TextIO | None = None) -> None:
        self._lines = lines
        self._stream = stream

    def on_train_begin(self, logs: Logs) -> None:
        self._began = self._last = time.perf_counter()
        self._epoch, self._rows, self._due = self.params["initial_epoch"], 0, True

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        self._rows += n_rows
        if time.perf_counter() - self._last >= SILENCE:
            self._write(f"{self._rows:,} samples so far", format_logs(logs))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        epochs, initial = self.params["epochs"], self.params["initial_epoch"]
        every = max(1, (epochs - initial) // self._lines) if self._lines else 1
        self._due = (epoch + 1) % every == 0 or epoch + 1 == epochs
        if self._due:
            done, left = epoch + 1 - initial, epochs - epoch - 1
            seconds = (time.perf_counter() - self._began) / done * left
            self._write(format_logs(logs), _rate(logs) + f", {_clock(seconds)} left" * (left > 0))
        self._epoch, self._rows = epoch + 1, 0

    def on_train_end(self, logs: Logs) -> None:
        if not self._due:  # the fit has ended early, and of its last epoch there is no line yet
            self._epoch -= 1
            self._write(format_logs(logs), _rate(logs))

    def _write(self, *parts: str) -> None:
        line = f"epoch {self._epoch + 1}/{self.params['epochs']}", *parts
        print("  ".join(line), file=self._stream or sys.stdout, flush=True)
        self._last = time.perf_counter()


class ProgressBar(Callback):
    """One bar for the whole fit, drawn by tqdm on standard error."""

    def on_train_begin(self, logs: Logs) -> None:
        from tqdm import tqdm

        self._epochs = max(self.params["epochs"] - self.params["initial_epoch"], 0)
        samples = self.params["samples"]
        total = None if samples is None else self._epochs * samples
        layout = ENDLESS_BAR if total is None else BAR
        columns = shutil.get_terminal_size().columns  # never 0, as a terminal may say it has
        self._bar = tqdm(
            total=total, unit=" samples", unit_scale=True, bar_format=layout, ncols=columns
        )
        self._logs: Logs = {}  # those of validation are of the epoch before

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._bar.set_description(f"epoch {epoch + 1}/{self.params['epochs']}", refresh=False)

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        self._show(logs)
        self._bar.update(n_rows)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._bar.total is None:  # other epochs will be alike
            self._bar.total, self._bar.bar_format = self._epochs * self._bar.n, BAR
        self._show(logs)

    def _show(self, logs: Logs) -> None:
        self._logs |= logs
        self._bar.set_postfix_str(format_logs(self._logs), refresh=False)

    def on_train_end(self, logs: Logs) -> None:
        self._bar.close()


def progress(verbose: int) -> list[Callback]:
    """The display for `verbose`: 0 none, 1 a bar on a terminal and about ten lines elsewhere,
    2 a line an epoch."""
    if verbose == 1:
        return [Progress()]
    return [EpochLines()] if verbose else []


def _rate(logs: Logs) -> str:
    return f"{logs['samples_per_second']:,.0f} samples/s"


def _clock(seconds: float) -> str:
    """ "1:05:09" or "5:09" """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_terminal(stream: TextIO | None) -> bool:
    """There may be no stream, without a console, or what merely can be written to."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def _tqdm_is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("tqdm") is not None
