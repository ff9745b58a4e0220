"""Base images under the tags that the files name, built from Debian's packages and a local Python.

For a machine that reaches Debian's and Python's packages and no registry of images. They stand in
for `python`, `postgres`, `redis`, `prom/prometheus` and `prom/alertmanager`: other builds of the
same programs, so what is special to the official images stays unverified. Grafana is in no Debian:
there is none.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tools.compose_check.engine import CheckError, Engine, run
from tools.compose_check.parts import Parts
from tools.compose_check.stand_ins import STAND_INS, TAGS, StandIn

PYTHON_TAG = TAGS["PYTHON_IMAGE"]
_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = (
    "libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libuuid1,"
    "zlib1g,ca-certificates"
)
# neither in the official slim image nor of any use here
_LEFT_OUT = ("test", "idlelib", "turtledemo", "__pycache__", "config-*", "*.a", "include", "share")


def build_base_images(engine: Engine, scratch: Path, parts: Parts) -> None:
    """Build those that `parts` need; as root, with debootstrap. Existing ones are kept."""
    if not _exists(engine, PYTHON_TAG):
        _build_python(engine, scratch)
    for stand_in in STAND_INS:
        if stand_in.service not in parts.left_out and not _exists(engine, stand_in.tag):
            _build(engine, stand_in)


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


def _build(engine: Engine, stand_in: StandIn) -> None:
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        (context / "Dockerfile").write_text(stand_in.dockerfile)
        for file, text in stand_in.files.items():
            (context / file).write_text(text)
            (context / file).chmod(0o755)
        for program in stand_in.binaries:
            binary = shutil.which(program)
            if binary is None:
                raise CheckError(f"{program} is missing: apt-get install {stand_in.package}")
            shutil.copy(Path(binary).resolve(), context / program)
        for folder in map(Path, stand_in.folders):
            shutil.copytree(folder, context / folder.name)
        engine.docker("build", "--network=host", "--tag", stand_in.tag, name, timeout=1200)
