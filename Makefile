# verify: judge every rule and train the digits twice. test: every test.
# lint: ruff and pyright. docs: the site, in docs/_build/html.
# Each sets up its own environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: verify test lint docs setup

verify: setup
	$(BIN)/purefw verify

test: setup
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/python -m pip install -q -e '.[lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: setup
	$(BIN)/python -m pip install -q -e '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

setup: .venv/.ready

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e '.[train,test]'
	touch $@
