"""Seeded behaviour of one market: makers place and cancel, takers eat, the house trades."""

from math import log, sqrt
from random import Random
from typing import Final

from backpack_sandbox.constants import HOUSE
from backpack_sandbox.market.book import Level, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import LiquidationEvent, MarketEvent, TradeEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.orders import ANONYMOUS, OrderRequest

FIRST_LEVELS: Final = 30
LEVELS_MIN: Final = 12
ORDERS_MAX: Final = 70
LEVELS_NEVER_TAKEN: Final = 6
SWEEP_LEVELS_MAX: Final = 3
USUAL_RATE: Final = 10.0
PACE_MIN: Final = 0.01
VOLATILITY: Final = 0.00002
PULL: Final = 5e-4
DISTANCE_MEAN: Final = 10.0
STALE_SHARE: Final = 0.7
HOUSE_ORDERS_MAX: Final = 3
HOUSE_SHARE: Final = 0.04
REQUOTE_SHARE: Final = 0.03
HOUSE_TAKER_SHARE: Final = 0.1
HOUSE_CANCEL_SHARE: Final = 0.4
NEW_ORDER_SHARE: Final = 0.52
TRADE_SHARE_MAX: Final = 0.6
LIQUIDATION_EVERY_ORDERS: Final = 150


class MarketModel:
    """A market that moves by itself.

    The same market, seed and rates give the same sequence of waits and events, whatever the wall
    clock does. `events_per_second` are book events, `trades_per_second` taker orders.
    """

    def __init__(
        self,
        market: Market,
        *,
        seed: int,
        events_per_second: float,
        trades_per_second: float,
        resume: MarketState | None = None,
    ) -> None:
        self.market = market
        start_id = resume.last_update_id if resume else market.first_update_id
        # S311 is about secrets; here a reproducible sequence is the point
        self._random = Random(f"{seed}:{market.symbol}:{start_id}").random  # noqa: S311
        self._rate = events_per_second * market.activity
        share = trades_per_second / events_per_second if market.has_trades else 0.0
        self._trade_share = min(TRADE_SHARE_MAX, share)
        self._home = float(market.price_grid.count(market.price))
        # a busy market makes more steps in a second, and each is so much smaller
        pace = max(PACE_MIN, self._rate / USUAL_RATE)
        volatility = max(0.4, self._home * VOLATILITY / sqrt(pace))
        self._swing = volatility * sqrt(12)
        self._pull = PULL / pace
        self._depth = max(DISTANCE_MEAN, 2 * volatility)
        self._typical_size = market.typical_order_steps
        self.engine = MatchingEngine(market, resume or self._first_state())
        self._reference = self._home
        self._reference = self._mid()

    def wait_seconds(self) -> float:
        """Model time until the next step."""
        return self._exponential() / self._rate

    def step(self) -> list[MarketEvent]:
        """One thing happens; nothing at all when a maker finds no room to quote."""
        self._drift()
        roll = self._random()
        if roll < self._trade_share:
            return self._take()
        roll -= self._trade_share
        if self.market.has_trades and roll < HOUSE_SHARE:
            return self._house()
        if roll < HOUSE_SHARE + REQUOTE_SHARE:
            return self._requote()
        return self._quote(self._any_side())

    def _drift(self) -> None:
        """A slow random walk that is pulled home, so that prices stay plausible for days."""
        reference, home = self._reference, self._home
        step = (self._random() - 0.5) * self._swing + (home - reference) * self._pull
        self._reference = max(home / 2, reference + step)

    def _take(self) -> list[MarketEvent]:
        lean = (self._reference - self._mid()) / 20
        side = Side.BID if self._chance(0.5 + max(-0.4, min(0.4, lean))) else Side.ASK
        wanted = 1 + int(self._exponential() * self._typical_size / 2)
        by_house = self._chance(HOUSE_TAKER_SHARE)
        engine, makers = self.engine, side.opposite
        prices = engine.book.prices(makers)
        if len(prices) <= LEVELS_NEVER_TAKEN:
            return self._place(makers)
        if by_house and not self._house_rests_at(makers, engine.book.ranked(makers, 0)):
            within = min(wanted, self._resting(makers, 1))
            return engine.submit(_market_order(HOUSE, side, within)).events
        within = min(wanted, self._resting(makers, SWEEP_LEVELS_MAX))
        events = engine.submit(_market_order(ANONYMOUS, side, within)).events
        return events + self._liquidation(side, events)

    def _resting(self, side: Side, levels: int) -> int:
        book = self.engine.book
        return sum(book.quantity(side, book.ranked(side, rank)) for rank in range(levels))

    def _house_rests_at(self, side: Side, price: int) -> bool:
        return any(
            order.request.side is side and order.request.price == price
            for order in self.engine.open_orders(HOUSE)
        )

    def _liquidation(self, side: Side, events: list[MarketEvent]) -> list[MarketEvent]:
        """Now and then the taker of a perpetual was forced; decided by its id, not by a roll."""
        forced = self.engine.last_order_id % LIQUIDATION_EVERY_ORDERS == 0
        trades = [event for event in events if isinstance(event, TradeEvent)]
        if not (forced and trades and self.market.market_type == "PERP"):
            return []
        quantity = sum(trade.quantity for trade in trades)
        return [LiquidationEvent(self.market.symbol, side, trades[-1].price, quantity)]

    def _house(self) -> list[MarketEvent]:
        engine = self.engine
        orders = engine.open_orders(HOUSE)
        crowded = len(orders) >= HOUSE_ORDERS_MAX
        if orders and (self._chance(HOUSE_CANCEL_SHARE) or crowded):
            return engine.cancel(orders[0].order_id)
        side = self._any_side()
        best, other = engine.book.best_price(side), engine.book.best_price(side.opposite)
        if best is None or other is None:
            return self._place(side)
        inward = 1 if side is Side.BID else -1
        price = best + inward if abs(other - best) > 1 else best
        return engine.submit(_post_only(HOUSE, side, price, self._size())).events

    def _quote(self, side: Side) -> list[MarketEvent]:
        """A maker places an order or takes one back."""
        order_id = None if self._wants_orders(side) else self._withdrawal(side)
        return self._place(side) if order_id is None else self.engine.cancel(order_id)

    def _requote(self) -> list[MarketEvent]:
        """One maker moves two or three quotes of a side at once: one frame, prices unordered."""
        side = self._any_side()
        cancelled: dict[int, None] = {}
        placed: list[OrderRequest] = []
        for _ in range(2 + int(self._random() * 2)):
            order_id = None if self._wants_orders(side) else self._withdrawal(side)
            if order_id is not None:
                cancelled[order_id] = None
            elif request := self._new_order(side):
                placed.append(request)
        return self.engine.requote(list(cancelled), placed)

    def _place(self, side: Side) -> list[MarketEvent]:
        request = self._new_order(side)
        return self.engine.submit(request).events if request else []

    def _wants_orders(self, side: Side) -> bool:
        book = self.engine.book
        if len(book.prices(side)) <= LEVELS_MIN:
            return True
        if book.order_counts[side] >= ORDERS_MAX:
            return False
        return self._chance(1 - STALE_SHARE if self._is_stale(side) else NEW_ORDER_SHARE)

    def _is_stale(self, side: Side) -> bool:
        """The reference has run through the best quote, which its maker would pull."""
        best = self.engine.book.ranked(side, 0)
        return best > self._reference if side is Side.BID else best < self._reference

    def _new_order(self, side: Side) -> OrderRequest | None:
        """Near the reference, and never so that it would take; None when there is no room."""
        distance = 1 + int(self._exponential() * self._depth)
        size = self._size()
        anchor = round(self._reference)
        best = self.engine.book.best_price(side.opposite)
        if side is Side.BID:
            price = (anchor if best is None else min(anchor, best)) - distance
        else:
            price = (anchor if best is None else max(anchor, best)) + distance
        return _post_only(ANONYMOUS, side, price, size) if price > 0 else None

    def _withdrawal(self, side: Side) -> int | None:
        """The newest maker's order of a level: as often near the top as anywhere."""
        book = self.engine.book
        count = len(book.prices(side))
        near = int(self._exponential() * 4) if self._chance(0.5) else count
        rank = near if near < count else int(self._random() * count)
        if self._is_stale(side):
            rank = 0
        level = book.level(side, book.ranked(side, rank))
        for order in reversed(level.orders.values()) if level else ():
            if order.request.account == ANONYMOUS:
                return order.order_id
        return None

    def _size(self) -> int:
        return 1 + int(self._exponential() * self._typical_size)

    def _exponential(self) -> float:
        """Of mean 1."""
        return -log(1.0 - self._random())

    def _chance(self, probability: float) -> bool:
        return self._random() < probability

    def _any_side(self) -> Side:
        return Side.BID if self._chance(0.5) else Side.ASK

    def _mid(self) -> float:
        """The middle of the book; the reference when someone has emptied a side."""
        bid, ask = self.engine.book.best_price(Side.BID), self.engine.book.best_price(Side.ASK)
        return self._reference if bid is None or ask is None else (bid + ask) / 2

    def _first_state(self) -> MarketState:
        centre = int(self._home)
        bids: list[Level] = [(centre - 1 - i, self._size()) for i in range(FIRST_LEVELS)]
        asks: list[Level] = [(centre + 1 + i, self._size()) for i in range(FIRST_LEVELS)]
        return MarketState(
            bids=bids,
            asks=asks,
            last_update_id=self.market.first_update_id,
            last_trade_id=self.market.first_trade_id,
            last_order_id=self.market.first_order_id,
        )


def _market_order(account: str, side: Side, quantity: int) -> OrderRequest:
    return OrderRequest(account=account, side=side, price=None, quantity=quantity)


def _post_only(account: str, side: Side, price: int, quantity: int) -> OrderRequest:
    return OrderRequest(account=account, side=side, price=price, quantity=quantity, post_only=True)
