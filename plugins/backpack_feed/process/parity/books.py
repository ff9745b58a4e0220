"""Books of both feeds, compared level by level at the same sequence number. Pure.

Native publishes every change, ccxt its whole book now and then. So native's changes are kept, by
reference, and replayed up to a sequence number only once ccxt publishes a book of that number:
nothing is copied or sorted for the numbers that only one of them publishes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from order_book import OrderBook as Ladder

from backpack_feed.process.parity.values import (
    BOOK_LEVELS,
    CCXT,
    NATIVE,
    BookDispute,
    Level,
    Side,
    Top,
    first_difference,
)

MAX_CHANGES: Final = 4_096
MAX_CHANGED_LEVELS: Final = 50_000
MAX_WAITING: Final = 32
"""Books of ccxt that are ahead of native; each holds 200 levels."""
RECHECK_CAP_SECONDS: Final = 30.0
"""While books go on differing a dispute is opened ever more rarely, at last this often."""


class Change(NamedTuple):
    """What native published at one sequence number: a delta, or with `whole` all levels.

    `own` is the top of the book that native showed with it, None when nobody looked.
    """

    sequence: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    whole: bool = False
    own: Top | None = None


@dataclass
class _Market:
    replica: Any = field(default_factory=Ladder)
    sequence: int = -1
    newest: int = -1
    changes: deque[Change] = field(default_factory=deque)
    levels: int = 0
    waiting: dict[int, Top] = field(default_factory=dict)
    compared_sequence: int = -1
    differs_since: float | None = None
    disputed_at: float = float("-inf")


class BookMatcher:
    """Counts books that both feeds published alike and opens disputes for those that differ.

    `skipped` are ccxt's books whose number native did not publish, or not any more; `agrees` gets
    the symbol of each pair of books that are alike.
    """

    def __init__(
        self,
        *,
        dispute: Callable[[BookDispute], None],
        agrees: Callable[[str], None],
        own_book_differs: Callable[[dict[str, Any]], None],
    ) -> None:
        self.agreed = 0
        self.disagreed = 0
        self.skipped = 0
        self._dispute = dispute
        self._agrees = agrees
        self._own_book_differs = own_book_differs
        self._markets: dict[str, _Market] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """Markets of which somebody published a book."""
        return frozenset(self._markets)

    @property
    def pending(self) -> int:
        """Books of ccxt that wait for native to get there."""
        return sum(len(market.waiting) for market in self._markets.values())

    @property
    def kept(self) -> int:
        """Levels that are kept for replaying."""
        return sum(
            market.levels + len(market.replica.bids) + len(market.replica.asks)
            for market in self._markets.values()
        )

    def native(self, symbol: str, change: Change, now: float) -> None:
        """Take what native published; `now` is monotonic seconds."""
        market = self._markets.setdefault(symbol, _Market())
        if change.sequence < market.newest:
            market = self._markets[symbol] = _Market()  # the venue numbers anew
        if market.newest < 0 and not change.whole:
            return  # a change of a book that nobody has seen
        market.newest = change.sequence
        market.changes.append(change)
        market.levels += len(change.bids) + len(change.asks)
        if market.waiting:
            self._catch_up(symbol, market, now)
        while len(market.changes) > MAX_CHANGES or (
            market.levels > MAX_CHANGED_LEVELS and market.changes
        ):
            self._apply(symbol, market)

    def ccxt(self, symbol: str, sequence: int, top: Top, now: float) -> None:
        """Take a book of ccxt."""
        market = self._markets.setdefault(symbol, _Market())
        if sequence > market.newest:
            market.waiting[sequence] = top
            if len(market.waiting) > MAX_WAITING:
                del market.waiting[next(iter(market.waiting))]
                self.skipped += 1
        elif sequence != market.compared_sequence:
            self._compare(symbol, market, sequence, top, now)

    def _catch_up(self, symbol: str, market: _Market, now: float) -> None:
        for sequence in sorted(s for s in market.waiting if s <= market.newest):
            self._compare(symbol, market, sequence, market.waiting.pop(sequence), now)

    def _compare(self, symbol: str, market: _Market, sequence: int, top: Top, now: float) -> None:
        while market.changes and market.changes[0].sequence <= sequence:
            self._apply(symbol, market)
        if market.sequence != sequence:
            self.skipped += 1
            return
        market.compared_sequence = sequence
        native = top_of(market.replica)
        if native == top:
            self.agreed += 1
            self._agrees(symbol)
            market.differs_since = None
            return
        self.disagreed += 1
        self._differ(symbol, market, {CCXT: top, NATIVE: native}, now)

    def _differ(self, symbol: str, market: _Market, tops: dict[str, Top], now: float) -> None:
        if market.differs_since is None:
            market.differs_since = now
        elif now - market.disputed_at < _patience(market.disputed_at - market.differs_since):
            return
        market.disputed_at = now
        self._dispute(BookDispute(symbol, market.sequence, tops, now))

    def _apply(self, symbol: str, market: _Market) -> None:
        change = market.changes.popleft()
        market.levels -= len(change.bids) + len(change.asks)
        market.sequence = change.sequence
        replica = market.replica
        if change.whole:
            replica.bids, replica.asks = dict(change.bids), dict(change.asks)
        else:
            _change(replica.bids, change.bids)
            _change(replica.asks, change.asks)
        if change.own is not None and change.own != (top := top_of(replica)):
            evidence = first_difference({"changes": top, "shown": change.own})
            said = {"symbol": symbol, "sequence": change.sequence, "first_difference": evidence}
            self._own_book_differs(said)


def top_of(ladder: Any) -> Top:
    """Return the best levels of a ladder."""
    return _best(ladder.bids), _best(ladder.asks)


def _best(side: Any) -> Side:
    return tuple((price, side[price]) for price in islice(side, BOOK_LEVELS))


def _change(side: Any, levels: Sequence[Level]) -> None:
    for price, amount in levels:
        if amount:
            side[price] = amount
        elif price in side:
            del side[price]


def _patience(lasting_seconds: float) -> float:
    return min(max(1.0, lasting_seconds), RECHECK_CAP_SECONDS)
