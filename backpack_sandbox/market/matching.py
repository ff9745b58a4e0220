"""The matching engine of one market: price-time priority, and ids without a hole.

An act is one `submit`, `cancel`, `reduce` or `requote`. Every book change takes the next update id
of the market, one per level that a taker sweeps; every match takes the next trade id, every order
that the engine takes the next order id.

What the protocol does not say is chosen here [inferred]: an order is `orderAccepted` when it comes
to rest, after its immediate fills; what may not rest is `orderExpired`, with the reason, and was
never accepted; with self-trade prevention the taker's mode decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from backpack_sandbox.market.book import BookError, Level, OrderBook, PriceLevel, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import BookEvent, MarketEvent, TopEvent, TradeEvent
from backpack_sandbox.market.orders import (
    ANONYMOUS,
    ExpiryReason,
    Order,
    OrderRefusedError,
    OrderRequest,
    OrderStatus,
    SelfTradePrevention,
    TimeInForce,
)
from backpack_sandbox.market.terms import (
    accepts,
    fills_whole,
    is_prevented,
    wanted,
    why_not_resting,
)
from backpack_sandbox.market.told import Told

WOULD_MATCH: Final = "Order would immediately match and take"

type Place = tuple[Side, int]
"""(side, price in ticks): where a level is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketState:
    """Where a market stands: enough to carry on after a restart without reusing an id.

    `orders` are the open ones of named accounts. What else a level holds is anonymous, and becomes
    one order that is older than they are.
    """

    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    last_update_id: int
    last_trade_id: int
    last_order_id: int
    orders: tuple[Order, ...] = ()


class Execution(Struct, frozen=True):
    """What became of a request: the order as it is now, and all that happened on the way."""

    order: Order
    events: list[MarketEvent]


