"""Reconnects, dead and quiet streams, signatures, and a venue that is not there."""

import asyncio
import json
from itertools import count, pairwise

import pytest
from aiohttp import web
from cryptofeed.defines import L2_BOOK, TRADES

from backpack_feed.constants import ORDER_INFO
from backpack_feed.errors import ConfigError
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.refusal import SinkError
from backpack_feed.wire.signing import Signer
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.native_feed import SPEED, Delivered, fast_monotonic, make_feed, running
from tests.support.scripted_venue import depth_frame, rest_trade, scripted_venue, trade_frame

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
ORDER = next(
    f for f in load_fixture("ws_private_frames")["frames"] if f["name"] == "order_accepted"
)
REFUSED = json.dumps({"id": None, "error": {"code": 4003, "message": "Invalid signature"}})


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        yield venue


@pytest.fixture
def delivered():
    return Delivered()


def signer() -> Signer:
    return Signer(KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])


def signed(venue) -> list[dict]:
    return [r for socket in venue.sockets for r in socket.requests if "signature" in r]


async def test_a_venue_that_closes_at_once_is_not_hammered(venue, delivered):
    """Clean closes back off like any other: at most one connect per second."""

    async def close(socket):
        await eventually(lambda: socket.requests)
        await socket.ws.close(code=1001)

    venue.script = close
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: len(venue.sockets) == 3)
        assert feed.metrics_snapshot()["ws_errors"] == 0
    opened = [socket.opened_at for socket in venue.sockets]
    assert all(later - earlier > 0.95 for earlier, later in pairwise(opened))


async def test_a_venue_that_never_speaks_is_left_within_fifteen_seconds(venue, delivered):
    """REST moves on and the socket stays silent: reconnect, counted from the connect."""

    async def trade_on():
        while True:
            venue.last_update_id += 1
            await asyncio.sleep(0.05)

    moving = asyncio.create_task(trade_on())
    feed = make_feed(venue, delivered, monotonic=fast_monotonic)
    try:
        async with running(feed, until_ready=False):
            await eventually(lambda: len(venue.sockets) == 1)
            opened = fast_monotonic()
            await eventually(lambda: fast_monotonic() and len(venue.sockets) == 2)
            # and one jittered delay
            assert fast_monotonic() - opened < 15 + 3 * SPEED
            snapshot = feed.metrics_snapshot()
            assert feed.readiness() == {"SOL-USDC": False}
            # snapshots came by REST, and none of them made the silent book young
            assert snapshot["symbol_snapshot_age"]["SOL-USDC"] >= 12
    finally:
        moving.cancel()


async def test_one_dead_stream_is_subscribed_again_and_the_others_are_left_alone(venue, delivered):
    """SOL's depth is silent while BTC's speaks: only SOL is revived, on the same socket."""

    async def speak(socket):
        for number in range(1001, 100_000):
            await socket.send(depth_frame(number, "BTC_USDC_PERP"))
            venue.last_update_id = number
            await asyncio.sleep(0.02)

    venue.script = speak
    feed = make_feed(
        venue,
        delivered,
        symbols=["SOL-USDC", "BTC-USDC-PERP"],
        channels=["l2_book"],
        monotonic=fast_monotonic,
    )
    async with running(feed, until_ready=False):
        await eventually(lambda: venue.sockets and venue.sockets[0].subscriptions("UNSUBSCRIBE"))
        socket = venue.sockets[0]
        await eventually(lambda: socket.subscriptions().count("depth.SOL_USDC") == 2)
        assert set(socket.subscriptions("UNSUBSCRIBE")) == {"depth.SOL_USDC"}
        assert socket.subscriptions().count("depth.BTC_USDC_PERP") == 1
        assert not feed.readiness()["SOL-USDC"]
    assert len(venue.sockets) == 1


