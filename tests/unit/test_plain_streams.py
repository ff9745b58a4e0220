"""Quotes, candles, mark prices, open interest and liquidations: what is published, and what not."""

import json
from typing import Any

import pytest
from cryptofeed.defines import (
    CANDLES,
    FUNDING,
    INDEX,
    L1_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
)

from backpack_feed.constants import CANDLE_INTERVALS
from backpack_feed.native.plain_streams import STALE_RUN, PlainStreams
from backpack_feed.native.reader import UnknownSymbolError
from backpack_feed.wire.decode import decode
from tests.support.backpack_fixtures import load_fixture

FRAMES = {frame["name"]: frame["frame"] for frame in load_fixture("ws_public_frames")["frames"]}
SPOT = {"SOL-USDC": "SOL_USDC"}
PERP = {"SOL-USDC-PERP": "SOL_USDC_PERP"}
RECEIPT = 1790900001.5


class Harness:
    """The streams of some channels, fed with recorded frames."""

    def __init__(self, wanted: dict[str, dict[str, str]], **settings: Any) -> None:
        self.counted: list[tuple[str, str]] = []
        self.heard: list[str] = []
        settings = {"candle_interval": "1m", "candle_closed_only": False} | settings
        self.streams = PlainStreams(
            wanted, count_frame=lambda channel, symbol, _: self.counted.append((channel, symbol)),
            heard=self.heard.append, **settings,
        )  # fmt: skip
        self.readers = self.streams.readers()

    def feed(self, name: str, stream: str | None = None, **changes: Any) -> list[tuple[str, Any]]:
        frame = FRAMES[name]
        envelope = decode(
            json.dumps({"data": frame["data"] | changes, "stream": stream or frame["stream"]})
        )
        read = self.readers[type(envelope.data)]
        published = list(read(envelope.stream, envelope.data, RECEIPT))
        assert all(receipt == RECEIPT for _, _, receipt in published)
        return [(channel, event) for channel, event, _ in published]

    def channels(self, name: str, stream: str | None = None, **changes: Any) -> list[str]:
        return [channel for channel, _ in self.feed(name, stream, **changes)]


@pytest.mark.parametrize(
    ("wanted", "name", "published"),
    [
        ({TICKER: SPOT, L1_BOOK: SPOT}, "bookTicker", [TICKER, L1_BOOK]),
        ({TICKER: SPOT}, "bookTicker", [TICKER]),
        ({L1_BOOK: SPOT, TICKER: PERP}, "bookTicker", [L1_BOOK]),
        ({FUNDING: PERP, INDEX: PERP}, "markPrice", [FUNDING, INDEX]),
        ({INDEX: PERP}, "markPrice", [INDEX]),
        ({OPEN_INTEREST: PERP}, "openInterest", [OPEN_INTEREST]),
        ({LIQUIDATIONS: PERP}, "liquidation", [LIQUIDATIONS]),
        ({CANDLES: SPOT}, "kline_1m_final", [CANDLES]),
    ],
)
def test_a_frame_feeds_every_channel_that_wants_it_and_no_other(wanted, name, published):
    """One stream may feed two channels; each of them counts the frame."""
    harness = Harness(wanted)
    events = harness.feed(name)
    assert [channel for channel, _ in events] == published
    assert [channel for channel, _ in harness.counted] == published
    assert {event.symbol for _, event in events} == {symbol for _, symbol in harness.counted}


@pytest.mark.parametrize("name", ["bookTicker", "markPrice", "openInterest", "kline_1m_final"])
def test_a_market_that_was_not_subscribed_is_reported(name):
    """The session counts it and reloads the markets."""
    with pytest.raises(UnknownSymbolError) as caught:
        Harness({TICKER: {"BTC-USDC": "BTC_USDC"}}).feed(name)
    assert caught.value.symbol == FRAMES[name]["data"]["s"]


def test_liquidations_of_other_markets_are_not_an_error():
    """Every market comes on one stream; the scoped name is read too."""
    harness = Harness({LIQUIDATIONS: PERP})
    assert harness.channels("liquidation", s="BTC_USDC_PERP") == []
    assert harness.channels("liquidation", "liquidation.SOL_USDC_PERP") == [LIQUIDATIONS]


