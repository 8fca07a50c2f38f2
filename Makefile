# make study   environment, data, study `quick` on a Ray of its own, report/index.html
# make test    environment, every test
# make help    the rest
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= quick
RESULTS ?= results
REPORT ?= report
PUBLISHED := comparison timing batch_size precision

.DEFAULT_GOAL := help
.PHONY: help study report test lint format lock bench clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

study: .venv/ready ## run a study (STUDY=quick) on a local Ray and write the report
	$(BIN)/python jobs/study.py $(STUDY) --results $(RESULTS) --report $(REPORT)

report: .venv/ready ## rebuild docs/report, docs/results.md and README from the published rows, no training
	$(BIN)/python jobs/aggregate.py --results results/published --study $(PUBLISHED) --out docs/report --pages README.md docs/results.md

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

lock: .venv/ready ## resolve pyproject.toml anew into requirements.lock and clusters/cuda.txt
	$(BIN)/pip install --quiet 'uv>=0.13,<0.14'
	$(BIN)/uv pip compile pyproject.toml --extra test --extra lint --generate-hashes --quiet \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 --upgrade -o requirements.lock
	{ echo '# versions of CUDA for GPU nodes, as `make lock` resolves them beside requirements.lock'; \
		$(BIN)/uv pip compile pyproject.toml --extra gpu --constraint requirements.lock --quiet --no-annotate \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 --python-platform linux | grep '^nvidia'; \
		} > clusters/cuda.txt

# the stamp is written last: an interrupted installation is not taken for a whole one
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

clean: ## remove the environment and caches, never results
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build
