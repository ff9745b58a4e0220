"""`GET /klines`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, MICROSECONDS
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.rest import answers, parameters
from backpack_sandbox.rest.candle_bodies import PriceText, kline_body
from backpack_sandbox.rest.in_turns import in_turns
from backpack_sandbox.rest.parameters import INT64
from backpack_sandbox.rest.predictions import find_market
from backpack_sandbox.rest.trade_times import trades_between
from backpack_sandbox.streams.candles import INTERVALS, Candle, empty_candle
from backpack_sandbox.truth.ledger import Ledger

KLINES_MAX: Final = 1000
LAST: Final = "Last"
INDEX: Final = "Index"
PRICE_TYPES: Final = frozenset({LAST, INDEX, "Mark"})
EXTERNAL: Final = "External"
SOURCES: Final = frozenset({"Venue", EXTERNAL})


class KlinesRest:
    """Folds the ledger's trades. `clock` is unix seconds, `second` the model's whole seconds.

    Mark and index candles follow the same trades, without their volumes: the index lies off them
    by the basis of the moment at which the interval starts. No external venue trades here, so an
    external source knows of no price.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        ledger: Ledger,
        perpetuals: Perpetuals,
        *,
        clock: Callable[[], float],
        second: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._perpetuals = perpetuals
        self._clock = clock
        self._second = second

    def routes(self) -> list[web.RouteDef]:
        """The one endpoint."""
        return [web.get(f"{API_PREFIX}/klines", self.klines)]

    async def klines(self, request: web.Request) -> web.Response:
        """Candles from `startTime` to `endTime` (seconds), oldest first, at most 1000.

        An interval without a trade is there too, its prices null.
        """
        query = request.query
        symbol = parameters.text(query, "symbol")
        interval = parameters.choice(query, "interval", "KlineInterval", INTERVALS)
        now = int(self._clock()) + 1
        start = parameters.integer(query, "startTime", INT64, minimum=0)
        end = parameters.integer(query, "endTime", INT64, default=now, minimum=0)
        price_type = parameters.choice(
            query, "priceType", "KlinePriceType", PRICE_TYPES, default=LAST
        )
        source = parameters.choice(query, "source", "KlineSource", SOURCES, default="Venue")
        market = find_market(self._catalog, symbol)
        if market is None:
            return answers.unknown_symbol()
        candles = _empty_candles(interval, start, min(end, now)) if start < now else []
        if candles and source != EXTERNAL:
            await self._fill(market, candles)
        rows = [self._body(market, candle, price_type) for candle in candles]
        return answers.json_answer(rows, cache=answers.KLINES_CACHE)

    async def _fill(self, market: Market, candles: list[Candle]) -> None:
        place = 0
        span = candles[0].start_us, candles[-1].end_us
        async for trades in in_turns(trades_between(self._ledger, market.symbol, *span)):
            for trade in trades:
                while candles[place].end_us <= trade.engine_us:
                    place += 1
                candles[place].add(trade.event.price, trade.event.quantity)

    def _body(self, market: Market, candle: Candle, price_type: str) -> dict[str, str | None]:
        if price_type == LAST:
            return kline_body(market, candle, market.price_grid.normal)
        if market.symbol not in self._perpetuals:
            return kline_body(market, Candle(candle.start_us, candle.end_us), str)
        silent = replace(candle, volume=0, notional=0, trades=0)
        return kline_body(market, silent, self._price_text(market, candle.start_us, price_type))

    def _price_text(self, market: Market, at_us: int, price_type: str) -> PriceText:
        grid = market.price_grid
        if price_type != INDEX:
            return grid.normal
        second = self._second() - int(self._clock() - at_us / MICROSECONDS)
        index_of, symbol = self._perpetuals.index_price, market.symbol
        return lambda price: plain(index_of(symbol, grid.value(price), second))


def _empty_candles(interval: str, start: int, end: int) -> list[Candle]:
    """The whole intervals that begin in [start, end), which are unix seconds."""
    start_us, end_us = start * MICROSECONDS, end * MICROSECONDS
    candle = empty_candle(interval, start_us)
    if candle.start_us < start_us:
        candle = empty_candle(interval, candle.end_us)
    candles: list[Candle] = []
    while candle.start_us < end_us and len(candles) < KLINES_MAX:
        candles.append(candle)
        candle = empty_candle(interval, candle.end_us)
    return candles
