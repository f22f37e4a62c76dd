"""Hold `fastnn/_core.pyi` against every build of the core, with mypy's stubtest."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "fastnn"


def main() -> int:
    builds = sorted(path.name.split(".")[0] for path in PACKAGE.glob("_core*.so"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "fastnn")
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("kernels", "__pycache__"))
        for name in builds:
            if name != "_core":
                shutil.copyfile(PACKAGE / "_core.pyi", copy / f"{name}.pyi")
        allowed = Path(folder, "allowed")
        allowed.write_text(r"fastnn\._core.*\.__test__")  # Cython's own, always there
        config = PACKAGE.parent / "pyproject.toml"
        command = [sys.executable, "-m", "mypy.stubtest", "--allowlist", str(allowed)]
        command += ["--mypy-config-file", str(config)]
        modules = [f"fastnn.{name}" for name in builds]
        return subprocess.run([*command, *modules], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
