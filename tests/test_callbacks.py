"""Callbacks by what they do: the order of the hooks, early stopping, checkpoints, logs."""

import csv

import numpy as np
import pytest

from fastnn import (
    SGD,
    Callback,
    CSVLogger,
    Dense,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    Sequential,
    StopAt,
    TerminateOnNaN,
    load,
)
from fastnn.callbacks import HOOKS

N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
HALF = slice(0, 25)
BATCH_SIZES = {"stochastic": 1, "minibatch": 16, "batch": N_ROWS}  # 16 leaves a short last batch

modes = pytest.mark.parametrize("mode", BATCH_SIZES)


def model_for(rate=0.1, seed=5):
    model = Sequential([Dense(9, "tanh"), Dense(1)], seed=seed)
    model.compile(SGD(rate), "mse")
    return model


def fit(model, mode="batch", **options):
    return model.fit(X, Y, mode=mode, batch_size=BATCH_SIZES[mode], **options).history


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def recorder(calls):
    """Notes every hook, with the number that it is told."""

    def noting(name):
        return lambda *told: calls.append((name, *(n for n in told if not isinstance(n, dict))))

    names = [name for name in HOOKS if name != "on_slice_end"]
    return LambdaCallback(**{name: noting(name) for name in names})


# ---- hooks --------------------------------------------------------------------------------------


def epoch_calls(epoch, n_batches):
    """What Keras calls in an epoch with validation, in its order."""
    batches = [
        (f"on_train_batch_{when}", batch) for batch in range(n_batches) for when in ("begin", "end")
    ]
    batch = [("on_test_batch_begin", 0), ("on_test_batch_end", 0)]
    tests = [("on_test_begin",), *batch, ("on_test_end",)]
    return [("on_epoch_begin", epoch), *batches, *tests, ("on_epoch_end", epoch)]


@pytest.mark.parametrize(("mode", "n_batches"), [("stochastic", 1), ("minibatch", 4), ("batch", 1)])
def test_hooks_come_in_kerass_order(mode, n_batches):
    calls = []
    fit(model_for(), mode, epochs=2, validation_data=(X, Y), callbacks=[recorder(calls)])
    expected = [("on_train_begin",), *epoch_calls(0, n_batches), *epoch_calls(1, n_batches)]
    assert calls == [*expected, ("on_train_end",)]


@modes
def test_callbacks_leave_no_trace_in_the_bits(mode):
    models = [model_for(), model_for()]
    histories = [
        fit(model, mode, epochs=3, validation_data=(X, Y), callbacks=callbacks)
        for model, callbacks in zip(models, ([], [recorder([])]), strict=True)
    ]
    assert bits(models[0]) == bits(models[1])
    for name in ("loss", "val_loss"):
        assert histories[0][name] == histories[1][name]


def test_a_batch_is_told_the_means_so_far():
    losses = []
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    history = fit(model_for(), "minibatch", callbacks=[callback])
    assert len(losses) == 4
    assert losses[-1] == history["loss"][0]
    assert len(set(losses)) == 4


def test_the_end_of_training_is_told_the_last_epoch():
    told = []
    history = fit(model_for(), epochs=3, callbacks=[LambdaCallback(on_train_end=told.append)])
    assert told == [{name: values[-1] for name, values in history.items()}]


class Failing(Callback):
    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            raise RuntimeError("out of paper")


def test_an_error_in_a_callback_leaves_model_and_history_of_one_piece():
    model, calls = model_for(), []
    with pytest.raises(RuntimeError, match="out of paper"):
        fit(model, epochs=5, callbacks=[Failing(), recorder(calls)])
    assert calls[-1] == ("on_train_end",)
    assert (model.epochs_trained, len(model.history.history["loss"])) == (2, 2)
    assert fit(model)["loss"]


def test_lambda_takes_hooks_only():
    with pytest.raises(TypeError, match="on_batch_end=.*on_train_begin, "):
        LambdaCallback(on_batch_end=print)
    with pytest.raises(TypeError, match="expected functions"):
        LambdaCallback(on_epoch_end=3)


# ---- what is measured when ----------------------------------------------------------------------


@modes
def test_training_is_measured_like_validation_if_asked(mode):
    models = [model_for(), model_for()]
    running = fit(models[0], mode, epochs=3)
    history = fit(models[1], mode, epochs=3, validation_data=(X, Y), train_metrics="end")
    assert history["loss"] == history["val_loss"] != running["loss"]
    assert bits(models[0]) == bits(models[1])
    with pytest.raises(ValueError, match="train_metrics='ends' is unknown"):
        fit(models[0], train_metrics="ends")


