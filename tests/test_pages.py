"""The pages: rows of tables have all their cells; names, files and links lead somewhere."""

import importlib
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


# ---- names, files and links ----

IN_CODE = re.compile(r"`([^`\n]+)`|^\.\. auto\w+:: (\S+)", re.M)
DOTTED = re.compile(r"(?<![\w/.-])fastnn(?:\.[A-Za-z_]\w*)+")
FILE_NAME = re.compile(
    r"(?<![\w/.<-])(?:[\w.-]+/)+[\w.-]*\w\.(?:py|pyi|pyx|pxi|pxd|h|md|toml)(?!\w)"
)
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
SUFFIX = re.compile(r"\.(py|pyi|pyx|pxi|pxd|h|md|npz)$")


def in_code(text):
    """What a page has in code font or shows by autodoc."""
    text = FENCE.sub(lambda fence: fence[0].strip("`") if "{eval-rst}" in fence[0] else "", text)
    return [code or shown for code, shown in IN_CODE.findall(text)]


def exists(dotted):
    """Whether a dotted path can be imported, the last of its names as attributes."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for name in parts[n:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def missing_names(text):
    """The dotted paths below `fastnn` that lead nowhere."""
    paths = {path for code in in_code(text) for path in DOTTED.findall(code)}
    return sorted(path for path in paths if not SUFFIX.search(path) and not exists(path))


def missing_files(text):
    """The files that are named with a folder and do not exist, in the repository or in fastnn/."""
    named = {name for code in in_code(text) for name in FILE_NAME.findall(code)}
    places = ROOT, ROOT / "fastnn"
    return sorted(name for name in named if not any((place / name).exists() for place in places))


@each_page
def test_dotted_paths_can_be_imported(path):
    assert missing_names(path.read_text("utf-8")) == []


@each_page
def test_named_files_exist(path):
    assert missing_files(path.read_text("utf-8")) == []


@each_page
def test_links_between_pages_lead_to_files(path):
    links = LINK.findall(FENCE.sub("", path.read_text("utf-8")))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_reader_of_names_and_files():
    text = "`fastnn.losses.LossName`, `fastnn.nothing`, fastnn.prose\n"
    text += "```{eval-rst}\n.. autoclass:: fastnn.Dense\n.. autoclass:: fastnn.Sparse\n```\n"
    text += "`engine/network.py` `fastnn/network.py` `network.py`\n"
    text += "```python\nfastnn.unwritten `fastnn.unwritten`\n```\n"
    assert missing_names(text) == ["fastnn.Sparse", "fastnn.nothing"]
    assert missing_files(text) == ["fastnn/network.py"]
