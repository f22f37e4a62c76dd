"""What the training loop costs beside the descent: many short fits, and a fit that is watched."""

import io
from contextlib import redirect_stdout
from math import ceil

import numpy as np
import pytest

from bench.report import Figure, middle
from bench.rounds import timed
from bench.workloads import NETS, Net, dataset
from fastnn import SGD, Callback, Dense, Progress, Sequential

SHORT = "fastnn: 1,000 fits of one epoch over one fit of 1,000, 1,000 rows in batches of 32"
WATCHED = "fastnn: an epoch of 50 ms with accuracy, progress and a callback over one without"
SMALL = next(net for net in NETS if net.name == "30-64-32-1")
EPOCH = 0.05  # seconds
MODES = {"stochastic": 1, "minibatch": 32}


def model_for(net: Net, metrics: list[str] | None = None) -> Sequential:
    *hidden, n_out = net.widths[1:]
    output, loss = Dense(n_out, "softmax"), "categorical_crossentropy"
    if net.is_binary:
        output, loss = Dense(n_out, "sigmoid"), "binary_crossentropy"
    model = Sequential([*(Dense(units, "relu") for units in hidden), output], seed=0)
    model.compile(SGD(1e-3), loss, metrics)
    return model


def same_bits(*models: Sequential) -> bool:
    first, *others = ([w.tobytes() for w in model.get_weights()] for model in models)
    return all(other == first for other in others)


def test_short_fits(benchmark, n_rounds, figures):
    X, y = (rows[:1000] for rows in dataset(SMALL))
    n = 1000

    def ratio() -> float:
        once, often = model_for(SMALL), model_for(SMALL)
        whole = timed(lambda: once.fit(X, y, epochs=n, threads=1))
        parts = timed(lambda: [often.fit(X, y, threads=1) for _ in range(n)])
        assert same_bits(once, often)
        return parts / whole

    ratios = benchmark.pedantic(lambda: [ratio() for _ in range(n_rounds)])
    figures.append(Figure(SHORT, (SMALL.name,), "fits / epochs", middle(ratios)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_watched_epochs(benchmark, net, mode, n_rounds, figures):
    """The fastest of many epochs on each side: what they differ by is less than the noise."""
    plain, watched = model_for(net), model_for(net, ["accuracy"])
    fit = {"batch_size": MODES[mode], "threads": 1}
    X, y = dataset(net)
    rate = plain.fit(X, y, **fit).history["samples_per_second"][0]
    copies = ceil(rate * EPOCH / len(X))
    X, y = (np.concatenate([rows] * copies)[: ceil(rate * EPOCH)] for rows in (X, y))

    def watch() -> float:
        with redirect_stdout(io.StringIO()):
            callbacks = [Progress(), Callback()]
            return timed(lambda: watched.fit(X, y, callbacks=callbacks, **fit))

    def quick() -> float:
        return timed(lambda: plain.fit(X, y, **fit))

    def ratio() -> float:
        times = []
        for turn in range(20):  # each of them first in every other pair
            first, second = (quick, watch) if turn % 2 else (watch, quick)
            pair = first(), second()
            times.append(pair if turn % 2 else pair[::-1])
        quickest, watched_quickest = np.min(times, axis=0)
        return watched_quickest / quickest

    def ratios() -> list[float]:
        plain.reset()
        watched.reset()
        found = [ratio() for _ in range(n_rounds)]
        assert same_bits(plain, watched)
        return found

    found = benchmark.pedantic(ratios)
    figures.append(Figure(WATCHED, (net.name, mode), "watched / plain", middle(found)))
