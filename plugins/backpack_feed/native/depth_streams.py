"""The books of every subscribed market: performs what the pure `DepthBook` asks for."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cryptofeed.defines import ASK, BID
from cryptofeed.types import OrderBook

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import EXCHANGE, MICROSECONDS
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError, FeedError
from backpack_feed.native.book import BookAction, BookStep, DepthBook
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot, Level

LOG = logging.getLogger(__name__)

CROSSED_SECONDS = 1.0
CROSSED_FRAMES = 50
SNAPSHOT_INTERVAL_SECONDS = 0.5
SNAPSHOT_BACKOFF_SECONDS = 0.1
SNAPSHOT_BACKOFF_CAP_SECONDS = 5.0

type FetchDepth = Callable[[str], Awaitable[DepthSnapshot]]
type PublishBook = Callable[["BookUpdate", float], Awaitable[None]]


@dataclass(frozen=True)
class BookUpdate:
    """A valid book to publish; without `delta` it replaces what was known of the market.

    `sequence` is the venue's id of the last change, `timestamp` its time in unix seconds.
    """

    book: OrderBook
    sequence: int | None
    timestamp: float
    delta: dict[str, list[Level]] | None


@dataclass
class BookMarket:
    """One market's book; times are monotonic seconds, `generation` counts fresh starts."""

    symbol: str
    venue_symbol: str
    published: OrderBook
    book: DepthBook
    advanced_at: float
    generation: int = 0
    confirmed: bool = False
    attempts: int = 0
    fetched_at: float = float("-inf")
    fetch: asyncio.Task[None] | None = None
    crossed_at: float | None = None
    crossed_frames: int = 0
    delta_withheld: bool = False


