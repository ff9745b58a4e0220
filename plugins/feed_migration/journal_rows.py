"""Rows of the journal as events, and the questions that are asked of them."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from feed_migration import phases
from feed_migration.chain import canonical_json
from feed_migration.events import Event, EventKind
from feed_migration.journal_tables import EVENTS, LEASES
from feed_migration.lease import Lease
from feed_migration.phases import MigrationState


def select_events(
    connection: sa.Connection,
    migration_id: str | None = None,
    kind: str | None = None,
    *,
    after_seq: int = 0,
) -> Iterator[Event]:
    """Yield events in order, of one migration or kind or of all, with a `seq` above `after_seq`."""
    query = sa.select(EVENTS).order_by(EVENTS.c.seq).where(EVENTS.c.seq > after_seq)
    if migration_id is not None:
        query = query.where(EVENTS.c.migration_id == migration_id)
    if kind is not None:
        query = query.where(EVENTS.c.kind == str(kind))
    for row in connection.execute(query):
        yield _event(row)


def migration_ids(connection: sa.Connection) -> list[str]:
    """Return the ids of all migrations, newest first."""
    query = (
        sa.select(EVENTS.c.migration_id)
        .where(EVENTS.c.kind == EventKind.MIGRATION_STARTED.value)
        .order_by(EVENTS.c.seq.desc())
    )
    return [str(row.migration_id) for row in connection.execute(query)]


def active_state(connection: sa.Connection) -> MigrationState | None:
    """Return the state of the migration that holds the deployment, if one does."""
    for migration_id in migration_ids(connection):
        state = phases.fold(select_events(connection, migration_id))
        if state.status.active:
            return state
    return None


def highest_epoch(connection: sa.Connection) -> int:
    """Return the highest fencing epoch that any event carries, 0 without one."""
    kinds = (EventKind.MIGRATION_STARTED, EventKind.ROLLBACK_STARTED)
    epochs = (
        event.body.get("epoch", 0)
        for kind in kinds
        for event in select_events(connection, None, kind)
    )
    return max((epoch for epoch in epochs if isinstance(epoch, int)), default=0)


def newest_lease(connection: sa.Connection, migration_id: str) -> Lease | None:
    """Return the lease of a migration as it was last renewed."""
    columns = LEASES.c
    query = (
        sa.select(columns.migration_id, columns.holder, columns.renewed_at, columns.seconds)
        .filter_by(migration_id=migration_id)
        .order_by(columns.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return Lease(**row._mapping) if row else None  # noqa: SLF001 - SQLAlchemy's public name for it


def _event(row: sa.Row[Any]) -> Event:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    try:
        body = json.loads(fields["body"])
    except ValueError:
        body = None
    # anything but the one canonical text was not written by `append`, so the hash must fail
    if not isinstance(body, dict) or canonical_json(body) != fields["body"]:
        body = {"unreadable": str(fields["body"])}
    return Event(**{**fields, "body": body})
