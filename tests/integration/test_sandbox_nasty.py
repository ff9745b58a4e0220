"""Every nasty input arrives at a bare client as the recordings have it, byte for byte."""

import asyncio
import contextlib
import json

import pytest
from websockets.exceptions import ConnectionClosed

from backpack_sandbox.faults.nasty import GENERATORS, flood, huge_delta, nasty_inputs
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.sandbox_client import rest_client, running_venue, trust, wire_client

CASES = {case["name"]: case["input"] for case in load_fixture("nasty")["cases"]}
VICTIM = "backpack-feed/1.0"
ENDINGS = {"ws_close", "tcp_reset"}
OWN_KEYS = {"path", "fault", "generator"}


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path) as venue:
        yield venue


async def send(venue, name: str, **options) -> dict:
    body = {"name": name, "user_agent": VICTIM, **options}
    async with rest_client(venue) as http, http.post("/sandbox/nasty", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def frames(steps: list[dict], *, before_the_end: bool = True) -> list[str | bytes]:
    """What the venue sends of these steps, up to the end of the socket or from there on."""
    ends = [number for number, step in enumerate(steps) if step["transport"] in ENDINGS]
    end = ends[0] if ends else len(steps)
    wanted = steps[:end] if before_the_end else steps[end:]
    content = {"ws_text": lambda s: s.get("raw"), "ws_binary": lambda s: bytes.fromhex(s["hex"])}
    return [content[s["transport"]](s) for s in wanted if s["transport"] in content]


async def receive(client, count: int) -> list[str | bytes]:
    async with asyncio.timeout(10):
        return [await client.socket.recv() for _ in range(count)]


async def raw_answer(venue, path: str) -> bytes:
    """By a client that does not ask again on its own, as aiohttp would."""
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.port, ssl=trust(venue))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: venue\r\nUser-Agent: {VICTIM}\r\n\r\n".encode())
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


async def subscribed(client) -> None:
    await client.subscribe("depth.SOL_USDC", "trade.SOL_USDC")
    await client.drain()


def test_the_package_has_every_recorded_input():
    """Word for word, but for what the venue needs to play it; a new one must be added."""
    ours = {name: nasty.input for name, nasty in nasty_inputs().items()}
    assert ours.keys() == CASES.keys()
    for name, steps in CASES.items():
        assert len(ours[name]) == len(steps)
        for step, wanted in zip(ours[name], steps, strict=True):
            for key in wanted.keys() - OWN_KEYS:
                assert getattr(step, key) == wanted[key], (name, key)
            assert ("generator" in wanted) == (step.generator in GENERATORS)


@pytest.mark.parametrize(
    "name", [n for n, steps in CASES.items() if frames(steps) and None not in frames(steps)]
)
async def test_frames_arrive_byte_for_byte_at_the_subscribed_sockets_it_is_meant_for(venue, name):
    """And at nobody else's; they are not in the ledger."""
    wanted = frames(CASES[name])
    async with (
        wire_client(venue, VICTIM) as client,
        wire_client(venue, "ccxt") as spared,
        wire_client(venue, VICTIM) as unsubscribed,
    ):
        await subscribed(client)
        await subscribed(spared)
        before = venue.ledger.path.read_bytes()
        assert (await send(venue, name))["sockets"] == 1
        assert await receive(client, len(wanted)) == wanted
        assert await spared.drain() == await unsubscribed.drain() == []
        assert venue.ledger.path.read_bytes() == before


@pytest.mark.parametrize(
    "name", [n for n, s in CASES.items() if not ENDINGS.isdisjoint(t["transport"] for t in s)]
)
async def test_what_ends_a_socket_ends_it_as_recorded_and_goes_on_with_the_next(venue, name):
    """Close with its code, or a reset; what comes after is for the socket that comes back."""
    later = frames(CASES[name], before_the_end=False)
    ending = next(step for step in CASES[name] if step["transport"] in ENDINGS)
    async with wire_client(venue, VICTIM) as client:
        await subscribed(client)
        await send(venue, name)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client, 10)
        received = closed.value.rcvd
        assert (received and received.code) == ending.get("code")
    if later:
        async with wire_client(venue, VICTIM) as client:
            await client.subscribe("trade.SOL_USDC")
            assert await receive(client, len(later)) == later


