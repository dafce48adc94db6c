# Everything one types here; `make` alone lists it.

VENV := .venv
BIN := $(VENV)/bin
VERSIONS := 3.11 3.12 3.13
BACKEND ?= sqlite3
BENCH_VERSION ?= 3.13
PYTHON ?= $(shell scripts/find-python.sh)

# Pyright would ask the package index for a newer version at each start.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# REQUIRE=1: a database service that is not installed is a failure.
ifeq ($(REQUIRE),1)
export BACKEND_SDK_REQUIRE_SERVICES := 1
endif

MAKEFLAGS += --no-builtin-rules --no-print-directory
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help conformance test lint types tests format bench bench-gate bench-kit django-suite selftest-full soak-pools soak-scopes services dist constraints clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

conformance: $(VENV)/conformance.stamp ## judge a backend: make conformance BACKEND=sqlite3
	@$(BIN)/python -m conformance $(BACKEND)

test: lint types tests ## everything: lint and layering, types, tests on each Python

lint: $(VENV)/dev.stamp ## ruff and the layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/dev.stamp ## mypy, then pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

tests: services-report django-environments third-party-engines $(addprefix tests-,$(VERSIONS)) ## pytest on each Python; PYTEST_ARGS is handed on

.PHONY: services-report django-environments third-party-engines
third-party-engines: $(VENV)/dev.stamp # published Django engines, each Django's in an environment of its own
	@$(BIN)/python -m scripts.third_party_engines || test "$$BACKEND_SDK_REQUIRE_SERVICES" != 1

django-environments: $(VENV)/dev.stamp # what is missing is reported, and fails where everything is required
	@$(BIN)/python scripts/django_environments.py || test "$$BACKEND_SDK_REQUIRE_SERVICES" != 1

services-report:
	@scripts/services.sh report

tests-%: $(VENV)/dev.stamp
	@scripts/on-python.sh $* -m pytest -n auto $(PYTEST_ARGS)

format: $(VENV)/dev.stamp ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## the benchmarks, on Python 3.13 where there is one
	@OTHERWISE=$(VENV) scripts/on-python.sh $(BENCH_VERSION) -m benchmarks

bench-gate: $(VENV)/dev.stamp ## the benchmarks against their targets
	@OTHERWISE=$(VENV) scripts/on-python.sh $(BENCH_VERSION) -m benchmarks --gate

soak-scopes: $(VENV)/dev.stamp ## many requests over two tenants, in threads and under asyncio
	@$(BIN)/python -m tests.soak.scopes

soak-pools: $(VENV)/dev.stamp ## the pool under failures, thread deaths, forks and restarts
	@$(BIN)/python -m benchmarks.soak_pools

bench-kit: $(VENV)/dev.stamp ## how long the kit takes
	@$(BIN)/python -m benchmarks.kit

DJANGO ?= 5.2
django-suite: django-environments ## Django's own tests through django_pooled and without it; FULL=1 for all of them
	@$(BIN)/python -m tests.django_suite --django $(DJANGO) $(if $(FULL),--full --parallel 2) $(SUITE_ARGS)

selftest-full: django-environments ## each wrong backend of the kit's catalogue against every requirement
	$(BIN)/python -m conformance selftest --full
	$(BIN)/python -m conformance selftest --full --profile dbapi
	$(BIN)/python -m conformance selftest --full --profile django
	for django in .venv-django-*; do $$django/bin/python -m conformance selftest --profile django || exit 1; done

services: ## install the database servers the tests use
	@scripts/services.sh install

dist: $(VENV)/dev.stamp ## wheel and sdist, in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

constraints: ## resolve every dependency anew and pin it
	@scripts/constraints.sh "$(PYTHON)"

clean: ## remove all that the other targets made
	rm -rf $(VENV) $(VENV)-3.* $(VENV)-django-* $(VENV)-engines-* dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .environment.lock
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/%.stamp: pyproject.toml constraints.txt
	@python="$(PYTHON)"; test -n "$$python" && "$$python" scripts/environment.py $(VENV) $*
