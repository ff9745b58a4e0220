"""What time it is where samples are stamped: queries go by no clock of the asking host."""

from collections.abc import Callable
from math import inf

from feed_migration.errors import ClockAhead, ClockSilent

# How far two hosts drift apart between two looks is nothing to a query
LOOK_SECONDS = 60.0
# Hosts that keep time are closer. Over what Prometheus has not lived through yet it has no sample,
# and a gate would be over without one.
AHEAD_SECONDS = 60.0


class PrometheusClock:
    """Unix seconds by the clock of Prometheus, carried on by a monotonic one.

    `look` asks Prometheus and returns None where it does not answer. Until its first answer there
    is no time, and every call asks: `ClockSilent`. The host's own `clock` never stands in, as it
    may be minutes off, and a gate would ask of what has not been, or of before its step was made.
    A jump ahead by more than `AHEAD_SECONDS`, by the monotonic clock and by the host's, is not
    believed: `ClockAhead`, until it is taken back. One clock alone does not tell: the host's may be
    set, the monotonic one stands still in a machine that is suspended. Called from one thread at a
    time, which may have to wait.
    """

    def __init__(
        self,
        look: Callable[[], float | None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._look, self._clock, self._monotonic = look, clock, monotonic
        self._ahead_seconds: float | None = None
        self._looked_at = -inf
        self._too_far: float | None = None

    def __call__(self) -> float:
        """Return the time now; raises ClockSilent or ClockAhead."""
        now = self._monotonic()
        if self._ahead_seconds is None or now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            if (seen := self._look()) is not None:
                # it was so late somewhere between question and answer
                self._take(seen, seen - (now + self._monotonic()) / 2)
        if self._ahead_seconds is None:
            raise ClockSilent(self._clock())
        unix = self._monotonic() + self._ahead_seconds
        if self._too_far is not None:
            raise ClockAhead(self._too_far, unix)
        return unix

    def _take(self, seen: float, ahead_seconds: float) -> None:
        """Go by what Prometheus says from now on, unless it has jumped too far ahead."""
        before = ahead_seconds if self._ahead_seconds is None else self._ahead_seconds
        too_far = seen - self._clock()
        if min(ahead_seconds - before, too_far) > AHEAD_SECONDS:
            self._too_far = too_far
        else:
            self._too_far, self._ahead_seconds = None, ahead_seconds
