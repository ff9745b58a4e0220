"""The journal's tables and transactions, on SQLite (WAL, fsync'ed) or Postgres.

Writers are serial across processes: SQLite by BEGIN IMMEDIATE, Postgres by an advisory lock held
for the transaction. So "read the head, write the next" is one step, whoever else appends.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from feed_migration.errors import JournalUnavailable

LOCK_WAIT_SECONDS = 15.0
_ADVISORY_LOCK = 0x6261636B  # any number, the same for all writers
_BEGIN = "journal_begin"

METADATA = sa.MetaData()

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("migration_id", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
)

MEASUREMENTS = sa.Table(
    "measurements",
    METADATA,
    sa.Column("migration_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("criterion", sa.Text, primary_key=True),
    sa.Column("tick_seconds", sa.Double, primary_key=True),
    sa.Column("row", sa.Text, nullable=False),
)

# Honest code never rewrites history, so the database refuses it; the chain shows who went around
_INSERT_ONLY = tuple(
    f"CREATE TRIGGER IF NOT EXISTS events_no_{verb.lower()} BEFORE {verb} ON events "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)


class JournalDatabase:
    """Transactions on the journal's tables; every database error becomes `JournalUnavailable`."""

    def __init__(self, url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        try:
            self.url = sa.make_url(url)
            self.sqlite = self.url.get_backend_name() == "sqlite"
            self._engine = self._create_engine(lock_wait_seconds)
        except (sa.exc.SQLAlchemyError, ImportError, ValueError) as error:
            # the URL may hold a password: only its scheme is repeated
            raise JournalUnavailable(
                f"journal {url.partition('://')[0]}://…: {type(error).__name__}",
                "correct journal_url in deployment.yaml, or install the driver that it names",
            ) from error
        self._prepare()

    def hurried(self, lock_wait_seconds: float) -> Self:
        """Return the same database for a caller that cannot wait long for a lock."""
        other = copy(self)
        other._engine = self._create_engine(lock_wait_seconds)  # noqa: SLF001 - our own kind
        return other

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A serial transaction: committed and on disk when the block ends."""
        with self._guarded(), self._engine.connect() as connection:
            connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                if not self.sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view that blocks nobody."""
        with self._guarded(), self._engine.connect() as connection, connection.begin():
            yield connection

    def _create_engine(self, lock_wait_seconds: float) -> sa.Engine:
        # a connection per transaction: nothing is shared with a forked child or another thread
        arguments: dict[str, Any] = {"timeout": lock_wait_seconds} if self.sqlite else {}
        engine = sa.create_engine(self.url, poolclass=NullPool, connect_args=arguments)
        if self.sqlite:
            sa.event.listen(engine, "connect", _configure)
            sa.event.listen(engine, "begin", _begin)
        return engine

    def _prepare(self) -> None:
        if self.sqlite and self.url.database:
            try:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error
        with self.reading() as connection:
            if sa.inspect(connection).has_table(EVENTS.name):
                return
        with self.writing() as connection:
            METADATA.create_all(connection)
            if self.sqlite:
                for statement in _INSERT_ONLY:
                    connection.exec_driver_sql(statement)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> JournalUnavailable:
        cause = getattr(error, "orig", None) or error
        return JournalUnavailable(
            f"journal {self.url.render_as_string(hide_password=True)}: {cause}",
            "nothing was recorded; free the disk or the lock, or restore the file, and repeat",
        )


def _configure(connection: Any, record: object) -> None:
    """Take transactions over from the driver, and make each commit reach the disk."""
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # asked first: setting it takes a lock that does not wait for others
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
    finally:
        cursor.close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
