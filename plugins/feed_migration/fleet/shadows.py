"""Shadow instances that run outside their phase.

The next migration would start none in their place, and its shadow gate would judge it by what they
have counted since they started.
"""

from feed_migration.errors import FleetUnavailable
from feed_migration.fleet.base import Fleet
from feed_migration.words import listed

# Names in one line; the rest is counted
_NAMED = 20


def running_shadows(fleet: Fleet) -> tuple[str, ...]:
    """Return which shadow instances run, or would be started.

    Where nobody lists them, those that answer: an API server that is down makes no shadow.
    """
    shadows = fleet.shadow_instances()
    if not shadows:
        return ()
    try:
        return fleet.remaining([shadow.id for shadow in shadows])
    except FleetUnavailable:
        return tuple(shadow.id for shadow in shadows if shadow.pid)


def shadows_already(fleet: Fleet) -> tuple[str, ...]:
    """Return in words which shadow instances run before a migration: one line, or none."""
    left = running_shadows(fleet)
    return (f"{listed(left, _NAMED)} as shadow already",) if left else ()
