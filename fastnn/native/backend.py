"""Which build of the core runs: one for each number type and instruction set, chosen at import."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import sysconfig
from functools import cache
from types import ModuleType
from typing import Any, Literal, get_args, overload

import numpy as np

from fastnn._version import __version__, module_name, name_conflict
from fastnn.native.threads import available_cpus, limits

try:
    from fastnn import _core
except ImportError as error:
    raise ImportError(
        f"fastnn's compiled core cannot be loaded ({error}). In the source folder, Python finds "
        f"the sources before an installed fastnn: work in another folder, or build in this one "
        f'with "pip install -e ." or "make test".'
    ) from None

ISA_LEVELS = {"base": 1, "v3": 3, "v4": 4}  # x86-64 levels; other CPUs have the base build alone
DType = Literal["float32", "float64"]
DTYPES: tuple[DType, ...] = get_args(DType)
FOR_X86 = sysconfig.get_platform().endswith(("x86_64", "amd64"))  # as in setup.py


def _missing(isa: str) -> list[str]:
    names = [f"fastnn.{module_name(isa, dtype)}" for dtype in DTYPES]
    return [name for name in names if importlib.util.find_spec(name) is None]


@cache
def builds_present() -> tuple[str, ...]:
    """The instruction sets that this installation was built for, slowest first."""
    return tuple(isa for isa in ISA_LEVELS if not _missing(isa))


def modules_present() -> list[str]:
    """Every build of the core, for PyInstaller, which cannot read computed names."""
    return [f"fastnn.{module_name(isa, dtype)}" for isa in builds_present() for dtype in DTYPES]


def _runnable_builds() -> list[str]:
    level = _core.isa_level()
    return [isa for isa in builds_present() if ISA_LEVELS[isa] <= level]


def _choose_isa() -> str:
    """The best build that this CPU can run, or the one that FASTNN_ISA asks for."""
    runnable = _runnable_builds()
    wanted = os.environ.get("FASTNN_ISA", "")
    if wanted in runnable:
        return wanted
    _refuse_missing_builds()
    if wanted:
        raise ImportError(
            f"FASTNN_ISA={wanted!r} cannot be used here: this CPU runs the builds "
            f"{', '.join(runnable)}. Unset FASTNN_ISA, or set FASTNN_ISA={runnable[-1]}."
        )
    return runnable[-1]


def _refuse_missing_builds() -> None:
    """Raise if a build is missing that this CPU could run: a slower one would run in silence."""
    level = _core.isa_level() if FOR_X86 else 1
    isas = [isa for isa in ISA_LEVELS if ISA_LEVELS[isa] <= level]
    missing = [name for isa in isas for name in _missing(isa)]
    if missing:
        raise ImportError(
            f"this copy of fastnn lacks builds of its core that this CPU can run: "
            f"{', '.join(missing)}. In a frozen program, add them as hidden imports (PyInstaller "
            f"finds them by itself where fastnn is installed by pip); elsewhere install it again."
        )


ISA = _choose_isa()


@cache
def core(dtype: str) -> ModuleType:
    """The core for `dtype` ("float32" or "float64"). All builds offer what `_core.pyi` lists."""
    return importlib.import_module(f"fastnn.{module_name(ISA, dtype)}")


def _configuration() -> dict[str, Any]:
    compiler, vector_bytes, _ = core("float32").build_info()
    threads = limits()
    lowest = min(threads, key=threads.__getitem__)
    conflict = name_conflict(sys.path)
    return {
        "fastnn": {"version": __version__} | ({"conflict": conflict} if conflict else {}),
        "Compiler": {"core": compiler},
        "SIMD": {"builds": list(builds_present()), "in use": ISA, "vector bytes": vector_bytes},
        "Threads": {
            "in use": threads[lowest],
            "limited by": lowest,
            "usable CPUs": available_cpus(),
        },
        "Python": {"version": platform.python_version(), "numpy": np.__version__},
        "Machine": {"cpu": platform.machine(), "system": sys.platform},
    }


@overload
def show_config(mode: Literal["stdout"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show how fastnn was built and what it uses on this machine.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print the configuration, or return it as a dictionary of dictionaries.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastnn
    >>> sorted(fastnn.show_config("dicts")["SIMD"])
    ['builds', 'in use', 'vector bytes']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode={mode!r}: expected 'stdout' or 'dicts', e.g. show_config('dicts')")
    configuration = _configuration()
    if mode == "dicts":
        return configuration
    for section, entries in configuration.items():
        print(f"{section}:")
        for key, value in entries.items():
            print(f"  {key}: {', '.join(value) if isinstance(value, list) else value}")
    return None
