"""The commands: train a model on a table, predict with it, evaluate it, explain it."""

import argparse
import csv
import io
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from fastnn import SGD, Dense, History, Normalization, Progress, Sequential, load, show_config
from fastnn.cli import tables
from fastnn.data.rows import Array
from fastnn.files.npz import replaceable, replacement
from fastnn.losses import LossName
from fastnn.metrics import MetricName

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
MANY_LABELS = 100  # more different whole numbers than this are probably no labels
PICTURES = (".png", ".svg", ".pdf")
LITTLE = math.sqrt(0.99)  # a loss that is lower by less than 1 % is not worth a model
PRINTED_ROWS = 10_000  # predictions turned into text at a time


class Recipe(NamedTuple):
    """What a mode trains with by default."""

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
    """What a table must hold for a model; kept in the model's metadata.

    In a regression the model itself predicts (target - target_mean) / target_deviation, so that
    one learning rate suits targets of any size. Mean and deviation are no part of the weights:
    float32 would round a target far from 0 to a few digits.
    """

    features: list[str]
    target: str
    task: str
    classes: list[str]  # none in a regression
    delimiter: str
    target_mean: float = 0.0
    target_deviation: float = 1.0  # 0 if the training rows have one target only

    def standardised(self, y: Array) -> Array:
        """Targets as the model learns them."""
        if self.task != "regression":
            return y
        # Halves, for the difference of two numbers may be twice the largest one.
        halves: Array = (y / 2 - self.target_mean / 2) / (self.target_deviation / 2 or 0.5)
        return halves

    def in_own_units(self, outputs: Array) -> Array:
        """Outputs of a regression as targets, in float64."""
        with np.errstate(over="ignore"):
            targets: Array = self.target_mean + self.target_deviation * outputs.astype(np.float64)
        return targets

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
    """What is to be learned, and from which rows; y is in the target's own units."""

    schema: Schema
    training: Rows
    held_out: Rows  # of no rows if none are


def _problem(options: argparse.Namespace) -> Problem:
    table = tables.read(
        options.table, target=options.target, delimiter=options.delimiter, dtype=options.dtype
    )
    task, classes = _task(table, options.task)
    schema = Schema(table.features, options.target, task, classes, options.delimiter)
    y = _target(table, schema)
    border = _hold_out(options.validation, options.seed, table.X, y)
    if task == "regression":
        mean, deviation = _mean_and_deviation(y[:border])
        schema = replace(schema, target_mean=mean, target_deviation=deviation)
    training, held_out = Rows(table.X[:border], y[:border]), Rows(table.X[border:], y[border:])
    return Problem(schema, training, held_out)


def _mean_and_deviation(y: Array) -> tuple[float, float]:
    """Of numbers of any size: no square overflows or vanishes."""
    if y.min() == y.max():
        return float(y[0]), 0.0
    power = math.frexp(np.abs(y).max())[1]
    part = np.ldexp(y, -power)  # between -1 and 1, exactly as many digits
    return math.ldexp(part.mean(), power), math.ldexp(part.std(), power)


def _target(table: tables.Table, schema: Schema) -> Array:
    """y: numbers in float64, or the positions of the labels in `schema.classes`."""
    if schema.task == "regression":
        return tables.target_numbers(table)
    return tables.label_numbers(table, schema.classes)


def _task(table: tables.Table, asked: str | None) -> tuple[str, list[str]]:
    """The task that is asked for, or else the one that the target suggests; and the labels."""
    if asked == "regression":
        return asked, []
    labels = tables.labels(table)
    if asked is None and all(map(tables.NUMBER.fullmatch, labels)):
        whole = all(float(label).is_integer() for label in labels)
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
    for pair in tables.near_labels(schema.classes):
        print(f"the labels {tables.listed(pair)} count as different ones; are they meant to?")
    counts = f"{len(problem.training.X):,} rows to train on, {len(problem.held_out.X):,} held out"
    if schema.task == "regression":
        aim = "regression; progress shows the loss in units of the target's variance"
    else:
        aim = f"{len(schema.classes)} classes: {tables.listed(schema.classes)}"
    print(f"{counts}; {len(schema.features)} features; target {schema.target!r}, {aim}")


# ---- train: the runs --------------------------------------------------------------------------


class Run(NamedTuple):
    """One training, how it ended, and what `_scores` says of its final weights."""

    mode: str
    model: Sequential
    interrupted: bool
    training: dict[str, float]
    held_out: dict[str, float]  # empty if no rows are held out


def train(options: argparse.Namespace) -> int:
    """Train a model on a table, and save it even if nobody takes what is printed."""
    output = _Output(sys.stdout)
    with redirect_stdout(output):
        code = _train(options)
        output.flush()
    if output.error is not None and not isinstance(output.error, BrokenPipeError):
        raise output.error
    return code


