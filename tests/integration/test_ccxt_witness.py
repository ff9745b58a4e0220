"""The judge of the sandbox: ccxt.pro, which nobody here wrote, told only where to connect.

`BACKPACK_WITNESS_SECONDS` sets how long it watches (default 10).
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
import pytest

from backpack_sandbox import Sandbox
from tests.support.sandbox_client import running_venue

WATCH_SECONDS = float(os.environ.get("BACKPACK_WITNESS_SECONDS", "10"))
# ccxt's own names: it upper-cases kPEPE
WATCHED = {
    "SOL/USDC": "SOL_USDC",
    "BTC/USDC:USDC": "BTC_USDC_PERP",
    "KPEPE/USDC:USDC": "kPEPE_USDC_PERP",
    "AAPL.US/USDC:USDC": "AAPL.US_USDC_PERP",
    "0G/USDC:USDC": "0G_USDC_PERP",
    "BONK/USDC": "BONK_USDC",
}

type Levels = dict[float, float]


@asynccontextmanager
async def ccxt_at(venue: Sandbox) -> AsyncIterator[Any]:
    """An unmodified ccxt.pro exchange with four URLs and its CA setting changed."""
    exchange = ccxt.pro.backpack({"cafile": str(venue.ca_file)})
    exchange.urls["api"]["public"] = exchange.urls["api"]["private"] = venue.rest_url
    exchange.urls["api"]["ws"] = {"public": venue.ws_url, "private": venue.ws_url}
    try:
        yield exchange
    finally:
        await exchange.close()


class Witness:
    """What ccxt handed out: every trade id in order, and each book with its sequence."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self.trades: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in WATCHED}
        self.books: dict[str, list[tuple[int, Levels, Levels]]] = {s: [] for s in WATCHED}

    async def watch(self, seconds: float) -> None:
        """Watch every market; any error that a watcher raises ends this with it."""
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as watchers:
                for symbol in WATCHED:
                    watchers.create_task(self._watch_trades(symbol))
                    watchers.create_task(self._watch_book(symbol))
        except TimeoutError:
            return

    async def _watch_trades(self, symbol: str) -> None:
        while True:
            self.trades[symbol] += await self._exchange.watch_trades(symbol)

    async def _watch_book(self, symbol: str) -> None:
        while True:
            book = await self._exchange.watch_order_book(symbol)
            sides = (dict(level[:2] for level in book[side]) for side in ("bids", "asks"))
            self.books[symbol].append((book["nonce"], *sides))


def ledger_frames(venue: Sandbox, stream: str) -> list[dict[str, Any]]:
    lines = map(json.loads, venue.ledger.path.read_text().splitlines())
    return [line["data"] for line in lines if line.get("stream") == stream]


def ledger_books(venue: Sandbox, symbol: str) -> dict[int, tuple[Levels, Levels]]:
    """The true book after each update id, as floats, since that is what ccxt keeps."""
    first_line = venue.ledger.path.read_text().split("\n", 1)[0]
    start = json.loads(first_line)["session"]["books"][symbol]
    bids, asks = ({float(p): float(q) for p, q in start[side]} for side in ("bids", "asks"))
    books = {start["lastUpdateId"]: (dict(bids), dict(asks))}
    for data in ledger_frames(venue, f"depth.{symbol}"):
        for side, levels in ((bids, data["b"]), (asks, data["a"])):
            for price, quantity in levels:
                side[float(price)] = float(quantity)
                if not float(quantity):
                    del side[float(price)]
        books[data["u"]] = (dict(bids), dict(asks))
    return books


@pytest.mark.timeout(WATCH_SECONDS + 60)
async def test_ccxt_sees_every_trade_and_book_as_the_ledger_has_them(tmp_path):
    """No watcher errs, no trade between the first and the last is missing, each book is true."""
    async with running_venue(tmp_path, paused=False) as venue, ccxt_at(venue) as exchange:
        await exchange.load_markets()
        witness = Witness(exchange)
        await witness.watch(WATCH_SECONDS)
        venue.driver.paused = True
        for symbol, venue_symbol in WATCHED.items():
            assert_trades_agree(venue, venue_symbol, witness.trades[symbol])
            assert_books_agree(venue, venue_symbol, witness.books[symbol])


def assert_trades_agree(venue: Sandbox, symbol: str, seen: list[dict[str, Any]]) -> None:
    published = {str(d["t"]): d for d in ledger_frames(venue, f"trade.{symbol}")}
    assert seen, f"no trade of {symbol}"
    ids = [int(trade["id"]) for trade in seen]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    for trade in seen:
        truth = published[trade["id"]]
        assert (trade["price"], trade["amount"]) == (float(truth["p"]), float(truth["q"]))
        assert trade["side"] == ("sell" if truth["m"] else "buy")


