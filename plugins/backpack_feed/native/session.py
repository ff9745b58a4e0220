"""What one websocket carries: dispatches the inbox's items to books, trades and private streams."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.types import Trade

from backpack_feed.constants import (
    DEPTH,
    ERROR_SIGNATURE,
    ORDER_INFO,
    ORDER_UPDATE,
    TRADE,
)
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError, FeedError
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.depth_streams import BookUpdate, DepthStreams
from backpack_feed.native.inbox import Call, Frame, Item, Lost, Opened, Tick
from backpack_feed.native.private_stream import PrivateStream
from backpack_feed.native.quarantine import Quarantine
from backpack_feed.native.stream_guard import StreamGuard
from backpack_feed.native.trade_streams import TradeStreams
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import (
    DepthMessage,
    ErrorMessage,
    Message,
    OrderMessage,
    TradeMessage,
    UnknownMessage,
)
from backpack_feed.wire.normalise import OrderUpdate, to_order_update
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.signing import Signer

LOG = logging.getLogger(__name__)

STREAMS_PER_REQUEST = 200


@dataclass(frozen=True, kw_only=True)
class Outlets:
    """Where normalised data goes; each takes the receipt time in unix seconds."""

    book: Callable[[BookUpdate, float], Awaitable[None]]
    trade: Callable[[Trade, float], Awaitable[None]]
    order: Callable[[OrderUpdate, float], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Subscriptions:
    """Cryptofeed symbol → venue symbol per channel; `depth_window` is `200ms` and so on, or ''."""

    books: dict[str, str]
    trades: dict[str, str]
    orders: dict[str, str]
    depth_window: str = ""

    def stream(self, kind: str, venue_symbol: str) -> str:
        """Return the stream's name on the wire."""
        if kind == DEPTH and self.depth_window:
            return f"{DEPTH}.{self.depth_window}.{venue_symbol}"
        return f"{kind}.{venue_symbol}"

    def public_streams(self) -> list[str]:
        """Name every stream that needs no signature."""
        books = [self.stream(DEPTH, symbol) for symbol in self.books.values()]
        return books + [self.stream(TRADE, symbol) for symbol in self.trades.values()]


