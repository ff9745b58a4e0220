"""The fleet as a map: one state per instance, and how many there are of each. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from feed_migration.fleet.base import InstanceStatus

STATES = ("ccxt", "native", "restarting", "unhealthy")


def fleet_view(
    instances: Sequence[InstanceStatus],
    shadows: Sequence[InstanceStatus],
    *,
    away_since: Mapping[str, float],
    now_unix: float,
    ready_deadline_seconds: float,
) -> dict[str, Any]:
    """Return counts and a row [id, state, variant, reasons] per instance.

    `away_since` says since when an instance is not ready: for `ready_deadline_seconds` that is a
    restart, afterwards a fault. Shadows are shown while they run. What counts up for ever
    (messages) is not in it: a map of 1,000 instances is sent to every page anew when it changes.
    """

    def row(status: InstanceStatus) -> list[str]:
        away = now_unix - away_since.get(status.id, now_unix)
        state = instance_state(status, away, ready_deadline_seconds)
        return [status.id, state, status.variant, "; ".join(status.reasons)]

    rows = [row(status) for status in instances]
    counts = Counter(state for _, state, _, _ in rows)
    return {
        "counts": {state: counts[state] for state in STATES},
        "total": len(rows),
        "instances": rows,
        "shadows": [row(status) for status in shadows if status.pid],
    }


def instance_state(
    status: InstanceStatus, away_seconds: float, ready_deadline_seconds: float
) -> str:
    """Return ccxt or native for what works, else restarting or unhealthy."""
    if status.ready and status.healthy:
        return status.variant if status.variant in STATES else "native"
    if not status.ready and away_seconds < ready_deadline_seconds:
        return "restarting"
    return "unhealthy"


def away_since(
    before: Mapping[str, float], instances: Sequence[InstanceStatus], now_unix: float
) -> dict[str, float]:
    """Return since when each instance that is not ready has been so."""
    return {status.id: before.get(status.id, now_unix) for status in instances if not status.ready}
