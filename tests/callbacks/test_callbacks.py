"""Callbacks by what they do: the order of the hooks, early stopping, checkpoints, logs."""

import copy
import csv
import os
import pickle
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_validate

from fastnn import (
    LBFGS,
    SGD,
    Callback,
    CSVLogger,
    Dense,
    Dropout,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    MLPClassifier,
    ModelCheckpoint,
    Progress,
    ReduceLROnPlateau,
    Sequential,
    StopAt,
    TerminateOnNaN,
    load,
)
from fastnn.callbacks import progress
from fastnn.callbacks.base import HOOKS
from fastnn.custom import CustomMetric
from fastnn.metrics import TAKEN
from fastnn.training.fit import recorded

N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
HALF = slice(0, 25)
BATCH_SIZES = {"stochastic": 1, "minibatch": 16, "batch": N_ROWS}  # 16 leaves a short last batch

modes = pytest.mark.parametrize("mode", BATCH_SIZES)


def model_for(rate=0.1, seed=5, metrics=None, **settings):
    model = Sequential([Dense(9, "tanh"), Dense(1)], seed=seed)
    model.compile(SGD(rate, **settings), "mse", metrics)
    return model


def in_slices(model):
    """The model, which now returns to Python after 16 rows: with X, four times."""
    model.build(4)
    model._learner.network.slice_rows = model._learner.network.block = 16
    return model


def fit(model, mode="batch", **options):
    return model.fit(X, Y, mode=mode, batch_size=BATCH_SIZES[mode], **options).history


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def recorder(calls, logs=None):
    """Notes every hook with the number that it is told, and in `logs` what else."""

    def noting(name):
        def note(*arguments):
            *number, found = arguments
            calls.append((name, *number))
            if logs is not None:
                logs.setdefault(name, []).append(dict(found))

        return note

    names = [name for name in HOOKS if name != "on_slice_end"]
    return LambdaCallback(**{name: noting(name) for name in names})


# ---- hooks --------------------------------------------------------------------------------------


def batch_calls(kind, n_batches):
    """What Keras calls for some batches of "train", "test" or "predict"."""
    return [
        (f"on_{kind}_batch_{when}", batch)
        for batch in range(n_batches)
        for when in ("begin", "end")
    ]


def pass_calls(kind, n_batches):
    """What Keras calls in `evaluate`, validation too, or `predict`."""
    return [(f"on_{kind}_begin",), *batch_calls(kind, n_batches), (f"on_{kind}_end",)]


def epoch_calls(epoch, n_batches):
    """What Keras calls in an epoch with validation, in its order."""
    batches, tests = batch_calls("train", n_batches), pass_calls("test", 1)
    return [("on_epoch_begin", epoch), *batches, *tests, ("on_epoch_end", epoch)]


@pytest.mark.parametrize(("mode", "n_batches"), [("stochastic", 1), ("minibatch", 4), ("batch", 1)])
def test_hooks_come_in_kerass_order(mode, n_batches):
    calls = []
    fit(model_for(), mode, epochs=2, validation_data=(X, Y), callbacks=[recorder(calls)])
    expected = [("on_train_begin",), *epoch_calls(0, n_batches), *epoch_calls(1, n_batches)]
    assert calls == [*expected, ("on_train_end",)]


@pytest.mark.parametrize(("size", "n_batches"), [(1, 4), (16, 4), (30, 2), (N_ROWS, 1)])
def test_a_batch_of_several_slices_is_one_batch_to_the_hooks(size, n_batches):
    model, calls, slices = in_slices(model_for()), [], []
    note = LambdaCallback(on_slice_end=lambda n_rows, logs: slices.append(n_rows))
    model.fit(X, Y, batch_size=size, callbacks=[recorder(calls), note])
    assert [call for call in calls if "batch" in call[0]] == batch_calls("train", n_batches)
    assert (len(slices), sum(slices)) == (4, N_ROWS)


def test_lbfgs_calls_hooks_of_epochs_and_validation():
    pytest.importorskip("scipy")
    model, calls = Sequential([Dense(9, "tanh"), Dense(1)], seed=5), []
    model.compile(LBFGS(), "mse")
    fit(model, epochs=2, validation_data=(X, Y), callbacks=[recorder(calls)])
    epochs = [call for epoch in range(2) for call in epoch_calls(epoch, n_batches=0)]
    assert calls == [("on_train_begin",), *epochs, ("on_train_end",)]