class VenueSession:
    """The state behind one connection; `handle` takes the inbox's items one at a time."""

    def __init__(
        self,
        connection: BackpackConnection,
        rest: BackpackRest,
        subscriptions: Subscriptions,
        outlets: Outlets,
        *,
        signer: Signer | None,
        checkpoint: Callable[[str], int | None],
        max_depth: int,
        counters: FeedCounters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        started_at: float,
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._subscriptions = subscriptions
        self._outlets = outlets
        self._signer = signer
        self._counters = counters
        self._monotonic = monotonic
        self.private = PrivateStream()
        self.quarantine = Quarantine(counters, monotonic)
        self._order_symbols = {v: k for k, v in subscriptions.orders.items()}
        self.depth = DepthStreams(
            subscriptions.books,
            max_depth=max_depth,
            fetch_depth=rest.depth,
            publish=outlets.book,
            spawn=connection.background.spawn,
            consume=self._consume,
            counters=counters,
            clock=clock,
            monotonic=monotonic,
            started_at=started_at,
        )
        self.trades = TradeStreams(
            subscriptions.trades,
            checkpoint=checkpoint,
            fetch_trades=rest.trades,
            deliver=outlets.trade,
            spawn=connection.background.spawn,
            consume=self._consume,
            counters=counters,
            clock=clock,
        )
        self._guard = StreamGuard(
            connection,
            rest,
            self.depth,
            self.trades,
            stream_name=subscriptions.stream,
            monotonic=monotonic,
        )

    async def handle(self, item: Item) -> None:
        """Take one item; raises only what a sink raises on purpose to stop the process."""
        match item:
            case Frame():
                await self._frame(item)
            case Opened():
                await self._opened()
            case Lost():
                self._lost()
            case Tick():
                self._tick()
            case Call():
                await item.run()

    async def _consume[T](self, work: Callable[[], Awaitable[T]]) -> T:
        return await self._connection.inbox.call(work)

    async def _opened(self) -> None:
        for batch in _batches(self._subscriptions.public_streams()):
            await self._connection.send("SUBSCRIBE", batch, None)
        await self._subscribe_private()
        self._guard.opened()
        # at once, without waiting for a first delta: a quiet market may not send one for minutes
        for book_market in self.depth.markets.values():
            self.depth.restart(book_market)
        for trade_market in self.trades.markets.values():
            self.trades.catch_up(trade_market)

    def _lost(self) -> None:
        self._guard.lost()
        self.private.lost()
        for market in self.depth.markets.values():
            self.depth.discard(market)

    def _tick(self) -> None:
        now = self._monotonic()
        self.private.tick(now)
        self.depth.tick(now)
        self._guard.tick(now)

    async def _frame(self, frame: Frame) -> None:
        try:
            message = decode(frame.data)
        except DecodeError as error:
            self.quarantine.take(frame.data, error, frame.receipt_timestamp)
            self._distrust(error.stream)
            return
        await self._message(message, frame.receipt_timestamp)

    def _distrust(self, stream: str | None) -> None:
        """A book whose delta could not be read is wrong from here on."""
        for market in self.depth.markets.values():
            if stream == self._subscriptions.stream(DEPTH, market.venue_symbol):
                self.depth.resync(market, "a delta could not be read")

    async def _message(self, message: Message, receipt_timestamp: float) -> None:
        match message:
            case DepthMessage() if message.symbol in self.depth.markets:
                symbol = self.depth.markets[message.symbol].symbol
                self._counters.message(L2_BOOK, symbol, receipt_timestamp)
                self._guard.frame(DEPTH, message.symbol)
                await self.depth.on_delta(message, receipt_timestamp)
            case TradeMessage() if message.symbol in self.trades.markets:
                symbol = self.trades.markets[message.symbol].symbol
                self._counters.message(TRADES, symbol, receipt_timestamp)
                self._guard.frame(TRADE, message.symbol)
                await self.trades.on_trade(message, receipt_timestamp)
            case OrderMessage() if message.symbol in self._order_symbols:
                symbol = self._order_symbols[message.symbol]
                self._counters.message(ORDER_INFO, symbol, receipt_timestamp)
                self.private.delivered()
                await self._outlets.order(to_order_update(message, symbol), receipt_timestamp)
            case ErrorMessage():
                self._refused(message)
            case DepthMessage() | TradeMessage() | OrderMessage():
                self._ignored(f"symbol {message.symbol}")
            case UnknownMessage():
                self._ignored(f"stream {message.stream}")

    def _ignored(self, what: str) -> None:
        if self.quarantine.may_log(what[:64]):
            LOG.warning("ignoring frames of %r: it was not subscribed", what[:64])

    def _refused(self, error: ErrorMessage) -> None:
        """Error frames name no stream, so the healthy streams of the socket are left alone."""
        if error.code != ERROR_SIGNATURE:
            self._counters.ws_errors += 1
            LOG.error("venue error %d: %r", error.code, error.message[:200])
            return
        self._counters.auth_failures += 1
        if self.private.refused():
            LOG.warning("the venue refused the signature: signing once more with its clock")
            self._connection.background.spawn(self._sign_again(), "sign again")
        elif self.private.stopped:
            LOG.error(
                "the venue refused the signature twice: private streams stop, public ones go on;"
                " check the credentials with python -m tools.backpack_auth_check, then restart"
            )

    async def _sign_again(self) -> None:
        if self._signer is not None:
            with suppress(FeedError):  # without the venue's clock ours must do
                venue_ms = await self._rest.time_ms()
                self._signer.offset_ms += venue_ms - self._signer.now_ms()
        await self._consume(self._subscribe_private)

    async def _subscribe_private(self) -> None:
        streams = [self._subscriptions.stream(ORDER_UPDATE, s) for s in self._order_symbols]
        if self._signer is None or not streams or self.private.stopped:
            return
        # always signed anew: a signature expires after its window
        signature = self._signer.subscribe_signature()
        await self._connection.send("SUBSCRIBE", streams, signature)
        self.private.signed(self._monotonic())


def _batches(streams: Sequence[str]) -> list[list[str]]:
    return [
        list(streams[at : at + STREAMS_PER_REQUEST])
        for at in range(0, len(streams), STREAMS_PER_REQUEST)
    ]