class MatchingEngine:
    """Deterministic: the same calls give the same events.

    Raises BookError when `state` is no possible book.
    """

    def __init__(self, market: Market, state: MarketState) -> None:
        self.market = market
        self.book = OrderBook()
        self.last_update_id = state.last_update_id
        self.last_trade_id = state.last_trade_id
        self.last_order_id = state.last_order_id
        self._resting: dict[int, Order] = {}
        self._named: dict[str, dict[int, Order]] = {}
        self._restore(state)
        self._top = self.book.best(Side.BID), self.book.best(Side.ASK)

    def submit(self, request: OrderRequest) -> Execution:
        """Match an order and rest what may rest of it.

        Raises OrderRefusedError before anything changed: a post-only order that would take, or
        counts that are not positive.
        """
        self._refuse(request)
        order = Order(self.market.symbol, self._next_order_id(), request)
        told = Told()
        if request.time_in_force is TimeInForce.FOK and not fills_whole(request, self.book):
            reason: ExpiryReason | None = ExpiryReason.FILL_OR_KILL
        else:
            reason = self._match(order, told)
        if reason:
            _expire(order, reason, told)
        elif order.remaining:
            self._rest(order, told)
            self._tell(told, [(request.side, request.price or 0)])
        return Execution(order.copy(), told.events())

    def cancel(self, order_id: int) -> list[MarketEvent]:
        """Take a resting order out; KeyError when it does not rest."""
        told = Told()
        self._tell(told, [self._withdraw(order_id, told)])
        return told.events()

    def reduce(self, order_id: int, remaining: int) -> list[MarketEvent]:
        """Leave only `remaining` steps of a resting order; KeyError when it does not rest."""
        order, told = self._resting[order_id], Told()
        self.book.reduce(order, remaining)
        told.order("orderModified", order)
        self._tell(told, [(order.request.side, order.request.price or 0)])
        return told.events()

    def requote(
        self, cancelled: Sequence[int], placed: Sequence[OrderRequest]
    ) -> list[MarketEvent]:
        """A maker moves quotes of one side: several levels under one update id.

        `cancelled` are distinct orders, all of `placed` post-only limit orders of one side. Raises
        before anything changed: KeyError when one of `cancelled` does not rest, OrderRefusedError
        when one of `placed` would take.
        """
        sides = {self._resting[order_id].request.side for order_id in cancelled}
        if len(sides | {request.side for request in placed}) > 1:
            raise OrderRefusedError("INVALID_ORDER", "Quotes that move together are of one side")
        for request in placed:
            if request.price is None or not request.post_only:
                raise OrderRefusedError("INVALID_ORDER", "A quote is a post-only limit order")
            self._refuse(request)
        told = Told()
        # a dict: each level once, in the order in which they changed
        places = {self._withdraw(order_id, told): None for order_id in cancelled}
        for request in placed:
            order = Order(self.market.symbol, self._next_order_id(), request)
            self._rest(order, told)
            places[request.side, request.price or 0] = None
        if places:
            self._tell(told, list(places))
        return told.events()

    def resting(self, order_id: int) -> Order | None:
        """A copy of a resting order of anyone."""
        order = self._resting.get(order_id)
        return order.copy() if order else None

    def open_orders(self, account: str) -> list[Order]:
        """Copies of what a named account has resting, oldest first."""
        return [order.copy() for order in self._named.get(account, {}).values()]

    def state(self) -> MarketState:
        """A copy of the present state."""
        named = [order.copy() for orders in self._named.values() for order in orders.values()]
        return MarketState(
            bids=self.book.levels(Side.BID),
            asks=self.book.levels(Side.ASK),
            last_update_id=self.last_update_id,
            last_trade_id=self.last_trade_id,
            last_order_id=self.last_order_id,
            orders=tuple(sorted(named, key=lambda order: order.order_id)),
        )

    def _refuse(self, request: OrderRequest) -> None:
        amount = request.quantity if request.quote_quantity is None else request.quote_quantity
        if amount is None or amount <= 0:
            raise OrderRefusedError("INVALID_QUANTITY", "Quantity must be positive")
        if request.price is not None and (request.price <= 0 or request.quantity is None):
            raise OrderRefusedError("INVALID_PRICE", "A limit order has a price and a quantity")
        if request.post_only and self.book.is_reached(request.side, request.price):
            raise OrderRefusedError("INVALID_ORDER", WOULD_MATCH)

    def _match(self, taker: Order, told: Told) -> ExpiryReason | None:
        """Eat the other side, best level first; why the rest must go, None if it may rest."""
        request = taker.request
        makers = request.side.opposite
        level = self.book.top(makers)
        while level and accepts(request, level.price) and wanted(taker, level.price):
            before = level.quantity
            is_ended = self._eat(taker, level, told)
            if level.quantity != before:
                self._tell(told, [(makers, level.price)])
            if is_ended:
                return ExpiryReason.SELF_TRADE_PREVENTION
            level = self.book.top(makers)
        return None if taker.status is OrderStatus.FILLED else why_not_resting(request)

    def _eat(self, taker: Order, level: PriceLevel, told: Told) -> bool:
        """Match one level, oldest first; True when self-trade prevention ends the taker."""
        for maker in list(level.orders.values()):
            left = wanted(taker, level.price)
            if not left:
                break
            if is_prevented(taker.request, maker):
                mode = taker.request.self_trade_prevention
                if mode is not SelfTradePrevention.REJECT_TAKER:
                    self._expire_maker(maker, told)
                if mode is not SelfTradePrevention.REJECT_MAKER:
                    return True
            else:
                self._trade(taker, maker, level.price, min(left, maker.remaining), told)
        return False

    def _trade(self, taker: Order, maker: Order, price: int, quantity: int, told: Told) -> None:
        self.last_trade_id += 1
        buyer_is_maker = maker.request.side is Side.BID
        buyer, seller = (maker, taker) if buyer_is_maker else (taker, maker)
        trade = TradeEvent(
            self.market.symbol,
            self.last_trade_id,
            price,
            quantity,
            buyer.order_id,
            seller.order_id,
            buyer_is_maker,
        )
        self.book.fill(maker, quantity)
        taker.execute(price, quantity)
        told.trades.append(trade)
        told.fill(maker, trade, is_maker=True)
        told.fill(taker, trade, is_maker=False)
        if not maker.remaining:
            self._forget(maker)

    def _rest(self, order: Order, told: Told) -> None:
        self.book.rest(order)
        self._remember(order)
        told.order("orderAccepted", order)

    def _withdraw(self, order_id: int, told: Told) -> Place:
        order = self._resting[order_id]
        self.book.remove(order)
        self._forget(order)
        order.status = OrderStatus.CANCELLED
        told.order("orderCancelled", order)
        return order.request.side, order.request.price or 0

    def _expire_maker(self, maker: Order, told: Told) -> None:
        self.book.remove(maker)
        self._forget(maker)
        _expire(maker, ExpiryReason.SELF_TRADE_PREVENTION, told)

    def _tell(self, told: Told, places: Sequence[Place]) -> None:
        """One update id for the levels at `places`, and the new top if it is another.

        All places of an act are of one side: a taker's makers, or its own.
        """
        self.last_update_id += 1
        symbol, update_id, book = self.market.symbol, self.last_update_id, self.book
        levels = tuple([(price, book.quantity(side, price)) for side, price in places])
        bid, ask = self._top
        if places[0][0] is Side.BID:
            told.books.append(BookEvent(symbol, update_id, levels, ()))
            bid = book.best(Side.BID)
        else:
            told.books.append(BookEvent(symbol, update_id, (), levels))
            ask = book.best(Side.ASK)
        if (bid, ask) != self._top:
            self._top = bid, ask
            told.books.append(TopEvent(symbol, update_id, bid, ask))

    def _restore(self, state: MarketState) -> None:
        orders = sorted(state.orders, key=lambda order: order.order_id)
        for side, levels in ((Side.BID, state.bids), (Side.ASK, state.asks)):
            for price, quantity in levels:
                self._restore_level(side, price, quantity, orders)
        for order in orders:
            if order.order_id not in self._resting:
                raise BookError(f"{self.market.symbol}: an open order is in no level of the book")
            self._remember(self._resting[order.order_id])

    def _restore_level(
        self, side: Side, price: int, quantity: int, orders: Sequence[Order]
    ) -> None:
        here = [o.copy() for o in orders if o.request.side is side and o.request.price == price]
        anonymous = quantity - sum(order.remaining for order in here)
        if anonymous < 0:
            raise BookError(f"{self.market.symbol}: {side} {price} holds less than its orders")
        if anonymous:
            request = OrderRequest(account=ANONYMOUS, side=side, price=price, quantity=anonymous)
            here.insert(0, Order(self.market.symbol, self._next_order_id(), request))
        for order in here:
            self.book.rest(order)
            self._resting[order.order_id] = order

    def _remember(self, order: Order) -> None:
        self._resting[order.order_id] = order
        if order.request.account != ANONYMOUS:
            self._named.setdefault(order.request.account, {})[order.order_id] = order

    def _forget(self, order: Order) -> None:
        del self._resting[order.order_id]
        if order.request.account != ANONYMOUS:
            del self._named[order.request.account][order.order_id]

    def _next_order_id(self) -> int:
        self.last_order_id += 1
        return self.last_order_id


def _expire(order: Order, reason: ExpiryReason, told: Told) -> None:
    order.status, order.expiry_reason = OrderStatus.EXPIRED, reason
    told.order("orderExpired", order)
