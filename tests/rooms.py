"""The rooms of the package, from bottom to top: the one place where their order stands.

A file imports only from rooms below its own or, within its room, from files before it in the list.
`python tests/rooms.py --write` rewrites the tables of rooms in the pages that show them, and what
each .pxi says that it uses from the others.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fastnn"
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "design" / "house.md"]
BLOCK = "<!-- {0}:begin -->", "<!-- {0}:end -->"  # what is written between two such lines

# A room: its name, what it is for, and its files, in their order.
ROOMS = [
    (
        "native/simd",
        "number and vector types, elementary functions, the barrier of a team",
        "simd team elementary",
    ),
    (
        "native/formulas",
        "each formula once, for a vector, with its derivative under it",
        "activations losses by_lane update dropout",
    ),
    (
        "native/products",
        "rows of X, and the products of rows and weights",
        "rows tiles dense one_unit narrow",
    ),
    (
        "native/per_sample",
        "the kernels of per-sample descent",
        "active_rows one_row moving_rows sweep held_output gram tiny",
    ),
    (
        "native/loops",
        "the loops over rows, parts of `_core.pyx`",
        "layout narrow record forward backpropagation minibatch per_sample/layout "
        "per_sample/upper_layers per_sample/first_layer per_sample/tiny per_sample/epoch snapshot",
    ),
    ("", "the one extension, in several builds, and what it offers to Python", "_core"),
    ("", "what `setup.py` knows too", "_version"),
    ("native", "which build runs, on how many threads", "threads team backend"),
    (
        "data",
        "checks of what users pass in, and rows",
        "checks rows columns arrays class_weights sources",
    ),
    (
        "",
        "the words that users know",
        "activations initializers regularizers schedules losses optimizers metrics layers custom",
    ),
    (
        "engine",
        "the network in memory, backpropagation, gradient descent",
        "layout network backpropagation record divergence line_search per_sample gradient_descent "
        "single_row",
    ),
    ("files", "models as files", "config npz arrays description"),
    (
        "inspection",
        "looking at networks and fits",
        "style curves surfaces diagrams summary learning_rates gradcheck writing chain_rule trace "
        "update diagnosis",
    ),
    (
        "callbacks",
        "what `fit` calls between its steps",
        "history base monitor stopping learning_rate checkpoint csv_logger progress "
        "gradient_monitor path_recorder __init__",
    ),
    (
        "training",
        "a fit, and the learner that both spellings share",
        "plan row_checks evaluation fit lbfgs trial learner",
    ),
    ("", "Keras's spelling", "models"),
    (
        "estimators",
        "scikit-learn's spelling",
        "random_state convergence parameters sparse_rows base classifier regressor features "
        "__init__ conversion",
    ),
    ("", "pictures", "plot"),
    ("", "what `import fastnn` shows", "__init__"),
    ("cli", "the command line", "tables commands options __init__"),
    ("", "`python -m fastnn`", "__main__"),
    ("_pyinstaller", "for frozen programs", "__init__ hook-fastnn"),
]
PLACE = {
    f"{room}/{name}" if room else name: (level, place)
    for level, (room, _, names) in enumerate(ROOMS)
    for place, name in enumerate(names.split())
}
# `files` and `inspection` lie side by side.
APART = {("inspection", "files")}
# Packages without anything of their own.
EMPTY = {
    f"{name}/__init__"
    for name in (
        "data",
        "engine",
        "files",
        "inspection",
        "native",
        "training",
        "native/simd",
        "native/formulas",
        "native/products",
        "native/per_sample",
    )
}
# Sequential.as_estimator, and the types that it returns.
LAZY_EXCEPTIONS = {("models", "estimators/conversion"), ("models", "estimators/__init__")}


def paths_of(name: str) -> list[Path]:
    """The files of a place in the list: `simd.h` and `simd.pxd` are two of them."""
    paths = [PACKAGE / f"{name}{suffix}" for suffix in (".h", ".pxd", ".pxi", ".pyx", ".py")]
    return [path for path in paths if path.exists()]


def first_sentence(path: Path) -> str:
    """The first sentence of a file's docstring or, in C, of the comment at its beginning."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".h":
        found = re.match(r"/\*(.*?)\*/", text, re.S)
        text = re.sub(r"^ \*", "", found.group(1), flags=re.M) if found else ""
    else:
        found = re.match(r'\s*"""(.*?)"""', text, re.S)
        text = found.group(1) if found else ""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=\S\.)\s", paragraph)[0]


