"""Which numbers of a payload are usable. Pure.

NaN, infinities and absurd exponents are legal decimals: `1e999999999` would fill the memory when
printed. A frame that carries one is dropped whole, no value in it is repaired.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

import msgspec

MAX_ID: Final = 2**63 - 1
MAX_EXPONENT: Final = 40
MAX_LEVELS: Final = 20_000
"""Levels of one side in one frame or snapshot."""

type UnsignedId = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
"""An id or a time."""
type Level = tuple[Decimal, Decimal]
"""Price and absolute quantity; quantity zero deletes the level."""
# lists, because cryptofeed publishes them as they are in `OrderBook.delta`
type Levels = Annotated[list[Level], msgspec.Meta(max_length=MAX_LEVELS)]

_LEAST: Final = Decimal(1).scaleb(-MAX_EXPONENT)
_MOST: Final = Decimal(1).scaleb(MAX_EXPONENT)


def is_price(price: Decimal) -> bool:
    """Whether a price is finite, positive and printable."""
    try:
        return _LEAST <= price <= _MOST
    except InvalidOperation:  # an ordering comparison with NaN
        return False


def is_quantity(quantity: Decimal) -> bool:
    """Whether a quantity is finite, zero or positive, and printable."""
    if quantity:
        return is_price(quantity)
    return -MAX_EXPONENT <= quantity.adjusted() <= MAX_EXPONENT


def is_amount(amount: Decimal | None) -> bool:
    """Whether a signed amount is finite and printable; None is an absent one."""
    return amount is None or is_quantity(amount.copy_abs())


def are_levels(levels: Iterable[Level]) -> bool:
    """Whether every level has a usable price and quantity."""
    # the depth path: written out, because a call per number would double its cost
    try:
        for price, quantity in levels:
            if not _LEAST <= price <= _MOST:
                return False
            if quantity:
                if not _LEAST <= quantity <= _MOST:
                    return False
            elif not -MAX_EXPONENT <= quantity.adjusted() <= MAX_EXPONENT:
                return False
    except InvalidOperation:
        return False
    return True
