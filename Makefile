# Everything runs in one virtual environment, .venv, which each target completes as it needs.
# An editable install does not recompile, so every target that runs code first rebuilds what changed.

PYTHON ?= python3
BIN := .venv/bin

EXTRAS_demo := cli,plot
EXTRAS_test := test
EXTRAS_check := check,test
EXTRAS_bench := bench
EXTRAS_docs := docs,plot
EXTRAS_wheel := package

.PHONY: demo test check bench roofline safe sanitize sanitize-threads docs wheel annotate build clean

demo: .venv/demo.stamp build  ## train the reference network in all three modes on real data
	@mkdir -p examples/out
	$(BIN)/fastnn train examples/data/breast_cancer.csv --target diagnosis --hidden 16,8 --mode all --seed 0 --out examples/out/model.npz --plot examples/out/loss_curves.png

test: .venv/test.stamp build  ## the whole test suite, doctests of README, docs and package included
	$(BIN)/pytest

check: .venv/check.stamp build  ## lint, format, types, and the stubs against every build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(BIN):$$PATH" cython-lint fastnn/_core.pyx fastnn/loops/*.pxi fastnn/kernels/*.pxd
	$(BIN)/mypy
	$(BIN)/python tools/check_stubs.py

bench: .venv/bench.stamp build  ## every benchmark, peers as installed; TABLE=file.md keeps the tables
	$(BIN)/pytest bench --benchmark-only $(if $(TABLE),--table $(TABLE))

roofline: .venv/bench.stamp build  ## the most that one core can do: multiply-adds and bytes a second
	$(BIN)/python -m bench.roofline

# A second build with checks of bounds and division: an index out of bounds becomes a failed test.
safe: .venv/test.stamp build
	FASTNN_CHECKS=1 $(BIN)/python setup.py -q build --build-lib build/checked/lib --build-temp build/checked/temp
	PYTHONPATH=build/checked/lib $(BIN)/pytest tests

# A third build under AddressSanitizer and UndefinedBehaviorSanitizer, for the pointer kernels.
SANITIZERS := -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
sanitize: .venv/test.stamp
	CFLAGS="$(SANITIZERS)" LDFLAGS="$(SANITIZERS)" $(BIN)/python setup.py -q build --build-lib build/sanitized/lib --build-temp build/sanitized/temp
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=build/sanitized/lib \
	$(BIN)/pytest tests/test_core.py tests/test_descent.py tests/test_losses.py tests/test_online.py tests/test_optimizers.py tests/test_passes.py tests/test_paths.py tests/test_threads.py tests/test_validation.py

# A fourth build under ThreadSanitizer, which does not follow forks. It ends with 66 if it has written
# a report; CPython and NumPy are not built with it, and need nothing suppressed.
RACES := -g -O1 -fsanitize=thread
sanitize-threads: .venv/test.stamp  ## runs the tests of threads under ThreadSanitizer
	CFLAGS="$(RACES)" LDFLAGS="$(RACES)" $(BIN)/python setup.py -q build --build-lib build/races/lib --build-temp build/races/temp
	LD_PRELOAD="$$(gcc -print-file-name=libtsan.so)" TSAN_OPTIONS="log_path=build/races/report" \
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/races/lib \
	$(BIN)/pytest tests/test_threads.py -k "not forked"

docs: .venv/docs.stamp build  ## the documentation, into docs/_build
	$(BIN)/sphinx-build -q -W docs docs/_build

wheel: .venv/wheel.stamp  ## wheel and source distribution, into dist
	$(BIN)/python -m build --outdir dist .

annotate: .venv/test.stamp  ## the core with every touch of Python marked yellow, build/_core.html
	$(BIN)/cython -a -I . fastnn/_core.pyx -o build/_core.c -X boundscheck=False -X wraparound=False -X initializedcheck=False -X cdivision=True

build: .venv/base.stamp
	@$(BIN)/python setup.py -q build_ext --inplace

clean:
	rm -rf .venv build dist fastnn.egg-info fastnn/*.so docs/_build

.venv/base.stamp:
	@PYTHON="$(PYTHON)" sh tools/check_system.sh
	@echo "Making .venv and compiling fastnn: three to five minutes, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q "setuptools>=77" "Cython>=3.1" "numpy>=2"
	@touch $@

.venv/%.stamp: pyproject.toml | .venv/base.stamp
	@$(BIN)/pip install -q --no-build-isolation -e ".[$(EXTRAS_$*)]"
	@touch $@
