"""The command line: its options, its help, and what it makes of errors."""

import argparse
import difflib
import io
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from fastnn import __version__
from fastnn.cli import tables
from fastnn.cli.commands import (
    INTERRUPTED,
    MANY_LABELS,
    RECIPES,
    evaluate,
    explain,
    predict,
    show_configuration,
    train,
)
from fastnn.inspection.writing import FORMATS
from fastnn.training.plan import MINIBATCH

MOST_DIGITS = 18  # of a whole number: such ones fit in 64 bits

# ---- options ------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Begins every error with the program's name alone, whatever the command."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"fastnn: error: {_one_line(message)}{self._near(message)}\n")

    def _near(self, message: str) -> str:
        """The option or command that was probably meant, for the end of a message."""
        wrong = re.search(
            r"COMMAND: invalid choice: '([^']+)'|unrecognized arguments: (-\S+)", message
        )
        subparsers = [one.choices for one in self._actions if isinstance(one.choices, dict)]
        parsers = [self, *(parser for choices in subparsers for parser in choices.values())]
        names = [*chain(*subparsers), *chain(*(one._option_string_actions for one in parsers))]
        near = difflib.get_close_matches(wrong[1] or wrong[2], names, n=1) if wrong else []
        return f"; did you mean {near[0]}?" if near else ""


def _whole(example: int, minimum: int = 1) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not (
            text.isascii()
            and text.isdecimal()
            and len(text) <= MOST_DIGITS
            and int(text) >= minimum
        ):
            raise argparse.ArgumentTypeError(
                f"got {text!r}; expected a whole number of at least {minimum} and "
                f"{MOST_DIGITS} digits at most, such as {example}"
            )
        return int(text)

    return convert


def _real(text: str) -> float:
    """The number that a text spells as in a table; nan if it spells none."""
    return float(text) if tables.NUMBER.fullmatch(text) else math.nan


def _learning_rate(text: str) -> float:
    if not 0 <= _real(text) < math.inf:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a number from 0 on, such as 0.05")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= _real(text) < 1:
        raise argparse.ArgumentTypeError(
            f"got {text!r}; expected a share of the rows from 0 to below 1, such as 0.2"
        )
    return float(text)


