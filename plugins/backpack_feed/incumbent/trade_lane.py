"""The trades of one market on their way out: in order, once each, holes filled from REST."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from cryptofeed.types import Trade

from backpack_feed.constants import MICROSECONDS
from backpack_feed.sequence import TradeSequencer

# REST answers may be five seconds old (Cache-Control of /trades), so a hole is asked for again
RETRY_DELAYS_SECONDS = (0.25, 1.0, 2.0, 3.0, 5.0)
STALE_SECONDS = 6.0

Deliver = Callable[[Trade, float], Awaitable[None]]
"""Called with the trade and its receipt time (unix seconds)."""
Fetch = Callable[[], Awaitable[Sequence[tuple[int, Trade]]]]


class TradeLane:
    """Offers live trades to a sequencer and keeps a filler at work while there is a hole.

    `last_id` is the checkpoint: with one, the first thing the filler asks for is what happened
    while nobody listened.
    """

    def __init__(self, last_id: int | None, deliver: Deliver, clock: Callable[[], float]) -> None:
        self.sequencer: TradeSequencer[tuple[Trade, float]] = TradeSequencer(last_id)
        self.gaps = 0
        self._deliver = deliver
        self._clock = clock
        self._order = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._heard = asyncio.Event()
        # what happened before the first trade of a session is caught up with, it is no gap in it
        self._streaming = False

    async def live(
        self,
        trade_id: int | None,
        trade: Trade,
        receipt_timestamp: float,
        engine_time_us: int = 0,
    ) -> None:
        """Take a trade from the socket; returns when it and all it set free are delivered."""
        await _whole(self._offer(trade_id, (trade, receipt_timestamp), engine_time_us))

    def suspect(self) -> None:
        """Ask REST for what may be missing: a trade came that could not be read."""
        if self.sequencer.last_id is not None:
            self._heard.clear()
            self._wanted.set()

    async def keep_whole(self, fetch: Fetch) -> None:
        """Fill what was missed before this call, then every hole that opens; runs until cancelled.

        `fetch` returns the newest trades of the market by REST, as (id, trade) in any order.
        """
        self._streaming = False
        self.suspect()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._fill(fetch)
            if await self._lull():
                await self._fill(fetch)

    async def _lull(self) -> bool:
        """Wait until an answer of REST can no longer be from before the subscription.

        False when a trade came in the meantime, since the next hole shows by itself then. In a
        market that falls silent nothing else would tell of a trade that REST did not have yet.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), STALE_SECONDS)
        return not self._heard.is_set()

    async def _offer(
        self, trade_id: int | None, item: tuple[Trade, float], engine_time_us: int
    ) -> None:
        async with self._order:
            was_whole = self.sequencer.missing is None
            offer = self.sequencer.offer(trade_id, item, engine_time_us)
            await self._send(offer.deliver)
        self._heard.set()
        if offer.missing is not None:
            self.gaps += was_whole and self._streaming
            self._wanted.set()
        self._streaming = True

    async def _fill(self, fetch: Fetch) -> None:
        for delay_seconds in (*RETRY_DELAYS_SECONDS, None):
            await _whole(self._take(await fetch()))
            if self.sequencer.missing is None:
                return
            if delay_seconds is not None:
                await asyncio.sleep(delay_seconds)
        await _whole(self._give_up())

    async def _give_up(self) -> None:
        async with self._order:
            while self.sequencer.missing is not None:
                waiting, _ = self.sequencer.give_up()
                await self._send(waiting)

    async def _take(self, trades: Iterable[tuple[int, Trade]]) -> None:
        now = self._clock()
        async with self._order:
            news = [(trade_id, (trade, now)) for trade_id, trade in trades]
            newest = max((trade.timestamp for _, (trade, _) in news), default=0.0)
            # REST tells milliseconds, and the engine's time is somewhere within the last one
            newest_time_us = int((newest + 0.001) * MICROSECONDS)
            await self._send(self.sequencer.fill(news, newest_time_us))

    async def _send(self, deliveries: Iterable[tuple[Trade, float]]) -> None:
        for delivery in deliveries:
            await self._deliver(*delivery)


async def _whole(delivery: Coroutine[Any, Any, None]) -> None:
    """Let a begun delivery end even when the session that caused it is cancelled.

    The sequencer has already moved on, so a delivery cut short would be a lost trade.
    """
    await asyncio.shield(asyncio.ensure_future(delivery))
