"""How a fit goes through its rows: epochs, mode, batch size, visiting order, threads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from fastnn.data.checks import flag, lookup, shown, whole_number
from fastnn.data.rows import Array

MINIBATCH = 32  # rows in a minibatch if nothing else is said, as in Keras


@dataclass(frozen=True)
class Plan:
    """How a fit is to go through its rows."""

    epochs: int
    mode: str | None
    batch_size: int | None
    shuffle: bool
    seed: int
    threads: int | None = None
    validation_freq: int = 1
    initial_epoch: int = 0
    measured_at_end: bool = False  # whether loss and metrics are those of an epoch's last weights
    verbose: int = 0
    draw_order: Callable[[int], Array] | None = None  # of n rows, in place of those of the seed

    @property
    def epoch_numbers(self) -> range:
        """The numbers of the epochs."""
        return range(self.initial_epoch, self.epochs)

    def size(self, n_rows: int) -> int:
        """How many rows a batch has, of `n_rows` in all."""
        if self.mode is None:
            return min(self.batch_size or MINIBATCH, n_rows)
        return batch_size_for(self.mode, self.batch_size, n_rows)

    def order(self, epoch: int, n_rows: int, batch_size: int, chunk: int = 0) -> Array | None:
        """The visiting order: a permutation that depends on seed, epoch and chunk alone.

        None, the natural order, without shuffling and in batch mode, where order has no effect.
        """
        if self.draw_order is not None:
            return self.draw_order(n_rows)
        if not self.shuffle or batch_size >= n_rows:
            return None
        place = [epoch, chunk] if chunk else [epoch]
        rng = np.random.Generator(np.random.Philox([self.seed, *place]))
        return rng.permutation(n_rows)


def batch_size_for(mode: str | None, batch_size: int | None, n_rows: int) -> int:
    """The batch size that `mode` and `batch_size` ask for together."""
    if mode == "minibatch" and batch_size == 1:
        raise ValueError(
            "mode='minibatch' with batch_size=1 updates after every row: say mode='stochastic', "
            "or take a larger batch_size"
        )
    if mode == "stochastic" and batch_size not in (None, 1):
        raise ValueError(
            f"mode='stochastic' updates after every row, but batch_size={batch_size}; "
            f"leave one of them out, or use mode='minibatch'"
        )
    if mode == "batch" and batch_size is not None and batch_size < n_rows:
        raise ValueError(
            f"mode='batch' uses all {n_rows} rows for an update, but batch_size={batch_size}; "
            f"leave one of them out, or use mode='minibatch'"
        )
    if mode == "stochastic":
        return 1
    return n_rows if mode == "batch" else min(batch_size or MINIBATCH, n_rows)


def mode_of(batch_size: int, n_rows: int) -> str:
    """The name of what a batch size means for that many rows."""
    if batch_size == 1:
        return "stochastic"
    return "batch" if batch_size >= n_rows else "minibatch"


# What arguments may be, for editors and type checkers.
Mode = Literal["stochastic", "minibatch", "batch"]
Measured = Literal["running", "end"]
Verbose = int | Literal["auto"]

MEASURED: dict[str, bool] = {"running": False, "end": True}  # with an epoch's last weights?
MODES: dict[str, Mode] = {name: name for name in get_args(Mode)}


def checked_plan(
    *,
    epochs: object,
    mode: object,
    batch_size: Any,
    shuffle: object,
    seed: object,
    threads: object,
    validation_freq: object = 1,
    initial_epoch: object = 0,
    train_metrics: object = "running",
    verbose: object = 0,
) -> Plan:
    """How `fit` is to go through its rows."""
    if batch_size is not None:
        batch_size = whole_number("batch_size", batch_size, minimum=1)
    return Plan(
        epochs=whole_number("epochs", epochs, minimum=0),
        mode=None if mode is None else lookup("mode", mode, MODES),
        batch_size=batch_size,
        shuffle=flag("shuffle", shuffle),
        seed=checked_seed(seed),
        threads=None if threads is None else checked_threads(threads),
        validation_freq=whole_number("validation_freq", validation_freq, minimum=1),
        initial_epoch=whole_number("initial_epoch", initial_epoch, minimum=0),
        measured_at_end=lookup("train_metrics", train_metrics, MEASURED),
        verbose=checked_verbose(verbose),
    )


def checked_verbose(verbose: object) -> int:
    """What to show; "auto" is nothing."""
    known = {"auto": 0, 0: 0, 1: 1, 2: 2}
    if not isinstance(verbose, str | int | np.integer) or verbose not in known:
        raise ValueError(
            f"verbose={shown(verbose)}: expected 0 or 'auto' (silent), 1 (progress) or 2 (lines)"
        )
    return known[verbose]


def check_idle(batch_size: object, verbose: object) -> None:
    """Check what Keras takes and here has no effect."""
    if batch_size is not None:
        whole_number("batch_size", batch_size, minimum=1)
    checked_verbose(verbose)


def checked_seed(seed: object) -> int:
    """A seed, up to the entropy of NumPy's SeedSequence."""
    return whole_number("seed", seed, minimum=0, maximum=2**128 - 1)


def checked_threads(threads: object) -> int | None:
    """How many threads at most; None leaves it to the machine."""
    return None if threads is None else whole_number("threads", threads, minimum=1)
