"""fastnn in a process of its own, which times one round whenever it is asked to.

Whatever is fixed once a process runs (the build, the CPUs, the thread variables) can so be compared
in one run, round against round: only one worker trains at a time, the others wait.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import machine
from bench.report import middle
from bench.workloads import CELLS, Mode, Net

ROOT = Path(__file__).parent.parent


class Worker:
    """The caller's end: ``rate()`` lets the worker train for one round."""

    def __init__(
        self,
        cell: tuple[Net, Mode],
        seconds: float,
        *,
        cpus: Sequence[int],
        threads: int = 1,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        settings = json.dumps([CELLS.index(cell), seconds, list(cpus), threads])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", settings],
            cwd=ROOT,
            env={**machine.ENVIRONMENT, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n", "the worker did not come up"

    def rate(self) -> float:
        """Samples/s of one round."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def in_turn(workers: Mapping[str, Worker], n_rounds: int) -> dict[str, list[float]]:
    """Every worker's rates, their rounds interleaved."""
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(n_rounds):
        for name, worker in workers.items():
            rates[name].append(worker.rate())
    return rates


def over(rates: Sequence[float], base: Sequence[float]) -> str:
    """Median ratio, and quartiles, within the turns."""
    return middle([a / b for a, b in zip(rates, base, strict=True)])


def serve(cell: int, seconds: float, cpus: list[int], threads: int) -> None:
    """The worker's end: a line in, a rate out, until the input ends."""
    machine.use_cpus(cpus)
    from bench.peers.with_fastnn import FastnnPeer
    from bench.rounds import prepare

    sized = prepare(FastnnPeer(*CELLS[cell], threads=threads), seconds)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(sized.n_samples / sized.timed(), flush=True)


if __name__ == "__main__":
    serve(*json.loads(sys.argv[1]))
