"""C for the benchmarks, compiled while they run, by the installed compiler, to a temporary folder.

fastnn is built with setup.py's flags, so what is compared with it gets the same or better ones.
"""

import os
import shlex
import subprocess
import sysconfig
from ctypes import CDLL
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from fastnn.native.backend import ISA

SOURCES = Path(__file__).parent
KERNELS = SOURCES.parent.parent / "fastnn" / "kernels"
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math")  # setup.py's
ISA_FLAGS = {"base": (), "v3": ("-march=x86-64-v3",), "v4": ("-march=x86-64-v4",)}
DTYPE_FLAGS = {"float32": (), "float64": ("-DFASTNN_DOUBLE",)}
_FOLDER = TemporaryDirectory(prefix="fastnn-bench-")


class CompilerMissing(Exception):
    """There is no C compiler, or it cannot compile the source."""


def build_flags(dtype: str) -> tuple[str, ...]:
    """The flags of the build of the core that is in use."""
    return (*FLAGS, *ISA_FLAGS[ISA], *DTYPE_FLAGS[dtype])


@cache
def compiled(name: str, flags: tuple[str, ...]) -> CDLL:
    """The functions of ``name``.h; CompilerMissing says why there are none.

    Linked by a command of its own: one that knew of -ffast-math would make the whole process, other
    peers included, take subnormals for zero.
    """
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    command = shlex.split(compiler)
    library = Path(_FOLDER.name, f"{name}{abs(hash(flags))}.so")
    made = str(library.with_suffix(".o"))
    source = ["-x", "c", str(SOURCES / f"{name}.h"), f"-I{KERNELS}"]
    compile_it = [*command, *flags, "-fPIC", "-c", *source, "-o", made]
    link_it = [*command, "-shared", made, "-o", str(library), "-lm"]
    try:
        for step in (compile_it, link_it):
            subprocess.run(step, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CompilerMissing(
            f"no C compiler: {command[0]!r} was not found. Install gcc or set CC"
        ) from None
    except subprocess.CalledProcessError as error:
        raise CompilerMissing(f"{compiler} cannot compile {name}.h: {error.stderr}") from None
    return CDLL(str(library))
