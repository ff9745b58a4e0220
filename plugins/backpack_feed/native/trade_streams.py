"""The trades of every subscribed market: exactly once by id, holes filled from REST."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptofeed.defines import TRADES
from cryptofeed.types import Trade

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import MICROSECONDS, MILLISECONDS
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError, FeedError
from backpack_feed.native.reader import Publication, UnknownSymbolError
from backpack_feed.native.trade_backfill import Backfill
from backpack_feed.sequence import Hole, TradeSequencer
from backpack_feed.wire.messages import TradeMessage
from backpack_feed.wire.normalise import to_trade

LOG = logging.getLogger(__name__)

FILL_ANSWERS = 10
"""Answers that lack the missing ids before they are given up: `/trades` may be 10 s old."""
ABSENT_ANSWERS = 3
FUTURE_SECONDS = 60.0
"""A trade this far ahead of our clock is delivered all the same, and counted."""
FILL_BACKOFF_SECONDS = 0.5
FILL_BACKOFF_CAP_SECONDS = 5.0

type FetchSince = Callable[[str, int], Awaitable[Backfill]]
"""(venue symbol, id) → everything that REST has from that id on."""
type Deliver = Callable[[Iterable[Publication]], Awaitable[None]]
type Waiting = tuple[Trade, float]
"""A trade and its receipt time in unix seconds."""


@dataclass(slots=True)
class TradeMarket:
    """One market's trades; `heard_at` is monotonic seconds."""

    symbol: str
    venue_symbol: str
    sequencer: TradeSequencer[Waiting]
    fill: asyncio.Task[None] | None = None
    # what happened before the first frame of a subscription is caught up with, it is no gap in it
    streaming: bool = False
    frames: int = 0
    delivered: int = 0
    future: int = 0
    heard_at: float = float("-inf")
    asked_hole: Hole | None = None
    answers: int = 0

    def answers_about(self, hole: Hole) -> int:
        """Count one more answer that did not fill `hole`, which is known by its first id."""
        same = self.asked_hole is not None and self.asked_hole.from_id == hole.from_id
        self.asked_hole, self.answers = hole, self.answers + 1 if same else 1
        return self.answers


