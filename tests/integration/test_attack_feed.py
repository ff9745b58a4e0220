"""The native feed under a venue, sinks and an operator that mean it harm."""

import asyncio

import pytest
from aiohttp import web
from cryptofeed.defines import L2_BOOK, TRADES

from backpack_feed.refusal import SinkError
from tests.support.conditions import eventually
from tests.support.native_feed import Delivered, make_feed, running
from tests.support.scripted_venue import rest_trade, scripted_venue, trade_frame


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        yield venue


@pytest.fixture
def delivered():
    return Delivered()


async def test_a_sink_that_refuses_a_backfilled_trade_halts_the_feed(venue, delivered):
    """The trade of a REST answer is as little to be skipped as one of the stream."""
    kept = []
    venue.trades = [rest_trade(i) for i in range(1, 4)]

    async def disk_full_once(trade, _receipt):
        if trade.id == "2":
            raise SinkError("disk full")
        kept.append(trade.id)

    feed = make_feed(
        venue, delivered, channels=[TRADES], callbacks={TRADES: disk_full_once},
        trade_checkpoint={"SOL-USDC": 0},
    )  # fmt: skip
    async with running(feed, until_ready=False):
        await eventually(lambda: feed.counters.dropped_messages)
        await venue.sockets[0].send(trade_frame(4))
        await eventually(lambda: feed.session.trades.markets["SOL_USDC"].frames or feed._halted)
        await eventually(lambda: feed._halted)
    assert kept == ["1"]


async def test_a_sink_that_refuses_a_snapshot_halts_the_feed(venue, delivered):
    """Also a book that came by REST."""

    async def full(_book, _receipt):
        raise SinkError("disk full")

    feed = make_feed(venue, delivered, channels=[L2_BOOK], callbacks={L2_BOOK: full})
    async with running(feed, until_ready=False):
        await eventually(lambda: feed.counters.dropped_messages)
        await eventually(lambda: feed._halted)


async def test_a_retry_after_that_no_calendar_has_does_not_end_the_fetching(venue, delivered):
    """A date beyond every calendar in one 503, and the book still comes."""
    venue.failures["/api/v1/depth"] = [
        web.Response(
            status=503, headers={"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}
        )
        for _ in range(2)
    ]
    feed = make_feed(venue, delivered, channels=[L2_BOOK])
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.books)


async def test_stop_is_prompt_while_the_markets_do_not_answer(venue, delivered):
    """REST hangs at the start; the operator does not wait for its timeouts."""
    hanging = asyncio.Event()

    async def never(*_args, **_kwargs):
        hanging.set()
        await asyncio.Event().wait()

    feed = make_feed(venue, delivered)
    feed._rest.markets_answer = never
    async with running(feed, until_ready=False):
        await asyncio.wait_for(hanging.wait(), 5)


async def test_stop_is_prompt_with_many_frames_waiting_for_a_slow_sink(venue, delivered):
    """A batch of a thousand trades and 50 ms each: stopping does not deliver them all first."""

    async def slow(trade, _receipt):
        delivered.trades.append(trade)
        await asyncio.sleep(0.05)

    feed = make_feed(venue, delivered, channels=[TRADES], callbacks={TRADES: slow})
    async with running(feed, until_ready=False):
        await eventually(lambda: venue.sockets and venue.sockets[0].requests)
        for trade_id in range(1, 1_001):
            await venue.sockets[0].send(trade_frame(trade_id))
        await eventually(lambda: len(delivered.trades) > 5)


async def test_stop_is_prompt_with_a_sink_that_never_returns(venue, delivered):
    """A callback hangs for ever."""
    entered = asyncio.Event()

    async def hang(_trade, _receipt):
        entered.set()
        await asyncio.sleep(3_600)

    feed = make_feed(venue, delivered, channels=[TRADES], callbacks={TRADES: hang})
    async with running(feed, until_ready=False):
        await eventually(lambda: venue.sockets and venue.sockets[0].requests)
        await venue.sockets[0].send(trade_frame(1))
        await entered.wait()
