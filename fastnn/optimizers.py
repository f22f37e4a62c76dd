"""Optimisers: how a gradient changes the weights.

The kernels are in `fastnn/native/formulas/update.pxd`.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np

from fastnn._core import CLIPS, CONSTANTS, COUNTS, METHODS, SLOTS, STEP
from fastnn.data.checks import flag, lookup, real_number, shown, whole_number
from fastnn.data.rows import Array
from fastnn.schedules import Schedule

# Accepted names, for editors and type checkers: the keys of OPTIMIZERS, and the class names.
OptimizerName = Literal[
    "sgd", "adam", "adamw", "rmsprop", "adagrad", "lbfgs",
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "LBFGS",
]  # fmt: skip

BELOW_1 = math.nextafter(1, 0)
SMALLEST_EPSILON = 1e-35
MOST_GRADIENTS = 1000  # for L-BFGS: SciPy's memory grows with the square of their number

# The cost of a step per number read or written, as the floating-point operations of a matrix
# product that take the same time; clipping reads the gradient as often as two more arrays.
ARRAY_WORK, CLIP_ARRAYS = 20.0, 2


@dataclass(frozen=True, eq=False)
class Rule:
    """How the core makes a step: the optimiser's constants and arrays."""

    constants: Array  # one record of CONSTANTS
    layers: Array  # rate factor and penalties of each layer, see `Network.layer_rules`
    slots: Array  # what the optimiser keeps for every parameter, (n_slots, n_parameters)
    counts: Array  # steps made and steps clipped, one record of COUNTS

    @property
    def for_core(self) -> tuple[Array, Array, Array, Array]:
        """The arguments of `Context.set_rule`."""
        return self.constants, self.layers, self.slots, self.counts

    @cached_property
    def is_simple(self) -> bool:
        """Whether each weight's step depends on that weight alone, and no average is kept."""
        return not (self.constants["clip"][0] or self.constants["averages"][0])

    @cached_property
    def is_plain(self) -> bool:
        """Whether a step is just w := w - rate * dw, so that weights with dw = 0 do not change."""
        more = self.constants["method"][0] or self.constants["shrinks"][0] or self.layers.size
        return self.is_simple and not more

    @cached_property
    def work(self) -> float:
        """The cost of a step per weight, in floating-point operations of a matrix product.

        A plain step is part of the backward pass and costs nothing extra. Any other step reads and
        writes every weight and all its slots; the cost includes their roots and divisions.
        """
        if self.is_plain:
            return 0.0
        clip = CLIP_ARRAYS if self.constants["clip"][0] else 0
        return ARRAY_WORK * (1 + len(self.slots) + clip)

    @cached_property
    def is_linear(self) -> bool:
        """Whether a step is linear in weights and slots, so that several can be combined."""
        linear = METHODS["plain"], METHODS["momentum"]
        return self.constants["method"][0] in linear and not self.layers["l1"].any()


@dataclass
class State:
    """The state of an optimiser between steps."""

    slots: Array  # (n_slots, n_parameters)
    rate: float = 0.5  # of the last step, for learning_rate="auto"
    counts: Array = field(default_factory=lambda: np.zeros(1, COUNTS))  # counted by the core

    @property
    def step(self) -> int:
        """The number of steps made."""
        return int(self.counts["made"][0])

    @step.setter
    def step(self, step: int) -> None:
        self.counts["made"] = step

    @property
    def clipped(self) -> int:
        """The number of steps with a clipped gradient since the model was made or loaded."""
        return int(self.counts["clipped"][0])


