"""Candles as REST writes them: klines and the 24 hours of a ticker."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import pad, plain, strip_zeros
from backpack_sandbox.streams.candles import Candle, naive_iso

NOT_AVAILABLE: Final = "N/A"
FRACTION_STEP: Final = Decimal("0.000001")

type PriceText = Callable[[int], str]
"""Writes a price in ticks."""


def kline_body(market: Market, candle: Candle, price_text: PriceText) -> dict[str, Any]:
    """One row: normalised decimals, a space in its times, and `trades` as a string."""
    prices = {
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
    }
    texts = {name: None if p is None else price_text(p) for name, p in prices.items()}
    body = texts | {
        "end": naive_iso(candle.end_us).replace("T", " "),
        "quoteVolume": quote_volume(market, candle),
        "start": naive_iso(candle.start_us).replace("T", " "),
        "trades": str(candle.trades),
        "volume": market.quantity_grid.normal(candle.volume),
    }
    return dict(sorted(body.items()))


def ticker_body(market: Market, day: Candle) -> dict[str, str]:
    """A ticker: no bid, no ask, everything a string; `day` has at least one trade."""
    grid = market.price_grid
    first, last = day.open or 0, day.close or 0
    change = grid.value(last - first)
    return {
        "firstPrice": grid.normal(first),
        "high": grid.normal(day.high or 0),
        "lastPrice": grid.normal(last),
        "low": grid.normal(day.low or 0),
        "priceChange": plain(change),
        "priceChangePercent": _fraction(change, grid.value(first)) if first else NOT_AVAILABLE,
        "quoteVolume": quote_volume(market, day),
        "symbol": market.symbol,
        "trades": str(day.trades),
        "volume": market.quantity_grid.normal(day.volume),
    }


def quote_volume(market: Market, candle: Candle) -> str:
    """The candle's turnover in quote units."""
    grids = market.price_grid, market.quantity_grid
    scaled = candle.notional * grids[0].scaled(1) * grids[1].scaled(1)
    return strip_zeros(pad(scaled, grids[0].decimals + grids[1].decimals))


def _fraction(change: Decimal, of: Decimal) -> str:
    return plain((change / of).quantize(FRACTION_STEP))
