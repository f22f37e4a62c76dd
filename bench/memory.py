"""How much memory a fit takes: one process trains, another watches its anonymous pages.

Anonymous memory is what a process holds beyond the files it maps: pages of a memory map are the
system's to drop, so the process's size as a whole would say nothing. Linux only.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
PERIOD = 0.001  # seconds between two looks
WIDTHS_OF_MAPPED = (8, 16, 1)


def anonymous_bytes(process_id: int) -> int:
    """Anonymous pages in memory; 0 once the process is gone."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("RssAnon")]
    return int(lines[0][1]) << 10 if lines else 0


def peak_anonymous_bytes(*job: object) -> int:
    """The most that `serve(*job)` holds in a process of its own, libraries included."""
    command = [sys.executable, "-m", "bench.memory", json.dumps(job)]
    process = subprocess.Popen(command, cwd=ROOT)
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous_bytes(process.pid))
        time.sleep(PERIOD)
    assert process.returncode == 0, "the process that trains failed"
    return peak


def write_rows(folder: Path, n_rows: int) -> None:
    """Random rows and targets in two files, written in pieces."""
    shape = (n_rows, WIDTHS_OF_MAPPED[0])
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, shape)
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float32, (n_rows, 1))
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, 1 << 16):
        rows = slice(start, start + (1 << 16))
        X[rows] = rng.standard_normal(X[rows].shape, dtype=np.float32)
        y[rows] = rng.integers(0, 2, y[rows].shape)


def data_in_memory(widths: list[int], n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).standard_normal((n_rows, widths[0]), dtype=np.float32)
    return X, np.arange(n_rows) % widths[-1]


def serve(widths: list[int], n_rows: int, folder: str | None) -> None:
    """One epoch in batch mode, of data in memory or of the files in a folder."""
    import fastnn

    if folder is None:
        X, y = data_in_memory(widths, n_rows)
    else:
        X, y = (np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in "Xy")
    last = "sigmoid" if widths[-1] == 1 else "softmax"
    layers = [*(fastnn.Dense(n, "relu") for n in widths[1:-1]), fastnn.Dense(widths[-1], last)]
    loss = "binary_crossentropy" if widths[-1] == 1 else "categorical_crossentropy"
    model = fastnn.Sequential(layers, dtype="float32", seed=0)
    model.compile(loss=loss)
    model.fit(X, y, mode="batch")


if __name__ == "__main__":
    serve(*json.loads(sys.argv[1]))
