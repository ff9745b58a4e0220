"""One transaction that appends events: each linked to the one before, and with its head."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from feed_migration.events import Event, EventKind
from feed_migration.journal.chain import GENESIS_HASH, canonical_json, link
from feed_migration.journal.heads import FreshHeads, HeadKeeper, last_event, newest_head
from feed_migration.journal.keys import Head
from feed_migration.journal.measurements import last_seal, record_measurements
from feed_migration.journal.seals import MEASURED, SEALS_PER_NOTE, RunKey
from feed_migration.journal.tables import EVENTS
from feed_migration.model import Measurement


class EventWriter:
    """Appends to `connection`, which no other writer shares; `fresh` are the heads it has made."""

    def __init__(
        self, connection: sa.Connection, heads: HeadKeeper, clock: Callable[[], float]
    ) -> None:
        self.connection = connection
        self.fresh: FreshHeads | None = None
        self._heads, self._clock = heads, clock
        self._end: tuple[int, str] | None = None

    @property
    def has_written(self) -> bool:
        """Whether there is an event to anchor."""
        return self._end is not None

    def insert(
        self,
        kind: str,
        migration_id: str,
        actor: str,
        body: Mapping[str, Any],
        *,
        at: float | None = None,
    ) -> Event:
        """Append one event (`at` in unix seconds, now without it) and return it."""
        seq, prev_hash = self._end or self._found_end()
        fields: dict[str, Any] = {
            "seq": seq + 1,
            "at": float(self._clock() if at is None else at),
            "migration_id": _printable(migration_id),
            "kind": kind,
            "actor": _printable(actor),
            # what is hashed is what a reader will get back
            "body": json.loads(canonical_json(self._whole(kind, migration_id, body))),
        }
        event = Event(**fields, prev_hash=prev_hash, hash=link(prev_hash, fields))
        row = {**fields, "body": canonical_json(event.body)}
        row |= {"prev_hash": event.prev_hash, "hash": event.hash}
        self.connection.execute(sa.insert(EVENTS), row)
        self._end = event.seq, event.hash
        head = self._heads.keep(self.connection, event, before=self._head_before)
        if self.fresh is not None:
            self.fresh.heads.append(head)
        return event

    def record(self, run: RunKey, measurements: Iterable[Measurement]) -> list[Measurement]:
        """Keep measurements with their seal, and return those that stand."""
        standing, seal = record_measurements(self.connection, run, measurements, self._heads)
        if seal is not None and seal.seals % SEALS_PER_NOTE == 0:
            body = {"note": MEASURED, "step": run.step, "run": run.run, MEASURED: seal.to_json()}
            kind = EventKind.AUDIT_NOTE.value
            self.insert(kind, run.migration_id, f"gate {run.step}", body)
        return standing

    def _whole(self, kind: str, migration_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body; that of a verdict with what its run has measured up to this moment."""
        if kind != EventKind.VERDICT:
            return body
        run = RunKey(
            migration_id=migration_id, step=str(body.get("step")), run=str(body.get("run"))
        )
        seal = last_seal(self.connection, run)
        return {**body, MEASURED: seal.to_json()} if seal else body

    def _head_before(self) -> Head | None:
        return self.fresh.last if self.fresh is not None else newest_head(self.connection)

    def _found_end(self) -> tuple[int, str]:
        last = last_event(self.connection)
        if last is None:
            self.fresh = FreshHeads(before=None)
            return 0, GENESIS_HASH
        # one of an earlier version may have no head: then it is to be asked which is the last
        self.fresh = FreshHeads(before=last.head) if last.head else None
        return last.seq, last.hash


def _printable(text: str) -> str:
    """Return `text` as every database can hold it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
