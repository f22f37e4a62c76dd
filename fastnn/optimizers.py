"""Optimisers: how a gradient moves the weights. The kernels are in `fastnn/kernels/update.pxd`."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from fastnn._validation import Array, flag, lookup, number_between, real_number

METHODS = {  # codes of `fastnn/kernels/update.pxd`, and how many numbers each keeps for a weight
    "plain": (0, 0),
    "momentum": (1, 1),
    "adam": (2, 2),
    "amsgrad": (3, 3),
    "rmsprop": (4, 1),
    "rmsprop with momentum": (5, 2),
    "adagrad": (6, 1),
}


class Constants(NamedTuple):
    """The numbers of a rule."""

    method: float
    first: float = 0.0  # momentum, beta_1 or rho
    second: float = 0.0  # beta_2, or RMSprop's momentum
    nesterov: float = 0.0
    epsilon: float = 0.0
    shrink: float = 0.0  # learning_rate * weight_decay


class Rule(NamedTuple):
    """How a step is made, as the core takes it."""

    constants: Array
    decay: Array  # of each layer: what its regulariser adds to dL/dW is decay * W
    slots: Array  # what the optimiser keeps for every parameter, (n_slots, n_parameters)

    @property
    def is_plain(self) -> bool:
        """Whether a weight whose dL/dW is 0 stays where it is."""
        return not (self.decay.size or self.slots.size or self.constants[-1])

    @property
    def is_linear(self) -> bool:
        """Whether a step is linear in the weights and what is kept: blocks can foresee it."""
        return bool(self.constants[0] <= METHODS["momentum"][0])


@dataclass
class State:
    """What an optimiser remembers from step to step."""

    slots: Array  # (n_slots, n_parameters)
    step: int = 0  # how many have been made


@dataclass(frozen=True)
class Optimizer:
    """What all optimisers have; `learning_rate` and `weight_decay` are checked here."""

    learning_rate: float = 0.001
    weight_decay: float = field(default=0.0, kw_only=True)

    initial: ClassVar[float] = 0.0  # what the slots hold at first

    def __post_init__(self) -> None:
        rate = real_number("learning_rate", self.learning_rate, above=0)
        object.__setattr__(self, "learning_rate", rate)
        decay = number_between("weight_decay", self.weight_decay, 0, None, example=0.004)
        object.__setattr__(self, "weight_decay", decay)

    def _check(self, example: float, *names: str, high: float | None = 1) -> None:
        """Numbers from 0 to `high`."""
        for name in names:
            value = number_between(name, getattr(self, name), 0, high, example=example)
            object.__setattr__(self, name, value)

    @property
    def method(self) -> str:
        """Its name in METHODS."""
        raise NotImplementedError

    @property
    def n_slots(self) -> int:
        """How many numbers it keeps for every parameter."""
        return METHODS[self.method][1]

    def _constants(self, **numbers: float) -> Array:
        shrink = self.learning_rate * self.weight_decay
        return np.array(Constants(METHODS[self.method][0], shrink=shrink, **numbers))

    def constants(self) -> Array:
        """The numbers of its rule."""
        return self._constants()

    def rule(self, decay: Array, state: State) -> Rule:
        """How it makes a step."""
        return Rule(self.constants(), decay, state.slots)

    def rates(self, step: int, n_steps: int) -> Array:
        """The learning rates of `n_steps` steps from `step` on; one entry if all are equal."""
        return np.array([self.learning_rate])

    def rate(self, step: int) -> float:
        """That of one step."""
        return self.learning_rate


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent, W := W - learning_rate * dL/dW, with momentum if wanted.

    With momentum each weight keeps a velocity v, zero at first, and a step is
    v := momentum * v - learning_rate * dL/dW, then W := W + v; or, with `nesterov`,
    W := W + momentum * v - learning_rate * dL/dW with the new v. These are Keras's formulas.

    Parameters
    ----------
    learning_rate : float
        The step size, greater than 0.
    momentum : float
        From 0 (plain gradient descent) to 1, which never forgets; 0.9 is usual. Steps that agree
        add up to 1 / (1 - momentum) times theirs, so the learning rate wants to be smaller by that.
    nesterov : bool
        Whether momentum is Nesterov's; without momentum it means nothing.
    weight_decay : float
        At every step all weights and biases first shrink by learning_rate * weight_decay of
        themselves, as in Keras.

    Raises
    ------
    TypeError, ValueError
        If `learning_rate` is not a finite number greater than 0, or `momentum` not one from 0 to 1.

    Examples
    --------
    >>> from fastnn import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, weight_decay=0.0, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.9, "momentum")
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))

    @property
    def method(self) -> str:
        return "momentum" if self.momentum else "plain"

    def constants(self) -> Array:
        return self._constants(first=self.momentum, nesterov=float(self.nesterov))


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps along a running mean of dL/dW over the root of one of its square.

    Each weight keeps m and v, zero at first. With g = dL/dW a step t = 1, 2, ... is
    m := m + (1 - beta_1) (g - m), v := v + (1 - beta_2) (g^2 - v), then
    W := W - learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon).
    This is Keras's formula, with epsilon beside the uncorrected root; scikit-learn's and PyTorch's
    place it otherwise. In stochastic mode every row is a step. Source: Kingma, Ba 2015
    (arXiv:1412.6980), end of section 2.

    Parameters
    ----------
    learning_rate : float
        The step size, greater than 0.
    beta_1, beta_2 : float
        How much of the means stays at a step, from 0 to below 1.
    epsilon : float
        What keeps the division from 0, at least 0.
    amsgrad : bool
        Whether to divide by the largest v so far (Reddi, Kale, Kumar 2018).
    weight_decay : float
        At every step all weights and biases first shrink by learning_rate * weight_decay of
        themselves (`AdamW`), as in Keras.

    Examples
    --------
    >>> from fastnn import Adam
    >>> Adam().beta_2
    0.999
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.9, "beta_1", "beta_2", high=math.nextafter(1, 0))
        self._check(1e-7, "epsilon", high=None)
        object.__setattr__(self, "amsgrad", flag("amsgrad", self.amsgrad))

    @property
    def method(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"

    def constants(self) -> Array:
        return self._constants(first=self.beta_1, second=self.beta_2, epsilon=self.epsilon)

    def rates(self, step: int, n_steps: int) -> Array:
        """With the corrections for means that began at zero."""
        t = np.arange(step + 1.0, step + n_steps + 1.0)
        rates: Array = self.learning_rate * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return rates

    def rate(self, step: int) -> float:
        t = step + 1.0
        correction: float = math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return self.learning_rate * correction


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 unless given (Loshchilov, Hutter 2019), as in Keras.

    All parameters are those of `Adam`.

    Examples
    --------
    >>> from fastnn import AdamW
    >>> AdamW().weight_decay
    0.004
    """

    weight_decay: float = field(default=0.004, kw_only=True)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps along dL/dW over the root of a running mean of its square.

    Each weight keeps v, zero at first. With g = dL/dW a step is
    v := v + (1 - rho) (g^2 - v), then W := W - learning_rate * g / sqrt(v + epsilon); or, with
    momentum, u := momentum * u + learning_rate * g / sqrt(v + epsilon), then W := W - u. Keras's
    formula, without its option `centered`.

    Parameters
    ----------
    learning_rate : float
        The step size, greater than 0.
    rho : float
        How much of the mean stays at a step, from 0 to 1.
    momentum : float
        From 0 to 1.
    epsilon : float
        What keeps the division from 0, at least 0.
    weight_decay : float
        As in `SGD`.

    Examples
    --------
    >>> from fastnn import RMSprop
    >>> RMSprop().rho
    0.9
    """

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.9, "rho", "momentum")
        self._check(1e-7, "epsilon", high=None)

    @property
    def method(self) -> str:
        return "rmsprop with momentum" if self.momentum else "rmsprop"

    def constants(self) -> Array:
        return self._constants(first=self.rho, second=self.momentum, epsilon=self.epsilon)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps along dL/dW over the root of the sum of its squares so far.

    Each weight keeps v, 0.1 at first, as in Keras. With g = dL/dW a step is v := v + g^2, then
    W := W - learning_rate * g / sqrt(v + epsilon). Source: Duchi, Hazan, Singer 2011.

    Parameters
    ----------
    learning_rate : float
        The step size, greater than 0.
    epsilon : float
        What keeps the division from 0, at least 0.
    weight_decay : float
        As in `SGD`.

    Examples
    --------
    >>> from fastnn import Adagrad
    >>> Adagrad(0.1).learning_rate
    0.1
    """

    epsilon: float = 1e-7
    initial: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(1e-7, "epsilon", high=None)

    @property
    def method(self) -> str:
        return "adagrad"

    def constants(self) -> Array:
        return self._constants(epsilon=self.epsilon)


