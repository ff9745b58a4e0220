"""Writes a rollback's events to the journal where it works, and to the spool where it does not."""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Self

from feed_migration.events import Event, EventKind
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import MigrationState, fold

# Long for an append, short for a fleet that must go back
LOCK_WAIT_SECONDS = 1.0


class Recorder:
    """The journal of one rollback, that never stands in its way.

    Once the journal has failed, everything goes to the spool, and what an earlier call spooled goes
    into the journal first: a journal that comes back half way would otherwise hold the end of the
    rollback before its beginning, and ignore it.
    """

    def __init__(
        self,
        journal: Journal | None,
        spool: Spool,
        *,
        migration_id: str,
        actor: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    ) -> None:
        self._journal = journal
        self._spool = spool
        self._who = {"migration_id": migration_id, "actor": actor}
        self._clock = clock
        self._is_muted = False
        # before anything else: what is spooled must not wait for a lock with a journal's patience
        self._journal = self._ask(lambda it: it.hurried(LOCK_WAIT_SECONDS), None, absorb=False)

    def muted(self) -> Self:
        """Return the same recorder, but one that writes nothing."""
        other = copy(self)
        other._is_muted = True  # noqa: SLF001 - our own kind
        return other

    def write(self, kind: EventKind, body: Mapping[str, Any]) -> None:
        """Keep one event; never raises for want of a journal or a disk."""
        if self._is_muted:
            return
        if not self._ask(lambda journal: self._append(journal, kind, body), default=False):
            self._spool.write(kind, body=body, at=self._clock(), **self._who)

    def write_once(self, kind: EventKind, body: Mapping[str, Any], *, by: str) -> None:
        """Keep one event, in the journal once by its `by`; never raises."""
        if self._is_muted:
            return

        def choose(events: Sequence[Event]) -> list[tuple[EventKind, Mapping[str, Any]]]:
            return [] if any(event.body.get(by) == body[by] for event in events) else [(kind, body)]

        def written(journal: Journal) -> bool:
            migration_id, actor = self._who["migration_id"], self._who["actor"]
            journal.append_chosen(migration_id, actor, choose, kind=kind)
            return True

        if not self._ask(written, default=False):
            self._spool.write(kind, body=body, at=self._clock(), **self._who)

    def note(self, body: Mapping[str, Any]) -> None:
        """Keep an audit note, in the journal once by its `id`; never raises."""
        if self._is_muted:
            return

        def noted(journal: Journal) -> bool:
            journal.note(body=body, once="id", **self._who)
            return True

        if not self._ask(noted, default=False):
            self._spool.write(EventKind.AUDIT_NOTE, body=body, at=self._clock(), **self._who)

    def write_unless(
        self, stands: Callable[[MigrationState], bool], kind: EventKind, body: Mapping[str, Any]
    ) -> bool:
        """Keep one event unless `stands` holds of the migration's state; return whether it did not.

        Of two that write at once one sees the other; without a journal nobody is seen.
        """
        if self._is_muted:
            return True

        def choose(events: Sequence[Event]) -> list[tuple[EventKind, Mapping[str, Any]]]:
            return [] if stands(fold(events)) else [(kind, body)]

        who = (self._who["migration_id"], self._who["actor"])
        written = self._ask(lambda journal: journal.append_chosen(*who, choose), None)
        if written is None:
            self._spool.write(kind, body=body, at=self._clock(), **self._who)
        return written != []

    def state(self) -> MigrationState:
        """Return where the migration is, an empty state where the journal does not say."""
        return self._ask(lambda journal: journal.state(self._who["migration_id"]), MigrationState())

    def newest_migration(self) -> str | None:
        """Return the id of the newest migration, None where the journal does not say."""
        return self._ask(lambda journal: journal.latest_migration(), None)

    def max_epoch(self) -> int:
        """Return the highest epoch of the journal, 0 where it does not say."""
        return self._ask(lambda journal: journal.max_epoch(), 0)

    def _append(self, journal: Journal, kind: EventKind, body: Mapping[str, Any]) -> bool:
        journal.append(kind, body=body, **self._who)
        return True

    def _ask[Answer](
        self, question: Callable[[Journal], Answer], default: Answer, *, absorb: bool = True
    ) -> Answer:
        if self._journal is not None:
            try:
                if absorb and not self._spool.is_empty():
                    self._journal.absorb(self._spool)
                return question(self._journal)
            except Exception:  # noqa: BLE001 - whatever is wrong with it, the fleet goes back
                self._journal = None
        return default
