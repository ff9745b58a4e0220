"""Every channel through a running feed: subscribed, read, normalised, delivered."""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from cryptofeed.defines import (
    CANDLES,
    FUNDING,
    INDEX,
    L1_BOOK,
    L2_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
    TRADES,
)

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.errors import ConfigError
from backpack_feed.native.feed import BackpackFeed
from backpack_feed.native.subscriptions import PRIVATE_STREAMS, PUBLIC_STREAMS
from backpack_feed.wire.signing import Signer
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.native_feed import fast_monotonic, running
from tests.support.scripted_venue import BTC, SOL, Socket, depth_frame, scripted_venue, trade_frame

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
PUBLIC = {f["name"]: f for f in load_fixture("ws_public_frames")["frames"]}
PRIVATE = {f["name"]: f for f in load_fixture("ws_private_frames")["frames"]}
SOL_PERP = BTC | {"symbol": "SOL_USDC_PERP", "baseSymbol": "SOL"}
USDT = SOL | {"symbol": "USDT_USDC", "baseSymbol": "USDT"}
CHANNELS = [*PUBLIC_STREAMS, *PRIVATE_STREAMS]
CAPITAL = {
    "USDC": {"available": "100", "locked": "10", "staked": "0"},
    "USDT": {"available": "30", "locked": "0", "staked": "0"},
}


class Delivered:
    """What came out of a feed, per channel."""

    def __init__(self) -> None:
        self.events: dict[str, list[Any]] = defaultdict(list)

    def callbacks(self) -> dict[str, Any]:
        return {channel: self._callback(channel) for channel in CHANNELS}

    def _callback(self, channel: str) -> Any:
        async def keep(event: Any, receipt: float) -> None:
            assert receipt > 0
            self.events[channel].append(event)

        return keep

    def balances(self) -> list[tuple[str, Decimal, bool]]:
        return [(b.currency, b.balance, b.initial) for b in self.events[BALANCES]]


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        venue.rows = [SOL, BTC, SOL_PERP, USDT]
        venue.capital = CAPITAL
        yield venue


@pytest.fixture
def delivered():
    return Delivered()


