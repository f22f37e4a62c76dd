"""Builds the extension modules: one source, `fastnn/_core.pyx`, compiled once for each
instruction set and number type. Everything else about the package is in pyproject.toml.

FASTNN_CHECKS=1 builds with Cython's checks of bounds, of uninitialised views and of division on.
CFLAGS and LDFLAGS are honoured: an -O or -g there takes the place of ours.
"""

import os
import sysconfig
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CHECKS = os.environ.get("FASTNN_CHECKS", "0") not in ("", "0")
CFLAGS = os.environ.get("CFLAGS", "")
DEBUG = any(flag in CFLAGS for flag in ("-g", "-fsanitize"))
GENERATED = Path("build", "checked" if CHECKS else "debug" if DEBUG else "plain")
PLATFORM = sysconfig.get_platform()  # of this Python, such as linux-x86_64 or macosx-universal2

# Never -ffast-math: it breaks the NaN checks. Debug information would be nine tenths of the wheel.
# -Wno-psabi: vectors are handed over between inlined functions only.
FLAGS = ["-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
FLAGS += [] if "-O" in CFLAGS else ["-O3"]
FLAGS += [] if DEBUG else ["-g0"]
LINK_FLAGS = ["-Wl,-s"] if PLATFORM.startswith("linux") and not DEBUG else []
ISA_FLAGS = {"base": []}
if PLATFORM.endswith(("x86_64", "amd64")) and "arm64" not in os.environ.get("ARCHFLAGS", ""):
    ISA_FLAGS |= {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}
DTYPE_FLAGS = {"float32": [], "float64": ["-DFASTNN_DOUBLE"]}

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKS,
    "wraparound": False,
    "initializedcheck": CHECKS,
    "cdivision": not CHECKS,
    "freethreading_compatible": True,
}


def settings_changed() -> bool:
    """Whether flags, directives or Cython differ from the last build: then all is built anew."""
    stamp = GENERATED / "settings"
    names = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "ARCHFLAGS")
    now = repr((FLAGS, LINK_FLAGS, ISA_FLAGS, DTYPE_FLAGS, DIRECTIVES, Cython.__version__))
    now += repr([(name, os.environ.get(name)) for name in names])
    if stamp.exists() and stamp.read_text() == now:
        return False
    GENERATED.mkdir(parents=True, exist_ok=True)
    stamp.write_text(now)
    return True


FORCE = settings_changed()


def module_name(isa: str, dtype: str) -> str:
    """`_core` itself is the baseline for float32; `fastnn/_backend.py` knows the names too."""
    return "_core" if (isa, dtype) == ("base", "float32") else f"_core_{isa}_{dtype}"


def source_of(name: str) -> str:
    """Copy the one source to the module's name; untouched if nothing changed, so make can tell."""
    original = Path("fastnn", "_core.pyx")
    if name == "_core":
        return str(original)
    copy = GENERATED / "fastnn" / f"{name}.pyx"
    copy.parent.mkdir(parents=True, exist_ok=True)
    if not copy.exists() or copy.read_bytes() != original.read_bytes():
        copy.write_bytes(original.read_bytes())
    return str(copy)


def extension(isa: str, dtype: str) -> Extension:
    name = module_name(isa, dtype)
    return Extension(
        f"fastnn.{name}",
        [source_of(name)],
        include_dirs=["fastnn/kernels"],
        depends=["fastnn/kernels/simd.h", "fastnn/kernels/team.h"],
        extra_compile_args=FLAGS + ISA_FLAGS[isa] + DTYPE_FLAGS[dtype],
        extra_link_args=LINK_FLAGS,
    )


class ParallelBuild(build_ext):
    """Compiles the builds side by side, as many at a time as there are CPUs."""

    def finalize_options(self):
        super().finalize_options()
        self.force = self.force or FORCE
        if self.parallel is None:
            self.parallel = os.cpu_count()


setup(
    cmdclass={"build_ext": ParallelBuild},
    ext_modules=cythonize(
        [extension(isa, dtype) for isa in ISA_FLAGS for dtype in DTYPE_FLAGS],
        include_path=["."],
        build_dir=str(GENERATED / "c"),
        compiler_directives=DIRECTIVES,
        force=FORCE,
    ),
)