def test_batches_count_on_over_the_chunks_of_an_epoch():
    calls, chunks = [], [(X, Y), (X[HALF], Y[HALF])]
    model_for().fit(chunks, batch_size=16, epochs=2, callbacks=[recorder(calls)])
    epoch = batch_calls("train", 4 + 2)
    assert [call for call in calls if "batch" in call[0]] == epoch * 2


def named(name, calls, fails_in=None):
    """Notes under a name how training begins and ends, and fails where it is told to."""

    def noting(hook):
        def note(logs):
            calls.append((name, hook))
            if hook == fails_in:
                raise RuntimeError(name)

        return note

    return LambdaCallback(**{hook: noting(hook) for hook in ("on_train_begin", "on_train_end")})


def test_training_begins_and_ends_in_the_order_of_the_list():
    calls = []
    fit(model_for(), callbacks=[named(name, calls) for name in "abc"])
    assert calls == [(name, hook) for hook in ("on_train_begin", "on_train_end") for name in "abc"]


def test_each_callback_that_has_begun_is_ended_though_another_fails():
    calls = []
    fails = {"a": "on_train_end", "b": "on_train_end", "c": "on_train_begin"}
    with pytest.raises(RuntimeError) as caught:
        fit(model_for(), callbacks=[named(name, calls, fails.get(name)) for name in "abcd"])
    begun = [(name, "on_train_begin") for name in "abc"]
    assert calls == [*begun, ("a", "on_train_end"), ("b", "on_train_end")]
    context = caught.value.__context__
    assert [str(error) for error in (caught.value, context, context.__context__)] == ["b", "a", "c"]


@pytest.mark.parametrize("n_batches", [1, 4])
def test_evaluate_and_predict_call_hooks_of_their_own(n_batches):
    model = in_slices(model_for()) if n_batches > 1 else model_for()
    model.build(4)
    calls = []
    model.evaluate(X, Y, callbacks=[recorder(calls)])
    assert calls == pass_calls("test", n_batches)
    calls.clear()
    model.predict(X, callbacks=[recorder(calls)])
    assert calls == pass_calls("predict", n_batches)


def test_an_evaluation_is_told_the_means_so_far_and_in_the_end_the_scores():
    model, logs = in_slices(model_for(metrics=["mae", "r2_score"])), {}
    scores = model.evaluate(X, Y, return_dict=True, callbacks=[recorder([], logs)])
    assert logs["on_test_begin"] == [{}]
    assert logs["on_test_batch_begin"] == [{}] * 4
    assert logs["on_test_end"] == [scores]
    for stop, told in zip((16, 32, 48, 50), logs["on_test_batch_end"], strict=True):
        so_far = model.evaluate(X[:stop], Y[:stop], return_dict=True)
        assert told == pytest.approx({name: so_far[name] for name in told})
        assert {"loss", "mae"} <= told.keys()
    assert logs["on_test_batch_end"][-1]["loss"] == scores["loss"]


def test_a_prediction_is_told_the_outputs_of_each_slice():
    model, logs = in_slices(model_for()), {}
    predictions = model.predict(X, callbacks=[recorder([], logs)])
    assert logs["on_predict_begin"] == logs["on_predict_end"] == [{}]
    assert logs["on_predict_batch_begin"] == [{}] * 4
    assert [list(told) for told in logs["on_predict_batch_end"]] == [["outputs"]] * 4
    outputs = [told["outputs"] for told in logs["on_predict_batch_end"]]
    assert [len(output) for output in outputs] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(outputs), predictions)


@modes
def test_a_fit_tells_each_hook_what_the_history_records(mode):
    model, logs = model_for(metrics=["mae"]), {}
    options = {"epochs": 2, "validation_data": (X[HALF], Y[HALF])}
    history = fit(model, mode, callbacks=[recorder([], logs)], **options)
    epochs = [{name: values[epoch] for name, values in history.items()} for epoch in range(2)]
    assert logs["on_epoch_end"] == epochs
    assert logs["on_train_end"] == epochs[-1:]
    for name in ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_test_begin"):
        assert not any(logs[name])
    tests = [{name: epoch[f"val_{name}"] for name in ("loss", "mae")} for epoch in epochs]
    assert logs["on_test_end"] == logs["on_test_batch_end"] == tests
    last = logs["on_train_batch_end"][-1]
    assert last == {name: epochs[-1][name] for name in ("loss", "mae")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["one slice", "slices", "own loss"])
