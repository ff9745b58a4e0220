"""Every test of the journal runs on both databases, each time on an empty one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.journal_stores import PostgresStore, SqliteStore, Store
from tests.support.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that only use it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Where a journal is, on each database in turn; its state directory is `tmp_path`."""
    if request.param == "sqlite":
        return SqliteStore(tmp_path)
    return PostgresStore(tmp_path, request.getfixturevalue("postgres"))
