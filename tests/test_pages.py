"""The pages: rows of tables have all their cells, files that are named and linked exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = [path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts]
PAGES = [*ROOT.glob("*.md"), *DOCS, *ROOT.glob("examples/**/*.md")]
OF_TODAY = [path for path in PAGES if path.name != "CHANGELOG.md"]  # which tells of the past

each_page = pytest.mark.parametrize(
    "path", OF_TODAY, ids=lambda path: path.relative_to(ROOT).as_posix()
)

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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_row_of_every_table_has_the_cells_of_its_header(path):
    assert faults(path.read_text("utf-8")) == []


def test_the_checker_itself():
    good = "| a | b |\n|---|:-:|\n| 1 | `x \\| y` |\n\ntext\n\n```\n| no table\n```\n"
    assert faults(good) == []
    assert len(faults(good.replace("\\|", "|"))) == 1
    assert len(faults(good.replace("| 1 |", "\n| 1 |"))) == 1
    assert len(faults(good.replace("| 1 | `x \\| y` |", "| 1 |"))) == 1


# ---- files and links ----

IN_CODE = re.compile(r"`([^`\n]+)`")
FILE_NAME = re.compile(
    r"(?<![\w/.<-])(?:[\w.-]+/)+[\w.-]*\w\.(?:py|pyi|pyx|pxi|pxd|h|md|toml)(?!\w)"
)
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")


def missing_files(text):
    """The files that are named with a folder and do not exist, in the repository or in fastnn/."""
    code = " ".join(IN_CODE.findall(FENCE.sub("", text)))
    places = ROOT, ROOT / "fastnn"
    named = {*FILE_NAME.findall(code)}
    return sorted(name for name in named if not any((place / name).exists() for place in places))


@each_page
def test_named_files_exist(path):
    assert missing_files(path.read_text("utf-8")) == []


@each_page
def test_links_between_pages_lead_to_files(path):
    links = LINK.findall(FENCE.sub("", path.read_text("utf-8")))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_reader_of_file_names():
    text = "`engine/network.py` `fastnn/network.py` `network.py` and fastnn/prose.py\n"
    text += "```python\nopen(`fastnn/unwritten.py`)\n```\n`a` `tests/nowhere.py`\n"
    assert missing_files(text) == ["fastnn/network.py", "tests/nowhere.py"]
