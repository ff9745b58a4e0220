"""Asks REST about one silent stream, and revives it if REST proves it dead."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from backpack_feed.constants import BOOK_TICKER, DEPTH, TRADE
from backpack_feed.errors import FeedError, NotFoundError
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.depth_streams import BookMarket, DepthStreams
from backpack_feed.native.liveness import Finding, StreamWatch
from backpack_feed.native.plain_streams import PlainStreams, QuoteMarket, Top
from backpack_feed.native.trade_streams import TradeMarket, TradeStreams
from backpack_feed.wire.messages import DepthSnapshot
from backpack_feed.wire.rest import BackpackRest

LOG = logging.getLogger(__name__)

CONCURRENT_CHECKS: Final = 4
CHECK_DEPTH_LIMIT: Final = 5
CHECK_TRADES_LIMIT: Final = 5

type Check = Callable[[str, StreamWatch], Awaitable[None]]


class StreamChecks:
    """REST is asked in the background, its answers are judged in the consumer.

    `is_current`: whether a watch is of the socket that is open; answers about others are ignored.
    `socket_speaks`: while nothing does, the socket is at fault and reviving a stream is pointless.
    """

    def __init__(
        self,
        connection: BackpackConnection,
        rest: BackpackRest,
        depth: DepthStreams,
        trades: TradeStreams,
        *,
        plain: PlainStreams,
        stream_name: Callable[[str, str], str],
        is_current: Callable[[StreamWatch], bool],
        socket_speaks: Callable[[], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._depth = depth
        self._trades = trades
        self._plain = plain
        self._stream_name = stream_name
        self._is_current = is_current
        self._socket_speaks = socket_speaks
        self._monotonic = monotonic
        self._trade_baselines: dict[str, int] = {}
        self._quote_baselines: dict[str, Top] = {}
        self._trailing_ids: dict[str, int] = {}
        self._slots = asyncio.Semaphore(CONCURRENT_CHECKS)
        self._checks: dict[str, Check] = {
            DEPTH: self._check_depth,
            TRADE: self._check_trades,
            BOOK_TICKER: self._check_quotes,
        }

    def opened(self) -> None:
        """A new socket: what was compared with before means nothing on it."""
        self._trade_baselines.clear()
        self._quote_baselines.clear()
        self._trailing_ids.clear()

    def start(self, kind: str, symbol: str, watch: StreamWatch) -> None:
        """Check the stream of `kind` and venue symbol in the background, once at a time."""
        if watch.checking:
            return
        watch.checking = True
        self._connection.background.spawn(self._run(kind, symbol, watch), f"check {kind} {symbol}")

    async def subscribe_again(self, stream: str) -> None:
        """Subscribe a dead stream anew, on the same socket."""
        LOG.warning("%s: the stream is dead: subscribing again", stream)
        await self._connection.send("UNSUBSCRIBE", [stream], None)
        await self._connection.send("SUBSCRIBE", [stream], None)

    async def _run(self, kind: str, symbol: str, watch: StreamWatch) -> None:
        try:
            async with self._slots:
                if self._is_current(watch):
                    await self._checks[kind](symbol, watch)
        except NotFoundError:
            watch.absent(self._monotonic())
        except FeedError as error:
            # unknown is not quiet: an unanswered check never resets an age
            LOG.warning("%s: cannot check the silent stream: %s", symbol, error)
        finally:
            watch.checking = False

    async def _check_depth(self, symbol: str, watch: StreamWatch) -> None:
        snapshot = await self._rest.depth(symbol, CHECK_DEPTH_LIMIT)
        market = self._depth.markets[symbol]
        await self._consume(lambda: self._judge_depth(market, watch, snapshot.last_update_id))

    async def _check_trades(self, symbol: str, watch: StreamWatch) -> None:
        trades = await self._rest.trades(symbol, CHECK_TRADES_LIMIT)
        newest_id = max((trade.trade_id or 0 for trade in trades), default=0)
        market = self._trades.markets[symbol]
        await self._consume(lambda: self._judge_trades(market, watch, newest_id))

    async def _check_quotes(self, symbol: str, watch: StreamWatch) -> None:
        market = self._plain.quotes[symbol]
        heard_at = market.heard_at
        snapshot = await self._rest.depth(symbol, CHECK_DEPTH_LIMIT)
        await self._consume(lambda: self._judge_quotes(symbol, market, watch, snapshot, heard_at))

    async def _consume(self, work: Callable[[], Awaitable[Any]]) -> None:
        await self._connection.inbox.call(work)

    async def _judge_depth(self, market: BookMarket, watch: StreamWatch, venue_id: int) -> None:
        own_id = market.book.last_update_id
        if not market.book.valid or own_id is None or not self._is_current(watch):
            return
        match watch.judge(venue_id, own_id, self._monotonic()):
            case Finding.QUIET:
                self._depth.confirm(market)
            case Finding.BEHIND_US:
                # REST had seconds to catch up with a silent stream: the ids started over
                reason = f"the venue is at {venue_id}, the book at {own_id}"
                self._depth.resync(market, reason, renumbered=True)
            case Finding.DEAD if self._socket_speaks():
                await self._revive(DEPTH, market.venue_symbol, watch)
                self._depth.resync(market, "its stream was dead")
                self._depth.restart(market)

    async def _judge_trades(self, market: TradeMarket, watch: StreamWatch, venue_id: int) -> None:
        own_id = market.sequencer.last_id
        if own_id is None:
            own_id = self._trade_baselines.setdefault(market.venue_symbol, venue_id)
        if not self._is_current(watch):
            return
        finding = watch.judge(venue_id, own_id, self._monotonic())
        if finding is Finding.DEAD and self._socket_speaks():
            await self._revive(TRADE, market.venue_symbol, watch)
            self._trades.catch_up(market)

    async def _judge_quotes(
        self,
        symbol: str,
        market: QuoteMarket,
        watch: StreamWatch,
        snapshot: DepthSnapshot,
        heard_at: float,
    ) -> None:
        if not self._is_current(watch):
            return
        if market.heard_at != heard_at:
            watch.frame(market.heard_at)
            return
        same = self._shows_our_quote(symbol, market, snapshot)
        finding = watch.compare(same=same, now=self._monotonic())
        if finding is Finding.DEAD and self._socket_speaks():
            await self._revive(BOOK_TICKER, symbol, watch)

    def _shows_our_quote(self, symbol: str, market: QuoteMarket, snapshot: DepthSnapshot) -> bool:
        told, venue_id = top_of(snapshot), snapshot.last_update_id
        if venue_id < market.last_id:
            # REST trails the stream, unless it moves on while we hear nothing: ids started over
            before = self._trailing_ids.get(symbol, venue_id)
            self._trailing_ids[symbol] = venue_id
            return venue_id == before
        # before the first quote of a socket: the stream tells only of changes
        return told == (market.top or self._quote_baselines.setdefault(symbol, told))

    async def _revive(self, kind: str, symbol: str, watch: StreamWatch) -> None:
        await self.subscribe_again(self._stream_name(kind, symbol))
        watch.resubscribed(self._monotonic())


def top_of(snapshot: DepthSnapshot) -> Top:
    """Return the best level of each side."""
    bid, bid_size = max(snapshot.bids, default=(None, None))
    ask, ask_size = min(snapshot.asks, default=(None, None))
    return bid, bid_size, ask, ask_size
