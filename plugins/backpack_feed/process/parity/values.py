"""What is compared and what comes out of it: values without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

CCXT: Final = "ccxt"
NATIVE: Final = "native"
VARIANTS: Final = (CCXT, NATIVE)
OTHER: Final = {CCXT: NATIVE, NATIVE: CCXT}
VENUE: Final = "venue"
NOBODY: Final = "nobody"
BLAMED: Final = (NATIVE, CCXT, VENUE, NOBODY)

TRADE: Final = "trade"
BOOK: Final = "book"
COMPARED: Final = (TRADE, BOOK)

MISSING: Final = "missing"
EXTRA: Final = "extra"
ALTERED: Final = "altered"
REPEATED: Final = "repeated"
HOLE: Final = "hole"
OWN_BOOK: Final = "own_book"
KINDS: Final = (MISSING, EXTRA, ALTERED, REPEATED, HOLE, BOOK, OWN_BOOK)
"""missing, extra, altered, repeated and hole are of trades. hole: an id that neither feed
delivered. own_book: the book that native shows is not the one that its own changes make."""

BOOK_LEVELS: Final = 100
"""Levels of each side that are compared: as many as the ccxt feed of a process publishes."""

Level = tuple[Decimal, Decimal]
"""Price and amount."""
Side = tuple[Level, ...]
"""The best levels of one side, best first."""
Top = tuple[Side, Side]
"""Bids and asks."""
Finding = tuple[str, str]
"""What was wrong (one of `KINDS`) and with whom (one of `BLAMED`)."""


@dataclass(frozen=True, slots=True)
class SeenTrade:
    """What somebody says about one trade.

    `at_seconds` is when it was said (monotonic), `latency_seconds` how long after the trade: None
    for one from REST. `venue_seconds` is the venue's unix time of it.
    """

    side: str
    price: Decimal
    amount: Decimal
    at_seconds: float = 0.0
    venue_seconds: float = 0.0
    latency_seconds: float | None = None

    def same(self, other: "SeenTrade") -> bool:
        """Whether both mean one trade: decimals by value, times not at all.

        ccxt has the time of the event (`E`) where native has that of the trade (`T`).
        """
        return self.side == other.side and self.price == other.price and self.amount == other.amount

    def told(self) -> dict[str, str]:
        """Return JSON values."""
        price, amount = format(self.price, "f"), format(self.amount, "f")
        return {"side": self.side, "price": price, "amount": amount}


@dataclass(frozen=True, slots=True)
class Numbering:
    """The question whether one feed repeats an old id or the venue numbers anew.

    `later_than` is the venue's unix time of what the feed told before, `above_id` the highest id
    that was known to be real.
    """

    variant: str
    later_than: float
    above_id: int


@dataclass(frozen=True, slots=True)
class TradeDispute:
    """One id on which the feeds do not agree; None is a feed that did not deliver it in time.

    With `numbering` it is no question of the trade, but of what its id means.
    """

    symbol: str
    trade_id: int
    said: Mapping[str, SeenTrade | None]
    opened_at: float
    numbering: Numbering | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Symbol and id; one id may be in dispute as a trade and, with a minus, as a number."""
        return self.symbol, self.trade_id if self.numbering is None else -self.trade_id

    @property
    def kind(self) -> str:
        """What it looks like before anybody else was asked."""
        if self.numbering is not None:
            return REPEATED
        told = [seen for seen in self.said.values() if seen is not None]
        return (HOLE, MISSING, ALTERED)[len(told)]

    def sample(self, listed: SeenTrade | None, answered: bool) -> dict[str, Any]:
        """Return the evidence as JSON values; `answered` is whether REST could say anything."""
        venue = _told(listed) if answered else "no answer"
        said = {variant: _told(self.said[variant]) for variant in VARIANTS}
        return {"symbol": self.symbol, "id": self.trade_id, **said, VENUE: venue}


@dataclass(frozen=True, slots=True)
class BookDispute:
    """One sequence number at which both feeds published a book, and not the same one."""

    symbol: str
    sequence: int
    tops: Mapping[str, Top]
    opened_at: float

    def sample(self, truth: Top | None) -> dict[str, Any]:
        """Return the evidence as JSON values: the first level at which not all agree."""
        known = {**self.tops, VENUE: truth} if truth is not None else dict(self.tops)
        return {
            "symbol": self.symbol,
            "sequence": self.sequence,
            "first_difference": first_difference(known),
        }


def first_difference(tops: Mapping[str, Top]) -> dict[str, Any]:
    """Return side, depth and what each says of the first level on which they differ."""
    for index, name in enumerate(("bids", "asks")):
        sides = {who: top[index] for who, top in tops.items()}
        for depth in range(max(map(len, sides.values()))):
            levels = {w: side[depth] if depth < len(side) else None for w, side in sides.items()}
            if len(set(levels.values())) > 1:
                said = {who: _level(level) for who, level in levels.items()}
                return {"side": name, "depth": depth, **said}
    return {}


def _told(seen: SeenTrade | None) -> dict[str, str] | None:
    return None if seen is None else seen.told()


def _level(level: Level | None) -> list[str] | None:
    return None if level is None else [format(value, "f") for value in level]
