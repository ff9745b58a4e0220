"""The hash chain of the journal. Pure.

`hash = SHA-256(domain ‖ prev_hash ‖ canonical JSON of the event)`, after RFC 6962's domain
separation: an event can be taken neither for a genesis nor for an entry of another version.
A chain shows any change, deletion, insertion or swap before its head. That the tail was cut off,
or everything rewritten, shows only against a head kept elsewhere (`audit verify --expect-head`).
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from feed_migration.events import Event

_EVENT_DOMAIN = b"\x01backpack-migrate/journal/event/v1\x00"
GENESIS_HASH = hashlib.sha256(b"\x00backpack-migrate/journal/genesis/v1\x00").hexdigest()


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """Outcome of a verification; `head` is `seq:hash` of the last good event."""

    ok: bool
    first_bad_seq: int | None
    reason: str
    head: str
    count: int


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no blanks, ASCII, finite numbers.

    NaN and the infinities become Prometheus's strings "NaN", "+Inf" and "-Inf".
    """
    return json.dumps(
        _finite(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def link(prev_hash: str, event: Mapping[str, Any]) -> str:
    """Return the hash of `event` (seq, at, migration_id, kind, actor, body) behind `prev_hash`."""
    text = canonical_json(event).encode("ascii")
    return hashlib.sha256(_EVENT_DOMAIN + prev_hash.encode() + b"\x00" + text).hexdigest()


def event_hash(event: Event) -> str:
    """Return the hash that `event` must carry."""
    return link(
        event.prev_hash,
        {
            "seq": event.seq,
            "at": event.at,
            "migration_id": event.migration_id,
            "kind": event.kind,
            "actor": event.actor,
            "body": event.body,
        },
    )


def head_of(event: Event | None) -> str:
    """Return `seq:hash`, the anchor to keep elsewhere."""
    return f"{event.seq}:{event.hash}" if event else f"0:{GENESIS_HASH}"


def verify_chain(events: Iterable[Event], expect_head: str | None = None) -> VerifyResult:
    """Walk `events` from the genesis on and name the first that does not fit.

    `expect_head` (`seq:hash`) must be found on the way: only so does a cut tail show.
    """
    last: Event | None = None
    count = 0
    anchored = expect_head in {None, head_of(None)}
    for event in events:
        reason = _flaw(event, last)
        if reason:
            return _bad(event.seq, reason, last, count)
        last, count = event, count + 1
        anchored = anchored or head_of(event) == expect_head
    if not anchored:
        return _bad(count + 1, f"the expected head {expect_head} is not in the chain", last, count)
    return VerifyResult(ok=True, first_bad_seq=None, reason="", head=head_of(last), count=count)


def _flaw(event: Event, last: Event | None) -> str:
    expected_seq = last.seq + 1 if last else 1
    if event.seq != expected_seq:
        return f"event {expected_seq} is missing or out of order, found {event.seq}"
    if event.prev_hash != (last.hash if last else GENESIS_HASH):
        return f"event {event.seq} does not follow the event before it"
    if event.hash != event_hash(event):
        return f"event {event.seq} was changed after it was written"
    return ""


def _bad(seq: int, reason: str, last: Event | None, count: int) -> VerifyResult:
    return VerifyResult(ok=False, first_bad_seq=seq, reason=reason, head=head_of(last), count=count)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        entries = sorted(value) if isinstance(value, set | frozenset) else value
        return [_finite(entry) for entry in entries]
    return value
