"""The commands: train a model on a table, predict with it, evaluate it."""

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from fastnn import SGD, Dense, Normalization, Sequential, load, show_config, tables
from fastnn._validation import Array
from fastnn.losses import LossName
from fastnn.metrics import MetricName

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
MANY_LABELS = 100  # more different whole numbers than this are probably no labels
PICTURES = (".png", ".svg", ".pdf")
PRINTED_ROWS = 10_000  # predictions turned into text at a time


class Recipe(NamedTuple):
    """What a mode trains with unless told otherwise."""

    epochs: int
    learning_rate: float


# The fewer updates an epoch has, the more epochs and the larger steps it takes.
RECIPES = {
    "stochastic": Recipe(20, 0.01),
    "minibatch": Recipe(50, 0.1),
    "batch": Recipe(500, 0.2),
}


@dataclass(frozen=True)
class Schema:
    """What a table must hold for a model; kept in the model's metadata."""

    features: list[str]
    target: str
    task: str
    classes: list[str]  # none in a regression
    delimiter: str

    def output(self) -> tuple[Dense, LossName, list[MetricName]]:
        """The output layer, the loss and the metrics for such a target."""
        if self.task == "regression":
            return Dense(1), "mean_squared_error", []
        if len(self.classes) == 2:
            return Dense(1, "sigmoid"), "binary_crossentropy", ["accuracy"]
        return Dense(len(self.classes), "softmax"), "categorical_crossentropy", ["accuracy"]


# ---- train: from the table to the problem -------------------------------------------------------


class Rows(NamedTuple):
    """Some rows of the table: X (n_rows, n_features), y (n_rows,)."""

    X: Array
    y: Array


class Problem(NamedTuple):
    """What is to be learned, and from which rows.

    In a regression y is (target - centre) / scale, so that one learning rate suits targets of any
    size; `_undo_scale` gives the model the target's own units back.
    """

    schema: Schema
    training: Rows
    held_out: Rows  # of no rows if none are
    centre: float
    scale: float


def _problem(options: argparse.Namespace) -> Problem:
    table = tables.read(
        options.table, target=options.target, delimiter=options.delimiter, dtype=options.dtype
    )
    task, classes = _task(table, options.task)
    schema = Schema(table.features, options.target, task, classes, options.delimiter)
    y = _target(table, schema, options.dtype)
    border = _hold_out(options.validation, options.seed, table.X, y)
    centre, scale = (0.0, 1.0) if classes else (float(y[:border].mean()), float(y[:border].std()))
    scale = scale or 1.0  # all targets are equal
    y = y if classes else (y - centre) / scale
    training, held_out = Rows(table.X[:border], y[:border]), Rows(table.X[border:], y[border:])
    return Problem(schema, training, held_out, centre, scale)


def _target(table: tables.Table, schema: Schema, dtype: str) -> Array:
    """y as the loss takes it: numbers, or the positions of the labels in `schema.classes`."""
    if schema.task == "regression":
        return tables.target_numbers(table, dtype)
    return tables.label_numbers(table, schema.classes)


def _task(table: tables.Table, asked: str | None) -> tuple[str, list[str]]:
    """The task that is asked for, or else the one that the target suggests; and the labels."""
    if asked == "regression":
        return asked, []
    labels = tables.labels(table)
    whole = all(map(tables.INTEGER.fullmatch, labels))
    if asked is None and all(map(tables.NUMBER.fullmatch, labels)):
        if not whole or len(labels) > MANY_LABELS:
            raise ValueError(
                f"the target {table.target_name!r} holds {'' if whole else 'decimal '}numbers, "
                f"{len(labels)} different ones; to predict a number, add --task regression (to "
                f"take each for a label: --task classification)"
            )
    if len(labels) == 1:
        raise ValueError(
            f"every row has the same {table.target_name}, {tables.listed(labels)}; "
            f"a classifier needs rows of two labels at least"
        )
    return "classification", labels


def _hold_out(share: float, seed: int, X: Array, y: Array) -> int:
    """Move a random share of the rows, in place, to the end; returns where they begin."""
    n_rows = len(X)
    n_held = round(share * n_rows)
    if share and not 0 < n_held < n_rows:
        raise ValueError(
            f"--validation {share:g} of {n_rows} rows leaves no rows on one side; "
            f"take another share, or --validation 0 to train on all rows"
        )
    border = n_rows - n_held
    held = np.random.default_rng(seed).permutation(n_rows)[:n_held]
    coming, going = held[held < border], np.setdiff1d(np.arange(border, n_rows), held)
    for array in (X, y):
        array[coming], array[going] = array[going], array[coming]
    return border


