"""What cryptofeed's ConnectionHandler needs to see of a feed that owns its own sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class CcxtConnection:
    """Looks like one cryptofeed connection; `run` is the work and ends only when cancelled.

    `read` yields nothing: ccxt's watchers deliver by themselves. It returns after `close`.
    """

    id = uuid = "BACKPACK.ccxt"
    last_message = None

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._run = run
        self._work: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Tell whether the watchers are at work."""
        return self._work is not None and not self._work.done()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["CcxtConnection"]:
        """Start the watchers; leaving the context ends them."""
        if not self._closed:
            self._work = asyncio.create_task(self._run(), name=self.id)
        try:
            yield self
        finally:
            await self.close()

    async def read(self) -> AsyncIterator[bytes]:
        """Wait for the end of the watchers; raises what they raised."""
        if self._work is not None:
            await asyncio.wait([self._work])
            if not self._work.cancelled():
                self._work.result()
        return
        yield b""

    async def close(self) -> None:
        """End the watchers and wait until their sockets are closed."""
        self._closed = True
        work = self._work
        if work is not None and not work.done():
            work.cancel()
            await asyncio.wait([work])
