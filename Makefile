# make run    start everything on this machine: web, sender and sandbox gateway
# make test   lint, types and the whole suite, on SQLite and on PostgreSQL
# The rest: lint, bench, screenshots, assets, lock, clean.

PYTHON ?= python3
PORT ?= 8000
SANDBOX_PORT ?= 8001
VENV := .venv
BIN := $(VENV)/bin
VENDOR := tracker/web/static/vendor
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
# The lock is complete. Resolving it again, pip would look at newer versions behind an extra and find no hash.
LOCKED := $(PIP) --no-deps --require-hashes
PROJECT := $(PIP) --no-deps --no-build-isolation --editable .

.PHONY: run test lint bench screenshots assets lock clean

run: $(VENV)/.run $(VENDOR)/.built
	$(BIN)/tracker up --port $(PORT) --sandbox-port $(SANDBOX_PORT)

test: lint
	$(BIN)/pytest -n auto --dist loadgroup --cov --cov-report term:skip-covered

lint: $(VENV)/.dev $(VENDOR)/.built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python bench/receive.py
	$(BIN)/python bench/send.py
	$(BIN)/python bench/batch.py
	$(BIN)/python bench/purge.py
	$(BIN)/python bench/pages.py

screenshots: $(VENV)/.dev $(VENDOR)/.built
	$(BIN)/python docs/screenshots/take.py

assets: $(VENDOR)/.built

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements/run.txt pyproject.toml
	$(LOCKED) -r requirements/run.txt
	$(PROJECT)
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python requirements/dev.txt pyproject.toml
	$(LOCKED) -r requirements/dev.txt
	$(PROJECT)
	@touch $@ $(VENV)/.run

# Node only builds the pages' style sheet and fetches its scripts; without npm, PyPI's copy of Node does it.
$(VENDOR)/.built: package.json package-lock.json $(wildcard tracker/web/assets/*) | $(VENV)/bin/python
	PIP="$(PIP)" BIN="$(abspath $(BIN))" sh tracker/web/assets/build.sh $(VENDOR)
	@touch $@

# Needs uv (pip install uv). No download addresses are written.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) $(VENDOR) node_modules dist build .coverage .mypy_cache .ruff_cache
