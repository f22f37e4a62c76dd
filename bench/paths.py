"""The paths of per-sample descent against each other: the ground of `fastnn/engine/per_sample.py`.

``python -m bench.paths`` prints three tables: first layers of several sizes, rows of several
densities, and the first layers again with momentum; `bench/blocks.py` varies the length of a block.
The rounds of a table's row are interleaved; entries are medians of samples a second. All paths
train the same net on the same rows, and their weights are compared before any clock starts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter

from bench import machine

if __name__ == "__main__":
    machine.use_one_thread()

import numpy as np

import fastnn
import fastnn.engine.gradient_descent as gradient_descent
from bench.report import Rows, aligned, samples
from fastnn.engine.gradient_descent import new_state
from fastnn.engine.per_sample import BLOCK, Path, path_for
from fastnn.models import learner_of

ROUNDS = 5
SECONDS = 0.05  # of a round
N_CHECKED = 200
TOLERANCE = 1e-4  # of the weights between two paths, after an epoch over the checked rows
FIRST_LAYERS = [
    (4, 16),
    (10, 32),
    (30, 64),
    (50, 64),
    (64, 64),
    (100, 100),
    (200, 150),
    (400, 100),
    (784, 128),
]
DENSITIES = (1.0, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


@contextmanager
def forced(path: Path) -> Iterator[None]:
    """Per-sample descent takes this path, whatever the rule says."""
    rule = gradient_descent.path_for
    gradient_descent.path_for = lambda *_, **__: path
    try:
        yield
    finally:
        gradient_descent.path_for = rule


class Contestant:
    """One net on one path of per-sample descent."""

    def __init__(self, widths: Sequence[int], path: Path, momentum: float = 0.0) -> None:
        layers = [fastnn.Dense(n, "relu") for n in widths[1:-1]]
        self.model = fastnn.Sequential([*layers, fastnn.Dense(widths[-1], "softmax")], seed=0)
        rate = 0.5 / widths[0] * (1 - momentum)
        self.model.compile(fastnn.SGD(rate, momentum), "categorical_crossentropy")
        self.path = path

    def fit(self, X: np.ndarray, y: np.ndarray) -> float:
        """Seconds of one epoch."""
        with forced(self.path):
            start = perf_counter()
            self.model.fit(X, y, batch_size=1, shuffle=False, threads=1)
            return perf_counter() - start


def rows(n_rows: int, widths: Sequence[int], density: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, widths[0]), dtype=np.float32)
    X[rng.random(X.shape) >= density] = 0
    return X, rng.integers(0, widths[-1], n_rows)


def rates(contestants: Sequence[Contestant], widths: Sequence[int], density: float) -> list[float]:
    """Median samples a second of each, their rounds interleaved."""
    X, y = rows(N_CHECKED, widths, density)
    seconds = [contestant.fit(X, y) for contestant in contestants]
    first, *others = (c.model.get_weights() for c in contestants)
    for weights in others:
        for a, b in zip(weights, first, strict=True):
            assert np.abs(a - b).max() < TOLERANCE, "two paths lead to different weights"
    n_rows = min(int(N_CHECKED * SECONDS / min(seconds)), 100_000)
    X, y = rows(n_rows, widths, density)
    found: list[list[float]] = [[] for _ in contestants]
    for _ in range(ROUNDS):
        for contestant, times in zip(contestants, found, strict=True):
            times.append(n_rows / contestant.fit(X, y))
    return [median(times) for times in found]


def table(heading: list[str], lines: list[tuple[list[str], list[float], str]]) -> str:
    body: Rows = [heading]
    for names, values, chosen in lines:
        body.append([*names, *map(samples, values), chosen])
    return aligned(body)


def chosen(widths: Sequence[int], density: float, momentum: float = 0.0) -> str:
    layers = [fastnn.Dense(n) for n in widths[1:]]
    network = fastnn.Sequential(layers, seed=0)
    network.build(widths[0])
    optimizer, built = fastnn.SGD(momentum=momentum), learner_of(network).built()
    rule = optimizer.rule(built.layer_rules, new_state(built, optimizer))
    return path_for(built, density, rule).name


def by_shape(title: str, names: list[str], momentum: float = 0.0) -> str:
    lines = []
    for n_in, n_out in FIRST_LAYERS:
        widths = (n_in, n_out, 10)
        contestants = [Contestant(widths, Path(n, BLOCK), momentum) for n in names]
        found = rates(contestants, widths, 1.0)
        lines.append((["-".join(map(str, widths))], found, chosen(widths, 1.0, momentum)))
    return table([title, *names, "rule"], lines)


def by_density(widths: Sequence[int] = (784, 128, 10)) -> str:
    names = ["listed", "blocked"]
    lines = []
    for density in DENSITIES:
        found = rates([Contestant(widths, Path(n, BLOCK)) for n in names], widths, density)
        lines.append(([f"{density:.1f}"], found, chosen(widths, density)))
    return table(["density", *names, "rule"], lines)


def main() -> None:
    print(*machine.description(), sep="\n")
    print("", by_shape("dense rows", ["listed", "swept", "blocked"]), by_density(), sep="\n\n")
    print("", by_shape("with momentum", ["fused", "blocked"], momentum=0.9), sep="\n")


if __name__ == "__main__":
    main()
