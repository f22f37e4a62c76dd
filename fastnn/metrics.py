"""Metrics: numbers reported beside the loss, such as accuracy or R2.

Below, y_ij and a_ij are target and output j of row i, with n rows and k outputs. With
`weighted=True`, or in `compile(weighted_metrics=...)`, a mean 1/n sum_i m_i over the rows becomes
sum_i w_i m_i / sum_i w_i with the sample weights w_i, as in Keras, and 0 if all w_i are 0;
otherwise sample weights are ignored. A metric's `name` is its key in the history. Metrics are
accumulated while rows pass through the network, so no pass over the data is added for them.
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

# Accepted names, for editors and type checkers: the keys of METRICS.
MetricName = Literal[
    "accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
    "top_k_accuracy", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "mean_absolute_error", "mae", "mean_squared_error", "mse", "root_mean_squared_error", "rmse",
    "r2_score",
]  # fmt: skip

BLOCK_ROWS = 16384  # bounds the memory for errors: this many rows at a time
# Names that the history, its file or the name of a checkpoint uses for something else.
TAKEN = "epoch", "loss", "seconds", "samples_per_second", "learning_rate", "clipped_steps"
FORMAT_CHARACTERS = "{}[]!:."  # special in a checkpoint's file name such as "{val_mae:.2f}.npz"


# ---- accumulators -------------------------------------------------------------------------------


class Running(Protocol):
    """The value of a metric over the rows added so far."""

    def add(self, y: Array, predictions: Array, weights: Array | None = None) -> None:
        """Add rows: y is (n, n_targets), predictions (n, n_outputs), weights (n,)."""

    def value(self) -> float:
        """Return the metric of all rows added, at least one."""


class RunningMean:
    """Computes finish(sum_i w_i m_i / sum_i w_i), or finish(0) if all weights are 0.

    m_i is the mean over the outputs of row i of what `terms(y, predictions)` returns, an array of
    shape (n, n_outputs) or (n, 1). Without weights all w_i are 1.
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


