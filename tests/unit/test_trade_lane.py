"""The way of one market's trades from socket and REST to the sinks."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from cryptofeed.types import Trade

from backpack_feed.incumbent import trade_lane
from backpack_feed.incumbent.trade_lane import TradeLane
from tests.support.conditions import eventually

D = Decimal


def trade(trade_id):
    return Trade("BACKPACK", "A", "buy", D(1), D(1), 1.0, id=str(trade_id))


class Venue:
    """REST that answers with what it currently has."""

    def __init__(self, *ids):
        self.ids = list(ids)
        self.asked = 0

    async def recent(self):
        self.asked += 1
        return [(i, trade(i)) for i in self.ids]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    """The same number of retries, without the wait."""
    monkeypatch.setattr(trade_lane, "RETRY_DELAYS_SECONDS", (0.0, 0.0))


@asynccontextmanager
async def lane_with(venue, last_id=None):
    delivered = []

    async def deliver(item, _receipt_timestamp):
        await asyncio.sleep(0)
        delivered.append(int(item.id))

    lane = TradeLane(last_id, deliver, lambda: 0.0)
    filler = asyncio.create_task(lane.keep_whole(venue.recent))
    yield lane, delivered
    filler.cancel()
    await asyncio.gather(filler, return_exceptions=True)


async def test_a_start_without_checkpoint_asks_rest_nothing():
    """The first live trade is the start."""
    venue = Venue(1, 2, 3)
    async with lane_with(venue) as (lane, delivered):
        await lane.live(7, trade(7), 0.0)
        await lane.live(8, trade(8), 0.0)
        assert delivered == [7, 8]
        assert venue.asked == 0


async def test_a_checkpoint_is_filled_before_any_live_trade():
    """A quiet market gets what it missed too."""
    async with lane_with(Venue(3, 4, 5), last_id=3) as (_, delivered):
        await eventually(lambda: delivered == [4, 5])


async def test_a_trade_that_rest_did_not_have_yet_is_asked_for_in_a_lull(monkeypatch):
    """It fell between a cached answer and the subscription, and no later trade tells of it."""
    monkeypatch.setattr(trade_lane, "STALE_SECONDS", 0.05)
    venue = Venue(3, 4)
    async with lane_with(venue, last_id=3) as (_, delivered):
        await eventually(lambda: delivered == [4])
        venue.ids.append(5)
        await eventually(lambda: delivered == [4, 5])


async def test_a_market_that_trades_is_not_asked_for_twice(monkeypatch):
    """A live trade shows the next hole by itself."""
    monkeypatch.setattr(trade_lane, "STALE_SECONDS", 0.05)
    venue = Venue(3, 4)
    async with lane_with(venue, last_id=3) as (lane, delivered):
        await eventually(lambda: delivered == [4])
        await lane.live(5, trade(5), 0.0)
        venue.ids.append(6)
        await lane.live(7, trade(7), 0.0)
        await eventually(lambda: delivered == [4, 5, 6, 7])
        assert venue.asked == 2


async def test_a_hole_holds_back_until_rest_fills_it():
    """Order is kept: nothing newer passes the hole."""
    venue = Venue()
    async with lane_with(venue) as (lane, delivered):
        await lane.live(1, trade(1), 0.0)
        await lane.live(4, trade(4), 0.0)
        assert delivered == [1]
        venue.ids = [1, 2, 3]
        await eventually(lambda: delivered == [1, 2, 3, 4])
        assert lane.gaps == 1
        assert lane.sequencer.backfilled == 2


async def test_an_unfillable_hole_is_counted_and_passed():
    """Trades that REST no longer has are lost visibly, and the stream goes on."""
    async with lane_with(Venue()) as (lane, delivered):
        await lane.live(1, trade(1), 0.0)
        await lane.live(4, trade(4), 0.0)
        await eventually(lambda: delivered == [1, 4])
        assert lane.sequencer.lost == 2


async def test_a_cancelled_session_does_not_cut_a_delivery_short():
    """The sequencer has moved on, so what it set free must arrive."""
    gate = asyncio.Event()
    delivered = []

    async def slow(item, _receipt_timestamp):
        await gate.wait()
        delivered.append(int(item.id))

    lane = TradeLane(None, slow, lambda: 0.0)
    watcher = asyncio.create_task(lane.live(1, trade(1), 0.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    gate.set()
    await eventually(lambda: delivered == [1])
    await lane.live(1, trade(1), 0.0)
    await lane.live(2, trade(2), 0.0)
    assert delivered == [1, 2]
