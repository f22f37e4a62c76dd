"""Seconds to a test accuracy on MNIST: fastnn's per-sample descent against every library's best.

``python -m bench.time_to_accuracy mnist.npz`` trains 784-128-10 (relu, softmax, cross-entropy;
float32, plain SGD, one thread) until 97.5 % of the test rows are right, once a seed for every
installed library, with the batch size and learning rate of ``bench/recipes.py``; ``--search`` shows
how those were chosen. The file holds X_train, y_train, X_test and y_test. ``--plot FILE`` draws the
median runs, ``--table FILE`` keeps the table as Markdown.
"""

import argparse
import sys
from math import log
from pathlib import Path
from statistics import median

from bench import machine

if __name__ == "__main__":
    machine.use_one_thread()

from bench.digits import PART, Digits, DigitsError, load
from bench.native import CompilerMissing
from bench.peers import PEERS
from bench.race import FIRST_SEED, MAX_EPOCHS, Entrant, Run, enter, installed, run
from bench.recipes import RECIPES, search
from bench.report import Rows, as_markdown, as_text, middle, three_digits

OWN = "fastnn"
DEFAULT_PEERS = [library for library in PEERS if library not in (OWN, "sklearn rows")]
NAMES = [OWN, f"{OWN} minibatch", *DEFAULT_PEERS]


def entrants(digits: Digits, libraries: list[str], notes: list[str]) -> list[Entrant]:
    """fastnn by rows and by batches first, then the others."""
    found = []
    for name in [*NAMES[:2], *libraries]:
        library = OWN if name.startswith(OWN) else name
        try:
            found.append(enter(name, library, RECIPES[name], digits))
        except CompilerMissing as missing:
            notes.append(f"Without {name}: {missing}")
    return found


def race(field: list[Entrant], digits: Digits, accuracy: float, repeats: int) -> None:
    """All entrants once a seed, in turn."""
    for seed in range(FIRST_SEED, FIRST_SEED + repeats):
        for entrant in field:
            entrant.runs.append(run(entrant.peer, digits, seed, accuracy))


# ---- table ------------------------------------------------------------------------------------


def results(field: list[Entrant], digits: Digits) -> Rows:
    """One line per entrant; ratios are taken within a seed."""
    heading = "library, batch, rate, seconds, / fastnn, epochs, accuracy, compile s, error"
    rows = [heading.split(", ")]
    for e in field:
        mode = e.peer.mode
        epochs = median(len(r.seconds) for r in e.runs) * PART / len(digits.X)
        accuracy = 100 * median(r.accuracies[-1] for r in e.runs)
        last = [f"{epochs:.1f}", f"{accuracy:.2f} %", f"{e.compile_seconds:.2f}", f"{e.error:.0e}"]
        rows.append([e.name, str(mode.batch_size), str(mode.rate), *times(e, field[0]), *last])
    return rows


def times(entrant: Entrant, own: Entrant) -> list[str]:
    """Seconds and their ratio to fastnn's by rows; or how often the target was missed."""
    n_missed = sum(not r.reached for r in entrant.runs)
    if n_missed:
        return [f"not in {MAX_EPOCHS} epochs ({n_missed} of {len(entrant.runs)} runs)", "-"]
    seconds = [r.seconds[-1] for r in entrant.runs]
    pairs = zip(entrant.runs, own.runs, strict=True)
    ratios = [r.seconds[-1] / o.seconds[-1] for r, o in pairs if o.reached]
    return [spread(seconds), spread(ratios) if len(ratios) == len(seconds) else "-"]


def spread(values: list[float]) -> str:
    return middle(values) if len(values) > 1 else three_digits(values[0])


def about(field: list[Entrant], digits: Digits, repeats: int) -> list[str]:
    versions = dict.fromkeys(f"{e.name} {e.peer.version}" for e in field)
    return [
        f"{digits.net.name}, float32, plain SGD, one thread; median (quartiles) of {repeats} seeds",
        ", ".join(versions),
    ]


# ---- picture ----------------------------------------------------------------------------------


