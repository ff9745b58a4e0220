"""`GET /ticker` and `/tickers`."""

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, MICROSECONDS
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.rest import answers, parameters
from backpack_sandbox.rest.candle_bodies import NOT_AVAILABLE, ticker_body
from backpack_sandbox.rest.parameters import Query
from backpack_sandbox.rest.predictions import find_market
from backpack_sandbox.rest.week_statistics import WeekStatistics
from backpack_sandbox.streams.candles import Candle
from backpack_sandbox.streams.day_statistics import DayStatistics
from backpack_sandbox.truth.ledger import Ledger

DAY: Final = "1d"
INTERVALS: Final = frozenset({DAY, "1w"})
_NUMBERS: Final = (
    "firstPrice",
    "high",
    "lastPrice",
    "low",
    "priceChange",
    "quoteVolume",
    "trades",
    "volume",
)


class TickersRest:
    """Reads the statistics behind the stream of the same name. `clock` is unix seconds."""

    def __init__(
        self,
        catalog: Mapping[str, Market],
        ledger: Ledger,
        days: Mapping[str, DayStatistics],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._days = days
        self._weeks = WeekStatistics(ledger)
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Both endpoints."""
        return [
            web.get(f"{API_PREFIX}/ticker", self.ticker),
            web.get(f"{API_PREFIX}/tickers", self.tickers),
        ]

    async def ticker(self, request: web.Request) -> web.Response:
        """The last day or week of one market; 204 when nothing was traded."""
        symbol, interval = parameters.text(request.query, "symbol"), _interval(request.query)
        market = find_market(self._catalog, symbol)
        if market is None:
            return answers.unknown_symbol()
        summary = await self._summary(market, interval)
        if summary is None:
            return answers.no_content(answers.TICKERS_CACHE)
        return answers.json_answer(ticker_body(market, summary), cache=answers.TICKERS_CACHE)

    async def tickers(self, request: web.Request) -> web.Response:
        """The last day or week of every market with a book.

        One without a trade has zeros, and "N/A" for the change that cannot be told.
        """
        interval = _interval(request.query)
        rows = []
        for market in self._catalog.values():
            if market.has_book:
                summary = await self._summary(market, interval)
                rows.append(ticker_body(market, summary) if summary else _nothing_traded(market))
        return answers.json_answer(rows, cache=answers.TICKERS_CACHE)

    async def _summary(self, market: Market, interval: str) -> Candle | None:
        now_us = int(self._clock() * MICROSECONDS)
        if interval != DAY:
            return await self._weeks.summary(market.symbol, now_us)
        days = self._days.get(market.symbol)
        return days.summary(now_us) if days else None


def _interval(query: Query) -> str:
    return parameters.choice(query, "interval", "TickerInterval", INTERVALS, default=DAY)


def _nothing_traded(market: Market) -> dict[str, str]:
    zeros = dict.fromkeys(_NUMBERS, "0")
    changeless = {"priceChangePercent": NOT_AVAILABLE, "symbol": market.symbol}
    return dict(sorted((zeros | changeless).items()))
