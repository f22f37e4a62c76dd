"""Rounds: how many rows and epochs one timed round takes, the check that precedes them, clocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from time import perf_counter

from bench.peers.base import Peer
from bench.workloads import (
    N_CHECKED_ROWS,
    Array,
    Mode,
    Net,
    dataset,
    initial_weights,
    reference_weights,
    update_error,
)

# float32 peers stay below 1e-4; a learning rate wrong by 1 % is above 8e-3, a missed bias near 1.
# A unit within 3e-6 of relu's kink may fall on its other side, and Adam makes small gradients count
# as much as large ones: 2e-3 then.
TOLERANCES = {"sgd": 5e-4, "adam": 5e-3}

# What Adam keeps, most libraries (fastnn too) allocate at the first step: a rate is to hide it.
LEAST_SECONDS = {"sgd": 0.0, "adam": 0.2}


@dataclass
class Round:
    """A peer ready to be timed: data loaded, code compiled, error of its update known."""

    peer: Peer
    n_rows: int
    n_epochs: int
    error: float

    @property
    def n_samples(self) -> int:
        return self.n_rows * self.n_epochs

    def rewind(self) -> None:
        """Back to the initial weights, so every round does the same arithmetic."""
        self.peer.load_weights(initial_weights(self.peer.net))

    def run(self) -> None:
        self.peer.train(self.n_epochs)

    def timed(self) -> float:
        """Seconds of one round from the initial weights."""
        self.rewind()
        return timed(self.run)


def checked_error(peer: Peer, reference: Sequence[Array]) -> float:
    """Train one epoch over the rows loaded; AssertionError if its weights are wrong."""
    peer.load_weights(initial_weights(peer.net))
    peer.train_epoch()
    error = update_error(peer.net, peer.weights(), reference)
    tolerance = TOLERANCES[peer.mode.optimizer]
    assert error < tolerance, f"{type(peer).__name__}'s update is off by {error:.1e}"
    return error


def prepare(peer: Peer, seconds: float) -> Round:
    """Check the peer, then size its round to last ``seconds``, and warm it up.

    A slow peer gets fewer rows (its figure is a rate), a quick one several epochs. In batch mode
    the number of rows is part of the work, so only the epochs vary.
    """
    seconds = max(seconds, peer.least_seconds, LEAST_SECONDS[peer.mode.optimizer])
    X, y = dataset(peer.net)
    peer.load_data(X[:N_CHECKED_ROWS], y[:N_CHECKED_ROWS])
    error = checked_error(peer, reference_weights(peer.net, peer.mode))
    sized = Round(peer, N_CHECKED_ROWS, n_epochs=1, error=error)
    for _ in range(2):  # over the few checked rows the fixed cost of a call hides the rate
        wanted = sized.n_rows * seconds / sized.timed()
        n_rows = rows_per_round(peer.net, peer.mode, wanted)
        if n_rows != sized.n_rows:
            peer.load_data(X[:n_rows], y[:n_rows])
            sized.n_rows = n_rows
            sized.timed()  # compiles for the new shape
    for _ in range(2):  # what a call costs once is in the first estimate, too
        sized.n_epochs = ceil(sized.n_epochs * seconds / sized.timed())
    return sized


def rows_per_round(net: Net, mode: Mode, wanted: float) -> int:
    """Whole batches that hold the wanted rows, within the data set."""
    m = mode.batch_size or net.n_rows
    return min(ceil(wanted / m), net.n_rows // m) * m


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start


def seconds_of(run: Callable[[int], None], least: float) -> float:
    """Of one call, from as many as last so long; `run(n)` makes n of them."""
    n = 1
    while True:
        passed = timed(lambda: run(n))  # noqa: B023  # called at once
        if passed >= least:
            return passed / n
        n = max(2 * n, int(n * least / max(passed, 1e-9)))
