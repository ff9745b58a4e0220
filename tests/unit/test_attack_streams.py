"""Streams, guard and quarantine against venues that mean harm, without any socket."""

import asyncio
import logging
from types import SimpleNamespace

import msgspec
import pytest

from backpack_feed.background import Background
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError
from backpack_feed.native.candle_streams import CandleStreams
from backpack_feed.native.inbox import Call, Inbox, Tick
from backpack_feed.native.private_stream import PrivateStream
from backpack_feed.native.quarantine import KEPT_FRAMES, Quarantine
from backpack_feed.native.socket import VenueSocket
from backpack_feed.native.stream_guard import StreamGuard
from backpack_feed.native.trade_backfill import Backfill
from backpack_feed.native.trade_streams import FILL_ANSWERS, TradeStreams
from backpack_feed.wire.decode import decode, decode_markets
from tests.support.conditions import eventually
from tests.support.scripted_venue import candle_frame, trade_frame

BASE_US = 1_790_900_001_000_000


def trade(trade_id):
    return decode(trade_frame(trade_id, T=BASE_US + trade_id)).data


def streams(published, spawned, *, fetch=None, checkpoint=100):
    async def deliver(publications):
        published.extend(int(event.id) for _, event, _ in publications)

    def spawn(work, _name):
        spawned.append(work)
        return SimpleNamespace(cancel=work.close, done=lambda: False)

    async def consume(work):
        return await work()

    return TradeStreams(
        {"SOL-USDC": "SOL_USDC"},
        checkpoint=lambda _symbol: checkpoint,
        fetch_since=fetch,
        deliver=deliver,
        spawn=spawn,
        consume=consume,
        counters=FeedCounters(),
        clock=lambda: 1.0,
    )


async def test_a_hole_that_was_never_asked_for_is_not_given_up():
    """A stream that drops every third trade, and a REST that is two trades behind, for a while."""
    published, spawned = [], []
    trades = streams(published, spawned)
    (market,) = trades.markets.values()
    newest = 100
    for _ in range(FILL_ANSWERS + 2):
        for _ in range(9):
            newest += 1
            if newest % 3:
                published += [int(e.id) for _, e, _ in trades.take("", trade(newest), 0.0)]
        last = market.sequencer.last_id
        answer = [trade(i) for i in range(last + 1, newest - 1)]
        # what `_fill` does: the same task goes on while any hole is open
        if not await trades.on_fetched(
            market, Backfill(answer, reached=True, ended=False, pages=1, jumps=0), 0
        ):
            break
    assert market.sequencer.lost == 0
    assert published == list(range(101, market.sequencer.last_id + 1))
    for work in spawned:
        work.close()


async def test_one_trade_with_an_absurd_id_does_not_end_the_market():
    """REST never lists it, so what follows it must not be called lost."""
    published, spawned = [], []
    trades = streams(published, spawned)
    (market,) = trades.markets.values()
    trades.take("", trade(2**62), 0.0)
    for _ in range(FILL_ANSWERS):
        answer = Backfill([trade(101)], reached=True, ended=False, pages=1, jumps=0)
        await trades.on_fetched(market, answer, 0)
    for trade_id in range(102, 110):
        published += [int(e.id) for _, e, _ in trades.take("", trade(trade_id), 0.0)]
    for work in spawned:
        work.close()
    assert [i for i in published if i < 2**62] == list(range(101, 110))
    assert market.sequencer.lost < 2**61


async def test_a_fill_that_was_replaced_does_not_forget_its_successor():
    """Its answer waits in the inbox while the feed reconnects: one fill runs, not two."""
    spawned = []
    inbox = Inbox()
    published = []
    trades = streams(published, spawned)
    trades._consume = inbox.call
    background = Background()
    trades._spawn = background.spawn
    asked = asyncio.Event()
    running = 0

    async def fetch(_symbol, _from_id):
        nonlocal running
        running += 1
        asked.set()
        if running > 1:
            await asyncio.sleep(3_600)
        return Backfill([], reached=True, ended=False, pages=1, jumps=0)

    trades._fetch_since = fetch
    (market,) = trades.markets.values()
    trades.catch_up(market)
    await asked.wait()
    await eventually(lambda: any(isinstance(item, Call) for item in inbox._items))
    trades.catch_up(market)  # `Opened` was queued before the answer
    successor = market.fill
    for item in inbox._items:
        if isinstance(item, Call):
            await item.run()
    assert market.fill is successor
    await background.stop()


def test_a_busy_inbox_still_hears_the_clock():
    """Frames wait whenever it ticks, as with a slow sink: dead streams are to be found anyway."""
    inbox = Inbox()
    inbox.put((b"{}", 0.0))
    for _ in range(20):
        inbox.tick()
    ticks = sum(isinstance(item, Tick) for item in inbox._items)
    assert ticks == 1


async def test_checks_that_hang_are_not_piled_up():
    """REST answers nothing for ten minutes and 100 markets are quiet: a bounded number of tasks."""
    background = Background()

    class Hanging:
        async def depth(self, *_):
            await asyncio.sleep(3_600)

        trades = depth

    now = [0.0]
    markets = {f"M{i}": SimpleNamespace(heard_at=0.0) for i in range(100)}
    speaking = SimpleNamespace(heard_at=0.0)
    connection = SimpleNamespace(background=background, reconnect=lambda _why: None, received=0)
    guard = StreamGuard(
        connection,
        Hanging(),
        SimpleNamespace(markets=markets | {"S": speaking}),
        SimpleNamespace(markets={}),
        plain=SimpleNamespace(quotes={}),
        candles=SimpleNamespace(markets={}, distrust=lambda _stream: None),
        stream_name=lambda kind, symbol: f"{kind}.{symbol}",
        monotonic=lambda: now[0],
    )
    guard.opened([])
    for second in range(600):
        now[0] = speaking.heard_at = float(second)
        connection.received += 1
        await guard.tick(now[0])
        await asyncio.sleep(0)
    waiting = len(background._tasks)
    await background.stop()
    assert waiting <= 2 * len(markets)


