"""Checks of arrays that users pass in: features, targets, sample weights, weights of layers.

Everything below trusts what comes out of here. An error names the argument, what came, what was
expected, and a line that would work.
"""

from collections.abc import Callable
from typing import Literal, NoReturn

import numpy as np
import numpy.typing as npt

from fastnn._core import READABLE
from fastnn.data.checks import variable
from fastnn.data.rows import Array, Rows
from fastnn.native.backend import core

TargetKind = Literal["numbers", "counts", "signs", "probabilities", "classes", "anything"]
MANY_CLASSES = 100  # more different whole numbers than this are probably no classes
CHECKED_BYTES = 1 << 26  # how much of X is checked between two chances for Ctrl-C


def _remedy_for_text(name: str, values: Array, otherwise: str) -> str:
    """What to do with values that are not numbers: some are the text of numbers."""
    try:
        values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return otherwise
    own = variable(name)
    return f"If its text means numbers: {own} = np.asarray({own}, float). {otherwise}"


def _numeric_array(name: str, values: object, remedy: str | Callable[[str], str]) -> Array:
    """`values` as an array of native real numbers, without a copy where none is needed.

    `remedy`, or `remedy(name)`, says in a message what to do with values that are none.
    """
    if type(values) is np.ndarray and values.dtype in READABLE:
        return values
    if not isinstance(remedy, str):
        remedy = remedy(name)
    if values is None:
        raise ValueError(f"{name} is None; expected an array of numbers")
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{name} is sparse; expected a dense array, e.g. {variable(name)}.toarray()"
        )
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is masked; fill it first, e.g. {variable(name)}.filled(0)")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} has rows of different lengths; expected a rectangle") from None
    if array.dtype.kind == "O":
        if array.ndim == 0:
            raise TypeError(
                f"{name} is a {type(values).__name__}; expected an array of numbers or a list of "
                f"rows. Only fit takes chunks of rows: tuples (X, y), and then y is left out"
            )
        array = _from_objects(name, array, remedy)
    if array.dtype.kind not in "fiub":
        if array.dtype.kind in "US":
            remedy = _remedy_for_text(name, array, remedy)
        raise TypeError(f"{name} has dtype {array.dtype}; expected real numbers. {remedy}")
    if array.dtype.newbyteorder("=") not in READABLE:  # float16, longdouble
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _from_objects(name: str, array: Array, remedy: str) -> Array:
    """Objects that are numbers, as float64."""
    try:
        if any(isinstance(value, str | bytes) for value in array.flat):
            raise TypeError
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} holds numbers too large for float64; scale them down") from None
    except (TypeError, ValueError):
        remedy = _remedy_for_text(name, array, remedy)
        raise TypeError(f"{name} holds values that are not numbers; {remedy}") from None


def _rounded(name: str, array: Array, dtype: str) -> Array:
    """`array`, finite, side by side in memory as `dtype`; a number beyond `dtype` is an error."""
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array, dtype=dtype)
    if not (np.isfinite(cast.min()) and np.isfinite(cast.max())):
        raise ValueError(f"{name} holds numbers too large for {dtype}; scale them down")
    return cast


def feature_array(
    X: object, dtype: str, *, n_features: int | None = None, name: str = "X"
) -> Array:
    """Check X, shape (n_samples, n_features), and return it as an array of its own number type.

    Row strides are kept; X is copied only if its columns are not side by side (Fortran order), or
    its numbers are foreign (float16, other byte order, not aligned). `n_features` is None if any
    width will do; numbers beyond `dtype` are refused.
    """
    array = _numeric_array(name, X, "Encode text columns as numbers first.")
    if array.ndim != 2:
        raise ValueError(
            f"{name} has shape {array.shape}; expected two dimensions (n_samples, n_features). "
            + _two_dimensions(name, array)
        )
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: its shape is {array.shape}")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"{name} has {array.shape[1]} columns, but the model was built for {n_features}; "
            f"pass the {n_features} columns it was trained on"
        )
    if array.strides[1] != array.itemsize or not array.flags.aligned:
        array = np.array(array, order="C")
    _refuse_nonfinite(name, array, dtype)
    return array


def _two_dimensions(name: str, array: Array) -> str:
    """How to give an array of another number of dimensions two."""
    own = f"np.asarray({variable(name)})"
    if array.ndim == 0:
        return f"A single number: {variable(name)}=[[{array.item()!r}]]."
    if array.ndim == 1:
        return f"One sample: {own}.reshape(1, -1); one feature: {own}.reshape(-1, 1)."
    return f"Images and the like: {own}.reshape(len({variable(name)}), -1)."


def features(X: object, dtype: str, *, n_features: int | None = None, name: str = "X") -> Rows:
    """Check X as `feature_array` does; the result has neither targets nor weights."""
    return Rows(feature_array(X, dtype, n_features=n_features, name=name))


