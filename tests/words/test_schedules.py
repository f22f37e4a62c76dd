"""Schedules: rates worked out by hand from the formulas of Keras, and of PyTorch for OneCycle.

Half a cosine wave, (1 + cos(pi u)) / 2, is 1, 0.8535..., 0.75, 0.5, 0.25, 0.1464..., 0 at the
fractions u = 0, 1/4, 1/3, 1/2, 2/3, 3/4, 1.
"""

import inspect
import pickle
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import numpy as np
import pytest

from fastnn.schedules import (
    SCHEDULES,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseScaling,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Schedule,
)

QUARTER, THREE_QUARTERS = 0.8535533905932737, 0.1464466094067262  # of a wave
HUGE = 2**40

# A name, a schedule, and its rates at some steps.
RATES = [
    (
        "exponential",
        ExponentialDecay(0.1, 100, 0.25),
        {0: 0.1, 1: 0.0986232704493359, 50: 0.05, 99: 0.0253489869947507, 100: 0.025, 150: 0.0125},
    ),
    (
        "exponential, staircase",
        ExponentialDecay(0.1, 100, 0.25, staircase=True),
        {0: 0.1, 1: 0.1, 99: 0.1, 100: 0.025, 101: 0.025, 199: 0.025, 200: 0.00625, HUGE: 0.0},
    ),
    (
        "exponential, one step",
        ExponentialDecay(0.5, 1, 0.5),
        {0: 0.5, 1: 0.25, 2: 0.125, 3: 0.0625},
    ),
    (
        "exponential, to zero",
        ExponentialDecay(0.5, 10, 0.0, staircase=True),
        {0: 0.5, 9: 0.5, 10: 0.0},
    ),
    (
        "constant pieces",
        PiecewiseConstantDecay([100, 250], [1.0, 0.5, 0.1]),
        {0: 1.0, 99: 1.0, 100: 1.0, 101: 0.5, 250: 0.5, 251: 0.1, 9999: 0.1, HUGE: 0.1},
    ),
    (
        "constant pieces, four",
        PiecewiseConstantDecay([0, 1, 10], [0.1, 0.2, 0.3, 0.4]),
        {0: 0.1, 1: 0.2, 2: 0.3, 10: 0.3, 11: 0.4},
    ),
    (
        "line",
        PolynomialDecay(0.1, 100),
        {0: 0.1, 1: 0.099001, 50: 0.05005, 99: 0.001099, 100: 0.0001, 101: 0.0001, HUGE: 0.0001},
    ),
    (
        "parabola",
        PolynomialDecay(0.1, 100, end_learning_rate=0.02, power=2.0),
        {0: 0.1, 25: 0.065, 50: 0.04, 75: 0.025, 100: 0.02, 200: 0.02},
    ),
    (
        "root",
        PolynomialDecay(0.1, 100, end_learning_rate=0.0, power=0.5),
        {0: 0.1, 19: 0.09, 64: 0.06, 99: 0.01, 100: 0.0},
    ),
    (
        "line that cycles",
        PolynomialDecay(0.1, 100, end_learning_rate=0.02, cycle=True),
        {0: 0.1, 50: 0.06, 100: 0.02, 101: 0.0596, 150: 0.04, 200: 0.02, 225: 0.04, 300: 0.02},
    ),
    (
        "parabola that cycles",
        PolynomialDecay(0.1, 100, end_learning_rate=0.02, power=2.0, cycle=True),
        {0: 0.1, 50: 0.04, 100: 0.02, 150: 0.025, 225: 0.025},
    ),
    (
        "line that rises",
        PolynomialDecay(0.1, 100, end_learning_rate=0.3),
        {0: 0.1, 50: 0.2, 100: 0.3, 101: 0.3},
    ),
    (
        "cosine",
        CosineDecay(0.1, 1200),
        {
            0: 0.1,
            300: 0.1 * QUARTER,
            400: 0.075,
            600: 0.05,
            800: 0.025,
            900: 0.1 * THREE_QUARTERS,
            1200: 0.0,
            1201: 0.0,
            HUGE: 0.0,
        },
    ),
    (
        "cosine, alpha",
        CosineDecay(0.1, 1200, alpha=0.2),
        {0: 0.1, 400: 0.08, 600: 0.06, 800: 0.04, 1200: 0.02, 5000: 0.02, HUGE: 0.02},
    ),
    (
        "cosine, warm-up",
        CosineDecay(0.1, 1200, alpha=0.2, warmup_target=0.5, warmup_steps=100),
        {
            0: 0.1,
            1: 0.104,
            50: 0.3,
            99: 0.496,
            100: 0.5,
            500: 0.4,
            700: 0.3,
            900: 0.2,
            1300: 0.1,
            1301: 0.1,
        },
    ),
    (
        "cosine, warm-up from zero",
        CosineDecay(0, 1200, warmup_target=0.5, warmup_steps=100),
        {0: 0.0, 1: 0.005, 100: 0.5, 500: 0.375, 700: 0.25, 1300: 0.0},
    ),
    (
        "cosine, warm-up downwards",
        CosineDecay(0.5, 1200, warmup_target=0.1, warmup_steps=100),
        {0: 0.5, 50: 0.3, 100: 0.1, 700: 0.05},
    ),
    (
        "cosine, warm-up of no steps",
        CosineDecay(0.1, 1200, warmup_target=0.5),
        {0: 0.5, 600: 0.25, 1200: 0.0},
    ),
    (
        "restarts",
        CosineDecayRestarts(0.1, 120),
        {
            0: 0.1,
            30: 0.1 * QUARTER,
            60: 0.05,
            90: 0.1 * THREE_QUARTERS,
            120: 0.1,
            200: 0.075,
            240: 0.05,
            360: 0.1,
            600: 0.05,
            840: 0.1,
        },
    ),
    (
        "restarts, equal periods",
        CosineDecayRestarts(0.1, 120, t_mul=1.0),
        {0: 0.1, 80: 0.025, 120: 0.1, 180: 0.05, 240: 0.1, 280: 0.075, 120_000: 0.1},
    ),
    (
        "restarts, lower and lower",
        CosineDecayRestarts(0.1, 120, m_mul=0.5, alpha=0.2),
        {0: 0.1, 60: 0.06, 120: 0.06, 240: 0.04, 360: 0.04, 600: 0.03, 840: 0.03},
    ),
    (
        "restarts, lower in equal periods",
        CosineDecayRestarts(0.1, 120, t_mul=1.0, m_mul=0.5),
        {0: 0.1, 60: 0.05, 120: 0.05, 180: 0.025, 240: 0.025, 360: 0.0125},
    ),
    (
        "restarts, half as long again",
        CosineDecayRestarts(0.1, 100, t_mul=1.5, m_mul=0.8),
        {50: 0.05, 100: 0.08, 150: 0.06, 175: 0.04, 200: 0.02, 250: 0.064, 400: 0.016, 475: 0.0512},
    ),
    (
        "inverse time",
        InverseTimeDecay(0.1, 100, 0.5),
        {0: 0.1, 1: 0.0995024875621891, 100: 0.0666666666666667, 200: 0.05, 1800: 0.01},
    ),
    (
        "inverse time, staircase",
        InverseTimeDecay(0.1, 100, 0.5, staircase=True),
        {0: 0.1, 99: 0.1, 100: 0.0666666666666667, 199: 0.0666666666666667, 200: 0.05},
    ),
    (
        "inverse root",
        InverseScaling(0.1),
        {0: 0.1, 1: 0.0707106781186548, 3: 0.05, 24: 0.02, 99: 0.01, 2**40 - 1: 0.1 / 2**20},
    ),
    ("inverse power", InverseScaling(0.1, power=2), {0: 0.1, 1: 0.025, 9: 0.001}),
    ("inverse power of 0", InverseScaling(0.1, power=0), {0: 0.1, 9: 0.1}),
    (
        "one cycle",
        OneCycle(0.5, 1204, pct_start=0.25),  # up to step 300, down to step 1203
        {
            0: 0.02,
            75: 0.5 - 0.48 * QUARTER,
            100: 0.14,
            150: 0.26,
            200: 0.38,
            300: 0.5,
            601: 0.3750005,
            902: 0.1250015,
            1203: 2e-6,
            1204: 2e-6,
            HUGE: 2e-6,
        },
    ),
    (
        "one cycle, factors",
        OneCycle(0.5, 101, pct_start=1 / 101, div_factor=5.0, final_div_factor=0.4),
        {0: 0.5, 25: 0.25 + 0.25 * QUARTER, 50: 0.375, 75: 0.25 + 0.25 * THREE_QUARTERS, 100: 0.25},
    ),
    (
        "one cycle, only up",
        OneCycle(0.5, 101, pct_start=1.0),
        {0: 0.02, 50: 0.26, 100: 0.5, 101: 0.5, HUGE: 0.5},
    ),
    (
        "one cycle, only down",  # from a step before the first
        OneCycle(0.5, 4, pct_start=0, final_div_factor=2),
        {0: 0.01 + 0.49 * QUARTER, 1: 0.255, 2: 0.01 + 0.49 * THREE_QUARTERS, 3: 0.01, 4: 0.01},
    ),
    ("one cycle, one step", OneCycle(0.5, 1), {0: 2e-6, 1: 2e-6}),
    ("one cycle, a step up of two", OneCycle(0.5, 2, pct_start=0.5), {0: 0.5, 1: 2e-6, 2: 2e-6}),
]
NAMES = [name for name, *_ in RATES]
PAIRS = [(schedule, expected) for _, schedule, expected in RATES]
ALL = [schedule for schedule, _ in PAIRS]