def test_a_quote_that_is_not_newer_is_dropped_and_counted():
    """Equal and lower ids, per market and only within one socket."""
    harness = Harness({TICKER: SPOT | {"BTC-USDC": "BTC_USDC"}})
    assert [len(harness.feed("bookTicker", u=u)) for u in (7, 7, 6, 8)] == [1, 0, 0, 1]
    assert harness.channels("bookTicker", u=3, s="BTC_USDC") == [TICKER]
    assert harness.streams.counts.stale_quotes == 2
    harness.streams.lost()
    assert harness.channels("bookTicker", u=1) == [TICKER]


def test_quotes_go_on_after_the_venue_restarts_its_counter():
    """A run of nothing but lower ids is a new count, not old news."""
    harness = Harness({TICKER: SPOT})
    harness.feed("bookTicker", u=4_400_000_995)
    published = [len(harness.feed("bookTicker", u=u)) for u in range(1, STALE_RUN + 3)]
    assert published == [0] * (STALE_RUN - 1) + [1] * 3


def test_a_one_sided_quote_is_counted_and_not_published():
    """The next whole quote is published as it is."""
    harness = Harness({TICKER: SPOT, L1_BOOK: SPOT})
    assert harness.channels("bookTicker", u=1, a=None, A=None) == []
    assert harness.streams.counts.one_sided_quotes == 1
    assert harness.channels("bookTicker", u=2) == [TICKER, L1_BOOK]


def test_only_closed_candles_unless_asked_for_all():
    """Cryptofeed's `candle_closed_only`."""
    for closed_only, published in ((True, [0, 1]), (False, [1, 1])):
        harness = Harness({CANDLES: SPOT}, candle_closed_only=closed_only)
        assert [len(harness.feed("kline_1m_final", X=x)) for x in (False, True)] == published


def test_a_closed_interval_is_told_once():
    """The venue repeats klines; what follows the closing frame of an interval is old news."""
    harness = Harness({CANDLES: SPOT})
    assert [len(harness.feed("kline_1m_final", X=x)) for x in (True, True, False)] == [1, 0, 0]
    assert harness.streams.counts.repeated_candles == 2
    following = {"t": "2026-09-02T16:45:00", "T": "2026-09-02T16:46:00"}
    assert harness.channels("kline_1m_final", **following) == [CANDLES]


def test_an_interval_without_trades_is_no_candle():
    """Open or closed."""
    harness = Harness({CANDLES: SPOT})
    assert harness.channels("kline_no_trades") == []
    assert harness.channels("kline_no_trades", X=True) == []


@pytest.mark.parametrize(("interval", "venue_interval"), sorted(CANDLE_INTERVALS.items()))
def test_every_interval_has_cryptofeeds_name(interval, venue_interval):
    """The month is `1month` on the wire; frames of another interval are not mixed in."""
    harness = Harness({CANDLES: SPOT}, candle_interval=interval)
    ((_, candle),) = harness.feed("kline_1m_final", f"kline.{venue_interval}.SOL_USDC")
    assert candle.interval == interval
    with pytest.raises(UnknownSymbolError):
        harness.feed("kline_1m_final", "kline.7m.SOL_USDC")


def test_dots_in_a_symbol_do_not_disturb():
    """The symbol is the rest of the stream's name."""
    apple = {"AAPL.US-USDC-PERP": "AAPL.US_USDC_PERP"}
    harness = Harness({CANDLES: apple, TICKER: apple})
    changes = {"s": "AAPL.US_USDC_PERP"}
    assert harness.channels("kline_1m_final", "kline.1m.AAPL.US_USDC_PERP", **changes) == [CANDLES]
    assert harness.channels("bookTicker", "bookTicker.AAPL.US_USDC_PERP", **changes) == [TICKER]


def test_a_mark_price_without_a_rate_gives_no_funding():
    """Nor an index where there is none."""
    harness = Harness({FUNDING: PERP, INDEX: PERP})
    assert harness.channels("markPrice", f=None) == [INDEX]
    assert harness.channels("markPrice", i=None) == [FUNDING]


def test_streams_with_a_known_pace_are_heard():
    """Their silence means something, that of the others does not."""
    harness = Harness({FUNDING: PERP, OPEN_INTEREST: PERP, TICKER: SPOT, LIQUIDATIONS: PERP})
    for name in ("markPrice", "openInterest", "bookTicker", "liquidation"):
        harness.feed(name)
    assert harness.heard == ["markPrice.SOL_USDC_PERP", "openInterest.SOL_USDC_PERP"]
