# make setup          a working .venv/
# make demo           train on a real game, evaluate, prove the best run (about ten minutes)
# make test           lint and the whole test suite
# make docs           the documentation site, in site/
# make test-learning  learning targets, each with several seeds (an hour)
# make test-sanitize  the native code under thread, address and undefined-behaviour sanitizers
.RECIPEPREFIX := >
SHELL := /bin/bash
BIN := .venv/bin
SOURCES := pyproject.toml CMakeLists.txt $(wildcard native/*/*.[ch]pp native/*/*/*.[ch]pp)

.PHONY: setup build demo test lint format docs test-learning test-sanitize

setup: .venv/ready

.venv/ready: pyproject.toml scripts/setup.sh
> scripts/setup.sh

# The native module again, where its sources are newer than what is installed.
.venv/built: .venv/ready $(SOURCES)
> $(BIN)/python -m pip --disable-pip-version-check install -q --no-build-isolation --no-deps -e .
> @touch $@

build: .venv/built

demo: build
> $(BIN)/frameperfect demo

lint: build
> $(BIN)/ruff check .
> $(BIN)/ruff format --check .
> $(BIN)/mypy
> $(BIN)/lint-imports
> $(BIN)/clang-format --dry-run --Werror $$(find native -name '*.hpp' -o -name '*.cpp')

format: build
> $(BIN)/ruff check --fix .
> $(BIN)/ruff format .
> $(BIN)/clang-format -i $$(find native -name '*.hpp' -o -name '*.cpp')

docs: build
> NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: build lint
> $(BIN)/python -m pytest -n 2 --dist loadfile -m "not learning"

test-learning: build
> $(BIN)/python -m pytest -n 2 --dist load --maxschedchunk 1 -m learning -v -rP tests/learning

test-sanitize: build
> native/tests/run.sh
