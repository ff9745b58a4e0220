"""The sandbox's own endpoints under /sandbox: faults, truth, and the market's switch."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from backpack_sandbox.constants import CONTROL_PREFIX
from backpack_sandbox.driver import MarketDriver
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.registry import Fault, FaultRegistry
from backpack_sandbox.market.book import Level
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest import answers
from backpack_sandbox.truth.book_journal import BookJournal
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /sandbox/faults."""

    fault: str
    user_agent: str = "*"
    symbols: list[str] | None = None
    duration_seconds: float | None = None
    share: float | None = None
    after_seconds: float | None = None


class ControlRest:
    """What tests, the demo and the report ask of the venue; no exchange has these."""

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        ledger: Ledger,
        *,
        books: BookJournal,
        faults: FaultRegistry,
        driver: MarketDriver,
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._ledger = ledger
        self._books = books
        self._faults = faults
        self._driver = driver

    def routes(self) -> list[web.RouteDef]:
        """Every control endpoint."""
        return [
            web.post(f"{CONTROL_PREFIX}/faults", self.add_fault),
            web.get(f"{CONTROL_PREFIX}/faults", self.list_faults),
            web.delete(f"{CONTROL_PREFIX}/faults", self.clear_faults),
            web.delete(CONTROL_PREFIX + r"/faults/{fault_id:\d+}", self.remove_fault),
            web.get(f"{CONTROL_PREFIX}/truth/trades", self.truth_trades),
            web.get(f"{CONTROL_PREFIX}/truth/last_ids", self.truth_last_ids),
            web.get(f"{CONTROL_PREFIX}/truth/book", self.truth_book),
            web.post(CONTROL_PREFIX + "/market/{order:pause|resume}", self.switch_market),
        ]

    async def add_fault(self, request: web.Request) -> web.Response:
        """Start a fault; 400 with the reason when it cannot be."""
        try:
            order = msgspec.json.decode(await request.read(), type=FaultOrder)
            self._check_symbols(order.symbols or ())
            fault = self._faults.add(
                order.fault,
                user_agent=order.user_agent,
                symbols=order.symbols,
                duration_seconds=order.duration_seconds,
                share=order.share,
                after_seconds=order.after_seconds,
            )
        except (msgspec.DecodeError, SandboxError) as error:
            return answers.json_answer({"error": str(error)}, status=400)
        return answers.json_answer({"id": fault.fault_id})

    async def list_faults(self, _request: web.Request) -> web.Response:
        """The active faults."""
        return answers.json_answer([_fault_body(fault) for fault in self._faults.active()])

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """End every fault."""
        self._faults.clear()
        return answers.json_answer({})

    async def remove_fault(self, request: web.Request) -> web.Response:
        """End one fault; 404 when it is not active."""
        fault_id = int(request.match_info["fault_id"])
        if self._faults.remove(fault_id):
            return answers.json_answer({})
        return answers.json_answer({"error": f"no active fault {fault_id}"}, status=404)

    async def truth_trades(self, request: web.Request) -> web.Response:
        """Every trade of `symbol` (default: all markets) from `from_id` on, oldest first."""
        from_id = request.query.get("from_id", "0")
        symbols = request.query.getall("symbol", list(self._catalog))
        try:
            self._check_symbols(symbols)
        except SandboxError as error:
            return answers.json_answer({"error": str(error)}, status=400)
        if not from_id.isdigit():
            return answers.json_answer({"error": f"from_id was {from_id!r}"}, status=400)
        return answers.json_answer(
            [
                _truth_body(self._catalog[symbol], trade)
                for symbol in symbols
                for trade in self._ledger.trades(symbol, int(from_id))
            ]
        )

    async def truth_last_ids(self, _request: web.Request) -> web.Response:
        """The newest trade id and update id of every market with a book."""
        return answers.json_answer(
            {
                symbol: {"trade_id": engine.last_trade_id, "update_id": engine.last_update_id}
                for symbol, engine in self._engines.items()
            }
        )

    async def truth_book(self, request: web.Request) -> web.Response:
        """The whole book of `symbol` right after update `id` (default: now); 404 when too old."""
        symbol, update_id = request.query.get("symbol", ""), request.query.get("id")
        if symbol not in self._engines:
            return answers.json_answer({"error": f"symbol was {symbol!r}: no book"}, status=400)
        oldest, newest = self._books.span(symbol)
        if update_id is None:
            update_id = str(newest)
        if not (update_id.isascii() and update_id.isdigit()):
            return answers.json_answer({"error": f"id was {update_id!r}"}, status=400)
        book = self._books.book(symbol, int(update_id))
        if book is None:
            reason = f"id was {update_id}: books are known from {oldest} to {newest}"
            return answers.json_answer({"error": reason}, status=404)
        bids, asks = (_text_levels(self._catalog[symbol], levels) for levels in book)
        body = {"symbol": symbol, "id": int(update_id), "bids": bids, "asks": asks}
        return answers.json_answer(body)

    async def switch_market(self, request: web.Request) -> web.Response:
        """Pause or resume every market; sockets stay open."""
        self._driver.paused = request.match_info["order"] == "pause"
        return answers.json_answer({"paused": self._driver.paused})

    def _check_symbols(self, symbols: Iterable[str]) -> None:
        if unknown := sorted(set(symbols) - set(self._catalog)):
            raise SandboxError(f"unknown symbol {', '.join(unknown)}: see /api/v1/markets")


def _fault_body(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.fault_id,
        "fault": fault.name,
        "user_agent": fault.user_agent,
        "symbols": None if fault.symbols is None else sorted(fault.symbols),
        "share": fault.share,
        "after_seconds": fault.after_seconds,
    }


def _text_levels(market: Market, levels: Iterable[Level]) -> list[tuple[str, str]]:
    price, quantity = market.price_grid.padded, market.quantity_grid.padded
    return [(price(p), quantity(q)) for p, q in levels]


def _truth_body(market: Market, trade: PublishedTrade) -> dict[str, Any]:
    event = trade.event
    return {
        "symbol": market.symbol,
        "id": event.trade_id,
        "price": market.price_grid.padded(event.price),
        "quantity": market.quantity_grid.padded(event.quantity),
        "side": "sell" if event.buyer_is_maker else "buy",
        "engine_time_us": trade.engine_us,
    }
