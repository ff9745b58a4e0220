"""Mutates a signed and anchored journal, cut anywhere, at random; asks `verify` each time.

The attacker owns the database, and knows how hashes are computed; the anchors and the signing key
are elsewhere. In `rewrite_unsigned` they own the anchors, too, and somebody honest writes on behind
it. What a mutation touches, and how, comes from the seed alone.
"""

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count as numbers
from pathlib import Path
from typing import Any

from feed_migration.journal.chain import canonical_json, row_hash
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.store import Journal

KINDS = ("step_started", "act_intended", "act_confirmed", "audit_note", "verdict", "held")
COUNT = 40
_TEXTS = ("migration_id", "kind", "actor", "body", "prev_hash", "hash")
_COLUMNS = ("seq", "at", *_TEXTS)

type Rows = list[list[Any]]
type Tables = tuple[Rows, Rows]
type Mutation = Callable[[Tables, random.Random], Tables]


@dataclass
class Outcome:
    """How many mutations there were, of which kind, and a description of each that was missed."""

    tried: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)


def mutate(home: Path, count: int, seed: int) -> Outcome:
    """Try `count` mutations, each on the same untouched journal in `home`."""
    journal = _journal(home)
    if not journal.verify().ok:
        raise RuntimeError("the untouched journal does not verify")
    outcome, kinds = Outcome(), Counter[str]()
    anchors = AuditPlace.of(home).anchors
    anchored = [(json.loads(line)["seq"], line) for line in anchors.read_text().splitlines(True)]
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as connection:
        _unprotect(connection)
        events, heads = _read(connection, "events"), _read(connection, "heads")
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")  # noqa: S311 - to be repeated, not to be secret
            name = rng.choice(list(MUTATIONS))
            # the log ends anywhere: no kind of event is less safe at its end than another
            end = rng.randrange(2, len(events) + 1)
            until = events[:end], [head for head in heads if head[0] <= end]
            anchors.write_text("".join(line for seq, line in anchored if seq <= end))
            changed = MUTATIONS[name](([[*e] for e in until[0]], [[*h] for h in until[1]]), rng)
            # what came out as it was before is no mutation
            if changed == until:
                continue
            outcome.tried += 1
            kinds[name] += 1
            _write(connection, *changed)
            if name == rewrite_unsigned.__name__:
                anchors.write_text("".join(map(_anchor, changed[1])))
                _note(journal)
            if journal.verify().ok:
                outcome.missed.append(f"seed {seed}, number {number}: {name}")
        _write(connection, events, heads)
        anchors.write_text("".join(line for _, line in anchored))
    if not journal.verify().ok:
        raise RuntimeError("the journal that was put back does not verify")
    outcome.by_kind = dict(sorted(kinds.items()))
    return outcome


def _journal(home: Path) -> Journal:
    make_key(AuditPlace.of(home))
    journal = Journal(home / "journal.db", clock=numbers(1).__next__)
    journal.begin_migration("plan", "sha256", "ana")
    for number in range(COUNT):
        body = {"number": number, "text": "väl", "list": [1, 2.5, None, True], "epoch": 3}
        kind = KINDS[number % len(KINDS)]
        journal.append(kind, migration_id="m", actor="ana", body=body)
    return journal


def _unprotect(connection: sqlite3.Connection) -> None:
    for table in ("events", "heads"):
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER {table}_no_{verb}")
    connection.execute("PRAGMA synchronous=OFF")


