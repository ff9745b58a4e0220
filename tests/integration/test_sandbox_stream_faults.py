"""Faults of the sandbox that lose, repeat, swap and delay frames, and cut sockets."""

import asyncio
import json
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from tests.support.conditions import eventually
from tests.support.sandbox_client import running_venue, wire_client

VICTIM = "backpack-feed/1.0"
BYSTANDER = "ccxt"
AIMED = {"user_agent": "backpack-feed*"}
STREAMS = ("depth.SOL_USDC", "trade.SOL_USDC")


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        yield venue


def ids(frames: list[dict], kind: str) -> list[int]:
    key = {"depth": "u", "trade": "t"}[kind]
    return [frame["data"][key] for frame in frames if frame["data"]["e"] == kind]


async def both(venue, seconds: float = 20) -> tuple[list[dict], list[dict]]:
    """What a victim and a bystander get of the same stretch of market."""
    async with wire_client(venue, VICTIM) as hit, wire_client(venue, BYSTANDER) as spared:
        for client in (hit, spared):
            await client.subscribe(*STREAMS)
            await client.drain()
        venue.advance(seconds)
        return await hit.drain_data(), await spared.drain_data()


async def test_trade_gap_loses_trades_and_leaves_the_book_alone(venue):
    """Of the matching clients only."""
    venue.faults.add("trade_gap", share=0.3, **AIMED)
    hit, spared = await both(venue)
    assert ids(hit, "depth") == ids(spared, "depth")
    lost = set(ids(spared, "trade")) - set(ids(hit, "trade"))
    assert 0.1 < len(lost) / len(ids(spared, "trade")) < 0.5


async def test_duplicate_repeats_frames_that_were_just_sent(venue):
    """Nothing is lost, and a repeat is at most three frames old and byte for byte the same."""
    venue.faults.add("duplicate", share=0.2, **AIMED)
    hit, spared = await both(venue)
    for kind in ("depth", "trade"):
        got = ids(hit, kind)
        assert list(dict.fromkeys(got)) == ids(spared, kind)
        assert len(got) > len(ids(spared, kind)) * 1.1
        newest = 0
        for number in got:
            newest = max(newest, number)
            assert number > newest - 3
    for name in STREAMS:
        frames = {json.dumps(frame) for frame in hit if frame["stream"] == name}
        assert frames == {json.dumps(frame) for frame in spared if frame["stream"] == name}


async def test_duplicate_repeats_the_last_frames_on_the_next_socket(venue):
    """Also across a reconnect: a new subscription begins with frames from before it."""
    venue.faults.add("duplicate", share=0.01, **AIMED)
    hit, _ = await both(venue)
    async with wire_client(venue, VICTIM) as client:
        await client.subscribe(*STREAMS)
        repeated = await client.drain_data()
    for kind in ("depth", "trade"):
        assert ids(repeated, kind) == ids(hit, kind)[-3:]


async def test_what_another_fault_did_to_one_client_is_not_repeated_to_another(venue):
    """The frames that are sent again are those that this client got."""
    venue.faults.add("schema_drift", share=1.0, **AIMED)
    venue.faults.add("schema_drift", share=1.0, **AIMED)  # finds the damage of the first
    venue.faults.add("duplicate", share=0.01)
    hit, spared = await both(venue)
    for user_agent, former in ((VICTIM, hit), (BYSTANDER, spared)):
        async with wire_client(venue, user_agent) as client:
            await client.subscribe("trade.SOL_USDC")
            repeated = await client.drain_data()
        assert repeated == [f for f in former if f["stream"] == "trade.SOL_USDC"][-3:]
        assert len(repeated) == 3


async def test_reorder_swaps_neighbours_of_one_stream(venue):
    """Nothing is lost or repeated, and no frame moves by more than one place."""
    venue.faults.add("reorder", share=0.2, **AIMED)
    hit, spared = await both(venue)
    for kind in ("depth", "trade"):
        got, want = ids(hit, kind), ids(spared, kind)
        assert got != want
        assert all(abs(place - want.index(number)) <= 1 for place, number in enumerate(got))


