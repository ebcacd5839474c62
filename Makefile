# The developer interface. It needs make and Python 3.11 or later: everything else goes into .venv, as locked in
# requirements/. `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Tried in this order. A command of that name may be a shim for a Python that is not there, so each is run.
PYTHON ?= python3.13 python3.12 python3.11 python3 python
# From this release on uv reads UV_SYSTEM_CERTS; before 1.0 a minor release may break.
UV_RANGE := uv>=0.11,<1
# Test processes. Fixed, not "auto": a laptop's sixteen would each migrate databases of their own. Three keep two
# cores busy while one of them waits for a server to start, or for a fault to pass.
WORKERS ?= 3
# More for the command behind test, bench or lock: make test ARGS="-k cursor", make lock ARGS=--upgrade
ARGS ?=

# Trust what the machine trusts, as pip does. By default uv trusts only the roots that it carries, and fails
# behind a proxy with a certificate of its own.
export UV_SYSTEM_CERTS := 1
# A cache on another file system cannot be linked from; copying says nothing about it and works everywhere.
export UV_LINK_MODE := copy
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What was compiled is kept, though images of Python like to forbid it: without, each server that is started compiles
# everything again, and takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

FORMAT_CHECK = $(BIN)/ruff format --check --quiet .
LINT = $(BIN)/ruff check --quiet .
TYPES = $(BIN)/mypy --no-error-summary
IMPORTS = $(BIN)/lint-imports --no-logo
TEST = $(BIN)/pytest -n $(WORKERS)
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: setup run test test-mysql check hostile malformed limits chaos memory keys model tokens fmt lint types imports lock bench bench-check loadtest e2e screenshots cluster test-cluster image audit licences clean help

setup: $(VENV)/dev.stamp $(VENV)/deploy.stamp  ## .venv with everything that the other targets need

run: $(VENV)/run.stamp  ## the server on http://127.0.0.1:3000 with a first catalogue; Ctrl-C stops it
	@exec $(BIN)/farmlokal dev

test: $(VENV)/dev.stamp  ## all tests
	@$(TEST) $(ARGS)

check: $(VENV)/dev.stamp $(VENV)/deploy.stamp  ## what CI runs: format, lint, types, import contracts, tests
	$(FORMAT_CHECK)
	$(LINT)
	$(TYPES)
	$(IMPORTS)
	$(TEST)

test-mysql: $(VENV)/dev.stamp  ## the tests of databases on MySQL too; fetches its packages once, 60 MB, into .cache
	@FARMLOKAL_TEST_MYSQL=1 $(TEST) -k mysql $(ARGS)

e2e: $(VENV)/dev.stamp  ## the shop in a real browser; fetches Chromium once, 150 MB, into .cache
	@$(BIN)/pytest -q tests/e2e $(ARGS)

screenshots: $(VENV)/dev.stamp  ## the pictures in docs/screenshots, anew
	@FARMLOKAL_TEST_SCREENSHOTS=docs/screenshots $(BIN)/pytest -q tests/e2e -k pictures $(ARGS)

hostile: $(VENV)/dev.stamp  ## 50,000 hostile requests against a server with 35,000 products, about two minutes
	@FARMLOKAL_TEST_HOSTILE_REQUESTS=50000 FARMLOKAL_TEST_HOSTILE_PRODUCTS=35000 \
	  $(BIN)/pytest -s tests/faults/test_hostile.py $(ARGS)

malformed: $(VENV)/dev.stamp  ## 100,000 malformed token, introspection and bearer requests, some five minutes
	@FARMLOKAL_TEST_MALFORMED_REQUESTS=100000 $(BIN)/pytest -s tests/faults/test_malformed_tokens.py $(ARGS)

limits: $(VENV)/dev.stamp  ## 200 threads against the rate limit of two servers, twice three minutes
	@FARMLOKAL_TEST_LIMITS_SECONDS=180 FARMLOKAL_TEST_LIMITS_THREADS=200 \
	  $(BIN)/pytest -s tests/faults/test_rate_limit.py -k law $(ARGS)

memory: $(VENV)/dev.stamp  ## a million queries from a million callers, twice, and what a worker keeps of them; an hour
	@FARMLOKAL_TEST_MEMORY_REQUESTS=1000000 $(BIN)/pytest -s tests/faults/test_memory.py $(ARGS)

keys: $(VENV)/dev.stamp  ## a million keys in one Valkey, and no command of ours that grows with them
	@FARMLOKAL_TEST_KEYS=1000000 FARMLOKAL_TEST_CALLERS=1000000 \
	  $(BIN)/pytest -s tests/faults/test_many_keys.py $(ARGS)

model: $(VENV)/dev.stamp  ## every order of events in the refresh of the upstream token, half an hour
	@FARMLOKAL_TEST_MODEL=whole $(BIN)/pytest -s tests/oauth/upstream/test_model.py $(ARGS)

tokens: $(VENV)/dev.stamp  ## a thousand lives of upstream tokens, with kills, sleep and wrong clocks, ten minutes
	@FARMLOKAL_TEST_TOKEN_LIVES=1000 $(BIN)/pytest -s tests/faults/test_token_lives.py $(ARGS)

chaos: $(VENV)/dev.stamp  ## events while instances, database and Redis are killed and frozen, twice 15 minutes
	@FARMLOKAL_TEST_CHAOS_SECONDS=$${FARMLOKAL_TEST_CHAOS_SECONDS:-900} \
	  $(BIN)/pytest -s tests/faults/test_chaos.py $(ARGS)

