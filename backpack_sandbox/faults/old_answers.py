"""Answers of REST that are not of now: old books, old trades, and ids that began anew."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, DEPTH_LIMIT_DEFAULT, TRADES_LIMIT_DEFAULT
from backpack_sandbox.faults.moments import Moments
from backpack_sandbox.faults.registry import Fault
from backpack_sandbox.market.book import Level
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest.public import trade_body
from backpack_sandbox.truth.book_journal import BookJournal
from backpack_sandbox.truth.ledger import Ledger

DEPTH_PATH: Final = f"{API_PREFIX}/depth"
TRADES_PATHS: Final = frozenset({f"{API_PREFIX}/trades", f"{API_PREFIX}/trades/history"})


class OldAnswers:
    """Makes another body of the one that an endpoint gave, or gives it back as it is."""

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        ledger: Ledger,
        books: BookJournal,
        moments: Moments,
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._ledger = ledger
        self._books = books
        self._moments = moments

    def old_depth(self, fault: Fault, request: web.Request, body: Any) -> Any:
        """The book of the moment the fault began."""
        symbol = request.query.get("symbol", "")
        if request.path != DEPTH_PATH or symbol not in self._engines:
            return body
        moment = self._moments.of(fault.fault_id)
        old = self._depth(request, body, moment.ids[symbol][0])
        return old | {"timestamp": moment.engine_us.get(symbol, body["timestamp"])}

    def trailing_depth(self, fault: Fault, request: web.Request, body: Any) -> Any:
        """The book of some ids ago."""
        symbol = request.query.get("symbol", "")
        if request.path != DEPTH_PATH or symbol not in self._engines:
            return body
        behind = int(fault.order.number("behind_ids"))
        oldest, newest = self._books.span(symbol)
        return self._depth(request, body, max(oldest, newest - behind))

    def old_trades(self, fault: Fault, request: web.Request, body: Any) -> Any:
        """The trades up to the moment the fault began."""
        symbol = request.query.get("symbol", "")
        if request.path not in TRADES_PATHS or symbol not in self._engines:
            return body
        last_id = self._moments.of(fault.fault_id).ids[symbol][1]
        newer = self._engines[symbol].last_trade_id - last_id
        limit = int(request.query.get("limit", TRADES_LIMIT_DEFAULT))
        offset = int(request.query.get("offset", "0"))
        if request.path == f"{API_PREFIX}/trades":
            offset = 0
        rows = self._ledger.newest_trades(symbol, limit, offset + newer)
        return [trade_body(self._catalog[symbol], trade) for trade in rows]

    def renumbered(self, fault: Fault, request: web.Request, body: Any) -> Any:
        """The same with the ids of a market that was created again."""
        symbol = request.query.get("symbol", "")
        first = self._moments.first_ids(fault.fault_id).get(symbol)
        if first is None or not fault.hits_symbol(symbol):
            return body
        if request.path == DEPTH_PATH:
            return body | {"lastUpdateId": str(max(0, int(body["lastUpdateId"]) - first[0] + 1))}
        if request.path in TRADES_PATHS:
            rows = [row | {"id": row["id"] - first[1] + 1} for row in body]
            return [row for row in rows if row["id"] > 0]
        return body

    def _depth(self, request: web.Request, body: Any, update_id: int) -> dict[str, Any]:
        symbol = request.query["symbol"]
        limit = int(request.query.get("limit", DEPTH_LIMIT_DEFAULT))
        book = self._books.book(symbol, update_id)
        if book is None:  # older than the journal
            return dict(body)
        market = self._catalog[symbol]
        bids, asks = (_rows(market, levels) for levels in book)
        return {
            "asks": asks[:limit],
            "bids": bids[-limit:],
            "lastUpdateId": str(update_id),
            "timestamp": body["timestamp"],
        }


def _rows(market: Market, levels: list[Level]) -> list[tuple[str, str]]:
    price, quantity = market.price_grid.normal, market.quantity_grid.normal
    return [(price(p), quantity(q)) for p, q in levels]
