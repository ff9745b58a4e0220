"""`python -m benchmarks.journal`: the journal's figures, each from a real database.

Verifying a million chained and signed events, appending with fsync on SQLite and PostgreSQL, and
random mutations of the audit that must all be found. PostgreSQL runs as in `make test`, with fsync.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.audit_mutations import mutate
from benchmarks.runs import REPOSITORY
from feed_migration.journal.chain import GENESIS_HASH, canonical_json, link
from feed_migration.journal.keys import AuditPlace, Head, HeadSigner, load_signer, make_key
from feed_migration.journal.store import Journal
from feed_migration.journal.tables import EVENTS, HEADS
from tests.support.postgres_server import postgres_server

JOURNAL_JSON = REPOSITORY / "var" / "bench" / "journal.json"
GOALS = {"verify_events_per_second": 20_000.0, "append_p99_ms": 20.0}
_BATCH = 10_000

type Figures = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, 1 where a mutation was missed, or with `--strict` a goal."""
    asked = _parser().parse_args(arguments)
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="bench-journal-", dir=asked.dir) as directory:
        for name, measure in _MEASURES.items():
            if name in asked.only:
                figures |= measure(Path(directory) / name, asked)
    print(json.dumps(figures, indent=2))
    if set(asked.only) == set(_MEASURES):
        JOURNAL_JSON.parent.mkdir(parents=True, exist_ok=True)
        JOURNAL_JSON.write_text(json.dumps(figures, indent=2) + "\n")
        print(f"written to {JOURNAL_JSON}", file=sys.stderr)
    missed = bool(figures.get("audit_mutations_missed"))
    return int(missed or (asked.strict and _goal_missed(figures)))


def verification(home: Path, asked: argparse.Namespace) -> Figures:
    """Events per second of `verify` over a long signed journal, on SQLite."""
    make_key(AuditPlace.of(home))
    journal = Journal(home / "journal.db")
    began = time.perf_counter()
    fill(home, asked.events)
    # opening anchors what is in the database alone
    journal = Journal(home / "journal.db")
    print(f"{asked.events} events written, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    began = time.perf_counter()
    result = journal.verify()
    seconds = time.perf_counter() - began
    if not result.ok or result.count != asked.events:
        raise RuntimeError(f"the journal that was written does not verify: {result}")
    return {
        "verify_events": result.count,
        "verify_marks": result.marks,
        "verify_seconds": round(seconds, 2),
        "verify_events_per_second": round(result.count / seconds),
    }


def fill(home: Path, events: int) -> None:
    """Write `events` chained events and their signed heads straight into the tables."""
    signer = load_signer(AuditPlace.of(home))
    if signer is None:
        raise RuntimeError("no key")
    engine = sa.create_engine(f"sqlite:///{home / 'journal.db'}")
    prev = GENESIS_HASH
    with closing(engine.raw_connection()) as raw:
        raw.cursor().execute("PRAGMA synchronous=OFF")
    with engine.begin() as connection:
        for start in range(1, events + 1, _BATCH):
            rows, heads = [], []
            for seq in range(start, min(start + _BATCH, events + 1)):
                row = _event(seq, prev)
                prev = row["hash"]
                rows.append(row)
                heads.append(_head(signer, seq, prev))
            connection.execute(sa.insert(EVENTS), rows)
            connection.execute(sa.insert(HEADS), heads)
    engine.dispose()


def _event(seq: int, prev_hash: str) -> dict[str, Any]:
    body = {"act": "set_variant", "step": "cutover-10", "epoch": 3, "instances": ["feed-00"]}
    fields: dict[str, Any] = {
        "seq": seq,
        "at": 1_790_900_000.0 + seq / 7,
        "migration_id": "mig-0001-20261002T001321Z",
        "kind": "audit_note",
        "actor": "ana",
        "body": {**body, "number": seq},
    }
    row = {**fields, "body": canonical_json(fields["body"]), "prev_hash": prev_hash}
    return {**row, "hash": link(prev_hash, fields)}


def _head(signer: HeadSigner, seq: int, digest: str) -> dict[str, Any]:
    return dict(signer.sign(Head(seq=seq, hash=digest, at=1_790_900_000.0)).__dict__)


def appending(home: Path, asked: argparse.Namespace) -> Figures:
    """Milliseconds of one append, committed and on disk, signed and anchored where due."""
    make_key(AuditPlace.of(home))
    figures = _append_times("sqlite", Journal(home / "journal.db"), asked.appends)
    with postgres_server(durable=True) as server:
        other = home / "postgres"
        make_key(AuditPlace.of(other))
        return figures | _append_times("postgres", Journal(server.url(), home=other), asked.appends)


def _append_times(name: str, journal: Journal, appends: int) -> Figures:
    milliseconds = []
    for number in range(appends):
        began = time.perf_counter()
        journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})
        milliseconds.append((time.perf_counter() - began) * 1000)
    milliseconds.sort()
    if not journal.verify().ok:
        raise RuntimeError(f"{name}: what was appended does not verify")
    return {
        f"append_{name}_p50_ms": round(milliseconds[appends // 2], 2),
        f"append_{name}_p99_ms": round(milliseconds[int(appends * 0.99)], 2),
    }


def mutations(home: Path, asked: argparse.Namespace) -> Figures:
    """Random mutations of a signed and anchored journal; none may verify."""
    outcome = mutate(home, asked.mutations, asked.seed)
    return {
        "audit_mutations": outcome.tried,
        "audit_mutations_missed": len(outcome.missed),
        "audit_mutations_by_kind": outcome.by_kind,
        "audit_mutations_seed": asked.seed,
        "audit_mutations_missed_examples": outcome.missed[:10],
    }


_MEASURES: dict[str, Callable[[Path, argparse.Namespace], Figures]] = {
    "verify": verification,
    "append": appending,
    "mutations": mutations,
}


def _goal_missed(figures: Figures) -> bool:
    slow = figures.get("verify_events_per_second", 1e9) < GOALS["verify_events_per_second"]
    times = [figures.get(f"append_{name}_p99_ms", 0.0) for name in ("sqlite", "postgres")]
    return bool(slow or max(times) > GOALS["append_p99_ms"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="to verify (1000000)")
    parser.add_argument("--appends", type=int, default=1000, help="on each database (1000)")
    parser.add_argument("--mutations", type=int, default=10_000, help="of the audit (10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (1)")
    parser.add_argument("--dir", type=Path, help="where the databases go (a temporary directory)")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument(
        "--only", nargs="+", choices=list(_MEASURES), default=list(_MEASURES), help="some of them"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
