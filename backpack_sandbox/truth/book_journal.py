"""The true book at any update id: whole books now and then, and every change between."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Final

from backpack_sandbox.market.book import Level
from backpack_sandbox.market.events import BookEvent
from backpack_sandbox.truth.store import Row, TruthStore

CHAPTER_CHANGES: Final = 1000
"""Levels changed per chapter: bounds the memory per market and the work for one book."""

type Book = tuple[list[Level], list[Level]]
"""(bids, asks), each ascending by price."""
type Sides = tuple[dict[int, int], dict[int, int]]
type _Change = tuple[int, int, int]
"""(update id, price in ticks, quantity in steps x 2 + side), side 1 for an ask."""


class _MarketJournal:
    """The open chapter of one market: the book it began with, and the changes since."""

    def __init__(self, symbol: str, store: TruthStore, place: Callable[[], int]) -> None:
        self._symbol = symbol
        self._store = store
        self._place = place
        self.sides: Sides = ({}, {})
        self.last_id = 0
        self._begin_chapter()

    def begin(self, bids: Sequence[Level], asks: Sequence[Level], update_id: int) -> None:
        """Go on from this book; nothing new when it is the one that the journal has."""
        sides = dict(bids), dict(asks)
        if (sides, update_id) == (self.sides, self.last_id):
            return
        self.flush()
        self.sides, self.last_id = sides, update_id
        self._begin_chapter()

    def note(self, event: BookEvent) -> None:
        bids, asks = self.sides
        if event.bids:
            self._change(event.update_id, event.bids, bids, 0)
        if event.asks:
            self._change(event.update_id, event.asks, asks, 1)
        self.last_id = event.update_id
        if len(self.changes) >= 3 * CHAPTER_CHANGES:
            self.flush()

    def _change(
        self, update_id: int, levels: Sequence[Level], book: dict[int, int], side: int
    ) -> None:
        for price, quantity in levels:
            self.changes.extend((update_id, price, quantity << 1 | side))
            if quantity:
                book[price] = quantity
            else:
                book.pop(price, None)

    def flush(self) -> None:
        """Hand the open chapter to the store, and begin the next."""
        if self.last_id > self.first_id:
            self._store.add("books", self._symbol, self.row())
            self._begin_chapter()

    def row(self) -> Row:
        """The open chapter, packed as a stored one is."""
        packed = array("q", (len(self._start[0]), len(self._start[1])))
        for levels in self._start:
            packed.extend(chain.from_iterable(levels))
        content = (packed + self.changes).tobytes()
        return Row(self.first_id, self.last_id, self._begun_at, content)

    def _begin_chapter(self) -> None:
        self.first_id = self.last_id
        self._begun_at = self._place()
        self.changes = array("q")
        self._start = tuple(tuple(side.items()) for side in self.sides)


class BookJournal:
    """Notes every book change of every market. Old chapters lie in the store, not in memory.

    `place` tells how many bytes of the ledger are written: where to look for what comes next.
    """

    def __init__(self, store: TruthStore, place: Callable[[], int]) -> None:
        self._store = store
        self._place = place
        self._markets: dict[str, _MarketJournal] = {}

    def begin(
        self, symbol: str, bids: Sequence[Level], asks: Sequence[Level], update_id: int
    ) -> None:
        """The book of a market as it stands: at its first start, and where a checkpoint was."""
        if symbol not in self._markets:
            self._markets[symbol] = _MarketJournal(symbol, self._store, self._place)
        self._markets[symbol].begin(bids, asks, update_id)

    def note(self, event: BookEvent) -> None:
        """Take a change as it is published."""
        self._markets[event.symbol].note(event)

    def flush(self) -> None:
        """Hand every open chapter to the store: a checkpoint follows."""
        for market in self._markets.values():
            market.flush()

    def span(self, symbol: str) -> tuple[int, int]:
        """The oldest and the newest update id whose book is known."""
        market = self._markets[symbol]
        oldest = self._store.after("books", symbol, -1)
        return (market.first_id if oldest is None else oldest.first_id), market.last_id

    def book(self, symbol: str, update_id: int) -> Book | None:
        """The whole book right after `update_id`; None outside `span`."""
        row = self._chapter(symbol, update_id)
        if row is None or update_id > row.last_id:
            return None
        (bids, asks), changes = _unpack(row.content)
        for number, price, coded in changes:
            if number > update_id:
                break
            (asks if coded & 1 else bids)[price] = coded >> 1
        return _levels(bids), _levels(asks)

    def changes(self, symbol: str, from_id: int, to_id: int) -> Iterator[BookEvent]:
        """Every change with an id from `from_id` to `to_id`, both included, oldest first."""
        row = self._chapter(symbol, from_id - 1) or self._store.after("books", symbol, -1)
        newest = self._markets[symbol].last_id
        while row is not None:
            _, packed = _unpack(row.content)
            wanted = (change for change in packed if from_id <= change[0] <= to_id)
            for update_id, levels in groupby(wanted, key=itemgetter(0)):
                yield _event(symbol, update_id, levels)
            if row.last_id >= min(to_id, newest):
                return
            from_id = row.last_id + 1
            row = self._next(symbol, row)

    def place(self, symbol: str, update_id: int) -> int:
        """The byte of the ledger from which on to look for the line of an update."""
        row = self._chapter(symbol, update_id - 1)
        return 0 if row is None else row.place

    def _chapter(self, symbol: str, update_id: int) -> Row | None:
        market = self._markets[symbol]
        if update_id >= market.first_id:
            return market.row()
        return self._store.at("books", symbol, update_id)

    def _next(self, symbol: str, row: Row) -> Row | None:
        stored = self._store.after("books", symbol, row.first_id)
        return self._markets[symbol].row() if stored is None else stored


def _unpack(content: bytes) -> tuple[Sides, Iterator[_Change]]:
    numbers = memoryview(content).cast("q").tolist()
    bids_end = 2 + 2 * numbers[0]
    asks_end = bids_end + 2 * numbers[1]
    bids = dict(_pairs(numbers[2:bids_end]))
    asks = dict(_pairs(numbers[bids_end:asks_end]))
    changes = iter(numbers[asks_end:])
    return (bids, asks), zip(changes, changes, changes, strict=True)


def _pairs(numbers: list[int]) -> Iterator[Level]:
    each = iter(numbers)
    return zip(each, each, strict=True)


def _levels(side: Mapping[int, int]) -> list[Level]:
    return sorted((price, quantity) for price, quantity in side.items() if quantity)


def _event(symbol: str, update_id: int, changes: Iterator[_Change]) -> BookEvent:
    sides: tuple[list[Level], list[Level]] = ([], [])
    for _, price, coded in changes:
        sides[coded & 1].append((price, coded >> 1))
    return BookEvent(symbol, update_id, tuple(sides[0]), tuple(sides[1]))
