"""The feed's own connection and socket over recorded frames instead of a network."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from picows import WSMsgType

from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.socket import VenueSocket

OPEN_SECONDS = 600.0
ANSWER_SECONDS = 0.13
"""How long the venue takes to answer a ping (protocol section 5.2)."""


@dataclass(frozen=True)
class RecordedFrame:
    """One frame as picows shows it to a listener."""

    msg_type: WSMsgType
    payload: bytes = b""
    fin: bool = True
    close_code: int = 0

    def get_payload_as_bytes(self) -> bytes:
        """Return the payload."""
        return self.payload

    def get_close_code(self) -> int:
        """Return the code of a close frame."""
        return self.close_code


@dataclass
class _Closed:
    code: int
    reason: str = ""


@dataclass
class _Handshake:
    recv: _Closed | None = None
    sent: _Closed | None = None


class _NoFlowControl:
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


@dataclass
class RecordedTransport:
    """The venue's end of one socket. `answers_pings`: whether there still is another end."""

    sent: list[dict[str, Any]]
    answers_pings: bool = True
    pongs: int = 0
    close_handshake: _Handshake | None = None
    is_disconnected: bool = False
    underlying_transport: _NoFlowControl = field(default_factory=_NoFlowControl)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    socket: VenueSocket | None = None

    def send(self, kind: WSMsgType, payload: bytes) -> None:
        """Note a frame of the client, which only sends text."""
        del kind
        self.sent.append(msgspec.json.decode(payload))

    def send_ping(self, _payload: bytes = b"") -> None:
        """Answer like the venue, unless its end is gone."""
        if self.answers_pings:
            asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._pong)

    def _pong(self) -> None:
        if self.socket is not None and not self.is_disconnected:
            self.socket.on_ws_frame(self, RecordedFrame(WSMsgType.PONG))

    def send_close(self, code: int | None = None, _reason: bytes | None = None) -> None:
        """Note that the client said goodbye."""
        self.close_handshake = self.close_handshake or _Handshake()
        self.close_handshake.sent = _Closed(int(code or 0))

    def disconnect(self, graceful: bool = True) -> None:
        """End the socket."""
        del graceful
        self.is_disconnected = True
        self._gone.set()

    async def wait_disconnected(self) -> None:
        """Wait for the end of the socket."""
        await self._gone.wait()

    def receive(self, frame: RecordedFrame) -> None:
        """Let a frame of the venue arrive; without a socket it is lost."""
        if self.is_disconnected or self.socket is None:
            return
        if frame.msg_type == WSMsgType.PING:
            self.pongs += 1  # picows answers by itself, whatever the consumer does
        if frame.msg_type == WSMsgType.CLOSE:
            self.close_handshake = _Handshake(recv=_Closed(frame.close_code))
        self.socket.on_ws_frame(self, frame)


class RecordedConnection(BackpackConnection):
    """Opens recorded sockets; reconnecting, counting and watching are the feed's own code."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.transports: list[RecordedTransport] = []
        self.client_frames: list[dict[str, Any]] = []
        self.losses: list[str] = []
        self._next_socket = asyncio.Event()

    @property
    def transport(self) -> RecordedTransport | None:
        """The socket that is open now."""
        newest = self.transports[-1] if self.transports else None
        return None if newest is None or newest.is_disconnected else newest

    async def _one_socket(self) -> str:
        transport = RecordedTransport(self.client_frames)
        socket = VenueSocket(self.inbox, self._clock)
        transport.socket = socket
        socket.on_ws_connected(transport)
        self.transports.append(transport)
        asyncio.get_running_loop().call_soon(self._next_socket.set)
        reason = await self._read_socket(socket)
        self.losses.append(reason)
        return reason

    async def opened(self) -> RecordedTransport:
        """Wait until a socket is open, and return it; raises `TimeoutError`."""
        async with asyncio.timeout(OPEN_SECONDS):
            transport = self.transport
            while transport is None:
                self._next_socket.clear()
                await self._next_socket.wait()
                transport = self.transport
        return transport

    def fate(self) -> str:
        """Say in words what became of the socket."""
        state = "down" if self.transport is None else "open"
        if not self.losses:
            return f"stayed {state}"
        return f"{state} after {len(self.transports)} sockets: {', '.join(self.losses)}"