def checked_features(array: Array, dtype: str) -> Rows:
    """Rows of an array that is known to be finite; of another type they are checked as `dtype`."""
    if array.dtype == dtype:
        return Rows(np.require(array, requirements=["C", "ALIGNED"]))
    return features(array, dtype)


def _refuse_nonfinite(name: str, array: Array, dtype: str) -> None:
    """Raise if a number of X is NaN, infinite, or too large for `dtype`."""
    if array.dtype.kind != "f":
        return
    step = max(1, CHECKED_BYTES // (array.shape[1] * array.itemsize))
    for start in range(0, len(array), step):
        row, column = core(dtype).first_nonfinite(array[start : start + step])
        if row < 0:
            continue
        place, value = f"{name}[{row + start}, {column}]", array[row + start, column]
        own = variable(name)
        if np.isfinite(value):
            raise ValueError(
                f"{place} is {value}, too large for {dtype}; scale the column, "
                f"or make the model with dtype='float64'"
            )
        raise ValueError(
            f"{place} is {value}, which is not a finite {dtype}; fill or drop such rows first, "
            f"e.g. keep = np.isfinite({own}).all(axis=1); {own} = np.asarray({own})[keep], and so y"
        )


def targets(
    y: object, dtype: str, *, kind: TargetKind, n_rows: int, n_outputs: int, name: str = "y"
) -> Array:
    """Check y against the loss and the output layer; returns it as (n_rows, n_targets) of `dtype`.

    `kind` says what y means: "numbers"; "counts" >= 0; "signs" -1 and 1, or 0 and 1;
    "probabilities" between 0 and 1; or "classes", which are labels 0 ... n_outputs-1 (one column)
    or one probability for each class (n_outputs columns). "anything" is left as it is.
    """
    if kind == "anything":
        given = np.asarray(y)
        if not given.shape or len(given) != n_rows:
            _refuse_length(name, given, n_rows)
        return given
    array = _numeric_array(name, y, _numbered)
    shape = array.shape
    if not shape or shape[0] != n_rows:
        _refuse_length(name, array, n_rows)
    array = array[:, None] if array.ndim == 1 else array
    widths = {1, n_outputs} if kind == "classes" else {n_outputs}
    if array.ndim != 2 or array.shape[1] not in widths:
        raise ValueError(
            f"{name} has shape {shape}; expected ({n_rows}, {n_outputs}), one column for each of "
            f"the {n_outputs} outputs" + (", or one column of labels" * (kind == "classes"))
        )
    is_label = kind == "classes" and array.shape[1] == 1
    if is_label:
        array = array.copy()
    _check_target_values(name, array, kind, n_outputs)
    same = array.dtype == dtype and array.flags.c_contiguous
    rounded = array if same else _rounded(name, array, dtype)
    if is_label:
        rounded.flags.writeable = False
    return rounded


def is_sorted(y: Array, kind: TargetKind) -> bool:
    """Whether checked targets, or the classes of one-hot rows, rise or fall from end to end."""
    if kind == "anything" or (y.shape[1] > 1 and kind != "classes"):
        return False
    values = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    before, after = values[:-1], values[1:]
    rises, falls = bool((before <= after).all()), bool((before >= after).all())
    return rises != falls  # both if all are equal


def _refuse_length(name: str, array: Array, n_rows: int) -> NoReturn:
    raise ValueError(
        f"{name} has shape {array.shape}, but {name[:-1]}X has {n_rows} rows; expected one target "
        f"a row"
    )


def _check_labels(name: str, array: Array, n_outputs: int) -> None:
    low, high = array.min(), array.max()
    if (array != np.floor(array)).any():
        raise ValueError(
            f"{name} holds class labels that are not whole numbers, {low}...{high}. "
            + _for_numbers(array.shape[1])
        )
    if low < 0:
        raise ValueError(
            f"{name} holds labels from {low} to {high}; expected whole numbers from 0 on. "
            + _numbered(name)
        )
    if high >= n_outputs:
        own = variable(name)
        remedy = f"e.g. Dense({int(high) + 1}, 'softmax')"
        if low > 0 and high == n_outputs:
            remedy = f"labels count from 0: {own} = np.asarray({own}) - 1; or {remedy}"
        elif len(np.unique(array)) <= n_outputs:
            remedy = _numbered(name)
        raise ValueError(
            f"{name} holds labels from {low} to {high}, but the output layer has {n_outputs} "
            f"units, for labels 0 to {n_outputs - 1}; {remedy}"
        )


def _check_target_values(name: str, array: Array, kind: TargetKind, n_outputs: int) -> None:
    low, high = array.min(), array.max()  # NaN if there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinity; drop those rows first")
    if kind == "classes" and array.shape[1] == 1:
        _check_labels(name, array, n_outputs)
    elif kind == "counts":
        if low < 0:
            raise ValueError(f"{name} holds values from {low} to {high}; expected counts >= 0")
    elif kind == "signs":
        _check_signs(name, array)
    elif kind != "numbers" and (low < 0 or high > 1):
        raise ValueError(
            f"{name} holds values from {low} to {high}; expected 0, 1 or probabilities between. "
            + _for_other_targets(name, array)
        )
    elif kind == "classes" and (abs(array.sum(axis=1) - 1) > 1e-3).any():
        raise ValueError(f"{name} has rows that do not sum to 1; expected one-hot rows")


def _check_signs(name: str, array: Array) -> None:
    if (abs(array) == 1).all() or ((array == 0) | (array == 1)).all():
        return
    values = np.unique(array)
    listed = ", ".join(map(str, values[:4]))
    remedy = f". {_numbered(name)}" if len(values) == 2 else ""
    raise ValueError(f"{name} holds the values {listed}; expected -1 and 1, or 0 and 1{remedy}")


def _for_other_targets(name: str, array: Array) -> str:
    """What to do with targets that are not between 0 and 1."""
    classes = np.unique(array)
    n = len(classes)
    if (classes != np.floor(classes)).any() or n > MANY_CLASSES or (n > 2 and array.shape[1] > 1):
        return _for_numbers(array.shape[1])
    if n <= 2:
        return _numbered(name)
    numbered = "" if (classes == np.arange(n)).all() else f"{_numbered(name)}. "
    return (
        f"{numbered}For {n} classes: Dense({n}, 'softmax') as the last layer, with "
        f"loss='categorical_crossentropy'"
    )


def _for_numbers(n_columns: int) -> str:
    return f"For numbers: Dense({n_columns}) as the last layer, with loss='mean_squared_error'"


def _numbered(name: str) -> str:
    own = variable(name)
    return f"Number the classes first: names, {own} = np.unique({own}, return_inverse=True)"


def sample_weights(
    weights: object | None, dtype: str, *, n_rows: int, name: str = "sample_weight"
) -> Array:
    """Check the sample weights; an empty array if there are none.

    1 over the sum of any of them is a normal number: the core takes subnormal ones for 0.
    """
    if weights is None:
        return np.empty(0, dtype)
    array = _numeric_array(name, weights, "Pass one number for each row.")
    if array.shape != (n_rows,):
        raise ValueError(f"{name} has shape {array.shape}; expected ({n_rows},)")
    if not (array.min() >= 0 and np.isfinite(array.max())):
        raise ValueError(f"{name} holds negative numbers, NaN or infinity; expected >= 0")
    checked = _rounded(name, array, dtype)
    limits = np.finfo(dtype)
    with np.errstate(over="ignore"):
        total = float(checked.sum(dtype=np.float64))
    if total > float(limits.max) / 256:  # of a mean over outputs, too
        raise ValueError(
            f"{name} adds up to {total:g}, too much for {dtype}; divide by the largest: "
            f"{name} / np.max({name})"
        )
    checked = np.where(checked < limits.tiny, 0, checked)  # a copy, which callbacks cannot change
    checked.flags.writeable = False
    return checked


def layer_weights(name: str, values: object, shape: tuple[int, ...], dtype: str) -> Array:
    """Check an array of numbers of this shape: weights, a gradient."""
    array = _numeric_array(name, values, f"Pass numbers, e.g. np.zeros({shape}).")
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {array.shape}; expected {shape}, e.g. np.zeros({shape})"
        )
    if array.dtype == dtype:
        array = np.ascontiguousarray(array)
        finite = core(dtype).all_finite(array.ravel())
    else:
        finite = np.isfinite(array).all()
    if not finite:
        raise ValueError(f"{name} holds NaN or infinity")
    return _rounded(name, array, dtype)


