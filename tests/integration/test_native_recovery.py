"""What happened while the feed could not hear it: told afterwards, once, and never made up."""

import itertools
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from cryptofeed.defines import CANDLES, FUNDING, TICKER, TRADES

from backpack_feed.constants import BALANCES, FILLS, POSITIONS
from tests.integration.test_native_channels import (
    CAPITAL,
    SOL_PERP,
    USDT,
    Delivered,
    feed_of,
    plays,
    recorded,
    speaking,
)
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.native_feed import fast_monotonic, running
from tests.support.scripted_venue import (
    BTC,
    SOL,
    candle_frame,
    depth_body,
    quote_frame,
    scripted_venue,
)

REST = {exchange["name"]: exchange["json"] for exchange in load_fixture("rest")["exchanges"]
        if "json" in exchange}  # fmt: skip
POSITION, FILL, KLINE = REST["positions"][0], REST["fills"][0], REST["klines"][0]
POSITION_PATH, FILLS_PATH, KLINES_PATH = (
    "/api/v1/position", "/wapi/v1/history/fills", "/api/v1/klines",
)  # fmt: skip


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        venue.rows = [SOL, BTC, SOL_PERP, USDT]
        venue.capital = CAPITAL
        venue.answers = {POSITION_PATH: [POSITION], FILLS_PATH: []}
        yield venue


@pytest.fixture
def delivered():
    return Delivered()


async def lose_socket(venue: Any) -> None:
    """The venue closes the newest socket; wait for the next one to be signed in."""
    sockets = len(venue.sockets)
    await venue.sockets[-1].ws.close()
    await signed_in(venue, sockets + 1)


async def signed_in(venue: Any, sockets: int = 1) -> None:
    await eventually(
        lambda: (
            len(venue.sockets) == sockets
            and any("signature" in request for request in venue.sockets[-1].requests)
        )
    )


async def test_a_position_closed_meanwhile_is_told_as_flat(venue, delivered):
    """REST lists it no more, which is all that is known about its end; told once."""
    feed = feed_of(venue, delivered, channels=[POSITIONS])
    positions = delivered.events[POSITIONS]
    async with running(feed, until_ready=False):
        await eventually(lambda: positions)
        venue.answers[POSITION_PATH] = []
        await lose_socket(venue)
        await eventually(lambda: len(positions) == 2)
        await lose_socket(venue)
        await eventually(lambda: venue.asked(POSITION_PATH) == 3)
    assert [(p.symbol, p.position, p.side, p.initial) for p in positions] == [
        ("SOL-USDC-PERP", Decimal("-0.01"), "short", True),
        ("SOL-USDC-PERP", Decimal(0), "flat", True),
    ]
    assert positions[0].id == positions[1].id == POSITION["positionId"]
    assert positions[0].entry_price == Decimal("100.1")


async def test_the_venues_404_means_no_position(venue, delivered):
    """Unlike the one of an unknown path, which means nothing."""
    feed = feed_of(venue, delivered, channels=[POSITIONS])
    body = {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.events[POSITIONS])
        venue.failures[POSITION_PATH] = [web.json_response(body, status=404)]
        await lose_socket(venue)
        await eventually(lambda: delivered.events[POSITIONS][-1].side == "flat")


async def test_the_stream_is_newer_than_rest(venue, delivered):
    """A frame of this socket stands, whatever an answer says that left the venue earlier."""
    plays(venue, recorded("position_closed"))
    venue.failures[POSITION_PATH] = [web.Response(status=503) for _ in range(3)]
    feed = feed_of(venue, delivered, channels=[POSITIONS])
    async with running(feed, until_ready=False):
        await eventually(lambda: feed.metrics_snapshot()["suppressed"].get("superseded_positions"))
    assert [p.event for p in delivered.events[POSITIONS]] == ["positionClosed"]


async def test_an_endpoint_that_is_not_served_is_asked_once(venue, delivered):
    """A venue without it says so with a plain 404; nothing is concluded from it."""
    del venue.answers[POSITION_PATH]
    plays(venue, recorded("position_snapshot_no_e"))
    feed = feed_of(venue, delivered, channels=[POSITIONS])
    async with running(feed, until_ready=False):
        await eventually(lambda: venue.asked(POSITION_PATH) == 1)
        await eventually(lambda: delivered.events[POSITIONS])
        await lose_socket(venue)
        await eventually(lambda: len(delivered.events[POSITIONS]) == 2)
    assert venue.asked(POSITION_PATH) == 1


