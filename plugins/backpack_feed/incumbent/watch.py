"""The watchers of the ccxt feed: one session after the other, for as long as the feed runs."""

import asyncio
import logging
import random
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.types import OrderBook, Trade

from backpack_feed.backoff import full_jitter
from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent.books import CcxtBooks, to_order_book
from backpack_feed.incumbent.session import (
    CcxtSession,
    RequestFailed,
    SessionLost,
    Venue,
    VenueRefusal,
)
from backpack_feed.incumbent.trade_lane import TradeLane
from backpack_feed.incumbent.trades import MalformedTrade, to_numbered, to_trade

LOG = logging.getLogger(__name__)

STEADY_SECONDS = 30.0
MAX_BACKOFF_SECONDS = 30.0
WATCHDOG_SECONDS = 1.0
SWEEP_SECONDS = 0.5
CONFIRM_INTERVAL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Where everything goes, by cryptofeed symbol; `publish_book` takes book and receipt time."""

    ccxt_symbols: Mapping[str, str]
    trades: Mapping[str, TradeLane]
    books: Sequence[str]
    publish_book: Callable[[OrderBook, float], Awaitable[None]]


class CcxtWatch:
    """Keeps a session alive: `run` ends only when it is cancelled.

    A lost socket, or silence longer than `silence_seconds`, ends the session; the next one starts
    with fresh books after a capped, jittered delay. `template` lends its markets to every session.
    """

    def __init__(
        self,
        venue: Venue,
        template: CcxtSession,
        routes: Routes,
        *,
        counters: FeedCounters,
        books: CcxtBooks,
        max_depth: int,
        silence_seconds: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._venue = venue
        self._template = template
        self._routes = routes
        self.counters = counters
        self._books = books
        self._max_depth = max_depth
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._last_refusal: BaseException | None = None
        self._alive_at = monotonic()

    async def run(self) -> None:
        """Run one session after the other."""
        attempt = 0
        while True:
            started = self._monotonic()
            try:
                async with self._session() as session:
                    await self._watch(session)
            except SessionLost as error:
                self.counters.ws_errors += not error.clean
                LOG.warning("session lost: %s", error)
            except VenueRefusal as error:
                self._count_refusal(error)
            except Exception:
                # whatever ccxt or a sink did wrong, a new session is the way on
                self.counters.dropped_messages += 1
                LOG.exception("session ended")
            steady = self._monotonic() - started > STEADY_SECONDS
            attempt = 0 if steady else attempt + 1
            await asyncio.sleep(backoff_seconds(attempt))
            self.counters.reconnects += 1

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[CcxtSession]:
        session = CcxtSession(self._venue)
        try:
            await session.open(self._template)
            yield session
        finally:
            self._books.forget()
            await session.close()

    async def _watch(self, session: CcxtSession) -> None:
        """Run every watcher until the first fails; raises what it raised."""
        self._alive_at = self._monotonic()
        work: list[Coroutine[Any, Any, None]] = [
            self._guard_silence(),
            self._sweep_trades(session),
            self._confirm_quiet_books(session),
        ]
        for symbol, lane in self._routes.trades.items():
            work.append(self._watch_trades(session, symbol, lane))
            work.append(self._fill_trades(session, symbol, lane))
        work.extend(self._watch_book(session, symbol) for symbol in self._routes.books)
        tasks = [asyncio.create_task(item) for item in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _guard_silence(self) -> None:
        """End the session when nothing has been heard or confirmed for too long."""
        while True:
            await asyncio.sleep(WATCHDOG_SECONDS)
            silence_seconds = self._monotonic() - self._alive_at
            if silence_seconds > self._silence_seconds:
                # silence is no error of the wire: it counts as a reconnect only
                raise SessionLost(f"silent for {silence_seconds:.1f} s", clean=True)

    async def _confirm_quiet_books(self, session: CcxtSession) -> None:
        """Ask REST whether a book that does not move is still the right one."""
        while True:
            await asyncio.sleep(CONFIRM_INTERVAL_SECONDS)
            await asyncio.gather(
                *(
                    self._confirm(session, symbol)
                    for symbol, age_seconds in self._books.ages().items()
                    if age_seconds > CONFIRM_INTERVAL_SECONDS
                )
            )

    async def _confirm(self, session: CcxtSession, symbol: str) -> None:
        try:
            sequence = await session.venue_sequence(self._routes.ccxt_symbols[symbol])
        except RequestFailed:
            return  # the book may be well; if it is not, its age tells
        if self._books.confirm(symbol, sequence):
            self._alive_at = self._monotonic()

    def _count_refusal(self, refusal: VenueRefusal) -> None:
        if refusal.origin is not self._last_refusal:
            self._last_refusal = refusal.origin
            self.counters.ws_errors += 1
            LOG.warning("venue refused: %s", refusal)

    async def _watch_trades(self, session: CcxtSession, symbol: str, lane: TradeLane) -> None:
        async def one_round() -> None:
            trades = await session.next_trades(self._routes.ccxt_symbols[symbol])
            await self._take_trades(symbol, lane, trades)

        await self._survive(one_round)

    async def _sweep_trades(self, session: CcxtSession) -> None:
        """Deliver what ccxt holds back until a next trade that may not come."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for symbol, lane in self._routes.trades.items():
                held_back = session.untaken_trades(self._routes.ccxt_symbols[symbol])
                await self._take_trades(symbol, lane, held_back)

    async def _take_trades(
        self, symbol: str, lane: TradeLane, trades: Iterable[Mapping[str, Any]]
    ) -> None:
        for trade in trades:
            receipt_timestamp = self._clock()
            self._alive_at = self._monotonic()
            self.counters.message(TRADES, symbol, receipt_timestamp)
            await self._take_trade(symbol, lane, trade, receipt_timestamp)

    async def _take_trade(
        self,
        symbol: str,
        lane: TradeLane,
        ccxt_trade: Mapping[str, Any],
        receipt_timestamp: float,
    ) -> None:
        try:
            trade_id, trade = to_trade(ccxt_trade, symbol)
        except MalformedTrade as error:
            self.counters.decode_errors += 1
            self.counters.dropped_messages += 1
            LOG.warning("%s: %s", symbol, error)
            return
        await lane.live(trade_id, trade, receipt_timestamp)

    async def _fill_trades(self, session: CcxtSession, symbol: str, lane: TradeLane) -> None:
        async def fetch() -> list[tuple[int, Trade]]:
            return to_numbered(
                await session.recent_trades(self._routes.ccxt_symbols[symbol]), symbol
            )

        await self._survive(lambda: lane.keep_whole(fetch))

    async def _watch_book(self, session: CcxtSession, symbol: str) -> None:
        async def one_round() -> None:
            ccxt_book = await session.next_book(self._routes.ccxt_symbols[symbol])
            receipt_timestamp = self._clock()
            self._alive_at = self._monotonic()
            self.counters.message(L2_BOOK, symbol, receipt_timestamp)
            book = to_order_book(symbol, ccxt_book, self._max_depth)
            self._books.advance(symbol, book)
            await self._routes.publish_book(book, receipt_timestamp)

        await self._survive(one_round)

    async def _survive(self, one_round: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Repeat for ever; a refusal is counted and tried again, a lost session ends it."""
        failures = 0
        while True:
            try:
                await one_round()
                failures = 0
                continue
            except VenueRefusal as error:
                self._count_refusal(error)
            except RequestFailed as error:
                LOG.warning("trades cannot be fetched: %s", error)
            await asyncio.sleep(backoff_seconds(failures))
            failures += 1


def backoff_seconds(attempt: int) -> float:
    """Return a capped, jittered delay in seconds, at least a quarter."""
    delay = full_jitter(
        attempt, base_seconds=0.5, cap_seconds=MAX_BACKOFF_SECONDS, jitter=random.random
    )
    return max(0.25, delay)
