"""Divergence: a copy of finite weights to go back to when training leads out of the finite numbers.

Checking the loss and the weights after every step is cheap, copying them is not. So copies are
rare, and training that diverges goes back to the last one.
"""

import math
from functools import cached_property
from typing import NoReturn

import numpy as np

from fastnn._core import Context
from fastnn.engine.network import Network
from fastnn.optimizers import Optimizer, State, remedy

KEPT_EVERY = 64  # steps of `train_on_batch` and `apply`
# Floating-point operations after which the copy of a number is a hundredth of the time at most:
# it takes some 1 ns, the operations 0.01 ns each.
COPY_WORK = 10_000
FEW = 20_000  # numbers, whose copy takes less time than a call from Python


class Diverged(FloatingPointError):
    """Loss or weights are no longer finite: training has diverged.

    `fit`, `train_on_batch` and `apply` raise it; the model goes back to finite weights. It is a
    FloatingPointError, and its message says what to try.

    Attributes
    ----------
    when : str
        In which epoch, or at which step.

    Examples
    --------
    >>> from fastnn import Dense, Diverged, SGD, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
    >>> model.compile(SGD(1000.0), "mse")
    >>> try:
    ...     history = model.fit([[100.0]], [1.0], epochs=100)
    ... except Diverged as error:
    ...     print(error.when)
    in epoch 6
    """

    def __init__(self, message: str, when: str) -> None:
        super().__init__(message, when)
        self.when = when

    def __str__(self) -> str:
        return str(self.args[0])


class DivergenceWatch:
    """Keeps a copy of finite weights, of what the optimiser keeps for them, and of its counts."""

    def __init__(self, network: Network, optimizer: Optimizer, state: State) -> None:
        self.network, self.optimizer, self.state = network, optimizer, state
        self._core = network.core
        self._n_numbers = (1 + len(state.slots)) * len(network.parameters)
        memory = network.core.aligned_empty(self._n_numbers)
        self.n_bytes = int(memory.nbytes)
        self.snapshot = network.core.Snapshot(network.parameters, state.slots, state.counts, memory)
        self._rows_of_a_copy = COPY_WORK * self._n_numbers / network.row_work
        self.begin()

    def begin(self) -> None:
        """Copy the state as it is: training begins with it."""
        self._core.keep_state(self.snapshot)
        self._rows = 0  # since the copy

    def settle(self) -> None:
        """Leave finite weights, whatever has ended the training."""
        if not self._core.is_finite_state(self.snapshot):
            self._core.restore_state(self.snapshot)

    def check(self, loss: float, when: str, *, moved: bool = True) -> None:
        """Raise `Diverged` if the loss, or weights that have moved, are no longer finite."""
        if not math.isfinite(loss) or (
            moved and not self._core.all_finite(self.network.parameters)
        ):
            self._go_back(when)

    def check_state(self, when: str) -> None:
        """Raise `Diverged` if weights, or what the optimiser keeps for them, are not finite."""
        if not self._core.is_finite_state(self.snapshot):
            self._go_back(when)

    def keep(self, when: str) -> None:
        """Copy weights and state, or raise `Diverged` if any of them is not finite."""
        if not self._core.is_finite_state(self.snapshot):
            self._go_back(when)
        self._core.keep_state(self.snapshot)
        self._rows = 0

    def keep_after_rows(self, n_rows: int, when: str) -> None:
        """Copy them when enough rows have passed for the copy to take a hundredth of the time."""
        self._rows += n_rows
        if self._rows >= self._rows_of_a_copy:
            self.keep(when)

    def keep_after_step(self, n_rows: int, when: str) -> None:
        """Check all after a single step, and copy it at once if that takes microseconds.

        Otherwise as `keep_after_rows`, but after `KEPT_EVERY` steps in any case.
        """
        core, snapshot = self._core, self.snapshot
        if not core.is_finite_state(snapshot):
            self._go_back(when)
        self._rows += n_rows
        few = self._n_numbers <= FEW
        if few or self._rows >= self._rows_of_a_copy or snapshot.steps_since >= KEPT_EVERY:
            core.keep_state(snapshot)
            self._rows = 0

    @cached_property
    def context(self) -> Context:
        """For steps along a given gradient, to which the regularisers have added already."""
        network, context = self.network, self.network.context(1)
        factors = np.zeros_like(network.layer_rules)
        factors["factor"] = network.layer_rules["factor"]
        context.set_rule(*self.optimizer.rule(factors, self.state).for_core)
        return context

    def _go_back(self, when: str) -> NoReturn:
        self._core.restore_state(self.snapshot)
        raise self.diverged(when)

    def diverged(self, when: str) -> Diverged:
        """The error, with advice that fits the optimiser."""
        network = self.network
        advice = remedy(
            self.optimizer,
            self.state.step,
            network.layer_rules,
            standardised=network.is_standardised,
        )
        return Diverged(
            f"training diverged {when}: loss or weights are no longer finite. The model goes back "
            f"to the last finite weights that were kept, after {self.state.step} steps. {advice}",
            when,
        )
