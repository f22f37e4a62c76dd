"""The command line: its options, and what each command does."""

import argparse
import csv
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from fastnn import Dense, Normalization, Sequential, __version__, load, show_config, tables
from fastnn._validation import Array
from fastnn.history import History
from fastnn.optimizers import SGD

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
MANY_CLASSES = 100  # more different whole numbers than this are probably not labels
PRINTED_ROWS = 10_000  # predictions turned into text at a time


class Recipe(NamedTuple):
    """What a mode trains with unless told otherwise."""

    epochs: int
    learning_rate: float


# The fewer updates an epoch has, the more epochs and the larger steps it takes.
RECIPES = {
    "stochastic": Recipe(20, 0.01),
    "minibatch": Recipe(50, 0.1),
    "batch": Recipe(500, 0.3),
}


# ---- what a model knows of its table ------------------------------------------------------------


@dataclass(frozen=True)
class Schema:
    """What a table must hold for a model; saved in the model's metadata."""

    features: list[str]
    target: str
    classes: list[str]  # empty for a regression
    delimiter: str

    @property
    def outputs(self) -> tuple[Dense, str, list[str]]:
        """The output layer, the loss and the metrics for such a target."""
        if not self.classes:
            return Dense(1), "mean_squared_error", []
        if len(self.classes) == 2:
            return Dense(1, "sigmoid"), "binary_crossentropy", ["accuracy"]
        return Dense(len(self.classes), "softmax"), "categorical_crossentropy", ["accuracy"]


def _load(path: str) -> tuple[Sequential, Schema]:
    model = load(path)
    try:
        return model, Schema(**model.metadata)
    except TypeError:
        raise ValueError(
            f"{path} does not say which columns it takes, because `fastnn train` did not write it; "
            f"use it from Python: fastnn.load({path!r}).predict(X)"
        ) from None


# ---- train ------------------------------------------------------------------------------------


class Rows(NamedTuple):
    X: Array
    y: Array


@dataclass(frozen=True)
class Problem:
    """What is to be learned, from which rows.

    In a regression y is standardised, (target - centre) / scale, so that one learning rate suits
    targets of any size; the trained model gives the target itself.
    """

    schema: Schema
    training: Rows
    held_out: Rows | None
    centre: float = 0.0
    scale: float = 1.0

    def original(self, rows: Rows) -> Rows:
        """The rows with the target as it is in the table."""
        return Rows(rows.X, rows.y * self.scale + self.centre) if self.is_regression else rows

    @property
    def is_regression(self) -> bool:
        return not self.schema.classes


@dataclass(frozen=True)
class Run:
    """One training, and how it ended."""

    mode: str
    model: Sequential
    interrupted: bool
    training: dict[str, float]
    held_out: dict[str, float]

    @property
    def ranking_loss(self) -> float:
        return (self.held_out or self.training)["loss"]


def train(options: argparse.Namespace) -> int:
    """Train a model on a table; returns the exit code."""
    _check_options(options)
    problem = _problem(options)
    _describe(problem)
    front = Normalization()
    front.adapt(problem.training.X)
    runs: list[Run] = []
    for mode in RECIPES if options.mode == "all" else [options.mode]:
        runs.append(_run(mode, problem, front, options))
        if runs[-1].interrupted:
            break
    _print_table(runs)
    _save(runs, options)
    if runs[-1].interrupted:
        print("fastnn: interrupted; the weights are those reached so far", file=sys.stderr)
        return INTERRUPTED
    if options.plot:
        _plot(runs, options.plot)
    return 0
