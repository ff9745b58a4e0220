"""The rows of one migration against the chain, before anything goes forward on them.

`audit verify` walks the whole log, with signatures and anchors; this is the part of it that is
quick enough for every step: who changes a row and leaves the hashes, or computes those anew, does
not get a step out of it. That the newest head is the anchored one is asked before, by `heads`.
"""

import sqlalchemy as sa

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.chain import ChainWalk, Mark
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.promises import Promises
from feed_migration.journal.rows import migration_ids
from feed_migration.journal.tables import EVENTS, HEADS
from feed_migration.journal.trail import DATABASE


def first_flaw(database: JournalDatabase, migration_id: str | None) -> str:
    """Return which event from the first one of a migration on does not fit, and why; "" for none.

    None is the newest migration. It waits for no lock, and nobody waits for it.
    """
    with database.streaming() as (connection, watchdog):
        named = migration_id or next(iter(migration_ids(connection, 1)), None)
        mine = sa.select(EVENTS.c.seq, EVENTS.c.prev_hash).where(EVENTS.c.migration_id == named)
        first = connection.execute(mine.order_by(EVENTS.c.seq).limit(1)).first()
        if first is None:
            return ""
        of_rows = sa.select(EVENTS).where(EVENTS.c.seq >= first.seq).order_by(EVENTS.c.seq)
        of_heads = (
            sa.select(HEADS.c.seq, HEADS.c.hash)
            .where(HEADS.c.seq >= first.seq)
            .order_by(HEADS.c.seq)
        )
        with connection.execute(of_rows) as rows, connection.execute(of_heads) as heads:
            marks = (Mark(seq, digest, DATABASE) for seq, digest in heads)
            walk = ChainWalk(marks, after=(first.seq - 1, first.prev_hash))
            promises = Promises()
            for row in walk.good(rows):
                promises.see(row, has_head=walk.found.get(DATABASE) == row[0])
                watchdog.pat()
    flaw = walk.flaw or promises.lost
    return f"event {flaw[0]} is the first wrong one, {flaw[1]}" if flaw else ""


def require_whole(database: JournalDatabase, migration_id: str | None) -> None:
    """Raise `JournalUnavailable` where the rows that a step would rest on are not the chain's."""
    if flaw := first_flaw(database, migration_id):
        raise JournalUnavailable(
            f"the journal was tampered with: {flaw}",
            "nothing goes forward on it; keep what `backpack-migrate audit verify` says, and bring "
            "back a journal that it finds whole; `backpack-migrate rollback` does not need it",
        )
