"""The public REST endpoints of markets, books and trades."""

from collections.abc import Callable, Mapping
from typing import Any, Final

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
from backpack_sandbox.rest import answers, parameters
from backpack_sandbox.rest.listing import MARKET_TYPES, market_body
from backpack_sandbox.rest.parameters import UINT16, UINT64, ParameterError
from backpack_sandbox.rest.predictions import PREDICTIONS, find_market
from backpack_sandbox.truth.ledger import PublishedTrade, TradeHistory

LISTED_BY_DEFAULT: Final = frozenset({"SPOT", "PERP"})
_DEPTH_LIMIT_TEXTS: Final = frozenset(map(str, DEPTH_LIMITS))
_NO_BOOK: Final[dict[str, Any]] = {"asks": [], "bids": [], "lastUpdateId": "0"}


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
        """Every endpoint of markets, books and trades."""
        handlers = {
            "markets": self.markets,
            "market": self.market,
            "depth": self.depth,
            "trades": self.trades,
            "trades/history": self.trades_history,
        }
        return [web.get(f"{API_PREFIX}/{path}", handler) for path, handler in handlers.items()]

    async def markets(self, request: web.Request) -> web.Response:
        """Every spot and perpetual market, or those of the repeated `marketType`."""
        wanted = set(request.query.getall("marketType", ()))
        if not wanted <= MARKET_TYPES:
            reason = f'failed to parse "MarketType": {parameters.ENUMERATION_REASON}'
            raise ParameterError("marketType", reason)
        bodies = [
            market_body(market)
            for market in [*self._catalog.values(), *PREDICTIONS.values()]
            if market.market_type in (wanted or LISTED_BY_DEFAULT)
        ]
        return answers.json_answer(bodies, cache=answers.MARKETS_CACHE)

    async def market(self, request: web.Request) -> web.Response:
        """One market; open or closed, listed or not."""
        market = find_market(self._catalog, parameters.text(request.query, "symbol"))
        return answers.json_answer(market_body(market)) if market else answers.unknown_symbol()

    async def depth(self, request: web.Request) -> web.Response:
        """The book now: both sides ascending, so the best bid is the last."""
        symbol = parameters.text(request.query, "symbol")
        limit = parameters.choice(
            request.query,
            "limit",
            "DepthLimit",
            _DEPTH_LIMIT_TEXTS,
            default=str(DEPTH_LIMIT_DEFAULT),
        )
        market = find_market(self._catalog, symbol)
        if market is None:
            return answers.unknown_symbol()
        if not market.has_book:
            return answers.closed_market()
        return answers.json_answer(self._depth_body(market, int(limit)))

    async def trades(self, request: web.Request) -> web.Response:
        """The last trades, newest first."""
        return self._trades(request, UINT16, offset=0)

    async def trades_history(self, request: web.Request) -> web.Response:
        """As `trades`, with an `offset` counted from the newest."""
        offset = parameters.integer(request.query, "offset", UINT64, default=0)
        return self._trades(request, UINT64, offset=offset)

    def _depth_body(self, market: Market, limit: int) -> dict[str, Any]:
        now_us = int(self._clock() * MICROSECONDS)
        engine = self._engines.get(market.symbol)
        if engine is None:
            return _NO_BOOK | {"timestamp": now_us}
        price, quantity = market.price_grid.normal, market.quantity_grid.normal
        sides = {
            name: [(price(p), quantity(q)) for p, q in engine.book.levels(side, limit)]
            for name, side in (("asks", Side.ASK), ("bids", Side.BID))
        }
        timestamp_us = self._engine_us.get(market.symbol, now_us)
        return {**sides, "lastUpdateId": str(engine.last_update_id), "timestamp": timestamp_us}

    def _trades(self, request: web.Request, limit_type: str, *, offset: int) -> web.Response:
        symbol = parameters.text(request.query, "symbol")
        limit = parameters.integer(
            request.query,
            "limit",
            limit_type,
            default=TRADES_LIMIT_DEFAULT,
            minimum=1,
            maximum=TRADES_LIMIT_MAX,
        )
        market = find_market(self._catalog, symbol)
        if market is None:
            return answers.unknown_symbol()
        rows = [trade_body(market, trade) for trade in self._page(market, limit, offset)]
        return answers.json_answer(rows, cache=answers.TRADES_CACHE)

    def _page(self, market: Market, limit: int, offset: int) -> list[PublishedTrade]:
        engine = self._engines.get(market.symbol)
        # ids have no holes, so they tell when a page lies before the first trade
        if engine is None or offset > engine.last_trade_id - market.first_trade_id:
            return []
        return list(self._ledger.newest_trades(market.symbol, limit, offset))


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