def _describe(problem: Problem) -> None:
    schema = problem.schema
    counts = f"{len(problem.training.X):,} rows to train on, {len(problem.held_out.X):,} held out"
    if schema.task == "regression":
        aim = "regression; progress shows the loss in units of the target's variance"
    else:
        aim = f"{len(schema.classes)} classes: {tables.listed(schema.classes)}"
    print(f"{counts}; {len(schema.features)} features; target {schema.target!r}, {aim}")


# ---- train: the runs --------------------------------------------------------------------------


class Run(NamedTuple):
    """One training, how it ended, and its result in the target's own units."""

    mode: str
    model: Sequential
    interrupted: bool
    training: dict[str, float]  # loss and metrics of the final weights
    held_out: dict[str, float]  # empty if no rows are held out


def train(options: argparse.Namespace) -> int:
    """Train a model on a table, in one mode or in all from the same initial weights."""
    _check_files(options)
    problem = _problem(options)
    _describe(problem)
    front = Normalization()
    front.adapt(problem.training.X)
    runs: list[Run] = []
    for mode in RECIPES if options.mode == "all" else [options.mode]:
        runs.append(_run(mode, problem, front, options))
        if runs[-1].interrupted:
            break
    _print_results(runs)
    _save_best(runs, options.out)
    if options.plot:
        _plot([run for run in runs if run.model.history.epoch], options.plot)
    if runs[-1].interrupted:
        print("fastnn: interrupted; the model has the weights reached by then", file=sys.stderr)
        return INTERRUPTED
    return 0


def _check_files(options: argparse.Namespace) -> None:
    """Raise before the training if its results could not be written after it."""
    for path, endings in ((options.out, (".npz",)), (options.plot, PICTURES)):
        if path and Path(path).suffix not in endings:
            raise ValueError(f"{path}: expected a name that ends in {' or '.join(endings)}")
        if path and not Path(path).parent.is_dir():
            raise ValueError(
                f"{path}: there is no folder {str(Path(path).parent)!r}; make it first"
            )
    if options.plot and find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib: pip install matplotlib")
    if options.batch_size and options.mode not in ("minibatch", "all"):
        raise ValueError(
            f"--batch-size is for minibatches, but --mode is {options.mode}; "
            f"leave one of the two out"
        )


def _run(mode: str, problem: Problem, front: Normalization, options: argparse.Namespace) -> Run:
    """Train in one mode. Ctrl-C ends it early; the result is then what was reached."""
    epochs = options.epochs or RECIPES[mode].epochs
    rate = options.learning_rate or RECIPES[mode].learning_rate
    print(f"\n{mode}: epochs {epochs}, learning rate {rate:g}", flush=True)
    model = _new_model(problem.schema, front, rate, options)
    batch_size = options.batch_size if mode == "minibatch" else None
    interrupted = False
    try:
        _fit(model, problem, epochs=epochs, mode=mode, batch_size=batch_size, verbose=1)
    except KeyboardInterrupt:
        interrupted = True
    except FloatingPointError:
        raise ValueError(
            f"training in {mode} mode diverged: the loss is no longer finite. Most likely the "
            f"steps were too large; try --learning-rate {rate / 10:g}"
        ) from None
    training, held_out = _scores(model, problem, problem.training), {}
    if len(problem.held_out.X):
        held_out = _scores(model, problem, problem.held_out)
    _undo_scale(model, problem)
    return Run(mode, model, interrupted, training, held_out)


def _new_model(
    schema: Schema, front: Normalization, rate: float, options: argparse.Namespace
) -> Sequential:
    output, loss, metrics = schema.output()
    hidden = [Dense(units, "relu") for units in options.hidden]
    model = Sequential([front, *hidden, output], dtype=options.dtype, seed=options.seed)
    model.compile(SGD(rate), loss, metrics)
    model.metadata = asdict(schema)
    model.build(len(schema.features))
    return model


def _fit(model: Sequential, problem: Problem, **settings: Any) -> None:
    held_out = problem.held_out if len(problem.held_out.X) else None
    model.fit(*problem.training, validation_data=held_out, **settings)


def _scores(model: Sequential, problem: Problem, rows: Rows) -> dict[str, float]:
    scores = model.evaluate(*rows, return_dict=True)
    return scores | {"loss": scores["loss"] * problem.scale**2}


def _undo_scale(model: Sequential, problem: Problem) -> None:
    """Make the linear output layer, and the history, those of the target itself."""
    *others, W, b = model.get_weights()
    model.set_weights([*others, W * problem.scale, b * problem.scale + problem.centre])
    for name in {"loss", "val_loss"} & model.history.history.keys():
        losses = model.history.history[name]
        model.history.history[name] = [loss * problem.scale**2 for loss in losses]


