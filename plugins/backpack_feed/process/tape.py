"""The tape: every trade and a sample of every book, as JSON lines in one folder.

An id is on the tape exactly when it was delivered: a line is one unbuffered append, a torn last
line is cut when the tape is opened, and the last id of each symbol is read back as the checkpoint.
"""

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptofeed.types import OrderBook, Trade

from backpack_feed.process.tape_file import TapeFile

BOOK_LEVELS = 10


class Tape:
    """Both files of one instance, with a cryptofeed callback for each."""

    def __init__(
        self,
        directory: Path,
        *,
        instance_id: str,
        variant: str,
        book_interval_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stamp = {"instance_id": instance_id, "variant": variant}
        self._trades = TapeFile(directory / "trades.jsonl")
        self._books = TapeFile(directory / "books.jsonl")
        self._book_interval_seconds = book_interval_seconds
        self._monotonic = monotonic
        self._book_written: dict[str, float] = {}

    def last_ids(self, symbols: Iterable[str]) -> dict[str, int]:
        """Return the checkpoint: the last delivered trade id of each symbol that has one."""
        return self._trades.last_ids(symbols)

    async def trade(self, trade: Trade, receipt_timestamp: float) -> None:
        """Write the trade before returning, so that returning means delivered."""
        self._trades.append(
            {
                "channel": "trades",
                **self._stamp,
                "symbol": trade.symbol,
                "id": trade.id,
                "side": trade.side,
                "price": _text(trade.price),
                "amount": _text(trade.amount),
                "timestamp": trade.timestamp,
                "receipt_timestamp": receipt_timestamp,
            }
        )

    async def book(self, book: OrderBook, receipt_timestamp: float) -> None:
        """Write the top of the book at most once per interval and symbol."""
        now = self._monotonic()
        last = self._book_written.get(book.symbol)
        if last is not None and now - last < self._book_interval_seconds:
            return
        self._book_written[book.symbol] = now
        self._books.append(
            {
                "channel": "l2_book",
                **self._stamp,
                "symbol": book.symbol,
                "sequence": book.sequence_number,
                "bids": _levels(book.book.bids),
                "asks": _levels(book.book.asks),
                "timestamp": book.timestamp,
                "receipt_timestamp": receipt_timestamp,
            }
        )

    def close(self) -> None:
        """Close both files."""
        self._trades.close()
        self._books.close()


def _levels(side: Any) -> list[list[str]]:
    return [
        [_text(price), _text(amount)]
        for price, amount in (side.index(i) for i in range(min(BOOK_LEVELS, len(side))))
    ]


def _text(value: Decimal) -> str:
    """Plain digits, never an exponent."""
    return format(value, "f")
