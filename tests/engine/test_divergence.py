"""Divergence is named and taken back."""

import numpy as np
import pytest
from small_models import (
    Recorder,
    X,
    Y,
    bits,
    dtypes,
    loss_of,
    model_for,
    modes,
    wide_model_and_rows,
)

from fastnn import SGD, Callback, Dense, Sequential
from fastnn.models import learner_of


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
    assert (model.epochs_trained, learner_of(model).state.step) == (2, 2)


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


@pytest.mark.parametrize("method", ["predict", "evaluate", "gradient"])
def test_a_result_that_overflows_is_an_error(method):
    model = Sequential([Dense(1)])
    model.build(1)
    model.compile(loss="mse")
    model.set_weights([[[3e38]], [0.0]])
    arguments = ([[10.0]],) if method == "predict" else ([[10.0]], [0.0])
    with pytest.raises(FloatingPointError, match="too large for float32|the loss is inf"):
        getattr(model, method)(*arguments)
