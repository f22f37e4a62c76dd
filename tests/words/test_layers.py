"""Normalization: the statistics it learns, and training on standardised features."""

import numpy as np
import pytest
import reference
from small_models import N_ROWS, OUTPUT, X, Y, assert_close, dtypes, modes

from fastnn import SGD, Dense, Normalization, Sequential


def identity(n_features, layer, dtype):
    """A model whose output is the standardised features."""
    model = Sequential([layer, Dense(n_features, use_bias=False)], dtype=dtype)
    model.build(n_features)
    model.set_weights([np.eye(n_features)])
    return model


def adapted_to(rows):
    layer = Normalization()
    layer.adapt(rows)
    return layer


@pytest.mark.parametrize("number_type", ["f8", "f4", "i2", "u1", "?"])
def test_mean_and_variance_over_many_blocks_are_those_of_numpy(number_type):
    rng = np.random.default_rng(8)
    rows = (rng.normal(size=(400_001, 7)) * 40 + np.arange(7) * 10 + 150).clip(0, 255)
    rows[:200_000] *= 0.5  # the blocks differ
    rows = (rows > 100) if number_type == "?" else rows.astype(number_type)
    layer = adapted_to(rows)
    np.testing.assert_allclose(layer.mean, rows.mean(axis=0, dtype="f8"), rtol=1e-12)
    np.testing.assert_allclose(layer.variance, rows.var(axis=0, dtype="f8"), rtol=1e-11)


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda X: X[::-1].copy()[::-1], lambda X: X.tolist()]
)
def test_statistics_do_not_depend_on_the_layout(form):
    layer, plain = adapted_to(form(X)), adapted_to(X)
    np.testing.assert_allclose(layer.mean, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(layer.variance, plain.variance, rtol=1e-12)


@dtypes
@pytest.mark.parametrize("offset", [0, 1e6, -1e6])
def test_features_are_standardised_before_they_are_rounded(dtype, offset):
    rows = offset + np.random.default_rng(9).normal(size=(500, 3)) * [1e-3, 1, 1e3]
    standardised = identity(3, adapted_to(rows), dtype).predict(rows)
    expected = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(standardised, expected, rtol=1e-5, atol=1e-6)


@dtypes
@pytest.mark.parametrize("constant", [0.0, 0.1, -7.0, 1e6 + 0.1])
def test_a_constant_column_is_only_shifted(dtype, constant):
    rows = np.hstack([X, np.full((N_ROWS, 1), constant)])
    model = identity(6, adapted_to(rows), dtype)
    np.testing.assert_allclose(model.predict(rows)[:, 5], 0, atol=1e-9)
    moved = rows.copy()
    moved[:, 5] += 3
    np.testing.assert_allclose(model.predict(moved)[:, 5], 3, rtol=1e-6)


def test_one_row_alone_is_all_constant_columns():
    model = identity(5, adapted_to(X[:1]), "float64")
    np.testing.assert_allclose(model.predict(X), X - X[0], rtol=1e-12, atol=1e-15)


def test_given_statistics_work_like_learnt_ones():
    given = Normalization(mean=X.mean(axis=0).tolist(), variance=X.var(axis=0))
    np.testing.assert_allclose(
        identity(5, given, "float64").predict(X),
        identity(5, adapted_to(X), "float64").predict(X),
        rtol=1e-12,
    )


@modes
@dtypes
def test_normalization_trains_like_standardised_features(mode, dtype):
    raw = X * [1, 10, 100, 0.1, 1e-3] + [0, 5, -300, 0.7, 1]
    standardised = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    output, loss = OUTPUT["binary"]
    plain = Sequential([Dense(4, "tanh"), output], dtype=dtype, seed=0)
    normalised = Sequential([adapted_to(raw), Dense(4, "tanh"), output], dtype=dtype, seed=0)
    for model, rows in ((plain, standardised), (normalised, raw)):
        model.compile(SGD(0.1), loss)
        model.fit(rows, Y["binary"], epochs=3, mode=mode, validation_data=(rows, Y["binary"]))
    tolerance = {"float32": 1e-4, "float64": 1e-10}[dtype]
    assert_close(normalised.get_weights(), plain.get_weights(), tolerance)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(
            normalised.history.history[name], plain.history.history[name], rtol=tolerance
        )


def test_every_method_standardises():
    raw = X * 10 + 100
    model = Sequential([adapted_to(raw), Dense(1, "sigmoid")], dtype="float64", seed=0)
    model.compile(loss="binary_crossentropy")
    model.build(5)
    rows = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    loss, expected = reference.gradient(
        model.get_weights(), ["sigmoid"], "binary_crossentropy", rows, Y["binary"]
    )
    assert_close(model.gradient(raw, Y["binary"]).values(), expected, 1e-10)
    assert model.evaluate(raw, Y["binary"]) == pytest.approx(loss, rel=1e-10)


def test_statistics_that_overflow_are_refused():
    layer = Normalization()
    with pytest.raises(ValueError, match="too large for float64"):
        layer.adapt(np.full((4, 1), 1e308) * [[1], [-1], [1], [-1]])
    assert layer.mean is None
