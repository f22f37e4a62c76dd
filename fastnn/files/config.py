"""Layers, optimisers, metrics and their parts as entries that JSON can hold, and back.

An entry is {"kind": name of the class, field: value, ...}; a field may hold an entry in turn. The
kind of a metric is "metrics." and its name, since there are losses of the same names.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from fastnn import initializers
from fastnn.layers import Dense, Dropout
from fastnn.losses import LOSSES
from fastnn.metrics import METRICS
from fastnn.optimizers import OPTIMIZERS
from fastnn.regularizers import REGULARIZERS
from fastnn.schedules import SCHEDULES, Schedule

Kinds = Mapping[str, Callable[..., Any]]

NAMED = [*initializers.INITIALIZERS.values(), *REGULARIZERS.values()]
CLASSES: list[type[Any]] = [
    Dense,
    Dropout,
    *OPTIMIZERS.values(),
    *LOSSES.values(),
    *SCHEDULES.values(),
    *map(type, NAMED),
    initializers.Stored,
]
PARTS = initializers.Initializer, Schedule  # of which users may make their own
KINDS: Kinds = {cls.__name__: cls for cls in CLASSES} | {
    f"metrics.{cls.__name__}": cls for cls in METRICS.values()
}
NAMES = {cls: kind for kind, cls in KINDS.items()}


def to_config(thing: object) -> Any:
    """The entry of one of our objects; lists and dictionaries with theirs.

    Of an array of initial weights only the shape: the weights lie in the file anyway. Raises
    ValueError for a class that `from_config` would not know.

    Examples
    --------
    >>> from fastnn.regularizers import L2
    >>> to_config(L2(0.1))
    {'kind': 'L2', 'l2': 0.1}
    """
    if isinstance(thing, dict):
        return {key: to_config(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [to_config(value) for value in thing]
    if isinstance(thing, initializers.Values):
        thing = initializers.Stored(thing.values.shape)
    if not is_dataclass(thing) and not isinstance(thing, PARTS):
        return thing
    kind = NAMES.get(type(thing))
    if kind is None or not is_dataclass(thing):
        raise ValueError(
            f"{thing!r} is a {type(thing).__name__} of your own, which a file could not restore; "
            f"copies and pickles can"
        )
    return {"kind": kind} | {
        field.name: to_config(getattr(thing, field.name)) for field in fields(thing) if field.init
    }


def from_config(entry: Any, kinds: Kinds = KINDS) -> Any:
    """The object of an entry; `kinds` says what to call with the fields.

    A field that is missing takes its default, so that a class may get new ones; what is no entry
    stays what it is.

    Raises ValueError if a kind is unknown, or its fields or their values are not as it takes them.

    Examples
    --------
    >>> from_config({"kind": "Dense", "units": 8, "kernel_regularizer": {"kind": "L1"}}).l1
    0.01
    """
    if not isinstance(entry, dict):
        return entry
    settings = dict(entry)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"kind={kind!r} is unknown; known are {', '.join(sorted(kinds))}")
    try:
        return kinds[kind](**{name: from_config(part, kinds) for name, part in settings.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{kind}: {error}") from error
