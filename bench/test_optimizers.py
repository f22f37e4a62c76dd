"""What Adam costs fastnn beside plain SGD: a round of the one next to a round of the other."""

import pytest

from bench.peers.with_fastnn import FastnnPeer
from bench.report import Figure, middle
from bench.rounds import LEAST_SECONDS, prepare
from bench.workloads import MODES, NETS

TITLE = "fastnn in batches of 32, one thread: Adam's time over that of plain SGD"
SGD, ADAM = (mode for mode in MODES if mode.batch_size == 32)


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)
def test_adam_beside_sgd(benchmark, net, seconds, n_rounds, figures):
    seconds = max(seconds, LEAST_SECONDS["adam"])
    sgd, adam = (prepare(FastnnPeer(net, mode), seconds) for mode in (SGD, ADAM))

    def ratio() -> float:
        """Of the times of a row."""
        return adam.timed() / adam.n_samples / (sgd.timed() / sgd.n_samples)

    ratios = benchmark.pedantic(lambda: [ratio() for _ in range(n_rounds)])
    figures.append(Figure(TITLE, (net.name,), "Adam / SGD", middle(ratios)))
