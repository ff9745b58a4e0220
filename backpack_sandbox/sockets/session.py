"""One client's socket: who it is, what it listens to, and how frames reach it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from backpack_sandbox.sockets.frames import (
    BINARY,
    PING,
    PONG,
    Encode,
    close_frame,
    frame,
)
from backpack_sandbox.sockets.outlet import Outlet
from backpack_sandbox.streams.names import OWNER_MARK, stream_name

CLOSE_TIMEOUT_SECONDS: Final = 2.0
# a text frame that announces 126 bytes and ends long before
TORN_FRAME: Final = b'\x81\x7e\x00\x7e{"data":{"E":1790'


class FrameFilter(Protocol):
    """What stands between the market and one socket while faults hit it."""

    @property
    def effects(self) -> Mapping[int, Any]:
        """Fault id → what it does; for whoever made the filter."""
        ...

    @property
    def timed(self) -> bool:
        """It holds frames back for a time, so `overdue` must be asked often."""
        ...

    def apply(self, stream: str, symbol: str, frame: bytes) -> Sequence[bytes]:
        """What the socket gets in place of `frame`."""
        ...

    def subscribed(self, stream: str) -> Sequence[bytes]:
        """What the socket gets because it subscribed."""
        ...

    def overdue(self) -> Sequence[bytes]:
        """What was held back for long enough."""
        ...


class Session:
    """A socket with its subscriptions; everything that leaves goes through its outlet, in order.

    `account` is set by the first good signature. `streams` are the fan-out's keys.
    """

    def __init__(
        self, number: int, outlet: Outlet, encode: Encode, user_agent: str, opened_at: float
    ) -> None:
        self.number = number
        self.user_agent = user_agent
        self.opened_at = opened_at
        self.account: str | None = None
        self.streams: set[str] = set()
        self.impairment: FrameFilter | None = None
        self.closing = False
        self.stalled = False
        self.ended = asyncio.Event()
        self.unanswered_since: float | None = None
        self._outlet = outlet
        self._encode = encode
        self._late_pong: bytes | None = None

    @property
    def holds_private(self) -> bool:
        """The socket listens to at least one private stream."""
        return any(OWNER_MARK in key for key in self.streams)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the client to take them."""
        return self._outlet.unsent_bytes

    def offer(self, stream: str, symbol: str, message: bytes) -> None:
        """Queue the text of a data frame, as the faults let it pass."""
        if self.impairment is None:
            self._outlet.put(self._encode(message))
        else:
            self.send_all(self.impairment.apply(stream_name(stream), symbol, message))

    def subscribed(self, stream: str) -> None:
        """A stream begins on this socket; a fault may begin it with frames of the past."""
        self.streams.add(stream)
        if self.impairment is not None:
            self.send_all(self.impairment.subscribed(stream_name(stream)))

    def send_all(self, messages: Iterable[bytes]) -> None:
        """Queue text frames in order."""
        for message in messages:
            self.send(message)

    def send(self, message: bytes) -> None:
        """Queue a text frame that no fault touches."""
        self._outlet.put(self._encode(message))

    def send_binary(self, payload: bytes) -> None:
        """Queue a binary frame; never compressed."""
        self._outlet.put(frame(BINARY, payload))

    def send_ping(self, payload: bytes = b"") -> None:
        """Queue a protocol ping; at most 125 bytes."""
        self._outlet.put(frame(PING, payload))

    def write_raw(self, content: bytes) -> None:
        """Queue bytes that are no frame, or only a part of one."""
        self._outlet.put(content)

    def pong(self, payload: bytes) -> None:
        """Answer a ping; while stalled only the last one, and late."""
        if self.stalled:
            self._late_pong = payload
        else:
            self._outlet.put(frame(PONG, payload))

    def stall(self, *, stalled: bool, deaf: bool = False) -> None:
        """Send nothing at all from now on, or go on with what has been waiting.

        A `deaf` one does not read either: the client's pings, and its Close, stay in the kernel.
        """
        self.stalled = stalled
        self._outlet.stall(stalled=stalled, deaf=stalled and deaf)
        if not stalled and self._late_pong is not None:
            payload, self._late_pong = self._late_pong, None
            self.pong(payload)

    def throttle(self, bytes_per_second: float | None) -> None:
        """Let frames drip out at that rate; None ends it."""
        self._outlet.throttle(bytes_per_second)

    def abort(self) -> None:
        """Drop the connection without a close frame: the client sees a reset, code 1006."""
        self._outlet.abort()

    def cut(self) -> None:
        """Drop the connection in the middle of a frame."""
        self._outlet.tear(TORN_FRAME)

    async def close(self, code: int, message: bytes = b"") -> None:
        """Send a Close frame and wait briefly for the client's; then hang up without it."""
        self.closing = True
        self._outlet.put_last(close_frame(code, message))
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self.ended.wait()
        except TimeoutError:
            self.abort()

    def end(self, code: int) -> None:
        """The client is gone or said Close: answer, unless a Close was sent before, and hang up."""
        self._outlet.put_last(close_frame(code))
        self._outlet.hang_up()
        self.ended.set()
