"""What the ledger says, in a form that is quick to ask: chapters of books, trades, a checkpoint.

One SQLite file. Everything since the last checkpoint is one open transaction: it is stored whole
with the next checkpoint, or, after a kill, not at all and folded from the ledger again. So the
file is never ahead of its checkpoint, and the ledger stays the only authority.
"""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, NoReturn

from backpack_sandbox.errors import SandboxError

FORMAT: Final = 1
"""Of the rows; a file of another format is folded anew."""

_TABLES: Final = """
DROP TABLE IF EXISTS chapters;
DROP TABLE IF EXISTS checkpoint;
CREATE TABLE chapters (
    kind TEXT, symbol TEXT, first_id INTEGER, last_id INTEGER, place INTEGER, crc INTEGER,
    content BLOB,
    PRIMARY KEY (kind, symbol, first_id)
) WITHOUT ROWID;
CREATE TABLE checkpoint (crc INTEGER, content BLOB);
"""

type Kind = Literal["books", "trades"]


class Row(NamedTuple):
    """A chapter: packed records of one market with the ids `first_id` to `last_id`.

    The lines they follow from begin at the byte `place` of the ledger, or after it.
    """

    first_id: int
    last_id: int
    place: int
    content: bytes


class TruthStore:
    """The file at `path`; made anew when it cannot be read.

    Every method raises SandboxError when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _open(path)

    def add(self, kind: Kind, symbol: str, row: Row) -> None:
        """Keep a chapter; on disk for good with the next checkpoint."""
        with self._clear_errors():
            self._connection.execute(
                "INSERT OR REPLACE INTO chapters VALUES (?, ?, ?, ?, ?, ?, ?)",
                (kind, symbol, *row[:-1], zlib.crc32(row.content), row.content),
            )

    def at(self, kind: Kind, symbol: str, number: int) -> Row | None:
        """The newest chapter that begins at or before the id `number`."""
        return self._row(
            "SELECT first_id, last_id, place, content, crc FROM chapters"
            " WHERE kind = ? AND symbol = ? AND first_id <= ? ORDER BY first_id DESC LIMIT 1",
            (kind, symbol, number),
        )

    def after(self, kind: Kind, symbol: str, number: int) -> Row | None:
        """The oldest chapter that begins after the id `number`."""
        return self._row(
            "SELECT first_id, last_id, place, content, crc FROM chapters"
            " WHERE kind = ? AND symbol = ? AND first_id > ? ORDER BY first_id LIMIT 1",
            (kind, symbol, number),
        )

    def newest_first(self, kind: Kind, symbol: str, before: int) -> Iterator[Row]:
        """Chapters that begin before the id `before`, read one at a time."""
        while (row := self.at(kind, symbol, before - 1)) is not None:
            yield row
            before = row.first_id

    def write_checkpoint(self, content: bytes) -> None:
        """Store `content` and all chapters added so far, in one transaction."""
        with self._clear_errors():
            self._connection.execute("DELETE FROM checkpoint")
            self._connection.execute(
                "INSERT INTO checkpoint VALUES (?, ?)", (zlib.crc32(content), content)
            )
            self._connection.commit()

    def read_checkpoint(self) -> bytes | None:
        """The content of the last checkpoint; None when there is none, or a damaged one."""
        with suppress(sqlite3.DatabaseError):
            row = self._connection.execute("SELECT crc, content FROM checkpoint").fetchone()
            if row is not None and zlib.crc32(row[1]) == row[0]:
                return bytes(row[1])
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._connection.close()
        _remove(self._path)
        self._connection = _open(self._path)

    def close(self) -> None:
        """Close; what came after the last checkpoint is dropped."""
        self._connection.close()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SandboxError(f"{self._path}: {error}") from error

    def _row(self, query: str, values: tuple[str, str, int]) -> Row | None:
        with self._clear_errors():
            row = self._connection.execute(query, values).fetchone()
        if row is None:
            return None
        if zlib.crc32(row[3]) != row[4]:
            raise SandboxError(
                f"{self._path} is damaged; remove it while the venue is down: it is made anew from"
                " the ledger"
            )
        return Row(*row[:4])


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.DatabaseError:
        _remove(path)
    try:
        return _connect(path)
    except sqlite3.Error as error:
        raise SandboxError(
            f"{path}: {error}; the state directory must be writable and have room"
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, autocommit=True)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            _refuse(path)
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found != FORMAT:
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
        connection.autocommit = False
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _refuse(path: Path) -> NoReturn:
    raise sqlite3.DatabaseError(f"{path} is torn")


def _remove(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
