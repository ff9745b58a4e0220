"""Builds the product's images with packages from this machine's pip, which no image sees."""

import functools
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.compose_check.engine import Engine, run
from tools.compose_check.parts import Parts

REPOSITORY = Path(__file__).resolve().parents[2]
FLEET = ("backpack-fleet:local", "fleet", "requirements-fleet.txt")
AIRFLOW = ("backpack-airflow:local", "airflow", "requirements-airflow.txt")
# under Celery every part of Airflow has this one
CELERY = ("backpack-airflow-celery:local", "airflow", "requirements-celery.txt")


def build_own_images(engine: Engine, scratch: Path, parts: Parts) -> None:
    """Download every locked wheel here, then build without an index."""
    images = (CELERY if parts.celery else AIRFLOW, FLEET)
    wheels = scratch / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for _, _, requirements in images:
        _download(REPOSITORY / "deploy/docker" / requirements, wheels)
    with _served(wheels) as url:
        for tag, name, requirements in images:
            engine.docker(
                *("build", "--network=host", "--tag", tag),
                *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", f"PIP_FIND_LINKS={url}"),
                *("--build-arg", f"REQUIREMENTS={requirements}"),
                *("--file", str(REPOSITORY / f"deploy/docker/{name}.Dockerfile"), str(REPOSITORY)),
                timeout=1800,
            )


def _download(requirements: Path, wheels: Path) -> None:
    run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"),
            *("--only-binary", ":all:", "--dest", str(wheels)),
            *("--requirement", str(requirements)),
        ],
        # what `make setup` has downloaded is not downloaded again
        {**os.environ, "PIP_CACHE_DIR": str(REPOSITORY / "var/cache/pip")},
        timeout=1200,
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing of the hundreds of wheels."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
