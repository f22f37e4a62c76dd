"""The builds of the core: which one is chosen, how to pin one, what makes them compile again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from networks import BUILDS, RUNNABLE, core_of

import fastnn

PACKAGE = Path(__file__).parents[1] / "fastnn"


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
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
    code = (
        "import sys; sys.modules.update(dict.fromkeys("
        "['matplotlib', 'pyarrow', 'tqdm', 'scipy', 'sklearn']));"
        "import fastnn; print(sorted({n.split('.')[0] for n in sys.modules} & "
        "{'argparse', 'fastnn', 'concurrent'}))"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_every_kernel_file_makes_the_core_compile_again():
    dependencies = pytest.importorskip("Cython.Build.Dependencies")
    tree = dependencies.create_dependency_tree(quiet=True)
    folder = os.getcwd()
    os.chdir(PACKAGE.parent)
    try:
        found = {Path(name).name for name in tree.all_dependencies("fastnn/_core.pyx")}
    finally:
        os.chdir(folder)
    kernels = {path.name for path in (PACKAGE / "kernels").glob("*.pxd")}
    assert kernels <= found
    assert "simd.h" in (PACKAGE.parent / "setup.py").read_text()