def test_hooks_leave_scores_and_predictions_as_they_are(kind, dtype):
    model = Sequential([Dense(9, "tanh"), Dense(2)], seed=5, dtype=dtype)
    targets = np.stack([Y, -Y], axis=1)
    if kind == "own loss":
        model.compile("SGD", lambda y_true, y_pred: ((y_pred**2).mean(), 2 * y_pred))
    else:
        model.compile("SGD", "mse", ["mae", "r2_score"])
    model.build(4)
    if kind != "one slice":
        in_slices(model)
    hooks = [recorder([])]
    assert model.evaluate(X, targets) == model.evaluate(X, targets, callbacks=hooks)
    plain, watched = model.predict(X), model.predict(X, callbacks=hooks)
    assert (plain.dtype, plain.shape, plain.tobytes()) == (dtype, watched.shape, watched.tobytes())


def test_callbacks_of_evaluate_and_predict_know_model_and_rows():
    model, callback = model_for(), Callback()
    model.build(4)
    for use in (
        lambda: model.evaluate(X, Y, callbacks=[callback]),
        lambda: model.predict(X, callbacks=[callback]),
    ):
        callback.model = callback.params = None
        use()
        assert callback.model is model
        assert callback.params == {"samples": N_ROWS, "verbose": 0}


@modes
def test_a_callback_may_evaluate_and_predict_within_a_fit(mode):
    plain, model = in_slices(model_for()), in_slices(model_for())
    calls, losses = [], []

    class Inner(Callback):
        def on_epoch_end(self, epoch, logs):
            losses.append(self.model.evaluate(X, Y, callbacks=[recorder(calls)]))
            self.model.predict(X, callbacks=[recorder(calls)])

        def on_train_batch_end(self, batch, logs):
            self.model.predict(X[:5])

    options = {"epochs": 2, "validation_data": (X, Y)}
    expected = fit(plain, mode, **options)
    history = fit(model, mode, callbacks=[Inner()], **options)
    assert calls == [*pass_calls("test", 4), *pass_calls("predict", 4)] * 2
    assert losses == history["val_loss"] == expected["val_loss"]
    assert history["loss"] == expected["loss"]
    assert bits(model) == bits(plain)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("callbacks", [print, [print], [Callback], "abc", 0, Callback()])
def test_what_is_no_list_of_callbacks_is_refused(method, callbacks):
    model = model_for()
    model.build(4)
    before = bits(model)
    rows = (X,) if method == "predict" else (X, Y)
    with pytest.raises(TypeError, match="callbacks"):
        getattr(model, method)(*rows, callbacks=callbacks)
    assert bits(model) == before


def test_no_hook_is_called_for_rows_that_are_refused():
    model, calls = model_for(), []
    model.build(4)
    hooks = [recorder(calls)]
    with pytest.raises(ValueError):
        model.evaluate(X, Y[HALF], callbacks=hooks)
    with pytest.raises(ValueError):
        model.predict(X[:, :3], callbacks=hooks)
    with pytest.raises(ValueError):
        model.fit(X, Y[HALF], callbacks=hooks)
    assert calls == []


# ---- no trace in the bits -----------------------------------------------------------------------

WATCHED = {  # settings of compile, options of fit
    "hooks of batches": ({}, {"callbacks": [recorder([])]}),
    "a bar or ten lines": ({}, {"verbose": 1}),
    "a line an epoch": ({}, {"verbose": 2}),
    "validation": ({}, {"validation_data": (X[HALF], Y[HALF])}),
    "metrics": ({"metrics": ["mae", "r2_score"]}, {}),
    "measured at the end": ({"metrics": ["mae"]}, {"train_metrics": "end"}),
}
WATCHED["all"] = tuple(
    {k: v for part in parts for k, v in part.items()}
    for parts in zip(*WATCHED.values(), strict=True)
)


@modes
@pytest.mark.parametrize("how", WATCHED)
def test_who_watches_leaves_no_trace_in_the_bits(how, mode, capfd):
    compiled, options = WATCHED[how]
    models = [Sequential([Dense(9, "tanh"), Dropout(0.3), Dense(1)], seed=5) for _ in range(2)]
    models[0].compile(SGD(0.05, momentum=0.9), "mse")
    models[1].compile(SGD(0.05, momentum=0.9), "mse", **compiled)
    plain = fit(in_slices(models[0]), mode, epochs=3)
    watched = fit(in_slices(models[1]), mode, epochs=3, **options)
    assert bits(models[0]) == bits(models[1])
    assert (watched["loss"] == plain["loss"]) == ("train_metrics" not in options)


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