def _read(connection: sqlite3.Connection, table: str) -> Rows:
    return [list(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY seq")]  # noqa: S608


def _write(connection: sqlite3.Connection, events: Rows, heads: Rows) -> None:
    connection.execute("BEGIN")
    for table, rows in (("events", events), ("heads", heads)):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608
        for row in rows:
            places = ",".join("?" * len(row))
            connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", row)  # noqa: S608
    connection.execute("COMMIT")


def _anchor(head: list[Any]) -> str:
    names = ("seq", "hash", "at", "key", "signature")
    return canonical_json(dict(zip(names, head, strict=True))) + "\n"


def _note(journal: Journal) -> None:
    """What somebody honest does, who knows of nothing and has the key."""
    journal.append("audit_note", migration_id="m", actor="ana", body={"note": "honest"})


def _flip(text: str, rng: random.Random) -> str:
    index = rng.randrange(len(text))
    return text[:index] + chr(ord(text[index]) ^ (1 << rng.randrange(7))) + text[index + 1 :]


def flip(tables: Tables, rng: random.Random) -> Tables:
    """One bit of one column of one event."""
    row = rng.choice(tables[0])
    column = rng.randrange(1, len(_COLUMNS))
    value = row[column]
    row[column] = value + rng.choice([1e-6, -1.0, 3600.0]) if column == 1 else _flip(value, rng)
    return tables


def delete(tables: Tables, rng: random.Random) -> Tables:
    """One event, with the gap left or closed."""
    events, heads = tables
    index = rng.randrange(len(events))
    del events[index]
    if rng.choice([True, False]):
        for row in events[index:]:
            row[0] -= 1
    return events, heads


def swap(tables: Tables, rng: random.Random) -> Tables:
    """Two events change places, with or without their hashes."""
    events, heads = tables
    one, other = rng.sample(range(len(events)), 2)
    end = rng.choice([6, 8])
    events[one][1:end], events[other][1:end] = events[other][1:end], events[one][1:end]
    return events, heads


def insert(tables: Tables, rng: random.Random) -> Tables:
    """A copy of an event somewhere, what is behind it numbered anew, perhaps chained anew."""
    events, heads = tables
    index = rng.randrange(len(events))
    fresh = [*rng.choice(events)]
    fresh[4], fresh[7] = "eve", f"{rng.getrandbits(256):064x}"
    events.insert(index, fresh)
    for seq, row in enumerate(events, start=1):
        row[0] = seq
    return (_chained(events, index) if rng.choice([True, False]) else events), heads


def truncate(tables: Tables, rng: random.Random) -> Tables:
    """The end is cut off, with the heads that tell of it or without."""
    events, heads = tables
    keep = rng.randrange(len(events))
    if rng.choice([True, False]):
        heads = [head for head in heads if head[0] <= keep]
    return events[:keep], heads


def rewrite(tables: Tables, rng: random.Random) -> Tables:
    """From some event on another actor, every hash anew; heads are left, moved on, or removed."""
    events, heads = tables
    index = rng.randrange(len(events))
    for row in events[index:]:
        row[4] = "eve"
    events = _chained(events, index)
    hashes = {row[0]: row[7] for row in events}
    choice = rng.choice(["left", "moved", "removed", "all removed"])
    if choice == "moved":
        heads = [[head[0], hashes[head[0]], *head[2:]] for head in heads]
    elif choice != "left":
        heads = [head for head in heads if choice == "removed" and head[0] <= index]
    return events, heads


def forge_head(tables: Tables, rng: random.Random) -> Tables:
    """A head is changed or removed."""
    events, heads = tables
    index = rng.randrange(len(heads))
    if rng.choice([True, False, False]):
        del heads[index]
        return events, heads
    column = rng.randrange(1, 5)
    value = heads[index][column]
    heads[index][column] = value + 1 if column == 2 else _flip(value, rng)  # noqa: PLR2004
    return events, heads


def rewrite_unsigned(tables: Tables, rng: random.Random) -> Tables:
    """As `rewrite`, without the key and with the anchors; no migration says that it has heads."""
    events, heads = tables
    index = rng.choice([0, rng.randrange(len(events))])
    for row in events[index:]:
        row[4] = "eve"
        row[5] = row[5].replace('"audit":2,', "")
    events = _chained(events, index)
    hashes = {row[0]: row[7] for row in events}
    choice = rng.choice(["unsigned", "signed as before", "signed at random", "removed"])
    if choice == "removed":
        return events, heads[:index]
    for head in heads[index:]:
        head[1] = hashes[head[0]]
        if choice == "unsigned":
            head[3:] = ["", ""]
        elif choice == "signed at random":
            head[4] = f"{rng.getrandbits(512):0128x}"
    return events, heads


MUTATIONS: dict[str, Mutation] = {
    "flip": flip,
    "delete": delete,
    "swap": swap,
    "insert": insert,
    "truncate": truncate,
    "rewrite": rewrite,
    "rewrite_unsigned": rewrite_unsigned,
    "forge_head": forge_head,
}


def _chained(events: Rows, index: int) -> Rows:
    """Compute every hash from `index` on anew, as somebody would who knows how."""
    prev = events[index][6] if index == 0 else events[index - 1][7]
    for row in events[index:]:
        row[6] = prev
        row[7] = prev = row_hash(row)
    return events
