"""The elementary functions of every build against mpmath, over the whole range of both dtypes.

Errors are counted in units in the last place (ulp) of the exact value. The core takes subnormal
numbers for zero, so where the exact value is subnormal 0 will do.
"""

from functools import cache

import mpmath
import numpy as np
import pytest
from networks import BUILDS, core_of

from fastnn._core import ELEMENTWISE

BOUNDS = {  # in ulp
    "exp": 1.1, "log": 1.0, "sigmoid": 2.6, "tanh": 2.6, "softplus": 2.8, "elu": 1.2, "selu": 2.3,
    "gelu": 3.9, "gelu_slope": 4.2, "silu": 2.6, "silu_slope": 3.7,
}  # fmt: skip
SCALE = mpmath.mpf("1.0507009873554804934193349852946")  # selu's constants, as Keras gives them
ALPHA = mpmath.mpf("1.6732632423543772848170429916717")


def normal(x):
    """The normal distribution function; from 1000 on there is nothing left in either tail"""
    return mpmath.erfc(min(max(-x, -1000), 1000) / mpmath.sqrt(2)) / 2


def density(x):
    """Its derivative"""
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def logistic(x):
    return 1 / (1 + mpmath.exp(-x))


def logistic_slope(x):
    return logistic(x) * logistic(-x)


EXACT = {
    "exp": mpmath.exp,
    "log": lambda x: mpmath.log(x) if x > 0 else -mpmath.inf if x == 0 else mpmath.nan,
    "sigmoid": logistic,
    "tanh": mpmath.tanh,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "selu": lambda x: SCALE * (x if x > 0 else ALPHA * mpmath.expm1(x)),
    "gelu": lambda x: x * normal(x),
    "gelu_slope": lambda x: normal(x) + x * density(x),
    "silu": lambda x: x * logistic(x),
    "silu_slope": lambda x: logistic(x) + x * logistic_slope(x),
}
SCALES = {  # a sum that passes through 0 is as exact as its terms are
    "gelu_slope": lambda x: normal(x) + abs(x) * density(x),
    "silu_slope": lambda x: logistic(x) + abs(x) * logistic_slope(x),
}
SPECIAL = {  # of -inf, -0, 0, inf and NaN
    "exp": [0, 1, 1, np.inf, np.nan],
    "log": [np.nan, -np.inf, -np.inf, np.inf, np.nan],
    "sigmoid": [0, 0.5, 0.5, 1, np.nan],
    "tanh": [-1, -0.0, 0, 1, np.nan],
    "softplus": [0, np.log(2), np.log(2), np.inf, np.nan],
    "elu": [-1, 0, 0, np.inf, np.nan],
    "selu": [-1.7580993408473768, 0, 0, np.inf, np.nan],
    "gelu": [-0.0, -0.0, 0, np.inf, np.nan],
    "gelu_slope": [-0.0, 0.5, 0.5, 1, np.nan],
    "silu": [-0.0, -0.0, 0, np.inf, np.nan],
    "silu_slope": [-0.0, 0.5, 0.5, 1, np.nan],
}

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
each_function = pytest.mark.parametrize("function", ELEMENTWISE)


def elementwise(build, function, x):
    x = np.ascontiguousarray(x, build[1])
    y = np.full_like(x, 7)
    core_of(*build).elementwise(function, x, y)
    return y


