"""One queue into the feed's one consumer: frames, connection changes, ticks and REST answers.

Everything that changes the feed's state passes here, so books and sequences need no locks and
deliveries keep their order. The queue is bounded: a slow sink slows the socket, and nothing grows.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

MAX_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One websocket message; `receipt_timestamp` is unix seconds."""

    data: str | bytes
    receipt_timestamp: float


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
        except Exception as error:  # noqa: BLE001 - it belongs to the caller
            if not self.reply.done():
                self.reply.set_exception(error)
        else:
            if not self.reply.done():
                self.reply.set_result(result)


type Item = Frame | Opened | Lost | Tick | Call


class Inbox:
    """The queue; `items` ends after `close`."""

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue(max_items)
        self._closed = asyncio.Event()

    async def put(self, item: Item) -> None:
        """Queue an item; waits while the queue is full."""
        await self._queue.put(item)

    def tick(self) -> None:
        """Queue a tick unless the consumer is behind anyway."""
        if self._queue.empty():
            self._queue.put_nowait(Tick())

    async def call[T](self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` in the consumer and return its result; never call it from the consumer."""
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put(Call(work, reply))
        return await reply

    def close(self) -> None:
        """End `items`; what is still queued is abandoned and will be fetched again by id."""
        self._closed.set()
        if not self._queue.full():
            self._queue.put_nowait(None)  # wakes a waiting consumer

    async def items(self) -> AsyncIterator[Item]:
        """Yield the items in order until the inbox is closed."""
        while not self._closed.is_set():
            item = await self._queue.get()
            if item is None or self._closed.is_set():
                return
            yield item
