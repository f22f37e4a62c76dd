"""Batch mode takes the memory of its data and little more; of mapped data, none at all."""

import sys

import pytest

from bench.memory import WIDTHS_OF_MAPPED, peak_anonymous_bytes, write_rows
from bench.report import Figure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

TITLE = "Memory: the most anonymous memory of a process that trains one epoch in batch mode"
WIDTHS = (784, 512, 512, 10)
N_ROWS = 60_000


def entries(what: str, peak: int, other: str) -> list[Figure]:
    row = (what,)
    return [
        Figure(TITLE, row, "anonymous", f"{peak / 2**20:.0f} MiB"),
        Figure(TITLE, row, "compared", other),
    ]


def test_data_in_memory(benchmark, figures):
    peak = benchmark.pedantic(peak_anonymous_bytes, (WIDTHS, N_ROWS, None))
    n_bytes = N_ROWS * (4 * WIDTHS[0] + 8)  # float32 rows, int64 labels
    name = "-".join(map(str, WIDTHS))
    text = f"{peak / n_bytes:.2f} times the data"
    figures += entries(f"{name}, {N_ROWS:,} rows in memory", peak, text)


def test_mapped_data(benchmark, figures, pytestconfig, tmp_path):
    few, many = 10_000, 1_000_000 if pytestconfig.getoption("quick") else 10_000_000
    peaks = {}
    for n_rows in (few, many):
        write_rows(tmp_path, n_rows)
        job = (WIDTHS_OF_MAPPED, n_rows, str(tmp_path))
        run = benchmark.pedantic if n_rows == many else lambda f, arguments: f(*arguments)
        peaks[n_rows] = run(peak_anonymous_bytes, job)
        (tmp_path / "X.npy").unlink()
        (tmp_path / "y.npy").unlink()
    name = "-".join(map(str, WIDTHS_OF_MAPPED))
    for n_rows, peak in peaks.items():
        text = f"{(peak - peaks[few]) / 2**20:+.1f} MiB"
        figures += entries(f"{name}, {n_rows:,} mapped rows", peak, text)
