"""Closed candles come once and in order, also those that closed while nobody listened."""

import asyncio
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from backpack_feed.constants import CANDLE_INTERVALS
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import UnavailableError, VenueError
from backpack_feed.native import candle_streams
from backpack_feed.native.candle_streams import STALE_RUN, CandleStreams
from backpack_feed.native.reader import UnknownSymbolError
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import RestKline
from tests.support.backpack_fixtures import load_fixture
from tests.support.scripted_venue import candle_frame

FRAMES = {frame["name"]: frame["frame"] for frame in load_fixture("ws_public_frames")["frames"]}
NAMES = {"SOL-USDC": "SOL_USDC"}
RECEIPT = 1790900001.5
HOUR = datetime(2026, 9, 2, 16)  # noqa: DTZ001 - the wire has no zone


def row(minute: int, price: str | None = "98.98") -> RestKline:
    start = HOUR + timedelta(minutes=minute)
    value = None if price is None else Decimal(price)
    return RestKline(
        start=start, end=start + timedelta(minutes=1), open=value, high=value, low=value,
        close=value, volume=Decimal(5), trades=3,
    )  # fmt: skip


class Harness:
    """The streams of one market; `answers` are REST's, the last one for ever."""

    def __init__(self, *answers: Any, markets: dict[str, str] = NAMES, **settings: Any) -> None:
        self.answers = list(answers) or [[]]
        self.asked: list[tuple[str, int, int]] = []
        self.events: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.counters = FeedCounters()
        self.seconds = 0.0
        settings = {"interval": "1m", "closed_only": True} | settings
        self.streams = CandleStreams(
            markets, count_frame=lambda *_: None, fetch=self.fetch, deliver=self.deliver,
            spawn=self.spawn, consume=lambda work: work(), counters=self.counters,
            now=lambda: 7.0, monotonic=self.monotonic, **settings,
        )  # fmt: skip

    def monotonic(self) -> float:
        return self.seconds

    def spawn(self, work: Any, _name: str) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def fetch(self, symbol: str, since: int, until: int) -> list[RestKline]:
        self.asked.append((symbol, since, until))
        self.seconds += 30
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def deliver(self, publications: Any) -> None:
        self.events += [event for _, event, _ in publications]

    def feed(self, frame: str) -> None:
        envelope = decode(frame)
        (read,) = self.streams.readers().values()
        self.events += [event for _, event, _ in read(envelope.stream, envelope.data, RECEIPT)]

    def minute(self, minute: int, *, closed: bool = True, **changes: Any) -> None:
        self.feed(candle_frame(minute, X=closed, **changes))

    async def settle(self) -> None:
        while self.tasks:
            await self.tasks.pop(0)

    def minutes(self) -> list[int]:
        return [int(event.start) // 60 % 60 for event in self.events]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(candle_streams, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(candle_streams, "BACKOFF_CAP_SECONDS", 0)


def test_only_closed_candles_unless_asked_for_all():
    """Cryptofeed's `candle_closed_only`."""
    for closed_only, minutes in ((True, [44]), (False, [44, 44])):
        harness = Harness(closed_only=closed_only)
        harness.minute(44, closed=False)
        harness.minute(44)
        assert harness.minutes() == minutes


def test_a_closed_interval_is_told_once():
    """The venue repeats klines; what follows the closing frame of an interval is old news."""
    harness = Harness(closed_only=False)
    for closed in [True, True, False] * STALE_RUN:
        harness.minute(44, closed=closed)
    harness.minute(45)
    assert harness.minutes() == [44, 45]
    assert harness.streams.counts.repeated_candles == 3 * STALE_RUN - 1


def test_candles_go_on_after_the_venues_time_went_back():
    """One frame of a far future must not silence the stream for ever."""
    harness = Harness()
    harness.minute(44, t="9026-09-02T16:44:00", T="9026-09-02T16:45:00")
    for minute in range(STALE_RUN + 1):
        harness.minute(minute)
    assert harness.minutes()[1:] == [STALE_RUN - 1, STALE_RUN]


def test_an_interval_without_trades_is_no_candle():
    """Open or closed."""
    harness = Harness(closed_only=False)
    for closed in (False, True):
        harness.minute(44, closed=closed, o=None, h=None, l=None, c=None)
    assert harness.events == []


@pytest.mark.parametrize(("interval", "venue_interval"), sorted(CANDLE_INTERVALS.items()))
def test_every_interval_has_cryptofeeds_name(interval, venue_interval):
    """The month is `1month` on the wire; frames of another interval are not mixed in."""
    harness = Harness(interval=interval)
    content = FRAMES["kline_1m_final"]
    harness.feed(json.dumps(content | {"stream": f"kline.{venue_interval}.SOL_USDC"}))
    assert harness.events[0].interval == interval
    with pytest.raises(UnknownSymbolError):
        harness.feed(json.dumps(content | {"stream": "kline.7m.SOL_USDC"}))


def test_dots_in_a_symbol_do_not_disturb():
    """The symbol is the rest of the stream's name."""
    harness = Harness(markets={"AAPL.US-USDC-PERP": "AAPL.US_USDC_PERP"})
    harness.feed(candle_frame(44, "AAPL.US_USDC_PERP", X=True))
    assert harness.events[0].symbol == "AAPL.US-USDC-PERP"


async def test_candles_missed_in_an_outage_come_before_later_ones():
    """41 to 43 are missed; 44 waits for them, empty 42 is none, the running 45 is not told."""
    harness = Harness([row(41), row(42, None), row(43), row(44), row(45)])
    harness.minute(40)
    harness.streams.lost()
    harness.minute(44, closed=False)
    harness.minute(44)
    assert harness.minutes() == [40]
    await harness.settle()
    harness.minute(45)
    assert harness.minutes() == [40, 41, 43, 44, 45]
    assert all(event.closed for event in harness.events)
    assert [event.timestamp is None for event in harness.events] == [
        False,
        True,
        True,
        False,
        False,
    ]
    start = int(harness.events[1].start)
    assert harness.asked == [("SOL_USDC", start, start + 180)]


async def test_an_open_candle_that_closed_in_the_outage_is_told():
    """It was seen open, so its end was missed."""
    harness = Harness([row(40)], closed_only=False)
    harness.minute(40, closed=False)
    harness.streams.lost()
    harness.minute(41, closed=False)
    await harness.settle()
    harness.minute(41, closed=False)
    assert harness.minutes() == [40, 40, 41]
    assert harness.streams.counts.held_candles == 1


async def test_without_a_loss_or_a_hole_rest_is_not_asked():
    """A start, a short loss within one interval, and an unreadable frame of another stream."""
    harness = Harness()
    harness.streams.lost()
    harness.minute(40)
    harness.streams.distrust("depth.SOL_USDC")
    harness.minute(44)
    harness.streams.lost()
    harness.minute(45)
    await harness.settle()
    assert harness.asked == []
    assert harness.minutes() == [40, 44, 45]


async def test_an_unreadable_end_of_a_candle_is_asked_for():
    """The socket stayed, one frame was lost."""
    harness = Harness([row(41)])
    harness.minute(40)
    harness.streams.distrust("kline.1m.SOL_USDC")
    harness.minute(42)
    await harness.settle()
    assert harness.minutes() == [40, 41, 42]


async def test_long_holes_are_filled_page_by_page_and_late_rows_are_awaited():
    """REST may cut its answers short, and may trail the socket."""
    harness = Harness([row(m) for m in range(3)], [], [], UnavailableError("503"), [row(3)])
    harness.minute(59, t="2026-09-02T15:59:00", T="2026-09-02T16:00:00")
    harness.streams.lost()
    harness.minute(4)
    await harness.settle()
    assert harness.minutes() == [59, 0, 1, 2, 3, 4]
    assert harness.counters.dropped_messages == 0


async def test_intervals_that_rest_never_lists_had_no_trades():
    """It is asked three times, then the later candles go on."""
    harness = Harness([])
    harness.minute(40)
    harness.streams.lost()
    harness.minute(44)
    await harness.settle()
    assert (len(harness.asked), harness.minutes()) == (candle_streams.EMPTY_ANSWERS, [40, 44])


@pytest.mark.parametrize(
    ("error", "requests"), [(UnavailableError("503"), 5), (VenueError(400, "", "no"), 1)]
)
async def test_a_hole_that_rest_does_not_fill_is_told(error, requests):
    """Live candles wait for two minutes of failures at most; a refusal is final."""
    harness = Harness(error)
    harness.minute(40)
    harness.streams.lost()
    harness.minute(44)
    await harness.settle()
    assert (len(harness.asked), harness.minutes()) == (requests, [40, 44])
    assert harness.counters.dropped_messages == 1


async def test_a_second_loss_while_a_hole_is_filled_makes_a_second_hole():
    """42 waits behind 41; 45 behind 43 and 44."""
    harness = Harness([row(41)], [row(43), row(44)])
    harness.minute(40)
    harness.streams.lost()
    harness.minute(42)
    harness.streams.lost()
    harness.minute(45)
    await harness.settle()
    assert harness.minutes() == [40, 41, 42, 43, 44, 45]


async def test_what_waits_and_what_is_fetched_are_bounded(monkeypatch):
    """Dropped candles are counted."""
    monkeypatch.setattr(candle_streams, "MOST_WAITING", 2)
    monkeypatch.setattr(candle_streams, "LONGEST_HOLE", 3)
    harness = Harness([row(m) for m in range(20, 24)])
    harness.minute(10)
    harness.streams.lost()
    for minute in (24, 25, 26):
        harness.minute(minute)
    await harness.settle()
    assert harness.minutes() == [10, 21, 22, 23, 24, 25]
    assert harness.counters.dropped_messages == 2