# ---- early stopping -----------------------------------------------------------------------------


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


@modes
def test_the_best_weights_come_back_bit_for_bit_whatever_ends_the_fit(mode, tmp_path):
    for how in ("patience", "epochs", "interrupt"):
        model, kept = model_for(rate=0.05), {}

        def note(epoch, logs, model=model, kept=kept, how=how):
            kept[logs["val_loss"]] = bits(model)
            if how == "interrupt" and epoch == 6:
                raise KeyboardInterrupt

        stopping = EarlyStopping(patience=2 if how == "patience" else 1000)
        callbacks = [LambdaCallback(on_epoch_end=note), stopping]
        try:
            fit(model, mode, epochs=12, validation_data=(X[HALF], -Y[HALF]), callbacks=callbacks)
        except KeyboardInterrupt:
            assert how == "interrupt"
        assert bits(model) == kept[stopping.best] == kept[min(kept)]
        if how == "patience":
            assert len(model.history.epoch) == stopping.stopped_epoch + 1 < 12


def test_a_number_that_is_not_there_is_refused_before_anything_moves():
    model = model_for()
    model.build(4)
    before = bits(model)
    for callback in (EarlyStopping(), ModelCheckpoint("x.npz", save_best_only=True)):
        with pytest.raises(ValueError, match="'val_loss' is not among .* loss, seconds, .*; take"):
            fit(model, callbacks=[callback])
    assert bits(model) == before


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


# ---- checkpoints, logs, rates -------------------------------------------------------------------


def test_a_checkpoint_of_every_epoch(tmp_path):
    model, kept = model_for(), []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(bits(model)))
    path = tmp_path / "model-{epoch:02d}-{loss:.3f}.npz"
    history = fit(model, epochs=3, callbacks=[ModelCheckpoint(path), note])
    for epoch, (loss, weights) in enumerate(zip(history["loss"], kept, strict=True), 1):
        assert bits(load(tmp_path / f"model-{epoch:02d}-{loss:.3f}.npz")) == weights


def test_a_checkpoint_of_the_best_epoch(tmp_path):
    model, kept = model_for(rate=0.3), {}

    def note(epoch, logs):
        kept[logs["val_loss"]] = bits(model)

    callbacks = [ModelCheckpoint(tmp_path / "best.npz", save_best_only=True)]
    callbacks.append(LambdaCallback(on_epoch_end=note))
    fit(model, epochs=12, validation_data=(X[HALF], -Y[HALF]), callbacks=callbacks)
    assert bits(load(tmp_path / "best.npz")) == kept[min(kept)] != bits(model)


def test_a_path_that_asks_for_what_is_not_there_says_so(tmp_path):
    with pytest.raises(ValueError, match="asks for 'val_acc'; known are epoch, loss"):
        fit(model_for(), callbacks=[ModelCheckpoint(tmp_path / "{val_acc}.npz")])


def test_a_table_of_the_history(tmp_path):
    path = tmp_path / "log.csv"
    first = fit(model_for(), epochs=2, callbacks=[CSVLogger(path)])
    second = fit(model_for(), epochs=1, callbacks=[CSVLogger(path, append=True)])
    with open(path, newline="") as file:
        names, *rows = list(csv.reader(file))
    assert names == ["epoch", *first]
    assert [int(row[0]) for row in rows] == [0, 1, 0]
    losses = [float(row[1]) for row in rows]
    assert losses == [*first["loss"], *second["loss"]]


def test_a_rate_by_epochs():
    callback = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else 0.4)
    history = fit(model_for(), epochs=3, callbacks=[callback, TerminateOnNaN()])
    assert history["learning_rate"] == [0.4, 0.2, 0.1]
    with pytest.raises(TypeError, match="schedule=0.1"):
        LearningRateScheduler(0.1)
    with pytest.raises(ValueError, match="learning_rate"):
        fit(model_for(), callbacks=[LearningRateScheduler(lambda epoch, rate: -1.0)])


# ---- other ends ---------------------------------------------------------------------------------


def test_a_fit_ends_at_a_loss():
    target = fit(model_for(), epochs=20)["loss"][7]
    model = model_for()
    assert len(fit(model, epochs=20, callbacks=[StopAt(loss=target)])["loss"]) == 8


def test_a_fit_ends_within_an_epoch_at_so_many_rows():
    model, twin, many = model_for(), model_for(), np.tile(X, (3000, 1))
    y = np.tile(Y, 3000)
    history = model.fit(many, y, epochs=3, shuffle=False, callbacks=[StopAt(samples=140_000)])
    rows = model._network.slice_rows
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
