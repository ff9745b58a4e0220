"""Snapshot + delta synchronisation of one market's book (protocol section 6.3). Pure, sans I/O.

The venue sends absolute deltas and never a snapshot, so the book starts from `GET /depth` and each
delta must continue the ids of the one before. The caller performs what a `BookStep` asks for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from order_book import OrderBook as Ladder

from backpack_feed.wire.messages import DepthMessage, DepthSnapshot, Level

MAX_BUFFERED = 20_000
STALE_RUN = 20
"""This many frames in a row below the book's id mean that the venue restarted its counter."""


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


class Side(Protocol):
    """One side of a ladder: price → quantity."""

    def __setitem__(self, price: Decimal, quantity: Decimal) -> None: ...
    def __delitem__(self, price: Decimal) -> None: ...
    def __contains__(self, price: object) -> bool: ...
    def __iter__(self) -> Iterator[Decimal]: ...
    def __len__(self) -> int: ...
    def index(self, position: int, /) -> Level:
        """Return the level at `position`, best first."""


class DepthBook:
    """The book of one market.

    `ladder` holds the levels, keyed by Decimal so that REST's `99` and the stream's `99.00` are one
    level; pass the ladder of a cryptofeed OrderBook to publish without a copy. It means something
    only while `valid`. `last_update_id` is the venue's id of the last applied change.
    """

    def __init__(self, ladder: Ladder | None = None) -> None:
        self.ladder = Ladder() if ladder is None else ladder
        self.state = BookState.BUFFERING
        self.last_update_id: int | None = None
        self._buffer: list[DepthMessage] = []
        self._stale_run = 0

    @property
    def valid(self) -> bool:
        """Whether the ladder is the venue's book."""
        return self.state is BookState.LIVE

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        bids, asks = self.ladder.bids, self.ladder.asks
        return bool(len(bids) and len(asks) and bids.index(0)[0] >= asks.index(0)[0])

    def delta(self, delta: DepthMessage) -> BookStep:
        """Take the next delta of the stream."""
        if self.state is BookState.BUFFERING:
            self._buffer.append(delta)
            # The oldest go first: a snapshot that still needs them would be too old anyway
            del self._buffer[:-MAX_BUFFERED]
            return BookStep(BookAction.BUFFER)
        last = self._last()
        if delta.last_id <= last:
            return self._stale(delta)
        self._stale_run = 0
        if delta.first_id > last + 1:
            return self._invalidate(BookAction.GAP, delta)
        overlap = delta.first_id <= last
        self._apply(delta)
        return BookStep(BookAction.APPLY, overlap=overlap)

    def snapshot(self, snapshot: DepthSnapshot) -> BookStep:
        """Take a REST snapshot; while LIVE it replaces the book."""
        last = snapshot.last_update_id
        keep = [delta for delta in self._buffer if delta.last_id > last]
        if keep and keep[0].first_id > last + 1:
            return BookStep(BookAction.SNAPSHOT_TOO_OLD)
        hole = _last_hole(keep)
        if hole:
            self._buffer = keep[hole:]
            return BookStep(BookAction.SNAPSHOT_BEFORE_HOLE)
        self.ladder.bids = dict(_present(snapshot.bids))
        self.ladder.asks = dict(_present(snapshot.asks))
        self.last_update_id = last
        self.state = BookState.LIVE
        self._buffer, self._stale_run = [], 0
        for delta in keep:
            self._apply(delta)
        return BookStep(BookAction.SNAPSHOT_APPLIED, replayed=len(keep))

    def resync(self) -> None:
        """Distrust the book but not the stream: keep the ids that come, wait for a snapshot."""
        self.state = BookState.BUFFERING
        self._stale_run = 0

    def discard(self) -> BookStep:
        """Forget everything, as after a disconnect: a delta that looks newer proves nothing."""
        self.resync()
        self._buffer = []
        self.last_update_id = None
        self.ladder.bids = {}
        self.ladder.asks = {}
        return BookStep(BookAction.DISCARD)

    def _stale(self, delta: DepthMessage) -> BookStep:
        self._stale_run += 1
        if self._stale_run >= STALE_RUN:
            return self._invalidate(BookAction.STALE_RUN, delta)
        return BookStep(BookAction.DROP_STALE)

    def _invalidate(self, action: BookAction, delta: DepthMessage) -> BookStep:
        self.resync()
        self._buffer = [delta]
        return BookStep(action)

    def _last(self) -> int:
        return -1 if self.last_update_id is None else self.last_update_id

    def _apply(self, delta: DepthMessage) -> None:
        _apply_side(self.ladder.bids, delta.bids)
        _apply_side(self.ladder.asks, delta.asks)
        self.last_update_id = delta.last_id


def _apply_side(side: Side, levels: tuple[Level, ...]) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        elif price in side:  # a limited snapshot lacks far levels, so deleting one is normal
            del side[price]


def _present(levels: tuple[Level, ...]) -> Iterator[Level]:
    return ((price, quantity) for price, quantity in levels if quantity)


def _last_hole(deltas: list[DepthMessage]) -> int:
    """Return the index after the last hole in the ids, 0 without one."""
    for index in range(len(deltas) - 1, 0, -1):
        if deltas[index].first_id > deltas[index - 1].last_id + 1:
            return index
    return 0
