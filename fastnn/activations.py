"""Activation functions: the names that layers accept, with formula and derivative.

The kernels are in `fastnn/native/formulas/activations.pxd`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from fastnn.data.checks import lookup

# Accepted names, for editors and type checkers: the keys of ACTIVATIONS, and "swish".
ActivationName = Literal[
    "linear", "relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "selu", "softplus", "gelu",
    "silu", "swish", "exponential",
]  # fmt: skip


class Activation:
    """Base class of the activations: a = f(z) is applied to each unit of a layer.

    The kernels compute the derivative da/dz from a or, for those of the core's FROM_Z, from z.
    """

    name: ClassVar[str]


class Linear(Activation):
    """a = z; da/dz = 1."""

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
    """a_j = exp(z_j) / sum_k exp(z_k): probabilities that sum to 1 over the units of the layer.

    dL/dz_j = a_j (dL/da_j - sum_k a_k dL/da_k).
    """

    name = "softmax"


class LeakyRelu(Activation):
    """a = z if z > 0, otherwise 0.2 z; da/dz = 1 if z > 0, otherwise 0.2 (at z = 0 too)."""

    name = "leaky_relu"


class Elu(Activation):
    """a = z if z > 0, otherwise exp(z) - 1 (above -1); da/dz = 1 if z > 0, otherwise a + 1."""

    name = "elu"


class Selu(Activation):
    """a = s z if z > 0, otherwise s alpha (exp(z) - 1), where s = 1.0507... and alpha = 1.6733...

    da/dz = s if z > 0, otherwise a + s alpha. With standardised features and
    `kernel_initializer="lecun_normal"` the units keep mean 0 and variance 1 from layer to layer.
    """

    name = "selu"


class Softplus(Activation):
    """a = log(1 + exp(z)), above 0; da/dz = sigmoid(z), computed as 1 - exp(-a)."""

    name = "softplus"


class Gelu(Activation):
    """a = z Phi(z); da/dz = Phi(z) + z phi(z), the normal distribution function and its density.

    Phi is exact, as in Keras by default, not approximated with tanh. The minimum of a is -0.17, at
    z = -0.75.
    """

    name = "gelu"


class Silu(Activation):
    """a = z s with s = sigmoid(z); da/dz = s (1 + z (1 - s)). Also called swish.

    The minimum of a is -0.28, at z = -1.28.
    """

    name = "silu"


class Exponential(Activation):
    """a = exp(z), above 0; da/dz = a. Suits the mean of counts; float32 overflows for z > 88."""

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
    """Look up an activation by name; None means "linear", "swish" means "silu"."""
    if name is None:
        return Linear
    if type(name) is str and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    return lookup("activation", "silu" if name == "swish" else name, ACTIVATIONS)
