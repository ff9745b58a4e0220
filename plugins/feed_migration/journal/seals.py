"""Seals of measurements: what shows that a row was changed, removed, or put in by somebody else.

Each time that rows of a gate's run are recorded, a seal goes with them in the same transaction. It
names the rows and carries `SHA-256(domain ‖ hash of the seal before ‖ run, number, rows)`, signed
with the key of the heads where there is one. A verdict names the last seal of its run, and a note
does now and then while a gate is open, so the chain of events says on what evidence it was given.
Rows that come later, from another that judges the same run, have seals of their own. Pure.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from feed_migration.journal.chain import canonical_json

_SEAL_DOMAIN = b"\x04backpack-migrate/journal/measurements/v1\x00"
# Before the first seal of a run
NO_SEAL = hashlib.sha256(_SEAL_DOMAIN).hexdigest()
# Where the body of a verdict, or of a note of this name, has its `Sealed`
MEASURED = "measured"
# Of a gate that is open each so many seals are named in the chain: five minutes of ticks of 15 s
SEALS_PER_NOTE = 20

# Criterion and tick in seconds into the gate
type RowKey = tuple[str, float]


@dataclass(frozen=True, kw_only=True, order=True)
class RunKey:
    """One run of a gate."""

    migration_id: str
    step: str
    run: str

    def __str__(self) -> str:
        return f"{self.migration_id} {self.step}, run {self.run}"


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """How many seals a run has, and the hash of the last."""

    seals: int
    hash: str

    def to_json(self) -> dict[str, object]:
        """Return it as the body of a verdict has it."""
        return {"seals": self.seals, "hash": self.hash}


def row_digest(row: object) -> str:
    """Return what a seal says of a row, the text of one measurement; "" where it is no text."""
    if not isinstance(row, str):
        return ""
    return hashlib.sha256(row.encode("utf-8", "surrogateescape")).hexdigest()


def covers(rows: Iterable[RowKey]) -> str:
    """Return the one text that names rows: `[[tick, [criterion, …]], …]`, sorted."""
    ticks = defaultdict[float, list[str]](list)
    for criterion, tick in rows:
        ticks[tick].append(criterion)
    return canonical_json([[tick, sorted(ticks[tick])] for tick in sorted(ticks)])


def covered(text: str) -> Iterator[RowKey]:
    """Yield what `covers` was given, in its order; ValueError or TypeError on any other text."""
    for tick, criteria in json.loads(text):
        for criterion in criteria:
            yield str(criterion), float(tick)


def seal_hash(prev_hash: str, run: RunKey, number: int, rows: Mapping[RowKey, str]) -> str:
    """Return the hash of seal `number` (from 1 on) of `run`; `rows` are digests (`row_digest`)."""
    facts = {
        "migration_id": run.migration_id,
        "step": run.step,
        "run": run.run,
        "number": number,
        "rows": sorted([tick, criterion, digest] for (criterion, tick), digest in rows.items()),
    }
    raw = prev_hash.encode("ascii") + b"\x00" + canonical_json(facts).encode("ascii")
    return hashlib.sha256(_SEAL_DOMAIN + raw).hexdigest()
