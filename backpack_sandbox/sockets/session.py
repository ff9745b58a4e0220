"""One client's socket: what it listens to, and the frames on their way to it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from backpack_sandbox.faults.impairment import Impairment
from backpack_sandbox.sockets.subscriptions import is_private

OUTBOX_FRAMES_MAX: Final = 50_000
# a text frame that announces 126 bytes and ends long before
TORN_FRAME: Final = b'\x81\x7e\x00\x7e{"data":{"E":1790'


class Session:
    """A socket with its subscriptions and outbox.

    `offer` is called by the market and never waits; `write` sends in order. A client so slow that
    its outbox overflows is cut off, as an exchange would.
    """

    def __init__(
        self,
        number: int,
        socket: web.WebSocketResponse,
        transport: asyncio.WriteTransport,
        user_agent: str,
        opened_at: float,
    ) -> None:
        self.number = number
        self.socket = socket
        self.user_agent = user_agent
        self.opened_at = opened_at
        self.last_pong_at = opened_at
        self.streams: set[str] = set()
        self.impairment: Impairment | None = None
        self.closing = False
        self.stalled = False
        self._late_pong: bytes | None = None
        self._transport = transport
        self._outbox: deque[bytes] = deque()
        self._wake = asyncio.Event()

    @property
    def holds_private(self) -> bool:
        """The socket has signed for at least one private stream."""
        return any(is_private(stream) for stream in self.streams)

    def offer(self, stream: str, symbol: str, frame: bytes) -> None:
        """Queue a data frame, as the faults let it pass."""
        if self.impairment is None:
            self.send(frame)
        else:
            self.send_all(self.impairment.apply(stream, symbol, frame))

    def subscribed(self, stream: str) -> None:
        """A stream begins on this socket; a fault may begin it with frames of the past."""
        self.streams.add(stream)
        if self.impairment is not None:
            self.send_all(self.impairment.subscribed(stream))

    def send_all(self, frames: Iterable[bytes]) -> None:
        """Queue frames in order."""
        for frame in frames:
            self.send(frame)

    def send(self, frame: bytes) -> None:
        """Queue a frame that no fault touches."""
        if len(self._outbox) >= OUTBOX_FRAMES_MAX:
            self.abort()
            return
        self._outbox.append(frame)
        self._wake.set()

    async def pong(self, payload: bytes) -> None:
        """Answer a ping; while stalled only the last one, and late."""
        if self.stalled:
            self._late_pong = payload
            self._wake.set()
            return
        with suppress(ConnectionError):
            await self.socket.pong(payload)

    def stall(self, *, stalled: bool) -> None:
        """Send nothing at all from now on, or go on with what has been waiting."""
        self.stalled = stalled
        self._wake.set()

    async def write(self) -> None:
        """Send queued frames until the socket is gone."""
        outbox, send_frame = self._outbox, self.socket.send_frame
        try:
            while not self.socket.closed:
                await self._wake.wait()
                self._wake.clear()
                while outbox and not self.stalled:
                    await send_frame(outbox.popleft(), WSMsgType.TEXT)
                if self._late_pong is not None and not self.stalled:
                    payload, self._late_pong = self._late_pong, None
                    await self.socket.pong(payload)
        except ConnectionError:
            self._outbox.clear()

    def abort(self) -> None:
        """Drop the connection without a close frame: the client sees a reset, code 1006."""
        self._outbox.clear()
        self._transport.abort()

    def cut(self) -> None:
        """Drop the connection in the middle of a frame."""
        if not self._transport.is_closing():
            self._transport.write(TORN_FRAME)
        self.abort()

    async def close(self, code: WSCloseCode, message: bytes = b"") -> None:
        """Send a Close frame and wait briefly for the client's."""
        await self.socket.close(code=code, message=message)
