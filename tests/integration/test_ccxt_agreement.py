"""A third party agrees: the same frames through ccxt.pro's own parsers and through ours.

Nobody here wrote ccxt.pro. Where it is right (no gap, no crossed book, every field there) its
trades, quotes and books are ours by value; where it is not, the venue's ledger sides with ours.
"""

import json
import ssl
from collections import Counter
from contextlib import asynccontextmanager

import aiohttp
import pytest

from backpack_feed.native.book import BookAction, DepthBook
from backpack_feed.wire.decode import decode, decode_depth_snapshot
from backpack_feed.wire.messages import BookTickerMessage, DepthMessage, TradeMessage
from backpack_feed.wire.normalise import to_l1_book, to_trade
from tests.integration.test_ccxt_witness import ccxt_at, ledger_books
from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import running_venue

# ccxt's own names: it upper-cases kPEPE
MARKETS = {
    "SOL_USDC": "SOL/USDC",
    "BTC_USDC_PERP": "BTC/USDC:USDC",
    "kPEPE_USDC_PERP": "KPEPE/USDC:USDC",
    "AAPL.US_USDC_PERP": "AAPL.US/USDC:USDC",
}
MODEL_SECONDS = 60
WHOLE_BOOK_EVERY = 25


class ThirdParty:
    """ccxt.pro's parsers, given frames by hand."""

    def __init__(self, exchange):
        self._exchange = exchange
        self._client = exchange.client(exchange.urls["api"]["ws"]["public"])

    def take(self, frame):
        self._exchange.handle_message(self._client, json.loads(frame))

    def snapshot(self, symbol, body):
        ccxt_symbol = MARKETS[symbol]
        parsed = self._exchange.parse_order_book(json.loads(body), ccxt_symbol)
        parsed["nonce"] = int(json.loads(body)["lastUpdateId"])
        book = self._exchange.orderbooks[ccxt_symbol] = self._exchange.order_book()
        book.reset(parsed)

    def trade(self, symbol):
        trade = self._exchange.trades[MARKETS[symbol]][-1]
        return int(trade["id"]), trade["side"], trade["price"], trade["amount"]

    def quote(self, symbol):
        quote = self._exchange.bidsasks[MARKETS[symbol]]
        return quote["bid"], quote["bidVolume"], quote["ask"], quote["askVolume"]

    def nonce(self, symbol):
        return self._exchange.orderbooks[MARKETS[symbol]]["nonce"]

    def book(self, symbol):
        book = self._exchange.orderbooks[MARKETS[symbol]]
        return dict(map(tuple, book["bids"])), dict(map(tuple, book["asks"]))


class Ours:
    """Decode, normalise and book, without a socket."""

    def __init__(self):
        self.books = {symbol: DepthBook() for symbol in MARKETS}

    def snapshot(self, symbol, body):
        self.books[symbol].snapshot(decode_depth_snapshot(body))

    def trade(self, message):
        trade = to_trade(message, message.symbol)
        return int(trade.id), trade.side, float(trade.price), float(trade.amount)

    def quote(self, message):
        top = to_l1_book(message, message.symbol)
        return tuple(map(float, (top.bid_price, top.bid_size, top.ask_price, top.ask_size)))

    def book(self, symbol):
        ladder = self.books[symbol].ladder
        return tuple(
            {float(price): float(quantity) for price, quantity in levels(side)}
            for side in (ladder.bids, ladder.asks)
        )


def levels(side):
    return (side.index(position) for position in range(len(side)))


@asynccontextmanager
async def both(tmp_path):
    """A paused venue, ccxt and we, with the same snapshots of REST."""
    async with (
        running_venue(tmp_path, trades_per_second=3.0) as venue,
        ccxt_at(venue) as exchange,
    ):
        await exchange.load_markets()
        theirs, ours = ThirdParty(exchange), Ours()
        for symbol in MARKETS:
            body = await depth_body(venue, symbol)
            theirs.snapshot(symbol, body)
            ours.snapshot(symbol, body)
        yield venue, theirs, ours


