"""The journal for auditors: the whole chain as JSON or Markdown. Pure."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from feed_migration.chain import GENESIS_HASH, VerifyResult
from feed_migration.events import Event
from feed_migration.incident import describe
from feed_migration.markdown import table, utc


def audit_json(events: Sequence[Event], result: VerifyResult) -> str:
    """Return every event with its hashes, and what the verification found."""
    document = {
        "genesis_hash": GENESIS_HASH,
        "verified": asdict(result),
        "events": [asdict(event) for event in events],
    }
    return json.dumps(document, indent=2, sort_keys=True)


def audit_markdown(events: Sequence[Event], result: VerifyResult) -> str:
    """Return one row per event: when, which migration, what, by whom, and its hash."""
    rows = [
        (
            event.seq,
            utc(event.at),
            event.migration_id,
            event.kind,
            describe(event),
            event.actor,
            event.hash[:12],
        )
        for event in events
    ]
    head = ("seq", "at", "migration", "event", "what", "who", "hash")
    return f"# Audit log\n\n{verdict_line(result)}\n\n{table(head, rows)}\n"


def verdict_line(result: VerifyResult) -> str:
    """Return the verification in one line."""
    if result.ok:
        return f"audit intact: {result.count} events, head {result.head}"
    return f"audit BROKEN at event {result.first_bad_seq}: {result.reason}; last good {result.head}"
