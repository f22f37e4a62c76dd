"""Rate of per-sample descent in blocks over the length of a block, beside minibatches and peers.

``python -m bench.blocks`` prints a table; ``--plot FILE`` draws it. Everybody but the minibatches
makes one update after every row; a block of one row is the textbook loop: no block, two visits to
every weight. Weights are checked against float64 before any clock starts, rounds are interleaved,
and the rates are medians of samples a second of processor time.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import process_time

from bench import machine

if __name__ == "__main__":
    machine.use_one_thread()

from bench.paths import forced
from bench.peers import peer_class
from bench.peers.base import Peer
from bench.peers.with_fastnn import FastnnPeer
from bench.report import Rows, aligned, middle, samples
from bench.rounds import Round, prepare
from bench.workloads import MODES, NETS, Net
from fastnn.engine.per_sample import BLOCK
from fastnn.engine.per_sample import Path as SamplePath

ROUNDS = 15
SECONDS = 0.05  # of a round
BLOCKS = (1, 2, 4, 8, 16, 32, 64, 128)
STOCHASTIC, MINIBATCH = MODES[:2]
PEERS = {
    "jax": "JAX, scan",
    "numba": "Numba, loop",
    "torch nn": "PyTorch nn",
    "sklearn": "scikit-learn",
    "keras": "Keras fit",
}
Rates = dict[str, list[float]]  # samples a second of each round


class BlockPeer(FastnnPeer):
    """fastnn in blocks of n rows, whatever the rule says."""

    def __init__(self, net: Net, block: int) -> None:
        super().__init__(net, STOCHASTIC)
        self.path = SamplePath("blocked" if block > 1 else "listed", block)

    def train(self, n_epochs: int) -> None:
        with forced(self.path):
            super().train(n_epochs)


def contestants(net: Net) -> dict[str, Peer]:
    """All that are installed, by name."""
    found: dict[str, Peer] = {str(block): BlockPeer(net, block) for block in BLOCKS}
    found[MINIBATCH.name] = FastnnPeer(net, MINIBATCH)
    for name in PEERS:
        try:
            found[name] = peer_class(name)(net, STOCHASTIC)
        except ModuleNotFoundError as missing:
            print(f"{name} is left out: {missing.name} is not installed")
    return found


def measured(net: Net) -> tuple[dict[str, Round], Rates]:
    """The checked rounds of all, and their rates."""
    rounds = {name: prepare(peer, SECONDS) for name, peer in contestants(net).items()}
    rates: Rates = {name: [] for name in rounds}
    for _ in range(ROUNDS):
        for name, one in rounds.items():
            rates[name].append(one.n_samples / own_seconds(one))
    return rounds, rates


def own_seconds(one: Round) -> float:
    """Of one round, without those in which the only CPU was somebody else's."""
    one.rewind()
    start = process_time()
    one.run()
    return process_time() - start


def table(net: Net, rounds: dict[str, Round], rates: Rates) -> str:
    """Rates, and ratios to minibatches within a round."""
    body: Rows = [[net.name, "samples/s", "rate / minibatch 32", "error of the update"]]
    for name, found in rates.items():
        ratios = [a / b for a, b in zip(found, rates[MINIBATCH.name], strict=True)]
        label = f"blocks of {name}" if name.isdigit() else name
        error = f"{rounds[name].error:.0e}"
        body.append([label, samples(median(found)), middle(ratios), error])
    return aligned(body)


# ---- the picture ---------------------------------------------------------------------------------


def apart(values: Sequence[float], ratio: float) -> list[float]:
    """Values, from small to large, moved up until each is `ratio` times the one below."""
    moved: list[float] = []
    for value in values:
        moved.append(max(value, moved[-1] * ratio) if moved else value)
    return moved


def draw_net(axes, net: Net, rates: Rates) -> None:
    """The curve over the length of a block, and a line for everybody else."""
    medians = {name: median(found) for name, found in rates.items()}
    curve = [medians.pop(str(block)) for block in BLOCKS]
    axes.plot(BLOCKS, curve, "o-", color="C0", linewidth=2)
    chosen = curve[BLOCKS.index(BLOCK)]
    note(axes, f"{samples(chosen)} in blocks of {BLOCK}", (BLOCK, chosen), -16, "C0", ha="center")
    names = sorted(medians, key=medians.__getitem__)
    heights = apart([medians[name] for name in names], ratio=1.3)
    for name, height in zip(names, heights, strict=True):
        color = "C0" if name == MINIBATCH.name else "0.4"
        axes.axhline(medians[name], color=color, linewidth=1, linestyle="--")
        label = f"{PEERS.get(name, 'fastnn, minibatches of 32')}  {samples(medians[name])}"
        note(axes, label, (BLOCKS[-1] * 1.7, height), 0, color)
    axes.set(xscale="log", yscale="log", xlabel="rows of a block", title=net.name)
    axes.set(xlim=(0.8, BLOCKS[-1] * 1.5), ylim=(medians[names[0]] / 2, medians[names[-1]] * 2))
    axes.set_xticks(BLOCKS, list(map(str, BLOCKS)))
    axes.minorticks_off()


def note(axes, text: str, at: tuple[float, float], up: float, color: str, ha="left") -> None:
    """A label some points above a place."""
    settings = {"textcoords": "offset points", "va": "center", "fontsize": 9}
    axes.annotate(text, at, xytext=(0, up), color=color, ha=ha, annotation_clip=False, **settings)


def draw(all_rates: dict[Net, Rates], file: Path) -> None:
    """A panel for each net."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(all_rates), figsize=(11, 4.2), layout="constrained")
    for axes, (net, rates) in zip(panels, all_rates.items(), strict=True):
        draw_net(axes, net, rates)
    title = "One update after every row, on one thread (dashed blue: after every 32 rows)"
    figure.suptitle(title, fontsize=11)
    panels[0].set_ylabel("samples a second")
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", type=Path)
    file = parser.parse_args().plot
    print(*machine.description(), sep="\n")
    all_rates = {}
    for net in NETS[2:]:
        rounds, all_rates[net] = measured(net)
        print("", table(net, rounds, all_rates[net]), sep="\n")
    if file:
        draw(all_rates, file)


if __name__ == "__main__":
    main()
