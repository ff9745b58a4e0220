"""Stock quotes and external tickers: the recorded frames, and figures that follow from the book."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from backpack_sandbox.market.book import OrderBook, Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.orders import Order, OrderRequest
from backpack_sandbox.streams.candles import Candle
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.streams.stocks import QUOTED_ORDERS, StockQuote, StockQuotes
from tests.support.backpack_fixtures import load_fixture

CATALOG = build_catalog("venue")
PUBLIC = {f["name"]: f["raw"] for f in load_fixture("ws_public_frames")["frames"]}
EVENT_US = 1790900001000313
NVDA = CATALOG["NVDA.US_USDC_PERP"]


def engine(market, bids=(), asks=()):
    book = OrderBook()
    for number, (side, price, steps) in enumerate(
        [(Side.BID, *level) for level in bids] + [(Side.ASK, *level) for level in asks]
    ):
        request = OrderRequest(account="", side=side, price=price, quantity=steps)
        book.rest(Order(market.symbol, number, request))
    return SimpleNamespace(market=market, book=book)


def quotes(*engines) -> StockQuotes:
    return StockQuotes({one.market.symbol: one for one in engines})


def test_a_stock_price_is_byte_for_byte_the_documented_one():
    """Bare ticker, mid between the sides, ms."""
    quote = StockQuote(18118, 18122, None, None)
    frame = MarketFrames(NVDA).stock_price("NVDA", quote, "RegularHours", EVENT_US)
    assert frame.decode() == PUBLIC["stockPrice"]


def test_an_indicative_quote_is_byte_for_byte_the_documented_one():
    """Without a session, outside the hours of the stock exchange."""
    quote = StockQuote(18115, 18125, 18100, 18140)
    frame = MarketFrames(NVDA).stock_indicative_quote("NVDA", quote, None)
    assert frame.decode() == PUBLIC["stockIndicativeQuote"]


def test_an_external_ticker_is_byte_for_byte_the_documented_one():
    """The fields of a ticker under another name."""
    market = replace(CATALOG["SOL_USDC"], symbol="MSFT.US_USDC")
    day = Candle(0, 0, 10087, 10119, 9738, 9898, 1519012, 15022334455, 6811)
    frame = MarketFrames(market).external_ticker(day, 1790900001026313)
    assert frame.decode() == PUBLIC["externalTicker"]


def test_the_estimates_are_what_ten_usual_orders_would_get():
    """Deeper levels weigh by what is taken of them; rounded away from the touch."""
    usual = QUOTED_ORDERS * NVDA.typical_order_steps
    told = quotes(
        engine(NVDA, [(90, usual // 2), (80, usual)], [(110, usual // 2), (121, usual)])
    ).quote("NVDA")
    assert told == StockQuote(90, 110, 85, 116)
    assert told.mid == 100


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ([], [], StockQuote(None, None, None, None)),
        ([(90, 1)], [], StockQuote(90, None, 90, None)),
        ([], [(110, 1)], StockQuote(None, 110, None, 110)),
    ],
)
def test_a_missing_side_is_null_and_takes_the_mid_with_it(bids, asks, expected):
    """Nobody quotes it."""
    quote = quotes(engine(NVDA, bids, asks)).quote("NVDA")
    assert (quote, quote.mid) == (expected, None)


def test_tickers_are_bare_keep_their_dots_and_prefer_the_perpetual():
    """Index, commodity and currency markets are no stocks."""
    spot = replace(NVDA, symbol="NVDA.US_USDC", market_type="SPOT")
    others = [CATALOG[s] for s in ("BRK.B.US_USDC_PERP", "XAU_USDC_PERP", "SOL_USDC")]
    known = quotes(*(engine(market) for market in (NVDA, spot, *others)))
    assert known.tickers == {"NVDA", "BRK.B"}
    assert known.symbol("NVDA") == NVDA.symbol
    assert known.symbols == {NVDA.symbol, spot.symbol, "BRK.B.US_USDC_PERP"}