def candle_streams():
    return CandleStreams(
        {"SOL-USDC": "SOL_USDC"},
        interval="1m",
        closed_only=False,
        count_frame=lambda *_: None,
        fetch=None,
        deliver=None,
        spawn=None,
        consume=None,
        counters=FeedCounters(),
        now=lambda: 0.0,
        monotonic=lambda: 0.0,
    )


@pytest.mark.parametrize(
    "poison",
    [
        {"X": True, "t": "2026-09-02T16:01:00Z", "T": "2026-09-02T16:02:00Z"},
        {"X": True, "t": "9999-09-02T16:01:00", "T": "9999-09-02T16:02:00"},
        {"X": False, "t": "9999-09-02T16:01:00", "T": "9999-09-02T16:02:00"},
        {"X": True, "t": "2026-09-02T16:01:00", "T": "9999-09-02T16:02:00"},
    ],
    ids=["with a zone", "closed in the far future", "open in the far future", "centuries long"],
)
def test_one_odd_candle_does_not_end_the_candles(poison):
    """It comes first and may cost a run of candles, but not all that follow."""
    streams = candle_streams()
    told = 0
    for frame in [candle_frame(1, **poison)] + [candle_frame(2 + i) for i in range(40)]:
        try:
            envelope = decode(frame)
        except DecodeError:
            continue
        told += len(list(streams.readers()[type(envelope.data)](envelope.stream, envelope.data, 0)))
    assert told >= 20


def poisoned(frame):
    try:
        decode(frame)
    except DecodeError as error:
        return error
    raise AssertionError("the frame was read")


def test_a_poison_frame_is_kept_and_logged_short_and_on_one_line(caplog):
    """Its stream name is the venue's: it neither fills the memory nor forges log lines."""
    name = "depth.\nERROR forged\x1b[2J" + "x" * 1_000_000
    frame = msgspec.json.encode({"stream": name, "data": {"e": "depth"}})
    quarantine = Quarantine(FeedCounters(), lambda: 0.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(KEPT_FRAMES):
            quarantine.take(frame, poisoned(frame), 0.0)
    assert "\n" not in caplog.records[0].getMessage()
    assert "\x1b" not in caplog.records[0].getMessage()
    assert len(caplog.records[0].getMessage()) < 10_000
    assert sum(len(kept.error) for kept in quarantine.frames) < 1_000_000


def test_a_market_row_of_broken_text_costs_only_itself():
    """Invalid UTF-8 in one row of `/markets`."""
    good = b'{"symbol":"SOL_USDC","baseSymbol":"SOL","quoteSymbol":"USDC","marketType":"SPOT"}'
    rows, unreadable = decode_markets(
        b"[" + good + b"," + good.replace(b"SOL_", b"\xff\xfe") + b"]"
    )
    assert (len(rows), unreadable) == (1, 1)


def test_a_market_row_nested_deeply_costs_only_itself():
    """Its filters are a tower of lists."""
    good = b'{"symbol":"SOL_USDC","baseSymbol":"SOL","quoteSymbol":"USDC","marketType":"SPOT"}'
    for depth in (100, 900, 990, 995, 997, 998, 999, 1_000, 1_001, 5_000):
        tower = b'{"filters":{"a":' + b"[" * depth + b"]" * depth + b"}," + good[1:]
        try:
            rows, unreadable = decode_markets(b"[" + good + b"," + tower + b"]")
        except DecodeError:
            continue
        assert len(rows) + unreadable == 2


def test_a_refusal_that_is_always_late_ends_the_signing():
    """Each refusal comes 3 s after the signature: silence of 2 s had been taken for success."""
    private = PrivateStream()
    signatures, now = 1, 0.0
    private.signed(now)
    for _ in range(10):
        private.tick(now + 2.5)
        now += 3.0
        if private.refused():
            private.signed(now)
            signatures += 1
    assert private.stopped
    assert signatures <= 2


@pytest.mark.parametrize("listed", [[], [101]], ids=["nothing new", "one new"])
async def test_repeats_after_an_answer_without_news_are_not_delivered_again(listed):
    """The checkpoint is current, REST says so, and the venue repeats its last forty trades."""
    published, spawned = [], []
    trades = streams(published, spawned)
    (market,) = trades.markets.values()
    answer = Backfill([trade(i) for i in listed], reached=True, ended=False, pages=1, jumps=0)
    await trades.on_fetched(market, answer, 0)
    for trade_id in range(61, 101):
        published += [int(e.id) for _, e, _ in trades.take("", trade(trade_id), 0.0)]
    assert published == listed


def test_frames_that_wait_for_a_blocked_sink_prove_that_the_venue_lives():
    """The pong is far behind them on a slow line, and nobody takes them."""
    inbox = Inbox()
    socket = VenueSocket(inbox, lambda: 0.0)
    socket.transport = SimpleNamespace(send_ping=lambda: None)
    assert socket.watch(0.0, 0)
    now = 0.0
    while now < 60.0:
        now += 0.5
        if now > 6.0:
            inbox.put((b"{}", now))
        assert socket.watch(now, 0), now
        if now == 5.5:
            assert socket._pinged_at is not None
