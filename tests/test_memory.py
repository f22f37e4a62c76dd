"""Rows on disk cost no memory: a fit reads a memory map in place and needs the same for any rows.

A process of its own trains on a few mapped rows, then on a hundred times as many, while the system
lets it grow by no more than a few MiB.
"""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA of Linux")

FEW, MANY, N_FEATURES = 10_000, 1_000_000, 8
ROOM = 2 << 20  # bytes; a copy of the targets alone would take 4 MB

# RLIMIT_DATA bounds private writable memory, which a read-only map of a file is not.
PROGRAM = f"""
import resource, sys
import numpy as np
import fastnn

X, y = (np.load(name, mmap_mode="r") for name in sys.argv[1:3])
model = fastnn.Sequential([fastnn.Dense(16, "relu"), fastnn.Dense(1, "sigmoid")], seed=0)
model.compile(loss="binary_crossentropy", metrics=["accuracy", "mae", "r2_score"])


def train(n_rows):
    model.fit(X[:n_rows], y[:n_rows], mode=sys.argv[3], shuffle=False, threads=1)


train({FEW})
status = dict(line.split(":") for line in open("/proc/self/status"))
limit = (int(status["VmData"].split()[0]) << 10) + {ROOM}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
train({MANY})
"""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Paths of X and y, as float32 in files."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    np.save(folder / "X.npy", rng.standard_normal((MANY, N_FEATURES), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 2, (MANY, 1)).astype(np.float32))
    return [str(folder / "X.npy"), str(folder / "y.npy")]


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
def test_a_fit_of_mapped_rows_takes_no_memory(mapped, mode):
    command = [sys.executable, "-c", PROGRAM, *mapped, mode]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
