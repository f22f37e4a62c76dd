"""What every contestant can do: take weights and data, train one epoch, give weights back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from bench.workloads import Array, Mode, Net, Weights, learning_rate


class Peer(ABC):
    """One library on one net and mode: float32, rows in the order given.

    Only ``train`` is timed. Whatever a user does once per data set (conversion to the
    library's own arrays, one-hot targets, compilation) belongs to the loading methods.
    """

    version: ClassVar[str]
    optimizers: ClassVar[tuple[str, ...]] = ("sgd",)  # those that it has
    least_seconds: ClassVar[float] = 0.0  # of a round, where a call's fixed costs are high

    def __init__(self, net: Net, mode: Mode) -> None:
        self.net = net
        self.mode = mode
        self.learning_rate = learning_rate(net, mode)

    @classmethod
    def supports(cls, mode: Mode) -> bool:
        """Whether this way of training exists in that mode."""
        return mode.optimizer in cls.optimizers

    @abstractmethod
    def load_data(self, X: Array, y: Array) -> None:
        """Keep float32 rows and integer labels in the form that trains fastest."""

    @abstractmethod
    def load_weights(self, weights: Sequence[Array]) -> None:
        """Start again from copies of [W1, b1, W2, b2, ...]; the optimiser remembers nothing."""

    @abstractmethod
    def train_epoch(self) -> None:
        """Visit every row once and return when the weights are final."""

    def train(self, n_epochs: int) -> None:
        """Several epochs, in one call where the library has one."""
        for _ in range(n_epochs):
            self.train_epoch()

    @abstractmethod
    def weights(self) -> Weights:
        """The current weights as NumPy arrays, in the order they were loaded."""

    def batch_size(self, n_rows: int) -> int:
        return self.mode.batch_size or n_rows
