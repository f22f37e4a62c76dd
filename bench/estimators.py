"""fastnn's estimators beside scikit-learn's: times of a fit, of a prediction for all rows, for one.

``python -m bench.estimators`` fits both from one `random_state`, in turn, and prints medians with
quartiles over the rounds, and the ratio of the times within a round: below 1 fastnn is faster. The
first fit of each is not timed: it warms up, and the weights of the two are compared.
``--save FILE`` keeps every time as JSON, ``--table FILE`` the tables as Markdown, ``--plot FILE``
draws how many times as fast fastnn is. A run takes about two minutes.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

import fastnn
from bench import machine
from bench.report import Rows, as_markdown, as_text, middle
from bench.rounds import seconds_of, timed
from bench.workloads import Array

ROUNDS = 7
SECONDS = 0.02  # of a round of predictions
SOLVERS = "sgd", "adam", "lbfgs"
DTYPES = "float64", "float32"
LIBRARIES = {"fastnn": fastnn, "scikit-learn": neural_network}
AGREEMENT = 1e-6  # of weights, the largest difference
FIT, ALL_ROWS, ONE_ROW = "Fit, ms", "Predict all rows, ms", "Predict one row, µs"
Rowset = tuple[Array, Array]


# ---- what is fitted ---------------------------------------------------------------------------


def housing() -> Rowset:
    """As many rows and columns as the California houses have, which are not at hand offline."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20640, 8))
    return X, np.sin(X @ rng.normal(size=8)) + 0.3 * rng.normal(size=len(X))


def images() -> Rowset:
    """784 pixels, of which a fifth is not 0, in ten classes."""
    rng = np.random.default_rng(0)
    X = rng.random((10000, 784)) * (rng.random((10000, 784)) < 0.2)
    return X, (X @ rng.normal(size=(784, 10))).argmax(axis=1)


@dataclass(frozen=True)
class Task:
    """Rows, and how long to train which network on them."""

    name: str
    load: Callable[[], Rowset]
    epochs: int  # of "lbfgs" iterations
    hidden: tuple[int, ...] = (100,)
    is_regression: bool = False

    @cache  # noqa: B019  # there are seven
    def rows(self, dtype: str) -> Rowset:
        X, y = self.load()
        X = X if self.load is images else scale(X)
        return X.astype(dtype), scale(y).astype(dtype) if self.is_regression else y

    def estimator(self, library: str, solver: str, threads: int) -> Any:
        """Untrained; its fit ends after the epochs, not before."""
        kind = "MLPRegressor" if self.is_regression else "MLPClassifier"
        made = getattr(LIBRARIES[library], kind)(
            hidden_layer_sizes=self.hidden, solver=solver, max_iter=self.epochs, tol=0,
            n_iter_no_change=np.inf, random_state=0,
        )  # fmt: skip
        return made.set_params(threads=threads) if library == "fastnn" else made


def bundled(name: str) -> Callable[[], Rowset]:
    return lambda: getattr(datasets, f"load_{name}")(return_X_y=True)


TASKS = (
    Task("iris", bundled("iris"), 100),
    Task("breast_cancer", bundled("breast_cancer"), 40),
    Task("digits", bundled("digits"), 20),
    Task("diabetes", bundled("diabetes"), 40, is_regression=True),
    Task("housing", housing, 5, is_regression=True),
    Task("images", images, 2),
    Task("images_deep", images, 2, hidden=(256, 128)),
)


# ---- the rounds -------------------------------------------------------------------------------


@dataclass
class Result:
    """Seconds of each round, by library."""

    title: str
    labels: list[str]  # of the row of its table
    seconds: dict[str, list[float]]
    remark: str = ""


def alternated(clocks: dict[str, Callable[[], float]], n_rounds: int) -> dict[str, list[float]]:
    """A clock a library; who comes first changes from round to round."""
    found: dict[str, list[float]] = {name: [] for name in clocks}
    for turn in range(n_rounds):
        for name in list(clocks)[:: 1 if turn % 2 else -1]:
            found[name].append(clocks[name]())
    return found


def seconds_of_fit(task: Task, library: str, solver: str, dtype: str, threads: int) -> float:
    made = task.estimator(library, solver, threads)
    return timed(lambda: made.fit(*task.rows(dtype)))


def seconds_of_prediction(estimator: Any, X: Array) -> float:
    return seconds_of(lambda n: [estimator.predict(X) for _ in range(n)], SECONDS)


def measured(task: Task, solver: str, dtype: str, n_rounds: int, threads: int) -> list[Result]:
    """A fit; and of Adam's networks the predictions."""
    X, y = task.rows(dtype)
    fitted = {name: task.estimator(name, solver, threads).fit(X, y) for name in LIBRARIES}
    net = "-".join(map(str, (X.shape[1], *task.hidden, fitted["fastnn"].n_outputs_)))
    labels = [task.name, str(len(X)), net, dtype]
    remark = compared(*fitted.values(), dtype, solver)
    fits = {name: partial(seconds_of_fit, task, name, solver, dtype, threads) for name in LIBRARIES}
    times = alternated(fits, n_rounds)
    results = [Result(FIT, [*labels, solver, str(task.epochs)], times, remark)]
    for title, rows in ((ALL_ROWS, X), (ONE_ROW, X[:1])) if solver == "adam" else ():
        clocks = {name: partial(seconds_of_prediction, fitted[name], rows) for name in LIBRARIES}
        results.append(Result(title, labels, alternated(clocks, n_rounds)))
    return results


