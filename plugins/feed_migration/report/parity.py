"""What the shadow phase compared, from the files of its processes, as a section of the report."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from feed_migration.markdown import table, utc

MAX_BYTES: Final = 1_048_576
MAX_FILES: Final = 200
MAX_ROWS: Final = 40
_WHO: Final = ("native", "ccxt", "venue")
SAMPLE_HEAD: Final = ("blamed", "what", "symbol", "id or sequence", *_WHO)


@dataclass(frozen=True)
class ShardParity:
    """The file of one shadow process; `problem` says why there is nothing of it.

    `written_unix` is when it was written last, None where that is not known.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    written_unix: float | None = None


def read_parity(folder: Path) -> list[ShardParity]:
    """Return what every `*.json` of the folder says; one that cannot be read says so."""
    try:
        files = sorted(folder.glob("*.json"))[:MAX_FILES]
    except OSError:
        return []
    return [_read(file) for file in files]


def parity_section(shards: Sequence[ShardParity]) -> str:
    """Return counts, disagreements by who is to blame, latencies and samples as Markdown."""
    if not shards:
        return "No shadow process left evidence."
    parts = [_counts(shards), _blame(shards)]
    if rows := sample_rows(shards):
        shown = rows[:MAX_ROWS]
        parts.append(f"{len(rows)} samples are kept, {len(shown)} of them here.")
        parts.append(table(SAMPLE_HEAD, shown))
    return "\n\n".join(parts)


def disagreements(shards: Sequence[ShardParity]) -> Counter[tuple[str, str]]:
    """Return how often each (blamed, kind) differed, over all shards."""
    counts: Counter[tuple[str, str]] = Counter()
    for shard in shards:
        for name, count in _map(shard.facts.get("disagreements")).items():
            kind, _, blamed = str(name).partition("/")
            counts[blamed, kind] += count if isinstance(count, int) else 0
    return counts


def compared(shards: Sequence[ShardParity]) -> dict[str, tuple[int, int]]:
    """Return per kind (trade, book) how many were compared and how many agreed."""
    totals: dict[str, tuple[int, int]] = {}
    for shard in shards:
        agreed = _map(shard.facts.get("agreed"))
        for kind, count in _map(shard.facts.get("compared")).items():
            before = totals.get(str(kind), (0, 0))
            ours = (count, agreed.get(kind, 0))
            if all(isinstance(number, int) for number in ours):
                totals[str(kind)] = (before[0] + ours[0], before[1] + ours[1])
    return totals


def sample_rows(shards: Sequence[ShardParity]) -> list[tuple[object, ...]]:
    """Return every kept disagreement as a row under `SAMPLE_HEAD`, native's first."""
    samples = [s for shard in shards for s in _list(shard.facts.get("samples"))]
    return [_sample(sample) for sample in sorted(samples, key=_weight)]


def _read(file: Path) -> ShardParity:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
            written = os.fstat(stream.fileno()).st_mtime
        if len(raw) > MAX_BYTES:
            return ShardParity(file.stem, problem=f"larger than {MAX_BYTES} bytes")
        facts = json.loads(raw)
    except (OSError, ValueError) as error:
        return ShardParity(file.stem, problem=f"cannot be read: {type(error).__name__}")
    if not isinstance(facts, dict):
        return ShardParity(file.stem, problem="is no mapping")
    return ShardParity(file.stem, facts, written_unix=written)


def _counts(shards: Sequence[ShardParity]) -> str:
    head = (
        "shard",
        "until",
        "trades",
        "agreed",
        "books",
        "agreed",
        "unsettled",
        "native earlier by",
    )
    return table(head, [_row(shard) for shard in shards])


def _row(shard: ShardParity) -> tuple[object, ...]:
    if shard.problem:
        return (shard.name, shard.problem, *[""] * 6)
    facts = shard.facts
    compared, agreed = _map(facts.get("compared")), _map(facts.get("agreed"))
    lead = _map(_map(facts.get("latency_seconds")).get("lead")).get("0.5")
    at = facts.get("at")
    return (
        facts.get("instance_id", shard.name),
        utc(at) if isinstance(at, int | float) else "–",
        *(side.get(kind, "–") for kind in ("trade", "book") for side in (compared, agreed)),
        facts.get("unsettled", "–"),
        f"{lead * 1000:.1f} ms (median)" if isinstance(lead, int | float) else "–",
    )


def _blame(shards: Sequence[ShardParity]) -> str:
    counts = disagreements(shards)
    if not counts:
        return "Nothing differed."
    rows = [(blamed, kind, count) for (blamed, kind), count in sorted(counts.items())]
    return table(("blamed", "what", "times"), rows)


def _sample(sample: Mapping[str, Any]) -> tuple[object, ...]:
    difference = _map(sample.get("first_difference"))
    said = difference or sample
    place = f"{difference.get('side')} {difference.get('depth')}" if difference else ""
    number = sample.get("id", sample.get("sequence", ""))
    return (
        sample.get("blamed", ""),
        sample.get("kind", ""),
        sample.get("symbol", ""),
        " ".join(filter(None, (str(number), place))),
        *(_said(said.get(who)) for who in _WHO),
    )


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(v) for v in value.values())
    if isinstance(value, list):
        return " × ".join(str(v) for v in value)
    return "–" if value is None else str(value)


def _weight(sample: Mapping[str, Any]) -> int:
    """Native's first: they are what the verdict is about."""
    order = ("native", "nobody", "venue", "ccxt")
    blamed = sample.get("blamed")
    return order.index(blamed) if blamed in order else len(order)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []
