"""Two threads against one, four on fewer CPUs, and two beside a process that needs a CPU."""

import subprocess
import sys
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from bench import machine
from bench.report import Figure, samples
from bench.worker import Worker, in_turn, over
from bench.workloads import CELLS, cell_name

TITLE = f"Threads on {len(machine.CPUS)} CPUs: the rate over that of one thread"


@pytest.fixture(scope="module", autouse=True)
def threads_are_possible() -> None:
    if len(machine.CPUS) < 2:
        pytest.skip("there is one CPU only")


@contextmanager
def busy_process():
    """Another process that computes all the time, wherever the system lets it."""
    code = f"import os; os.sched_setaffinity(0, {set(machine.CPUS)})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("cell", CELLS, ids=cell_name)
def test_threads(benchmark, cell, seconds, n_rounds, figures):
    with ExitStack() as stack:
        workers = {
            k: stack.enter_context(Worker(cell, seconds, cpus=machine.CPUS, threads=k))
            for k in (1, 2, 4)
        }
        alone = benchmark.pedantic(in_turn, (workers, n_rounds))
        with busy_process():
            beside = in_turn({k: workers[k] for k in (1, 2)}, n_rounds)
    row = tuple(part.name for part in cell)
    texts = {
        "1": samples(float(np.median(alone[1]))),
        "2": over(alone[2], alone[1]),
        "4": over(alone[4], alone[1]),
        "2, both beside a busy process": over(beside[2], beside[1]),
    }
    figures.extend(Figure(TITLE, row, column, text) for column, text in texts.items())
