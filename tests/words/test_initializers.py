"""Initialisers: moments, reproducible draws, arrays instead of names, and refused arguments."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import Dense, Sequential
from fastnn.initializers import (
    INITIALIZERS,
    Constant,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    Stored,
    TruncatedNormal,
    Values,
    VarianceScaling,
    Zeros,
)

N = 400  # W is (N, N): the mean of its numbers strays by 0.25 % of their deviation
# The standard deviation of a standard normal distribution between -2 and 2, worked out with
# var = 1 - 2 * 2 phi(2) / (Phi(2) - Phi(-2)).
CUT = np.sqrt(1 - 4 * np.exp(-2) / np.sqrt(2 * np.pi) / 0.9544997361036416)


def rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def weights(layer, n_in=3, dtype="float64", seed=0):
    model = Sequential([layer], dtype=dtype, seed=seed)
    model.build(n_in)
    return model.get_weights()


# ---- distributions ------------------------------------------------------------------------------

# mean, standard deviation, lower and upper bound
EXPECTED = {
    RandomNormal(): (0, 0.05, -np.inf, np.inf),
    RandomNormal(3, 0.5): (3, 0.5, -np.inf, np.inf),
    RandomUniform(): (0, 0.1 / np.sqrt(12), -0.05, 0.05),
    RandomUniform(1, 4): (2.5, 3 / np.sqrt(12), 1, 4),
    TruncatedNormal(): (0, 0.05 * CUT, -0.1, 0.1),
    TruncatedNormal(-2, 0.5): (-2, 0.5 * CUT, -3, -1),
    VarianceScaling(2, "in", "normal"): (
        0,
        np.sqrt(2 / N),
        -2 * np.sqrt(2 / N) / CUT,
        2 * np.sqrt(2 / N) / CUT,
    ),
    VarianceScaling(3, "average", "uniform"): (
        0,
        np.sqrt(3 / N),
        -3 / np.sqrt(N),
        3 / np.sqrt(N),
    ),
}


@pytest.mark.parametrize("initializer", EXPECTED, ids=repr)
def test_moments_and_bounds(initializer):
    W = initializer(rng(), (N, N))
    mean, deviation, low, high = EXPECTED[initializer]
    assert W.shape == (N, N)
    assert W.dtype == np.float64
    assert abs(W.mean() - mean) < 5 * deviation / N
    np.testing.assert_allclose(W.std(), deviation, rtol=0.01)
    assert W.min() >= low
    assert W.max() <= high
    if np.isfinite(low):
        assert W.min() < low + 0.01 * (high - low)
        assert W.max() > high - 0.01 * (high - low)


@pytest.mark.parametrize(
    ("initializer", "number"), [(Zeros(), 0), (Ones(), 1), (Constant(), 0), (Constant(-2.5), -2.5)]
)
def test_equal_numbers(initializer, number):
    assert (initializer(rng(), (4, 5)) == np.full((4, 5), number)).all()


def test_the_fans_of_a_layer_that_is_not_square():
    W = VarianceScaling(1, "in", "uniform")(rng(), (100, 900))
    np.testing.assert_allclose(W.std(), 0.1, rtol=0.01)
    W = VarianceScaling(1, "average", "uniform")(rng(), (100, 900))
    np.testing.assert_allclose(W.std(), np.sqrt(1 / 500), rtol=0.01)
    b = VarianceScaling(1, "in", "normal")(rng(), (10_000,))
    np.testing.assert_allclose(b.std(), 0.01, rtol=0.05)


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_on_the_longer_side(shape, gain):
    W = Orthogonal(gain)(rng(), shape)
    assert W.shape == shape
    product = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-12)


def test_all_orthogonal_matrices_are_equally_likely():
    """If R's diagonal were not made positive, Q[0, 0] would always have one sign (with LAPACK)."""
    generator = rng()
    drawn = np.array([Orthogonal()(generator, (3, 3)) for _ in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=5 / np.sqrt(3 * 2000))
    np.testing.assert_allclose((drawn**2).mean(axis=0), 1 / 3, atol=0.04)
    assert abs((np.linalg.det(drawn) > 0).mean() - 0.5) < 0.06


# ---- in a layer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_name_gives_the_object_and_the_same_bits_for_a_seed(name, dtype):
    by_name, by_object, other = (
        weights(Dense(5, kernel_initializer=kind), 7, dtype, seed)[0]
        for kind, seed in ((name, 1), (INITIALIZERS[name], 1), (name, 2))
    )
    assert by_name.dtype == dtype
    assert by_name.tobytes() == by_object.tobytes()
    is_random = name not in ("constant", "ones", "zeros")
    assert (by_name.tobytes() != other.tobytes()) == is_random


def test_the_bias_follows_the_weights_in_the_stream_of_the_layer():
    normal, uniform = RandomNormal(), RandomUniform(1, 2)
    layers = [
        Dense(5, kernel_initializer=normal, bias_initializer=uniform),
        Dense(4, use_bias=False),
    ]
    model = Sequential(layers, dtype="float64", seed=6)
    model.build(7)
    W1, b1, W2 = model.get_weights()
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence(6, spawn_key=(1,))))
    np.testing.assert_array_equal(W1, normal(stream, (7, 5)))
    np.testing.assert_array_equal(b1, uniform(stream, (5,)))
    assert W2.shape == (5, 4)


def test_a_layer_without_bias_takes_no_bias_initialiser():
    with pytest.raises(ValueError, match="bias_initializer=.*use_bias=False"):
        Dense(4, use_bias=False, bias_initializer=np.ones(4))


