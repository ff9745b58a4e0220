"""What the shadow phase compared, for the console: counts, who is to blame, examples. Pure."""

from collections.abc import Sequence
from typing import Any

from feed_migration.report.parity import (
    SAMPLE_HEAD,
    ShardParity,
    compared,
    disagreements,
    sample_rows,
)

MAX_SAMPLES = 40


def parity_view(shards: Sequence[ShardParity]) -> dict[str, Any]:
    """Return totals of all shards, disagreements by who is blamed, and the worst examples."""
    rows = sample_rows(shards)
    return {
        "shards": len(shards),
        "written_at": max((one.written_unix for one in shards if one.written_unix), default=None),
        "problems": [f"{shard.name}: {shard.problem}" for shard in shards if shard.problem],
        "compared": [
            {"kind": kind, "compared": all_of, "agreed": agreed}
            for kind, (all_of, agreed) in compared(shards).items()
        ],
        "unsettled": sum(_count(shard.facts.get("unsettled")) for shard in shards),
        "disagreements": [
            {"blamed": blamed, "kind": kind, "count": count}
            for (blamed, kind), count in sorted(disagreements(shards).items())
        ],
        "sample_head": list(SAMPLE_HEAD),
        "samples": [[str(cell) for cell in row] for row in rows[:MAX_SAMPLES]],
        "sample_count": len(rows),
    }


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
