"""The parameters of scikit-learn's perceptrons, and what they mean to the engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn.activations import ActivationName
from fastnn.callbacks.base import Callback
from fastnn.data.checks import real_number, warn
from fastnn.data.rows import Array
from fastnn.layers import LARGEST_RATE, Dense, Dropout, Layer
from fastnn.losses import LOSSES, Loss, LossName
from fastnn.optimizers import LBFGS, OPTIMIZERS, SGD, SMALLEST_EPSILON, Adam, Optimizer
from fastnn.regularizers import SharedL2
from fastnn.schedules import Schedule
from fastnn.training.plan import MODES, Mode, batch_size_for

# What arguments may be, for editors and type checkers: fastnn's names, and scikit-learn's words.
ActivationWord = ActivationName | Literal["identity", "logistic", "exp"]
Activations = ActivationWord | Sequence[ActivationWord]
LossWord = LossName | Literal["squared_error", "poisson"]
RateRule = Literal["constant", "invscaling", "adaptive"]
SolverName = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad", "lbfgs"]

# scikit-learn's words for what is called otherwise here
ACTIVATION_WORDS: dict[str, ActivationName] = {
    "identity": "linear",
    "logistic": "sigmoid",
    "exp": "exponential",
}
LOSS_WORDS = {"squared_error": "half_squared_error", "poisson": "half_poisson_deviance"}
OWN_WORDS: dict[str, str] = {word: name for name, word in ACTIVATION_WORDS.items()}
AUTO_BATCH = 200  # rows at most in a batch of "auto"


class Finite(Interval):  # type: ignore[misc]  # scikit-learn has no types
    """An interval without whole numbers and fractions that no float can hold."""

    def __contains__(self, value: Any) -> bool:
        try:
            float(value)
        except OverflowError:
            return False
        return bool(super().__contains__(value))


class Parameters(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The hyperparameters of both estimators, their constraints, and the objects they stand for."""

    hidden_layer_sizes: Any
    activation: Activations
    solver: SolverName | Optimizer
    alpha: float
    batch_size: Any
    learning_rate: RateRule | Schedule
    learning_rate_init: float
    power_t: float
    max_iter: int
    loss: LossWord | Loss
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    out_activation: ActivationWord | None
    dropout: float | Sequence[float]
    scoring: str | Callable[..., float] | None
    mode: Mode | None
    average: bool
    callbacks: Sequence[Callback] | None
    threads: int | None
    class_weight: Any = None

    _kinds_of_targets: ClassVar[tuple[str, ...]]  # that its losses may have

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*get_args(ActivationName), *ACTIVATION_WORDS}), list, tuple],
        "solver": [StrOptions(set(OPTIMIZERS)), Optimizer],
        "alpha": [Finite(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(get_args(RateRule))), Schedule],
        "learning_rate_init": [Finite(Real, 0, None, closed="left")],
        "power_t": [Finite(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions({*LOSSES, *LOSS_WORDS}), Loss],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Finite(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Finite(Real, SMALLEST_EPSILON, None, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "out_activation": [StrOptions({*get_args(ActivationName), *ACTIVATION_WORDS}), None],
        "dropout": [Interval(Real, 0, LARGEST_RATE, closed="both"), list, tuple],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "mode": [StrOptions(set(MODES)), None],
        "average": ["boolean"],
        "callbacks": [list, tuple, None],
        "threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Store every argument under its own name, unchecked, as scikit-learn requires."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)

    # ---- what they stand for -----------------------------------------------------------------

    @property
    def _words(self) -> list[Any]:
        """Hyperparameters that decide the network; if one changes, a new network is needed."""
        names = "alpha", "activation", "out_activation", "dropout", "loss"
        return [[copy.copy(getattr(self, name)) for name in names], self._hidden_sizes]

    def _check_words(self, *, incremental: bool) -> None:
        """Raise if some hyperparameters do not go together."""
        sizes = self._hidden_sizes
        for size in sizes:
            if not isinstance(size, Integral):
                raise ValueError(f"hidden_layer_sizes must be whole numbers, got {sizes}.")
            if size <= 0:
                raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight '{self.class_weight}' is not supported for partial_fit. In order to "
                f"use 'balanced' weights, use compute_class_weight('balanced', classes=classes, "
                f"y=y) and pass a dictionary of its results as class_weight"
            )
        self._check_solver_words()

    def _check_solver_words(self) -> None:
        """Raise if the solver does not go with the others."""
        modes = [None, "batch"] if self._is_lbfgs else [None, "batch", "minibatch"]
        if self._compares_costs and (self.mode not in modes or np.any(self.dropout)):
            raise ValueError(
                f"solver={self.solver!r} compares the cost from step to step: expected mode="
                f"{' or '.join(map(repr, modes))}, and no dropout, but mode={self.mode!r}, "
                f"dropout={self.dropout!r}"
            )
        if self.average and (self._is_lbfgs or not isinstance(self.solver, str)):
            raise ValueError(
                f"average=True goes with a solver by name, other than 'lbfgs'; here solver="
                f"{self.solver!r}. An object averages by itself: SGD(use_ema=True, "
                f"ema_momentum=None)"
            )
        if not isinstance(self.solver, str) and self.learning_rate != "constant":
            raise ValueError(
                f"learning_rate={self.learning_rate!r}, but solver={self.solver!r} brings a rate "
                f"of its own; leave one of them out, e.g. solver='sgd'"
            )

    @property
    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return [sizes] if not hasattr(sizes, "__iter__") else list(sizes)

    def _hidden_activations(self, n_hidden: int) -> list[Any]:
        given = self.activation
        names = [given] * n_hidden if isinstance(given, str) else list(given)
        if len(names) != n_hidden:
            raise ValueError(
                f"activation={given!r} names {len(names)}, but there are {n_hidden} hidden layers; "
                f"expected one for each, e.g. activation={['relu'] * n_hidden!r}"
            )
        return [ACTIVATION_WORDS.get(name, name) for name in names]

    def _dropout_rates(self, n_hidden: int) -> list[float]:
        """How much of each hidden layer's outputs is left out."""
        given = self.dropout
        rates = list(given) if isinstance(given, list | tuple) else [given] * n_hidden
        if len(rates) != n_hidden:
            raise ValueError(
                f"dropout={given!r} holds {len(rates)} rates, but there are {n_hidden} hidden "
                f"layers; expected one for each, e.g. dropout={[0.5] * n_hidden!r}"
            )
        return [
            real_number("dropout", rate, low=0, high=LARGEST_RATE, example=0.5) for rate in rates
        ]

    def _layers(self, n_outputs: int, output_activation: Any) -> list[Layer]:
        sizes = self._hidden_sizes
        activations, rates = self._hidden_activations(len(sizes)), self._dropout_rates(len(sizes))
        penalty = SharedL2(self.alpha) if self.alpha else None
        layers: list[Layer] = []
        for size, activation, rate in zip(sizes, activations, rates, strict=True):
            layers.append(Dense(size, activation, kernel_regularizer=penalty))
            layers += [Dropout(rate)] if rate else []
        return [*layers, Dense(n_outputs, output_activation, kernel_regularizer=penalty)]

    def _loss_for(self, y: Array) -> Loss:
        """The loss, divided by the sample weights as scikit-learn's are."""
        loss = self.loss
        if isinstance(loss, str):
            loss = LOSSES[LOSS_WORDS.get(loss, loss)]()
        if loss.targets not in self._kinds_of_targets:
            raise ValueError(
                f"loss={self.loss!r} is not for {type(self).__name__}, whose losses take "
                f"{' or '.join(self._kinds_of_targets)}"
            )
        return loss.averaged()

    def _output_activation(self, loss: Loss) -> str:
        given = self.out_activation or (loss.outputs[0] if loss.outputs else "linear")
        name = ACTIVATION_WORDS.get(given, given)
        if loss.outputs and name not in loss.outputs:
            fitting = [OWN_WORDS.get(name, name) for name in loss.outputs]
            raise ValueError(
                f"out_activation={given!r} does not go with loss={self.loss!r} on these targets; "
                f"expected {' or '.join(map(repr, fitting))}"
            )
        return name

    @property
    def _rate_rule(self) -> str:
        """How epochs change the learning rate: of Adam they do not, as in scikit-learn."""
        given, named = self.learning_rate, isinstance(self.solver, str)
        return given if isinstance(given, str) and named and self.solver != "adam" else "constant"

    def _new_optimizer(self) -> Optimizer:
        solver = self.solver
        if isinstance(solver, Optimizer):
            return solver
        if solver == "lbfgs":
            return LBFGS(
                cost_tolerance=1e7 * np.finfo(np.float64).eps,  # SciPy's own default
                gradient_tolerance=self.tol,
                max_evaluations=self.max_fun,
            )
        given = self.learning_rate
        rate = given if isinstance(given, Schedule) else float(self.learning_rate_init)
        made = OPTIMIZERS[solver]
        settings: dict[str, Any] = {"use_ema": self.average, "ema_momentum": None}
        if made is SGD:
            settings |= {"momentum": self.momentum, "nesterov": self.nesterovs_momentum}
        elif issubclass(made, Adam):
            settings |= {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return made(rate, **settings)

    def _size_of_batches(self, n_rows: int) -> int:
        if self._compares_costs and self.mode != "minibatch":
            return n_rows
        given = self.batch_size
        if given == "auto":
            size = None if self.mode in ("stochastic", "batch") else min(AUTO_BATCH, n_rows)
        else:
            if given > n_rows:
                warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                    "clipped"
                )
            size = min(given, n_rows)
        return batch_size_for(self.mode, size, n_rows)

    @property
    def _compares_costs(self) -> bool:
        return self._is_lbfgs or getattr(self.solver, "compares_costs", False)

    @property
    def _is_lbfgs(self) -> bool:
        return self.solver == "lbfgs" or isinstance(self.solver, LBFGS)
