"""ccxt's best bid and ask as cryptofeed's ticker and top of the book."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptofeed.types import L1Book, Ticker

from backpack_feed.constants import EXCHANGE, MILLISECONDS


def to_ticker(quote: Mapping[str, Any], symbol: str) -> Ticker | None:
    """Return the ticker of a quote with both sides, else None: cryptofeed's has no empty side.

    The time is the event's milliseconds, which is all that ccxt keeps.
    """
    bid, ask = (_decimal(quote[name]) for name in ("bid", "ask"))
    if bid is None or ask is None:
        return None
    return Ticker(EXCHANGE, symbol, bid, ask, _seconds(quote))


def to_l1_book(quote: Mapping[str, Any], symbol: str) -> L1Book | None:
    """Return the best prices and sizes of a quote with both sides, else None."""
    bid, bid_size, ask, ask_size = (
        _decimal(quote[name]) for name in ("bid", "bidVolume", "ask", "askVolume")
    )
    if bid is None or bid_size is None or ask is None or ask_size is None:
        return None
    return L1Book(EXCHANGE, symbol, bid, bid_size, ask, ask_size, _seconds(quote))


def _decimal(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))


def _seconds(quote: Mapping[str, Any]) -> float:
    return float(quote["timestamp"] or 0) / MILLISECONDS
