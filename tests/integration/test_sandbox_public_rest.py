"""Filters, paging and parser refusals of the public endpoints, and the service ones."""

import json
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.support.sandbox_client import rest_client, running_venue, wire_client

START = 1_790_898_000
HOUR_ENDS = 1_790_899_200
"""2026-10-02T00:00:00, twenty minutes after the start."""
PERP, SPOT, CLOSED, POST_ONLY = "SOL_USDC_PERP", "SOL_USDC", "TON_USDC_PERP", "MSFT.US_USDC_PERP"
PREDICTION = "FDVEXTD1B_USDC_PREDICTION"
ENUM = "Expect a valid enumeration value."
MISSING = 'failed to parse parameter `symbol`: Type "string" expects an input value.'

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    now = float(START)
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(directory, trades_per_second=2.0, clock=lambda: now) as venue:
        for _ in range(130):
            now += 10
            venue.advance(1)
        yield venue


async def get(venue, path: str, query=None):
    async with rest_client(venue) as http, http.get(f"/api/v1/{path}", params=query) as answer:
        return answer.status, answer.headers, await answer.text()


async def rows(venue, path: str, query=None):
    status, _, text = await get(venue, path, query)
    assert status == 200, text
    return json.loads(text)


async def test_market_types_may_repeat_and_predictions_must_be_asked_for(venue):
    """Without the parameter only spot and perp are listed."""
    default = await rows(venue, "markets")
    assert {row["marketType"] for row in default} == {"SPOT", "PERP"}
    both = await rows(venue, "markets", [("marketType", "SPOT"), ("marketType", "PREDICTION")])
    assert {row["marketType"] for row in both} == {"SPOT", "PREDICTION"}
    assert await rows(venue, "markets", {"marketType": "DATED"}) == []
    one = await rows(venue, "market", {"symbol": PREDICTION})
    assert one in both


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        ("market", {}, MISSING),
        ("depth", {}, MISSING),
        ("trades", {"limit": "5"}, MISSING),
        ("depth", {"limit": "7"}, MISSING),
        ("depth", {"symbol": SPOT, "limit": ""}, f'failed to parse parameter `limit`: failed to parse "DepthLimit": {ENUM}'),
        ("markets", {"marketType": "MOON"}, f'failed to parse parameter `marketType`: failed to parse "MarketType": {ENUM}'),
        ("klines", {"symbol": SPOT, "interval": "1m"}, 'failed to parse parameter `startTime`: Type "integer_int64" expects an input value.'),
        ("klines", {"symbol": SPOT, "interval": "1m", "startTime": "0", "priceType": "Moon"}, f'failed to parse parameter `priceType`: failed to parse "KlinePriceType": {ENUM}'),
        ("ticker", {"symbol": SPOT, "interval": "1h"}, f'failed to parse parameter `interval`: failed to parse "TickerInterval": {ENUM}'),
        ("trades", {"symbol": SPOT, "limit": "70000"}, 'failed to parse parameter `limit`: failed to parse "integer_uint16": number too large to fit in target type'),
        ("trades", {"symbol": SPOT, "limit": "1001"}, "failed to parse parameter `limit`: verification failed. maximum(1000, exclusive: false)"),
        ("trades/history", {"symbol": SPOT, "offset": "-1"}, 'failed to parse parameter `offset`: failed to parse "integer_uint64": invalid digit found in string'),
        ("fundingRates", {"symbol": PERP, "limit": "10001"}, "failed to parse parameter `limit`: verification failed. maximum(10000, exclusive: false)"),
        ("fundingRates", {"symbol": PERP, "offset": ""}, 'failed to parse parameter `offset`: failed to parse "integer_uint64": cannot parse integer from empty string'),
        ("stockIndicativeQuote", {"symbol": "AAPL.US", "side": "Bid", "quantity": "1e3"}, 'failed to parse parameter `quantity`: failed to parse "string_decimal": Invalid decimal'),
    ],
)  # fmt: skip
async def test_the_parser_refuses_in_plain_text(venue, path, query, text):
    """Before anything is looked up: the parameter's name, then the type's."""
    status, headers, body = await get(venue, path, query)
    assert (status, body) == (400, text)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_funding_is_paged_newest_first_from_the_running_interval(venue):
    """The first row ends in the future; the hour that ended meanwhile has the rate of its end."""
    first = await rows(venue, "fundingRates", {"symbol": PERP, "limit": "3"})
    ends = [row["intervalEndTimestamp"] for row in first]
    assert ends == ["2026-10-02T01:00:00", "2026-10-02T00:00:00", "2026-10-01T23:00:00"]
    (mark,) = await rows(venue, "markPrices", {"symbol": PERP})
    nine = Decimal("1e-9")
    assert Decimal(first[0]["fundingRate"]) == Decimal(mark["fundingRate"]).quantize(nine)
    query = {"symbol": PERP, "limit": "2", "offset": "1"}
    status, headers, text = await get(venue, "fundingRates", query)
    assert (status, json.loads(text)) == (200, first[1:])
    total = int(headers["X-TOTAL"])
    assert int(headers["X-PAGE-COUNT"]) == -(-total // 2)
    assert (headers["X-PAGE-SIZE"], headers["X-CURRENT-PAGE"]) == ("2", "0")
    beyond = await rows(venue, "fundingRates", {"symbol": PERP, "offset": str(2**64 - 1)})
    assert beyond == []
    oldest = {"symbol": PERP, "limit": "10", "offset": str(total - 1)}
    assert len(await rows(venue, "fundingRates", oldest)) == 1


async def test_funding_of_the_past_depends_on_the_seed_and_market_alone(venue, tmp_path):
    """Another venue of the same seed tells the same; another seed does not."""
    query = {"symbol": PERP, "limit": "50", "offset": "2"}
    here = await rows(venue, "fundingRates", query)
    clock = {"clock": lambda: START + 1300.0}
    async with running_venue(tmp_path / "same", **clock) as same:
        assert await rows(same, "fundingRates", query) == here
    async with running_venue(tmp_path / "other", seed=8, **clock) as other:
        assert await rows(other, "fundingRates", query) != here
    assert await rows(venue, "fundingRates", {"symbol": SPOT}) == []


async def test_mark_prices_follow_the_market_type(venue):
    """A prediction market has neither index nor funding; spot has no mark price at all."""
    assert await rows(venue, "markPrices", {"marketType": "SPOT"}) == []
    (row,) = await rows(venue, "markPrices", {"marketType": "PREDICTION"})
    assert row.keys() == {"symbol", "markPrice"}
    assert POST_ONLY in {row["symbol"] for row in await rows(venue, "markPrices")}
    for symbol in (SPOT, CLOSED, "NOPE", ""):
        status, _, text = await get(venue, "markPrices", {"symbol": symbol})
        expected = {"code": "INVALID_CLIENT_REQUEST", "message": "Symbol not found"}
        assert (status, json.loads(text)) == (400, expected)


async def test_open_interest_lists_what_markets_does_not(venue):
    """With a null, and alone when it is asked for."""
    listed = {row["symbol"]: row["openInterest"] for row in await rows(venue, "openInterest")}
    assert listed[PREDICTION] is None
    assert CLOSED not in listed
    (row,) = await rows(venue, "openInterest", {"symbol": PREDICTION})
    assert row["openInterest"] is None


async def test_klines_of_mark_and_index_have_no_volume_and_external_ones_no_price(venue):
    """The index lies within the basis of the mark."""
    query = {"symbol": PERP, "interval": "1h", "startTime": str(HOUR_ENDS)}
    (last,) = await rows(venue, "klines", query)
    (mark,) = await rows(venue, "klines", query | {"priceType": "Mark"})
    (index,) = await rows(venue, "klines", query | {"priceType": "Index"})
    assert int(last["trades"]) > 0
    assert mark["close"] == last["close"]
    assert (mark["volume"], mark["quoteVolume"], mark["trades"]) == ("0", "0", "0")
    ratio = Decimal(index["close"]) / Decimal(mark["close"])
    assert abs(ratio - 1) <= Decimal("0.0003")
    (external,) = await rows(venue, "klines", query | {"source": "External"})
    assert {external[name] for name in ("open", "high", "low", "close")} == {None}


async def test_klines_of_a_span_between_trades_are_the_ledger(venue):
    """Times are found by halving the ids; every trade is in exactly one candle."""
    query = {
        "symbol": PERP, "interval": "1m",
        "startTime": str(START + 300), "endTime": str(START + 600),
    }  # fmt: skip
    found = await rows(venue, "klines", query)
    span = range((START + 300) * 10**6, (START + 600) * 10**6)
    trades = [t for t in venue.ledger.trades(PERP) if t.engine_us in span]
    assert len(found) == 5
    assert sum(int(row["trades"]) for row in found) == len(trades) > 0


async def test_a_week_holds_what_a_day_holds_and_grows(venue):
    """The venue is minutes old, so both are the same trades."""
    day = await rows(venue, "ticker", {"symbol": SPOT})
    assert await rows(venue, "ticker", {"symbol": SPOT, "interval": "1w"}) == day
    venue.advance(5)
    week = await rows(venue, "ticker", {"symbol": SPOT, "interval": "1w"})
    assert week == await rows(venue, "ticker", {"symbol": SPOT, "interval": "1d"})
    assert int(week["trades"]) > int(day["trades"])


async def test_a_market_without_flow_has_an_empty_book_and_no_ticker(venue):
    """It is open, so this is no 404."""
    depth = await rows(venue, "depth", {"symbol": PREDICTION})
    assert (depth["asks"], depth["bids"], depth["lastUpdateId"]) == ([], [], "0")
    assert await rows(venue, "trades", {"symbol": PREDICTION}) == []
    assert (await get(venue, "ticker", {"symbol": PREDICTION}))[0] == 204


async def test_a_page_of_trades_before_the_first_is_empty(venue):
    """However far."""
    query = {"symbol": SPOT, "offset": str(2**64 - 1)}
    assert await rows(venue, "trades/history", query) == []


async def test_a_wrong_method_and_an_unknown_path_are_plain_text(venue):
    """405 where the path is known, else the recorded 404; also under /wapi."""
    async with rest_client(venue) as http:
        for method, path, expected in [
            ("POST", "/api/v1/depth", (405, "405 method not allowed")),
            ("DELETE", "/api/v1/ping", (405, "405 method not allowed")),
            ("GET", "/api/v1/depth/", (404, "404 not found")),
            ("GET", "/wapi/v1/nope", (404, "404 not found")),
        ]:
            async with http.request(method, path) as answer:
                assert (answer.status, await answer.text()) == expected
                assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("unix", "rest", "stream"),
    [
        (1_790_900_000.0, "US_EQUITIES_OVERNIGHT", "Overnight"),
        (1_790_949_000.0, "US_EQUITIES_REGULAR", "RegularHours"),
        (1_791_100_000.0, None, None),
    ],
)
async def test_streams_and_rest_tell_the_same_session(tmp_path, unix, rest, stream):
    """A night, a day and a weekend; both follow the calendar."""
    async with (
        running_venue(tmp_path, clock=lambda: unix) as venue,
        wire_client(venue) as client,
    ):
        query = {"symbol": "AAPL.US", "side": "Bid", "quantity": "1"}
        assert (await rows(venue, "stockIndicativeQuote", query))["session"] == rest
        await client.subscribe("stockPrice.AAPL", "stockIndicativeQuote.AAPL")
        await client.drain()
        venue.advance(1.5)
        frames = await client.drain_data()
    assert {frame["data"]["e"]: frame["data"]["session"] for frame in frames} == {
        "stockPrice": stream,
        "stockIndicativeQuote": stream,
    }


