"""ccxt's books as cryptofeed's, and how old each is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cryptofeed.types import OrderBook

from backpack_feed.constants import EXCHANGE, MILLISECONDS


@dataclass
class BookState:
    """One market: `fresh_at` is the monotonic time of the last advance or confirmation."""

    fresh_at: float
    sequence: int | None = None
    best_bid: str | None = None
    best_ask: str | None = None
    crossed: bool = False


class CcxtBooks:
    """The state of every wanted book; ages count from the start while there is no book."""

    def __init__(self, symbols: Iterable[str], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        start = monotonic()
        self.states = {symbol: BookState(start) for symbol in symbols}

    def ages(self) -> dict[str, float]:
        """Return seconds since each book was advanced by its stream or confirmed by REST."""
        now = self._monotonic()
        return {symbol: now - state.fresh_at for symbol, state in self.states.items()}

    def advance(self, symbol: str, book: OrderBook) -> None:
        """Note that the stream moved this book."""
        state = self.states[symbol]
        state.sequence, state.fresh_at = book.sequence_number, self._monotonic()
        bids, asks = book.book.bids, book.book.asks
        state.best_bid = format(bids.index(0)[0], "f") if len(bids) else None
        state.best_ask = format(asks.index(0)[0], "f") if len(asks) else None
        state.crossed = bool(len(bids) and len(asks)) and bids.index(0)[0] >= asks.index(0)[0]

    def is_crossed(self, symbol: str) -> bool:
        """Whether the best bid of the last book was at or above its best ask."""
        return self.states[symbol].crossed

    def confirm(self, symbol: str, venue_sequence: int | None) -> bool:
        """Take REST's word that a quiet book is still the right one; False when it is not."""
        state = self.states[symbol]
        if venue_sequence is None or venue_sequence != state.sequence:
            return False
        state.fresh_at = self._monotonic()
        return True

    def forget(self) -> None:
        """The socket is gone: no book is in place any more, but their ages go on."""
        for state in self.states.values():
            state.sequence = state.best_bid = state.best_ask = None

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return JSON values per symbol."""
        return {
            symbol: {
                "synced": state.sequence is not None,
                "sequence": state.sequence,
                "best_bid": state.best_bid,
                "best_ask": state.best_ask,
                "age_seconds": round(age, 3),
            }
            for (symbol, state), age in zip(self.states.items(), self.ages().values(), strict=True)
        }


def to_order_book(symbol: str, book: dict[str, Any], max_depth: int) -> OrderBook:
    """Return cryptofeed's OrderBook of a ccxt book: best `max_depth` levels, 0 means all."""
    levels = max_depth or None
    order_book = OrderBook(
        EXCHANGE,
        symbol,
        bids={_decimal(price): _decimal(amount) for price, amount in book["bids"][:levels]},
        asks={_decimal(price): _decimal(amount) for price, amount in book["asks"][:levels]},
    )
    order_book.sequence_number = book["nonce"]
    order_book.timestamp = book["timestamp"] / MILLISECONDS if book["timestamp"] else None
    return order_book


@lru_cache(maxsize=65_536)
def _decimal(number: float) -> Decimal:
    # ccxt keeps floats; their shortest text is the venue's text for up to 15 digits
    return Decimal(str(number))
