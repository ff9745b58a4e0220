"""Feeds parity with what both feeds of a shadow process deliver."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from cryptofeed.types import OrderBook, Trade

from backpack_feed.process.parity import Level, Parity, SeenTrade

BOOK_LEVELS = 10
EXPIRY_INTERVAL_SECONDS = 1.0


class Witness:
    """cryptofeed callbacks of one feed that tell `parity` what it delivered."""

    def __init__(
        self, parity: Parity, variant: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._parity = parity
        self._variant = variant
        self._monotonic = monotonic

    async def trade(self, trade: Trade, _receipt_timestamp: float) -> None:
        """Tell of one trade; one without an id cannot be compared."""
        trade_id = int(trade.id or 0)
        if trade_id > 0:
            seen = SeenTrade(trade.side, trade.price, trade.amount, self._monotonic())
            self._parity.trade(self._variant, trade.symbol, trade_id, seen)

    async def book(self, book: OrderBook, _receipt_timestamp: float) -> None:
        """Tell of the top of one book at its sequence number."""
        if book.sequence_number is not None:
            top = (_top(book.book.bids), _top(book.book.asks))
            self._parity.book(self._variant, book.symbol, int(book.sequence_number), top)


async def expire_for_ever(parity: Parity, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Let overdue trades become missing ones; runs until cancelled."""
    while True:
        await asyncio.sleep(EXPIRY_INTERVAL_SECONDS)
        parity.expire(monotonic())


def _top(side: Any) -> tuple[Level, ...]:
    return tuple(side.index(depth) for depth in range(min(BOOK_LEVELS, len(side))))
