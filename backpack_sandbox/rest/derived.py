"""The public REST endpoints that are derived from trades and books: klines, tickers, perpetuals."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, MICROSECONDS
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import pad, plain, strip_zeros
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.rest import answers
from backpack_sandbox.streams.candles import INTERVALS, Candle, empty_candle, naive_iso
from backpack_sandbox.streams.day_statistics import DayStatistics
from backpack_sandbox.streams.klines import trades_since
from backpack_sandbox.streams.periodic import OPEN_INTEREST_EVERY_SECONDS
from backpack_sandbox.truth.ledger import Ledger

KLINES_MAX: Final = 1000
INTERVAL_REASON: Final = 'failed to parse "KlineInterval": Expect a valid enumeration value.'
NUMBER_REASON: Final = 'failed to parse "int64": invalid digit found in string'


class MarketDataRest:
    """Reads what the streams of the same names tell.

    `clock` is unix seconds, `second` the model's whole seconds.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        ledger: Ledger,
        days: Mapping[str, DayStatistics],
        perpetuals: Perpetuals,
        *,
        clock: Callable[[], float],
        second: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._days = days
        self._perpetuals = perpetuals
        self._clock = clock
        self._second = second

    def routes(self) -> list[web.RouteDef]:
        """Every derived endpoint."""
        handlers = {
            "klines": self.klines,
            "ticker": self.ticker,
            "tickers": self.tickers,
            "markPrices": self.mark_prices,
            "openInterest": self.open_interest,
        }
        return [web.get(f"{API_PREFIX}/{path}", handler) for path, handler in handlers.items()]

    async def klines(self, request: web.Request) -> web.Response:
        """Candles from `startTime` to `endTime` (seconds), oldest first, at most 1000."""
        query = request.query
        interval = query.get("interval", "")
        if interval not in INTERVALS:
            return answers.unparsable("interval", INTERVAL_REASON)
        now = str(int(self._clock()) + 1)
        times = {"startTime": query.get("startTime", ""), "endTime": query.get("endTime", now)}
        for name, text in times.items():
            if not (text.isascii() and text.isdigit() and len(text) <= len(now)):
                return answers.unparsable(name, NUMBER_REASON)
        market = self._catalog.get(query.get("symbol", ""))
        if market is None:
            return answers.unknown_symbol()
        start_us, end_us = (int(text) * MICROSECONDS for text in times.values())
        end_us = min(end_us, int(now) * MICROSECONDS)
        rows = [_kline_body(market, c) for c in self._candles(market, interval, start_us, end_us)]
        return answers.json_answer(rows, cache=answers.KLINES_CACHE)

    async def ticker(self, request: web.Request) -> web.Response:
        """The last 24 hours of one market; 204 when nothing was traded."""
        market = self._catalog.get(request.query.get("symbol", ""))
        if market is None:
            return answers.unknown_symbol()
        body = self._ticker_body(market)
        if body is None:
            return web.Response(status=204, headers={"Cache-Control": answers.TICKERS_CACHE})
        return answers.json_answer(body, cache=answers.TICKERS_CACHE)

    async def tickers(self, _request: web.Request) -> web.Response:
        """The last 24 hours of every market that traded."""
        bodies = [self._ticker_body(market) for market in self._catalog.values()]
        rows = [body for body in bodies if body]
        return answers.json_answer(rows, cache=answers.TICKERS_CACHE)

    async def mark_prices(self, request: web.Request) -> web.Response:
        """Every open or post-only perpetual, or that of `symbol`."""
        rows = [row for symbol in self._wanted(request) if (row := self._mark_body(symbol))]
        if not rows:
            return answers.json_error(
                400, answers.ErrorCode.INVALID_CLIENT_REQUEST, "Symbol not found"
            )
        return answers.json_answer(rows, cache=answers.MARK_PRICES_CACHE)

    async def open_interest(self, request: web.Request) -> web.Response:
        """In base units, as of the last full minute of the model."""
        second = self._second() // OPEN_INTEREST_EVERY_SECONDS * OPEN_INTEREST_EVERY_SECONDS
        rows = [
            {
                "openInterest": self._catalog[symbol].quantity_grid.normal(
                    self._perpetuals.open_interest(symbol, second)
                ),
                "symbol": symbol,
                "timestamp": int(self._clock() * 1000),
            }
            for symbol in self._wanted(request)
        ]
        return answers.json_answer(rows, cache=answers.TRADES_CACHE)

    def _wanted(self, request: web.Request) -> list[str]:
        symbol = request.query.get("symbol")
        return [s for s in self._perpetuals if symbol in {None, s}]

    def _candles(self, market: Market, interval: str, start_us: int, end_us: int) -> list[Candle]:
        candle = empty_candle(interval, start_us)
        if candle.start_us < start_us:
            candle = empty_candle(interval, candle.end_us)
        candles: list[Candle] = []
        while candle.start_us < end_us and len(candles) < KLINES_MAX:
            candles.append(candle)
            candle = empty_candle(interval, candle.end_us)
        if candles:
            self._fill(market, candles)
        return candles

    def _fill(self, market: Market, candles: list[Candle]) -> None:
        place = 0
        for trade in trades_since(self._ledger, market.symbol, candles[0].start_us):
            while place < len(candles) and candles[place].end_us <= trade.engine_us:
                place += 1
            if place == len(candles):
                return
            candles[place].add(trade.event.price, trade.event.quantity)

    def _ticker_body(self, market: Market) -> dict[str, Any] | None:
        days = self._days.get(market.symbol)
        day = days.summary(int(self._clock() * MICROSECONDS)) if days else None
        if day is None or day.open is None or day.close is None:
            return None
        grid = market.price_grid
        change = grid.value(day.close - day.open)
        return {
            "firstPrice": grid.normal(day.open),
            "high": grid.normal(day.high or 0),
            "lastPrice": grid.normal(day.close),
            "low": grid.normal(day.low or 0),
            "priceChange": plain(change),
            "priceChangePercent": f"{change / grid.value(day.open):.6f}",
            "quoteVolume": _quote_volume(market, day),
            "symbol": market.symbol,
            "trades": str(day.trades),
            "volume": market.quantity_grid.normal(day.volume),
        }

    def _mark_body(self, symbol: str) -> dict[str, Any] | None:
        now_us = int(self._clock() * MICROSECONDS)
        mark = self._perpetuals.mark_price(symbol, self._second(), now_us)
        if mark is None:
            return None
        return {
            "fundingRate": plain(mark.funding_rate),
            "indexPrice": plain(mark.index_price),
            "markPrice": self._catalog[symbol].price_grid.normal(mark.price),
            "nextFundingTimestamp": mark.next_funding_ms,
            "symbol": symbol,
        }


def _kline_body(market: Market, candle: Candle) -> dict[str, Any]:
    """One row: normalised decimals, a space in its times, and `trades` as a string."""
    prices = {
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
    }
    normal = market.price_grid.normal
    texts = {name: None if price is None else normal(price) for name, price in prices.items()}
    return texts | {
        "end": naive_iso(candle.end_us).replace("T", " "),
        "quoteVolume": _quote_volume(market, candle),
        "start": naive_iso(candle.start_us).replace("T", " "),
        "trades": str(candle.trades),
        "volume": market.quantity_grid.normal(candle.volume),
    }


def _quote_volume(market: Market, candle: Candle) -> str:
    grids = market.price_grid, market.quantity_grid
    scaled = candle.notional * grids[0].scaled(1) * grids[1].scaled(1)
    return strip_zeros(pad(scaled, grids[0].decimals + grids[1].decimals))
