"""The value of each loss against mpmath, for the z or a and the y as they are, over all sizes.

Errors are counted in units in the last place (ulp) of the exact value, in the build's dtype; the
core takes subnormal numbers, and terms of a sum that are such, for zero. Rows are evaluated one by
one, by a network whose z is its row of X.
"""

from functools import cache

import mpmath
import numpy as np
import pytest
from mpmath import mpf
from networks import BUILDS, identity, make_data, total_loss

from fastnn import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    HalfPoissonDeviance,
    HalfSquaredError,
    Hinge,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SquaredHinge,
)

ULP = 8  # how many the error may have
WIDTHS = [1, 3, 20, 300]  # of one unit, of few, whose rows lie one per lane, and of several vectors

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)


def softplus(z):
    return mpmath.log1p(mpmath.exp(-abs(z))) + max(z, mpf(0))


def bernoulli(z, y, s):
    y = y * (1 - s) + s / 2
    return y * softplus(-z) + (1 - y) * softplus(z)


def deviance(z, y):
    return (y * (mpmath.log(y) - z) - y if y else mpf(0)) + mpmath.exp(z)


def huber(e, delta):
    size = abs(e)
    return size**2 / 2 if size <= delta else delta * size - delta**2 / 2


CASES = {  # loss, output, term of z and y
    "squared": (MeanSquaredError(), "linear", lambda z, y: (z - y) ** 2),
    "half squared": (HalfSquaredError(), "linear", lambda z, y: (z - y) ** 2 / 2),
    "absolute": (MeanAbsoluteError(), "linear", lambda z, y: abs(z - y)),
    "huber": (Huber(0.75), "linear", lambda z, y: huber(z - y, mpf(0.75))),
    "wide huber": (Huber(2.0**40), "linear", lambda z, y: huber(z - y, mpf(2.0**40))),
    "poisson": (Poisson(), "relu", lambda z, y: z - y * mpmath.log(z + mpf("1e-7"))),
    "hinge": (Hinge(), "linear", lambda z, y: max(1 - y * z, mpf(0))),
    "squared hinge": (SquaredHinge(), "linear", lambda z, y: max(1 - y * z, mpf(0)) ** 2),
    "binary": (BinaryCrossentropy(), "sigmoid", lambda z, y: bernoulli(z, y, mpf(0))),
    "smoothed": (
        BinaryCrossentropy(label_smoothing=0.25),
        "sigmoid",
        lambda z, y: bernoulli(z, y, mpf(0.25)),
    ),
    "deviance": (HalfPoissonDeviance(), "exponential", deviance),
}

each_case = pytest.mark.parametrize("case", CASES)


def sizes_of(dtype, rng, n):
    """Positive numbers of all sizes that are normal."""
    limits = np.finfo(dtype)
    return np.exp(rng.uniform(np.log(limits.tiny), np.log(limits.max), n)).astype(dtype)


def signed_points(dtype, rng):
    """For hinge losses: of all sizes, and close to the corner."""
    z = np.concatenate([sizes_of(dtype, rng, 30), rng.normal(0, 2, 30), 1 + 0.5 ** np.arange(50)])
    z = np.concatenate([z, -z])
    return z, rng.choice([-1, 1], len(z))


def probability_points(dtype, rng):
    """For cross-entropies: z on both sides, saturated and not, with hard and soft targets."""
    z = np.concatenate([sizes_of(dtype, rng, 30), rng.uniform(0, 100, 40)])
    y = (0, 1, 0.5, 1e-30, 1e-9, 1 / 3, 1 - 2.0**-20)
    return np.tile(np.concatenate([z, -z]), len(y)), np.repeat(y, 2 * len(z))


def count_points(dtype, rng, case):
    """For Poisson's losses: counts of all sizes, far from the outputs and next to them."""
    y = np.concatenate([sizes_of(dtype, rng, 20), 10 ** rng.uniform(-3, 9, 20), [0, 1, 1e4, 1e8]])
    y = y.astype(dtype).astype(np.float64)
    if case == "poisson":
        z = [0 * y, sizes_of(dtype, rng, len(y)), 10 ** rng.uniform(-3, 9, len(y))]
        z += [np.full_like(y, 1 + d) for d in (0, 1e-7, -3e-7, 1e-5, -1e-3, 0.5)]
        return np.concatenate(z), np.tile(y, len(z))
    shifts = [0, 1e-12, 1e-7, -1e-6, 1e-4, 0.01, -0.2, 0.5, -0.99, -1.01, 1.4, 1.6, 5, -40, 90]
    z = [np.log(np.maximum(y, np.finfo(dtype).tiny)) + shift for shift in shifts]
    z += [rng.uniform(-90, 85, len(y))]
    return np.concatenate(z), np.tile(y, len(z))


