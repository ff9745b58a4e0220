"""The statistics behind `ticker`: the last 24 hours of one market's trades, minute by minute."""

from collections import deque
from dataclasses import replace
from itertools import islice
from typing import Final

from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.streams.candles import Candle, empty_candle

DAY_US: Final = 86_400 * MICROSECONDS
BUCKET: Final = "1m"


class DayStatistics:
    """Rolls in steps of a minute: a trade leaves together with the minute it fell in."""

    def __init__(self) -> None:
        self._minutes: deque[Candle] = deque()
        # all minutes but the last, folded once a minute: a busy venue asks every second
        self._earlier: Candle | None = None
        self._is_folded = True

    def add(self, engine_us: int, price: int, quantity: int) -> None:
        """Take up a trade (µs, ticks, steps); trades come in order of time."""
        if not self._minutes or engine_us >= self._minutes[-1].end_us:
            self._forget(engine_us)
            self._minutes.append(empty_candle(BUCKET, engine_us))
            self._is_folded = False
        self._minutes[-1].add(price, quantity)

    def summary(self, now_us: int) -> Candle | None:
        """All of the last 24 hours as one candle; None when nothing was traded."""
        self._forget(now_us)
        if not self._minutes:
            return None
        if not self._is_folded:
            self._fold()
        if self._earlier is None:
            return replace(self._minutes[-1])
        day = replace(self._earlier)
        _merge(day, self._minutes[-1])
        return day

    def _fold(self) -> None:
        self._is_folded = True
        self._earlier = None
        for minute in islice(self._minutes, len(self._minutes) - 1):
            if self._earlier is None:
                self._earlier = replace(minute)
            else:
                _merge(self._earlier, minute)

    def _forget(self, now_us: int) -> None:
        while self._minutes and self._minutes[0].end_us <= now_us - DAY_US:
            self._minutes.popleft()
            self._is_folded = False


def _merge(day: Candle, later: Candle) -> None:
    highs = [price for price in (day.high, later.high) if price is not None]
    lows = [price for price in (day.low, later.low) if price is not None]
    day.high, day.low = max(highs), min(lows)
    day.close = later.close
    day.end_us = later.end_us
    day.volume += later.volume
    day.notional += later.notional
    day.trades += later.trades
