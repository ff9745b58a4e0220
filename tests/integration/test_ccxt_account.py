"""Orders and positions of the ccxt feed, on a scripted socket."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from cryptofeed.feedhandler import FeedHandler

from backpack_feed import CcxtBackpackFeed
from backpack_feed.constants import ORDER_INFO, POSITIONS
from backpack_feed.incumbent import watch
from backpack_feed.refusal import ConfigError
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.scripted_venue import scripted_venue

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
FRAMES = {f["name"]: f["frame"]["data"] for f in load_fixture("ws_private_frames")["frames"]}
REFUSED = {"id": None, "error": {"code": 4003, "message": "Invalid signature"}}
STREAMS = {"account.orderUpdate.SOL_USDC", "account.positionUpdate.SOL_USDC"}


def private(name, kind, **changes):
    data = FRAMES[name] | {"s": "SOL_USDC"} | changes
    return json.dumps({"data": data, "stream": f"account.{kind}Update.SOL_USDC"})


@pytest.fixture
def credentials_file(tmp_path):
    path = tmp_path / "key.json"
    pair = {"api_key": KEY["verifying_key_b64_api_key"], "private_key": KEY["seed_b64_api_secret"]}
    path.write_text(json.dumps(pair))
    return path


@asynccontextmanager
async def running(tmp_path, credentials_file):
    """Yields the feed, its first socket, and the events of both channels."""
    events = {ORDER_INFO: [], POSITIONS: []}

    async def order(event, receipt_timestamp):
        events[ORDER_INFO].append(event)

    async def position(event, receipt_timestamp):
        events[POSITIONS].append(event)

    async with scripted_venue(tmp_path) as venue:
        feed = CcxtBackpackFeed(
            symbols=["SOL-USDC"],
            channels=[ORDER_INFO, POSITIONS],
            callbacks={ORDER_INFO: [order], POSITIONS: [position]},
            rest_url=venue.rest_url,
            ws_url=venue.ws_url,
            ca_file=venue.ca_file,
            credentials_file=credentials_file,
        )
        handler = FeedHandler(config={"log": {"disabled": True}})
        handler.add_feed(feed)
        task = asyncio.create_task(handler.run_async(install_signal_handlers=False))
        try:
            await eventually(
                lambda: venue.sockets and set(venue.sockets[0].subscriptions()) >= STREAMS
            )
            yield feed, venue.sockets[0], events
        finally:
            handler.request_stop()
            await task


def counted(feed):
    return {k: n for k, n in feed.metrics_snapshot()["ccxt_defects"].items() if n}


async def test_orders_come_with_the_total_that_ccxt_tells(tmp_path, credentials_file):
    """The last fill stands for the total, which is ccxt's way, and the metric says so."""
    async with running(tmp_path, credentials_file) as (feed, socket, events):
        for count, name in enumerate(("order_accepted", "order_fill_partial"), 1):
            await socket.send(private(name, "order"))
            await eventually(lambda count=count: len(events[ORDER_INFO]) == count)
        assert counted(feed) == {}
        await socket.send(private("order_fill_final", "order"))
        await eventually(lambda: counted(feed) == {"order_total_wrong": 1})
        assert feed.metrics_snapshot()["messages"] == {ORDER_INFO: 3}
    accepted, partial, final = events[ORDER_INFO]
    assert (accepted.symbol, accepted.id, accepted.side) == ("SOL-USDC", "60011223344", "sell")
    assert (accepted.status, accepted.event) == ("open", "orderAccepted")
    assert (accepted.price, accepted.amount) == (Decimal("1.0081"), Decimal("20.0"))
    assert (partial.filled, partial.remaining) == (Decimal("5.0"), Decimal("15.0"))
    assert (final.status, final.filled) == ("filled", Decimal("15.0"))
    assert accepted.to_dict(numeric_type=str)["amount"] == "20.0"


async def test_positions_come_with_break_even_for_entry_and_without_their_start(
    tmp_path, credentials_file
):
    """What was open before is ignored by ccxt, and the metric says so."""
    opened = next(name for name, data in FRAMES.items() if data.get("e") == "positionOpened")
    start = next(n for n, data in FRAMES.items() if "e" not in data and "B" in data)
    async with running(tmp_path, credentials_file) as (feed, socket, events):
        await socket.send(private(start, "position"))
        await socket.send(private(opened, "position"))
        await eventually(lambda: events[POSITIONS])
        assert counted(feed) == {"position_entry_wrong": 1, "position_snapshot_lost": 1}
    (position,) = events[POSITIONS]
    data = FRAMES[opened]
    assert position.position == Decimal(data["q"])
    assert position.entry_price == Decimal(str(float(data["b"])))
    assert position.side == ("long" if position.position > 0 else "short")


async def test_silence_after_the_signature_is_success(tmp_path, credentials_file, monkeypatch):
    """The venue acknowledges nothing; a refusal would have come by then."""
    monkeypatch.setattr(watch, "ACCEPTED_AFTER_SECONDS", 0.3)
    async with running(tmp_path, credentials_file) as (feed, _socket, _events):
        assert "not authenticated yet" in " ".join(feed.health().reasons)
        await eventually(lambda: feed.health().healthy)


async def test_a_refused_signature_is_a_failure_of_authentication(
    tmp_path, credentials_file, monkeypatch, caplog
):
    """Counted once and not as an error of the wire; no secret in the log."""
    monkeypatch.setattr(watch, "ACCEPTED_AFTER_SECONDS", 0.0)
    caplog.set_level(logging.DEBUG, logger="backpack_feed")
    async with running(tmp_path, credentials_file) as (feed, socket, _events):
        await socket.send(json.dumps(REFUSED))
        await eventually(lambda: feed.metrics_snapshot()["auth_failures"] == 1)
        snapshot = feed.metrics_snapshot()
        assert snapshot["private_authenticated"] is False
        assert snapshot["ws_errors"] == 0
        (reason,) = feed.health().reasons
        assert "the venue refused 1 signatures" in reason
        assert KEY["seed_b64_api_secret"] not in caplog.text + repr(feed._venue)


def test_the_channels_of_the_account_need_credentials():
    """Before anything is asked of the venue."""
    with pytest.raises(ConfigError, match="order_info: needs credentials: give credentials_file"):
        CcxtBackpackFeed(symbols=["SOL-USDC"], channels=[ORDER_INFO])