def remedy(optimizer: Optimizer, decay: Array) -> str:
    """What to do when training has diverged; `decay` is 2 * l2 of each layer."""
    rate, momentum = optimizer.learning_rate, getattr(optimizer, "momentum", 0.0)
    if rate * decay.max(initial=0) >= 1:
        l2 = decay.max() / 2
        return (
            f"L2({l2:g}) is too large for learning_rate={rate:g}: try L2({0.01 / rate:g}) or less"
        )
    smaller = f"{min(rate / 10, 0.1):g}"
    if momentum:
        cause = f"learning_rate={rate:g} with momentum={momentum:g} (the two go as "
        cause += "learning_rate / (1 - momentum))"
        smaller += f", momentum={min(momentum, 0.9):g}"
    else:
        cause = f"learning_rate={rate:g}"
    return (
        f"Most likely {cause} is too large for data of this scale: try "
        f"{type(optimizer).__name__}(learning_rate={smaller}), or standardise the features (with a "
        f"Normalization layer) and, in a regression, the targets"
    )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, Adam, AdamW, RMSprop, Adagrad)
}


def get(optimizer: object) -> Optimizer:
    """The optimiser of that name with its default settings, or the optimiser itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(
            f"optimizer={optimizer!r}: expected a name or an optimiser, "
            f"e.g. optimizer=SGD(learning_rate=0.1)"
        )
    return lookup("optimizer", optimizer, OPTIMIZERS)()
