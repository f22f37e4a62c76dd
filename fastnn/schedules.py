"""Learning-rate schedules: the learning rate as a function of the step.

A step is one update by the optimiser: one row in stochastic mode, one batch in minibatch mode, one
epoch in batch mode. The first one is step 0. Names, defaults and formulas are Keras's where Keras
has the schedule. Arguments outside the documented range raise TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastnn.data.checks import flag, items, real_number, whole_number
from fastnn.data.rows import Array


@dataclass(frozen=True)
class Schedule:
    """Base class: a schedule is called with a step number and returns the learning rate.

    A step is one update by the optimiser: one row in stochastic mode, one batch in minibatch mode,
    one epoch in batch mode. To write your own schedule, make a subclass with the method `rates`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.schedules import Schedule
    >>> class Sawtooth(Schedule):
    ...     def rates(self, steps):
    ...         return 0.1 / (1 + steps % 100)
    >>> Sawtooth()(0), Sawtooth()(99), Sawtooth()(100)
    (0.1, 0.001, 0.1)
    """

    def rates(self, steps: Array) -> Array:
        """Return the learning rates of these steps, float64 of the same shape.

        Parameters
        ----------
        steps : array of int64 or float64
            Step numbers >= 0, already checked.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no method of this name: def rates(self, steps), which "
            f"returns the learning rates of an array of step numbers"
        )

    def __call__(self, step: int) -> float:
        """Return the learning rate of one step, a whole number >= 0."""
        return float(self.rates(np.array([whole_number("step", step, minimum=0)], np.float64))[0])

    def _check(self, check: Callable[..., object], *names: str, **limits: float | None) -> None:
        for name in names:
            object.__setattr__(self, name, check(name, getattr(self, name), **limits))


def _cosine(progress: Array) -> Array:
    """Fall from 1 to 0 along half a cosine wave while `progress` goes from 0 to 1."""
    falling: Array = 0.5 * (1 + np.cos(np.pi * progress))
    return falling


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """Multiplies the rate by `decay_rate` every `decay_steps` steps.

    rate = initial_learning_rate * decay_rate ^ (step / decay_steps), as in Keras. A step is one
    update: a row, a batch or, in batch mode, an epoch.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0, at least 0.
    decay_steps : int
        The number of steps after which the rate has been multiplied by `decay_rate`.
    decay_rate : float
        From 0 to 1.
    staircase : bool
        Whether to round step / decay_steps down, so that the rate drops once per `decay_steps`
        steps instead of a little at every step.

    Examples
    --------
    >>> from fastnn.schedules import ExponentialDecay
    >>> rate = ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.5)
    >>> rate(0), rate(1000), rate(2000)
    (0.1, 0.05, 0.025)
    """

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._check(real_number, "initial_learning_rate", low=0)
        self._check(whole_number, "decay_steps", minimum=1)
        self._check(real_number, "decay_rate", low=0, high=1, example=0.96)
        self._check(flag, "staircase")

    def rates(self, steps: Array) -> Array:
        passed = steps / self.decay_steps
        if self.staircase:
            passed = np.floor(passed)
        rates: Array = self.initial_learning_rate * self.decay_rate**passed
        return rates


@dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    """Keeps the rate constant between boundaries.

    rate = values[0] while step <= boundaries[0], values[1] while step <= boundaries[1], ..., and
    values[-1] after the last boundary. As in Keras, a boundary is the last step with the old rate.
    The first step is step 0, so the first rate lasts for boundaries[0] + 1 updates: rows, batches
    or, in batch mode, epochs.

    Parameters
    ----------
    boundaries : sequence of int
        At least one step, each greater than the one before.
    values : sequence of float
        The rates, one more than boundaries, each at least 0.

    Examples
    --------
    >>> from fastnn.schedules import PiecewiseConstantDecay
    >>> rate = PiecewiseConstantDecay(boundaries=[1000, 2000], values=[0.1, 0.03, 0.01])
    >>> rate(1000), rate(1001), rate(5000)
    (0.1, 0.03, 0.01)
    """

    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        self._check(_checked_boundaries, "boundaries")
        self._check(_checked_rates, "values")
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values has {len(self.values)} rates for {len(self.boundaries)} boundaries: "
                f"expected one rate more than boundaries, e.g. boundaries=[1000], "
                f"values=[0.1, 0.01]"
            )

    def rates(self, steps: Array) -> Array:
        return np.array(self.values)[np.searchsorted(self.boundaries, steps)]


