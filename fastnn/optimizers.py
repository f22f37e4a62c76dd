"""Optimisers: how a gradient moves the weights. The kernels are in `fastnn/kernels/update.pxd`."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastnn._validation import Array, flag, lookup, number_between, real_number


class Rule(NamedTuple):
    """How a step is made, as the core takes it; no decay and no slots: plain gradient descent."""

    constants: Array  # momentum, and 1 for Nesterov's
    decay: Array  # of each layer: what its regulariser adds to dL/dW is decay * W
    slots: Array  # what the optimiser keeps for every parameter, (n_slots, n_parameters)

    @property
    def is_plain(self) -> bool:
        return not (self.decay.size or self.slots.size)


@dataclass
class State:
    """What an optimiser remembers from step to step."""

    slots: Array  # (n_slots, n_parameters)
    step: int = 0  # how many have been made


@dataclass(frozen=True)
class SGD:
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

    Raises
    ------
    TypeError, ValueError
        If `learning_rate` is not a finite number greater than 0, or `momentum` not one from 0 to 1.

    Examples
    --------
    >>> from fastnn import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        rate = real_number("learning_rate", self.learning_rate, above=0)
        object.__setattr__(self, "learning_rate", rate)
        momentum = number_between("momentum", self.momentum, 0, 1, example=0.9)
        object.__setattr__(self, "momentum", momentum)
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))

    @property
    def n_slots(self) -> int:
        """How many numbers it keeps for every parameter."""
        return 1 if self.momentum else 0

    def rule(self, decay: Array, state: State) -> Rule:
        """How it makes a step."""
        return Rule(np.array([self.momentum, float(self.nesterov)]), decay, state.slots)

    def rates(self, step: int, n_steps: int) -> Array:
        """The learning rates of `n_steps` steps from `step` on; one entry if all are equal."""
        return np.array([self.learning_rate])


def remedy(optimizer: SGD, decay: Array) -> str:
    """What to do when training has diverged; `decay` is 2 * l2 of each layer."""
    rate, momentum = optimizer.learning_rate, optimizer.momentum
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
        f"SGD(learning_rate={smaller}), or standardise the features (with a "
        f"Normalization layer) and, in a regression, the targets"
    )


OPTIMIZERS: dict[str, type[SGD]] = {"sgd": SGD}


def get(optimizer: object) -> SGD:
    """The optimiser of that name with its default settings, or the optimiser itself."""
    if isinstance(optimizer, SGD):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(
            f"optimizer={optimizer!r}: expected a name or an optimiser, "
            f"e.g. optimizer=SGD(learning_rate=0.1)"
        )
    return lookup("optimizer", optimizer, OPTIMIZERS)()
