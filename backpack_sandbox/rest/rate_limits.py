"""How many signed requests an account may make in a minute, as the venue's FAQ says."""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

MINUTE_SECONDS: Final = 60.0


class RateLimit:
    """At most `per_minute` requests of each account in any 60 seconds.

    A refused request does not count: not recorded, inferred.
    """

    def __init__(self, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)

    def has_room(self, account: str) -> bool:
        """Whether one more request would be within the limit."""
        taken = self._taken[account]
        oldest = self._monotonic() - MINUTE_SECONDS
        while taken and taken[0] <= oldest:
            taken.popleft()
        return len(taken) < self._per_minute

    def take(self, account: str) -> None:
        """Count one request."""
        self._taken[account].append(self._monotonic())


class RateLimits:
    """The limit of all requests, and the tighter one of the history endpoints on top of it."""

    def __init__(
        self, per_minute: int, history_per_minute: int, monotonic: Callable[[], float]
    ) -> None:
        self._every = RateLimit(per_minute, monotonic)
        self._history = RateLimit(history_per_minute, monotonic)

    def admit(self, account: str, *, history: bool) -> bool:
        """Count a request; False, and not counted, when it is over a limit."""
        limits = [self._every, self._history] if history else [self._every]
        if not all(limit.has_room(account) for limit in limits):
            return False
        for limit in limits:
            limit.take(account)
        return True
