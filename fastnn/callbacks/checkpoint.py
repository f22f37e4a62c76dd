"""Saving the model while it is trained."""

from __future__ import annotations

import os

from fastnn.callbacks.base import Logs
from fastnn.callbacks.monitor import Direction, Monitor
from fastnn.data.checks import flag, shown


class ModelCheckpoint(Monitor):
    """Saves the model after every epoch, or after those that are the best so far.

    Parameters
    ----------
    filepath : str
        An .npz file; may hold numbers of the epoch: "model-{epoch:02d}-{val_loss:.3f}.npz", where
        `epoch` counts from 1, as in Keras. A file is written beside its place and moved there.
    monitor : str
        What decides which epoch is the best.
    verbose : int
        1 prints a line for every file.
    save_best_only : bool
        Whether to save only what is better than all before, in earlier fits too.
    save_weights_only : bool
        Without effect: a file holds the weights and, which is little beside them, how to go on.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" knows it of all numbers but those that a function
        of your own returns.

    Raises
    ------
    TypeError, ValueError
        If `filepath` is no name of an .npz file or an argument is of another type; in `fit`, before
        it begins, if its history has no number `monitor`, though `save_best_only` needs it, or
        `filepath` names a number that some epochs do not have.
    OSError
        In `fit` if the file cannot be written.

    Examples
    --------
    >>> from fastnn import ModelCheckpoint
    >>> callback = ModelCheckpoint("best.npz", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Direction = "auto",
    ) -> None:
        super().__init__(monitor, verbose=verbose, mode=mode, min_delta=0.0)
        path = os.fspath(filepath) if isinstance(filepath, os.PathLike) else filepath
        if not isinstance(path, str):
            raise TypeError(
                f"filepath={shown(filepath)}: expected the name of an .npz file, e.g. 'best.npz'"
            )
        if not path.endswith(".npz") or os.path.basename(path) == ".npz":
            raise ValueError(
                f"filepath={path!r}: models are .npz files, e.g. 'best.npz' or "
                f"'model-{{epoch:02d}}.npz'"
            )
        self.filepath = path
        flag("save_weights_only", save_weights_only)
        self.save_best_only = flag("save_best_only", save_best_only)

    def check(self) -> None:
        if self.save_best_only:
            super().check()
        known = [*self.params["metrics"]]
        validated = self.save_best_only and self.monitor.startswith("val_")
        if self.params["validation_freq"] > 1 and not validated:
            known = [name for name in known if not name.startswith("val_")]
        self._path(0, dict.fromkeys(known, 0.0))

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(epoch=epoch + 1, **logs)
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            wrong = f"asks for {error}" if isinstance(error, LookupError) else f"fails: {error}"
            raise ValueError(
                f"filepath={self.filepath!r} {wrong}; known are epoch, {', '.join(logs)}, of every "
                f"epoch, e.g. 'model-{{epoch:02d}}-{{loss:.3f}}.npz'"
            ) from None

    def on_train_begin(self, logs: Logs) -> None:
        if self.save_best_only and not hasattr(self, "best"):  # as in Keras: a file is not
            super().on_train_begin(logs)  # overwritten by what is worse

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            if self.monitor not in logs or not self.is_better(logs[self.monitor]):
                return
        path = self._path(epoch, logs)
        self.model.save(path)
        if self.save_best_only:  # not before there is a file of it
            self.best = logs[self.monitor]
        self.say(f"epoch {epoch + 1}: saved {path}")