def median_run(entrant: Entrant) -> Run:
    """The run in the middle by time; runs that missed the target come last."""
    runs = sorted(entrant.runs, key=lambda r: (not r.reached, r.seconds[-1]))
    return runs[(len(runs) - 1) // 2]


def draw(field: list[Entrant], accuracy: float, file: Path) -> None:
    """Test accuracy over training seconds, each curve up to the target, its name above its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = plt.subplots(figsize=(9, 5.4), layout="constrained")
    low, high = 100 * accuracy - 6.5, 100 * accuracy + 4.2
    axes.set(xscale="log", ylim=(low, high))
    axes.axhline(100 * accuracy, color="gray", linewidth=1, linestyle="--")
    axes.set_xlabel("training seconds", fontsize=13)
    axes.set_ylabel("test accuracy, %", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["left"].set_bounds(low, 100 * accuracy + 0.5)
    axes.spines[["top", "right"]].set_visible(False)
    ends = [curve(axes, e) for e in sorted(field, key=lambda e: median_run(e).seconds[-1])]
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 100 * accuracy + 0.5])
    label(axes, ends)
    figure.savefig(file, dpi=130)


def curve(axes, entrant: Entrant) -> tuple[str, float, float, str]:
    """The name, where the curve ends, and its colour."""
    found, index = median_run(entrant), NAMES.index(entrant.name)
    percent = [100 * a for a in found.accuracies]
    (line,) = axes.plot(found.seconds, percent, linewidth=1.3 if index else 3)
    line.set_color("black" if index < 2 else f"C{index - 2}")
    axes.plot(found.seconds[-1], percent[-1], "o", color=line.get_color(), markersize=5)
    return entrant.name, found.seconds[-1], percent[-1], line.get_color()


def label(axes, ends: list[tuple[str, float, float, str]]) -> None:
    """Names stand upright side by side above the ends, as far apart as their height asks for."""
    width, (left, right) = 0.033, axes.get_xlim()
    places = [log(x / left) / log(right / left) for _, x, *_ in ends]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + width)
    top = axes.get_ylim()[1] - 2.9
    for (name, x, y, color), place in zip(ends, places, strict=True):
        at = left * (right / left) ** place
        axes.annotate(
            f"{name}  {three_digits(x)} s",
            (x, y),
            (at, top),
            color=color,
            fontsize=11,
            rotation=90,
            ha="center",
            va="bottom",
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.6, "relpos": (0.5, 0)},
        )


# ---- command line -----------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("digits", metavar="FILE", type=Path, help="MNIST as .npz")
    parser.add_argument("--accuracy", type=float, default=0.975, help="of the test rows")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, a seed each")
    parser.add_argument("--peers", metavar="NAME,...", default=",".join(DEFAULT_PEERS))
    parser.add_argument("--search", action="store_true", help="choose recipes, do not race")
    parser.add_argument("--plot", metavar="FILE", type=Path)
    parser.add_argument("--table", metavar="FILE", type=Path)
    given = parser.parse_args()
    given.peers = [name.strip() for name in given.peers.split(",") if name.strip() not in ("", OWN)]
    if unknown := [name for name in given.peers if name not in DEFAULT_PEERS]:
        parser.error(
            f"no peer is called {', '.join(unknown)}; there are {', '.join(DEFAULT_PEERS)}"
        )
    if given.repeats < 1 or not 0 < given.accuracy <= 1:
        parser.error("--repeats is at least 1, --accuracy a share between 0 and 1")
    return given


def main() -> None:
    given = arguments()
    try:
        digits = load(given.digits)
    except DigitsError as error:
        sys.exit(str(error))
    libraries, notes = installed(given.peers)
    header = machine.description()
    if given.search:
        tables = search(digits, given.accuracy, [OWN, *libraries])
    else:
        field = entrants(digits, libraries, notes)
        race(field, digits, given.accuracy, given.repeats)
        header += about(field, digits, given.repeats)
        title = f"Training seconds to {100 * given.accuracy:g} % of the test rows"
        tables = {title: results(field, digits)}
        if given.plot:
            draw(field, given.accuracy, given.plot)
    print(as_text([*header, *notes], tables))
    if given.table:
        given.table.write_text(as_markdown([*header, *notes], tables), encoding="utf-8")


if __name__ == "__main__":
    main()
