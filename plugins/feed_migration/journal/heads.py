"""The journal's heads: one for each event, signed, and how they get out of the database."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from feed_migration.errors import JournalUnavailable
from feed_migration.events import Event, EventKind
from feed_migration.journal.anchors import AnchorFile, AnchorsDiffer, Hook
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.keys import (
    HEAD_DOMAIN,
    AuditPlace,
    Head,
    HeadSigner,
    load_signer,
    no_key,
)
from feed_migration.journal.tables import EVENTS, HEADS

LOG = logging.getLogger(__name__)

# What `migration_started` says of its own and what follows: every event has a head, and every
# measurement a seal. Before, in journals of earlier versions, only these had heads: the boundaries,
# and no more than so many events were ever without
EVERY_EVENT = 2
SIGN_EVERY = 64
RESTORED = (
    "keep what `backpack-migrate audit verify` says of it; after a restore that you know of "
    "repeat behind `backpack-migrate audit restored --reason TEXT`"
)
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
# and this, too, for somebody who has looked at a database that contradicts its anchors, or itself
ONWARD = _FORWARD | {EventKind.STEP_STARTED, EventKind.ACT_INTENDED}


def was_due(kind: str, seq: int, last_seq: int) -> bool:
    """Return whether earlier versions gave event `seq` a head, the last one being at `last_seq`."""
    return kind in BOUNDARIES or seq - last_seq >= SIGN_EVERY


@dataclass(kw_only=True)
class FreshHeads:
    """The heads of one transaction, in order, and the one before them, None for the first."""

    before: Head | None
    heads: list[Head] = field(default_factory=list)

    @property
    def last(self) -> Head | None:
        """The newest head there is."""
        return self.heads[-1] if self.heads else self.before


@dataclass(frozen=True, kw_only=True)
class LastEvent:
    """The end of the log: its seq, its hash, and its head if it has one."""

    seq: int
    hash: str
    head: Head | None


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
        self._contradiction = ""

    def now(self) -> float:
        """Return the time in unix seconds."""
        return float(self._clock())

    def signer(self, before: Callable[[], Head | None]) -> HeadSigner | None:
        """Return who signs, None where nobody does; raises where the key cannot be read.

        So it does where there is none, and the head `before` is signed: behind that an unsigned
        one would be tampering for good. Only who has no key asks for it.
        """
        if self._signer is None and self._place is not None:
            self._signer = load_signer(self._place)
        if self._signer is None and (last := before()) is not None and last.key:
            raise no_key(self._place)
        return self._signer

    def sign(
        self, head: Head, before: Callable[[], Head | None], domain: bytes = HEAD_DOMAIN
    ) -> Head:
        """Return `head`, signed where there is a key; raises as `signer` does."""
        signer = self.signer(before)
        return signer.sign(head, domain) if signer else head

    def keep(
        self, connection: sa.Connection, event: Event, before: Callable[[], Head | None]
    ) -> Head:
        """Write the head of `event` and return it; raises as `signer` does."""
        head = self.sign(Head(seq=event.seq, hash=event.hash, at=self.now()), before)
        connection.execute(sa.insert(HEADS), asdict(head))
        self._behind = True
        return head

    def anchor(self, database: JournalDatabase, fresh: FreshHeads | None = None) -> None:
        """Bring the file up to the database, which has just committed `fresh`.

        A failure is logged, and made up for later.
        """
        if self._file is None or not (self._behind or fresh):
            return
        try:
            known = (fresh.before, fresh.heads) if fresh else None
            self._file.extend(lambda seq: heads_from(database, seq), known)
        except AnchorsDiffer as error:
            self._behind, self._contradiction = True, str(error)
            LOG.error("%s: %s; %s", self._file.path, error, RESTORED)  # noqa: TRY400
        except (OSError, JournalUnavailable) as error:
            self._behind = True
            LOG.error("%s: heads are not anchored: %s", self._file.path, error)  # noqa: TRY400
        else:
            self._behind, self._contradiction = False, ""

    def catch_up(self, database: JournalDatabase) -> None:
        """On a start: repair a torn line, and anchor what a crash or a full disk kept from it."""
        self._behind = True
        self.anchor(database)

    def require(self, kind: str, database: JournalDatabase) -> None:
        """Raise `JournalUnavailable` before a step forward whose past is not the anchored one."""
        if self._file is None or kind not in ONWARD:
            return
        # each time: the database may have been restored under a running process
        self.catch_up(database)
        if self._contradiction:
            problem, remedy = self._contradiction, RESTORED
        elif self._behind and kind in _FORWARD:
            problem = "the audit's heads cannot be anchored"
            remedy = "free the disk or make the file writable, then repeat"
        else:
            return
        raise JournalUnavailable(
            f"{self._file.path}: {problem}",
            f"{remedy}; `backpack-migrate rollback` does not need it",
        )

    def contradiction(self, database: JournalDatabase) -> str:
        """Return why the anchors are not those of this database, "" where they are."""
        self.catch_up(database)
        return self._contradiction

    def set_aside(self, name: str, database: JournalDatabase) -> None:
        """Keep the anchors that contradict the database as `name`, and anchor everything anew."""
        if self._file is None:
            return
        try:
            self._file.set_aside(name)
        except OSError as error:
            raise JournalUnavailable(
                f"{self._file.path}: cannot be kept as {name} ({error.strerror})",
                "make its directory writable, then repeat",
            ) from error
        self.catch_up(database)


def heads_from(database: JournalDatabase, seq: int) -> list[Head]:
    """Return the heads from that of event `seq` on, in order."""
    with database.reading() as connection:
        query = sa.select(HEADS).where(HEADS.c.seq >= seq).order_by(HEADS.c.seq)
        return [head_of_row(row) for row in connection.execute(query)]


def last_event(connection: sa.Connection) -> LastEvent | None:
    """Return where the log ends, None where it is empty."""
    query = (
        sa.select(EVENTS.c.seq, EVENTS.c.hash, HEADS.c.hash, HEADS.c.at)
        .add_columns(HEADS.c.key, HEADS.c.signature)
        .outerjoin_from(EVENTS, HEADS, EVENTS.c.seq == HEADS.c.seq)
        .order_by(EVENTS.c.seq.desc())
        .limit(1)
    )
    for seq, own, digest, at, key, signature in connection.execute(query):
        head = Head(seq=seq, hash=digest, at=at, key=key, signature=signature)
        return LastEvent(seq=seq, hash=own, head=head if digest is not None else None)
    return None


def newest_head(connection: sa.Connection) -> Head | None:
    """Return the last head in the database, None where there is none."""
    query = sa.select(HEADS).order_by(HEADS.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return head_of_row(row) if row else None


def head_of_row(row: sa.Row[Any]) -> Head:
    """Return the head that a row of `HEADS` holds."""
    return Head(**row._mapping)  # noqa: SLF001 - a public name
