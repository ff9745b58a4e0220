"""The ground truth: every published event, in its wire form, before anyone can have received it."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.events import BookEvent
from backpack_sandbox.truth.book_journal import BookJournal
from backpack_sandbox.truth.store import TruthStore
from backpack_sandbox.truth.trade_journal import PublishedTrade, TradeHistory, TradeJournal

__all__ = ["CHECKPOINT_BYTES", "Ledger", "PublishedTrade", "TradeHistory"]

CHECKPOINT_BYTES: Final = 64 * 1024 * 1024
"""About how much a restart after a kill has to read."""
CHECKPOINT_SHARE: Final = 4
"""The ledger grows by this many times a checkpoint's size before the next one is written."""


class Ledger:
    """Append-only JSON lines, and the journals of books and trades that follow from them.

    A line is a frame (`{"data":…,"stream":…}`) exactly as sent, a private frame with its account
    in front (`{"account":…,"data":…,"stream":…}`), or the start of a session (`{"session":…}`)
    with the books and ids it started from. Lines go to the operating system in `commit`, which
    the venue calls before any socket writes: what a client has seen is in the file, even after a
    kill -9. Only a power cut can lose the last lines.

    `place` is where the next committed line begins, or, while the file is read back, the next one
    to be read. `on_growth` is called when the file has grown by `CHECKPOINT_BYTES`, and at the end.
    """

    def __init__(
        self,
        path: Path,
        store: TruthStore,
        *,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
        read_only: bool = False,
    ) -> None:
        self.path = path
        self.place = 0
        self.books = BookJournal(store, lambda: self.place)
        self._trades = TradeJournal(store, lambda: self.place)
        self._store = store
        self._pending: list[bytes] = []
        flags = os.O_RDONLY if read_only else os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(path, flags, 0o644)
        self.size_bytes = os.fstat(self._file).st_size
        self.place = self.size_bytes
        self._checkpoint_bytes = checkpoint_bytes
        self._checkpoint_due = self.size_bytes + checkpoint_bytes
        self.on_growth: Callable[[], None] = _nothing
        self._is_abandoned = False

    def append(self, frame: bytes) -> None:
        """Add one published frame; in the file after the next `commit`."""
        self._pending.append(frame)

    def append_depth(self, event: BookEvent, frame: bytes) -> None:
        """Add a depth frame, and its change to the journal of books."""
        self._pending.append(frame)
        self.books.note(event)

    def append_trade(self, trade: PublishedTrade, frame: bytes) -> None:
        """Add a trade's frame, and keep the trade for `/trades` and the truth endpoint."""
        self._pending.append(frame)
        self._trades.note(trade)

    def place_of(self, kind: str, symbol: str, number: int) -> int:
        """Where to begin to look for a trade (`trade`) or an update, by its id."""
        journal = self._trades if kind == "trade" else self.books
        return journal.place(symbol, number)

    def is_line_start(self, place: int) -> bool:
        """Whether a line begins at the byte `place`, or the file ends there."""
        if place == 0:
            return True
        if place > self.size_bytes:
            return False
        with self.path.open("rb") as file:
            file.seek(place - 1)
            return file.read(1) == b"\n"

    def note_trade(self, trade: PublishedTrade) -> None:
        """Keep a trade that is in the file already."""
        self._trades.note(trade)

    def begin_session(self, session: Mapping[str, Any]) -> None:
        """Write the line that lets a reader rebuild every book of this session."""
        self._pending.append(msgspec.json.encode({"session": session}))
        self.commit()

    def commit(self) -> None:
        """Hand everything appended so far to the operating system, in one write.

        Raises SandboxError when it does not take all: then the ledger is abandoned.
        """
        if self._is_abandoned:
            raise SandboxError(f"{self.path} takes no more lines; start the venue anew")
        if not self._pending:
            return
        lines = b"\n".join(self._pending) + b"\n"
        self._pending.clear()
        try:
            _write_all(self._file, lines)
        except OSError as error:
            self.abandon()
            raise SandboxError(
                f"{self.path}: {error.strerror}; the venue stops, for what it cannot write down it"
                " may not publish"
            ) from error
        self.size_bytes += len(lines)
        self.place = self.size_bytes
        if self.size_bytes >= self._checkpoint_due:
            self._checkpoint_due = self.size_bytes + self._checkpoint_bytes
            self.on_growth()

    def abandon(self) -> None:
        """Take no more, and let the file end where the last commit did.

        The venue's own state is ahead of it by then, so there is no checkpoint at the end either.
        """
        self._is_abandoned = True
        self._pending.clear()
        with suppress(OSError):
            os.ftruncate(self._file, self.size_bytes)

    def checkpoint(self, content: bytes) -> None:
        """Store `content` as what holds at `size_bytes`, with the journals up to there."""
        self.books.flush()
        self._trades.flush()
        self._store.write_checkpoint(content)
        grown = max(self._checkpoint_bytes, CHECKPOINT_SHARE * len(content))
        self._checkpoint_due = self.size_bytes + grown

    def trades(self, symbol: str, from_id: int = 0) -> list[PublishedTrade]:
        """Trades of one market with ids from `from_id` on, oldest first."""
        return list(self.trades_since(symbol, from_id))

    def trades_since(self, symbol: str, from_id: int) -> Iterable[PublishedTrade]:
        """As `trades`, read as they are asked for."""
        return self._trades.since(symbol, from_id)

    def count_trades(self, symbol: str, from_id: int) -> int:
        """How many trades have ids from `from_id` on."""
        return self._trades.count_since(symbol, from_id)

    def newest_trades(
        self, symbol: str, limit: int | None = None, offset: int = 0
    ) -> Iterable[PublishedTrade]:
        """The last trades of one market, newest first; without `limit` all, read as asked for."""
        if limit is None:
            return self._trades.newest(symbol)
        return self._trades.newest_trades(symbol, limit, offset)

    def close(self) -> None:
        """Commit, leave a checkpoint, and close; further commits fail.

        Without room for a checkpoint the next start reads the lines since the one before.
        """
        try:
            if not self._is_abandoned:
                self.commit()
                with suppress(SandboxError):
                    self.on_growth()
        finally:
            os.close(self._file)
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _nothing() -> None:
    """No checkpoints."""


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
