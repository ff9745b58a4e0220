"""What a journal says: events, states, measurements and leases, read and never written."""

import math
from collections.abc import Collection

from feed_migration.events import Event
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.heads import heads_from
from feed_migration.journal.keys import Head
from feed_migration.journal.measurements import (
    last_tick_seconds,
    newest_measurements,
    select_measurements,
)
from feed_migration.journal.rows import (
    active_state,
    folded,
    highest_epoch,
    migration_ids,
    newest_events,
    newest_lease,
    select_events,
)
from feed_migration.journal.seals import RunKey
from feed_migration.lease import Lease
from feed_migration.model import Measurement
from feed_migration.phases import MigrationState


class JournalReader:
    """The reading half of `store.Journal`; every method raises `JournalUnavailable`."""

    _database: JournalDatabase

    def events(
        self,
        migration_id: str | None = None,
        kind: str | None = None,
        *,
        after_seq: int = 0,
        but: Collection[str] = (),
        text: str = "",
    ) -> list[Event]:
        """Return events in order, of one migration or kind or of all, after the one of that seq.

        Those of the kinds in `but` are left out, and those without `text`, of ASCII, in the body:
        the database looks, which of many notes is far quicker than to read them.
        """
        with self._database.reading() as connection:
            found = select_events(
                connection, migration_id, kind, after_seq=after_seq, but=but, text=text
            )
            return list(found)

    def newest_events(self, migration_id: str, limit: int) -> list[Event]:
        """Return the last `limit` events of a migration, in order."""
        with self._database.reading() as connection:
            return newest_events(connection, migration_id, limit)

    def active_migration(self) -> str | None:
        """Return the id of the migration that holds the deployment, if one does."""
        with self._database.reading() as connection:
            active = active_state(connection)
            return active.migration_id if active else None

    def latest_migration(self) -> str | None:
        """Return the id of the newest migration, over or not."""
        return next(iter(self.migrations(1)), None)

    def migrations(self, limit: int | None = None) -> list[str]:
        """Return the ids of the migrations, newest first, at most `limit` of them."""
        with self._database.reading() as connection:
            return migration_ids(connection, limit)

    def state(self, migration_id: str) -> MigrationState:
        """Return where the migration is: the fold of its events."""
        with self._database.reading() as connection:
            return folded(connection, migration_id)

    def max_epoch(self) -> int:
        """Return the highest fencing epoch that any event carries."""
        with self._database.reading() as connection:
            return highest_epoch(connection)

    def measurements(
        self, migration_id: str, step: str, run: str = "1", *, since_seconds: float = -math.inf
    ) -> list[Measurement]:
        """Return the measurements of one run of a gate, in the order of their ticks.

        Those of ticks from `since_seconds` into the gate on.
        """
        key = RunKey(migration_id=migration_id, step=step, run=run)
        with self._database.reading() as connection:
            return select_measurements(connection, key, since_seconds)

    def newest_measurements(
        self, migration_id: str, step: str, run: str, ticks: int
    ) -> list[Measurement]:
        """Return the last `ticks` measurements of each criterion of a run, in order of ticks."""
        key = RunKey(migration_id=migration_id, step=step, run=run)
        with self._database.reading() as connection:
            return newest_measurements(connection, key, ticks)

    def last_tick_seconds(self, migration_id: str, step: str, run: str = "1") -> float | None:
        """Return the newest tick of a gate's run that anything was measured at."""
        key = RunKey(migration_id=migration_id, step=step, run=run)
        with self._database.reading() as connection:
            return last_tick_seconds(connection, key)

    def lease(self, migration_id: str) -> Lease | None:
        """Return the lease of a migration as it was last renewed, None where it never was."""
        with self._database.reading() as connection:
            return newest_lease(connection, migration_id)

    def heads(self) -> list[Head]:
        """Return the signed heads in the database, in order."""
        return heads_from(self._database, 0)