def number_points(dtype, rng):
    """For errors: of all sizes, and numbers next to each other."""
    y = np.concatenate([sizes_of(dtype, rng, 40), 10 ** rng.uniform(-3, 9, 20)])
    y = (y * rng.choice([-1, 1], len(y))).astype(dtype).astype(np.float64)
    step = np.finfo(dtype).eps
    z = [y, y * (1 + step), y * (1 - 3 * step), y * 1.001, y + 0.5, y - 2, -y, 3 * y]
    z += [sizes_of(dtype, rng, len(y)), rng.normal(size=len(y))]
    return np.concatenate(z), np.tile(y, len(z))


@cache
def points(case, dtype):
    """z and y whose difference, and exp(z) where that is the output, do not overflow"""
    rng = np.random.default_rng(0)
    if case in ("hinge", "squared hinge"):
        z, y = signed_points(dtype, rng)
    elif case in ("binary", "smoothed"):
        z, y = probability_points(dtype, rng)
    elif case in ("poisson", "deviance"):
        z, y = count_points(dtype, rng, case)
    else:
        z, y = number_points(dtype, rng)
    limits = np.finfo(dtype)
    keep = abs(z - y) < limits.max / 2
    if case == "deviance":
        keep &= z < np.log(limits.max) - 0.001
    return z[keep].astype(dtype), y[keep].astype(dtype)


@cache
def exact_terms(case, dtype):
    """Those of all points, and the errors they may have"""
    terms, errors, eps = [], [], mpf(float(np.finfo(dtype).eps))
    with mpmath.workprec(400):
        for z, y in zip(*points(case, dtype), strict=True):
            z, y = mpf(float(z)), mpf(float(y))
            terms.append(CASES[case][2](z, y))
            errors.append(ulp_of(terms[-1], dtype) * ULP)
            if case == "poisson":  # it passes through 0
                errors[-1] = ulp_of(max(z, abs(terms[-1] - z)), dtype) * ULP
            elif case == "deviance" and y:  # u itself is z - log y within eps^2 z
                errors[-1] += y * abs(mpmath.expm1(z - mpmath.log(y))) * abs(z) * eps**2
    return terms, errors


def ulp_of(number, dtype):
    """That of a number of this size; of a subnormal one as much as it may lose"""
    limits = np.finfo(dtype)
    tiny = mpf(float(limits.tiny))
    size = max(abs(number), tiny)
    ulp = mpf(2) ** (mpmath.floor(mpmath.log(size, 2)) - limits.nmant)
    return max(ulp, tiny / ULP)


def assert_within(found, exact, error, dtype, what):
    """The value, infinite where it is too large, is as exact as that."""
    if abs(exact) + error > mpf(float(np.finfo(dtype).max)):
        assert not np.isfinite(found) or abs(mpf(found) - exact) <= error, what
    else:
        assert np.isfinite(found), what
        assert abs(mpf(found) - exact) <= error, (*what, float(exact))


def value(network, loss, z, y):
    """The loss of a single row."""
    return total_loss(network, make_data(network, loss, z[None], y[None]), loss)


@each_build
@each_case
def test_a_term_is_exact_to_rounding(build, case):
    loss, activation, _ = CASES[case]
    network, dtype = identity(build, 1, activation), build[1]
    for z, y, exact, error in zip(*points(case, dtype), *exact_terms(case, dtype), strict=True):
        found = value(network, loss, z[None], y[None])
        assert_within(found, exact, error, dtype, (z, y, found))


@each_build
@each_case
@pytest.mark.parametrize("n", WIDTHS[1:])
def test_a_row_is_as_exact_as_its_terms(build, case, n):
    loss, activation, _ = CASES[case]
    network, dtype = identity(build, n, activation), build[1]
    (z, y), (terms, errors) = points(case, dtype), exact_terms(case, dtype)
    usual = np.flatnonzero((abs(z) < 1e9) & (abs(y) < 1e9))  # none of which hides all others
    rng, share = np.random.default_rng(n), 1 if loss.is_sum else mpf(1) / n
    for _ in range(5):
        chosen = rng.choice(usual, n)
        found = value(network, loss, z[chosen], y[chosen])
        with mpmath.workprec(400):
            exact = share * mpmath.fsum(terms[i] for i in chosen)
            assert_within(found, exact, share * mpmath.fsum(errors[i] for i in chosen), dtype, (n,))