def _widths(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not (text.isascii() and all(map(str.isdecimal, parts))) or not all(
        len(part) <= MOST_DIGITS and int(part) for part in parts
    ):
        raise argparse.ArgumentTypeError(
            f"got {text!r}; expected the units of each hidden layer, such as 16,8"
        )
    return [int(part) for part in parts]


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("got ''; expected the name of a file")
    return text


def _delimiter(text: str) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise argparse.ArgumentTypeError(
            f"got {text!r}; expected one character such as ';', or tab"
        )
    return text


def _parser() -> Parser:
    parser = Parser(
        prog="fastnn",
        description="Train dense feedforward networks on the CPU, from a CSV table.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_train(commands)
    _add_command(commands, "predict", predict, "write predictions for the rows of a table")
    commands.choices["predict"].add_argument(
        "--out",
        type=_path,
        metavar="predictions.csv",
        help="the file to write (default: standard output)",
    )
    _add_command(
        commands, "evaluate", evaluate, "print how good a model is on a table with the target"
    )
    _add_explain(commands)
    show = commands.add_parser("show-config", help="print how fastnn was built and what it uses")
    show.set_defaults(run=show_configuration)
    return parser


def _add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> None:
    """A command that takes a model and a table."""
    command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    command.add_argument(
        "model", type=_path, metavar="model.npz", help="what `fastnn train --out` wrote"
    )
    command.add_argument(
        "table",
        type=_path,
        metavar="data.csv",
        help="a table with the columns of the training, in any order; others are ignored",
    )
    command.add_argument(
        "--delimiter",
        type=_delimiter,
        metavar="C",
        help="the character between two fields, or tab (default: as in the training)",
    )
    command.set_defaults(run=run)


def _add_explain(commands: Any) -> None:
    summary = "print the chain rule, with its numbers, for one row of a table with the target"
    _add_command(commands, "explain", explain, summary)
    command = commands.choices["explain"]
    command.add_argument(
        "--row",
        type=_whole(3),
        default=1,
        metavar="N",
        help="which row, counted from 1, the header not among them (default: 1)",
    )
    command.add_argument(
        "--format",
        choices=list(FORMATS),
        default="text",
        help="text, Markdown or LaTeX (default: text)",
    )
    command.add_argument(
        "--digits",
        type=_whole(4),
        default=4,
        metavar="N",
        help="the significant digits of a number (default: 4)",
    )


def _add_train(commands: Any) -> None:
    command = commands.add_parser(
        "train",
        help="train a model on a table",
        description=TRAIN_DESCRIPTION,
        epilog=_recipes_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "table", type=_path, metavar="data.csv", help="a UTF-8 CSV file with a header line"
    )
    for name, settings in TRAIN_OPTIONS.items():
        command.add_argument(f"--{name}", **settings)
    command.set_defaults(run=train)


def _recipes_text() -> str:
    lines = [
        f"  {mode:<12}{recipe.epochs:>7}{recipe.learning_rate:>15g}"
        for mode, recipe in RECIPES.items()
    ]
    return "\n".join([f"defaults:   {'epochs':>9}{'learning rate':>15}", *lines])


TRAIN_DESCRIPTION = """\
Train a network with relu hidden layers. The features are standardised inside the model, with the
mean and deviation of the training rows, so that it takes the raw columns ever after. Two labels
end in a sigmoid, more in a softmax, a regression in a linear output. Ctrl-C ends the training
early and keeps the weights reached."""

TRAIN_OPTIONS: dict[str, dict[str, Any]] = {
    "target": {"required": True, "metavar": "NAME", "help": "the column to predict"},
    "task": {
        "choices": ["classification", "regression"],
        "help": "what the target is (default: classification if it holds text, or at most "
        f"{MANY_LABELS} different whole numbers)",
    },
    "hidden": {
        "type": _widths,
        "default": [16, 8],
        "metavar": "16,8",
        "help": "units of the hidden layers (default: 16,8)",
    },
    "mode": {
        "choices": [*RECIPES, "all"],
        "default": "minibatch",
        "help": "update the weights after every row, every minibatch, or all rows; `all` trains "
        "the three from the same initial weights and keeps the best (default: minibatch)",
    },
    "batch-size": {
        "type": _whole(32),
        "metavar": "N",
        "help": f"rows in a minibatch (default: {MINIBATCH})",
    },
    "epochs": {
        "type": _whole(50),
        "metavar": "N",
        "help": "how often to go through the rows (default: depends on the mode, see below)",
    },
    "learning-rate": {
        "type": _learning_rate,
        "metavar": "R",
        "help": "the size of the steps (default: depends on the mode, see below)",
    },
    "validation": {
        "type": _share,
        "default": 0.2,
        "metavar": "0.2",
        "help": "the share of rows, drawn at random, to hold out; 0 is none (default: 0.2)",
    },
    "seed": {
        "type": _whole(0, minimum=0),
        "default": 0,
        "metavar": "N",
        "help": "decides the rows held out, the initial weights and the visiting order "
        "(default: 0)",
    },
    "out": {"type": _path, "metavar": "model.npz", "help": "where to save the model"},
    "plot": {
        "type": _path,
        "metavar": "curves.png",
        "help": "where to draw the loss curves (.png, .svg, .pdf)",
    },
    "delimiter": {
        "type": _delimiter,
        "default": ",",
        "metavar": "C",
        "help": "the character between two fields, or tab (default: a comma)",
    },
    "dtype": {
        "choices": ["float32", "float64"],
        "default": "float32",
        "help": "the type of weights and activations (default: float32)",
    },
}


# ---- the program --------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 after an error, 130 after Ctrl-C."""
    try:
        _prepare_output()
        code = _run(argv)
        sys.stdout.flush()  # here, where a full disk is an error like others
        return code
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        _give_up_output()
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has enough of it, such as `| head`
        _give_up_output()
        return 0
    except Exception as error:
        print(f"fastnn: error: {_one_line(_error_text(error))}", file=sys.stderr)
        _give_up_output()
        return 2


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if "run" not in options:
        parser.print_help(sys.stderr)
        return 2
    code: int = options.run(options)
    return code


def _prepare_output() -> None:
    if sys.stderr is None:  # closed; `print` would turn to standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if sys.stdout is None:
        raise ValueError("standard output is closed; send it somewhere, such as > result.txt")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that this terminal cannot show must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """Let nothing be written at exit that cannot be written now."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _error_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'standard output'}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory. {error}".rstrip()
    if isinstance(error, ValueError | OSError | ImportError | ArithmeticError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"unexpected {type(error).__name__}: {error} ({Path(place.filename).name}, line "
        f"{place.lineno}); most likely a fault of fastnn itself, please report it"
    )


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
