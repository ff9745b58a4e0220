"""bpx-py, blocking and asyncio, against the venue's own books, ledger and keys."""

import asyncio
import inspect
from decimal import Decimal

import pytest
from bpx.public import Public

from tests.conformance.bpx_py_client import Client, account_client, public_client
from tests.conformance.truth import decimal_levels, true_book, true_trades


@pytest.fixture(params=["blocking", "asyncio"])
def flavour(request):
    return request.param


@pytest.fixture
def public(flavour, venue):
    return public_client(flavour, venue)


async def test_markets(public, venue):
    """Every symbol with its grids."""
    markets = {market["symbol"]: market for market in await public.call("get_markets")}
    assert set(markets) == set(venue.catalog)
    for symbol, market in venue.catalog.items():
        filters = markets[symbol]["filters"]
        assert filters["price"]["tickSize"] == market.price_grid.text
        assert filters["quantity"]["stepSize"] == market.quantity_grid.text


async def test_assets_and_collateral(public, venue):
    """The bases of the spot markets, and what they are worth as collateral."""
    assets = {asset["symbol"] for asset in await public.call("get_assets")}
    assert {m.base for m in venue.catalog.values() if m.market_type == "SPOT"} <= assets
    collateral = {row["symbol"] for row in await public.call("get_collateral")}
    assert "USDC" in collateral
    assert collateral <= assets


async def test_depth(public, venue):
    """The whole book, both sides ascending."""
    depth = await public.call("get_depth", "SOL_USDC")
    truth = true_book(venue, "SOL_USDC")
    assert int(depth["lastUpdateId"]) == truth.update_id
    assert decimal_levels(depth["bids"]) == truth.bids
    assert decimal_levels(depth["asks"]) == truth.asks
    for side in ("bids", "asks"):
        prices = [Decimal(price) for price, _ in depth[side]]
        assert prices == sorted(prices)


async def test_trades(public, venue):
    """The last trades, newest first; the history pages through the same ones."""
    recent = await public.call("get_recent_trades", "SOL_USDC", 20)
    pages = [
        *await public.call("get_history_trades", "SOL_USDC", 10, 0),
        *await public.call("get_history_trades", "SOL_USDC", 10, 10),
    ]
    assert recent == pages
    truth = true_trades(venue, "SOL_USDC")[:-21:-1]
    seen = [(t["id"], Decimal(t["price"]), Decimal(t["quantity"]), t["timestamp"]) for t in recent]
    assert seen == [(t.id, t.price, t.quantity, t.time_ms) for t in truth]
    assert [t["isBuyerMaker"] for t in recent] == [t.side == "sell" for t in truth]


async def test_klines(public, venue):
    """The minutes of the trades add up."""
    trades = true_trades(venue, "SOL_USDC")
    start = trades[0].time_ms // 60_000 * 60
    rows = await public.call("get_klines", "SOL_USDC", "1m", start)
    traded = [row for row in rows if row["open"] is not None]
    assert sum(Decimal(row["volume"]) for row in traded) == sum(t.quantity for t in trades)
    assert sum(int(row["trades"]) for row in traded) == len(trades)
    assert Decimal(traded[0]["open"]) == trades[0].price
    assert Decimal(traded[-1]["close"]) == trades[-1].price


async def test_ticker_and_tickers(public, venue):
    """The day of one market, and of all that traded."""
    ticker = await public.call("get_ticker", "SOL_USDC_PERP")
    trades = true_trades(venue, "SOL_USDC_PERP")
    assert Decimal(ticker["lastPrice"]) == trades[-1].price
    assert Decimal(ticker["volume"]) == sum(t.quantity for t in trades)
    assert int(ticker["trades"]) == len(trades)
    tickers = await public.call("get_tickers")
    assert ticker in tickers
    assert {row["symbol"] for row in tickers if row["trades"] != "0"} == {
        symbol for symbol in venue.catalog if true_trades(venue, symbol)
    }