def rooms_table() -> str:
    """The rooms as a Markdown table, from top to bottom."""
    lines = ["| room | for | files |", "|---|---|---|"]
    for room, purpose, names in reversed(ROOMS):
        title = f"`{room}/`" if room else "`fastnn/`"
        listed = ", ".join(f"`{name}`" for name in names.split())
        lines.append(f"| {title} | {purpose} | {listed} |")
    return "\n".join(lines)


def files_table() -> str:
    """Every file with the first sentence of its docstring, from top to bottom."""
    lines = ["| file in `fastnn/` | what it is |", "|---|---|"]
    for room, _, names in reversed(ROOMS):
        for name in names.split():
            for path in paths_of(f"{room}/{name}" if room else name):
                said = first_sentence(path).replace("|", "\\|").replace("*", "\\*")
                lines.append(f"| `{path.relative_to(PACKAGE).as_posix()}` | {said} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """The text of a page with the tables that it has as they should be."""
    for name, table in (("rooms", rooms_table), ("files", files_table)):
        begin, end = (line.format(name) for line in BLOCK)
        if begin in page:
            before, rest = page.split(begin)
            page = f"{before}{begin}\n{table()}\n{end}{rest.split(end)[1]}"
    return page


# ---- what each .pxi uses from the others --------------------------------------------------------

LOOPS = PACKAGE / "native" / "loops"
LOOP_FILES = [name for room, _, names in ROOMS if room == "native/loops" for name in names.split()]
DEFINED = re.compile(
    r"^cdef (?:inline )?(?:struct|enum) (\w+)|^cdef [^\n(=]*?(\w+)\(|"
    r"^cdef \w+ (\w+) =",
    re.M,
)
ENUM = re.compile(r"^cdef enum[^\n]*\n((?:    .*\n)+)", re.M)


def code_of(text: str) -> str:
    """Cython source without docstrings and comments."""
    return re.sub(r"#[^\n]*", "", re.sub(r'""".*?"""', "", text, flags=re.S))


def definitions(text: str) -> set[str]:
    """What a .pxi defines at its top level."""
    found = {name for names in DEFINED.findall(text) for name in names if name}
    for members in ENUM.findall(text):
        found |= set(re.findall(r"^    (\w+)", members, re.M))
    return found


def uses() -> dict[str, dict[str, list[str]]]:
    """For each .pxi the names that it uses from each other one."""
    codes = {name: code_of((LOOPS / f"{name}.pxi").read_text("utf-8")) for name in LOOP_FILES}
    defined = {name: definitions(code) for name, code in codes.items()}
    found: dict[str, dict[str, list[str]]] = {}
    for name, code in codes.items():
        words = set(re.findall(r"(?<![.\w])\w+", code)) - defined[name]
        cimported = {
            word
            for line in re.findall(r"cimport ([^()\n]*|\([^)]*\))", code)
            for word in re.findall(r"\w+", line)
        }
        found[name] = {
            other: sorted((words - cimported) & names)
            for other, names in defined.items()
            if other != name and (words - cimported) & names
        }
    return found


def head_of(name: str) -> str:
    """The lines in which a .pxi says what it uses from the others."""
    lines = []
    for other, names in uses()[name].items():
        line = f"# from {other}.pxi:"
        for i, word in enumerate(names):
            word += "," if i < len(names) - 1 else ""
            if len(line) + len(word) + 1 > 100:
                lines.append(line)
                line = "#    "
            line += f" {word}"
        lines.append(line)
    return "\n".join(lines)


HEAD = re.compile(r"(?:^# from [\w/]+\.pxi:.*\n(?:^#     .*\n)*)+", re.M)


def with_head(name: str, text: str) -> str:
    """The source of a .pxi with its head as it should be, behind the docstring."""
    text = HEAD.sub("", text)
    head = head_of(name)
    end = text.index('"""', 3) + 3
    rest = text[end:].lstrip("\n")
    return f"{text[:end]}\n\n{head}\n\n{rest}" if head else f"{text[:end]}\n\n{rest}"


def main() -> None:
    if "--write" not in sys.argv:
        sys.exit("usage: python tests/rooms.py --write")
    for page in PAGES:
        page.write_text(with_tables(page.read_text("utf-8")), "utf-8")
    for name in LOOP_FILES:
        path = LOOPS / f"{name}.pxi"
        text = path.read_text("utf-8")
        if with_head(name, text) != text:  # what is written is compiled again
            path.write_text(with_head(name, text), "utf-8")


if __name__ == "__main__":
    main()
