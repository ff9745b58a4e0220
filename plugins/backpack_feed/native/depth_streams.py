"""The books of every subscribed market: performs what the pure `DepthBook` asks for."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptofeed.defines import ASK, BID, L2_BOOK
from cryptofeed.types import OrderBook

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import EXCHANGE, MICROSECONDS
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError, FeedError, NotFoundError
from backpack_feed.native.book import APPLIED, BookAction, BookStep, DepthBook
from backpack_feed.native.reader import Publication, UnknownSymbolError
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot

LOG = logging.getLogger(__name__)

CROSSED_SECONDS = 1.0
MAX_LEVELS = 200_000
STALE_SECONDS = 5.0
"""So long with nothing but old ids, and the venue has restarted its counter."""
CROSSED_FRAMES = 50
SNAPSHOT_INTERVAL_SECONDS = 0.5
SNAPSHOT_BACKOFF_SECONDS = 0.1
SNAPSHOT_BACKOFF_CAP_SECONDS = 5.0
CLOSED_CAP_SECONDS = 60.0

type FetchDepth = Callable[[str], Awaitable[DepthSnapshot]]
type Deliver = Callable[[Iterable[Publication]], Awaitable[None]]


@dataclass(slots=True)
class BookMarket:
    """One market's book.

    `advanced_at`, `heard_at`, `fetched_at` and `crossed_at` are monotonic seconds; `generation`
    counts fresh starts; `confirmed` once the stream advanced the book or REST proved it quiet.
    """

    symbol: str
    venue_symbol: str
    published: OrderBook
    book: DepthBook
    advanced_at: float
    publications: tuple[Publication]
    heard_at: float = float("-inf")
    frames: int = 0
    overlaps: int = 0
    stale: int = 0
    subscribed: bool = False
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
    market without a valid book publishes nothing until its next snapshot. `now` is the monotonic
    time of the batch that is being read.
    """

    def __init__(
        self,
        markets: dict[str, str],
        *,
        stream_name: Callable[[str], str],
        max_depth: int,
        fetch_depth: FetchDepth,
        deliver: Deliver,
        spawn: Callable[..., asyncio.Task[None]],
        consume: Callable[..., Awaitable[Any]],
        counters: FeedCounters,
        monotonic: Callable[[], float],
        started_at: float,
    ) -> None:
        self.markets: dict[str, BookMarket] = {}
        for symbol, venue_symbol in markets.items():
            published = OrderBook(EXCHANGE, symbol, max_depth=max_depth)
            self.markets[venue_symbol] = BookMarket(
                symbol,
                venue_symbol,
                published,
                DepthBook(published.book),
                started_at,
                publications=((L2_BOOK, published, None),),
            )
        # realtime and aggregated frames look alike: only the stream's name tells them apart
        self._by_stream = {stream_name(v): market for v, market in self.markets.items()}
        self._fetch_depth = fetch_depth
        self._deliver = deliver
        self._spawn = spawn
        self._consume = consume
        self._counters = counters
        self._monotonic = monotonic
        self.now = started_at

    def take(self, stream: str, delta: DepthMessage, _receipt: float) -> Iterable[Publication]:
        """Read a frame; raises `UnknownSymbolError` for a stream that is not subscribed."""
        market = self._by_stream.get(stream)
        if market is None or market.venue_symbol != delta.symbol:
            raise UnknownSymbolError(delta.symbol)
        market.frames += 1
        market.heard_at = self.now
        book = market.book
        step = book.delta(delta)
        if step is not APPLIED and not self._applied(market, step):
            return ()
        market.advanced_at = self.now
        market.confirmed = True
        if book.crossed:
            return self._crossed(market)
        if market.delta_withheld:
            return self._whole(market, delta.engine_time_us)
        if not (delta.bids or delta.asks):
            return ()
        published = market.published
        published.timestamp = delta.engine_time_us / MICROSECONDS
        published.sequence_number = delta.last_id
        published.delta = {BID: delta.bids, ASK: delta.asks}
        return market.publications

    def _applied(self, market: BookMarket, step: BookStep) -> bool:
        """Whether a step that is not the usual one changed the book; counts what it was."""
        if step.invalidated:
            self._lost_place(market, step)
        market.overlaps += step.overlap
        market.stale += step.action is BookAction.DROP_STALE
        return step.overlap

    def distrust(self, stream: str) -> None:
        """Resync the book of `stream`: one of its deltas could not be read."""
        market = self._by_stream.get(stream)
        if market is not None:
            self.resync(market, "a delta could not be read", missed=1)

    def restart(self, market: BookMarket) -> None:
        """Forget the book and fetch a snapshot at once: the stream was just subscribed."""
        self.discard(market)
        market.subscribed = True
        market.attempts = 0
        self._want_snapshot(market)

    def discard(self, market: BookMarket) -> None:
        """Forget the book; answers to older questions no longer count."""
        market.generation += 1
        market.subscribed = False
        if market.fetch is not None:
            market.fetch.cancel()
            market.fetch = None
        market.book.discard()
        self._uncross(market)

    def resync(
        self, market: BookMarket, reason: str, *, renumbered: bool = False, missed: int = 0
    ) -> None:
        """Distrust a valid book and fetch a snapshot; see `DepthBook.resync`."""
        if market.book.valid:
            LOG.info("%s: taking a new snapshot: %s", market.symbol, reason)
            self._counters.book_resyncs += 1
            market.book.resync(renumbered=renumbered, missed=missed)
        self._want_snapshot(market)

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
        if not market.book.crossed:
            await self._deliver(self._whole(market, snapshot.timestamp_us))
        else:
            market.crossed_at = self._monotonic()

    def confirm(self, market: BookMarket) -> None:
        """REST told the book's own id: the market is quiet and the book is up to date."""
        self._advanced(market)

    def tick(self, now: float) -> None:
        """Resync books that stay crossed or get old ids only; see that every book is on its way."""
        for market in self.markets.values():
            if market.crossed_at is not None and now - market.crossed_at > CROSSED_SECONDS:
                self._uncross(market)
                self.resync(market, "it stayed crossed")
            elif market.book.stale_run and market.heard_at - market.advanced_at > STALE_SECONDS:
                self.resync(market, "only old ids come", renumbered=True)
            elif market.book.levels > MAX_LEVELS:
                self.resync(market, "it has more levels than any book")
            elif market.subscribed and not market.book.valid:
                self._want_snapshot(market)

    def _advanced(self, market: BookMarket) -> None:
        market.advanced_at = self._monotonic()
        market.confirmed = True

    def _lost_place(self, market: BookMarket, step: BookStep) -> None:
        LOG.info("%s: %s", market.symbol, step.label)
        self._counters.sequence_gaps += step.action is BookAction.GAP
        self._counters.book_resyncs += 1
        self._uncross(market)
        self._want_snapshot(market)

    def _crossed(self, market: BookMarket) -> Iterable[Publication]:
        """Show nothing: a sweep comes one level per frame, so a short cross is legal."""
        market.delta_withheld = True
        market.crossed_frames += 1
        if market.crossed_at is None:
            market.crossed_at = self.now
        if market.crossed_frames > CROSSED_FRAMES:
            self._uncross(market)
            self.resync(market, "it stayed crossed")
        return ()

    def _whole(self, market: BookMarket, engine_time_us: int) -> Iterable[Publication]:
        """Publish the book without a delta: it replaces what was known of the market."""
        self._uncross(market)
        market.delta_withheld = False
        published: Any = market.published
        published.timestamp = engine_time_us / MICROSECONDS
        published.sequence_number = market.book.last_update_id
        published.delta = None
        return market.publications

    def _uncross(self, market: BookMarket) -> None:
        market.crossed_at, market.crossed_frames = None, 0

    def _want_snapshot(self, market: BookMarket) -> None:
        if market.fetch is not None and not market.fetch.done():
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
                if isinstance(error, DecodeError):
                    self._counters.decode_error(error.kind)
                LOG.warning("%s: no snapshot: %s", market.symbol, error)
                attempt += 1
                # a market without a book may be closed for long, and may open again
                closed = isinstance(error, NotFoundError)
                cap = CLOSED_CAP_SECONDS if closed else SNAPSHOT_BACKOFF_CAP_SECONDS
                await asyncio.sleep(SNAPSHOT_INTERVAL_SECONDS + _backoff(attempt, cap))
            else:
                break
        await self._consume(lambda: self.on_snapshot(market, generation, snapshot))


def _backoff(attempt: int, cap_seconds: float = SNAPSHOT_BACKOFF_CAP_SECONDS) -> float:
    return full_jitter(
        attempt,
        base_seconds=SNAPSHOT_BACKOFF_SECONDS,
        cap_seconds=cap_seconds,
        jitter=random.random,
    )
