"""Every trade since the ledger began: the newest in memory, the others in the store."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import batched, islice, takewhile
from typing import Final, Protocol

from backpack_sandbox.market.events import TradeEvent
from backpack_sandbox.truth.store import Row, TruthStore

KEPT: Final = 10_000
"""Trades of a market in memory; `/trades` seldom asks for older ones."""
CHAPTER_TRADES: Final = 1000
EVERYTHING: Final = 2**62


@dataclass(frozen=True, slots=True)
class PublishedTrade:
    """A trade with its engine time in µs; price and quantity are counts of the market's grids."""

    event: TradeEvent
    engine_us: int


class TradeHistory(Protocol):
    """Where `/trades` gets its answers from."""

    def newest_trades(self, symbol: str, limit: int, offset: int = 0) -> Iterable[PublishedTrade]:
        """The last trades of one market, newest first."""
        ...


class _MarketTrades:
    def __init__(self, symbol: str, store: TruthStore, place: Callable[[], int]) -> None:
        self.symbol = symbol
        self._store = store
        self._place = place
        self._unstored = 0
        self._begun_at = 0
        stored = store.newest_first("trades", symbol, EVERYTHING)
        newest = (trade for row in stored for trade in reversed(_unpack(symbol, row)))
        self.recent = list(islice(newest, KEPT))[::-1]

    def note(self, trade: PublishedTrade) -> None:
        if not self._unstored:
            self._begun_at = self._place()
        self.recent.append(trade)
        self._unstored += 1
        if self._unstored >= CHAPTER_TRADES:
            self.flush()

    def flush(self) -> None:
        """Hand what is new to the store, and forget what memory need not keep."""
        if self._unstored:
            row = _pack(self.recent[-self._unstored :], self._begun_at)
            self._store.add("trades", self.symbol, row)
            self._unstored = 0
        if len(self.recent) > KEPT + CHAPTER_TRADES:
            del self.recent[:-KEPT]

    def place(self, trade_id: int) -> int:
        first_unstored = self.recent[-self._unstored].event.trade_id if self._unstored else None
        if first_unstored is not None and trade_id >= first_unstored:
            return self._begun_at
        row = self._store.at("trades", self.symbol, trade_id)
        return 0 if row is None else row.place

    def newest(self) -> Iterator[PublishedTrade]:
        """Newest first, as far back as the ledger goes; stored ones are read as they are needed."""
        yield from reversed(self.recent)
        if not self.recent:
            return
        oldest = self.recent[0].event.trade_id
        for row in self._store.newest_first("trades", self.symbol, oldest):
            older = _unpack(self.symbol, row)
            yield from (t for t in reversed(older) if t.event.trade_id < oldest)

    def since(self, from_id: int) -> Iterator[PublishedTrade]:
        """Oldest first, from the id on; trades may be noted meanwhile."""
        while batch := self._some(from_id):
            from_id = batch[-1].event.trade_id + 1
            yield from batch

    def page(self, limit: int, offset: int) -> list[PublishedTrade]:
        """Newest first, without the `offset` newest: ids have no holes, so they are counted."""
        end = len(self.recent) - offset
        if limit <= end:
            return self.recent[end - limit : end][::-1]
        if not self.recent:
            return []
        last_id = self.recent[-1].event.trade_id - offset
        trades = self.since(max(0, last_id - limit + 1))
        return list(takewhile(lambda trade: trade.event.trade_id <= last_id, trades))[::-1]

    def _some(self, from_id: int) -> list[PublishedTrade]:
        """The next trades from the id on; none when it is above the newest."""
        recent = self.recent
        if recent and from_id < recent[0].event.trade_id:
            row = self._store.at("trades", self.symbol, from_id)
            if row is None or row.last_id < from_id:
                row = self._store.after("trades", self.symbol, from_id)
            stored = _unpack(self.symbol, row) if row else []
            # a chapter may begin before the id, and end within those in memory
            reach = range(from_id, recent[0].event.trade_id)
            if found := [trade for trade in stored if trade.event.trade_id in reach]:
                return found
        start = bisect_left(recent, from_id, key=lambda trade: trade.event.trade_id)
        return recent[start : start + CHAPTER_TRADES]


class TradeJournal:
    """The trades of every market; `place` tells how many bytes of the ledger are written."""

    def __init__(self, store: TruthStore, place: Callable[[], int]) -> None:
        self._store = store
        self._place = place
        self._markets: dict[str, _MarketTrades] = {}

    def note(self, trade: PublishedTrade) -> None:
        """Take a trade as it is published; ids of a market only grow."""
        self._market(trade.event.symbol).note(trade)

    def flush(self) -> None:
        """Hand everything to the store: a checkpoint follows."""
        for market in self._markets.values():
            market.flush()

    def since(self, symbol: str, from_id: int) -> Iterator[PublishedTrade]:
        """Trades with ids from `from_id` on, oldest first."""
        return self._market(symbol).since(from_id)

    def newest(self, symbol: str) -> Iterator[PublishedTrade]:
        """All trades, newest first, read as they are asked for."""
        return self._market(symbol).newest()

    def newest_trades(self, symbol: str, limit: int, offset: int = 0) -> Iterable[PublishedTrade]:
        """The last trades of one market, newest first."""
        return self._market(symbol).page(limit, offset)

    def count_since(self, symbol: str, from_id: int) -> int:
        """How many trades have ids from `from_id` on; ids have no holes."""
        recent = self._market(symbol).recent
        return max(0, recent[-1].event.trade_id - from_id + 1) if recent else 0

    def place(self, symbol: str, trade_id: int) -> int:
        """The byte of the ledger from which on to look for the line of a trade."""
        return self._market(symbol).place(trade_id)

    def _market(self, symbol: str) -> _MarketTrades:
        if symbol not in self._markets:
            self._markets[symbol] = _MarketTrades(symbol, self._store, self._place)
        return self._markets[symbol]


def _pack(trades: list[PublishedTrade], place: int) -> Row:
    packed = array("q")
    for trade in trades:
        e = trade.event
        packed.extend((e.trade_id, e.price, e.quantity, e.buyer_order_id, e.seller_order_id))
        packed.extend((e.buyer_is_maker, trade.engine_us))
    first, last = trades[0].event.trade_id, trades[-1].event.trade_id
    return Row(first, last, place, packed.tobytes())


def _unpack(symbol: str, row: Row) -> list[PublishedTrade]:
    numbers = memoryview(row.content).cast("q").tolist()
    return [
        PublishedTrade(
            TradeEvent(symbol, number, price, quantity, buyer, seller, bool(is_maker)), us
        )
        for number, price, quantity, buyer, seller, is_maker, us in batched(numbers, 7, strict=True)
    ]
