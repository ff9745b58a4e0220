"""What time it is where samples are stamped: queries go by no clock of the asking host."""

from collections.abc import Callable

# How far two hosts drift apart between two looks is nothing to a query
LOOK_SECONDS = 60.0


class PrometheusClock:
    """Unix seconds by the clock of Prometheus, carried on by a monotonic one.

    `look` asks Prometheus and returns None where it does not answer; before its first answer the
    host's own `clock` stands in. Called from one thread at a time, which may have to wait.
    """

    def __init__(
        self,
        look: Callable[[], float | None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._look, self._clock, self._monotonic = look, clock, monotonic
        self._ahead_seconds: float | None = None
        self._looked_at: float | None = None

    def __call__(self) -> float:
        """Return the time now."""
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            if (seen := self._look()) is not None:
                # it was so late somewhere between question and answer
                self._ahead_seconds = seen - (now + self._monotonic()) / 2
        if self._ahead_seconds is None:
            return self._clock()
        return self._monotonic() + self._ahead_seconds
