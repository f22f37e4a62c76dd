"""Checks of arguments that only models take."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import metrics
from fastnn._validation import flag, items, lookup, whole_number
from fastnn.callbacks import Callback
from fastnn.history import History
from fastnn.layers import Dense, Dropout, Layer, Normalization
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.own_loss import OwnLoss
from fastnn.own_metric import MetricFunction, OwnMetric
from fastnn.sources import Chunks, Source
from fastnn.training import Plan, mode_of

MODES = {name: name for name in ("stochastic", "minibatch", "batch")}

MetricArgument = str | metrics.Metric | MetricFunction


def checked_layers(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, if they may follow each other."""
    checked = items("layers", layers, "[Dense(8, 'relu'), Dense(1, 'sigmoid')]")
    for number, layer in enumerate(checked):
        if not isinstance(layer, Dense | Dropout | Normalization):
            raise TypeError(
                f"layers[{number}] is {layer!r}; expected Dense, Dropout or Normalization, "
                f"e.g. Sequential([Dense(8, 'relu'), Dense(1, 'sigmoid')])"
            )
        if number and isinstance(layer, Normalization):
            raise ValueError(f"layers[{number}] is a Normalization; only the first layer may be")
        if isinstance(layer, Dropout) and not isinstance(
            next(iter(checked[number + 1 :]), 0), Dense
        ):
            raise ValueError(f"layers[{number}] is a Dropout; expected a Dense layer behind it")
    if not any(isinstance(layer, Dense) for layer in checked):
        raise ValueError("layers holds no Dense layer; e.g. Sequential([Dense(1, 'sigmoid')])")
    return checked


def checked_dtype(dtype: npt.DTypeLike) -> str:
    """The name of a number type that networks compute in."""
    try:
        name = "None" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype={name}: expected 'float32' or 'float64'")
    return name


def checked_metrics(
    wanted: object, weighted: object, loss: Loss | None, units: int
) -> list[metrics.Metric]:
    """`metrics` and `weighted_metrics` of `compile`; the latter count the sample weights.

    A weighted metric whose name is taken is called "weighted_" and its name, as in Keras.
    """
    found = _fitted("metrics", wanted, loss, units)
    taken = {metric.name for metric in found}
    for metric in _fitted("weighted_metrics", weighted, loss, units):
        name = f"weighted_{metric.name}" if metric.name in taken else metric.name
        metric = dataclasses.replace(metric, name=name, weighted=True)
        found.append(metric if loss is None else metric.fitted(loss, units))
    if len({metric.name for metric in found}) < len(found):
        names = [metric.name for metric in found]
        raise ValueError(f"metrics={names!r} names a metric twice; say each once")
    return found


def _fitted(argument: str, wanted: object, loss: Loss | None, units: int) -> list[metrics.Metric]:
    given = items(argument, () if wanted is None else wanted, "['accuracy']")
    own = [OwnMetric(one) if _is_function(one) else one for one in given]
    if loss is None and own:
        raise ValueError(f"{argument}={given!r}: metrics need a loss, e.g. loss='mse'")
    if isinstance(loss, OwnLoss) and not all(isinstance(one, OwnMetric) for one in own):
        raise ValueError(
            f"{argument}={given!r}: names need a loss of fastnn's, which says what a target means; "
            f"give a function of y_true and y_pred"
        )
    return [] if loss is None else [metrics.get(one, loss, units) for one in own]


def _is_function(metric: object) -> bool:
    return callable(metric) and not isinstance(metric, type)


def checked_plan(
    epochs: object,
    mode: object,
    batch_size: object,
    shuffle: object,
    seed: object,
    validation_freq: object = 1,
    initial_epoch: object = 0,
) -> Plan:
    """How `fit` is to visit the rows."""
    return Plan(
        whole_number("epochs", epochs, minimum=0),
        None if mode is None else lookup("mode", mode, MODES),
        None if batch_size is None else whole_number("batch_size", batch_size, minimum=1),
        flag("shuffle", shuffle),
        whole_number("seed", seed, minimum=0),
        whole_number("validation_freq", validation_freq, minimum=1),
        whole_number("initial_epoch", initial_epoch, minimum=0),
    )


def new_history(plan: Plan, source: Source, verbose: int, numbers: dict[str, str]) -> History:
    """An empty one; of chunks nobody knows how many rows there will be."""
    n_rows = source.first.n_rows
    size = plan.size(n_rows)
    return History(
        params={
            "epochs": plan.epochs,
            "steps": source.steps if isinstance(source, Chunks) else -(-n_rows // size),
            "verbose": verbose,
            "mode": mode_of(size, n_rows),
            "batch_size": size,
            "samples": None if isinstance(source, Chunks) else n_rows,
            "seed": plan.seed,
            "metrics": numbers,
            "initial_epoch": plan.initial_epoch,
            "validation_freq": plan.validation_freq,
        }
    )


def recorded(
    optimizer: Optimizer, wanted: Sequence[metrics.Metric], *, validated: bool
) -> dict[str, str]:
    """All numbers that a fit records of an epoch, and in which direction each gets better."""
    found = {"loss": "min"} | {metric.name: metric.better for metric in wanted}
    if validated:
        found |= {f"val_{name}": better for name, better in found.items()}
    found |= {"seconds": "min", "samples_per_second": "max"}
    if optimizer.has_rate:
        found["learning_rate"] = "min"
    if optimizer.clips:
        found["clipped_steps"] = "min"
    return found


def checked_verbose(verbose: object) -> int:
    """What to show; "auto" is nothing."""
    known = {"auto": 0, 0: 0, 1: 1, 2: 2}
    if not isinstance(verbose, str | int | np.integer) or verbose not in known:
        raise ValueError(
            f"verbose={verbose!r}: expected 0 or 'auto' (silent), 1 (progress) or 2 (lines)"
        )
    return known[verbose]


def check_idle(batch_size: object, verbose: object) -> None:
    """Check what Keras takes and here has no effect."""
    if batch_size is not None:
        whole_number("batch_size", batch_size, minimum=1)
    checked_verbose(verbose)


def checked_threads(threads: object) -> int | None:
    """How many threads at most; None leaves it to the machine."""
    return None if threads is None else whole_number("threads", threads, minimum=1)


def checked_callbacks(callbacks: object, model: Any, params: dict[str, Any]) -> list[Callback]:
    """The callbacks, which then know their model and `params`."""
    checked = items("callbacks", () if callbacks is None else callbacks, "[Callback()]")
    for callback in checked:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks holds {callback!r}; expected objects of fastnn.Callback")
    for callback in checked:
        callback.model, callback.params = model, params
    return checked
