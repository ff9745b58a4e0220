"""Capped exponential backoff with full jitter. Pure: randomness is an argument."""

from collections.abc import Callable

MAX_DOUBLINGS = 30


def full_jitter(
    attempt: int, *, base_seconds: float, cap_seconds: float, jitter: Callable[[], float]
) -> float:
    """Return a delay within 0 and min(cap, base * 2**attempt) seconds; `jitter()` is in [0, 1).

    Full jitter spreads a fleet that lost its venue at the same instant.
    """
    ceiling = base_seconds * 2.0 ** min(attempt, MAX_DOUBLINGS)
    return min(cap_seconds, ceiling) * jitter()


def reconnect_delay(
    attempt: int,
    *,
    seconds_since_last_attempt: float,
    jitter: Callable[[], float],
    cap_seconds: float = 30.0,
    min_interval_seconds: float = 1.0,
) -> float:
    """Return how long to wait before connecting again, with at most one attempt per interval."""
    delay = full_jitter(attempt, base_seconds=1.0, cap_seconds=cap_seconds, jitter=jitter)
    return max(delay, min_interval_seconds - seconds_since_last_attempt, 0.0)
