"""Whether a fleet is as it must be before a migration: every instance on the ccxt feed. Pure."""

from collections.abc import Sequence

from feed_migration.fleet.base import InstanceStatus
from feed_migration.words import listed

# Names in one line; the rest is counted
_NAMED = 20


def on_another_feed(statuses: Sequence[InstanceStatus]) -> tuple[str, ...]:
    """Return which of the ready instances are not on ccxt, in words: a line per feed."""
    found: dict[str, list[str]] = {}
    for status in statuses:
        if status.ready and status.variant != "ccxt":
            found.setdefault(status.variant, []).append(status.id)
    return tuple(f"{listed(ids, _NAMED)} on {variant} already" for variant, ids in found.items())
