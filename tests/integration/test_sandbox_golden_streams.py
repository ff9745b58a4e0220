"""Every public stream over TLS against the recorded schema: keys, types, nulls, padding, order."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backpack_fixtures import load_fixture, schema_violations
from tests.support.sandbox_client import running_venue, wire_client

SYMBOLS = ("SOL_USDC_PERP", "BTC_USDC", "kPEPE_USDC_PERP", "0G_USDC_PERP", "AAPL.US_USDC_PERP")
STOCK = "AAPL.US_USDC_PERP"
KINDS = (
    "depth",
    "depth.200ms",
    "depth.600ms",
    "depth.1000ms",
    "trade",
    "bookTicker",
    "ticker",
    "kline.1m",
    "kline.1s",
    "markPrice",
    "openInterest",
    "liquidation",
)
STOCK_STREAMS = (f"externalTicker.{STOCK}", "stockPrice.AAPL", "stockIndicativeQuote.AAPL")
# a private one has its schema under its own name, and these two share another's
SCHEMA_OF = {"externalTicker": "ticker"}
PRICES = {
    "trade": "p",
    "bookTicker": "ab",
    "ticker": "ohlc",
    "kline": "ohlc",
    "markPrice": "p",
    "liquidation": "p",
}
QUANTITIES = {
    "trade": "q",
    "bookTicker": "AB",
    "ticker": "v",
    "openInterest": "o",
    "liquidation": "q",
}
STOCK_PRICES = ("bid", "ask", "mid", "estimatedBid", "estimatedAsk")


class Clock:
    """Unix time that goes on with the market's."""

    now = 1_790_900_010.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def frames(tmp_path) -> list[str]:
    """Two minutes of everything that five markets say."""
    clock = Clock()
    async with (
        running_venue(tmp_path, trades_per_second=4.0, clock=clock) as venue,
        wire_client(venue) as client,
    ):
        streams = [f"{kind}.{symbol}" for kind in KINDS for symbol in SYMBOLS]
        await client.subscribe(*streams, "liquidation", *STOCK_STREAMS)
        assert await client.drain() == []
        for _ in range(1200):
            clock.now += 0.1
            venue.advance(0.1)
        return await client.drain()


async def test_every_stream_holds_the_recorded_schema_byte_for_byte_canonical(frames):
    """Compact, keys in ASCII order at every depth, `data` before `stream`."""
    seen = set()
    for raw in frames:
        frame = json.loads(raw)
        assert raw == json.dumps(frame, separators=(",", ":"), sort_keys=True)
        assert list(frame) == ["data", "stream"]
        kind = frame["stream"].partition(".")[0]
        assert frame["data"]["e"] == kind
        assert violations(kind, frame["data"]) == []
        seen.add(frame["stream"])
    spot = {f"{kind}.BTC_USDC" for kind in ("markPrice", "openInterest", "liquidation")}
    every = {f"{kind}.{symbol}" for kind in KINDS for symbol in SYMBOLS} - spot
    scoped = {name for name in every if name.startswith("liquidation.")}
    assert seen - scoped == (every - scoped) | {*STOCK_STREAMS, "liquidation"}
    recorded = set(load_fixture("field_types")["streams"])
    private = {name for name in recorded if name.startswith("account.")}
    assert recorded - private == {SCHEMA_OF.get(n, n) for n in (s.split(".")[0] for s in seen)}


def violations(kind: str, data: dict[str, Any]) -> list[str]:
    found = schema_violations(SCHEMA_OF.get(kind, kind), data)
    if kind.startswith("stock"):
        # the recorded frames carry both, the list of fields does not
        found = [one for one in found if one not in {"e: not a field", "s: not a field"}]
    return found


async def test_every_price_and_quantity_is_padded_to_the_markets_tick_and_step(frames, tmp_path):
    """And every one lies on the grid."""
    async with running_venue(tmp_path / "other") as venue:
        markets = venue.catalog
    checked = 0
    for frame in map(json.loads, frames):
        data, kind = frame["data"], frame["stream"].partition(".")[0]
        market = markets[STOCK if kind.startswith("stock") else data["s"]]
        prices, quantities = figures(kind, data)
        for text in prices:
            assert text == market.price_grid.padded(market.price_grid.count(text)), frame
        for text in quantities:
            assert text == market.quantity_grid.padded(market.quantity_grid.count(text)), frame
        checked += len(prices) + len(quantities)
    assert checked > 10_000


def figures(kind: str, data: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(prices, quantities) of a frame that are not null."""
    if kind == "depth":
        levels = [*data["a"], *data["b"]]
        return [price for price, _ in levels], [quantity for _, quantity in levels]
    if kind.startswith("stock"):
        return [data[key] for key in STOCK_PRICES if data.get(key) is not None], []
    kind = SCHEMA_OF.get(kind, kind)
    prices = [data[key] for key in PRICES.get(kind, "") if data[key] is not None]
    quantities = [data[key] for key in QUANTITIES.get(kind, "") if data[key] is not None]
    if kind == "kline":
        quantities += [data["v"]] if data["n"] else []
    return prices, quantities


async def test_stock_quotes_are_those_of_the_book_at_that_moment(frames):
    """The last bookTicker before each names the same touch; the estimates lie beyond it."""
    touch: dict[str, str] = {}
    compared = 0
    for data in ordered(frames):
        if data["e"] == "bookTicker":
            touch = data
        elif touch:
            assert (data["bid"], data["ask"]) == (touch["b"], touch["a"])
            compared += 1
        if data["e"] == "stockIndicativeQuote":
            assert float(data["estimatedBid"]) <= float(data["bid"])
            assert float(data["estimatedAsk"]) >= float(data["ask"])
    assert compared > 200


def ordered(frames: list[str]) -> Iterator[dict[str, Any]]:
    wanted = {f"bookTicker.{STOCK}", *STOCK_STREAMS[1:]}
    for frame in map(json.loads, frames):
        if frame["stream"] in wanted:
            yield frame["data"]


async def test_an_external_ticker_tells_the_same_day_as_the_markets_own(frames):
    """Here the stock trades nowhere else."""
    own, external = (
        [
            {key: value for key, value in data.items() if key != "e"}
            for data in (frame["data"] for frame in map(json.loads, frames))
            if data["e"] == kind and data["s"] == STOCK
        ]
        for kind in ("ticker", "externalTicker")
    )
    assert own == external != []
