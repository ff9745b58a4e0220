"""The incumbent against a real loopback venue."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.feedhandler import FeedHandler

from backpack_feed import CcxtBackpackFeed
from backpack_feed.incumbent import watch as ccxt_watch
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually
from tests.support.handler_process import published_trades

SYMBOLS = ["SOL-USDC", "kPEPE-USDC-PERP"]
VENUE_SYMBOL = {symbol: symbol.replace("-", "_") for symbol in SYMBOLS}


@pytest.fixture
async def venue(tmp_path):
    config = SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=5)
    async with Sandbox(config) as venue:
        yield venue


class Delivered:
    """What the callbacks got."""

    def __init__(self) -> None:
        self.trades = {symbol: [] for symbol in SYMBOLS}
        self.books = {symbol: [] for symbol in SYMBOLS}

    async def trade(self, trade, _receipt_timestamp):
        self.trades[trade.symbol].append(trade)

    async def book(self, book, _receipt_timestamp):
        self.books[book.symbol].append(book)

    def ids(self, symbol):
        return [int(trade.id) for trade in self.trades[symbol]]


@asynccontextmanager
async def running(venue, delivered, **options):
    feed = CcxtBackpackFeed(
        symbols=SYMBOLS,
        channels=[TRADES, L2_BOOK],
        callbacks={TRADES: [delivered.trade], L2_BOOK: [delivered.book]},
        rest_url=venue.rest_url,
        ws_url=venue.ws_url,
        ca_file=venue.ca_file,
        **options,
    )
    handler = FeedHandler(config={"log": {"disabled": True}})
    handler.add_feed(feed)
    task = asyncio.create_task(handler.run_async(install_signal_handlers=False))
    try:
        yield feed
    finally:
        handler.request_stop()
        await task


def published(venue, symbol, first, last):
    trades = venue.ledger.trades(VENUE_SYMBOL[symbol], first)
    return [t.event.trade_id for t in trades if t.event.trade_id <= last]


async def settled(venue, delivered, count):
    """Wait until each symbol has `count` trades; everything between first and last is there once."""
    await eventually(
        lambda: all(len(delivered.trades[s]) >= count for s in SYMBOLS),
        20,
        lambda: {s: len(t) for s, t in delivered.trades.items()},
    )
    for symbol in SYMBOLS:
        ids = delivered.ids(symbol)
        assert ids == published(venue, symbol, ids[0], ids[-1])


async def test_trades_and_books_come_under_cryptofeed_names(venue):
    """The small k of kPEPE stays, values are exact, and the book carries its sequence."""
    delivered = Delivered()
    async with running(venue, delivered) as feed:
        await settled(venue, delivered, 4)
        await eventually(lambda: all(feed.readiness().values()))
        snapshot = feed.metrics_snapshot()
        summary = feed.books_summary()["kPEPE-USDC-PERP"]
        assert feed.health().healthy
    assert snapshot["ws_errors"] == snapshot["decode_errors"] == snapshot["trades_lost"] == 0
    assert set(snapshot["symbol_snapshot_age"]) == set(SYMBOLS)
    assert summary["synced"]
    assert float(summary["best_bid"]) < float(summary["best_ask"])
    sequences = [book.sequence_number for book in delivered.books["SOL-USDC"]]
    assert sequences == sorted(sequences)

    truth = published_trades(venue.config.ledger_file)
    for symbol in SYMBOLS:
        got = [(int(t.id), t.side, t.price, t.amount) for t in delivered.trades[symbol]]
        assert got == [row for row in truth[symbol] if got[0][0] <= row[0] <= got[-1][0]]


async def test_a_checkpoint_is_continued_without_hole_or_repeat(venue):
    """What happened while nobody listened comes from REST, before anything newer."""
    await eventually(
        lambda: all(len(venue.ledger.trades(v)) >= 8 for v in VENUE_SYMBOL.values()), 20
    )
    checkpoint = {
        symbol: venue.ledger.trades(name)[2].event.trade_id for symbol, name in VENUE_SYMBOL.items()
    }
    delivered = Delivered()
    async with running(venue, delivered, trade_checkpoint=checkpoint) as feed:
        await settled(venue, delivered, 8)
        assert feed.metrics_snapshot()["trades_backfilled"] >= 10
    for symbol in SYMBOLS:
        assert delivered.ids(symbol)[0] == checkpoint[symbol] + 1


async def test_lost_sockets_lose_no_trade(venue):
    """Aborted sockets are counted, replaced by new sessions, and the hole is filled."""
    delivered = Delivered()
    async with running(venue, delivered) as feed:
        await settled(venue, delivered, 2)
        venue.faults.add("disconnect")
        await eventually(lambda: feed.metrics_snapshot()["reconnects"] >= 1, 20)
        venue.faults.clear()
        await settled(venue, delivered, max(map(len, delivered.trades.values())) + 5)
        snapshot = feed.metrics_snapshot()
    assert snapshot["ws_errors"] >= 1
    assert snapshot["trades_lost"] == 0


async def test_a_reader_killed_by_one_bad_frame_is_replaced(venue):
    """The reader of ccxt dies silently on such a frame; the watchdog notices."""
    delivered = Delivered()
    async with running(venue, delivered, silence_seconds=1.0) as feed:
        await settled(venue, delivered, 2)
        venue.faults.add("schema_drift", share=1.0)
        await eventually(
            lambda: (s := feed.metrics_snapshot())["reconnects"] + s["decode_errors"] >= 1, 20
        )
        venue.faults.clear()
        await settled(venue, delivered, max(map(len, delivered.trades.values())) + 5)
        snapshot = feed.metrics_snapshot()
    # what could not be read came from REST, so nothing was lost
    assert snapshot["dropped_messages"] == snapshot["trades_lost"] == 0


async def test_a_silent_stream_grows_old_and_is_not_confirmed_by_rest(venue):
    """REST moves on while the stream is silent, so the age counts and health says so."""
    delivered = Delivered()
    async with running(venue, delivered, silence_seconds=60.0) as feed:
        await eventually(lambda: all(feed.readiness().values()), 20)
        venue.faults.add("stale")
        await eventually(lambda: not feed.health(max_snapshot_age=1.0).healthy, 10)
        ages = feed.metrics_snapshot()["symbol_snapshot_age"]
    assert min(ages.values()) > 0.5


async def test_a_quiet_market_is_confirmed_by_rest_and_not_reconnected(venue, monkeypatch):
    """The same update id at REST means the book is right, however long nothing happens."""
    monkeypatch.setattr(ccxt_watch, "CONFIRM_INTERVAL_SECONDS", 0.1)
    delivered = Delivered()
    async with running(venue, delivered, silence_seconds=2.0) as feed:
        await eventually(lambda: all(feed.readiness().values()), 20)
        venue.driver.paused = True
        paused_at = time.monotonic()
        await eventually(
            lambda: (
                time.monotonic() - paused_at > 3.0
                and max(feed.metrics_snapshot()["symbol_snapshot_age"].values()) < 1.0
            ),
            15,
        )
        assert feed.metrics_snapshot()["reconnects"] == 0


async def test_last_trades_of_a_burst_do_not_wait_for_the_next_one(tmp_path):
    """All but the first trade of a burst stay in ccxt's cache; a lull must not keep them there."""
    config = SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=20, paused=True)
    async with Sandbox(config) as venue:
        delivered = Delivered()
        async with running(venue, delivered) as feed:
            await eventually(lambda: venue.advance(0.2) or all(feed.readiness().values()), 20)
            venue.advance(2.0)
            last = {s: venue.ledger.trades(VENUE_SYMBOL[s])[-1].event.trade_id for s in SYMBOLS}
            await eventually(
                lambda: all(last[s] in delivered.ids(s) for s in SYMBOLS), 10, lambda: last
            )
            for symbol in SYMBOLS:
                ids = delivered.ids(symbol)
                assert ids == published(venue, symbol, ids[0], last[symbol])
