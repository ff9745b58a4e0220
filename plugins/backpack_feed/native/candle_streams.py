"""Candles: closed ones once and in order, those that were missed from REST (protocol section 4.4).

After a reconnect the first frame of a stream tells how far the venue has got. If intervals closed
meanwhile, the candles that follow wait until REST has told of them, so the order stays.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptofeed.defines import CANDLES

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import CANDLE_INTERVALS, KLINE
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import FatalError, FeedError
from backpack_feed.native.plain_streams import CountFrame
from backpack_feed.native.reader import Publication, Readers, UnknownSymbolError
from backpack_feed.wire.messages import KlineMessage, RestKline
from backpack_feed.wire.normalise import to_candle, to_past_candle, unix_seconds

LOG = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.5
"""Before REST is asked: it may trail the socket."""
PATIENCE_SECONDS: Final = 120.0
"""Of failing requests before a hole is given up: live candles wait for it."""
STALE_RUN: Final = 20
"""This many older intervals in a row mean that the venue's time went back."""
EMPTY_ANSWERS: Final = 3
"""In a row before the rest of a hole counts as intervals without trades."""
BACKOFF_SECONDS: Final = 0.5
BACKOFF_CAP_SECONDS: Final = 10.0
LONGEST_HOLE: Final = 5_000
"""Intervals; of a longer hole the newest ones are fetched."""
MOST_WAITING: Final = 1_000
"""Closed candles of one market that wait for a hole to be filled."""

type FetchKlines = Callable[[str, int, int], Awaitable[list[RestKline]]]
"""(venue symbol, from, to): the candles that start in this time, unix seconds."""


@dataclass(slots=True)
class CandleCounts:
    """Frames that gave no event.

    `repeated_candles`: of an interval that had been closed already. `held_candles`: open ones
    while a hole before them was being filled.
    """

    repeated_candles: int = 0
    held_candles: int = 0


@dataclass(slots=True)
class CandleMarket:
    """One stream; `heard_at` is monotonic seconds, the other times are unix seconds.

    `next_start`: of the oldest interval that is not told as closed. `doubtful`: frames may have
    been missed since the last one. `waiting`: closed candles behind a hole, None without one.
    """

    symbol: str
    venue_symbol: str
    next_start: float | None = None
    closed_start: float | None = None
    doubtful: bool = False
    stale_run: int = 0
    waiting: list[tuple[KlineMessage, float]] | None = None
    heard_at: float = float("-inf")


@dataclass(slots=True)
class _Hole:
    start: float
    until: float
    rows: list[RestKline] = field(default_factory=list)

    def take(self, page: Iterable[RestKline]) -> bool:
        """Take an answer; return whether it had anything of the hole."""
        found = [row for row in page if self.start <= unix_seconds(row.start) < self.until]
        if not found:
            return False
        found.sort(key=lambda row: row.start)
        self.rows += found
        self.start = unix_seconds(found[-1].end)
        return True


