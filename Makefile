# Everything runs in one virtual environment, .venv, to which each target adds the libraries it needs.
# fastnn is compiled once, in place, for all targets; `build` compiles again what has changed.

PYTHON ?= python3
BIN := .venv/bin

EXTRAS_demo := cli plot
EXTRAS_test := test
EXTRAS_check := check test
EXTRAS_bench := bench
EXTRAS_docs := docs plot sklearn
EXTRAS_wheel := package

.PHONY: demo test check bench roofline safe sanitize sanitize-threads docs wheel annotate build compile clean
.NOTPARALLEL:  # pip must not run twice at once in one environment; the compilation is parallel by itself

demo: .venv/demo.stamp build  ## train the reference network in all three modes on real data
	@mkdir -p examples/out
	$(BIN)/fastnn train examples/data/breast_cancer.csv --target diagnosis --hidden 16,8 --mode all --seed 0 --out examples/out/model.npz --plot examples/out/loss_curves.png

test: .venv/test.stamp build  ## the whole test suite, doctests of README, docs and package included
	$(BIN)/pytest

check: .venv/check.stamp build  ## lint, format, types, and the stubs against every build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(BIN):$$PATH" cython-lint fastnn/_core.pyx $$(find fastnn/native -name '*.px[id]')
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
	$(BIN)/pytest tests/native tests/engine tests/data/test_checks.py tests/words/test_losses.py tests/words/test_optimizers.py

# A fourth build under ThreadSanitizer, which does not follow forks. It ends with 66 if it has written
# a report; CPython and NumPy are not built with it, and need nothing suppressed.
RACES := -g -O1 -fsanitize=thread
sanitize-threads: .venv/test.stamp  ## runs the tests of threads under ThreadSanitizer
	CFLAGS="$(RACES)" LDFLAGS="$(RACES)" $(BIN)/python setup.py -q build --build-lib build/races/lib --build-temp build/races/temp
	LD_PRELOAD="$$(gcc -print-file-name=libtsan.so)" TSAN_OPTIONS="log_path=build/races/report" \
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/races/lib \
	$(BIN)/pytest tests/native/test_threads.py -k "not forked"

docs: .venv/docs.stamp build  ## the documentation, into docs/_build
	$(BIN)/sphinx-build -q -W docs docs/_build
	$(BIN)/python tools/check_site.py docs/_build

wheel: .venv/wheel.stamp  ## wheel and source distribution, into dist
	$(BIN)/python -m build --outdir dist .

annotate: .venv/test.stamp  ## the core with every touch of Python marked yellow, build/_core.html
	$(BIN)/cython -a -I . fastnn/_core.pyx -o build/_core.c -X boundscheck=False -X wraparound=False -X initializedcheck=False -X cdivision=True

build: compile .venv/install.stamp

compile: .venv/base.stamp
	@$(BIN)/python setup.py -q build_ext --inplace

clean:
	rm -rf .venv build dist *.egg-info fastnn/*.so docs/_build

.venv/base.stamp:
	@PYTHON="$(PYTHON)" sh tools/check_system.sh
	@echo "Making the virtual environment .venv; compiling fastnn in it takes three to five minutes, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python tools/install_requirements.py
	@touch $@

# The command `fastnn`, and the package for programs outside this folder; compiles nothing.
.venv/install.stamp: pyproject.toml | compile
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.venv/%.stamp: pyproject.toml | .venv/base.stamp
	@echo "Installing the libraries of the extras $(EXTRAS_$*)."
	@$(BIN)/python tools/install_requirements.py $(EXTRAS_$*)
	@touch $@
