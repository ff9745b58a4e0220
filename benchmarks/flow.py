"""A made-up market day: snapshots and the changes that follow, before any venue's wire format.

The mix is that of Backpack's realtime streams (protocol section 6.2): nearly every frame changes
one level, a few change up to three, one in twenty is a trade. Books stay at about 200 levels a side
because levels near the top come and go at the same rate.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from backpack_sandbox.market.catalog import ID_STRIDE, Market, build_catalog

LEVELS: Final = 200
WINDOW_TICKS: Final = 280
"""200 of 280 price steps are taken: at 5/7 inserts and deletes balance."""
DELETE_SHARE: Final = 0.4
NEAR_SHARE: Final = 0.85
NEAR_MEAN_TICKS: Final = 10
TRADE_SHARE: Final = 0.05
SEVERAL_LEVELS_SHARE: Final = 0.03

type Change = tuple[bool, int, int]
"""(is a bid, price in ticks, quantity in steps); quantity zero deletes the level."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Levels of one market that change with one update id."""

    market: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade, at the touch."""

    market: int
    price: int
    quantity: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class Book:
    """Price in ticks → quantity in steps, per side."""

    bids: dict[int, int]
    asks: dict[int, int]

    def copy(self) -> "Book":
        """Return an independent book."""
        return Book(dict(self.bids), dict(self.asks))

    def apply(self, change: Change) -> None:
        """Set or delete one level."""
        is_bid, price, quantity = change
        side = self.bids if is_bid else self.asks
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)


@dataclass(frozen=True, slots=True)
class Flow:
    """The books at the start and every event in its order; each market in turn, shuffled."""

    markets: Sequence[Market]
    snapshots: Sequence[Book]
    events: Sequence[Depth | Tick]

    def tops(self, events: int) -> list[tuple[Decimal, Decimal]]:
        """Return every market's best bid and ask after that many events."""
        books = [book.copy() for book in self.snapshots]
        for event in self.events[:events]:
            if isinstance(event, Depth):
                for change in event.changes:
                    books[event.market].apply(change)
        units = [market.price_grid.unit for market in self.markets]
        return [
            (max(book.bids) * unit, min(book.asks) * unit)
            for book, unit in zip(books, units, strict=True)
        ]


def build_flow(*, markets: int, events: int, seed: int = 7) -> Flow:
    """Return the same flow for the same arguments."""
    dice = random.Random(seed)  # noqa: S311 - prices, not secrets
    listed = _listed(markets)
    middles = [int(market.price / market.price_grid.unit) for market in listed]
    snapshots = [_first_book(dice, *pair) for pair in zip(listed, middles, strict=True)]
    books = [book.copy() for book in snapshots]
    turn = list(range(markets))
    happened: list[Depth | Tick] = []
    while len(happened) < events:
        dice.shuffle(turn)
        for market in turn:
            size = listed[market].typical_order_steps
            if dice.random() < TRADE_SHARE:
                happened.append(_trade(dice, market, books[market], size))
            else:
                happened.append(_change(dice, market, books[market], middles[market], size))
    return Flow(listed, snapshots, happened[:events])


def _listed(count: int) -> list[Market]:
    open_markets = [m for m in build_catalog().values() if m.state == "Open" and m.rwa is None]
    listed = []
    for index in range(count):
        model = open_markets[index % len(open_markets)]
        copy = index // len(open_markets) or ""
        suffix = "_PERP" if model.market_type == "PERP" else ""
        listed.append(
            replace(
                model,
                symbol=f"{model.base}{copy}_USDC{suffix}",
                base=f"{model.base}{copy}",
                first_trade_id=model.first_trade_id + index * ID_STRIDE,
                first_update_id=model.first_update_id + index * ID_STRIDE,
            )
        )
    return listed


def _first_book(dice: random.Random, market: Market, middle: int) -> Book:
    size = market.typical_order_steps
    sides = [
        {middle + sign * tick: dice.randint(1, size) for tick in _taken(dice)} for sign in (-1, 1)
    ]
    return Book(*sides)


def _taken(dice: random.Random) -> list[int]:
    return sorted(dice.sample(range(1, WINDOW_TICKS + 1), LEVELS))


def _trade(dice: random.Random, market: int, book: Book, size: int) -> Tick:
    buyer_is_maker = dice.random() < 0.5  # noqa: PLR2004 - a coin
    price = max(book.bids) if buyer_is_maker else min(book.asks)
    return Tick(market, price, dice.randint(1, size), buyer_is_maker)


def _change(dice: random.Random, market: int, book: Book, middle: int, size: int) -> Depth:
    count = dice.randint(2, 3) if dice.random() < SEVERAL_LEVELS_SHARE else 1
    changes: dict[tuple[bool, int], int] = {}
    for _ in range(count):
        is_bid, near = dice.random() < 0.5, dice.random() < NEAR_SHARE  # noqa: PLR2004 - a coin
        tick = 1 + int(dice.expovariate(1 / NEAR_MEAN_TICKS)) if near else WINDOW_TICKS
        tick = tick if tick < WINDOW_TICKS else dice.randint(1, WINDOW_TICKS)
        price = middle - tick if is_bid else middle + tick
        taken = price in (book.bids if is_bid else book.asks)
        quantity = 0 if taken and dice.random() < DELETE_SHARE else dice.randint(1, size)
        changes[is_bid, price] = quantity
        book.apply((is_bid, price, quantity))
    return Depth(market, tuple((side, price, q) for (side, price), q in changes.items()))
