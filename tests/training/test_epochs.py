"""Which epochs a fit goes through, and which of them it validates."""

import inspect
import warnings

import numpy as np
import pytest

from fastnn import LBFGS, SGD, Callback, Dense, History, ReduceLROnPlateau, Sequential
from fastnn.training.fit import drop_unfinished

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = RNG.integers(0, 2, 40)
VALIDATION = X[30:], Y[30:]


def compiled(optimizer="SGD", **settings):
    model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], seed=1, **settings)
    model.compile(optimizer, "binary_crossentropy", ["accuracy"])
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


# ---- validation_freq ----------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "epochs"), [(1, range(7)), (2, [1, 3, 5]), (3, [2, 5]), (8, [])])
def test_validation_runs_after_every_few_epochs(every, epochs):
    sparse, full = compiled(), compiled()
    thin = sparse.fit(X, Y, epochs=7, validation_data=VALIDATION, validation_freq=every)
    whole = full.fit(X, Y, epochs=7, validation_data=VALIDATION).history
    expected = [whole["val_loss"][epoch] for epoch in epochs]
    assert thin.history.get("val_loss", []) == expected
    assert thin.history["loss"] == whole["loss"]
    assert thin.validated == list(epochs)
    assert bits(sparse) == bits(full)


def test_a_callback_waits_for_validated_epochs():
    rates = {}
    for every in (1, 2):
        model = compiled(SGD(1e-6))
        callback = ReduceLROnPlateau("val_loss", patience=2, min_delta=1)
        options = {"epochs": 4, "validation_data": VALIDATION, "validation_freq": every}
        rates[every] = model.fit(X, Y, callbacks=[callback], **options).history["learning_rate"]
    assert rates[1] == pytest.approx([1e-6, 1e-6, 1e-6, 1e-7])  # worse twice by then
    assert rates[2] == pytest.approx([1e-6] * 4)


def test_an_interrupt_while_a_validated_epoch_is_recorded_leaves_whole_lists():
    record = {"loss": [0.5, 0.4, 0.3, 0.2], "val_loss": [0.6, 0.7]}
    history = History({"validation_freq": 2}, [0, 1, 2], record)
    drop_unfinished(history)
    assert history.history == {"loss": [0.5, 0.4, 0.3], "val_loss": [0.6]}


