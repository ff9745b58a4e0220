"""The websocket below its messages: compression, fragments, sizes, close codes, both event loops."""

import asyncio
import base64
import json
import os
import ssl
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode

from tests.support.conditions import eventually
from tests.support.sandbox_client import running_venue, trust, wire_client

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
PARSE_ERROR = '{"id":null,"error":{"code":4002,"message":"Parse error"}}'


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        yield venue


@asynccontextmanager
async def raw_socket(venue, **headers: str):
    """(head of the handshake's answer, reader, writer) without any websocket library."""
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.port, ssl=trust(venue))
    asked = {
        "Host": "venue",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in asked.items()]
    writer.write(f"GET / HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    try:
        yield head, reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def masked(first_byte: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    assert len(payload) < 126
    return bytes((first_byte, 0x80 | len(payload))) + b"\0\0\0\0" + payload


OFFERS = {
    "as browsers offer it": ClientPerMessageDeflateFactory(),
    "without a server context": ClientPerMessageDeflateFactory(server_no_context_takeover=True),
    "a small window": ClientPerMessageDeflateFactory(server_max_window_bits=10),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
async def test_deflate_is_real_when_offered_and_every_client_reads_the_same(venue, offer):
    """Beside a plain client; errors and data alike, and the compressed way is the shorter one."""
    async with (
        wire_client(venue, extensions=[offer], compression=None) as packed,
        wire_client(venue, compression=None) as plain,
    ):
        assert "permessage-deflate" in packed.socket.response.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in plain.socket.response.headers
        sizes = []
        read = packed.socket.protocol.extensions[0].decode

        def measured(frame, **options):
            if frame.opcode is Opcode.TEXT:
                sizes.append((frame.rsv1, len(frame.data)))
            return read(frame, **options)

        packed.socket.protocol.extensions[0].decode = measured
        for client in (packed, plain):
            await client.subscribe("depth.SOL_USDC", "trade.SOL_USDC", "bookTicker.SOL_USDC")
            assert await client.drain() == []
        venue.advance(20)
        frames = await plain.drain()
        assert len(frames) > 100
        assert await packed.drain() == frames
        assert all(compressed for compressed, _ in sizes)
        assert sum(size for _, size in sizes) < 0.9 * sum(len(frame) for frame in frames)


async def test_a_socket_without_the_offer_gets_no_compressed_frame(venue):
    """The handshake names no extension, and the first byte says plain text."""
    async with raw_socket(venue) as (head, reader, writer):
        assert "Sec-WebSocket-Extensions" not in head
        writer.write(masked(0x81, b"hello"))
        assert await reader.readexactly(2 + len(PARSE_ERROR)) == (
            bytes((0x81, len(PARSE_ERROR))) + PARSE_ERROR.encode()
        )


async def test_control_messages_may_be_binary_and_in_fragments_with_a_ping_between(venue):
    """The message counts, not its frames."""
    async with wire_client(venue) as client:
        ask = json.dumps({"method": "SUBSCRIBE", "params": ["nope.X"]})
        refusal = '{"id":null,"error":{"code":4006,"message":"Invalid stream"}}'
        await client.socket.send(ask.encode())
        assert await client.receive() == refusal
        await client.socket.send([ask[:10], ask[10:20], ask[20:]])
        assert await client.receive() == refusal
    async with raw_socket(venue) as (_, reader, writer):
        writer.write(
            masked(0x01, ask[:9].encode()) + masked(0x89, b"?") + masked(0x80, ask[9:].encode())
        )
        assert await reader.readexactly(3) == b"\x8a\x01?"
        assert (await reader.readexactly(2 + len(refusal)))[2:].decode() == refusal


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(0x09, b"half a ping"), 1002),
        (masked(0x83, b"reserved opcode"), 1002),
        (masked(0xC1, b"compressed, not agreed"), 1002),
        (masked(0x81, b"\xff\xfe"), 1007),
        (b"\x81\xff" + (2**40).to_bytes(8) + b"\0\0\0\0", 1009),
    ],
    ids=["fragmented_control", "opcode", "rsv1", "not_utf8", "oversize"],
)
async def test_a_breach_of_the_protocol_ends_this_socket_with_its_code_and_no_other(
    venue, sent, code
):
    """A frame that announces a terabyte is refused by its header."""
    async with wire_client(venue) as other:
        async with raw_socket(venue) as (_, reader, writer), asyncio.timeout(10):
            writer.write(sent)
            head = await reader.readexactly(4)
            assert (head[0], int.from_bytes(head[2:])) == (0x88, code)
            await reader.read()
        await eventually(lambda: len(venue.fanout) == 1)
        assert await other.drain() == []


async def test_several_hundred_streams_in_one_frame_are_all_delivered(venue):
    """With hundreds of unknown ones between them, which stay silent."""
    streams = [
        f"{kind}.{symbol}"
        for kind in ("depth", "depth.200ms", "depth.600ms", "depth.1000ms", "trade", "bookTicker")
        for symbol in venue.catalog
    ]
    unknown = [f"depth.NO{number}_USDC" for number in range(600)]
    mixed = [name for pair in zip(unknown, streams * 5, strict=False) for name in pair]
    async with wire_client(venue) as client:
        await client.subscribe(*mixed)
        assert await client.drain() == []
        venue.advance(30)
        seen = {frame["stream"] for frame in await client.drain_data()}
    wanted = {f"depth.{s}" for s, market in venue.catalog.items() if market.has_book}
    assert wanted <= seen <= set(streams)


