"""Every file below a directory, and the rows of each SQLite database among them."""

from collections.abc import Iterator
from pathlib import Path

from tests.secrecy.databases import SQLITE_MAGIC, rows_of_file
from tests.secrecy.search import Place


def files(root: Path) -> Iterator[Place]:
    """Yield each path, and each file with its bytes: a database's pages hold deleted rows, too."""
    for path in sorted(root.rglob("*")):
        name = str(path)
        yield Place("path", name, name.encode())
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield Place("file", name, content)
        if content.startswith(SQLITE_MAGIC):
            yield from rows_of_file(path, name)
