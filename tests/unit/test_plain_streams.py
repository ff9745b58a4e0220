"""Quotes, mark prices, open interest and liquidations: what is published, and what not."""

import json
from decimal import Decimal
from typing import Any

import pytest
from cryptofeed.defines import (
    FUNDING,
    INDEX,
    L1_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
)

from backpack_feed.native.plain_streams import PlainStreams
from backpack_feed.native.reader import UnknownSymbolError
from backpack_feed.wire.decode import decode
from tests.support.backpack_fixtures import load_fixture

FRAMES = {frame["name"]: frame["frame"] for frame in load_fixture("ws_public_frames")["frames"]}
SPOT = {"SOL-USDC": "SOL_USDC"}
PERP = {"SOL-USDC-PERP": "SOL_USDC_PERP"}
RECEIPT = 1790900001.5
NOW = 77.0


class Harness:
    """The streams of some channels, fed with recorded frames."""

    def __init__(self, wanted: dict[str, dict[str, str]]) -> None:
        self.counted: list[tuple[str, str]] = []
        self.heard: list[str] = []
        self.streams = PlainStreams(
            wanted, count_frame=lambda channel, symbol, _: self.counted.append((channel, symbol)),
            heard=self.heard.append, now=lambda: NOW,
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
    ],
)
def test_a_frame_feeds_every_channel_that_wants_it_and_no_other(wanted, name, published):
    """One stream may feed two channels; each of them counts the frame."""
    harness = Harness(wanted)
    events = harness.feed(name)
    assert [channel for channel, _ in events] == published
    assert [channel for channel, _ in harness.counted] == published
    assert {event.symbol for _, event in events} == {symbol for _, symbol in harness.counted}


@pytest.mark.parametrize("name", ["bookTicker", "markPrice", "openInterest"])
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
    """A lower id with a later time is a new count; with an old time it is old news."""
    harness = Harness({TICKER: SPOT})
    harness.feed("bookTicker", u=4_400_000_995, T=1_790_900_001_000_000)
    old = [len(harness.feed("bookTicker", u=u, T=1_790_900_000_000_000)) for u in range(1, 40)]
    new = [len(harness.feed("bookTicker", u=u, T=1_790_900_001_000_000 + u)) for u in range(1, 4)]
    assert (sum(old), new) == (0, [1, 1, 1])


def test_a_one_sided_quote_is_counted_and_not_published():
    """The next whole quote is published as it is."""
    harness = Harness({TICKER: SPOT, L1_BOOK: SPOT})
    assert harness.channels("bookTicker", u=1, a=None, A=None) == []
    assert harness.streams.counts.one_sided_quotes == 1
    assert harness.channels("bookTicker", u=2) == [TICKER, L1_BOOK]


def test_dots_in_a_symbol_do_not_disturb():
    """The symbol is the rest of the stream's name."""
    harness = Harness({TICKER: {"AAPL.US-USDC-PERP": "AAPL.US_USDC_PERP"}})
    changes = {"s": "AAPL.US_USDC_PERP"}
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


def test_the_newest_quote_is_remembered_for_the_check_of_silence():
    """By value and with the time of its frame; a new socket starts without one."""
    harness = Harness({TICKER: SPOT})
    harness.feed("bookTicker", u=5)
    harness.feed("bookTicker", u=4, b="1")
    quotes = harness.streams.quotes["SOL_USDC"]
    assert quotes.top == (Decimal("98.96"), Decimal("287.31"), Decimal("98.97"), Decimal("21.37"))
    assert quotes.heard_at == NOW
    harness.streams.lost()
    assert quotes.top is None
