"""Activation functions. Their kernels are in `fastnn/native/formulas/activations.pxd`."""

from __future__ import annotations

from typing import ClassVar, Literal

from fastnn.data.checks import lookup

# What the argument may be, for editors and type checkers; the names of ACTIVATIONS, and "swish".
ActivationName = Literal[
    "linear", "relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "selu", "softplus", "gelu",
    "silu", "swish", "exponential",
]  # fmt: skip


class Activation:
    """A function a = f(z) of a layer's units; f' is taken from a, or from z if `from_z`."""

    name: ClassVar[str]
    from_z: ClassVar[bool] = False


class Linear(Activation):
    """a = z; da/dz = 1. Domain and range: all numbers."""

    name = "linear"


class Relu(Activation):
    """a = max(z, 0); da/dz = 1 if z > 0, otherwise 0 (at z = 0 too)."""

    name = "relu"


class Sigmoid(Activation):
    """a = 1 / (1 + exp(-z)), in (0, 1); da/dz = a (1 - a)."""

    name = "sigmoid"


class Tanh(Activation):
    """a = tanh(z), in (-1, 1); da/dz = 1 - a^2."""

    name = "tanh"


class Softmax(Activation):
    """a_j = exp(z_j) / sum_k exp(z_k), probabilities of the units.

    dL/dz_j = a_j (dL/da_j - sum_k a_k dL/da_k).
    """

    name = "softmax"


class LeakyRelu(Activation):
    """a = z if z > 0, otherwise 0.2 z; da/dz = 1 if z > 0, otherwise 0.2 (at z = 0 too)."""

    name = "leaky_relu"


class Elu(Activation):
    """a = z if z > 0, otherwise exp(z) - 1, above -1; da/dz = 1 if z > 0, otherwise a + 1."""

    name = "elu"


class Selu(Activation):
    """a = s z if z > 0, otherwise s alpha (exp(z) - 1), where s = 1.0507... and alpha = 1.6733...

    da/dz = s if z > 0, otherwise a + s alpha. With standardised features and
    `kernel_initializer="lecun_normal"` the units keep mean 0 and variance 1 from layer to layer.
    """

    name = "selu"


class Softplus(Activation):
    """a = log(1 + exp(z)), above 0; da/dz = 1 - exp(-a), which is the sigmoid of z."""

    name = "softplus"


class Gelu(Activation):
    """a = z Phi(z); da/dz = Phi(z) + z phi(z), the normal distribution function and its density.

    Phi itself, not an approximation through tanh, as in Keras. a has its minimum, -0.17, at -0.75.
    """

    name, from_z = "gelu", True


class Silu(Activation):
    """a = z s with s = sigmoid(z); da/dz = s (1 + z (1 - s)). Also called swish.

    a has its minimum, -0.28, at -1.28.
    """

    name, from_z = "silu", True


class Exponential(Activation):
    """a = exp(z), above 0; da/dz = a. For the means of counts; z above 88 overflows in float32."""

    name = "exponential"


ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind
    for kind in (
        Linear,
        Relu,
        Sigmoid,
        Tanh,
        Softmax,
        LeakyRelu,
        Elu,
        Selu,
        Softplus,
        Gelu,
        Silu,
        Exponential,
    )
}


def get(name: object) -> type[Activation]:
    """The activation of that name; None is "linear", "swish" is "silu"."""
    if name is None:
        return Linear
    if type(name) is str and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    return lookup("activation", "silu" if name == "swish" else name, ACTIVATIONS)
