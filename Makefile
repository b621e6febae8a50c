# rackproof: two commands matter. `make demo` accepts a simulated rack, `make test` proves the code.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint types contracts tests test-long coverage mutation prove prove-seeds prove-sample bench soak lock sbom audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "rackproof needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no virtual environment could be made: on Debian, 'apt-get install python3-venv'" >&2; exit 2; }

# The stamps make a second call install nothing. Hashes are checked for every file that pip takes.
$(VENV)/.run-stamp: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing locked dependencies (once)"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.txt $(VENV)/.run-stamp
	@echo "installing locked development tools (once)"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.run-stamp ## accept a simulated rack end to end; leaves runs/<run-id>/
	@$(BIN)/rackproof run --simulate bench4

lint: $(VENV)/.dev-stamp ## ruff: style and errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-stamp ## mypy, strict
	$(BIN)/mypy

contracts: $(VENV)/.dev-stamp ## import contracts
	$(BIN)/lint-imports

# Most tests wait: for time-outs to run out, for a simulated rack to be done. Four processes fit two cores.
DRIVERS := tests/drivers
WAITING := $(addprefix $(DRIVERS)/,faults traps host)
WHOLE := tests/acceptance
PYTEST := $(BIN)/python -m pytest

tests: $(VENV)/.dev-stamp ## the tests alone
	@said=$$(mktemp -d); trap 'kill $$drivers $$waiting $$whole 2>/dev/null; rm -rf $$said' EXIT INT TERM; \
	$(PYTEST) $(DRIVERS) $(addprefix --ignore=,$(WAITING)) >$$said/drivers 2>&1 & drivers=$$!; \
	$(PYTEST) $(WAITING) >$$said/waiting 2>&1 & waiting=$$!; \
	$(PYTEST) $(WHOLE) >$$said/whole 2>&1 & whole=$$!; \
	$(PYTEST) tests --ignore=$(DRIVERS) --ignore=$(WHOLE); code=$$?; \
	wait $$drivers || code=$$?; wait $$waiting || code=$$?; wait $$whole || code=$$?; \
	echo "--- beside them: $(DRIVERS)"; cat $$said/drivers; \
	echo "--- beside them: $(WAITING)"; cat $$said/waiting; \
	echo "--- beside them: $(WHOLE)"; cat $$said/whole; exit $$code

test: lint types contracts tests ## everything that CI runs

test-long: $(VENV)/.dev-stamp ## the long suites: every fault, twenty healthy seeds
	$(BIN)/python -m pytest tests --long

coverage: $(VENV)/.dev-stamp ## safety, verdict, limits and journal: every branch by tests of their own (3 minutes)
	@rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest $$($(BIN)/python -m tests.mutation.covering)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

mutation: $(VENV)/.dev-stamp ## change one thing at a time there: a test has to notice, or the list says why not (an hour)
	$(BIN)/python -m tests.mutation

bench: $(VENV)/.dev-stamp ## measure beside peers; asserts nothing
	$(BIN)/python -m tests.benchmarks.ssh_fan_out
	$(BIN)/python -m tests.benchmarks.interlock_latency
	$(BIN)/python -m tests.benchmarks.simulated_rack

soak: $(VENV)/.dev-stamp ## 72 hours of rack time with a device misbehaving every minute (3.6 hours)
	$(BIN)/python -m tests.soak --hours 72

# A run mostly waits: it needs less than half a core. A machine with other work takes fewer: make prove JOBS=2.
JOBS ?= $(shell echo $$((3 * $$(nproc 2>/dev/null || echo 1))))

prove: $(VENV)/.run-stamp ## every fault against the shipped plan: the proof is test_plans/proofs/rack-bench4.json
	$(BIN)/rackproof prove bench4 --seeds 0 --quick --jobs $(JOBS)

prove-sample: $(VENV)/.run-stamp ## twenty faults of all domains on MODEL, by default bench4: no proof, a look
	$(BIN)/rackproof prove $(or $(MODEL),bench4) --sample 20 --seeds 0 --quick --out runs/proof-sample.json

prove-seeds: $(VENV)/.run-stamp ## add 300 healthy racks to that proof (hours; goes on where it was)
	$(BIN)/rackproof prove bench4 --seeds 300 --resume

lock: $(VENV)/.dev-stamp ## resolve the lock files again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --extra fast pyproject.toml requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra fast --extra dev -c requirements.txt pyproject.toml requirements.in -o requirements-dev.txt

sbom: $(VENV)/.dev-stamp ## the bill of materials of what is locked and installed: sbom.cdx.json (CycloneDX 1.6)
	@$(BIN)/python -m tests.supply.bill >sbom.cdx.json.new && mv sbom.cdx.json.new sbom.cdx.json && echo "written: sbom.cdx.json"

audit: $(VENV)/.dev-stamp ## hold the lock against known advisories, offline: make audit ADVISORIES=FOLDER (OSV format)
	@$(BIN)/python -m tests.supply.audit "$(ADVISORIES)"

clean: ## remove the environment and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
