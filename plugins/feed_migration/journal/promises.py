"""What events promise of heads and measurements; `audit verify` holds the journal to it. Pure."""

import json
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import Any

from feed_migration.events import EventKind, body_mapping, body_number
from feed_migration.journal.chain import Row
from feed_migration.journal.heads import EVERY_EVENT, was_due
from feed_migration.journal.seals import MEASURED, RunKey, Sealed

type Committed = tuple[int, Sealed]

# What says anything of heads, runs and measurements; of notes those that name a seal
TELLING = frozenset(
    {
        EventKind.MIGRATION_STARTED,
        EventKind.STEP_STARTED,
        EventKind.VERDICT,
        EventKind.AUDIT_NOTE,
    }
)


class Promises:
    """Told of every event in order, and of whether it has a head.

    From event `signed_since` on each must have one, whatever the events say themselves. `last_seq`
    is the event of the last head before the first that is told of.
    """

    def __init__(self, signed_since: int | None = None, last_seq: int | None = None) -> None:
        self._signed_since = inf if signed_since is None else signed_since
        self.lost: tuple[int, str] | None = None
        self.committed: dict[RunKey, list[Committed]] = {}
        self._every_event = False
        self._last_seq = last_seq
        self._migrations: dict[str, tuple[int, bool]] = {}
        self._runs: dict[RunKey, int] = {}

    def see(self, row: Row, *, has_head: bool) -> None:
        """Take the next event; `lost` is the first that has not the head that it must have."""
        seq, kind = row[0], row[3]
        if kind in TELLING and (kind != EventKind.AUDIT_NOTE or MEASURED in str(row[5])):
            self._hear(seq, row[2], kind, _body(row[5]))
        if has_head:
            self._last_seq = seq
        elif self.lost is None and self._must_have_head(kind, seq):
            self.lost = (seq, f"the head of event {seq} was removed from the database")

    def all_sealed(self, run: RunKey) -> bool:
        """Return whether every measurement of a run has a seal: since its migration says so."""
        return self._migrations.get(run.migration_id, (0, False))[1]

    def began(self, run: RunKey) -> int:
        """Return the event that a run began with, as far as one tells."""
        start, _ = self._migrations.get(run.migration_id, (1, False))
        return self._runs.get(run, start)

    def _must_have_head(self, kind: str, seq: int) -> bool:
        if self._every_event or seq >= self._signed_since:
            return True
        return self._last_seq is not None and was_due(kind, seq, self._last_seq)

    def _hear(self, seq: int, migration_id: str, kind: str, body: Mapping[str, Any]) -> None:
        if kind == EventKind.MIGRATION_STARTED:
            self._every_event = (body_number(body, "audit") or 0) >= EVERY_EVENT
            self._migrations.setdefault(migration_id, (seq, self._every_event))
            return
        run = RunKey(
            migration_id=migration_id, step=str(body.get("step")), run=str(body.get("run"))
        )
        if kind == EventKind.STEP_STARTED:
            self._runs.setdefault(run, seq)
        elif said := body_mapping(body, MEASURED):
            sealed = Sealed(seals=int(body_number(said, "seals") or 0), hash=str(said.get("hash")))
            self.committed.setdefault(run, []).append((seq, sealed))


def _body(text: str) -> Mapping[str, Any]:
    # whoever computes the hashes anew may write anything
    with suppress(ValueError, RecursionError):
        body = json.loads(text)
        return body if isinstance(body, dict) else {}
    return {}
