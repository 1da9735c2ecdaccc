# Two commands: `make course` opens the course, `make test` checks it. Both set up everything first, once.
# `make course ARGS=--no-browser` prints the address instead of opening a browser.
# PYTHON=python3.12 picks an interpreter; TORCH_BACKEND=cpu installs the small, CPU-only PyTorch.

ARGS ?=
BIN := .venv/bin
# The first interpreter that the course supports; `python3` where none is, so that the check below can say so.
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done),python3)

# What stops a set-up before it starts, in one line.
define CHECK_PYTHON
import importlib.util, sys
if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("This course needs Python 3.11, 3.12 or 3.13; $(PYTHON) is %d.%d. "
             "Install one, or name it: make course PYTHON=python3.12" % sys.version_info[:2])
if not (importlib.util.find_spec("pip") and importlib.util.find_spec("venv")):
    sys.exit("$(PYTHON) has no pip or no venv: install them (Debian, Ubuntu: apt install python3-pip python3-venv)")
endef
export CHECK_PYTHON

.DEFAULT_GOAL := help
.PHONY: help course test quick coverage robust run lint format bench labs lock lowest clean

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

course: .venv/.ready  ## set up everything, then open JupyterLab on lecture 01
	@$(BIN)/cnn-course doctor || true
	@$(BIN)/cnn-course open $(ARGS)

# One thread for each worker: two busy processes with two threads each are several times slower than with one.
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
	$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
QUICK = tests -m "not (browser or grading or slow)"

test: .venv/.ready  ## set up everything, then run every test (ARGS goes to pytest)
	@$(PYTEST) $(ARGS)

quick: .venv/.ready  ## in a minute: tests without lectures, browser, grading and what is marked slow
	@$(PYTEST) $(QUICK) $(ARGS)

coverage: .venv/.ready  ## lines and branches that those and the slow tests reach, above a floor (pyproject.toml)
	@$(PYTEST) tests -m "not (browser or grading)" --cov --cov-report=term:skip-covered $(ARGS)

robust: .venv/.ready  ## lectures with every recommended value, three fresh seeds, every cell again, on a second device
	@$(BIN)/python tests/robust.py $(ARGS)

run: .venv/.ready  ## execute every lecture in order; seconds, cells, headline result
	@$(BIN)/cnn-course run $(ARGS)

# pre-commit runs the same (a test holds the two together): one tool a line.
lint: .venv/.ready  ## ruff over package, tests and notebooks; types; who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/.ready  ## let ruff put everything into shape
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: .venv/.ready  ## ratios against named peers, measured in one run
	$(BIN)/python benchmarks/convolution.py $(ARGS)
	$(BIN)/python benchmarks/numpy_cnn.py $(ARGS)
	$(BIN)/python benchmarks/training.py $(ARGS)

labs: .venv/.ready  ## build labs/release/ from labs/source/
	@$(BIN)/python -m cnn_course.grading.release

lock: .venv/.ready  ## choose new versions of everything (maintainers)
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

# Only what pyproject.toml names is lowered: what comes along with it is the newest that fits, and makes old versions
# warn of what is no concern of ours (Matplotlib 3.10.0 of pyparsing, for one).
lowest: .venv/.ready  ## the tests of `quick` with the lowest versions that pyproject.toml claims, in .venv-lowest
	@$(BIN)/uv venv --quiet --clear --python 3.11 .venv-lowest
	@$(BIN)/uv pip install --python .venv-lowest/bin/python --resolution lowest-direct --compile-bytecode \
		$(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) --editable '.[teach,cluster,postgres,dev]'
	@$(subst $(BIN)/,.venv-lowest/bin/,$(PYTEST)) -W default $(QUICK) $(ARGS)

clean:  ## remove the environments
	rm -rf .venv .venv-lowest

# The lock is hashed, so what is installed is what was tested. uv does in seconds what takes pip minutes;
# where uv has no build for the machine, pip installs the same lock. pip runs from outside the environment
# (`--python`), so that Debian's split-off ensurepip is not needed. The marker goes first: an interrupted set-up
# starts again from an empty environment, a newer lock goes into the one that is there.
# Byte code comes last, for half a minute once: where Python may not write it, as in a sandbox or with
# PYTHONDONTWRITEBYTECODE, every single process would compile torch anew, for seconds. It is made for all that is there,
# also for what an older set-up has left without; files that no Python 3 can read are passed over.
.venv/.ready: requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "No $(PYTHON) here: install Python 3.11, 3.12 or 3.13."; exit 1; }
	@"$(PYTHON)" -c "$$CHECK_PYTHON"
	@if [ -e $@ ] && $(BIN)/python -c ''; then rm $@; else \
		echo "Setting up .venv (once; about 6 GB with PyTorch's CUDA libraries on Linux) ..."; \
		rm -rf .venv && "$(PYTHON)" -m venv --without-pip .venv; fi
	@awk '/^[^ ]/ { uv = /^uv==/ } uv' requirements.lock > .venv/uv.txt
	@[ -x $(BIN)/uv ] || "$(PYTHON)" -m pip --python $(BIN)/python --disable-pip-version-check --quiet install \
		--only-binary :all: --require-hashes -r .venv/uv.txt 2>/dev/null || \
		echo "No uv for this machine: pip installs the same, more slowly."
ifdef TORCH_BACKEND
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-verify-hashes --torch-backend $(TORCH_BACKEND) \
		--constraint requirements.lock --editable '.[teach,cluster,postgres,dev]'
else
	@if [ -x $(BIN)/uv ]; then \
		$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock && \
		$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable . ; \
	else \
		"$(PYTHON)" -m pip --python $(BIN)/python --disable-pip-version-check install --require-hashes -r requirements.lock && \
		"$(PYTHON)" -m pip --python $(BIN)/python --disable-pip-version-check --quiet install \
			--no-deps --no-build-isolation --editable . ; \
	fi
endif
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib cnn_course || true
	@touch $@