def test_the_end_of_training_is_told_nothing_of_earlier_validations():
    told, options = [], {"validation_data": (X, Y), "validation_freq": 2}
    for epochs in (1, 3, 4):
        callback = LambdaCallback(on_train_end=told.append)
        fit(model_for(), epochs=epochs, callbacks=[callback], **options)
    assert ["val_loss" in logs for logs in told] == [False, False, True]


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


def test_early_stopping_begins_anew_with_every_fit():
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


def test_a_table_has_a_field_for_epochs_without_validation_too(tmp_path):
    path, options = tmp_path / "log.csv", {"validation_data": (X, Y), "validation_freq": 2}
    history = fit(model_for(), epochs=3, callbacks=[CSVLogger(path, ";")], **options)
    with open(path, newline="") as file:
        names, *rows = list(csv.reader(file, delimiter=";"))
    assert set(names) == {"epoch", *history}
    column = [row[names.index("val_loss")] for row in rows]
    assert column == ["", str(history["val_loss"][0]), ""]


def test_a_table_holds_the_epochs_before_an_error_and_is_closed(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv", append=True)
    for n_lines in (3, 5):  # the names stand there once
        with pytest.raises(RuntimeError, match="out of paper"):
            fit(model_for(), epochs=5, callbacks=[logger, Failing()])
        assert logger._file.closed
        assert len((tmp_path / "log.csv").read_text().splitlines()) == n_lines


def test_a_table_that_cannot_be_written_is_found_before_anything_moves(tmp_path):
    model = model_for()
    model.build(4)
    before = bits(model)
    with pytest.raises(FileNotFoundError):
        fit(model, callbacks=[CSVLogger(tmp_path / "nowhere" / "log.csv")])
    assert bits(model) == before


@pytest.mark.parametrize("callbacks", [[], [TerminateOnNaN()]])
def test_a_loss_that_is_not_finite_ends_any_fit(callbacks):
    model = model_for(rate=1e300)
    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        fit(model, epochs=5, callbacks=callbacks)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


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
    rows = model._learner.network.slice_rows
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


def test_a_fit_within_a_fit_of_the_same_model_is_refused():
    model = model_for()
    again = LambdaCallback(on_epoch_end=lambda epoch, logs: fit(model))
    with pytest.raises(RuntimeError, match="fit within a fit"):
        fit(model, callbacks=[again])
    assert fit(model)["loss"]


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


# ---- before, within and beside a fit ------------------------------------------------------------


@pytest.mark.parametrize(
    "callback",
    [EarlyStopping(), ModelCheckpoint("x.npz", save_best_only=True), ReduceLROnPlateau()],
)
def test_a_callback_that_does_not_fit_is_refused_before_the_model_is_built(callback):
    model, before = model_for(), []
    first = LambdaCallback(on_train_begin=before.append)
    with pytest.raises(ValueError, match="'val_loss' is not among"):
        fit(model, callbacks=[first, callback])
    assert not model.built
    assert model._learner.state is None
    assert before == []


def test_the_history_of_a_fit_is_the_models_from_the_start():
    model = model_for()
    earlier, seen = model.history, []
    look = LambdaCallback(on_train_begin=lambda logs: seen.append(model.history))
    history = model.fit(X, Y, callbacks=[look])
    assert seen[0] is history is not earlier


@pytest.mark.parametrize("batch_size", [20, N_ROWS])
def test_a_fit_that_is_to_end_finishes_the_batch_first(batch_size):
    """Of which each takes several slices here."""
    model, expected, calls = in_slices(model_for()), in_slices(model_for()), []
    expected.fit(X[:batch_size], Y[:batch_size], mode="batch")
    stop = LambdaCallback(on_slice_end=lambda n_rows, logs: setattr(model, "stop_training", True))
    options = {"batch_size": batch_size, "shuffle": False, "epochs": 3}
    history = model.fit(X, Y, callbacks=[stop, recorder(calls)], **options)
    assert (history.epoch, model._learner.state.step) == ([0], 1)
    assert bits(model) == bits(expected)
    batches = [call for call in calls if "batch" in call[0]]
    assert batches == [("on_train_batch_begin", 0), ("on_train_batch_end", 0)]


def test_a_hook_of_batches_counts_wherever_it_is_defined():
    class Overriding(LambdaCallback):
        def on_train_batch_end(self, batch, logs):
            calls.append(batch)

    calls, on_the_object = [], Callback()
    on_the_object.on_train_batch_end = lambda batch, logs: calls.append(batch)
    for callback in (Overriding(), on_the_object):
        calls.clear()
        fit(model_for(), "minibatch", callbacks=[callback])
        assert calls == [0, 1, 2, 3]
    assert not Callback().sees_batches
    assert not LambdaCallback(on_epoch_end=print).sees_batches


def test_an_evaluate_within_a_fit_leaves_its_callbacks_what_the_fit_has_told_them(tmp_path):
    class Evaluating(CSVLogger):
        def on_epoch_end(self, epoch, logs):
            self.model.evaluate(X, Y, callbacks=[self])
            super().on_epoch_end(epoch, logs)

    path = tmp_path / "log.csv"
    fit(model_for(), epochs=2, callbacks=[Evaluating(path)])
    assert len(path.read_text().splitlines()) == 3


def test_logs_are_copies_for_whoever_looks():
    def spoil(*arguments):
        arguments[-1].clear()

    hooks = {name: spoil for name in HOOKS}
    plain = fit(model_for(), epochs=2, validation_data=(X, Y))
    spoilt = fit(model_for(), epochs=2, validation_data=(X, Y), callbacks=[LambdaCallback(**hooks)])
    assert plain.keys() == spoilt.keys()
    assert plain["val_loss"] == spoilt["val_loss"]


def test_a_checkpoint_keeps_the_best_of_all_fits(tmp_path):
    path = str(tmp_path / "best.npz")
    model, keep = model_for(), ModelCheckpoint(path, "loss", save_best_only=True)
    fit(model, epochs=20, callbacks=[keep])
    best, saved = keep.best, load(path).get_weights()
    model.reset()
    assert fit(model, callbacks=[keep])["loss"][0] > best == keep.best
    assert [w.tobytes() for w in saved] == bits(load(path))


def test_a_checkpoint_of_another_kind_of_file_is_refused_at_once():
    with pytest.raises(ValueError, match=r"filepath='x.keras': models are .npz files"):
        ModelCheckpoint("x.keras")


@pytest.mark.parametrize("filepath", [".npz", "folder/.npz", b"x.npz", None, 3])
def test_a_checkpoint_needs_the_name_of_a_file(filepath):
    error = ValueError if isinstance(filepath, str) else TypeError
    with pytest.raises(error, match=r"filepath=.*'best\.npz'"):
        ModelCheckpoint(filepath)


def test_a_checkpoint_that_fails_is_not_the_best(tmp_path):
    keep = ModelCheckpoint(tmp_path / "later" / "best.npz", "loss", save_best_only=True)
    with pytest.raises(OSError, match="later"):
        fit(model_for(), callbacks=[keep])
    (tmp_path / "later").mkdir()
    fit(model_for(rate=0.0), callbacks=[keep])
    assert (tmp_path / "later" / "best.npz").exists()


def test_the_callbacks_of_a_clone_begin_anew(tmp_path):
    keep = ModelCheckpoint(tmp_path / "best.npz", "loss", save_best_only=True)
    stop = EarlyStopping("loss")
    estimator = MLPClassifier(max_iter=3, callbacks=[keep, stop], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, Y > 0)
    twins = clone(estimator).callbacks
    assert [vars(twin).keys() & {"best", "best_epoch"} for twin in twins] == [set(), set()]
    assert [repr(twin) for twin in twins] == [repr(keep), repr(stop)]
    assert keep.best < np.inf
    assert copy.deepcopy(keep).best == keep.best


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_names_the_file():
    with pytest.raises(OSError, match="/dev/full"):
        fit(model_for(), callbacks=[CSVLogger("/dev/full")])


def test_a_callback_is_listed_once():
    log = CSVLogger("log.csv")
    with pytest.raises(ValueError, match="callbacks holds CSVLogger.* twice"):
        fit(model_for(), callbacks=[log, EarlyStopping("loss"), log])


def test_a_callback_alone_or_a_class_gets_the_list_to_write():
    with pytest.raises(TypeError, match=r"e\.g\. callbacks=\[EarlyStopping\(patience=3\)\]$"):
        fit(model_for(), callbacks=EarlyStopping(patience=3))
    for given in (EarlyStopping, [EarlyStopping]):
        with pytest.raises(TypeError, match=r"e\.g\. callbacks=\[EarlyStopping\(\)\]$"):
            fit(model_for(), callbacks=given)


# ---- copies -------------------------------------------------------------------------------------


def halve(epoch, rate):
    return rate / 2


def note(epoch, logs):
    pass


CALLBACKS = {
    "CSVLogger": lambda folder: CSVLogger(folder / "log.csv"),
    "EarlyStopping": lambda folder: EarlyStopping("loss", patience=2),
    "LambdaCallback": lambda folder: LambdaCallback(on_epoch_end=note),
    "LearningRateScheduler": lambda folder: LearningRateScheduler(halve),
    "ModelCheckpoint": lambda folder: ModelCheckpoint(
        folder / "best.npz", "loss", save_best_only=True
    ),
    "Progress": lambda folder: Progress(lines=1),
    "Progress with a bar": lambda folder: Progress(),
    "ReduceLROnPlateau": lambda folder: ReduceLROnPlateau("loss"),
    "StopAt": lambda folder: StopAt(seconds=1000),
    "TerminateOnNaN": lambda folder: TerminateOnNaN(),
}
COPIES = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


class Copying(Callback):
    """Copies others in every hook."""

    def __init__(self, others, copied):
        self.others, self.copied, self.made = others, copied, []

    def on_train_begin(self, logs):
        self.made.append(self.copied(self.others))

    def on_slice_end(self, n_rows, logs):
        self.made.append(self.copied(self.others))

    def on_train_end(self, logs):
        self.made.append(self.copied(self.others))


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("made", CALLBACKS.values(), ids=CALLBACKS)
def test_a_callback_is_copied_before_in_and_after_a_fit(
    tmp_path, monkeypatch, capsys, made, copied
):
    monkeypatch.setattr(progress, "_is_terminal", lambda stream: True)
    callback = made(tmp_path)
    watch = Copying(callback, copied)
    first = copied(callback)
    fit(model_for(), epochs=2, callbacks=[first, callback, watch])
    for twin in [*watch.made, copied(callback)]:
        assert not hasattr(twin, "model")
        assert not hasattr(twin, "params")
        fit(model_for(), epochs=1, callbacks=[twin])


@pytest.mark.parametrize("made", CALLBACKS.values(), ids=CALLBACKS)
def test_an_estimator_with_a_callback_is_copied_in_and_after_a_fit(
    tmp_path, monkeypatch, capsys, made
):
    monkeypatch.setattr(progress, "_is_terminal", lambda stream: True)
    y, callback = Y > 0, made(tmp_path)
    watch = LambdaCallback(
        on_epoch_end=lambda epoch, logs: (pickle.dumps(callback), copy.deepcopy(clf), clone(clf))
    )
    clf = MLPClassifier(3, max_iter=2, tol=0, callbacks=[callback, watch], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X, y)
        clf.set_params(callbacks=[callback])
        for twin in (pickle.loads(pickle.dumps(clf)), clone(clf)):
            twin.fit(X, y)
        assert len(cross_validate(clf, X, y, cv=2)["test_score"]) == 2


def test_the_results_of_a_callback_are_in_its_copies():
    callback = EarlyStopping("loss")
    fit(model_for(), epochs=3, callbacks=[callback])
    twin = pickle.loads(pickle.dumps(callback))
    assert (twin.best, twin.best_epoch) == (callback.best, callback.best_epoch)
    assert callback.model.epochs_trained == 3  # the callback itself keeps its model


# ---- a table that goes on -----------------------------------------------------------------------


def table(path, separator=","):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file, delimiter=separator))


