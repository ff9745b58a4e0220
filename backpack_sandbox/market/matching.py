"""The matching engine of one market: ids, levels and matches, with no opinion on what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from backpack_sandbox.market.book import Level, OrderBook, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import BookEvent, Fill, MarketEvent, TopEvent, TradeEvent
from backpack_sandbox.market.house import HouseOrder, HouseOrders

OWNERS_MAX: Final = 10_000

type Change = tuple[Side, int, int]
"""(side, price in ticks, absolute quantity in steps)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketState:
    """Where a market stands: enough to carry on after a restart without reusing an id."""

    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()
    last_update_id: int
    last_trade_id: int
    last_order_id: int
    orders: tuple[HouseOrder, ...] = ()


@dataclass(slots=True)
class _Sweep:
    """Events of one taker order, kept apart so that the wire order can be chosen."""

    books: list[MarketEvent] = field(default_factory=list)
    trades: list[MarketEvent] = field(default_factory=list)
    orders: list[MarketEvent] = field(default_factory=list)

    def events(self) -> list[MarketEvent]:
        return self.books + self.trades + self.orders


class MatchingEngine:
    """Deterministic: the same calls give the same events.

    Every book change takes the next update id of the market, every match the next trade id.
    """

    def __init__(self, market: Market, state: MarketState) -> None:
        self.market = market
        self.book = OrderBook()
        for side, levels in ((Side.BID, state.bids), (Side.ASK, state.asks)):
            for price, quantity in levels:
                self.book.set_level(side, price, quantity)
        self.house = HouseOrders(state.orders)
        self.last_update_id = state.last_update_id
        self.last_trade_id = state.last_trade_id
        self.last_order_id = state.last_order_id
        self._owners: dict[tuple[Side, int], int] = {}

    def quote(self, changes: Sequence[Change]) -> list[MarketEvent]:
        """Set levels under one update id; never below what the house has resting there."""
        kept = [
            (side, price, max(quantity, self.house.reserved(side, price)))
            for side, price, quantity in changes
        ]
        return self._publish(kept)

    def take(self, side: Side, quantity: int, *, by_house: bool = False) -> list[MarketEvent]:
        """Match a taker of `quantity` steps against the other side, best level first.

        Stops at the end of the book. Depth and top events come first, then trades, then orders.
        """
        taker_id = self._next_order_id()
        taker = HouseOrder(self.market.symbol, taker_id, side, None, quantity) if by_house else None
        sweep = _Sweep()
        left = quantity
        while left and (level := self.book.best(side.opposite)):
            price, resting = level
            matched = min(left, resting)
            self._match_level(sweep, side.opposite, price, matched, taker_id)
            sweep.books += self._publish([(side.opposite, price, resting - matched)])
            left -= matched
        if taker is not None:
            sweep.orders += _taker_fills(taker, sweep.trades)
        return sweep.events()

    def place(self, side: Side, price: int, quantity: int) -> list[MarketEvent]:
        """Rest a house order; BookError when it would match."""
        order = HouseOrder(self.market.symbol, self._next_order_id(), side, price, quantity)
        total = self.book.quantity(side, price) + quantity
        events = self._publish([(side, price, total)])
        self.house.add(order)
        return [order.accepted(), *events]

    def cancel_oldest(self) -> list[MarketEvent]:
        """Cancel the house's oldest order; KeyError when none is open."""
        order = self.house.pop_oldest()
        price = order.price or 0
        rest = self.book.quantity(order.side, price) - order.remaining
        return [order.cancelled(), *self._publish([(order.side, price, rest)])]

    def state(self) -> MarketState:
        """A copy of the present state."""
        return MarketState(
            bids=self.book.levels(Side.BID),
            asks=self.book.levels(Side.ASK),
            last_update_id=self.last_update_id,
            last_trade_id=self.last_trade_id,
            last_order_id=self.last_order_id,
            orders=tuple(replace(order) for order in self.house),
        )

    def _publish(self, changes: Sequence[Change]) -> list[MarketEvent]:
        top_before = self.book.best(Side.BID), self.book.best(Side.ASK)
        for side, price, quantity in changes:
            self.book.set_level(side, price, quantity)
        self.last_update_id += 1
        symbol = self.market.symbol
        events: list[MarketEvent] = [
            BookEvent(
                symbol,
                self.last_update_id,
                bids=tuple((p, q) for side, p, q in changes if side is Side.BID),
                asks=tuple((p, q) for side, p, q in changes if side is Side.ASK),
            )
        ]
        top = self.book.best(Side.BID), self.book.best(Side.ASK)
        if top != top_before:
            events.append(TopEvent(symbol, self.last_update_id, *top))
        return events

    def _match_level(
        self, sweep: _Sweep, maker_side: Side, price: int, quantity: int, taker_id: int
    ) -> None:
        """Anonymous makers first, then the house: it joined the queue last."""
        anonymous = self.book.quantity(maker_side, price) - self.house.reserved(maker_side, price)
        if matched := min(quantity, anonymous):
            owner = self._owner(maker_side, price, taker_id)
            sweep.trades.append(self._trade(maker_side, price, matched, owner, taker_id))
        left = quantity - matched
        for order in self.house.at(maker_side, price) if left else ():
            matched = min(left, order.remaining)
            left -= matched
            trade = self._trade(maker_side, price, matched, order.order_id, taker_id)
            sweep.trades.append(trade)
            sweep.orders.append(order.filled(Fill(trade.trade_id, price, matched, is_maker=True)))
            self.house.forget_done(order)
            if not left:
                return

    def _trade(
        self, maker_side: Side, price: int, quantity: int, maker_id: int, taker_id: int
    ) -> TradeEvent:
        self.last_trade_id += 1
        buyer_is_maker = maker_side is Side.BID
        return TradeEvent(
            symbol=self.market.symbol,
            trade_id=self.last_trade_id,
            price=price,
            quantity=quantity,
            buyer_order_id=maker_id if buyer_is_maker else taker_id,
            seller_order_id=taker_id if buyer_is_maker else maker_id,
            buyer_is_maker=buyer_is_maker,
        )

    def _owner(self, side: Side, price: int, taker_id: int) -> int:
        """A resting order is older than its taker: its id is lower, and stays while it rests."""
        spread = 1 + (price * 7919) % 9973
        owner = self._owners.setdefault((side, price), taker_id - spread)
        if len(self._owners) > OWNERS_MAX:
            self._owners.clear()
        return owner

    def _next_order_id(self) -> int:
        self.last_order_id += 1
        return self.last_order_id


def _taker_fills(taker: HouseOrder, trades: Sequence[MarketEvent]) -> list[MarketEvent]:
    fills: list[MarketEvent] = []
    for trade in trades:
        if isinstance(trade, TradeEvent):
            fill = Fill(trade.trade_id, trade.price, trade.quantity, is_maker=False)
            fills.append(taker.filled(fill))
    return fills
