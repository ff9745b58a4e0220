"""A limit order book of integer levels: never crossed, never a level without quantity."""

from bisect import bisect_left, insort
from enum import StrEnum

type Level = tuple[int, int]
"""(price in ticks, quantity in steps)."""


class Side(StrEnum):
    """Side of an order, as the venue writes it."""

    BID = "Bid"
    ASK = "Ask"

    @property
    def opposite(self) -> "Side":
        """The side that this one trades against."""
        return Side.ASK if self is Side.BID else Side.BID


class BookError(ValueError):
    """A change that would leave an impossible book; the caller's model is wrong."""


class OrderBook:
    """Both sides of one market as price → quantity.

    Invariants: quantities are positive, best bid < best ask. A change that breaks one raises
    `BookError` and leaves the book as it was.
    """

    __slots__ = ("_prices", "_quantities")

    def __init__(self) -> None:
        self._quantities: dict[Side, dict[int, int]] = {Side.BID: {}, Side.ASK: {}}
        self._prices: dict[Side, list[int]] = {Side.BID: [], Side.ASK: []}

    def set_level(self, side: Side, price: int, quantity: int) -> None:
        """Set the absolute `quantity` (steps) at `price` (ticks); 0 deletes, if there at all."""
        if quantity < 0 or price <= 0:
            raise BookError(f"{side} {price} x {quantity}: a price and quantity are positive")
        if quantity == 0:
            self._delete(side, price)
            return
        if self._crosses(side, price):
            raise BookError(f"{side} at {price} would cross the best {side.opposite}")
        quantities = self._quantities[side]
        if price not in quantities:
            insort(self._prices[side], price)
        quantities[price] = quantity

    def quantity(self, side: Side, price: int) -> int:
        """Steps resting at `price`, 0 when there is no such level."""
        return self._quantities[side].get(price, 0)

    def prices(self, side: Side) -> list[int]:
        """Prices of one side, ascending. The caller must not change the list."""
        return self._prices[side]

    def best_price(self, side: Side) -> int | None:
        """Highest bid or lowest ask; None when the side is empty."""
        prices = self._prices[side]
        if not prices:
            return None
        return prices[-1] if side is Side.BID else prices[0]

    def best(self, side: Side) -> Level | None:
        """Best level of one side; None when the side is empty."""
        price = self.best_price(side)
        return None if price is None else (price, self._quantities[side][price])

    def ranked(self, side: Side, rank: int) -> int:
        """Price of the `rank`-th best level, 0 being the best; IndexError beyond the last."""
        prices = self._prices[side]
        return prices[-1 - rank] if side is Side.BID else prices[rank]

    def levels(self, side: Side, limit: int | None = None) -> list[Level]:
        """The best `limit` levels, ASCENDING on both sides: the best bid is the last."""
        prices = self._prices[side]
        if limit is not None:
            prices = prices[-limit:] if side is Side.BID else prices[:limit]
        quantities = self._quantities[side]
        return [(price, quantities[price]) for price in prices]

    def _delete(self, side: Side, price: int) -> None:
        if self._quantities[side].pop(price, None) is not None:
            prices = self._prices[side]
            del prices[bisect_left(prices, price)]

    def _crosses(self, side: Side, price: int) -> bool:
        best = self.best_price(side.opposite)
        if best is None:
            return False
        return price >= best if side is Side.BID else price <= best
