"""The builds of the core: which one is chosen, how to pin one, what makes them compile again."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from networks import BUILDS, RUNNABLE, core_of

import fastnn
from fastnn.native.backend import DTYPES, builds_present

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fastnn"
PARTS = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.glob("*/*.px[di]"))

needs_checkout = pytest.mark.skipif(
    importlib.util.find_spec("Cython") is None or not (ROOT / "build" / "plain" / "lib").exists(),
    reason="needs a checkout that was built in place, and Cython",
)


def run_python(code, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_best_build_of_this_cpu_is_in_use():
    if "FASTNN_ISA" not in os.environ:
        assert fastnn.show_config("dicts")["SIMD"]["in use"] == RUNNABLE[-1]


@pytest.mark.parametrize("isa", RUNNABLE)
def test_a_build_can_be_pinned(isa):
    code = "import fastnn; print(fastnn.show_config('dicts')['SIMD']['in use'])"
    assert run_python(code, FASTNN_ISA=isa).stdout.strip() == isa


def test_an_unknown_build_is_a_clear_error():
    result = run_python("import fastnn", FASTNN_ISA="v9")
    assert result.returncode == 1
    assert "FASTNN_ISA='v9' cannot be used here" in result.stderr
    assert RUNNABLE[-1] in result.stderr


@pytest.mark.parametrize(("isa", "dtype"), BUILDS)
def test_each_build_has_its_number_type_and_a_vector_width(isa, dtype):
    compiler, vector_bytes, number_bytes = core_of(isa, dtype).build_info()
    assert number_bytes == {"float32": 4, "float64": 8}[dtype]
    assert vector_bytes == {"base": 16, "v3": 32, "v4": 64}[isa]
    assert compiler


def test_show_config_prints_sections(capsys):
    fastnn.show_config()
    printed = capsys.readouterr().out
    assert "SIMD:" in printed and fastnn.__version__ in printed
    with pytest.raises(ValueError, match="expected 'stdout' or 'dicts'"):
        fastnn.show_config("json")


def test_import_needs_numpy_alone():
    absent = ["matplotlib", "pyarrow", "tqdm", "scipy", "sklearn"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "import fastnn\n"
        "print(*sorted(name for name in sys.modules if name.startswith('fastnn.')))"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert "fastnn.models" in result.stdout.split()
    last_rooms = {"fastnn.tables", "fastnn.inspection.curves", "fastnn.commands", "fastnn.cli"}
    assert not last_rooms & set(result.stdout.split())


def test_a_missing_core_says_what_to_do():
    result = run_python("import sys; sys.modules['fastnn._core'] = None; import fastnn")
    assert result.returncode == 1
    assert "compiled core cannot be loaded" in result.stderr
    assert "pip install -e ." in result.stderr


WITHOUT = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest, **named: (
    None if name in {absent} else find(name, *rest, **named)
)
import fastnn
"""


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_missing_build_is_an_error_and_no_slower_build_runs_in_its_place(dtype):
    """As in a program that was frozen without the modules whose names are computed."""
    isa = RUNNABLE[-1]
    absent = core_of(isa, dtype).__name__
    if absent == "fastnn._core":
        pytest.skip("this CPU runs the baseline alone")
    result = run_python(WITHOUT.format(absent=[absent]), FASTNN_ISA="")
    assert result.returncode == 1
    assert f"lacks builds of its core that this CPU can run: {absent}." in result.stderr


def test_a_build_that_is_pinned_needs_no_other():
    others = [core_of(isa, dtype).__name__ for isa, dtype in BUILDS if isa != "base"]
    result = run_python(WITHOUT.format(absent=others), FASTNN_ISA="base")
    assert result.returncode == 0, result.stderr


def sources():
    """The core and its copies, one for each build but the first."""
    return ["fastnn/_core.pyx", *map(str, Path("build/plain/fastnn").glob("_core_*.pyx"))]


@needs_checkout
@pytest.mark.parametrize("changed", PARTS)
def test_a_changed_part_makes_every_build_translate_again(changed, copy_of_checkout):
    """Cython translates again what is older than its newest dependency."""
    later = time.time() + 100
    os.utime(copy_of_checkout / "fastnn" / changed, (later, later))
    assert len(sources()) == len(builds_present()) * len(DTYPES)
    code = (
        "from Cython.Build.Dependencies import create_dependency_tree\n"
        "tree = create_dependency_tree(quiet=True)\n"
        f"print(*(tree.newest_dependency(source)[1] for source in {sources()}))"
    )
    newest = run_python(code, cwd=copy_of_checkout).stdout.split()
    assert [Path(name).name for name in newest] == [Path(changed).name] * len(sources())


@pytest.fixture
def compiled(copy_of_checkout, tmp_path, monkeypatch):
    """Runs Python with a compiler that only writes down what it is asked for; counts the lines."""
    log = tmp_path / "compiled"
    compiler = tmp_path / "bin" / sysconfig.get_config_var("CC").split()[0]
    compiler.parent.mkdir()
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *" -c "*) echo "$*" >> ' + f"{log} ;; esac\n"
        'while [ "$1" != -o ]; do shift; done\ntouch "$2"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}{os.pathsep}{os.environ['PATH']}")

    def count(*arguments):
        log.write_text("")
        result = subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True, text=True
        )
        return len(log.read_text().splitlines()), result.stdout

    return count


IN_PLACE = "setup.py", "-q", "build_ext", "--inplace"


@needs_checkout
def test_a_changed_header_makes_every_build_compile_again(copy_of_checkout, compiled):
    assert compiled(*IN_PLACE) == (0, "")
    for header in ("simd.h", "team.h"):
        (copy_of_checkout / "fastnn" / "native" / "simd" / header).touch()
        number, printed = compiled(*IN_PLACE)
        assert number == len(sources())
        for i in range(number):
            assert f"[{i + 1}/{number}] " in printed


@needs_checkout
def test_an_editable_install_uses_what_was_compiled_in_place(copy_of_checkout, compiled):
    code = "from setuptools.build_meta import build_editable; build_editable('wheel')"
    assert compiled("-c", code)[0] == 0
    assert list(copy_of_checkout.glob("wheel/fastnn_cpu-*.whl"))


@pytest.fixture
def copy_of_checkout(tmp_path, monkeypatch):
    """A built checkout, with all its times, as the working folder."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy)
    for folder in (PACKAGE, ROOT / "build" / "plain"):
        shutil.copytree(folder, copy / folder.relative_to(ROOT))
    monkeypatch.chdir(copy)
    return copy
