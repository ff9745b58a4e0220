"""The public REST endpoints under /api/v1."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from backpack_sandbox.constants import (
    API_PREFIX,
    DEPTH_LIMIT_DEFAULT,
    DEPTH_LIMITS,
    MICROSECONDS,
    TRADES_LIMIT_DEFAULT,
    TRADES_LIMIT_MAX,
)
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import notional_scaled, pad, strip_zeros
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.listing import asset_body, market_body
from backpack_sandbox.truth.ledger import PublishedTrade, TradeHistory

DEPTH_LIMIT_REASON = 'failed to parse "DepthLimit": Expect a valid enumeration value.'
NUMBER_REASON = 'failed to parse "uint64": invalid digit found in string'


class PublicRest:
    """Reads the catalogue, the live books and the ledger. `clock` is unix seconds."""

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        ledger: TradeHistory,
        engine_us: Mapping[str, int],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._ledger = ledger
        self._engine_us = engine_us
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Every public endpoint."""
        handlers = {
            "markets": self.markets,
            "market": self.market,
            "depth": self.depth,
            "trades": self.trades,
            "trades/history": self.trades_history,
            "assets": self.assets,
            "securities": self.securities,
            "status": self.status,
            "ping": self.ping,
            "time": self.time,
        }
        return [web.get(f"{API_PREFIX}/{path}", handler) for path, handler in handlers.items()]

    async def markets(self, request: web.Request) -> web.Response:
        """Every market, or those of the repeated `marketType`."""
        wanted = set(request.query.getall("marketType", ()))
        bodies = [
            market_body(market)
            for market in self._catalog.values()
            if not wanted or market.market_type in wanted
        ]
        return answers.json_answer(bodies, cache=answers.MARKETS_CACHE)

    async def market(self, request: web.Request) -> web.Response:
        """One market."""
        market = self._catalog.get(request.query.get("symbol", ""))
        return answers.json_answer(market_body(market)) if market else answers.unknown_symbol()

    async def depth(self, request: web.Request) -> web.Response:
        """The book now: both sides ascending, so the best bid is the last."""
        limit = request.query.get("limit", str(DEPTH_LIMIT_DEFAULT))
        if not limit.isdigit() or int(limit) not in DEPTH_LIMITS:
            return answers.unparsable("limit", DEPTH_LIMIT_REASON)
        market = self._catalog.get(request.query.get("symbol", ""))
        if market is None:
            return answers.unknown_symbol()
        engine = self._engines.get(market.symbol)
        if engine is None:
            return answers.closed_market()
        return answers.json_answer(self._depth_body(engine, int(limit)))

    async def trades(self, request: web.Request) -> web.Response:
        """The last trades, newest first."""
        return self._trades(request, paged=False)

    async def trades_history(self, request: web.Request) -> web.Response:
        """As `trades`, with an `offset` counted from the newest."""
        return self._trades(request, paged=True)

    async def assets(self, _request: web.Request) -> web.Response:
        """Every base and quote asset of the catalogue."""
        symbols = {market.base for market in self._catalog.values()} | {"USDC"}
        bodies = [asset_body(symbol) for symbol in sorted(symbols)]
        return answers.json_answer(bodies, cache=answers.MARKETS_CACHE)

    async def securities(self, _request: web.Request) -> web.Response:
        """Tokenised stocks: none here."""
        return answers.json_answer([], cache=answers.MARKETS_CACHE)

    async def status(self, _request: web.Request) -> web.Response:
        """Always up."""
        return answers.json_answer({"message": None, "status": "Ok"})

    async def ping(self, _request: web.Request) -> web.Response:
        """Bare text."""
        return answers.text_answer("pong")

    async def time(self, _request: web.Request) -> web.Response:
        """Unix milliseconds as bare text."""
        return answers.text_answer(str(int(self._clock() * 1000)))

    def _depth_body(self, engine: MatchingEngine, limit: int) -> dict[str, Any]:
        price, quantity = engine.market.price_grid.normal, engine.market.quantity_grid.normal
        sides = {
            name: [(price(p), quantity(q)) for p, q in engine.book.levels(side, limit)]
            for name, side in (("asks", Side.ASK), ("bids", Side.BID))
        }
        now_us = int(self._clock() * MICROSECONDS)
        timestamp_us = self._engine_us.get(engine.market.symbol, now_us)
        return {**sides, "lastUpdateId": str(engine.last_update_id), "timestamp": timestamp_us}

    def _trades(self, request: web.Request, *, paged: bool) -> web.Response:
        query = request.query
        limit, offset = query.get("limit", str(TRADES_LIMIT_DEFAULT)), query.get("offset", "0")
        if not limit.isdigit() or not 1 <= int(limit) <= TRADES_LIMIT_MAX:
            return answers.unparsable("limit", NUMBER_REASON)
        if not offset.isdigit():
            return answers.unparsable("offset", NUMBER_REASON)
        market = self._catalog.get(query.get("symbol", ""))
        if market is None:
            return answers.unknown_symbol()
        newest = self._ledger.newest_trades(market.symbol, int(limit), int(offset) * paged)
        bodies = [trade_body(market, trade) for trade in newest]
        return answers.json_answer(bodies, cache=answers.TRADES_CACHE)


def trade_body(market: Market, trade: PublishedTrade) -> dict[str, Any]:
    """One row of `/trades`: normalised decimals, time in ms."""
    event = trade.event
    grids = market.price_grid, market.quantity_grid
    notional = notional_scaled(grids[0], event.price, grids[1], event.quantity)
    decimals = grids[0].decimals + grids[1].decimals
    return {
        "id": event.trade_id,
        "isBuyerMaker": event.buyer_is_maker,
        "price": grids[0].normal(event.price),
        "quantity": grids[1].normal(event.quantity),
        "quoteQuantity": strip_zeros(pad(notional, decimals)),
        "timestamp": trade.engine_us // 1000,
    }
