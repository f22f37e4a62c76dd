"""Hold `fastnn/_core.pyi` against every build of the core that runs here, with mypy's stubtest."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fastnn._core import isa_level

PACKAGE = Path(__file__).parents[1] / "fastnn"


def runs_here(build: str) -> bool:
    """Whether this CPU has the instructions: stubtest imports what it checks."""
    found = re.search("_v([34])_", build)
    return found is None or int(found[1]) <= isa_level()


def main() -> int:
    builds = sorted(path.name.split(".")[0] for path in PACKAGE.glob("_core*.so"))
    builds = [name for name in builds if runs_here(name)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "fastnn")
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for name in builds:
            if name != "_core":
                shutil.copyfile(PACKAGE / "_core.pyi", copy / f"{name}.pyi")
        allowed = Path(folder, "allowed")
        # Cython's own, always there: for doctests, and to refuse pickles.
        allowed.write_text(r"fastnn\._core.*\.(__test__|__(reduce|setstate)_cython__)")
        config = PACKAGE.parent / "pyproject.toml"
        command = [sys.executable, "-m", "mypy.stubtest", "--allowlist", str(allowed)]
        command += ["--mypy-config-file", str(config)]
        modules = [f"fastnn.{name}" for name in builds]
        return subprocess.run([*command, *modules], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
