"""Memory, of processes of their own: rows on disk or made when needed cost none, short fits leave
none behind.

A fit reads a memory map in place, and keeps nothing of a chunk: a process trains on a few rows,
then on a hundred times as many, while the system lets it grow by no more than a few MiB.
"""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs RLIMIT_DATA and /proc of Linux"
)

FEW, MANY, N_FEATURES = 10_000, 1_000_000, 8
CHUNK = 2_000  # rows
modes = pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
ROOM = 2 << 20  # bytes; a copy of the targets alone would take 4 MB

# RLIMIT_DATA bounds private writable memory, which a read-only map of a file is not.
PROGRAM = f"""
import resource, sys
import numpy as np
import fastnn

mode, *names = sys.argv[1:]
model = fastnn.Sequential([fastnn.Dense(16, "relu"), fastnn.Dense(1, "sigmoid")], seed=0)
model.compile(loss="binary_crossentropy", metrics=["accuracy", "mae", "r2_score"])


{{definition_of_train}}


train({FEW})
status = dict(line.split(":") for line in open("/proc/self/status"))
limit = (int(status["VmData"].split()[0]) << 10) + {ROOM}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
train({MANY})
"""

MAPPED = """
X, y = (np.load(name, mmap_mode="r") for name in names)


def train(n_rows):
    model.fit(X[:n_rows], y[:n_rows], mode=mode, shuffle=False, threads=1)
"""

GENERATED = f"""
def chunks(n_rows):
    rng = np.random.default_rng(0)
    for _ in range(n_rows // {CHUNK}):
        X = rng.standard_normal(({CHUNK}, {N_FEATURES}), dtype=np.float32)
        yield X, (X[:, 0] > 0).astype(np.float32)


def train(n_rows):
    model.fit(chunks(n_rows), mode=mode, threads=1)
"""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Paths of X and y, as float32 in files."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    np.save(folder / "X.npy", rng.standard_normal((MANY, N_FEATURES), dtype=np.float32))
    np.save(folder / "y.npy", rng.integers(0, 2, (MANY, 1)).astype(np.float32))
    return [str(folder / "X.npy"), str(folder / "y.npy")]


def check(definition_of_train, *arguments):
    program = PROGRAM.format(definition_of_train=definition_of_train)
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@modes
def test_a_fit_of_mapped_rows_takes_no_memory(mapped, mode):
    check(MAPPED, mode, *mapped)


@modes
def test_a_fit_on_chunks_takes_the_memory_of_a_few(mode):
    check(GENERATED, mode)


FITS, GROWTH = 1_000, 2 << 10  # KiB of anonymous memory: what each leaves behind, if 2, shows

SHORT_FITS = f"""
import numpy as np
from fastnn import Dense, LambdaCallback, Sequential

rng = np.random.default_rng(0)
X, y = rng.standard_normal((40, 30)), rng.standard_normal((40, 1))
model = Sequential([Dense(32, "relu"), Dense(1)], seed=0)
model.compile("Adam", "mse", ["mae", "r2_score"])
n_calls = 0


def count(batch, logs):
    global n_calls
    n_calls += 1


def train(n_fits):
    for number in range(n_fits):
        callback = LambdaCallback(on_train_batch_end=count, on_epoch_end=count)
        size = 32 if number % 2 else 1
        options = {{"epochs": 2, "validation_data": (X[:20], y[:20]), "callbacks": [callback]}}
        history = model.fit(X, y, batch_size=size, **options)
        assert len(history.history["val_mae"]) == 2


def anonymous():
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0])


train(100)
before = anonymous()
train({FITS})
assert n_calls
print(anonymous() - before)
"""


def test_a_thousand_short_fits_leave_no_memory_behind():
    done = subprocess.run([sys.executable, "-c", SHORT_FITS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= GROWTH
