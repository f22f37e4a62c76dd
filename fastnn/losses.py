"""Losses: what training makes small. The kernels are in `fastnn/kernels/losses.pxd`.

L = 1/n sum_i w_i l_i over the n rows of a batch, with the sample weights w_i (1 if not given).
Below, y_j and a_j are target and output j of one row, k is the number of outputs.
"""

import math
from typing import ClassVar

from fastnn._validation import Array, TargetKind, lookup


class Loss:
    """A loss l(a, y) of one row."""

    name: ClassVar[str]
    targets: ClassVar[TargetKind]
    outputs: ClassVar[tuple[str, ...]] = ()  # the output activations it needs; () is any

    def code(self, y: Array) -> int:
        """The code of the kernel for targets of this shape."""
        raise NotImplementedError

    def range_of_targets(self, n_outputs: int) -> tuple[float, float, bool]:
        """The least and the largest single target of a row, and whether it must be whole."""
        return {
            "numbers": (-math.inf, math.inf, False),
            "counts": (0, math.inf, False),
            "signs": (-1, 1, True),
            "probabilities": (0, 1, False),
            "classes": (0, n_outputs - 1, True),
        }[self.targets]

    def example(self, units: int) -> str:
        """An output layer that fits."""
        return f"Dense({units}, {self.outputs[0]!r})"

    def check_output(self, activation: str, units: int) -> None:
        """Raise if the output layer cannot give what the loss needs."""
        if self.outputs and activation not in self.outputs:
            raise ValueError(
                f"loss={self.name!r} needs an output layer with activation "
                f"{' or '.join(map(repr, self.outputs))}, but it has {activation!r}; "
                f"e.g. {self.example(units)} as the last layer"
            )


class MeanSquaredError(Loss):
    """l = 1/k sum_j (a_j - y_j)^2, without a half (Keras's convention); dl/da_j = 2/k (a_j - y_j).

    Targets: any finite numbers, shape (n,) for one output, otherwise (n, k).
    """

    name: ClassVar[str] = "mean_squared_error"
    targets: ClassVar[TargetKind] = "numbers"

    def code(self, y: Array) -> int:
        return 0


class MeanAbsoluteError(Loss):
    """l = 1/k sum_j |a_j - y_j|; dl/da_j = 1/k sign(a_j - y_j), 0 where a_j = y_j.

    Targets: any finite numbers, shape (n,) for one output, otherwise (n, k). As Keras's.
    """

    name: ClassVar[str] = "mean_absolute_error"
    targets: ClassVar[TargetKind] = "numbers"

    def code(self, y: Array) -> int:
        return 4


class Huber(Loss):
    """l = 1/k sum_j h(a_j - y_j), h(e) = e^2 / 2 for |e| <= 1, otherwise |e| - 1/2.

    dl/da_j = 1/k (a_j - y_j), which is cut off at -1/k and 1/k: an outlier pulls no harder than
    an error of 1. Targets: any finite numbers, shape (n,) for one output, otherwise (n, k).
    As Keras's, with its delta = 1.
    """

    name: ClassVar[str] = "huber"
    targets: ClassVar[TargetKind] = "numbers"

    def code(self, y: Array) -> int:
        return 5


class Poisson(Loss):
    """l = 1/k sum_j (a_j - y_j log(a_j + 1e-7)); dl/da_j = 1/k (1 - y_j / (a_j + 1e-7)).

    The negative log-likelihood of counts y with the means a, but for a constant. It may be
    negative. Targets: counts or rates >= 0, shape (n,) for one output, otherwise (n, k). Outputs
    must not be negative (Keras, whose formula this is, lets them be, and gives NaN). Of those
    that fit, softplus is the usual one; sigmoid and softmax give means below 1, and relu has no
    gradient where its mean is 0 and a steep one next to it.
    """

    name: ClassVar[str] = "poisson"
    targets: ClassVar[TargetKind] = "counts"
    outputs: ClassVar[tuple[str, ...]] = ("softplus", "relu", "sigmoid", "softmax")

    def code(self, y: Array) -> int:
        return 6


class Hinge(Loss):
    """l = 1/k sum_j max(1 - y_j a_j, 0); dl/da_j = -1/k y_j where y_j a_j < 1, otherwise 0.

    Targets: -1 and 1, or 0 and 1, where 0 stands for -1; shape (n,) for one output, otherwise
    (n, k). An output above 0 means 1. As Keras's.
    """

    name: ClassVar[str] = "hinge"
    targets: ClassVar[TargetKind] = "signs"
    outputs: ClassVar[tuple[str, ...]] = ("linear", "tanh")

    def code(self, y: Array) -> int:
        return 7


class SquaredHinge(Loss):
    """l = 1/k sum_j max(1 - y_j a_j, 0)^2; dl/da_j = -2/k y_j max(1 - y_j a_j, 0).

    Targets and outputs: those of the hinge. As Keras's.
    """

    name: ClassVar[str] = "squared_hinge"
    targets: ClassVar[TargetKind] = "signs"
    outputs: ClassVar[tuple[str, ...]] = ("linear", "tanh")

    def code(self, y: Array) -> int:
        return 8


class BinaryCrossentropy(Loss):
    """l = -1/k sum_j (y_j log a_j + (1 - y_j) log(1 - a_j)); dl/dz_j = 1/k (a_j - y_j).

    Computed from z, the sigmoid's argument, so that it is exact for outputs near 0 and 1.
    Targets: 0, 1 or probabilities between; shape (n,) for one output, otherwise (n, k).
    """

    name: ClassVar[str] = "binary_crossentropy"
    targets: ClassVar[TargetKind] = "probabilities"
    outputs: ClassVar[tuple[str, ...]] = ("sigmoid",)

    def code(self, y: Array) -> int:
        return 1


class CategoricalCrossentropy(Loss):
    """l = -sum_j y_j log a_j, with y one-hot or probabilities; dl/dz_j = a_j - y_j.

    Computed from z, the softmax's argument. Targets: labels 0 ... k-1, shape (n,), or one
    probability for each class, shape (n, k), each row of which sums to 1.
    """

    name: ClassVar[str] = "categorical_crossentropy"
    targets: ClassVar[TargetKind] = "classes"
    outputs: ClassVar[tuple[str, ...]] = ("softmax",)

    def code(self, y: Array) -> int:
        return 3 if y.shape[1] == 1 else 2

    def check_output(self, activation: str, units: int) -> None:
        super().check_output(activation, units)
        if units < 2:
            raise ValueError(
                "softmax over one unit is always 1. For two classes use Dense(2, 'softmax'), "
                "or Dense(1, 'sigmoid') with loss='binary_crossentropy'"
            )


LOSSES: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
}


def get(name: object) -> Loss:
    """The loss of that name."""
    return lookup("loss", name, LOSSES)()
