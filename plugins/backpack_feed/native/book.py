"""Snapshot + delta synchronisation of one market's book (protocol section 6.3). Pure, sans I/O.

The venue sends absolute deltas and never a snapshot, so the book starts from `GET /depth` and each
delta must continue the ids of the one before. The caller performs what a `BookStep` asks for.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from order_book import OrderBook as Ladder

from backpack_feed.wire.bounds import Level
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot

MAX_BUFFERED = 5_000
MAX_BUFFERED_LEVELS = 50_000
"""Both bound what an outage of REST may cost; a snapshot needs only the newest seconds of it."""
NO_BID, NO_ASK = Decimal("-Infinity"), Decimal("Infinity")
STALE_RUN = 20
"""This many frames in a row below the book's id mean that the venue restarted its counter."""
OLDER_REFUSALS = 5
"""A snapshot older than what was published is refused this often, then REST is believed."""


class BookState(StrEnum):
    """BUFFERING: no book is valid, deltas wait for a snapshot. LIVE: the book is the venue's."""

    BUFFERING = "buffering"
    LIVE = "live"


class BookAction(StrEnum):
    """What a step did to the book."""

    BUFFER = "buffer"
    APPLY = "apply"
    DROP_STALE = "drop_stale"
    GAP = "gap_invalidate_and_resnapshot"
    STALE_RUN = "stale_run_invalidate_and_resnapshot"
    SNAPSHOT_APPLIED = "snapshot_applied_replayed"
    SNAPSHOT_TOO_OLD = "reject_snapshot_older_than_buffer_refetch"
    SNAPSHOT_BEFORE_HOLE = "reject_snapshot_before_hole_in_buffer_refetch"
    DISCARD = "discard_book_and_buffer_mark_invalid"


_REFETCH = frozenset(
    {
        BookAction.GAP,
        BookAction.STALE_RUN,
        BookAction.SNAPSHOT_TOO_OLD,
        BookAction.SNAPSHOT_BEFORE_HOLE,
    }
)
_INVALIDATES = frozenset({BookAction.GAP, BookAction.STALE_RUN, BookAction.DISCARD})


@dataclass(frozen=True)
class BookStep:
    """`replayed` counts the buffered deltas applied on top of a snapshot."""

    action: BookAction
    replayed: int = 0
    overlap: bool = False

    @property
    def needs_snapshot(self) -> bool:
        """Whether the caller must fetch `GET /depth` (again)."""
        return self.action in _REFETCH

    @property
    def invalidated(self) -> bool:
        """Whether a book that was valid no longer is."""
        return self.action in _INVALIDATES

    @property
    def label(self) -> str:
        """One word for logs and replays, such as `snapshot_applied_replayed_1`."""
        if self.action is BookAction.SNAPSHOT_APPLIED:
            return f"{self.action}_{self.replayed}"
        return str(self.action)


APPLIED = BookStep(BookAction.APPLY)
_BUFFERED = BookStep(BookAction.BUFFER)
_OVERLAPPED = BookStep(BookAction.APPLY, overlap=True)
_DROPPED = BookStep(BookAction.DROP_STALE)


class Side(Protocol):
    """One side of a ladder: price → quantity."""

    def __setitem__(self, price: Decimal, quantity: Decimal) -> None: ...
    def __delitem__(self, price: Decimal) -> None: ...
    def __iter__(self) -> Iterator[Decimal]: ...
    def __len__(self) -> int: ...
    def index(self, position: int, /) -> Level:
        """Return the level at `position`, best first."""


