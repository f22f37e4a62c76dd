"""The house has floors: a file imports from floors below it or, on its own floor, from its left.

Imports inside functions and under `if TYPE_CHECKING` count too, unless listed in LAZY_EXCEPTIONS.
A library other than NumPy is imported inside the function that uses it.
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import fastnn

PACKAGE = Path(__file__).resolve().parent.parent / "fastnn"

KERNELS = "elementary rows activations losses across tiles dense unit narrow dropout update"
KERNELS += " sample single tiny"
LOOPS = "network narrow passes descent samples above first tiny stochastic"
FLOORS = [
    ["kernels/simd", "kernels/team"],
    [f"kernels/{name}" for name in KERNELS.split()],
    [f"loops/{name}" for name in LOOPS.split()],
    ["_core"],
    ["_version", "_threads", "_team", "_backend", "_validation"],
    ["columns", "activations", "losses", "own_loss", "class_weights"]
    + ["initializers", "regularizers", "schedules", "optimizers", "metrics", "own_metric"],
    ["layers", "network", "passes", "inputs"],
    ["configs", "files", "divergence", "paths", "steps", "descent", "rate_search", "online"]
    + ["saving", "sources"],
    ["history", "hooks", "progress", "monitors", "callbacks", "evaluation", "training", "lbfgs"]
    + ["drawn", "convergence", "summary", "arguments"],
    ["models", "parameters", "rowset", "perceptron", "estimators"],
    ["tables", "plots", "commands", "cli", "__main__", "_pyinstaller/hook-fastnn"],
]
PLACE = {room: (floor, i) for floor, rooms in enumerate(FLOORS) for i, room in enumerate(rooms)}

FACE = "__init__"  # `import fastnn` shows floors 3 to 8; the top floor stands on it
FACE_FLOORS = range(4, 10)
TOP = len(FLOORS) - 1
CORRIDORS = {"kernels/__init__", "_pyinstaller/__init__"}  # make a package, import nothing of ours

LAZY_EXCEPTIONS = {("history", "plots"), ("models", "estimators")}  # history.plot(), as_estimator
# loaded when the estimators are asked for
SUBCLASSES_SKLEARN = "parameters", "rowset", "perceptron", "estimators"
THIRD_PARTY = {"numpy"}
CYTHON = (".pyx", ".pxi", ".pxd")
CYTHON_OWN = {"cython", "libc", "cpython"}


class Import(NamedTuple):
    module: str  # dotted, absolute: "fastnn.losses", "numpy"
    name: str | None  # what follows `from module import`
    lazy: bool  # inside a function or under `if TYPE_CHECKING`


# Reading a file


def absolute(module, level, room):
    """`..x`, written in kernels/dense, as `fastnn.x`; level is the number of dots."""
    if level == 0:
        return module
    package = ["fastnn", *room.split("/")[:-1]]
    return ".".join(package[: len(package) + 1 - level] + ([module] if module else []))


def is_lazy_block(node):
    """Whether the statements under this node do not run when the file is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def python_imports(node, room, lazy=False):
    """Every import under an ast node, wherever it stands."""
    if isinstance(node, ast.Import):
        return [Import(alias.name, None, lazy) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = absolute(node.module or "", node.level, room)
        return [Import(module, alias.name, lazy) for alias in node.names]
    lazy = lazy or is_lazy_block(node)
    children = ast.iter_child_nodes(node)
    return [found for child in children for found in python_imports(child, room, lazy)]


FROM_LINE = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+c?import[ \t]+(\([^)]*\)|.*)", re.M)
PLAIN_LINE = re.compile(r"^[ \t]*c?import[ \t]+(.*)", re.M)
DOCSTRING = re.compile(r'""".*?"""', re.S)  # a sentence may begin with "import", too
INCLUDE = re.compile(r'^include[ \t]+"([\w./]+)\.pxi"', re.M)
HEADER_LINE = re.compile(r'^[ \t]*(?:#[ \t]*include|cdef extern from)[ \t]+"([\w./]+)\.h"', re.M)


def names(listed):
    """["a", "b"] of `(a as c,  # why` and `b)`, or of the same on one line."""
    words = re.sub(r"#.*", "", listed).strip("() \t").split(",")
    return [word.split()[0] for word in words if word.strip()]


