"""Builds the extension modules: one source, `fastnn/_core.pyx`, compiled once for each
instruction set and number type. Everything else about the package is in pyproject.toml.

FASTNN_CHECKS=1 builds with Cython's checks of bounds, of uninitialised views and of division on.
CFLAGS and LDFLAGS are honoured: an -O or -g there takes the place of ours.
"""

import itertools
import os
import runpy
import site
import sys
import sysconfig
import time
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

SHARED = runpy.run_path("fastnn/_version.py")  # what the package knows, too
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
ISA_NAMES = {"base": "baseline", "v3": "AVX2", "v4": "AVX-512"}
# The longest compilation starts first, so that no CPU waits for it at the end.
LONGEST_FIRST = list(itertools.product(reversed(ISA_FLAGS), reversed(DTYPE_FLAGS)))

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKS,
    "wraparound": False,
    "initializedcheck": CHECKS,
    "cdivision": not CHECKS,
    "freethreading_compatible": True,
}


def settings() -> str:
    """All that the C code and the compiled modules depend on besides the sources."""
    names = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "ARCHFLAGS")
    environment = [(name, os.environ.get(name)) for name in names]
    return repr(
        (FLAGS, LINK_FLAGS, ISA_FLAGS, DTYPE_FLAGS, DIRECTIVES, Cython.__version__, environment)
    )


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
    name = SHARED["module_name"](isa, dtype)
    made = Extension(
        f"fastnn.{name}",
        [source_of(name)],
        include_dirs=["fastnn/native/simd"],
        depends=["fastnn/native/simd/simd.h", "fastnn/native/simd/team.h"],
        extra_compile_args=FLAGS + ISA_FLAGS[isa] + DTYPE_FLAGS[dtype],
        extra_link_args=LINK_FLAGS,
    )
    made.title = f"{ISA_NAMES[isa]} {dtype}"
    return made


class ParallelBuild(build_ext):
    """Translates the core and compiles its builds, as many at a time as there are CPUs."""

    def finalize_options(self):
        super().finalize_options()
        if self.inplace:  # pip's folder for an editable install is a new one each time
            self.build_lib = str(GENERATED / "lib")
            self.build_temp = str(GENERATED / "temp")
        if self.parallel is None:
            affinity = getattr(os, "sched_getaffinity", None)
            self.parallel = len(affinity(0)) if affinity else os.cpu_count()

    def build_extensions(self):
        self.translate()
        self.total = sum(map(self.is_out_of_date, self.extensions))
        self.finished = itertools.count(1)
        if self.total:
            warn_of_name_conflict()
            say(
                f"Compiling {self.total} builds of the core, one for each instruction set and "
                f"number type; import takes the one that suits the CPU."
            )
        super().build_extensions()

    def translate(self):
        """Cython's C, newer than every compiled module if the settings have changed."""
        stamp = GENERATED / "settings"
        changed = not stamp.exists() or stamp.read_text() != settings()
        if changed:
            say("Translating the core from Cython to C.")
        translated = cythonize(
            self.extensions,
            include_path=["."],
            build_dir=str(GENERATED / "c"),
            compiler_directives=DIRECTIVES,
            force=self.force or changed,
            quiet=True,
        )
        for ext, c in zip(self.extensions, translated, strict=True):
            ext.sources, ext.depends = c.sources, c.depends
        stamp.write_text(settings())

    def is_out_of_date(self, ext):
        path = self.get_ext_fullpath(ext.name)
        return self.force or newer_group([*ext.sources, *ext.depends], path, "newer")

    def build_extension(self, ext):
        out_of_date, begin = self.is_out_of_date(ext), time.monotonic()
        super().build_extension(ext)
        if out_of_date:
            seconds = time.monotonic() - begin
            say(f"[{next(self.finished)}/{self.total}] {ext.title} {seconds:.0f} s")


def say(line: str) -> None:
    print(line, flush=True)


def warn_of_name_conflict() -> None:
    """Another project's distribution `fastnn` in this environment, seen from pip's own one too."""
    path = [*sys.path, sysconfig.get_path("purelib"), site.getusersitepackages()]
    conflict = SHARED["name_conflict"](path)
    if conflict:
        say(f"Warning: {conflict}.")


setup(
    cmdclass={"build_ext": ParallelBuild},
    ext_modules=[extension(isa, dtype) for isa, dtype in LONGEST_FIRST],
)