def feed_of(venue: Any, delivered: Delivered, **settings: Any) -> BackpackFeed:
    defaults: dict[str, Any] = {
        "symbols": ["SOL-USDC", "SOL-USDC-PERP", "USDT-USDC"],
        "channels": CHANNELS,
        "callbacks": delivered.callbacks(),
        "rest_url": venue.rest_url,
        "ws_url": venue.ws_url,
        "ca_file": venue.ca_file,
        "signer": Signer(KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"]),
    }
    return BackpackFeed(**defaults | settings)


def recorded(name: str, **changes: Any) -> str:
    content = (PUBLIC | PRIVATE)[name]["frame"]
    return json.dumps(content | {"data": content["data"] | changes})


def plays(venue: Any, *frames: str) -> None:
    """The venue sends `frames` once all that is wanted is subscribed."""

    async def script(socket: Socket) -> None:
        await eventually(lambda: any("signature" in request for request in socket.requests))
        for frame in frames:
            await socket.send(frame)

    venue.script = script


@asynccontextmanager
async def speaking(venue: Any) -> AsyncIterator[None]:
    """Trades come all the time, on every socket: the socket lives, whatever else is dead."""

    async def speak() -> None:
        for trade_id in itertools.count(1):
            for socket in venue.sockets:
                if not socket.ws.closed and socket.requests:
                    await socket.send(trade_frame(trade_id))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_channel_delivers_its_event(venue, delivered):
    """One frame of every stream becomes one event of every channel that it feeds."""
    plays(
        venue,
        depth_frame(1001),
        trade_frame(7),
        *map(
            recorded,
            ["bookTicker", "kline_1m_final", "markPrice", "openInterest", "liquidation",
             "order_fill_partial", "position_snapshot_no_e", "balance_update_1"],
        ),
    )  # fmt: skip
    async with running(feed_of(venue, delivered), until_ready=False) as feed:
        await eventually(
            lambda: set(delivered.events) == set(CHANNELS), describe=lambda: set(delivered.events)
        )
        counted = feed.metrics_snapshot()
        assert counted["private_authenticated"]
        assert (counted["dropped_messages"], counted["decode_errors"]) == (0, 0)
        assert set(counted["messages"]) == set(CHANNELS)
        assert counted["socket_down_seconds"] == 0
    symbols = {
        channel: {getattr(event, "symbol", None) for event in events}
        for channel, events in delivered.events.items()
    }
    assert symbols[TICKER] == symbols[L1_BOOK] == symbols[CANDLES] == symbols[TRADES] == {
        "SOL-USDC"
    }  # fmt: skip
    for channel in (FUNDING, INDEX, OPEN_INTEREST, LIQUIDATIONS, POSITIONS):
        assert symbols[channel] == {"SOL-USDC-PERP"}
    assert symbols[ORDER_INFO] == symbols[FILLS] == {"USDT-USDC"}


async def test_each_stream_is_subscribed_once(venue, delivered):
    """Two channels may share a stream; perpetual channels of spot markets are left out."""
    async with running(feed_of(venue, delivered, candle_interval="1M"), until_ready=False):
        await eventually(lambda: venue.sockets and len(venue.sockets[0].requests) == 3)
    requests = venue.sockets[0].requests
    streams = venue.sockets[0].subscriptions()
    symbols = ("SOL_USDC", "SOL_USDC_PERP", "USDT_USDC")
    kinds = ("depth", "trade", "bookTicker", "kline.1month")
    assert sorted(streams) == sorted(
        [
            *[f"{kind}.{symbol}" for kind in kinds for symbol in symbols],
            "markPrice.SOL_USDC_PERP", "openInterest.SOL_USDC_PERP", "liquidation",
            "account.orderUpdate", "account.balanceUpdate", "account.positionUpdate",
        ]
    )  # fmt: skip
    assert ["liquidation"] in [request["params"] for request in requests]
    assert [("signature" in request) for request in requests] == [False, False, True]


@pytest.mark.parametrize("channel", [ORDER_INFO, FILLS, BALANCES, POSITIONS])
async def test_private_channels_need_credentials(venue, delivered, channel):
    """Said before anything is sent, by the name of the channel."""
    with pytest.raises(ConfigError, match=f"{channel}: needs credentials: give a signer or"):
        feed_of(venue, delivered, channels=[TRADES, channel], signer=None)


async def test_an_unknown_candle_interval_is_refused(venue, delivered):
    """With the intervals that exist."""
    with pytest.raises(ConfigError, match="candle_interval: 7m is none of 1s, 1m"):
        feed_of(venue, delivered, candle_interval="7m")


async def test_balances_start_from_rest_on_every_socket(venue, delivered):
    """The stream tells only of changes, so a new socket asks again."""
    plays(venue, recorded("balance_update_1", A="11"))
    feed = feed_of(venue, delivered, channels=[BALANCES])
    async with running(feed, until_ready=False):
        await eventually(lambda: len(delivered.events[BALANCES]) >= 2)
        await eventually(lambda: ("USDT", Decimal(31), False) in delivered.balances())
        assert ("USDC", Decimal(110), True) in delivered.balances()
        before = len(delivered.events[BALANCES])
        venue.capital = {"USDC": {"available": "5", "locked": "0", "staked": "0"}}
        await venue.sockets[0].ws.close()
        await eventually(lambda: ("USDC", Decimal(5), True) in delivered.balances()[before:])


async def test_a_failing_capital_is_asked_again(venue, delivered):
    """An outage of REST delays the first balances and nothing else."""
    venue.failures["/api/v1/capital"] = [web.Response(status=503) for _ in range(3)]
    feed = feed_of(venue, delivered, channels=[BALANCES])
    async with running(feed, until_ready=False):
        await eventually(lambda: len(delivered.events[BALANCES]) == 2)
        assert venue.asked("/api/v1/capital") >= 4


async def test_a_refused_capital_is_told_and_the_stream_goes_on(venue, delivered):
    """Asking again with the same key would be refused again."""
    body = {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid signature"}
    venue.failures["/api/v1/capital"] = [web.json_response(body, status=400)]
    plays(venue, recorded("balance_update_1"))
    feed = feed_of(venue, delivered, channels=[BALANCES])
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.events[BALANCES])
        await eventually(lambda: feed.metrics_snapshot()["auth_failures"] == 1)
    assert delivered.balances() == [("USDT", Decimal(30), False)]


async def test_fills_come_once_across_a_reconnect(venue, delivered):
    """The venue repeats itself on a new socket; an order that ended stays ended."""
    plays(venue, *map(recorded, ["order_fill_final", "order_accepted", "order_cancelled"]))
    feed = feed_of(venue, delivered, channels=[ORDER_INFO, FILLS])
    async with running(feed, until_ready=False):
        await eventually(lambda: delivered.events[FILLS])
        await venue.sockets[0].ws.close()
        await eventually(lambda: feed.metrics_snapshot()["suppressed"]["late_order_updates"] == 5)
        assert feed.metrics_snapshot()["suppressed"]["repeated_fills"] == 1
    assert [fill.id for fill in delivered.events[FILLS]] == ["2888475"]
    assert [order.status for order in delivered.events[ORDER_INFO]] == ["filled"]


async def test_what_is_suppressed_is_counted(venue, delivered):
    """One-sided and stale quotes, repeated candles, unread streams, foreign markets."""
    plays(
        venue,
        recorded("bookTicker", u=5),
        recorded("bookTicker", u=5),
        recorded("bookTicker", u=6, a=None, A=None),
        recorded("kline_1m_final"),
        recorded("kline_1m_final"),
        recorded("ticker"),
        recorded("rfq_active"),
        recorded("bookTicker", s="ZZZ_USDC", u=9),
        recorded("openInterest"),
    )
    async with running(feed_of(venue, delivered), until_ready=False) as feed:
        await eventually(lambda: delivered.events[OPEN_INTEREST])
        suppressed = feed.metrics_snapshot()["suppressed"]
        await eventually(lambda: venue.asked("/api/v1/markets") == 2)
    assert suppressed == {
        "one_sided_quotes": 1, "stale_quotes": 1, "repeated_candles": 1, "unread_frames": 2,
        "unknown_symbols": 1, "late_order_updates": 0, "repeated_fills": 0,
        "superseded_balances": 0, "superseded_positions": 0, "unnumbered_fills": 0,
        "held_candles": 0, "stale_deltas": 0,
    }  # fmt: skip
    assert len(delivered.events[TICKER]) == len(delivered.events[L1_BOOK]) == 1
    assert len(delivered.events[CANDLES]) == 1


async def test_a_dead_mark_price_is_subscribed_again(venue, delivered):
    """It comes every second, so silence is the venue's fault and not the market's."""
    plays(venue, recorded("markPrice"))
    channels = [FUNDING, TRADES]
    feed = feed_of(venue, delivered, channels=channels, monotonic=fast_monotonic)
    async with running(feed, until_ready=False), speaking(venue):
        await eventually(lambda: delivered.events[FUNDING])
        await eventually(
            lambda: "markPrice.SOL_USDC_PERP" in venue.sockets[0].subscriptions("UNSUBSCRIBE")
        )
        await eventually(
            lambda: venue.sockets[0].subscriptions().count("markPrice.SOL_USDC_PERP") == 2
        )


async def test_a_feed_of_quiet_channels_is_ready_once_subscribed(venue, delivered):
    """An account may be silent for days, and so may liquidations."""
    feed = feed_of(venue, delivered, channels=[LIQUIDATIONS, ORDER_INFO])
    async with running(feed):
        assert all(feed.readiness().values())
        assert feed.metrics_snapshot()["last_message_timestamp"] == {}


async def test_open_candles_come_when_asked_for(venue, delivered):
    """Cryptofeed's `candle_closed_only` is on by default."""
    plays(venue, recorded("kline_1m_final", X=False), recorded("kline_1m_final"))
    settings = {"channels": [CANDLES, L2_BOOK], "candle_closed_only": False}
    async with running(feed_of(venue, delivered, **settings), until_ready=False):
        await eventually(lambda: len(delivered.events[CANDLES]) == 2)
    assert [candle.closed for candle in delivered.events[CANDLES]] == [False, True]
