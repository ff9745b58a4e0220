"""Mark and index prices, funding and open interest of the perpetual markets.

All are functions of the book, the seed and the model second, so they are the same whoever listens
and disturb nothing of the market itself.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final

from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.market.book import OrderBook, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine

FUNDING_INTERVAL_SECONDS: Final = 3_600
INTEREST_RATE: Final = Decimal("0.0000125")
PREMIUM_SHARE: Final = 8
INDEX_DECIMALS: Final = Decimal("0.00000001")
BASIS_PPM: Final = 300
BASIS_PERIOD_SECONDS: Final = 900
OPEN_INTEREST_ORDERS: Final = 5_000
OPEN_INTEREST_SWING: Final = 500
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """`price` in ticks; `funding_rate` is the fraction estimated for the running hour."""

    price: int
    index_price: Decimal
    funding_rate: Decimal
    next_funding_ms: int


def mid_ticks(book: OrderBook) -> int | None:
    """The middle of the book in whole ticks, rounded down; None while a side is empty."""
    bid, ask = book.best_price(Side.BID), book.best_price(Side.ASK)
    return None if bid is None or ask is None else (bid + ask) // 2


def next_funding_ms(engine_us: int) -> int:
    """The next full hour, in unix ms."""
    hours = engine_us // (FUNDING_INTERVAL_SECONDS * MICROSECONDS) + 1
    return hours * FUNDING_INTERVAL_SECONDS * 1000


def bounded_rate(market: Market, rate: Decimal) -> Decimal:
    """The rate within the market's bounds on both sides."""
    bound = Decimal(market.funding_bound_bps).scaleb(-4)
    return max(-bound, min(bound, rate))


class Perpetuals:
    """The derived figures of every perpetual that has a book."""

    def __init__(self, engines: Mapping[str, MatchingEngine], seed: int) -> None:
        self._engines = {
            symbol: engine
            for symbol, engine in engines.items()
            if engine.market.market_type == "PERP"
        }
        self._phases = {
            # S311 is about secrets; here a reproducible figure is the point
            symbol: Random(f"{seed}:{symbol}:basis").random()  # noqa: S311
            for symbol in self._engines
        }

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._engines

    def __iter__(self) -> Iterator[str]:
        return iter(self._engines)

    def mark_price(self, symbol: str, second: int, engine_us: int) -> MarkPrice | None:
        """The mark at the middle of the book, the index a slow swing around it.

        None while the book has only one side.
        """
        engine = self._engines[symbol]
        price = mid_ticks(engine.book)
        if price is None:
            return None
        mark = engine.market.price_grid.value(price)
        index = self.index_price(symbol, mark, second)
        rate = INTEREST_RATE + (mark - index) / index / PREMIUM_SHARE
        bounded = bounded_rate(engine.market, rate)
        return MarkPrice(price, index, bounded, next_funding_ms(engine_us))

    def index_price(self, symbol: str, mark: Decimal, second: int) -> Decimal:
        """The index beside a mark price of that second."""
        basis = round(BASIS_PPM * self._swing(symbol, second))
        return (mark * (MILLION + basis) / MILLION).quantize(INDEX_DECIMALS)

    def open_interest(self, symbol: str, second: int) -> int:
        """Steps open on each side."""
        market = self._engines[symbol].market
        orders = OPEN_INTEREST_ORDERS + round(OPEN_INTEREST_SWING * self._swing(symbol, second))
        return orders * market.typical_order_steps

    def _swing(self, symbol: str, second: int) -> float:
        turns = second / BASIS_PERIOD_SECONDS + self._phases[symbol]
        return math.sin(2 * math.pi * turns)
