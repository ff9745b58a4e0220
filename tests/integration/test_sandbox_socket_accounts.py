"""Whose private frames a socket gets, and what a signature opens on it."""

import json

import pytest

from tests.support.sandbox_client import WireClient, running_venue, signing_key, wire_client

REFUSED = ['{"id":null,"error":{"code":4003,"message":"Invalid signature"}}']
ORDERS = "account.orderUpdate"


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        yield venue


async def test_a_socket_hears_of_its_own_account_only(venue):
    """The house trades all the time, the trader never does: same stream name, other frames."""
    async with wire_client(venue) as house, wire_client(venue, account="trader") as trader:
        for client in (house, trader):
            await client.subscribe(ORDERS, "depth.SOL_USDC", signature=client.signature())
            assert await client.drain() == []
        venue.advance(30)
        streams = {frame["stream"] for frame in await house.drain_data()}
        assert streams == {ORDERS, "depth.SOL_USDC"}
        assert {frame["stream"] for frame in await trader.drain_data()} == {"depth.SOL_USDC"}
        assert [session.account for session in venue.fanout] == ["house", "trader"]


async def test_a_socket_belongs_to_the_account_that_signed_first(venue):
    """Another account's good signature is refused on it, and changes nothing."""
    async with wire_client(venue) as client:
        other = WireClient(client.socket, signing_key(venue, "trader"))
        await client.subscribe(f"{ORDERS}.SOL_USDC", signature=client.signature())
        assert await client.drain() == []
        await other.subscribe(ORDERS, signature=other.signature())
        assert await client.drain() == REFUSED
        (session,) = venue.fanout
        assert (session.account, len(session.streams)) == ("house", 1)


async def test_every_private_subscribe_is_signed_anew(venue):
    """One that was signed before opens no later one; public ones need no signature."""
    async with wire_client(venue) as client:
        await client.subscribe(ORDERS, signature=client.signature())
        await client.subscribe("account.balanceUpdate")
        assert await client.drain() == REFUSED
        await client.subscribe("trade.SOL_USDC")
        assert await client.drain() == []


async def test_no_name_reaches_another_accounts_stream(venue):
    """A NUL in a name, which is how the venue keeps accounts apart, is an invalid stream."""
    async with wire_client(venue) as spy:
        forged = [f"house\0{ORDERS}", f"\0{ORDERS}", f"account.\0{ORDERS}", "depth.\0SOL_USDC"]
        await spy.subscribe(*forged)
        answers = await spy.drain()
        assert [json.loads(answer)["error"]["code"] for answer in answers] == [4006] * 4
        await spy.send({"method": "UNSUBSCRIBE", "params": [ORDERS, *forged]})
        await spy.drain()
        venue.advance(30)
        assert await spy.drain() == []


async def test_leaving_a_private_stream_needs_no_signature_and_ends_it_for_this_socket_only(venue):
    """Two sockets of one account: the other goes on."""
    async with wire_client(venue) as leaving, wire_client(venue) as staying:
        for client in (leaving, staying):
            await client.subscribe(ORDERS, signature=client.signature())
            await client.drain()
        await leaving.send({"method": "UNSUBSCRIBE", "params": [ORDERS]})
        assert await leaving.drain() == []
        venue.advance(30)
        assert await leaving.drain() == []
        assert await staying.drain() != []
