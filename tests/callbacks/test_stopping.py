"""Callbacks that end a fit: early stopping and its best weights, bounds, what is not finite."""

from contextlib import nullcontext

import numpy as np
import pytest
from watched_fits import HALF, X, Y, bits, fit, in_slices, model_for, modes

from fastnn import Callback, EarlyStopping, LambdaCallback, StopAt, TerminateOnNaN
from fastnn.models import learner_of


class Model:
    """What early stopping asks of a model; its weights are the number of the epoch."""

    stop_training = False

    def __init__(self):
        self.weights = [np.zeros(1)]

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def stopped(values, **settings):
    """The epoch in which a row of numbers ends a fit, the best one, and the weights in the end."""
    callback = EarlyStopping("loss", **settings)
    callback.model, callback.params = Model(), {"metrics": {"loss": "min"}}
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        callback.model.weights = [np.full(1, epoch)]
        callback.on_epoch_end(epoch, {"loss": value})
        if callback.model.stop_training:
            break
    callback.on_train_end({})
    return callback.stopped_epoch, callback.best_epoch, int(callback.model.weights[0][0])


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([3, 2, 1, 2, 3], {}, (3, 2, 2)),
        ([3, 2, 1, 2, 3, 4], {"patience": 2}, (4, 2, 2)),
        ([3, 2, 1, 2, 0.5, 4], {"patience": 2}, (None, 4, 4)),
        ([3, 2, 1, 2], {"restore_best_weights": False}, (3, 2, 3)),
        ([3, 2.95, 2.9], {"min_delta": 0.2}, (1, 0, 0)),
        ([1, 2, 3, 2], {"mode": "max"}, (3, 2, 2)),
        ([5, 4, 3, 2], {"baseline": 1.0, "patience": 3}, (None, 3, 3)),
        ([5, 6, 4, 6, 3], {"baseline": 1.0, "patience": 3}, (3, 2, 2)),
        ([1, 2, 3, 2], {"start_from_epoch": 2}, (None, 3, 3)),
        ([1, 1], {}, (1, 0, 0)),
    ],
)
def test_early_stopping_is_kerass_rule(values, settings, expected):
    assert stopped(values, **settings) == expected


class Ending(Callback):
    """Ends a fit in its seventh epoch, in one way or another."""

    errors = {"interrupt": KeyboardInterrupt, "error": RuntimeError, "late": RuntimeError}

    def __init__(self, how):
        self.how = how

    def on_epoch_begin(self, epoch, logs):
        self.due = epoch == 6
        if self.due and self.how == "divergence":
            self.model.optimizer.learning_rate = 1e300

    def on_slice_end(self, n_rows, logs):
        if self.due and self.how in ("interrupt", "error"):
            raise self.errors[self.how]
        if self.due and self.how == "stop_training":
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs):
        if self.due and self.how == "late":
            raise RuntimeError


ENDS = {  # how a fit ends, with what error and how many epochs
    "patience": (None, None),
    "epochs": (None, 12),
    "stop_training": (None, 7),
    "interrupt": (KeyboardInterrupt, 6),
    "error": (RuntimeError, 6),
    "late": (RuntimeError, 7),
    "divergence": (FloatingPointError, 6),
}


@modes
@pytest.mark.parametrize("how", ENDS)
def test_the_best_weights_come_back_bit_for_bit_whatever_ends_the_fit(how, mode):
    model, kept = in_slices(model_for(rate=0.05)), {}
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.update({epoch: bits(model)}))
    stopping = EarlyStopping(patience=2 if how == "patience" else 1000)
    callbacks = [note, stopping, Ending(how)]
    options = {"epochs": 12, "validation_data": (X[HALF], -Y[HALF]), "callbacks": callbacks}
    error, epochs = ENDS[how]
    with pytest.raises(error) if error else nullcontext():
        fit(model, mode, **options)
    losses = model.history.history["val_loss"]
    assert stopping.best == min(losses) == losses[stopping.best_epoch]
    assert bits(model) == kept[stopping.best_epoch]
    assert len(losses) == (epochs or stopping.stopped_epoch + 1)
    assert (stopping.stopped_epoch is not None) == (how == "patience")


