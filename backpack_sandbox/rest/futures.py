"""`GET /markPrices`, `/openInterest` and `/fundingRates`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, MICROSECONDS
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.rest import answers, parameters
from backpack_sandbox.rest.funding import FundingRates, finished_hours, funding_row
from backpack_sandbox.rest.in_turns import in_turns
from backpack_sandbox.rest.listing import MARKET_TYPES
from backpack_sandbox.rest.parameters import UINT64
from backpack_sandbox.rest.predictions import PREDICTION, mark_body
from backpack_sandbox.streams.periodic import OPEN_INTEREST_EVERY_SECONDS

FUNDING_LIMIT_DEFAULT: Final = 100
FUNDING_LIMIT_MAX: Final = 10_000
MARKED_STATES: Final = frozenset({"Open", "PostOnly"})


class FuturesRest:
    """Reads what the streams of the same names tell.

    `clock` is unix seconds, `second` the model's whole seconds.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        perpetuals: Perpetuals,
        *,
        rates: FundingRates,
        clock: Callable[[], float],
        second: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._perpetuals = perpetuals
        self._rates = rates
        self._clock = clock
        self._second = second

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of perpetuals."""
        handlers = {
            "markPrices": self.mark_prices,
            "openInterest": self.open_interest,
            "fundingRates": self.funding_rates,
        }
        return [web.get(f"{API_PREFIX}/{path}", handler) for path, handler in handlers.items()]

    async def mark_prices(self, request: web.Request) -> web.Response:
        """Every open or post-only perpetual, those of `marketType`, or that of `symbol`."""
        symbol = request.query.get("symbol")
        wanted = parameters.optional_choice(request.query, "marketType", "MarketType", MARKET_TYPES)
        rows = [
            row
            for row, market_type in self._mark_bodies(symbol)
            if market_type == wanted or (wanted is None and (symbol or market_type == "PERP"))
        ]
        if symbol is not None and not rows:
            return answers.invalid_request("Symbol not found")
        return answers.json_answer(rows, cache=answers.MARK_PRICES_CACHE)

    async def open_interest(self, request: web.Request) -> web.Response:
        """In base units, as of the last full minute of the model; null where nothing is known."""
        symbol = request.query.get("symbol")
        if symbol not in {None, PREDICTION.symbol, *self._catalog}:
            return answers.unknown_symbol()
        timestamp_ms = int(self._clock() * 1000)
        rows = [
            {"openInterest": quantity, "symbol": listed, "timestamp": timestamp_ms}
            for listed, quantity in self._open_interests()
            if symbol in {None, listed}
        ]
        return answers.json_answer(rows, cache=answers.TRADES_CACHE)

    async def funding_rates(self, request: web.Request) -> web.Response:
        """Newest first; the first row is the interval still running, its end in the future."""
        query = request.query
        symbol = parameters.text(query, "symbol")
        limit = parameters.integer(
            query, "limit", UINT64, default=FUNDING_LIMIT_DEFAULT, maximum=FUNDING_LIMIT_MAX
        )
        offset = parameters.integer(query, "offset", UINT64, default=0)
        market = self._catalog.get(symbol)
        if market is None:
            return answers.unknown_symbol()
        now = self._clock()
        running = self._running_row(market)
        finished = finished_hours(now) if market.market_type == "PERP" else 0
        total = len(running) + finished
        first, last = min(offset, total), min(offset + limit, total)
        places = range(max(0, first - len(running)), max(0, last - len(running)))
        rows = running[first:last]
        async for batch in in_turns(self._rates.rows(market, now, places)):
            rows += batch
        return answers.json_answer(rows, headers=answers.paging_headers(total, limit, offset))

    def _is_marked(self, symbol: str) -> bool:
        return self._catalog[symbol].state in MARKED_STATES

    def _mark_bodies(self, symbol: str | None) -> list[tuple[dict[str, Any], str]]:
        bodies = [
            (body, "PERP")
            for listed in self._perpetuals
            if symbol in {None, listed} and (body := self._mark_body(listed))
        ]
        if symbol in {None, PREDICTION.symbol}:
            bodies.append((mark_body(), PREDICTION.market_type))
        return bodies

    def _mark_body(self, symbol: str) -> dict[str, Any] | None:
        now_us = int(self._clock() * MICROSECONDS)
        mark = self._perpetuals.mark_price(symbol, self._second(), now_us)
        if mark is None or not self._is_marked(symbol):
            return None
        return {
            "fundingRate": plain(mark.funding_rate),
            "indexPrice": plain(mark.index_price),
            "markPrice": self._catalog[symbol].price_grid.normal(mark.price),
            "nextFundingTimestamp": mark.next_funding_ms,
            "symbol": symbol,
        }

    def _open_interests(self) -> list[tuple[str, str | None]]:
        second = self._second() // OPEN_INTEREST_EVERY_SECONDS * OPEN_INTEREST_EVERY_SECONDS
        found: list[tuple[str, str | None]] = [
            (
                symbol,
                self._catalog[symbol].quantity_grid.normal(
                    self._perpetuals.open_interest(symbol, second)
                ),
            )
            for symbol in self._perpetuals
            if self._is_marked(symbol)
        ]
        return [*found, (PREDICTION.symbol, None)]

    def _running_row(self, market: Market) -> list[dict[str, str]]:
        if market.symbol not in self._perpetuals or not self._is_marked(market.symbol):
            return []
        now_us = int(self._clock() * MICROSECONDS)
        mark = self._perpetuals.mark_price(market.symbol, self._second(), now_us)
        if mark is None:
            return []
        return [funding_row(market, mark.funding_rate, mark.next_funding_ms // 1000)]
