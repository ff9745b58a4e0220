"""One queue into the feed's one consumer: frames, connection changes, ticks and REST answers.

Everything that changes the feed's state passes here, so books and sequences need no locks and
deliveries keep their order. The consumer takes whole batches: at ten thousand frames a second the
way of a single item must cost nothing. The socket stops reading while the queue is full, so a slow
sink slows the venue and nothing grows.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from backpack_feed.refusal import SinkError

FULL_ITEMS = 4_096
FULL_BYTES = 64 * 1024 * 1024

type Frame = tuple[str | bytes, float]
"""One websocket message and its receipt in unix seconds; a tuple, because it is on the hot path."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new socket is open and has no subscriptions."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The socket is gone, and with it every subscription."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class Call:
    """Work of a background task that must run in the consumer; its result goes to `reply`."""

    work: Callable[[], Awaitable[Any]]
    reply: asyncio.Future[Any]

    async def run(self) -> None:
        """Run the work and hand its result or its exception to the caller, if it still waits."""
        try:
            result = await self.work()
        except Exception as error:
            if not self.reply.done():
                self.reply.set_exception(error)
            if isinstance(error, SinkError):
                raise  # the consumer must stop, whoever asked for the work
        else:
            if not self.reply.done():
                self.reply.set_result(result)


type Item = Frame | Opened | Lost | Tick | Call


class Inbox:
    """The queue; `batches` ends after `close`.

    `pause` is called when `full_items` wait, `resume` once the consumer took them.
    """

    def __init__(self, full_items: int = FULL_ITEMS) -> None:
        self.pause: Callable[[], None] = _nothing
        self.resume: Callable[[], None] = _nothing
        self.paused = False
        self._full_items = full_items
        self._items: list[Item] = []
        self._taken: list[Item] = []
        self._ticked = False
        self._heavy_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def put(self, item: Item) -> None:
        """Queue an item."""
        items = self._items
        items.append(item)
        if self._waiter is not None:
            self._wake()
        elif len(items) >= self._full_items and not self.paused:
            self.paused = True
            self.pause()

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._items)

    def weigh(self, size_bytes: int) -> None:
        """Take note of a large frame: few of them fill the queue as well as many small ones."""
        self._heavy_bytes += size_bytes
        if self._heavy_bytes >= FULL_BYTES and not self.paused:
            self.paused = True
            self.pause()

    def tick(self) -> None:
        """Queue a tick, unless one waits already."""
        if not self._ticked:
            self._ticked = True
            self.put(Tick())

    async def call[T](self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` in the consumer and return its result; never call it from the consumer."""
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            reply.cancel()  # nobody would take it
        else:
            self.put(Call(work, reply))
        return await reply

    def close(self) -> None:
        """End `batches` and the batch in hand; what is abandoned will be fetched again by id."""
        self._closed = True
        for item in (*self._items, *self._taken):
            if isinstance(item, Call):
                item.reply.cancel()
        self._items.clear()
        self._taken.clear()
        self._wake()

    async def batches(self) -> AsyncIterator[list[Item]]:
        """Yield everything that waits, in order, until the inbox is closed."""
        while not self._closed:
            if not self._items:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
                continue
            self._taken, self._items = self._items, []
            self._heavy_bytes = 0
            self._ticked = False
            if self.paused:
                self.paused = False
                self.resume()
            yield self._taken

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _nothing() -> None:
    """No socket reads yet."""