async def test_mark_prices(public, venue):
    """One perpetual or all of them; the mark is the middle of the book."""
    (row,) = await public.call("get_all_mark_prices", "SOL_USDC_PERP")
    book = true_book(venue, "SOL_USDC_PERP")
    tick = venue.catalog["SOL_USDC_PERP"].price_grid.unit
    assert abs(Decimal(row["markPrice"]) - (book.best_bid + book.best_ask) / 2) <= tick
    rows = await public.call("get_all_mark_prices")
    assert {r["symbol"] for r in rows} == {
        s for s, m in venue.catalog.items() if m.market_type == "PERP" and m.has_book
    }


async def test_open_interest(public, venue):
    """In base units."""
    (row,) = await public.call("get_open_interest", "SOL_USDC_PERP")
    step = venue.catalog["SOL_USDC_PERP"].quantity_grid.unit
    assert Decimal(row["openInterest"]) > 0
    assert Decimal(row["openInterest"]) % step == 0


async def test_funding_rates(public):
    """Newest first, hour by hour, at most as many as asked for."""
    rows = await public.call("get_funding_interval_rates", "SOL_USDC_PERP", 5)
    ends = [row["intervalEndTimestamp"] for row in rows]
    assert 1 <= len(rows) <= 5
    assert ends == sorted(ends, reverse=True)
    assert {row["symbol"] for row in rows} == {"SOL_USDC_PERP"}


async def test_service(public):
    """Status as JSON; ping and time as bare text, which the blocking client makes a number of."""
    assert await public.call("get_status") == {"message": None, "status": "Ok"}
    assert await public.call("get_ping") == "pong"
    assert int(await public.call("get_time")) > 1_700_000_000_000


async def test_balances_of_a_signed_query(flavour, venue):
    """Signed as its users sign; every asset of the account."""
    account = account_client(flavour, venue, venue.trader_api_key_file)
    balances = await account.call("get_balances")
    assert Decimal(balances["USDC"]["available"]) == 1_000_000
    assert {"available", "locked", "staked"} == set(balances["USDC"])


async def test_finding_errors_are_answers(flavour, venue, public, wrong_key):
    """It raises nothing: a refusal, in JSON or in text, looks like any other answer."""
    unknown = await public.call("get_depth", "NOPE_USDC")
    assert unknown == {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid market symbol"}
    account = account_client(flavour, venue, wrong_key)
    refused = await account.call("get_balances")
    assert refused["code"] == "INVALID_CLIENT_REQUEST"


async def test_finding_funding_pages_are_all_the_first(public):
    """`offset` is checked and then not sent."""
    first = await public.call("get_funding_interval_rates", "SOL_USDC_PERP", 2, 0)
    second = await public.call("get_funding_interval_rates", "SOL_USDC_PERP", 2, 2)
    assert first == second


async def test_finding_one_market_has_no_method(venue):
    """`get_market` of the blocking client gives all; its url for one is a path of nowhere."""
    half = Public()
    half.BASE_URL = f"{venue.rest_url}/"
    public = Client(half)
    assert await public.call("get_market") == await public.call("get_markets")
    url = half.get_market_url("SOL_USDC")
    assert await asyncio.to_thread(half.http_client.get, url) == "404 not found"


async def test_finding_time_is_a_number_or_text(flavour, public):
    """The blocking client parses the text as JSON, the other one does not."""
    expected = int if flavour == "blocking" else str
    assert type(await public.call("get_time")) is expected


async def test_finding_only_the_blocking_client_lists_all_open_interest(flavour, public):
    """The other one insists on a symbol."""
    if flavour == "blocking":
        rows = await public.call("get_open_interest")
        assert {"SOL_USDC_PERP", "BTC_USDC_PERP"} <= {row["symbol"] for row in rows}
    else:
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'symbol'"):
            await public.call("get_open_interest")


def test_finding_a_method_of_the_blocking_client_is_a_coroutine():
    """`Public.get_all_mark_prices` blocks, and yet must be awaited."""
    assert inspect.iscoroutinefunction(Public.get_all_mark_prices)
    assert not inspect.iscoroutinefunction(Public.get_markets)
