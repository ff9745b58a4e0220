"""What one act of the engine has to tell, kept apart by kind so that the order is always one."""

from backpack_sandbox.market.events import (
    BookEvent,
    Fill,
    MarketEvent,
    OrderEvent,
    TopEvent,
    TradeEvent,
)
from backpack_sandbox.market.orders import ANONYMOUS, Order


class Told:
    """Events of one act: first books and tops, then trades, then orders."""

    __slots__ = ("books", "orders", "trades")

    def __init__(self) -> None:
        self.books: list[BookEvent | TopEvent] = []
        self.trades: list[TradeEvent] = []
        self.orders: list[OrderEvent] = []

    def events(self) -> list[MarketEvent]:
        """All of them, in the order in which they go out."""
        return [*self.books, *self.trades, *self.orders]

    def order(self, kind: str, order: Order, fill: Fill | None = None) -> None:
        """Tell of `order` as it is now; nobody hears of an anonymous one."""
        if order.request.account != ANONYMOUS:
            self.orders.append(OrderEvent(kind, order.copy(), fill))

    def fill(self, order: Order, trade: TradeEvent, *, is_maker: bool) -> None:
        """Tell the owner of `order` of its side of `trade`."""
        if order.request.account != ANONYMOUS:
            fill = Fill(trade.trade_id, trade.price, trade.quantity, is_maker)
            self.order("orderFill", order, fill)
