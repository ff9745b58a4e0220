"""ccxt's candles and quotes as cryptofeed's."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from backpack_feed.incumbent.candles import CandleWindow, start_of
from backpack_feed.incumbent.quotes import to_l1_book, to_ticker

NOON = datetime(2026, 9, 2, 12, tzinfo=UTC).timestamp()

QUOTE = {
    "bid": 98.96,
    "bidVolume": 287.31,
    "ask": 98.97,
    "askVolume": 21.37,
    "timestamp": 1790900001026,
}


def row(stop, close=98.98):
    return [stop * 1000, 98.95, 99.01, 98.9, close, 5.14]


def window(*, closed_only=True):
    return CandleWindow("SOL-USDC", "1m", closed_only=closed_only)


def told(candles):
    return [(candle.stop - NOON, candle.close, candle.closed) for candle in candles]


def test_a_candle_is_closed_when_the_next_one_begins():
    """The venue's closing mark ends at ccxt, which passes it on to nobody."""
    candles = window()
    assert candles.take([row(NOON)]) == []
    assert candles.take([row(NOON, 99.0)]) == []
    (candle,) = candles.take([row(NOON, 99.0), row(NOON + 60)])
    assert (candle.start, candle.stop, candle.interval) == (NOON - 60, NOON, "1m")
    assert (candle.open, candle.high) == (Decimal("98.95"), Decimal("99.01"))
    assert (candle.low, candle.close, candle.volume) == (
        Decimal("98.9"),
        Decimal("99.0"),
        Decimal("5.14"),
    )
    assert candle.closed
    assert candle.trades is None
    assert candle.timestamp is None


def test_the_last_change_counts_even_when_it_came_with_the_next_candle():
    """Frames between two looks leave only the newest state of each candle."""
    candles = window()
    candles.take([row(NOON)])
    assert told(candles.take([row(NOON, 97.0), row(NOON + 60)])) == [(0, Decimal("97.0"), True)]


def test_open_candles_are_told_on_every_change_when_wanted():
    """The same row twice is no change."""
    candles = window(closed_only=False)
    assert told(candles.take([row(NOON)])) == [(0, Decimal("98.98"), False)]
    assert candles.take([row(NOON)]) == []
    assert told(candles.take([row(NOON), row(NOON + 60, 1.0)])) == [
        (0, Decimal("98.98"), True),
        (60, Decimal("1.0"), False),
    ]


def test_an_interval_without_a_trade_gives_no_candle():
    """Its prices are null, and inventing some is worse than silence."""
    candles = window(closed_only=False)
    assert candles.take([[NOON * 1000, None, None, None, None, 0.0]]) == []
    assert told(candles.take([row(NOON + 60)])) == [(60, Decimal("98.98"), False)]


def test_an_older_candle_does_not_reopen():
    """A late frame of the candle before changes nothing that was told."""
    candles = window()
    candles.take([row(NOON), row(NOON + 60)])
    assert candles.take([row(NOON, 1.0)]) == []


def test_a_candle_that_ends_while_the_socket_is_down_is_not_told():
    """What was last heard of it is not how it ended."""
    candles = window()
    candles.take([row(NOON)])
    candles.forget()
    assert candles.take([row(NOON + 60)]) == []


@pytest.mark.parametrize(
    ("stop", "interval", "start"),
    [
        ("2026-09-02T12:00:00", "1s", "2026-09-02T11:59:59"),
        ("2026-09-02T12:00:00", "12h", "2026-09-02T00:00:00"),
        ("2026-09-07T00:00:00", "1w", "2026-08-31T00:00:00"),
        ("2026-03-01T00:00:00", "1M", "2026-02-01T00:00:00"),
        ("2027-01-01T00:00:00", "1M", "2026-12-01T00:00:00"),
    ],
)
def test_the_start_is_one_interval_before_the_end(stop, interval, start):
    """A month has as many days as it has."""
    stop, start = (datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp() for t in (stop, start))
    assert start_of(stop, interval) == start


def test_a_quote_keeps_its_digits():
    """The shortest text of ccxt's floats is the venue's."""
    ticker = to_ticker(QUOTE, "SOL-USDC")
    assert (ticker.bid, ticker.ask) == (Decimal("98.96"), Decimal("98.97"))
    top = to_l1_book(QUOTE, "SOL-USDC")
    assert (top.bid_size, top.ask_size) == (Decimal("287.31"), Decimal("21.37"))
    assert ticker.timestamp == top.timestamp == 1790900001.026


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_one_sided_quote_gives_no_ticker(side):
    """Neither zero nor the old price stands in for a side that is empty."""
    assert to_ticker(QUOTE | {side: None}, "SOL-USDC") is None
    assert to_l1_book(QUOTE | {side: None}, "SOL-USDC") is None
