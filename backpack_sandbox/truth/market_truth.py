"""The truth about one market in exact decimals, read forward as a checker needs it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from backpack_sandbox.market.book import Level
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade

type BookSide = dict[Decimal, Decimal]
"""Price → quantity."""


STEPS_MAX: Final = 200
"""Changes after which a book is found quicker than it is reached."""


class TradeRow(NamedTuple):
    """A trade as it can be compared; what is None is not."""

    trade_id: int
    side: str
    price: Decimal
    quantity: Decimal
    time_us: int | None
    buyer_order_id: int | None = None
    seller_order_id: int | None = None


@dataclass(frozen=True, slots=True)
class BookSides:
    """A whole book, or the levels that changed, quantity 0 for a level that went."""

    bids: BookSide
    asks: BookSide

    def both(self) -> tuple[tuple[str, BookSide], tuple[str, BookSide]]:
        """The sides with their names."""
        return ("bid", self.bids), ("ask", self.asks)

    def apply(self, change: "BookSides") -> None:
        """Take a change into this book."""
        for book, levels in ((self.bids, change.bids), (self.asks, change.asks)):
            for price, quantity in levels.items():
                if quantity:
                    book[price] = quantity
                else:
                    book.pop(price, None)


class MarketTruth:
    """Trades, changes and books of one market. Books are cheapest asked for in order of id."""

    def __init__(self, market: Market, ledger: Ledger) -> None:
        self.symbol = market.symbol
        self._price = market.price_grid.value
        self._quantity = market.quantity_grid.value
        self._ledger = ledger
        self._cursor: tuple[int, BookSides] | None = None

    @property
    def newest_trade_id(self) -> int:
        """0 before the first trade."""
        newest = next(iter(self._ledger.newest_trades(self.symbol, 1)), None)
        return 0 if newest is None else newest.event.trade_id

    def span(self) -> tuple[int, int]:
        """The oldest and newest update id with a book."""
        return self._ledger.books.span(self.symbol)

    def trades(self, from_id: int) -> Iterator[TradeRow]:
        """Oldest first."""
        return map(self._row, self._ledger.trades_since(self.symbol, from_id))

    def change(self, first_id: int, last_id: int) -> BookSides | None:
        """What the levels were at the end that changed in these updates; None when unknown."""
        oldest, newest = self.span()
        if not oldest < first_id <= last_id <= newest:
            return None
        merged = BookSides({}, {})
        for event in self._ledger.books.changes(self.symbol, first_id, last_id):
            merged.bids.update(self._levels(event.bids))
            merged.asks.update(self._levels(event.asks))
        return merged

    def book(self, update_id: int) -> BookSides | None:
        """The whole book right after `update_id`, not to be changed; None when unknown."""
        if self._cursor is None or not self._forward(update_id):
            found = self._ledger.books.book(self.symbol, update_id)
            if found is None:
                return None
            bids, asks = found
            self._cursor = update_id, BookSides(self._levels(bids), self._levels(asks))
        return self._cursor[1]

    def tops(self, after_id: int, last_id: int) -> list[int]:
        """The updates after `after_id`, up to `last_id`, that changed the best bid or ask."""
        found = self._ledger.books.book(self.symbol, after_id)
        if found is None:
            return []
        bids, asks = (dict(levels) for levels in found)
        top, changed = _top(bids, asks), []
        for event in self._ledger.books.changes(self.symbol, after_id + 1, last_id):
            for side, levels in ((bids, event.bids), (asks, event.asks)):
                for price, quantity in levels:
                    if quantity:
                        side[price] = quantity
                    else:
                        side.pop(price, None)
            before, top = top, _top(bids, asks)
            if top != before:
                changed.append(event.update_id)
        return changed

    def _forward(self, update_id: int) -> bool:
        """Move the cursor on; False when another book is nearer, or there is none."""
        if self._cursor is None or not 0 <= update_id - self._cursor[0] <= STEPS_MAX:
            return False
        at, book = self._cursor
        if update_id > at:
            change = self.change(at + 1, update_id)
            if change is None:
                return False
            book.apply(change)
            self._cursor = update_id, book
        return True

    def _row(self, trade: PublishedTrade) -> TradeRow:
        event = trade.event
        return TradeRow(
            event.trade_id,
            "sell" if event.buyer_is_maker else "buy",
            self._price(event.price),
            self._quantity(event.quantity),
            trade.engine_us,
            event.buyer_order_id,
            event.seller_order_id,
        )

    def _levels(self, levels: "list[Level] | tuple[Level, ...]") -> BookSide:
        price, quantity = self._price, self._quantity
        return {price(p): quantity(q) for p, q in levels}


def _top(bids: Mapping[int, int], asks: Mapping[int, int]) -> tuple[Level | None, Level | None]:
    bid, ask = max(bids, default=None), min(asks, default=None)
    return (
        None if bid is None else (bid, bids[bid]),
        None if ask is None else (ask, asks[ask]),
    )
