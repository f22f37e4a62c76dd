"""One epoch per net and mode: every installed peer, each round next to a round of fastnn.

Interleaving by pairs: before each timed round of a peer, untimed for pytest-benchmark, fastnn
runs a round of its own. The ratio is taken within the pair, where a busy machine hits both;
fastnn paired with itself shows what is left of the noise. The multiply-add peak is measured between
the two, since a shared machine's clock moves.
"""

from dataclasses import asdict

import pytest

from bench.native import CompilerMissing
from bench.peers import PEERS, peer_class
from bench.report import Result
from bench.rounds import Round, prepare
from bench.workloads import CELLS, cell_name


@pytest.fixture(scope="module", params=CELLS, ids=cell_name)
def fastnn_round(request, seconds) -> Round:
    """fastnn on one net and mode, checked once and shared by all its peers."""
    return prepare(peer_class("fastnn")(*request.param), seconds)


@pytest.fixture(params=PEERS)
def peer_round(request, fastnn_round, seconds) -> Round:
    """The contestant on the same net and mode, checked before any clock starts."""
    if request.param == "fastnn":
        return fastnn_round
    net, mode = fastnn_round.peer.net, fastnn_round.peer.mode
    try:
        contestant = peer_class(request.param)
        if not contestant.supports(mode):
            pytest.skip(f"{request.param} does not apply")
        return prepare(contestant(net, mode), seconds)
    except ModuleNotFoundError as missing:
        pytest.skip(f"{missing.name} is not installed")
    except CompilerMissing as missing:
        pytest.skip(str(missing))


def test_epoch(benchmark, request, fastnn_round, peer_round, peak, n_rounds, results):
    fastnn_seconds, peaks = [], []
    net, mode = request.node.callspec.params["fastnn_round"]

    def fastnn_first():
        fastnn_seconds.append(fastnn_round.timed())
        if peak:
            peaks.append(peak() / net.flops)
        peer_round.rewind()

    benchmark.pedantic(peer_round.run, setup=fastnn_first, rounds=n_rounds)
    if benchmark.stats is None:  # --benchmark-disable: only the check was wanted
        return
    peer_seconds = benchmark.stats.stats.data
    per_row = [s / fastnn_round.n_samples for s in fastnn_seconds]
    result = Result(
        net=net.name,
        mode=mode.name,
        peer=request.node.callspec.params["peer_round"],
        version=peer_round.peer.version,
        error=peer_round.error,
        rates=[peer_round.n_samples / s for s in peer_seconds],
        ratios=[
            s / peer_round.n_samples / own for s, own in zip(peer_seconds, per_row, strict=True)
        ],
        peaks=peaks,
    )
    benchmark.extra_info.update(asdict(result))
    results.append(result)
