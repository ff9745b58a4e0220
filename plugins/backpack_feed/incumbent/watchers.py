"""One watcher per market and channel: waits for ccxt, converts, and publishes."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptofeed.defines import CANDLES, L1_BOOK, L2_BOOK, TICKER
from cryptofeed.types import Trade

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import ORDER_INFO, POSITIONS
from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent import account, defects
from backpack_feed.incumbent.books import CcxtBooks, to_order_book
from backpack_feed.incumbent.candles import CandleWindow
from backpack_feed.incumbent.quotes import to_l1_book, to_ticker
from backpack_feed.incumbent.session import (
    CcxtSession,
    Received,
    RequestFailed,
    SnapshotBehind,
    VenueRefusal,
)
from backpack_feed.incumbent.trade_lane import TradeLane
from backpack_feed.incumbent.trades import MalformedTrade, engine_time_us, to_numbered, to_trade

LOG = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 30.0
_QUOTES: dict[str, Callable[[Mapping[str, Any], str], Any]] = {
    TICKER: to_ticker,
    L1_BOOK: to_l1_book,
}
_ACCOUNT: dict[str, tuple[Callable[..., Any], Callable[..., bool], str]] = {
    ORDER_INFO: (account.to_order_update, account.has_wrong_total, defects.ORDER_TOTAL_WRONG),
    POSITIONS: (account.to_position, account.has_wrong_entry, defects.POSITION_ENTRY_WRONG),
}

Publish = Callable[[str, Any, float], Awaitable[None]]
"""Called with channel, cryptofeed's event and receipt time (unix seconds)."""