def room_for(name: str, out: object, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An array that results can be written to."""
    wanted = np.dtype(dtype)
    name_of_type = wanted.name if wanted.kind in "fiub" else wanted.str
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"{name} is {type(out).__name__}; expected an array, e.g. "
            f"{name}=np.empty({shape}, {name_of_type!r})"
        )
    fits = out.shape == shape and out.dtype == wanted and out.flags.c_contiguous
    if not (fits and out.flags.aligned and out.flags.writeable):
        raise ValueError(
            f"{name} has shape {out.shape} and dtype {out.dtype}"
            f"{'' if out.flags.c_contiguous else ', not in C order'}"
            f"{'' if out.flags.writeable else ', read-only'}; expected an array, in C order, "
            f"that may be written to, e.g. {name}=np.empty({shape}, {name_of_type!r})"
        )
    return out


def float64_array(name: str, values: object, remedy: str) -> Array:
    """A copy of `values` as float64 numbers, which need not be finite."""
    return np.array(_numeric_array(name, values, remedy), np.float64)


def initial_values(name: str, values: object) -> Array:
    """Check an array that weights are to begin with; a float64 copy that nobody can change."""
    array = float64_array(name, values, f"Pass numbers, e.g. {name}=np.zeros((3, 2)).")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers")
    array.flags.writeable = False
    return array
