"""What one websocket carries: dispatches the inbox's items to the readers of its channels."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cryptofeed.defines import CANDLES, L2_BOOK, TRADES

from backpack_feed.constants import CANDLE_INTERVALS, DEPTH, ERROR_SIGNATURE, LIQUIDATION
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError
from backpack_feed.native.account_session import AccountSession
from backpack_feed.native.account_streams import AccountStreams
from backpack_feed.native.candle_streams import CandleStreams
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.depth_streams import DepthStreams
from backpack_feed.native.inbox import Call, Item, Lost, Opened, Tick
from backpack_feed.native.plain_streams import PlainStreams
from backpack_feed.native.private_stream import PrivateStream
from backpack_feed.native.quarantine import Quarantine
from backpack_feed.native.reader import Publication, Readers, UnknownSymbolError
from backpack_feed.native.session_counts import collect_markets
from backpack_feed.native.stream_guard import StreamGuard
from backpack_feed.native.subscriptions import Subscriptions
from backpack_feed.native.trade_backfill import Backfill, trades_since
from backpack_feed.native.trade_streams import TradeStreams
from backpack_feed.refusal import SinkError
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import (
    DepthMessage,
    ErrorMessage,
    Message,
    RestKline,
    TickerMessage,
    TradeMessage,
    UnknownMessage,
)
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.signing import Signer

LOG = logging.getLogger(__name__)

STREAMS_PER_REQUEST = 200
NAME_LIMIT = 64
UNREAD_NAMES = 64
"""Names of unread streams that are counted apart; the venue could invent any number of them."""

type Callbacks = Mapping[str, Sequence[Callable[[Any, float], Awaitable[None]]]]
"""Channel → cryptofeed callbacks, each of (event, receipt in unix seconds)."""


class VenueSession:
    """The state behind one connection; `handle` takes the inbox's batches one at a time."""

    def __init__(
        self,
        connection: BackpackConnection,
        rest: BackpackRest,
        subscriptions: Subscriptions,
        callbacks: Callbacks,
        *,
        signer: Signer | None,
        checkpoint: Callable[[str], int | None],
        max_depth: int,
        candle_closed_only: bool,
        on_unknown_symbol: Callable[[str], None],
        counters: FeedCounters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        started_at: float,
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._subscriptions = subscriptions
        self._callbacks = callbacks
        self._clock = clock
        self._on_unknown_symbol = on_unknown_symbol
        self._counters = counters
        self._monotonic = monotonic
        self._down_since: float | None = started_at
        self.unread: dict[str, int] = {}
        self.unknown_symbols = 0
        self.private = PrivateStream()
        self.quarantine = Quarantine(counters, monotonic)
        self.depth = DepthStreams(
            subscriptions.of(L2_BOOK),
            stream_name=lambda symbol: subscriptions.stream(DEPTH, symbol),
            max_depth=max_depth,
            fetch_depth=rest.depth,
            deliver=self._deliver,
            spawn=connection.background.spawn,
            consume=self._consume,
            counters=counters,
            monotonic=monotonic,
            started_at=started_at,
        )
        self.trades = TradeStreams(
            subscriptions.of(TRADES),
            checkpoint=checkpoint,
            fetch_since=self._trades_since,
            deliver=self._deliver,
            spawn=connection.background.spawn,
            consume=self._consume,
            counters=counters,
            clock=clock,
        )
        self.plain = PlainStreams(
            subscriptions.wanted,
            count_frame=counters.message,
            heard=self._heard,
            now=self._batch_time,
        )
        self.candles = CandleStreams(
            subscriptions.of(CANDLES),
            interval=subscriptions.candle_interval,
            closed_only=candle_closed_only,
            count_frame=counters.message,
            fetch=self._klines,
            deliver=self._deliver,
            spawn=connection.background.spawn,
            consume=self._consume,
            counters=counters,
            now=self._batch_time,
            monotonic=monotonic,
        )
        self._guard = StreamGuard(
            connection,
            rest,
            self.depth,
            self.trades,
            plain=self.plain,
            candles=self.candles,
            stream_name=subscriptions.stream,
            monotonic=monotonic,
        )
        self.account = AccountStreams(
            subscriptions.wanted, delivered=self.private.delivered, count_frame=counters.message
        )
        self._account_session = AccountSession(
            connection,
            rest,
            signer,
            subscriptions.private_streams(),
            self.account,
            state=self.private,
            deliver=self._deliver,
            consume=self._consume,
            counters=counters,
            clock=clock,
            monotonic=monotonic,
        )
        self._readers: Readers = {
            DepthMessage: self.depth.take,
            TradeMessage: self.trades.take,
            ErrorMessage: self._refused,
            TickerMessage: self._unread,
            UnknownMessage: self._unread,
            **self.plain.readers(),
            **self.candles.readers(),
            **self.account.readers(),
        }

    async def handle(self, batch: Sequence[Item]) -> None:  # noqa: C901 - calls cost too much here
        """Take a batch; raises only what a sink raises on purpose to stop the process."""
        self.depth.now = self.trades.now = self._monotonic()
        self.trades.unix_now = self._clock()
        readers, callbacks = self._readers, self._callbacks
        for item in batch:
            try:
                if type(item) is not tuple:
                    await self._event(item)
                    continue
                # a frame: nearly always, so the whole of its way is written out here
                frame, receipt = item
                envelope = decode(frame)
                message = envelope.data
                for channel, event, at in readers[type(message)](envelope.stream, message, receipt):
                    for callback in callbacks[channel]:
                        try:
                            await callback(event, receipt if at is None else at)
                        except Exception as error:  # noqa: BLE001 - starves no other callback
                            self._failed(channel, error)
            except DecodeError as error:
                self._poisoned(frame, error, receipt)
            except UnknownSymbolError as error:
                self._unknown(error)
            except SinkError:
                raise
            except Exception:  # one bad message must not take the other markets with it
                self._counters.dropped_messages += 1
                LOG.exception("a message was dropped")

    def _failed(self, channel: str, error: Exception) -> None:
        """Count a callback's failure; a sink that cannot keep its data must stop everything."""
        self._counters.dropped_messages += 1
        if isinstance(error, SinkError):
            raise error
        LOG.error("a %s callback failed", channel, exc_info=error)

    def _poisoned(self, frame: str | bytes, error: DecodeError, receipt: float) -> None:
        self.quarantine.take(frame, error, receipt)
        if error.stream is not None:
            self.depth.distrust(error.stream)
            self.candles.distrust(error.stream)

    async def _event(self, item: Item) -> None:
        match item:
            case Opened():
                await self._opened()
            case Lost():
                self._lost()
            case Tick():
                await self._tick()
            case Call():
                await item.run()

    async def _deliver(self, publications: Iterable[Publication]) -> None:
        """Publish what no frame brought: REST's answers."""
        now = self._clock()
        for channel, event, at in publications:
            for callback in self._callbacks[channel]:
                try:
                    await callback(event, now if at is None else at)
                except Exception as error:  # noqa: BLE001 - starves no other callback
                    self._failed(channel, error)

    async def _consume[T](self, work: Callable[[], Awaitable[T]]) -> T:
        return await self._connection.inbox.call(work)

    async def _trades_since(self, venue_symbol: str, from_id: int) -> Backfill:
        return await trades_since(self._rest, venue_symbol, from_id)

    async def _klines(self, symbol: str, from_seconds: int, to_seconds: int) -> list[RestKline]:
        interval = CANDLE_INTERVALS[self._subscriptions.candle_interval]
        return await self._rest.klines(symbol, interval, from_seconds, to_seconds)

    @property
    def subscribed(self) -> bool:
        """Whether there is a socket on which everything was subscribed."""
        return self._down_since is None

    @property
    def down_seconds(self) -> float:
        """Seconds without a socket; 0 while there is one."""
        return 0.0 if self._down_since is None else self._monotonic() - self._down_since

    async def _opened(self) -> None:
        streams = self._subscriptions.public_streams()
        # its name is documented in two ways: should the venue refuse it, the others are not with it
        doubtful = [stream for stream in streams if stream == LIQUIDATION]
        for batch in [*_batches([s for s in streams if s not in doubtful]), *_batches(doubtful)]:
            await self._connection.send("SUBSCRIBE", batch, None)
        await self._account_session.subscribe()
        self._guard.opened(streams)
        # at once, without waiting for a first delta: a quiet market may not send one for minutes
        for book_market in self.depth.markets.values():
            self.depth.restart(book_market)
        for trade_market in self.trades.markets.values():
            self.trades.catch_up(trade_market)
        self._down_since = None

    def _lost(self) -> None:
        if self._down_since is None:
            self._down_since = self._monotonic()
        self._guard.lost()
        self._account_session.lost()
        self.plain.lost()
        self.candles.lost()
        for market in self.depth.markets.values():
            self.depth.discard(market)

    async def _tick(self) -> None:
        now = self._monotonic()
        self.private.tick(now)
        self.depth.tick(now)
        await self._guard.tick(now)

    def _heard(self, stream: str) -> None:
        self._guard.heard(stream, self.depth.now)

    def _batch_time(self) -> float:
        return self.depth.now

    def _unread(self, stream: str, _message: Message, _receipt: float) -> Iterable[Publication]:
        name = stream[:NAME_LIMIT]
        if name not in self.unread and len(self.unread) >= UNREAD_NAMES:
            name = "other"
        self.unread[name] = self.unread.get(name, 0) + 1
        if self.quarantine.may_log(name):
            LOG.warning("ignoring frames of the stream %r: nothing here reads them", name)
        return ()

    def _unknown(self, error: UnknownSymbolError) -> None:
        self.unknown_symbols += 1
        if self.quarantine.may_log("unknown symbol"):
            LOG.warning("ignoring frames: %r", str(error))
        self._on_unknown_symbol(error.symbol)

    def _refused(self, _stream: str, error: ErrorMessage, _receipt: float) -> Iterable[Publication]:
        """Error frames name no stream, so the healthy streams of the socket are left alone."""
        if error.code == ERROR_SIGNATURE:
            self._account_session.refused()
        else:
            self._counters.ws_errors += 1
            LOG.error("venue error %d: %r", error.code, error.message[:200])
        return ()

    def collect(self, counters: FeedCounters) -> None:
        """Bring what the markets counted for themselves into `counters`."""
        collect_markets(counters, self.depth, self.trades)
        counters.rest = asdict(self._rest.counters)
        counters.suppressed = {
            "unread_frames": sum(self.unread.values()),
            "unknown_symbols": self.unknown_symbols,
            "stale_deltas": sum(market.stale for market in self.depth.markets.values()),
            **asdict(self.plain.counts),
            **asdict(self.candles.counts),
            **asdict(self.account.counts),
        }


def _batches(streams: Sequence[str]) -> list[list[str]]:
    return [
        list(streams[at : at + STREAMS_PER_REQUEST])
        for at in range(0, len(streams), STREAMS_PER_REQUEST)
    ]
