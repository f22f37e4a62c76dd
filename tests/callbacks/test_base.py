"""When callbacks are called, with what, and what is left when one raises."""

import numpy as np
import pytest
import reference
from small_models import (
    Recorder,
    X,
    Y,
    activations_of,
    assert_close,
    bits,
    model_for,
    order_of,
    wide_model_and_rows,
)

from fastnn import Callback


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
    with pytest.raises(error, match="on purpose"):
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


def test_every_on_train_end_is_called_though_one_raises():
    class Failing(Callback):
        def on_train_end(self, logs):
            raise RuntimeError("mine")

    calls = []
    with pytest.raises(RuntimeError, match="mine"):
        model_for().fit(X, Y["binary"], callbacks=[Failing(), Recorder(calls=calls)])
    assert calls[-1][0] == "train end"
