# Airflow with the migration's DAGs and plugins, and with the tests that the dry run runs.
# Build from the root of the checkout. Nothing is compiled: every package is a wheel with its hash.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
# another index or a folder of wheels; never in the image that is kept
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
# requirements-celery.txt for workers on Celery
ARG REQUIREMENTS=requirements-airflow.txt
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY deploy/docker/${REQUIREMENTS} /tmp/requirements.txt
RUN /opt/venv/bin/pip install --quiet --require-hashes --only-binary :all: --requirement /tmp/requirements.txt
WORKDIR /opt/backpack
# all that .dockerignore lets through: the dry run and the last phase read tests, fixtures and docs
COPY . .
RUN /opt/venv/bin/pip install --quiet --no-index --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/pip uninstall --quiet --yes hatchling pip \
    && /opt/venv/bin/python -m compileall -q -j 2 /opt/venv/lib /opt/backpack

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 backpack \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin backpack \
    && install --directory --owner=10001 --group=10001 --mode=0700 \
        /opt/airflow /var/log/airflow \
        /var/lib/backpack /var/lib/backpack/fleet /var/lib/backpack/logs /var/lib/backpack/parity \
        /var/lib/backpack-control /var/lib/backpack-credentials /var/lib/backpack-feed \
        /var/lib/backpack-sandbox \
    # Prometheus, another user, reads its targets
    && install --directory --owner=10001 --group=10001 --mode=0755 /var/lib/backpack-targets \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/backpack-alerting
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/backpack /opt/backpack
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp XDG_CACHE_HOME=/tmp/cache \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/backpack
USER 10001:10001
CMD ["airflow", "version"]
