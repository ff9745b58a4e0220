"""Whether a fleet is as it must be before a migration: every instance on the ccxt feed. Pure."""

from collections.abc import Sequence

from feed_migration.fleet.base import InstanceStatus

# Names in one line; the rest is counted
_NAMED = 20


def on_another_feed(statuses: Sequence[InstanceStatus]) -> tuple[str, ...]:
    """Return which of the ready instances are not on ccxt, in words: a line per feed."""
    found: dict[str, list[str]] = {}
    for status in statuses:
        if status.ready and status.variant != "ccxt":
            found.setdefault(status.variant, []).append(status.id)
    return tuple(f"{listed(ids)} on {variant} already" for variant, ids in found.items())


def listed(names: Sequence[str]) -> str:
    """Return `names` in one line, the last ones as their number where they are many."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
