"""The paths of per-sample descent against each other: the ground of `fastnn/paths.py`.

``python -m bench.paths`` prints three tables: first layers of several sizes, rows of several
densities, and blocks of several lengths; ``--plot FILE`` draws the last one beside minibatch mode.
The rounds of a table's row are interleaved; entries are medians of samples a second. All paths
train the same net on the same rows, and their weights are compared before any clock starts.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from bench import machine

if __name__ == "__main__":
    machine.use_one_thread()

import numpy as np

import fastnn
import fastnn.descent
from bench.report import Rows, aligned, samples
from fastnn.paths import BLOCK, path_for
from fastnn.paths import Path as SamplePath

ROUNDS = 5
SECONDS = 0.05  # of a round
N_CHECKED = 200
TOLERANCE = 1e-4  # of the weights between two paths, after an epoch over the checked rows
FIRST_LAYERS = [(10, 32), (30, 64), (64, 64), (100, 100), (200, 150), (400, 100), (784, 128)]
DENSITIES = (1.0, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
BLOCKS = (16, 32, 64, 128)


class Contestant:
    """One net on one path; ``batch_size`` 1 is per-sample descent."""

    def __init__(self, widths: Sequence[int], path: SamplePath | None, batch_size: int = 1) -> None:
        layers = [fastnn.Dense(n, "relu") for n in widths[1:-1]]
        self.model = fastnn.Sequential([*layers, fastnn.Dense(widths[-1], "softmax")], seed=0)
        self.model.compile(fastnn.SGD(0.5 / widths[0]), "categorical_crossentropy")
        self.path, self.batch_size = path, batch_size

    def fit(self, X: np.ndarray, y: np.ndarray) -> float:
        """Seconds of one epoch."""
        rule, forced = fastnn.descent.path_for, self.path
        if forced is not None:
            fastnn.descent.path_for = lambda *_: forced
        try:
            start = perf_counter()
            self.model.fit(X, y, batch_size=self.batch_size, shuffle=False, threads=1)
            return perf_counter() - start
        finally:
            fastnn.descent.path_for = rule


def rows(n_rows: int, widths: Sequence[int], density: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, widths[0]), dtype=np.float32)
    X[rng.random(X.shape) >= density] = 0
    return X, rng.integers(0, widths[-1], n_rows)


def rates(contestants: Sequence[Contestant], widths: Sequence[int], density: float) -> list[float]:
    """Median samples a second of each, their rounds interleaved."""
    X, y = rows(N_CHECKED, widths, density)
    seconds = [contestant.fit(X, y) for contestant in contestants]
    exact = [c.model.get_weights() for c in contestants if c.batch_size == 1]
    for weights in exact[1:]:
        for a, b in zip(weights, exact[0], strict=True):
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


def chosen(widths: Sequence[int], density: float) -> str:
    layers = [fastnn.Dense(n) for n in widths[1:]]
    network = fastnn.Sequential(layers, seed=0)
    network.build(widths[0])
    return path_for(network._built(), density).name


def by_shape() -> str:
    names = ["listed", "swept", "blocked"]
    lines = []
    for n_in, n_out in FIRST_LAYERS:
        widths = (n_in, n_out, 10)
        found = rates([Contestant(widths, SamplePath(n, BLOCK)) for n in names], widths, 1.0)
        lines.append((["-".join(map(str, widths))], found, chosen(widths, 1.0)))
    return table(["dense rows", *names, "rule"], lines)


def by_density(widths: Sequence[int] = (784, 128, 10)) -> str:
    names = ["listed", "blocked"]
    lines = []
    for density in DENSITIES:
        found = rates([Contestant(widths, SamplePath(n, BLOCK)) for n in names], widths, density)
        lines.append(([f"{density:.1f}"], found, chosen(widths, density)))
    return table(["density", *names, "rule"], lines)


def by_block() -> tuple[str, dict[str, list[float]]]:
    lines, curves = [], {}
    for widths in ((784, 128, 10), (784, 512, 512, 10)):
        contestants = [Contestant(widths, SamplePath("blocked", block)) for block in BLOCKS]
        found = rates([*contestants, Contestant(widths, None, 32)], widths, 1.0)
        name = "-".join(map(str, widths))
        lines.append(([name], found, str(BLOCK)))
        curves[name] = found
    return table(["rows of a block", *map(str, BLOCKS), "minibatch 32", "rule"], lines), curves


def draw(curves: dict[str, list[float]], file: Path) -> None:
    """Exact per-sample descent as a share of minibatch descent, over the length of a block."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for name, (*found, minibatch) in curves.items():
        axes.plot(BLOCKS, [rate / minibatch for rate in found], "o-", label=name)
    axes.axhline(1, color="gray", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(BLOCKS, list(map(str, BLOCKS)))
    axes.set(xlabel="rows of a block", ylabel="rate / rate of minibatches of 32", ylim=(0, 1.1))
    axes.set_title("One update after every row, against one after 32", fontsize=10)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", type=Path)
    file = parser.parse_args().plot
    print(*machine.description(), sep="\n")
    text, curves = by_block()
    print("", by_shape(), by_density(), text, sep="\n\n")
    if file:
        draw(curves, file)


if __name__ == "__main__":
    main()
