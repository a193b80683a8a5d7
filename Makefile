# Groundplan needs Python 3.11 or newer and make; everything else is installed into .venv by the target that needs it.
#
#   make dev     install, migrate, seed, serve with reload; prints the addresses and the demo accounts
#   make test    install, lint, type-check, test on SQLite and a real PostgreSQL, walk the tour in a browser
#   make test-all    the tests for which the system's package manager has to install something
#
# Variables: PYTHON=/path/to/python3 chooses the interpreter that makes .venv; APP_PORT=9000 chooses the port of `make dev`;
# ARGS="..." is passed on to the tests, as in: make test ARGS="-k orders", or ARGS="-n0 -v" for one after the other;
# SEEDS=1,2,3 are those of the chaos tests

BIN  := .venv/bin
BASE := .venv/installed-base
DEV  := .venv/installed-dev

# A .venv knows its own place; in a folder that was moved or copied it is made anew.
MOVED := $(shell [ "$$(cat .venv/installed-at 2>/dev/null)" = "$$(pwd -P)" ] || echo moved)

.PHONY: help dev test test-all lint typecheck smoke bench-http bench-messaging chaos migrate seed lock clean browser rabbitmq moved
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

dev: $(BASE) ## Serve the shop and the console on APP_PORT (8080), with reload: the whole platform in one process
	@$(BIN)/groundplan dev

test: $(DEV) browser lint typecheck ## Run every check: lint, types, the laws of the house, all tests, the browser tour
	@scripts/step "Tests" $(BIN)/pytest -m "not system_packages" --numprocesses auto --dist worksteal $(ARGS)

test-all: $(DEV) rabbitmq ## Run the tests that `make test` leaves out: those on what only system packages bring (RabbitMQ)
	@scripts/step "Tests on system packages" $(BIN)/pytest -m "system_packages and not chaos" $(ARGS)

lint: $(DEV) ## Check style, formatting and the floors that rooms may import from
	@scripts/step "Style" $(BIN)/ruff check .
	@scripts/step "Formatting" $(BIN)/ruff format --check .
	@scripts/step "Floors" $(BIN)/lint-imports --no-logo

typecheck: $(DEV) ## Check types, strictly
	@scripts/step "Types" $(BIN)/mypy

smoke: $(BASE) ## Check that a running platform answers: URL=https://... , or else one that is started for it
	@$(BIN)/python scripts/smoke.py $(URL)

chaos: $(DEV) rabbitmq ## Kill, freeze and starve workers, brokers and databases under load, in full; ARGS="-k zombie" takes some
	@GROUNDPLAN_CHAOS=full GROUNDPLAN_CHAOS_SEEDS=$(SEEDS) scripts/step "Chaos" \
		$(BIN)/pytest tests/chaos --numprocesses 4 --dist worksteal $(ARGS)

bench-http: $(DEV) ## Measure requests beside FastAPI, Django, Litestar and Starlette; QUICK=1 takes a minute (benchmarks/http/README.md)
	@PYTHONPATH=. $(BIN)/python -m benchmarks.http

bench-messaging: $(DEV) ## Measure jobs and events beside a bare loop and five libraries; QUICK=1 takes a minute (benchmarks/README.md)
	@PYTHONPATH=. $(BIN)/python -m benchmarks.messaging

migrate: $(BASE) ## Bring the database up to date (DATABASE_MIGRATE_URL, else DATABASE_URL, else var/app.db)
	@$(BIN)/groundplan migrate

seed: $(BASE) ## Fill the database with the three stores, their products and their past orders
	@$(BIN)/groundplan seed

lock: $(DEV) ## Pin what pyproject.toml asks for, with hashes; ARGS=--upgrade takes the newest that it allows
	@scripts/lock $(ARGS)

clean: ## Remove everything made here: .venv, var (with the local database) and the tools' caches
	rm -rf .venv var dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BASE): pyproject.toml requirements/base.txt requirements/build.txt scripts/install $(MOVED)
	@scripts/install base
	@touch $@

$(DEV): pyproject.toml requirements/dev.txt requirements/build.txt scripts/install $(MOVED)
	@scripts/install dev
	@touch $@ $(BASE)

browser: $(DEV)
	@scripts/install-browser

rabbitmq:
	@scripts/install-rabbitmq
