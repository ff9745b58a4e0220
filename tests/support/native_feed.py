"""A running native feed and everything that it delivered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.types import Trade

from backpack_feed.constants import ORDER_INFO
from backpack_feed.native.feed import BackpackFeed
from backpack_feed.wire.account_events import OrderUpdate
from tests.support.conditions import eventually

STOP_SECONDS = 5.0
SPEED = 10
# between two looks at the clock; more is a machine that stood still
LONGEST_STEP_SECONDS = 0.1


class _FastClock:
    """`SPEED` seconds of liveness in one; the seconds in which the process stood still are none."""

    def __init__(self) -> None:
        self._looked = self._now = time.monotonic()

    def __call__(self) -> float:
        looked = time.monotonic()
        self._now += min(looked - self._looked, LONGEST_STEP_SECONDS) * SPEED
        self._looked = looked
        return self._now


fast_monotonic = _FastClock()


@dataclass
class Delivered:
    """What a feed's callbacks were called with; a book is remembered by value."""

    trades: list[Trade] = field(default_factory=list)
    books: list[dict[str, Any]] = field(default_factory=list)
    orders: list[OrderUpdate] = field(default_factory=list)

    async def trade(self, trade: Trade, _receipt: float) -> None:
        self.trades.append(trade)

    async def book(self, book: Any, _receipt: float) -> None:
        self.books.append(
            {
                "symbol": book.symbol,
                "sequence": book.sequence_number,
                "delta": book.delta,
                "bids": book.book.bids.to_dict(),
                "asks": book.book.asks.to_dict(),
            }
        )

    async def order(self, update: OrderUpdate, _receipt: float) -> None:
        self.orders.append(update)

    def ids(self, symbol: str = "SOL-USDC") -> list[int]:
        return [int(trade.id) for trade in self.trades if trade.symbol == symbol]


def make_feed(venue: Any, delivered: Delivered, **settings: Any) -> BackpackFeed:
    """A feed of `venue` (anything with rest_url, ws_url, ca_file)."""
    defaults: dict[str, Any] = {
        "symbols": ["SOL-USDC"],
        "channels": [TRADES, L2_BOOK],
        "callbacks": {
            TRADES: delivered.trade,
            L2_BOOK: delivered.book,
            ORDER_INFO: delivered.order,
        },
        "rest_url": venue.rest_url,
        "ws_url": venue.ws_url,
        "ca_file": venue.ca_file,
    }
    return BackpackFeed(**defaults | settings)


@asynccontextmanager
async def running(feed: BackpackFeed, *, until_ready: bool = True) -> AsyncIterator[BackpackFeed]:
    """Run the feed for the length of the block; it must end by itself when asked."""
    stop = asyncio.Event()
    task = asyncio.create_task(feed.run(stop))
    try:
        if until_ready:
            await eventually(
                lambda: task.done() or all(feed.readiness().values()), describe=feed.readiness
            )
        yield feed
    finally:
        stop.set()
        async with asyncio.timeout(STOP_SECONDS):
            await task
