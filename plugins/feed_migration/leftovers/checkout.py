"""Reads the parts of a checkout that may name ccxt without needing it: docs, fixtures, tests."""

import os
from collections.abc import Iterator
from pathlib import Path

SCOPE = ("README.md", "CONTRIBUTING.md", "docs", "examples", "tests")
MAX_BYTES = 4 * 1024 * 1024
_SKIPPED = frozenset({"node_modules", "__pycache__", "var"})


def read_checkout(root: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return path → text of the files in SCOPE below `root`, and the paths that are no text.

    Paths are relative, with slashes; links are not followed. Raises OSError.
    """
    texts: dict[str, str] = {}
    unread: list[str] = []
    for path in sorted(_files(root)):
        name = path.relative_to(root).as_posix()
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        try:
            # bytes are decoded as they are: a patch must not change line ends
            texts[name] = (raw if raw is not None else b"\xff").decode("utf-8")
        except UnicodeDecodeError:
            unread.append(name)
    return texts, tuple(unread)


def executables(root: Path, names: tuple[str, ...]) -> frozenset[str]:
    """Return those of `names` that git knows as executable."""
    return frozenset(name for name in names if os.access(root / name, os.X_OK))


def _files(root: Path) -> Iterator[Path]:
    for name in SCOPE:
        top = root / name
        if top.is_file() and not top.is_symlink():
            yield top
        for folder, inner, files in os.walk(top):
            inner[:] = [n for n in inner if n not in _SKIPPED and not n.startswith(".")]
            yield from (path for path in (Path(folder) / f for f in files) if not path.is_symlink())