@dataclass(repr=False)
class Optimizer:
    """Base class of all optimisers, with the parameters that they share.

    `compile` gives the model a copy of the optimiser. After construction only `learning_rate` can
    be changed; if a callback sets `model.optimizer.learning_rate` during `fit`, the new rate holds
    for all steps after that call.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, at least 0, or a schedule that returns it for each step.
    weight_decay : float
        At every step all weights and biases are first multiplied by
        1 - learning_rate * weight_decay, as in Keras.
    clipvalue, clipnorm, global_clipnorm : float, optional
        Limits for the gradient g, including the penalties of regularisers; at most one of them can
        be given. `clipvalue` cuts each number off at -clipvalue and clipvalue. `clipnorm` scales
        the g of each W and each b down to this norm if its norm sqrt(sum g^2) is larger.
        `global_clipnorm` does the same with the norm over all trained layers together. History
        records the number of clipped steps.
    use_ema : bool
        Whether to keep a running average of the weights, average := ema_momentum * average +
        (1 - ema_momentum) * W after every step, starting with W after the first step. The average
        replaces the weights when `fit` ends, as in Keras.
    ema_momentum : float, optional
        From 0 to below 1. With None the average is the mean of the weights after all steps so far
        (Polyak, Juditsky 1992).
    """

    learning_rate: float | Schedule | Literal["auto"] = 0.001
    weight_decay: float = field(default=0.0, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float | None = field(default=0.99, kw_only=True)

    def __post_init__(self) -> None:
        self.__dict__.pop("clips", None)  # it may be cached from before all arguments were set
        self._check(0.004, "weight_decay", high=None)
        if self.ema_momentum is not None:
            self._check(0.99, "ema_momentum", high=BELOW_1)
        self.__dict__["use_ema"] = flag("use_ema", self.use_ema)
        given = [name for name in CLIPS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} are given; expected one of them")
        for name in given:
            self.__dict__[name] = real_number(name, getattr(self, name), above=0)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "learning_rate":
            value = self._checked_rate(value)
            if isinstance(value, str) and self.__dict__.get(name, value) != value:
                raise ValueError(
                    f"learning_rate={value!r} is for an optimiser from the start: compile the "
                    f"model with SGD(learning_rate={value!r})"
                )
            self.__dict__.pop("follows_cost", None)
            self.__dict__.pop("compares_costs", None)
        elif name in self.__dict__ or not getattr(
            self.__dataclass_fields__.get(name), "init", False
        ):
            raise AttributeError(self._cannot_set(name, value))
        self.__dict__[name] = value

    def _cannot_set(self, name: str, value: object) -> str:
        """Why an attribute cannot be set, and what to do."""
        kind = type(self).__name__
        known = [field.name for field in fields(self) if field.init]
        if name in known:
            return (
                f"{name} cannot be changed after construction: compile with a new optimiser, e.g. "
                f"optimizer={kind}({name}={shown(value)})"
            )
        remedy = f"it has {', '.join(known)}"
        if name == "lr" and self.has_rate:
            remedy = f"set its rate, optimizer.learning_rate = {shown(value)}"
        return f"{kind} has no {name}; {remedy}"

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name == "learning_rate" or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _checked_rate(self, rate: object) -> object:
        if isinstance(rate, Schedule):
            return rate
        if isinstance(rate, str):
            raise ValueError(
                f"learning_rate={rate!r}: expected a number or a Schedule; 'auto' is for "
                f"SGD(learning_rate='auto')"
            )
        return real_number("learning_rate", rate, low=0)

    def _check(self, example: float, *names: str, low: float = 0, high: float | None = 1) -> None:
        """Check that these arguments are numbers from `low` to `high`."""
        for name in names:
            self.__dict__[name] = real_number(
                name, getattr(self, name), low=low, high=high, example=example
            )

    @property
    def method(self) -> str:
        """The method's name in SLOTS and METHODS."""
        raise NotImplementedError

    @property
    def initial(self) -> float:
        """The initial value of the slots."""
        return 0.0

    @cached_property
    def n_slots(self) -> int:
        """How many numbers are kept for every parameter."""
        return SLOTS[self.method] + self.use_ema

    @cached_property
    def follows_cost(self) -> bool:
        """Whether each step searches for its rate by the cost: learning_rate="auto"."""
        return isinstance(self.learning_rate, str)

    @cached_property
    def has_rate(self) -> bool:
        """Whether the steps have a learning rate."""
        return True

    @cached_property
    def compares_costs(self) -> bool:
        """Whether it compares the cost of rows before and after a step: without dropout."""
        return self.follows_cost

    @cached_property
    def clips(self) -> bool:
        """Whether gradients may be clipped."""
        limits = self.clipvalue, self.clipnorm, self.global_clipnorm
        return limits != (None, None, None)

    def _constants(self, **numbers: float) -> Array:
        constants = np.zeros(1, CONSTANTS)
        constants["method"] = METHODS[self.method]
        constants["shrinks"], constants["averages"] = self.weight_decay > 0, self.use_ema
        for name, code in CLIPS.items():
            if (limit := getattr(self, name)) is not None:
                constants["clip"], constants["limit"] = code, limit
        for name, number in numbers.items():
            constants[name] = number
        return constants

    def constants(self) -> Array:
        """The constants of the optimiser's rule, one record of CONSTANTS."""
        return self._constants()

    @cached_property
    def _fixed_constants(self) -> Array:
        """Cached, because only the learning rate can change after construction."""
        return self.constants()

    def rule(self, layers: Array, state: State) -> Rule:
        """Return the rule for the core; `layers` is the table `Network.layer_rules`.

        Raises RuntimeError if the state belongs to another optimiser, because the core would then
        read slots that do not exist.
        """
        if len(state.slots) != self.n_slots:
            raise RuntimeError(
                "the model was compiled again while it was training; compile it before or after"
            )
        return Rule(self._fixed_constants, layers, state.slots, state.counts)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        if isinstance(self.learning_rate, float):
            return self.learning_rate
        return float(self._rates(np.array([float(step)]))[0])

    def _rates(self, steps: Array) -> Array:
        """Return the learning rates of several steps; NaN for "auto", which searches for them."""
        rate = self.learning_rate
        if not isinstance(rate, Schedule):
            return np.full(len(steps), math.nan if isinstance(rate, str) else rate)
        # A copy, because a custom schedule may change its argument.
        rates = np.array(rate.rates(steps.copy()), np.float64)
        if rates.shape != steps.shape or not (rates >= 0).all() or not np.isfinite(rates).all():
            raise ValueError(
                f"learning_rate={rate!r}: for {len(steps)} steps from step {steps[0]:.0f} on its "
                f"method `rates` returned shape {rates.shape}, from {rates.min()} to "
                f"{rates.max()}; expected a finite rate >= 0 for each step"
            )
        return rates

    def last_rate(self, state: State) -> float:
        """Return the learning rate of the last step made."""
        return state.rate if self.follows_cost else self.rate(max(state.step - 1, 0))

    def correction(self, t: Any) -> Any:
        """Return the factor for the rate of step t = 1, 2, ...; t may be an array."""
        return 1.0

    def constant_step(self) -> Array | None:
        """Return one record of STEP if all steps are equal, otherwise None.

        The very first step may still differ: it starts the running average.
        """
        rate = self.learning_rate
        if not isinstance(rate, float) or type(self).correction is not Optimizer.correction:
            return None
        if self.use_ema and self.ema_momentum is None:
            return None
        constant = np.zeros(1, STEP)
        constant["rate"], constant["shrink"] = rate, rate * self.weight_decay
        constant["keep"], constant["share"] = self.ema_momentum or 0.0, 1
        return constant

    def steps(self, step: int, n_steps: int) -> Array:
        """Return records of STEP for `n_steps` steps; a single one if all are equal."""
        constant = self.constant_step()
        if constant is not None and not (self.use_ema and step == 0):
            return constant
        numbers = np.arange(step, step + n_steps, dtype=np.float64)
        rates = self._rates(numbers)
        rows = np.zeros(n_steps, STEP)
        rows["rate"] = rates * self.correction(numbers + 1)
        rows["shrink"] = rates * self.weight_decay
        keep = numbers / (numbers + 1) if self.ema_momentum is None else self.ema_momentum
        rows["keep"] = np.where(numbers, keep, 0)
        rows["share"] = 1
        return rows


@dataclass(repr=False)
class SGD(Optimizer):
    """Gradient descent, W := W - learning_rate * dL/dW, optionally with momentum.

    With momentum each weight has a velocity v, zero at first, and a step is
    v := momentum * v - learning_rate * dL/dW, then W := W + v; or, with `nesterov`,
    W := W + momentum * v - learning_rate * dL/dW with the new v. These are Keras's formulas.

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        The step size, at least 0, or a schedule that returns it for each step. "auto" is a line
        search on the cost L (Armijo 1966, with the factor 1/2): in batch mode each step first tries
        twice the rate of the last one (1 at first), and halves it while
        L(W - rate * g) > L(W) - rate / 2 * sum g^2, where g is the gradient. So every step lowers
        L or leaves the weights as they are. In minibatch mode L is the cost of the batch, the rate
        grows by a factor of 4 an epoch at most, shrinks by 0.9, and the factor 1/2 is 1/5 (Vaswani
        et al. 2019, arXiv:1905.09997). That suits networks that can fit every row; where they
        cannot, a constant rate that falls is better. "auto" cannot be combined with momentum,
        weight decay, clipping, a running average or dropout, nor with single steps.
    momentum : float
        From 0 (plain gradient descent) to 1 (no friction); 0.9 is usual. Repeated steps in one
        direction become 1 / (1 - momentum) times as long, so choose a smaller learning rate.
    nesterov : bool
        Whether to use Nesterov's momentum; it has no effect without momentum.
    weight_decay, clipvalue, clipnorm, global_clipnorm, use_ema, ema_momentum
        As for all optimisers, see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If `learning_rate` is not a finite number >= 0, `momentum` is not a number from 0 to 1, or
        "auto" is combined with another option.

    Examples
    --------
    >>> from fastnn import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9)
    """

    learning_rate: float | Schedule | Literal["auto"] = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.9, "momentum")
        self.__dict__["nesterov"] = flag("nesterov", self.nesterov)
        self._checked_rate(self.learning_rate)  # again: "auto" excludes other arguments

    def _checked_rate(self, rate: object) -> object:
        if not isinstance(rate, str) or rate != "auto":
            return super()._checked_rate(rate)
        if self.momentum or self.weight_decay or self.use_ema or self.clips:
            raise ValueError(
                "learning_rate='auto' is for plain gradient descent, without momentum, weight "
                "decay, clipping or average; e.g. SGD(learning_rate='auto')"
            )
        return rate

    @property
    def method(self) -> str:
        return "momentum" if self.momentum else "plain"

    def constants(self) -> Array:
        return self._constants(first=self.momentum, nesterov=float(self.nesterov))


