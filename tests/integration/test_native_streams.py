"""The native feed against a scripted venue: what a frame, a hole or a lost socket leads to."""

import asyncio
import json
from decimal import Decimal

import pytest
from aiohttp import web

from backpack_feed.constants import USER_AGENT
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.native_feed import Delivered, fast_monotonic, make_feed, running
from tests.support.scripted_venue import (
    depth_frame,
    rest_trade,
    scripted_venue,
    trade_frame,
)

NASTY = {case["name"]: case for case in load_fixture("nasty")["cases"]}
HARMLESS = [
    "bad_json",
    "binary_frame",
    "unknown_event",
    "missing_required_field",
    "unknown_symbol_in_frame",
    "error_4006",
]


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        yield venue


@pytest.fixture
def delivered():
    return Delivered()


async def socket_of(venue, number: int = 0):
    """The venue's side of the n-th connection, once everything is subscribed."""
    await eventually(lambda: len(venue.sockets) > number and venue.sockets[number].requests)
    return venue.sockets[number]


def frames_of(name: str):
    for step in NASTY[name]["input"]:
        if step["transport"] == "ws_text":
            yield step["raw"]
        elif step["transport"] == "ws_binary":
            yield bytes.fromhex(step["hex"])


async def test_one_socket_carries_every_stream_under_the_feeds_name(venue, delivered):
    """Realtime depth and trades in one SUBSCRIBE, with the feed's own User-Agent."""
    async with running(make_feed(venue, delivered), until_ready=False):
        socket = await socket_of(venue)
    assert socket.subscriptions() == ["depth.SOL_USDC", "trade.SOL_USDC"]
    assert socket.user_agent == USER_AGENT
    assert {r.headers["User-Agent"] for r in venue.rest_requests} == {USER_AGENT}


async def test_an_aggregated_window_is_subscribed_by_name(venue, delivered):
    """`depth_window` trades detail for load."""
    feed = make_feed(venue, delivered, depth_window="200ms")
    async with running(feed, until_ready=False):
        socket = await socket_of(venue)
        assert "depth.200ms.SOL_USDC" in socket.subscriptions()
        await eventually(lambda: delivered.books)
        await socket.send(depth_frame(1001).replace("depth.SOL", "depth.200ms.SOL"))
        await eventually(lambda: delivered.books[-1]["sequence"] == 1001)


@pytest.mark.parametrize("name", HARMLESS)
async def test_a_poison_frame_costs_only_itself(venue, delivered, name):
    """The socket stays and the next trade is delivered."""
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        for frame in frames_of(name):
            await socket.send(frame)
        await socket.send(trade_frame(10_000))
        await eventually(lambda: delivered.trades)
        await asyncio.wait_for(socket.send(trade_frame(10_001)), 5)
        await eventually(lambda: 10_001 in delivered.ids() or delivered.ids()[-1] < 10_000)
        snapshot = feed.metrics_snapshot()
    assert len(venue.sockets) == 1
    assert all(trade.price and trade.amount for trade in delivered.trades)
    poison = name in ("bad_json", "binary_frame", "missing_required_field")
    assert snapshot["decode_errors"] == snapshot["dropped_messages"] == int(poison)
    assert snapshot["ws_errors"] == (name == "error_4006")


async def test_no_book_is_published_between_a_gap_and_the_next_snapshot(venue, delivered):
    """1001 then 1003: nothing of 1003 is shown before REST answers with it."""
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        await eventually(lambda: delivered.books)
        await socket.send(depth_frame(1001))
        await eventually(lambda: len(delivered.books) == 2)
        venue.last_update_id = 1003
        await socket.send(depth_frame(1003))
        await eventually(lambda: len(delivered.books) == 3)
        await socket.send(depth_frame(1004))
        await eventually(lambda: len(delivered.books) == 4)
        assert feed.metrics_snapshot()["sequence_gaps"] == 1
        assert feed.metrics_snapshot()["book_resyncs"] == 1
    assert [book["sequence"] for book in delivered.books] == [1000, 1001, 1003, 1004]
    assert [book["delta"] is None for book in delivered.books] == [True, False, True, False]


async def test_a_garbage_level_resyncs_only_its_market(venue, delivered):
    """The frame is refused whole, and REST restores the book."""
    feed = make_feed(venue, delivered, symbols=["SOL-USDC", "BTC-USDC-PERP"])
    async with running(feed, until_ready=False):
        socket = await socket_of(venue)
        await eventually(lambda: len(delivered.books) == 2)
        venue.last_update_id = 1001
        await socket.send(depth_frame(1001, b=[["98.5", "1"], ["-1", "1"]]))
        await eventually(lambda: len(delivered.books) == 3)
        assert feed.metrics_snapshot()["book_resyncs"] == 1
        assert feed.metrics_snapshot()["decode_errors"] == 1
    assert (delivered.books[-1]["symbol"], delivered.books[-1]["sequence"]) == ("SOL-USDC", 1001)
    assert Decimal("98.5") not in delivered.books[-1]["bids"]


