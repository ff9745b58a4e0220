"""CcxtBackpackFeed: the incumbent. ccxt.pro's watchers behind cryptofeed's callbacks.

A fair incumbent: trades exactly once by id through the same sequencer as the native feed, a new
session with backoff when the socket is lost, and a watchdog for silence, because ccxt's reader dies
on one frame that it cannot handle and tells nobody. What ccxt cannot do stays undone: no gap
detection within a book, no deltas, no private streams.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.feed import Feed
from cryptofeed.types import OrderBook, Trade

from backpack_feed.constants import EXCHANGE, REST_URL, WS_URL
from backpack_feed.counters import FeedCounters
from backpack_feed.health import MAX_SNAPSHOT_AGE_SECONDS, Health, assess
from backpack_feed.incumbent.books import CcxtBooks
from backpack_feed.incumbent.connection import CcxtConnection
from backpack_feed.incumbent.session import CcxtSession, SessionLost, Venue, VenueRefusal
from backpack_feed.incumbent.trade_lane import TradeLane
from backpack_feed.incumbent.watch import CcxtWatch, Routes, backoff_seconds
from backpack_feed.wire.messages import MarketRow
from backpack_feed.wire.normalise import market_name

LOG = logging.getLogger(__name__)

SILENCE_SECONDS = 15.0


class CcxtBackpackFeed(Feed):
    """cryptofeed's view of ccxt.pro's `backpack`.

    `trade_checkpoint` maps cryptofeed symbols to the last delivered trade id; without an entry a
    symbol starts with the first trade seen live. `credentials_file` and `signer` are accepted for
    the sake of the native feed's signature and stay unused.
    """

    id = EXCHANGE
    websocket_channels = {L2_BOOK: "depth", TRADES: "trade"}  # noqa: RUF012 - cryptofeed's way
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
        del credentials_file, signer
        super().__init__(**{"retries": -1, "timeout": -1, **kwargs})
        self.instance_id = instance_id
        self.counters = FeedCounters()
        self._venue = Venue(rest_url, ws_url, ca_file)
        self._clock = clock
        self._monotonic = monotonic
        self._silence_seconds = silence_seconds
        self._stopping = asyncio.Event()
        self._template: CcxtSession | None = None
        self._ccxt_symbols: dict[str, str] = {}
        wanted = _wanted(self._init_symbols, self._init_subscription)
        self._books = CcxtBooks(wanted, monotonic)
        self._lanes = {
            symbol: TradeLane((trade_checkpoint or {}).get(symbol), self._deliver, clock)
            for symbol in wanted
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
            symbol_snapshot_age=self._books.ages(), private_authenticated=False
        )

    def health(self, max_snapshot_age: float = MAX_SNAPSHOT_AGE_SECONDS) -> Health:
        """Judge the feed; `max_snapshot_age` in seconds."""
        return assess(self.metrics_snapshot(), max_snapshot_age_seconds=max_snapshot_age)

    def books_summary(self) -> dict[str, dict[str, Any]]:
        """Return per symbol: synced, sequence, best_bid, best_ask, age_seconds."""
        return self._books.summary()

    def readiness(self) -> dict[str, bool]:
        """Per symbol: its book is present, which takes a snapshot and a first delta."""
        return {symbol: book["synced"] for symbol, book in self._books.summary().items()}

    # ---- cryptofeed's life cycle -----------------------------------------------------------------

    async def run(self, stop_event: asyncio.Event) -> None:
        """Run until `stop_event` is set, also while the venue cannot be reached yet."""
        self._stopping = stop_event
        await super().run(stop_event)

    async def _setup(self) -> None:
        """Learn the venue's symbols through ccxt; tries again until the venue answers."""
        learning = asyncio.create_task(self._learn_markets())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({learning, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            learning.cancel()
            stopping.cancel()
            await asyncio.wait({learning, stopping})
        if not learning.cancelled():
            self._take_markets(learning.result())

    async def _learn_markets(self) -> CcxtSession:
        attempt = 0
        while True:
            session = CcxtSession(self._venue)
            try:
                await session.open()
            except (SessionLost, VenueRefusal) as error:
                self.counters.ws_errors += 1
                LOG.warning("markets cannot be loaded: %s", error)
            else:
                return session
            finally:
                await session.close()
            await asyncio.sleep(backoff_seconds(attempt))
            attempt += 1

    def _take_markets(self, session: CcxtSession) -> None:
        self._template = session
        names = {
            name: market
            for market in session.markets()
            if (name := _cryptofeed_name(market)) is not None
        }
        self.normalized_symbol_mapping = {name: m["id"] for name, m in names.items()}
        self.exchange_symbol_mapping = {m["id"]: name for name, m in names.items()}
        self._build_subscription()
        self._ccxt_symbols = {name: m["symbol"] for name, m in names.items()}

    def connect(self) -> list[Any]:
        """Return the one connection that runs every watcher."""
        if self._template is None:
            return []  # stopped before the venue answered
        watch = CcxtWatch(
            self._venue,
            self._template,
            Routes(
                ccxt_symbols=self._ccxt_symbols,
                trades={symbol: self._lanes[symbol] for symbol in self._symbols_of(TRADES)},
                books=self._symbols_of(L2_BOOK),
                publish_book=self._publish,
            ),
            counters=self.counters,
            books=self._books,
            max_depth=self.max_depth,
            silence_seconds=self._silence_seconds,
            clock=self._clock,
            monotonic=self._monotonic,
        )
        return [(CcxtConnection(watch.run), _nothing, _nothing)]

    def _symbols_of(self, channel: str) -> list[str]:
        raw = self.subscription.get(self.websocket_channels[channel], [])
        return [self.exchange_symbol_to_std_symbol(symbol) for symbol in raw]

    async def _deliver(self, trade: Trade, receipt_timestamp: float) -> None:
        self.counters.trade(trade.symbol)
        await self.callback(TRADES, trade, receipt_timestamp)

    async def _publish(self, book: OrderBook, receipt_timestamp: float) -> None:
        await self.book_callback(
            L2_BOOK,
            book,
            receipt_timestamp,
            timestamp=book.timestamp,
            sequence_number=book.sequence_number,
        )


def _cryptofeed_name(market: Mapping[str, Any]) -> str | None:
    """Name a ccxt market by the venue's own words: ccxt itself turns kPEPE into KPEPE."""
    info = market["info"]
    try:
        row = MarketRow(
            symbol=market["id"],
            base=info["baseSymbol"],
            quote=info["quoteSymbol"],
            market_type=info["marketType"],
        )
    except KeyError:
        return None  # ccxt invents RFQ markets from /securities
    return market_name(row)


def _wanted(
    symbols: Iterable[object] | None, subscription: Mapping[str, Iterable[object]] | None
) -> list[str]:
    """Name every symbol once, whichever way cryptofeed was told of them."""
    told = [*(symbols or ()), *(s for group in (subscription or {}).values() for s in group)]
    return list(dict.fromkeys(str(symbol) for symbol in told))


async def _nothing(*_: object) -> None:
    """Nothing is left to do: ccxt subscribes and reads by itself."""
