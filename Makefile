# Everything a newcomer types. `make demo FAULT=gap` shows an automatic rollback.
.PHONY: setup demo rehearsal env images-pin compose-check test chaos fuzz judge mutation bench bench-sandbox bench-journal lint format lock clean
.DEFAULT_GOAL := help
# with it set, each of a thousand processes would compile the same modules anew
unexport PYTHONDONTWRITEBYTECODE
# what the images get: what the wheel declares, at the versions that the tests run with
IMAGE_LOCK = uv pip compile --quiet --python-version 3.13 --generate-hashes --no-annotate --no-header \
	--constraint requirements.txt --extra ccxt --extra sandbox --extra migration pyproject.toml

setup:  ## Python 3.13, .venv with every pinned package, Prometheus, PostgreSQL
	@tools/setup.sh

demo: setup  ## a whole migration; FAULT=auth_failure|gap|stale|disconnect|schema_drift; PORT_BASE=18600
	@.venv/bin/python -m tools.demo $(if $(FAULT),--fault $(FAULT)) $(if $(PORT_BASE),--port-base $(PORT_BASE))

rehearsal: setup  ## the demo's stack to practise on by hand, until Ctrl-C; PORT_BASE=18600
	@.venv/bin/python -m tools.demo.rehearsal $(if $(PORT_BASE),--port-base $(PORT_BASE))

env:  ## .env for docker-compose, every secret random; VENUE=sandbox|backpack PLAN=plans/demo.yaml ALERTMANAGER=own|URL
	@VENUE="$(VENUE)" PLAN="$(PLAN)" ALERTMANAGER="$(ALERTMANAGER)" deploy/docker/make-env.sh

images-pin:  ## pins the images of others by digest in .env; needs the registry
	@deploy/docker/pin-images.sh

compose-check: setup  ## a whole migration under docker-compose on a real engine; ARGS="--own-engine --celery --alertmanager"
	@PYTHONPATH=plugins:. .venv/bin/python -m tools.compose_check $(ARGS)

test: setup  ## every test; ARGS="-k gate" for some, "-n 0" without workers
	@.venv/bin/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

bench: setup  ## CPU and latency of the feeds; ARGS="--only native,floor --rounds 3" for quick looks
	@.venv/bin/python -m benchmarks $(ARGS)

bench-sandbox: setup  ## frames/s of the sandbox to 1 and 20 clients; ARGS="--only prepared --seconds 2"
	@.venv/bin/python -m benchmarks.sandbox $(ARGS)

bench-journal: setup  ## verify, append, 10,000 audit mutations; ARGS="--only mutations --seed 7"
	@PYTHONPATH=plugins:. .venv/bin/python -m benchmarks.journal $(ARGS)

chaos: setup  ## attacks on every promise, into var/chaos/summary.json; PART=feeds|cycles|… SEED=1 ARGS="--count 9"
	@PYTHONPATH=plugins:. .venv/bin/python -m tests.chaos $(PART) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: setup  ## a million mutated frames through the native feed; FRAMES=1000000 SEED=1
	@PYTHONPATH=plugins:. .venv/bin/python -m tests.fuzz $(if $(FRAMES),--frames $(FRAMES)) $(if $(SEED),--seed $(SEED))

judge: setup  ## the promises of the gates; SHOW=forged|aa|restarts|scale ARGS="--count 1000 --seed 1"
	@PYTHONPATH=plugins:. .venv/bin/python -m tests.judge $(or $(SHOW),forged) $(ARGS)

mutation: setup  ## wrong judges that the tests notice; ARGS="--sample 100 --jobs 4"
	@PYTHONPATH=plugins:. .venv/bin/python -m tests.mutation $(ARGS)

lint: setup  ## ruff, mypy, import contracts
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

format: setup  ## let ruff lay the code out
	@.venv/bin/ruff check --fix-only . && .venv/bin/ruff format .

lock: setup  ## pin requirements.in and the clients for Node anew; needs uv
	@uv pip compile --quiet --python-version 3.13 --generate-hashes --no-annotate --no-header requirements.in -o requirements.txt
	@$(IMAGE_LOCK) --override deploy/docker/no-airflow.in deploy/docker/requirements-image.in -o deploy/docker/requirements-fleet.txt
	@$(IMAGE_LOCK) deploy/docker/requirements-image.in deploy/docker/requirements-airflow.in -o deploy/docker/requirements-airflow.txt
	@$(IMAGE_LOCK) deploy/docker/requirements-image.in deploy/docker/requirements-airflow.in deploy/docker/requirements-celery.in -o deploy/docker/requirements-celery.txt
	@uv pip compile --quiet --python-version 3.13 --no-deps --generate-hashes --no-annotate --no-header requirements-witnesses.in -o requirements-witnesses.txt
	@uv pip compile --quiet --python-version 3.13 --generate-hashes --no-annotate --no-header requirements-node.in -o requirements-node.txt
	@npm install --prefix tests/conformance/node --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error

clean:  ## remove what the demo and the tests left in var/
	@rm -rf var

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
