# `make demo` and `make test` are all a new user needs; each makes ./.venv first when it is missing.
# Every path is relative, so the folder may have any name.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# bytecode is compiled once: every notebook kernel imports these libraries anew
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
# tests wait for databases, browsers and clocks as long as they compute: four workers keep two cores busy
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(4, os.cpu_count() or 1))')
PY := .venv/bin/python
STAMP := .venv/made-from-$(shell cat requirements.lock requirements-uv.lock pyproject.toml | $(PYTHON) -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')

.PHONY: help env demo test notebooks lint prove mutants bench lab docs release lock clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

env: $(STAMP) ## make ./.venv from the lock (again only when lock or pyproject changed)
	@:

$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "workbench needs Python 3.11 or later; name one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "making the environment in .venv (a few minutes, once)"
	@[ -x $(PY) ] && $(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@rm -f .venv/made-from-*
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-uv.lock \
	  || echo "uv cannot be installed here; pip does the work (slower)" >&2
	@# uv does not read pip's settings: an index that pip was told to use is passed on
	@export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-}}"; [ -n "$$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX; \
	if [ -x .venv/bin/uv ] && .venv/bin/uv pip sync --quiet --python $(PY) --compile-bytecode --require-hashes requirements.lock; then \
	  .venv/bin/uv pip install --python $(PY) --offline --no-deps --no-build-isolation --editable .; \
	else \
	  $(PY) -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.lock; \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .; \
	fi
	@touch $@

demo: env ## trade 20 real exchange sessions against the embedded venue
	@.venv/bin/workbench demo

test: env ## lint, notebooks and all tests but the long proofs; ORDER=7 takes them in another order
	@# while one core lints, the other compiles what every worker would compile for itself
	@$(PY) tests/support/warm_kernels.py & kernels=$$!; $(MAKE) lint && wait $$kernels
	@$(MAKE) notebooks
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(ORDER),--order-seed=$(ORDER))

notebooks: env ## run every interactive notebook with its default parameters
	@$(PY) -m pytest --nbval-lax --nbval-cell-timeout=120 --nbval-kernel-startup-timeout=120 -p no:cacheprovider -x -n $(WORKERS) --dist loadfile notebooks

lint: env ## ruff, mypy and the import contracts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo

prove: env ## the long proofs, at most 75 minutes; ONLY="two writers" takes those that match
	@PYTHONPATH="$(CURDIR)/tests/support" $(PY) -m pytest -m prove -p proofs -n 2 --dist load $(if $(ONLY),-k "$(ONLY)")

mutants: env ## plant faults in the order path and ask the tests for them; ONLY="ledger" takes that module
	@$(PY) tests/support/mutation.py --write $(ONLY)

bench: env ## measure, and compare with the stated limits
	@$(PY) -m pytest tests/benchmarks -o python_files='bench_*.py' -s --benchmark-columns=min,median,max,rounds

lab: env ## JupyterLab in the notebooks folder
	@$(PY) -m jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

docs: env ## write the generated reference pages anew and build the handbook in build/handbook
	@for page in docs/reference/build_*.py; do $(PY) "$$page"; done
	@$(PY) -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/handbook
	@echo "open build/handbook/index.html"

release: env ## wheel, source archive and bill of materials in dist, without the network
	@rm -rf dist
	@$(PY) -m build --no-isolation --outdir dist .
	@.venv/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --no-validate \
	  --output-file dist/sbom.json

lock: env ## write requirements.lock and requirements-uv.lock anew
	@.venv/bin/uv pip compile --quiet --upgrade --generate-hashes --extra test --universal --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@grep -oE '^uv==[^ ]+' requirements-uv.lock | .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" - -o requirements-uv.lock

clean: ## remove the environment and caches; data/desk is yours and stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks build dist
	@find workbench tests apps notebooks papermill-jobs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
