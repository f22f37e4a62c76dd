"""Checks of arguments that only models take."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from fastnn import metrics
from fastnn._backend import DTYPES, DType
from fastnn._validation import Data, flag, items, lookup, shown, whole_number
from fastnn.hooks import Callback
from fastnn.inputs import Inputs
from fastnn.layers import Dense, Dropout, Layer, Normalization
from fastnn.losses import LOSSES, Loss
from fastnn.own_loss import OwnLoss
from fastnn.own_metric import MetricFunction, OwnMetric
from fastnn.sources import EXAMPLE, AllRows, Chunks, Source
from fastnn.training import Plan

# What arguments may be, for editors and type checkers.
Mode = Literal["stochastic", "minibatch", "batch"]
Measured = Literal["running", "end"]
Verbose = int | Literal["auto"]
ClassWeight = Mapping[int, float] | Literal["balanced"]
ModelDType = (
    DType | type[np.float32] | type[np.float64] | np.dtype[np.float32] | np.dtype[np.float64]
)

MEASURED: dict[str, bool] = {"running": False, "end": True}  # with an epoch's last weights?
MODES: dict[str, Mode] = {name: name for name in get_args(Mode)}

MetricLike = metrics.MetricName | metrics.Metric | MetricFunction


def checked_layers(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, if they may follow each other."""
    checked = items("layers", layers, "[Dense(8, 'relu'), Dense(1, 'sigmoid')]")
    for number, layer in enumerate(checked):
        if not isinstance(layer, Dense | Dropout | Normalization):
            raise TypeError(
                f"layers[{number}] is {shown(layer)}; expected Dense, Dropout or Normalization, "
                f"e.g. Sequential([Dense(8, 'relu'), Dense(1, 'sigmoid')])"
            )
        if number and isinstance(layer, Normalization):
            raise ValueError(f"layers[{number}] is a Normalization; only the first layer may be")
        if isinstance(layer, Dropout) and not isinstance(
            next(iter(checked[number + 1 : number + 2]), 0), Dense
        ):
            raise ValueError(f"layers[{number}] is a Dropout; expected a Dense layer behind it")
    if not any(isinstance(layer, Dense) for layer in checked):
        raise ValueError("layers holds no Dense layer; e.g. Sequential([Dense(1, 'sigmoid')])")
    return checked


def checked_dtype(dtype: object) -> str:
    """The name of a number type that networks compute in."""
    try:
        name = "None" if dtype is None else np.dtype(dtype).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = shown(dtype)
    if name not in DTYPES:
        raise ValueError(f"dtype={name}: expected 'float32' or 'float64'")
    return name


def checked_metrics(
    wanted: object, weighted: object, loss: Loss | None, output: Dense
) -> list[metrics.Metric]:
    """`metrics` and `weighted_metrics` of `compile`; the latter count the sample weights.

    A weighted metric whose name is taken is called "weighted_" and its name, as in Keras.
    """
    found = _fitted("metrics", wanted, loss, output)
    taken = {metric.name for metric in found}
    for metric in _fitted("weighted_metrics", weighted, loss, output):
        name = f"weighted_{metric.name}" if metric.name in taken else metric.name
        found.append(dataclasses.replace(metric, name=name, weighted=True))
    if len({metric.name for metric in found}) < len(found):
        names = [metric.name for metric in found]
        raise ValueError(
            f"metrics={names!r} names a metric twice; say each once, or give a function a name of "
            f"its own: fastnn.own_metric.OwnMetric(f, name='gain')"
        )
    return found


def _fitted(
    argument: str, wanted: object, loss: Loss | None, output: Dense
) -> list[metrics.Metric]:
    given = items(argument, () if wanted is None else wanted, "['accuracy']")
    own = [OwnMetric(one) if _is_function(one) else one for one in given]
    if loss is None and own:
        raise ValueError(
            f"{argument}={given!r}: metrics need a loss, e.g. loss={fitting_loss(output, own)!r}"
        )
    if isinstance(loss, OwnLoss) and not all(isinstance(one, OwnMetric) for one in own):
        raise ValueError(
            f"{argument}={given!r}: names need a loss of fastnn's, which says what a target means; "
            f"give a function of y_true and y_pred"
        )
    return [] if loss is None else [metrics.get(one, loss, output.units, argument) for one in own]


def fitting_loss(output: Dense, wanted: Sequence[object] = ()) -> str:
    """The name of a loss that goes with the output layer and these metrics, for messages."""
    for name in ("binary_crossentropy", "categorical_crossentropy", "mean_squared_error", "hinge"):
        loss = LOSSES[name]()
        try:
            loss.check_output(output.activation, output.units)
            [metrics.get(one, loss, output.units) for one in wanted]
        except (TypeError, ValueError):
            continue
        return name
    return "mean_squared_error"


