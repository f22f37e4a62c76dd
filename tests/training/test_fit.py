"""Sequential as its users meet it: fit, history, evaluation, callbacks, interrupts, divergence."""

import copy
import math
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference

from fastnn import SGD, Adam, Callback, Dense, History, Normalization, Sequential
from fastnn.data.arrays import features

OUTPUT = {  # last layer, loss
    "binary": (Dense(1, "sigmoid"), "binary_crossentropy"),
    "two binary": (Dense(2, "sigmoid"), "binary_crossentropy"),
    "labels": (Dense(3, "softmax"), "categorical_crossentropy"),
    "one-hot": (Dense(3, "softmax"), "categorical_crossentropy"),
    "numbers": (Dense(2), "mean_squared_error"),
    "signs": (Dense(2), "hinge"),
    "zeros and ones": (Dense(2, "tanh"), "squared_hinge"),
}
N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 5))
CLASSES = RNG.integers(0, 3, N_ROWS)
Y = {
    "binary": CLASSES % 2,
    "two binary": np.stack([CLASSES % 2, CLASSES // 2], axis=1),
    "labels": CLASSES,
    "one-hot": np.eye(3)[CLASSES],
    "numbers": X[:, :2] ** 2,
    "signs": 2 * np.stack([CLASSES % 2, CLASSES // 2], axis=1) - 1,
    "zeros and ones": np.stack([CLASSES % 2, CLASSES // 2], axis=1),
}
WEIGHTS = RNG.uniform(0, 2, N_ROWS)
BATCH_SIZES = {"stochastic": 1, "minibatch": 8, "batch": N_ROWS}  # 8 leaves a shorter last batch
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}

modes = pytest.mark.parametrize("mode", BATCH_SIZES)
kinds = pytest.mark.parametrize("kind", OUTPUT)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model_for(kind="binary", dtype="float32", *, seed=7, rate=0.1, metrics=None):
    """A compiled model 5-4-3-k with its initial weights."""
    output, loss = OUTPUT[kind]
    model = Sequential([Dense(4, "tanh"), Dense(3, "relu"), output], dtype=dtype, seed=seed)
    model.compile(SGD(rate), loss, metrics)
    model.build(X.shape[1])
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def assert_same_steps(one, other, mode):
    """Equal bits, or 2e-5 in stochastic mode: there a tiny network computes z before the row's
    last step and corrects it, but not for the first row of a block, so that the last bits depend
    on the row's place in its block of 32."""
    if mode == "stochastic":
        assert_close(one.get_weights(), other.get_weights(), TOLERANCE["float32"])
    else:
        assert bits(one) == bits(other)


def order_of(seed, epoch, n_rows=N_ROWS):
    return np.random.Generator(np.random.Philox([seed, epoch])).permutation(n_rows)


def loss_of(kind):
    return OUTPUT[kind][1]


def activations_of(model):
    return [layer.activation for layer in model.layers]


def reference_fit(model, kind, mode, epochs, sample_weight=None):
    """Weights and losses of the oracle from the model's weights on, visiting the same rows."""
    weights, losses = model.get_weights(), []
    for epoch in range(epochs):
        order = np.arange(N_ROWS) if mode == "batch" else order_of(model.seed, epoch)
        weights, loss = reference.descend(
            weights,
            activations_of(model),
            loss_of(kind),
            X,
            Y[kind],
            0.1,
            BATCH_SIZES[mode],
            order,
            sample_weight,
        )
        losses.append(loss)
    return weights, losses


def assert_close(actual, expected, tolerance):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


# ---- fit against the oracle ---------------------------------------------------------------------


def test_quick_start_lines_work_as_they_stand():
    training_data, training_labels = X.tolist(), Y["binary"].tolist()
    model = Sequential([Dense(8, "relu"), Dense(4, "relu"), Dense(1, "sigmoid")])
    model.compile(optimizer="SGD", loss="binary_crossentropy")
    model.fit(training_data, training_labels)
    assert model.history.params["batch_size"] == 32
    assert math.isfinite(model.history.history["loss"][0])


@dtypes
def test_quick_start_defaults_are_sgd_of_a_hundredth_in_shuffled_batches_of_32(dtype):
    model = Sequential([Dense(3, "relu"), Dense(1, "sigmoid")], dtype=dtype, seed=11)
    model.compile(optimizer="SGD", loss="binary_crossentropy")
    model.build(5)
    expected, _ = reference.descend(
        model.get_weights(),
        ["relu", "sigmoid"],
        "binary_crossentropy",
        X,
        Y["binary"],
        0.01,
        32,
        order_of(11, 0),
    )
    model.fit(X, Y["binary"])
    assert_close(model.get_weights(), expected, TOLERANCE[dtype])


@dtypes
@modes
@kinds
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_loss_and_weights_are_those_of_the_oracle(kind, mode, dtype, sample_weight):
    model = model_for(kind, dtype)
    weights, losses = reference_fit(model, kind, mode, 3, sample_weight)
    history = model.fit(
        X, Y[kind], epochs=3, batch_size=BATCH_SIZES[mode], sample_weight=sample_weight
    )
    np.testing.assert_allclose(history.history["loss"], losses, rtol=10 * TOLERANCE[dtype])
    assert_close(model.get_weights(), weights, 10 * TOLERANCE[dtype])


@modes
@pytest.mark.parametrize("kind", ["binary", "two binary", "labels", "one-hot"])
def test_history_means_what_was_before_each_update(kind, mode):
    whole = model_for(kind, metrics=["accuracy"])
    step_by_step = model_for(kind, metrics=["accuracy"])
    size, totals = BATCH_SIZES[mode], np.zeros(2)
    for start in range(0, N_ROWS, size):
        rows = slice(start, start + size)
        totals += np.multiply(step_by_step.evaluate(X[rows], Y[kind][rows]), len(X[rows]))
        step_by_step.fit(X[rows], Y[kind][rows], mode="batch")
    history = whole.fit(X, Y[kind], batch_size=size, shuffle=False).history
    np.testing.assert_allclose(
        [history["loss"][0], history["accuracy"][0]], totals / N_ROWS, rtol=1e-5
    )
    assert_same_steps(whole, step_by_step, mode)


# ---- history ------------------------------------------------------------------------------------


@modes
def test_history_has_one_number_an_epoch_under_the_known_names(mode):
    model = model_for(metrics=["accuracy"])
    history = model.fit(X, Y["binary"], epochs=4, mode=mode, validation_data=(X, Y["binary"]))
    assert isinstance(history, History)
    assert history is model.history
    assert history.epoch == [0, 1, 2, 3]
    assert set(history.history) == {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
        "samples_per_second",
        "learning_rate",
    }
    for values in history.history.values():
        assert len(values) == 4
        assert all(type(value) is float and math.isfinite(value) for value in values)


def test_history_without_metrics_and_validation_has_the_loss_and_the_timing():
    history = model_for().fit(X, Y["binary"])
    assert list(history.history) == ["loss", "seconds", "samples_per_second", "learning_rate"]


@pytest.mark.parametrize(
    ("options", "steps", "mode", "batch_size"),
    [
        ({"mode": "stochastic"}, 50, "stochastic", 1),
        ({"batch_size": 1}, 50, "stochastic", 1),
        ({"mode": "minibatch"}, 2, "minibatch", 32),
        ({"batch_size": 8}, 7, "minibatch", 8),
        ({"mode": "batch"}, 1, "batch", 50),
        ({"batch_size": 50}, 1, "batch", 50),
        ({"batch_size": 1000}, 1, "batch", 50),
        ({}, 2, "minibatch", 32),
    ],
)
def test_history_params_say_how_it_was_trained(options, steps, mode, batch_size):
    history = model_for(seed=7).fit(X, Y["binary"], epochs=2, verbose=0, **options)
    assert history.params == {
        "epochs": 2,
        "steps": steps,
        "verbose": 0,
        "mode": mode,
        "batch_size": batch_size,
        "samples": 50,
        "seed": 7,
        "metrics": {
            "loss": "min",
            "seconds": "min",
            "samples_per_second": "max",
            "learning_rate": "",
        },
        "initial_epoch": 0,
        "validation_freq": 1,
    }


def test_every_fit_has_a_history_of_its_own():
    model = model_for()
    first = model.fit(X, Y["binary"], epochs=2)
    second = model.fit(X, Y["binary"], epochs=3)
    assert (first.epoch, second.epoch, model.epochs_trained) == ([0, 1], [0, 1, 2], 5)


def test_no_epochs_move_nothing():
    model = model_for()
    before = bits(model)
    history = model.fit(X, Y["binary"], epochs=0)
    assert (history.epoch, history.history, bits(model)) == ([], {}, before)


# ---- evaluate, metrics --------------------------------------------------------------------------


def test_evaluate_without_metrics_is_the_loss_alone():
    model = model_for()
    assert type(model.evaluate(X, Y["binary"])) is float
    assert model.evaluate(X, Y["binary"], return_dict=True) == {
        "loss": model.evaluate(X, Y["binary"])
    }


def test_evaluate_with_metrics_is_a_list_with_the_loss_first():
    model = model_for(metrics=["accuracy"])
    values = model.evaluate(X, Y["binary"])
    assert type(values) is list
    assert model.evaluate(X, Y["binary"], return_dict=True) == {
        "loss": values[0],
        "accuracy": values[1],
    }
    model.compile(loss="binary_crossentropy")
    assert model.evaluate(X, Y["binary"]) == values[0]


@dtypes
@kinds
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_evaluate_is_the_loss_of_the_oracle_and_moves_nothing(kind, dtype, sample_weight):
    model = model_for(kind, dtype)
    before = bits(model)
    expected, _ = reference.gradient(
        model.get_weights(), activations_of(model), loss_of(kind), X, Y[kind], sample_weight
    )
    loss = model.evaluate(X, Y[kind], sample_weight=sample_weight)
    assert loss == pytest.approx(expected, rel=TOLERANCE[dtype])
    assert bits(model) == before


def plain_accuracy(kind, predictions):
    if kind == "binary":
        return ((predictions[:, 0] > 0.5) == Y[kind]).mean()
    if kind == "two binary":
        return ((predictions > 0.5) == Y[kind]).mean()
    if kind in ("signs", "zeros and ones"):
        return ((predictions > 0) == (Y[kind] > 0)).mean()
    return (predictions.argmax(axis=1) == CLASSES).mean()


@dtypes
@pytest.mark.parametrize("kind", [kind for kind in OUTPUT if kind != "numbers"])
def test_accuracy_is_that_of_plain_numpy(kind, dtype):
    model = model_for(kind, dtype, metrics=["accuracy"])
    model.fit(X, Y[kind], epochs=5, batch_size=4)
    expected = plain_accuracy(kind, model.predict(X))
    assert 0.4 < expected < 1  # neither chance nor certainty would tell errors
    scores = model.evaluate(X, Y[kind], return_dict=True)
    assert scores["accuracy"] == pytest.approx(expected, rel=1e-12)
    weighted = model.evaluate(X, Y[kind], sample_weight=WEIGHTS, return_dict=True)
    assert weighted["accuracy"] == scores["accuracy"]


def test_evaluate_over_many_slices_is_the_mean_over_all_rows():
    model, rows, labels = wide_model_and_rows(metrics=["accuracy"])
    model.build(rows.shape[1])
    assert len(rows) > 2 * rows_in_a_slice(model, rows, labels)
    expected, _ = reference.gradient(
        model.get_weights(), activations_of(model), "binary_crossentropy", rows, labels
    )
    loss, accuracy = model.evaluate(rows, labels)
    assert loss == pytest.approx(expected, rel=1e-5)
    right = (model.predict(rows)[:, 0] > 0.5) == labels
    assert accuracy == pytest.approx(right.mean(), rel=1e-12)


# ---- validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["binary", "labels"])
def test_validation_scores_are_those_of_evaluate_after_each_epoch(kind, weighted):
    held_out, targets = X[::2] + 0.1, Y[kind][::2]
    options = {"sample_weight": WEIGHTS[::2]} if weighted else {}
    data = (held_out, targets, WEIGHTS[::2]) if weighted else (held_out, targets)
    model, step_by_step = (model_for(kind, metrics=["accuracy"]) for _ in range(2))
    history = model.fit(X, Y[kind], epochs=3, validation_data=data).history
    for epoch in range(3):
        step_by_step.fit(X, Y[kind])
        scores = step_by_step.evaluate(held_out, targets, **options)
        assert [history["val_loss"][epoch], history["val_accuracy"][epoch]] == scores


def test_validation_data_may_be_a_list():
    history = model_for().fit(X, Y["binary"], validation_data=[X, Y["binary"]])
    assert "val_loss" in history.history


@modes
def test_validation_does_not_change_the_training(mode):
    with_validation, without = model_for(), model_for()
    with_validation.fit(X, Y["binary"], epochs=2, mode=mode, validation_data=(X, Y["binary"]))
    without.fit(X, Y["binary"], epochs=2, mode=mode)
    assert bits(with_validation) == bits(without)


@pytest.mark.parametrize(("share", "n_training"), [(0.2, 40), (0.25, 37), (0.5, 25), (0.99, 0)])
def test_validation_split_takes_the_last_rows(share, n_training):
    split, by_hand = model_for("numbers"), model_for("numbers")
    y = Y["numbers"]
    if not n_training:
        with pytest.raises(ValueError, match="leaves no rows"):
            split.fit(X, y, validation_split=share)
        return
    history = split.fit(X, y, sample_weight=WEIGHTS, epochs=2, validation_split=share)
    by_hand.fit(X[:n_training], y[:n_training], sample_weight=WEIGHTS[:n_training], epochs=2)
    assert bits(split) == bits(by_hand)
    assert history.params["samples"] == n_training
    rest = slice(n_training, None)
    expected = by_hand.evaluate(X[rest], y[rest], sample_weight=WEIGHTS[rest])
    assert history.history["val_loss"][-1] == expected


# ---- sample weights -----------------------------------------------------------------------------


def test_rows_of_weight_zero_count_in_the_divisor_alone():
    kept = WEIGHTS > 1
    model = model_for(dtype="float64")
    zeroed = model.gradient(X, Y["binary"], sample_weight=kept.astype(float))
    left_out = model.gradient(X[kept], Y["binary"][kept])
    for name in zeroed:
        expected = left_out[name] * kept.sum() / N_ROWS
        np.testing.assert_allclose(zeroed[name], expected, rtol=1e-10, atol=1e-14)
    loss = model.evaluate(X, Y["binary"], sample_weight=kept)
    assert loss == pytest.approx(
        model.evaluate(X[kept], Y["binary"][kept]) * kept.sum() / N_ROWS, rel=1e-12
    )


def test_weight_two_is_a_row_twice_up_to_the_divisor():
    model = model_for(dtype="float64")
    doubled = np.ones(N_ROWS)
    doubled[3] = 2
    weighted = model.gradient(X, Y["binary"], sample_weight=doubled)
    twice = model.gradient(np.vstack([X, X[3:4]]), np.append(Y["binary"], Y["binary"][3]))
    for name in weighted:
        np.testing.assert_allclose(
            weighted[name] * N_ROWS, twice[name] * (N_ROWS + 1), rtol=1e-10, atol=1e-13
        )


def test_stochastic_mode_skips_rows_of_weight_zero():
    kept = WEIGHTS > 1
    zeroed, left_out = model_for(), model_for()
    first = zeroed.fit(X, Y["binary"], sample_weight=kept, mode="stochastic", shuffle=False)
    second = left_out.fit(X[kept], Y["binary"][kept], mode="stochastic", shuffle=False)
    assert_same_steps(zeroed, left_out, "stochastic")
    assert first.history["loss"][0] * N_ROWS == pytest.approx(
        second.history["loss"][0] * kept.sum(), rel=1e-5
    )


@modes
def test_weights_of_one_are_as_good_as_none(mode):
    with_ones, without = model_for(), model_for()
    with_ones.fit(X, Y["binary"], sample_weight=np.ones(N_ROWS, int), mode=mode)
    without.fit(X, Y["binary"], mode=mode)
    assert bits(with_ones) == bits(without)


@modes
def test_weights_of_zero_move_nothing(mode):
    model = model_for()
    before = bits(model)
    history = model.fit(X, Y["binary"], sample_weight=np.zeros(N_ROWS), mode=mode)
    assert bits(model) == before
    assert history.history["loss"] == [0.0]


# ---- weights, gradient, predict, summary --------------------------------------------------------

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
    before = model._learner.network.before_output
    for _ in range(2):
        W1, b1, W2, b2 = model.get_weights()
        z, a = reference.forward([W1, b1, W2, b2], ["tanh", output], X - np.arange(5.0))
        found = before.predict(features(X, dtype))
        np.testing.assert_allclose(found, z[-1], atol=50 * TOLERANCE[dtype])
        np.testing.assert_allclose(model.predict(X), a[-1], rtol=1e-3, atol=50 * TOLERANCE[dtype])
        model.set_weights([W1 + 0.1, b1 + 1, W2 * 0.9, b2 - 1])  # the twin follows
    assert model._learner.network.before_output is before


def summary_lines(model, capsys):
    model.summary()
    return capsys.readouterr().out.splitlines()


def test_summary_counts_outputs_and_parameters(capsys):
    layers = [Normalization([0.0] * 5, [1.0] * 5), Dense(300, "relu"), Dense(2, use_bias=False)]
    model = Sequential(layers, dtype="float64", seed=12)
    model.build(5)
    lines = [line.split() for line in summary_lines(model, capsys)]
    assert lines[1] == ["Normalization", "5", "0"]
    assert lines[2] == ["Dense", "(relu)", "300", "1,800"]
    assert lines[3] == ["Dense", "(linear)", "2", "600"]
    assert lines[4] == ["float64,", "seed", "12,", "parameters:", "2,400"]


def test_summary_of_a_compiled_model_says_what_training_takes(capsys):
    model = Sequential([Dense(300, "relu"), Dense(2)], dtype="float64")
    model.compile(Adam(0.1), "mse")
    model.build(5)
    optimizer, path, batches = summary_lines(model, capsys)[-3:]
    assert optimizer == "optimizer Adam(learning_rate=0.1), loss mean_squared_error"
    assert path == "stochastic mode: fused"
    n = len(model._learner.network.parameters)
    expected = f"weights {8 * n / 1e3:,.1f} kB, optimizer {16 * n / 1e3:,.1f} kB, activations"
    assert expected in batches


def test_summary_before_build_says_what_is_known(capsys):
    lines = summary_lines(Sequential([Dense(4, "tanh"), Dense(1)]), capsys)
    assert lines[1].split() == ["Dense", "(tanh)", "4", "?"]
    assert lines[2].split() == ["Dense", "(linear)", "1", "5"]
    assert "parameters: ?" in lines[3]


# ---- the same bits ------------------------------------------------------------------------------


@modes
def test_two_fits_of_three_epochs_are_one_of_six(mode):
    once, twice = model_for(), model_for()
    whole = once.fit(X, Y["binary"], epochs=6, mode=mode).history["loss"]
    first = twice.fit(X, Y["binary"], epochs=3, mode=mode).history["loss"]
    second = twice.fit(X, Y["binary"], epochs=3, mode=mode).history["loss"]
    assert bits(once) == bits(twice)
    assert whole == first + second


@modes
def test_same_seed_gives_same_bits(mode):
    first, second = model_for(seed=5), model_for(seed=5)
    assert bits(first) == bits(second)
    for model in (first, second):
        model.fit(X, Y["binary"], epochs=2, mode=mode)
    assert bits(first) == bits(second)


def test_other_seed_gives_other_weights():
    assert bits(model_for(seed=5)) != bits(model_for(seed=6))


@pytest.mark.parametrize("mode", ["stochastic", "minibatch"])
def test_seed_of_a_fit_decides_the_order_of_that_fit_alone(mode):
    default, same, other = model_for(seed=5), model_for(seed=5), model_for(seed=5)
    default.fit(X, Y["binary"], mode=mode)
    same.fit(X, Y["binary"], mode=mode, seed=5)
    assert other.fit(X, Y["binary"], mode=mode, seed=6).params["seed"] == 6
    assert bits(default) == bits(same) != bits(other)
    assert other.seed == 5
    assert other.fit(X, Y["binary"], mode=mode).params["seed"] == 5


def test_seed_none_draws_one_and_records_it():
    first, second = Sequential([Dense(1)]), Sequential([Dense(1)])
    assert first.seed != second.seed
    for model in (first, second):
        model.build(4)
    again = Sequential([Dense(1)], seed=first.seed)
    again.build(4)
    assert bits(again) == bits(first) != bits(second)


@modes
@pytest.mark.parametrize("epoch", [0, 1])
def test_shuffling_visits_the_rows_in_the_order_of_seed_and_epoch(mode, epoch):
    size, y = BATCH_SIZES[mode], Y["binary"]
    order = np.arange(N_ROWS) if mode == "batch" else order_of(7, epoch)
    shuffled, by_hand = (model_for(seed=7, metrics=["accuracy"]) for _ in range(2))
    for model in (shuffled, by_hand):
        model.fit(X, y, epochs=epoch, batch_size=size)
    shuffled.fit(X, y, sample_weight=WEIGHTS, batch_size=size)
    by_hand.fit(X[order], y[order], sample_weight=WEIGHTS[order], batch_size=size, shuffle=False)
    assert bits(shuffled) == bits(by_hand)
    for name in ("loss", "accuracy"):
        assert shuffled.history.history[name] == by_hand.history.history[name]


@pytest.mark.parametrize("mode", ["stochastic", "minibatch"])
def test_without_shuffling_every_epoch_takes_the_rows_as_they_lie(mode):
    model, restarted = model_for(), model_for(seed=99)
    restarted.set_weights(model.get_weights())
    for each in (model, restarted):
        each.fit(X, Y["binary"], epochs=2, mode=mode, shuffle=False)
    assert bits(model) == bits(restarted)


def test_batch_mode_needs_no_order():
    natural, shuffled = model_for(), model_for()
    natural.fit(X, Y["binary"], epochs=2, mode="batch", shuffle=False)
    shuffled.fit(X, Y["binary"], epochs=2, mode="batch", seed=1)
    assert bits(natural) == bits(shuffled)


def test_initial_weights_of_both_dtypes_agree():
    single, double = model_for(dtype="float32"), model_for(dtype="float64")
    for a, b in zip(single.get_weights(), double.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b.astype("float32"))


@modes
def test_metrics_and_callbacks_and_lines_leave_no_trace_in_the_bits(mode, capsys):
    plain, watched = model_for(), model_for(metrics=["accuracy"])
    plain.fit(X, Y["binary"], epochs=2, mode=mode)
    watched.fit(X, Y["binary"], epochs=2, mode=mode, callbacks=[Callback()], verbose=2)
    assert bits(plain) == bits(watched)


# ---- callbacks ----------------------------------------------------------------------------------


class Recorder(Callback):
    """Writes down which hook was called with what; raises or stops where it is told to."""

    def __init__(self, raise_in=None, error=RuntimeError, calls=None):
        self.calls = [] if calls is None else calls
        self.raise_in, self.error = raise_in, error

    def note(self, hook, *arguments):
        self.calls.append((hook, *arguments))
        if hook == self.raise_in:
            raise self.error("as told")

    def on_train_begin(self, logs):
        self.note("train begin")

    def on_train_end(self, logs):
        self.note("train end")

    def on_epoch_begin(self, epoch, logs):
        self.note("epoch begin", epoch)

    def on_epoch_end(self, epoch, logs):
        self.note("epoch end", epoch, dict(logs))

    def on_slice_end(self, n_rows, logs):
        self.note("slice end", n_rows, dict(logs))

    @property
    def hooks(self):
        return [call[0] for call in self.calls]


def wide_model_and_rows(
    n_rows=1500, metrics=None, loss="binary_crossentropy", rate=0.01, dtype="float32"
):
    """A network so wide that an epoch over these rows takes several slices."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(n_rows, 1600)).astype("f4")
    output = Dense(1, "sigmoid" if loss == "binary_crossentropy" else "linear")
    model = Sequential([Dense(1600, "relu"), output], seed=0, dtype=dtype)
    model.compile(SGD(rate), loss, metrics)
    return model, rows, (rows[:, 0] > 0).astype(int)


def rows_in_a_slice(model, rows, labels):
    """How many rows the model's slices hold; found by one epoch of another model alike."""
    probe = Sequential(model.layers, seed=0)
    probe.compile(loss="mse")
    recorder = Recorder()
    probe.fit(rows, labels, callbacks=[recorder], mode="batch")
    return recorder.calls[2][1]


def test_hooks_are_called_in_order():
    recorder = Recorder()
    model_for().fit(X, Y["binary"], epochs=2, callbacks=[recorder])
    epoch = ["epoch begin", "slice end", "epoch end"]
    assert recorder.hooks == ["train begin", *epoch, *epoch, "train end"]
    assert [call[1] for call in recorder.calls if call[0] == "epoch begin"] == [0, 1]
    assert [call[1] for call in recorder.calls if call[0] == "epoch end"] == [0, 1]


def test_callbacks_are_called_in_the_order_they_are_given():
    calls = []
    first, second = Recorder(calls=calls), Recorder(calls=calls)
    first.note = lambda hook, *arguments: calls.append(("first", hook))
    second.note = lambda hook, *arguments: calls.append(("second", hook))
    model_for().fit(X, Y["binary"], callbacks=[first, second])
    assert [who for who, _ in calls] == ["first", "second"] * 5
    assert [hook for _, hook in calls[::2]] == [hook for _, hook in calls[1::2]]


def test_callbacks_know_model_and_params_from_the_start():
    seen = []

    class Look(Callback):
        def on_train_begin(self, logs):
            seen.append((self.model, self.params))

    model = model_for()
    history = model.fit(X, Y["binary"], callbacks=[Look()])
    assert seen[0][0] is model
    assert seen[0][1] == history.params


def test_epoch_logs_are_what_the_history_records():
    recorder, model = Recorder(), model_for(metrics=["accuracy"])
    history = model.fit(
        X, Y["binary"], epochs=3, validation_split=0.2, callbacks=[recorder]
    ).history
    logs = [call[2] for call in recorder.calls if call[0] == "epoch end"]
    assert logs == [{name: history[name][epoch] for name in history} for epoch in range(3)]


@pytest.mark.parametrize("batch_size", [1, 32, 1000, 1500])
def test_slices_cover_the_epoch_and_their_logs_are_running_means(batch_size):
    model, rows, labels = wide_model_and_rows(metrics=["accuracy"])
    recorder = Recorder()
    history = model.fit(rows, labels, batch_size=batch_size, callbacks=[recorder]).history
    slices = [call for call in recorder.calls if call[0] == "slice end"]
    assert len(slices) > 2
    assert sum(n_rows for _, n_rows, _ in slices) == len(rows)
    means = [logs["loss"] for *_, logs in slices]
    assert len(set(means)) == len(means)
    assert slices[-1][2] == {name: history[name][0] for name in ("loss", "accuracy")}


@pytest.mark.parametrize(("n_rows", "batch_size"), [(500, 1), (1500, 32), (1500, 1500)])
def test_loss_over_many_slices_is_that_of_the_oracle(n_rows, batch_size):
    # float32 turns on another unit
    model, rows, labels = wide_model_and_rows(n_rows, dtype="float64")
    model.build(rows.shape[1])
    weights, loss = reference.descend(
        model.get_weights(),
        activations_of(model),
        "binary_crossentropy",
        rows,
        labels,
        0.01,
        batch_size,
        np.arange(n_rows) if batch_size == n_rows else order_of(0, 0, n_rows),
    )
    history = model.fit(rows, labels, batch_size=batch_size).history
    assert history["loss"][0] == pytest.approx(loss, rel=1e-9)
    assert_close(model.get_weights(), weights, 1e-9)


class StopInThirdEpoch(Callback):
    """Asks for the end of the training in one of the hooks of the third epoch."""

    def __init__(self, hook):
        self.hook, self.epoch = hook, None

    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch
        self.ask("epoch begin")

    def on_slice_end(self, n_rows, logs):
        self.ask("slice end")

    def on_epoch_end(self, epoch, logs):
        self.ask("epoch end")

    def ask(self, hook):
        if (hook, self.epoch) == (self.hook, 2):
            self.model.stop_training = True


@pytest.mark.parametrize("hook", ["epoch begin", "slice end", "epoch end"])
def test_stop_training_ends_after_the_current_epoch(hook):
    model, recorder = model_for(), Recorder()
    history = model.fit(X, Y["binary"], epochs=10, callbacks=[StopInThirdEpoch(hook), recorder])
    assert history.epoch == [0, 1, 2]
    assert model.epochs_trained == 3
    assert recorder.hooks[-1] == "train end"
    assert model.fit(X, Y["binary"], epochs=2).epoch == [0, 1]  # the next fit starts afresh


FINISHED = {"train begin": 0, "epoch begin": 0, "slice end": 0, "epoch end": 1, "train end": 2}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("hook", FINISHED)
def test_an_exception_in_a_callback_leaves_a_usable_model(hook, error):
    model, watcher = model_for(metrics=["accuracy"]), Recorder()
    with pytest.raises(error, match="as told"):
        model.fit(X, Y["binary"], epochs=2, callbacks=[watcher, Recorder(hook, error)])
    assert watcher.hooks[-1] == "train end"
    assert model.history.epoch == list(range(FINISHED[hook]))
    assert all(len(values) == FINISHED[hook] for values in model.history.history.values())
    assert all(np.isfinite(array).all() for array in model.get_weights())
    assert model.fit(X, Y["binary"], epochs=2).epoch == [0, 1]


@pytest.mark.parametrize("hook", ["epoch begin", "epoch end"])
def test_a_fit_that_failed_between_epochs_goes_on_where_it_was(hook):
    failed, whole = model_for(), model_for()

    class FailLater(Recorder):
        def note(self, hook, *arguments):
            if arguments and arguments[0] == 1:
                super().note(hook, *arguments)

    with pytest.raises(RuntimeError):
        failed.fit(X, Y["binary"], epochs=9, callbacks=[FailLater(hook)])
    whole.fit(X, Y["binary"], epochs=failed.epochs_trained)
    assert failed.epochs_trained == (1 if hook == "epoch begin" else 2)
    assert bits(failed) == bits(whole)


# ---- interrupts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 32, 1500])
def test_an_interrupt_within_an_epoch_keeps_the_last_slice(batch_size):
    model, rows, labels = wide_model_and_rows(rate=0.001)
    at_slice_ends = []

    class InterruptSixthSlice(Callback):
        def on_slice_end(self, n_rows, logs):
            at_slice_ends.append(bits(self.model))
            if len(at_slice_ends) == n_slices + 2:
                raise KeyboardInterrupt

    n_slices = math.ceil(len(rows) / rows_in_a_slice(model, rows, labels))
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, labels, epochs=5, batch_size=batch_size, callbacks=[InterruptSixthSlice()])
    assert model.history.epoch == [0]
    assert model.epochs_trained == 1
    assert bits(model) == at_slice_ends[-1]
    assert (at_slice_ends[-1] == at_slice_ends[-2]) == (batch_size == 1500)
    assert model.fit(rows, labels, epochs=2, batch_size=batch_size).epoch == [0, 1]


class InterruptSoon(Callback):
    """Sends this process the signal of Ctrl-C, some time after the first slice."""

    sent = None

    def on_slice_end(self, n_rows, logs):
        if self.sent is None:
            self.sent = math.inf
            threading.Timer(0.1, self.send).start()

    def send(self):
        self.sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def default_sigint():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("batch_size", [1, 32, 10**6])
def test_ctrl_c_ends_a_long_epoch_soon(batch_size, default_sigint):
    rows = np.broadcast_to(np.linspace(-1, 1, 30, dtype="f4"), (10**6, 30))  # no memory
    labels = np.zeros(10**6, "u1")
    model = Sequential([Dense(64, "relu"), Dense(32, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile(SGD(1e-4), loss="binary_crossentropy")
    interrupt = InterruptSoon()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, labels, epochs=10**6, batch_size=batch_size, callbacks=[interrupt])
    # Promised is one second; five, so that a busy machine does not fail the test.
    assert time.monotonic() - interrupt.sent < 5
    assert all(np.isfinite(array).all() for array in model.get_weights())
    assert len(model.history.epoch) == model.epochs_trained < 10**6
    assert model.fit(rows[:99], labels[:99], epochs=2).epoch == [0, 1]


# ---- divergence ---------------------------------------------------------------------------------


class KeepBits(Callback):
    """Keeps the weights of the last slice and of the last epoch that ended well."""

    def on_train_begin(self, logs):
        self.last = bits(self.model)
        self.all = [self.last]

    def on_slice_end(self, n_rows, logs):
        self.last = bits(self.model)
        self.all.append(self.last)


@dtypes
@modes
@pytest.mark.parametrize("kind", ["numbers", "binary", "labels"])
def test_divergence_names_the_epoch_and_keeps_the_last_finite_weights(kind, mode, dtype):
    huge = {"float32": 1e30, "float64": 1e200}[dtype]
    model, keep = model_for(kind, dtype, rate=0.01), KeepBits()
    model.fit(X, Y[kind], epochs=2, mode=mode)
    model.compile(SGD(huge), loss_of(kind))
    with pytest.raises(FloatingPointError, match="diverged in epoch [1-9]") as info:
        model.fit(X * huge**0.5, Y[kind], epochs=9, mode=mode, callbacks=[keep])
    finished = len(model.history.epoch)
    assert f"diverged in epoch {finished + 1}:" in str(info.value)
    assert f"learning_rate={huge:g}" in str(info.value)
    assert model.epochs_trained == 2 + finished
    assert bits(model) == keep.last
    assert all(np.isfinite(array).all() for array in model.get_weights())


@pytest.mark.parametrize("batch_size", [1, 32, 1000])
@pytest.mark.parametrize("rarely", [False, True])
def test_divergence_within_an_epoch_goes_back_to_a_slice(batch_size, rarely, monkeypatch):
    """The last one, or where a copy of all weights takes long the last one that was copied."""
    monkeypatch.setattr("fastnn.engine.divergence.COPY_WORK", 5_000 if rarely else 0)
    model, rows, labels = wide_model_and_rows(loss="mean_squared_error", rate=1e-4)
    rows[1400:] = 1e30
    keep, recorder = KeepBits(), Recorder()
    with pytest.raises(FloatingPointError, match="epoch 1:"):
        model.fit(rows, labels, batch_size=batch_size, shuffle=False, callbacks=[keep, recorder])
    assert recorder.hooks.count("slice end") >= 2
    assert recorder.hooks[-1] == "train end"
    assert bits(model) in keep.all if rarely else bits(model) == keep.last
    assert model.history.epoch == []
    model.compile(SGD(1e-4), "mean_squared_error")
    assert model.fit(rows[:1000], labels[:1000]).epoch == [0]


def test_divergence_never_takes_back_a_finished_epoch(monkeypatch):
    monkeypatch.setattr("fastnn.engine.divergence.COPY_WORK", 1e9)  # no copies within an epoch
    model, rows, labels = wide_model_and_rows(500, loss="mean_squared_error", rate=1e-4)
    keep = KeepBits()
    with pytest.raises(FloatingPointError, match="epoch 3:"):
        model.fit(rows, labels, epochs=5, mode="batch", callbacks=[keep, Explode(2)])
    assert bits(model) == keep.last
    assert (model.epochs_trained, model._learner.state.step) == (2, 2)


class Explode(Callback):
    """Sets a rate that leads nowhere."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs):
        if epoch == self.epoch:
            self.model.optimizer.learning_rate = 1e300


def test_divergence_in_the_first_step_keeps_the_initial_weights():
    model = model_for("numbers", rate=1e39)  # infinite as float32
    before = bits(model)
    with pytest.raises(FloatingPointError, match="epoch 1:"):
        model.fit(X, Y["numbers"], epochs=2)
    assert bits(model) == before


# ---- Normalization ------------------------------------------------------------------------------


def identity(n_features, layer, dtype):
    """A model that hands out the standardised features."""
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


def test_known_statistics_are_as_good_as_learnt_ones():
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


def test_every_door_standardises():
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


# ---- what is left after an interrupt or an overflow ----


def test_an_interrupt_while_an_epoch_is_recorded_leaves_lists_of_equal_length():
    history = History(params={}, epoch=[0], history={"loss": [0.5, 0.4], "accuracy": [0.7]})
    history.settle()
    assert history.history == {"loss": [0.5], "accuracy": [0.7]}


def test_an_interrupt_in_the_validation_leaves_the_epoch_unrecorded(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    model = model_for()
    model.fit(X, Y["binary"], epochs=2)
    monkeypatch.setattr("fastnn.training.fit.evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y["binary"], validation_data=(X, Y["binary"]))
    assert model.epochs_trained == 2
    assert model.history.epoch == []


def test_every_on_train_end_is_called_though_one_raises():
    class Failing(Callback):
        def on_train_end(self, logs):
            raise RuntimeError("mine")

    calls = []
    with pytest.raises(RuntimeError, match="mine"):
        model_for().fit(X, Y["binary"], callbacks=[Failing(), Recorder(calls=calls)])
    assert calls[-1][0] == "train end"


@pytest.mark.parametrize("method", ["predict", "evaluate", "gradient"])
def test_a_result_that_overflows_is_an_error(method):
    model = Sequential([Dense(1)])
    model.build(1)
    model.compile(loss="mse")
    model.set_weights([[[3e38]], [0.0]])
    arguments = ([[10.0]],) if method == "predict" else ([[10.0]], [0.0])
    with pytest.raises(FloatingPointError, match="too large for float32|the loss is inf"):
        getattr(model, method)(*arguments)


def test_statistics_that_overflow_are_refused():
    layer = Normalization()
    with pytest.raises(ValueError, match="too large for float64"):
        layer.adapt(np.full((4, 1), 1e308) * [[1], [-1], [1], [-1]])
    assert layer.mean is None


# ---- copies, threads ----


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


def test_an_interrupt_after_a_slice_that_diverged_leaves_finite_weights(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    model = model_for(rate=1e30)
    model.build(X.shape[1])
    before = model.get_weights()
    monkeypatch.setattr("fastnn.engine.divergence.math.isfinite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y["binary"], epochs=3)
    for W, W_before in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(W, W_before)


def test_a_metric_named_twice_is_refused():
    with pytest.raises(ValueError, match="names a metric twice"):
        model_for(metrics=["accuracy", "Accuracy"])


def test_minibatches_of_one_row_are_called_stochastic():
    with pytest.raises(ValueError, match="say mode='stochastic'"):
        model_for().fit(X, Y["binary"], mode="minibatch", batch_size=1)
