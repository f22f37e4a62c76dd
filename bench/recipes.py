"""Which batch size and learning rate each library races with, and the search that chose them.

From the same weights, over the same rows, every library takes the same path up to rounding. So the
search asks twice and multiplies: how many parts a recipe needs (fastnn trains, the median of its
seeds), and how long a part takes each library at each batch size.
"""

from statistics import median

from bench.digits import Digits
from bench.peers import peer_class
from bench.race import recipe, run, timed_part
from bench.report import Rows, three_digits
from bench.workloads import Mode

GRID = {
    1: (0.005, 0.01, 0.02),
    16: (0.1, 0.2),
    32: (0.1, 0.2, 0.4),
    64: (0.2, 0.4, 0.8),
    128: (0.4, 0.8),
}
SEEDS = range(1, 4)
TIMINGS = 3

# Winners of `python -m bench.time_to_accuracy mnist.npz --search` on Zen 4 (AVX-512), one thread.
RECIPES = {
    "fastnn": recipe(1, 0.01),
    **dict.fromkeys(["fastnn minibatch", "numpy", "compiled BLAS", "numba"], recipe(64, 0.4)),
    **dict.fromkeys(["jax", "torch", "tf", "tf xla", "sklearn"], recipe(64, 0.4)),
    **dict.fromkeys(["torch nn", "keras"], recipe(128, 0.8)),
}


def parts_needed(digits: Digits, mode: Mode, accuracy: float) -> float:
    """Median over the seeds; infinite if most of them do not arrive."""
    peer = peer_class("fastnn")(digits.net, mode)
    runs = [run(peer, digits, seed, accuracy) for seed in SEEDS]
    return median(len(r.seconds) if r.reached else float("inf") for r in runs)


def seconds_of_part(digits: Digits, library: str, batch_size: int) -> float:
    """Median, after a first one that compiles."""
    peer = peer_class(library)(digits.net, recipe(batch_size, min(GRID[batch_size])))
    peer.load_data(*digits.part(0, seed=0))
    return median([timed_part(peer) for _ in range(1 + TIMINGS)][1:])


def search(digits: Digits, accuracy: float, libraries: list[str]) -> dict[str, Rows]:
    """Three tables: parts by recipe, seconds by library and batch size, the winners."""
    recipes = [recipe(m, rate) for m, rates in GRID.items() for rate in rates]
    parts = {mode: parts_needed(digits, mode, accuracy) for mode in recipes}
    seconds = {lib: {m: seconds_of_part(digits, lib, m) for m in GRID} for lib in libraries}
    needed = [[str(r.batch_size), str(r.rate), f"{parts[r]:g}"] for r in recipes]
    sizes = [f"batch {m}" for m in GRID]
    speed = [[lib, *(f"{1e3 * s:.1f}" for s in of.values())] for lib, of in seconds.items()]
    winners = [["library", "batch size", "learning rate", "expected seconds"]]
    for name, lib, modes in contests(libraries, recipes):
        time = {mode: parts[mode] * seconds[lib][mode.batch_size] for mode in modes}
        best = min(time, key=time.__getitem__)
        winners.append([name, str(best.batch_size), str(best.rate), three_digits(time[best])])
    return {
        "Parts needed": [["batch size", "learning rate", "parts"], *needed],
        "Milliseconds a part": [["library", *sizes], *speed],
        "Winners": winners,
    }


def contests(libraries: list[str], recipes: list[Mode]) -> list[tuple[str, str, list[Mode]]]:
    """Names, libraries and the recipes to choose from: fastnn takes part by rows and by batches."""
    by_row = [mode for mode in recipes if mode.batch_size == 1]
    by_batch = [mode for mode in recipes if mode.batch_size != 1]
    own = [("fastnn", "fastnn", by_row), ("fastnn minibatch", "fastnn", by_batch)]
    return own + [(lib, lib, recipes) for lib in libraries if lib != "fastnn"]
