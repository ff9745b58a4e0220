"""The trade lane against a venue that drops, repeats and reorders."""

import asyncio
from decimal import Decimal

from cryptofeed.types import Trade
from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.incumbent.trade_lane import TradeLane
from tests.support.conditions import eventually

FIRST = 100


def trade(trade_id):
    return Trade("BACKPACK", "A", "buy", Decimal(1), Decimal(1), 1.0, id=str(trade_id))


async def deliver_all(heard, checkpoint):
    """Hear `heard` live, over a REST interface that knows every trade up to the newest."""
    delivered = []

    async def deliver(item, _receipt_timestamp):
        await asyncio.sleep(0)
        delivered.append(int(item.id))

    async def recent():
        return [(i, trade(i)) for i in reversed(range(FIRST, max(heard) + 1))]

    lane = TradeLane(checkpoint, deliver, lambda: 0.0)
    filler = asyncio.create_task(lane.keep_whole(recent))
    await asyncio.gather(*(lane.live(i, trade(i), 0.0) for i in heard))
    await eventually(lambda: delivered and delivered[-1] == max(heard))
    filler.cancel()
    await asyncio.gather(filler, return_exceptions=True)
    return delivered


@settings(max_examples=60, deadline=None)
@given(
    heard=st.lists(st.integers(FIRST, FIRST + 30), min_size=1, max_size=40),
    checkpoint=st.none() | st.integers(FIRST, FIRST + 5),
)
def test_delivered_ids_are_contiguous_whatever_the_socket_does(heard, checkpoint):
    """Each id exactly once and in order, from the checkpoint or the first trade heard."""
    if checkpoint is not None and max(heard) <= checkpoint:
        heard = [*heard, checkpoint + 1]
    delivered = asyncio.run(deliver_all(heard, checkpoint))
    start = heard[0] if checkpoint is None else checkpoint + 1
    assert delivered == list(range(start, max(heard) + 1))
