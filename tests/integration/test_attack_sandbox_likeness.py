"""Attacks on the likeness: what a strict client sees that no golden file shows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.rest.candle_bodies import ticker_body
from backpack_sandbox.streams.candles import Candle
from tests.support.sandbox_client import running_venue, signed_client


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, taker_delay_seconds=0.0) as venue:
        yield venue


def disordered(value: Any) -> Iterator[list[str]]:
    """The keys of every object within `value` that are not in ASCII order."""
    if isinstance(value, dict):
        if list(value) != sorted(value):
            yield list(value)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from disordered(item)


@pytest.mark.parametrize(
    "path",
    [
        "markets",
        "depth?symbol=SOL_USDC",
        "klines?symbol=SOL_USDC&interval=1m&startTime=1",
        "tickers",
        "markPrices",
        "openInterest",
        "fundingRates?symbol=SOL_USDC_PERP",
        "assets",
        "collateral",
        "securities",
        "stockSessions",
        "prediction",
        "status",
    ],
)
async def test_the_keys_of_a_public_answer_come_in_ascii_order(venue, path):
    """As recorded on nearly every message (protocol, 2)."""
    async with signed_client(venue) as trader, trader.http.get(f"/api/v1/{path}") as answer:
        assert list(disordered(json.loads(await answer.text()))) == []


async def test_the_keys_of_an_open_order_come_in_ascii_order(venue):
    async with signed_client(venue) as trader:
        order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit"}
        await trader.place(**order, price="90", quantity="1", clientId=1)
        one = await trader.get("/api/v1/order", "orderQuery", symbol="SOL_USDC", clientId=1)
        many = await trader.get("/api/v1/orders", "orderQueryAll")
        assert list(disordered([one.json, many.json])) == []


@pytest.mark.parametrize(
    ("last", "fraction"), [(10_170, "0.017"), (10_000, "0"), (9_999, "-0.0001"), (20_000, "1")]
)
def test_the_change_of_a_ticker_has_no_zeros_at_its_end(last, fraction):
    """As every decimal on REST (protocol, 2)."""
    market = build_catalog()["SOL_USDC"]
    prices = {"open": 10_000, "high": 20_000, "low": 1, "close": last}
    day = Candle(start_us=0, end_us=1, **prices, volume=5, notional=50_000, trades=1)
    assert ticker_body(market, day)["priceChangePercent"] == fraction
