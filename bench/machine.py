"""The machine a benchmark runs on: one thread for everybody, and what the header of a run says.

Nothing here imports NumPy before ``use_one_thread`` had its chance: its threads start at import.
"""

import os
import platform
import sys
from pathlib import Path

ENVIRONMENT = dict(os.environ)  # as it was found
CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

LIBRARIES = "OMP OPENBLAS MKL BLIS VECLIB_MAXIMUM NUMEXPR NUMBA FASTNN".split()
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES} | {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


def use_one_thread() -> None:
    """To be called before any other library is imported: they read these variables only then."""
    os.environ.update(ONE_THREAD)
    # XLA has no switch for all of its thread pools: with one CPU to run on, nobody has a helper.
    use_cpus(CPUS[-1:])


def use_cpus(cpus: list[int]) -> None:
    if cpus:
        os.sched_setaffinity(0, cpus)


def cpu_model() -> str:
    """The processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cache_bytes() -> list[int]:
    """Sizes of the data caches, smallest first; those of a common machine if it does not tell."""
    units = {"K": 1 << 10, "M": 1 << 20}
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        size = (index / "size").read_text().strip()
        if (index / "type").read_text().strip() != "Instruction":
            found.append(int(size[:-1]) * units[size[-1]])
    return found if len(found) == 3 else [32 << 10, 1 << 20, 32 << 20]


def description() -> list[str]:
    """The command, the machine and what runs on it."""
    import numpy as np

    import fastnn

    config = fastnn.show_config("dicts")
    caches = ", ".join(
        f"L{k} {size / (1 << 10):,.0f} KiB" for k, size in enumerate(cache_bytes(), 1)
    )
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.stem
    return [
        " ".join([name, *sys.argv[1:]]),
        f"{cpu_model()}, {len(CPUS) or os.cpu_count()} CPUs, {caches}",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, fastnn {fastnn.__version__} "
        f"({config['SIMD']['in use']}, {config['Compiler']['core']})",
    ]