@pytest.mark.parametrize("way", ["the fault ends", "the stream falls silent"])
async def test_a_frame_that_waits_for_its_neighbour_is_never_lost(venue, way):
    """Held back when the fault ends, it goes on at once; in a quiet stream after a second."""
    fault = venue.faults.add("reorder", share=1.0, **AIMED)
    async with wire_client(venue, VICTIM) as client:
        await client.subscribe("depth.SOL_USDC")
        await client.drain()
        frames = []
        while not len(frames) % 2:  # with an odd number one is held back
            venue.advance(0.1)
            frames = venue.ledger.path.read_bytes().count(b'"stream":"depth.SOL_USDC"') * [None]
        if way == "the fault ends":
            venue.faults.remove(fault.fault_id)
        got: list[dict] = []

        async def all_are_here() -> bool:
            got.extend(await client.drain_data())
            return len(got) == len(frames)

        await eventually(all_are_here)
    assert sorted(ids(got, "depth")) == list(
        range(min(ids(got, "depth")), max(ids(got, "depth")) + 1)
    )


@pytest.mark.parametrize(("fault", "late"), [("stall", True), ("blackout", False)])
async def test_a_stalled_socket_stays_open_and_sends_nothing(venue, fault, late):
    """Not even pongs. Afterwards a stall delivers everything late; a blackout has lost it."""
    async with wire_client(venue, VICTIM) as client, wire_client(venue, BYSTANDER) as spared:
        for each in (client, spared):
            await each.subscribe("depth.SOL_USDC")
            await each.drain()
        started = venue.faults.add(fault, **AIMED)
        venue.advance(5)
        want = await spared.drain()
        assert want
        pong = await client.socket.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.socket.recv()
        assert not pong.done()
        venue.faults.remove(started.fault_id)
        async with asyncio.timeout(5):
            await pong
        assert await client.drain() == (want if late else [])
        venue.advance(5)
        assert await client.drain() == await spared.drain() != []


async def test_a_new_socket_is_stalled_too(venue):
    """It opens, and hears nothing until the fault is over."""
    stalled = venue.faults.add("stall", **AIMED)
    async with wire_client(venue, VICTIM) as client:
        await client.subscribe("depth.SOL_USDC")
        await eventually(lambda: "depth.SOL_USDC" in next(iter(venue.fanout)).streams)
        venue.advance(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.socket.recv()
        venue.faults.remove(stalled.fault_id)
        assert await client.drain() != []


async def test_close_says_goodbye_in_order(venue):
    """Close 1001, as a venue that is going down; again and again, and only to its victims."""
    async with wire_client(venue, BYSTANDER) as spared:
        venue.faults.add("close", after_seconds=0, **AIMED)
        for _ in range(2):
            async with wire_client(venue, VICTIM) as client:
                with pytest.raises(ConnectionClosedOK) as closed:
                    await client.receive()
                assert closed.value.rcvd.code == 1001
        assert await spared.drain() == []


async def test_cut_ends_a_socket_within_a_frame(venue):
    """The client has half a frame and no close frame."""
    async with wire_client(venue, VICTIM) as client:
        await client.drain()
        venue.faults.add("cut", after_seconds=0, **AIMED)
        with pytest.raises(ConnectionClosedError) as closed:
            await client.receive()
        assert closed.value.rcvd is None


async def test_the_seed_decides_which_frames_are_hit(tmp_path):
    """The same seed loses the same frames of the same market; another one others."""

    async def lost(name: str, seed: int) -> list[bool]:
        async with running_venue(tmp_path / name, seed=seed) as venue:
            venue.faults.add("gap", share=0.3, **AIMED)
            hit, spared = await both(venue, 10)
            heard = set(ids(hit, "depth"))
            return [number in heard for number in ids(spared, "depth")]

    first, second, other = [await lost(n, s) for n, s in (("a", 1), ("b", 1), ("c", 2))]
    assert first == second
    assert first[:40] != other[:40]


async def test_faults_add_up(venue):
    """Lost, repeated and swapped at once, and each keeps its place when another one begins."""
    venue.faults.add("reorder", share=1.0, **AIMED)
    async with wire_client(venue, VICTIM) as client:
        await client.subscribe("depth.SOL_USDC")
        await client.drain()
        for _ in range(20):
            venue.advance(0.5)
            venue.faults.add("duplicate", share=0.01, duration_seconds=5, **AIMED)
        venue.faults.clear()
        got = ids(await client.drain_data(), "depth")
    assert set(got) == set(range(min(got), max(got) + 1))
    assert any(after < before for before, after in pairwise(got))