cluster: $(VENV)/dev.stamp  ## a fleet of real servers on this machine; a tour through the deaths of its nodes
	@exec $(BIN)/python -m tests.cluster $(ARGS)

test-cluster: $(VENV)/dev.stamp  ## what holds while nodes of a fleet die, on Galera and on a Redis cluster; four minutes
	@FARMLOKAL_TEST_REDIS_CLUSTER=1 $(BIN)/pytest -q -k redis \
	  tests/contracts/test_cache.py tests/contracts/test_rate_limit.py tests/contracts/test_token_store.py
	@FARMLOKAL_TEST_CLUSTER=1 $(BIN)/pytest -s tests/cluster $(ARGS)

fmt: $(VENV)/dev.stamp  ## write the house format into every file
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

lint: $(VENV)/dev.stamp  ## lint
	@$(LINT)

types: $(VENV)/dev.stamp  ## type check
	@$(TYPES)

imports: $(VENV)/dev.stamp  ## who may import whom
	@$(IMPORTS)

bench: $(VENV)/dev.stamp  ## the benchmarks; results and a page in bench/results
	@$(BIN)/python -m bench.speed $(ARGS)
	@$(BIN)/python -m bench.import_speed
	@$(BIN)/python -m bench.token_speed
	@$(BIN)/python -m bench.supplier_noise
	@$(BIN)/python -m bench.metrics_cost
	@$(BIN)/python -m bench.event_speed
	@$(BIN)/python -m bench.plans

bench-check: $(VENV)/dev.stamp  ## whether a request costs more, in costs of its ceiling, than when results were committed
	@$(BIN)/python -m bench.check $(ARGS)

loadtest: $(VENV)/dev.stamp  ## a shop day on a server of its own: 500 arrivals/s on cold caches, then three times what it can do
	@$(BIN)/python -m bench.shop_day $(ARGS)

lock: $(VENV)/uv.stamp  ## resolve the ranges of pyproject.toml into requirements/; ARGS=--upgrade moves every pin
	@$(COMPILE) pyproject.toml $(ARGS) -o requirements/run.lock
	@$(COMPILE) pyproject.toml $(ARGS) --all-extras --group dev -o requirements/dev.lock
	@$(COMPILE) pyproject.toml $(ARGS) --all-extras -c requirements/dev.lock -o requirements/image.lock
	@$(COMPILE) $(ARGS) --group build -o requirements/build.lock
	@$(COMPILE) $(ARGS) --group deploy -o requirements/deploy.lock

image: $(VENV)/dev.stamp  ## build the container image without Docker, have it answer a request, and Prometheus read a server
	@FARMLOKAL_TEST_IMAGE=1 $(BIN)/pytest -s tests/deploy/test_image.py tests/deploy/test_scrape.py $(ARGS)

audit: $(VENV)/deploy.stamp  ## known vulnerabilities of what the image carries; asks an advisory service
	@$(BIN)/python scripts/audit.py $(ARGS)

licences: $(VENV)/dev.stamp  ## the page of the licences of what the image carries, docs/licences.md, anew
	@$(BIN)/python scripts/inventory.py licences > docs/licences.md

clean:  ## remove .venv, caches and compiled files; var/, where the data is, stays
	@rm -rf $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@rm -f bench/results/*.tmp
	@find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*  ## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target does; do \
	  printf '  make %-11s %s\n' "$$target" "$$does"; \
	done

# An environment that is there and works is kept, whichever Python it has. It goes again when it could not be made
# whole, so that the next try starts anew.
$(VENV)/uv.stamp: Makefile
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  old="no Python of version 3.11 or later found (tried: $(PYTHON)); name one with PYTHON=..."; \
	  python=; why="$$old"; \
	  for candidate in $(PYTHON); do \
	    "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
	    why="$$candidate cannot make environments: it lacks ensurepip (Debian, Ubuntu: install python3-venv)"; \
	  done; \
	  if [ -z "$$python" ]; then echo "make: $$why" >&2; exit 1; fi; \
	  echo "Making $(VENV) with $$("$$python" --version 2>&1)"; \
	  "$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi
	@$(BIN)/python -m pip install --quiet '$(UV_RANGE)'
	@touch $@

$(VENV)/run.stamp: $(VENV)/uv.stamp requirements/run.lock pyproject.toml
	@echo "Installing requirements/run.lock"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.lock
	@$(INSTALL_PROJECT)
	@touch $@

# `sync` also removes what is no longer locked, the project with it: so that is installed after. What serves
# needs is among what tests need, at the same versions (a test compares the locks).
$(VENV)/dev.stamp: $(VENV)/uv.stamp requirements/dev.lock requirements/run.lock pyproject.toml
	@echo "Installing requirements/dev.lock"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.lock
	@$(INSTALL_PROJECT)
	@touch $(VENV)/run.stamp $@

# What checks Dockerfile, Kubernetes and the packages themselves. A machine that cannot have it goes without: the
# tests that need it are skipped, and say so.
$(VENV)/deploy.stamp: $(VENV)/uv.stamp requirements/deploy.lock
	@echo "Installing requirements/deploy.lock into $(VENV)/deploy"
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(VENV)/deploy
	@if $(UV) pip sync --quiet --python $(VENV)/deploy/bin/python --require-hashes requirements/deploy.lock; \
	  then touch $@; else echo "make: what is deployed goes unchecked: its tools could not be had" >&2; fi

# The build backend is inside uv, so this asks no registry.
INSTALL_PROJECT = $(UV) pip install --quiet --python $(BIN)/python --offline --no-deps -e .
