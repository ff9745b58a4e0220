"""One ccxt exchange object from its first request to its end, and what its failures mean.

ccxt is unmodified: only its four URLs, its CA file, its proxy and `snapshotDelay` are set (with
ccxt's own delay of ten deltas a quiet market has no book for minutes). A session is thrown away as
a whole when its socket is lost, because ccxt would go on with the old book on the new socket.

ccxt wakes a watcher once and keeps what comes until the watcher waits again. What it already has is
therefore taken before waiting, or the last word before a lull would not be delivered.
"""

import asyncio
import itertools
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from ccxt.base.errors import BaseError, NetworkError
from cryptofeed.defines import CANDLES, L1_BOOK, L2_BOOK, TICKER

from backpack_feed.constants import ORDER_INFO
from backpack_feed.incumbent.observed import FrameWitness, ObservedBackpack
from backpack_feed.incumbent.venue import Venue

TRADES_LIMIT = 1000
_SNAPSHOT_BEHIND = "is behind the cache"
_CLOSE_CODE = re.compile(r"closing code (\d+)")
_CLEAN_CLOSES = {"1000", "1001"}


class SessionLost(Exception):  # noqa: N818 - says what happened
    """The socket or a request failed; `clean` when the venue said goodbye (1000 or 1001)."""

    def __init__(self, message: str, *, clean: bool = False) -> None:
        super().__init__(message)
        self.clean = clean


class SnapshotBehind(SessionLost):
    """Three snapshots in a row were older than the deltas, so ccxt closed the shared socket."""


class RequestFailed(Exception):  # noqa: N818 - says what happened
    """A REST request failed; the socket may be well."""


class VenueRefusal(Exception):  # noqa: N818 - says what happened
    """The venue sent an error frame; ccxt hands the same one to every watcher of the socket."""

    def __init__(self, origin: BaseError) -> None:
        super().__init__(str(origin))
        self.origin = origin


@dataclass(frozen=True)
class Received[T]:
    """What ccxt made of a frame, and when that frame came (unix seconds)."""

    value: T
    receipt_timestamp: float


