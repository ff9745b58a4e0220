"""BackpackFeed: Backpack's native market data under cryptofeed's `Feed` interface."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from cryptofeed.connection import AsyncConnection, RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.feed import Feed
from cryptofeed.symbols import Symbols

from backpack_feed.addresses import is_address
from backpack_feed.constants import (
    CANDLE_INTERVALS,
    DEPTH_WINDOWS,
    EXCHANGE,
    REST_URL,
    USER_AGENT,
    WS_URL,
)
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import ConfigError, DecodeError
from backpack_feed.health import MAX_SNAPSHOT_AGE_SECONDS, Health, assess
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.inbox import Item
from backpack_feed.native.markets import Markets, wanted_markets
from backpack_feed.native.session import VenueSession
from backpack_feed.native.subscriptions import PRIVATE_STREAMS, PUBLIC_STREAMS, Subscriptions
from backpack_feed.refusal import SinkError
from backpack_feed.wire.decode import decode_markets
from backpack_feed.wire.rest import BackpackRest, tls_context
from backpack_feed.wire.signing import Signer
from backpack_feed.wire.symbols import SymbolTable, symbol_table

LOG = logging.getLogger(__name__)


class BackpackFeed(Feed):
    """Every channel of the venue: trades exactly once by id, books that are right or absent.

    Takes cryptofeed's own arguments, and `rest_url`, `ws_url` and `ca_file` of the venue, `signer`
    or `credentials_file` for the private channels, `trade_checkpoint` (symbol → last delivered
    trade id), `depth_window` (empty for every change, or 200ms, 600ms, 1000ms), `clock` (unix
    seconds) and `monotonic`. Raises `ConfigError` for settings that cannot work.

    The private channels `order_info`, `fills`, `balances` and `positions` deliver the types of
    `wire.account_events`; balances have no market, whatever symbols they are subscribed with. With
    a signer the account's streams are subscribed even if no private channel is, which proves the
    signature.

    A sink that raises `SinkError` halts the feed: going on would leave a hole in that sink.
    """

    id = EXCHANGE
    provides_sequence_number = True
    validates_sequence_number = True
    websocket_endpoints: ClassVar = [WebsocketEndpoint(WS_URL)]
    rest_endpoints: ClassVar = [RestEndpoint(REST_URL, routes=Routes("/api/v1/markets"))]
    websocket_channels: ClassVar = PUBLIC_STREAMS | PRIVATE_STREAMS
    valid_candle_intervals: ClassVar = set(CANDLE_INTERVALS)
    candle_interval_map: ClassVar = CANDLE_INTERVALS
    request_limit = 20
    connection_type: ClassVar[type[BackpackConnection]] = BackpackConnection

    def __init__(
        self,
        *,
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
        ca_file: Path | str | None = None,
        signer: Signer | None = None,
        credentials_file: Path | str | None = None,
        instance_id: str = "",
        user_agent: str = USER_AGENT,
        trade_checkpoint: Callable[[str], int | None] | Mapping[str, int] | None = None,
        depth_window: str = "",
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
        monotonic: Callable[[], float] = time.monotonic,
        **kwargs: Any,
    ) -> None:
        if not is_address(ws_url, "wss"):
            raise ConfigError(f"ws_url: {ws_url} must be wss://host[:port]")
        if depth_window and depth_window not in DEPTH_WINDOWS:
            raise ConfigError(f"depth_window: {depth_window} is none of {', '.join(DEPTH_WINDOWS)}")
        self._is_the_venue = rest_url == REST_URL
        interval = kwargs.get("candle_interval")
        if interval is not None and interval not in CANDLE_INTERVALS:
            known = ", ".join(CANDLE_INTERVALS)
            raise ConfigError(f"candle_interval: {interval} is none of {known}")
        # cryptofeed's own watchdog and retry budget are off: the connection has better ones
        super().__init__(**kwargs | {"timeout": -1, "retries": -1})
        for channel in PRIVATE_STREAMS:
            self.callbacks.setdefault(channel, [])
        self.instance_id = instance_id
        self.counters = FeedCounters()
        self.session: VenueSession | None = None
        self._connection: BackpackConnection | None = None
        if signer is None and credentials_file is not None:
            signer = Signer.from_file(Path(credentials_file), clock=clock)
        self._signer = signer
        self._depth_window = depth_window
        self._user_agent = user_agent
        self._clock = clock
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._ws_url = ws_url
        self._tls = tls_context(ca_file)
        self._rest = BackpackRest(
            rest_url,
            ca_file=ca_file,
            signer=signer,
            attempts=2,
            proxy=self.http_proxy,
            user_agent=user_agent,
            clock=clock,
            monotonic=monotonic,
        )
        self._markets = Markets(self._rest, monotonic=monotonic)
        self._wanted: dict[str, dict[str, str]] = {}
        self._stopping = asyncio.Event()
        self._halted = False
        self._checkpoint = _checkpoint(trade_checkpoint)
        private = [channel for channel in self._configured() if channel in PRIVATE_STREAMS]
        if private and signer is None:
            raise ConfigError(
                f"{', '.join(private)}: needs credentials: give a signer or credentials_file"
            )

    @property
    def table(self) -> SymbolTable:
        """The markets of the venue that this feed runs on."""
        return self._markets.table

    @classmethod
    def _parse_symbol_data(cls, data: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """Serve `BackpackFeed.symbols()` and `info()`; a short answer takes no market away."""
        table = symbol_table(decode_markets(msgspec.json.encode(data))[0])
        if Symbols.populated(cls.id):
            table = SymbolTable.known(*Symbols.get(cls.id)).merged(table)
        if not table.to_venue:
            raise DecodeError("value", "/api/v1/markets lists no market")
        return table.to_venue, table.info()

    def _apply_symbol_mapping(self) -> None:
        """Take cryptofeed's list of symbols, which is the venue's own, only on the venue itself."""
        if self._is_the_venue:
            super()._apply_symbol_mapping()

    async def run(self, stop_event: asyncio.Event) -> None:
        """Run until `stop_event` is set, also while the venue cannot be reached yet."""
        self._stopping = stop_event
        try:
            await super().run(stop_event)
        finally:
            await self._rest.close()

    async def _setup(self) -> None:
        cache_seconds = self.config.symbol_cache_ttl if self._is_the_venue else None
        if cache_seconds and self._load_symbol_cache(cache_seconds):
            self._markets.table = SymbolTable.known(*Symbols.get(self.id))
        if not await self._markets.load(self._stopping, self._configured()):
            return
        if self._is_the_venue:
            Symbols.set(self.id, self.table.to_venue, self.table.info())
            if cache_seconds:
                self._write_symbol_cache(self.table.to_venue, self.table.info())
        self._take_table()
        self._build_subscription()
        self._wanted = wanted_markets(self._configured(), self.table)

    def _take_table(self) -> None:
        self.normalized_symbol_mapping = self.table.to_venue
        self.exchange_symbol_mapping = {v: k for k, v in self.table.to_venue.items()}

    async def _reload_markets(self) -> None:
        await self._markets.reload()
        self._take_table()

    def connect(self) -> list[tuple[Any, Any, Any]]:
        """Return the one connection, which carries every stream; see `connection.py`."""
        if not self._wanted:
            return []
        connection = self.connection_type(
            self._ws_url,
            user_agent=self._user_agent,
            tls=self._tls,
            counters=self.counters,
            clock=self._clock,
            monotonic=self._monotonic,
            proxy=self.http_proxy,
        )
        self.session = VenueSession(
            connection,
            self._rest,
            Subscriptions(
                wanted=self._wanted,
                depth_window=self._depth_window,
                candle_interval=self.candle_interval,
            ),
            self.callbacks,
            signer=self._signer,
            checkpoint=self._checkpoint,
            max_depth=self.max_depth,
            candle_closed_only=self.candle_closed_only,
            on_unknown_symbol=self._unknown_symbol,
            counters=self.counters,
            clock=self._clock,
            monotonic=self._monotonic,
            started_at=self._started_at,
        )
        self._connection = connection
        return [(connection, self.subscribe, self.message_handler)]

    def _unknown_symbol(self, _symbol: str) -> None:
        """A market may have been listed since the start."""
        if self._connection is not None and self._markets.reload_due():
            self._connection.background.spawn(self._reload_markets(), "markets")

    async def subscribe(self, connection: AsyncConnection) -> None:
        """Do nothing: the session subscribes after every reconnect, not only after the first."""

    async def message_handler(
        self, msg: Sequence[Item], _conn: AsyncConnection, _timestamp: float
    ) -> None:
        """Take a batch of the inbox; whatever goes wrong with it, the socket stays."""
        if self._halted or self.session is None:
            return
        try:
            await self.session.handle(msg)
        except SinkError:
            self._halted = True
            LOG.exception("%s: a sink cannot keep its data: delivering nothing more", self.id)

    def metrics_snapshot(self) -> dict[str, Any]:
        """Return the counters of `FeedCounters`, the age of every book and the state of sign-in.

        `symbol_snapshot_age`: seconds since the stream last advanced the book, or since REST
        confirmed it unchanged; since the start of the process while neither happened.
        """
        if self.session is not None:
            self.session.collect(self.counters)
        now = self._monotonic()
        ages = dict.fromkeys(self._configured().get(L2_BOOK, ()), now - self._started_at)
        if self.session is not None:
            for market in self.session.depth.markets.values():
                ages[market.symbol] = now - market.advanced_at
        return self.counters.snapshot(
            symbol_snapshot_age=ages,
            private_authenticated=self.session is not None and self.session.private.authenticated,
            socket_down_seconds=(
                now - self._started_at if self.session is None else self.session.down_seconds
            ),
            unix_ahead_seconds=self._clock() - now,
        )

    def health(self, max_snapshot_age: float = MAX_SNAPSHOT_AGE_SECONDS) -> Health:
        """Judge the feed; `max_snapshot_age` is in seconds."""
        return assess(
            self.metrics_snapshot(),
            max_snapshot_age_seconds=max_snapshot_age,
            private_expected=self._signer is not None,
        )

    def readiness(self) -> dict[str, bool]:
        """Per symbol: its book is in sync, and its stream spoke or REST proved it quiet.

        Without book and trades a market may be silent for long: then subscribed is ready.
        """
        configured = self._configured()
        ready = {s: False for symbols in configured.values() for s in symbols}
        if self.session is None:
            return ready
        self.session.collect(self.counters)
        speaking = {s for channel in (L2_BOOK, TRADES) for s in configured.get(channel, ())}
        for symbol in ready:
            ready[symbol] = symbol in self.counters.heard_at or (
                symbol not in speaking and self.session.subscribed
            )
        for market in self.session.depth.markets.values():
            ready[market.symbol] = market.book.valid and market.confirmed
        return ready

    def books_summary(self) -> dict[str, dict[str, Any]]:
        """Per symbol: whether the book is in sync, its venue id, its top and its age in seconds."""
        if self.session is None:
            return {}
        now = self._monotonic()
        summary = {}
        for market in self.session.depth.markets.values():
            bids, asks = market.book.ladder.bids, market.book.ladder.asks
            valid = market.book.valid
            summary[market.symbol] = {
                "synced": valid,
                "sequence": market.book.last_update_id,
                "best_bid": format(bids.index(0)[0], "f") if valid and len(bids) else None,
                "best_ask": format(asks.index(0)[0], "f") if valid and len(asks) else None,
                "age_seconds": now - market.advanced_at,
            }
        return summary

    def _configured(self) -> dict[str, list[str]]:
        """Channel → cryptofeed symbols, as the constructor was told."""
        if self._init_subscription is not None:
            wanted = self._init_subscription
        else:
            wanted = dict.fromkeys(self._init_channels or (), self._init_symbols or ())
        return {channel: [str(s) for s in symbols] for channel, symbols in wanted.items()}


def _checkpoint(
    source: Callable[[str], int | None] | Mapping[str, int] | None,
) -> Callable[[str], int | None]:
    if source is None:
        return lambda _symbol: None
    return source.get if isinstance(source, Mapping) else source
