# verify: judge every rule and train the digits twice. test: every test.
# lint: ruff and pyright. Each sets up its own environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: verify test lint setup

verify: setup
	$(BIN)/purefw verify

test: setup
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/python -m pip install -q -e '.[lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

setup: .venv/.ready

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e '.[train,test]'
	touch $@