def test_an_interrupt_while_weights_are_kept_leaves_number_and_weights_of_one_epoch():
    callback = EarlyStopping("loss")
    callback.model, callback.params = Model(), {"metrics": {"loss": "min"}}
    callback.on_train_begin({})
    callback.on_epoch_end(0, {"loss": 2.0})

    def interrupted():
        raise KeyboardInterrupt

    callback.model.weights, callback.model.get_weights = [np.ones(1)], interrupted
    with pytest.raises(KeyboardInterrupt):
        callback.on_epoch_end(1, {"loss": 1.0})
    callback.on_train_end({})
    assert (callback.best, callback.best_epoch, callback.model.weights[0][0]) == (2.0, 0, 0.0)


def test_early_stopping_begins_again_with_every_fit():
    model, stopping = model_for(), EarlyStopping("loss", patience=1, mode="max")
    for _ in range(2):
        assert len(fit(model, epochs=9, callbacks=[stopping])["loss"]) == 2
        assert (stopping.best_epoch, stopping.stopped_epoch) == (0, 1)


def test_early_stopping_waits_for_validated_epochs():
    stopping = EarlyStopping(patience=2, mode="max")
    options = {"epochs": 20, "validation_data": (X, Y), "validation_freq": 3}
    history = fit(model_for(), callbacks=[stopping], **options)
    assert (stopping.best_epoch, stopping.stopped_epoch) == (2, 8)
    assert (len(history["loss"]), len(history["val_loss"])) == (9, 3)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"patience": -1}, ValueError),
        ({"min_delta": -0.1}, ValueError),
        ({"mode": "up"}, ValueError),
        ({"baseline": "low"}, TypeError),
        ({"restore_best_weights": 1}, TypeError),
        ({"start_from_epoch": 0.5}, TypeError),
        ({"monitor": 3}, TypeError),
    ],
)
def test_wrong_settings_of_early_stopping_are_refused_by_name(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        EarlyStopping(**settings)


@pytest.mark.parametrize("callbacks", [[], [TerminateOnNaN()]])
def test_a_loss_that_is_not_finite_ends_any_fit(callbacks):
    model = model_for(rate=1e300)
    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        fit(model, epochs=5, callbacks=callbacks)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_a_fit_ends_at_a_loss():
    target = fit(model_for(), epochs=20)["loss"][7]
    model = model_for()
    assert len(fit(model, epochs=20, callbacks=[StopAt(loss=target)])["loss"]) == 8


def test_a_fit_ends_within_an_epoch_at_a_number_of_rows():
    model, twin, many = model_for(), model_for(), np.tile(X, (3000, 1))
    y = np.tile(Y, 3000)
    history = model.fit(many, y, epochs=3, shuffle=False, callbacks=[StopAt(samples=140_000)])
    rows = learner_of(model).network.slice_rows
    assert rows < 140_000 < 150_000 <= 2 * rows
    assert history.epoch == [0]
    twin.fit(many, y, shuffle=False)
    assert bits(model) == bits(twin)  # the second slice was the last one
    model = model_for()
    model.fit(many, y, epochs=3, shuffle=False, callbacks=[StopAt(samples=1)])
    twin = model_for()
    twin.fit(many[:rows], y[:rows], shuffle=False)
    assert bits(model) == bits(twin)


def test_a_fit_ends_after_some_seconds():
    model = model_for()
    model.fit(X, Y, epochs=10**9, callbacks=[StopAt(seconds=0.05)])
    assert 1 <= model.epochs_trained < 10**6


def test_an_end_must_be_given():
    with pytest.raises(ValueError, match="needs seconds, samples or loss"):
        StopAt()
    with pytest.raises(ValueError, match="seconds"):
        StopAt(seconds=0)