@cache
def sweep(dtype):
    """Every exponent, the range in which most happens, and the neighbours of every border."""
    limits, rng = np.finfo(dtype), np.random.default_rng(0)
    exponents = np.arange(limits.minexp, limits.maxexp)
    sizes = np.ldexp(rng.uniform(1, 2, (2, len(exponents))), exponents).ravel()
    tops = (1, 3, 14, 20, 40, 90, 745)
    middle = np.concatenate([rng.uniform(0, top, 500) for top in tops])
    ln2 = np.log(2)
    steps = np.arange(0.5, 140 if dtype == "float32" else 1100) * ln2  # exp's n changes here
    roots = np.ldexp(np.sqrt(0.5), np.arange(-20, 20))  # log's k changes here
    bells = np.sqrt(2 * steps)  # n of exp(-x^2 / 2) changes here
    ends = np.array([
        0.25 * ln2, np.log(limits.max), -np.log(limits.tiny), -np.log(limits.eps), 9.01, 10,
        19.06, 20, 2**-0.5, 1, 2, limits.tiny, limits.max, limits.eps, 16, 40, 104, 760,
        0.7517915247, 1.2784645427,  # minus these the slopes of gelu and silu are 0
    ])  # fmt: skip
    borders = np.concatenate([steps, roots, bells, ends]).astype(dtype)
    above, below = borders, borders
    near = [sizes.astype(dtype), middle.astype(dtype), borders]
    for _ in range(3):
        with np.errstate(over="ignore"):  # above the largest there is infinity
            above = np.nextafter(above, np.inf, dtype=dtype)
        below = np.nextafter(below, 0, dtype=dtype)
        near += [above, below]
    x = np.concatenate(near)
    x = x[np.isfinite(x) & (x >= limits.tiny)]
    return np.concatenate([-x, x])


@cache
def exact(function, dtype):
    """f(x) as the sum of two float64, infinite from half an ulp above the largest of the dtype;
    and the size whose ulp counts, that of f(x) unless `SCALES` says otherwise"""
    high, low, scale = [], [], []
    with mpmath.workprec(160):
        for x in sweep(dtype).tolist():
            y = EXACT[function](mpmath.mpf(x))
            scale.append(float(SCALES[function](mpmath.mpf(x)) if function in SCALES else y))
            high.append(float(y))
            low.append(float(y - high[-1]) if mpmath.isfinite(y) and abs(high[-1]) < np.inf else 0)
    return np.array(high), np.array(low), np.array(scale)


def error_in_ulp(y, high, low, scale):
    """|y - (high + low)| in ulp of `scale` in y's dtype; 0 for the right infinity or NaN, and for
    a 0 that stands for a subnormal number"""
    tiny = np.finfo(y.dtype).tiny
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = high.astype(y.dtype)
        error = np.abs((y.astype(np.float64) - high) - low)
        error /= np.spacing(np.abs(scale.astype(y.dtype))).astype(np.float64)
    same = (y == rounded) & np.isinf(y) | np.isnan(y) & np.isnan(rounded)
    flushed = (np.abs(high) < tiny) & (y == 0)
    return np.where(same | flushed, 0, np.where(np.isnan(error), np.inf, error))


@each_function
@each_build
def test_function_is_exact_within_its_bound(build, function):
    x = sweep(build[1])
    error = error_in_ulp(elementwise(build, function, x), *exact(function, build[1]))
    worst = np.argmax(error)
    assert error[worst] <= BOUNDS[function], f"{function}({x[worst]!r})"


@each_function
@each_build
def test_special_values(build, function):
    y = elementwise(build, function, [-np.inf, -0.0, 0.0, np.inf, np.nan])
    expected = np.array(SPECIAL[function], build[1])
    np.testing.assert_allclose(y, expected, rtol=3 * np.finfo(build[1]).eps)
    np.testing.assert_array_equal(np.signbit(y[:4]), np.signbit(expected[:4]))


@each_function
@each_build
def test_a_number_gives_the_same_bits_wherever_it_lies(build, function):
    x = np.random.default_rng(0).normal(0, 8, 40).astype(build[1])
    x = np.abs(x) if function == "log" else x
    alone = np.concatenate([elementwise(build, function, x[j : j + 1]) for j in range(len(x))])
    for start in range(17):
        for stop in range(start, len(x) + 1):
            y = elementwise(build, function, x[start:stop])
            assert y.tobytes() == alone[start:stop].tobytes()


@each_function
@each_build
def test_nothing_is_written_beyond_the_end(build, function):
    x = np.ones(40, build[1])
    for n in range(41):
        y = np.full_like(x, 7)
        core_of(*build).elementwise(function, x[:n], y[:n])
        assert (y[:n] != 7).all() and (y[n:] == 7).all()


@each_build
def test_tanh_is_odd_to_the_last_bit(build):
    x = sweep(build[1])
    y = elementwise(build, "tanh", x)
    assert elementwise(build, "tanh", -x).tobytes() == (-y).tobytes()