class _Output(io.TextIOBase):
    """What is printed goes to `stream`; after the first error of it, nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, act: Callable[[], object]) -> None:
        if self.error is None:
            try:
                act()
            except OSError as error:
                self.error = error


def _train(options: argparse.Namespace) -> int:
    """Train in one mode, or in all from the same initial weights."""
    _check_files(options)
    problem = _problem(options)
    _describe(problem)
    runs = _runs(problem, options)
    _print_results(runs)
    best = min(runs, key=lambda run: (run.held_out or run.training)["size"])
    if not _warn_if_useless(best, problem):
        _warn_if_wrong(best.model, problem)
    _save(best, problem, options.out, one_of_several=len(runs) > 1)
    if options.plot:
        _plot(runs, problem.schema, options.plot)
    if runs[-1].interrupted:
        print("fastnn: interrupted; the model has the weights reached by then", file=sys.stderr)
        return INTERRUPTED
    return 0


def _check_files(options: argparse.Namespace) -> None:
    """Raise before the training if its results could not be written after it."""
    if options.out:
        _check_ending("--out", options.out, (".npz",))
        _check_place("--out", options.out, [options.table])
    if options.plot:
        _check_ending("--plot", options.plot, PICTURES)
        _check_place("--plot", options.plot, [options.table, options.out])
        if find_spec("matplotlib") is None:
            raise ImportError("--plot needs matplotlib: pip install matplotlib")
    if options.batch_size == 1 and options.mode in ("minibatch", "all"):
        raise ValueError(
            "--batch-size 1 updates the weights after every row, as --mode stochastic does; "
            "take 2 rows at least, such as --batch-size 32, or that mode"
        )
    if options.batch_size and options.mode not in ("minibatch", "all"):
        raise ValueError(
            f"--batch-size is for minibatches, but --mode is {options.mode}; "
            f"leave one of the two out"
        )


def _check_ending(option: str, path: str, endings: tuple[str, ...]) -> None:
    if Path(path).suffix not in endings:
        raise ValueError(
            f"{option} {path}: expected a name that ends in {' or '.join(endings)}, "
            f"such as {option} file{endings[0]}"
        )


def _check_place(option: str, path: str, sources: Sequence[str | None]) -> None:
    """Raise unless a file can be written there that takes the place of none of the sources."""
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise ValueError(f"{option} {path} is a folder; expected the name of a file")
    for source in filter(None, sources):
        same = place == Path(os.path.realpath(source))  # neither need be there yet
        if same or (place.exists() and os.path.exists(source) and place.samefile(source)):
            raise ValueError(f"{option} {path} would overwrite {source}; take another name")
    try:
        if not place.parent.is_dir():
            raise ValueError(
                f"{option} {path}: there is no folder {str(Path(path).parent)!r}; make it first"
            )
        replaceable(place)
        tempfile.NamedTemporaryFile(prefix=".fastnn-", dir=place.parent).close()
    except OSError as error:
        raise ValueError(
            f"{option} {path}: no file can be written there ({error.strerror}); "
            f"name one in a folder of your own"
        ) from None


def _is_special(path: str) -> bool:
    """Whether it is a device or a pipe, to which a table can be written."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _runs(problem: Problem, options: argparse.Namespace) -> list[Run]:
    """The runs that did not diverge; ValueError if all did."""
    front = Normalization()
    front.adapt(problem.training.X)
    front.feature_names = tuple(problem.schema.features)
    runs: list[Run] = []
    diverged: list[str] = []
    for mode in RECIPES if options.mode == "all" else [options.mode]:
        try:
            runs.append(_run(mode, problem, front, options))
        except FloatingPointError as error:
            diverged.append(str(error))
        if runs and runs[-1].interrupted:
            break
    if not runs:
        raise ValueError(diverged[-1])
    for problem_met in diverged:
        print(f"\n{problem_met}")
    return runs


def _run(mode: str, problem: Problem, front: Normalization, options: argparse.Namespace) -> Run:
    """Train in one mode. Ctrl-C ends it early; the result is then what was reached."""
    epochs = options.epochs or RECIPES[mode].epochs
    rate = options.learning_rate
    if rate is None:
        rate = RECIPES[mode].learning_rate
    print(f"\n{mode}: epochs {epochs}, learning rate {rate:g}", flush=True)
    model = _new_model(problem.schema, front, rate, options)
    batch_size = options.batch_size if mode == "minibatch" else None
    interrupted = False
    try:
        _fit(model, problem, epochs=epochs, mode=mode, batch_size=batch_size)
    except KeyboardInterrupt:
        interrupted = True
    except FloatingPointError:
        lower = min(rate / 10, RECIPES[mode].learning_rate)
        raise FloatingPointError(
            f"training in {mode} mode diverged: the loss is no longer finite. Most likely the "
            f"steps were too large; try --learning-rate {lower:g}"
        ) from None
    training, held_out = _scores(model, problem.schema, problem.training), {}
    if len(problem.held_out.X):
        held_out = _scores(model, problem.schema, problem.held_out)
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
    learned, held_out = [
        Rows(rows.X, problem.schema.standardised(rows.y))
        for rows in (problem.training, problem.held_out)
    ]
    validation = held_out if len(held_out.X) else None
    model.fit(*learned, validation_data=validation, callbacks=[Progress()], **settings)