async def test_stocks_have_sessions_and_a_quote_while_one_is_on(venue):
    """Thursday evening in New York is the overnight session of Friday."""
    securities = {row["asset"]: row for row in await rows(venue, "securities")}
    assert securities.keys() == {"AAPL.US", "MSFT.US"}
    sessions = {row["name"] for row in await rows(venue, "stockSessions")}
    assert {row["name"] for row in securities["AAPL.US"]["sessions"]} == sessions
    query = {"symbol": "AAPL.US", "side": "Bid", "quantity": "1"}
    quote = await rows(venue, "stockIndicativeQuote", query)
    assert quote["session"] == "US_EQUITIES_OVERNIGHT"
    depth = await rows(venue, "depth", {"symbol": "AAPL.US_USDC_PERP"})
    assert quote["estimatedPrice"] == depth["asks"][0][0]
    assert Decimal(quote["price"]) > Decimal(quote["estimatedPrice"])
    assert {row["timezone"] for row in await rows(venue, "stockHolidays")} == {"America/New_York"}


@pytest.mark.parametrize(
    "path", ["borrowLend/markets", "vaults", "wallets", "prediction?resolved=true"]
)
async def test_what_does_not_exist_here_is_an_empty_list(venue, path):
    """Truthfully so."""
    assert await rows(venue, path) == []


