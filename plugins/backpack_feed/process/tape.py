"""The tape: every trade, a sample of every book, and every other event, as JSON lines in a folder.

An id is on the tape exactly when it was delivered: a line is one unbuffered append, a torn last
line is cut when the tape is opened, and the last id of each symbol is read back as the checkpoint.
"""

import time
from collections.abc import Callable, Coroutine, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.types import OrderBook, Trade

from backpack_feed.process.tape_file import TapeFile

BOOK_LEVELS = 10
TRADES_FILE = "trades.jsonl"
BOOKS_FILE = "books.jsonl"

Callback = Callable[[Any, float], Coroutine[Any, Any, None]]


class Tape:
    """The files of one instance, with a cryptofeed callback for each channel.

    Channels other than trades and books are written as their events' own `to_dict` into
    `<channel>.jsonl`, every event, decimals as plain digits.
    """

    def __init__(
        self,
        directory: Path,
        *,
        instance_id: str,
        variant: str,
        channels: Iterable[str] = (),
        book_interval_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stamp = {"instance_id": instance_id, "variant": variant}
        self._trades = TapeFile(directory / TRADES_FILE)
        self._books = TapeFile(directory / BOOKS_FILE)
        self._others = {
            channel: TapeFile(directory / f"{channel}.jsonl")
            for channel in channels
            if channel not in {TRADES, L2_BOOK}
        }
        self._book_interval_seconds = book_interval_seconds
        self._monotonic = monotonic
        self._book_written: dict[str, float] = {}

    def last_ids(self, symbols: Iterable[str]) -> dict[str, int]:
        """Return the checkpoint: the last delivered trade id of each symbol that has one."""
        return self._trades.last_ids(symbols)

    def callback(self, channel: str) -> Callback:
        """Return the callback that writes `channel`, one that the tape was opened for."""
        if channel == TRADES:
            return self.trade
        if channel == L2_BOOK:
            return self.book
        file = self._others[channel]

        async def write(event: Any, receipt_timestamp: float) -> None:
            fields = event.to_dict(numeric_type=_text)
            file.append(
                {
                    "channel": channel,
                    **self._stamp,
                    **fields,
                    "receipt_timestamp": receipt_timestamp,
                }
            )

        return write

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
        """Close every file."""
        for file in (self._trades, self._books, *self._others.values()):
            file.close()


def _levels(side: Any) -> list[list[str]]:
    return [
        [_text(price), _text(amount)]
        for price, amount in (side.index(i) for i in range(min(BOOK_LEVELS, len(side))))
    ]


def _text(value: Decimal) -> str:
    """Plain digits, never an exponent."""
    return format(value, "f")
