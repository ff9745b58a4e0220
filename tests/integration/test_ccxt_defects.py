"""What ccxt does wrong is left as it is, and seen: frame by frame on a scripted socket."""

import asyncio
import json
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from cryptofeed.defines import CANDLES, L1_BOOK, L2_BOOK, TICKER, TRADES
from cryptofeed.feedhandler import FeedHandler

from backpack_feed import CcxtBackpackFeed
from backpack_feed.incumbent import watch
from backpack_feed.incumbent.defects import KINDS
from tests.support.conditions import eventually
from tests.support.scripted_venue import (
    candle_frame,
    depth_frame,
    quote_frame,
    rest_trade,
    scripted_venue,
    trade_frame,
)

SYMBOL = "SOL-USDC"
STREAMS = {"depth.SOL_USDC", "trade.SOL_USDC", "bookTicker.SOL_USDC", "kline.1m.SOL_USDC"}


class Run:
    """A feed, its venue, the socket that it opened, and what it delivered."""

    def __init__(self, venue, feed):
        self.venue, self.feed = venue, feed
        self.events = {channel: [] for channel in (TRADES, L2_BOOK, TICKER, L1_BOOK, CANDLES)}

    def callbacks(self):
        def taking(channel):
            async def take(event, receipt_timestamp):
                self.events[channel].append(event)

            return take

        return {channel: [taking(channel)] for channel in self.events}

    async def socket(self, number=0):
        """Wait until the `number`-th socket carries every stream."""
        sockets = self.venue.sockets
        await eventually(
            lambda: len(sockets) > number and set(sockets[number].subscriptions()) >= STREAMS
        )
        return sockets[number]

    async def send(self, *frames):
        socket = await self.socket()
        for frame in frames:
            await socket.send(frame)

    async def synced(self):
        """Bring the book to id 1001."""
        await self.send(depth_frame(1001))
        await eventually(lambda: [b.sequence_number for b in self.events[L2_BOOK]] == [1001])

    def ids(self):
        return [int(trade.id) for trade in self.events[TRADES]]

    def counted(self):
        defects = self.feed.metrics_snapshot()["ccxt_defects"]
        assert set(defects) == set(KINDS)
        return {kind: count for kind, count in defects.items() if count}

    async def counts(self, **defects):
        await eventually(lambda: self.counted() == defects, 10, self.counted)


@asynccontextmanager
async def running(tmp_path, **options):
    async with scripted_venue(tmp_path) as venue:
        venue.last_update_id = 1000
        run = Run(venue, None)
        run.feed = CcxtBackpackFeed(
            symbols=[SYMBOL],
            channels=[TRADES, L2_BOOK, TICKER, L1_BOOK, CANDLES],
            callbacks=run.callbacks(),
            rest_url=venue.rest_url,
            ws_url=venue.ws_url,
            ca_file=venue.ca_file,
            **options,
        )
        handler = FeedHandler(config={"log": {"disabled": True}})
        handler.add_feed(run.feed)
        task = asyncio.create_task(handler.run_async(install_signal_handlers=False))
        try:
            yield run
        finally:
            handler.request_stop()
            await task


@pytest.fixture
async def run(tmp_path):
    async with running(tmp_path) as run:
        yield run


async def test_a_gap_is_applied_and_counted(run):
    """The book goes on as if nothing were missing; only the metric says otherwise."""
    await run.synced()
    await run.send(depth_frame(1002), depth_frame(1500))
    await run.counts(book_gap_unnoticed=1)
    await eventually(lambda: run.events[L2_BOOK][-1].sequence_number == 1500)


async def test_a_repeated_delta_is_applied_twice_and_counted(run):
    """Its levels are absolute, so this harms nobody as long as they are the same."""
    await run.synced()
    await run.send(depth_frame(1001))
    await run.counts(delta_applied_twice=1)


async def test_a_crossed_book_is_published_and_counted(run):
    """A bid above every ask, which no exchange has."""
    await run.synced()
    await run.send(depth_frame(1002, a=[], b=[["105", "1"]]))
    await run.counts(crossed_book_published=1)
    top = run.events[L2_BOOK][-1].book.bids.index(0)
    assert top == (Decimal("105.0"), Decimal("1.0"))


async def test_ids_that_restart_freeze_the_book_and_are_counted(run):
    """Every later delta is dropped by ccxt; health is what tells, by the age of the book."""
    await run.synced()
    await run.send(*(depth_frame(update_id) for update_id in range(1, 30)))
    await run.counts(sequence_restart_freeze=1)
    assert [book.sequence_number for book in run.events[L2_BOOK]] == [1001]


async def test_a_lost_socket_leaves_a_stale_book_behind(run):
    """Left to itself ccxt would go on with it; the feed starts over with fresh books."""
    await run.synced()
    run.venue.last_update_id = 1001
    await (await run.socket()).ws.close(code=1001)
    await run.counts(stale_book_after_reconnect=1)
    await eventually(lambda: not run.feed.readiness()[SYMBOL])
    await (await run.socket(1)).send(depth_frame(1002))
    await eventually(lambda: run.feed.readiness()[SYMBOL])
    assert run.venue.asked("/api/v1/depth") == 2


async def test_a_snapshot_behind_its_deltas_closes_the_socket_of_all(run):
    """Three tries without a pause, and the watchers of every other stream fail with it."""
    await run.send(depth_frame(5000), depth_frame(5001))
    await run.counts(snapshot_behind_closed_socket=1)
    await eventually(lambda: len(run.venue.sockets) == 2)


