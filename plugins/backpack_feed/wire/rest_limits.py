"""How often the client may ask (protocol section 4.8), and how often it may ask again. Pure."""

from collections import deque
from typing import Final

REQUESTS_PER_MINUTE: Final = 1_800
"""The venue admits 2000 a minute per account; what it grants anonymous callers is not known."""
HISTORICAL_REQUESTS_PER_MINUTE: Final = 28
"""The venue admits 30 a minute to candles and to trades and fills of the past."""
RETRIES_PER_MINUTE: Final = 60
"""Of the whole client: in an outage that is all the load that it adds."""
MINUTE_SECONDS: Final = 60.0

_HISTORICAL = frozenset({"/api/v1/klines", "/api/v1/trades/history", "/wapi/v1/history/fills"})


class SlidingWindow:
    """At most `limit` uses in any `period_seconds`; times are monotonic seconds."""

    def __init__(self, limit: int, period_seconds: float = MINUTE_SECONDS) -> None:
        self._period_seconds = period_seconds
        self._uses: deque[float] = deque(maxlen=limit)

    def book(self, now: float) -> float:
        """Take the next turn; return the seconds until it."""
        delay = self._delay(now)
        self._uses.append(now + delay)
        return delay

    def book_at_once(self, now: float) -> bool:
        """Take a turn only if it is now; return whether it is."""
        return self._delay(now) == 0 and self.book(now) == 0

    def _delay(self, now: float) -> float:
        if len(self._uses) < (self._uses.maxlen or 0):
            return 0.0
        return max(self._uses[0] + self._period_seconds - now, 0.0)


class RequestLimits:
    """The limits that all requests of one client share; times are monotonic seconds."""

    def __init__(
        self,
        *,
        requests_per_minute: int = REQUESTS_PER_MINUTE,
        retries_per_minute: int = RETRIES_PER_MINUTE,
    ) -> None:
        self._requests = SlidingWindow(requests_per_minute)
        self._historical = SlidingWindow(HISTORICAL_REQUESTS_PER_MINUTE)
        self._retries = SlidingWindow(retries_per_minute)
        self._paused_until = float("-inf")

    def turns(self, path: str) -> tuple[SlidingWindow, ...]:
        """Return the windows of `path`: a turn of each is to be awaited, one after the other."""
        return (self._historical, self._requests) if path in _HISTORICAL else (self._requests,)

    def may_retry(self, now: float) -> bool:
        """Take one retry from the budget; return whether there was one left."""
        return self._retries.book_at_once(now)

    def pause(self, seconds: float, now: float) -> None:
        """Send nothing before `seconds` are over: the venue asked for it."""
        self._paused_until = max(self._paused_until, now + seconds)

    def pause_left(self, now: float) -> float:
        """Return the seconds until the pause ends, 0 outside of one."""
        return max(self._paused_until - now, 0.0)
