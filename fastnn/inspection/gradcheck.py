"""A check of backpropagation against central differences of the loss, block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.data.rows import Array

STEPS = (1e-5, 1e-6, 1e-7)  # tried one after the other, relative to a number's size, at least 1
# The largest error that rounding explains, relative to the largest derivative of the block.
TOLERANCES = {"float32": 1e-3, "float64": 1e-6}
SMALL = 1e-3  # a block whose derivatives are this much smaller than others is measured by those


@dataclass(frozen=True)
class BlockCheck:
    """One block of the gradient, such as dL/dW1.

    Attributes
    ----------
    name : str
    n_entries : int
        How many entries the block has.
    n_checked : int
        How many of them were compared.
    n_kinks : int
        How many of these lie at a kink, where the loss has two slopes, as that of a relu at 0.
    error : float
        The largest error, relative to `scale`.
    place : tuple of int
        Where it is.
    backpropagation, differences : float
        The two values there.
    scale : float
        The largest derivative of the block.
    """

    name: str
    n_entries: int
    n_checked: int
    n_kinks: int
    error: float
    place: tuple[int, ...]
    backpropagation: float
    differences: float
    scale: float

    @property
    def entry(self) -> str:
        """The worst entry, such as dL/dW1[2,0]."""
        return f"{self.name}[{','.join(map(str, self.place))}]"


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What `fastnn.gradcheck` found.

    Attributes
    ----------
    blocks : tuple of BlockCheck
    dtype : str
        That of the model.
    tolerance : float
        How large an error may be.
    """

    blocks: tuple[BlockCheck, ...]
    dtype: str
    tolerance: float

    @property
    def worst(self) -> BlockCheck:
        """The block with the largest error."""
        return max(self.blocks, key=lambda block: block.error)

    @property
    def ok(self) -> bool:
        """Whether all errors are within the tolerance."""
        return self.worst.error <= self.tolerance

    def __repr__(self) -> str:
        lines = [f"{'block':<9}{'checked':>14}{'kinks':>7}{'largest error':>15}  at"]
        for block in self.blocks:
            checked = f"{block.n_checked:,} of {block.n_entries:,}"
            lines.append(
                f"{block.name:<9}{checked:>14}{block.n_kinks:>7}{block.error:>15.1e}  {block.entry}"
            )
        worst = self.worst
        verdict = "the gradient is right" if self.ok else "THE GRADIENT IS WRONG"
        lines.append(
            f"{verdict}: the largest error is {worst.error:.1e}, {self.dtype} allows "
            f"{self.tolerance:.0e}; {worst.entry} is {worst.backpropagation:.6g} by "
            f"backpropagation, {worst.differences:.6g} by differences"
        )
        return "\n".join(lines)


def checked_blocks(
    gradient: Mapping[str, Array],
    numbers: Mapping[str, Array],
    cost: Callable[[], float],
    dtype: str,
    n_entries: int,
    seed: int,
) -> GradientCheck:
    """Compare every block of a gradient with differences of the cost.

    `numbers` are float64 arrays that the cost is a function of, by the names of the blocks; each
    entry is moved and put back. Of blocks with more than n_entries as many are drawn.
    """
    tolerance, rng = TOLERANCES[dtype], np.random.default_rng(seed)
    largest = max(float(np.abs(block).max(initial=0)) for block in gradient.values())
    blocks = []
    for name, derivatives in gradient.items():
        entries = np.arange(derivatives.size)
        if len(entries) > n_entries:
            entries = np.sort(rng.choice(entries, n_entries, replace=False))
        places = [np.unravel_index(entry, derivatives.shape) for entry in entries]
        own = float(np.abs(derivatives).max(initial=0))
        scale = max(own, SMALL * largest, np.finfo(np.float64).tiny)
        found = [
            _slope(numbers[name], place, float(derivatives[place]), cost, tolerance * scale)
            for place in places
        ]
        errors = [0.0 if kink else abs(slope - derivatives[place]) / scale
                  for (slope, kink), place in zip(found, places, strict=True)]  # fmt: skip
        errors = [np.inf if np.isnan(error) else float(error) for error in errors]
        worst = int(np.argmax(errors))
        blocks.append(
            BlockCheck(
                name, derivatives.size, len(entries), sum(kink for _, kink in found),
                errors[worst], tuple(map(int, places[worst])),
                float(derivatives[places[worst]]), found[worst][0], scale,
            )
        )  # fmt: skip
    return GradientCheck(tuple(blocks), dtype, tolerance)


def _slope(
    array: Array, place: tuple[Any, ...], expected: float, cost: Callable[[], float], error: float
) -> tuple[float, bool]:
    """The derivative of the cost by central differences, and whether it has a kink there.

    A smaller step is tried if the first gives another value: it may have passed over a kink. At a
    kink the two one-sided slopes differ whatever the step, and the expected one lies between them.
    """
    kept = float(array[place])
    central = np.nan
    try:
        middle = cost()
        for relative in STEPS:
            step = relative * max(1.0, abs(kept))
            array[place] = kept + step
            above = cost()
            array[place] = kept - step
            below = cost()
            central = (above - below) / (2 * step)
            if abs(central - expected) <= error:
                return central, False
            sides = sorted(((above - middle) / step, (middle - below) / step))
    finally:
        array[place] = kept
    jump = sides[1] - sides[0]
    margin = error + jump / 1000  # one-sided slopes are off by step times curvature
    is_kink = jump > error and sides[0] - margin <= expected <= sides[1] + margin
    return central, bool(is_kink)
