"""`audit verify`: the chain, the signed heads in the database and the heads anchored outside it."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from feed_migration.errors import UsageError
from feed_migration.journal.anchors import read_anchors
from feed_migration.journal.chain import ChainWalk, Mark, Row, VerifyResult, expected, result_of
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.heads import is_due, select_heads
from feed_migration.journal.keys import Head
from feed_migration.journal.tables import EVENTS
from feed_migration.journal.watchdog import Watchdog

type Flaw = tuple[int, str]


def verify_journal(
    database: JournalDatabase,
    *,
    expect_head: str | None = None,
    anchors: Path | None = None,
    trusted: frozenset[str] = frozenset(),
) -> VerifyResult:
    """Check everything that is known of the journal; the earliest flaw is the one that is told.

    `anchors` is a file of heads kept outside, `trusted` the public keys (hex) that sign them.
    Raises `UsageError` where `expect_head` is no `seq:hash`, or `anchors` cannot be read.
    """
    marks = list(_expected(expect_head))
    anchored = read_anchors(anchors) if anchors else []
    with database.streaming() as (connection, watchdog):
        heads = select_heads(connection)
        marks += _marks(heads, "the database's head")
        marks += _marks((head for head in anchored if head), "the anchored head")
        walk = ChainWalk(marks)
        with connection.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)) as result:
            lost = _walk(walk, _rows(result, watchdog), heads)
    anchors_read = [head for head in anchored if head]
    # a signature takes as long as ten events, and the same head is in both places
    signed = {head for head in {*heads, *anchors_read} if head.is_signed_by(trusted)}
    flaws = [walk.flaw, lost, _missed(heads, anchored)]
    if trusted:
        flaws += [_unsigned(heads, signed), _unsigned(anchors_read, signed)]
        flaws += [(1, "no head is signed by a trusted key")] * signed.isdisjoint(heads)
    walk.flaw = min((flaw for flaw in flaws if flaw), key=lambda flaw: flaw[0], default=None)
    good = (head.seq for head in heads if head.seq <= walk.count and head in signed)
    return result_of(walk, signed_seq=max(good, default=0))


def _rows(result: sa.Result[Any], watchdog: Watchdog) -> Iterator[Row]:
    for partition in result.partitions():
        watchdog.pat()
        yield from partition


def _expected(head: str | None) -> Sequence[Mark]:
    try:
        return expected(head)
    except ValueError:
        raise UsageError(
            f"--expect-head {head!r}: not a head", "give the `seq:hash` that audit verify printed"
        ) from None


def _marks(heads: Iterable[Head], source: str) -> Iterator[Mark]:
    return (Mark(seq=head.seq, hash=head.hash, source=source) for head in heads)


def _walk(walk: ChainWalk, rows: Iterable[Row], heads: Sequence[Head]) -> Flaw | None:
    """Walk to the end; return the first event behind the first head that has lost its own."""
    seqs = {head.seq for head in heads}
    last_seq = min(seqs, default=None)
    lost: Flaw | None = None
    for row in walk.good(rows):
        seq = row[0]
        if seq in seqs:
            last_seq = seq
        elif lost is None and last_seq is not None and _lacks_head(row, last_seq):
            lost = (seq, f"the head of event {seq} was removed from the database")
    return lost


def _lacks_head(row: Row, last_seq: int) -> bool:
    return row[0] > last_seq and is_due(row[3], row[0], last_seq)


def _unsigned(heads: Sequence[Head], signed: AbstractSet[Head]) -> Flaw | None:
    """Return the first head that no trusted key has signed; those before the first key may be."""
    begun = False
    for head in heads:
        if head not in signed and (begun or head.key or head.signature):
            return head.seq, f"the head of event {head.seq} is not signed by a trusted key"
        begun = begun or head in signed
    return None


def _missed(heads: Sequence[Head], anchored: Sequence[Head | None]) -> Flaw | None:
    """Return where anchors and database tell of different heads."""
    known = {head.seq: head for head in heads}
    last_seq = 0
    for number, anchor in enumerate(anchored, start=1):
        if anchor is None:
            return last_seq + 1, f"line {number} of the anchors is no head"
        if known.get(anchor.seq) != anchor:
            return anchor.seq, f"the head of event {anchor.seq} is not the one that was anchored"
        last_seq = anchor.seq
    return None
