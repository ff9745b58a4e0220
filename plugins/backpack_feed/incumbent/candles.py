"""ccxt's rows of open, high, low and close as cryptofeed's candles."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from cryptofeed.types import Candle

from backpack_feed.constants import EXCHANGE, MILLISECONDS

MONTH: Final = "1M"
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Row = Sequence[Any]
"""ccxt's candle of a socket: end in ms (REST would give the start), open, high, low, close,
volume."""


class CandleWindow:
    """The candle of one market that is still open.

    ccxt drops the venue's closing mark, its count of trades and its time, so a candle counts as
    closed when the next one begins, and `trades` and `timestamp` are None.
    """

    def __init__(self, symbol: str, interval: str, *, closed_only: bool) -> None:
        self._symbol = symbol
        self._interval = interval
        self._closed_only = closed_only
        self._open: Row | None = None

    def forget(self) -> None:
        """The socket is gone: how the open candle ends is never heard."""
        self._open = None

    def take(self, rows: Iterable[Row]) -> list[Candle]:
        """Take the newest rows, oldest first; return what can be told of them."""
        candles = []
        for row in rows:
            before = self._open
            if before is not None and (row[0] < before[0] or tuple(row) == tuple(before)):
                continue
            self._open = row
            if before is not None and row[0] > before[0]:
                candles += self._candle(before, closed=True)
            if not self._closed_only:
                candles += self._candle(row, closed=False)
        return candles

    def _candle(self, row: Row, *, closed: bool) -> list[Candle]:
        if None in row:
            return []  # nothing was traded in it
        stop = row[0] / MILLISECONDS
        opened, high, low, close, volume = (Decimal(str(number)) for number in row[1:6])
        return [
            Candle(
                EXCHANGE,
                self._symbol,
                start_of(stop, self._interval),
                stop,
                self._interval,
                None,
                opened,
                close,
                high,
                low,
                volume,
                closed,
                None,
            )
        ]


def start_of(stop: float, interval: str) -> float:
    """Return the start of the candle of `interval` that ends at `stop`, both unix seconds."""
    if interval != MONTH:
        return stop - int(interval[:-1]) * _UNIT_SECONDS[interval[-1]]
    last_day = datetime.fromtimestamp(stop, UTC) - timedelta(days=1)
    return last_day.replace(day=1).timestamp()
