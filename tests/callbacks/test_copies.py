"""Callbacks are copied before, in and after a fit."""

import copy
import pickle
import warnings

import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_validate
from watched_fits import X, Y, fit, model_for

from fastnn import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    MLPClassifier,
    ModelCheckpoint,
    Progress,
    ReduceLROnPlateau,
    StopAt,
    TerminateOnNaN,
)
from fastnn.callbacks import progress


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
