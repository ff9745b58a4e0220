"""One market, folded from the frames that a ledger has of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from backpack_sandbox.market.book import Level, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import BookEvent, OrderEvent, TradeEvent
from backpack_sandbox.market.matching import MarketState
from backpack_sandbox.market.orders import Order, OrderStatus
from backpack_sandbox.truth.trade_journal import PublishedTrade


class MarketFold:
    """The book as price → quantity, the newest ids, and the open orders of named accounts."""

    def __init__(self, market: Market, start: MarketState | None = None) -> None:
        self.market = market
        self.bids = dict(start.bids) if start else {}
        self.asks = dict(start.asks) if start else {}
        self.update_id = start.last_update_id if start else 0
        self._trade_id = start.last_trade_id if start else 0
        self._order_id = start.last_order_id if start else 0
        self._orders = {order.order_id: order for order in start.orders} if start else {}
        self._taking: dict[int, Order] = {}

    def begin(self, book: Mapping[str, Any]) -> None:
        """A session starts from this book; the orders are those from before."""
        self.bids = dict(self._levels(book["bids"]))
        self.asks = dict(self._levels(book["asks"]))
        self.update_id = book["lastUpdateId"]
        self._trade_id = book["lastTradeId"]
        self._order_id = book["lastOrderId"]

    def depth(self, data: Mapping[str, Any]) -> BookEvent:
        """Take up a change of the book."""
        bids, asks = self._levels(data["b"]), self._levels(data["a"])
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        self.update_id = data["u"]
        return BookEvent(self.market.symbol, self.update_id, tuple(bids), tuple(asks))

    def trade(self, data: Mapping[str, Any]) -> PublishedTrade:
        """Take up a trade."""
        self._trade_id = data["t"]
        seller, buyer = int(data["a"]), int(data["b"])
        self._order_id = max(self._order_id, seller, buyer)
        event = TradeEvent(
            symbol=self.market.symbol,
            trade_id=data["t"],
            price=self.market.price_grid.count(data["p"]),
            quantity=self.market.quantity_grid.count(data["q"]),
            buyer_order_id=buyer,
            seller_order_id=seller,
            buyer_is_maker=data["m"],
        )
        return PublishedTrade(event, data["T"])

    def order(self, event: OrderEvent) -> None:
        """Take up what became of an order: from its acceptance on it rests until it ends."""
        order = event.order
        order_id = order.order_id
        self._order_id = max(self._order_id, order_id)
        self._taking.pop(order_id, None)
        if not order.is_open:
            self._orders.pop(order_id, None)
        elif event.kind == "orderAccepted" or order_id in self._orders:
            self._orders[order_id] = order
        else:
            self._taking[order_id] = order

    def end_orphans(self) -> Iterator[OrderEvent]:
        """Cancel the orders that no whole act leaves.

        Takers that neither rest nor ended, and the newest of those that their level is too small
        for.
        """
        left = {Side.BID: dict(self.bids), Side.ASK: dict(self.asks)}
        orphans, self._taking = list(self._taking.values()), {}
        for order in self._orders.values():
            side, price = left[order.request.side], order.request.price or 0
            if order.remaining <= side.get(price, 0):
                side[price] -= order.remaining
            else:
                orphans.append(order)
        for order in orphans:
            self._orders.pop(order.order_id, None)
            ended = replace(order, status=OrderStatus.CANCELLED)
            yield OrderEvent("orderCancelled", ended, None)

    def state(self) -> MarketState:
        """Where the market stands."""
        return MarketState(
            bids=sorted(self.bids.items()),
            asks=sorted(self.asks.items()),
            last_update_id=self.update_id,
            last_trade_id=self._trade_id,
            last_order_id=self._order_id,
            orders=tuple(order.copy() for order in self._orders.values()),
        )

    def _levels(self, levels: Any) -> list[Level]:
        price, quantity = self.market.price_grid, self.market.quantity_grid
        return [(price.count(p), quantity.count(q)) for p, q in levels]
