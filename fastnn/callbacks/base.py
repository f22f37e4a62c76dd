"""The base class of callbacks: the methods that `fit` calls, with Keras's names."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from fastnn.callbacks.history import History
from fastnn.data.checks import items, shown
from fastnn.data.rows import Array
from fastnn.optimizers import Optimizer

Logs = dict[str, float]


class Model(Protocol):
    """What training and callbacks ask of the model that is trained."""

    seed: int
    stop_training: bool
    epochs_trained: int
    history: History

    @property
    def optimizer(self) -> Optimizer: ...

    def get_weights(self) -> list[Array]: ...

    def gradient(self, X: Any, y: Any, *, sample_weight: Any = None) -> dict[str, Array]: ...

    def activations(self, X: Any) -> Any: ...

    def set_weights(self, weights: list[Array]) -> None: ...

    def save(self, path: str | os.PathLike[str]) -> None: ...


class Callback:
    """Base class: override the hooks you need. Names and arguments are Keras's.

    `self.model` is the model; set `self.model.stop_training = True` to end the fit: after the
    current epoch, or if a hook within the epoch does so after the current batch (in stochastic
    mode: slice); the numbers of that epoch are then those of the rows it came to. `self.params` is
    the `params` of the fit's `History`; in `evaluate` and `predict` it says "samples" and
    "verbose". A copy or a pickle of a callback has neither, until it is in a fit of its own.
    """

    model: Model
    params: dict[str, Any]
    verbose: int = 0  # whether `say` says it
    sees_rows: bool = False  # whether slices of the stochastic mode are as short as they can be
    _of_a_fit: ClassVar[tuple[str, ...]] = ("model", "params")  # attributes that copies leave out

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self._of_a_fit}

    def __repr__(self) -> str:
        """What it was made with, as far as it keeps that under the same names."""
        given = [
            f"{name}={shown(value)}"
            for name, parameter in inspect.signature(type(self)).parameters.items()
            if (value := vars(self).get(name, parameter.default)) is not parameter.default
            and isinstance(value, str | int | float)
            and value != parameter.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def on_train_begin(self, logs: Logs) -> None:
        """Called once, before the first epoch; `logs` is empty."""

    def on_train_end(self, logs: Logs) -> None:
        """Called once, after the last epoch, also if the fit was interrupted or failed.

        `logs` is that of the last epoch that was recorded.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before every epoch; `epoch` counts from 0, or `initial_epoch`."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after every epoch with what the history records of it."""

    def on_test_begin(self, logs: Logs) -> None:
        """Called before the validation of an epoch, or `evaluate`; `logs` is empty."""

    def on_test_end(self, logs: Logs) -> None:
        """Called after it; `logs` holds its numbers, without ``val_`` before the names."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a slice of the rows that are evaluated, hundredths of a second of work."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after it with the means so far."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Called before `predict`; `logs` is empty."""

    def on_predict_end(self, logs: Logs) -> None:
        """Called after it; `logs` is empty."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a slice of the rows to predict, hundredths of a second of work."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Array]) -> None:
        """Called after it with its outputs: {"outputs": array}."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a batch, of which `batch` counts those of the epoch from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after a batch with the running means so far.

        In stochastic mode a "batch" is a slice, some hundredths of a second of work. Whoever
        overrides one of the two makes every batch a slice of its own, or several if it is large;
        the bits stay the same. A fit with L-BFGS calls neither.
        """

    def on_slice_end(self, n_rows: int, logs: Logs) -> None:
        """Called within an epoch after `n_rows` more rows, as a rule hundredths of a second apart.

        `logs` holds the running means so far. A slice ends where a batch ends, except that one
        batch may take several slices.
        """

    def check(self) -> None:
        """Raise if this fit cannot have the callback: called first, when nothing has changed yet.

        `self.model` and `self.params` are known.
        """

    def say(self, line: str) -> None:
        """Print it if `verbose` asks for it."""
        if self.verbose:
            print(line, flush=True)

    @property
    def sees_batches(self) -> bool:
        """Whether a hook of single batches is overridden, by the class or on the object itself."""
        for name in ("on_train_batch_begin", "on_train_batch_end"):
            if getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name):
                return True
        return False


def notify(callbacks: Sequence[Callback], hook: str, *arguments: Any) -> None:
    """Call a hook of each."""
    for callback in callbacks:
        getattr(callback, hook)(*arguments)


HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class LambdaCallback(Callback):
    """Hooks given as functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`.

    Raises TypeError if a name is not that of a hook of `Callback`, or its value is no function.
    """

    def __init__(self, **hooks: Callable[..., object]) -> None:
        for name, function in hooks.items():
            if name not in HOOKS or not callable(function):
                raise TypeError(
                    f"{name}={function!r}: expected functions by the names of hooks, "
                    f"{', '.join(HOOKS)}"
                )
            setattr(self, name, function)


def checked_callbacks(callbacks: object) -> list[Callback]:
    """The callbacks, if they are such, each once."""
    example = f"[{_object(callbacks)}]" if _is_callback(callbacks) else "[Callback()]"
    checked = items("callbacks", () if callbacks is None else callbacks, example)
    for number, callback in enumerate(checked):
        if not isinstance(callback, Callback):
            call = f", e.g. callbacks=[{_object(callback)}]" * _is_callback(callback)
            raise TypeError(
                f"callbacks holds {shown(callback)}; expected objects of fastnn.Callback{call}"
            )
        if any(callback is other for other in checked[:number]):
            raise ValueError(f"callbacks holds {callback!r} twice; list each object once")
    return checked


def _is_callback(value: object) -> bool:
    """Whether it is a callback or the class of one."""
    return issubclass(value if isinstance(value, type) else type(value), Callback)


def _object(value: object) -> str:
    """How to write a callback; a class is called."""
    return f"{value.__name__}()" if isinstance(value, type) else repr(value)