def _scores(model: Sequential, schema: Schema, rows: Rows) -> dict[str, float]:
    """Loss and metrics of the model's answers, in the target's own units.

    The table of results and `fastnn evaluate` both come from here. "size" is what decides between
    two models: the loss, or its root, which a float holds for targets of any size.
    """
    if schema.task != "regression":
        scores = model.evaluate(rows.X, rows.y, return_dict=True)
        return scores | {"size": scores["loss"]}
    answers = schema.in_own_units(model.predict(rows.X)[:, 0])
    root = _root_mean_square(answers, rows.y)
    return {"loss": root * root, "size": root}


def _root_mean_square(answers: Array | float, y: Array) -> float:
    """The root of the mean squared error; no square overflows or vanishes."""
    with np.errstate(over="ignore"):
        errors = np.abs(answers - y)
    largest = float(errors.max())
    if largest in (0.0, math.inf):
        return largest
    return largest * math.sqrt(np.mean((errors / largest) ** 2))


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
    held_out = {name: value for name, value in run.held_out.items() if name != "size"}
    return columns | {f"held-out {name}": f"{value:.4g}" for name, value in held_out.items()}


def _warn_if_useless(run: Run, problem: Problem) -> bool:
    """Print a line if the same answer for every row would do as well; whether it would."""
    schema, usual = problem.schema, problem.training.y
    kind, rows = ("held-out", problem.held_out) if run.held_out else ("training", problem.training)
    scores = run.held_out or run.training
    if schema.task == "regression":
        size = _root_mean_square(schema.target_mean, rows.y)
        useless, name, simple = scores["size"] >= LITTLE * size, "loss", size * size
        answer = f"the mean of the training rows, {schema.target_mean:.6g}"
    else:
        label = np.bincount(usual).argmax()
        name, simple = "accuracy", float(np.mean(rows.y == label))
        useless = scores[name] <= simple
        answer = f"the most frequent label, {schema.classes[label]!r}"
    if useless:
        print(
            f"\nthe model is of no use yet: its {kind} {name} of {scores[name]:.4g} is not clearly "
            f"better than the {simple:.4g} of always answering {answer}; {_remedy(rows.y)}"
        )

    return useless


def _warn_if_wrong(model: Sequential, problem: Problem) -> None:
    """Print a line if the training rows show that the model will hardly learn."""
    rows = problem.training
    if severe := model.diagnose(rows.X, problem.schema.standardised(rows.y)).severe:
        print(f"\nsomething is wrong with the model: {severe[0]}")


def _remedy(y: Array) -> str:
    if (y == y[0]).all():
        return "these rows have one target only: rows with others are needed to learn, and to judge"
    return "try more --epochs, another --learning-rate, or columns that say more about the target"


def _save(run: Run, problem: Problem, path: str | None, *, one_of_several: bool) -> None:
    kind = "held-out" if run.held_out else "training"
    reason = f", which has the lowest {kind} loss" if one_of_several else ""
    if not path:
        print("\nthe model is not saved; --out model.npz would")
        return
    with _errors_name(path):
        run.model.save(path)
    print(f"\nsaved {path}: the {run.mode} model{reason}")
    schema = problem.schema
    if schema.task == "regression":
        print(
            f"in Python, {schema.target} is {schema.target_mean!r} + {schema.target_deviation!r} "
            f"* fastnn.load({path!r}).predict(X).astype(float)"
        )


def _plot(runs: Sequence[Run], schema: Schema, path: str) -> None:
    from fastnn.inspection.curves import loss_curves

    histories = {run.mode: run.model.history for run in runs if run.model.history.epoch}
    if not histories:
        print(f"{path} is not drawn: no epoch was finished")
        return
    if schema.task == "regression":
        histories = {mode: _in_own_units(record, schema) for mode, record in histories.items()}
    with _errors_name(path):
        loss_curves(histories, path)
    print(f"saved {path}: the loss over epochs and over seconds")


def _in_own_units(history: History, schema: Schema) -> History:
    """The same epochs, with the losses that the table of results shows, if a float holds them."""
    square = schema.target_deviation * schema.target_deviation
    if not 0 < square < math.inf:
        return history
    losses = {
        name: [value * square for value in values] if name in ("loss", "val_loss") else values
        for name, values in history.history.items()
    }
    return replace(history, history=losses)


