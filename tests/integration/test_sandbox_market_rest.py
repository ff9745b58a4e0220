"""Klines, tickers, mark prices and open interest over REST: what the streams tell, normalised."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import rest_client, running_venue, wire_client

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}
START = 1_790_900_010
SYMBOL = "SOL_USDC_PERP"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    now = float(START)
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(directory, trades_per_second=4.0, clock=lambda: now) as venue:
        for _ in range(200):
            now += 1
            venue.advance(1)
        yield venue


async def get(venue, path: str, **query: str):
    async with rest_client(venue) as http, http.get(f"/api/v1/{path}", params=query) as answer:
        return answer.status, answer.headers, await answer.text()


def same_shape(row: dict, recorded: dict) -> bool:
    return {k: type(v) for k, v in row.items()} == {k: type(v) for k, v in recorded.items()}


async def test_klines_are_the_ledger_minute_by_minute(venue):
    """Oldest first, from the first whole interval after startTime to the running one."""
    status, headers, body = await get(
        venue, "klines", symbol=SYMBOL, interval="1m", startTime=str(START - 120)
    )
    rows = json.loads(body)
    recorded = RECORDED["klines"]
    assert status == 200
    assert headers["Cache-Control"] == recorded["headers"]["Cache-Control"]
    assert same_shape(rows[0], recorded["json"][1])
    assert same_shape(rows[-1], recorded["json"][0])
    assert [row["start"] for row in rows[1:]] == [row["end"] for row in rows[:-1]]
    market = venue.catalog[SYMBOL]
    for row in rows:
        start, end = (
            datetime.fromisoformat(row[key]).replace(tzinfo=UTC).timestamp() * 1e6
            for key in ("start", "end")
        )
        trades = [t.event for t in venue.ledger.trades(SYMBOL) if start <= t.engine_us < end]
        notional = sum(
            market.price_grid.value(t.price) * market.quantity_grid.value(t.quantity)
            for t in trades
        )
        assert row["trades"] == str(len(trades))
        assert Decimal(row["quoteVolume"]) == notional
        if trades:
            assert row["high"] == market.price_grid.normal(max(t.price for t in trades))
            assert row["close"] == market.price_grid.normal(trades[-1].price)
    assert sum(int(row["trades"]) for row in rows) == len(venue.ledger.trades(SYMBOL))


async def test_klines_end_before_end_time_and_after_a_thousand(venue):
    """Long ago there was nothing: null prices."""
    _, _, body = await get(
        venue, "klines", symbol=SYMBOL, interval="1s", startTime=str(START + 5),
        endTime=str(START + 9),
    )  # fmt: skip
    assert len(json.loads(body)) == 4
    _, _, body = await get(venue, "klines", symbol=SYMBOL, interval="1m", startTime="1")
    rows = json.loads(body)
    assert len(rows) == 1000
    assert {row["open"] for row in rows} == {None}


@pytest.mark.parametrize(
    "wrong",
    [{"interval": "7m"}, {"startTime": "soon"}, {"endTime": "-1"}, {"startTime": "9" * 30}],
    ids=str,
)
async def test_a_bad_kline_parameter_is_a_plain_text_400(venue, wrong):
    """The parameter parser answers, not the application."""
    query = {"symbol": SYMBOL, "interval": "1m", "startTime": str(START)} | wrong
    status, headers, body = await get(venue, "klines", **query)
    assert (status, headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert body.startswith(f"failed to parse parameter `{next(iter(wrong))}`")


async def test_a_ticker_is_that_of_the_stream_and_a_204_without_trades(venue):
    """Normalised here, padded there; the change is a fraction."""
    _, headers, body = await get(venue, "ticker", symbol=SYMBOL)
    recorded = RECORDED["ticker"]
    assert headers["Cache-Control"] == recorded["headers"]["Cache-Control"]
    row = json.loads(body)
    assert same_shape(row, recorded["json"])
    async with wire_client(venue) as client:
        await client.subscribe(f"ticker.{SYMBOL}")
        await client.drain()
        venue.advance(1)
        data = (await client.drain_data())[-1]["data"]
    assert row["firstPrice"] == str(Decimal(data["o"]).normalize())
    first, last = Decimal(row["firstPrice"]), Decimal(row["lastPrice"])
    assert Decimal(row["priceChange"]) == last - first
    assert abs(Decimal(row["priceChangePercent"]) - (last - first) / first) < Decimal("1e-6")
    status, _, body = await get(venue, "ticker", symbol="MSFT.US_USDC_PERP")
    assert (status, body) == (204, "")
    _, _, body = await get(venue, "tickers")
    rows = {row["symbol"]: row for row in json.loads(body)}
    assert rows.keys() == {s for s, m in venue.catalog.items() if m.has_book}
    assert [s for s, row in rows.items() if row["trades"] == "0"] == ["MSFT.US_USDC_PERP"]
    assert rows["MSFT.US_USDC_PERP"]["priceChangePercent"] == "N/A"
    status, _, _ = await get(venue, "ticker", symbol="NOPE")
    assert status == 400


async def test_mark_prices_and_open_interest_list_the_perpetuals_with_a_book(venue):
    """Not the closed one, nor spot; an unknown symbol is the recorded refusal."""
    _, headers, body = await get(venue, "markPrices")
    rows = json.loads(body)
    recorded = RECORDED["markPrices"]
    assert headers["Cache-Control"] == recorded["headers"]["Cache-Control"]
    assert all(same_shape(row, recorded["json"][0]) for row in rows)
    perps = [s for s, m in venue.catalog.items() if m.market_type == "PERP" and m.has_book]
    assert [row["symbol"] for row in rows] == perps
    _, _, body = await get(venue, "openInterest", symbol=SYMBOL)
    (row,) = json.loads(body)
    assert same_shape(row, RECORDED["openInterest"]["json"][0])
    unknown = RECORDED["markPrices_unknown"]
    status, _, body = await get(venue, "markPrices", symbol="TON_USDC_PERP")
    assert (status, json.loads(body)) == (unknown["status"], unknown["json"])
