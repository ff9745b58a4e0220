"""Trades of both feeds, matched by id. Pure: no clock, no I/O.

The venue numbers the trades of a market without holes and both feeds deliver in that order. So from
the first id that both delivered on, every id must come from both within the lateness bound: one
that comes from one alone, from neither, or twice is a disagreement.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from backpack_feed.process.parity.values import CCXT, NATIVE, OTHER, SeenTrade, TradeDispute

LATENESS_SECONDS: Final = 30.0
START_SECONDS: Final = 60.0
"""So long a market may wait for its first common id; then everything new counts anyhow."""
MAX_PENDING: Final = 5_000
REMEMBERED: Final = 1_000


@dataclass
class _Market:
    """`top_id` is the highest id that anybody named; `unseen` are lower ones of nobody."""

    start_id: int | None = None
    top_id: int = 0
    first_at: float | None = None
    newest_id: dict[str, int] = field(default_factory=lambda: {CCXT: 0, NATIVE: 0})
    newest_seconds: dict[str, float] = field(default_factory=lambda: {CCXT: 0.0, NATIVE: 0.0})
    pending: dict[str, dict[int, SeenTrade]] = field(default_factory=lambda: {CCXT: {}, NATIVE: {}})
    unseen: dict[int, float] = field(default_factory=dict)
    closed: dict[int, None] = field(default_factory=dict)
    closed_floor: int = 0
    recent: dict[str, deque[int]] = field(
        default_factory=lambda: {v: deque(maxlen=REMEMBERED) for v in (CCXT, NATIVE)}
    )


class TradeMatcher:
    """Counts ids that both feeds delivered alike and opens a dispute for each of the others.

    `dispute` gets a `TradeDispute`; `matched` (native's, ccxt's) pairs; `repeated` variant, symbol
    and id; `overflown` the disagreements that memory had no room for; `renumbered` the symbol whose
    ids mean other trades from now on.
    """

    def __init__(
        self,
        *,
        dispute: Callable[[TradeDispute], None],
        matched: Callable[[SeenTrade, SeenTrade], None],
        repeated: Callable[[str, str, int], None],
        overflown: Callable[[str, int], None],
        renumbered: Callable[[str], None],
        lateness_seconds: float = LATENESS_SECONDS,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self.lateness_seconds = lateness_seconds
        self.max_pending = max_pending
        self.agreed = 0
        self.disagreed = 0
        self.renumberings = 0
        self._dispute = dispute
        self._matched = matched
        self._repeated = repeated
        self._overflown = overflown
        self._renumbered = renumbered
        self._markets: dict[str, _Market] = {}

    @property
    def pending(self) -> int:
        """Ids that wait for a feed to deliver them."""
        return sum(
            len(m.unseen) + sum(len(p) for p in m.pending.values()) for m in self._markets.values()
        )

    def oldest_at(self) -> float | None:
        """When the oldest of them was named first (monotonic seconds); None without any."""
        times = [at for market in self._markets.values() for at in _oldest(market)]
        return min(times, default=None)

    def trade(self, variant: str, symbol: str, trade_id: int, seen: SeenTrade) -> None:
        """Take one trade of one feed."""
        market = self._markets.setdefault(symbol, _Market())
        if trade_id <= market.newest_id[variant]:
            if seen.venue_seconds > market.newest_seconds[variant] > 0:
                self.renumberings += 1  # an old id of a trade that is later than all before
                market = self._markets[symbol] = _Market()
                self._renumbered(symbol)
            elif _delivered(market, variant, trade_id):
                self._repeated(variant, symbol, trade_id)
                return
        market.newest_id[variant] = max(market.newest_id[variant], trade_id)
        market.newest_seconds[variant] = max(market.newest_seconds[variant], seen.venue_seconds)
        market.recent[variant].append(trade_id)
        if market.first_at is None:
            market.first_at = seen.at_seconds
        if market.start_id is None or trade_id >= market.start_id:
            self._take(symbol, market, variant, trade_id, seen)

    def expire(self, now: float) -> None:
        """Open a dispute for every id that is later than the bound; `now` is monotonic seconds."""
        for symbol, market in self._markets.items():
            for variant in (CCXT, NATIVE):
                self._expire_pending(symbol, market, variant, now)
            while market.unseen:
                trade_id, at = next(iter(market.unseen.items()))
                if now - at <= self.lateness_seconds:
                    break
                del market.unseen[trade_id]
                self._open(symbol, market, trade_id, {CCXT: None, NATIVE: None}, now)
            waited = market.first_at is not None and now - market.first_at > START_SECONDS
            if market.start_id is None and waited:
                # one feed may be dead from the start: whatever happens from now on must come
                # from both, and what happened before that is nobody's fault
                newest_id = max(market.newest_id.values())
                self._start(symbol, market, newest_id + 1, now, top_id=newest_id)

    def _take(
        self, symbol: str, market: _Market, variant: str, trade_id: int, seen: SeenTrade
    ) -> None:
        partner = market.pending[OTHER[variant]].pop(trade_id, None)
        if partner is None:
            forgotten = trade_id <= market.closed_floor and trade_id not in market.unseen
            if trade_id in market.closed or forgotten:
                return  # judged already: it came too late
            market.unseen.pop(trade_id, None)
            market.pending[variant][trade_id] = seen
            self._reach(symbol, market, trade_id, seen.at_seconds)
            self._bound(symbol, market, variant)
            return
        if market.start_id is None:
            self._start(symbol, market, trade_id, seen.at_seconds, top_id=trade_id)
        self._compare(symbol, market, trade_id, {variant: seen, OTHER[variant]: partner})

    def _compare(
        self, symbol: str, market: _Market, trade_id: int, said: dict[str, SeenTrade]
    ) -> None:
        if said[NATIVE].same(said[CCXT]):
            self.agreed += 1
            self._matched(said[NATIVE], said[CCXT])
            return
        now = max(seen.at_seconds for seen in said.values())
        self._open(symbol, market, trade_id, said, now)

    def _start(
        self, symbol: str, market: _Market, start_id: int, now: float, *, top_id: int
    ) -> None:
        """Everything older was before the comparison."""
        market.start_id, market.top_id = start_id, top_id
        for pending in market.pending.values():
            for trade_id in [i for i in pending if i < start_id]:
                del pending[trade_id]
        for trade_id in sorted(set().union(*market.pending.values())):
            self._reach(symbol, market, trade_id, now)

    def _reach(self, symbol: str, market: _Market, trade_id: int, now: float) -> None:
        """Note the ids that were skipped on the way up to this one."""
        if market.start_id is None or trade_id <= market.top_id:
            return
        first = max(market.top_id + 1, trade_id - self.max_pending + len(market.unseen))
        beyond = first - market.top_id - 1
        if beyond:
            self.disagreed += beyond
            self._overflown(symbol, beyond)
        market.unseen.update(dict.fromkeys(range(first, trade_id), now))
        market.top_id = trade_id

    def _expire_pending(self, symbol: str, market: _Market, variant: str, now: float) -> None:
        pending = market.pending[variant]
        while pending:
            trade_id, seen = next(iter(pending.items()))
            if now - seen.at_seconds <= self.lateness_seconds:
                return
            del pending[trade_id]
            if market.start_id is not None:
                self._open(symbol, market, trade_id, {variant: seen, OTHER[variant]: None}, now)

    def _bound(self, symbol: str, market: _Market, variant: str) -> None:
        pending = market.pending[variant]
        if len(pending) <= self.max_pending:
            return
        # not late yet, so nobody can be blamed for it; but it is not compared either
        trade_id = next(iter(pending))
        del pending[trade_id]
        if market.start_id is not None:
            self._close(market, trade_id)
            self.disagreed += 1
            self._overflown(symbol, 1)

    def _open(
        self,
        symbol: str,
        market: _Market,
        trade_id: int,
        said: Mapping[str, SeenTrade | None],
        now: float,
    ) -> None:
        self._close(market, trade_id)
        self.disagreed += 1
        self._dispute(TradeDispute(symbol, trade_id, said, now))

    def _close(self, market: _Market, trade_id: int) -> None:
        market.closed[trade_id] = None
        if len(market.closed) > self.max_pending:
            oldest_id = next(iter(market.closed))
            del market.closed[oldest_id]
            market.closed_floor = max(market.closed_floor, oldest_id)


def _oldest(market: _Market) -> list[float]:
    """The first of each is the oldest: they were put in as they came."""
    times = [seen.at_seconds for p in market.pending.values() for seen in list(p.values())[:1]]
    return times + list(market.unseen.values())[:1]


def _delivered(market: _Market, variant: str, trade_id: int) -> bool:
    """Whether this feed delivered the id before; of what is long forgotten, any old id was.

    The content does not matter: the other feed's partner is gone, and no fault of that feed's.
    """
    recent = market.recent[variant]
    forgotten = len(recent) == recent.maxlen and trade_id < recent[0]
    return forgotten or trade_id in recent
