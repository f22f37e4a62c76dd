"""A team of threads: the caller and helpers, which run the doors of the core together.

The helpers are plain Python threads. They live as long as the call that needs them, so nothing is
left behind: no pool to clash with other libraries, nothing to break in a forked process.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

import numpy as np

ABORTED, PLACES = 32, 48  # in the words of a team; see kernels/team.h

Job = Callable[[], object]


class Team:
    """The calling thread, member 0, and size - 1 helpers while the team is open.

    A team of one has no helpers and needs no opening.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._helpers: list[tuple[Thread, SimpleQueue[Job | None]]] = []

    def __enter__(self) -> "Team":
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        """Start the helpers; where the system has no more threads, fewer of them."""
        if self.size == 1:
            return
        self._words = np.zeros(PLACES + self.size, np.intc)
        self._process = os.getpid()
        self._failures: list[BaseException] = []
        for number in range(1, self.size):
            jobs: SimpleQueue[Job | None] = SimpleQueue()
            thread = Thread(
                target=self._help, args=(jobs,), name=f"fastnn helper {number}", daemon=True
            )
            self._helpers.append((thread, jobs))  # first, so that `close` knows of it
            try:
                thread.start()
            except RuntimeError:
                self._helpers.pop()
                break
        self.size = 1 + len(self._helpers)

    def run(self, door: Callable[..., float], *arguments: object) -> float:
        """What a door of the core returns, with the work shared by the members."""
        if not self._helpers or os.getpid() != self._process:
            return door(*arguments)  # in a forked process the helpers do not exist
        for number, (_, jobs) in enumerate(self._helpers, 1):
            jobs.put(partial(door, *arguments, number, self.size, self._words))
        result = door(*arguments, 0, self.size, self._words)
        if self._failures:
            raise self._failures[0]
        return result

    def _help(self, jobs: "SimpleQueue[Job | None]") -> None:
        """A helper's life."""
        while (job := jobs.get()) is not None:
            try:
                job()
            except BaseException as error:
                self._failures.append(error)
                self._abort()
            del job  # and with it the run's arrays

    def _abort(self) -> None:
        """Let nobody wait any longer for one who will not come."""
        self._words[ABORTED] = 1

    def close(self) -> None:
        """End the helpers and wait until they are gone, though an interrupt comes in between."""
        try:
            self._dismiss()
        except BaseException:
            self._dismiss()
            raise

    def _dismiss(self) -> None:
        if not self._helpers or os.getpid() != self._process:
            return
        self._abort()  # an interrupt may have kept the caller from a run that the helpers wait in
        for _, jobs in self._helpers:
            jobs.put(None)
        for thread, _ in self._helpers:
            _wait_for_end(thread)
        self._helpers = []


def _wait_for_end(thread: Thread) -> None:
    """Join a thread, also one that an interrupt hit in `start`: it may begin yet, or never."""
    for _ in range(1000):
        with suppress(RuntimeError):  # it cannot be joined before it has begun
            return thread.join()
        if thread not in threading.enumerate():
            return None
        time.sleep(0.001)
    return None


ALONE = Team(1)
