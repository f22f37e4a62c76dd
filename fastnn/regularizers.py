"""Regularisers: what is added to the loss so that the weights stay small."""

from dataclasses import dataclass

from fastnn._validation import lookup, number_between


@dataclass(frozen=True)
class L2:
    """Adds l2 * sum_ij W_ij^2 to the loss, without a factor 1/2, as in Keras.

    So every step counts 2 * l2 * W with dL/dW, whatever the batch size; biases are left alone. In
    stochastic mode the weights shrink at every row, by 2 * learning_rate * l2 of themselves; in
    float32 less than 6e-8 of a weight rounds away.

    Parameters
    ----------
    l2 : float
        The factor, at least 0.

    Raises
    ------
    TypeError, ValueError
        If `l2` is not a finite number of at least 0.

    Examples
    --------
    >>> from fastnn import Dense, L2
    >>> Dense(8, "relu", kernel_regularizer=L2(0.001)).kernel_regularizer
    L2(l2=0.001)
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", number_between("l2", self.l2, 0, None, example=0.01))


REGULARIZERS: dict[str, type[L2]] = {"l2": L2}


def get(regularizer: object) -> L2 | None:
    """The regulariser of that name with its default factor, the regulariser itself, or None."""
    if regularizer is None or isinstance(regularizer, L2):
        return regularizer
    if not isinstance(regularizer, str):
        raise TypeError(
            f"kernel_regularizer={regularizer!r}: expected 'l2' or L2, e.g. "
            f"kernel_regularizer=L2(0.01)"
        )
    return lookup("kernel_regularizer", regularizer, REGULARIZERS)()