def _checked_boundaries(name: str, values: object) -> tuple[int, ...]:
    listed = items(name, values, "[1000, 2000]")
    steps = [whole_number(f"{name}[{i}]", step, minimum=0) for i, step in enumerate(listed)]
    if not steps or any(high <= low for low, high in zip(steps, steps[1:], strict=False)):
        raise ValueError(
            f"{name}={steps}: expected at least one step, each greater than the one before, "
            f"e.g. {name}=[1000, 2000]"
        )
    return tuple(steps)


def _checked_rates(name: str, values: object) -> tuple[float, ...]:
    listed = items(name, values, "[0.1, 0.03, 0.01]")
    return tuple(
        real_number(f"{name}[{i}]", rate, low=0, example=0.1) for i, rate in enumerate(listed)
    )


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """Goes from one rate to another along a polynomial, by default a straight line.

    rate = (initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ^ power
    + end_learning_rate up to step `decay_steps`, then end_learning_rate, as in Keras. A step is one
    update: a row, a batch or, in batch mode, an epoch.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0, at least 0.
    decay_steps : int
        The number of steps until end_learning_rate is reached.
    end_learning_rate : float
        At least 0.
    power : float
        At least 0: 1 is a line, 2 falls fast at first, 0.5 fast at the end.
    cycle : bool
        Whether to jump up again after the end. In the formula decay_steps is then replaced by its
        smallest multiple >= step, so each cycle begins lower than the one before.

    Examples
    --------
    >>> from fastnn.schedules import PolynomialDecay
    >>> rate = PolynomialDecay(0.5, decay_steps=1000, end_learning_rate=0.0)
    >>> rate(0), rate(500), rate(5000)
    (0.5, 0.25, 0.0)
    """

    initial_learning_rate: float
    decay_steps: int
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        self._check(real_number, "initial_learning_rate", low=0)
        self._check(whole_number, "decay_steps", minimum=1)
        self._check(real_number, "end_learning_rate", low=0, example=0.0001)
        self._check(real_number, "power", low=0, example=1)
        self._check(flag, "cycle")

    def rates(self, steps: Array) -> Array:
        passed = steps / self.decay_steps
        cycles = np.maximum(np.ceil(passed), 1) if self.cycle else 1
        left = 1 - np.minimum(passed / cycles, 1)
        height = self.initial_learning_rate - self.end_learning_rate
        rates: Array = height * left**self.power + self.end_learning_rate
        return rates


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Falls along half a cosine wave, optionally after a linear warm-up.

    rate = initial_learning_rate * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha)
    up to step `decay_steps`, then initial_learning_rate * alpha. With `warmup_target` the rate
    first goes in a straight line from initial_learning_rate to warmup_target, over `warmup_steps`
    steps. The cosine then starts from warmup_target and counts its steps from the end of the
    warm-up. All as in Keras. A step is one update: a row, a batch or, in batch mode, an epoch.
    Sources: Loshchilov, Hutter 2017 (arXiv:1608.03983); Goyal et al. 2017 (arXiv:1706.02677) for
    the warm-up.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0, at least 0.
    decay_steps : int
        The number of steps of the fall, not counting the warm-up.
    alpha : float
        The last rate as a fraction of the highest, from 0 to 1.
    warmup_target : float, optional
        The rate at the end of the warm-up, at least 0; without it there is no warm-up.
    warmup_steps : int
        The number of steps of the warm-up.

    Raises
    ------
    ValueError
        If `warmup_steps` comes without `warmup_target`.

    Examples
    --------
    >>> from fastnn.schedules import CosineDecay
    >>> rate = CosineDecay(0.0, decay_steps=1000, warmup_target=0.5, warmup_steps=100)
    >>> rate(0), rate(50), rate(100), rate(600), rate(1100)
    (0.0, 0.25, 0.5, 0.25, 0.0)
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        self._check(real_number, "initial_learning_rate", low=0)
        self._check(whole_number, "decay_steps", minimum=1)
        self._check(real_number, "alpha", low=0, high=1, example=0.1)
        self._check(whole_number, "warmup_steps", minimum=0)
        if self.warmup_target is not None:
            self._check(real_number, "warmup_target", low=0, example=0.1)
        elif self.warmup_steps:
            raise ValueError(
                f"warmup_steps={self.warmup_steps} needs a rate to warm up to: pass one, e.g. "
                f"warmup_target=0.1, or leave warmup_steps out"
            )

    def rates(self, steps: Array) -> Array:
        start, peak = self.initial_learning_rate, self.warmup_target
        if peak is None:
            peak = start
        progress = np.clip((steps - self.warmup_steps) / self.decay_steps, 0, 1)
        falling = peak * ((1 - self.alpha) * _cosine(progress) + self.alpha)
        rising = (peak - start) * np.minimum(steps / max(self.warmup_steps, 1), 1) + start
        return np.where(steps < self.warmup_steps, rising, falling)


