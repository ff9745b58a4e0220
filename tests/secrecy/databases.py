"""Every row of a database as text, on SQLite and PostgreSQL alike."""

import json
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from tests.secrecy.layers import layers
from tests.secrecy.search import Place

SQLITE_MAGIC = b"SQLite format 3\x00"


def rows(url: str, name: str) -> Iterator[Place]:
    """Yield each table of the database at `url` with all that its rows hold."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        for table in _tables(engine):
            yield Place("database rows", f"{name}: {table}", _content(connection, table))


def rows_of_file(path: Path, name: str) -> Iterator[Place]:
    """The rows of an SQLite file, which is not written to."""
    return rows(f"sqlite:///file:{path}?mode=ro&uri=true", name)


def _tables(engine: Engine) -> list[str]:
    inspector = inspect(engine)
    return [*inspector.get_table_names(), *inspector.get_view_names()]


def _content(connection: Connection, table: str) -> bytes:
    quoted = connection.dialect.identifier_preparer.quote(table)
    # as the driver gives them: a type of the table may decrypt or hide what is stored
    found = connection.execute(text(f"SELECT * FROM {quoted}"))  # noqa: S608 - of the catalogue
    return b"\n".join(part for row in found for cell in row for part in layers(_bytes(cell)))


def _bytes(cell: object) -> bytes:
    match cell:
        case bytes():
            return cell
        case memoryview():
            return bytes(cell)
        case dict() | list():
            return json.dumps(cell, default=str).encode()
        case _:
            return str(cell).encode()
