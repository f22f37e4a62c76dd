"""What Ctrl-C leaves: usable models, histories of equal length."""

import math
import os
import signal
import threading
import time

import numpy as np
import pytest
from small_models import X, Y, bits, model_for, rows_in_a_slice, wide_model_and_rows

from fastnn import SGD, Callback, Dense, History, Sequential
from fastnn.training.fit import drop_unfinished


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


def test_an_interrupt_while_an_epoch_is_recorded_leaves_lists_of_equal_length():
    history = History(params={}, epoch=[0], history={"loss": [0.5, 0.4], "accuracy": [0.7]})
    drop_unfinished(history)
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
