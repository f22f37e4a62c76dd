"""Tells PyInstaller, by an entry point in pyproject.toml, where the hook for fastnn lies."""

from pathlib import Path


def hook_dirs() -> list[str]:
    """The folder of `hook-fastnn.py`."""
    return [str(Path(__file__).parent)]
