"""A journal's database as a test holds it: opened, locked, tampered with, on SQLite and Postgres."""

# ruff: noqa: S608 - the tests write the SQL, nobody else

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from feed_migration.journal.store import Journal
from tests.support.postgres_server import PostgresServer

TABLES = ("events", "heads", "measurements", "seals")


class Store(ABC):
    """A database with the state directory `home`."""

    url: str
    refusal: type[Exception]

    def __init__(self, home: Path) -> None:
        self.home = home

    def open(self, **more: Any) -> Journal:
        """The journal; the tables are made when it is opened first."""
        return Journal(self.url, home=self.home, **more)

    @abstractmethod
    def sql(self, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
        """Run statements with `?` for parameters, as the tables' owner."""

    @abstractmethod
    def unprotect(self) -> None:
        """Do what an administrator can: take the triggers away."""

    @abstractmethod
    def locked(self) -> Any:
        """Hold the writers' lock, as another process would."""

    def clear(self) -> None:
        """Empty the tables."""
        self.tamper(*(f"DELETE FROM {table}" for table in TABLES))

    def fill(self, original: Path) -> None:
        """Copy every event and head of a SQLite journal."""
        with closing(sqlite3.connect(original)) as source:
            for table in ("events", "heads"):
                rows = source.execute(f"SELECT * FROM {table}").fetchall()
                values = ",".join("?" * len(rows[0])) if rows else ""
                self.sql(*((f"INSERT INTO {table} VALUES ({values})", row) for row in rows))

    def tamper(self, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
        """Rewrite history."""
        self.unprotect()
        self.sql(*statements)

    @staticmethod
    def _split(statement: tuple[str, tuple[Any, ...]] | str) -> tuple[str, tuple[Any, ...]]:
        return (statement, ()) if isinstance(statement, str) else statement


class SqliteStore(Store):
    """`journal.db` in the state directory."""

    refusal = sqlite3.IntegrityError

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.path = home / "journal.db"
        self.url = str(self.path)

    def sql(self, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(*self._split(statement))

    def unprotect(self) -> None:
        self.sql(
            *(
                f"DROP TRIGGER IF EXISTS {table}_no_{verb}"
                for table in TABLES
                for verb in ("update", "delete")
            )
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
            holder.execute("ROLLBACK")


class PostgresStore(Store):
    """A schema of its own on a running server."""

    refusal = psycopg.errors.RaiseException

    def __init__(self, home: Path, server: PostgresServer) -> None:
        super().__init__(home)
        self.server, self.schema = server, server.new_schema()
        self.url = server.url(self.schema)

    def sql(self, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
        with self.server.connect(self.schema) as connection:
            for statement in statements:
                text, values = self._split(statement)
                connection.execute(text.replace("?", "%s").encode(), values or None)

    def unprotect(self) -> None:
        self.sql(*(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in TABLES))

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self.server.connect(self.schema) as holder, holder.transaction():
            holder.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            yield
