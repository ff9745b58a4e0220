"""The socket under the feed: pieces, closes, back-pressure, a dead other end."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from picows import WSListener, WSMsgType, ws_create_server

from backpack_feed.constants import FRAME_LIMIT_BYTES
from backpack_feed.native.inbox import Inbox
from backpack_feed.native.socket import PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS, open_socket
from tests.support.conditions import eventually


class Server(WSListener):
    """Keeps its client; answers pings by itself."""

    def on_ws_connected(self, transport):
        self.transport = transport


class Venue:
    """A TLS server of raw frames, and the client's way to it."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self.url, self.tls = url, tls
        self.servers: list[Server] = []

    def accept(self, _request) -> Server:
        self.servers.append(Server())
        return self.servers[-1]

    async def connect(self, inbox: Inbox):
        socket = await open_socket(
            self.url, inbox, tls=self.tls, user_agent="test", proxy=None, clock=time.time
        )
        await eventually(lambda: self.servers and hasattr(self.servers[-1], "transport"))
        return socket, self.servers[-1].transport


@asynccontextmanager
async def raw_venue() -> AsyncIterator[Venue]:
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    venue = Venue("", client_tls)
    server = await ws_create_server(venue.accept, "127.0.0.1", 0, ssl=server_tls)
    venue.url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield venue
    finally:
        for listener in venue.servers:
            listener.transport.disconnect(graceful=False)
        server.close()
        await server.wait_closed()


@pytest.fixture
async def venue():
    async with raw_venue() as venue:
        yield venue


async def taken(inbox: Inbox) -> list[bytes]:
    async for batch in inbox.batches():
        return [data for data, _receipt in batch]
    return []


async def test_a_message_in_pieces_is_one_message(venue):
    """Text, a continuation and a last continuation arrive as one frame of the feed."""
    inbox = Inbox()
    _socket, server = await venue.connect(inbox)
    server.send(WSMsgType.TEXT, b'{"a":', fin=False)
    server.send(WSMsgType.CONTINUATION, b"1", fin=False)
    server.send(WSMsgType.CONTINUATION, b"}")
    assert await taken(inbox) == [b'{"a":1}']
    server.send(WSMsgType.BINARY, b"\x00\x01")
    assert await taken(inbox) == [b"\x00\x01"]


async def test_pieces_that_never_end_are_refused(venue):
    """Memory is bounded: pieces above the frame limit close the socket."""
    inbox = Inbox()
    socket, server = await venue.connect(inbox)
    piece = b"x" * (FRAME_LIMIT_BYTES // 2 + 1)
    server.send(WSMsgType.TEXT, piece, fin=False)
    server.send(WSMsgType.CONTINUATION, piece, fin=False)
    await asyncio.wait_for(socket.transport.wait_disconnected(), 10)
    assert inbox.waiting == 0


async def test_a_frame_above_the_limit_closes_the_socket(venue):
    """One huge frame is refused before it is read into memory."""
    inbox = Inbox()
    socket, server = await venue.connect(inbox)
    server.send(WSMsgType.TEXT, b"x" * (FRAME_LIMIT_BYTES + 1))
    with pytest.raises(Exception, match=r"frame|payload"):
        await asyncio.wait_for(socket.transport.wait_disconnected(), 10)


@pytest.mark.parametrize(("code", "seen"), [(1001, 1001), (1011, 1011), (4321, 4321)])
async def test_the_code_of_a_close_is_known(venue, code, seen):
    """Also codes that no standard names."""
    socket, server = await venue.connect(Inbox())
    server.send_close(code, b"see you\x1b[31m")
    await asyncio.wait_for(socket.transport.wait_disconnected(), 10)
    assert socket.close_code() == seen
    assert "\x1b" not in socket.close_reason()


async def test_a_lost_socket_has_no_close_code(venue):
    """A reset is told from a close."""
    socket, server = await venue.connect(Inbox())
    server.disconnect(graceful=False)
    await asyncio.wait_for(socket.transport.wait_disconnected(), 10)
    assert socket.close_code() is None


async def test_a_full_inbox_stops_the_reading(venue):
    """While nobody takes frames, only so many are read; afterwards all of them arrive."""
    inbox = Inbox(full_items=100)
    _socket, server = await venue.connect(inbox)
    sent = [b"%07d" % number * 300 for number in range(20_000)]
    for data in sent:
        server.send(WSMsgType.TEXT, data)
    await eventually(lambda: inbox.paused)
    received: list[bytes] = []
    async for batch in inbox.batches():
        assert len(batch) < len(sent) // 4
        received += [data for data, _receipt in batch]
        if len(received) == len(sent):
            break
    assert received == sent


async def test_a_dead_other_end_is_pinged_and_given_up(venue):
    """No frame: a ping; no pong: the end. Any frame starts over, a full inbox proves nothing."""
    inbox = Inbox()
    socket, server = await venue.connect(inbox)
    assert socket.watch(0.0, 0)
    assert socket.watch(PING_INTERVAL_SECONDS, 0)  # pings, and the server answers
    now = PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS
    await eventually(lambda: socket.watch(now, 0))
    server.underlying_transport.pause_reading()
    now += PING_INTERVAL_SECONDS
    assert socket.watch(now, 0)  # pings again, unheard
    assert socket.watch(now + PING_TIMEOUT_SECONDS - 0.1, 0)
    assert socket.watch(now + PING_TIMEOUT_SECONDS + 0.1, 1)  # a message came
    now += 100
    assert socket.watch(now, 1)  # pings
    inbox.paused = True
    assert socket.watch(now + PING_TIMEOUT_SECONDS, 1)
    inbox.paused = False
    now += 100
    assert socket.watch(now, 1)
    assert not socket.watch(now + PING_TIMEOUT_SECONDS, 1)
