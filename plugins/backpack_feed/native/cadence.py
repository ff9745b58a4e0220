"""Streams that speak at a known pace even when nothing happens (protocol section 6). Pure.

The venue sends a mark price every second and open interest every minute, whatever the market does,
so a longer silence means that the stream is dead and must be subscribed again. The other streams
are rightly silent in a quiet market; books and trades are checked by REST instead (`liveness`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backpack_feed.constants import MARK_PRICE, OPEN_INTEREST_STREAM

SILENCE_SECONDS: Final = {MARK_PRICE: 12.0, OPEN_INTEREST_STREAM: 150.0}
"""Longest believable silence per stream type; times of patience, not of the pace itself."""
EAGER_TRIES: Final = 3
"""Before the patience grows."""
SILENCE_CAP_SECONDS: Final = 600.0
"""A stream that stays dead, such as one of a closed market, is tried this rarely."""


@dataclass
class _Pace:
    patience_seconds: float
    since: float
    deaths: int = 0


class Cadence:
    """Which paced streams are overdue; all times are monotonic seconds."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}
        self._deaths: dict[str, int] = {}

    def opened(self, streams: Sequence[str], now: float) -> None:
        """Every stream was just subscribed; silence counts from here.

        A stream that was dead on the socket before keeps its patience: a market that never speaks
        must not cost a reconnect every few seconds.
        """
        self._paces = {
            stream: _Pace(SILENCE_SECONDS[kind], now, self._deaths.get(stream, 0))
            for stream in streams
            if (kind := stream.partition(".")[0]) in SILENCE_SECONDS
        }

    def lost(self) -> None:
        """The socket is gone."""
        self._deaths |= {stream: pace.deaths for stream, pace in self._paces.items()}
        self._paces = {}

    def frame(self, stream: str, now: float) -> None:
        """A frame of the stream came."""
        pace = self._paces.get(stream)
        if pace is not None:
            pace.since, pace.deaths = now, 0

    def overdue(self, now: float) -> list[str]:
        """Name the streams to subscribe again; each is then given time anew, ever more of it."""
        dead = []
        for stream, pace in self._paces.items():
            doublings = max(0, pace.deaths - EAGER_TRIES + 1)
            patience = min(pace.patience_seconds * 2.0**doublings, SILENCE_CAP_SECONDS)
            if now - pace.since >= patience:
                pace.since, pace.deaths = now, pace.deaths + 1
                dead.append(stream)
        return dead
