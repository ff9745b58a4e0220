"""Rows of the journal as events, and the questions that are asked of them."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from feed_migration import phases
from feed_migration.events import Event, EventKind
from feed_migration.journal.heads import EVERY_EVENT
from feed_migration.journal.tables import EVENTS, LEASES
from feed_migration.lease import Lease
from feed_migration.model import Step
from feed_migration.phases import MigrationState


def select_events(
    connection: sa.Connection,
    migration_id: str | None = None,
    kind: str | None = None,
    *,
    after_seq: int = 0,
    but: Collection[str] = (),
    text: str = "",
) -> Iterator[Event]:
    """Yield events in order, of one migration or kind or of all, with a `seq` above `after_seq`.

    Those of the kinds in `but` are left out, and those without `text`, of ASCII, in the body.
    """
    query = sa.select(EVENTS).order_by(EVENTS.c.seq).where(EVENTS.c.seq > after_seq)
    if migration_id is not None:
        query = query.where(EVENTS.c.migration_id == migration_id)
    if kind is not None:
        query = query.where(EVENTS.c.kind == str(kind))
    if but:
        query = query.where(EVENTS.c.kind.not_in(sorted(map(str, but))))
    if text:
        query = query.where(EVENTS.c.body.contains(text, autoescape=True))
    for row in connection.execute(query):
        yield _event(row)


def newest_events(connection: sa.Connection, migration_id: str, limit: int) -> list[Event]:
    """Return the last `limit` events of a migration, in order."""
    query = (
        sa.select(EVENTS)
        .where(EVENTS.c.migration_id == migration_id)
        .order_by(EVENTS.c.seq.desc())
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query)][::-1]


def migration_ids(connection: sa.Connection, limit: int | None = None) -> list[str]:
    """Return the ids of all migrations, newest first, or of the newest `limit`."""
    query = (
        sa.select(EVENTS.c.migration_id)
        .where(EVENTS.c.kind == EventKind.MIGRATION_STARTED.value)
        .order_by(EVENTS.c.seq.desc())
        .limit(limit)
    )
    return [str(row.migration_id) for row in connection.execute(query)]


def migration_at(connection: sa.Connection, at: float) -> str | None:
    """Return the id of the newest migration that had begun by `at`, unix seconds."""
    query = (
        sa.select(EVENTS.c.migration_id)
        .where(EVENTS.c.kind == EventKind.MIGRATION_STARTED.value, EVENTS.c.at <= at)
        .order_by(EVENTS.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return str(row.migration_id) if row else None


def active_state(connection: sa.Connection) -> MigrationState | None:
    """Return the state of the migration that holds the deployment, if one does."""
    for migration_id in migration_ids(connection):
        state = folded(connection, migration_id)
        if state.status.active:
            return state
    return None


def folded(connection: sa.Connection, migration_id: str) -> MigrationState:
    """Return where a migration is. Its notes may be many times its events, and tell nothing."""
    return phases.fold(select_events(connection, migration_id, but=phases.WITHOUT_EFFECT))


def highest_epoch(connection: sa.Connection) -> int:
    """Return the highest fencing epoch that any event carries, 0 without one."""
    # who joins a rollback, or is overtaken, may act above the epoch that it was begun with
    kinds = (EventKind.MIGRATION_STARTED, EventKind.ROLLBACK_STARTED, EventKind.ROLLBACK_ACT)
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


def started_body(
    plan_name: str,
    plan_sha256: str,
    steps: Sequence[Step],
    *,
    epoch: int,
    run_key: str,
    fleet: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the body of the event that begins a migration."""
    return {
        "plan": plan_name,
        "plan_sha256": plan_sha256,
        "epoch": epoch,
        "run_key": run_key,
        "steps": [_step_facts(step) for step in steps],
        "audit": EVERY_EVENT,
        "fleet": dict(fleet),
    }


def _step_facts(step: Step) -> dict[str, Any]:
    """Return what a migration records of a step of its plan."""
    return {
        "name": step.name,
        "phase": step.phase,
        "percent": step.percent,
        "approval": step.approval,
        "gated": step.gate is not None,
    }


def _event(row: sa.Row[Any]) -> Event:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    text = str(fields["body"])
    body = _canonical(text)
    # anything but the one canonical text was not written by `append`, so the hash must fail
    return Event(**{**fields, "body": {"unreadable": text} if body is None else body})


def _canonical(text: str) -> Mapping[str, Any] | None:
    """Return the object of a text that is canonical JSON (`chain.canonical_json`), else None.

    What has been read has no numbers left to replace, so it is written again without looking.
    """
    try:
        body = json.loads(text)
        again = json.dumps(
            body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and again == text else None
