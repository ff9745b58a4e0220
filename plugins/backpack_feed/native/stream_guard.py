"""Watches every public stream of the socket: which are silent, and what to do about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from backpack_feed.constants import BOOK_TICKER, DEPTH, TRADE
from backpack_feed.native.cadence import Cadence
from backpack_feed.native.candle_streams import CandleStreams
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.depth_streams import BookMarket, DepthStreams
from backpack_feed.native.liveness import Debts, StreamWatch, connection_is_dead
from backpack_feed.native.plain_streams import PlainStreams, QuoteMarket
from backpack_feed.native.stream_checks import StreamChecks
from backpack_feed.native.trade_streams import TradeMarket, TradeStreams
from backpack_feed.wire.rest import BackpackRest

CHECK_BOOK_AFTER_SECONDS: Final = 5.0
CHECK_TRADES_AFTER_SECONDS: Final = 10.0
CHECK_QUOTES_AFTER_SECONDS: Final = 5.0
CHECK_QUOTES_BESIDE_BOOK_SECONDS: Final = 10.0
"""The check of the book notices a silent socket anyway."""
SOCKET_SILENT_SECONDS: Final = 3.0
"""When no stream speaks, the socket is at fault and reviving single streams is pointless."""

type _Market = BookMarket | TradeMarket | QuoteMarket


class StreamGuard:
    """Liveness of the streams of one connection; everything but REST runs in the consumer.

    Books, trades and quotes are rightly silent in a quiet market, so REST is asked about them.
    Streams with a pace are never silent, and a candle is not while its market trades.
    """

    def __init__(
        self,
        connection: BackpackConnection,
        rest: BackpackRest,
        depth: DepthStreams,
        trades: TradeStreams,
        *,
        plain: PlainStreams,
        candles: CandleStreams,
        stream_name: Callable[[str, str], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._depth = depth
        self._trades = trades
        self._candles = candles
        self._monotonic = monotonic
        self._markets: dict[str, Mapping[str, _Market]] = {
            DEPTH: depth.markets,
            TRADE: trades.markets,
            BOOK_TICKER: plain.quotes,
        }
        self._watches: dict[tuple[str, str], StreamWatch] = {}
        self._cadence = Cadence()
        self._debts = Debts()
        self._checks = StreamChecks(
            connection,
            rest,
            depth,
            trades,
            plain=plain,
            stream_name=stream_name,
            is_current=self._is_current,
            socket_speaks=lambda: not self._silent(monotonic()),
            monotonic=monotonic,
        )
        self._opened_at: float | None = None
        self._last_frame_at: float | None = None
        self._received = 0

    def opened(self, streams: Sequence[str]) -> None:
        """All `streams` were just subscribed on a new socket."""
        now = self._monotonic()
        self._opened_at, self._last_frame_at = now, None
        self._received = self._connection.received
        self._cadence.opened(streams, now)
        self._debts = Debts()
        self._checks.opened()
        self._watches = {
            (kind, symbol): StreamWatch(self._check_after(kind, symbol), now)
            for kind, markets in self._markets.items()
            for symbol in markets
        }

    def lost(self) -> None:
        """The socket is gone."""
        self._opened_at = None
        self._watches = {}
        self._cadence.lost()

    def heard(self, stream: str, now: float) -> None:
        """A frame of a stream with a pace came."""
        self._cadence.frame(stream, now)

    async def tick(self, now: float) -> None:
        """Start the checks that are due, revive dead streams, drop a socket on which none lives."""
        if self._opened_at is None:
            return
        if self._connection.received != self._received:
            self._received, self._last_frame_at = self._connection.received, now
        self._check_silent(now)
        overdue = self._cadence.overdue(now)
        vouching = [watch for key, watch in self._watches.items() if self._vouches(*key)]
        if (overdue and self._silent(now)) or connection_is_dead(
            self._opened_at, self._last_frame_at, vouching, now
        ):
            self.lost()  # until the next `opened` there is nothing to watch
            self._connection.reconnect("no stream delivers anything")
            return
        for stream in (*overdue, *self._without_candles(now)):
            await self._checks.subscribe_again(stream)
            self._candles.distrust(stream)

    def _check_silent(self, now: float) -> None:
        for (kind, symbol), watch in self._watches.items():
            heard_at = self._markets[kind][symbol].heard_at
            if heard_at >= watch.subscribed_at and heard_at != watch.last_frame_at:
                watch.frame(heard_at)
            if watch.check_due(now):
                self._checks.start(kind, symbol, watch)

    def _without_candles(self, now: float) -> Iterator[str]:
        opened_at = now if self._opened_at is None else self._opened_at
        for stream, market in self._candles.markets.items():
            trades = self._trades.markets.get(market.venue_symbol)
            spoke_at = max(market.heard_at, opened_at)
            if trades is not None and self._debts.overdue(stream, trades.heard_at, spoke_at, now):
                yield stream

    def _vouches(self, kind: str, symbol: str) -> bool:
        """Trades and quotes change the book, so a quiet book vouches for those of its market."""
        return kind == DEPTH or symbol not in self._depth.markets

    def _check_after(self, kind: str, symbol: str) -> float:
        if kind == BOOK_TICKER and symbol in self._depth.markets:
            return CHECK_QUOTES_BESIDE_BOOK_SECONDS
        return {
            DEPTH: CHECK_BOOK_AFTER_SECONDS,
            TRADE: CHECK_TRADES_AFTER_SECONDS,
            BOOK_TICKER: CHECK_QUOTES_AFTER_SECONDS,
        }[kind]

    def _is_current(self, watch: StreamWatch) -> bool:
        return any(watch is current for current in self._watches.values())

    def _silent(self, now: float) -> bool:
        if self._connection.received != self._received:
            return False  # since the last tick
        last = self._last_frame_at
        return last is None or now - last >= SOCKET_SILENT_SECONDS