def test_a_history_with_fewer_validations_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    history = compiled().fit(X, Y, epochs=5, validation_data=VALIDATION, validation_freq=2)
    history.plot(tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").stat().st_size > 0


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_other_values_of_validation_freq_are_refused(value, error):
    with pytest.raises(error, match="validation_freq="):
        compiled().fit(X, Y, validation_freq=value)


# ---- the last rows of sorted targets ----

SORTED = {
    "labels": (np.arange(40) // 20, "categorical_crossentropy", 2),
    "falling": (1 - np.arange(40) // 20, "categorical_crossentropy", 2),
    "one-hot": (np.eye(2)[np.arange(40) // 20], "categorical_crossentropy", 2),
    "numbers": (np.linspace(0, 1, 40), "mean_squared_error", 1),
}
FINE = {
    "shuffled": (Y, "categorical_crossentropy", 2),
    "all the same": (np.zeros(40), "categorical_crossentropy", 2),
    "two columns": (np.stack([np.arange(40), Y], axis=1), "mean_squared_error", 2),
}


def fit_with(y, loss, units, **options):
    activation = "softmax" if loss == "categorical_crossentropy" else "linear"
    model = Sequential([Dense(units, activation)], seed=1)
    model.compile(SGD(1e-4), loss)
    model.fit(X, y, **options)


@pytest.mark.parametrize("name", SORTED)
def test_a_split_of_sorted_targets_is_warned_of(name):
    with pytest.warns(UserWarning, match="y is sorted.*shuffle first") as caught:
        fit_with(*SORTED[name], validation_split=0.25)
    (warning,) = caught
    lines, first = inspect.getsourcelines(fit_with)
    assert warning.filename == __file__
    assert first <= warning.lineno < first + len(lines)
    assert "\n" not in str(warning.message)


@pytest.mark.parametrize(("name", "share"), [*((name, 0.25) for name in FINE), ("labels", 0.0)])
def test_other_targets_are_split_in_silence(name, share):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_with(*(FINE | SORTED)[name], validation_split=share)


# ---- initial_epoch ------------------------------------------------------------------------------


class Recorder(Callback):
    def __init__(self):
        self.begun, self.ended = [], []

    def on_epoch_begin(self, epoch, logs):
        self.begun.append(epoch)

    def on_epoch_end(self, epoch, logs):
        self.ended.append(epoch)


def optimizer_for(mode):
    if mode == "lbfgs":
        pytest.importorskip("scipy")
        return {"optimizer": LBFGS()}, "batch"
    return {"optimizer": SGD(0.1, momentum=0.9)}, mode


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch", "lbfgs"])
def test_epochs_count_on_from_the_initial_one(mode):
    settings, mode = optimizer_for(mode)
    model, recorder = compiled(**settings), Recorder()
    history = model.fit(X, Y, epochs=5, initial_epoch=3, mode=mode, callbacks=[recorder])
    assert history.epoch == recorder.begun == recorder.ended == [3, 4]
    assert len(history.history["loss"]) == model.epochs_trained == 2


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
def test_a_run_in_two_parts_has_the_bits_of_one(mode):
    parts, whole = compiled(), compiled()
    first = parts.fit(X, Y, epochs=3, mode=mode).history["loss"]
    second = parts.fit(X, Y, epochs=5, initial_epoch=3, mode=mode).history["loss"]
    assert first + second == whole.fit(X, Y, epochs=5, mode=mode).history["loss"]
    assert bits(parts) == bits(whole)


@pytest.mark.parametrize("mode", ["minibatch", "lbfgs"])
@pytest.mark.parametrize("initial_epoch", [3, 4])
def test_nothing_is_left_to_do_after_the_last_epoch(mode, initial_epoch):
    settings, mode = optimizer_for(mode)
    model = compiled(**settings)
    model.build(3)
    before = bits(model)
    history = model.fit(X, Y, epochs=3, initial_epoch=initial_epoch, mode=mode, verbose=1)
    assert (history.epoch, history.history, bits(model)) == ([], {}, before)


def test_without_an_epoch_no_average_is_adopted():
    model = compiled(SGD(0.1, use_ema=True))
    for _ in range(3):
        model.train_on_batch(X, Y)
    before = bits(model)
    model.fit(X, Y, epochs=3, initial_epoch=3)
    assert bits(model) == before


def test_validation_counts_on_too():
    options = {"validation_data": VALIDATION, "validation_freq": 2}
    history = compiled().fit(X, Y, epochs=6, initial_epoch=3, **options)
    assert history.validated == [3, 5]
    assert len(history.history["val_loss"]) == 2


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_other_values_of_initial_epoch_are_refused(value, error):
    with pytest.raises(error, match="initial_epoch="):
        compiled().fit(X, Y, initial_epoch=value)


@pytest.mark.parametrize("given", [X, (X,), "no", 3])
def test_validation_data_that_is_no_pair_is_named(given):
    kind = "a tuple of 1" if isinstance(given, tuple) else type(given).__name__
    with pytest.raises(TypeError, match=rf"validation_data is {kind}; .*=\(X, y\)$") as caught:
        compiled().fit(X, Y, validation_data=given)
    assert "chunks" not in str(caught.value)


@pytest.mark.parametrize("given", [[(X, Y), (X, Y)], iter([(X, Y)])])
def test_validation_takes_arrays_and_no_chunks(given):
    with pytest.raises(TypeError, match="validation_data: expected arrays.*chunks"):
        compiled().fit(X, Y, validation_data=given)


def test_validation_takes_rows_in_tuples():
    rows = tuple(map(tuple, X.tolist()))
    found, expected = (
        compiled().fit(X, Y, validation_data=(each, Y)).history["val_loss"] for each in (rows, X)
    )
    assert found == pytest.approx(expected)
