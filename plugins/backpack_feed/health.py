"""Is a feed fit to be routed to? A pure judgement of its `metrics_snapshot()`.

Every reason says what is wrong, since when, and what to do about it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_SNAPSHOT_AGE_SECONDS = 30.0


@dataclass(frozen=True)
class Health:
    """Verdict on one feed; `reasons` is empty exactly when it is healthy."""

    healthy: bool
    reasons: tuple[str, ...] = ()


def assess(
    snapshot: Mapping[str, Any],
    *,
    max_snapshot_age_seconds: float = MAX_SNAPSHOT_AGE_SECONDS,
    private_expected: bool = False,
) -> Health:
    """Judge a `metrics_snapshot()`: socket open, every book young enough, private streams signed.

    `symbol_snapshot_age` counts seconds from the process start while there is no book, so a feed
    that never delivers turns unhealthy by itself after `max_snapshot_age_seconds`; so does one
    whose socket is down for longer than that.
    """
    reasons = [
        *_socket(snapshot, max_snapshot_age_seconds),
        *_books(snapshot, max_snapshot_age_seconds),
        *(_private(snapshot) if private_expected else ()),
    ]
    return Health(healthy=not reasons, reasons=tuple(reasons))


def _socket(snapshot: Mapping[str, Any], limit_seconds: float) -> Iterator[str]:
    down_seconds = snapshot.get("socket_down_seconds", 0.0)
    if down_seconds > limit_seconds:
        yield (
            f"socket: down for {down_seconds:.1f} s (limit {limit_seconds:g} s): check that this"
            " host reaches the venue's websocket, its proxy and the venue's status"
        )


def _books(snapshot: Mapping[str, Any], limit_seconds: float) -> Iterator[str]:
    heard = snapshot.get("last_message_timestamp", {})
    for symbol, age_seconds in sorted(snapshot["symbol_snapshot_age"].items()):
        # not >, so that a NaN age is unhealthy too
        if age_seconds <= limit_seconds:
            continue
        what = f"{symbol}: no book update for {age_seconds:.1f} s (limit {limit_seconds:g} s)"
        if symbol in heard:
            yield (
                f"{what}: the stream fell silent or its ids do not fit: the feed fetches the book"
                " again by itself; if this stays, compare with the venue's /api/v1/depth"
            )
        else:
            yield (
                f"{what} and no message since the start: check that the market is open at"
                " /api/v1/markets and that this host reaches the venue"
            )


def _private(snapshot: Mapping[str, Any]) -> Iterator[str]:
    if snapshot["private_authenticated"]:
        return
    refused = snapshot.get("auth_failures", 0)
    if refused:
        yield (
            f"private streams: not authenticated, the venue refused {refused} signatures: run"
            " python -m tools.backpack_auth_check --credentials FILE, mend the key pair or the"
            " clock, then restart"
        )
    else:
        yield (
            "private streams: not authenticated yet: wait for the socket; if this stays, run"
            " python -m tools.backpack_auth_check --credentials FILE"
        )
