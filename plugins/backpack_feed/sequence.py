"""Exactly-once trades by id: a pure state machine, one per market, used by both feeds.

Backpack numbers the trades of a market 1, 2, 3 … without holes. So a repeat is an id that was
already delivered, and a hole is a trade that went missing and can be asked for by REST.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_PENDING = 5_000
RESTART_RUN = 20
"""This many old ids in a row with ever later times mean that the venue numbers anew."""
MAX_JUMP = 10_000_000
"""No market trades as often within any outage: an id this far ahead is not of this numbering."""


@dataclass(frozen=True)
class Hole:
    """Missing trade ids, both ends included."""

    from_id: int
    to_id: int

    def __len__(self) -> int:
        return self.to_id - self.from_id + 1


@dataclass(frozen=True)
class Offer[T]:
    """What to do with an offered trade.

    `deliver` holds trades in id order, possibly none. `missing` is the hole that now holds trades
    back and must be filled or given up.
    """

    deliver: tuple[T, ...] = ()
    duplicate: bool = False
    missing: Hole | None = None


class TradeSequencer[T]:
    """Delivers each trade id once and in order.

    `last_id` is the last delivered id; with None the first offered trade is the start. While a hole
    is open, later trades wait in a buffer of at most `max_pending`; when it is full the oldest hole
    is given up. `duplicates`, `backfilled` and `lost` count trades, `restarts` new
    numberings, since the start.

    A venue that creates a market again may number its trades anew from a lower id. Old ids that are
    repeats happened before the last delivered trade; a run of old ids that happened after it is a
    new numbering, and is then delivered from its first trade on. The same goes for ids that are
    absurdly far ahead: one alone is dropped, or a single broken frame would end the market.
    """

    def __init__(self, last_id: int | None = None, *, max_pending: int = MAX_PENDING) -> None:
        self.last_id = last_id
        self.duplicates = 0
        self.backfilled = 0
        self.lost = 0
        self.restarts = 0
        self._max_pending = max_pending
        self._pending: dict[int, T] = {}
        self._last_time_us = 0
        self._renumbered: list[tuple[int, int, T]] = []

    @property
    def pending(self) -> int:
        """How many trades wait behind a hole."""
        return len(self._pending)

    @property
    def missing(self) -> Hole | None:
        """The oldest open hole."""
        if self.last_id is None or not self._pending:
            return None
        return Hole(self.last_id + 1, min(self._pending) - 1)

    def follows(self, trade_id: int | None, engine_time_us: int) -> bool:
        """Take a live trade that simply comes next; False leaves it to `offer`.

        The short way of nearly every trade: nothing waits, nothing is allocated.
        """
        last = self.last_id
        if last is None or trade_id != last + 1 or self._pending or self._renumbered:
            return False
        self.last_id = trade_id
        self._last_time_us = max(self._last_time_us, engine_time_us)
        return True

    def offer(self, trade_id: int | None, trade: T, engine_time_us: int = 0) -> Offer[T]:
        """Take a live trade; `engine_time_us` is the venue's time of it.

        The venue's id 0 and a null id mean "no id": such a trade is always delivered.
        """
        if not trade_id:
            return Offer(deliver=(trade,))
        if self.last_id is not None and self._foreign(trade_id):
            return self._elsewhere(trade_id, trade, engine_time_us)
        self._renumbered = []
        self._last_time_us = max(self._last_time_us, engine_time_us)
        if self.last_id is None:
            self.last_id = trade_id - 1
        self._pending[trade_id] = trade
        delivered = self._drain()
        while len(self._pending) > self._max_pending:
            delivered += self.give_up()[0]
        return Offer(deliver=tuple(delivered), missing=self.missing)

    def fill(
        self,
        trades: Iterable[tuple[int, T]],
        newest_time_us: int = 0,
        *,
        numbering: int | None = None,
    ) -> list[T]:
        """Take trades fetched by REST, as (id, trade) in any order; return what can be delivered.

        `newest_time_us` is the venue's time of the newest of them, rounded up. `numbering` is what
        `restarts` was when they were asked for: ids of another numbering say nothing. Repeats are
        expected here and not counted. Without a start there is nothing to fill.
        """
        if self.last_id is None or numbering not in (None, self.restarts):
            return []
        self._last_time_us = max(self._last_time_us, newest_time_us)
        news = {trade_id: trade for trade_id, trade in trades if not self._foreign(trade_id)}
        fresh = len(news)
        self._pending |= news
        delivered = self._drain()
        self.backfilled += fresh
        return delivered

    def give_up(self) -> tuple[list[T], int]:
        """Skip the oldest hole: (trades that waited behind it, number of lost trades)."""
        hole = self.missing
        if hole is None:
            return [], 0
        self.lost += len(hole)
        self.last_id = hole.to_id
        return self._drain(), len(hole)

    def _elsewhere(self, trade_id: int, trade: T, engine_time_us: int) -> Offer[T]:
        """Drop a repeat, unless it ends a run that proves a new numbering."""
        run = self._renumbered
        if run:
            goes_on = trade_id == run[-1][0] + 1 and engine_time_us >= run[-1][1]
        else:
            # before any time is known, nothing can be later than what was delivered
            goes_on = trade_id not in self._pending and 0 < self._last_time_us < engine_time_us
        if not goes_on:
            self.duplicates += 1 + len(run)
            self._renumbered = []
            return Offer(duplicate=True, missing=self.missing)
        run.append((trade_id, engine_time_us, trade))
        if len(run) < RESTART_RUN:
            return Offer(missing=self.missing)
        waiting: list[T] = []
        while self._pending:
            waiting += self.give_up()[0]
        self.restarts += 1
        self.last_id, self._last_time_us, self._renumbered = trade_id, engine_time_us, []
        return Offer(deliver=(*waiting, *(kept for _, _, kept in run)))

    def _foreign(self, trade_id: int) -> bool:
        """Whether the id was seen already, or cannot be of the present numbering."""
        last = self.last_id or 0
        return trade_id <= last or trade_id > last + MAX_JUMP or trade_id in self._pending

    def _drain(self) -> list[T]:
        delivered: list[T] = []
        if self.last_id is None:
            return delivered
        while (next_id := self.last_id + 1) in self._pending:
            delivered.append(self._pending.pop(next_id))
            self.last_id = next_id
        return delivered
