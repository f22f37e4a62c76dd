"""A team of threads: the caller and helpers, which call functions of the core together.

The helpers are Python threads. They live as long as the call that needs them, so nothing is
left behind: no pool to clash with other libraries, nothing to break in a forked process.
"""

import os
import threading
from _thread import start_new_thread
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn._core import TEAM_ABORTED as ABORTED
from fastnn._core import TEAM_PLACES as PLACES
from fastnn._core import close_team, opens

PATIENCE = 1000  # milliseconds in which a thread must begin, and end once it has been dismissed

Words = npt.NDArray[np.intc]
Job = Callable[[], object]


class Helper(NamedTuple):
    """What a helper and its caller have in common; each lock is closed at first."""

    jobs: "SimpleQueue[Job | None]"  # None is the last one
    begun: Lock  # opened by the helper when it begins,
    ended: Lock  # and when it ends
    words: Words  # the team's
    failures: list[BaseException]  # the team's


class Team:
    """The calling thread, member 0, and size - 1 helpers while the team is open.

    A team of one has no helpers and needs no opening. An exception may strike anywhere, from a
    signal too: whatever happens after a helper has been started, `close` follows, which is compiled
    and calls `_dismiss` until it has been carried out.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._helpers: list[Helper] = []

    def __enter__(self) -> "Team":
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    close = __exit__ = close_team

    def _open(self) -> None:
        """Start the helpers; where the system has no more threads, fewer of them."""
        if self.size == 1:
            return
        self._words: Words = np.zeros(PLACES + self.size, np.intc)
        self._process = os.getpid()
        self._failures: list[BaseException] = []
        for number in range(1, self.size):
            helper = Helper(SimpleQueue(), _closed(), _closed(), self._words, self._failures)
            self._helpers.append(helper)  # first, so that `_dismiss` knows of it
            try:
                start_new_thread(_help, (helper, f"fastnn helper {number}"))
            except (RuntimeError, MemoryError):
                self._helpers.pop()
                break
        if not all(opens(helper.begun, PATIENCE) for helper in self._helpers):
            self.close()  # one has died before it could begin, so nobody may wait for it
        self.size = 1 + len(self._helpers)

    def run(self, function: Callable[..., float], *arguments: object) -> float:
        """What a function of the core returns, with the work shared by the members."""
        if not self._helpers or os.getpid() != self._process or self._words[ABORTED]:
            return function(*arguments)  # in a forked process the helpers do not exist
        try:
            for number, helper in enumerate(self._helpers, 1):
                helper.jobs.put(partial(function, *arguments, number, self.size, self._words))
            result = function(*arguments, 0, self.size, self._words)
        except BaseException:
            self._abort()
            raise
        if self._words[ABORTED]:  # by a helper that could not go on
            raise self._failures[0] if self._failures else MemoryError
        return result

    def _abort(self) -> None:
        """Let nobody wait any longer for one who will not come."""
        self._words[ABORTED] = 1

    def _dismiss(self) -> None:
        """End the helpers and wait until they are gone; where that was interrupted, go on."""
        if not self._helpers or os.getpid() != self._process:
            return
        self._abort()  # an interrupt may have kept the caller from a run that the helpers wait in
        for helper in self._helpers:
            helper.jobs.put(None)
        for helper in self._helpers:
            opens(helper.ended, PATIENCE)
        self._helpers = []


# A helper is started without `threading.Thread`, whose `start` waits for ever if the new thread has
# no memory for its first call, and may leave a lock closed if an exception strikes it. Only plain
# locks are waited for here, and none of them for ever.


def _help(helper: Helper, name: str) -> None:
    """A helper's life."""
    try:
        threading.current_thread().name = name  # lists it, as a daemon
        helper.begun.release()
        while (job := helper.jobs.get()) is not None:
            job()
            del job  # and with it the run's arrays
    except BaseException as error:
        helper.failures.append(error)
    finally:
        helper.words[ABORTED] = 1  # nobody is to wait for one who is gone
        getattr(threading, "_active", {}).pop(threading.get_ident(), None)  # Python 3.12 would not
        helper.ended.release()


def _closed() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


ALONE = Team(1)
