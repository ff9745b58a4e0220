"""A journal's file that is gone, and put back, while processes have it open.

Where it was, a link leads nowhere, as on a disk that is not mounted: it takes the file's place in
one step, so whoever opens the journal meanwhile finds nothing and can make nothing either.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def lose(database: Path) -> None:
    """Let the journal be gone, with all that SQLite keeps beside it."""
    with away(database, comes_back=False):
        pass


def put_back(database: Path, raw: bytes) -> None:
    """Let the journal be that one, at once and whole."""
    lose(database)
    fresh = database.with_name("fresh.db")
    fresh.write_bytes(raw)
    fresh.replace(database)


@contextmanager
def away(database: Path, *, comes_back: bool = True) -> Iterator[None]:
    """The journal cannot be opened meanwhile; then it is as it was."""
    with TemporaryDirectory(dir=database.parent, prefix="aside-") as name:
        aside = Path(name)
        if not database.is_symlink():
            os.link(database, aside / database.name)
        link = aside / "link"
        link.symlink_to("unmounted/journal.db")
        link.replace(database)
        for beside in database.parent.glob(f"{database.name}-*"):
            # SQLite removes its own files when the last connection closes
            try:
                beside.rename(aside / beside.name)
            except FileNotFoundError:
                continue
        yield
        if comes_back:
            # the log before the database: who opens that one reads both
            for kept in sorted(aside.iterdir(), reverse=True):
                kept.rename(database.parent / kept.name)
