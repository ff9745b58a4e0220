"""Market data messages become cryptofeed's types under cryptofeed's names."""

import json
from decimal import Decimal
from typing import Any

import pytest

from backpack_feed.wire.decode import decode
from backpack_feed.wire.normalise import (
    to_candle,
    to_funding,
    to_index,
    to_l1_book,
    to_liquidation,
    to_open_interest,
    to_ticker,
    to_trade,
)
from tests.support.backpack_fixtures import load_fixture

FRAMES = load_fixture("ws_public_frames")["frames"]
NASTY = {case["name"]: case for case in load_fixture("nasty")["cases"]}
TRADES = [f for f in FRAMES if f["stream"].startswith("trade.") and f["expect"]]
DELTAS = [f for f in FRAMES if f["stream"].startswith("depth.") and f["expect"]]
OTHERS = [f for f in FRAMES if f["expect"] and f not in TRADES + DELTAS]


def public(name: str, **changes: Any) -> Any:
    """The message of a recorded frame, after `changes` of its payload."""
    content = next(f["frame"] for f in FRAMES if f["name"] == name)
    return decode(json.dumps(content | {"data": content["data"] | changes})).data


def normalised(stream: str, message: Any, symbol: str) -> dict[str, Any]:
    """What the channels fed by a stream tell, under the names that the fixtures use."""
    kind = stream.partition(".")[0]
    if kind == "bookTicker":
        ticker, book = to_ticker(message, symbol).to_dict(), to_l1_book(message, symbol).to_dict()
        assert (book["bid_price"], book["ask_price"]) == (ticker["bid"], ticker["ask"])
        return book | ticker
    if kind == "markPrice":
        index = to_index(message, symbol).to_dict()
        return to_funding(message, symbol).to_dict() | {"index_price": index["price"]}
    if kind == "kline":
        return to_candle(message, symbol, "1m").to_dict()
    if kind == "openInterest":
        return to_open_interest(message, symbol).to_dict()
    return to_liquidation(message, symbol).to_dict()


@pytest.mark.parametrize("case", TRADES, ids=lambda c: c["name"])
def test_a_trade_has_the_takers_side_and_the_engines_time(case):
    """`m` true: the buyer is the maker, so the taker sold; the time is T and not E."""
    expect = case["expect"]
    trade = to_trade(decode(case["raw"]).data, expect["symbol"])
    assert (trade.exchange, trade.symbol, trade.id) == ("BACKPACK", expect["symbol"], expect["id"])
    assert trade.side == expect["side"]
    assert (trade.price, trade.amount) == (Decimal(expect["price"]), Decimal(expect["amount"]))
    assert trade.timestamp == float(expect["timestamp_s"])


def test_a_trade_from_rest_is_marked():
    """Latency of the wire must not be measured on it."""
    message = decode(TRADES[0]["raw"]).data
    assert to_trade(message, "BTC-USDC-PERP").type is None
    assert to_trade(message, "BTC-USDC-PERP", backfilled=True).type == "backfill"


@pytest.mark.parametrize("case", DELTAS, ids=lambda c: c["name"])
def test_a_delta_has_the_recorded_levels_and_ids(case):
    """Compared by value."""
    expect, message = case["expect"], decode(case["raw"]).data
    if "sequence" in expect:
        assert [message.first_id, message.last_id] == expect["sequence"]
    for side in ("bids", "asks"):
        if side in expect:
            wanted = [(Decimal(p), Decimal(q)) for p, q in expect[side]]
            assert list(getattr(message, side)) == wanted


@pytest.mark.parametrize("case", OTHERS, ids=lambda c: c["name"])
def test_a_recorded_frame_is_normalised(case):
    """Quotes, candles, funding, index, open interest and liquidations, compared by value."""
    expect, message = dict(case["expect"]), decode(case["raw"]).data
    expect.pop("type", None)
    symbol = expect.get("symbol", "SOL-USDC")
    plain = normalised(case["stream"], message, symbol)
    assert plain["exchange"] == "BACKPACK"
    for key, value in expect.items():
        told = plain[key.removesuffix("_s")]
        if isinstance(told, Decimal | float) and not isinstance(value, bool):
            assert Decimal(str(told)) == Decimal(str(value)), key
        else:
            assert told == value, key


@pytest.mark.parametrize("name", ["bookTicker_empty_book", "bookTicker"])
def test_a_quote_with_an_empty_side_is_no_event(name):
    """Never 0 and never the price of before: cryptofeed's types cannot tell of an empty side."""
    message = public(name, a=None, A=None)
    assert to_ticker(message, "SOL-USDC") is None
    assert to_l1_book(message, "SOL-USDC") is None


def test_a_candle_has_unix_times_and_cryptofeeds_interval():
    """Naive times are UTC, whatever the zone of this machine."""
    candle = to_candle(public("kline_1month"), "BTC-USDC-PERP", "1M")
    assert (candle.start, candle.stop) == (1788220800.0, 1790812800.0)
    assert (candle.interval, candle.closed, candle.trades) == ("1M", False, 3)
    assert (candle.open, candle.close) == (Decimal("98.95"), Decimal("98.98"))
    assert (candle.high, candle.low, candle.volume) == (
        Decimal("99.01"), Decimal("98.90"), Decimal("5.14"),
    )  # fmt: skip
    assert candle.timestamp == 1790900001.026313


@pytest.mark.parametrize("key", ["o", "h", "l", "c"])
def test_an_interval_without_a_price_is_no_candle(key):
    """No zeros are made up for what was not traded."""
    assert to_candle(public("kline_1m_final", **{key: None}), "SOL-USDC", "1m") is None


def test_a_mark_price_alone_is_neither_funding_nor_index():
    """Prediction markets have no rate, no index and no funding time."""
    for message in (
        public("markPrice_prediction"),
        decode(NASTY["markprice_without_funding"]["input"][0]["raw"]).data,
    ):
        assert to_funding(message, "X") is None
        assert to_index(message, "X") is None


def test_a_rate_may_be_negative_and_the_next_funding_unknown():
    """Both are told as they are."""
    funding = to_funding(public("markPrice_negative_rate", n=None), "SOL-USDC-PERP")
    assert (funding.rate, funding.next_funding_time) == (Decimal("-0.000031"), None)


@pytest.mark.parametrize(("side", "told"), [("Bid", "buy"), ("Ask", "sell"), ("Both", "Both")])
def test_a_liquidation_has_the_orders_side(side, told):
    """A side that the venue adds is passed through."""
    liquidation = to_liquidation(public("liquidation", S=side), "SOL-USDC-PERP")
    assert (liquidation.side, liquidation.id, liquidation.status) == (told, None, None)
    assert liquidation.timestamp == 1790900001.025413
