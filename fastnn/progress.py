"""What a fit shows of itself: a bar, or lines."""

import sys
from typing import TextIO

from fastnn.callbacks import Callback, Logs

NOT_SHOWN = "seconds", "samples_per_second", "learning_rate"  # in a line


def format_logs(logs: Logs) -> str:
    """ "loss 0.1234  accuracy 0.9500", without the timing"""
    shown = (item for item in logs.items() if item[0] not in NOT_SHOWN)
    return "  ".join(f"{name} {value:.4g}" for name, value in shown)


class EpochLines(Callback):
    """Writes a line after an epoch: after each, or after about `lines` evenly spaced ones."""

    def __init__(self, lines: int | None = None, stream: TextIO | None = None) -> None:
        self._lines = lines
        self._stream = stream

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        epochs = self.params["epochs"]
        every = max(1, epochs // self._lines) if self._lines else 1
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            rate = logs["samples_per_second"]
            print(
                f"epoch {epoch + 1}/{epochs}  {format_logs(logs)}  {rate:,.0f} samples/s",
                file=self._stream or sys.stdout,
                flush=True,
            )


class ProgressBar(Callback):
    """One bar for the whole fit, drawn by tqdm on standard error."""

    def on_train_begin(self, logs: Logs) -> None:
        from tqdm import tqdm

        epochs = self.params["epochs"] - self.params["initial_epoch"]
        total = max(epochs, 0) * self.params["samples"]
        layout = "{percentage:3.0f}% |{bar:20}| {desc}{rate_fmt}, {remaining} left{postfix}"
        self._bar = tqdm(total=total, unit=" samples", unit_scale=True, bar_format=layout)

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        self._bar.update(n_rows)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._bar.set_description(f"epoch {epoch + 1}/{self.params['epochs']}", refresh=False)
        self._bar.set_postfix_str(format_logs(logs), refresh=False)

    def on_train_end(self, logs: Logs) -> None:
        self._bar.close()


def progress(verbose: int) -> list[Callback]:
    """The display for `verbose`: 0 none, 1 a bar on a terminal and about ten lines elsewhere,
    2 a line an epoch."""
    if verbose == 1 and sys.stderr.isatty() and _tqdm_is_installed():
        return [ProgressBar()]
    return [EpochLines(10 if verbose == 1 else None)] if verbose else []


def _tqdm_is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("tqdm") is not None
