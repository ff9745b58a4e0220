"""What the venue tells of the stocks behind its stock markets, taken from their own books.

The real ones come from a stock exchange and a quoter; here the book of the perpetual is the only
price of a stock that there is. Field sets are second hand, from clients; cadence is inferred.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from backpack_sandbox.market.book import OrderBook, Side
from backpack_sandbox.market.matching import MatchingEngine

STOCK: Final = "STOCK"
LISTING_SUFFIX: Final = ".US"
QUOTED_ORDERS: Final = 10


@dataclass(frozen=True, slots=True)
class StockQuote:
    """Prices in ticks; None where the book has no such side.

    The estimated ones are the average prices at which ten usual orders at once would fill.
    """

    bid: int | None
    ask: int | None
    estimated_bid: int | None
    estimated_ask: int | None

    @property
    def mid(self) -> int | None:
        """Between bid and ask, rounded down to a tick; None while a side is empty."""
        return None if self.bid is None or self.ask is None else (self.bid + self.ask) // 2


class StockQuotes:
    """The stocks by bare ticker (`NVDA`, `BRK.B`); a perpetual is preferred to a spot market."""

    def __init__(self, engines: Mapping[str, MatchingEngine]) -> None:
        stocks = [engine for engine in engines.values() if engine.market.rwa == STOCK]
        # the last one of a ticker stays
        stocks.sort(key=lambda engine: engine.market.market_type == "PERP")
        self._engines = {
            engine.market.base.removesuffix(LISTING_SUFFIX): engine for engine in stocks
        }
        self.tickers = frozenset(self._engines)
        self.symbols = frozenset(engine.market.symbol for engine in stocks)

    def symbol(self, ticker: str) -> str:
        """The market whose book speaks for the stock."""
        return self._engines[ticker].market.symbol

    def quote(self, ticker: str) -> StockQuote:
        """The stock's prices now."""
        engine = self._engines[ticker]
        steps = QUOTED_ORDERS * engine.market.typical_order_steps
        estimates = {side: _average_ticks(engine.book, side, steps) for side in Side}
        return StockQuote(
            bid=engine.book.best_price(Side.BID),
            ask=engine.book.best_price(Side.ASK),
            estimated_bid=estimates[Side.BID],
            estimated_ask=estimates[Side.ASK],
        )


def _average_ticks(book: OrderBook, side: Side, steps: int) -> int | None:
    """What `steps` of that side cost on average, rounded away from the touch; None if none rest."""
    prices = book.prices(side)
    wanted, notional = steps, 0
    for price in reversed(prices) if side is Side.BID else prices:
        taken = min(wanted, book.quantity(side, price))
        notional += taken * price
        wanted -= taken
        if not wanted:
            break
    found = steps - wanted
    if not found:
        return None
    return notional // found if side is Side.BID else -(-notional // found)