def cython_imports(source, room):
    """Every import and cimport of a .pyx or .pxd, and the headers of our own it asks for."""
    code = DOCSTRING.sub("", source)
    lines = PLAIN_LINE.findall(code)
    found = [Import(module, None, False) for listed in lines for module in names(listed)]
    for dots, module, listed in FROM_LINE.findall(code):
        module = absolute(module, len(dots), room)
        found += [Import(module, name, False) for name in names(listed)]
    found += [Import(path.replace("/", "."), None, False) for path in INCLUDE.findall(code)]
    return found + header_imports(source)


def header_imports(source):
    """Every `"x.h"`; a header in angle brackets belongs to the compiler."""
    headers = [Path(header).name for header in HEADER_LINE.findall(source)]
    return [Import(f"fastnn.kernels.{header}", None, False) for header in headers]


def imports(source, room, suffix):
    if suffix in (".py", ".pyi"):
        return python_imports(ast.parse(source), room)
    return cython_imports(source, room) if suffix in CYTHON else header_imports(source)


# Judging what was read


def room_of(dotted):
    """The room of `fastnn.kernels.dense`; every build of the core is `_core`."""
    room = "/".join(dotted.split(".")[1:]) or FACE
    return "_core" if room.startswith("_core_") else room


def target(found):
    """`from fastnn import losses` means the file losses, `from fastnn import load` the face."""
    inside = room_of(f"{found.module}.{found.name}")
    return inside if found.name and inside in PLACE else room_of(found.module)


def may_import(room, other):
    """Whether the floors let one room import from the other."""
    if room == other:  # a .pyx its .pxd, a .pxd its .h
        return True
    if room == FACE:
        return other in PLACE and PLACE[other][0] in FACE_FLOORS
    if other == FACE:
        return room in PLACE and PLACE[room][0] == TOP
    return room in PLACE and other in PLACE and PLACE[other] < PLACE[room]


def is_foreign(found, room, suffix):
    """Whether an import asks for a library that may not be loaded here."""
    top = found.module.split(".")[0]
    if top in THIRD_PARTY or top in sys.stdlib_module_names:
        return False
    if suffix in CYTHON and top in CYTHON_OWN:
        return False
    if room in SUBCLASSES_SKLEARN and top in ("sklearn", "scipy"):
        return False
    return room == FACE or not found.lazy


def violations(source, room, suffix=".py"):
    """One line for each import that breaks the rules."""
    broken = []
    for found in imports(source, room, suffix):
        if found.module.split(".")[0] != "fastnn":
            if is_foreign(found, room, suffix):
                broken.append(f"{room} imports {found.module}, which is not NumPy")
            continue
        other = target(found)
        excepted = found.lazy and (room, other) in LAZY_EXCEPTIONS
        if not excepted and not may_import(room, other):
            broken.append(f"{room} imports from {other}")
    return broken


# The house as it stands

SUFFIXES = (".py", ".pyi", *CYTHON, ".h")
FILES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in SUFFIXES)


def room_at(path):
    return room_of(".".join(["fastnn", *path.relative_to(PACKAGE).with_suffix("").parts]))


def test_every_file_has_a_floor():
    assert {room_at(path) for path in FILES} - {*PLACE, FACE, *CORRIDORS} == set()


