"""Faults of the sandbox: each does what it says, and only to the clients it is meant for."""

import asyncio
import json
from itertools import pairwise
from random import Random

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from backpack_sandbox.faults.effects.base import Tools
from backpack_sandbox.faults.impairment import make_effect
from backpack_sandbox.faults.orders import read_fault_order
from tests.support.backpack_fixtures import schema_violations
from tests.support.conditions import eventually
from tests.support.sandbox_client import rest_client, running_venue, signed_headers, wire_client

VICTIM = "backpack-feed/1.0"
BYSTANDER = "ccxt"
AIMED = {"user_agent": "backpack-feed*"}


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        yield venue


async def order(venue, method: str = "POST", path: str = "", **body):
    async with (
        rest_client(venue) as http,
        http.request(method, f"/sandbox/faults{path}", json=body or None) as answer,
    ):
        return answer.status, await answer.json()


async def received(venue, user_agent: str, *streams: str, seconds: float = 10) -> list[dict]:
    async with wire_client(venue, user_agent) as client:
        await client.subscribe(*streams)
        await client.drain()
        venue.advance(seconds)
        return await client.drain_data()


def holes(frames: list[dict]) -> int:
    ids = [frame["data"]["u"] for frame in frames if frame["data"]["e"] == "depth"]
    return sum(after != before + 1 for before, after in pairwise(ids))


async def test_gap_loses_depth_ids_of_the_matching_clients_only(venue):
    """Trades go on undisturbed, and so do the other clients."""
    await order(venue, fault="gap", share=0.2, **AIMED)
    streams = ("depth.SOL_USDC", "trade.SOL_USDC")
    hit = await received(venue, VICTIM, *streams, seconds=20)
    assert holes(hit) > 5
    trades = [frame["data"]["t"] for frame in hit if frame["data"]["e"] == "trade"]
    assert trades == list(range(trades[0], trades[0] + len(trades)))
    spared = await received(venue, BYSTANDER, *streams)
    assert spared
    assert holes(spared) == 0


def test_gap_comes_about_every_two_seconds_of_a_stream():
    """By default, whatever the rate of frames; a hundred seconds here."""
    now = 0.0
    effect = make_effect(read_fault_order({"fault": "gap"}), Tools(lambda: now, Random(1)))
    lost = []
    for tick in range(1000):
        now = tick / 10
        lost.append(not effect.frame("depth.X", b"{}"))
    gaps = sum(b and not a for a, b in zip([False, *lost], lost, strict=False))
    assert 35 <= gaps <= 65
    assert sum(lost) < 200


async def test_stale_silences_old_and_new_streams_of_an_open_socket(venue):
    """Pings and errors are still answered; the others hear everything; the end heals it."""
    async with wire_client(venue, VICTIM) as client:
        await client.subscribe("depth.SOL_USDC")
        await client.drain()
        _, fault = await order(venue, fault="stale", **AIMED)
        await client.subscribe("trade.SOL_USDC", "depth.BTC_USDC")
        await client.drain()
        venue.advance(10)
        assert await client.drain() == []
        async with asyncio.timeout(5):
            await (await client.socket.ping())
        assert await received(venue, BYSTANDER, "depth.SOL_USDC")
        await client.drain()
        assert await order(venue, "DELETE", f"/{fault['id']}") == (200, {})
        venue.advance(10)
        assert await client.drain() != []


async def test_disconnect_resets_the_matching_sockets_again_and_again(venue):
    """No close frame; REST still works; a new socket lives only some seconds."""
    async with wire_client(venue, BYSTANDER) as spared:
        await order(venue, fault="disconnect", **AIMED)
        async with wire_client(venue, VICTIM) as client:
            with pytest.raises(ConnectionClosedError) as closed:
                await client.receive()
            assert closed.value.rcvd is None
        assert await spared.drain() == []


async def test_auth_failure_ends_private_sockets_and_refuses_new_signatures(venue):
    """Public sockets and other clients stay; after the fault the same key works again."""
    async with wire_client(venue, VICTIM) as private, wire_client(venue, VICTIM) as public:
        await public.subscribe("depth.SOL_USDC")
        await private.subscribe("account.orderUpdate", signature=private.signature())
        await private.drain()
        await order(venue, fault="auth_failure", **AIMED)
        with pytest.raises(ConnectionClosed):
            await private.receive()
        assert await public.drain() == []
        await public.subscribe("account.orderUpdate", signature=public.signature())
        assert '"code":4003' in await public.receive()
        for user_agent, status in ((VICTIM, 400), (BYSTANDER, 200)):
            async with rest_client(venue, user_agent) as http:
                headers = signed_headers(venue, "balanceQuery")
                async with http.get("/api/v1/capital", headers=headers) as answer:
                    assert answer.status == status
        await order(venue, "DELETE")
        await public.subscribe("account.orderUpdate", signature=public.signature())
        assert await public.drain() == []


async def test_schema_drift_breaks_required_fields_of_the_chosen_markets(venue):
    """Every frame of SOL_USDC here, none of BTC_USDC, and nobody else's."""
    await order(venue, fault="schema_drift", share=1.0, symbols=["SOL_USDC"], **AIMED)
    streams = [f"{kind}.{s}" for kind in ("depth", "trade") for s in ("SOL_USDC", "BTC_USDC")]
    for user_agent in (VICTIM, BYSTANDER):
        frames = await received(venue, user_agent, *streams)
        for frame in frames:
            kind, _, symbol = frame["stream"].partition(".")
            broken = bool(schema_violations(kind, frame["data"]))
            assert broken == (user_agent == VICTIM and symbol == "SOL_USDC")
        assert {frame["stream"] for frame in frames} == set(streams)


async def test_schema_drift_hits_about_one_frame_in_ten(venue):
    """By default; the rest is as ever."""
    await order(venue, fault="schema_drift", **AIMED)
    frames = await received(venue, VICTIM, "depth.SOL_USDC", "depth.BTC_USDC", seconds=25)
    broken = sum(bool(schema_violations("depth", frame["data"])) for frame in frames)
    assert 0.05 < broken / len(frames) < 0.16


async def test_a_fault_ends_when_its_duration_is_over(venue):
    """And is no longer listed."""
    await order(venue, fault="stale", duration_seconds=2.0)
    assert [fault["fault"] for fault in (await order(venue, "GET"))[1]] == ["stale"]
    await eventually(lambda: not venue.faults.active())
    assert await received(venue, VICTIM, "depth.SOL_USDC")


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "earthquake"},
        {"fault": "gap", "symbols": ["NOPE"]},
        {"fault": "gap", "share": 2},
        {"fault": "disconnect", "symbols": ["SOL_USDC"]},
        {"fault": "auth_failure", "symbols": ["SOL_USDC"]},
        {"fault": "gap", "duration_seconds": -1},
        {"fault": "gap", "after_seconds": 1},
        {"fault": "cut", "after_seconds": -1},
        {"fault": "rest_503", "symbols": ["SOL_USDC"]},
        {"fault": "gap", "user_agnet": "*"},
        {},
    ],
)
async def test_a_fault_that_cannot_be_is_refused_with_the_reason(venue, body):
    """Nothing is started."""
    async with (
        rest_client(venue) as http,
        http.post("/sandbox/faults", data=json.dumps(body)) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["error"]
    assert venue.faults.active() == ()
