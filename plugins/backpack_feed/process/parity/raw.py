"""What the venue's stream says to a third listener: the truth at past sequence numbers. Pure.

Deliberately not the native feed's book: it only keeps frames and replays them over a snapshot when
somebody asks what the book was at a number.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from backpack_feed.process.parity.values import BOOK_LEVELS, Level, SeenTrade, Side, Top
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot, TradeMessage

MAX_DELTAS: Final = 4_096
MAX_LEVELS: Final = 50_000
MAX_TRADES: Final = 5_000
MICROSECONDS: Final = 1_000_000
STALE_RUN: Final = 50
"""This many frames in a row with old ids: the venue numbers anew."""


class RawBook:
    """A snapshot and the frames after it; `generation` counts how often they were thrown away.

    `base_id` is the snapshot's id, rolled forward as frames fall out of memory, None without one;
    `newest_id` that of the last frame.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._start()

    def _start(self) -> None:
        self.base_id: int | None = None
        self.newest_id: int | None = None
        self._bids: dict[Decimal, Level] = {}
        self._asks: dict[Decimal, Level] = {}
        self._deltas: deque[DepthMessage] = deque()
        self._levels = 0
        self._stale = 0

    @property
    def kept(self) -> int:
        """Levels in memory."""
        return self._levels + len(self._bids) + len(self._asks)

    def forget(self) -> None:
        """Start over: a frame was lost, or the venue contradicts itself."""
        self.generation += 1
        self._start()

    def delta(self, delta: DepthMessage) -> None:
        """Take a frame."""
        newest = self.newest_id
        if newest is not None and delta.last_id <= newest:
            self._stale += 1
            if self._stale < STALE_RUN:
                return
            self.forget()
        elif newest is not None and delta.first_id > newest + 1:
            self.forget()
        self._stale = 0
        self._deltas.append(delta)
        self._levels += len(delta.bids) + len(delta.asks)
        self.newest_id = delta.last_id
        while len(self._deltas) > MAX_DELTAS or self._levels > MAX_LEVELS:
            self._roll()

    def snapshot(self, snapshot: DepthSnapshot) -> bool:
        """Take a REST answer as the base; False when it is older than the frames."""
        last = snapshot.last_update_id
        if self._deltas and self._deltas[0].first_id > last + 1:
            return False
        self.base_id = last
        self._bids, self._asks = _levels(snapshot.bids), _levels(snapshot.asks)
        while self._deltas and self._deltas[0].last_id <= last:
            gone = self._deltas.popleft()
            self._levels -= len(gone.bids) + len(gone.asks)
        if not self._deltas:
            self.newest_id = last
        return True

    def at(self, sequence: int) -> Top | None:
        """Return the top of the book at a number; None when that is not known (any more, yet)."""
        if self.base_id is None or sequence < self.base_id:
            return None
        bids, asks, reached = dict(self._bids), dict(self._asks), self.base_id
        for delta in self._deltas:
            if delta.last_id > sequence:
                break
            _apply(bids, delta.bids)
            _apply(asks, delta.asks)
            reached = delta.last_id
        return top_of(bids.values(), asks.values()) if reached == sequence else None

    def _roll(self) -> None:
        delta = self._deltas.popleft()
        self._levels -= len(delta.bids) + len(delta.asks)
        if self.base_id is not None:
            _apply(self._bids, delta.bids)
            _apply(self._asks, delta.asks)
            self.base_id = delta.last_id


class RawTrades:
    """The newest trades of the stream by id."""

    def __init__(self) -> None:
        self._by_id: dict[int, SeenTrade] = {}
        self._newest_us = 0

    def trade(self, message: TradeMessage) -> None:
        """Take a frame; one without an id is not part of the sequence."""
        if not message.trade_id:
            return
        known = next(reversed(self._by_id), 0)
        if message.trade_id < known and message.engine_time_us > self._newest_us:
            self._by_id.clear()  # numbered anew: the old ids mean other trades
        self._newest_us = max(self._newest_us, message.engine_time_us)
        self._by_id.setdefault(message.trade_id, to_seen(message))
        if len(self._by_id) > MAX_TRADES:
            del self._by_id[next(iter(self._by_id))]

    def get(self, trade_id: int) -> SeenTrade | None:
        """Return the trade of an id; None when it was not heard."""
        return self._by_id.get(trade_id)


class RawMarket:
    """One market as the third listener hears it."""

    def __init__(self) -> None:
        self.book = RawBook()
        self.trades = RawTrades()


def to_seen(message: TradeMessage) -> SeenTrade:
    """Return a trade of the wire as what was said of it."""
    side = "sell" if message.buyer_is_maker else "buy"
    seconds = message.engine_time_us / MICROSECONDS
    return SeenTrade(side, message.price, message.quantity, venue_seconds=seconds)


def snapshot_top(snapshot: DepthSnapshot) -> Top:
    """Return the best levels of a REST answer, which ascends on both sides."""
    return top_of(_levels(snapshot.bids).values(), _levels(snapshot.asks).values())


def top_of(bids: Iterable[Level], asks: Iterable[Level]) -> Top:
    """Return the best levels of unsorted sides."""
    best: Side = tuple(heapq.nlargest(BOOK_LEVELS, bids))
    return best, tuple(heapq.nsmallest(BOOK_LEVELS, asks))


def _levels(levels: Iterable[Level]) -> dict[Decimal, Level]:
    return {price: (price, amount) for price, amount in levels if amount}


def _apply(side: dict[Decimal, Level], levels: Iterable[Level]) -> None:
    for price, amount in levels:
        if amount:
            side[price] = (price, amount)
        else:
            side.pop(price, None)