@dataclass(frozen=True)
class CosineDecayRestarts(Schedule):
    """Falls along half a cosine wave, jumps up and falls again, in periods that get longer.

    rate = initial_learning_rate
    * ((1 - alpha) * m_mul ^ i * (1 + cos(pi * s / n_i)) / 2 + alpha)
    at step s = 0, 1, ... of period i = 0, 1, ..., which has n_i = first_decay_steps * t_mul ^ i
    steps, as in Keras. A step is one update: a row, a batch or, in batch mode, an epoch. Source:
    Loshchilov, Hutter 2017 (arXiv:1608.03983).

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0, at least 0.
    first_decay_steps : int
        The number of steps of the first period.
    t_mul : float
        The length of each period as a multiple of the one before, from 1 to a million.
    m_mul : float
        The starting rate of each period as a fraction of the one before, from 0 to 1.
    alpha : float
        The lowest rate as a fraction of initial_learning_rate, from 0 to 1.

    Examples
    --------
    >>> from fastnn.schedules import CosineDecayRestarts
    >>> rate = CosineDecayRestarts(0.5, first_decay_steps=1000)
    >>> rate(0), rate(500), rate(1000), rate(2000), rate(3000)
    (0.5, 0.25, 0.5, 0.25, 0.5)
    """

    initial_learning_rate: float
    first_decay_steps: int
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        self._check(real_number, "initial_learning_rate", low=0)
        self._check(whole_number, "first_decay_steps", minimum=1)
        self._check(real_number, "t_mul", low=1, high=1e6, example=2)
        self._check(real_number, "m_mul", low=0, high=1, example=1)
        self._check(real_number, "alpha", low=0, high=1, example=0.1)

    def rates(self, steps: Array) -> Array:
        period, progress = self._periods(steps / self.first_decay_steps)
        height = (1 - self.alpha) * self.m_mul**period
        rates: Array = self.initial_learning_rate * (height * _cosine(progress) + self.alpha)
        return rates

    def _periods(self, passed: Array) -> tuple[Array, Array]:
        """Return the number i of the current period and the fraction of it that has passed.

        `passed` is the step divided by `first_decay_steps`; in this unit period i begins at
        (t_mul^i - 1) / (t_mul - 1). The 1e-12 makes up for rounding, which could otherwise delay a
        restart by one step.
        """
        if self.t_mul == 1:
            period = np.floor(passed)
            return period, passed - period
        growth = self.t_mul - 1
        period = np.floor(np.log1p(passed * growth) / np.log(self.t_mul) + 1e-12)
        scale = self.t_mul**period
        return period, (passed - (scale - 1) / growth) / scale


