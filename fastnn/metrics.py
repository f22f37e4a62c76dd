"""Metrics: what is reported beside the loss, from the outputs of each slice as it passes.

Below, y_ij and a_ij are target and output j of row i, of n rows and k outputs. With
`weighted=True`, or from `compile(weighted_metrics=...)`, a mean 1/n sum_i m_i over the rows is
sum_i w_i m_i / sum_i w_i with the sample weights w_i, as in Keras; else they do not count. Where
all w_i are 0 it is 0. A metric's `name` is its key in the history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np

from fastnn.data.arrays import TargetKind
from fastnn.data.checks import flag, lookup, real_number, shown, whole_number
from fastnn.data.rows import Array
from fastnn.losses import Loss
from fastnn.native.backend import core

# What the argument may be, for editors and type checkers: the names of METRICS.
MetricName = Literal[
    "accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
    "top_k_accuracy", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "mean_absolute_error", "mae", "mean_squared_error", "mse", "root_mean_squared_error", "rmse",
    "r2_score",
]  # fmt: skip

BLOCK_ROWS = 16384  # whose errors are in memory at once
# What else the history, its file or the name of a checkpoint has.
TAKEN = "epoch", "loss", "seconds", "samples_per_second", "learning_rate", "clipped_steps"
FORMATS = "{}[]!:."  # what means something else where a checkpoint's name holds a metric's


# ---- what is kept from slice to slice -----------------------------------------------------------


class Running(Protocol):
    """A metric of the rows so far."""

    def add(self, y: Array, predictions: Array, weights: Array | None = None) -> None:
        """Some more rows; y is (n, n_targets), predictions (n, n_outputs), weights (n,)."""

    def value(self) -> float:
        """The metric of all rows that were added, one at least."""


class Mean:
    """finish(sum_i w_i m_i / sum_i w_i), 0 for weights that are all 0.

    m_i is the mean of what `terms` gives for each output of row i; without weights w_i is 1.
    """

    def __init__(
        self, terms: Callable[[Array, Array], Array], finish: Callable[[float], float] = float
    ) -> None:
        self._terms, self._finish = terms, finish
        self._weight, self._total = 0.0, 0.0

    def add(self, y: Array, predictions: Array, weights: Array | None = None) -> None:
        for targets, outputs, w in _blocks(y, predictions, weights):
            terms = self._terms(targets, outputs)
            if w is None:
                self._weight += len(terms)
                self._total += _sum(terms) / int(terms.shape[1])
            else:
                self._weight += float(w.sum())
                self._total += float((w * terms.mean(axis=1)).sum())

    def value(self) -> float:
        return self._finish(self._total / self._weight if self._weight else 0.0)


class Explained:
    """1/k sum_j (1 - R_j / S_j): R squared errors, S squared deviations from the mean, summed.

    The deviations of two sets of rows are merged by the formula of Chan, Golub, LeVeque 1983.
    Targets count from those of the first row, so that S is 0, not its rounding, if they are all
    alike. 0 for weights that are all 0.
    """

    def __init__(self) -> None:
        self._weight = 0.0

    def add(self, y: Array, predictions: Array, weights: Array | None = None) -> None:
        for targets, outputs, w in _blocks(y, predictions, weights):
            column = np.ones((len(targets), 1)) if w is None else w[:, None]
            targets = targets.astype(np.float64)
            if not self._weight:
                self._origin = targets[0]
                self._mean, self._deviations, self._errors = np.zeros((3, len(self._origin)))
            self._errors += (column * np.square(outputs - targets)).sum(axis=0)
            self._merge(targets - self._origin, column)

    def _merge(self, targets: Array, w: Array) -> None:
        before, new = self._weight, float(w.sum())
        mean = (w * targets).sum(axis=0) / new
        shift = mean - self._mean
        self._weight = before + new
        self._mean += shift * (new / self._weight)
        self._deviations += (w * np.square(targets - mean)).sum(axis=0)
        self._deviations += np.square(shift) * (before * (new / self._weight))

    def value(self) -> float:
        if not self._weight:
            return 0.0
        varied = self._deviations > 0
        scores = np.where(self._errors > 0, 0.0, 1.0)
        with np.errstate(over="ignore"):  # of deviations that are next to nothing
            scores[varied] = 1 - self._errors[varied] / self._deviations[varied]
        return float(scores.mean())


def _blocks(
    y: Array, predictions: Array, weights: Array | None
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Targets, outputs and weights, in double precision, of some rows after the other.

    Without those of weight 0, whose errors may be infinite.
    """
    for start in range(0, len(y), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        targets, outputs = y[rows], predictions[rows]
        if weights is None:
            yield targets, outputs, None
            continue
        w = weights[rows].astype(np.float64)
        if not w.all():
            counts = w > 0
            targets, outputs, w = targets[counts], outputs[counts], w[counts]
        if len(w):
            yield targets, outputs, w


def _sum(terms: Array) -> float:
    """That of numbers, or the count of what is true, which is faster."""
    return float(np.count_nonzero(terms) if terms.dtype == bool else terms.sum())


def _largest_places(outputs: Array) -> Array:
    """Of each row, that of the first of its largest outputs: argmax, faster for short rows."""
    places = np.empty(len(outputs), np.int64)
    core(outputs.dtype.name).largest_places(outputs, places)
    return places


def _labels(y: Array) -> Array:
    return y[:, 0].astype(np.intp) if y.shape[1] == 1 else _largest_places(y)


# ---- the metrics --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What the metrics have in common: a name, which must be one that the history has room for."""

    needs: ClassVar[str]
    targets: ClassVar[tuple[TargetKind, ...]]  # of the losses that it fits
    streamed: ClassVar[bool] = True  # whether it may be asked for between two slices
    better: ClassVar[str] = "max"  # in which direction it gets better; "" if nobody knows

    name: str
    weighted: bool = False

    def __post_init__(self) -> None:
        flag("weighted", self.weighted)
        if not isinstance(self.name, str):
            raise TypeError(f"name={shown(self.name)}: expected text, e.g. name='top_3'")
        if not self.name.strip() or self.name in TAKEN or self.name.startswith("val_"):
            raise ValueError(
                f"name={self.name!r}: expected a key of the history that is free, not empty, not "
                f"val_..., and none of {', '.join(TAKEN)}; e.g. name='top_3'"
            )
        if not self.name.isprintable() or any(letter in FORMATS for letter in self.name):
            raise ValueError(
                f"name={self.name!r}: expected letters that a table and the name of a checkpoint "
                f"can hold, none of {FORMATS}; e.g. name='top_3'"
            )

    def fitted(self, loss: Loss, units: int, argument: str = "metrics") -> Metric:
        """The metric to use with this loss and number of outputs; ValueError if it does not fit."""
        if loss.targets not in self.targets:
            of_two = f", or for targets 0 and 1 {argument}=['binary_accuracy']"
            raise ValueError(
                f"{argument}=[{self.name!r}] needs {self.needs}, but loss={loss.name!r} is for "
                f"{loss.targets}; e.g. {argument}=[{_fitting(loss)!r}]"
                + of_two
                * (loss.targets == "numbers")
            )
        return self

    def running(self) -> Running:
        """A new one, of no rows so far."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Accuracy(Metric):
    """The share of right answers, by what the loss says of the targets: "accuracy".

    With a binary cross-entropy it is `BinaryAccuracy()`, with a hinge loss
    `BinaryAccuracy(threshold=0)`, with a categorical cross-entropy `CategoricalAccuracy()`.

    Raises
    ------
    ValueError
        In `compile`, if the loss is one for numbers or counts: name the kind of accuracy.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="zeros", bias_initializer="ones")])
    >>> model.compile(loss="hinge", metrics=["accuracy"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0], [1.0]], [1, -1])
    [1.0, 0.5]
    """

    needs: ClassVar[str] = "classes"
    targets: ClassVar[tuple[TargetKind, ...]] = ("probabilities", "signs", "classes")

    name: str = "accuracy"

    def fitted(self, loss: Loss, units: int, argument: str = "metrics") -> Metric:
        super().fitted(loss, units, argument)
        if loss.targets == "classes":
            return CategoricalAccuracy(name=self.name, weighted=self.weighted).fitted(loss, units)
        threshold = 0.0 if loss.targets == "signs" else 0.5
        return BinaryAccuracy(threshold, name=self.name, weighted=self.weighted)


@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """1/(nk) sum_ij [(a_ij > threshold) = (y_ij > 1/2)]: "binary_accuracy".

    Each output is a question of its own. Targets: 0 and 1, or -1 and 1. Source: Keras.

    Parameters
    ----------
    threshold : float
        Outputs above it mean 1.
    name : str
        Its key in the history.

    Raises
    ------
    TypeError, ValueError
        If `threshold` is not a finite number or `name` not free; in `compile` if the loss is one
        for class labels or counts.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(2, "sigmoid", kernel_initializer="zeros")])
    >>> model.compile(loss="mse", metrics=["binary_accuracy"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0]], [[0, 1]])  # 0.5 is not above 0.5
    [0.25, 0.5]
    """

    needs: ClassVar[str] = "targets of two values"
    targets: ClassVar[tuple[TargetKind, ...]] = ("probabilities", "signs", "numbers")

    threshold: float = 0.5
    name: str = field(default="binary_accuracy", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        threshold = real_number("threshold", self.threshold, low=-math.inf, high=None, example=0.5)
        object.__setattr__(self, "threshold", threshold)

    def running(self) -> Running:
        return Mean(self._right)

    def _right(self, y: Array, predictions: Array) -> Array:
        right: Array = (predictions > self.threshold) == (y > 0.5)
        return right


@dataclass(frozen=True, kw_only=True)
class CategoricalAccuracy(Metric):
    """The share of rows whose largest output is at their class: "categorical_accuracy".

    Of equal outputs, or targets, the first is the largest. Targets: labels 0 ... k-1 or one-hot
    rows, so "sparse_categorical_accuracy" is the same. Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is not free; in `compile` if the loss is one for counts, or there is one output.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(3, "softmax", bias_initializer=[0.0, 2.0, 1.0])])
    >>> model.compile(loss="categorical_crossentropy", metrics=["categorical_accuracy"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[0.0], [0.0]], [1, 2])[1]
    0.5
    """

    needs: ClassVar[str] = "classes"
    targets: ClassVar[tuple[TargetKind, ...]] = ("probabilities", "signs", "numbers", "classes")

    name: str = "categorical_accuracy"

    def fitted(self, loss: Loss, units: int, argument: str = "metrics") -> Metric:
        super().fitted(loss, units, argument)
        if units < 2:
            raise ValueError(
                f"{argument}=[{self.name!r}] needs an output for each class, but the output layer "
                f"has one unit; e.g. {argument}=['binary_accuracy']"
            )
        return self

    def running(self) -> Running:
        return Mean(self._right)

    def _right(self, y: Array, predictions: Array) -> Array:
        right: Array = _largest_places(predictions) == _labels(y)
        return right[:, None]


@dataclass(frozen=True)
class TopKAccuracy(CategoricalAccuracy):
    """The share of rows with fewer than k outputs above that of their class: "top_k_accuracy".

    Targets: those of `CategoricalAccuracy`. "top_k_categorical_accuracy", its name in Keras, and
    "sparse_top_k_categorical_accuracy" are the same. Source: Keras, on TensorFlow as to equal
    outputs, which all count.

    Parameters
    ----------
    k : int
        From 1 to the number of outputs.
    name : str
        Its key in the history.

    Raises
    ------
    TypeError, ValueError
        If `k` is not a whole number of at least 1, or `name` not free; in `compile` as
        `CategoricalAccuracy` does, and if there are fewer than k outputs.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> from fastnn.metrics import TopKAccuracy
    >>> model = Sequential([Dense(3, "softmax", bias_initializer=[0.0, 2.0, 1.0])])
    >>> model.compile(loss="categorical_crossentropy", metrics=[TopKAccuracy(2, name="top_2")])
    >>> model.build(n_features=1)
    >>> model.evaluate([[0.0]] * 4, [0, 1, 2, 2], return_dict=True)["top_2"]
    0.75
    """

    k: int = 5
    name: str = field(default="top_k_accuracy", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "k", whole_number("k", self.k, minimum=1))

    def fitted(self, loss: Loss, units: int, argument: str = "metrics") -> Metric:
        super().fitted(loss, units, argument)
        if self.k > units:
            raise ValueError(
                f"{argument}=[{self.name!r}] looks at the {self.k} largest outputs, but the output "
                f"layer has {units} units; e.g. {argument}=[TopKAccuracy(k={max(units - 1, 1)})]"
            )
        return self

    def _right(self, y: Array, predictions: Array) -> Array:
        own = np.take_along_axis(predictions, _labels(y)[:, None], axis=1)
        above = ~(predictions <= own)  # and NaN
        right: Array = np.count_nonzero(above, axis=1) < self.k
        return right[:, None]


@dataclass(frozen=True, kw_only=True)
class NumberMetric(Metric):
    """What the metrics of numbers have in common: the losses that they fit."""

    needs: ClassVar[str] = "numbers"
    targets: ClassVar[tuple[TargetKind, ...]] = ("numbers", "counts", "probabilities")
    better: ClassVar[str] = "min"


@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(NumberMetric):
    """1/(nk) sum_ij abs(a_ij - y_ij): "mean_absolute_error" or "mae".

    Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is not free; in `compile` if the loss is one for classes, or a hinge loss.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
    >>> model.compile(loss="mse", metrics=["mae"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0], [1.0]], [1, 3], return_dict=True)
    {'loss': 5.0, 'mae': 2.0}
    """

    name: str = "mean_absolute_error"

    def running(self) -> Running:
        return Mean(_absolute_errors)


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(NumberMetric):
    """1/(nk) sum_ij (a_ij - y_ij)^2, without a half: "mean_squared_error" or "mse".

    With a sigmoid and one output it is Brier's score. Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is not free; in `compile` if the loss is one for classes, or a hinge loss.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
    >>> model.compile(loss="mae", metrics=["mse"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0], [1.0]], [1, 3])
    [2.0, 5.0]
    """

    name: str = "mean_squared_error"

    def running(self) -> Running:
        return Mean(_squared_errors)


@dataclass(frozen=True, kw_only=True)
class RootMeanSquaredError(NumberMetric):
    """sqrt(1/(nk) sum_ij (a_ij - y_ij)^2), the root last: "root_mean_squared_error" or "rmse".

    Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is not free; in `compile` if the loss is one for classes, or a hinge loss.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
    >>> model.compile(loss="mae", metrics=["rmse"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0], [1.0]], [1, 7])
    [4.0, 5.0]
    """

    name: str = "root_mean_squared_error"

    def running(self) -> Running:
        return Mean(_squared_errors, math.sqrt)


@dataclass(frozen=True, kw_only=True)
class R2Score(NumberMetric):
    """1/k sum_j (1 - sum_i (a_ij - y_ij)^2 / sum_i (y_ij - m_j)^2), m_j the mean of y_ij over i.

    The coefficient of determination, "r2_score": 1 if all is right, 0 for outputs m_j, below for
    worse. An output whose targets are all alike scores 0, as in Keras, but 1 without an error, as
    in scikit-learn. With `weighted=True` each square counts w_i times, in m_j too; where all w_i
    are 0 the score is 0. Source: Keras's `R2Score`, its uniform average over outputs.

    Raises
    ------
    TypeError, ValueError
        If `name` is not free; in `compile` if the loss is one for classes, or a hinge loss.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="ones")])
    >>> model.compile(loss="mse", metrics=["r2_score"])
    >>> model.build(n_features=1)
    >>> model.evaluate([[1.0], [2.0], [4.0]], [1, 2, 3])[1]  # 1 - 1 / 2
    0.5
    """

    better: ClassVar[str] = "max"

    name: str = "r2_score"

    def running(self) -> Running:
        return Explained()


def _errors(y: Array, predictions: Array) -> Array:
    """a - y in double precision"""
    return np.subtract(predictions, y, dtype=np.float64)


def _absolute_errors(y: Array, predictions: Array) -> Array:
    return np.abs(_errors(y, predictions))


def _squared_errors(y: Array, predictions: Array) -> Array:
    return np.square(_errors(y, predictions))


METRICS: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": CategoricalAccuracy,
    "top_k_accuracy": TopKAccuracy,
    "top_k_categorical_accuracy": TopKAccuracy,
    "sparse_top_k_categorical_accuracy": TopKAccuracy,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "rmse": RootMeanSquaredError,
    "r2_score": R2Score,
}


def _fitting(loss: Loss) -> str:
    """The name of a metric that fits."""
    return "accuracy" if loss.targets in Accuracy.targets else "mae"


def _by_name(name: str, loss: Loss, argument: str) -> Metric:
    try:
        return lookup(argument, name, METRICS)(name=name.lower())
    except ValueError as error:
        own = "A function of y_true and y_pred is a metric, too"
        if loss.targets == "probabilities":
            own += f", e.g. {argument}=[sklearn.metrics.roc_auc_score]"
        raise ValueError(f"{error} {own}") from None


def get(metric: object, loss: Loss, units: int, argument: str = "metrics") -> Metric:
    """The metric of that name, which becomes its key, or the metric itself, for a model with this
    loss and this number of outputs."""
    if isinstance(metric, str):
        metric = _by_name(metric, loss, argument)
    if not isinstance(metric, Metric):
        raise TypeError(
            f"{argument}=[{shown(metric)}]: expected a name or a metric, "
            f"e.g. {argument}=[{_fitting(loss)!r}]"
        )
    return metric.fitted(loss, units, argument)