class CandleStreams:
    """Reader of the kline streams of one interval, cryptofeed's name of it.

    `markets`: cryptofeed symbol → venue symbol. `now` is the monotonic time of the batch that is
    being read, `spawn` starts background work, `consume` runs a function in the single consumer.
    Readers raise `UnknownSymbolError` for a market that is not wanted.
    """

    def __init__(
        self,
        markets: Mapping[str, str],
        *,
        interval: str,
        closed_only: bool,
        count_frame: CountFrame,
        fetch: FetchKlines,
        deliver: Callable[[Iterable[Publication]], Awaitable[None]],
        spawn: Callable[..., asyncio.Task[None]],
        consume: Callable[..., Awaitable[Any]],
        counters: FeedCounters,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        # by stream, because the interval is nowhere else
        self.markets = {
            f"{KLINE}.{CANDLE_INTERVALS[interval]}.{venue_symbol}": CandleMarket(
                symbol, venue_symbol
            )
            for symbol, venue_symbol in markets.items()
        }
        self._interval = interval
        self._closed_only = closed_only
        self._count_frame = count_frame
        self._fetch = fetch
        self._deliver = deliver
        self._spawn = spawn
        self._consume = consume
        self._counters = counters
        self._now = now
        self._monotonic = monotonic
        self.counts = CandleCounts()

    def readers(self) -> Readers:
        """Return the reader of every message class that this object reads."""
        return {KlineMessage: self._take}

    def lost(self) -> None:
        """The socket is gone, and with it perhaps the end of an interval."""
        for stream in self.markets:
            self.distrust(stream)

    def distrust(self, stream: str) -> None:
        """A frame of the stream may have been missed; other streams are ignored."""
        market = self.markets.get(stream)
        if market is not None:
            market.doubtful = True

    def _take(self, stream: str, message: KlineMessage, receipt: float) -> Iterable[Publication]:
        market = self.markets.get(stream)
        if market is None:
            raise UnknownSymbolError(message.symbol)
        self._count_frame(CANDLES, market.symbol, receipt)
        market.heard_at = self._now()
        return self._in_order(market, message, receipt)

    def _in_order(
        self, market: CandleMarket, message: KlineMessage, receipt: float
    ) -> Iterable[Publication]:
        start = unix_seconds(message.start)
        if market.next_start is None:
            market.next_start = start  # what was before the first frame was not missed
        if start < market.next_start and not _starts_over(market, start):
            self.counts.repeated_candles += 1
            return ()
        market.stale_run = 0
        doubtful, market.doubtful = market.doubtful, False
        if market.waiting is not None:
            market.doubtful = doubtful
            return self._hold(market, message, receipt)
        if doubtful and start > market.next_start:
            market.waiting = []
            hole = _Hole(market.next_start, start)
            self._shorten(market, hole, start - unix_seconds(message.stop))
            self._spawn(self._fill(market, hole), f"candles {market.symbol}")
            return self._hold(market, message, receipt)
        return self._publish(market, message, receipt)

    def _publish(
        self, market: CandleMarket, message: KlineMessage, receipt: float
    ) -> Iterable[Publication]:
        if message.closed:
            market.closed_start = unix_seconds(message.start)
            market.next_start = unix_seconds(message.stop)
        elif self._closed_only:
            return ()
        candle = to_candle(message, market.symbol, self._interval)
        return () if candle is None else ((CANDLES, candle, receipt),)

    def _hold(self, market: CandleMarket, message: KlineMessage, receipt: float) -> tuple[()]:
        if not message.closed:
            self.counts.held_candles += not self._closed_only  # a newer one follows in seconds
        elif market.waiting is not None and len(market.waiting) < MOST_WAITING:
            market.waiting.append((message, receipt))
        else:
            self._counters.dropped_messages += 1
        return ()

    def _shorten(self, market: CandleMarket, hole: _Hole, minus_length: float) -> None:
        oldest = hole.until + LONGEST_HOLE * minus_length
        if hole.start < oldest:
            LOG.error("%s: too many candles were missed: only the newest come", market.symbol)
            self._counters.dropped_messages += 1
            hole.start = oldest

    async def _fill(self, market: CandleMarket, hole: _Hole) -> None:
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            whole = await self._fetch_rows(market, hole)
        except Exception:  # whatever it was, the candles that wait must go on
            LOG.exception("%s: candles cannot be fetched", market.symbol)
            whole = False
        if not whole:
            self._counters.dropped_messages += 1
            LOG.error("%s: candles were missed and REST does not tell them", market.symbol)
        await self._consume(lambda: self._deliver(self._filled(market, hole)))

    async def _fetch_rows(self, market: CandleMarket, hole: _Hole) -> bool:
        """Ask until the hole is full; return whether REST told all that it has."""
        give_up_at = self._monotonic() + PATIENCE_SECONDS
        attempt = 0
        while hole.start < hole.until:
            if attempt:
                await asyncio.sleep(_backoff(attempt))
            attempt += 1
            try:
                page = await self._fetch(market.venue_symbol, int(hole.start), int(hole.until))
            except FeedError as error:
                LOG.warning("%s: cannot fetch candles: %s", market.symbol, error)
                if isinstance(error, FatalError) or self._monotonic() > give_up_at:
                    return False
                continue
            if hole.take(page):
                attempt = 0
            elif attempt >= EMPTY_ANSWERS:
                return True
        return True

    def _filled(self, market: CandleMarket, hole: _Hole) -> list[Publication]:
        """Runs in the consumer: the hole's candles, then those that waited for them."""
        publications: list[Publication] = []
        for row in hole.rows:
            if unix_seconds(row.start) < (market.next_start or 0.0):
                continue
            market.closed_start, market.next_start = (
                unix_seconds(row.start),
                unix_seconds(row.end),
            )
            candle = to_past_candle(row, market.symbol, self._interval)
            if candle is not None:
                publications.append((CANDLES, candle, None))
        market.next_start = max(market.next_start or 0.0, hole.until)
        waiting, market.waiting = market.waiting or [], None
        still_doubtful = market.doubtful
        for message, receipt in waiting:
            market.doubtful = True  # the socket may have been lost between any two of them
            publications.extend(self._in_order(market, message, receipt))
        market.doubtful = still_doubtful
        return publications


def _starts_over(market: CandleMarket, start: float) -> bool:
    """Whether the venue's time went back; repeats of the last closed candle prove nothing."""
    if start == market.closed_start:
        return False
    market.stale_run += 1
    if market.stale_run < STALE_RUN:
        return False
    market.next_start, market.closed_start = start, None
    return True


def _backoff(attempt: int) -> float:
    return full_jitter(
        attempt,
        base_seconds=BACKOFF_SECONDS,
        cap_seconds=BACKOFF_CAP_SECONDS,
        jitter=random.random,
    )