@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """Falls in proportion to 1 / step in the long run.

    rate = initial_learning_rate / (1 + decay_rate * step / decay_steps), as in Keras. A step is one
    update: a row, a batch or, in batch mode, an epoch. With a decay_rate above 0 the sum of all
    rates is infinite and the sum of their squares finite: the condition of Robbins and Monro
    (1951) for the convergence of stochastic gradient descent.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0, at least 0.
    decay_steps : int
        The number of steps over which `decay_rate` is added to the divisor.
    decay_rate : float
        At least 0.
    staircase : bool
        Whether to round step / decay_steps down, so that the rate drops once per `decay_steps`
        steps.

    Examples
    --------
    >>> from fastnn.schedules import InverseTimeDecay
    >>> rate = InverseTimeDecay(0.5, decay_steps=1000, decay_rate=1.0)
    >>> rate(0), rate(1000), rate(4000)
    (0.5, 0.25, 0.1)
    """

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._check(real_number, "initial_learning_rate", low=0)
        self._check(whole_number, "decay_steps", minimum=1)
        self._check(real_number, "decay_rate", low=0, example=0.5)
        self._check(flag, "staircase")

    def rates(self, steps: Array) -> Array:
        passed = steps / self.decay_steps
        if self.staircase:
            passed = np.floor(passed)
        with np.errstate(over="ignore"):  # after very many steps the rate is 0
            rates: Array = self.initial_learning_rate / (1 + self.decay_rate * passed)
        return rates


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """Falls in proportion to 1 / (step + 1) ^ power.

    rate = initial_learning_rate / (step + 1) ^ power. This is the formula of scikit-learn's
    `learning_rate="invscaling"`, where `power` is called `power_t`. scikit-learn counts the rows
    trained on so far, fastnn counts steps; the two agree in stochastic mode, where each row is a
    step. In minibatch mode a step is a batch, in batch mode an epoch.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0, at least 0.
    power : float
        At least 0; 0.5 is usual for noisy gradients, 1 falls like `InverseTimeDecay`.

    Examples
    --------
    >>> from fastnn.schedules import InverseScaling
    >>> rate = InverseScaling(0.5)
    >>> rate(0), rate(3), rate(24)
    (0.5, 0.25, 0.1)
    """

    initial_learning_rate: float
    power: float = 0.5

    def __post_init__(self) -> None:
        self._check(real_number, "initial_learning_rate", low=0)
        self._check(real_number, "power", low=0, example=0.5)

    def rates(self, steps: Array) -> Array:
        rates: Array = self.initial_learning_rate * (steps + 1.0) ** -self.power
        return rates


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rises once to a high rate and falls once to nearly 0, both along half a cosine wave.

    The rate rises from low = max_learning_rate / div_factor at step 0 to max_learning_rate at step
    p = pct_start * total_steps - 1, falls to low / final_div_factor at step total_steps - 1, and
    stays there. After the fraction u of the way from rate a to rate b,
    rate = b + (a - b) * (1 + cos(pi * u)) / 2. This is PyTorch's `OneCycleLR` with its default
    annealing and two phases; momentum is not changed. A step is one update: total_steps is epochs
    times rows in stochastic mode, epochs times batches in minibatch mode, epochs in batch mode.
    Source: Smith, Topin 2018 (arXiv:1708.07120).

    Parameters
    ----------
    max_learning_rate : float
        The highest rate, at least 0.
    total_steps : int
        The number of steps of the whole cycle.
    pct_start : float
        The fraction of the steps that the rise takes, from 0 to 1.
    div_factor : float
        The highest rate divided by the rate of step 0, at least 1.
    final_div_factor : float
        The rate of step 0 divided by the last rate, at least 1 / div_factor.

    Examples
    --------
    >>> from fastnn.schedules import OneCycle
    >>> rate = OneCycle(0.5, total_steps=1000)
    >>> round(rate(0), 6), rate(299), rate(5000)
    (0.02, 0.5, 2e-06)
    """

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        self._check(real_number, "max_learning_rate", low=0)
        self._check(whole_number, "total_steps", minimum=1)
        self._check(real_number, "pct_start", low=0, high=1, example=0.3)
        self._check(real_number, "div_factor", low=1, high=None, example=25)
        low = 1 / self.div_factor
        self._check(real_number, "final_div_factor", low=low, high=None, example=10000)

    def rates(self, steps: Array) -> Array:
        peak = self.pct_start * self.total_steps - 1
        last = self.total_steps - 1
        steps = np.minimum(steps, last)
        high, low = self.max_learning_rate, self.max_learning_rate / self.div_factor
        rising = high + (low - high) * _cosine(steps / (peak or 1))
        end = low / self.final_div_factor
        falling = end + (high - end) * _cosine((steps - peak) / (last - peak or 1))
        return np.where(steps < peak, rising, falling)


SCHEDULES: dict[str, type[Schedule]] = {
    cls.__name__.lower(): cls
    for cls in (
        ExponentialDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        CosineDecay,
        CosineDecayRestarts,
        InverseTimeDecay,
        InverseScaling,
        OneCycle,
    )
}
