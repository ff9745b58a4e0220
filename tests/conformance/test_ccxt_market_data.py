"""Public REST through ccxt in its three builds, against what the venue knows to be true."""

from decimal import Decimal
from itertools import pairwise

import pytest

from tests.conformance.refusals import RefusedError
from tests.conformance.truth import decimal_levels, true_book, true_trades

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"
IDS = {SPOT: "SOL_USDC", PERP: "SOL_USDC_PERP"}


def number(value) -> Decimal:
    return Decimal(str(value))


async def test_markets(client, venue):
    """Every market of the catalogue, with its grids as precision and its state."""
    markets = await client.call("load_markets")
    by_id = {m["id"]: m for m in markets.values() if m["info"]["marketType"] != "RFQ"}
    assert set(by_id) == set(venue.catalog)
    for symbol, market in venue.catalog.items():
        seen = by_id[symbol]
        assert seen["spot"] is (market.market_type == "SPOT")
        assert seen["swap"] is (market.market_type == "PERP")
        assert (seen["base"], seen["quote"]) == (market.base.upper(), "USDC")
        assert number(seen["precision"]["price"]) == market.price_grid.unit
        assert number(seen["precision"]["amount"]) == market.quantity_grid.unit
    assert by_id["SOL_USDC_PERP"]["linear"] is True
    assert by_id["SOL_USDC_PERP"]["settle"] == "USDC"


async def test_currencies(client, venue):
    """Every base and the quote."""
    currencies = await client.call("fetch_currencies")
    bases = {market.base for market in venue.catalog.values() if market.market_type == "SPOT"}
    assert bases | {"USDC"} <= set(currencies)


async def test_status(client):
    """Open for business."""
    assert (await client.call("fetch_status"))["status"] == "ok"


@pytest.mark.parametrize("symbol", [SPOT, PERP])
async def test_depth(client, venue, symbol):
    """The whole book, best first on both sides, at the id that REST names."""
    book = await client.call("fetch_order_book", symbol)
    truth = true_book(venue, IDS[symbol], book["nonce"])
    assert truth.update_id == true_book(venue, IDS[symbol]).update_id
    assert decimal_levels(book["bids"]) == truth.bids
    assert decimal_levels(book["asks"]) == truth.asks
    assert number(book["bids"][0][0]) == truth.best_bid
    assert number(book["asks"][0][0]) == truth.best_ask


@pytest.mark.parametrize("build", ["python-sync", "python-async"])
async def test_depth_limit(client, venue):
    """Five levels are the five nearest to the middle."""
    book = await client.call("fetch_order_book", SPOT, 5)
    truth = true_book(venue, "SOL_USDC")
    assert [number(level[0]) for level in book["bids"]] == sorted(truth.bids)[:-6:-1]
    assert [number(level[0]) for level in book["asks"]] == sorted(truth.asks)[:5]


@pytest.mark.parametrize("symbol", [SPOT, PERP])
async def test_trades(client, venue, symbol):
    """Ids, prices, sizes, times and the taker's side; ccxt sorts the oldest first."""
    trades = await client.call("fetch_trades", symbol, None, 20)
    truth = true_trades(venue, IDS[symbol])[-20:]
    assert len(truth) == 20
    seen = [
        (int(t["id"]), number(t["price"]), number(t["amount"]), t["side"], t["timestamp"])
        for t in trades
    ]
    assert sorted(seen) == [(t.id, t.price, t.quantity, t.side, t.time_ms) for t in truth]
    assert [t["timestamp"] for t in trades] == [t.time_ms for t in truth]


