"""Activation functions. The kernels, with the same codes: `fastnn/kernels/activations.pxd`."""

from typing import ClassVar

from fastnn._validation import lookup


class Activation:
    """A function a = f(z) of a layer's units; f' is taken from a."""

    name: ClassVar[str]
    code: ClassVar[int]


class Linear(Activation):
    """a = z; da/dz = 1. Domain and range: all numbers."""

    name, code = "linear", 0


class Relu(Activation):
    """a = max(z, 0); da/dz = 1 if z > 0, otherwise 0 (at z = 0 too)."""

    name, code = "relu", 1


class Sigmoid(Activation):
    """a = 1 / (1 + exp(-z)), in (0, 1); da/dz = a (1 - a)."""

    name, code = "sigmoid", 2


class Tanh(Activation):
    """a = tanh(z), in (-1, 1); da/dz = 1 - a^2."""

    name, code = "tanh", 3


class Softmax(Activation):
    """a_j = exp(z_j) / sum_k exp(z_k), probabilities of the units.

    dL/dz_j = a_j (dL/da_j - sum_k a_k dL/da_k).
    """

    name, code = "softmax", 4


ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind for kind in (Linear, Relu, Sigmoid, Tanh, Softmax)
}


def get(name: object) -> type[Activation]:
    """The activation of that name; None is "linear"."""
    return lookup("activation", "linear" if name is None else name, ACTIVATIONS)