# ---- train: the results -------------------------------------------------------------------------


def _print_results(runs: Sequence[Run]) -> None:
    columns = [_result_columns(run) for run in runs]
    lines = [list(columns[0]), *(list(column.values()) for column in columns)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    print()
    for first, *others in lines:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]))


def _result_columns(run: Run) -> dict[str, str]:
    history = run.model.history
    n_epochs, seconds = len(history.epoch), sum(history.history.get("seconds", []))
    rate = f"{n_epochs * history.params['samples'] / seconds:,.0f}" if seconds else "-"
    columns = {
        "mode": run.mode,
        "weight updates": f"{n_epochs * history.params.get('steps', 0):,}",
        "samples/s": rate,
        "training loss": f"{run.training['loss']:.4g}",
    }
    held_out = {f"held-out {name}": f"{value:.4g}" for name, value in run.held_out.items()}
    return columns | held_out


def _save_best(runs: Sequence[Run], path: str | None) -> None:
    best = min(runs, key=lambda run: (run.held_out or run.training)["loss"])
    kind = "held-out" if best.held_out else "training"
    reason = f", which has the lowest {kind} loss" if len(runs) > 1 else ""
    if path:
        best.model.save(path)
        print(f"\nsaved {path}: the {best.mode} model{reason}")
    else:
        print("\nthe model is not saved; --out model.npz would")


def _plot(runs: Sequence[Run], path: str) -> None:
    from fastnn.plots import loss_curves

    loss_curves({run.mode: run.model.history for run in runs}, path)
    print(f"saved {path}: the loss over epochs and over seconds")


# ---- predict and evaluate -----------------------------------------------------------------------


def _load(path: str) -> tuple[Sequential, Schema]:
    model = load(path)
    try:
        return model, Schema(**model.metadata)
    except TypeError:
        raise ValueError(
            f"{path} does not say which columns it takes, since `fastnn train` did not write it; "
            f"in Python: fastnn.load({path!r}).predict(X)"
        ) from None


def predict(options: argparse.Namespace) -> int:
    """Write the predictions for the rows of a table."""
    _refuse_to_overwrite(options)
    model, schema = _load(options.model)
    table = tables.read(
        options.table,
        features=schema.features,
        delimiter=options.delimiter or schema.delimiter,
        dtype=model.dtype,
    )
    outputs = model.predict(table.X)
    with ExitStack() as stack:
        file: TextIO = sys.stdout
        if options.out:
            file = stack.enter_context(open(options.out, "w", encoding="utf-8", newline=""))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["prediction", *(f"probability_{label}" for label in schema.classes)])
        for start in range(0, len(outputs), PRINTED_ROWS):
            writer.writerows(_printed(outputs[start : start + PRINTED_ROWS], schema.classes))
    return 0


def _refuse_to_overwrite(options: argparse.Namespace) -> None:
    """The predictions must not take the place of what they are made from."""
    out = options.out and Path(options.out)
    for source in (options.model, options.table):
        if out and out.exists() and Path(source).exists() and out.samefile(source):
            raise ValueError(f"--out {options.out} would overwrite {source}; take another name")


def _printed(outputs: Array, classes: list[str]) -> Iterable[Sequence[str]]:
    """The lines for some outputs of the model."""
    if not classes:
        texts: list[list[str]] = outputs.astype(str).tolist()
        return texts
    if outputs.shape[1] == 1:
        outputs = np.hstack([1 - outputs, outputs])
    winners = [classes[number] for number in outputs.argmax(axis=1)]
    return zip(winners, *outputs.T.astype(str).tolist(), strict=True)


def evaluate(options: argparse.Namespace) -> int:
    """Print how well a model does on a table that has the target, too."""
    model, schema = _load(options.model)
    table = tables.read(
        options.table,
        features=schema.features,
        target=schema.target,
        delimiter=options.delimiter or schema.delimiter,
        dtype=model.dtype,
    )
    y = _target(table, schema, model.dtype)
    scores = model.evaluate(table.X, y, return_dict=True)
    if schema.task == "regression":
        scores = {"mean squared error": scores["loss"], "root of it": scores["loss"] ** 0.5}
    print(f"{'rows':<20}{len(y)}")
    for name, value in scores.items():
        print(f"{name:<20}{value:.4g}")
    return 0


def show_configuration(options: argparse.Namespace) -> int:
    show_config()
    return 0
