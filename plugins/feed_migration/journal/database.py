"""The journal's transactions, on SQLite (WAL, fsync'ed) or Postgres (psycopg 3).

Writers are serial across processes: SQLite by BEGIN IMMEDIATE, Postgres by an advisory lock held
for the transaction. So "read the head, write the next" is one step, whoever else appends.
Nothing waits for ever: locks and statements by the database's own limits, and a Postgres that
stopped in the middle of an answer by a watchdog that cuts the connection.
"""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.tables import METADATA, POSTGRES_INSERT_ONLY, SQLITE_INSERT_ONLY
from feed_migration.journal.watchdog import Watchdog

LOCK_WAIT_SECONDS = 15.0
# A writer that was stopped (SIGSTOP, a frozen host) gives the lock up after this long
IDLE_SECONDS = 30.0
# What an answer may take beyond the wait for a lock
_ANSWER_SECONDS = 2.0
# For so long who opens a new file waits for others who do
_FIRST_OPENING_SECONDS, _FIRST_OPENING_POLL_SECONDS = 2.0, 0.02
_ADVISORY_LOCK = 0x6261636B  # any number, the same for all writers
_BEGIN = "journal_begin"


class JournalDatabase:
    """Transactions on the journal's tables; every database error becomes `JournalUnavailable`."""

    def __init__(self, url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        try:
            self.url = _with_our_driver(sa.make_url(url))
            self.sqlite = self.url.get_backend_name() == "sqlite"
            self._wait_seconds = lock_wait_seconds
            self._exists = False
            self._engine = self._create_engine(lock_wait_seconds)
        except (sa.exc.SQLAlchemyError, ImportError, ValueError) as error:
            # the URL may hold a password: only its scheme is repeated
            raise JournalUnavailable(
                f"journal {url.partition('://')[0]}://…: {type(error).__name__}",
                "correct journal_url in deployment.yaml, or install the driver that it names",
            ) from error
        self._prepare()

    @property
    def directory(self) -> Path | None:
        """Where its file is, None where it has none."""
        return Path(self.url.database).parent if self.sqlite and self.url.database else None

    def hurried(self, lock_wait_seconds: float) -> Self:
        """Return the same database for a caller that cannot wait long for a lock."""
        other = copy(self)
        other._wait_seconds = lock_wait_seconds  # noqa: SLF001 - our own kind
        other._engine = self._create_engine(lock_wait_seconds)  # noqa: SLF001 - our own kind
        return other

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A serial transaction: committed and on disk when the block ends."""
        with self._connected() as (connection, _):
            connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin() as transaction:
                if not self.sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
                yield connection
                self._commit(transaction)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view that blocks nobody."""
        with self._connected() as (connection, _), connection.begin():
            yield connection

    @contextmanager
    def streaming(self) -> Iterator[tuple[sa.Connection, Watchdog]]:
        """A view for reading long; call the watchdog's `pat` at least every few seconds."""
        with self._connected() as (connection, watchdog):
            connection.execution_options(yield_per=5000)
            if not self.sqlite:
                # what is read in several statements must be of one moment
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection, watchdog

    def grant(self, role: str) -> None:
        """Let a Postgres role read and append, and do nothing else; raises `ValueError` here."""
        if self.sqlite:
            raise ValueError(role)
        name = self._engine.dialect.identifier_preparer.quote(role)
        with self.writing() as connection:
            for table in METADATA.sorted_tables:
                connection.exec_driver_sql(f"REVOKE ALL ON {table.name} FROM {name}")
                connection.exec_driver_sql(f"GRANT SELECT, INSERT ON {table.name} TO {name}")

    @contextmanager
    def _connected(self) -> Iterator[tuple[sa.Connection, Watchdog]]:
        with (
            self._guarded(),
            Watchdog(self._wait_seconds + _ANSWER_SECONDS) as watchdog,
            self._engine.connect() as connection,
        ):
            watchdog.watch(connection)
            yield connection, watchdog

    def _commit(self, transaction: sa.RootTransaction) -> None:
        try:
            transaction.commit()
        except sa.exc.DBAPIError as error:
            if self.sqlite or not error.connection_invalidated:
                raise
            raise JournalUnavailable(
                self._problem(error),
                "it broke off during the commit, so the event may be there or not: look with "
                "`backpack-migrate audit export` before you repeat",
            ) from error

    def _create_engine(self, lock_wait_seconds: float) -> sa.Engine:
        if self.sqlite:
            arguments: dict[str, Any] = {"timeout": lock_wait_seconds}
        else:
            arguments = _postgres_arguments(self.url, lock_wait_seconds)
        # a connection per transaction: nothing is shared with a forked child or another thread
        engine = sa.create_engine(self.url, poolclass=NullPool, connect_args=arguments)
        if self.sqlite:
            sa.event.listen(engine, "do_connect", self._find_file)
            sa.event.listen(engine, "connect", _configure)
            sa.event.listen(engine, "begin", _begin)
        return engine

    def _find_file(self, _dialect: object, _record: object, args: Any, options: Any) -> None:
        """Once opened, its file is never made anew: an empty one stands in the restored one's way.

        See https://www.sqlite.org/uri.html, section "Query Parameters", `mode`.
        """
        if self._exists and not options.get("uri"):
            args[0] = f"{Path(args[0]).absolute().as_uri()}?mode=rw"
            options["uri"] = True

    def _prepare(self) -> None:
        if self.sqlite and self.url.database:
            try:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error
        with self.reading() as connection:
            known = set(sa.inspect(connection).get_table_names())
        if not {table.name for table in METADATA.sorted_tables} <= known:
            self._create_tables()
        self._exists = True

    def _create_tables(self) -> None:
        with self.writing() as connection:
            METADATA.create_all(connection)
            for statement in SQLITE_INSERT_ONLY if self.sqlite else POSTGRES_INSERT_ONLY:
                connection.exec_driver_sql(statement)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> JournalUnavailable:
        if self.sqlite:
            remedy = "nothing was recorded; free the disk or the lock, or restore the file"
        elif "permission denied" in str(error):
            remedy = "nothing was recorded; run `backpack-migrate journal init` as the owner"
        else:
            remedy = "nothing was recorded; start the server, free its lock, or correct journal_url"
        return JournalUnavailable(self._problem(error), f"{remedy}, and repeat")

    def _problem(self, error: Exception) -> str:
        cause = str(getattr(error, "orig", None) or error).strip()
        return f"journal {self.url.render_as_string(hide_password=True)}: {cause}"


def _with_our_driver(url: sa.URL) -> sa.URL:
    """`postgresql://` and `postgres://` mean psycopg 3, the driver that is installed."""
    if url.drivername in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    return url


def _postgres_arguments(url: sa.URL, wait_seconds: float) -> dict[str, Any]:
    limits = {
        "lock_timeout": wait_seconds,
        "statement_timeout": wait_seconds + _ANSWER_SECONDS,
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    options = " ".join(f"-c {name}={math.ceil(value * 1000)}" for name, value in limits.items())
    own = str(url.query.get("options", ""))
    return {
        "connect_timeout": max(2, math.ceil(wait_seconds)),
        "options": f"{own} {options}".strip(),
        "application_name": "backpack-migrate",
    }


def _configure(connection: Any, record: object) -> None:
    """Take transactions over from the driver, and make each commit reach the disk."""
    del record
    connection.isolation_level = None
    # what somebody tampered with is to be read and found, not to fail
    connection.text_factory = _text
    cursor = connection.cursor()
    try:
        _write_ahead(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
    finally:
        cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Set the mode once per database; its lock does not wait for others, so this does."""
    until = time.monotonic() + _FIRST_OPENING_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(_FIRST_OPENING_POLL_SECONDS)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
