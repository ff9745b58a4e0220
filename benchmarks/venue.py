"""The local WSS server: REST bodies and prepared frames from one port, never the slowest part."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import trustme
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from benchmarks.capture import Capture

WRITE_BUFFER_BYTES: Final = 256 * 1024
PACE_SECONDS: Final = 0.001
STREAM_KINDS: Final = frozenset({"depth", "trade"})


class Client(WSListener):  # type: ignore[misc]
    """One contender's socket: primes what it subscribes, then carries the frames."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._kinds: dict[str, set[str]] = {}
        self._transport: WSTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.waited_seconds = 0.0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take the transport."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Prime a market once both its streams are subscribed; say goodbye when told to."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.TEXT:
            self._subscribe(frame.get_payload_as_bytes())

    def _subscribe(self, request: bytes) -> None:
        for kind, symbol in self._capture.subscribed(request):
            kinds = self._kinds.setdefault(symbol, set())
            if kind not in kinds:
                kinds.add(kind)
                if kinds >= STREAM_KINDS:
                    self.write(self._capture.primers[symbol])

    def pause_writing(self) -> None:
        """The client is behind: TCP says so."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable.set()

    def write(self, framed: bytes) -> None:
        """Send ready-made frames; without a client they are lost, and the contender says so."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.underlying_transport.write(framed)

    async def saturate(self, chunks: Sequence[bytes]) -> None:
        """Send as fast as the client takes; counts the seconds spent waiting for it."""
        for chunk in chunks:
            if not self._writable.is_set():
                before = time.perf_counter()
                await self._writable.wait()
                self.waited_seconds += time.perf_counter() - before
            self.write(chunk)
            await asyncio.sleep(0)

    async def pace(self, frames: Sequence[bytes], per_second: float, started_at: float) -> None:
        """Send what is due about every millisecond; `started_at` is `time.perf_counter`."""
        sent = 0
        while sent < len(frames):
            due = min(len(frames), int((time.perf_counter() - started_at) * per_second))
            if due > sent:
                self.write(b"".join(frames[sent:due]))
                sent = due
            await asyncio.sleep(PACE_SECONDS)


@dataclass
class Venue:
    """Where the server listens, and the sockets that were opened, newest last."""

    rest_url: str
    ws_url: str
    clients: list[Client] = field(default_factory=list)


@asynccontextmanager
async def serving(capture: Capture, tls: ssl.SSLContext) -> AsyncIterator[Venue]:
    """Listen on a free loopback port until the block ends."""
    venue = Venue("", "")

    def accept(request: WSUpgradeRequest) -> Any:
        if "Upgrade" in request.headers:
            client = Client(capture)
            venue.clients.append(client)
            return client
        return WSUpgradeResponseWithListener(_answer(capture, request), None)

    server = await ws_create_server(accept, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    venue.rest_url, venue.ws_url = f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}"
    try:
        yield venue
    finally:
        server.close()


def _answer(capture: Capture, request: WSUpgradeRequest) -> WSUpgradeResponse:
    url = urlsplit(request.path.decode())
    query = parse_qs(url.query)
    symbol = (query.get("symbol") or query.get("currency_pair") or [""])[0]
    body = capture.rest.get((url.path, symbol))
    if body is None:
        return WSUpgradeResponse.create_error_response(404, b"404 not found")
    return WSUpgradeResponse.create_ok_response(body, {"Content-Type": "application/json"})


def certify(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server context for 127.0.0.1 and the file of the authority that vouches for it."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    return tls, ca_file
