"""The hooks of callbacks: their order, what they are given, and what they may do."""

import copy
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from watched_fits import (
    HALF,
    N_ROWS,
    Failing,
    X,
    Y,
    bits,
    fit,
    in_slices,
    model_for,
    modes,
    recorder,
)

from fastnn import (
    LBFGS,
    SGD,
    Callback,
    CSVLogger,
    Dense,
    Dropout,
    EarlyStopping,
    LambdaCallback,
    MLPClassifier,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Sequential,
)
from fastnn.callbacks.base import HOOKS
from fastnn.models import learner_of


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
    """Notes under a name how training begins and ends, and fails where it is asked to."""

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


def test_an_evaluation_is_given_the_means_so_far_and_in_the_end_the_scores():
    model, logs = in_slices(model_for(metrics=["mae", "r2_score"])), {}
    scores = model.evaluate(X, Y, return_dict=True, callbacks=[recorder([], logs)])
    assert logs["on_test_begin"] == [{}]
    assert logs["on_test_batch_begin"] == [{}] * 4
    assert logs["on_test_end"] == [scores]
    for stop, reported in zip((16, 32, 48, 50), logs["on_test_batch_end"], strict=True):
        so_far = model.evaluate(X[:stop], Y[:stop], return_dict=True)
        assert reported == pytest.approx({name: so_far[name] for name in reported})
        assert {"loss", "mae"} <= reported.keys()
    assert logs["on_test_batch_end"][-1]["loss"] == scores["loss"]


def test_a_prediction_is_given_the_outputs_of_each_slice():
    model, logs = in_slices(model_for()), {}
    predictions = model.predict(X, callbacks=[recorder([], logs)])
    assert logs["on_predict_begin"] == logs["on_predict_end"] == [{}]
    assert logs["on_predict_batch_begin"] == [{}] * 4
    assert [list(reported) for reported in logs["on_predict_batch_end"]] == [["outputs"]] * 4
    outputs = [reported["outputs"] for reported in logs["on_predict_batch_end"]]
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
@pytest.mark.parametrize("kind", ["one slice", "slices", "custom loss"])
def test_hooks_leave_scores_and_predictions_as_they_are(kind, dtype):
    model = Sequential([Dense(9, "tanh"), Dense(2)], seed=5, dtype=dtype)
    targets = np.stack([Y, -Y], axis=1)
    if kind == "custom loss":
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
def test_who_watches_changes_no_bit(how, mode, capfd):
    compiled, options = WATCHED[how]
    models = [Sequential([Dense(9, "tanh"), Dropout(0.3), Dense(1)], seed=5) for _ in range(2)]
    models[0].compile(SGD(0.05, momentum=0.9), "mse")
    models[1].compile(SGD(0.05, momentum=0.9), "mse", **compiled)
    plain = fit(in_slices(models[0]), mode, epochs=3)
    watched = fit(in_slices(models[1]), mode, epochs=3, **options)
    assert bits(models[0]) == bits(models[1])
    assert (watched["loss"] == plain["loss"]) == ("train_metrics" not in options)


def test_a_batch_is_given_the_means_so_far():
    losses = []
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    history = fit(model_for(), "minibatch", callbacks=[callback])
    assert len(losses) == 4
    assert losses[-1] == history["loss"][0]
    assert len(set(losses)) == 4


def test_the_end_of_training_is_given_the_last_epoch():
    reported = []
    history = fit(model_for(), epochs=3, callbacks=[LambdaCallback(on_train_end=reported.append)])
    assert reported == [{name: values[-1] for name, values in history.items()}]


def test_the_end_of_training_brings_nothing_of_earlier_validations():
    reported, options = [], {"validation_data": (X, Y), "validation_freq": 2}
    for epochs in (1, 3, 4):
        callback = LambdaCallback(on_train_end=reported.append)
        fit(model_for(), epochs=epochs, callbacks=[callback], **options)
    assert ["val_loss" in logs for logs in reported] == [False, False, True]


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


@modes
def test_training_is_measured_like_validation_if_asked(mode):
    models = [model_for(), model_for()]
    running = fit(models[0], mode, epochs=3)
    history = fit(models[1], mode, epochs=3, validation_data=(X, Y), train_metrics="end")
    assert history["loss"] == history["val_loss"] != running["loss"]
    assert bits(models[0]) == bits(models[1])
    with pytest.raises(ValueError, match="train_metrics='ends' is unknown"):
        fit(models[0], train_metrics="ends")


def test_a_fit_within_a_fit_of_the_same_model_is_refused():
    model = model_for()
    again = LambdaCallback(on_epoch_end=lambda epoch, logs: fit(model))
    with pytest.raises(RuntimeError, match="fit within a fit"):
        fit(model, callbacks=[again])
    assert fit(model)["loss"]


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
    assert learner_of(model).state is None
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
    assert (history.epoch, learner_of(model).state.step) == ([0], 1)
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


def test_logs_are_copies_for_whoever_looks():
    def spoil(*arguments):
        arguments[-1].clear()

    hooks = {name: spoil for name in HOOKS}
    plain = fit(model_for(), epochs=2, validation_data=(X, Y))
    spoilt = fit(model_for(), epochs=2, validation_data=(X, Y), callbacks=[LambdaCallback(**hooks)])
    assert plain.keys() == spoilt.keys()
    assert plain["val_loss"] == spoilt["val_loss"]


def test_the_callbacks_of_a_clone_begin_again(tmp_path):
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


def test_kerass_module_has_all_callbacks():
    import fastnn.callbacks

    for name in fastnn.callbacks.__all__:
        assert getattr(fastnn.callbacks, name) is getattr(fastnn, name)