class TradeStreams:
    """Delivers every trade of every market once and in id order.

    `checkpoint` maps a symbol to the last delivered id; with one, what was missed since is fetched
    first. `spawn` starts background work, `consume` runs a function in the single consumer, `now`
    and `unix_now` are the times of the batch that is being read.
    """

    def __init__(
        self,
        markets: dict[str, str],
        *,
        checkpoint: Callable[[str], int | None],
        fetch_since: FetchSince,
        deliver: Deliver,
        spawn: Callable[..., asyncio.Task[None]],
        consume: Callable[..., Awaitable[Any]],
        counters: FeedCounters,
        clock: Callable[[], float],
    ) -> None:
        self.markets = {
            venue_symbol: TradeMarket(symbol, venue_symbol, TradeSequencer(checkpoint(symbol)))
            for symbol, venue_symbol in markets.items()
        }
        self._fetch_since = fetch_since
        self._deliver = deliver
        self._spawn = spawn
        self._consume = consume
        self._counters = counters
        self._clock = clock
        self.now = float("-inf")
        self.unix_now = clock()

    def take(self, _stream: str, message: TradeMessage, receipt: float) -> Iterable[Publication]:
        """Read a frame; raises `UnknownSymbolError` for a market that is not subscribed."""
        market = self.markets.get(message.symbol)
        if market is None:
            raise UnknownSymbolError(message.symbol)
        market.frames += 1
        market.heard_at = self.now
        if message.engine_time_us > (self.unix_now + FUTURE_SECONDS) * MICROSECONDS:
            market.future += 1  # whose clock is wrong is not ours to decide
        trade = to_trade(message, market.symbol)
        if market.sequencer.follows(message.trade_id, message.engine_time_us):
            market.streaming = True
            market.delivered += 1
            return ((TRADES, trade, None),)
        return self._out_of_order(market, message, (trade, receipt))

    def _out_of_order(
        self, market: TradeMarket, message: TradeMessage, waiting: Waiting
    ) -> Iterable[Publication]:
        sequencer = market.sequencer
        was_whole, lost, restarts = sequencer.missing is None, sequencer.lost, sequencer.restarts
        duplicates = sequencer.duplicates
        offer = sequencer.offer(message.trade_id, waiting, message.engine_time_us)
        self._counters.trade_duplicates += sequencer.duplicates - duplicates
        self._count_lost(market, sequencer.lost - lost)
        if sequencer.restarts > restarts:
            LOG.warning("%s: the venue numbers its trades anew", market.symbol)
        if offer.missing is not None:
            self._counters.sequence_gaps += was_whole and market.streaming
            self._want_fill(market)
        market.streaming = True
        return _publications(market, offer.deliver)

    def catch_up(self, market: TradeMarket) -> None:
        """Fetch what was missed while nobody listened; without a start nothing was missed."""
        market.streaming = False
        if market.sequencer.last_id is None:
            return
        if market.fill is not None:
            market.fill.cancel()  # it may have asked before the stream was subscribed
            market.fill = None
        self._want_fill(market)

    async def on_fetched(self, market: TradeMarket, answer: Backfill, numbering: int) -> bool:
        """Take an answer of REST; return whether a hole is worth asking for again.

        `numbering` is what the sequencer's `restarts` was when it was asked for. A hole is given up
        when REST lists later trades but not these: at once when its list does not go back that
        far, after `ABSENT_ANSWERS` when it does; and after `FILL_ANSWERS` about this very hole.
        """
        sequencer, now = market.sequencer, self._clock()
        if numbering != sequencer.restarts:
            return sequencer.missing is not None
        backfilled = sequencer.backfilled
        rows = [
            (message.trade_id, (to_trade(message, market.symbol, backfilled=True), now))
            for message in answer.trades
            if message.trade_id
        ]
        # REST has milliseconds, the stream microseconds
        newest_us = answer.newest_time_us and answer.newest_time_us + MILLISECONDS - 1
        filled = sequencer.fill(rows, newest_us)
        await self._deliver(_publications(market, filled))
        self._counters.trades_backfilled += sequencer.backfilled - backfilled
        newest_id = rows[-1][0] if rows else 0
        while (hole := sequencer.missing) is not None:
            answers = market.answers_about(hole)
            absent = answer.ended or (answer.reached and answers >= ABSENT_ANSWERS)
            if not (answers >= FILL_ANSWERS or (absent and newest_id > hole.to_id)):
                return True
            waiting, lost = sequencer.give_up()
            self._count_lost(market, lost)
            await self._deliver(_publications(market, waiting))
        return False

    def _count_lost(self, market: TradeMarket, lost: int) -> None:
        if lost:
            self._counters.trades_lost += lost
            LOG.error("%s: %d trades are lost: REST has them no more", market.symbol, lost)

    def tick(self) -> None:
        """Ask again for a hole that nobody is filling, whatever ended the last attempt."""
        for market in self.markets.values():
            if market.sequencer.missing is not None:
                self._want_fill(market)

    def _want_fill(self, market: TradeMarket) -> None:
        if market.fill is None or market.fill.done():
            market.fill = self._spawn(self._fill(market), f"trades {market.symbol}")

    async def _fill(self, market: TradeMarket) -> None:
        # failures are no answers: nothing is given up because REST is down
        attempt = 0
        while True:
            numbering = market.sequencer.restarts
            try:
                last_id = market.sequencer.last_id or 0
                answer = await self._fetch_since(market.venue_symbol, last_id + 1)
            except FeedError as error:
                if isinstance(error, DecodeError):
                    self._counters.decode_error(error.kind)
                LOG.warning("%s: cannot fetch trades: %s", market.symbol, error)
            else:
                if await self._filled(market, answer, numbering):
                    return
            attempt += 1
            await asyncio.sleep(
                full_jitter(
                    attempt,
                    base_seconds=FILL_BACKOFF_SECONDS,
                    cap_seconds=FILL_BACKOFF_CAP_SECONDS,
                    jitter=random.random,
                )
            )

    async def _filled(self, market: TradeMarket, answer: Backfill, numbering: int) -> bool:
        """Hand the answer to the consumer, where this task also ends: no hole slips between."""
        fill = asyncio.current_task()

        async def take() -> bool:
            if await self.on_fetched(market, answer, numbering):
                return False
            if market.fill is fill:  # else a reconnect has asked anew meanwhile
                market.fill = None
            return True

        return bool(await self._consume(take))


def _publications(market: TradeMarket, trades: Sequence[Waiting]) -> list[Publication]:
    market.delivered += len(trades)
    return [(TRADES, trade, receipt) for trade, receipt in trades]
