"""Watches every public stream of the socket, asks REST about silent ones and revives dead ones."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from backpack_feed.constants import DEPTH, TRADE
from backpack_feed.errors import FeedError
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.depth_streams import BookMarket, DepthStreams
from backpack_feed.native.liveness import Finding, StreamWatch, connection_is_dead
from backpack_feed.native.trade_streams import TradeMarket, TradeStreams
from backpack_feed.wire.rest import BackpackRest

LOG = logging.getLogger(__name__)

CHECK_BOOK_AFTER_SECONDS = 5.0
CHECK_TRADES_AFTER_SECONDS = 10.0
CONCURRENT_CHECKS = 4
CHECK_DEPTH_LIMIT = 5
CHECK_TRADES_LIMIT = 5
SOCKET_SILENT_SECONDS = 3.0
"""When no stream speaks, the socket is at fault and reviving single streams is pointless."""


class StreamGuard:
    """Liveness of the streams of one connection; everything but REST runs in the consumer."""

    def __init__(
        self,
        connection: BackpackConnection,
        rest: BackpackRest,
        depth: DepthStreams,
        trades: TradeStreams,
        *,
        stream_name: Callable[[str, str], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._depth = depth
        self._trades = trades
        self._stream_name = stream_name
        self._monotonic = monotonic
        self._watches: dict[tuple[str, str], StreamWatch] = {}
        self._trade_baselines: dict[str, int] = {}
        self._slots = asyncio.Semaphore(CONCURRENT_CHECKS)
        self._opened_at: float | None = None
        self._last_frame_at: float | None = None

    def opened(self) -> None:
        """Every stream was just subscribed on a new socket."""
        now = self._monotonic()
        self._opened_at, self._last_frame_at = now, None
        self._trade_baselines.clear()
        self._watches = {
            (DEPTH, symbol): StreamWatch(CHECK_BOOK_AFTER_SECONDS, now)
            for symbol in self._depth.markets
        } | {
            (TRADE, symbol): StreamWatch(CHECK_TRADES_AFTER_SECONDS, now)
            for symbol in self._trades.markets
        }

    def lost(self) -> None:
        """The socket is gone."""
        self._opened_at = None
        self._watches = {}

    def tick(self, now: float) -> None:
        """Start the checks that are due; drop a socket on which nothing lives."""
        if self._opened_at is None:
            return
        for (kind, symbol), watch in self._watches.items():
            heard_at = self._heard_at(kind, symbol)
            if heard_at >= watch.subscribed_at and heard_at != watch.last_frame_at:
                watch.frame(heard_at)
                self._last_frame_at = max(heard_at, self._last_frame_at or heard_at)
            if watch.check_due(now):
                check = self._check_depth if kind == DEPTH else self._check_trades
                self._connection.background.spawn(
                    self._check(check, symbol, watch), f"check {kind} {symbol}"
                )
        # a trade changes the book, so a quiet book vouches for the trades of its market
        vouching = [
            watch
            for (kind, symbol), watch in self._watches.items()
            if kind == DEPTH or symbol not in self._depth.markets
        ]
        if connection_is_dead(self._opened_at, self._last_frame_at, vouching, now):
            self.lost()  # until the next `opened` there is nothing to watch
            self._connection.reconnect("no stream delivers anything")

    def _heard_at(self, kind: str, symbol: str) -> float:
        markets = self._depth.markets if kind == DEPTH else self._trades.markets
        return markets[symbol].heard_at

    async def _check(
        self,
        check: Callable[[str, StreamWatch], Awaitable[None]],
        symbol: str,
        watch: StreamWatch,
    ) -> None:
        async with self._slots:
            try:
                await check(symbol, watch)
            except FeedError as error:
                # unknown is not quiet: an unanswered check never resets an age
                LOG.warning("%s: cannot check the silent stream: %s", symbol, error)

    async def _check_depth(self, symbol: str, watch: StreamWatch) -> None:
        snapshot = await self._rest.depth(symbol, CHECK_DEPTH_LIMIT)
        market = self._depth.markets[symbol]
        await self._consume(lambda: self._judge_depth(market, watch, snapshot.last_update_id))

    async def _check_trades(self, symbol: str, watch: StreamWatch) -> None:
        trades = await self._rest.trades(symbol, CHECK_TRADES_LIMIT)
        newest_id = max((trade.trade_id or 0 for trade in trades), default=0)
        market = self._trades.markets[symbol]
        await self._consume(lambda: self._judge_trades(market, watch, newest_id))

    async def _consume(self, work: Callable[[], Awaitable[Any]]) -> None:
        await self._connection.inbox.call(work)

    async def _judge_depth(self, market: BookMarket, watch: StreamWatch, venue_id: int) -> None:
        own_id = market.book.last_update_id
        if not market.book.valid or own_id is None or not self._current(watch):
            return
        match watch.judge(venue_id, own_id, self._monotonic()):
            case Finding.QUIET:
                self._depth.confirm(market)
            case Finding.BEHIND_US:
                # REST had seconds to catch up with a silent stream: the ids started over
                self._depth.resync(market, f"the venue is at {venue_id}, the book at {own_id}")
            case Finding.DEAD if self._socket_speaks():
                await self._subscribe_again(DEPTH, market.venue_symbol, watch)
                self._depth.resync(market, "its stream was dead")
                self._depth.restart(market)

    async def _judge_trades(self, market: TradeMarket, watch: StreamWatch, venue_id: int) -> None:
        own_id = market.sequencer.last_id
        if own_id is None:
            own_id = self._trade_baselines.setdefault(market.venue_symbol, venue_id)
        if not self._current(watch):
            return
        finding = watch.judge(venue_id, own_id, self._monotonic())
        if finding is Finding.DEAD and self._socket_speaks():
            await self._subscribe_again(TRADE, market.venue_symbol, watch)
            self._trades.catch_up(market)

    def _current(self, watch: StreamWatch) -> bool:
        return any(watch is current for current in self._watches.values())

    def _socket_speaks(self) -> bool:
        heard = [market.heard_at for market in self._depth.markets.values()]
        heard += [market.heard_at for market in self._trades.markets.values()]
        last = max(heard, default=None)
        return last is not None and self._monotonic() - last < SOCKET_SILENT_SECONDS

    async def _subscribe_again(self, kind: str, symbol: str, watch: StreamWatch) -> None:
        stream = self._stream_name(kind, symbol)
        LOG.warning("%s: the stream is dead: subscribing again", stream)
        await self._connection.send("UNSUBSCRIBE", [stream], None)
        await self._connection.send("SUBSCRIBE", [stream], None)
        watch.resubscribed(self._monotonic())