def compared(own: Any, other: Any, dtype: str, solver: str) -> str:
    """How far the weights lie apart, and why if that is more than rounding in float64 explains."""
    pairs = zip(own.coefs_ + own.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    difference = max(float(abs(a - b).max()) for a, b in pairs)
    text = f"{difference:.0e}"
    if difference < AGREEMENT:
        return text
    if solver == "lbfgs":
        if own.n_iter_ != other.n_iter_:
            return f"{text}: {own.n_iter_} and {other.n_iter_} iterations"
        mixed = dtype == "float32" and other.coefs_[0].dtype != dtype
        return f"{text}: {'float64 there' if mixed else 'rounding, grown by line searches'}"
    assert dtype == "float32", f"{own}: the weights differ by {text}"
    return f"{text}: rounding of float32"


# ---- tables -----------------------------------------------------------------------------------


def tables(results: list[Result]) -> dict[str, Rows]:
    """The fits, then the predictions."""
    labels = ["data", "rows", "net", "dtype"]
    headings = {FIT: [*labels, "solver", "epochs"], ALL_ROWS: labels, ONE_ROW: labels}
    found = {}
    for title, heading in headings.items():
        last = ["weights differ by"] if title == FIT else []
        body = [line(result) for result in results if result.title == title]
        found[title] = [[*heading, *LIBRARIES, " / ".join(LIBRARIES), *last], *body]
    return found


def line(result: Result) -> list[str]:
    unit = 1e6 if result.title == ONE_ROW else 1e3
    times = [middle([unit * s for s in result.seconds[name]]) for name in LIBRARIES]
    own, other = (result.seconds[name] for name in LIBRARIES)
    ratio = middle([a / b for a, b in zip(own, other, strict=True)])
    return [*result.labels, *times, ratio, *([result.remark] if result.title == FIT else [])]


def about(n_rounds: int, threads: int) -> list[str]:
    return [
        *machine.description(),
        f"scikit-learn {sklearn.__version__}; {threads} thread{'s' * (threads > 1)} each; "
        f"median (quartiles) of {n_rounds} rounds",
    ]


# ---- the picture ------------------------------------------------------------------------------


def draw(results: list[Result], path: Path) -> None:
    """How many times as fast fastnn is: a panel for fits and one for predictions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), dpi=150, layout="constrained")
    fits, predictions = figure.subplots(1, 2, sharey=True)
    for axes, title in ((fits, "fit"), (predictions, "predict")):
        axes.set(xscale="log", title=title, xlabel="times as fast as scikit-learn")
        axes.axvline(1, color="0.4", linewidth=1)
        axes.grid(axis="x", which="both", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_formatter("{x:g}")
    of_fits = [result for result in results if result.title == FIT]
    for place, solver in enumerate(SOLVERS):
        chosen = [result for result in of_fits if result.labels[4] == solver]
        mark(fits, chosen, solver, f"C{place}", 0.2 * (place - 1))
    for place, title in ((3, ALL_ROWS), (4, ONE_ROW)):
        chosen = [result for result in results if result.title == title]
        mark(predictions, chosen, title.split(",")[0].lower(), f"C{place}", 0.2 * (place - 3.5))
    names = list(dict.fromkeys(result.labels[0] for result in results))
    fits.set_yticks(range(len(names)), [f"{name}  " for name in names])
    fits.invert_yaxis()
    figure.savefig(path)


def mark(axes: Any, results: list[Result], name: str, colour: str, shift: float) -> None:
    """Medians and quartiles of some cells, float64 filled, float32 hollow."""
    places = list(dict.fromkeys(result.labels[0] for result in results))
    for dtype, face in zip(DTYPES, (colour, "white"), strict=True):
        chosen = [result for result in results if result.labels[3] == dtype]
        ratios = [np.divide(*reversed(list(result.seconds.values()))) for result in chosen]
        low, middles, high = np.percentile(ratios, [25, 50, 75], axis=1)
        axes.errorbar(
            middles, [places.index(result.labels[0]) + shift for result in chosen],
            xerr=[middles - low, high - middles], fmt="o", color=colour, markerfacecolor=face,
            label=f"{name}, {dtype}", markersize=5, linewidth=1,
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=8)


# ---- command line -----------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ",".join(task.name for task in TASKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timed fits of each, at least 2")
    parser.add_argument("--threads", type=int, default=1, help="of each library")
    parser.add_argument("--data", metavar="NAME,...", default=names, help=f"some of {names}")
    parser.add_argument("--save", metavar="FILE", type=Path, help="all times, as JSON")
    parser.add_argument("--table", metavar="FILE", type=Path, help="the tables, as Markdown")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="needs matplotlib")
    given = parser.parse_args()
    given.data = given.data.split(",")
    if unknown := set(given.data) - set(names.split(",")):
        parser.error(f"no data are called {', '.join(unknown)}; there are {names}")
    if given.rounds < 2 or given.threads < 1:
        parser.error("--rounds is at least 2, --threads at least 1")
    return given


def run(given: argparse.Namespace) -> list[Result]:
    """All cells, on as many CPUs as there are threads."""
    machine.use_cpus(machine.CPUS[-given.threads :])
    results = []
    with threadpool_limits(given.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for task in (task for task in TASKS if task.name in given.data):
            for dtype in DTYPES:
                for solver in SOLVERS:
                    results += measured(task, solver, dtype, given.rounds, given.threads)
    return results


def main() -> None:
    given = arguments()
    results, header = run(given), about(given.rounds, given.threads)
    print(as_text(header, tables(results)))
    if given.table:
        given.table.write_text(as_markdown(header, tables(results)), encoding="utf-8")
    if given.plot:
        draw(results, given.plot)
    if given.save:
        kept = {"about": header, "results": [asdict(result) for result in results]}
        given.save.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
