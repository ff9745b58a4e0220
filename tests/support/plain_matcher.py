"""Price-time priority written as plainly as it can be, to hold the sandbox's engine against."""

from copy import deepcopy
from dataclasses import dataclass, field

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import (
    OrderRequest,
    OrderStatus,
    SelfTradePrevention,
    TimeInForce,
)


class PostOnlyWouldTakeError(Exception):
    """A post-only order that would match."""


@dataclass
class PlainOrder:
    """A resting order: what is left of it, and which comes first by `order_id`."""

    order_id: int
    account: str
    side: Side
    price: int
    left: int


@dataclass
class PlainMatcher:
    """One list of orders, sorted anew for every single match."""

    last_id: int
    orders: list[PlainOrder] = field(default_factory=list)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(maker's id, taker's id, price, quantity)."""

    def submit(self, request: OrderRequest) -> tuple[OrderStatus, int]:
        """How the order ends or rests, and how much of it was executed at once."""
        if request.post_only and self.makers(request):
            raise PostOnlyWouldTakeError
        self.last_id += 1
        if request.time_in_force is TimeInForce.FOK:
            trial = deepcopy(self)
            if trial.run(request)[0] is not OrderStatus.FILLED:
                return OrderStatus.EXPIRED, 0
        return self.run(request)

    def cancel(self, order_id: int) -> None:
        """Take one order off the list."""
        self.orders = [order for order in self.orders if order.order_id != order_id]

    def levels(self, side: Side) -> dict[int, int]:
        """Sum of what is left at each price of one side."""
        levels: dict[int, int] = {}
        for order in self.orders:
            if order.side is side:
                levels[order.price] = levels.get(order.price, 0) + order.left
        return levels

    def makers(self, request: OrderRequest) -> list[PlainOrder]:
        """Whom the order could trade with: best price first, then oldest."""
        sign = 1 if request.side is Side.BID else -1
        found = [
            order
            for order in self.orders
            if order.side is not request.side
            and (request.price is None or sign * order.price <= sign * request.price)
        ]
        return sorted(found, key=lambda order: (sign * order.price, order.order_id))

    def run(self, request: OrderRequest) -> tuple[OrderStatus, int]:
        """Match one maker after the other, then rest or expire."""
        executed = spent = price = 0
        while makers := self.makers(request):
            maker = makers[0]
            if request.quantity is not None:
                wanted = request.quantity - executed
            else:
                wanted = ((request.quote_quantity or 0) - spent) // maker.price
            if not wanted:
                break
            mode = request.self_trade_prevention
            own = request.account and maker.account == request.account
            if own and mode is not SelfTradePrevention.ALLOW:
                if mode is not SelfTradePrevention.REJECT_TAKER:
                    self.cancel(maker.order_id)
                if mode is not SelfTradePrevention.REJECT_MAKER:
                    return OrderStatus.EXPIRED, executed
                continue
            price, matched = maker.price, min(wanted, maker.left)
            self.trades.append((maker.order_id, self.last_id, price, matched))
            executed, spent = executed + matched, spent + matched * price
            maker.left -= matched
            if not maker.left:
                self.cancel(maker.order_id)
        return self.end(request, executed, bool(executed) and self.is_spent(request, spent, price))

    def is_spent(self, request: OrderRequest, spent: int, price: int) -> bool:
        """Whether what is left of a quote quantity buys no step at the last price."""
        return request.quote_quantity is not None and request.quote_quantity - spent < price

    def end(self, request: OrderRequest, executed: int, spent: bool) -> tuple[OrderStatus, int]:
        """What becomes of an order that can match no more."""
        if spent or executed == request.quantity:
            return OrderStatus.FILLED, executed
        if request.price is None or request.time_in_force is not TimeInForce.GTC:
            return OrderStatus.EXPIRED, executed
        left = (request.quantity or 0) - executed
        resting = PlainOrder(self.last_id, request.account, request.side, request.price, left)
        self.orders.append(resting)
        return (OrderStatus.PARTIALLY_FILLED if executed else OrderStatus.NEW), executed
