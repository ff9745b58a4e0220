"""role: shadow: both feeds read only in one process, and parity between them."""

import asyncio

import aiohttp
import pytest

from backpack_feed.process.config import HandlerConfig, MetricsConfig, VenueConfig
from backpack_feed.process.handler import HandlerProcess
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually


@pytest.fixture
async def shadow(tmp_path):
    """A running shadow over a real venue: (process, venue, http session)."""
    sandbox = SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=5)
    async with Sandbox(sandbox) as venue:
        process = HandlerProcess(
            HandlerConfig(
                instance_id="shadow-00",
                symbols=("SOL-USDC", "kPEPE-USDC-PERP"),
                channels=("l2_book", "trades", "ticker", "order_info"),
                credentials_file=venue.api_key_file,
                venue=VenueConfig(
                    rest_url=venue.rest_url, ws_url=venue.ws_url, ca_file=venue.ca_file
                ),
                metrics=MetricsConfig(),
                role="shadow",
            ),
            "ccxt",
        )
        task = asyncio.create_task(process.run())
        await eventually(lambda: process.port)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{process.port}") as http:
            yield process, venue, http
        process.stop()
        await task


async def snapshot_of(http):
    async with http.get("/snapshot") as answer:
        return await answer.json()


async def test_both_feeds_agree_on_every_trade_and_book(shadow):
    """Trades match by id, books at equal sequence; both feeds are on one port."""
    process, _, http = shadow
    parity = process.parity
    await eventually(
        lambda: parity.trades_matched >= 10 and parity.books_compared >= 20, 25, parity.summary
    )
    body = await snapshot_of(http)
    assert body["variant"] == "shadow"
    assert body["ready"] is True
    assert set(body["feeds"]) == {"ccxt", "native"}
    assert body["parity"]["trades_altered"] == {"ccxt": 0, "native": 0}
    assert body["parity"]["trades_missing"] == {"ccxt": 0, "native": 0}
    assert body["parity"]["books_mismatched"] == 0
    assert body["parity"]["samples"] == []
    for feed in body["feeds"].values():
        assert feed["metrics"]["messages"]["ticker"] > 0
    async with http.get("/metrics") as answer:
        text = await answer.text()
    for line in (
        'handler_latency_seconds_count{channel="order_info",instance_id="shadow-00",variant="ccxt"}',
        'backpack_feed_ready{instance_id="shadow-00",variant="ccxt"} 1.0',
        'backpack_feed_ready{instance_id="shadow-00",variant="native"} 1.0',
        'backpack_feed_parity_missing_total{instance_id="shadow-00",variant="native"} 0.0',
        'backpack_feed_parity_book_mismatched_total{instance_id="shadow-00"} 0.0',
    ):
        assert line in text


async def test_a_native_feed_that_hears_nothing_is_missing_every_trade(shadow):
    """The side without the trades is the one that is blamed."""
    process, venue, http = shadow
    parity = process.parity
    await eventually(lambda: parity.trades_matched >= 2, 25)
    parity.lateness_seconds = 0.5
    venue.faults.add("stale", user_agent="backpack-feed/*")
    await eventually(lambda: parity.trades_missing["native"] >= 1, 25, parity.summary)
    body = await snapshot_of(http)
    assert body["parity"]["trades_missing"]["ccxt"] == 0
    assert body["parity"]["samples"][0]["variant"] == "native"
