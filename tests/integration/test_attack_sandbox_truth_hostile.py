"""Bytes that are no client's: the venue stays up, and its log stays empty."""

import asyncio
import ssl
import struct
import zlib

import pytest

from tests.support.conditions import eventually
from tests.support.sandbox_client import rest_client, running_venue, trust, wire_client

HOST = b"Host: x\r\n"
JSON_BODY = b"POST /api/v1/order HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
DEEP = b'{"method":"SUBSCRIBE","params":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def masked(first_byte, payload, announced=None):
    size = len(payload) if announced is None else announced
    if size < 126:
        head = bytes([first_byte, 0x80 | size])
    elif size < 65536:
        head = bytes([first_byte, 0xFE]) + struct.pack(">H", size)
    else:
        head = bytes([first_byte, 0xFF]) + struct.pack(">Q", size)
    return head + bytes(4) + payload


def bomb():
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = press.compress(bytes(50_000_000)) + press.flush(zlib.Z_SYNC_FLUSH)
    return masked(0xC1, packed[:-4])


HTTP_BYTES = {
    "no http": b"\x00\x01\xff\r\n\r\n",
    "a huge header": b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 20_000 + b"\r\n",
    "two lengths": JSON_BODY + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length and chunks": JSON_BODY
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "a length below zero": JSON_BODY + b"Content-Length: -5\r\n\r\nhello",
    "a giant length": JSON_BODY + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    "a chunk of no size": JSON_BODY + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello",
    "no gzip": JSON_BODY + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "no host": b"GET /api/v1/time HTTP/1.1\r\n\r\n",
    "a bad address": b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a surrogate": b"GET /api/v1/depth?symbol=%ed%a0%80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no websocket key": UPGRADE + b"\r\n",
    "a key that is no text": UPGRADE + b"Sec-WebSocket-Key: \xff\xff\r\n\r\n",
    "half a request": b"GET /api/v1/ti",
    "half a body": JSON_BODY + b"Content-Length: 50\r\n\r\n{",
}
SOCKET_BYTES = {
    "a reserved bit": masked(0xA1, b"{}"),
    "an unknown opcode": masked(0x83, b"{}"),
    "a giant length": masked(0x81, b"{}", announced=2**62),
    "a length below zero": masked(0x81, b"{}", announced=2**63 + 5),
    "a continuation of nothing": masked(0x80, b"{}"),
    "a ping in pieces": masked(0x09, b"x"),
    "a ping too long": masked(0x89, b"x" * 126),
    "a Close of one byte": masked(0x88, b"\x03"),
    "a Close of no code": masked(0x88, struct.pack(">H", 1006)),
    "no UTF-8": masked(0x81, b"\xff\xfe"),
    "deep JSON": masked(0x81, DEEP),
    "pieces without end": masked(0x01, b"") + masked(0x00, b"") * 20_000,
    "half a frame": b"\x81\xff\x00",
    "a bomb": bomb(),
    "no deflate": masked(0xC1, b"\xff\xff\xff\xff"),
    "nothing": b"",
}


async def talk(venue, *pieces):
    """Send raw bytes over TLS, take one answer or none, and hang up without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.port, ssl=trust(venue))
    answer = b""
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        try:
            async with asyncio.timeout(0.2):
                answer = await reader.read(65536)
        except (TimeoutError, OSError, ssl.SSLError):
            pass
    writer.transport.abort()
    return answer


async def works(venue, listener):
    """A client that was there before still gets frames, and a new one an answer."""
    venue.advance(1.0)
    assert await listener.drain()
    async with rest_client(venue) as http, http.get("/api/v1/time") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("content", HTTP_BYTES.values(), ids=HTTP_BYTES)
async def test_hostile_http_leaves_no_trace(tmp_path, content, caplog):
    """Refused, or waited for; never a 5xx, never a traceback."""
    async with running_venue(tmp_path) as venue, wire_client(venue) as listener:
        await listener.subscribe("depth.SOL_USDC")
        answer = await talk(venue, content)
        assert answer[8:12].strip() != b"500"
        await works(venue, listener)
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("content", SOCKET_BYTES.values(), ids=SOCKET_BYTES)
async def test_a_hostile_socket_leaves_no_trace(tmp_path, content, caplog):
    """It is closed, or ignored, and forgotten when it is gone."""
    async with running_venue(tmp_path) as venue, wire_client(venue) as listener:
        await listener.subscribe("depth.SOL_USDC")
        await listener.drain()
        handshake = UPGRADE + KEY + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        await talk(venue, handshake, content)
        await works(venue, listener)
        await eventually(lambda: len(venue.fanout) == 1)
    assert [record.getMessage() for record in caplog.records] == []
