# Everything a newcomer types. `make demo FAULT=gap` shows an automatic rollback.
.PHONY: setup demo test lint format lock clean
.DEFAULT_GOAL := help

setup:  ## Python 3.13, .venv with every pinned package, Prometheus
	@tools/setup.sh

demo: setup  ## a whole migration; FAULT=auth_failure|gap|stale|disconnect|schema_drift; PORT_BASE=18600
	@.venv/bin/python -m tools.demo $(if $(FAULT),--fault $(FAULT)) $(if $(PORT_BASE),--port-base $(PORT_BASE))

test: setup  ## every test; ARGS="-k gate" for some
	@.venv/bin/python -m pytest $(ARGS)

lint: setup  ## ruff, mypy, import contracts
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

format: setup  ## let ruff lay the code out
	@.venv/bin/ruff check --fix-only . && .venv/bin/ruff format .

lock: setup  ## pin requirements.in anew; needs uv
	@uv pip compile --quiet --python-version 3.13 --generate-hashes --no-annotate --no-header requirements.in -o requirements.txt
	@uv pip compile --quiet --python-version 3.13 --no-deps --generate-hashes --no-annotate --no-header requirements-witnesses.in -o requirements-witnesses.txt

clean:  ## remove what the demo and the tests left in var/
	@rm -rf var

help:
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
