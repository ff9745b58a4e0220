"""Base images under the tags that the files name, built from Debian's packages and a local Python.

For a machine that reaches Debian's and Python's packages and no registry of images. They stand in
for `python`, `postgres` and `prom/prometheus`: other builds of the same programs, so what is
special to the official images stays unverified. Grafana is in no Debian: there is none.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tools.compose_check.engine import CheckError, Engine, run

PYTHON_TAG = "python:3.13-slim-bookworm"
POSTGRES_TAG = "postgres:17-bookworm"
PROMETHEUS_TAG = "prom/prometheus:v3.5.0"
_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = (
    "libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libuuid1,"
    "zlib1g,ca-certificates"
)
# neither in the official slim image nor of any use here
_LEFT_OUT = ("test", "idlelib", "turtledemo", "__pycache__", "config-*", "*.a", "include", "share")

_POSTGRES_ENTRYPOINT = r"""#!/bin/bash
# the first start of the official image, as far as docker-compose.yaml counts on it
set -euo pipefail
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?}"
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2086
    initdb --username=postgres --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        ${POSTGRES_INITDB_ARGS:-} --pgdata="$PGDATA"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start
    for file in /docker-entrypoint-initdb.d/*.sh; do
        if [ -x "$file" ]; then "$file"; else . "$file"; fi
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec "$@"
"""
_POSTGRES = f"""FROM {PYTHON_TAG}
RUN groupadd --system --gid=999 postgres \\
    && useradd --system --gid=postgres --uid=999 --home-dir=/var/lib/postgresql postgres \\
    && apt-get update -qq \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \\
        postgresql-15 >/dev/null \\
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15 \\
    && install --directory --owner=postgres --group=postgres --mode=1777 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres", "-c", "listen_addresses=*"]
"""
_PROMETHEUS = f"""FROM {PYTHON_TAG}
COPY prometheus promtool /bin/
RUN install --directory --owner=nobody --group=nogroup /prometheus /etc/prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""
# tag, Dockerfile, and the files beside it: with this text, or copied from PATH
_STAND_INS: tuple[tuple[str, str, dict[str, str | None]], ...] = (
    (POSTGRES_TAG, _POSTGRES, {"docker-entrypoint.sh": _POSTGRES_ENTRYPOINT}),
    (PROMETHEUS_TAG, _PROMETHEUS, {"prometheus": None, "promtool": None}),
)


def build_base_images(engine: Engine, scratch: Path) -> None:
    """Build the three; needs root, debootstrap and Prometheus. Existing ones are kept."""
    if not _exists(engine, PYTHON_TAG):
        _build_python(engine, scratch)
    for tag, dockerfile, files in _STAND_INS:
        if not _exists(engine, tag):
            _build(engine, tag, dockerfile, files)


def _exists(engine: Engine, tag: str) -> bool:
    return bool(engine.docker("image", "ls", "--quiet", tag).strip())


def _build_python(engine: Engine, scratch: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise CheckError("debootstrap is missing: apt-get install debootstrap")
    root = scratch / "rootfs"
    shutil.rmtree(root, ignore_errors=True)
    run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root), _MIRROR],
        timeout=900,
    )
    source = Path(sys.base_prefix)
    for part in ("bin", "lib"):
        shutil.copytree(
            source / part,
            root / "usr/local" / part,
            symlinks=True,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(*_LEFT_OUT, "site-packages"),
        )
    for package in ("pip", "pip-*.dist-info"):
        for found in (source / "lib/python3.13/site-packages").glob(package):
            shutil.copytree(found, root / "usr/local/lib/python3.13/site-packages" / found.name)
    run(["chroot", str(root), "ldconfig"])
    run(
        [
            "chroot",
            str(root),
            "/usr/local/bin/python3.13",
            "-c",
            "import ssl, sqlite3, ctypes, lzma",
        ]
    )
    link = root / "usr/local/bin/python"
    if not link.exists():
        link.symlink_to("python3.13")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    archive = scratch / "python.tar"
    run(["tar", "--create", "--directory", str(root), "--file", str(archive), "."])
    change = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine.docker("import", "--change", change, str(archive), PYTHON_TAG)
    archive.unlink()
    shutil.rmtree(root)


def _build(engine: Engine, tag: str, dockerfile: str, files: dict[str, str | None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        (context / "Dockerfile").write_text(dockerfile)
        for file, text in files.items():
            path = context / file
            if text is None:
                binary = shutil.which(file)
                if binary is None:
                    raise CheckError(f"{file} is missing: apt-get install prometheus")
                shutil.copy(Path(binary).resolve(), path)
            else:
                path.write_text(text)
            path.chmod(0o755)
        engine.docker("build", "--network=host", "--tag", tag, name, timeout=1200)
