"""What is remembered of the trades of one market. Pure; every collection is bounded by its user."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from backpack_feed.process.parity.values import CCXT, NATIVE, OTHER, Numbering, SeenTrade

REMEMBERED: Final = 1_000


@dataclass
class Suspicion:
    """What one feed told with old ids and later times: repeats, or the venue numbers anew.

    `later_than` is the venue's unix time of the newest trade that the feed had told before,
    `above_id` the highest id known to be real then. `refuted` once the other feed goes on with the
    old numbering, `asked` once the venue is to say.
    """

    since: float
    later_than: float
    above_id: int
    trades: list[tuple[int, SeenTrade]] = field(default_factory=list)
    refuted: bool = False
    asked: bool = False

    def question(self, variant: str) -> Numbering:
        """Return what the venue is to be asked about this feed's old ids."""
        return Numbering(variant, self.later_than, self.above_id)


@dataclass
class Market:
    """`top_id` is the highest id known to be real, `unseen` are lower ones that nobody named.

    Real is what both feeds named or the venue lists: one feed alone may have made an id up.
    """

    start_id: int | None = None
    top_id: int = 0
    first_at: float | None = None
    newest_id: dict[str, int] = field(default_factory=lambda: {CCXT: 0, NATIVE: 0})
    newest_seconds: dict[str, float] = field(default_factory=lambda: {CCXT: 0.0, NATIVE: 0.0})
    pending: dict[str, dict[int, SeenTrade]] = field(default_factory=lambda: {CCXT: {}, NATIVE: {}})
    unseen: dict[int, float] = field(default_factory=dict)
    suspicions: dict[str, Suspicion] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    closed_floor: int = 0
    recent: dict[str, deque[int]] = field(
        default_factory=lambda: {v: deque(maxlen=REMEMBERED) for v in (CCXT, NATIVE)}
    )
    _closed_order: list[int] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Ids that wait for a feed to deliver them, or for an answer what they mean."""
        suspected = sum(len(suspicion.trades) for suspicion in self.suspicions.values())
        return len(self.unseen) + sum(map(len, self.pending.values())) + suspected

    def oldest(self) -> list[float]:
        """When the oldest of each sort was named: they were put in as they came."""
        times = [seen.at_seconds for p in self.pending.values() for seen in list(p.values())[:1]]
        times += [suspicion.since for suspicion in self.suspicions.values()]
        return times + list(self.unseen.values())[:1]

    def looks_renumbered(self, variant: str, trade_id: int, seen: SeenTrade) -> bool:
        """Whether this is an old id of a trade that is later than all before of this feed."""
        if not seen.venue_seconds > self.newest_seconds[variant] > 0:
            return False
        if self.start_id is not None and trade_id > self.top_id:
            return False  # not old: somebody has made a higher one up
        partner = self.pending[OTHER[variant]].get(trade_id)
        return partner is None or not partner.same(seen)

    def delivered(self, variant: str, trade_id: int) -> bool:
        """Whether this feed delivered the id before; of what is long forgotten, any old id was.

        The content does not matter: the other feed's partner is gone, and no fault of that feed's.
        """
        if trade_id in self.unseen or trade_id in self.pending[OTHER[variant]]:
            return False
        recent = self.recent[variant]
        full = len(recent) == recent.maxlen
        forgotten = full and trade_id <= self.top_id and trade_id < min(recent)
        return forgotten or trade_id in recent

    def judged(self, trade_id: int) -> bool:
        """Whether the id is settled, disputed or given up already."""
        forgotten = trade_id <= self.closed_floor and trade_id not in self.unseen
        return trade_id in self.closed or forgotten

    def close(self, trade_id: int, limit: int) -> None:
        """Remember that an id was judged; of more than `limit` the lowest become a mere bound.

        The lowest, not the oldest: an id that a feed made up may be higher than all to come.
        """
        if trade_id in self.closed:
            return
        self.closed.add(trade_id)
        heapq.heappush(self._closed_order, trade_id)
        if len(self.closed) > limit:
            lowest = heapq.heappop(self._closed_order)
            self.closed.discard(lowest)
            self.closed_floor = max(self.closed_floor, lowest)

    def reach(self, trade_id: int, at: float, limit: int) -> int:
        """Take an id as real: lower ones that nobody named are due. Return how many did not fit."""
        if self.start_id is None or trade_id <= self.top_id:
            return 0
        low = max(self.top_id, self.closed_floor)
        first = max(low + 1, trade_id - limit + len(self.unseen))
        named = chain(*self.pending.values(), self.closed)
        beyond = first - low - 1
        if beyond > 0:
            beyond -= len({i for i in named if low < i < first})
        for skipped in range(first, trade_id):
            if not any(skipped in p for p in self.pending.values()) and not self.judged(skipped):
                self.unseen[skipped] = at
        self.top_id = trade_id
        return max(beyond, 0)
