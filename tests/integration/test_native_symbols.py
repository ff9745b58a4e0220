"""The list of markets: cryptofeed's `symbols()` and `info()`, its cache, and short answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from cryptofeed.connection import RestEndpoint, Routes
from cryptofeed.defines import TRADES
from cryptofeed.symbols import Symbols

from backpack_feed.errors import ConfigError, DecodeError
from backpack_feed.native import feed as feed_module
from backpack_feed.native.feed import BackpackFeed
from tests.support.conditions import eventually
from tests.support.native_feed import Delivered, make_feed, running
from tests.support.scripted_venue import BTC, SOL, scripted_venue

FILTERS = {"price": {"tickSize": "0.01"}, "quantity": {"stepSize": "0.001"}}
PREDICTION = SOL | {"symbol": "X_USDC_PREDICTION", "marketType": "PREDICTION"}
ROWS = [SOL | {"filters": FILTERS}, BTC, PREDICTION]


@asynccontextmanager
async def markets_over_http(rows: list[dict[str, Any]]) -> AsyncIterator[str]:
    """`/api/v1/markets` as cryptofeed's own client reads it."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(rows)

    app = web.Application()
    app.router.add_get("/api/v1/markets", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    """Cryptofeed keeps one list per process and a cache below the home directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    Symbols.data.pop(BackpackFeed.id, None)


@pytest.fixture
async def rows(monkeypatch):
    listed = list(ROWS)
    async with markets_over_http(listed) as address:
        endpoint = RestEndpoint(address, routes=Routes("/api/v1/markets"))
        monkeypatch.setattr(BackpackFeed, "rest_endpoints", [endpoint])
        yield listed


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        venue.rows = list(ROWS)
        yield venue


async def test_symbols_and_info_are_those_of_any_cryptofeed_exchange(rows):
    """Names, types, ticks and steps; what cryptofeed cannot name is skipped."""
    await BackpackFeed.load_symbols()
    assert BackpackFeed.symbols() == ["SOL-USDC", "BTC-USDC-PERP"]
    info = BackpackFeed.info()
    assert info["instrument_type"] == {"SOL-USDC": "spot", "BTC-USDC-PERP": "perpetual"}
    assert info["tick_size"] == {"SOL-USDC": Decimal("0.01")}
    assert info["step"] == {"SOL-USDC": Decimal("0.001")}
    assert set(info["channels"]["websocket"]) >= {"l2_book", "order_info", "balances"}
    assert rows


async def test_the_cache_is_written_and_read_as_by_any_cryptofeed_exchange(rows):
    """A fresh process with `cache_ttl` needs no answer of the venue."""
    await BackpackFeed.load_symbols()
    Symbols.data.pop(BackpackFeed.id)
    rows.clear()
    assert await BackpackFeed.load_symbols(cache_ttl=60) == {
        "SOL-USDC": "SOL_USDC", "BTC-USDC-PERP": "BTC_USDC_PERP",
    }  # fmt: skip
    assert BackpackFeed.info()["instrument_type"]["SOL-USDC"] == "spot"


async def test_a_short_or_empty_answer_takes_no_symbol_away(rows):
    """Markets are added; a list that lost some, or all, changes nothing."""
    await BackpackFeed.load_symbols()
    rows[:] = [BTC | {"symbol": "ETH_USDC_PERP", "baseSymbol": "ETH"}]
    await BackpackFeed.load_symbols(refresh=True)
    assert BackpackFeed.symbols() == ["SOL-USDC", "BTC-USDC-PERP", "ETH-USDC-PERP"]
    rows.clear()
    await BackpackFeed.load_symbols(refresh=True)
    assert len(BackpackFeed.symbols()) == 3
    Symbols.data.pop(BackpackFeed.id)
    with pytest.raises(DecodeError, match="lists no market"):
        await BackpackFeed.load_symbols()


async def test_a_feed_of_another_venue_has_its_own_list(venue, rows):
    """Cryptofeed's list is about the venue proper; a sandbox has other markets."""
    rows[:] = [BTC]
    await BackpackFeed.load_symbols()
    async with running(make_feed(venue, Delivered(), channels=[TRADES]), until_ready=False) as feed:
        await eventually(lambda: venue.sockets)
        assert feed.table.info()["tick_size"] == {"SOL-USDC": Decimal("0.01")}
        assert feed.table.skipped == {"PREDICTION": 1}
    assert BackpackFeed.symbols() == ["BTC-USDC-PERP"]


async def test_a_feed_on_the_venue_itself_shares_its_list(venue, monkeypatch, tmp_path):
    """With `symbol_cache_ttl` also with the next process."""
    monkeypatch.setattr(feed_module, "REST_URL", venue.rest_url)
    config = tmp_path / "config.yaml"
    config.write_text("symbol_cache_ttl: 60\nlog:\n  disabled: true\n")
    settings = {"channels": [TRADES], "config": str(config)}
    async with running(make_feed(venue, Delivered(), **settings), until_ready=False):
        await eventually(lambda: venue.sockets)
    assert BackpackFeed.symbols() == ["SOL-USDC", "BTC-USDC-PERP"]
    (cache,) = (tmp_path / "cache").rglob("BACKPACK.json")
    assert json.loads(cache.read_text())["symbols"]["SOL-USDC"] == "SOL_USDC"


async def test_a_feed_outlives_short_stale_and_failed_answers(venue):
    """It waits until the list can be complete; a market that is none is then said so."""
    broken = json.dumps([BTC, {"symbol": 7}])
    venue.failures["/api/v1/markets"] = [
        web.Response(status=500),
        web.Response(text="[]", content_type="application/json"),
        web.Response(text=broken, content_type="application/json"),
    ]
    async with running(make_feed(venue, Delivered(), channels=[TRADES]), until_ready=False):
        await eventually(lambda: venue.sockets, timeout_seconds=20)


async def test_a_symbol_that_is_no_market_is_refused(venue):
    """With the name that was meant, perhaps."""
    feed = make_feed(venue, Delivered(), symbols=["SOLL-USDC"])
    with pytest.raises(ConfigError, match="SOLL-USDC is not a market of the venue: did you mean"):
        await feed.run(asyncio.Event())