def rows_of_z(n, dtype):
    """Rows that are alike, apart, and with one z far above the others or below."""
    rng, rows = np.random.default_rng(n), [np.zeros((2, n))]
    rows[0][0, 0] = 5
    for size in (1e-30, 1e-8, 1e-3, 1, 10, 50, 85 if dtype == "float32" else 700, 1e4, 1e30):
        far, alone = rng.normal(size=(2, 2, n)) * size, rng.normal(size=(2, n))
        far[1, :, 0] += 30
        alone[:, 1] = size
        rows += [*far, alone]
    return np.concatenate(rows).astype(dtype)


@each_build
@pytest.mark.parametrize("smoothing", [0, 0.25])
@pytest.mark.parametrize("n", [2, *WIDTHS[1:3], 60])
def test_a_categorical_crossentropy_is_exact_to_rounding(build, n, smoothing):
    loss, dtype = CategoricalCrossentropy(label_smoothing=smoothing), build[1]
    network, rng = identity(build, n, "softmax"), np.random.default_rng(0)
    for z in rows_of_z(n, dtype):
        places, soft = [z.argmax(), z.argmin(), rng.integers(n)], rng.random(n)
        soft = (soft / soft.sum()).astype(dtype)
        with mpmath.workprec(300):
            numbers, top = [mpf(float(z_j)) for z_j in z], mpf(float(z.max()))
            below = np.delete(np.arange(n), z.argmax())
            others = mpmath.fsum(mpmath.exp(numbers[j] - top) for j in below)
            costs = [(top - z_j) + mpmath.log1p(others) for z_j in numbers]
            for y in (*places, *np.eye(n, dtype=dtype)[places], soft):
                targets = [mpf(float(y_j)) for y_j in (y if np.ndim(y) else np.eye(n)[y])]
                weights = [y_j * (1 - smoothing) + mpf(smoothing) / n for y_j in targets]
                exact = mpmath.fdot(weights, costs)
                error = ULP * ulp_of(exact, dtype) + n * mpf(float(np.finfo(dtype).tiny))
                found = value(network, loss, z, np.atleast_1d(y) if np.ndim(y) else np.array(y))
                assert_within(found, exact, error, dtype, (z, y, found))


@each_build
@pytest.mark.parametrize("n", WIDTHS[:3])
def test_a_deviance_is_never_negative_and_0_where_the_outputs_are_the_counts(build, n):
    network, loss, dtype = identity(build, n, "exponential"), HalfPoissonDeviance(), build[1]
    for y in (1e-30, 0.3, 1, 100, 1e4, 1e8, 1e30):
        best = np.array(np.log(np.array(y, dtype).astype(np.float64)), dtype)
        for z in (best, np.nextafter(best, np.inf, dtype=dtype), np.nextafter(best, -99)):
            found = value(network, loss, np.full(n, z, dtype), np.full(n, y, dtype))
            assert 0 <= found <= n * y * (np.finfo(dtype).eps * max(abs(best), 1)) ** 2
    assert value(network, loss, np.zeros(n, dtype), np.ones(n, dtype)) == 0


SLOPES = {
    "poisson": lambda z, y: 1 - y / (z + mpf("1e-7")),
    "deviance": lambda z, y: mpmath.exp(z) - y,
    "squared": lambda z, y: 2 * (z - y),
    "huber": lambda z, y: max(min(z - y, mpf(0.75)), mpf(-0.75)),
    "squared hinge": lambda z, y: -2 * y * max(1 - y * z, mpf(0)),
}


@each_build
@pytest.mark.parametrize("case", SLOPES)
def test_a_slope_is_exact_to_rounding(build, case):
    loss, activation, _ = CASES[case]
    network, dtype = identity(build, 1, activation, use_bias=True), build[1]
    bias = network.views(network.parameters)["b1"]
    bias[...] = 0
    for z, y in zip(*points(case, dtype), strict=True):
        if abs(y) > 1e15 or abs(z) > (60 if case == "deviance" else 1e15):
            continue  # dL/dW, too, has to be finite
        if case == "poisson" and z == 0:
            continue  # relu's slope at 0 is 0
        data = make_data(network, loss, z[None, None], y[None, None])
        found = network.views(network.gradient(data, loss))["b1"][0]
        with mpmath.workprec(400):
            one, other = mpf(float(z)), mpf(float(y))
            exact = SLOPES[case](one, other)
            size = max(mpmath.exp(one), other) if case == "deviance" else exact
            if case == "poisson":  # a + 1e-7 - y cancels at last where they differ by as little
                size = max(abs(exact), mpf("1e-7") / one)
            assert_within(float(found), exact, ULP * ulp_of(size, dtype), dtype, (z, y, found))
