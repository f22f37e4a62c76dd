"""Fits in a storm of signals whose handlers raise: `python tests/native/storm.py FITS SEED`.

Signals come from a timer and from another process, several at once, at random moments. After each
fit no thread may be left, and the model must be one to train on with. `test_threads.py` runs a few.
"""

import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np

from fastnn import SGD, Dense, Sequential
from fastnn.native import threads as _threads

SIGNALS = [signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT]
SENDER = """
import os, random, sys, time
rng, parent, *signals = random.Random(int(sys.argv[1])), *map(int, sys.argv[2:])
while os.getppid() == parent:
    time.sleep(rng.expovariate(1500))
    for number in rng.sample(signals, rng.randint(1, len(signals))):
        os.kill(parent, number)
"""


class Struck(Exception):
    pass


class Storm:
    """The number of strikes left; a fit that takes none more is over."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.left = 0
        for number in SIGNALS:
            signal.signal(number, self.strike)
        words = [seed, os.getpid(), *map(int, SIGNALS)]
        self.sender = subprocess.Popen([sys.executable, "-c", SENDER, *map(str, words)])

    def strike(self, number, frame):
        if self.left > 0:
            self.left -= 1
            raise Struck

    def hits(self, call):
        """Whether a strike ends the call."""
        delay, interval = self.rng.uniform(1e-6, 6e-3), self.rng.choice([0, 1e-5, 5e-5, 2e-4])
        try:
            try:
                self.left = self.rng.choice([1, 2, 3, 5, 20])
                signal.setitimer(signal.ITIMER_REAL, delay, interval)
                call()
            finally:
                self.left = 0
        except Struck:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False


def main(n_fits, seed):
    _threads.STEP_WORK = 1e-9
    _threads.system_limits = lambda: {"CPUs": 3}
    X = np.random.default_rng(0).normal(size=(256, 12)).astype("f")
    y, n_struck, storm = X[:, 0] > 0, 0, Storm(seed)
    for i in range(n_fits):
        model = Sequential([Dense(20, "tanh"), Dense(1, "sigmoid")], seed=i)
        model.compile(SGD(0.1), "binary_crossentropy")
        options = {"epochs": 3, "batch_size": 64, "threads": 2 + i % 2}
        n_struck += storm.hits(lambda: model.fit(X, y, **options))  # noqa: B023
        assert threading.active_count() == 1, threading.enumerate()
        assert not model.built or all(np.isfinite(array).all() for array in model.get_weights())
        assert np.isfinite(model.fit(X, y, threads=2).history["loss"]).all()
    storm.sender.kill()
    storm.sender.wait()
    assert n_struck > n_fits / 4, n_struck
    print(n_fits)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
