"""Counts what reaches a callback and reads clock and CPU at the marks, nothing more."""

import asyncio
import resource
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

IDLE: Final = -1

type Callback = Callable[[Any, float], Awaitable[None]]


def cpu_seconds() -> float:
    """User and system time of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Progress:
    """Callbacks that count; `marks` are counts at which the clocks are read, the last one ends.

    With `touch_book` the book callback also reads the best bid and ask. `lockstep` > 0 calls
    `on_batch` after every so many events.
    """

    def __init__(
        self,
        marks: Sequence[int],
        *,
        touch_book: bool,
        lockstep: int = 0,
        on_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self.seen = 0
        self.trades = 0
        self.readings: list[tuple[float, float, int]] = []
        """(`time.perf_counter`, CPU seconds, events seen) at each mark."""
        self.finished = asyncio.Event()
        self.on_book: Callback = self._touch_book if touch_book else self._count_book
        self._marks = list(marks)
        self._batches = list(range(lockstep, marks[-1], lockstep)) if lockstep else []
        self._on_batch = on_batch
        self._next = IDLE

    def begin(self) -> None:
        """Forget what primed the feed; the next event is the first of the run."""
        self.seen = self.trades = 0
        self._set_next()

    async def on_trade(self, _trade: Any, _receipt: float) -> None:
        """Count a trade."""
        self.trades += 1
        self.seen += 1
        if self.seen == self._next:
            self._reached()

    def count(self) -> None:
        """Count a message outside cryptofeed."""
        self.seen += 1
        if self.seen == self._next:
            self._reached()

    async def _count_book(self, _book: Any, _receipt: float) -> None:
        self.seen += 1
        if self.seen == self._next:
            self._reached()

    async def _touch_book(self, book: Any, _receipt: float) -> None:
        book.book.bids.index(0), book.book.asks.index(0)
        self.seen += 1
        if self.seen == self._next:
            self._reached()

    def _reached(self) -> None:
        if self._marks and self.seen >= self._marks[0]:
            self.readings.append((time.perf_counter(), cpu_seconds(), self.seen))
            while self._marks and self.seen >= self._marks[0]:
                self._marks.pop(0)
        if self._batches and self.seen >= self._batches[0]:
            self._batches.pop(0)
            self._on_batch()
        if not self._marks:
            self.finished.set()
        self._set_next()

    def _set_next(self) -> None:
        candidates = self._marks[:1] + self._batches[:1]
        self._next = min(candidates) if candidates else IDLE


class ConflatedProgress(Progress):
    """For a feed that shows only the newest book: frames are counted by the books' sequence."""

    def __init__(self, marks: Sequence[int], *, touch_book: bool) -> None:
        super().__init__(marks, touch_book=touch_book)
        self.on_book = self._conflated_book
        self.book_callbacks = 0
        self._sequences: dict[str, int] = {}

    def begin(self) -> None:
        """Keep the sequences that the priming left."""
        super().begin()
        self.book_callbacks = 0

    async def _conflated_book(self, book: Any, _receipt: float) -> None:
        self.book_callbacks += 1
        before = self._sequences.get(book.symbol, book.sequence_number)
        self._sequences[book.symbol] = book.sequence_number
        self.seen += book.sequence_number - before
        if self.seen >= self._next != IDLE:
            self._reached()

    async def on_trade(self, _trade: Any, _receipt: float) -> None:
        """Count a trade."""
        self.trades += 1
        self.seen += 1
        if self.seen >= self._next != IDLE:
            self._reached()


class TimedProgress(Progress):
    """Also notes, for every event, when it came and how long after its receipt (seconds)."""

    def __init__(self, marks: Sequence[int], *, touch_book: bool) -> None:
        super().__init__(marks, touch_book=touch_book)
        self.on_book = self._timed_book
        self.came_at = array("d")
        self.after_receipt = array("d")

    def begin(self) -> None:
        """Forget what primed the feed."""
        super().begin()
        self.came_at = array("d")
        self.after_receipt = array("d")

    async def _timed_book(self, _book: Any, receipt: float) -> None:
        now = time.perf_counter()
        self.came_at.append(now)
        self.after_receipt.append(now - receipt)
        self.seen += 1
        if self.seen == self._next:
            self._reached()

    async def on_trade(self, _trade: Any, receipt: float) -> None:
        """Count and time a trade."""
        self.trades += 1
        await self._timed_book(_trade, receipt)
