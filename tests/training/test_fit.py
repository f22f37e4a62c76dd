"""fit against the reference: modes, validation, sample weights, and the same bits."""

import math

import numpy as np
import pytest
import reference
from small_models import (
    BATCH_SIZES,
    N_ROWS,
    TOLERANCE,
    WEIGHTS,
    X,
    Y,
    assert_close,
    assert_same_steps,
    bits,
    dtypes,
    kinds,
    model_for,
    modes,
    order_of,
    reference_fit,
)

from fastnn import Callback, Dense, Sequential

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
def test_metrics_and_callbacks_and_lines_change_no_bit(mode, capsys):
    plain, watched = model_for(), model_for(metrics=["accuracy"])
    plain.fit(X, Y["binary"], epochs=2, mode=mode)
    watched.fit(X, Y["binary"], epochs=2, mode=mode, callbacks=[Callback()], verbose=2)
    assert bits(plain) == bits(watched)


def test_minibatches_of_one_row_are_called_stochastic():
    with pytest.raises(ValueError, match="say mode='stochastic'"):
        model_for().fit(X, Y["binary"], mode="minibatch", batch_size=1)
