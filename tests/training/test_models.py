"""What models give out and take in: weights, gradients, predictions, copies."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from small_models import (
    OUTPUT,
    TOLERANCE,
    WEIGHTS,
    X,
    Y,
    activations_of,
    assert_close,
    bits,
    dtypes,
    kinds,
    loss_of,
    model_for,
    wide_model_and_rows,
)

from fastnn import Callback, Dense, Normalization, Sequential
from fastnn.data.arrays import features
from fastnn.models import learner_of

# ---- weights, gradient, predict -----------------------------------------------------------------


WIDTHS = [1, 3, 5, 9, 17]  # each is padded differently


@dtypes
@pytest.mark.parametrize("use_bias", [True, False])
def test_weights_go_out_and_in_unchanged(dtype, use_bias):
    layers = [Dense(units, "tanh", use_bias) for units in WIDTHS]
    source, target = (Sequential(layers, dtype=dtype, seed=seed) for seed in (1, 2))
    for model in (source, target):
        model.build(6)
    weights = source.get_weights()
    shapes = [(n_in, n_out) for n_in, n_out in zip([6, *WIDTHS], WIDTHS, strict=False)]
    assert [W.shape for W in weights[:: 2 if use_bias else 1]] == shapes
    assert [b.shape for b in weights[1::2]] == [(n,) for n in WIDTHS] or not use_bias
    assert all(array.dtype == dtype for array in weights)
    target.set_weights(weights)
    assert bits(target) == bits(source)
    rows = np.random.default_rng(3).normal(size=(70, 6))
    np.testing.assert_array_equal(source.predict(rows), target.predict(rows))


def test_weights_are_copies_in_both_directions():
    model = model_for()
    before, weights = bits(model), model.get_weights()
    for array in weights:
        array += 1
    assert bits(model) == before
    model.set_weights(weights)
    after = bits(model)
    for array in weights:
        array += 1
    assert bits(model) == after != before


def test_set_weights_takes_lists_and_other_number_types():
    model = model_for(dtype="float64")
    weights = model.get_weights()
    model.set_weights([array.astype("f4").tolist() for array in weights])
    assert bits(model) == [array.astype("f4").astype("f8").tobytes() for array in weights]
    model.set_weights([np.ones(array.shape, int, order="F") for array in weights])
    assert all((array == 1).all() for array in model.get_weights())


@dtypes
@kinds
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_gradient_is_that_of_the_oracle_and_moves_nothing(kind, dtype, sample_weight):
    model = model_for(kind, dtype)
    before = bits(model)
    gradient = model.gradient(X, Y[kind], sample_weight=sample_weight)
    _, expected = reference.gradient(
        model.get_weights(), activations_of(model), loss_of(kind), X, Y[kind], sample_weight
    )
    assert list(gradient) == ["dL/dW1", "dL/db1", "dL/dW2", "dL/db2", "dL/dW3", "dL/db3"]
    assert all(array.dtype == dtype for array in gradient.values())
    assert [a.shape for a in gradient.values()] == [a.shape for a in model.get_weights()]
    assert_close(gradient.values(), expected, TOLERANCE[dtype])
    assert bits(model) == before


def test_gradient_of_layers_without_bias_names_the_weights_alone():
    model = Sequential([Dense(4, "relu", use_bias=False), Dense(1)], seed=0)
    model.compile(loss="mse")
    model.build(5)
    assert list(model.gradient(X, Y["binary"])) == ["dL/dW1", "dL/dW2", "dL/db2"]


def test_gradient_over_many_slices_is_the_mean_over_all_rows():
    model, rows, labels = wide_model_and_rows()
    model.build(rows.shape[1])
    _, expected = reference.gradient(
        model.get_weights(), activations_of(model), "binary_crossentropy", rows, labels
    )
    assert_close(model.gradient(rows, labels).values(), expected, 1e-5)


@dtypes
@kinds
@pytest.mark.parametrize("n_rows", [1, 2, 50])
def test_predictions_have_the_shape_of_the_output_and_the_dtype_of_the_model(kind, dtype, n_rows):
    model = model_for(kind, dtype)
    predictions = model.predict(X[:n_rows])
    assert predictions.shape == (n_rows, OUTPUT[kind][0].units)
    assert predictions.dtype == dtype
    _, activations = reference.forward(model.get_weights(), activations_of(model), X[:n_rows])
    np.testing.assert_allclose(predictions, activations[-1], rtol=10 * TOLERANCE[dtype])


def test_predictions_are_new_arrays():
    model = model_for()
    first = model.predict(X)
    kept = first.copy()
    model.predict(X + 1)
    np.testing.assert_array_equal(first, kept)


@dtypes
@kinds
@pytest.mark.parametrize("n_rows", [1, 50])
def test_predictions_go_where_they_are_wanted(kind, dtype, n_rows):
    model = model_for(kind, dtype)
    expected = model.predict(X[:n_rows])
    for options in ({}, {"callbacks": [Callback()]}, {"threads": 2}):
        out = np.full(expected.shape, np.nan, dtype)
        assert model.predict(X[:n_rows], out=out, **options) is out
        np.testing.assert_array_equal(out, expected)
    wide = np.zeros((2 * n_rows, expected.shape[1]), dtype)
    model.predict(X[:n_rows], out=wide[n_rows:])
    np.testing.assert_array_equal(wide, np.concatenate([0 * expected, expected]))


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty((50, 1), np.float64), ValueError),
        (np.empty((50, 2), np.float32), ValueError),
        (np.empty(50, np.float32), ValueError),
        (np.empty((50, 2), np.float32)[:, :1], ValueError),
        (np.broadcast_to(np.float32(0), (50, 1)), ValueError),
        ([[0.0]] * 50, TypeError),
    ],
)
def test_predictions_do_not_go_where_they_do_not_fit(out, error):
    with pytest.raises(
        error, match=r"out.*expected an array.*out=np\.empty\(\(50, 1\), 'float32'\)"
    ):
        model_for().predict(X, out=out)


@dtypes
@pytest.mark.parametrize("widths", [(4, 3), (70, 20)])
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "exponential", "gelu", "linear"])
def test_before_output_is_the_last_z_of_the_same_weights(widths, output, dtype):
    layers = [Normalization(np.arange(5.0), np.ones(5)), Dense(widths[0], "tanh")]
    model = Sequential([*layers, Dense(widths[1], output)], dtype=dtype, seed=1)
    model.compile()
    model.build(5)
    before = learner_of(model).network.before_output
    for _ in range(2):
        W1, b1, W2, b2 = model.get_weights()
        z, a = reference.forward([W1, b1, W2, b2], ["tanh", output], X - np.arange(5.0))
        found = before.predict(features(X, dtype))
        np.testing.assert_allclose(found, z[-1], atol=50 * TOLERANCE[dtype])
        np.testing.assert_allclose(model.predict(X), a[-1], rtol=1e-3, atol=50 * TOLERANCE[dtype])
        model.set_weights([W1 + 0.1, b1 + 1, W2 * 0.9, b2 - 1])  # the twin follows
    assert learner_of(model).network.before_output is before


# ---- copies, threads ----------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
@pytest.mark.parametrize("trained", [True, False])
def test_a_copy_predicts_and_trains_on_with_the_same_bits(copied, trained):
    model = Sequential([adapted(X), Dense(4, "relu"), Dense(1, "sigmoid")], seed=3)
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    model.metadata = {"names": ["a", "b"]}
    if trained:
        model.fit(X, Y["binary"], epochs=2)
    twin = copied(model)
    assert twin.history == model.history
    assert (twin.metadata, twin.epochs_trained) == (model.metadata, model.epochs_trained)
    for one in (model, twin):
        one.fit(X, Y["binary"], epochs=2)
    for W, W_twin in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(W, W_twin)


def adapted(rows):
    layer = Normalization()
    layer.adapt(rows)
    return layer


def test_threads_may_predict_with_one_model_at_the_same_time():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4, 20_000, 5)).astype("f4")
    model = Sequential([Dense(32, "relu"), Dense(1, "sigmoid")], seed=0)
    model.build(5)
    expected = [model.predict(rows) for rows in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for actual, wanted in zip(pool.map(model.predict, inputs), expected, strict=True):
                np.testing.assert_array_equal(actual, wanted)
