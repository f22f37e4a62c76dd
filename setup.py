"""Builds the extension modules: one source, `fastnn/_core.pyx`, compiled once for each
instruction set and number type. Everything else about the package is in pyproject.toml.

FASTNN_CHECKS=1 builds with every Cython check on. CFLAGS and LDFLAGS are honoured.
"""

import os
import platform
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CHECKS = os.environ.get("FASTNN_CHECKS", "0") not in ("", "0")
GENERATED = Path("build", "checked" if CHECKS else "plain")

# Never -ffast-math: it breaks the NaN checks. Debug information would be nine tenths of the wheel.
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-g0"]
ISA_FLAGS = {"base": []}
if platform.machine().lower() in ("x86_64", "amd64"):
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
        depends=["fastnn/kernels/simd.h"],
        extra_compile_args=FLAGS + ISA_FLAGS[isa] + DTYPE_FLAGS[dtype],
        extra_link_args=["-Wl,-s"] if platform.system() == "Linux" else [],
    )


class ParallelBuild(build_ext):
    """Compiles the builds side by side, as many at a time as there are CPUs."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()


setup(
    cmdclass={"build_ext": ParallelBuild},
    ext_modules=cythonize(
        [extension(isa, dtype) for isa in ISA_FLAGS for dtype in DTYPE_FLAGS],
        include_path=["."],
        build_dir=str(GENERATED / "c"),
        compiler_directives=DIRECTIVES,
    ),
)