class DepthStreams:
    """Keeps one book per market and publishes every valid change.

    `spawn` starts background work, `consume` runs a function in the feed's single consumer. A
    market without a valid book publishes nothing until its next snapshot.
    """

    def __init__(
        self,
        markets: dict[str, str],
        *,
        max_depth: int,
        fetch_depth: FetchDepth,
        publish: PublishBook,
        spawn: Callable[..., asyncio.Task[None]],
        consume: Callable[..., Awaitable[Any]],
        counters: FeedCounters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        started_at: float,
    ) -> None:
        self.markets: dict[str, BookMarket] = {}
        for symbol, venue_symbol in markets.items():
            published = OrderBook(EXCHANGE, symbol, max_depth=max_depth)
            self.markets[venue_symbol] = BookMarket(
                symbol, venue_symbol, published, DepthBook(published.book), started_at
            )
        self._fetch_depth = fetch_depth
        self._publish = publish
        self._spawn = spawn
        self._consume = consume
        self._counters = counters
        self._clock = clock
        self._monotonic = monotonic

    def restart(self, market: BookMarket) -> None:
        """Forget the book and fetch a snapshot at once: the stream was just subscribed."""
        self.discard(market)
        market.attempts = 0
        self._want_snapshot(market)

    def discard(self, market: BookMarket) -> None:
        """Forget the book; answers to older questions no longer count."""
        market.generation += 1
        if market.fetch is not None:
            market.fetch.cancel()
            market.fetch = None
        market.book.discard()
        self._uncross(market)

    def resync(self, market: BookMarket, reason: str) -> None:
        """Distrust a valid book and fetch a snapshot."""
        if market.book.valid:
            LOG.info("%s: taking a new snapshot: %s", market.symbol, reason)
            self._counters.book_resyncs += 1
            market.book.resync()
        self._want_snapshot(market)

    async def on_delta(self, delta: DepthMessage, receipt_timestamp: float) -> None:
        """Take a frame of a market that is in `markets`."""
        market = self.markets[delta.symbol]
        step = market.book.delta(delta)
        if step.action is BookAction.APPLY:
            self._advanced(market)
            await self._publish_delta(market, delta, receipt_timestamp)
        elif step.invalidated:
            self._lost_place(market, step)

    async def on_snapshot(
        self, market: BookMarket, generation: int, snapshot: DepthSnapshot
    ) -> None:
        """Take a REST answer; one to a question from before a fresh start is ignored."""
        if generation != market.generation:
            return
        market.fetch = None
        step = market.book.snapshot(snapshot)
        if step.needs_snapshot:
            self._counters.sequence_gaps += step.action is BookAction.SNAPSHOT_BEFORE_HOLE
            market.attempts += 1
            self._want_snapshot(market)
            return
        market.attempts = 0
        self._uncross(market)
        if step.replayed:
            self._advanced(market)
        market.delta_withheld = True  # the next publication is a whole book
        await self._publish_whole(market, self._clock(), snapshot.timestamp_us / MICROSECONDS)

    def confirm(self, market: BookMarket) -> None:
        """REST told the book's own id: the market is quiet and the book is up to date."""
        self._advanced(market)

    def tick(self, now: float) -> None:
        """Resync books that stay crossed."""
        for market in self.markets.values():
            if market.crossed_at is not None and now - market.crossed_at > CROSSED_SECONDS:
                self._uncross(market)
                self.resync(market, "it stayed crossed")

    def _advanced(self, market: BookMarket) -> None:
        market.advanced_at = self._monotonic()
        market.confirmed = True

    def _lost_place(self, market: BookMarket, step: BookStep) -> None:
        LOG.info("%s: %s", market.symbol, step.label)
        self._counters.sequence_gaps += step.action is BookAction.GAP
        self._counters.book_resyncs += 1
        self._uncross(market)
        self._want_snapshot(market)

    async def _publish_delta(
        self, market: BookMarket, delta: DepthMessage, receipt_timestamp: float
    ) -> None:
        if not (delta.bids or delta.asks):
            return
        if market.book.crossed:
            # a sweep comes one level per frame, so a short cross is legal and not to be shown
            market.delta_withheld = True
            market.crossed_frames += 1
            if market.crossed_at is None:
                market.crossed_at = self._monotonic()
            if market.crossed_frames > CROSSED_FRAMES:
                self._uncross(market)
                self.resync(market, "it stayed crossed")
            return
        self._uncross(market)
        timestamp = delta.engine_time_us / MICROSECONDS
        if market.delta_withheld:
            await self._publish_whole(market, receipt_timestamp, timestamp)
            return
        change = {BID: list(delta.bids), ASK: list(delta.asks)}
        await self._send(market, receipt_timestamp, timestamp, change)

    async def _publish_whole(
        self, market: BookMarket, receipt_timestamp: float, timestamp: float
    ) -> None:
        if market.book.crossed:
            market.crossed_at = market.crossed_at or self._monotonic()
            return
        market.delta_withheld = False
        await self._send(market, receipt_timestamp, timestamp, None)

    async def _send(
        self,
        market: BookMarket,
        receipt_timestamp: float,
        timestamp: float,
        delta: dict[str, list[Level]] | None,
    ) -> None:
        sequence = market.book.last_update_id
        update = BookUpdate(market.published, sequence, timestamp, delta)
        await self._publish(update, receipt_timestamp)

    def _uncross(self, market: BookMarket) -> None:
        market.crossed_at, market.crossed_frames = None, 0

    def _want_snapshot(self, market: BookMarket) -> None:
        if market.fetch is not None:
            return
        delay = market.fetched_at + SNAPSHOT_INTERVAL_SECONDS - self._monotonic()
        if market.attempts:
            delay = max(delay, _backoff(market.attempts))
        market.fetch = self._spawn(
            self._fetch(market, market.generation, delay), f"depth {market.symbol}"
        )

    async def _fetch(self, market: BookMarket, generation: int, delay_seconds: float) -> None:
        await asyncio.sleep(max(0.0, delay_seconds))
        attempt = 0
        while True:
            market.fetched_at = self._monotonic()
            try:
                snapshot = await self._fetch_depth(market.venue_symbol)
            except FeedError as error:
                self._counters.decode_errors += isinstance(error, DecodeError)
                LOG.warning("%s: no snapshot: %s", market.symbol, error)
                attempt += 1
                await asyncio.sleep(SNAPSHOT_INTERVAL_SECONDS + _backoff(attempt))
            else:
                break
        await self._consume(lambda: self.on_snapshot(market, generation, snapshot))


def _backoff(attempt: int) -> float:
    return full_jitter(
        attempt,
        base_seconds=SNAPSHOT_BACKOFF_SECONDS,
        cap_seconds=SNAPSHOT_BACKOFF_CAP_SECONDS,
        jitter=random.random,
    )
