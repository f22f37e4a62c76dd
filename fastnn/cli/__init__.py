"""The command `fastnn`: train, predict and evaluate tables without writing Python."""

from fastnn.cli.options import main

__all__ = ["main"]
