"""Install with pip what pyproject.toml requires, without building fastnn itself.

``python tools/install_requirements.py`` brings what building and importing need, and
``python tools/install_requirements.py test docs`` what those extras need.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

PYPROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]


def of_extra(extra: str) -> list[str]:
    """The requirements of one extra; an extra may name others, as ``fastnn-cpu[cli,plot]``."""
    found = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{PROJECT['name']}\[(.*)\]", requirement)
        found += required_by(own[1].split(",")) if own else [requirement]
    return found


def required_by(extras: list[str]) -> list[str]:
    """The requirements of several extras, each named once."""
    return list(dict.fromkeys(each for extra in extras for each in of_extra(extra.strip())))


if __name__ == "__main__":
    to_build = PYPROJECT["build-system"]["requires"] + PROJECT["dependencies"]
    requirements = required_by(sys.argv[1:]) or to_build
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    sys.exit(subprocess.run([*pip, *requirements], check=False).returncode)
