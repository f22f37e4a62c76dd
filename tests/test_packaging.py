"""What is installed under which name: extras, messages, other projects, frozen programs."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastnn
from fastnn._version import name_conflict

PACKAGE = Path(fastnn.__file__).parent
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SUFFIXES = (".py", ".pyi", ".pyx", ".md", ".toml", ".sh", ".cff")
FOLDERS = ("fastnn", "docs", "tests", "examples", "bench", "tools")
PAGES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
PAGES += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "setup.py", ROOT / "Makefile"]
PAGES = [path for path in PAGES if path.suffix in SUFFIXES or path.name == "Makefile"]
PAGES = [path for path in PAGES if path != Path(__file__) and "_build" not in path.parts]


def library(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def libraries_of(extra):
    """Names of the libraries that an extra brings, itself or by the extras that it names."""
    tool = runpy.run_path(str(ROOT / "tools" / "install_requirements.py"))
    return {library(requirement) for requirement in tool["required_by"]([extra])}


# ---- names ----


def test_the_name_on_the_index_is_not_that_of_another_project():
    assert PROJECT["name"] == "fastnn-cpu"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_sends_the_reader_to_the_other_project(path):
    text = path.read_text("utf-8")
    assert re.findall(r"pip install [^\n`]*\bfastnn(?!-cpu)\b", text) == []
    assert re.findall(r"\bfastnn\[", text) == []


def test_every_library_that_a_message_names_is_one_of_an_extra():
    known = set().union(*map(libraries_of, PROJECT["optional-dependencies"]))
    named = []
    for path in PACKAGE.rglob("*.py"):
        named += re.findall(r"pip install ([\w-]+)", path.read_text("utf-8"))
    named = [name for name in named if name != "-e"]  # "pip install -e ."
    assert {"matplotlib", "pyarrow", "scikit-learn", "scipy", "tqdm"} == set(named) <= known


def test_extras_of_users_bring_only_what_the_code_imports():
    code = " ".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.M))
    for extra in ("cli", "plot", "lbfgs", "sklearn"):
        names = {name.replace("scikit-learn", "sklearn") for name in libraries_of(extra)}
        assert names <= imported, extra


def test_an_extra_may_name_others():
    assert {"matplotlib", "pyarrow", "pytest", "scikit-learn"} <= libraries_of("test")
    assert not {name for name in libraries_of("test") if name.startswith("fastnn")}


def pretend_installed(folder, record):
    info = folder / "fastnn-0.4.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fastnn\nVersion: 0.4.0\n")
    (info / "RECORD").write_text(record)


def test_another_project_in_the_same_folder_is_shown(tmp_path, monkeypatch, capsys):
    pretend_installed(tmp_path, "fastnn/__init__.py,,\nfastnn-0.4.0.dist-info/METADATA,,\n")
    assert "conflict" not in fastnn.show_config("dicts")["fastnn"]
    monkeypatch.syspath_prepend(tmp_path)
    assert "fastnn 0.4.0 is another project" in fastnn.show_config("dicts")["fastnn"]["conflict"]
    fastnn.show_config()
    assert '"pip uninstall fastnn fastnn-cpu"' in capsys.readouterr().out


def test_an_editable_install_under_the_former_name_is_no_conflict(tmp_path):
    pretend_installed(tmp_path, "__editable__.fastnn-0.1.0.pth,,\n../../../bin/fastnn,,\n")
    assert name_conflict([str(tmp_path)]) is None


# ---- frozen programs ----


def test_the_hook_for_pyinstaller_names_every_build():
    folder = runpy.run_path(str(PACKAGE / "_pyinstaller" / "__init__.py"))["hook_dirs"]()[0]
    named = runpy.run_path(str(Path(folder, "hook-fastnn.py")))["hiddenimports"]
    files = [path for path in PACKAGE.glob("_core*") if path.suffix in (".so", ".pyd")]
    assert sorted(named) == sorted({f"fastnn.{path.name.split('.')[0]}" for path in files})


def test_only_the_builds_are_imported_by_computed_names():
    """PyInstaller reads import statements; for anything else the hook would have to grow."""
    computed = re.compile(r"\b(?:import_module|__import__|run_module|run_path)\(")
    files = [path for path in PACKAGE.rglob("*.py") if computed.search(path.read_text("utf-8"))]
    assert [path.name for path in files] == ["backend.py"]


def test_the_hook_is_found_by_its_entry_point():
    entry = PROJECT["entry-points"]["pyinstaller40"]["hook-dirs"]
    assert entry == "fastnn._pyinstaller:hook_dirs"


# ---- a machine that lacks something ----


def test_what_a_bare_machine_lacks_is_named(tmp_path):
    """In a PATH without any command; every fault is named at once, with the package to install."""
    result = subprocess.run(
        [shutil.which("sh"), str(ROOT / "tools" / "check_system.sh")],
        env={"PATH": str(tmp_path), "PYTHON": "python3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Python 3.11 or later, as 'python3'" in result.stderr
    assert "a C compiler, 'cc'" in result.stderr
    assert "apt-get install gcc" in result.stderr


def test_the_compiler_that_is_looked_for_is_the_one_that_will_be_called(tmp_path):
    result = subprocess.run(
        [shutil.which("sh"), str(ROOT / "tools" / "check_system.sh")],
        env={"PATH": str(tmp_path), "PYTHON": sys.executable, "CC": "other-cc -g"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "a C compiler, 'other-cc'" in result.stderr
