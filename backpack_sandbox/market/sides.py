"""The two sides of a book, and one level of a side."""

from enum import StrEnum

type Level = tuple[int, int]
"""(price in ticks, quantity in steps)."""


class Side(StrEnum):
    """Side of an order, as the venue writes it."""

    BID = "Bid"
    ASK = "Ask"

    @property
    def opposite(self) -> "Side":
        """The side that this one trades against."""
        return Side.ASK if self is Side.BID else Side.BID