async def test_a_quiet_market_is_confirmed_by_rest_and_not_reconnected(venue, delivered):
    """The same id by REST makes the silent book young again."""
    venue.trades = [rest_trade(5)]
    feed = make_feed(venue, delivered, monotonic=fast_monotonic)
    async with running(feed):  # ready without a single frame
        began = fast_monotonic()
        await eventually(lambda: fast_monotonic() - began > 20)
        assert feed.metrics_snapshot()["symbol_snapshot_age"]["SOL-USDC"] < 12
        assert feed.health().healthy
    assert len(venue.sockets) == 1


async def test_a_dead_trade_stream_is_revived_and_its_trades_are_fetched(venue, delivered):
    """Ids that REST knows and the stream never sent prove its death."""
    venue.trades = [rest_trade(i) for i in range(1, 11)]

    async def speak(socket):
        for number in range(1001, 100_000):
            await socket.send(depth_frame(number))
            venue.last_update_id = number
            await asyncio.sleep(0.02)

    venue.script = speak
    feed = make_feed(venue, delivered, trade_checkpoint={"SOL-USDC": 10}, monotonic=fast_monotonic)
    async with running(feed):
        venue.trades += [rest_trade(11), rest_trade(12)]
        await eventually(lambda: delivered.ids() == [11, 12])
        await eventually(lambda: "trade.SOL_USDC" in venue.sockets[0].subscriptions("UNSUBSCRIBE"))


async def test_order_events_are_delivered_and_prove_the_signature(venue, delivered):
    """Signed apart from the public streams, with four strings, on one stream for all markets."""

    async def send_order(socket):
        await eventually(lambda: len(socket.requests) == 2)
        raw = ORDER["raw"].replace("USDT_USDC", "SOL_USDC")
        await socket.send(raw)

    venue.script = send_order
    channels = [TRADES, L2_BOOK, ORDER_INFO]
    feed = make_feed(venue, delivered, signer=signer(), channels=channels)
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.orders)
        assert feed.metrics_snapshot()["private_authenticated"]
    (request,) = signed(venue)
    assert request["params"] == ["account.orderUpdate"]
    assert len(request["signature"]) == 4
    assert all(isinstance(field, str) for field in request["signature"])
    assert (delivered.orders[0].symbol, delivered.orders[0].status) == ("SOL-USDC", "open")


async def test_a_refused_signature_stops_private_streams_and_nothing_else(venue, delivered):
    """Signed once more with the venue's clock, then never again, also after a reconnect."""
    venue.clock_ahead_seconds = 3_600

    async def refuse(socket):
        for answered in count():
            await eventually(
                lambda told=answered: sum("signature" in r for r in socket.requests) > told,
                timeout_seconds=60,
            )
            await socket.send(REFUSED)

    venue.script = refuse
    async with running(make_feed(venue, delivered, signer=signer()), until_ready=False) as feed:
        await eventually(lambda: feed.metrics_snapshot()["auth_failures"] == 2)
        await venue.sockets[0].send(trade_frame(1))
        await eventually(lambda: delivered.trades)
        await venue.sockets[0].ws.close(code=1001)
        await eventually(lambda: len(venue.sockets) == 2 and venue.sockets[1].requests)
        await venue.sockets[1].send(trade_frame(2))
        await eventually(lambda: len(delivered.trades) == 2)
        health = feed.health()
        snapshot = feed.metrics_snapshot()
    assert len(signed(venue)) == 2
    first, second = (int(request["signature"][2]) for request in signed(venue))
    assert second - first > 3_500_000
    assert (snapshot["auth_failures"], snapshot["ws_errors"]) == (2, 0)
    assert any(reason.startswith("private streams: not authenticated") for reason in health.reasons)


async def test_a_venue_that_is_not_there_yet_is_waited_for(venue, delivered):
    """The markets cannot be read at first; the feed neither dies nor stops being stoppable."""
    venue.failures["/api/v1/markets"] = [web.Response(status=503) for _ in range(3)]
    async with running(make_feed(venue, delivered), until_ready=False):
        await eventually(lambda: delivered.books)


async def test_a_feed_can_be_stopped_while_it_waits_for_the_venue(venue, delivered):
    """SIGTERM during an outage is still graceful."""
    venue.failures["/api/v1/markets"] = [web.Response(status=503) for _ in range(100)]
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: venue.asked("/api/v1/markets") > 2)
        assert feed.readiness() == {"SOL-USDC": False}
        assert feed.connect() == []


