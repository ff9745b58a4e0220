"""`audit verify`: the chain, its heads, the heads anchored outside, and the measurements."""

from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from feed_migration.errors import UsageError
from feed_migration.journal.anchors import read_anchors
from feed_migration.journal.chain import ChainWalk, Mark, Row, VerifyResult, expected, result_of
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.keys import Head, Trusted
from feed_migration.journal.measurements_verify import Measured, verify_measurements
from feed_migration.journal.promises import Promises
from feed_migration.journal.tables import EVENTS, HEADS
from feed_migration.journal.trail import ANCHORED, DATABASE, HeadTrail, Signatures, earliest
from feed_migration.journal.watchdog import Watchdog


def verify_journal(
    database: JournalDatabase,
    *,
    expect_head: str | None = None,
    anchors: Path | None = None,
    trusted: Trusted,
) -> VerifyResult:
    """Check everything that is known of the journal; the earliest flaw is the one that is told.

    `anchors` is a file of heads kept outside, `trusted` the public keys that sign them.
    Raises `UsageError` where `expect_head` is no `seq:hash`, or `anchors` cannot be read.
    """
    marks = _expected(expect_head)
    # before the database is looked at, which has everything that is anchored
    anchored = read_anchors(anchors) if anchors else ()
    with database.streaming() as (connection, watchdog):
        count = connection.scalar(sa.select(sa.func.count()).select_from(HEADS)) or 0
        signatures, promises = Signatures(trusted, count), Promises(trusted.since)
        with (
            connection.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)) as events,
            connection.execute(sa.select(HEADS).order_by(HEADS.c.seq)) as heads,
        ):
            trail = HeadTrail(map(_head, _rows(heads, watchdog)), anchored, signatures)
            walk = ChainWalk(merge(marks, trail.marks(), key=_seq_of) if marks else trail.marks())
            for row in walk.good(_rows(events, watchdog)):
                promises.see(row, has_head=walk.found.get(DATABASE) == row[0])
        signed_seq = signatures.finish(walk.count)
        flaws = [walk.flaw, promises.lost, trail.flaw, signatures.flaw]
        if trusted.keys and not signatures.first_seq:
            flaws.append((1, "no head is signed by a trusted key"))
        walk.flaw = earliest(flaws)
        measured = Measured()
        if walk.flaw is None:
            # what events say of the measurements holds only where the events do
            measured = verify_measurements(
                connection,
                promises,
                trusted=trusted,
                signed_from=signatures.first_seq,
                pat=watchdog.pat,
            )
            walk.flaw = measured.flaw
    return result_of(
        walk,
        signed_from=signatures.first_seq,
        signed_seq=signed_seq,
        signed_every=signatures.stride,
        anchored_seq=walk.found.get(ANCHORED, 0),
        sealed=measured.sealed,
        unsealed=measured.unsealed,
    )


def _rows(result: sa.Result[Any], watchdog: Watchdog) -> Iterator[Row]:
    for partition in result.partitions():
        watchdog.pat()
        yield from partition


def _head(row: Row) -> Head:
    seq, digest, at, key, signature = row
    return Head(seq=seq, hash=digest, at=at, key=key, signature=signature)


def _seq_of(mark: Mark) -> int:
    return mark.seq


def _expected(head: str | None) -> Sequence[Mark]:
    try:
        return expected(head)
    except ValueError:
        raise UsageError(
            f"--expect-head {head!r}: not a head", "give the `seq:hash` that audit verify printed"
        ) from None
