"""Metrics: what is reported beside the loss. Each adds up over rows, so it can be streamed."""

from typing import ClassVar

import numpy as np

from fastnn._validation import Array, lookup
from fastnn.losses import Loss


class Accuracy:
    """The share of right answers.

    With a binary cross-entropy an output is right if (a > 0.5) equals (y > 0.5), averaged over the
    outputs; with a hinge loss if (a > 0) equals (y > 0); with a categorical cross-entropy a row is
    right if its largest output is at its class.
    Sample weights do not count (as `metrics=` in Keras).
    """

    name: ClassVar[str] = "accuracy"

    def __init__(self, loss: Loss) -> None:
        if loss.targets in ("numbers", "counts"):
            raise ValueError(
                f"metrics=['accuracy'] needs classes, but loss={loss.name!r} is for numbers"
            )
        self._threshold = {"probabilities": 0.5, "signs": 0.0}.get(loss.targets)

    def total(self, y: Array, predictions: Array) -> float:
        """The sum over rows; y is (n, n_targets), predictions (n, n_outputs)."""
        if self._threshold is not None:
            right = (predictions > self._threshold) == (y > self._threshold)
            return float(np.count_nonzero(right)) / int(right.shape[1])
        labels = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
        return float(np.count_nonzero(predictions.argmax(axis=1) == labels))


METRICS: dict[str, type[Accuracy]] = {"accuracy": Accuracy}


def get(name: object, loss: Loss) -> Accuracy:
    """The metric of that name, for a model with this loss."""
    return lookup("metrics", name, METRICS)(loss)
