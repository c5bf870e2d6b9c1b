# `make run` starts Relay with a demo, `make test` runs every test, `make help` lists the other targets.
# The only requirements are Linux, Python 3.11 or later and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := .venv-bench
TOOLS  := .venv-release

# two processes more than cores, because many tests wait for processes that they start
CORES  := $(shell getconf _NPROCESSORS_ONLN)
PYTEST := PYTHONUTF8=1 $(BIN)/python -m pytest
BESIDE := -n $(shell expr $(CORES) + 2) --dist worksteal

# the tests that find most regressions soonest: single parts, and one event from POST to delivery
QUICK  := tests/unit tests/docs/test_reference.py tests/integration/server/test_rfc9112*.py \
	tests/integration/server/test_rfc6455*.py tests/integration/db/test_journal.py \
	tests/integration/runner tests/e2e/test_one_event.py tests/e2e/test_ingestion.py \
	tests/e2e/test_event_fields.py tests/e2e/test_payloads.py tests/e2e/test_event_ids.py
RUNS   := 10
SECONDS := 600

.PHONY: run test quick pythons shake chaos soak check format schema licences pictures drawings docs audit bench bench-page bench-docs wheel release clean help

run: $(READY)  ## start the server with its embedded Postgres and a demo stream
	@$(BIN)/relay serve --demo

test: $(READY)  ## run every test, on a real Postgres and real sockets
	$(PYTEST) $(BESIDE)

quick: $(READY)  ## run a selection of the tests, in about a minute
	$(PYTEST) $(BESIDE) $(QUICK)

pythons:  ## run `make quick` with each installed Python from 3.11 on
	@.ci/pythons

shake: $(READY)  ## run every test RUNS times in random order, every second time with little CPU
	$(BIN)/python -m tests.support.shake --runs $(RUNS) -- $(BESIDE)

chaos: $(READY)  ## kill and cut what three Relays run on, for SECONDS=600; SEED=N: the same faults again
	$(BIN)/python -m tests.support.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

soak: $(READY)  ## run the long tests: minutes of reconnects, a thousand readers
	$(PYTEST) -m soak

check: $(READY)  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## format the code as `make check` expects
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(READY)  ## write sql/schema.sql from the migrations
	$(BIN)/python -m tests.support.schema > sql/schema.new
	@mv sql/schema.new sql/schema.sql

licences: $(READY)  ## write docs/reference/licences.md from the packages' metadata
	$(BIN)/python -m tests.support.licences

pictures: $(READY)  ## write docs/images from a running Relay; needs chromium and the Noto fonts
	$(BIN)/python -m tests.support.pictures

drawings: $(READY)  ## write the two drawings of the code into docs/images
	$(BIN)/python -m tests.support.pictures.rooms relay > docs/images/rooms.new
	@mv docs/images/rooms.new docs/images/rooms.svg
	$(BIN)/python -m tests.support.pictures.event_way > docs/images/event-way.new
	@mv docs/images/event-way.new docs/images/event-way.svg

docs: $(READY)  ## build the documentation as a site in build/site; a broken link fails
	$(BIN)/python -m tests.support.documentation_site build/site

audit:  ## check the pinned packages for known vulnerabilities
	@.ci/audit

bench: $(READY) $(PEERS)/.ready  ## measure Relay and its peers: make bench BENCH='w1 --quick'; BENCH=--help
	@$(BIN)/python -m bench $(BENCH)

# what the page compares, within MINUTES; every round of all comes before the next one
MINUTES ?= 75
bench-page: $(READY) $(PEERS)/.ready  ## measure all that performance.md shows, and write it: MINUTES=75, CONTINUE=1
	@$(BIN)/python -m bench --page --peers compared --minutes $(MINUTES) --out .bench/page.jsonl $(if $(CONTINUE),--continue)
	@$(MAKE) bench-docs RUN=.bench/page.jsonl

bench-docs: $(READY)  ## write the tables and plots of performance.md and scale.md; RUN=FILE: of another run
	@$(BIN)/python -m bench.page $(RUN)
	@$(BIN)/python -m bench.capacity_page

wheel: $(READY)  ## build dist/relay_streams-….whl, to install elsewhere
	$(BIN)/python -m build --wheel

# REHEARSAL=--rehearsal accepts an uncommitted tree and notes under Unreleased
release: $(READY) $(TOOLS)/.ready  ## build and check all that a release publishes; publish nothing
	@$(BIN)/python -m release $(REHEARSAL)

clean:  ## delete what make created; events and keys in .relay stay
	rm -rf $(VENV) $(VENV)-3.* $(PEERS) $(TOOLS) .audit .shake dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

help:  ## show this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# An environment is brought up to date when its definition changes, and made anew when its Python is
# gone, as after an upgrade of the system.
anew = $(shell test -x $(1)/bin/python || echo ANEW)
make_venv = $(PYTHON) -m venv $(if $(filter ANEW,$^),--clear) $(1)

ANEW:

$(READY): pyproject.toml constraints.txt $(call anew,$(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Relay needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V)."; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(call make_venv,$(VENV))
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# the tools that check a release, in an environment of their own
$(TOOLS)/.ready: release/requirements.txt $(call anew,$(TOOLS))
	@echo "Setting up $(TOOLS) (once, about ten seconds) ..."
	@$(call make_venv,$(TOOLS))
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check -r release/requirements.txt
	@touch $@

# the peers of `make bench`, in an environment of their own
$(PEERS)/.ready: bench/requirements.txt bench/install $(call anew,$(PEERS))
	@echo "Setting up $(PEERS) (once, about a minute) ..."
	@PYTHON=$(PYTHON) bench/install