@pytest.mark.parametrize(
    "poison",
    [
        trade_frame(1, "NOPE_USDC"),
        depth_frame(1002, a=[["cheap", "1"]]),
        '{"data": {"e": "trade"',
    ],
    ids=["unknown symbol", "garbage level", "truncated"],
)
async def test_a_reader_that_dies_is_counted_and_replaced_by_the_watchdog(
    tmp_path, poison, monkeypatch
):
    """Nothing is raised to any watcher: only silence tells, and frames that nobody reads."""
    monkeypatch.setattr(watch, "WATCHDOG_SECONDS", 0.2)
    async with running(tmp_path, silence_seconds=1.0) as run:
        await run.synced()
        await run.send(poison, *(depth_frame(update_id) for update_id in range(1002, 1010)))
        await run.counts(dead_reader=1)
        snapshot = run.feed.metrics_snapshot()
        assert snapshot["decode_errors"] == snapshot["decode_error_kinds"]["handler"] == 1
        assert snapshot["dropped_messages"] == 0
        await run.socket(1)
        assert run.counted() == {"dead_reader": 1}


async def test_an_error_frame_fails_every_watcher_and_is_counted_once(run):
    """One error of the wire, however many watchers it was raised in; the data goes on."""
    await run.synced()
    await run.send(json.dumps({"id": None, "error": {"code": 4006, "message": "Invalid stream"}}))
    await run.counts(error_frame_failed_every_watcher=1)
    await eventually(lambda: run.feed.metrics_snapshot()["ws_errors"] == 1)
    await run.send(depth_frame(1002), trade_frame(7))
    await eventually(lambda: run.ids() == [7])
    await eventually(lambda: run.events[L2_BOOK][-1].sequence_number == 1002)


async def test_a_repeated_trade_is_counted_and_not_delivered(run):
    """The sequencer of the feed drops what ccxt hands out again."""
    await run.send(trade_frame(7), trade_frame(8), trade_frame(7))
    await run.counts(repeated_trade=1)
    assert run.ids() == [7, 8]


@pytest.mark.parametrize("field", ["p", "q", "m", "t", "E"])
async def test_an_incomplete_trade_is_fetched_again_and_not_lost(run, field):
    """Dropped means lost: what REST gives back was neither."""
    await run.send(trade_frame(7))
    await eventually(lambda: run.ids() == [7])
    run.venue.trades = [rest_trade(7), rest_trade(8)]
    frame = json.loads(trade_frame(8))
    frame["data"][f"new_{field}"] = frame["data"].pop(field)
    await run.send(json.dumps(frame))
    await run.counts(incomplete_trade=1)
    await eventually(lambda: run.ids() == [7, 8])
    snapshot = run.feed.metrics_snapshot()
    assert snapshot["decode_errors"] == snapshot["decode_error_kinds"]["value"] == 1
    assert snapshot["trades_backfilled"] == 1
    assert snapshot["dropped_messages"] == snapshot["trades_lost"] == 0


async def test_an_unreadable_trade_outside_the_sequence_is_lost(run):
    """Id 0 leaves no hole that could be asked for."""
    await run.send(trade_frame(0, p=None))
    await run.counts(incomplete_trade=1)
    assert run.feed.metrics_snapshot()["dropped_messages"] == 1


async def test_quotes_and_candles_come_as_cryptofeeds_own(run):
    """The last word before a lull is not kept back, a one-sided quote is no ticker."""
    await run.send(
        quote_frame(1), quote_frame(2, a="99.01"),
        candle_frame(44), candle_frame(44, c="99.00"), candle_frame(45),
    )  # fmt: skip
    await eventually(lambda: run.events[CANDLES])
    await eventually(lambda: [q for q in run.events[TICKER] if q.ask == Decimal("99.01")])
    await run.send(quote_frame(3, b=None, B=None))
    await eventually(lambda: run.feed.metrics_snapshot()["messages"].get(TICKER) == 3)
    quote, candle = run.events[TICKER][-1], run.events[CANDLES][0]
    assert (quote.symbol, quote.bid, quote.ask) == (SYMBOL, Decimal("98.96"), Decimal("99.01"))
    assert quote.timestamp == 1790900001.026
    assert (candle.close, candle.closed, candle.interval) == (Decimal("99.0"), True, "1m")
    assert (candle.start, candle.stop) == (1788367440.0, 1788367500.0)
    snapshot = run.feed.metrics_snapshot()
    top = run.events[L1_BOOK][-1]
    assert (top.bid_price, top.bid_size) == (Decimal("98.96"), Decimal("287.31"))
    assert (top.ask_price, top.ask_size) == (Decimal("99.01"), Decimal("21.37"))
    assert snapshot["messages"] == {"ticker": 3, "l1_book": 3, "candles": 3}
    assert run.counted() == {}


async def test_a_slow_callback_is_told_from_the_receipt_of_the_frame(tmp_path):
    """Trades that wait in ccxt while a sink is slow carry the time when they came."""
    receipts, release = [], asyncio.Event()

    async def slow(trade, receipt_timestamp):
        receipts.append((int(trade.id), receipt_timestamp))
        await release.wait()

    clock = iter(range(1_000_000))
    async with running(tmp_path, clock=lambda: next(clock)) as run:
        run.feed.callbacks[TRADES].append(slow)
        await run.send(trade_frame(7))
        await eventually(lambda: receipts)
        await run.send(trade_frame(8), trade_frame(9))
        await eventually(lambda: run.feed.metrics_snapshot()["messages"][TRADES] == 3)
        late = next(clock)
        release.set()
        await eventually(lambda: len(receipts) == 3)
    times = [receipt for _, receipt in receipts]
    assert times == sorted(set(times))
    assert times[-1] < late
