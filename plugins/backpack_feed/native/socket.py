"""One websocket by picows: whole messages into the inbox, and a watch for a dead other end.

picows reads the same frames for a fraction of the CPU of `websockets` (`make bench`), speaks TLS in
C and connects through http, https and socks proxies.
"""

import asyncio
import ssl
from collections.abc import Callable

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from backpack_feed.constants import FRAME_LIMIT_BYTES
from backpack_feed.native.inbox import Inbox, Item

# A half-open socket is found within the sum of both, also in a market that is rightly quiet
PING_INTERVAL_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 8.0
OPEN_TIMEOUT_SECONDS = 10.0
HEAVY_BYTES = 64 * 1024
PIECE_BYTES = 64
"""What even an empty piece of a message costs to keep."""
REASON_LIMIT = 120

TEXT, BINARY, CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE
CONTINUATION = WSMsgType.CONTINUATION


class VenueSocket(WSListener):
    """Puts every text or binary message into `inbox` with its receipt in unix seconds."""

    def __init__(self, inbox: Inbox, clock: Callable[[], float], *, unwanted: bool = False) -> None:
        self._unwanted = unwanted
        self.transport: WSTransport | None = None
        self._inbox = inbox
        # what follows the upgrade in the same read comes even after the socket was aborted
        self._put = _discard if unwanted else inbox.put
        self._clock = clock
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._heard = True
        self._heard_at = 0.0
        self._messages = 0
        self._pinged_at: float | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Let the inbox stop and start reading."""
        self.transport = transport
        if self._unwanted:
            transport.disconnect(graceful=False)
            return
        self._inbox.pause = transport.underlying_transport.pause_reading
        self._inbox.resume = transport.underlying_transport.resume_reading
        if self._inbox.paused:
            self._inbox.pause()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message, a piece of one, or a control frame."""
        kind = frame.msg_type
        if kind is TEXT and frame.fin:
            data = frame.get_payload_as_bytes()
            self._put((data, self._clock()))
            if len(data) > HEAVY_BYTES:
                self._inbox.weigh(len(data))
        else:
            self._unusual(transport, frame, kind)

    def _unusual(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        self._heard = True
        if kind is CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect(graceful=False)
        elif kind in (TEXT, BINARY, CONTINUATION) and not self._unwanted:
            self._piece(transport, frame)

    def _piece(self, transport: WSTransport, frame: WSFrame) -> None:
        piece = frame.get_payload_as_bytes()
        if frame.msg_type is not CONTINUATION:
            self._parts, self._parts_bytes = [], 0
        if piece:
            self._parts.append(piece)
        self._parts_bytes += len(piece) + PIECE_BYTES
        if self._parts_bytes > FRAME_LIMIT_BYTES:
            # at once: picows would go on with every further piece that was read already
            self._parts, self._unwanted = [], True
            transport.send_close(WSCloseCode.MESSAGE_TOO_BIG)
            transport.disconnect(graceful=False)
        elif frame.fin:
            self._put((b"".join(self._parts), self._clock()))
            self._inbox.weigh(self._parts_bytes)
            self._parts, self._parts_bytes = [], 0

    def watch(self, now: float, messages: int) -> bool:
        """Ping a silent other end; return False once it is dead.

        `now` is monotonic seconds, `messages` how many the consumer has taken. While the inbox is
        full nothing is read, and silence proves nothing.
        """
        messages += self._inbox.waiting
        heard = self._heard or self._inbox.paused or messages != self._messages
        self._heard, self._messages = False, messages
        if heard:
            self._heard_at, self._pinged_at = now, None
        elif self._pinged_at is not None:
            return now - self._pinged_at < PING_TIMEOUT_SECONDS
        elif now - self._heard_at >= PING_INTERVAL_SECONDS and self.transport is not None:
            self._pinged_at = now
            self.transport.send_ping()
        return True

    def close_code(self) -> int | None:
        """Return the code of the venue's close frame, or None when it sent none."""
        handshake = self.transport.close_handshake if self.transport is not None else None
        return None if handshake is None or handshake.recv is None else int(handshake.recv.code)

    def close_reason(self) -> str:
        """Return the venue's own words for closing, fit for a log line."""
        handshake = self.transport.close_handshake if self.transport is not None else None
        words = "" if handshake is None or handshake.recv is None else handshake.recv.reason or ""
        return repr(words[:REASON_LIMIT]) if words else ""


def _discard(_item: Item) -> None:
    """Nobody waits for it."""


async def open_socket(
    url: str,
    inbox: Inbox,
    *,
    tls: ssl.SSLContext,
    user_agent: str,
    proxy: str | None,
    clock: Callable[[], float],
) -> VenueSocket:
    """Connect; raises `WSError`, `OSError` or `TimeoutError`. No redirect is followed."""
    given_up = False
    try:
        # one limit for all of it: the proxy, TLS and the upgrade
        async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
            transport, socket = await ws_connect(
                lambda: VenueSocket(inbox, clock, unwanted=given_up),
                url,
                ssl_context=tls,
                websocket_handshake_timeout=OPEN_TIMEOUT_SECONDS,
                max_frame_size=FRAME_LIMIT_BYTES,
                extra_headers={"User-Agent": user_agent},
                max_redirects=0,
                proxy=proxy,
                logger_name="backpack",
            )
    except BaseException:
        given_up = True  # picows goes on with the handshake all the same
        raise
    if not isinstance(socket, VenueSocket):  # picows returns nothing for a silent goodbye
        transport.disconnect(graceful=False)
        raise ConnectionResetError("it was closed before the handshake was answered")
    socket.transport = transport
    return socket