async def test_a_close_is_answered_with_its_own_code(venue):
    """And the venue forgets the socket."""
    async with wire_client(venue) as client:
        await client.socket.close(code=3001)
        assert client.socket.close_code == 3001
        assert client.socket.protocol.close_rcvd.code == 3001
    await eventually(lambda: not len(venue.fanout))


async def test_a_client_that_goes_without_a_word_is_forgotten(venue):
    """Its streams too."""
    async with wire_client(venue) as client:
        await client.subscribe("depth.SOL_USDC")
        await client.drain()
        client.socket.transport.abort()
        await eventually(lambda: not len(venue.fanout))
    venue.advance(5)


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_served(venue, monkeypatch):
    """As soon as more waits for it than the venue keeps."""
    monkeypatch.setattr("backpack_sandbox.sockets.outlet.UNSENT_BYTES_MAX", 200_000)
    async with raw_socket(venue) as (_, reader, _), wire_client(venue) as other:
        reader._transport.pause_reading()
        (deaf, served) = tuple(venue.fanout)
        await other.subscribe("depth.SOL_USDC")
        await other.drain()
        for _ in range(200):
            deaf.send(b"x" * 60_000)
            await asyncio.sleep(0)
            if len(venue.fanout) == 1:
                break
        await eventually(lambda: list(venue.fanout) == [served])
        venue.advance(5)
        assert await other.drain()


@pytest.mark.parametrize("make_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_shutdown_says_1001_to_all_and_waits_for_no_deaf_one(tmp_path, make_loop):
    """Also under another event loop in the same process; data of before comes first."""

    async def story() -> None:
        async with running_venue(tmp_path) as venue:
            contexts = [wire_client(venue), wire_client(venue, compression=None)]
            clients = [await context.__aenter__() for context in contexts]
            for client in clients:
                await client.subscribe("depth.SOL_USDC")
                assert await client.drain() == []
            async with raw_socket(venue) as (_, reader, _):
                reader._transport.pause_reading()
                began = asyncio.get_running_loop().time()
                venue.advance(5)
                await venue.__aexit__(None, None, None)
                assert asyncio.get_running_loop().time() - began < 15
        for client, context in zip(clients, contexts, strict=True):
            frames = [frame async for frame in client.socket]
            assert client.socket.protocol.close_rcvd.code == 1001
            assert len(frames) > 10
            await context.__aexit__(None, None, None)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(story())


@pytest.mark.parametrize("make_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_cut_leaves_half_a_frame_and_an_abort_none(tmp_path, make_loop):
    """Neither leaves a Close frame."""

    async def story() -> None:
        async with running_venue(tmp_path) as venue:
            for end, left in (("cut", b'\x81\x7e\x00\x7e{"data":'), ("abort", b"")):
                async with raw_socket(venue) as (_, reader, _):
                    await eventually(lambda: len(venue.fanout) == 1)
                    (session,) = venue.fanout
                    getattr(session, end)()
                    content = b""
                    try:
                        content = await reader.read(1000)
                    except (ConnectionError, ssl.SSLError):
                        assert not left
                    assert content.startswith(left)
                    assert bool(content) == bool(left)
                await eventually(lambda: not len(venue.fanout))

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(story())


async def test_stalled_throttled_and_raw_bytes_keep_their_order(venue):
    """A stall holds everything but a Close; a throttle lets bytes drip; pings and binary queue."""
    async with wire_client(venue, compression=None) as client:
        (session,) = venue.fanout
        session.stall(stalled=True)
        session.send(b"1")
        session.send_binary(b"2")
        session.write_raw(b"\x81\x013")
        session.send_ping(b"opaque")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.socket.recv()
        session.stall(stalled=False)
        assert [await client.socket.recv() for _ in range(3)] == ["1", b"2", "3"]
        session.throttle(20_000)
        session.send(b"x" * 10_000)
        began = asyncio.get_running_loop().time()
        assert len(await client.receive()) == 10_000
        assert asyncio.get_running_loop().time() - began > 0.3
        session.throttle(None)
        assert await client.drain() == []
        session.stall(stalled=True)
        session.send(b"never")
        closing = asyncio.create_task(session.close(1012, b"restart"))
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "restart")
        await closing


async def test_a_deaf_socket_reads_nothing_until_it_hears_again(venue):
    """What was asked meanwhile is answered then."""
    async with wire_client(venue) as client:
        (session,) = venue.fanout
        session.stall(stalled=True, deaf=True)
        await client.subscribe("depth.SOL_USDC")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await (await client.socket.ping())
        assert not session.streams
        session.stall(stalled=False)
        await eventually(lambda: session.streams == {"depth.SOL_USDC"})
        assert await client.drain() == []


async def test_too_many_frames_held_back_by_a_stall_cut_the_socket_off(venue, monkeypatch):
    """Whether they come at once or one by one."""
    monkeypatch.setattr("backpack_sandbox.sockets.outlet.HELD_FRAMES_MAX", 50)
    async with wire_client(venue) as client:
        (session,) = venue.fanout
        session.stall(stalled=True)
        for number in range(51):
            assert not session.ended.is_set()
            session.send(f"{number}".encode())
            await asyncio.sleep(0)
        with pytest.raises(ConnectionClosed):
            await client.receive()
