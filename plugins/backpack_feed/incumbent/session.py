"""One ccxt exchange object from its first request to its end, and what its failures mean.

ccxt is unmodified: only its four URLs, its CA file and `snapshotDelay` are set (with ccxt's own
delay of ten deltas a quiet market has no book for minutes). A session is thrown away as a whole
when its socket is lost, because ccxt would go on with the old book on the new socket.
"""

import asyncio
import itertools
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ccxt.pro
from ccxt.base.errors import BaseError, NetworkError

TRADES_LIMIT = 1000
_CLOSE_CODE = re.compile(r"closing code (\d+)")
_CLEAN_CLOSES = {"1000", "1001"}


class SessionLost(Exception):  # noqa: N818 - says what happened
    """The socket or a request failed; `clean` when the venue said goodbye (1000 or 1001)."""

    def __init__(self, message: str, *, clean: bool = False) -> None:
        super().__init__(message)
        self.clean = clean


class RequestFailed(Exception):  # noqa: N818 - says what happened
    """A REST request failed; the socket may be well."""


class VenueRefusal(Exception):  # noqa: N818 - says what happened
    """The venue sent an error frame; ccxt hands the same one to every watcher of the socket."""

    def __init__(self, origin: BaseError) -> None:
        super().__init__(str(origin))
        self.origin = origin


@dataclass(frozen=True)
class Venue:
    """Where the venue is; `ca_file` replaces the public certificate authorities."""

    rest_url: str
    ws_url: str
    ca_file: Path | str | None = None


class CcxtSession:
    """`ccxt.pro.backpack` pointed at one venue."""

    def __init__(self, venue: Venue) -> None:
        config: dict[str, Any] = {"options": {"watchOrderBook": {"snapshotDelay": 0}}}
        if venue.ca_file is not None:
            config["cafile"] = str(venue.ca_file)
        self.exchange = ccxt.pro.backpack(config)
        self._last_taken: dict[str, dict[str, Any]] = {}
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

    async def next_trades(self, ccxt_symbol: str) -> list[dict[str, Any]]:
        """Wait for trades; raises `SessionLost` or `VenueRefusal`."""
        await _meaning(self.exchange.watch_trades(ccxt_symbol))
        return self.untaken_trades(ccxt_symbol)

    def untaken_trades(self, ccxt_symbol: str) -> list[dict[str, Any]]:
        """Return the trades that arrived since the last call, oldest first.

        ccxt wakes a watcher with the first trade of a burst and keeps the others in its cache until
        the next burst: the last trades before a lull, or before a stop, would not be delivered.
        """
        cache = self.exchange.trades.get(ccxt_symbol, ())
        last = self._last_taken.get(ccxt_symbol)
        untaken = list(itertools.takewhile(lambda trade: trade is not last, reversed(cache)))
        if untaken:
            self._last_taken[ccxt_symbol] = untaken[0]
        return untaken[::-1]

    async def next_book(self, ccxt_symbol: str) -> dict[str, Any]:
        """Wait for the book to move; raises `SessionLost` or `VenueRefusal`."""
        book: dict[str, Any] = await _meaning(self.exchange.watch_order_book(ccxt_symbol))
        return book

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
        raise VenueRefusal(error) from error


def _with_cause(error: BaseError) -> str:
    """Ccxt's text often is no more than the address it asked; the cause says what went wrong."""
    return str(error) if error.__cause__ is None else f"{error}: {error.__cause__}"
