"""The hash chain of the journal. Pure.

`hash = SHA-256(domain ‖ prev_hash ‖ canonical JSON of the event)`, after RFC 6962's domain
separation: an event can be taken neither for a genesis nor for an entry of another version.
A chain shows any change, deletion, insertion or swap before its head. That the tail was cut off,
or everything rewritten, shows only against a head kept elsewhere: a `Mark` (`journal.verify`).
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from feed_migration.events import Event

_EVENT_DOMAIN = b"\x01backpack-migrate/journal/event/v1\x00"
GENESIS_HASH = hashlib.sha256(b"\x00backpack-migrate/journal/genesis/v1\x00").hexdigest()

# An event as its row holds it, body as text: seq, at, migration_id, kind, actor, body, prev_hash,
# hash. A row that was tampered with may hold any other types.
type Row = Sequence[Any]


class Mark(NamedTuple):
    """A head that `source` holds: event `seq` must be there, and its hash must be `hash`."""

    seq: int
    hash: str
    source: str


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """Outcome of a verification; `head` is `seq:hash` of the last good event.

    `signed_from` is the first event whose head is signed, `signed_seq` the one that the last good
    signature covers, `anchored_seq` that of the last anchor, 0 without one; of the signatures one
    in `signed_every` was checked. `marks` says how many heads kept elsewhere were found again.
    `sealed` counts measurements whose seals stand, `unsealed` those of earlier versions, without a
    seal.
    """

    ok: bool
    first_bad_seq: int | None
    reason: str
    head: str
    count: int
    signed_from: int = 0
    signed_seq: int = 0
    signed_every: int = 1
    marks: int = 0
    anchored_seq: int = 0
    sealed: int = 0
    unsealed: int = 0


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no blanks, ASCII, finite numbers.

    NaN and the infinities become Prometheus's strings "NaN", "+Inf" and "-Inf".
    """
    return json.dumps(
        _finite(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def link(prev_hash: str, event: Mapping[str, Any]) -> str:
    """Return the hash of `event` (seq, at, migration_id, kind, actor, body) behind `prev_hash`."""
    return _digest(prev_hash, canonical_json(event))


def event_hash(event: Event) -> str:
    """Return the hash that `event` must carry."""
    return row_hash(row_of(event))


def row_of(event: Event) -> Row:
    """Return `event` as the row that `append` writes."""
    who = (event.seq, event.at, event.migration_id, event.kind, event.actor)
    return (*who, canonical_json(event.body), event.prev_hash, event.hash)


def row_hash(row: Row) -> str:
    """Return the hash that `row` must carry: `link`, without reading the body's JSON.

    The text of a body is unique within the text of its event, so a body in any other words than
    those of `append` has another hash. Raises TypeError or ValueError on columns of odd types.
    """
    seq, at, migration_id, kind, actor, body, prev_hash, _ = row
    return _digest(
        prev_hash,
        f'{{"actor":{encode_basestring_ascii(actor)},"at":{float.__repr__(at)},"body":{body}'
        f',"kind":{encode_basestring_ascii(kind)}'
        f',"migration_id":{encode_basestring_ascii(migration_id)},"seq":{seq}}}',
    )


def is_as_written(row: Row) -> bool:
    """Return whether `row` carries the hash that it must carry."""
    try:
        return bool(row[7] == row_hash(row))
    except (AttributeError, TypeError, ValueError):
        return False  # no such column was ever written


def head_of(event: Event | None) -> str:
    """Return `seq:hash`, the anchor to keep elsewhere."""
    return f"{event.seq}:{event.hash}" if event else f"0:{GENESIS_HASH}"


def parse_head(text: str) -> tuple[int, str]:
    """Return seq and hash of a `seq:hash`; raises ValueError where it is none."""
    seq, colon, digest = text.strip().partition(":")
    if not (colon and seq.isascii() and seq.isdigit() and len(digest) == len(GENESIS_HASH)):
        raise ValueError(text)
    bytes.fromhex(digest)
    return int(seq), digest.lower()


class ChainWalk:
    """One pass over the rows of a chain: names the first that does not fit, or misses a mark.

    `marks` come in the order of their events, and are taken as the walk gets there. `found` has
    the event of the last one of each source. The first row follows `after`, an event and its hash.
    """

    def __init__(
        self, marks: Iterable[Mark] = (), *, after: tuple[int, str] = (0, GENESIS_HASH)
    ) -> None:
        self._marks = iter(marks)
        self._mark = next(self._marks, None)
        self.count, self.hash = after
        self.marks_found = 0
        self.found: dict[str, int] = {}
        self._proven_seq = self.count
        self.flaw: tuple[int, str] | None = self._mismatch(self.count, self.hash)

    @property
    def head(self) -> str:
        """`seq:hash` of the last good event."""
        return f"{self.count}:{self.hash}"

    def good(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows until the first bad one; `flaw` says then which and why."""
        for row in rows:
            reason = self._break(row)
            self.flaw = self.flaw or ((row[0], reason) if reason else None)
            self.flaw = self.flaw or self._mismatch(row[0], row[7])
            if self.flaw:
                return
            self.count, self.hash = row[0], row[7]
            yield row
        mark = self._mark
        if mark is not None and self.flaw is None:
            reason = f"{mark.source} {mark.seq}:{mark.hash} is not in the chain, its end is cut off"
            self.flaw = (self.count + 1, reason)

    def _break(self, row: Row) -> str:
        seq, prev_hash = row[0], row[6]
        if seq != self.count + 1:
            return f"event {self.count + 1} is missing or out of order, found {seq}"
        if prev_hash != self.hash:
            return f"event {seq} does not follow the event before it"
        return "" if is_as_written(row) else f"event {seq} was changed after it was written"

    def _mismatch(self, seq: int, own: str) -> tuple[int, str] | None:
        """Return where history parts from the marks: somewhere after the last one that fits."""
        while (mark := self._mark) is not None and mark.seq <= seq:
            if mark.seq < seq or mark.hash != own:
                reason = (
                    f"{mark.source} {mark.seq}:{mark.hash} is not in the chain, it was rewritten"
                )
                return self._proven_seq + 1, reason
            self.marks_found += 1
            self.found[mark.source] = self._proven_seq = seq
            self._mark = next(self._marks, None)
        return None


def verify_chain(events: Iterable[Event], expect_head: str | None = None) -> VerifyResult:
    """Walk `events` from the genesis on and name the first that does not fit.

    `expect_head` (`seq:hash`) must be found on the way: only so does a cut tail show.
    Raises ValueError where it is no head.
    """
    marks = expected(expect_head)
    walk = ChainWalk(marks)
    for _ in walk.good(map(row_of, events)):
        pass
    return result_of(walk)


def expected(head: str | None) -> tuple[Mark, ...]:
    """Return the mark of a head that a caller expects; raises ValueError where it is none."""
    if head is None:
        return ()
    seq, digest = parse_head(head)
    return (Mark(seq=seq, hash=digest, source="the expected head"),)


def result_of(walk: ChainWalk, **more: int) -> VerifyResult:
    """Return what a finished walk found; `more` are fields of the result."""
    seq, reason = walk.flaw or (None, "")
    return VerifyResult(
        ok=walk.flaw is None,
        first_bad_seq=seq,
        reason=reason,
        head=walk.head,
        count=walk.count,
        marks=walk.marks_found,
        **more,
    )


def _digest(prev_hash: str, text: str) -> str:
    raw = prev_hash.encode() + b"\x00" + text.encode("ascii")
    return hashlib.sha256(_EVENT_DOMAIN + raw).hexdigest()


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        entries = sorted(value) if isinstance(value, set | frozenset) else value
        return [_finite(entry) for entry in entries]
    return value