def append_to(path, content, separator=",", **options):
    path.write_bytes(content)
    model = model_for()
    callback = CSVLogger(path, separator, append=True)
    return fit(model, epochs=2, callbacks=[callback], **options)


@pytest.mark.parametrize(
    "start",
    [
        b"learning_rate,samples_per_second,seconds,loss,epoch\r\n1,2,3,4,5\r\n",
        b"learning_rate,samples_per_second,seconds,loss,epoch\n1,2,3,4,5",  # no end of the line
        b"\xef\xbb\xbflearning_rate,samples_per_second,seconds,loss,epoch\n1,2,3,4,5\n",
        b'"learning_rate","samples_per_second","seconds","loss","epoch"\n1,2,3,4,5\n',
    ],
    ids=["another order", "no newline", "a mark of UTF-8", "quotes"],
)
def test_a_table_goes_on_in_the_order_of_its_columns(tmp_path, start):
    path = tmp_path / "log.csv"
    history = append_to(path, start)
    names, before, *rows = table(path)
    assert before == ["1", "2", "3", "4", "5"]
    assert [float(row[names.index("loss")]) for row in rows] == history["loss"]
    assert [row[names.index("epoch")] for row in rows] == ["0", "1"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_gets_the_names(tmp_path, start):
    path = tmp_path / "log.csv"
    history = append_to(path, start)
    assert table(path)[0] == ["epoch", *history]
    assert len(table(path)) == 3


@pytest.mark.parametrize(
    ("start", "separator", "options"),
    [
        (b"epoch,loss,seconds,samples_per_second\n", ",", {}),
        (b"epoch,loss,seconds,samples_per_second,learning_rate,more\n", ",", {}),
        (b"epoch,loss,loss,seconds,samples_per_second,learning_rate\n", ",", {}),
        (b"epoch,loss,seconds,samples_per_second,learning_rate\n", ";", {}),
        (b"epoch,loss,seconds,samples_per_second,learning_rate\n", ",", {"validation_split": 0.5}),
        (b"0,0.5,1,2,0.1\n", ",", {}),
        (b"\n", ",", {}),
        (b"\xff\xfe\x00", ",", {}),
    ],
    ids=["fewer", "more", "twice", "separator", "validation", "no names", "empty line", "bytes"],
)
def test_a_table_of_other_columns_is_refused_before_anything_moves(
    tmp_path, start, separator, options
):
    path, model = tmp_path / "log.csv", model_for()
    path.write_bytes(start)
    with pytest.raises(ValueError, match="log.csv (has the columns|is not a CSV file)"):
        fit(model, callbacks=[CSVLogger(path, separator, append=True)], **options)
    assert not model.built
    assert path.read_bytes() == start


@pytest.mark.parametrize("separator", ["", ", ", "\n", '"', None, 3])
def test_what_is_no_separator_is_refused_at_once(separator):
    with pytest.raises(ValueError, match="expected one character, e.g. separator=';'"):
        CSVLogger("log.csv", separator)


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["{epoch:q}", "{loss:d}", "{loss.x}", "{loss[0]}", "{", "}", "{}", "{0}", "{acc}"]
)
def test_a_pattern_that_cannot_be_filled_is_refused_before_anything_moves(tmp_path, pattern):
    model = model_for()
    with pytest.raises(ValueError, match="known are epoch, loss, .*e.g. 'model-"):
        fit(model, callbacks=[ModelCheckpoint(tmp_path / f"{pattern}.npz")])
    assert not model.built


