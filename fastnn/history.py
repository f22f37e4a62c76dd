"""What a fit did, epoch by epoch."""

import os
from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """The record of a fit, with Keras's names.

    Attributes
    ----------
    history : dict of str to list of float
        One number for each finished epoch: ``"loss"``, each metric, both again as ``"val_..."`` if
        there was validation data (for each validated epoch, with ``validation_freq``), and
        ``"seconds"`` (spent training, validation not counted) and ``"samples_per_second"``;
        ``"learning_rate"``, that of the epoch's last step, unless the optimiser has none;
        ``"clipped_steps"``, how many were, if it clips gradients.

        The loss is the running mean of the epoch, sum_i w_i l_i / n with each l_i taken before the
        update of its step; so are the metrics. Validation numbers are taken after the epoch.
    epoch : list of int
        The numbers of the epochs, from `initial_epoch` on, 0 as a rule.
    params : dict
        epochs, steps (weight updates in an epoch), samples, mode, batch_size, seed, verbose,
        initial_epoch, validation_freq, metrics.
    """

    params: dict[str, Any] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)

    def append(self, epoch: int, logs: dict[str, float]) -> None:
        """Record one epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.epoch.append(epoch)

    def last(self) -> dict[str, float]:
        """What was recorded of the last epoch."""
        return {name: values[-1] for name, values in self.history.items() if values}

    def settle(self) -> None:
        """Drop what an interrupt left of an epoch that is not recorded as a whole."""
        for name, values in self.history.items():
            del values[len(self.validated if name.startswith("val_") else self.epoch) :]

    @property
    def validated(self) -> list[int]:
        """The epochs after which the numbers under "val_..." were taken, if there are any."""
        every = self.params.get("validation_freq", 1)
        return [epoch for epoch in self.epoch if (epoch + 1) % every == 0]

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the loss over epochs and over seconds into an image file; needs fastnn[plot]."""
        from fastnn.plots import loss_curves

        loss_curves({self.params.get("mode", "training"): self}, path)
