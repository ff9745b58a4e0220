"""Writes a rollback's events to the journal where it works, and to the spool where it does not."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from feed_migration.errors import JournalUnavailable
from feed_migration.events import EventKind
from feed_migration.journal import Journal
from feed_migration.phases import MigrationState
from feed_migration.spool import Spool

# Long for an append, short for a fleet that must go back
LOCK_WAIT_SECONDS = 1.0


class Recorder:
    """The journal of one rollback, that never stands in its way.

    Once the journal has failed, everything goes to the spool: a journal that comes back half way
    would otherwise hold the end of the rollback before its beginning.
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
        self._journal = journal.hurried(LOCK_WAIT_SECONDS) if journal is not None else None
        self._spool = spool
        self._who = {"migration_id": migration_id, "actor": actor}
        self._clock = clock

    def write(self, kind: EventKind, body: Mapping[str, Any]) -> None:
        """Keep one event; never raises for want of a journal or a disk."""
        if self._journal is not None:
            try:
                self._journal.append(kind, body=body, **self._who)
            except JournalUnavailable:
                self._journal = None
            else:
                return
        self._spool.write(kind, body=body, at=self._clock(), **self._who)

    def state(self) -> MigrationState:
        """Return where the migration is, an empty state where the journal does not say."""
        return self._ask(lambda journal: journal.state(self._who["migration_id"]), MigrationState())

    def max_epoch(self) -> int:
        """Return the highest epoch of the journal, 0 where it does not say."""
        return self._ask(lambda journal: journal.max_epoch(), 0)

    def _ask[Answer](self, question: Callable[[Journal], Answer], default: Answer) -> Answer:
        if self._journal is not None:
            try:
                return question(self._journal)
            except JournalUnavailable:
                self._journal = None
        return default
