"""How long a lease still holds, by a monotonic clock: a step of the wall clock ends none."""

from dataclasses import dataclass

from feed_migration.lease import UNKNOWN_SECONDS, Lease


@dataclass
class LeaseClock:
    """Counts a lease down from the moment its renewal was seen.

    Only a guard that has just started looks at the wall clock, its own, so as not to give the lease
    it finds its whole length anew.
    """

    _migration_id: str = ""
    _seen: Lease | None = None
    _ends_monotonic: float = 0.0
    _started: bool = False

    def left_seconds(
        self,
        migration_id: str,
        lease: Lease | None,
        *,
        seen_unix: float,
        now_unix: float,
        now_monotonic: float,
    ) -> float:
        """Return the seconds left, 0 or less once it has run out; it was first seen at `seen_unix`.

        Without a lease, an exposure is borne for `UNKNOWN_SECONDS` from when it was first seen.
        """
        if not self._started or (migration_id, lease) != (self._migration_id, self._seen):
            length = lease.seconds if lease is not None else UNKNOWN_SECONDS
            if lease is not None and not self._started:
                length = min(length, max(0.0, seen_unix + length - now_unix))
            self._ends_monotonic = now_monotonic + length
            self._migration_id, self._seen, self._started = migration_id, lease, True
        return self._ends_monotonic - now_monotonic
