"""Tables of the pages: what a reader of the rendered page sees as a row has all its cells."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.M | re.S)
DELIMITER = re.compile(r"\|? *:?-+:? *(\| *:?-+:? *)*\|?")
PIPE = re.compile(r"(?<!\\)\|")


def cells(line):
    """How many cells a row has: a pipe parts two of them unless a backslash stands before it."""
    return len(PIPE.split(line.strip().removeprefix("|").removesuffix("|")))


def faults(text):
    """The lines that are no row of the table they were written for."""
    lines = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text).split("\n")
    found, columns = [], 0  # of the table that the line before belongs to; 0: there is none
    for number, line in enumerate(lines, start=1):
        if not line.lstrip().startswith("|"):
            columns = 0
        elif columns == 0:
            columns = cells(line)
            below = lines[number] if number < len(lines) else ""
            if not DELIMITER.fullmatch(below.strip()):
                found.append(f"line {number} begins a table without a header: {line[:60]}")
        elif cells(line) != columns:
            found.append(f"line {number} has {cells(line)} cells of {columns}: {line[:60]}")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_row_of_every_table_has_the_cells_of_its_header(path):
    assert faults(path.read_text("utf-8")) == []


def test_the_checker_itself():
    good = "| a | b |\n|---|:-:|\n| 1 | `x \\| y` |\n\ntext\n\n```\n| no table\n```\n"
    assert faults(good) == []
    assert len(faults(good.replace("\\|", "|"))) == 1
    assert len(faults(good.replace("| 1 |", "\n| 1 |"))) == 1
    assert len(faults(good.replace("| 1 | `x \\| y` |", "| 1 |"))) == 1
