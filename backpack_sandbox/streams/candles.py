"""Candles: how trades fold into intervals, and where each interval of the venue starts and ends."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from backpack_sandbox.constants import MICROSECONDS

MONTH: Final = "1month"
SECONDS: Final = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
    "3d": 259_200,
    "1w": 604_800,
}
INTERVALS: Final = frozenset({*SECONDS, MONTH})
FIRST_MONDAY_SECONDS: Final = 4 * 86_400


@dataclass(slots=True)
class Candle:
    """Trades of [start, end) in µs; prices in ticks, volume in steps, notional in ticks x steps.

    The prices are None until the first trade.
    """

    start_us: int
    end_us: int
    open: int | None = None
    high: int | None = None
    low: int | None = None
    close: int | None = None
    volume: int = 0
    notional: int = 0
    trades: int = 0

    def add(self, price: int, quantity: int) -> None:
        """Take up one trade; later ones close later."""
        if self.open is None or self.high is None or self.low is None:
            self.open = self.high = self.low = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += quantity
        self.notional += price * quantity
        self.trades += 1


def empty_candle(interval: str, at_us: int) -> Candle:
    """The candle without trades whose interval holds the moment `at_us` (unix µs)."""
    at_seconds = at_us // MICROSECONDS
    start, end = _month(at_seconds) if interval == MONTH else _period(interval, at_seconds)
    return Candle(start * MICROSECONDS, end * MICROSECONDS)


def naive_iso(at_us: int) -> str:
    """`2026-09-02T16:44:00`: UTC without saying so, as klines carry it."""
    return datetime.fromtimestamp(at_us // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _period(interval: str, at_seconds: int) -> tuple[int, int]:
    period = SECONDS[interval]
    origin = FIRST_MONDAY_SECONDS if interval == "1w" else 0
    start = at_seconds - (at_seconds - origin) % period
    return start, start + period


def _month(at_seconds: int) -> tuple[int, int]:
    now = datetime.fromtimestamp(at_seconds, UTC)
    start = datetime(now.year, now.month, 1, tzinfo=UTC)
    end = (start + timedelta(days=31)).replace(day=1)
    return int(start.timestamp()), int(end.timestamp())
