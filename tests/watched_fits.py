"""A small model that callbacks watch in the three modes, and what they note."""

import numpy as np
import pytest

from fastnn import SGD, Callback, Dense, LambdaCallback, Sequential
from fastnn.callbacks.base import HOOKS
from fastnn.models import learner_of

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
    learner_of(model).network.slice_rows = learner_of(model).network.block = 16
    return model


def fit(model, mode="batch", **options):
    return model.fit(X, Y, mode=mode, batch_size=BATCH_SIZES[mode], **options).history


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def recorder(calls, logs=None):
    """Notes every hook with the number that it is given, and in `logs` what else."""

    def noting(name):
        def note(*arguments):
            *number, found = arguments
            calls.append((name, *number))
            if logs is not None:
                logs.setdefault(name, []).append(dict(found))

        return note

    names = [name for name in HOOKS if name != "on_slice_end"]
    return LambdaCallback(**{name: noting(name) for name in names})


class Failing(Callback):
    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            raise RuntimeError("out of paper")