@pytest.mark.parametrize(("schedule", "expected"), PAIRS, ids=NAMES)
def test_rates_are_the_published_ones(schedule, expected):
    rates = schedule.rates(np.array(list(expected)))
    assert rates.dtype == np.float64
    np.testing.assert_allclose(rates, list(expected.values()), rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("schedule", ALL, ids=NAMES)
def test_one_step_is_many_steps(schedule):
    steps = np.arange(2000)
    rates = schedule.rates(steps)
    one_by_one = [schedule(int(step)) for step in steps]
    assert {type(rate) for rate in one_by_one} == {float}
    np.testing.assert_allclose(one_by_one, rates, rtol=1e-14, atol=1e-18)
    assert schedule.rates(steps.reshape(40, 50)).shape == (40, 50)
    assert schedule.rates(steps[:0]).shape == (0,)
    np.testing.assert_array_equal(schedule.rates(steps.astype(float)), rates)


@pytest.mark.parametrize("schedule", ALL, ids=NAMES)
def test_rates_stay_finite_and_never_negative(schedule):
    late = [2**power + shift for power in range(11, 51) for shift in (-1, 0, 1)]
    rates = schedule.rates(np.concatenate([np.arange(3000), np.array(late)]))
    assert np.isfinite(rates).all()
    assert rates.min() >= 0
    assert np.isfinite(schedule(HUGE))


@pytest.mark.parametrize("t_mul", ["1.1", "1.25", "1.5", "2", "3", "5", "10"])
def test_a_restart_is_not_a_step_late(t_mul):
    """Logarithms are rounded: log(1000) / log(10) is 2.9999999999999996."""
    first = 10**3 * 4**3  # so that all periods are whole
    periods = [first * Fraction(t_mul) ** i for i in range(4)]
    begins = np.cumsum([int(period) for period in periods])
    assert all(period.denominator == 1 for period in periods)
    schedule = CosineDecayRestarts(1.0, first, t_mul=float(t_mul))
    assert (schedule.rates(begins) == 1).all()
    assert (schedule.rates(begins - 1) < 1e-9).all()


@pytest.mark.parametrize("growth", [2**-52, 1e-12])
def test_periods_that_hardly_grow_are_nearly_equal(growth):
    equal = CosineDecayRestarts(1.0, 100, t_mul=1.0)
    nearly = CosineDecayRestarts(1.0, 100, t_mul=1 + growth)
    steps = np.arange(5000)
    steps = steps[(steps % 100 > 5) & (steps % 100 < 95)]
    np.testing.assert_allclose(nearly.rates(steps), equal.rates(steps), atol=1e-7)


# ---- arguments --------------------------------------------------------------------------------

DEFAULTS = {  # Keras 3's, and PyTorch's for one cycle
    "exponentialdecay": "initial_learning_rate decay_steps decay_rate staircase=False",
    "piecewiseconstantdecay": "boundaries values",
    "polynomialdecay": "initial_learning_rate decay_steps end_learning_rate=0.0001 power=1.0 "
    "cycle=False",
    "cosinedecay": "initial_learning_rate decay_steps alpha=0.0 warmup_target=None warmup_steps=0",
    "cosinedecayrestarts": "initial_learning_rate first_decay_steps t_mul=2.0 m_mul=1.0 alpha=0.0",
    "inversetimedecay": "initial_learning_rate decay_steps decay_rate staircase=False",
    "inversescaling": "initial_learning_rate power=0.5",
    "onecycle": "max_learning_rate total_steps pct_start=0.3 div_factor=25.0 "
    "final_div_factor=10000.0",
}


def test_names_and_defaults_are_the_published_ones():
    written = {}
    for name, cls in SCHEDULES.items():
        parameters = inspect.signature(cls).parameters.values()
        written[name] = " ".join(
            p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters
        )
    assert written == DEFAULTS


# The required arguments of every class; then a wrong argument, and a part of the message.
NEEDED = {
    ExponentialDecay: {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5},
    PiecewiseConstantDecay: {"boundaries": [10, 20], "values": [0.3, 0.2, 0.1]},
    PolynomialDecay: {"initial_learning_rate": 0.1, "decay_steps": 100},
    CosineDecay: {"initial_learning_rate": 0.1, "decay_steps": 100},
    CosineDecayRestarts: {"initial_learning_rate": 0.1, "first_decay_steps": 100},
    InverseTimeDecay: {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5},
    InverseScaling: {"initial_learning_rate": 0.1},
    OneCycle: {"max_learning_rate": 0.1, "total_steps": 100},
}
NAN, INF = float("nan"), float("inf")
NO_RATES = [(-0.1, "a number at least 0, e.g."), (NAN, "at least 0"), (INF, "at least 0")]
NO_RATES += [("0.1", "expected a number, e.g."), (None, "expected a number")]
NO_STEPS = [(0, "at least 1"), (-5, "at least 1"), (1.5, "whole number, e.g."), (True, "whole")]
NO_SHARES = [(-0.1, "from 0 to 1, e.g."), (1.1, "from 0 to 1"), (NAN, "from 0 to 1"), ("a", "num")]
NO_AMOUNTS = [(-0.1, "at least 0, e.g."), (INF, "at least 0"), (None, "expected a number")]
NO_FLAGS = [(1, "expected True or False"), ("yes", "expected True or False")]

WRONG = {
    ExponentialDecay: {"decay_rate": NO_SHARES, "staircase": NO_FLAGS},
    PiecewiseConstantDecay: {
        "boundaries": [
            ([], "at least one step"),
            ([20, 10], r"boundaries=\[20, 10\]: .* greater than the one before, e.g."),
            ([10, 10], "greater than the one before"),
            ([10], "3 rates for 1 boundaries: expected one rate more"),
            ([10, 20, 30], "3 rates for 3 boundaries"),
            ([10, 20.5], r"boundaries\[1\]=20.5: expected a whole number"),
            ([-1, 20], r"boundaries\[0\]=-1: expected at least 0"),
            (10, r"boundaries=10: expected a list, e.g. boundaries=\[1000, 2000\]"),
            ("10", "expected a list"),
        ],
        "values": [
            ([0.1, 0.2], "2 rates for 2 boundaries"),
            ([], "0 rates for 2 boundaries"),
            ([0.1, -0.1, 0.2], r"values\[1\]=-0.1: expected a number at least 0"),
            ([0.1, "b", 0.2], r"values\[1\]='b': expected a number"),
            (0.1, r"values=0.1: expected a list, e.g. values=\[0.1, 0.03, 0.01\]"),
        ],
    },
    PolynomialDecay: {"end_learning_rate": NO_AMOUNTS, "power": NO_RATES, "cycle": NO_FLAGS},
    CosineDecay: {
        "alpha": NO_SHARES,
        "warmup_target": [case for case in NO_RATES if case[0] is not None],
        "warmup_steps": [
            (-1, "at least 0"),
            (0.5, "whole number"),
            (10, "needs a rate to warm up to: pass one, e.g. warmup_target=0.1"),
        ],
    },
    CosineDecayRestarts: {
        "t_mul": [(0.5, r"from 1 to 1e\+06, e.g. t_mul=2"), (1e7, "from 1 to"), ("a", "number")],
        "m_mul": NO_SHARES,
        "alpha": NO_SHARES,
    },
    InverseTimeDecay: {"decay_rate": NO_AMOUNTS, "staircase": NO_FLAGS},
    InverseScaling: {"power": NO_AMOUNTS},
    OneCycle: {
        "pct_start": NO_SHARES,
        "div_factor": [(0.5, "at least 1, e.g. div_factor=25"), (INF, "at least 1")],
        "final_div_factor": [(0.03, "at least 0.04, e.g."), (NAN, "at least 0.04")],
    },
}
for _cls, _wrong in WRONG.items():
    for _name in NEEDED[_cls]:
        if _name.endswith("learning_rate"):
            _wrong[_name] = NO_RATES
        elif _name.endswith("steps"):
            _wrong[_name] = NO_STEPS
REFUSED = [
    (cls, name, value, message)
    for cls, wrong in WRONG.items()
    for name, cases in wrong.items()
    for value, message in cases
]


def test_every_argument_is_tried():
    for cls, wrong in WRONG.items():
        assert set(wrong) == set(inspect.signature(cls).parameters)


@pytest.mark.parametrize(("cls", "name", "value", "message"), REFUSED)
def test_bad_arguments_are_refused(cls, name, value, message):
    with pytest.raises((TypeError, ValueError), match=f"(?=.*{name}).*{message}"):
        cls(**{**NEEDED[cls], name: value})


def test_with_a_warm_up_the_first_rate_may_be_zero_but_not_below():
    with pytest.raises(ValueError, match="initial_learning_rate=-0.1: expected .* at least 0"):
        CosineDecay(-0.1, 100, warmup_target=0.5, warmup_steps=10)


@pytest.mark.parametrize("step", [-1, 1.0, True, None, "1", np.array([1, 2])])
def test_a_step_is_a_whole_number_from_0_on(step):
    with pytest.raises((TypeError, ValueError), match="step=.*expected"):
        InverseScaling(0.1)(step)


# ---- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", NEEDED)
def test_schedules_are_values(cls):
    schedule = cls(**NEEDED[cls])
    assert cls(**NEEDED[cls]) == schedule
    assert hash(cls(**NEEDED[cls])) == hash(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert isinstance(schedule, Schedule)
    assert SCHEDULES[cls.__name__.lower()] is cls
    name = next(iter(NEEDED[cls]))
    with pytest.raises(FrozenInstanceError):
        setattr(schedule, name, 1)


def test_other_arguments_make_another_value():
    assert replace(CosineDecay(0.1, 100), alpha=0.1) != CosineDecay(0.1, 100)
    assert ExponentialDecay(0.1, 100, 0.5) != InverseTimeDecay(0.1, 100, 0.5)


def test_arguments_are_kept_as_plain_numbers():
    schedule = PiecewiseConstantDecay(np.array([10, 20]), np.array([1, 0.5, 0.1], np.float32))
    assert schedule.boundaries == (10, 20)
    assert {type(number) for number in schedule.boundaries} == {int}
    assert {type(number) for number in schedule.values} == {float}
    assert type(InverseScaling(np.float32(0.5)).initial_learning_rate) is float
    assert type(CosineDecay(1, np.int64(5)).decay_steps) is int


def test_a_custom_schedule_needs_only_the_method_rates():
    class Halved(Schedule):
        def rates(self, steps):
            return 0.5 / (1 + steps)

    assert Halved()(1) == 0.25
    with pytest.raises(NotImplementedError, match=r"has no method of this name: def rates\("):
        Schedule()(0)
