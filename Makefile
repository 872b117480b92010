# Every target sets itself up: a virtual environment in .venv, re-used while its stamp is newer than what it was made from.
PYTHON ?= python3
BIN := .venv/bin
# A worker a core; one that has run out of tests takes some of another's.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: setup demo quick test check fuzz docs bench clean

setup: .venv/stamp

.venv/stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "limbeck needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/stamp
	$(BIN)/limbeck study multiview-ablation --config recipes/multiview/demo.yaml --out runs/demo
	test -d runs/demo-people || $(BIN)/limbeck data make people runs/demo-people --difficulty easy \
		--train_identities 80 --validation_identities 0 --test_identities 30
	$(BIN)/limbeck train reid --config small --epochs 8 --training.warmup_epochs 1 --data.splits "[train]" \
		--data.root runs/demo-people --out runs/demo-reid
	$(BIN)/limbeck evaluate runs/demo-reid --protocol sysu-all-single
	$(BIN)/limbeck diagnose runs/demo-reid --out runs/demo-diagnosis

quick: .venv/stamp
	$(PYTEST) -m 'not slow' tests src

test: .venv/stamp
	$(PYTEST)

check: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# `make fuzz CASES=20000 SEED=1 JOBS=2`
CASES ?= 2000
SEED ?= 0
JOBS ?= 1
fuzz: .venv/stamp
	$(BIN)/python -m tests.fuzzing --cases $(CASES) --seed $(SEED) --jobs $(JOBS) --out build/findings

# Warnings, and links to pages and headings that are not there, are errors; the tutorials are run.
docs: .venv/docs-stamp
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site
	@echo "The site: build/site/index.html"

.venv/docs-stamp: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	touch $@

bench: .venv/stamp
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build docs/tutorials
