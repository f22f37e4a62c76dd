"""The builds of the core against the widest one that this CPU runs: round against round."""

from contextlib import ExitStack

import pytest

from bench import machine
from bench.report import Figure
from bench.worker import Worker, in_turn, over
from bench.workloads import CELLS, cell_name
from fastnn.native.backend import ISA_LEVELS, _core, builds_present

BUILDS = [isa for isa in builds_present() if ISA_LEVELS[isa] <= _core.isa_level()]
TITLE = "Builds, one thread: the rate over that of the widest build"


@pytest.mark.skipif(len(BUILDS) < 2, reason="this CPU runs one build only")
@pytest.mark.parametrize("cell", CELLS, ids=cell_name)
def test_builds(benchmark, cell, seconds, n_rounds, figures):
    cpus = machine.CPUS[-1:]
    with ExitStack() as stack:
        workers = {
            isa: stack.enter_context(
                Worker(cell, seconds, cpus=cpus, variables={"FASTNN_ISA": isa})
            )
            for isa in BUILDS
        }
        rates = benchmark.pedantic(in_turn, (workers, n_rounds))
    *narrower, widest = BUILDS
    for isa in reversed(narrower):
        row = tuple(part.name for part in cell)
        text = over(rates[isa], rates[widest])
        figures.append(Figure(TITLE, row, f"{isa} / {widest}", text))