async def test_klines(client, venue):
    """Each minute holds the trades of that minute; the candle's time is its start."""
    candles = await client.call("fetch_ohlcv", SPOT, "1m", None, 10)
    minutes: dict[int, list] = {}
    for trade in true_trades(venue, "SOL_USDC"):
        minutes.setdefault(trade.time_ms // 60_000 * 60_000, []).append(trade)
    traded = {row[0]: row[1:] for row in candles if row[1] is not None}
    assert set(traded) == set(minutes)
    for start, trades in minutes.items():
        prices = [t.price for t in trades]
        expected = [prices[0], max(prices), min(prices), prices[-1]]
        assert [number(v) for v in traded[start][:4]] == expected
        assert number(traded[start][4]) == sum(t.quantity for t in trades)
    assert [row[0] for row in candles] == sorted(row[0] for row in candles)


def assert_ticker(ticker, trades):
    prices = [t.price for t in trades]
    assert (number(ticker["open"]), number(ticker["last"])) == (prices[0], prices[-1])
    assert (number(ticker["high"]), number(ticker["low"])) == (max(prices), min(prices))
    assert number(ticker["baseVolume"]) == sum(t.quantity for t in trades)
    assert number(ticker["quoteVolume"]) == sum(t.quantity * t.price for t in trades)


async def test_ticker(client, venue):
    """The last day of one market."""
    assert_ticker(await client.call("fetch_ticker", PERP), true_trades(venue, "SOL_USDC_PERP"))


async def test_tickers(client, venue):
    """The last day of every market that traded; one that did not has zeros and no change."""
    tickers = await client.call("fetch_tickers")
    traded = {s: trades for s in venue.catalog if (trades := true_trades(venue, s))}
    by_id = {ticker["info"]["symbol"]: ticker for ticker in tickers.values()}
    assert {s for s, ticker in by_id.items() if ticker["info"]["trades"] != "0"} == set(traded)
    untraded = [by_id[symbol]["info"] for symbol in set(by_id) - set(traded)]
    assert {(row["volume"], row["priceChangePercent"]) for row in untraded} <= {("0", "N/A")}
    for symbol in ("SOL_USDC", "BTC_USDC_PERP", "kPEPE_USDC_PERP"):
        assert_ticker(by_id[symbol], traded[symbol])


async def test_mark_price_and_funding_rate(client, venue):
    """The mark is the middle of the book; the index and the rate are those of the venue."""
    rate = await client.call("fetch_funding_rate", PERP)
    book = true_book(venue, "SOL_USDC_PERP")
    tick = venue.catalog["SOL_USDC_PERP"].price_grid.unit
    middle = (book.best_bid + book.best_ask) / 2
    assert abs(number(rate["markPrice"]) - middle) <= tick
    assert abs(number(rate["indexPrice"]) / middle - 1) < Decimal("0.01")
    assert abs(number(rate["fundingRate"])) <= Decimal("0.01")
    assert rate["interval"] == "1h"
    assert rate["nextFundingTimestamp"] % 3_600_000 == 0


async def test_funding_rate_history(client):
    """Hour by hour; the newest interval is the running one, so it ends in the future."""
    rates = await client.call("fetch_funding_rate_history", PERP, None, 5)
    times = [rate["timestamp"] for rate in rates]
    assert times == sorted(times)
    assert {later - earlier for earlier, later in pairwise(times)} <= {3_600_000}
    assert {rate["symbol"] for rate in rates} == {PERP}
    assert all(abs(number(rate["fundingRate"])) <= Decimal("0.01") for rate in rates)


async def test_open_interest(client, venue):
    """In base units, a whole number of the market's steps."""
    interest = await client.call("fetch_open_interest", PERP)
    amount = number(interest["info"]["openInterest"])
    assert amount > 0
    assert amount % venue.catalog["SOL_USDC_PERP"].quantity_grid.unit == 0


@pytest.mark.parametrize("method", ["fetch_mark_ohlcv", "fetch_index_ohlcv"])
async def test_mark_and_index_klines(client, method):
    """The venue takes `priceType`; candles come oldest first, none above its own high."""
    candles = await client.call(method, PERP, "1m", None, 10)
    assert len(candles) in {10, 11}
    assert [row[0] for row in candles] == sorted(row[0] for row in candles)
    for _, opened, high, low, closed, _ in candles:
        assert opened is None or low <= opened <= high
        assert closed is None or low <= closed <= high


async def test_unknown_symbol(client, venue):
    """The venue's own refusal, for a market that only this client believes in."""
    await client.call("load_markets")
    with pytest.raises(RefusedError, match="Invalid market symbol") as refused:
        await client.call("public_get_api_v1_depth", {"symbol": "NOPE_USDC"})
    assert refused.value.kinds[0] == "BadRequest"


async def test_bad_parameter(client):
    """A plain-text 400 of the parameter parser."""
    with pytest.raises(RefusedError, match="Expect a valid enumeration value") as refused:
        await client.call("public_get_api_v1_depth", {"symbol": "SOL_USDC", "limit": "30"})
    assert "ExchangeError" in refused.value.kinds or "NetworkError" in refused.value.kinds