@dataclass(frozen=True, kw_only=True)
class Routes:
    """What is watched, by cryptofeed symbol, and where it goes.

    `quotes` are TICKER, L1_BOOK or both per symbol; `candle_interval` is the venue's word for the
    interval of `candles`; `account` are the symbols of ORDER_INFO and POSITIONS.
    """

    ccxt_symbols: Mapping[str, str]
    publish: Publish
    trades: Mapping[str, TradeLane] = field(default_factory=dict)
    books: Sequence[str] = ()
    quotes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    candles: Mapping[str, CandleWindow] = field(default_factory=dict)
    candle_interval: str = "1m"
    account: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Watchers:
    """The watchers of one session."""

    def __init__(
        self,
        session: CcxtSession,
        routes: Routes,
        *,
        counters: FeedCounters,
        books: CcxtBooks,
        max_depth: int,
    ) -> None:
        self._session = session
        self._routes = routes
        self._counters = counters
        self._books = books
        self._max_depth = max_depth
        self._last_refusal: BaseException | None = None

    def all(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Return every watcher; each runs until its session is lost."""
        for symbol, lane in self._routes.trades.items():
            yield self._watch_trades(symbol, lane)
            yield self._fill_trades(symbol, lane)
        for symbol in self._routes.books:
            yield self._watch_book(symbol)
        for symbol, channels in self._routes.quotes.items():
            yield self._watch_quote(symbol, channels)
        for symbol, window in self._routes.candles.items():
            yield self._watch_candles(symbol, window)
        for channel, symbols in self._routes.account.items():
            for symbol in symbols:
                yield self._watch_account(channel, symbol)

    async def _watch_trades(self, symbol: str, lane: TradeLane) -> None:
        repeated = defects.RepeatedTrades(self._counters.ccxt_defects)

        async def one_round() -> None:
            for received in await self._session.next_trades(self._routes.ccxt_symbols[symbol]):
                await self._take_trade(symbol, lane, repeated, received)

        await self._survive(one_round)

    async def _take_trade(
        self,
        symbol: str,
        lane: TradeLane,
        repeated: defects.RepeatedTrades,
        received: Received[dict[str, Any]],
    ) -> None:
        try:
            trade_id, trade = to_trade(received.value, symbol)
        except MalformedTrade as error:
            self._count_malformed(received.value, error)
            lane.suspect()
            return
        repeated.handed_out(trade_id)
        await lane.live(trade_id, trade, received.receipt_timestamp, engine_time_us(received.value))

    def _count_malformed(self, ccxt_trade: Mapping[str, Any], error: MalformedTrade) -> None:
        self._counters.decode_error("value")
        self._counters.ccxt_defects[defects.INCOMPLETE_TRADE] += 1
        # within the sequence of ids the trade leaves a hole, which REST fills; outside it is lost
        self._counters.dropped_messages += ccxt_trade.get("id") == "0"
        LOG.warning("unreadable trade: %s", error)

    async def _fill_trades(self, symbol: str, lane: TradeLane) -> None:
        async def fetch() -> list[tuple[int, Trade]]:
            return to_numbered(
                await self._session.recent_trades(self._routes.ccxt_symbols[symbol]), symbol
            )

        await self._survive(lambda: lane.keep_whole(fetch))

    async def _watch_book(self, symbol: str) -> None:
        async def one_round() -> None:
            received = await self._session.next_book(self._routes.ccxt_symbols[symbol])
            book = to_order_book(symbol, received.value, self._max_depth)
            self._books.advance(symbol, book)
            if self._books.is_crossed(symbol):
                self._counters.ccxt_defects[defects.CROSSED_BOOK_PUBLISHED] += 1
            await self._routes.publish(L2_BOOK, book, received.receipt_timestamp)

        await self._survive(one_round)

    async def _watch_quote(self, symbol: str, channels: Iterable[str]) -> None:
        async def one_round() -> None:
            received = await self._session.next_quote(self._routes.ccxt_symbols[symbol])
            for channel in channels:
                event = _QUOTES[channel](received.value, symbol)
                if event is not None:
                    await self._routes.publish(channel, event, received.receipt_timestamp)

        await self._survive(one_round)

    async def _watch_candles(self, symbol: str, window: CandleWindow) -> None:
        window.forget()

        async def one_round() -> None:
            received = await self._session.next_candles(
                self._routes.ccxt_symbols[symbol], self._routes.candle_interval
            )
            for candle in window.take(received.value):
                await self._routes.publish(CANDLES, candle, received.receipt_timestamp)

        await self._survive(one_round)

    async def _watch_account(self, channel: str, symbol: str) -> None:
        convert, is_wrong, kind = _ACCOUNT[channel]

        async def one_round() -> None:
            ccxt_symbol = self._routes.ccxt_symbols[symbol]
            for received in await self._session.next_account(channel, ccxt_symbol):
                self._counters.ccxt_defects[kind] += is_wrong(received.value)
                event = convert(received.value, symbol)
                await self._routes.publish(channel, event, received.receipt_timestamp)

        await self._survive(one_round)

    async def _survive(self, one_round: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Repeat for ever; a refusal is counted and tried again, a lost session ends it."""
        failures = 0
        while True:
            try:
                await one_round()
                failures = 0
                continue
            except SnapshotBehind:
                self._counters.ccxt_defects[defects.SNAPSHOT_BEHIND_CLOSED_SOCKET] += 1
                raise
            except VenueRefusal as error:
                self._count_refusal(error)
            except RequestFailed as error:
                LOG.warning("trades cannot be fetched: %s", error)
            await asyncio.sleep(backoff_seconds(failures))
            failures += 1

    def _count_refusal(self, refusal: VenueRefusal) -> None:
        # ccxt raises the same error in every watcher of the socket
        if refusal.origin is self._last_refusal:
            return
        self._last_refusal = refusal.origin
        LOG.warning("venue refused: %s", refusal)
        # an error frame was counted when it came
        self._counters.ws_errors += str(refusal) != self._session.witness.last_error


def backoff_seconds(attempt: int) -> float:
    """Return a capped, jittered delay in seconds, at least a quarter."""
    delay = full_jitter(
        attempt, base_seconds=0.5, cap_seconds=MAX_BACKOFF_SECONDS, jitter=random.random
    )
    return max(0.25, delay)
