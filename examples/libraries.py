"""What the examples `sklearn_*.py` share: whose class trains, the clock, the table, the picture.

``--library fastnn`` or ``scikit-learn`` takes one of them, ``both`` (the default) compares them.
Each uses as many threads as it likes; with ``OMP_NUM_THREADS=1`` in the environment both use one.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from sklearn.exceptions import ConvergenceWarning

OUT = Path(__file__).with_name("out")
LIBRARIES = "fastnn", "scikit-learn"
SAME = 1e-9  # scores that differ by less agree


def classifier_of(library: str) -> type:
    """The class to train with: nothing else differs."""
    if library == "fastnn":
        from fastnn import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    return MLPClassifier


@dataclass
class Fit:
    """An estimator, not yet trained, and the rows for it; then how long its fit took, its score."""

    name: str
    estimator: Any
    X: Any
    y: Any
    X_test: Any
    y_test: Any
    seconds: float = 0.0
    score: float = 0.0

    def run(self) -> "Fit":
        start = perf_counter()
        self.estimator.fit(self.X, self.y)
        self.seconds = perf_counter() - start
        self.score = self.estimator.score(self.X_test, self.y_test)
        return self


Plan = Callable[[type], Iterator[Fit]]  # of an example: what it fits, given the class
Drawing = Callable[[Any, Sequence[Fit]], None]  # of an example: what goes into an empty figure


def show(plan: Plan, draw: Drawing, size: tuple[float, float]) -> None:
    """Run an example as its command line has it: fits, table, picture."""
    about = sys.modules["__main__"].__doc__ or ""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--library", choices=[*LIBRARIES, "both"], default="both")
    library = parser.parse_args().library
    found = {}
    for name in LIBRARIES if library == "both" else [library]:
        found[name] = [fit.run() for fit in quietly(plan(classifier_of(name)))]
    for line in table(found):
        print(line)
    picture(draw, found[next(iter(found))], size)


def quietly(fits: Iterator[Fit]) -> Iterator[Fit]:
    """Fits that stop at `max_iter` are meant to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield from fits


def table(found: dict[str, list[Fit]]) -> Iterator[str]:
    """A line for each fit: seconds and score of each library, and whether the scores agree."""
    width = max(len(fit.name) for fits in found.values() for fit in fits)
    yield " ".join([" " * width, *(f"{name + ', s':>16} {'score':>6}" for name in found)])
    n_same, rows = 0, list(zip(*found.values(), strict=True))
    for row in rows:
        same = max(fit.score for fit in row) - min(fit.score for fit in row) < SAME
        n_same += same
        numbers = [f"{fit.seconds:16.3f} {fit.score:6.3f}" for fit in row]
        yield " ".join([row[0].name.ljust(width), *numbers, "" if same else " differ"]).rstrip()
    sums = [f"{sum(fit.seconds for fit in fits):16.3f} {'':6}" for fits in found.values()]
    yield " ".join(["in all".ljust(width), *sums]).rstrip()
    if len(found) > 1:
        yield f"scores agree in {n_same} of {len(rows)} fits"


def picture(draw: Drawing, fits: Sequence[Fit], size: tuple[float, float]) -> None:
    """Into examples/out, under the name of the script; without matplotlib none."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        print("no picture: pip install matplotlib")
        return
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    draw(figure, fits)
    OUT.mkdir(exist_ok=True)
    path = OUT / Path(sys.argv[0]).with_suffix(".png").name
    figure.savefig(path)
    print(path)
