"""Weights of classes: the sample weights they stand for."""

from collections.abc import Mapping

import numpy as np

from fastnn.data.arrays import TargetKind, sample_weights
from fastnn.data.checks import real_number, shown, whole_number
from fastnn.data.rows import Array

EXAMPLE = "class_weight={0: 1.0, 1: 5.0} or class_weight='balanced'"


def class_weights(
    class_weight: object, y: Array, dtype: str, *, kind: TargetKind, n_outputs: int
) -> Array:
    """The sample weight of each row: that of its class.

    `class_weight` is a dictionary, in which a class that is missing weighs 1, or "balanced":
    n / (n_classes * count), of the classes that y holds, as in scikit-learn. y, of shape
    (n, n_targets), was checked against `kind` before.
    """
    labels = _labels(y, kind)
    n_classes = n_outputs if kind == "classes" else 2
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(labels, minlength=n_classes)
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    elif isinstance(class_weight, Mapping):
        weights = np.ones(n_classes)
        for key, weight in class_weight.items():
            weights[_class_number(key, n_classes)] = _weight(key, weight)
    else:
        raise TypeError(
            f"class_weight={shown(class_weight)}: expected a dictionary from class numbers "
            f"to weights, or 'balanced', e.g. {EXAMPLE}"
        )
    return sample_weights(weights[labels], dtype, n_rows=len(labels), name="class_weight")


def _labels(y: Array, kind: TargetKind) -> Array:
    """The class of each row, 0 for the target -1."""
    if kind == "classes":
        return y[:, 0].astype(np.intp) if y.shape[1] == 1 else _labels_of_rows(y)
    if kind not in ("signs", "probabilities"):
        raise ValueError(
            "class_weight needs a loss whose targets are classes, such as "
            "'binary_crossentropy'"
            + "; weigh rows with sample_weight instead"
            * (kind != "anything")
        )
    if y.shape[1] != 1:
        raise ValueError(
            f"class_weight needs one column of targets, but y has {y.shape[1]}; weigh rows with "
            f"sample_weight instead"
        )
    if not np.isin(y, (-1, 0, 1)).all():
        raise ValueError(
            "class_weight needs targets 0 and 1, but y holds probabilities between; weigh rows "
            "with sample_weight instead"
        )
    return (y[:, 0] > 0).astype(np.intp)


def _labels_of_rows(y: Array) -> Array:
    """The class of each one-hot row."""
    if not np.isin(y, (0, 1)).all():
        example = [1.0] * (y.shape[1] - 1) + [5.0]
        raise ValueError(
            f"class_weight needs labels or one-hot rows, but y holds probabilities between; weigh "
            f"rows with sample_weight instead, e.g. sample_weight = np.asarray(y) @ {example}"
        )
    labels: Array = y.argmax(axis=1)
    return labels


def _class_number(key: object, n_classes: int) -> int:
    try:
        number = whole_number("class", key, minimum=0)
    except (TypeError, ValueError):
        number = n_classes
    if number >= n_classes:
        raise ValueError(
            f"class_weight names the class {shown(key)}; expected classes from 0 to {n_classes - 1}"
            + (" (0 stands for targets -1, too)" * (key == -1))
            + f", e.g. {EXAMPLE}"
        )
    return number


def _weight(key: object, weight: object) -> float:
    return real_number(f"class_weight[{shown(key)}]", weight, low=0, example=5)
