"""The fleet as a map: one state per instance, and how many there are of each. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from feed_migration.events import body_names
from feed_migration.fleet.base import InstanceStatus
from feed_migration.phases import MigrationState, Status

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

    `away_since` says since when an instance restarts: for `ready_deadline_seconds` it may,
    afterwards it is a fault. Shadows are shown while they run. What counts up for ever
    (messages) is not in it: a map of 1,000 instances is sent to every page anew when it changes.
    """

    def row(status: InstanceStatus) -> list[str]:
        since = away_since.get(status.id)
        away = None if since is None else now_unix - since
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
    status: InstanceStatus, away_seconds: float | None, ready_deadline_seconds: float
) -> str:
    """Return ccxt or native for what works, else restarting or unhealthy.

    `away_seconds` is None for what is not away.
    """
    if status.ready and status.healthy:
        return status.variant if status.variant in STATES else "native"
    if away_seconds is not None and away_seconds < ready_deadline_seconds:
        return "restarting"
    return "unhealthy"


def away_since(
    before: Mapping[str, float],
    instances: Sequence[InstanceStatus],
    now_unix: float,
    acted_on: Collection[str] = (),
) -> dict[str, float]:
    """Return since when each instance is away: not ready, and from then on until it is well.

    One that an act is about to restart, `acted_on`, may be unwell before it is down.
    """
    return {
        status.id: before.get(status.id, now_unix)
        for status in instances
        if not status.ready
        or (not status.healthy and (status.id in before or status.id in acted_on))
    }


def moving(state: MigrationState) -> Collection[str]:
    """Return the instances that are being restarted by an act, forward or back."""
    named = body_names(state.pending_act or {})
    return {*named, *state.exposed} if state.status is Status.ROLLING_BACK else named
