"""The numbers that a callback may look at, and their names."""

import numpy as np
import pytest
from watched_fits import HALF, X, Y, bits, fit, model_for

from fastnn import (
    SGD,
    Dense,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    Sequential,
)
from fastnn.metrics import TAKEN
from fastnn.training.fit import recorded

RECORDED = ["loss", "mae", "r2_score", "seconds", "samples_per_second", "learning_rate"]
RECORDED += ["val_loss", "val_mae", "val_r2_score", "clipped_steps"]


@pytest.mark.parametrize("mode", ["stochastic", "minibatch"])
@pytest.mark.parametrize("monitor", RECORDED)
def test_any_number_of_the_history_may_be_looked_at(monitor, mode):
    model, kept = model_for(metrics=["mae", "r2_score"], clipnorm=0.5), []
    rate = LearningRateScheduler(lambda epoch, rate: 0.1 / (1 + (epoch - 3) ** 2))
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(bits(model)))
    direction = "min" if monitor == "learning_rate" else "auto"  # of a rate nobody knows it
    stopping = EarlyStopping(monitor, patience=1000, mode=direction)
    options = {"epochs": 6, "validation_data": (X[HALF], Y[HALF])}
    history = fit(model, mode, callbacks=[rate, note, stopping], **options)
    assert set(history) == set(RECORDED)
    best = max if "r2" in monitor or monitor == "samples_per_second" else min
    assert stopping.best == best(history[monitor])
    assert stopping.best_epoch == history[monitor].index(stopping.best)
    assert bits(model) == kept[stopping.best_epoch]


def test_a_number_that_is_not_there_is_refused_before_anything_moves():
    model = model_for()
    model.build(4)
    before = bits(model)
    for callback in (EarlyStopping(), ModelCheckpoint("x.npz", save_best_only=True)):
        with pytest.raises(ValueError, match="'val_loss' is not among .* loss, seconds, .*_split"):
            fit(model, callbacks=[callback])
    assert bits(model) == before


@pytest.mark.parametrize(
    ("monitor", "metrics", "validated", "remedy"),
    [
        ("val_acc", None, True, r"; a metric .*metrics=\['accuracy'\]$"),
        ("val_acc", ["accuracy"], True, r"\. Did you mean 'val_accuracy'\?$"),
        ("acc", ["accuracy"], False, r"\. Did you mean 'accuracy'\?$"),
        ("val_loss", ["accuracy"], False, r"; give fit validation data, e\.g\. validation_split"),
        ("los", None, False, r"\. Did you mean 'loss'\?$"),
    ],
)
def test_a_number_that_is_not_there_gets_the_remedy_that_helps(monitor, metrics, validated, remedy):
    model = Sequential([Dense(1, "sigmoid")], seed=0)
    model.compile("sgd", "binary_crossentropy", metrics)
    validation = (X, Y > 0) if validated else None
    with pytest.raises(ValueError, match=remedy):
        model.fit(X, Y > 0, validation_data=validation, callbacks=[EarlyStopping(monitor)])


def test_a_function_that_nobody_knows_the_direction_of_needs_a_mode():
    def gain(y_true, y_pred):
        return -float(np.square(y_true - y_pred).mean())

    model = Sequential([Dense(1)], seed=5)
    model.compile("SGD", "mse", [gain])
    with pytest.raises(ValueError, match="more of 'gain' is better.*mode='max'"):
        fit(model, callbacks=[EarlyStopping("gain")])
    assert model.history.epoch == []
    best = EarlyStopping("gain", mode="max")
    gains = fit(model, epochs=3, callbacks=[best])["gain"]
    assert best.best == max(gains)


def test_every_name_that_a_fit_records_is_taken():
    optimizer = SGD(0.1, clipnorm=1.0)
    names = recorded(optimizer, [], validated=True)
    assert {name for name in names if not name.startswith("val_")} | {"epoch"} == {*TAKEN}


@pytest.mark.parametrize(
    "name",
    [*TAKEN, "val_loss", "val_x", "", " ", "a{b", "a}", "f1.5", "f[0]", "f!r", "f:d", "a\nb", "\0"],
)
@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
def test_names_that_a_history_or_a_file_cannot_hold_are_refused_by_compile(name, argument):
    def own(y_true, y_pred):
        return 1.0

    own.__name__ = name or "{}"
    with pytest.raises(ValueError, match="name=.*e.g. name='top_3'"):
        model_for().compile("SGD", "mse", **{argument: [own]})
