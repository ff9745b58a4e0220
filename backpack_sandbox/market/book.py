"""A limit order book of orders: every level is a queue, oldest first."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from msgspec.structs import replace

from backpack_sandbox.market.orders import Order
from backpack_sandbox.market.sides import Level, Side

__all__ = ["BookError", "Level", "OrderBook", "PriceLevel", "Side"]


class BookError(ValueError):
    """A change that would leave an impossible book; the caller's model is wrong."""


class PriceLevel:
    """The orders at one price by id, oldest first; `quantity` is the sum of what remains."""

    __slots__ = ("orders", "price", "quantity")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        self.orders: dict[int, Order] = {}


class OrderBook:
    """Both sides of one market.

    Invariants: every order has something that remains, a level's quantity is the sum of its
    orders, best bid < best ask. A change that breaks one raises `BookError` and leaves the book as
    it was.
    """

    __slots__ = ("_levels", "_prices", "order_counts")

    def __init__(self) -> None:
        self._levels: dict[Side, dict[int, PriceLevel]] = {Side.BID: {}, Side.ASK: {}}
        self._prices: dict[Side, list[int]] = {Side.BID: [], Side.ASK: []}
        self.order_counts = {Side.BID: 0, Side.ASK: 0}

    def rest(self, order: Order) -> None:
        """Put a limit order at the end of the queue of its price."""
        side, price, remaining = order.request.side, order.request.price, order.remaining
        if price is None or price <= 0 or remaining <= 0:
            raise BookError(f"{order.order_id}: a price and what remains are positive")
        if self.is_reached(side, price):
            raise BookError(f"{side} at {price} would cross the best {side.opposite}")
        level = self._levels[side].get(price)
        if level is None:
            level = self._levels[side][price] = PriceLevel(price)
            insort(self._prices[side], price)
        level.orders[order.order_id] = order
        level.quantity += remaining
        self.order_counts[side] += 1

    def remove(self, order: Order) -> None:
        """Take a resting order out of its queue; KeyError when it does not rest."""
        side, level = self._place(order)
        del level.orders[order.order_id]
        level.quantity -= order.remaining
        self._forget(side, level)

    def fill(self, order: Order, quantity: int) -> None:
        """Execute `quantity` of a resting order, which keeps its place until nothing remains."""
        side, level = self._place(order)
        order.execute(level.price, quantity)
        level.quantity -= quantity
        if not order.remaining:
            del level.orders[order.order_id]
            self._forget(side, level)

    def reduce(self, order: Order, remaining: int) -> None:
        """Leave `remaining` of a resting order, which keeps its place; KeyError when it rests not.

        BookError unless that is less than now, and something.
        """
        _, level = self._place(order)
        if not 0 < remaining < order.remaining:
            raise BookError(f"{order.order_id}: {remaining} is no part of what remains")
        level.quantity -= order.remaining - remaining
        order.request = replace(order.request, quantity=order.executed + remaining)

    def is_reached(self, side: Side, price: int | None) -> bool:
        """Whether an order of `side` at `price` (None: any price) would match at once."""
        prices = self._prices[side.opposite]
        if not prices:
            return False
        if price is None:
            return True
        return price >= prices[0] if side is Side.BID else price <= prices[-1]

    def top(self, side: Side) -> PriceLevel | None:
        """The queue at the best price, which the caller must not change."""
        price = self.best_price(side)
        return None if price is None else self._levels[side][price]

    def level(self, side: Side, price: int) -> PriceLevel | None:
        """The queue at `price`, which the caller must not change."""
        return self._levels[side].get(price)

    def best_first(self, side: Side) -> Iterator[PriceLevel]:
        """The levels of one side, best first; the book must not change meanwhile."""
        prices = self._prices[side]
        levels = self._levels[side]
        return (levels[price] for price in (reversed(prices) if side is Side.BID else prices))

    def quantity(self, side: Side, price: int) -> int:
        """Steps resting at `price`, 0 when there is no such level."""
        level = self._levels[side].get(price)
        return level.quantity if level else 0

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
        prices = self._prices[side]
        if not prices:
            return None
        price = prices[-1] if side is Side.BID else prices[0]
        return price, self._levels[side][price].quantity

    def ranked(self, side: Side, rank: int) -> int:
        """Price of the `rank`-th best level, 0 being the best; IndexError beyond the last."""
        prices = self._prices[side]
        return prices[-1 - rank] if side is Side.BID else prices[rank]

    def levels(self, side: Side, limit: int | None = None) -> list[Level]:
        """The best `limit` levels, ASCENDING on both sides: the best bid is the last."""
        prices = self._prices[side]
        if limit is not None:
            prices = prices[-limit:] if side is Side.BID else prices[:limit]
        levels = self._levels[side]
        return [(price, levels[price].quantity) for price in prices]

    def _place(self, order: Order) -> tuple[Side, PriceLevel]:
        request = order.request
        level = self._levels[request.side].get(request.price or 0)
        if level is None or order.order_id not in level.orders:
            raise KeyError(order.order_id)
        return request.side, level

    def _forget(self, side: Side, level: PriceLevel) -> None:
        """An order left `level`; the last one takes the level with it."""
        self.order_counts[side] -= 1
        if not level.orders:
            del self._levels[side][level.price]
            prices = self._prices[side]
            del prices[bisect_left(prices, level.price)]
