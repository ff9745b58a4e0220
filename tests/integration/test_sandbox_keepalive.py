"""The venue's pings and what it does with sockets that leave them unanswered (protocol 5.2)."""

import asyncio
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Opcode

from tests.support.conditions import eventually
from tests.support.sandbox_client import running_venue, wire_client

INTERVAL_SECONDS = 0.3


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(
        tmp_path, ping_interval_seconds=INTERVAL_SECONDS, first_ping_seconds=(0.05, 0.1)
    ) as venue:
        yield venue


def watch_pings(client, *, answer: bool) -> list[float]:
    """Moments at which the venue pinged; without `answer` the library sees none of them."""
    moments: list[float] = []
    take = client.socket.protocol.recv_frame

    def taken(frame) -> None:
        if frame.opcode is Opcode.PING:
            moments.append(asyncio.get_running_loop().time())
            if not answer:
                return
        take(frame)

    client.socket.protocol.recv_frame = taken
    return moments


async def end_of(client) -> tuple[float, ConnectionClosedError]:
    with pytest.raises(ConnectionClosedError) as closed:
        await client.receive()
    return asyncio.get_running_loop().time(), closed.value


async def test_pings_come_at_the_interval_and_an_answering_client_stays(venue):
    """The first within its own range; subscribed or not."""
    async with wire_client(venue) as idle, wire_client(venue) as subscribed:
        watched = [watch_pings(client, answer=True) for client in (idle, subscribed)]
        await subscribed.subscribe("depth.SOL_USDC")
        await eventually(lambda: all(len(moments) >= 5 for moments in watched))
        for moments in watched:
            gaps = [after - before for before, after in pairwise(moments)]
            assert min(gaps) > INTERVAL_SECONDS * 0.5
        assert await idle.drain() == await subscribed.drain() == []


async def test_a_silent_socket_without_subscriptions_goes_at_the_next_ping_without_a_close(venue):
    """The client sees 1006."""
    async with wire_client(venue) as client:
        moments = watch_pings(client, answer=False)
        ended, closed = await end_of(client)
        assert closed.rcvd is None
        assert INTERVAL_SECONDS * 0.8 < ended - moments[0] < INTERVAL_SECONDS * 1.9


async def test_a_silent_subscribed_socket_has_two_intervals_and_then_a_close_frame(venue):
    """120 s of the real 60: it is pinged again in between."""
    async with wire_client(venue) as client:
        moments = watch_pings(client, answer=False)
        await client.subscribe("depth.SOL_USDC")
        ended, closed = await end_of(client)
        assert closed.rcvd.code == 1008
        assert len(moments) == 2
        assert INTERVAL_SECONDS * 1.8 < ended - moments[0] < INTERVAL_SECONDS * 2.9


async def test_a_pong_in_time_starts_the_count_anew(venue):
    """Also one that nobody asked for."""
    async with wire_client(venue) as client:
        moments = watch_pings(client, answer=False)
        await client.subscribe("depth.SOL_USDC")

        async def pinged_again() -> bool:
            await client.socket.pong()
            return len(moments) >= 6

        await eventually(pinged_again)
        assert await client.drain() == []


async def test_a_stalled_socket_is_neither_pinged_nor_dropped(venue):
    """The fault plays a venue that is not there."""
    async with wire_client(venue) as client, wire_client(venue) as other:
        moments = watch_pings(client, answer=False)
        stalled = next(iter(venue.fanout))
        stalled.stall(stalled=True)
        others = watch_pings(other, answer=True)
        await eventually(lambda: len(others) >= 5)
        assert (moments, len(venue.fanout)) == ([], 2)