async def test_levels_are_compared_by_value(venue, delivered):
    """REST's 99 is deleted by the stream's 99.00."""
    async with running(make_feed(venue, delivered), until_ready=False):
        socket = await socket_of(venue)
        await eventually(lambda: delivered.books)
        await socket.send(depth_frame(1001, a=[["99.00", "0.00"]]))
        await eventually(lambda: len(delivered.books) == 2)
    assert delivered.books[-1]["asks"] == {Decimal("98.97"): Decimal(1)}
    assert delivered.books[-1]["delta"]["ask"] == [(Decimal(99), Decimal(0))]


async def test_a_crossed_book_is_not_shown_and_resynced_when_it_lasts(venue, delivered):
    """A short cross is a sweep in progress; a long one is an error."""
    feed = make_feed(venue, delivered, monotonic=fast_monotonic)
    async with running(feed, until_ready=False):
        socket = await socket_of(venue)
        await eventually(lambda: delivered.books)
        await socket.send(depth_frame(1001, a=[], b=[["99.5", "1"]]))
        await socket.send(depth_frame(1002, a=[["98.97", "0"], ["99", "0"], ["99.6", "1"]]))
        await eventually(lambda: len(delivered.books) == 2)
        assert delivered.books[-1]["sequence"] == 1002
        assert delivered.books[-1]["delta"] is None
        venue.last_update_id = 1003
        await socket.send(depth_frame(1003, a=[], b=[["99.7", "1"]]))
        await eventually(lambda: feed.metrics_snapshot()["book_resyncs"])
    assert 1003 not in [b["sequence"] for b in delivered.books if Decimal("99.7") in b["bids"]]


async def test_an_empty_delta_advances_and_publishes_nothing(venue, delivered):
    """A frame without levels uses an id."""
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        await eventually(lambda: delivered.books)
        await socket.send(depth_frame(1001, a=[]))
        await eventually(lambda: feed.books_summary()["SOL-USDC"]["sequence"] == 1001)
        await socket.send(depth_frame(1002))
        await eventually(lambda: len(delivered.books) == 2)


async def test_a_hole_in_the_trade_ids_is_filled_from_rest(venue, delivered):
    """202 then 205: 203 and 204 come from REST, before 205."""
    venue.trades = [rest_trade(i) for i in range(190, 206)]
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        for trade_id in (202, 205, 206):
            await socket.send(trade_frame(trade_id))
        await eventually(lambda: len(delivered.trades) == 5)
        snapshot = feed.metrics_snapshot()
    assert delivered.ids() == [202, 203, 204, 205, 206]
    assert [trade.type for trade in delivered.trades] == [None, "backfill", "backfill", None, None]
    assert (snapshot["trades_backfilled"], snapshot["trades_lost"]) == (2, 0)
    assert snapshot["trades"] == {"SOL-USDC": 5}


async def test_a_hole_of_thousands_is_filled_from_the_history(venue, delivered):
    """What `/trades` no longer reaches comes page by page from `/trades/history`."""
    venue.trades = [rest_trade(trade_id) for trade_id in range(1, 3502)]

    async def script(socket):
        await eventually(lambda: socket.requests)
        for trade_id in (100, 3500):
            await socket.send(trade_frame(trade_id))

    venue.script = script
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: delivered.ids()[-1:] == [3501])
        snapshot = feed.metrics_snapshot()
    assert delivered.ids() == list(range(100, 3502))
    assert (snapshot["sequence_gaps"], snapshot["trades_lost"]) == (1, 0)


async def test_a_market_numbered_anew_goes_on(venue, delivered):
    """Trade ids that start over are new trades, not repeats, once their times prove it."""

    async def script(socket):
        await eventually(lambda: socket.requests)
        await socket.send(trade_frame(5000))
        for trade_id in range(1, 31):
            await socket.send(trade_frame(trade_id, T=1790900002000000 + trade_id))

    venue.script = script
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: len(delivered.trades) == 31)
        assert feed.metrics_snapshot()["trade_duplicates"] == 0
    assert delivered.ids() == [5000, *range(1, 31)]