async def test_assets_name_every_market_of_the_catalogue(venue):
    """Base and quote."""
    assets = {row["symbol"] for row in await rows(venue, "assets")}
    assert assets == {market.base for market in venue.catalog.values()} | {"USDC"}
    assert {row["symbol"] for row in await rows(venue, "collateral")} <= assets


async def test_the_cache_is_off_unless_it_is_asked_for(venue, tmp_path):
    """On, the second answer is the first again, with its age; depth and /sandbox stay live."""
    await rows(venue, "markPrices")
    _, headers, _ = await get(venue, "markPrices")
    assert (headers["X-Cache"], headers.get("Age")) == ("Miss from cloudfront", None)
    async with running_venue(tmp_path, cdn=True) as cached:
        before = await rows(cached, "trades", {"symbol": SPOT})
        depth = await rows(cached, "depth", {"symbol": SPOT})
        cached.advance(10)
        _, headers, text = await get(cached, "trades", {"symbol": SPOT})
        assert (headers["X-Cache"], headers["Age"]) == ("Hit from cloudfront", "0")
        assert json.loads(text) == before
        assert await rows(cached, "trades", {"symbol": SPOT, "nonce": "1"}) != before
        assert await rows(cached, "depth", {"symbol": SPOT}) != depth


async def test_the_venue_profile_lists_and_serves_its_markets(tmp_path):
    """Every endpoint over all of them."""
    async with running_venue(tmp_path, profile="venue") as whole:
        whole.advance(1)
        listed = {row["symbol"]: row for row in await rows(whole, "markets")}
        assert len(listed) == 124
        live = {s for s, row in listed.items() if row["orderBookState"] != "Closed"}
        perps = {s for s in live if listed[s]["marketType"] == "PERP"}
        assert {row["symbol"] for row in await rows(whole, "tickers")} == live
        assert {row["symbol"] for row in await rows(whole, "markPrices")} == perps
        interest = {row["symbol"] for row in await rows(whole, "openInterest")}
        assert interest == perps | {PREDICTION}
        depth = await rows(whole, "depth", {"symbol": "BRK.B.US_USDC_PERP", "limit": "5"})
        assert len(depth["asks"]) == 5
        bounds = listed["ZEC_USDC_PERP"]["fundingRateUpperBound"]
        assert bounds == "150"