async def test_an_asset_that_is_listed_no_more_has_no_balance(venue, delivered):
    """Told once, as zero."""
    feed = feed_of(venue, delivered, channels=[BALANCES])
    async with running(feed, until_ready=False):
        await eventually(lambda: len(delivered.events[BALANCES]) == 2)
        venue.capital = {"USDC": CAPITAL["USDC"]}
        await lose_socket(venue)
        await eventually(lambda: len(delivered.events[BALANCES]) == 4)
    assert delivered.balances()[2:] == [("USDC", Decimal(110), True), ("USDT", Decimal(0), True)]


async def test_fills_of_an_outage_come_from_rest_once(venue, delivered):
    """One was heard before, one is missed; the history of before the start is not asked for."""
    heard = {"symbol": "USDT_USDC", "orderId": "60011223344", "tradeId": 2888471}
    missed = FILL | heard | {"tradeId": 2888472, "timestamp": "2026-10-02T00:00:00.456"}
    unnumbered = missed | {"tradeId": None}
    plays(venue, recorded("order_fill_partial"))
    feed = feed_of(venue, delivered, channels=[FILLS])
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.events[FILLS])
        started_ms = min(int(r["signature"][2]) for r in venue.sockets[0].requests
                         if "signature" in r)  # fmt: skip
        assert venue.asked(FILLS_PATH) == 0
        venue.answers[FILLS_PATH] = [missed, unnumbered, FILL | heard]
        await lose_socket(venue)
        await eventually(lambda: len(delivered.events[FILLS]) == 2)
        await eventually(lambda: feed.metrics_snapshot()["suppressed"]["repeated_fills"] == 2)
        assert feed.metrics_snapshot()["suppressed"]["unnumbered_fills"] == 1
    live, missed_fill = delivered.events[FILLS]
    assert [(f.id, f.backfilled) for f in (live, missed_fill)] == [
        ("2888471", False), ("2888472", True),
    ]  # fmt: skip
    assert (missed_fill.side, missed_fill.liquidity, missed_fill.timestamp) == (
        "buy", "taker", 1790899200.456,
    )  # fmt: skip
    asked = next(r for r in venue.rest_requests if r.path == FILLS_PATH)
    assert started_ms <= int(asked.query["from"]) <= started_ms + 10_000
    assert {"X-Signature", "X-API-Key"} <= set(asked.headers)


async def test_many_missed_fills_come_page_by_page(venue, delivered, monkeypatch):
    """As many as REST has."""
    monkeypatch.setattr("backpack_feed.native.account_seeding.FILLS_LIMIT", 2)
    rows = [FILL | {"tradeId": n, "timestamp": f"2026-10-02T00:00:0{n}"} for n in (5, 4, 3, 2, 1)]
    pages = [web.json_response(rows[at : at + 2]) for at in (0, 2, 4)]
    feed = feed_of(venue, delivered, channels=[FILLS])
    async with running(feed, until_ready=False):
        await signed_in(venue)
        venue.failures[FILLS_PATH] = pages
        await lose_socket(venue)
        await eventually(lambda: len(delivered.events[FILLS]) == 5)
    assert [fill.id for fill in delivered.events[FILLS]] == ["1", "2", "3", "4", "5"]
    offsets = [r.query["offset"] for r in venue.rest_requests if r.path == FILLS_PATH]
    assert offsets[:3] == ["0", "2", "4"]


