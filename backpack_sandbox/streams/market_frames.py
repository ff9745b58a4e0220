"""The frames of one market that come by the clock: ticker, kline, mark price, open interest."""

from decimal import Decimal
from typing import Any

import msgspec

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import pad, plain
from backpack_sandbox.market.perpetuals import MarkPrice
from backpack_sandbox.streams.candles import Candle, naive_iso
from backpack_sandbox.streams.stocks import StockQuote


class MarketFrames:
    """Encodes as the websocket does: padded to tick and step, keys in ASCII order, times in µs."""

    def __init__(self, market: Market) -> None:
        self._symbol = market.symbol
        self._price = market.price_grid.padded
        self._quantity = market.quantity_grid.padded
        self._notional_scale = market.price_grid.scaled(1) * market.quantity_grid.scaled(1)
        self._notional_decimals = market.price_grid.decimals + market.quantity_grid.decimals

    def ticker(self, day: Candle, event_us: int) -> bytes:
        """`ticker.<symbol>`: 24 hours, without `T` and without bid or ask."""
        return self._day("ticker", day, event_us)

    def external_ticker(self, day: Candle, event_us: int) -> bytes:
        """`externalTicker.<symbol>`: the same fields under another name."""
        return self._day("externalTicker", day, event_us)

    def kline(self, stream: str, candle: Candle, event_us: int, *, final: bool) -> bytes:
        """`kline.<interval>.<symbol>`: the interval is only in the stream's name.

        Start and exclusive end are naive UTC; prices are null without a trade.
        """
        data = self._prices(candle) | {
            "E": event_us,
            "T": naive_iso(candle.end_us),
            "X": final,
            "e": "kline",
            "n": candle.trades,
            "t": naive_iso(candle.start_us),
            "v": self._quantity(candle.volume) if candle.trades else "0",
        }
        return self._frame(stream, data)

    def mark_price(self, mark: MarkPrice, event_us: int, engine_us: int) -> bytes:
        """`markPrice.<symbol>`; `n` alone is in ms."""
        data = {
            "E": event_us,
            "T": engine_us,
            "e": "markPrice",
            "f": plain(mark.funding_rate),
            "i": _eight(mark.index_price),
            "n": mark.next_funding_ms,
            "p": self._price(mark.price),
            "s": self._symbol,
        }
        return self._frame(f"markPrice.{self._symbol}", data)

    def open_interest(self, steps: int, event_us: int) -> bytes:
        """`openInterest.<symbol>`, in base units and without `T`."""
        data = {"E": event_us, "e": "openInterest", "o": self._quantity(steps), "s": self._symbol}
        return self._frame(f"openInterest.{self._symbol}", data)

    def stock_price(
        self, ticker: str, quote: StockQuote, session: str | None, event_us: int
    ) -> bytes:
        """`stockPrice.<ticker>`; its one time is in ms."""
        data = {
            "ask": self._price_or_null(quote.ask),
            "bid": self._price_or_null(quote.bid),
            "e": "stockPrice",
            "mid": self._price_or_null(quote.mid),
            "s": ticker,
            "session": session,
            "timestamp": event_us // 1000,
        }
        return self._frame(f"stockPrice.{ticker}", data)

    def stock_indicative_quote(self, ticker: str, quote: StockQuote, session: str | None) -> bytes:
        """`stockIndicativeQuote.<ticker>`, without any time."""
        data = {
            "ask": self._price_or_null(quote.ask),
            "bid": self._price_or_null(quote.bid),
            "e": "stockIndicativeQuote",
            "estimatedAsk": self._price_or_null(quote.estimated_ask),
            "estimatedBid": self._price_or_null(quote.estimated_bid),
            "s": ticker,
            "session": session,
        }
        return self._frame(f"stockIndicativeQuote.{ticker}", data)

    def _day(self, kind: str, day: Candle, event_us: int) -> bytes:
        data = self._prices(day) | {
            "E": event_us,
            "V": pad(day.notional * self._notional_scale, self._notional_decimals),
            "e": kind,
            "n": day.trades,
            "v": self._quantity(day.volume),
        }
        return self._frame(f"{kind}.{self._symbol}", data)

    def _price_or_null(self, ticks: int | None) -> str | None:
        return None if ticks is None else self._price(ticks)

    def _prices(self, candle: Candle) -> dict[str, Any]:
        prices = {"o": candle.open, "h": candle.high, "l": candle.low, "c": candle.close}
        texts = {key: self._price_or_null(ticks) for key, ticks in prices.items()}
        return {**texts, "s": self._symbol}

    def _frame(self, stream: str, data: dict[str, Any]) -> bytes:
        return msgspec.json.encode({"data": data, "stream": stream}, order="sorted")


def _eight(index_price: Decimal) -> str:
    """The venue's index prices carry eight decimals."""
    return f"{index_price:.8f}"
