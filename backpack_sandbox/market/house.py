"""The house account's resting orders in one market, and the updates they cause."""

from collections.abc import Iterator
from dataclasses import dataclass

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.events import Fill, OrderEvent


@dataclass(slots=True)
class HouseOrder:
    """One order of the house; counts in ticks and steps, `price` None for a market order."""

    symbol: str
    order_id: int
    side: Side
    price: int | None
    quantity: int
    executed: int = 0
    executed_notional: int = 0

    @property
    def remaining(self) -> int:
        """Steps not executed yet."""
        return self.quantity - self.executed

    def accepted(self) -> OrderEvent:
        """The order rests in the book."""
        return self._event("orderAccepted", "New", None)

    def cancelled(self) -> OrderEvent:
        """What was left of the order is gone."""
        return self._event("orderCancelled", "Cancelled", None)

    def filled(self, fill: Fill) -> OrderEvent:
        """Book `fill` and tell of it: PartiallyFilled until nothing remains."""
        self.executed += fill.quantity
        self.executed_notional += fill.price * fill.quantity
        return self._event("orderFill", "PartiallyFilled" if self.remaining else "Filled", fill)

    def _event(self, kind: str, state: str, fill: Fill | None) -> OrderEvent:
        return OrderEvent(
            symbol=self.symbol,
            kind=kind,
            state=state,
            order_id=self.order_id,
            side=self.side,
            price=self.price,
            quantity=self.quantity,
            executed=self.executed,
            executed_notional=self.executed_notional,
            fill=fill,
        )


class HouseOrders:
    """Open orders of one market, oldest first."""

    __slots__ = ("_orders",)

    def __init__(self, orders: tuple[HouseOrder, ...] = ()) -> None:
        self._orders = {order.order_id: order for order in orders}

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[HouseOrder]:
        return iter(self._orders.values())

    def add(self, order: HouseOrder) -> None:
        """Remember a resting order."""
        self._orders[order.order_id] = order

    def pop_oldest(self) -> HouseOrder:
        """Forget the oldest order and return it; KeyError when none is open."""
        return self._orders.pop(next(iter(self._orders)))

    def at(self, side: Side, price: int) -> list[HouseOrder]:
        """Orders resting at one level, in time priority."""
        return [o for o in self._orders.values() if o.side is side and o.price == price]

    def reserved(self, side: Side, price: int) -> int:
        """Steps of a level that are the house's own, and so cannot be cancelled by makers."""
        return sum(order.remaining for order in self.at(side, price)) if self._orders else 0

    def forget_done(self, order: HouseOrder) -> None:
        """Drop a fully executed order."""
        if not order.remaining:
            self._orders.pop(order.order_id, None)