@contextmanager
def _errors_name(path: str) -> Iterator[None]:
    """Give the file's name to errors of a write that is under way, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror or str(error), path) from None


# ---- predict and evaluate -----------------------------------------------------------------------


def _load(path: str) -> tuple[Sequential, Schema]:
    model = load(path)
    try:
        schema = Schema(**model.metadata)
        units = getattr(model.layers[-1], "units", 0)
        fits = _is_whole(schema) and units == schema.output()[0].units
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(
            f"{path} does not say which columns it takes, since `fastnn train` did not write it; "
            f"in Python: fastnn.load({path!r}).predict(X)"
        )
    return model, schema


def _is_whole(schema: Schema) -> bool:
    """Whether metadata of unknown origin holds what it should.

    Other mistakes are errors: TypeError, OverflowError, or ValueError of text that UTF-8 lacks.
    """
    lists = ([*schema.features, schema.target], schema.classes, [schema.task, schema.delimiter])
    "".join(name for names in lists for name in names).encode()
    return (
        isinstance(schema.features, list)
        and isinstance(schema.classes, list)
        and all(len(set(names)) == len(names) for names in lists)
        and len(schema.delimiter) == 1
        and math.isfinite(schema.target_mean)
        and math.isfinite(schema.target_deviation)
        and schema.task in ("classification", "regression")
        and (len(schema.classes) > 1 if schema.task == "classification" else not schema.classes)
    )


def predict(options: argparse.Namespace) -> int:
    """Write the predictions for the rows of a table."""
    if options.out and not _is_special(options.out):
        _check_place("--out", options.out, [options.model, options.table])
    model, schema = _load(options.model)
    table = tables.read(
        options.table,
        features=schema.features,
        delimiter=options.delimiter or schema.delimiter,
        dtype=model.dtype,
    )
    outputs = model.predict(table.X)
    with _errors_name(options.out or "standard output"), ExitStack() as stack:
        file: TextIO = sys.stdout
        if options.out:
            file = stack.enter_context(_new_table(options.out))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["prediction", *(f"probability_{label}" for label in schema.classes)])
        for start in range(0, len(outputs), PRINTED_ROWS):
            writer.writerows(_printed(outputs[start : start + PRINTED_ROWS], schema))
    return 0


@contextmanager
def _new_table(path: str) -> Iterator[TextIO]:
    """A file of text that takes the place of the old one when it is complete."""
    if _is_special(path):
        with open(path, "w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    with replacement(Path(path)) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()  # the file is closed by who has opened it


def _printed(outputs: Array, schema: Schema) -> Iterable[Sequence[str]]:
    """The lines for some outputs of the model."""
    if schema.task == "regression":
        return ([repr(answer)] for answer in schema.in_own_units(outputs[:, 0]).tolist())
    if outputs.shape[1] == 1:
        outputs = np.hstack([1 - outputs, outputs])
    winners = [schema.classes[number] for number in outputs.argmax(axis=1)]
    return zip(winners, *outputs.T.astype(str).tolist(), strict=True)


def _labelled(options: argparse.Namespace) -> tuple[Sequential, Schema, Rows]:
    """A model, and the rows of a table that has the target, too."""
    model, schema = _load(options.model)
    table = tables.read(
        options.table,
        features=schema.features,
        target=schema.target,
        delimiter=options.delimiter or schema.delimiter,
        dtype=model.dtype,
    )
    return model, schema, Rows(table.X, _target(table, schema))


def evaluate(options: argparse.Namespace) -> int:
    """Print how well a model does on a table that has the target, too."""
    model, schema, rows = _labelled(options)
    scores = _scores(model, schema, rows)
    size = scores.pop("size")
    if schema.task == "regression":
        scores = {"mean squared error": scores["loss"], "root of it": size}
    print(f"{'rows':<20}{len(rows.y)}")
    for name, value in scores.items():
        print(f"{name:<20}{value:.4g}")
    return 0


def explain(options: argparse.Namespace) -> int:
    """Print the chain rule, and the update that would follow it, for one row of a table."""
    model, schema, rows = _labelled(options)
    if options.row > len(rows.y):
        raise ValueError(
            f"--row {options.row}: {options.table} has {len(rows.y)} rows; rows are counted from 1"
        )
    row = slice(options.row - 1, options.row)
    trace = model.trace(rows.X[row], schema.standardised(rows.y[row]))
    print(trace.explain(options.format, digits=options.digits), end="\n\n")
    print(model.explain_update(trace, options.format, digits=options.digits))
    return 0


def show_configuration(options: argparse.Namespace) -> int:
    show_config()
    return 0