async def depth_body(venue, symbol):
    tls = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(venue.ca_file)))
    page = f"/api/v1/depth?symbol={symbol}&limit=1000"
    async with (
        aiohttp.ClientSession(venue.rest_url, connector=tls) as http,
        http.get(page) as answer,
    ):
        return await answer.read()


def published(venue):
    """The frames of the markets, as sent, in order."""
    lines = venue.ledger.path.read_bytes().splitlines()
    return [line for line in lines if json.loads(line).get("data", {}).get("s") in MARKETS]


async def test_thousands_of_frames_give_the_same_trades_quotes_and_books(tmp_path):
    """Ids, prices, amounts, sides, and every level after every 25th change of a book."""
    agreed = Counter()
    async with both(tmp_path) as (venue, theirs, ours):
        venue.advance(MODEL_SECONDS)
        for frame in published(venue):
            message = decode(frame).data
            theirs.take(frame)
            match message:
                case TradeMessage(symbol=symbol):
                    assert theirs.trade(symbol) == ours.trade(message)
                case BookTickerMessage(symbol=symbol):
                    assert theirs.quote(symbol) == ours.quote(message)
                case DepthMessage(symbol=symbol):
                    step = ours.books[symbol].delta(message)
                    assert step.action is BookAction.APPLY
                    assert theirs.nonce(symbol) == ours.books[symbol].last_update_id
                    if not agreed[type(message), symbol] % WHOLE_BOOK_EVERY:
                        assert theirs.book(symbol) == ours.book(symbol)
                case _:
                    continue
            agreed[type(message), symbol] += 1
        for symbol in MARKETS:
            assert (
                theirs.book(symbol)
                == ours.book(symbol)
                == ledger_books(venue, symbol)[ours.books[symbol].last_update_id]
            )
    frames = Counter(kind for kind, _ in agreed.elements())
    assert frames[DepthMessage] > 2_000
    assert frames[TradeMessage] > 500
    assert frames[BookTickerMessage] > 500
    assert {symbol for _, symbol in agreed} == set(MARKETS)


async def test_after_lost_deltas_the_ledger_sides_with_us(tmp_path):
    """We have no book and say so; ccxt has one that the venue never had."""
    async with both(tmp_path) as (venue, theirs, ours):
        venue.advance(10)
        frames = [f for f in published(venue) if decode(f).stream == "depth.SOL_USDC"]
        for frame in [*frames[:-11], frames[-1]]:
            theirs.take(frame)
            ours.books["SOL_USDC"].delta(decode(frame).data)
        truth = ledger_books(venue, "SOL_USDC")[theirs.nonce("SOL_USDC")]
        assert not ours.books["SOL_USDC"].valid
        assert theirs.book("SOL_USDC") != truth
        # and after the snapshot that we ask for, ours is the venue's
        ours.snapshot("SOL_USDC", await depth_body(venue, "SOL_USDC"))
        assert ours.books["SOL_USDC"].valid
        assert ours.book("SOL_USDC") == truth


@pytest.mark.parametrize(
    "name", ["trade_taker_buy", "trade_taker_sell", "bookTicker", "bookTicker_string_u"]
)
async def test_recorded_frames_mean_the_same_to_both(tmp_path, name):
    """Shapes that several observers saw on the wire."""
    (case,) = (case for case in load_fixture("ws_public_frames")["frames"] if case["name"] == name)
    message = decode(case["raw"]).data
    async with running_venue(tmp_path) as venue, ccxt_at(venue) as exchange:
        await exchange.load_markets()
        theirs, ours = ThirdParty(exchange), Ours()
        theirs.take(case["raw"])
        if isinstance(message, TradeMessage):
            assert theirs.trade(message.symbol) == ours.trade(message)
        else:
            assert theirs.quote(message.symbol) == ours.quote(message)