def test_a_bias_starts_at_zero_by_default():
    _, b = weights(Dense(5))
    assert not b.any()
    W, zeros = weights(Dense(5, bias_initializer="zeros"))
    _, ones = weights(Dense(5, bias_initializer="ones"))
    assert (ones == 1).all()
    assert W.tobytes() == weights(Dense(5, bias_initializer="ones"))[0].tobytes()
    assert zeros.tobytes() == b.tobytes()


@pytest.mark.parametrize("kind", [np.array, np.asfortranarray, np.ndarray.tolist, np.float32])
def test_arrays_are_the_weights(kind):
    W, b = np.arange(12.0).reshape(3, 4), np.arange(4) / 2
    layer = Dense(4, kernel_initializer=kind(W), bias_initializer=b)
    for found, given in zip(weights(layer), (W, b), strict=True):
        np.testing.assert_array_equal(found, given)


def test_an_array_is_copied_and_read_only():
    W = np.ones((3, 4))
    layer = Dense(4, kernel_initializer=W)
    W[:] = 7
    assert (weights(layer)[0] == 1).all()
    for each in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with pytest.raises(ValueError, match="read-only"):
            each.kernel_initializer.values[0, 0] = 3


def test_arrays_are_compared_by_their_numbers_and_shown_by_their_shape():
    one, same, other = (Dense(2, kernel_initializer=W) for W in ([[1, 2]], [[1.0, 2]], [[1, 3]]))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert Values([[1]]) != Values([1])
    assert one != Dense(2)
    assert "kernel_initializer=Values(shape=(1, 2))" in repr(one)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_that_has_no_weights_yet_keeps_the_array(copied):
    W = np.arange(8.0).reshape(4, 2)
    twin = copied(Sequential([Dense(2, kernel_initializer=W)], dtype="float64"))
    assert not twin.built
    twin.build(4)
    np.testing.assert_array_equal(twin.get_weights()[0], W)


# ---- refusals -----------------------------------------------------------------------------------

BAD = [
    (lambda: Dense(2, bias_initializer="one"), ValueError, "bias_initializer='one'.*mean 'ones'"),
    (lambda: Dense(2, bias_initializer="orthogonal"), ValueError, "bias_initializer.*matrix"),
    (lambda: Dense(2, bias_initializer=Orthogonal()), ValueError, "bias_initializer.*matrix"),
    (lambda: Dense(2, kernel_initializer=Zeros), TypeError, "kernel_initializer=.*an initialiser"),
    (lambda: Dense(2, kernel_initializer=None), TypeError, "kernel_initializer=None: expected"),
    (lambda: Dense(2, bias_initializer=np.float64(1)), TypeError, "bias_initializer=.*an array"),
    (lambda: Dense(2, bias_initializer=[1, np.nan]), ValueError, "bias_initializer holds NaN"),
    (lambda: Dense(2, bias_initializer=["a", "b"]), TypeError, "bias_initializer has dtype"),
    (lambda: Dense(2, kernel_initializer=[[1], [1, 2]]), ValueError, "rows of different lengths"),
    (lambda: Values([1j]), TypeError, "values has dtype complex"),
    (lambda: Constant(np.inf), ValueError, "value=inf: expected a finite number"),
    (lambda: Constant("1"), TypeError, "value='1': expected a number"),
    (lambda: RandomNormal(mean=np.nan), ValueError, "mean=nan: expected a finite"),
    (lambda: RandomNormal(stddev=-1), ValueError, "stddev=-1: expected a number at least 0"),
    (lambda: TruncatedNormal(stddev=np.inf), ValueError, "stddev=inf"),
    (lambda: RandomUniform(1, 0), ValueError, "minval=1, maxval=0: expected minval <= maxval"),
    (lambda: RandomUniform(-1e308, 1e308), ValueError, "finite distance"),
    (lambda: RandomUniform(maxval=None), TypeError, "maxval=None"),
    (lambda: Orthogonal(gain=np.nan), ValueError, "gain=nan"),
    (lambda: VarianceScaling(0, "in", "normal"), ValueError, "scale=0.0: .*greater than 0"),
    (lambda: VarianceScaling(1, "out", "normal"), ValueError, "fan='out' is unknown"),
    (lambda: VarianceScaling(1, "in", "norm"), ValueError, "distribution='norm'.*mean 'normal'"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_a_bad_initialiser_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


BAD_AT_BUILDING = [
    (
        {"kernel_initializer": np.ones((3, 2))},
        r"layer 2: kernel_initializer has shape \(3, 2\); expected \(2, 3\), e\.g\. "
        r"np\.zeros\(\(2, 3\)\)",
    ),
    ({"kernel_initializer": np.ones(6)}, r"layer 2: kernel_initializer has shape \(6,\)"),
    (
        {"bias_initializer": np.ones((1, 3))},
        r"layer 2: bias_initializer has shape \(1, 3\); expected \(3,\)",
    ),
    ({"bias_initializer": Constant(1e300)}, "layer 2: bias_initializer .*too large for float32"),
    ({"kernel_initializer": Stored((2, 3))}, r"file.* shape \(2, 3\)"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_AT_BUILDING)
def test_what_does_not_fit_is_refused_when_the_model_is_built(settings, message):
    model = Sequential([Dense(2), Dense(3, **settings)])
    with pytest.raises(ValueError, match=message):
        model.build(4)
    assert not model.built
