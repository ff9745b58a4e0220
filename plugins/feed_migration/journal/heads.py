"""When the journal's head is signed, where it is kept, and how it gets out of the database."""

import logging
from collections.abc import Callable
from dataclasses import asdict

import sqlalchemy as sa

from feed_migration.errors import JournalUnavailable
from feed_migration.events import Event, EventKind
from feed_migration.journal.anchors import AnchorFile, Hook
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.keys import AuditPlace, Head, HeadSigner, load_signer
from feed_migration.journal.tables import HEADS

LOG = logging.getLogger(__name__)

# No more events than these are ever without a signed head
SIGN_EVERY = 64
BOUNDARIES = frozenset(
    {
        EventKind.MIGRATION_STARTED,
        EventKind.VERDICT,
        EventKind.APPROVAL,
        EventKind.STEP_PROMOTED,
        EventKind.HELD,
        EventKind.ROLLBACK_STARTED,
        EventKind.ROLLBACK_VERIFIED,
        EventKind.MIGRATION_FINISHED,
    }
)
# What goes forward waits for a disk that takes anchors; nothing else does, the way back least
_FORWARD = frozenset({EventKind.MIGRATION_STARTED, EventKind.STEP_PROMOTED})


def is_due(kind: str, seq: int, last_seq: int) -> bool:
    """Return whether event `seq` must have a head, the last one being at `last_seq`."""
    return kind in BOUNDARIES or seq - last_seq >= SIGN_EVERY


class HeadKeeper:
    """Signs heads in the transaction of their event, and anchors them once that is committed.

    Without a state directory (`place` None) heads stay in the database, unsigned.
    """

    def __init__(
        self,
        place: AuditPlace | None,
        *,
        signer: HeadSigner | None,
        hook: Hook | None,
        clock: Callable[[], float],
    ) -> None:
        self._place, self._signer, self._clock = place, signer, clock
        self._file = AnchorFile(place.anchors, hook) if place else None
        self._behind = False

    def keep(self, connection: sa.Connection, event: Event, *, always: bool = False) -> None:
        """Write the head of `event` if one is due; raises where the key cannot be read."""
        last_seq = connection.scalar(sa.select(sa.func.max(HEADS.c.seq))) or 0
        if always or is_due(event.kind, event.seq, last_seq):
            head = Head(seq=event.seq, hash=event.hash, at=float(self._clock()))
            if self._signer is None and self._place is not None:
                self._signer = load_signer(self._place)
            head = self._signer.sign(head) if self._signer else head
            connection.execute(sa.insert(HEADS), asdict(head))
            self._behind = True

    def anchor(self, database: JournalDatabase) -> None:
        """Bring the file up to the database; a failure is logged, and made up for later."""
        if self._file is None or not self._behind:
            return
        try:
            self._file.extend(lambda seq: heads_after(database, seq))
        except (OSError, JournalUnavailable) as error:
            LOG.error("%s: heads are not anchored: %s", self._file.path, error)  # noqa: TRY400
        else:
            self._behind = False

    def catch_up(self, database: JournalDatabase) -> None:
        """On a start: repair a torn line, and anchor what a crash or a full disk kept from it."""
        self._behind = True
        self.anchor(database)

    def require(self, kind: str, database: JournalDatabase) -> None:
        """Raise `JournalUnavailable` before a step forward whose past cannot be anchored."""
        if kind in _FORWARD:
            self.anchor(database)
            if self._behind and self._file is not None:
                raise JournalUnavailable(
                    f"{self._file.path}: the audit's heads cannot be anchored",
                    "free the disk or make the file writable, then repeat; "
                    "`backpack-migrate rollback` does not need it",
                )


def heads_after(database: JournalDatabase, seq: int) -> list[Head]:
    """Return the heads behind event `seq`, in order."""
    with database.reading() as connection:
        return select_heads(connection, seq)


def select_heads(connection: sa.Connection, after_seq: int = 0) -> list[Head]:
    """Return the heads in the database behind event `after_seq`, in order."""
    query = sa.select(HEADS).where(HEADS.c.seq > after_seq).order_by(HEADS.c.seq)
    return [Head(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - a public name
