"""Optimisers: how a gradient moves the weights. The kernels are in `fastnn/kernels/update.pxd`."""

from dataclasses import dataclass

import numpy as np

from fastnn._validation import Array, lookup, real_number


@dataclass(frozen=True)
class SGD:
    """Plain gradient descent: W := W - learning_rate * dL/dW.

    Parameters
    ----------
    learning_rate : float
        The step size, greater than 0.

    Raises
    ------
    TypeError, ValueError
        If `learning_rate` is not a finite number greater than 0.

    Examples
    --------
    >>> from fastnn import SGD
    >>> SGD(learning_rate=0.1)
    SGD(learning_rate=0.1)
    """

    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        rate = real_number("learning_rate", self.learning_rate, above=0)
        object.__setattr__(self, "learning_rate", rate)

    def rates(self, step: int, n_steps: int) -> Array:
        """The learning rates of `n_steps` steps from `step` on; one entry if all are equal."""
        return np.array([self.learning_rate])


OPTIMIZERS: dict[str, type[SGD]] = {"sgd": SGD}


def get(optimizer: object) -> SGD:
    """The optimiser of that name with its default settings, or the optimiser itself."""
    return optimizer if isinstance(optimizer, SGD) else lookup("optimizer", optimizer, OPTIMIZERS)()