class RunningR2:
    """Computes the R2 score 1/k sum_j (1 - R_j / S_j), or 0 if all weights are 0.

    R_j is the sum of squared errors of output j, S_j the sum of squared deviations of its targets
    from their mean. S_j is merged block by block with the formula of Chan, Golub, LeVeque 1983.
    The targets of the first row are subtracted first, so that S_j is exactly 0, without rounding,
    if all targets are equal.
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
        with np.errstate(over="ignore"):  # where S_j is nearly 0
            scores[varied] = 1 - self._errors[varied] / self._deviations[varied]
        return float(scores.mean())


def _blocks(
    y: Array, predictions: Array, weights: Array | None
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Yield targets, outputs and float64 weights in blocks of BLOCK_ROWS rows.

    Rows of weight 0 are left out, because their errors may be infinite.
    """
    for start in range(0, len(y), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        targets, outputs = y[rows], predictions[rows]
        if weights is None:
            yield targets, outputs, None
            continue
        w = weights[rows].astype(np.float64)
        if not w.all():
            weighted = w > 0
            targets, outputs, w = targets[weighted], outputs[weighted], w[weighted]
        if len(w):
            yield targets, outputs, w


def _sum(terms: Array) -> float:
    """Sum of all terms; for booleans the number of True, which is faster."""
    return float(np.count_nonzero(terms) if terms.dtype == bool else terms.sum())


def _largest_places(outputs: Array) -> Array:
    """Return np.argmax(outputs, axis=1), faster for short rows; the first of equal outputs."""
    places = np.empty(len(outputs), np.int64)
    core(outputs.dtype.name).largest_places(outputs, places)
    return places


def _labels(y: Array) -> Array:
    """Return the class of each row, from labels of shape (n, 1) or one-hot rows (n, k)."""
    return y[:, 0].astype(np.intp) if y.shape[1] == 1 else _largest_places(y)


# ---- the metrics --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Base class of the metrics: checks the name, which is the metric's key in the history."""

    needs: ClassVar[str]  # what the targets must be, for messages
    targets: ClassVar[tuple[TargetKind, ...]]  # kinds of targets, of the losses that it fits
    streamed: ClassVar[bool] = True  # whether it has a cheap value in the middle of an epoch
    better: ClassVar[str] = "max"  # "min" or "max": the direction of improvement; "" if unknown

    name: str
    weighted: bool = False

    def __post_init__(self) -> None:
        flag("weighted", self.weighted)
        if not isinstance(self.name, str):
            raise TypeError(f"name={shown(self.name)}: expected text, e.g. name='top_3'")
        if not self.name.strip() or self.name in TAKEN or self.name.startswith("val_"):
            raise ValueError(
                f"name={self.name!r}: expected an unused key of the history, not empty, not "
                f"val_... and not one of {', '.join(TAKEN)}; e.g. name='top_3'"
            )
        if not self.name.isprintable() or any(one in FORMAT_CHARACTERS for one in self.name):
            raise ValueError(
                f"name={self.name!r}: expected printable characters, and none of "
                f"{FORMAT_CHARACTERS} (special in the file name of a checkpoint); "
                f"e.g. name='top_3'"
            )

    def fitted(self, loss: Loss, units: int, argument: str = "metrics") -> Metric:
        """Return the metric to use with this loss and `units` outputs.

        Raises ValueError if it does not fit. `argument` is the argument's name for messages.
        """
        if loss.targets not in self.targets:
            of_two = f", or for targets 0 and 1 {argument}=['binary_accuracy']"
            raise ValueError(
                f"{argument}=[{self.name!r}] needs {self.needs}, but loss={loss.name!r} is for "
                f"{loss.targets}; e.g. {argument}=[{_suggestion(loss)!r}]"
                + of_two
                * (loss.targets == "numbers")
            )
        return self

    def running(self) -> Running:
        """Return a new accumulator without any rows."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Accuracy(Metric):
    """The fraction of correct answers, in the form that fits the loss: "accuracy".

    With a binary cross-entropy it is `BinaryAccuracy()`, with a hinge loss
    `BinaryAccuracy(threshold=0)`, with a categorical cross-entropy `CategoricalAccuracy()`.

    Raises
    ------
    ValueError
        In `compile`, if the loss is for numbers or counts: name the kind of accuracy.

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
    """The fraction of correct outputs, 1/(nk) sum_ij [(a_ij > threshold) = (y_ij > 1/2)].

    Its name is "binary_accuracy". Each output is a yes-or-no question of its own. Targets: 0 and
    1, or -1 and 1. Source: Keras.

    Parameters
    ----------
    threshold : float
        Outputs above it mean 1.
    name : str
        The key in the history.

    Raises
    ------
    TypeError, ValueError
        If `threshold` is not a finite number or `name` is reserved; in `compile`, if the loss is
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
        return RunningMean(self._right)

    def _right(self, y: Array, predictions: Array) -> Array:
        right: Array = (predictions > self.threshold) == (y > 0.5)
        return right


@dataclass(frozen=True, kw_only=True)
class CategoricalAccuracy(Metric):
    """The fraction of rows whose largest output is that of their class: "categorical_accuracy".

    Among equal outputs, or targets, the first counts as the largest. Targets: labels 0 ... k-1 or
    one-hot rows, so "sparse_categorical_accuracy" is another name for it. Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is reserved; in `compile`, if the loss is for counts or there is only one output.

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
        return RunningMean(self._right)

    def _right(self, y: Array, predictions: Array) -> Array:
        right: Array = _largest_places(predictions) == _labels(y)
        return right[:, None]


@dataclass(frozen=True)
class TopKAccuracy(CategoricalAccuracy):
    """The fraction of rows whose class is among the k largest outputs: "top_k_accuracy".

    A row counts if fewer than k outputs are larger than that of its class, so equal outputs all
    count, as in Keras on TensorFlow. Targets: those of `CategoricalAccuracy`. Other names, from
    Keras, are "top_k_categorical_accuracy" and "sparse_top_k_categorical_accuracy".

    Parameters
    ----------
    k : int
        From 1 to the number of outputs.
    name : str
        The key in the history.

    Raises
    ------
    TypeError, ValueError
        If `k` is not a whole number >= 1, or `name` is reserved; in `compile`, if the loss is for
        counts or there are fewer than 2 or k outputs.

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
        of_class = np.take_along_axis(predictions, _labels(y)[:, None], axis=1)
        larger = ~(predictions <= of_class)  # NaN counts as larger
        right: Array = np.count_nonzero(larger, axis=1) < self.k
        return right[:, None]


@dataclass(frozen=True, kw_only=True)
class NumberMetric(Metric):
    """Base class of the metrics for numbers: says which losses they fit."""

    needs: ClassVar[str] = "numbers"
    targets: ClassVar[tuple[TargetKind, ...]] = ("numbers", "counts", "probabilities")
    better: ClassVar[str] = "min"


@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(NumberMetric):
    """The mean absolute error 1/(nk) sum_ij abs(a_ij - y_ij): "mean_absolute_error" or "mae".

    Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is reserved; in `compile`, if the loss is for classes or a hinge loss.

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
        return RunningMean(_absolute_errors)


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(NumberMetric):
    """The mean squared error 1/(nk) sum_ij (a_ij - y_ij)^2: "mean_squared_error" or "mse".

    There is no factor 1/2. With one sigmoid output it is the Brier score. Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is reserved; in `compile`, if the loss is for classes or a hinge loss.

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
        return RunningMean(_squared_errors)


@dataclass(frozen=True, kw_only=True)
class RootMeanSquaredError(NumberMetric):
    """The root of the mean squared error: "root_mean_squared_error" or "rmse".

    sqrt(1/(nk) sum_ij (a_ij - y_ij)^2): one root, taken after all rows and outputs are averaged.
    Source: Keras.

    Raises
    ------
    TypeError, ValueError
        If `name` is reserved; in `compile`, if the loss is for classes or a hinge loss.

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
        return RunningMean(_squared_errors, math.sqrt)


@dataclass(frozen=True, kw_only=True)
class R2Score(NumberMetric):
    """The coefficient of determination R2, averaged over the outputs: "r2_score".

    1/k sum_j (1 - sum_i (a_ij - y_ij)^2 / sum_i (y_ij - m_j)^2), where m_j is the mean of y_ij over
    the rows i. It is 1 for perfect outputs, 0 for outputs equal to m_j, and negative for worse
    ones. An output whose targets are all equal scores 1 if it has no error, as in scikit-learn,
    otherwise 0, as in Keras. With `weighted=True` all three sums, and so m_j, are weighted by w_i;
    if all w_i are 0 the score is 0. Source: Keras's `R2Score` with its uniform average.

    Raises
    ------
    TypeError, ValueError
        If `name` is reserved; in `compile`, if the loss is for classes or a hinge loss.

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
        return RunningR2()


def _errors(y: Array, predictions: Array) -> Array:
    """Return a - y in float64."""
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


def _suggestion(loss: Loss) -> str:
    """Name a metric that fits the loss, for messages."""
    return "accuracy" if loss.targets in Accuracy.targets else "mae"


def _by_name(name: str, loss: Loss, argument: str) -> Metric:
    try:
        return lookup(argument, name, METRICS)(name=name.lower())
    except ValueError as error:
        hint = "A function of y_true and y_pred can be a metric, too"
        if loss.targets == "probabilities":
            hint += f", e.g. {argument}=[sklearn.metrics.roc_auc_score]"
        raise ValueError(f"{error} {hint}") from None


def get(metric: object, loss: Loss, units: int, argument: str = "metrics") -> Metric:
    """Return the metric that a name or a metric object stands for, for this loss and output layer.

    A given name becomes the key in the history; `units` is the number of outputs.
    """
    if isinstance(metric, str):
        metric = _by_name(metric, loss, argument)
    if not isinstance(metric, Metric):
        raise TypeError(
            f"{argument}=[{shown(metric)}]: expected a name or a metric, "
            f"e.g. {argument}=[{_suggestion(loss)!r}]"
        )
    return metric.fitted(loss, units, argument)
