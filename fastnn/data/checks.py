"""Checks of numbers, names and lists that users pass in.

Everything below trusts what comes out of here. An error names the argument, what came, what was
expected, and a line that would work.
"""

import difflib
import math
import operator
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
LARGEST_WHOLE = 2**63 - 1  # what the core counts with
SHOWN = 60  # characters of a value in a message
INNER = "fastnn", "sklearn"  # packages whose lines a warning does not name


# ---- names and numbers ------------------------------------------------------------------------


def shown(value: object) -> str:
    """What a message says of a value; of a very long one its beginning."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole numbers of thousands of digits
        return f"a number of more than {sys.get_int_max_str_digits()} digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def lookup(kind: str, name: object, known: Mapping[str, T]) -> T:
    """The entry of that name, in any case; an unknown name gets the known ones and the nearest."""
    if not isinstance(name, str):
        raise TypeError(f"{kind}={shown(name)}: expected a name, one of {', '.join(known)}")
    found = known.get(name.lower())
    if found is None:
        swapped = [one for one in known if sorted(one) == sorted(name.lower())]
        near = swapped or difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{kind}={shown(name)} is unknown; known are {', '.join(known)}.{hint}")
    return found


def whole_number(name: str, value: object, *, minimum: int, maximum: int = LARGEST_WHOLE) -> int:
    """`value` as an int from `minimum` to `maximum`."""
    try:
        if isinstance(value, bool | np.bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        is_whole = isinstance(value, float) and value.is_integer() and minimum <= value <= maximum
        example = int(value) if is_whole else max(minimum, 1)  # type: ignore[call-overload]
        raise TypeError(
            f"{name}={shown(value)}: expected a whole number, e.g. {name}={example}"
        ) from None
    if number < minimum:
        raise ValueError(f"{name}={shown(number)}: expected at least {minimum}")
    if number > maximum:
        raise ValueError(f"{name}={shown(number)}: expected at most {maximum}")
    return number


def real_number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    low: float | None = None,
    high: float | None = None,
    example: float = 0.01,
) -> float:
    """`value` as a finite float; greater than `above`, or from `low` to `high`, where given."""
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        if isinstance(value, np.ndarray | np.generic) and (
            value.ndim or value.dtype.kind not in "fiuO"
        ):
            raise TypeError  # float() takes some of these: dates, complex numbers, text
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}={shown(value)}: expected a number, e.g. {name}={example:g}"
        ) from None
    if above is not None:
        if math.isfinite(number) and number > above:
            return number
        raise ValueError(f"{name}={number}: expected a finite number greater than {above:g}")
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if math.isfinite(number) and least <= number <= most:
        return number
    expected = "a finite number" if low is None else f"a number at least {low:g}"
    if low is not None and high is not None:
        below = "below " * (float(f"{high:g}") > high)
        expected = f"a number from {low:g} to {below}{high:g}"
    raise ValueError(f"{name}={shown(value)}: expected {expected}, e.g. {name}={example:g}")


def flag(name: str, value: object) -> bool:
    """`value`, which must be True or False."""
    if not isinstance(value, bool | np.bool):
        raise TypeError(f"{name}={shown(value)}: expected True or False")
    return bool(value)


# ---- arrays -----------------------------------------------------------------------------------


def variable(name: str) -> str:
    """What an argument's own variable is called in a line that would work: X of "validation X"."""
    return name.split()[-1]


def items(name: str, values: object, example: str) -> list[Any]:
    """The members of a list or another sequence that is not text."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name}={shown(values)}: expected a list, e.g. {name}={example}")
    return list(values)


# ---- warnings --------------------------------------------------------------------------------


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, naming the line of the user's that called fastnn, whatever lies in between."""
    level, frame = 1, sys._getframe()
    while frame.f_back and str(frame.f_globals.get("__name__")).split(".")[0] in INNER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def check_memory(what: str, n_bytes: int) -> None:
    """Raise ValueError if something takes more memory than the machine has, before it fills it."""
    if n_bytes > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise ValueError(
            f"{what} take {n_bytes / 1e9:.3g} GB, more than this machine has; pass fewer rows at a "
            f"time, e.g. X[:100]"
        )