def _is_function(metric: object) -> bool:
    return callable(metric) and not isinstance(metric, type)


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
        threads=checked_threads(threads),
        validation_freq=whole_number("validation_freq", validation_freq, minimum=1),
        initial_epoch=whole_number("initial_epoch", initial_epoch, minimum=0),
        measured_at_end=lookup("train_metrics", train_metrics, MEASURED),
        verbose=checked_verbose(verbose),
    )


@dataclass(frozen=True)
class Rows:
    """What `fit` was told of its rows, checked when the model is ready for them."""

    X: Any
    y: Any
    sample_weight: Any
    class_weight: Any
    validation_data: Any
    validation_split: Any
    steps_per_epoch: Any

    @property
    def in_chunks(self) -> bool:
        return self.y is None

    def checked(self, inputs: Callable[[], Inputs], n_epochs: int) -> tuple[Source, Data | None]:
        """The rows to train on, and those to validate with if there are any.

        `inputs` is asked anew for every chunk: the first decides how wide the others must be.
        """
        if self.validation_data is not None and self.validation_split:
            raise ValueError("give validation_data or validation_split, not both")
        if not self.in_chunks:
            inputs().columns.ordered(self.X)  # whose names come before those of validation rows
        validation = None
        if self.validation_data is not None:
            validation = inputs().validation(self.validation_data)
        if self.in_chunks:
            source: Source = self._chunks(inputs, n_epochs)
        else:
            source, validation = self._arrays(inputs(), validation)
        if validation is not None and validation.n_features != source.first.n_features:
            raise ValueError(
                f"validation X has {validation.n_features} columns, but X has "
                f"{source.first.n_features}; expected the same columns"
            )
        return source, validation

    def _arrays(self, inputs: Inputs, validation: Data | None) -> tuple[Source, Data | None]:
        if self.steps_per_epoch is not None:
            raise ValueError(
                f"steps_per_epoch={shown(self.steps_per_epoch)} counts chunks, but X and y are "
                f"arrays, of which an epoch takes all rows; leave it out"
            )
        data = inputs.data(self.X, self.y, self.sample_weight)
        if self.validation_split:
            data, validation = inputs.split(data, self.validation_split)
        return AllRows(inputs.weighed(data, self.class_weight)), validation

    def _chunks(self, inputs: Callable[[], Inputs], n_epochs: int) -> Source:
        chunks, steps = _checked_iterable(self.X), self.steps_per_epoch
        self._refuse_what_needs_all_rows()
        inputs()  # whatever is wrong with the model is not the first chunk's fault
        if steps is not None:
            steps = whole_number("steps_per_epoch", steps, minimum=1)
        signs: set[float] = set()  # what the chunks of a hinge loss have for "no"

        def read(X: object, y: object, sample_weight: object | None = None) -> Data:
            asked = inputs()
            data = asked.data(X, y, sample_weight)
            if asked.loss.targets == "signs":
                signs.update({float(data.y.min())} - {1.0})
                if len(signs) > 1:
                    raise ValueError(
                        "some chunks have y of -1 and 1, others of 0 and 1; expected one of the "
                        "two in all of them, e.g. y = np.where(np.asarray(y) > 0, 1, -1)"
                    )
            return asked.weighed(data, self.class_weight)

        return Chunks(chunks, steps, n_epochs, read)

    def _refuse_what_needs_all_rows(self) -> None:
        if self.sample_weight is not None:
            raise ValueError("sample_weight comes with the chunks, each (X, y, sample_weight)")
        if self.validation_split:
            raise ValueError(
                "validation_split needs all rows, but they come in chunks; keep some apart and "
                "give validation_data=(X, y)"
            )
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows, but they come in chunks; "
                f"give numbers, e.g. class_weight={{0: 1.0, 1: 5.0}}"
            )


@dataclass(frozen=True)
class Prepared:
    """Rows that have been checked, in the place of `Rows`."""

    source: Source
    validation: Data | None
    in_chunks = False

    def checked(self, inputs: Callable[[], Inputs], n_epochs: int) -> tuple[Source, Data | None]:
        return self.source, self.validation


def _checked_iterable(chunks: object) -> Iterable[Any]:
    """What came in place of X and y; an array is no iterable of chunks."""
    if hasattr(chunks, "__array__") or not isinstance(chunks, Iterable):
        raise TypeError(
            f"y is missing: expected fit(X, y), or in place of X an iterable of chunks, each "
            f"{EXAMPLE}; X is {type(chunks).__name__}{'; call it' * callable(chunks)}"
        )
    return chunks


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
