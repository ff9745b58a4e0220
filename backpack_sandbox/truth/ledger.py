"""The ground truth: every published event, in its wire form, before anyone can have received it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import msgspec

from backpack_sandbox.market.events import TradeEvent

TRADES_KEPT: Final = 200_000


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


class Ledger:
    """Append-only JSON lines.

    A line is either a frame (`{"data":…,"stream":…}`) exactly as sent, or the start of a session
    (`{"session":…}`) with the books and ids it started from. Lines go to the operating system in
    `commit`, which the venue calls before any socket writes: what a client has seen is in the
    file, even after a kill -9. Only a power cut can lose the last lines.
    """

    def __init__(self, path: Path, trades: Mapping[str, list[PublishedTrade]]) -> None:
        self.path = path
        self._trades = {symbol: list(known) for symbol, known in trades.items()}
        self._pending: list[bytes] = []
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, frame: bytes) -> None:
        """Add one published frame; in the file after the next `commit`."""
        self._pending.append(frame)

    def append_trade(self, trade: PublishedTrade, frame: bytes) -> None:
        """Add a trade's frame, and keep the trade for `/trades` and the truth endpoint."""
        self._pending.append(frame)
        known = self._trades.setdefault(trade.event.symbol, [])
        known.append(trade)
        if len(known) > TRADES_KEPT:
            del known[: TRADES_KEPT // 10]

    def begin_session(self, session: Mapping[str, Any]) -> None:
        """Write the line that lets a reader rebuild every book of this session."""
        self._pending.append(msgspec.json.encode({"session": session}))
        self.commit()

    def commit(self) -> None:
        """Hand everything appended so far to the operating system, in one write."""
        if self._pending:
            lines = b"\n".join(self._pending) + b"\n"
            self._pending.clear()
            _write_all(self._file, lines)

    def trades(self, symbol: str, from_id: int = 0) -> list[PublishedTrade]:
        """Trades of one market with ids from `from_id` on, oldest first."""
        known = self._trades.get(symbol, [])
        if not known:
            return []
        # ids are sequential, so the position follows from the id
        start = max(0, from_id - known[0].event.trade_id)
        return known[start:]

    def newest_trades(self, symbol: str, limit: int, offset: int = 0) -> Iterable[PublishedTrade]:
        """The last trades of one market, newest first."""
        known = self._trades.get(symbol, [])
        end = len(known) - offset
        return reversed(known[max(0, end - limit) : max(0, end)])

    def close(self) -> None:
        """Commit and close; further commits fail."""
        self.commit()
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