def assert_books_agree(venue: Sandbox, symbol: str, seen: list[tuple[int, Levels, Levels]]) -> None:
    truth = ledger_books(venue, symbol)
    assert len(seen) > 1, f"no book of {symbol}"
    for sequence, bids, asks in seen:
        assert (bids, asks) == truth[sequence], f"{symbol} at {sequence}"


async def test_ccxt_reads_markets_books_trades_and_balances_over_rest(tmp_path):
    """Spot and perp markets, a snapshot, recent trades, and a signed request with its own code."""
    async with (
        running_venue(tmp_path, trades_per_second=3.0) as venue,
        ccxt_at(venue) as exchange,
    ):
        venue.advance(20)
        markets = await exchange.load_markets()
        assert set(WATCHED) <= set(markets)
        book = await exchange.fetch_order_book("SOL/USDC")
        assert book["bids"][0][0] < book["asks"][0][0]
        assert book["nonce"] == venue.exchange.engines["SOL_USDC"].last_update_id
        trades = await exchange.fetch_trades("SOL/USDC", limit=5)
        assert int(trades[-1]["id"]) == venue.exchange.engines["SOL_USDC"].last_trade_id
        key = json.loads(venue.api_key_file.read_text())
        exchange.apiKey, exchange.secret = key["api_key"], key["private_key"]
        balance = await exchange.fetch_balance()
        portfolio = venue.accounts["house"]
        owned = {b.asset: float(b.available) for b in portfolio.balances()}
        assert {asset: balance["free"][asset] for asset in owned} == owned
        positions = {p["symbol"]: p for p in await exchange.fetch_positions()}
        assert len(positions) == len(list(portfolio.positions())) > 0


async def test_ccxt_reads_candles_tickers_and_the_figures_of_perpetuals(tmp_path):
    """Each as the venue has it; a paused market gives one answer to both."""
    symbol, venue_symbol = "BTC/USDC:USDC", "BTC_USDC_PERP"
    async with (
        running_venue(tmp_path, trades_per_second=3.0) as venue,
        ccxt_at(venue) as exchange,
    ):
        venue.advance(30)
        await exchange.load_markets()
        market = venue.catalog[venue_symbol]
        trades = [trade.event for trade in venue.ledger.trades(venue_symbol)]
        volume = float(market.quantity_grid.value(sum(trade.quantity for trade in trades)))
        candles = await exchange.fetch_ohlcv(symbol, "1h")
        assert sum(candle[5] for candle in candles) == pytest.approx(volume)
        ticker = await exchange.fetch_ticker(symbol)
        assert (ticker["baseVolume"], ticker["last"]) == (
            pytest.approx(volume),
            float(market.price_grid.value(trades[-1].price)),
        )
        second = int(venue.exchange.model_seconds)
        mark = venue.perpetuals.mark_price(venue_symbol, second, 0)
        funding = await exchange.fetch_funding_rate(symbol)
        assert funding["markPrice"] == float(market.price_grid.value(mark.price))
        assert funding["indexPrice"] == float(mark.index_price)
        assert funding["fundingRate"] == pytest.approx(float(mark.funding_rate))
        interest = await exchange.fetch_open_interest(symbol)
        steps = venue.perpetuals.open_interest(venue_symbol, 0)
        assert float(interest["info"]["openInterest"]) == float(market.quantity_grid.value(steps))


async def test_ccxt_watches_candles_tickers_and_positions(tmp_path):
    """Its own parsers take the frames; its last candle and ticker hold a published price."""
    symbol, venue_symbol = "SOL/USDC:USDC", "SOL_USDC_PERP"
    async with (
        running_venue(tmp_path, paused=False, rate=40, trades_per_second=8.0) as venue,
        ccxt_at(venue) as exchange,
    ):
        key = json.loads(venue.api_key_file.read_text())
        exchange.apiKey, exchange.secret = key["api_key"], key["private_key"]
        await exchange.load_markets()
        async with asyncio.timeout(20), asyncio.TaskGroup() as watchers:
            candles = watchers.create_task(exchange.watch_ohlcv(symbol, "1m"))
            ticker = watchers.create_task(exchange.watch_ticker(symbol))
            positions = watchers.create_task(exchange.watch_positions())
        prices = {float(data["p"]) for data in ledger_frames(venue, f"trade.{venue_symbol}")}
        assert candles.result()[-1][4] in prices
        assert ticker.result()["last"] in prices
        assert {p["symbol"] for p in positions.result()} <= set(exchange.markets)


async def test_ccxt_signs_in_and_hears_the_orders_of_the_account(tmp_path):
    """Its own signature is accepted on the socket."""
    async with running_venue(tmp_path, paused=False, rate=40) as venue, ccxt_at(venue) as exchange:
        key = json.loads(venue.api_key_file.read_text())
        exchange.apiKey, exchange.secret = key["api_key"], key["private_key"]
        await exchange.load_markets()
        async with asyncio.timeout(15):
            orders = await exchange.watch_orders()
        assert orders[0]["id"]
