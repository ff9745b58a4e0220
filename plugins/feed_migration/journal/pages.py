"""The journal for those who leaf through it: pages of the log, and what is new since a look."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from feed_migration.events import Event
from feed_migration.journal.store import Journal
from feed_migration.journal.tables import EVENTS, MEASUREMENTS
from feed_migration.model import Measurement


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """Which events are looked for; "" is any. `actor` and `text` are parts, in any case."""

    kind: str = ""
    actor: str = ""
    text: str = ""


class PagedJournal(Journal):
    """A journal whose log is read a page at a time; every method raises `JournalUnavailable`."""

    def search(
        self, wanted: EventFilter, *, before_seq: int | None = None, limit: int = 100
    ) -> list[Event]:
        """Return a page of the log: the newest events that fit below `before_seq`, newest first."""
        with self._database.reading() as connection:
            return list(_search(connection, wanted, before_seq=before_seq, limit=limit))

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 for an empty journal."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(sa.func.max(EVENTS.c.seq))).scalar() or 0

    def measurements_since(
        self, migration_id: str, step: str, run: str, since_seconds: float
    ) -> list[Measurement]:
        """Return measurements of a gate's run at ticks from `since_seconds` on, in their order."""
        columns = MEASUREMENTS.c
        query = (
            sa.select(columns.row)
            .filter_by(migration_id=migration_id, step=step, run=run)
            .where(columns.tick_seconds >= since_seconds)
            .order_by(columns.tick_seconds, columns.criterion)
        )
        with self._database.reading() as connection:
            return [Measurement.from_row(json.loads(row.row)) for row in connection.execute(query)]


def _search(
    connection: sa.Connection, wanted: EventFilter, *, before_seq: int | None, limit: int
) -> Iterator[Event]:
    columns = EVENTS.c
    query = sa.select(EVENTS).order_by(columns.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(columns.seq < before_seq)
    if wanted.kind:
        query = query.where(columns.kind == wanted.kind)
    if wanted.actor:
        query = query.where(columns.actor.icontains(wanted.actor, autoescape=True))
    if wanted.text:
        # a body is ASCII, so what is not stands there as \uXXXX
        written = json.dumps(wanted.text)[1:-1]
        query = query.where(columns.body.icontains(written, autoescape=True))
    for row in connection.execute(query):
        yield _event(row)


def _event(row: sa.Row[Any]) -> Event:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    try:
        body = json.loads(fields["body"])
    except ValueError:
        body = None
    # whether a body is what was written, the verification says: here it is only shown
    shown = body if isinstance(body, dict) else {"unreadable": str(fields["body"])}
    return Event(**{**fields, "body": shown})
