"""Channels of a FeedHandler process, and what a hostile venue can do to its metrics."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from cryptofeed.exchanges import EXCHANGE_MAP
from prometheus_client.parser import text_string_to_metric_families

from backpack_feed.process.config import (
    CryptofeedSink,
    HandlerConfig,
    MetricsConfig,
    TapeSink,
    VenueConfig,
)
from backpack_feed.process.handler import HandlerProcess
from backpack_feed.refusal import ConfigError
from backpack_feed.toggle import FLAG, bind
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually
from tests.support.connect_proxy import connect_proxy
from tests.support.scripted_venue import (
    candle_frame,
    depth_frame,
    quote_frame,
    scripted_venue,
    trade_frame,
)

SYMBOL = "SOL-USDC"
UNKNOWN_SYMBOLS = 10_000


@pytest.fixture
def bound(monkeypatch):
    """Bind a variant for the test only."""
    monkeypatch.setitem(EXCHANGE_MAP, "BACKPACK", None)
    return lambda variant: bind({FLAG: str(variant == "native").lower()})


class SlowSink:
    """A cryptofeed callback that holds every event for a tenth of a second."""

    def __init__(self, **options):
        self.options = options

    async def __call__(self, event, receipt_timestamp):
        await asyncio.sleep(0.1)


@asynccontextmanager
async def running(venue, variant, *, symbols=(SYMBOL,), http_proxy=None, **settings):
    """A process of `variant` at `venue`; yields what fetches one of its pages."""
    config = HandlerConfig(
        instance_id="feed-00",
        symbols=symbols,
        venue=VenueConfig(
            rest_url=venue.rest_url,
            ws_url=venue.ws_url,
            ca_file=venue.ca_file,
            http_proxy=http_proxy,
        ),
        metrics=MetricsConfig(),
        **settings,
    )
    process = HandlerProcess(config, variant)
    task = asyncio.create_task(process.run())
    await eventually(lambda: process.port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{process.port}") as http:

        async def get(page):
            async with http.get(page) as answer:
                return await answer.text()

        yield get
    process.stop()
    await task


async def socket_with(venue, streams):
    """Return the venue's first socket once it carries `streams`."""
    await eventually(
        lambda: venue.sockets and set(venue.sockets[0].subscriptions()) >= set(streams)
    )
    return venue.sockets[0]


def value(text, name, **labels):
    """One sample of an exposition."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    raise AssertionError(f"no {name} {labels}")


async def test_every_channel_reaches_the_tape_and_the_metrics(tmp_path, bound):
    """One file per channel, of the event's own fields, decimals as plain digits."""
    bound("ccxt")
    channels = ("trades", "l2_book", "ticker", "l1_book", "candles")
    async with (
        scripted_venue(tmp_path) as venue,
        running(
            venue, "ccxt", channels=channels, sinks=(TapeSink(directory=tmp_path / "tape"),)
        ) as get,
    ):
        text = await get("/metrics")
        for channel in channels:
            for name in ("messages_total", "handler_latency_seconds_count"):
                assert value(text, f"backpack_feed_{name}", channel=channel) == 0
        socket = await socket_with(venue, ("trade.SOL_USDC", "bookTicker.SOL_USDC"))
        for frame in (trade_frame(7), quote_frame(1), candle_frame(44), candle_frame(45)):
            await socket.send(frame)
        files = {c: tmp_path / "tape" / f"{c}.jsonl" for c in ("ticker", "l1_book", "candles")}
        await eventually(lambda: all(file.read_text() for file in files.values()))
        text = await get("/metrics")
    assert value(text, "backpack_feed_messages_total", channel="candles") == 2
    assert value(text, "backpack_feed_handler_latency_seconds_count", channel="candles") == 1
    ticker, candle = (json.loads(files[c].read_text()) for c in ("ticker", "candles"))
    assert ticker.pop("receipt_timestamp") > 0
    assert ticker == {
        "channel": "ticker", "instance_id": "feed-00", "variant": "ccxt", "exchange": "BACKPACK",
        "symbol": SYMBOL, "bid": "98.96", "ask": "98.97", "timestamp": 1790900001.026,
    }  # fmt: skip
    assert (candle["close"], candle["interval"], candle["closed"]) == ("98.98", "1m", True)


