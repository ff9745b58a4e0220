"""Builds the product's two images with packages from this machine's pip, which no image sees."""

import functools
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.compose_check.engine import Engine, run

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = {
    "backpack-airflow:local": ("airflow", "requirements-airflow.txt"),
    "backpack-fleet:local": ("fleet", "requirements-fleet.txt"),
}


def build_own_images(engine: Engine, scratch: Path) -> None:
    """Download every locked wheel here, then build without an index."""
    wheels = scratch / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for _, requirements in IMAGES.values():
        _download(REPOSITORY / "deploy/docker" / requirements, wheels)
    with _served(wheels) as url:
        for tag, (name, _) in IMAGES.items():
            engine.docker(
                *("build", "--network=host", "--tag", tag),
                *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", f"PIP_FIND_LINKS={url}"),
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
