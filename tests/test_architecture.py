"""The rooms of the package stand in an order: a file imports from rooms below it.

Within its room it imports from files before it in the list of `rooms.py`. Imports inside functions
and under `if TYPE_CHECKING` count too, unless they are declared there as exceptions. A library
other than NumPy is imported inside the function that uses it.
"""

import ast
import importlib
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import rooms
from rooms import APART, EMPTY, LAZY_EXCEPTIONS, PACKAGE, PLACE

import fastnn

THIRD_PARTY = {"numpy"}
CYTHON = (".pyx", ".pxi", ".pxd")
CYTHON_OWN = {"cython", "libc", "cpython"}


class Import(NamedTuple):
    module: str  # dotted, absolute: "fastnn.losses", "numpy"
    name: str | None  # what follows `from module import`
    lazy: bool  # inside a function or under `if TYPE_CHECKING`


# Reading a file


def absolute(module, level, place):
    """`..x`, written in native/products/dense, as `fastnn.native.x`; level counts the dots."""
    if level == 0:
        return module
    package = ["fastnn", *place.split("/")[:-1]]
    return ".".join(package[: len(package) + 1 - level] + ([module] if module else []))


def is_lazy_block(node):
    """Whether the statements under this node do not run when the file is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def python_imports(node, place, lazy=False):
    """Every import under an ast node, wherever it stands."""
    if isinstance(node, ast.Import):
        return [Import(alias.name, None, lazy) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = absolute(node.module or "", node.level, place)
        return [Import(module, alias.name, lazy) for alias in node.names]
    lazy = lazy or is_lazy_block(node)
    children = ast.iter_child_nodes(node)
    return [found for child in children for found in python_imports(child, place, lazy)]


FROM_LINE = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+c?import[ \t]+(\([^)]*\)|.*)", re.M)
PLAIN_LINE = re.compile(r"^[ \t]*c?import[ \t]+(.*)", re.M)
DOCSTRING = re.compile(r'""".*?"""', re.S)  # a sentence may begin with "import", too
INCLUDE = re.compile(r'^include[ \t]+"([\w./]+)\.pxi"', re.M)
HEADER_LINE = re.compile(r'^[ \t]*(?:#[ \t]*include|cdef extern from)[ \t]+"([\w./]+)\.h"', re.M)


def names(listed):
    """["a", "b"] of `(a as c,  # why` and `b)`, or of the same on one line."""
    words = re.sub(r"#.*", "", listed).strip("() \t").split(",")
    return [word.split()[0] for word in words if word.strip()]


def cython_imports(source, place):
    """Every import and cimport of a .pyx or .pxd, and the headers of our own it asks for."""
    code = DOCSTRING.sub("", source)
    lines = PLAIN_LINE.findall(code)
    found = [Import(module, None, False) for listed in lines for module in names(listed)]
    for dots, module, listed in FROM_LINE.findall(code):
        module = absolute(module, len(dots), place)
        found += [Import(module, name, False) for name in names(listed)]
    found += [Import(path.replace("/", "."), None, False) for path in INCLUDE.findall(code)]
    return found + header_imports(source)


def header_imports(source):
    """Every `"x.h"`; a header in angle brackets belongs to the compiler."""
    headers = [Path(header).name for header in HEADER_LINE.findall(source)]
    return [Import(f"fastnn.native.simd.{header}", None, False) for header in headers]


def imports(source, place, suffix):
    if suffix in (".py", ".pyi"):
        return python_imports(ast.parse(source), place)
    return cython_imports(source, place) if suffix in CYTHON else header_imports(source)


# Judging what was read


def place_of(dotted):
    """The place of `fastnn.engine.layout`; every build of the core is `_core`."""
    place = "/".join(dotted.split(".")[1:]) or "__init__"
    if place.startswith("_core_"):
        return "_core"
    return place if place in PLACE or f"{place}/__init__" not in PLACE else f"{place}/__init__"


def target(found):
    """`from fastnn import losses` means the file losses, `from fastnn import load` the face."""
    inside = place_of(f"{found.module}.{found.name}")
    return inside if found.name and inside in PLACE else place_of(found.module)


def may_import(place, other):
    """Whether the order of the rooms lets one file import from the other."""
    if place == other:  # a .pyx its .pxd, a .pxd its .h
        return True
    if place not in PLACE or other not in PLACE or PLACE[other] >= PLACE[place]:
        return False
    return (place.split("/")[0], other.split("/")[0]) not in APART


def is_foreign(found, place, suffix):
    """Whether an import asks for a library that may not be loaded here."""
    top = found.module.split(".")[0]
    if top in THIRD_PARTY or top in sys.stdlib_module_names:
        return False
    if suffix in CYTHON and top in CYTHON_OWN:
        return False
    if place.startswith("estimators/") and top in ("sklearn", "scipy"):
        return False  # loaded when the estimators are asked for
    return place == "__init__" or not found.lazy


def violations(source, place, suffix=".py"):
    """One line for each import that breaks the rules."""
    broken = []
    for found in imports(source, place, suffix):
        if found.module.split(".")[0] != "fastnn":
            if is_foreign(found, place, suffix):
                broken.append(f"{place} imports {found.module}, which is not NumPy")
            continue
        other = target(found)
        excepted = found.lazy and (place, other) in LAZY_EXCEPTIONS
        if not excepted and not may_import(place, other):
            broken.append(f"{place} imports from {other}")
    return broken


# The package as it stands

SUFFIXES = (".py", ".pyi", *CYTHON, ".h")
FILES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in SUFFIXES)


def place_at(path):
    return "/".join(path.relative_to(PACKAGE).with_suffix("").parts)


def test_every_file_has_a_place():
    """A new file is added to the list in tests/rooms.py, behind all files that it imports."""
    assert {place_at(path) for path in FILES} - {*PLACE, *EMPTY} == set()


def test_every_place_has_a_file():
    assert set(PLACE) - {place_at(path) for path in FILES} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_imports_only_from_below(path):
    source = path.read_text(encoding="utf-8")
    assert violations(source, place_at(path), path.suffix) == []


@pytest.mark.parametrize("page", rooms.PAGES, ids=lambda path: path.name)
def test_pages_show_the_rooms_as_they_are(page):
    text = page.read_text(encoding="utf-8")
    assert any(begin in text for begin in ("<!-- rooms:begin -->", "<!-- files:begin -->"))
    assert text == rooms.with_tables(text), "run: python tests/rooms.py --write"


@pytest.mark.parametrize("name", rooms.LOOP_FILES)
def test_a_part_of_the_loops_says_what_it_uses_from_the_others(name):
    text = (rooms.LOOPS / f"{name}.pxi").read_text(encoding="utf-8")
    assert text == rooms.with_head(name, text), "run: python tests/rooms.py --write"


def test_a_part_of_the_loops_uses_only_parts_before_it():
    order = {name: i for i, name in enumerate(rooms.LOOP_FILES)}
    included = re.findall(r"loops/([\w/]+)\.pxi", (PACKAGE / "_core.pyx").read_text("utf-8"))
    assert included == rooms.LOOP_FILES
    for name, used in rooms.uses().items():
        assert [other for other in used if order[other] > order[name]] == []


CYTHON_FILES = [path for path in FILES if path.suffix in CYTHON]
PARTS = [PACKAGE / "_core.pyx", *(rooms.LOOPS / f"{name}.pxi" for name in rooms.LOOP_FILES)]


def cimported(path):
    """The names that a file cimports from the package, and its code below."""
    code = rooms.code_of(path.read_text("utf-8"))
    found = {name for _, module, listed in FROM_LINE.findall(code) for name in names(listed)}
    return found, FROM_LINE.sub("", code)


def uses_name(code, name):
    return re.search(rf"(?<![.\w]){name}\b", re.sub(r'"[^"\n]*"', "", code)) is not None


@pytest.mark.parametrize("path", CYTHON_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_cimports_what_it_uses_and_no_more(path):
    """The parts of the core are compiled as one text, where a name of another part is known."""
    own, code = cimported(path)
    assert [name for name in sorted(own) if not uses_name(code, name)] == []
    if path in PARTS:
        others = set().union(*(cimported(part)[0] for part in PARTS)) - own
        assert [name for name in sorted(others) if uses_name(code, name)] == []


def test_the_use_of_other_parts_is_found(monkeypatch, tmp_path):
    """The checker itself: a use that no head says."""
    monkeypatch.setattr(rooms, "LOOPS", tmp_path)
    monkeypatch.setattr(rooms, "LOOP_FILES", ["a", "b"])
    (tmp_path / "a.pxi").write_text('"""A."""\n\ncdef int one(int x) noexcept:\n    return x\n')
    b = '"""B uses one."""\n\ncdef int two() noexcept:\n    return one(1)  # one\n'
    (tmp_path / "b.pxi").write_text(b)
    assert rooms.uses() == {"a": {}, "b": {"a": ["one"]}}
    assert rooms.with_head("b", b).splitlines()[2] == "# from a.pxi: one"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_what_it_is_for(path):
    if place_at(path) not in EMPTY:
        assert 10 <= len(rooms.first_sentence(path)) <= 110


def test_page_about_python_names_all_that_the_face_shows():
    page = (PACKAGE.parent / "docs/api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto\w+:: fastnn\.(\w+)$", page, re.M)
    assert set(fastnn.__all__) - {"__version__"} == set(listed) - {"activations", "plot"}


def test_every_path_that_a_page_names_can_be_imported():
    pytest.importorskip("sklearn")
    pages = [PACKAGE.parent / "README.md", *(PACKAGE.parent / "docs").rglob("*.md")]
    named = set()
    for page in pages:
        if "_build" not in page.parts:
            named |= set(re.findall(r"\bfastnn((?:\.[A-Za-z_]\w*)+)", page.read_text("utf-8")))
    assert len(named) > 20
    for path in sorted(named):
        parts = path.strip(".").split(".")
        if parts[-1] in ("py", "pyx", "pxd", "html", "readthedocs"):
            continue
        found = fastnn
        for i, part in enumerate(parts):
            if not hasattr(found, part):
                importlib.import_module("fastnn." + ".".join(parts[: i + 1]))
            found = getattr(found, part)


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
    ("activations", ".py", "from fastnn.losses import get"),  # behind it in its room
    ("files/npz", ".py", "from fastnn import __version__"),  # the face, from below
    ("files/npz", ".py", "import fastnn"),
    ("files/npz", ".py", "from fastnn.nowhere import x"),
    ("inspection/curves", ".py", "from fastnn.files import npz"),  # rooms side by side
    ("nowhere", ".py", "from fastnn.losses import get"),
    ("models", ".py", "from fastnn.estimators.conversion import estimator_of"),  # when lazy only
    ("training/fit", ".py", "def f():\n    from fastnn.training import learner"),
    ("inspection/curves", ".py", "import matplotlib.pyplot as plt"),
    ("inspection/curves", ".py", "try:\n    from tqdm import tqdm\nexcept ImportError:\n    pass"),
    ("__init__", ".py", "from fastnn.cli.tables import read"),
    ("__init__", ".py", "def f():\n    import matplotlib"),
    ("native/loops/forward", ".pxi", 'include "fastnn/native/loops/minibatch.pxi"'),
    ("_core", ".pyi", "from fastnn.engine.network import Network"),
    ("_core", ".pyx", "from fastnn.engine import network"),
    ("_core", ".pyx", "from scipy.linalg.cython_blas cimport dgemm"),
    ("native/formulas/activations", ".pxd", "from fastnn.native.products.dense cimport forward"),
    ("native/formulas/activations", ".pxd", "from ..products.dense cimport forward"),
    ("native/formulas/activations", ".pxd", "from fastnn.native.formulas cimport losses, nothing"),
    ("native/formulas/activations", ".pxd", "cimport fastnn.native.products.dense as dense"),
    ("native/products/rows", ".pxd", "from fastnn.native.products.tiles cimport Product"),
]

PASSED = [
    ("losses", ".py", "import math\nimport numpy as np\nfrom numpy.typing import NDArray"),
    ("losses", ".py", "from fastnn.activations import get\nfrom .data import checks"),
    ("inspection/curves", ".py", "def f():\n    import matplotlib.pyplot"),
    ("models", ".py", "def f():\n    from fastnn.estimators.conversion import estimator_of"),
    (
        "callbacks/history",
        ".py",
        "def plot():\n    from fastnn.inspection.curves import loss_curves",
    ),
    ("cli/options", ".py", "import fastnn\nfrom fastnn import load"),
    ("__init__", ".py", "from fastnn.models import Sequential\nfrom fastnn.files import npz"),
    ("native/backend", ".py", "from fastnn import _core, _core_v3_float64"),
    (
        "_core",
        ".pyx",
        "from fastnn.native.products.dense cimport forward\nfrom libc.math cimport exp",
    ),
    ("_core", ".pyx", '"""A sentence may\nimport models, too.\n"""'),
    ("_core", ".pyx", 'include "fastnn/native/loops/layout.pxi"'),
    ("native/products/dense", ".pxd", "from ..simd.simd cimport real"),
    ("native/simd/simd", ".pxd", 'cdef extern from "simd.h" nogil:'),
    ("native/simd/simd", ".h", "#include <math.h>"),
]


@pytest.mark.parametrize(("place", "suffix", "source"), CAUGHT)
def test_checker_catches(place, suffix, source):
    assert len(violations(source, place, suffix)) >= 1


@pytest.mark.parametrize(("place", "suffix", "source"), PASSED)
def test_checker_passes(place, suffix, source):
    assert violations(source, place, suffix) == []


# ---- functions of one screen ----

LONGEST = 50  # lines below the signature and the docstring


def body_lines(function: ast.FunctionDef) -> int:
    has_docstring = ast.get_docstring(function) is not None
    statements = function.body[has_docstring:]
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_functions_fit_on_a_screen(path):
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if body_lines(node) > LONGEST] == []
