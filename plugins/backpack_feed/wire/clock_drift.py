"""How far this host's clock is from the venue's (protocol section 7.1). Pure."""

from dataclasses import dataclass

from backpack_feed.constants import MILLISECONDS


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """`ms` is positive when this host is ahead; it is exact to `uncertainty_ms` either way."""

    ms: int
    uncertainty_ms: int

    def __str__(self) -> str:
        way = "ahead of" if self.ms > 0 else "behind"
        return f"this host is {abs(self.ms)} ms {way} the venue, ± {self.uncertainty_ms} ms"


def measured_drift(asked_at: float, answered_at: float, venue_ms: int) -> ClockDrift:
    """Return the drift of a clock that read `asked_at` and `answered_at` unix seconds.

    Half of the round trip is the best guess at when the venue read its clock.
    """
    own_ms = (asked_at + answered_at) / 2 * MILLISECONDS
    half_trip_ms = (answered_at - asked_at) / 2 * MILLISECONDS
    return ClockDrift(round(own_ms) - venue_ms, max(round(half_trip_ms), 0))
