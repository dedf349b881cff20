# The daily life of DatingToday. `make` alone lists what there is.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.setup-stamp
# Extra arguments for pytest, the benchmarks or the lock: make test ARGS='tests/chat -k unread'
ARGS ?=
# Tests, benchmarks and chaos run on this MySQL instead of MariaDB: make test MYSQLD=/path/to/mysqld
export MYSQLD ?=

# $(call option,--port,PORT): the option, if the variable was given and is not empty
option = $(if $($(2)),$(1) '$($(2))')
# Made-up people on the first start; SEED=0 for none.
SEED ?= 200
SERVE_OPTIONS = $(call option,--seed,SEED) $(call option,--host,HOST) $(call option,--port,PORT) $(call option,--data,DATA)

.PHONY: help setup run test test-long check format bench bench-long chaos frontend lock upgrade

help:
	@echo 'make run         start the server on this machine  (PORT=8000 HOST=127.0.0.1 DATA=data SEED=200, as needed)'
	@echo 'make test        all tests but the long ones, in parallel  (ARGS= for pytest, MYSQLD= to run on MySQL)'
	@echo 'make test-long   the long ones'
	@echo 'make check       style, types, import rules, house rules, stale generated files'
	@echo 'make format      let ruff mend what it can'
	@echo 'make bench       measure speed on this machine; make bench-long: with up to a million people'
	@echo 'make chaos       kill, stop and wipe what chat depends on, and check its promises  (SECONDS=600)'
	@echo 'make frontend    build the demo and the TypeScript client anew (needs Node; the built files are committed)'
	@echo 'make lock        write the pinned requirements anew from pyproject.toml; make upgrade: with newest versions'
	@echo 'make setup       only the setting up (.venv), which all the others do by themselves  (PYTHON=python3.12)'

setup: $(STAMP)
	@echo '.venv is up to date'

$(STAMP): pyproject.toml requirements.txt requirements-dev.lock scripts/setup
	@PYTHON='$(PYTHON)' scripts/setup

# exec: signals reach the server itself, and there is no shell in between to complain.
run: $(STAMP)
	@exec $(BIN)/datingtoday serve $(SERVE_OPTIONS)

test: $(STAMP)
	@exec scripts/test -m 'not long' $(ARGS)

test-long: $(STAMP)
	@exec scripts/test -m long $(ARGS)

check: $(STAMP)
	@exec scripts/check

format: $(STAMP)
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

bench: $(STAMP)
	@scripts/test-tools servers
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.chat $(ARGS)
	@$(BIN)/python -m benchmarks.push $(ARGS)
	@exec $(BIN)/python -m benchmarks.discovery --users 10000 --users 100000 $(ARGS)

bench-long: $(STAMP)
	@scripts/test-tools servers
	@exec $(BIN)/python -m benchmarks.discovery --users 10000 --users 100000 --users 1000000 $(ARGS)

SECONDS ?= 600
chaos: $(STAMP)
	@scripts/test-tools servers
	@exec $(BIN)/python -m tests.chat.chaos --seconds $(SECONDS) $(ARGS)

frontend: $(STAMP)
	@exec scripts/frontend

lock: $(STAMP)
	@exec scripts/lock $(ARGS)

upgrade: $(STAMP)
	@exec scripts/lock --upgrade $(ARGS)
