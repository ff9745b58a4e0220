"""The trades of every subscribed market: exactly once by id, holes filled from REST."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptofeed.types import Trade

from backpack_feed.backoff import full_jitter
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError, FeedError
from backpack_feed.sequence import Hole, TradeSequencer
from backpack_feed.wire.messages import TradeMessage
from backpack_feed.wire.normalise import to_trade

LOG = logging.getLogger(__name__)

FILL_ATTEMPTS = 10
"""Answers that lack the missing ids before they are given up: `/trades` may be 10 s old."""
FILL_BACKOFF_SECONDS = 0.5
FILL_BACKOFF_CAP_SECONDS = 5.0

type FetchTrades = Callable[[str], Awaitable[Sequence[TradeMessage]]]
type DeliverTrade = Callable[[Trade, float], Awaitable[None]]
type Waiting = tuple[Trade, float]
"""A trade and its receipt time in unix seconds."""


@dataclass
class TradeMarket:
    """One market's trades."""

    symbol: str
    venue_symbol: str
    sequencer: TradeSequencer[Waiting]
    fill: asyncio.Task[None] | None = None
    # what happened before the first frame of a subscription is caught up with, it is no gap in it
    streaming: bool = False


class TradeStreams:
    """Delivers every trade of every market once and in id order.

    `checkpoint` maps a symbol to the last delivered id; with one, what was missed since is fetched
    first. `spawn` starts background work, `consume` runs a function in the single consumer.
    """

    def __init__(
        self,
        markets: dict[str, str],
        *,
        checkpoint: Callable[[str], int | None],
        fetch_trades: FetchTrades,
        deliver: DeliverTrade,
        spawn: Callable[..., asyncio.Task[None]],
        consume: Callable[..., Awaitable[Any]],
        counters: FeedCounters,
        clock: Callable[[], float],
    ) -> None:
        self.markets = {
            venue_symbol: TradeMarket(symbol, venue_symbol, TradeSequencer(checkpoint(symbol)))
            for symbol, venue_symbol in markets.items()
        }
        self._fetch_trades = fetch_trades
        self._deliver = deliver
        self._spawn = spawn
        self._consume = consume
        self._counters = counters
        self._clock = clock

    def catch_up(self, market: TradeMarket) -> None:
        """Fetch what was missed while nobody listened; without a start nothing was missed."""
        market.streaming = False
        if market.sequencer.last_id is None:
            return
        if market.fill is not None:
            market.fill.cancel()  # it may have asked before the stream was subscribed
            market.fill = None
        self._want_fill(market)

    async def on_trade(self, message: TradeMessage, receipt_timestamp: float) -> None:
        """Take a frame of a market that is in `markets`."""
        market = self.markets[message.symbol]
        sequencer = market.sequencer
        was_whole, lost = sequencer.missing is None, sequencer.lost
        waiting = (to_trade(message, market.symbol), receipt_timestamp)
        offer = sequencer.offer(message.trade_id, waiting)
        self._counters.trade_duplicates += offer.duplicate
        self._count_lost(market, sequencer.lost - lost)
        if offer.missing is not None:
            self._counters.sequence_gaps += was_whole and market.streaming
            self._want_fill(market)
        market.streaming = True
        await self._deliver_all(market, offer.deliver)

    async def on_fetched(
        self, market: TradeMarket, trades: Sequence[TradeMessage], *, final: bool
    ) -> Hole | None:
        """Take REST's newest trades; return the hole that is still worth asking for again.

        A hole is given up when REST no longer reaches back to it, or when this answer was `final`.
        """
        sequencer, now = market.sequencer, self._clock()
        backfilled = sequencer.backfilled
        rows = [
            (message.trade_id, (to_trade(message, market.symbol, backfilled=True), now))
            for message in trades
            if message.trade_id
        ]
        await self._deliver_all(market, sequencer.fill(rows))
        self._counters.trades_backfilled += sequencer.backfilled - backfilled
        oldest = min((trade_id for trade_id, _ in rows), default=None)
        while (hole := sequencer.missing) is not None:
            unreachable = oldest is not None and oldest > hole.to_id
            if not (final or unreachable):
                return hole
            waiting, lost = sequencer.give_up()
            self._count_lost(market, lost)
            await self._deliver_all(market, waiting)
        return None

    def _count_lost(self, market: TradeMarket, lost: int) -> None:
        if lost:
            self._counters.trades_lost += lost
            LOG.error("%s: %d trades are lost: REST has them no more", market.symbol, lost)

    async def _deliver_all(self, market: TradeMarket, trades: Iterable[Waiting]) -> None:
        for trade, receipt_timestamp in trades:
            self._counters.trade(market.symbol)
            await self._deliver(trade, receipt_timestamp)

    def _want_fill(self, market: TradeMarket) -> None:
        if market.fill is None:
            market.fill = self._spawn(self._fill(market), f"trades {market.symbol}")

    async def _fill(self, market: TradeMarket) -> None:
        # failures do not count as answers: nothing is given up because REST is down
        answers = failures = 0
        while True:
            try:
                trades = await self._fetch_trades(market.venue_symbol)
            except FeedError as error:
                self._counters.decode_errors += isinstance(error, DecodeError)
                LOG.warning("%s: cannot fetch trades: %s", market.symbol, error)
                failures += 1
            else:
                answers += 1
                if await self._filled(market, trades, final=answers >= FILL_ATTEMPTS):
                    return
            await asyncio.sleep(
                full_jitter(
                    answers + failures,
                    base_seconds=FILL_BACKOFF_SECONDS,
                    cap_seconds=FILL_BACKOFF_CAP_SECONDS,
                    jitter=random.random,
                )
            )

    async def _filled(
        self, market: TradeMarket, trades: Sequence[TradeMessage], *, final: bool
    ) -> bool:
        """Hand the answer to the consumer, where this task also ends: no hole slips between."""

        async def take() -> bool:
            if await self.on_fetched(market, trades, final=final) is not None:
                return False
            market.fill = None
            return True

        return bool(await self._consume(take))
