"""The journal for auditors: the whole chain as JSON or Markdown. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from feed_migration.describing import describe
from feed_migration.events import Event
from feed_migration.journal.chain import GENESIS_HASH, VerifyResult
from feed_migration.journal.keys import Head
from feed_migration.markdown import table, utc


def audit_json(events: Sequence[Event], result: VerifyResult, heads: Sequence[Head] = ()) -> str:
    """Return every event with its hashes, the signed heads, and what the verification found."""
    document = {
        "genesis_hash": GENESIS_HASH,
        "verified": asdict(result),
        "events": [asdict(event) for event in events],
        "heads": [asdict(head) for head in heads],
    }
    return json.dumps(document, indent=2, sort_keys=True)


def audit_markdown(
    events: Sequence[Event], result: VerifyResult, heads: Sequence[Head] = ()
) -> str:
    """Return one row per event: when, which migration, what, by whom, its hash, and who signed."""
    signers = {head.seq: head.key[:12] or "unsigned" for head in heads}
    rows = [
        (
            event.seq,
            utc(event.at),
            event.migration_id,
            event.kind,
            describe(event),
            event.actor,
            event.hash[:12],
            signers.get(event.seq, ""),
        )
        for event in events
    ]
    head = ("seq", "at", "migration", "event", "what", "who", "hash", "head signed by")
    proof = f"{verdict_line(result)}\n\n{proof_line(result)}"
    return f"# Audit log\n\n{proof}\n\n{table(head, rows)}\n"


def verdict_line(result: VerifyResult) -> str:
    """Return the verification in one line."""
    if result.ok:
        return f"audit intact: {result.count} events, head {result.head}"
    return f"audit BROKEN at event {result.first_bad_seq}: {result.reason}; last good {result.head}"


def proof_line(result: VerifyResult) -> str:
    """Return in one line what beyond the chain bears the verification out."""
    since = f" from event {result.signed_from}" if result.signed_from > 1 else ""
    signed = f"signed{since} up to event {result.signed_seq}" if result.signed_seq else "not signed"
    kept = f"anchored up to event {result.anchored_seq}" if result.anchored_seq else "not anchored"
    marks = f"{result.marks} hashes kept apart, in the database and outside it, agree with it"
    sealed = f"measurements: {result.sealed} sealed"
    if result.unsealed:
        sealed += f", {result.unsealed} of an earlier version without a seal"
    return f"{signed}; {kept}; {marks}; {sealed}"


def open_line(result: VerifyResult) -> str:
    """Return in one line what the verification could not have found, "" for nothing."""
    gaps = [*_open_before(result), *_open_between(result), *_open_behind(result)]
    return f"open: {'; '.join(gaps)}" if gaps else ""


def _open_before(result: VerifyResult) -> Iterator[str]:
    if result.signed_from > 1:
        before = f"nothing before event {result.signed_from} was signed when it was written"
        yield f"{before}, a log rewritten until then with its anchors would not show"


def _open_between(result: VerifyResult) -> Iterator[str]:
    every = result.signed_every
    if result.signed_seq and every > 1:
        yield f"of so many signatures one in {every} was checked, a shorter rewrite need not show"


def _open_behind(result: VerifyResult) -> Iterator[str]:
    if result.anchored_seq == result.count:
        return
    proven = max(result.signed_seq, result.anchored_seq)
    behind = f"behind event {result.anchored_seq}" if result.anchored_seq else "anywhere"
    line = f"a log cut off {behind} would not show"
    yield line if proven == result.count else f"{line}, nor one rewritten behind event {proven}"
