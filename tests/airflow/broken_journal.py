"""Journals that are there and do not answer: locked by another process, or no database at all."""

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.airflow.conftest import Stage


def ruin(stage: "Stage") -> None:
    """Leave bytes where the database was."""
    for name in ("journal.db-wal", "journal.db-shm"):
        (stage.home / name).unlink(missing_ok=True)
    (stage.home / "journal.db").write_bytes(b"no database " * 400)


class locked:  # noqa: N801 - reads as the state it brings about
    """The journal while another process holds its write lock."""

    def __init__(self, stage: "Stage") -> None:
        self._connection = sqlite3.connect(stage.home / "journal.db", isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN EXCLUSIVE")

    def __exit__(self, *_: object) -> None:
        self._connection.rollback()
        self._connection.close()
