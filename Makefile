# make study   environment, data, study `quick` on a Ray of its own, report/index.html
# make test    environment, every test
# make help    the rest
# the environment is made by the first of these that fits; one of your own: make study PYTHON=/path/to/python3.12
PYTHON ?= python3 python3.13 python3.12 python3.11
BIN := .venv/bin
STUDY ?= quick
RESULTS ?= results
REPORT ?= report
PUBLISHED := comparison timing batch_size precision regularisation transfer
FIGURES := comparison/distribution-test_accuracy comparison/verdicts-test_accuracy timing/distribution-train_seconds

.DEFAULT_GOAL := help
.PHONY: help study report test lint format lock bench clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

study: .venv/ready ## run a study (STUDY=quick) on a local Ray and write the report
	$(BIN)/python jobs/study.py $(STUDY) --results $(RESULTS) --report $(REPORT)

report: .venv/ready ## docs/report/index.html from the published rows, and README, docs/results.md, docs/figures anew; no training
	$(BIN)/python jobs/aggregate.py --results published --study $(PUBLISHED) --out docs/report --pages README.md docs/results.md
	cd docs/report/figures && cp --parents $(FIGURES:=.svg) ../../figures

test: .venv/ready ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/ready ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready ## let ruff put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready ## speed beside plain Keras and PyTorch (installs PyTorch for the CPU)
	$(BIN)/pip install --quiet '.[bench]'
	$(BIN)/python benchmarks/throughput.py

lock: .venv/ready ## resolve pyproject.toml anew into requirements.lock (for each Python) and clusters/cuda.txt
	$(BIN)/pip install --quiet 'uv>=0.13,<0.14'
	$(BIN)/uv pip compile pyproject.toml --extra test --extra lint --universal --generate-hashes --quiet \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 --upgrade -o requirements.lock
	{ echo '# versions of CUDA for GPU nodes, as `make lock` resolves them beside requirements.lock'; \
		$(BIN)/uv pip compile pyproject.toml --extra gpu --constraint requirements.lock --quiet --no-annotate \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 --python-platform linux | grep '^nvidia'; \
		} > clusters/cuda.txt

# a Python that fits: of a version that pyproject.toml allows, and with venv
FITS := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
FITTING = $(firstword $(foreach python,$(PYTHON),$(shell $(python) -c '$(FITS)' >/dev/null 2>&1 && echo $(python))))

# the stamp is written last: an interrupted installation is not taken for a whole one
.venv/ready: requirements.lock pyproject.toml
	$(if $(FITTING),,$(error no fitting Python among $(PYTHON): expected 3.11, 3.12 or 3.13 with venv \
(Debian: python3-venv); name one with make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.12))
	$(FITTING) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

clean: ## remove the environment and caches, never results
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build