class DepthBook:
    """The book of one market.

    `ladder` holds the levels, keyed by Decimal so that REST's `99` and the stream's `99.00` are one
    level; pass the ladder of a cryptofeed OrderBook to publish without a copy. It means something
    only while `valid`. `last_update_id` is the venue's id of the last applied change, `stale_run`
    how many frames in a row were below it.

    Repeats are old ids with old times. An old id with a later time means that the venue restarted
    its counter, and nothing that was known is then believed any more.

    The best bid is never above `_bid_bound` and the best ask never below `_ask_bound`: only once
    these two have met (`_may_cross`) must the sorted sides be asked whether the book is crossed.
    """

    def __init__(self, ladder: Ladder | None = None) -> None:
        self.ladder = Ladder() if ladder is None else ladder
        self.valid = False
        self.last_update_id: int | None = None
        self.stale_run = 0
        self._buffer: deque[DepthMessage] = deque()
        self._buffered_levels = 0
        self._time_us: int | None = None
        self._renumbered = False
        self._floor_id: int | None = None
        self._refusals = 0
        self._bid_bound, self._ask_bound = NO_BID, NO_ASK
        self._may_cross = False

    @property
    def state(self) -> BookState:
        """LIVE while the ladder is the venue's book (`valid`)."""
        return BookState.LIVE if self.valid else BookState.BUFFERING

    @property
    def levels(self) -> int:
        """How many levels both sides hold."""
        return len(self.ladder.bids) + len(self.ladder.asks)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        if self._may_cross:
            self._tighten()
        return self._may_cross

    def delta(self, delta: DepthMessage) -> BookStep:
        """Take the next delta of the stream."""
        last = self.last_update_id
        if not self.valid or last is None:
            self._keep(delta)
            return _BUFFERED
        if delta.first_id == last + 1:
            self.stale_run = 0
            self._apply(delta)
            return APPLIED
        if delta.last_id <= last:
            return self._stale(delta)
        self.stale_run = 0
        if delta.first_id > last + 1:
            return self._invalidate(BookAction.GAP, delta)
        self._apply(delta)
        return _OVERLAPPED

    def snapshot(self, snapshot: DepthSnapshot) -> BookStep:
        """Take a REST snapshot; while LIVE it replaces the book."""
        last = snapshot.last_update_id
        if self._is_outdated(snapshot):
            return BookStep(BookAction.SNAPSHOT_TOO_OLD)
        keep = [delta for delta in self._buffer if delta.last_id > last]
        if keep and keep[0].first_id > last + 1:
            return BookStep(BookAction.SNAPSHOT_TOO_OLD)
        hole = _last_hole(keep)
        if hole:
            self._keep_only(keep[hole:])
            return BookStep(BookAction.SNAPSHOT_BEFORE_HOLE)
        self.ladder.bids = dict(_present(snapshot.bids))
        self.ladder.asks = dict(_present(snapshot.asks))
        self._tighten()
        self._believe_nothing()
        self.last_update_id = last
        self.valid = True
        for delta in keep:
            self._apply(delta)
        return BookStep(BookAction.SNAPSHOT_APPLIED, replayed=len(keep))

    def resync(self, *, renumbered: bool = False, missed: int = 0) -> None:
        """Distrust the book but not the stream: keep the ids that come, wait for a snapshot.

        One that is older than the book, and `missed` changes after it, is refused, unless the venue
        has `renumbered` its changes.
        """
        self.valid = False
        self.stale_run = 0
        self._floor_id = None if renumbered else (self.last_update_id or 0) + missed
        self._refusals = 0
        self._renumbered = renumbered

    def discard(self) -> BookStep:
        """Forget everything, as after a disconnect: a delta that looks newer proves nothing."""
        self.valid = False
        self._believe_nothing()
        self.last_update_id = None
        self.ladder.bids = {}
        self.ladder.asks = {}
        self._bid_bound, self._ask_bound, self._may_cross = NO_BID, NO_ASK, False
        return BookStep(BookAction.DISCARD)

    def _believe_nothing(self) -> None:
        self._keep_only([])
        self.stale_run = 0
        self._time_us = None
        self._renumbered = False
        self._floor_id, self._refusals = None, 0

    def _is_outdated(self, snapshot: DepthSnapshot) -> bool:
        """Whether REST still answers from before what is known already."""
        if self._floor_id is not None and snapshot.last_update_id < self._floor_id:
            self._refusals += 1
            return self._refusals < OLDER_REFUSALS
        # the high id of the old numbering says nothing about the low ones that wait
        return (
            self._renumbered
            and bool(self._buffer)
            and 0 < snapshot.timestamp_us < self._buffer[0].engine_time_us
        )

    def _stale(self, delta: DepthMessage) -> BookStep:
        self.stale_run += 1
        later = self._time_us is not None and delta.engine_time_us > self._time_us
        if later or self.stale_run >= STALE_RUN:
            return self._invalidate(BookAction.STALE_RUN, delta)
        return _DROPPED

    def _invalidate(self, action: BookAction, delta: DepthMessage) -> BookStep:
        self.resync(renumbered=action is BookAction.STALE_RUN)
        self._keep_only([delta])
        return BookStep(action)

    def _keep(self, delta: DepthMessage) -> None:
        """Buffer a delta behind lower ids; a repeat is dropped, a new numbering starts over."""
        buffer = self._buffer
        if buffer and delta.last_id <= buffer[-1].last_id:
            if delta.engine_time_us <= buffer[-1].engine_time_us:
                return
            self._floor_id, self._renumbered = None, True
            buffer.clear()
            self._buffered_levels = 0
        buffer.append(delta)
        self._buffered_levels += len(delta.bids) + len(delta.asks)
        # The oldest go first: a snapshot that still needs them would be too old anyway
        while len(buffer) > MAX_BUFFERED or (
            self._buffered_levels > MAX_BUFFERED_LEVELS and len(buffer) > 1
        ):
            gone = buffer.popleft()
            self._buffered_levels -= len(gone.bids) + len(gone.asks)

    def _keep_only(self, deltas: Iterable[DepthMessage]) -> None:
        self._buffer.clear()
        self._buffered_levels = 0
        for delta in deltas:
            self._keep(delta)

    def _apply(self, delta: DepthMessage) -> None:  # noqa: C901 - the innermost loop, written out
        if delta.bids:
            side = self.ladder.bids
            for price, quantity in delta.bids:
                if not quantity:
                    _remove(side, price)
                    continue
                side[price] = quantity
                if price > self._bid_bound:
                    self._bid_bound = price
                    self._may_cross = price >= self._ask_bound
        if delta.asks:
            side = self.ladder.asks
            for price, quantity in delta.asks:
                if not quantity:
                    _remove(side, price)
                    continue
                side[price] = quantity
                if price < self._ask_bound:
                    self._ask_bound = price
                    self._may_cross = price <= self._bid_bound
        self.last_update_id = delta.last_id
        self._time_us = delta.engine_time_us

    def _tighten(self) -> None:
        bids, asks = self.ladder.bids, self.ladder.asks
        self._bid_bound = bids.index(0)[0] if len(bids) else NO_BID
        self._ask_bound = asks.index(0)[0] if len(asks) else NO_ASK
        self._may_cross = self._bid_bound >= self._ask_bound


def _remove(side: Side, price: Decimal) -> None:
    try:
        del side[price]
    except KeyError:
        return  # a limited snapshot lacks far levels, so deleting one is normal


def _present(levels: Iterable[Level]) -> Iterator[Level]:
    return ((price, quantity) for price, quantity in levels if quantity)


def _last_hole(deltas: list[DepthMessage]) -> int:
    """Return the index after the last hole in the ascending ids, 0 without one."""
    for index in range(len(deltas) - 1, 0, -1):
        if deltas[index].first_id > deltas[index - 1].last_id + 1:
            return index
    return 0
