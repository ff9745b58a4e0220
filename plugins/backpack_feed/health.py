"""Is a feed fit to be routed to? A pure judgement of its `metrics_snapshot()`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_SNAPSHOT_AGE_SECONDS = 30.0


@dataclass(frozen=True)
class Health:
    """Verdict on one feed; `reasons` is empty exactly when it is healthy."""

    healthy: bool
    reasons: tuple[str, ...] = ()


def assess(
    snapshot: Mapping[str, Any],
    *,
    max_snapshot_age_seconds: float = MAX_SNAPSHOT_AGE_SECONDS,
    private_expected: bool = False,
) -> Health:
    """Judge a `metrics_snapshot()`: every book young enough, private streams signed if wanted.

    `symbol_snapshot_age` counts seconds from the process start while there is no book, so a feed
    that never delivers turns unhealthy by itself after `max_snapshot_age_seconds`.
    """
    reasons = [
        f"{symbol}: no book update for {age:.1f} s (limit {max_snapshot_age_seconds:g} s)"
        for symbol, age in sorted(snapshot["symbol_snapshot_age"].items())
        # not (age <= limit), so that a NaN age is unhealthy too
        if not age <= max_snapshot_age_seconds
    ]
    if private_expected and not snapshot["private_authenticated"]:
        reasons.append("private streams: not authenticated")
    return Health(healthy=not reasons, reasons=tuple(reasons))
