"""Seeded behaviour of one market: makers quote and cancel, takers eat levels, the house trades."""

from random import Random
from typing import Final

from backpack_sandbox.market.book import Level, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import LiquidationEvent, MarketEvent, TradeEvent
from backpack_sandbox.market.matching import Change, MarketState, MatchingEngine

FIRST_LEVELS: Final = 30
LEVELS_MIN: Final = 12
LEVELS_MAX: Final = 60
LEVELS_NEVER_TAKEN: Final = 6
SWEEP_LEVELS_MAX: Final = 3
HOUSE_ORDERS_MAX: Final = 3
HOUSE_SHARE: Final = 0.04
REQUOTE_SHARE: Final = 0.03
HOUSE_TAKER_SHARE: Final = 0.1
HOUSE_CANCEL_SHARE: Final = 0.4
NEW_LEVEL_SHARE: Final = 0.52
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
        self._rng = Random(f"{seed}:{market.symbol}:{start_id}")  # noqa: S311
        self._rate = events_per_second * market.activity
        share = trades_per_second / events_per_second if market.has_trades else 0.0
        self._trade_share = min(TRADE_SHARE_MAX, share)
        self._home = float(market.price_grid.count(market.price))
        self.engine = MatchingEngine(market, resume or self._first_state())
        self._reference = self._mid()

    def wait_seconds(self) -> float:
        """Model time until the next step."""
        return self._rng.expovariate(self._rate)

    def step(self) -> list[MarketEvent]:
        """One thing happens; at least one update id is used."""
        self._drift()
        roll = self._rng.random()
        if roll < self._trade_share:
            return self._take()
        roll -= self._trade_share
        if self.market.has_trades and roll < HOUSE_SHARE:
            return self._house()
        if roll < HOUSE_SHARE + REQUOTE_SHARE:
            return self._requote()
        side = self._any_side()
        return self.engine.quote([self._quote(side)])

    def _drift(self) -> None:
        """A slow random walk that is pulled home, so that prices stay plausible for days."""
        volatility = max(0.4, self._home * 0.00002)
        self._reference += self._rng.gauss(0.0, volatility) + (self._home - self._reference) * 5e-4
        self._reference = max(self._home / 2, self._reference)

    def _take(self) -> list[MarketEvent]:
        lean = (self._reference - self._mid()) / 20
        side = Side.BID if self._chance(0.5 + max(-0.4, min(0.4, lean))) else Side.ASK
        wanted = 1 + int(self._rng.expovariate(2 / self.market.typical_order_steps))
        house_rolls = self._chance(HOUSE_TAKER_SHARE)
        book = self.engine.book
        makers = side.opposite
        if len(book.prices(makers)) <= LEVELS_NEVER_TAKEN:
            return self.engine.quote([self._new_level(makers)])
        top_price = book.ranked(makers, 0)
        if house_rolls and not self.engine.house.at(makers, top_price):
            within = min(wanted, book.quantity(makers, top_price))
            return self.engine.take(side, within, by_house=True)
        reach = [book.ranked(makers, rank) for rank in range(SWEEP_LEVELS_MAX)]
        events = self.engine.take(side, min(wanted, sum(book.quantity(makers, p) for p in reach)))
        return events + self._liquidation(side, events)

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
        crowded = len(engine.house) >= HOUSE_ORDERS_MAX
        if len(engine.house) and (self._chance(HOUSE_CANCEL_SHARE) or crowded):
            return engine.cancel_oldest()
        side = self._any_side()
        price = engine.book.ranked(side, 0)
        inward = 1 if side is Side.BID else -1
        if abs(engine.book.ranked(side.opposite, 0) - price) > 1:
            price += inward
        return engine.place(side, price, self._size())

    def _requote(self) -> list[MarketEvent]:
        """One maker moves two or three quotes of a side at once: one frame, prices unordered."""
        side = self._any_side()
        changes: dict[int, Change] = {}
        for _ in range(self._rng.randint(2, 3)):
            change = self._quote(side)
            changes[change[1]] = change
        return self.engine.quote(list(changes.values()))

    def _quote(self, side: Side) -> Change:
        count = len(self.engine.book.prices(side))
        if count <= LEVELS_MIN:
            return self._new_level(side)
        if count < LEVELS_MAX and self._chance(NEW_LEVEL_SHARE):
            return self._new_level(side)
        return self._withdrawal(side, count)

    def _new_level(self, side: Side) -> Change:
        anchor = round(self._reference)
        distance = 1 + int(self._rng.expovariate(1 / 10))
        book = self.engine.book
        if side is Side.BID:
            price = min(anchor - distance, book.ranked(Side.ASK, 0) - 1)
        else:
            price = max(anchor + distance, book.ranked(Side.BID, 0) + 1)
        return side, price, self._size()

    def _withdrawal(self, side: Side, count: int) -> Change:
        """Cancels fall near the top as often as anywhere; half of them are partial."""
        rng = self._rng
        near = int(rng.expovariate(1 / 4)) if self._chance(0.5) else count
        rank = near if near < count else rng.randrange(count)
        price = self.engine.book.ranked(side, rank)
        resting = self.engine.book.quantity(side, price)
        return side, price, rng.randrange(1, resting) if resting > 1 and self._chance(0.5) else 0

    def _size(self) -> int:
        return 1 + int(self._rng.expovariate(1 / self.market.typical_order_steps))

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability

    def _any_side(self) -> Side:
        return Side.BID if self._chance(0.5) else Side.ASK

    def _mid(self) -> float:
        book = self.engine.book
        return (book.ranked(Side.BID, 0) + book.ranked(Side.ASK, 0)) / 2

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