async def test_trades_that_rest_has_no_more_are_counted_as_lost(venue, delivered):
    """Never invented, never waited for in vain."""
    venue.trades = [rest_trade(i) for i in range(204, 206)]
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        await socket.send(trade_frame(202))
        await socket.send(trade_frame(205))
        await eventually(lambda: len(delivered.trades) == 3)
        assert feed.metrics_snapshot()["trades_lost"] == 1
    assert delivered.ids() == [202, 204, 205]


async def test_trades_without_an_id_are_all_delivered(venue, delivered):
    """Id 0 and null never de-duplicate."""
    async with running(make_feed(venue, delivered), until_ready=False):
        socket = await socket_of(venue)
        for frame in frames_of("trade_id_zero_or_missing"):
            await socket.send(frame)
        await eventually(lambda: len(delivered.trades) == 3)
    assert [trade.id for trade in delivered.trades] == ["0", "0", None]


async def test_trades_repeated_after_a_close_are_delivered_once(venue, delivered):
    """200, close 1001, REST 200 and 201, live 201 and 202: each once."""
    venue.trades = [rest_trade(200)]
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        await socket.send(trade_frame(200))
        await eventually(lambda: delivered.trades)
        venue.trades.append(rest_trade(201))
        await socket.ws.close(code=1001)
        second = await socket_of(venue, 1)
        await eventually(lambda: len(delivered.trades) == 2)
        for trade_id in (200, 201, 202):
            await second.send(trade_frame(trade_id))
        await eventually(lambda: len(delivered.trades) == 3)
        snapshot = feed.metrics_snapshot()
    assert delivered.ids() == [200, 201, 202]
    assert (snapshot["reconnects"], snapshot["trade_duplicates"]) == (1, 2)
    assert snapshot["ws_errors"] == 0


async def test_a_checkpoint_is_continued_before_live_trades(venue, delivered):
    """What was missed while the process was down comes first."""
    venue.trades = [rest_trade(i) for i in range(1, 13)]
    venue.failures["/api/v1/trades"] = [web.Response(status=503)]
    checkpoint = {"SOL-USDC": 8}.get
    feed = make_feed(venue, delivered, trade_checkpoint=checkpoint)
    async with running(feed, until_ready=False):
        socket = await socket_of(venue)
        await socket.send(trade_frame(13))
        await eventually(lambda: len(delivered.trades) == 5)
    assert delivered.ids() == [9, 10, 11, 12, 13]


async def test_the_old_book_is_gone_after_a_reset(venue, delivered):
    """A delta that looks newer proves nothing about a book from before the disconnect."""
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        await eventually(lambda: delivered.books)
        venue.last_update_id = 5000
        socket.ws._req.transport.abort()
        second = await socket_of(venue, 1)
        await second.send(depth_frame(5001))
        await eventually(lambda: delivered.books[-1]["sequence"] == 5001)
        assert feed.metrics_snapshot()["ws_errors"] == 1
    old, new = delivered.books[0], delivered.books[1]
    assert (old["sequence"], old["delta"], new["delta"]) == (1000, None, None)
    assert new["sequence"] in (5000, 5001)


async def test_a_failing_callback_does_not_starve_the_others(venue, delivered):
    """One broken consumer costs its own copy."""

    async def broken(_trade, _receipt):
        raise ZeroDivisionError

    feed = make_feed(venue, delivered, callbacks={"trades": [broken, delivered.trade]})
    async with running(feed, until_ready=False):
        socket = await socket_of(venue)
        await socket.send(trade_frame(1))
        await socket.send(trade_frame(2))
        await eventually(lambda: len(delivered.trades) == 2)
        assert feed.metrics_snapshot()["dropped_messages"] == 2


async def test_the_snapshot_of_the_metrics_is_plain_data(venue, delivered):
    """Everything can be written as JSON, and the keys are the agreed ones."""
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        socket = await socket_of(venue)
        await socket.send(trade_frame(1))
        await eventually(lambda: delivered.trades)
        snapshot = json.loads(json.dumps(feed.metrics_snapshot()))
    assert set(snapshot) == {
        "ws_errors", "auth_failures", "dropped_messages", "decode_errors", "sequence_gaps", "sequence_overlaps", "future_timestamps",
        "book_resyncs", "reconnects", "trade_duplicates", "trades_backfilled", "trades_lost",
        "messages", "trades", "symbol_snapshot_age", "last_message_timestamp",
        "private_authenticated", "decode_error_kinds", "ccxt_defects", "suppressed", "rest",
        "socket_down_seconds",
    }  # fmt: skip
    assert snapshot["messages"] == {"trades": 1}
    assert list(snapshot["symbol_snapshot_age"]) == ["SOL-USDC"]
