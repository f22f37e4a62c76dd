"""One thread for everybody, fixed before any library is imported; ``--quick``; the final table."""

import os

for _name in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR", "NUMBA", "FASTNN"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
# XLA has no switch for all of its thread pools: with one CPU to run on, nobody has a helper.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import pytest  # noqa: E402

from bench.report import Result, render  # noqa: E402

# Doctest collection imports what it visits, and a peer's library may not be installed.
collect_ignore = ["peers"]
RESULTS = pytest.StashKey[list[Result]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="short rounds and few of them: a smoke run"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []


def pytest_benchmark_group_stats() -> list:
    """No group, no table of seconds: rounds differ in rows, only samples/s can be compared."""
    return []


@pytest.fixture
def results(pytestconfig: pytest.Config) -> list[Result]:
    return pytestconfig.stash[RESULTS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    results = terminalreporter.config.stash[RESULTS]
    if results:
        terminalreporter.write_line(render(results))
