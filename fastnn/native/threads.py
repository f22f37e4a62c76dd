"""How many threads: what this process may use, what the user asks for, and what the work is worth.

The number never shows in the bits of a result.
"""

import math
import os
import sys
from functools import cache
from pathlib import Path

# Floating-point operations that a thread must have between two barriers, so that it earns what
# waiting costs; see "Threads" in docs/design/core.md.
STEP_WORK = 3.5e6

# Variables that other libraries read, and that joblib and batch systems set for their workers.
SHARED_VARIABLES = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
OWN_VARIABLE = "FASTNN_NUM_THREADS"


def thread_count(threads: int | None, step_work: float) -> int:
    """How many threads to run on: at most `threads`, or None for the default, and the CPUs.

    `step_work` is what the threads share between two barriers, in floating-point operations.
    """
    worth = int(step_work / STEP_WORK)
    if worth <= 1 or threads == 1:
        return 1
    wanted = default_threads() if threads is None else min(threads, available_cpus())
    return min(wanted, worth)


def default_threads() -> int:
    """How many threads to use at most if nobody says."""
    return min(limits().values())


def available_cpus() -> int:
    """How many CPUs the operating system gives to this process."""
    return min(system_limits().values())


def limits() -> dict[str, int]:
    """What limits the threads if nobody says, by name."""
    found = system_limits()
    own = _own_limit()
    if own is not None:
        return found | {OWN_VARIABLE: own}
    for name in SHARED_VARIABLES:
        number = _first_number(os.environ.get(name, ""))
        if number is not None:
            found[name] = number
    return found


def system_limits() -> dict[str, int]:
    """What the operating system allows, by name."""
    if hasattr(os, "sched_getaffinity"):
        found = {"affinity": len(os.sched_getaffinity(0))}
    else:
        found = {"CPUs": os.cpu_count() or 1}
    quota = cgroup_cpus()
    return found if quota is None else found | {"cgroup": quota}


def _own_limit() -> int | None:
    """What FASTNN_NUM_THREADS says; it takes the place of the variables of other libraries."""
    text = os.environ.get(OWN_VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(
            f"{OWN_VARIABLE}={text!r}: expected a whole number of at least 1; "
            f"unset it, or set {OWN_VARIABLE}=1"
        )
    return int(text)


def _first_number(text: str) -> int | None:
    """The first number of a variable such as OMP_NUM_THREADS=4,2; None if that is not a count."""
    first = text.split(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() and int(first) > 0 else None


# ---- the quota of a container -------------------------------------------------------------------


@cache
def cgroup_cpus(root: Path = Path("/")) -> int | None:
    """The whole CPUs in the quota of this process's control group; None if there is no quota.

    A part of a CPU is left over: a thread that is stopped in the middle of a step, because the
    quota is used up, would stop the others at the next barrier.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    quotas = [quota for line in lines for quota in _quotas(root / "sys/fs/cgroup", line)]
    return max(1, math.floor(min(quotas))) if quotas else None


def _quotas(mount: Path, line: str) -> list[float]:
    """The quotas that a line of /proc/self/cgroup leads to, in CPUs: of the group and all above."""
    _, controllers, path = line.split(":", 2)
    if not controllers:  # version 2
        read = _quota_v2
    elif "cpu" in controllers.split(","):
        mount, read = mount / "cpu", _quota_v1
    else:
        return []
    group = mount / path.strip("/")
    groups = [group, *group.parents]
    found = [read(folder) for folder in groups if folder == mount or mount in folder.parents]
    return [quota for quota in found if quota is not None]


def _quota_v2(group: Path) -> float | None:
    return _ratio(_words(group / "cpu.max"))


def _quota_v1(group: Path) -> float | None:
    return _ratio([*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _ratio(words: list[str]) -> float | None:
    """Quota over period; None for "max", -1 (no quota) and whatever else is not two numbers."""
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    quota, period = map(int, words)
    return quota / period if quota and period else None


_own_limit()  # a wrong value is reported at import, not by the first call that is large enough
