"""Faults of the sandbox that leave a socket open and worth nothing, or slow."""

import asyncio
import json
import time

import pytest

from tests.support.conditions import eventually
from tests.support.sandbox_client import rest_client, running_venue, wire_client

VICTIM = "backpack-feed/1.0"
BYSTANDER = "ccxt"
AIMED = {"user_agent": "backpack-feed*"}
STREAMS = ("depth.SOL_USDC", "trade.SOL_USDC")


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        yield venue


async def subscribed(client, *streams: str) -> None:
    await client.subscribe(*(streams or STREAMS))
    await client.drain()


async def hears_nothing(client, seconds: float = 0.3) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await client.socket.recv()
    except TimeoutError:
        return True
    return False


async def test_half_open_is_deaf_and_mute_for_ever(venue):
    """TCP stays open; the end of the fault heals new sockets only."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, BYSTANDER) as spared:
        await subscribed(client)
        await subscribed(spared)
        fault = venue.faults.add("half_open", **AIMED)
        venue.advance(5)
        pong = await client.socket.ping()
        assert await spared.drain()
        assert await hears_nothing(client)
        venue.faults.remove(fault.fault_id)
        venue.advance(5)
        assert await hears_nothing(client)
        assert not pong.done()
        async with wire_client(venue, VICTIM) as again:
            await subscribed(again)
            venue.advance(5)
            assert await again.drain()
        client.socket.transport.abort()


async def test_silent_is_silent_only_on_sockets_opened_meanwhile(venue):
    """They are served but for data; the fault's end heals them, too."""
    async with wire_client(venue, VICTIM) as older:
        await subscribed(older)
        fault = venue.faults.add("silent", **AIMED)
        async with wire_client(venue, VICTIM) as newer:
            await subscribed(newer)
            venue.advance(5)
            assert await older.drain()
            assert await newer.drain() == []
            venue.faults.remove(fault.fault_id)
            venue.advance(5)
            assert await newer.drain()


@pytest.mark.parametrize(
    ("name", "parameters", "least", "most"),
    [("delay", {"delay_ms": 300}, 0.3, 6.0), ("jitter", {"jitter_ms": 300}, 0.0, 6.0)],
)
async def test_late_frames_come_complete_and_in_order(venue, name, parameters, least, most):
    """As late as the parameter says; error frames and other clients are not held up."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, BYSTANDER) as spared:
        await subscribed(client)
        await subscribed(spared)
        venue.faults.add(name, **parameters, **AIMED)
        began = time.monotonic()
        venue.advance(5)
        want = await spared.drain()
        got = [await client.receive() for _ in want]
        assert got == want
        assert least <= time.monotonic() - began < most


async def test_a_delay_that_ends_lets_go_of_all_frames(venue):
    """At once and in order."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, BYSTANDER) as spared:
        await subscribed(client)
        await subscribed(spared)
        venue.faults.add("delay", delay_ms=60_000, **AIMED)
        venue.advance(5)
        assert await client.drain() == []
        venue.faults.clear()
        assert await client.drain() == await spared.drain() != []


async def test_slow_drip_lets_out_so_many_bytes_a_second(venue):
    """Nothing is lost."""
    plain = {"compression": None}
    async with (
        wire_client(venue, VICTIM, **plain) as client,
        wire_client(venue, BYSTANDER, **plain) as spared,
    ):
        await subscribed(client)
        await subscribed(spared)
        venue.faults.add("slow_drip", bytes_per_second=4000, **AIMED)
        began = time.monotonic()
        venue.advance(5)
        want = await spared.drain()
        got = [await client.receive() for _ in want]
        assert got == want
        seconds = time.monotonic() - began
        assert sum(map(len, want)) / seconds < 4000 * 1.5


async def test_flood_repeats_the_newest_frames(venue):
    """So many a second, each byte for byte one that was published; others are spared."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, BYSTANDER) as spared:
        await subscribed(client)
        await subscribed(spared)
        venue.faults.add("flood", frames_per_second=2000, **AIMED)
        venue.advance(5)
        want = await spared.drain()
        got: list[str] = []
        while len(got) < 3000:
            got.append(await client.receive())
        assert set(got) == set(want)
        newest = {json.loads(frame)["stream"]: frame for frame in want}
        assert set(got[len(want) :]) == set(newest.values())
        assert await spared.drain() == []


async def test_maintenance_says_so_and_closes_and_refuses_sockets(venue):
    """Close 1001, 503 to a new socket and to every path but the status."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, BYSTANDER) as spared:
        venue.faults.add("maintenance", **AIMED)
        await eventually(lambda: client.socket.close_code == 1001)
        with pytest.raises(Exception, match="503"):
            await wire_client(venue, VICTIM).__aenter__()
        assert await spared.drain() == []
    async with rest_client(venue, VICTIM) as http:
        async with http.get("/api/v1/status") as answer:
            assert (await answer.json())["status"] == "Maintenance"
        async with http.get("/api/v1/time") as answer:
            assert answer.status == 503
    venue.faults.clear()
    async with wire_client(venue, VICTIM) as client:
        assert await client.drain() == []
