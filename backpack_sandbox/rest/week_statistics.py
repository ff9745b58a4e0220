"""The last seven days of a market's trades, for `/ticker?interval=1w`."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.rest.in_turns import in_turns
from backpack_sandbox.rest.trade_times import trades_between
from backpack_sandbox.streams.candles import Candle, empty_candle
from backpack_sandbox.truth.ledger import Ledger

WEEK_US: Final = 7 * 86_400 * MICROSECONDS
BUCKET: Final = "1h"


class WeekStatistics:
    """Hourly candles, read from the ledger when they are asked for.

    Rolls in steps of an hour: a trade leaves together with the hour it fell in.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hours: dict[str, deque[Candle]] = {}
        self._next_ids: dict[str, int] = {}
        self._reading = asyncio.Lock()

    async def summary(self, symbol: str, now_us: int) -> Candle | None:
        """The last seven days as one candle; None when nothing was traded."""
        hours = self._hours.setdefault(symbol, deque())
        async with self._reading:  # each trade counts once
            await self._read(symbol, hours, now_us)
        while hours and hours[0].end_us <= now_us - WEEK_US:
            hours.popleft()
        return _fold(hours)

    async def _read(self, symbol: str, hours: deque[Candle], now_us: int) -> None:
        if symbol in self._next_ids:
            trades = self._ledger.trades_since(symbol, self._next_ids[symbol])
        else:
            trades = trades_between(self._ledger, symbol, now_us - WEEK_US, now_us + WEEK_US)
        async for batch in in_turns(trades):
            for trade in batch:
                if not hours or trade.engine_us >= hours[-1].end_us:
                    hours.append(empty_candle(BUCKET, trade.engine_us))
                hours[-1].add(trade.event.price, trade.event.quantity)
                self._next_ids[symbol] = trade.event.trade_id + 1


def _fold(hours: Iterable[Candle]) -> Candle | None:
    week: Candle | None = None
    for hour in hours:
        if week is None:
            week = Candle(hour.start_us, hour.end_us, open=hour.open)
        week.high = max(p for p in (week.high, hour.high) if p is not None)
        week.low = min(p for p in (week.low, hour.low) if p is not None)
        week.close, week.end_us = hour.close, hour.end_us
        week.volume += hour.volume
        week.notional += hour.notional
        week.trades += hour.trades
    return week
