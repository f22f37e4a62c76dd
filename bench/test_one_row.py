"""One row as it arrives: the time of a single update from Python, beside what others take."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import pytest

from bench.peers import peer_class
from bench.peers.with_fastnn import FastnnPeer
from bench.report import Figure, middle, three_digits
from bench.workloads import MODES, NETS, dataset, initial_weights

TITLE = "One row a call, one thread: microseconds of an update; fastnn's is `train_on_batch`"
STOCHASTIC = MODES[0]
OTHERS = ("numpy", "torch", "torch nn", "sklearn rows")
N_CHECKED = 20  # rows; after them the weights must be those of fastnn's `fit`
TOLERANCE = 1e-4


class OneRowPeer(FastnnPeer):
    """fastnn, a call a row."""

    def train_epoch(self) -> None:
        for i in range(len(self.X)):
            self.model.train_on_batch(self.X[i : i + 1], self.y[i : i + 1])

    def train(self, n_epochs: int) -> None:
        for _ in range(n_epochs):
            self.train_epoch()


def seconds_of(train: Callable[[int], None], least: float) -> float:
    """Of one call with one row, from as many as last so long."""
    n = 1
    while True:
        start = perf_counter()
        train(n)
        passed = perf_counter() - start
        if passed >= least:
            return passed / n
        n = max(2 * n, int(n * least / max(passed, 1e-9)))


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_one_row(benchmark, net, seconds, n_rounds, figures):
    X, y = dataset(net)
    peers = {"fastnn": OneRowPeer(net, STOCHASTIC)}
    for name in OTHERS:
        try:
            peers[name] = peer_class(name)(net, STOCHASTIC)
        except ModuleNotFoundError:
            continue
    twin = FastnnPeer(net, STOCHASTIC)
    twin.load_data(X[:N_CHECKED], y[:N_CHECKED])
    twin.load_weights(initial_weights(net))
    twin.train(1)
    for peer in peers.values():
        peer.load_data(X[:N_CHECKED], y[:N_CHECKED])
        peer.load_weights(initial_weights(net))
        peer.train(1)
        for W, expected in zip(peer.weights(), twin.weights(), strict=True):
            assert np.abs(W.reshape(expected.shape) - expected).max() < TOLERANCE
        peer.load_data(X[:1], y[:1])
        peer.load_weights(initial_weights(net))

    def rounds() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for name in peers}
        for _ in range(n_rounds):
            for name, peer in peers.items():
                found[name].append(seconds_of(peer.train, seconds))
        return found

    times = benchmark.pedantic(rounds)
    figures.append(
        Figure(TITLE, (net.name,), "fastnn", three_digits(median(times["fastnn"]) * 1e6))
    )
    for name in OTHERS:
        if name in times:
            ratios = [t / own for t, own in zip(times[name], times["fastnn"], strict=True)]
            text = f"{three_digits(median(times[name]) * 1e6)}, x {middle(ratios)}"
            figures.append(Figure(TITLE, (net.name,), name, text))