@dataclass(repr=False)
class Adam(Optimizer):
    """Divides a running mean of the gradient by the root of a running mean of its square.

    Each weight has m and v, zero at first. With g = dL/dW a step t = 1, 2, ... is
    m := m + (1 - beta_1) (g - m), v := v + (1 - beta_2) (g^2 - v), then
    W := W - learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon).
    As in Keras and scikit-learn, epsilon is added to sqrt(v) before the bias correction; PyTorch
    adds it afterwards. In stochastic mode every row is a step. Source: Kingma, Ba 2015
    (arXiv:1412.6980), end of section 2.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, at least 0, or a schedule that returns it for each step.
    beta_1, beta_2 : float
        The fraction of each running mean that a step keeps, from 0 to below 1.
    epsilon : float
        Prevents division by 0; at least 1e-35, which is not rounded to 0 in float32.
    amsgrad : bool
        Whether to divide by the largest v so far (Reddi, Kale, Kumar 2018).
    weight_decay, clipvalue, clipnorm, global_clipnorm, use_ema, ema_momentum
        As for all optimisers, see `Optimizer`.

    Examples
    --------
    >>> from fastnn import Adam
    >>> Adam().beta_2
    0.999
    """

    learning_rate: float | Schedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.9, "beta_1", "beta_2", high=BELOW_1)
        self._check(1e-7, "epsilon", low=SMALLEST_EPSILON, high=None)
        self.__dict__["amsgrad"] = flag("amsgrad", self.amsgrad)

    @property
    def method(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"

    def constants(self) -> Array:
        return self._constants(first=self.beta_1, second=self.beta_2, epsilon=self.epsilon)

    def correction(self, t: Any) -> Any:
        """Correct the bias of running means that start at zero."""
        return (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)


@dataclass(repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default as in Keras.

    The parameters are those of `Adam`; all except `learning_rate` must be passed by keyword.
    Source: Loshchilov, Hutter 2019.

    Examples
    --------
    >>> from fastnn import AdamW
    >>> AdamW().weight_decay
    0.004
    """

    beta_1: float = field(default=0.9, kw_only=True)
    beta_2: float = field(default=0.999, kw_only=True)
    epsilon: float = field(default=1e-7, kw_only=True)
    amsgrad: bool = field(default=False, kw_only=True)
    weight_decay: float = field(default=0.004, kw_only=True)


@dataclass(repr=False)
class RMSprop(Optimizer):
    """Divides the gradient by the root of a running mean of its square.

    Each weight has v, zero at first. With g = dL/dW a step is
    v := v + (1 - rho) (g^2 - v), then W := W - learning_rate * g / sqrt(v + epsilon); or, with
    momentum, u := momentum * u + learning_rate * g / sqrt(v + epsilon), then W := W - u. This is
    Keras's formula, without the option `centered`.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, at least 0, or a schedule that returns it for each step.
    rho : float
        The fraction of the running mean that a step keeps, from 0 to 1.
    momentum : float
        From 0 to 1.
    epsilon : float
        Prevents division by 0; at least 1e-35, which is not rounded to 0 in float32.
    weight_decay, clipvalue, clipnorm, global_clipnorm, use_ema, ema_momentum
        As for all optimisers, see `Optimizer`.

    Examples
    --------
    >>> from fastnn import RMSprop
    >>> RMSprop().rho
    0.9
    """

    learning_rate: float | Schedule = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.9, "rho", "momentum")
        self._check(1e-7, "epsilon", low=SMALLEST_EPSILON, high=None)

    @property
    def method(self) -> str:
        return "rmsprop with momentum" if self.momentum else "rmsprop"

    def constants(self) -> Array:
        return self._constants(first=self.rho, second=self.momentum, epsilon=self.epsilon)


@dataclass(repr=False)
class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of its squares so far.

    Each weight has v, `initial_accumulator_value` at first, as in Keras. With g = dL/dW a step is
    v := v + g^2, then W := W - learning_rate * g / sqrt(v + epsilon). Source: Duchi, Hazan, Singer
    2011.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, at least 0, or a schedule that returns it for each step.
    initial_accumulator_value : float
        The initial value of v, at least 0.
    epsilon : float
        Prevents division by 0; at least 1e-35, which is not rounded to 0 in float32.
    weight_decay, clipvalue, clipnorm, global_clipnorm, use_ema, ema_momentum
        As for all optimisers, see `Optimizer`.

    Examples
    --------
    >>> from fastnn import Adagrad
    >>> Adagrad(0.1).learning_rate
    0.1
    """

    learning_rate: float | Schedule = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(0.1, "initial_accumulator_value", high=None)
        self._check(1e-7, "epsilon", low=SMALLEST_EPSILON, high=None)

    @property
    def initial(self) -> float:
        return self.initial_accumulator_value

    @property
    def method(self) -> str:
        return "adagrad"

    def constants(self) -> Array:
        return self._constants(epsilon=self.epsilon)


@dataclass(repr=False)
class LBFGS(Optimizer):
    """Takes quasi-Newton steps in batch mode: L-BFGS with a line search, from SciPy.

    The curvature is estimated from the last `history_size` gradients of the cost L over all rows,
    from scratch in every `fit`. An epoch is one iteration, mostly one or two passes over the rows;
    `fit` ends early if L cannot be lowered further. Needs SciPy. In float32 rounding of the cost
    limits how close it gets to the minimum: use Sequential(..., dtype="float64") for the best
    result. Sources: Liu, Nocedal 1989; Zhu et al. 1997 (L-BFGS-B, which SciPy uses).

    Parameters
    ----------
    history_size : int
        How many gradients to keep, from 1 to 1000.
    cost_tolerance : float
        `fit` ends when an iteration lowers L by no more than cost_tolerance * max(abs(L), 1).
    gradient_tolerance : float
        `fit` ends when no component of the gradient is larger in absolute value.
    max_evaluations : int, optional
        `fit` ends after this number of passes over the rows; by default 20 per epoch.

    Raises
    ------
    TypeError, ValueError
        If `history_size` is not a whole number from 1 to 1000, a tolerance is not a finite number
        >= 0, or `max_evaluations` is not a whole number >= 1.

    Examples
    --------
    >>> from fastnn import LBFGS
    >>> LBFGS().history_size
    10
    """

    learning_rate: float | Schedule = field(default=1.0, init=False)
    weight_decay: float = field(default=0.0, init=False)
    clipvalue: float | None = field(default=None, init=False)
    clipnorm: float | None = field(default=None, init=False)
    global_clipnorm: float | None = field(default=None, init=False)
    use_ema: bool = field(default=False, init=False)
    ema_momentum: float | None = field(default=0.0, init=False)
    history_size: int = 10
    cost_tolerance: float = 0.0
    gradient_tolerance: float = 0.0
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        self.__dict__.__setitem__(
            "history_size",
            whole_number("history_size", self.history_size, minimum=1, maximum=MOST_GRADIENTS),
        )
        self._check(1e-9, "cost_tolerance", "gradient_tolerance", high=None)
        if self.max_evaluations is not None:
            limit = whole_number("max_evaluations", self.max_evaluations, minimum=1)
            self.__dict__["max_evaluations"] = limit

    def __repr__(self) -> str:
        names = "cost_tolerance", "gradient_tolerance", "max_evaluations"
        given = [f", {name}={value}" for name in names if (value := getattr(self, name))]
        return f"LBFGS(history_size={self.history_size}{''.join(given)})"

    @property
    def method(self) -> str:
        return "plain"

    @cached_property
    def compares_costs(self) -> bool:
        return True

    @cached_property
    def has_rate(self) -> bool:
        return False

    def _checked_rate(self, rate: object) -> object:
        raise ValueError("LBFGS has no learning rate: a line search finds the length of each step")


def remedy(optimizer: Optimizer, step: int, layers: Array, *, standardised: bool = False) -> str:
    """Suggest what to change after training diverged; `layers` is `Network.layer_rules`."""
    scale = "the features (with a Normalization layer) and, in a regression, the targets"
    if standardised:
        scale = "the targets, in a regression"
    rate, decay = optimizer.rate(step), layers["decay"].max(initial=0)
    if optimizer.follows_cost or not rate:
        return f"Standardise {scale}"
    hundredth = 0.01 / rate
    for name, factor, small in (
        (f"L2({decay / 2:g})", decay, f"L2({hundredth:g})"),
        (
            f"weight_decay={optimizer.weight_decay:g}",
            optimizer.weight_decay,
            f"weight_decay={hundredth:g}",
        ),
    ):
        if rate * factor >= 1:
            return f"{name} is too large for learning_rate={rate:g}: try {small} or less"
    cause, smaller = _too_large(rate, getattr(optimizer, "momentum", 0.0))
    return (
        f"Most likely {cause} is too large for data of this scale: try "
        f"{type(optimizer).__name__}({smaller}), or standardise {scale}"
    )


def _too_large(rate: float, momentum: float) -> tuple[str, str]:
    """Return the rate that is too large and a smaller one as arguments, with any momentum."""
    cause, smaller = f"learning_rate={rate:g}", f"learning_rate={min(rate / 10, 0.1):g}"
    if momentum:
        cause += f" with momentum={momentum:g} (steps grow like learning_rate / (1 - momentum))"
        smaller += f", momentum={min(momentum, 0.9):g}"
    return cause, smaller


OptimizerLike = OptimizerName | Optimizer  # what `compile(optimizer=...)` accepts

OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, Adam, AdamW, RMSprop, Adagrad, LBFGS)
}


def get(optimizer: object) -> Optimizer:
    """Return a new optimiser for a name (with default settings), or a copy of an optimiser."""
    if isinstance(optimizer, Optimizer) and type(optimizer) is not Optimizer:
        return copy(optimizer)
    if not isinstance(optimizer, str):
        named = OPTIMIZERS.get(getattr(optimizer, "__name__", "").lower())
        example = "SGD(learning_rate=0.1)" if named is None else f"{named.__name__}()"
        raise TypeError(
            f"optimizer={shown(optimizer)}: expected a name or an optimiser, "
            f"e.g. optimizer={example}"
        )
    return lookup("optimizer", optimizer, OPTIMIZERS)()
