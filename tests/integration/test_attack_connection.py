"""The connection against servers that hang, flood and speak half a protocol."""

import asyncio
import contextlib
import ssl
import time
from contextlib import asynccontextmanager

import pytest
import trustme

from backpack_feed.counters import FeedCounters
from backpack_feed.native import socket as venue_socket
from backpack_feed.native.connection import BackpackConnection
from tests.support.conditions import eventually

HANDSHAKE_SECONDS = 15


class RawServer:
    """Accepts TLS (or plain TCP) connections and does to each what the test says."""

    def __init__(self, tls):
        self.tls = tls
        self.accepted = []
        self.port = 0

    def connection(self, **settings):
        defaults = {
            "tls": self.tls, "user_agent": "test", "counters": FeedCounters(),
            "clock": time.time, "monotonic": time.monotonic, "jitter": lambda: 0.0,
        }  # fmt: skip
        return BackpackConnection(f"wss://127.0.0.1:{self.port}", **defaults | settings)


@asynccontextmanager
async def raw_server(behave, *, plain=False):
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    raw = RawServer(client_tls)
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        raw.accepted.append(time.monotonic())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await behave(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if plain else server_tls)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def short_patience(monkeypatch):
    """A connect attempt as a whole has a limit; here one second of it."""
    assert venue_socket.OPEN_TIMEOUT_SECONDS <= 15
    monkeypatch.setattr(venue_socket, "OPEN_TIMEOUT_SECONDS", 1.0)


ANSWERS = {
    "garbage": b"\x00\xff\xfe\r\n\r\n",
    "not a status": b"HTTP/1.1 abc OK\r\n\r\n",
    "unknown status": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "not utf-8": b"HTTP/1.1 101 \xff\xfe\r\nUpgrade: \xff\xfe\r\n\r\n",
    "header without colon": b"HTTP/1.1 101 Switching\r\nUpgrade\r\n\r\n",
    "no accept": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "redirect nowhere": b"HTTP/1.1 302 Found\r\n\r\n",
    "length is no number": b"HTTP/1.1 403 No\r\nContent-Length: abc\r\n\r\n",
    "length is huge": b"HTTP/1.1 403 No\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "nothing": b"",
    "empty lines": b"\r\n\r\n\r\n\r\n",
    "huge": b"HTTP/1.1 101 S\r\n" + b"X: " + b"y" * 300_000,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_a_strange_answer_to_the_handshake_is_tried_again(answer):
    """No answer ends the task that keeps the feed connected."""

    async def behave(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(behave) as server:
        connection = server.connection()
        async with connection.connect():
            await eventually(lambda: len(server.accepted) >= 2, timeout_seconds=HANDSHAKE_SECONDS)


async def test_a_venue_that_accepts_and_never_speaks_tls_is_left_within_fifteen_seconds(
    short_patience,
):
    """TCP alone proves nothing: the next attempt comes soon."""

    async def behave(reader, _writer):
        while await reader.read(65_536):
            pass

    async with raw_server(behave, plain=True) as server:
        connection = server.connection()
        async with connection.connect():
            await eventually(lambda: len(server.accepted) >= 2, timeout_seconds=14)


async def test_a_proxy_that_never_answers_is_left_within_fifteen_seconds(short_patience):
    """It accepts, reads CONNECT and is silent."""

    async def behave(reader, _writer):
        while await reader.read(65_536):
            pass

    async with raw_server(behave, plain=True) as server:
        connection = server.connection(proxy=f"http://127.0.0.1:{server.port}")
        async with connection.connect():
            await eventually(lambda: len(server.accepted) >= 2, timeout_seconds=14)


async def test_a_connection_closed_during_the_handshake_leaves_no_socket_behind():
    """The venue answers after the stop: nobody may go on reading from it."""
    asked, stopped, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def behave(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await stopped.wait()
        writer.write(_upgrade(request) + b"\x81\x02{}" * 10)
        with contextlib.suppress(OSError):
            await reader.read()
        ended.set()

    async with raw_server(behave) as server:
        connection = server.connection()
        async with connection.connect():
            await asked.wait()
            inbox = connection.inbox
        stopped.set()
        await asyncio.wait_for(ended.wait(), 10)
        assert inbox._items == []


def _upgrade(request: bytes) -> bytes:
    import base64
    import hashlib

    (key,) = (
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324
    )
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def _flood(writer, data):
    writer.write(data)
    await writer.drain()
    # a drain that need not wait never lets the loop notice that the other end is gone
    await asyncio.sleep(0)


async def test_a_socket_that_follows_a_full_one_is_held_back_as_well():
    """The first socket fills the inbox and is lost in the same read; nobody takes anything."""
    frame = b"\x81\x7e\x03\xe8" + b"x" * 1_000
    sent, looks = 0, []

    def stuck():
        # a venue that could go on would send more between two of so many looks
        looks.append(sent)
        return sent > 0 and len(looks) >= 50 and len(set(looks[-50:])) == 1

    async def behave(reader, writer):
        nonlocal sent
        writer.write(_upgrade(await reader.readuntil(b"\r\n\r\n")))
        await writer.drain()
        if len(server.accepted) == 1:
            await eventually(lambda: connection.connected)
            writer.write(b"\x81\x02{}" * 5_000 + b"\x88\x02\x03\xe9")
            await writer.drain()
            await reader.read()
            return
        while True:
            await _flood(writer, frame * 100)
            sent += 1

    async with raw_server(behave) as server:
        connection = server.connection()
        async with connection.connect():
            await eventually(lambda: len(server.accepted) >= 2, timeout_seconds=14)
            await eventually(stuck, timeout_seconds=20)
            assert connection.inbox.waiting < 4 * 4_096 + 5_000


async def test_pieces_without_content_that_never_end_are_refused():
    """Empty continuation frames cost memory as well: the socket is given up."""

    async def behave(reader, writer):
        writer.write(_upgrade(await reader.readuntil(b"\r\n\r\n")))
        writer.write(b"\x01\x01x")
        while not writer.transport.is_closing():
            await _flood(writer, b"\x00\x00" * 10_000)

    async with raw_server(behave) as server:
        connection = server.connection()
        async with connection.connect():
            await eventually(lambda: len(server.accepted) >= 2, timeout_seconds=14)
            assert server.accepted[1] - server.accepted[0] < 15
