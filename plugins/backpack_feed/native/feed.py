"""BackpackFeed: Backpack's native market data under cryptofeed's `Feed` interface."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from cryptofeed.connection import AsyncConnection, RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.feed import Feed
from cryptofeed.types import Trade

from backpack_feed.addresses import is_address
from backpack_feed.backoff import full_jitter
from backpack_feed.constants import (
    DEPTH,
    DEPTH_WINDOWS,
    EXCHANGE,
    ORDER_INFO,
    ORDER_UPDATE,
    REST_URL,
    TRADE,
    USER_AGENT,
    WS_URL,
)
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import ConfigError, FeedError
from backpack_feed.health import MAX_SNAPSHOT_AGE_SECONDS, Health, assess
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.depth_streams import BookUpdate
from backpack_feed.native.inbox import Item
from backpack_feed.native.session import Outlets, Subscriptions, VenueSession
from backpack_feed.refusal import SinkError
from backpack_feed.wire.decode import decode_markets
from backpack_feed.wire.normalise import OrderUpdate, SymbolTable, symbol_table
from backpack_feed.wire.rest import BackpackRest, tls_context
from backpack_feed.wire.signing import Signer

LOG = logging.getLogger(__name__)

SETUP_BACKOFF_CAP_SECONDS = 15.0


class BackpackFeed(Feed):
    """Trades exactly once by id, books that are right or absent, and the account's order events.

    Takes cryptofeed's own arguments, and `rest_url`, `ws_url` and `ca_file` of the venue, `signer`
    or `credentials_file` for the private streams, `trade_checkpoint` (symbol → last delivered
    trade id), `depth_window` (empty for every change, or 200ms, 600ms, 1000ms), `clock` (unix
    seconds) and `monotonic`. Raises `ConfigError` for settings that cannot work.

    A sink that raises `SinkError` halts the feed: going on would leave a hole in that sink.
    """

    id = EXCHANGE
    provides_sequence_number = True
    validates_sequence_number = True
    websocket_endpoints: ClassVar = [WebsocketEndpoint(WS_URL)]
    rest_endpoints: ClassVar = [RestEndpoint(REST_URL, routes=Routes("/api/v1/markets"))]
    websocket_channels: ClassVar = {L2_BOOK: DEPTH, TRADES: TRADE, ORDER_INFO: ORDER_UPDATE}
    request_limit = 20

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
        # cryptofeed's own watchdog and retry budget are off: the connection has better ones
        super().__init__(**kwargs | {"timeout": -1, "retries": -1})
        self.callbacks.setdefault(ORDER_INFO, [])
        self.instance_id = instance_id
        self.counters = FeedCounters()
        self.table = SymbolTable({})
        self.session: VenueSession | None = None
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
            rest_url, ca_file=ca_file, attempts=2, proxy=self.http_proxy, user_agent=user_agent
        )
        self._stopping = asyncio.Event()
        self._halted = False
        self._checkpoint = _checkpoint(trade_checkpoint)
        if ORDER_INFO in self._configured() and signer is None:
            raise ConfigError(f"{ORDER_INFO}: needs credentials: give a signer or credentials_file")

    @classmethod
    def _parse_symbol_data(cls, data: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """Serve `BackpackFeed.symbols()`; a running feed reads the markets through its own REST."""
        table = symbol_table(decode_markets(msgspec.json.encode(data))[0])
        return table.to_venue, {}

    @classmethod
    def _write_symbol_cache(cls, syms: dict[str, str], info: dict[str, Any]) -> None:
        """Write nothing: a feed process owns no files outside its state directory."""

    async def run(self, stop_event: asyncio.Event) -> None:
        """Run until `stop_event` is set, also while the venue cannot be reached yet."""
        self._stopping = stop_event
        try:
            await super().run(stop_event)
        finally:
            await self._rest.close()

    async def _setup(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                self.table = symbol_table(await self._rest.markets())
            except FeedError as error:
                LOG.warning("%s: cannot read the markets, trying again: %s", self.id, error)
            else:
                if self.table.to_venue:
                    self._take_table(self.table)
                    return
                LOG.warning("%s: the venue lists no market, trying again", self.id)
            delay = full_jitter(
                attempt,
                base_seconds=1.0,
                cap_seconds=SETUP_BACKOFF_CAP_SECONDS,
                jitter=random.random,
            )
            attempt += 1
            await _wait(self._stopping, 0.2 + delay)

    def _take_table(self, table: SymbolTable) -> None:
        wanted = {symbol for symbols in self._configured().values() for symbol in symbols}
        for symbol in sorted(wanted - table.to_venue.keys()):
            close = get_close_matches(symbol, table.to_venue, n=1)
            hint = f": did you mean {close[0]}?" if close else ": check /api/v1/markets"
            raise ConfigError(f"symbols: {symbol} is not a market of the venue{hint}")
        for symbol in wanted:
            state = table.states[table.to_venue[symbol]]
            if state == "Closed":
                LOG.warning("%s: %s is closed: nothing will come", self.id, symbol)
        if table.skipped:
            LOG.info("%s: markets of unnameable types skipped: %s", self.id, table.skipped)
        self.normalized_symbol_mapping = table.to_venue
        self.exchange_symbol_mapping = {v: k for k, v in table.to_venue.items()}
        self._build_subscription()

    def connect(self) -> list[tuple[Any, Any, Any]]:
        """Return the one connection, which carries every stream; see `connection.py`."""
        books = self._named(DEPTH)
        trades = self._named(TRADE)
        if not (books or trades or self.subscription.get(ORDER_UPDATE)):
            return []
        orders = (books | trades | self._named(ORDER_UPDATE)) if self._signer else {}
        connection = BackpackConnection(
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
                books=books, trades=trades, orders=orders, depth_window=self._depth_window
            ),
            Outlets(book=self._publish_book, trade=self._publish_trade, order=self._publish_order),
            signer=self._signer,
            checkpoint=self._checkpoint,
            max_depth=self.max_depth,
            counters=self.counters,
            clock=self._clock,
            monotonic=self._monotonic,
            started_at=self._started_at,
        )
        return [(connection, self.subscribe, self.message_handler)]

    async def subscribe(self, connection: AsyncConnection) -> None:
        """Do nothing: the session subscribes after every reconnect, not only after the first."""

    async def message_handler(self, msg: Item, _conn: AsyncConnection, _timestamp: float) -> None:
        """Take one item of the inbox; whatever goes wrong with it, the socket stays."""
        if self._halted or self.session is None:
            return
        try:
            await self.session.handle(msg)
        except SinkError:
            self._halted = True
            LOG.exception("%s: a sink cannot keep its data: delivering nothing more", self.id)
        except Exception:  # one bad message must not take the other markets with it
            self.counters.dropped_messages += 1
            LOG.exception("%s: a message was dropped", self.id)

    async def callback(self, data_type: str, obj: Any, receipt_timestamp: float) -> None:
        """Call every callback of the channel; one that fails does not starve the others."""
        for callback in self.callbacks[data_type]:
            try:
                await callback(obj, receipt_timestamp)
            except SinkError:
                self.counters.dropped_messages += 1
                self._halted = True
                raise
            except Exception:
                self.counters.dropped_messages += 1
                LOG.exception("%s: a %s callback failed", self.id, data_type)

    def metrics_snapshot(self) -> dict[str, Any]:
        """Return the counters of `FeedCounters`, the age of every book and the state of sign-in.

        `symbol_snapshot_age`: seconds since the stream last advanced the book, or since REST
        confirmed it unchanged; since the start of the process while neither happened.
        """
        now = self._monotonic()
        ages = dict.fromkeys(self._configured().get(L2_BOOK, ()), now - self._started_at)
        if self.session is not None:
            for market in self.session.depth.markets.values():
                ages[market.symbol] = now - market.advanced_at
        return self.counters.snapshot(
            symbol_snapshot_age=ages,
            private_authenticated=self.session is not None and self.session.private.authenticated,
        )

    def health(self, max_snapshot_age: float = MAX_SNAPSHOT_AGE_SECONDS) -> Health:
        """Judge the feed; `max_snapshot_age` is in seconds."""
        return assess(
            self.metrics_snapshot(),
            max_snapshot_age_seconds=max_snapshot_age,
            private_expected=self._signer is not None,
        )

    def readiness(self) -> dict[str, bool]:
        """Per symbol: its book is in sync, and its stream spoke or REST proved it quiet."""
        ready = {s: False for symbols in self._configured().values() for s in symbols}
        if self.session is None:
            return ready
        for symbol in ready:
            ready[symbol] = symbol in self.counters.last_message_timestamp
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

    def _named(self, channel: str) -> dict[str, str]:
        symbols = self.subscription.get(channel, ())
        return {self.exchange_symbol_to_std_symbol(symbol): symbol for symbol in symbols}

    async def _publish_book(self, update: BookUpdate, receipt_timestamp: float) -> None:
        await self.book_callback(
            L2_BOOK,
            update.book,
            receipt_timestamp,
            timestamp=update.timestamp,
            sequence_number=update.sequence,
            delta=update.delta,
        )

    async def _publish_trade(self, trade: Trade, receipt_timestamp: float) -> None:
        await self.callback(TRADES, trade, receipt_timestamp)

    async def _publish_order(self, update: OrderUpdate, receipt_timestamp: float) -> None:
        await self.callback(ORDER_INFO, update, receipt_timestamp)


def _checkpoint(
    source: Callable[[str], int | None] | Mapping[str, int] | None,
) -> Callable[[str], int | None]:
    if source is None:
        return lambda _symbol: None
    return source.get if isinstance(source, Mapping) else source


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