def test_every_room_of_the_table_has_a_file():
    assert {*PLACE, FACE} - {room_at(path) for path in FILES} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_imports_only_from_below(path):
    source = path.read_text(encoding="utf-8")
    assert violations(source, room_at(path), path.suffix) == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_tables_of_the_floors_know_every_python_file(page):
    text = (PACKAGE.parent / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^\| \d .*", text, re.M))))
    assert {room for room in PLACE if "/" not in room} - named <= {"__main__"}


def test_page_about_python_names_all_that_the_face_shows():
    page = (PACKAGE.parent / "docs/api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto\w+:: fastnn\.(\w+)$", page, re.M)
    assert set(fastnn.__all__) - {"__version__"} == set(listed) - {"activations"}


# The checker itself: made-up files that must be caught, and some that must not

CAUGHT = [
    ("losses", ".py", "from fastnn.models import Sequential"),
    ("losses", ".py", "from fastnn import models"),
    ("losses", ".py", "import fastnn.models as m"),
    ("losses", ".py", "from .models import Sequential"),
    ("losses", ".py", "from . import models"),
    ("losses", ".py", "def f():\n    from fastnn import models"),
    ("losses", ".py", "class A:\n    from fastnn import models"),
    ("losses", ".py", "if TYPE_CHECKING:\n    from fastnn import models"),
    ("activations", ".py", "from fastnn.losses import get"),  # to its right
    ("files", ".py", "from fastnn import __version__"),  # the face, from below
    ("files", ".py", "import fastnn"),
    ("files", ".py", "from fastnn.nowhere import x"),
    ("nowhere", ".py", "from fastnn.losses import get"),
    ("history", ".py", "from fastnn import plots"),  # excepted when lazy only
    ("models", ".py", "def f():\n    from fastnn import plots"),
    ("plots", ".py", "import matplotlib.pyplot as plt"),
    ("plots", ".py", "try:\n    from tqdm import tqdm\nexcept ImportError:\n    pass"),
    ("__init__", ".py", "from fastnn.tables import read"),
    ("__init__", ".py", "from fastnn._core import sgd"),
    ("__init__", ".py", "def f():\n    import matplotlib"),
    ("kernels/__init__", ".py", "from fastnn.kernels import simd"),
    ("_core", ".pyi", "from fastnn.network import Network"),
    ("_core", ".pyx", "from fastnn import network"),
    ("_core", ".pyx", "from scipy.linalg.cython_blas cimport dgemm"),
    ("kernels/activations", ".pxd", "from fastnn.kernels.dense cimport forward"),
    ("kernels/activations", ".pxd", "from .dense cimport forward"),
    ("kernels/activations", ".pxd", "from fastnn.kernels cimport simd, dense"),
    ("kernels/activations", ".pxd", "from fastnn.kernels cimport (\n    simd,  # a\n    dense,\n)"),
    ("kernels/activations", ".pxd", "cimport fastnn.kernels.dense as dense"),
    ("kernels/activations", ".pxd", 'cdef extern from "dense.h" nogil:'),
    ("loops/passes", ".pxi", 'include "fastnn/loops/stochastic.pxi"'),
    ("kernels/simd", ".h", '#include "team.h"'),
]

PASSED = [
    ("losses", ".py", "import math\nimport numpy as np\nfrom numpy.typing import NDArray"),
    ("losses", ".py", "from fastnn.activations import get\nfrom . import _validation"),
    ("plots", ".py", "def f():\n    import matplotlib.pyplot"),
    ("history", ".py", "def plot():\n    from fastnn import plots"),
    ("cli", ".py", "import fastnn\nfrom fastnn import load"),
    ("__init__", ".py", "from fastnn.models import Sequential\nfrom fastnn import files"),
    ("_backend", ".py", "from fastnn import _core, _core_v3_float64"),
    ("_core", ".pyx", "from fastnn.kernels.dense cimport forward\nfrom libc.math cimport exp"),
    ("_core", ".pyx", '"""A sentence may\nimport models, too.\n"""'),
    ("_core", ".pyx", 'include "fastnn/loops/stochastic.pxi"'),
    ("kernels/dense", ".pxd", "from ..kernels.simd cimport real"),
    ("kernels/simd", ".pxd", 'cdef extern from "simd.h" nogil:'),
    ("kernels/simd", ".h", "#include <math.h>"),
]


@pytest.mark.parametrize(("room", "suffix", "source"), CAUGHT)
def test_checker_catches(room, suffix, source):
    assert len(violations(source, room, suffix)) == 1


@pytest.mark.parametrize(("room", "suffix", "source"), PASSED)
def test_checker_passes(room, suffix, source):
    assert violations(source, room, suffix) == []


# ---- short functions ----

LONGEST = 25  # lines below the signature and the docstring


def body_lines(function: ast.FunctionDef) -> int:
    has_docstring = ast.get_docstring(function) is not None
    statements = function.body[has_docstring:]
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_functions_are_short(path):
    functions = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    ]
    assert [node.name for node in functions if body_lines(node) > LONGEST] == []