async def test_a_snapshot_that_fails_is_asked_for_again(venue, delivered):
    """503, text and HTML answers leave the book invalid, not the feed dead."""
    venue.failures["/api/v1/depth"] = [
        web.Response(status=503),
        web.Response(status=429, text="<html>429</html>", content_type="text/html"),
        web.Response(status=404, text='{"code":"RESOURCE_NOT_FOUND","message":"Not Found"}'),
        web.Response(text="<html>"),
    ]
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: delivered.books)
        assert feed.metrics_snapshot()["decode_errors"] == 1


async def test_a_symbol_that_is_no_market_is_refused_with_the_nearest_name(venue, delivered):
    """A typing slip ends the process with one clear line."""
    feed = make_feed(venue, delivered, symbols=["SOLL-USDC"])
    with pytest.raises(ConfigError, match="did you mean SOL-USDC"):
        await feed.run(asyncio.Event())


async def test_an_unknown_authority_is_never_trusted(venue, delivered, tmp_path):
    """TLS is verified: with another CA nothing is read and nothing is sent."""
    async with scripted_venue(tmp_path / "..") as other:
        feed = make_feed(venue, delivered, ca_file=other.ca_file)
        # both venues write ca.pem, so the feed now trusts the other one
        async with running(feed, until_ready=False):
            await asyncio.wait_for(_refused(feed), 5)
    assert venue.rest_requests == []
    assert venue.sockets == []


async def _refused(feed) -> None:
    from backpack_feed.errors import RetryableError

    with pytest.raises(RetryableError, match="certificate"):
        await feed._rest.markets()


async def test_a_sink_that_cannot_keep_its_data_halts_the_feed(venue, delivered):
    """The trade after a refused one must not be kept, or the hole would be for ever."""
    kept = []

    async def disk_full_once(trade, _receipt):
        if trade.id == "2":
            raise SinkError("disk full")
        kept.append(trade.id)

    feed = make_feed(venue, delivered, callbacks={"trades": disk_full_once})
    async with running(feed, until_ready=False):
        await eventually(lambda: venue.sockets and venue.sockets[0].requests)
        for trade_id in (1, 2, 3, 4):
            await venue.sockets[0].send(trade_frame(trade_id))
        await eventually(lambda: feed.metrics_snapshot()["dropped_messages"])
        await venue.sockets[0].ws.close(code=1001)
        await eventually(lambda: feed.metrics_snapshot()["reconnects"])
    assert kept == ["1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ws_url": "ws://127.0.0.1"}, "must be wss://host"),
        ({"rest_url": "http://127.0.0.1"}, "must be https://host"),
        ({"rest_url": "https://127.0.0.1:abc"}, "must be https://host"),
        ({"ws_url": "wss://[::1"}, "must be wss://host"),
        ({"depth_window": "100ms"}, "depth_window: 100ms is none of"),
        ({"ca_file": "/does/not/exist.pem"}, "holds no readable certificate"),
        ({"channels": [ORDER_INFO]}, "needs credentials"),
    ],
)
async def test_settings_that_cannot_work_are_refused(venue, delivered, settings, message):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=message):
        make_feed(venue, delivered, **settings)


async def test_a_symbol_cache_is_never_written(venue, delivered, tmp_path, monkeypatch):
    """Cryptofeed would write below the home directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with running(make_feed(venue, delivered), until_ready=False):
        await eventually(lambda: delivered.books)
    assert not (tmp_path / "cache").exists()


async def test_cryptofeed_sees_one_connection_with_its_statistics(venue, delivered):
    """The connection answers cryptofeed's own questions."""
    async with running(make_feed(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: delivered.books)
        (handler,) = feed.connection_handlers
        assert isinstance(handler.conn, BackpackConnection)
        await venue.sockets[0].send(trade_frame(1))
        await eventually(lambda: handler.conn.stats.received == 1)
        assert handler.conn.connected
        assert handler.conn.stats.sent == 1
    assert not handler.conn.is_open
