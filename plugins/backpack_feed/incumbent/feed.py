"""CcxtBackpackFeed: the incumbent. ccxt.pro's watchers behind cryptofeed's callbacks.

A fair incumbent: every channel that ccxt has a watcher for, trades exactly once by id through the
same sequencer as the native feed, a new session with backoff when the socket is lost, and a
watchdog for silence, because ccxt's reader dies on one frame that it cannot handle and tells
nobody. What ccxt cannot do stays undone: no gap detection within a book, no deltas, no funding,
index, open interest, liquidations or fills. What ccxt does wrong is counted (`defects.py`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptofeed.defines import CANDLES, L1_BOOK, L2_BOOK, TICKER, TRADES
from cryptofeed.feed import Feed
from cryptofeed.types import Trade

from backpack_feed.constants import (
    CANDLE_INTERVALS,
    EXCHANGE,
    ORDER_INFO,
    ORDER_UPDATE,
    POSITION_UPDATE,
    POSITIONS,
    REST_URL,
    WS_URL,
)
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import ConfigError
from backpack_feed.health import MAX_SNAPSHOT_AGE_SECONDS, Health, assess
from backpack_feed.incumbent.books import CcxtBooks
from backpack_feed.incumbent.candles import CandleWindow
from backpack_feed.incumbent.connection import CcxtConnection
from backpack_feed.incumbent.defects import KINDS
from backpack_feed.incumbent.markets import learn_markets, named_markets
from backpack_feed.incumbent.observed import FrameWitness, Market
from backpack_feed.incumbent.session import CcxtSession
from backpack_feed.incumbent.trade_lane import TradeLane
from backpack_feed.incumbent.venue import Venue, ccxt_keys
from backpack_feed.incumbent.watch import CcxtWatch
from backpack_feed.incumbent.watchers import Routes
from backpack_feed.refusal import SinkError

LOG = logging.getLogger(__name__)

SILENCE_SECONDS = 15.0
QUOTES = (TICKER, L1_BOOK)
ACCOUNT = (ORDER_INFO, POSITIONS)


class CcxtBackpackFeed(Feed):
    """cryptofeed's view of ccxt.pro's `backpack`.

    `trade_checkpoint` maps cryptofeed symbols to the last delivered trade id; without an entry a
    symbol starts with the first trade seen live. `credentials_file` is needed for the account's
    channels; `signer` is accepted for the sake of the native feed's signature and stays unused.
    """

    id = EXCHANGE
    websocket_channels = {  # noqa: RUF012 - cryptofeed's way
        L2_BOOK: "depth",
        TRADES: "trade",
        TICKER: "bookTicker",
        L1_BOOK: "bookTicker",
        CANDLES: "kline",
        ORDER_INFO: ORDER_UPDATE,
        POSITIONS: POSITION_UPDATE,
    }
    valid_candle_intervals = set(CANDLE_INTERVALS)  # noqa: RUF012 - cryptofeed's way
    candle_interval_map = CANDLE_INTERVALS
    websocket_endpoints = ()
    rest_endpoints = ()
    request_limit = 20
    provides_sequence_number = True
    book_delivery = "snapshot"

    def __init__(
        self,
        *,
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
        ca_file: Path | str | None = None,
        credentials_file: Path | str | None = None,
        signer: object = None,
        instance_id: str = "",
        trade_checkpoint: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
        monotonic: Callable[[], float] = time.monotonic,
        silence_seconds: float = SILENCE_SECONDS,
        **kwargs: Any,
    ) -> None:
        del signer
        super().__init__(**{"retries": -1, "timeout": -1, **kwargs})
        self.instance_id = instance_id
        self.counters = FeedCounters()
        self.counters.ccxt_defects = dict.fromkeys(KINDS, 0)
        for channel in ACCOUNT:
            self.callbacks.setdefault(channel, [])
        api_key, secret = ccxt_keys(credentials_file)
        self._private = [channel for channel in ACCOUNT if self._configured(channel)]
        if self._private and secret is None:
            raise ConfigError(f"{self._private[0]}: needs credentials: give credentials_file")
        self._venue = Venue(rest_url, ws_url, ca_file, self.http_proxy, api_key, secret)
        self._clock = clock
        self._monotonic = monotonic
        self._silence_seconds = silence_seconds
        self._stopping = asyncio.Event()
        self._template: CcxtSession | None = None
        self._markets: dict[str, Market] = {}
        self._watch: CcxtWatch | None = None
        self._up_at = monotonic()
        self._books = CcxtBooks(self._configured(L2_BOOK), monotonic)
        self._lanes = {
            symbol: TradeLane((trade_checkpoint or {}).get(symbol), self._deliver, clock)
            for symbol in self._configured(TRADES)
        }

    # ---- what both feeds answer ------------------------------------------------------------------

    def metrics_snapshot(self) -> dict[str, Any]:
        """Return the counters and ages that both feeds share, under fixed keys."""
        sequencers = [lane.sequencer for lane in self._lanes.values()]
        self.counters.trade_duplicates = sum(s.duplicates for s in sequencers)
        self.counters.trades_backfilled = sum(s.backfilled for s in sequencers)
        self.counters.trades_lost = sum(s.lost for s in sequencers)
        self.counters.sequence_gaps = sum(lane.gaps for lane in self._lanes.values())
        return self.counters.snapshot(
            symbol_snapshot_age=self._books.ages(),
            private_authenticated=bool(self._private) and self._signed_in(),
            socket_down_seconds=self._socket_down_seconds(),
            unix_ahead_seconds=self._clock() - self._monotonic(),
        )

    def health(self, max_snapshot_age: float = MAX_SNAPSHOT_AGE_SECONDS) -> Health:
        """Judge the feed; `max_snapshot_age` in seconds."""
        return assess(
            self.metrics_snapshot(),
            max_snapshot_age_seconds=max_snapshot_age,
            private_expected=bool(self._private),
        )

    def books_summary(self) -> dict[str, dict[str, Any]]:
        """Return per symbol: synced, sequence, best_bid, best_ask, age_seconds."""
        return self._books.summary()

    def readiness(self) -> dict[str, bool]:
        """Per symbol: its book is present, which takes a snapshot and a first delta.

        A symbol without a book is ready once anything was heard of it.
        """
        heard = self.counters.heard_at
        ready = {symbol: symbol in heard for symbol in self._configured()}
        return ready | {symbol: book["synced"] for symbol, book in self._books.summary().items()}

    def _signed_in(self) -> bool:
        return self._watch is not None and self._watch.signed_in

    def _socket_down_seconds(self) -> float:
        now = self._monotonic()
        watch = self._watch
        if watch is not None and watch.connected:
            return 0.0
        return now - (self._up_at if watch is None else watch.up_at)

    # ---- cryptofeed's life cycle -----------------------------------------------------------------

    async def run(self, stop_event: asyncio.Event) -> None:
        """Run until `stop_event` is set, also while the venue cannot be reached yet."""
        self._stopping = stop_event
        await super().run(stop_event)

    async def _setup(self) -> None:
        """Learn the venue's symbols through ccxt; tries again until the venue answers."""
        learning = asyncio.create_task(
            learn_markets(lambda: CcxtSession(self._venue, self._witness()), self.counters)
        )
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({learning, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            learning.cancel()
            stopping.cancel()
            await asyncio.wait({learning, stopping})
        if not learning.cancelled():
            self._take_markets(learning.result())

    def _take_markets(self, session: CcxtSession) -> None:
        self._template = session
        names = named_markets(session)
        self.normalized_symbol_mapping = {name: m["id"] for name, m in names.items()}
        self.exchange_symbol_mapping = {m["id"]: name for name, m in names.items()}
        self._build_subscription()
        self._markets = {
            market["id"]: Market(name, market["symbol"], self._channels_of(name))
            for name, market in names.items()
            if self._channels_of(name)
        }

    def _witness(self) -> FrameWitness:
        return FrameWitness(self._markets, self.counters, self._clock, self._monotonic)

    def _channels_of(self, symbol: str) -> frozenset[str]:
        channels = self.websocket_channels
        return frozenset(c for c in channels if symbol in self._configured(c))

    def connect(self) -> list[Any]:
        """Return the one connection that runs every watcher."""
        if self._template is None:
            return []  # stopped before the venue answered
        self._watch = CcxtWatch(
            self._venue,
            self._template,
            self._routes(),
            self._witness,
            counters=self.counters,
            books=self._books,
            max_depth=self.max_depth,
            silence_seconds=self._silence_seconds,
            monotonic=self._monotonic,
        )
        return [(CcxtConnection(self._watch.run), _nothing, _nothing)]

    def _routes(self) -> Routes:
        named: dict[str, list[str]] = {
            channel: [m.symbol for m in self._markets.values() if channel in m.channels]
            for channel in self.websocket_channels
        }
        return Routes(
            ccxt_symbols={m.symbol: m.ccxt_symbol for m in self._markets.values()},
            publish=self._publish,
            trades={symbol: self._lanes[symbol] for symbol in named[TRADES]},
            books=named[L2_BOOK],
            quotes={
                symbol: [channel for channel in QUOTES if symbol in named[channel]]
                for symbol in dict.fromkeys(s for channel in QUOTES for s in named[channel])
            },
            candles={
                symbol: CandleWindow(
                    symbol, self.candle_interval, closed_only=self.candle_closed_only
                )
                for symbol in named[CANDLES]
            },
            candle_interval=CANDLE_INTERVALS[self.candle_interval],
            account={channel: named[channel] for channel in ACCOUNT},
        )

    def _configured(self, channel: str | None = None) -> list[str]:
        """Name every symbol of `channel` once, or of all, as the constructor was told."""
        wanted = self._init_subscription
        if wanted is None:
            wanted = dict.fromkeys(self._init_channels or (), self._init_symbols or ())
        groups = wanted.values() if channel is None else [wanted.get(channel, ())]
        return list(dict.fromkeys(str(symbol) for group in groups for symbol in group))

    # ---- what comes out --------------------------------------------------------------------------

    async def callback(self, data_type: str, obj: Any, receipt_timestamp: float) -> None:
        """Call every callback of the channel; one that fails does not starve the others."""
        for callback in self.callbacks[data_type]:
            try:
                await callback(obj, receipt_timestamp)
            except SinkError:
                self.counters.dropped_messages += 1
                raise
            except Exception:
                self.counters.dropped_messages += 1
                LOG.exception("%s: a %s callback failed", self.id, data_type)

    async def _deliver(self, trade: Trade, receipt_timestamp: float) -> None:
        self.counters.trade(trade.symbol)
        await self.callback(TRADES, trade, receipt_timestamp)

    async def _publish(self, channel: str, event: Any, receipt_timestamp: float) -> None:
        if channel != L2_BOOK:
            await self.callback(channel, event, receipt_timestamp)
            return
        await self.book_callback(
            L2_BOOK,
            event,
            receipt_timestamp,
            timestamp=event.timestamp,
            sequence_number=event.sequence_number,
        )


async def _nothing(*_: object) -> None:
    """Nothing is left to do: ccxt subscribes and reads by itself."""
