"""Streams that speak at a known pace even when nothing happens (protocol section 6). Pure.

The venue sends a mark price every second and open interest every minute, whatever the market does,
so a longer silence means that the stream is dead and must be subscribed again. The other streams
are rightly silent in a quiet market; books and trades are checked by REST instead (`liveness`).
"""

from dataclasses import dataclass
from typing import Final

from backpack_feed.constants import MARK_PRICE, OPEN_INTEREST_STREAM

SILENCE_SECONDS: Final = {MARK_PRICE: 12.0, OPEN_INTEREST_STREAM: 150.0}
"""Longest believable silence per stream type; times of patience, not of the pace itself."""
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

    def opened(self, streams: list[str], now: float) -> None:
        """Every stream was just subscribed; silence counts from here."""
        self._paces = {
            stream: _Pace(SILENCE_SECONDS[kind], now)
            for stream in streams
            if (kind := stream.partition(".")[0]) in SILENCE_SECONDS
        }

    def lost(self) -> None:
        """The socket is gone."""
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
            patience = min(pace.patience_seconds * 2**pace.deaths, SILENCE_CAP_SECONDS)
            if now - pace.since >= patience:
                pace.since, pace.deaths = now, pace.deaths + 1
                dead.append(stream)
        return dead
