"""One row as it arrives: the time of an update or a prediction from Python, and of others."""

from collections.abc import Callable
from statistics import median

import numpy as np
import pytest

from bench.peers import peer_class
from bench.peers.with_fastnn import FastnnPeer
from bench.report import Figure, middle, three_digits
from bench.rounds import seconds_of
from bench.workloads import (
    MODES,
    NETS,
    Array,
    Net,
    dataset,
    initial_weights,
    probabilities,
)

Prediction = Callable[[Array], Array]  # of a row, shape (1, n_features)

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

    report(TITLE, net, benchmark.pedantic(rounds), figures)


def report(title: str, net: Net, times: dict[str, list[float]], figures: list[Figure]) -> None:
    """Microseconds of each, and the others' times over fastnn's."""
    own = times.pop("fastnn")
    figures.append(Figure(title, (net.name,), "fastnn", three_digits(median(own) * 1e6)))
    for name, theirs in times.items():
        ratios = [t / o for t, o in zip(theirs, own, strict=True)]
        text = f"{three_digits(median(theirs) * 1e6)}, x {middle(ratios)}"
        figures.append(Figure(title, (net.name,), name, text))


# ---- predictions ------------------------------------------------------------------------------

PREDICTION = "One row a call, one thread: microseconds of a prediction; fastnn's is `predict`"


def numpy_prediction(net: Net) -> Prediction:
    """Products and activations by hand."""
    weights = initial_weights(net)
    *hidden, last = zip(weights[::2], weights[1::2], strict=True)

    def predict(x: Array) -> Array:
        for W, b in hidden:
            x = np.maximum(x @ W + b, 0.0)
        return probabilities(x @ last[0] + last[1], net.is_binary)

    return predict


def fastnn_prediction(net: Net) -> Prediction:
    peer = FastnnPeer(net, STOCHASTIC)
    peer.load_weights(initial_weights(net))
    return peer.model.predict


def torch_prediction(net: Net) -> Prediction:
    """An `nn.Sequential` under `inference_mode`."""
    import torch

    peer = peer_class("torch nn")(net, STOCHASTIC)
    peer.load_data(*(rows[:1] for rows in dataset(net)))
    peer.load_weights(initial_weights(net))
    last = torch.sigmoid if net.is_binary else lambda z: torch.softmax(z, dim=1)

    @torch.inference_mode()
    def predict(x: Array) -> Array:
        return last(peer.model(torch.from_numpy(x))).numpy()

    return predict


def sklearn_prediction(net: Net) -> Prediction:
    peer = peer_class("sklearn rows")(net, STOCHASTIC)
    peer.load_data(*(rows[:1] for rows in dataset(net)))
    peer.load_weights(initial_weights(net))
    return lambda x: (
        peer.model.predict_proba(x)[:, 1:] if net.is_binary else peer.model.predict_proba(x)
    )


PREDICTIONS = {
    "fastnn": fastnn_prediction,
    "numpy": numpy_prediction,
    "torch nn": torch_prediction,
    "sklearn": sklearn_prediction,
}


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_one_prediction(benchmark, net, seconds, n_rounds, figures):
    X, _ = dataset(net)
    row = np.ascontiguousarray(X[:1])
    predictions = {}
    for name, make in PREDICTIONS.items():
        try:
            predictions[name] = make(net)
        except ModuleNotFoundError:
            continue
    expected = predictions["numpy"](row.astype(np.float64))
    for predict in predictions.values():
        assert np.abs(predict(row) - expected).max() < TOLERANCE

    def calls(predict: Prediction) -> Callable[[int], None]:
        def run(n: int) -> None:
            for _ in range(n):
                predict(row)

        return run

    def rounds() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for name in predictions}
        for _ in range(n_rounds):
            for name, predict in predictions.items():
                found[name].append(seconds_of(calls(predict), seconds))
        return found

    report(PREDICTION, net, benchmark.pedantic(rounds), figures)