@pytest.mark.parametrize(
    "name", [n for n, s in CASES.items() if any(t["transport"] == "http" for t in s)]
)
async def test_answers_of_rest_are_given_once_each_in_order(venue, name):
    """To the next request of the client; then the venue answers as ever."""
    path = "/api/v1/trades" if name.startswith("duplicate_trades") else "/api/v1/depth"
    wanted = [step for step in CASES[name] if step["transport"] == "http"]
    assert (await send(venue, name))["answers"] == len(wanted)
    query = {"symbol": "SOL_USDC"}
    async with rest_client(venue) as other, other.get(path, params=query) as answer:
        assert answer.status == 200
    async with rest_client(venue, VICTIM) as http:
        for step in wanted:
            if "error" in step:
                assert await raw_answer(venue, path) == b""
                continue
            async with http.get(path, params=query) as answer:
                assert answer.status == step["status"]
                body = await answer.text()
                assert (
                    (body == step["text"]) if "text" in step else (json.loads(body) == step["json"])
                )
                kind = step.get("content_type", "")
                assert answer.headers["Content-Type"].startswith(kind)
        async with http.get(path, params=query) as answer:
            body = await answer.json()
    newest = body[0]["id"] if path.endswith("trades") and body else body
    assert newest != 201
    assert "lastUpdateId" not in body or int(body["lastUpdateId"]) > 1000


async def test_ping_pong_pings_with_the_recorded_payload(venue):
    """The client's library answers it: the venue counts no missing pong."""
    got: list[bytes] = []
    async with wire_client(venue, VICTIM) as client:
        await subscribed(client)
        client.socket.protocol.recv_frame, inner = (
            lambda frame: (
                got.append(bytes(frame.data)) if frame.opcode == 9 else None,
                inner(frame),
            )[1],
            client.socket.protocol.recv_frame,
        )
        await send(venue, "ping_pong", wait_seconds=0.1)
        await eventually(lambda: got == [bytes.fromhex("31373930")])


@pytest.mark.parametrize("name", ["quiet_market", "silent_subscription", "ping_pong"])
async def test_a_wait_is_silence_while_the_market_moves(venue, name):
    """For the clients it is meant for, and as long as it says."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, "ccxt") as spared:
        await subscribed(client)
        await subscribed(spared)
        await send(venue, name, wait_seconds=2.0)
        await eventually(venue.faults.active)
        venue.advance(5)
        assert await spared.drain()
        assert await client.drain() == []
        await eventually(lambda: not venue.faults.active())
        venue.advance(5)
        assert await client.drain()


async def test_half_open_socket_answers_no_ping(venue):
    """Nothing comes and nothing is read, and TCP stays open."""
    async with wire_client(venue, VICTIM) as client:
        await subscribed(client)
        await send(venue, "half_open_socket", wait_seconds=2.0)
        await eventually(venue.faults.active)
        pong = await client.socket.ping()
        await eventually(lambda: not venue.faults.active())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await pong
        client.socket.transport.abort()


async def test_what_a_client_would_have_to_send_is_left_to_it(venue):
    """The venue takes it as ever: silence for unknown symbols, 4003 for a signature of long ago."""
    (asks, _), (replays,) = CASES["silent_subscription"], CASES["signature_expired_on_resubscribe"]
    assert asks["transport"] == replays["transport"] == "client_text"
    async with wire_client(venue, VICTIM) as client:
        await send(venue, "signature_expired_on_resubscribe")
        await client.send(asks["raw"])
        venue.advance(5)
        assert await client.drain() == []
        old = client.signature(now=venue.config.clock() - 600)
        await client.subscribe("account.orderUpdate", signature=old)
        assert '"code":4003' in await client.receive()


async def test_huge_delta_is_one_frame_of_ten_thousand_levels(venue):
    """About 250 KB of aggregated depth."""
    (wanted,) = huge_delta(())
    data = json.loads(wanted)["data"]
    assert len(data["a"]) == len(data["b"]) == 5000
    assert 150_000 < len(wanted) < 300_000
    async with wire_client(venue, VICTIM) as client:
        await subscribed(client)
        await send(venue, "huge_delta")
        assert await receive(client, 1) == [wanted.decode()]


async def test_flood_sends_ten_thousand_frames_a_second(venue):
    """The first second of it; each market's ids follow each other."""
    wanted = flood(tuple(venue.exchange.engines))
    async with wire_client(venue, VICTIM) as client:
        await subscribed(client)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await send(venue, "flood")
        got = await receive(client, 10_000)
        assert loop.time() - started < 20
        assert got == [next(wanted).decode() for _ in range(10_000)]
        client.socket.transport.abort()
    with contextlib.suppress(Exception):
        await venue.scenarios.stop()


async def test_an_unknown_input_gets_the_list_of_names(venue):
    """By HTTP."""
    async with (
        rest_client(venue) as http,
        http.post("/sandbox/nasty", json={"name": "soup"}) as answer,
    ):
        assert answer.status == 400
        reason = (await answer.json())["error"]
    assert all(name in reason for name in CASES)
