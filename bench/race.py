"""A race to a test accuracy: a library with its recipe, made ready, and what each run took.

Only training is on the clock, which is the CPU time of a process bound to one CPU: what a wall
clock says on a machine without neighbours. Rows come in parts of equal size, in an order that
depends on the seed alone; loading a part and judging the weights after it happen off the clock,
for all alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from time import process_time

from bench.digits import PART, Digits
from bench.peers import peer_class
from bench.peers.base import Peer
from bench.rounds import checked_error
from bench.workloads import N_CHECKED_ROWS, Mode, descended, initial_weights

MAX_EPOCHS = 20
FIRST_SEED = 100  # of the weights and of the rows' order; recipes are searched with other seeds


def recipe(batch_size: int, rate: float) -> Mode:
    name = "stochastic" if batch_size == 1 else f"minibatch {batch_size}"
    return Mode(name, batch_size, rate)


@dataclass
class Run:
    """Training seconds and test accuracy after each part."""

    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    reached: bool = False


@dataclass
class Entrant:
    """A library and a recipe, compiled and checked, and its runs: one a seed."""

    name: str
    peer: Peer
    compile_seconds: float
    error: float
    runs: list[Run] = field(default_factory=list)


def train_part(peer: Peer, digits: Digits, k: int, seed: int) -> float:
    """Seconds to train the k-th part from the weights as they are."""
    weights = [w.copy() for w in peer.weights()]
    peer.load_data(*digits.part(k, seed))
    peer.load_weights(weights)  # some libraries start again with their data
    start = process_time()
    peer.train_epoch()
    return process_time() - start


def run(peer: Peer, digits: Digits, seed: int, accuracy: float) -> Run:
    """Train from the seed's weights until the accuracy is reached, or the epochs are used up."""
    peer.load_weights(initial_weights(digits.net, seed))
    found, clock = Run(), 0.0
    for k in range(MAX_EPOCHS * len(digits.X) // PART + 1):
        clock += train_part(peer, digits, k, seed)
        found.seconds.append(clock)
        found.accuracies.append(digits.accuracy(peer.weights()))
        if found.accuracies[-1] >= accuracy:
            found.reached = True
            break
    return found


def enter(name: str, library: str, mode: Mode, digits: Digits) -> Entrant:
    """Compile on a part of the very size, then check another peer of the same kind."""
    make = peer_class(library)
    peer, net = make(digits.net, mode), digits.net
    peer.load_data(*digits.part(0, FIRST_SEED))
    first, second = timed_part(peer), timed_part(peer)
    X, y = (a[:N_CHECKED_ROWS] for a in digits.part(0, FIRST_SEED))
    checked = make(net, mode)  # of its own: a second shape would stay with what was compiled
    checked.load_data(X, y)
    error = checked_error(checked, descended(net, mode, X, y))
    return Entrant(name, peer, max(first - second, 0.0), error)


def timed_part(peer: Peer) -> float:
    """Seconds over the part that is loaded, from the initial weights."""
    peer.load_weights(initial_weights(peer.net))
    start = process_time()
    peer.train_epoch()
    return process_time() - start


def installed(libraries: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those that can be imported, and a note for each of the others."""
    found, notes = [], []
    for library in libraries:
        try:
            peer_class(library)
            found.append(library)
        except ModuleNotFoundError as missing:
            notes.append(f"Without {library}: {missing.name} is not installed")
    return found, notes