async def test_the_native_feed_delivers_the_channels_of_perpetuals_and_of_the_account(
    tmp_path, bound
):
    """What ccxt has no watcher for, and the account, each in a file of its own."""
    bound("native")
    quick = ("ticker", "l1_book", "candles", "funding", "index")
    account = ("order_info", "fills", "balances", "positions")
    config = SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=8)
    async with (
        Sandbox(config) as venue,
        running(
            venue,
            "native",
            symbols=("SOL-USDC-PERP",),
            channels=(*quick, *account, "open_interest", "liquidations"),
            candle_interval="1s",
            credentials_file=venue.api_key_file,
            sinks=(TapeSink(directory=tmp_path / "tape"),),
        ) as get,
    ):
        tape = tmp_path / "tape"
        await eventually(
            lambda: all((tape / f"{c}.jsonl").read_text() for c in quick + account),
            30,
            lambda: {file.name: file.stat().st_size for file in tape.iterdir()},
        )
        text = await get("/metrics")
    for channel in quick + account:
        first = json.loads((tape / f"{channel}.jsonl").read_text().split("\n", 1)[0])
        assert (first["channel"], first["exchange"]) == (channel, "BACKPACK")
        assert value(text, "backpack_feed_handler_latency_seconds_count", channel=channel) > 0
    for channel in ("open_interest", "liquidations"):
        assert value(text, "backpack_feed_exchange_latency_seconds_count", channel=channel) >= 0


async def test_a_slow_sink_shows_in_the_handler_latency(tmp_path, bound):
    """From the receipt of the frame until every sink has it."""
    bound("ccxt")
    sink = CryptofeedSink(channel="ticker", backend=f"{__name__}.SlowSink")
    async with (
        scripted_venue(tmp_path) as venue,
        running(venue, "ccxt", channels=("ticker",), sinks=(sink,)) as get,
    ):
        socket = await socket_with(venue, ("bookTicker.SOL_USDC",))
        await socket.send(quote_frame(1))

        async def delivered():
            text = await get("/metrics")
            name = "backpack_feed_handler_latency_seconds_{}"
            return value(text, name.format("count")) and value(text, name.format("sum"))

        assert await eventually(delivered) >= 0.1


async def test_the_way_back_to_ccxt_is_open_from_every_channel(tmp_path, bound):
    """What only the native feed serves is left out and told; trades and books go on."""
    bound("ccxt")
    async with (
        scripted_venue(tmp_path) as venue,
        running(venue, "ccxt", channels=("trades", "funding"), depth_window="200ms") as get,
    ):
        socket = await socket_with(venue, ("trade.SOL_USDC",))
        await socket.send(trade_frame(7))
        await eventually(lambda: traded(get, 1))
        assert '"unserved_channels":["funding"]' in (await get("/snapshot")).replace(" ", "")


async def test_a_process_that_would_deliver_nothing_is_refused(bound):
    """One clear line, before anything starts."""
    bound("ccxt")
    config = HandlerConfig(instance_id="a", symbols=(SYMBOL,), channels=("funding",))
    with pytest.raises(ConfigError, match="CRYPTOFEED_BACKPACK_NATIVE=true") as caught:
        await HandlerProcess(config, "ccxt").run()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("variant", ["native", "ccxt"])
async def test_the_venue_is_reached_through_the_proxy(tmp_path, bound, variant):
    """REST and websocket both, with the password that only the configuration knows."""
    bound(variant)
    async with (
        scripted_venue(tmp_path) as venue,
        connect_proxy("me:secret") as proxy,
        running(venue, variant, http_proxy=proxy.url("me:secret")) as get,
    ):
        socket = await socket_with(venue, ("trade.SOL_USDC",))
        await socket.send(trade_frame(7))
        await eventually(lambda: traded(get, 1))
        target = venue.rest_url.removeprefix("https://")
        assert len(proxy.tunnels) >= 2
        assert set(proxy.tunnels) == {target}
        assert "secret" not in await get("/snapshot")


async def traded(get, count):
    """Return the exposition once `count` trades were delivered."""
    text = await get("/metrics")
    return text if value(text, "backpack_feed_trades_total") == count else None


def series(text):
    """Every time series of an exposition, without its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("variant", ["native", "ccxt"])
async def test_ten_thousand_unknown_symbols_add_no_series(tmp_path, bound, variant):
    """Labels come from the configuration and from fixed sets, whatever the venue sends."""
    bound(variant)
    async with scripted_venue(tmp_path) as venue, running(venue, variant) as get:
        socket = await socket_with(venue, ("depth.SOL_USDC", "trade.SOL_USDC"))
        await socket.send(depth_frame(1001))
        await socket.send(trade_frame(7))
        before = await eventually(lambda: traded(get, 1))
        # a depth frame of an unknown symbol would end ccxt's reader
        unknown = depth_frame if variant == "native" else quote_frame
        for number in range(UNKNOWN_SYMBOLS):
            await socket.send(unknown(1, f"X{number}_USDC"))
        for number in range(100):
            await socket.send(json.dumps({"stream": f"s{number}", "data": {"e": f"e{number}"}}))
            await socket.send(json.dumps({"error": {"code": number, "message": f"m{number}"}}))
        await socket.send(trade_frame(8))
        after = await eventually(lambda: traded(get, 2), 30)
        assert series(after) - series(before) == set()
        snapshot = json.loads(await get("/snapshot"))
    assert set(snapshot["metrics"]["last_message_timestamp"]) == {SYMBOL}