def test_a_pattern_with_numbers_that_some_epochs_lack_is_refused(tmp_path):
    model, path = model_for(), tmp_path / "{val_loss:.2f}.npz"
    options = {"validation_data": (X, Y), "validation_freq": 2, "epochs": 4}
    with pytest.raises(ValueError, match="asks for 'val_loss'"):
        fit(model, callbacks=[ModelCheckpoint(path)], **options)
    assert not model.built
    fit(model, callbacks=[ModelCheckpoint(path, save_best_only=True)], **options)
    assert list(tmp_path.iterdir())


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


def test_a_name_with_other_signs_is_held_by_table_and_checkpoint(tmp_path):
    name = 'top-3 "a", é%'
    model = model_for()
    model.compile("SGD", "mse", [CustomMetric(lambda y_true, y_pred: 0.5, name=name)])
    callbacks = [CSVLogger(tmp_path / "log.csv"), ModelCheckpoint(tmp_path / f"{{{name}}}.npz")]
    fit(model, callbacks=callbacks)
    assert name in table(tmp_path / "log.csv")[0]
    assert (tmp_path / "0.5.npz").exists()


def test_kerass_module_has_all_callbacks():
    import fastnn.callbacks

    for name in fastnn.callbacks.__all__:
        assert getattr(fastnn.callbacks, name) is getattr(fastnn, name)