class CcxtSession:
    """`ccxt.pro.backpack` pointed at one venue, its frames seen by `witness`."""

    def __init__(self, venue: Venue, witness: FrameWitness) -> None:
        self.witness = witness
        self.exchange = ObservedBackpack(venue.ccxt_config(), witness)
        self._last_trade: dict[str, dict[str, Any]] = {}
        self._last_nonce: dict[str, int | None] = {}
        self._last_quote: dict[str, dict[str, Any]] = {}
        self._last_candle: dict[str, tuple[Any, ...]] = {}
        self._last_account: dict[tuple[str, str], dict[str, Any]] = {}
        rest, ws = venue.rest_url.rstrip("/"), venue.ws_url.rstrip("/")
        self.exchange.urls["api"].update(
            {"public": rest, "private": rest, "ws": {"public": ws, "private": ws}}
        )

    async def open(self, earlier: "CcxtSession | None" = None) -> None:
        """Load the markets, or take over those of an earlier session."""
        if earlier is not None and earlier.exchange.markets:
            self.exchange.set_markets_from_exchange(earlier.exchange)
        else:
            await _meaning(self.exchange.load_markets())

    def markets(self) -> list[dict[str, Any]]:
        """Return ccxt's market structures (`id` is the venue's symbol, `symbol` is ccxt's)."""
        return list((self.exchange.markets or {}).values())

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return any(not client.closed() for client in self.exchange.clients.values())

    @property
    def keeps_books(self) -> bool:
        """Whether ccxt has a book with which it would go on at the next socket."""
        return any(book["nonce"] is not None for book in self.exchange.orderbooks.values())

    @property
    def reader_waits(self) -> bool:
        """Whether frames lie unread in the socket's buffer, which a living reader empties."""
        return any(bool(client.buffer) for client in self.exchange.clients.values())

    async def next_trades(self, ccxt_symbol: str) -> list[Received[dict[str, Any]]]:
        """Wait for trades, oldest first; raises `SessionLost` or `VenueRefusal`."""
        untaken = self._untaken_trades(ccxt_symbol)
        if not untaken:
            await _meaning(self.exchange.watch_trades(ccxt_symbol))
            untaken = self._untaken_trades(ccxt_symbol)
        return untaken

    def _untaken_trades(self, ccxt_symbol: str) -> list[Received[dict[str, Any]]]:
        cache = self.exchange.trades.get(ccxt_symbol, ())
        last = self._last_trade.get(ccxt_symbol)
        receipts = reversed(self.witness.receipts[ccxt_symbol].trades)
        untaken = [
            Received(trade, receipt_timestamp)
            for trade, receipt_timestamp in zip(
                itertools.takewhile(lambda trade: trade is not last, reversed(cache)),
                receipts,
                strict=False,
            )
        ]
        if untaken:
            self._last_trade[ccxt_symbol] = untaken[0].value
        return untaken[::-1]

    async def next_book(self, ccxt_symbol: str) -> Received[dict[str, Any]]:
        """Wait for the book to move; raises `SessionLost` or `VenueRefusal`."""
        book = self.exchange.orderbooks.get(ccxt_symbol)
        if book is None or book["nonce"] in {None, self._last_nonce.get(ccxt_symbol)}:
            book = await _meaning(self.exchange.watch_order_book(ccxt_symbol))
        else:
            book.limit()  # as watch_order_book does
        self._last_nonce[ccxt_symbol] = book["nonce"]
        return self._received(book, ccxt_symbol, L2_BOOK)

    async def next_quote(self, ccxt_symbol: str) -> Received[dict[str, Any]]:
        """Wait for the best bid and ask to change; raises `SessionLost` or `VenueRefusal`."""
        quote = self.exchange.bidsasks.get(ccxt_symbol)
        if quote is None or quote is self._last_quote.get(ccxt_symbol):
            await _meaning(self.exchange.watch_bids_asks([ccxt_symbol]))
            quote = self.exchange.bidsasks[ccxt_symbol]
        self._last_quote[ccxt_symbol] = quote
        last = self.witness.receipts[ccxt_symbol].last
        return Received(quote, last[TICKER if TICKER in last else L1_BOOK])

    async def next_candles(
        self, ccxt_symbol: str, interval: str
    ) -> Received[list[tuple[Any, ...]]]:
        """Wait for a candle; returns the newest two as (end in ms, o, h, l, c, volume).

        `interval` is the venue's word. Raises `SessionLost` or `VenueRefusal`.
        """
        cache = self.exchange.ohlcvs.get(ccxt_symbol, {}).get(interval, ())
        if not cache or tuple(cache[-1]) == self._last_candle.get(ccxt_symbol):
            await _meaning(self.exchange.watch_ohlcv(ccxt_symbol, interval))
            cache = self.exchange.ohlcvs[ccxt_symbol][interval]
        newest = [tuple(row) for row in (cache[-2:] if len(cache) > 1 else cache)]
        self._last_candle[ccxt_symbol] = newest[-1]
        return self._received(newest, ccxt_symbol, CANDLES)

    async def next_account(self, channel: str, ccxt_symbol: str) -> list[Received[dict[str, Any]]]:
        """Wait for orders or positions, oldest first; raises `SessionLost` or `VenueRefusal`.

        Of changes of one order between two looks ccxt keeps the last.
        """
        untaken = self._untaken_account(channel, ccxt_symbol)
        if not untaken:
            await _meaning(
                self.exchange.watch_orders(ccxt_symbol)
                if channel == ORDER_INFO
                else self.exchange.watch_positions([ccxt_symbol])
            )
            untaken = self._untaken_account(channel, ccxt_symbol)
        return untaken

    def _untaken_account(self, channel: str, ccxt_symbol: str) -> list[Received[dict[str, Any]]]:
        cache = (self.exchange.orders if channel == ORDER_INFO else self.exchange.positions) or ()
        rows = [row for row in cache if row["symbol"] == ccxt_symbol]
        taken = self._last_account.get((channel, ccxt_symbol), {})
        # ccxt changes its rows in place, but every change brings the raw payload of its own
        self._last_account[channel, ccxt_symbol] = {row["id"]: row["info"] for row in rows}
        return [
            self._received(dict(row), ccxt_symbol, channel)
            for row in rows
            if taken.get(row["id"]) is not row["info"]
        ]

    def _received[T](self, value: T, ccxt_symbol: str, channel: str) -> Received[T]:
        return Received(value, self.witness.receipts[ccxt_symbol].last[channel])

    async def recent_trades(self, ccxt_symbol: str) -> list[dict[str, Any]]:
        """Fetch the newest trades by REST, at most 1000; raises `RequestFailed`."""
        trades: list[dict[str, Any]] = await _rest(
            self.exchange.fetch_trades(ccxt_symbol, None, TRADES_LIMIT)
        )
        return trades

    async def venue_sequence(self, ccxt_symbol: str) -> int | None:
        """Ask REST for the current update id of a book; raises `RequestFailed`."""
        book = await _rest(self.exchange.fetch_order_book(ccxt_symbol))
        nonce = book.get("nonce")
        return None if nonce is None else int(nonce)

    async def close(self) -> None:
        """Close sockets and HTTP connections; never raises."""
        # what ccxt raises while closing a broken socket is of no use to anybody
        await asyncio.gather(self.exchange.close(), return_exceptions=True)


async def _rest(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except BaseError as error:
        raise RequestFailed(_with_cause(error)) from error


async def _meaning(call: Awaitable[Any]) -> Any:
    """Await a ccxt call and translate what it raises."""
    try:
        return await call
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # ccxt cancels the futures of every watcher when it closes their socket
        raise SessionLost("ccxt closed the socket") from error
    except NetworkError as error:
        text = str(error)
        code = _CLOSE_CODE.search(text)
        clean = code is not None and code[1] in _CLEAN_CLOSES
        raise SessionLost(_with_cause(error), clean=clean) from error
    except BaseError as error:
        if _SNAPSHOT_BEHIND in str(error):
            raise SnapshotBehind(str(error)) from error
        raise VenueRefusal(error) from error


def _with_cause(error: BaseError) -> str:
    """Ccxt's text often is no more than the address it asked; the cause says what went wrong."""
    return str(error) if error.__cause__ is None else f"{error}: {error.__cause__}"
