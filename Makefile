# Two commands: `make run` shows Relay at work, `make test` shows that it works; `make help` lists the rest.
# Nothing is needed first but Python 3.11 or later and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := .venv-bench

# one process more than cores: some tests wait for others' processes
CORES  := $(shell getconf _NPROCESSORS_ONLN)
PYTEST := PYTHONUTF8=1 $(BIN)/python -m pytest
BESIDE := -n $(shell expr $(CORES) + 1) --dist worksteal

# what tells soonest whether Relay still works: parts by themselves, and one event's whole way
QUICK  := tests/unit tests/docs/test_reference.py tests/integration/server/test_rfc9112.py \
	tests/integration/server/test_rfc6455.py tests/integration/db/test_journal.py \
	tests/integration/runner tests/e2e/test_one_event.py tests/e2e/test_ingestion.py
RUNS   := 10

.PHONY: run test quick pythons shake soak check format schema licences pictures audit bench bench-docs wheel clean help

run: $(READY)  ## server, embedded database, migrations, a demo stream
	@$(BIN)/relay serve --demo

test: $(READY)  ## every test, on a real Postgres and real sockets
	$(PYTEST) $(BESIDE)

quick: $(READY)  ## the tests that tell soonest, in about a minute
	$(PYTEST) $(BESIDE) $(QUICK)

pythons:  ## make quick with each Python from 3.11 up that this machine has
	@.ci/pythons

shake: $(READY)  ## every test RUNS times, in random order, each second time on a starved machine
	$(BIN)/python -m tests.support.shake --runs $(RUNS) -- $(BESIDE)

soak: $(READY)  ## the long tests: churn for minutes, a thousand readers
	$(PYTEST) -m soak

check: $(READY)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## the code as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(READY)  ## sql/schema.sql, from the migrations
	$(BIN)/python -m tests.support.schema > sql/schema.new
	@mv sql/schema.new sql/schema.sql

licences: $(READY)  ## docs/reference/licences.md, from the packages' own metadata
	$(BIN)/python -m tests.support.licences

pictures: $(READY)  ## docs/images, of a running Relay; needs chromium, and Noto's fonts for the same look
	$(BIN)/python -m tests.support.pictures

audit:  ## the pinned packages against the database of known vulnerabilities
	@.ci/audit

bench: $(READY) $(PEERS)/.ready  ## how fast, beside others: make bench BENCH='w1 --quick'; BENCH=--help
	@$(BIN)/python -m bench $(BENCH)

bench-docs: $(READY)  ## tables and plots in docs/explanation/performance.md; RUN=FILE takes another run's
	@$(BIN)/python -m bench.page $(RUN)

wheel: $(READY)  ## dist/relay-….whl, which installs elsewhere
	$(BIN)/python -m build --wheel

clean:  ## all that make put here; events and keys stay, in .relay
	rm -rf $(VENV) $(VENV)-3.* $(PEERS) .audit .shake dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The environment is made again whenever what it is made from changes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Relay needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V)."; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# what Relay is measured beside, apart from Relay's own packages
$(PEERS)/.ready: bench/requirements.txt bench/install
	@echo "Setting up $(PEERS) (once, about a minute) ..."
	@PYTHON=$(PYTHON) bench/install
