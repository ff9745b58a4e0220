"""The way out of one socket: frames gather while the venue is busy and leave in one write."""

import asyncio
from typing import Final, Protocol

HELD_FRAMES_MAX: Final = 100_000
UNSENT_BYTES_MAX: Final = 16 * 1024 * 1024
DRIP_SECONDS: Final = 0.05
TEAR_SECONDS: Final = 0.05
"""Long enough for a loop that writes at the end of its turn to send the last bytes."""


class SocketTransport(Protocol):
    """What is used of an upgraded connection; uvloop's own classes have it without asyncio's."""

    def write(self, data: bytes) -> None:
        """Send or buffer."""

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""

    def pause_reading(self) -> None:
        """Leave what comes to the kernel."""

    def resume_reading(self) -> None:
        """Read again."""

    def is_closing(self) -> bool:
        """Nothing more can be written."""

    def close(self) -> None:
        """Send what is buffered and hang up."""

    def abort(self) -> None:
        """Hang up at once."""


class Outlet:
    """Queues whole frames, or any bytes; `put` never waits.

    What was put leaves when the event loop runs again, so after the publisher's `commit`. A client
    that takes its bytes so slowly that too many wait is cut off, as an exchange would.
    """

    def __init__(self, transport: SocketTransport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._drip = bytearray()
        self._bytes_per_second: float | None = None
        self._is_dripping = False
        self._is_due = False
        self._is_shut = False
        self._is_stalled = False
        self._is_deaf = False

    @property
    def unsent_bytes(self) -> int:
        """Bytes that left the queue and wait for the client to take them."""
        if self._transport.is_closing():
            # one that is gone does not even count its bytes any more
            return len(self._drip)
        return self._transport.get_write_buffer_size() + len(self._drip)

    def put(self, content: bytes) -> None:
        """Queue bytes behind all that is queued; nothing happens on a socket that is shut."""
        if self._is_shut:
            return
        self._held.append(content)
        if len(self._held) > HELD_FRAMES_MAX:
            self.abort()
        elif not (self._is_due or self._is_stalled):
            self._is_due = True
            self._loop.call_soon(self._flush)

    def put_last(self, content: bytes) -> None:
        """Send bytes after what may leave, and take no more; a stall holds only what came before.

        For a Close frame, which must not stand behind a fault.
        """
        if self._is_shut:
            return
        if not self._is_stalled:
            self._held.append(content)
            self._flush()
        elif not (self._drip or self._transport.is_closing()):
            # behind half a frame that drips it would be a part of that frame
            self._transport.write(content)
        self._is_shut = True

    def stall(self, *, stalled: bool, deaf: bool = False) -> None:
        """Let nothing out from now on, or let out what has been waiting; `deaf` reads nothing."""
        self._is_stalled = stalled
        if not stalled and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._flush)
        if deaf != self._is_deaf and not self._transport.is_closing():
            self._is_deaf = deaf
            if deaf:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def throttle(self, bytes_per_second: float | None) -> None:
        """Let out that many bytes a second, whole frames or not; None ends it."""
        if bytes_per_second == self._bytes_per_second:
            return
        self._bytes_per_second = bytes_per_second
        if not self._is_dripping:
            self._is_dripping = True
            self._drop_by_drop()

    def tear(self, content: bytes) -> None:
        """Send bytes that end in the middle of a frame, and hang up; what was queued is lost."""
        self._held.clear()
        if self._is_shut or self._transport.is_closing():
            self.abort()
            return
        self._is_shut = True
        self._transport.write(content)
        self._loop.call_later(TEAR_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Hang up without a word: the client sees a reset, code 1006."""
        self._is_shut = True
        self._held.clear()
        self._transport.abort()

    def hang_up(self) -> None:
        """Close the connection behind what was sent."""
        self._is_shut = True
        self._held.clear()
        self._transport.close()

    def _flush(self) -> None:
        self._is_due = False
        held, transport = self._held, self._transport
        if self._is_stalled or self._is_shut or not held:
            return
        content = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        if transport.is_closing():
            self._is_shut = True
        elif self._bytes_per_second is not None or self._drip:
            self._drip += content
        else:
            transport.write(content)
        if self.unsent_bytes > UNSENT_BYTES_MAX:
            self.abort()

    def _drop_by_drop(self) -> None:
        rate = self._bytes_per_second
        if self._transport.is_closing():
            return
        if not self._is_stalled:
            size = len(self._drip) if rate is None else max(1, round(rate * DRIP_SECONDS))
            if drop := bytes(self._drip[:size]):
                del self._drip[:size]
                self._transport.write(drop)
        self._is_dripping = rate is not None or bool(self._drip)
        if self._is_dripping:
            self._loop.call_later(DRIP_SECONDS, self._drop_by_drop)