async def test_candles_of_an_outage_come_before_later_ones(venue, delivered):
    """Seconds on the wire, past the cache, closed, no candle for nulls."""
    rows = [KLINE, KLINE | REST["klines"][1] | {"start": "2026-09-02 16:45:00"}]
    venue.answers[KLINES_PATH] = rows
    frames = iter([[candle_frame(43, X=True)], [candle_frame(46, X=True)]])

    async def script(socket):
        await eventually(lambda: socket.requests)
        for frame in next(frames, []):
            await socket.send(frame)

    venue.script = script
    feed = feed_of(venue, delivered, channels=[CANDLES], symbols=["SOL-USDC"], signer=None)
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.events[CANDLES])
        await venue.sockets[0].ws.close()
        await eventually(lambda: len(delivered.events[CANDLES]) == 3)
    starts = [int(candle.start) // 60 % 60 for candle in delivered.events[CANDLES]]
    assert starts == [43, 44, 46]
    asked = next(r for r in venue.rest_requests if r.path == KLINES_PATH)
    assert asked.query["startTime"] == "1788367440"
    assert (asked.query["interval"], asked.query["endTime"]) == ("1m", "1788367560")
    assert "_" in asked.query


@pytest.mark.parametrize("frames", [[], [recorded("markPrice")]], ids=["never", "no more"])
async def test_a_socket_without_its_paced_stream_is_replaced(venue, delivered, frames):
    """The venue accepts, answers pings and says nothing, from the start or from then on."""
    plays(venue, *frames)
    feed = feed_of(venue, delivered, channels=[FUNDING], monotonic=fast_monotonic)
    async with running(feed, until_ready=False):
        await eventually(lambda: len(venue.sockets) == 1)
        opened = fast_monotonic()
        await signed_in(venue)
        await eventually(lambda: fast_monotonic() and len(venue.sockets) == 2)
        # and a second of pause before the next attempt
        assert 9 <= fast_monotonic() - opened <= 15 + 30
        assert not venue.sockets[0].subscriptions("UNSUBSCRIBE")


async def test_dead_quotes_are_subscribed_again(venue, delivered):
    """The top by REST differs twice from the last quote, and no frame came in between."""
    settings = {"channels": [TICKER, TRADES], "symbols": ["SOL-USDC"], "signer": None}
    feed = feed_of(venue, delivered, monotonic=fast_monotonic, **settings)
    async with running(feed, until_ready=False), speaking(venue):
        await eventually(lambda: venue.sockets and venue.sockets[0].requests)
        await venue.sockets[0].send(quote_frame(1000))
        await eventually(
            lambda: venue.sockets[0].subscriptions("UNSUBSCRIBE") == ["bookTicker.SOL_USDC"]
        )
    assert len(venue.sockets) == 1


async def test_quiet_quotes_are_left_alone(venue, delivered):
    """REST shows what the stream last told, written with other zeros; a trailing REST too."""
    body = depth_body(1000) | {"bids": [["98.960", "287.310"]], "asks": [["98.97", "21.370"]]}
    venue.answers["/api/v1/depth"] = body
    settings = {"channels": [TICKER], "symbols": ["SOL-USDC"], "signer": None}
    feed = feed_of(venue, delivered, monotonic=fast_monotonic, **settings)
    async with running(feed, until_ready=False):
        await eventually(lambda: venue.sockets and venue.sockets[0].requests)
        await venue.sockets[0].send(quote_frame(1000))
        await eventually(lambda: venue.asked("/api/v1/depth") >= 3)
        await venue.sockets[0].send(quote_frame(1001, b="98.95"))
        await eventually(lambda: venue.asked("/api/v1/depth") >= 6)
    assert len(venue.sockets) == 1
    assert not venue.sockets[0].subscriptions("UNSUBSCRIBE")


async def test_a_silent_socket_of_quotes_is_replaced_when_the_market_moves(venue, delivered):
    """Nothing speaks, and REST shows that something should have."""
    settings = {"channels": [TICKER], "symbols": ["SOL-USDC"], "signer": None}
    feed = feed_of(venue, delivered, monotonic=fast_monotonic, **settings)
    sizes = itertools.count(1)

    async def moving(_socket):
        while True:
            body = depth_body(1000) | {"bids": [["98", str(next(sizes))]]}
            venue.answers["/api/v1/depth"] = body
            await eventually(partial(more_asked, venue.asked("/api/v1/depth")), 30)

    def more_asked(than: int) -> bool:
        return venue.asked("/api/v1/depth") > than

    venue.script = moving
    async with running(feed, until_ready=False):
        await eventually(lambda: len(venue.sockets) == 2, 20)


async def test_klines_that_trades_owe_are_subscribed_again(venue, delivered):
    """Trades flow and no candle changes, so the stream is dead, not the market."""
    settings = {"channels": [CANDLES, TRADES], "symbols": ["SOL-USDC"], "signer": None}
    feed = feed_of(venue, delivered, monotonic=fast_monotonic, **settings)
    async with running(feed, until_ready=False), speaking(venue):
        await eventually(lambda: venue.sockets and venue.sockets[0].requests)
        await eventually(
            lambda: venue.sockets[0].subscriptions("UNSUBSCRIBE") == ["kline.1m.SOL_USDC"]
        )
    assert len(venue.sockets) == 1
