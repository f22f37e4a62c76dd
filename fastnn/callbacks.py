"""What runs beside the training: the hooks, and what is built on them."""

import math
import sys
from typing import Any, Literal, Protocol, TextIO

from fastnn._validation import lookup, number_between, whole_number
from fastnn.history import History
from fastnn.optimizers import BELOW_1, Optimizer

SMALLEST = sys.float_info.min  # a learning rate is more than nothing
NOT_SHOWN = "seconds", "samples_per_second", "learning_rate"  # in a line of progress


class Model(Protocol):
    """What training and callbacks ask of the model that is trained."""

    stop_training: bool
    epochs_trained: int
    history: History

    @property
    def optimizer(self) -> Optimizer: ...


class Callback:
    """Base class: override the hooks you need. The names are Keras's.

    `self.model` is the model; set `self.model.stop_training = True` to end the fit after the
    current epoch. `self.params` is the `params` of the fit's `History`.
    """

    model: Model
    params: dict[str, Any]

    def on_train_begin(self) -> None:
        """Called once, before the first epoch."""

    def on_train_end(self) -> None:
        """Called once, after the last epoch, also if the fit was interrupted or failed."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Called before every epoch; `epoch` counts from 0, or `initial_epoch`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Called after every epoch with what the history records of it."""

    def on_slice_end(self, n_rows: int, logs: dict[str, float]) -> None:
        """Called within an epoch after `n_rows` more rows, as a rule tenths of a second apart.

        `logs` holds the running means so far. A slice ends where a batch ends, except that one
        batch may take several slices.
        """


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when a number of the history gets better no more.

    Parameters
    ----------
    monitor : str
        The number: "val_loss", "loss", "accuracy", "val_accuracy".
    factor : float
        From 0 to below 1.
    patience : int
        How many epochs in a row may bring nothing better; those without the number do not count.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" takes higher for an accuracy.
    min_delta : float
        What counts as better: more than so much.
    cooldown : int
        How long to wait after a reduction; the `cooldown`-th epoch after it counts again, as in
        Keras.
    min_lr : float
        The learning rate goes no lower.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said above; in `fit` if the history has no such number, or the
        learning rate is not a number.

    Examples
    --------
    >>> from fastnn import ReduceLROnPlateau
    >>> callback = ReduceLROnPlateau("loss", factor=0.5, patience=3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor={monitor!r}: expected a name, e.g. monitor='val_loss'")
        self.monitor = monitor
        self.factor = number_between("factor", factor, 0, BELOW_1, example=0.1)
        self.patience = whole_number("patience", patience, minimum=0)
        higher = {"auto": "acc" in monitor, "min": False, "max": True}
        self._sign = -1.0 if lookup("mode", mode, higher) else 1.0
        self.min_delta = number_between("min_delta", min_delta, 0, None, example=1e-4)
        self.cooldown = whole_number("cooldown", cooldown, minimum=0)
        self.min_lr = number_between("min_lr", min_lr, 0, None, example=1e-6)

    def on_train_begin(self) -> None:
        if self.monitor not in self.params["metrics"]:
            raise ValueError(
                f"monitor={self.monitor!r} is not among the numbers of this fit, "
                f"{', '.join(self.params['metrics'])}; take one of them, or give fit "
                f"validation_split=0.2 for the others"
            )
        optimizer = self.model.optimizer
        if not isinstance(optimizer.learning_rate, float) or optimizer.needs_all_rows:
            raise ValueError(
                f"ReduceLROnPlateau needs a number as learning rate, but the optimizer is "
                f"{optimizer}; leave one of the two out"
            )
        self._best, self._worse, self._resting = math.inf, 0, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if self.monitor not in logs:
            return  # an epoch without validation
        value = self._sign * logs[self.monitor]
        if self._resting:
            self._resting, self._worse = self._resting - 1, 0
        if value < self._best - self.min_delta:
            self._best, self._worse = value, 0
        elif not self._resting:
            self._worse += 1
            if self._worse >= self.patience:
                self._reduce()

    def _reduce(self) -> None:
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate
        if isinstance(rate, float) and rate > self.min_lr:
            optimizer.learning_rate = max(rate * self.factor, self.min_lr, SMALLEST)
            self._worse, self._resting = 0, self.cooldown


def format_logs(logs: dict[str, float]) -> str:
    """ "loss 0.1234  accuracy 0.9500", without the timing"""
    shown = (item for item in logs.items() if item[0] not in NOT_SHOWN)
    return "  ".join(f"{name} {value:.4g}" for name, value in shown)


class EpochLines(Callback):
    """Writes a line after an epoch: after each, or after about `lines` evenly spaced ones."""

    def __init__(self, lines: int | None = None, stream: TextIO | None = None) -> None:
        self._lines = lines
        self._stream = stream

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
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

    def on_train_begin(self) -> None:
        from tqdm import tqdm

        epochs = self.params["epochs"] - self.params["initial_epoch"]
        total = max(epochs, 0) * self.params["samples"]
        layout = "{percentage:3.0f}% |{bar:20}| {desc}{rate_fmt}, {remaining} left{postfix}"
        self._bar = tqdm(total=total, unit=" samples", unit_scale=True, bar_format=layout)

    def on_slice_end(self, n_rows: int, logs: dict[str, float]) -> None:
        self._bar.update(n_rows)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._bar.set_description(f"epoch {epoch + 1}/{self.params['epochs']}", refresh=False)
        self._bar.set_postfix_str(format_logs(logs), refresh=False)

    def on_train_end(self) -> None:
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
