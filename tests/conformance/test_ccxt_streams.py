"""Public streams through ccxt.pro in Python and Node, against the venue's own books and ledger."""

import asyncio
from decimal import Decimal

import pytest

from tests.conformance.ccxt_clients import STREAMING_BUILDS
from tests.conformance.truth import decimal_levels, published, true_book, true_trades

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"
IDS = {SPOT: "SOL_USDC", PERP: "SOL_USDC_PERP"}
SNAPSHOT_AT_ONCE = {"options": {"watchOrderBook": {"snapshotDelay": 0}}}
MINUTE_MS = 60_000


@pytest.fixture(params=STREAMING_BUILDS)
def build(request) -> str:
    return request.param


@pytest.fixture
async def client(build, live_venue, open_client):
    return await open_client(build, live_venue, **SNAPSHOT_AT_ONCE)


def number(value) -> Decimal:
    return Decimal(str(value))


@pytest.mark.parametrize("symbol", [SPOT, PERP])
async def test_depth(client, live_venue, symbol):
    """Snapshot and deltas give the true book at each id that ccxt shows, not only the first."""
    seen = []
    for _ in range(10):
        book = await client.call("watch_order_book", symbol)
        truth = true_book(live_venue, IDS[symbol], book["nonce"])
        assert decimal_levels(book["bids"]) == truth.bids
        assert decimal_levels(book["asks"]) == truth.asks
        seen.append(book["nonce"])
    assert seen == sorted(seen)
    assert len(set(seen)) > 1


async def test_depth_of_several_markets(client, live_venue):
    """One socket, several markets, each with its own ids."""
    symbols = [SPOT, PERP, "BTC/USDC:USDC"]
    seen = {}
    while len(seen) < len(symbols):
        book = await client.call("watch_order_book_for_symbols", symbols)
        seen[book["symbol"]] = book
    for symbol, book in seen.items():
        market_id = {"BTC/USDC:USDC": "BTC_USDC_PERP", **IDS}[symbol]
        truth = true_book(live_venue, market_id, book["nonce"])
        assert decimal_levels(book["bids"]) == truth.bids


@pytest.mark.parametrize("symbol", [SPOT, PERP])
async def test_trades(client, live_venue, symbol):
    """Every trade once, in the order of ids, with the taker's side."""
    seen = {}
    while len(seen) < 5:
        for trade in await client.call("watch_trades", symbol):
            seen[int(trade["id"])] = trade
    truth = {trade.id: trade for trade in true_trades(live_venue, IDS[symbol])}
    assert list(seen) == list(range(min(seen), max(seen) + 1))
    for trade_id, trade in seen.items():
        true = truth[trade_id]
        assert (number(trade["price"]), number(trade["amount"])) == (true.price, true.quantity)
        assert trade["side"] == true.side


async def test_trades_of_several_markets(client, live_venue):
    """The market of each trade is told by the frame."""
    trades = await client.call("watch_trades_for_symbols", [SPOT, PERP])
    for trade in trades:
        ids = [t.id for t in true_trades(live_venue, IDS[trade["symbol"]])]
        assert int(trade["id"]) in ids


async def test_ticker(client, live_venue):
    """A day so far: its last price is that of a trade that happened."""
    ticker = await client.call("watch_ticker", PERP)
    trades = true_trades(live_venue, "SOL_USDC_PERP")
    prices = [trade.price for trade in trades]
    assert number(ticker["open"]) == prices[0]
    assert number(ticker["last"]) in prices
    assert min(prices) <= number(ticker["low"]) <= number(ticker["high"]) <= max(prices)
    volumes = [sum(t.quantity for t in trades[:count]) for count in range(1, len(trades) + 1)]
    assert number(ticker["baseVolume"]) in volumes


async def test_tickers(client):
    """Several markets on one call."""
    symbols = {SPOT, PERP}
    seen: set[str] = set()
    while seen != symbols:
        tickers = await client.call("watch_tickers", sorted(symbols))
        seen |= set(tickers)
        assert seen <= symbols


async def test_book_ticker(client, live_venue):
    """The touch, exactly as one published frame had it."""
    tickers = await client.call("watch_bids_asks", [SPOT])
    ticker = tickers[SPOT]
    tops = [
        tuple(Decimal(frame[key]) for key in "bBaA")
        for frame in published(live_venue, "bookTicker.SOL_USDC")
    ]
    touch = tuple(number(ticker[key]) for key in ("bid", "bidVolume", "ask", "askVolume"))
    assert touch in tops


async def test_kline(client, live_venue):
    """A candle is what the trades of its minute had made of it at some moment."""
    rows = await client.call("watch_ohlcv", SPOT, "1m")
    end, *values = rows[-1]
    assert end % MINUTE_MS == 0
    trades = [
        trade
        for trade in true_trades(live_venue, "SOL_USDC")
        if end - MINUTE_MS <= trade.time_ms < end
    ]
    moments = []
    for count in range(1, len(trades) + 1):
        prices = [trade.price for trade in trades[:count]]
        volume = sum(trade.quantity for trade in trades[:count])
        moments.append([prices[0], max(prices), min(prices), prices[-1], volume])
    assert [number(value) for value in values] in moments


async def test_unsubscribe(client):
    """Said for one stream, the other one goes on."""
    await client.call("watch_trades", SPOT)
    await client.call("watch_order_book", SPOT)
    await client.call("un_watch_trades", SPOT)
    first = await client.call("watch_order_book", SPOT)
    async with asyncio.timeout(10):
        while (await client.call("watch_order_book", SPOT))["nonce"] == first["nonce"]:
            pass
