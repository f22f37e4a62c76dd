"""One thread for everybody, fixed before any library is imported; options; the final tables."""

from bench import machine

machine.use_one_thread()

from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from bench.report import Figure, Result, as_markdown, as_text, tables, versions  # noqa: E402

# Doctest collection imports what it visits, and a peer's library may not be installed.
collect_ignore = ["peers", "estimators.py"]
RESULTS = pytest.StashKey[list[Result]]()
FIGURES = pytest.StashKey[list[Figure]]()
NOTES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="short rounds and few of them: a smoke run"
    )
    parser.addoption("--table", metavar="FILE", type=Path, help="write the tables as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS], config.stash[FIGURES], config.stash[NOTES] = [], [], []


def pytest_benchmark_group_stats() -> list:
    """No group, no table of seconds: rounds differ in rows, only samples/s can be compared."""
    return []


@pytest.fixture
def results(pytestconfig: pytest.Config) -> list[Result]:
    return pytestconfig.stash[RESULTS]


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[Figure]:
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="session")
def seconds(pytestconfig: pytest.Config) -> float:
    """Least duration of a timed round."""
    return 0.01 if pytestconfig.getoption("quick") else 0.05


@pytest.fixture(scope="session")
def n_rounds(pytestconfig: pytest.Config) -> int:
    return 3 if pytestconfig.getoption("quick") else 9


@pytest.fixture(scope="session")
def peak(pytestconfig: pytest.Config) -> Callable[[], float] | None:
    """Measures the multiply-add peak at this moment; None, with a note, without a compiler."""
    from bench import roofline
    from bench.native import CompilerMissing

    try:
        roofline.kernels("float32")
    except CompilerMissing as missing:
        pytestconfig.stash[NOTES].append(f"No share of the peak: {missing}")
        return None
    return roofline.flops


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    results, notes = config.stash[RESULTS], config.stash[NOTES]
    found = tables(results, config.stash[FIGURES])
    if not found:
        return
    about = [*machine.description(), *notes]
    if results:
        about.append(f"float32, one thread, plain SGD unless a mode says Adam: {versions(results)}")
    if config.getoption("quick"):
        about.append("--quick: rounds so short that a fit's fixed costs show")
    terminalreporter.write_line(as_text(about, found))
    if path := config.getoption("table"):
        path.write_text(as_markdown(about, found), encoding="utf-8")
