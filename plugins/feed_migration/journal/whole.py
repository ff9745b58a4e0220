"""The rows of one migration against chain and signatures, before anything goes forward on them.

`audit verify` walks the whole log, with anchors and measurements; this is the part of it that is
quick enough for every step. Who changes a row, or computes all hashes anew, or appends an event
without the key does not get a step out of it. That the newest head is the anchored one is asked
before, by `heads`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import sqlalchemy as sa

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.chain import GENESIS_HASH, ChainWalk, Mark
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.heads import head_of_row
from feed_migration.journal.keys import Head, Trusted
from feed_migration.journal.promises import Promises
from feed_migration.journal.rows import migration_ids
from feed_migration.journal.tables import EVENTS, HEADS
from feed_migration.journal.trail import DATABASE, Flaw, Signatures, earliest


@dataclass(frozen=True, kw_only=True)
class _Signed:
    """Up to event `seq`, which has `hash`, heads are signed as `trusted` wants."""

    trusted: Trusted
    seq: int = 0
    hash: str = GENESIS_HASH


class WholeRows:
    """Looks for one open journal, and checks each signature once; `trusted` reads the keys."""

    def __init__(self, trusted: Callable[[], Trusted]) -> None:
        self._trusted = trusted
        self._signed = _Signed(trusted=Trusted())

    def first_flaw(self, database: JournalDatabase, migration_id: str | None) -> str:
        """Return which event from the first one of a migration on does not fit; "" for none.

        None is the newest migration. It waits for no lock, and nobody waits for it. Raises
        `JournalUnavailable`, also where the public keys cannot be read.
        """
        return self._walk(database, migration_id)[0]

    def require(self, database: JournalDatabase, migration_id: str | None) -> str:
        """Raise `JournalUnavailable` where rows that a step would rest on are not as written.

        Returns the hash of the last row that was looked at, "" for none.
        """
        flaw, last_hash = self._walk(database, migration_id)
        if flaw:
            raise JournalUnavailable(
                f"the journal was tampered with: {flaw}",
                "nothing goes forward on it; keep what `backpack-migrate audit verify` says, and "
                "bring back a journal that it finds whole; `backpack-migrate rollback` does not "
                "need it",
            )
        return last_hash

    def _walk(self, database: JournalDatabase, migration_id: str | None) -> tuple[str, str]:
        trusted = self._trusted()
        with database.streaming() as (connection, watchdog):
            first = _first_event(connection, migration_id)
            if first is None:
                return "", ""
            seq, after = first
            known = self._known(connection, trusted)
            signed_before = _signed_before(connection, trusted, seq)
            signatures = _signatures(trusted, known, signed_from=seq if signed_before else None)
            promises = Promises(trusted.since, signed_before)
            of_rows = sa.select(EVENTS).where(EVENTS.c.seq >= seq).order_by(EVENTS.c.seq)
            of_heads = sa.select(HEADS).where(HEADS.c.seq >= seq).order_by(HEADS.c.seq)
            with connection.execute(of_rows) as rows, connection.execute(of_heads) as heads:
                marks = _marks(map(head_of_row, heads), signatures, known)
                walk = ChainWalk(marks, after=after)
                for row in walk.good(rows):
                    promises.see(row, has_head=walk.found.get(DATABASE) == row[0])
                    watchdog.pat()
        signed_seq = signatures.finish(walk.count)
        flaws = [walk.flaw, promises.lost, signatures.flaw]
        if trusted.keys and trusted.since is None and not (known or signed_before or signed_seq):
            flaws.append((seq, "no head is signed by a trusted key"))
        flaw = earliest(flaws)
        if flaw is None and signed_seq == walk.count:
            self._signed = _Signed(trusted=trusted, seq=walk.count, hash=walk.hash)
        return _words(flaw), walk.hash

    def _known(self, connection: sa.Connection, trusted: Trusted) -> int:
        """Return up to which event signatures were checked: of this log, and for these keys."""
        signed = self._signed
        if signed.trusted != trusted:
            return 0
        there = sa.select(EVENTS.c.hash).where(EVENTS.c.seq == signed.seq)
        return signed.seq if connection.scalar(there) == signed.hash else 0


def _first_event(
    connection: sa.Connection, migration_id: str | None
) -> tuple[int, tuple[int, str]] | None:
    """Return the first event of a migration, and which one with which hash it follows."""
    named = migration_id or next(iter(migration_ids(connection, 1)), None)
    mine = sa.select(EVENTS.c.seq, EVENTS.c.prev_hash).where(EVENTS.c.migration_id == named)
    row = connection.execute(mine.order_by(EVENTS.c.seq).limit(1)).first()
    return (row.seq, (row.seq - 1, row.prev_hash)) if row else None


def _signed_before(connection: sa.Connection, trusted: Trusted, seq: int) -> int | None:
    """Return the event of the last head before `seq` that a trusted key is named in."""
    if not trusted.keys:
        return None  # else every head is looked at, and none found
    wanted = sa.select(HEADS.c.seq).where(HEADS.c.seq < seq, HEADS.c.key.in_(trusted.keys))
    return connection.scalar(wanted.order_by(HEADS.c.seq.desc()).limit(1))


def _signatures(trusted: Trusted, known: int, signed_from: int | None) -> Signatures:
    """Return what checks every head behind `known`; what follows a signed one must be signed.

    That is all from event `signed_from` on, None where no head before it is.
    """
    bounds = (trusted.since, known + 1 if known else None, signed_from)
    since = min((bound for bound in bounds if bound is not None), default=None)
    return Signatures(replace(trusted, since=since), 0)


def _marks(heads: Iterable[Head], signatures: Signatures, known: int) -> Iterator[Mark]:
    for head in heads:
        if head.seq > known:
            signatures.add(head)
        yield Mark(head.seq, head.hash, DATABASE)


def _words(flaw: Flaw | None) -> str:
    return f"event {flaw[0]} is the first wrong one, {flaw[1]}" if flaw else ""
