"""Mutated frames through the whole native feed: nothing may escape, nothing may grow."""

import asyncio
import itertools
import logging
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from picows import WSMsgType

from backpack_feed.native.account_streams import REMEMBERED_FILLS
from backpack_feed.native.book import MAX_BUFFERED
from backpack_feed.native.feed import BackpackFeed
from backpack_feed.replay import virtual_time
from backpack_feed.replay.modelled_market import ModelledBook
from backpack_feed.replay.modelled_venue import ModelledVenue
from backpack_feed.replay.recorded_feed import START_SECONDS, RecordedFeed, same_jitter
from backpack_feed.replay.recorded_socket import RecordedConnection, RecordedFrame
from backpack_feed.sequence import MAX_PENDING
from tests.fuzz.mutations import mutated_frames

BURST = 100
BURST_SECONDS = 0.02
WARM_UP_SHARE = 0.2
MODELLED_LEVELS = 500
GROWTH_LIMIT_MB = 20.0
MARKETS = {
    "SOL_USDC": "SOL-USDC",
    "SOL_USDC_PERP": "SOL-USDC-PERP",
    "BTC_USDC_PERP": "BTC-USDC-PERP",
    "ETH_USDC_PERP": "ETH-USDC-PERP",
    "kPEPE_USDC_PERP": "kPEPE-USDC-PERP",
    "AAPL.US_USDC_PERP": "AAPL.US-USDC-PERP",
    "USDT_USDC": "USDT-USDC",
    "BONK_USDC": "BONK-USDC",
}
UNSYNCED = "ETH_USDC_PERP"
"""Has no snapshot at first, so that its deltas wait."""
PAGE_MB = resource.getpagesize() / 2**20


@dataclass
class FuzzReport:
    """What a run did; memory in MB, `escaped` holds what no handler expected."""

    fill: bool = True
    frames: int = 0
    seconds: float = 0.0
    events: dict[str, int] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)
    escaped: list[str] = field(default_factory=list)
    warm_mb: float = 0.0
    peak_mb: float = 0.0

    @property
    def growth_mb(self) -> float:
        """How much the process grew after warming up."""
        return self.peak_mb - self.warm_mb

    def __str__(self) -> str:
        return (
            f"{self.frames} mutated frames in {self.seconds:.1f} s"
            f" ({self.frames / max(self.seconds, 1e-9):,.0f} frames/s),"
            f" {sum(self.events.values())} events,"
            f" {self.counters.get('decode_errors', 0)} refused:"
            f" {self.counters.get('decode_error_kinds', {})};"
            f" resident {self.warm_mb:.1f} MB warm, +{self.growth_mb:.1f} MB at most;"
            f" {len(self.escaped)} escaped exceptions"
        )


def fuzz(frames: int, seed: int, seconds: float = float("inf"), *, fill: bool = True) -> FuzzReport:
    """Feed `frames` mutated frames, or as many as fit into `seconds`.

    With `fill` the feed's bounded memories are filled first, so that growth means something.
    """
    report = FuzzReport(fill=fill)
    catcher = _Catcher(report.escaped)
    log = logging.getLogger("backpack_feed")
    log.addHandler(catcher)
    was = log.propagate
    log.propagate = False
    try:
        virtual_time.run(
            _feed(report, itertools.islice(mutated_frames(seed), frames), frames, seconds)
        )
    finally:
        log.removeHandler(catcher)
        log.propagate = was
    return report


class _Catcher(logging.Handler):
    """The feed logs an exception that it did not expect with its traceback, and goes on."""

    def __init__(self, escaped: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._escaped = escaped
        self._format = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and len(self._escaped) < 20:
            self._escaped.append(self._format.format(record))


async def _feed(
    report: FuzzReport, frames: Iterator[bytes | str], count: int, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: report.escaped.append(str(context)))
    venue = ModelledVenue(list(MARKETS), lambda: START_SECONDS + loop.time())
    venue.books = {symbol: ModelledBook(1_000) for symbol in MARKETS if symbol != UNSYNCED}
    subscription = {channel: list(MARKETS.values()) for channel in BackpackFeed.websocket_channels}
    perpetuals = [name for name in MARKETS.values() if name.endswith("PERP")]
    for channel in ("funding", "index", "open_interest", "liquidations"):
        subscription[channel] = perpetuals
    async with same_jitter():
        feed = RecordedFeed(venue, subscription=subscription, candle_interval="1m")
        async with feed.running() as connection:
            filling = filling_frames() if report.fill else iter(())
            while burst := list(itertools.islice(filling, BURST)):
                await _arrive(connection, burst)
            venue.books[UNSYNCED] = ModelledBook(MAX_BUFFERED + BURST)
            started = perf_counter()
            while burst := list(itertools.islice(frames, BURST)):
                _follow(venue, burst)
                await _arrive(connection, burst)
                report.frames += len(burst)
                report.seconds = perf_counter() - started
                _weigh(report, max(report.frames / count, report.seconds / seconds))
                if report.seconds > seconds:
                    break
            report.events = dict(feed.recorder.counts)
            report.counters = feed.moved()


def filling_frames() -> Iterator[bytes]:
    """Valid frames that fill what the feed remembers: orders, fills, trades behind a hole, deltas.

    These memories are bounded, but a random walk needs hours to fill them: growth counts from here.
    """
    for number in range(REMEMBERED_FILLS + BURST):
        data = {"e": "orderFill", "s": "SOL_USDC", "S": "Bid", "o": "LIMIT", "X": "Filled"}
        data |= {"i": f"6{number:010}", "t": number + 1, "T": 1_790_900_001_025_000}
        data |= {"q": "1", "p": "98.97", "z": "1", "l": "1", "L": "98.97", "m": True}
        yield msgspec.json.encode({"data": data, "stream": "account.orderUpdate"})
    for symbol in MARKETS:
        for trade_id in (1, *range(1_000, 1_000 + MAX_PENDING + BURST)):
            data = {"e": "trade", "s": symbol, "p": "98.97", "q": "1.00", "m": False}
            data |= {"t": trade_id, "T": 1_790_900_001_025_000, "a": "1", "b": "2"}
            yield msgspec.json.encode({"data": data, "stream": f"trade.{symbol}"})
    levels = [["98.90", "1.00"], ["98.91", "0.00"], ["98.92", "1.00"]]
    for update_id in range(1, MAX_BUFFERED + BURST):
        data = {"e": "depth", "s": UNSYNCED, "U": update_id, "u": update_id}
        data |= {"T": 1_790_900_001_025_000, "a": [], "b": levels}
        yield msgspec.json.encode({"data": data, "stream": f"depth.{UNSYNCED}"})


def _follow(venue: ModelledVenue, burst: Sequence[bytes | str]) -> None:
    """Let the venue's books go along, so that the feed's books come back in sync."""
    for frame in burst:
        payload = frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")
        if b'"U"' in payload:
            venue.show(payload)
    for symbol, book in venue.books.items():
        if len(book.bids) + len(book.asks) > MODELLED_LEVELS:
            venue.books[symbol] = ModelledBook(book.last_update_id)


async def _arrive(connection: RecordedConnection, burst: Sequence[bytes | str]) -> None:
    transport = await connection.opened()
    for frame in burst:
        binary = isinstance(frame, bytes)
        payload = frame if binary else frame.encode(errors="surrogatepass")
        transport.receive(RecordedFrame(WSMsgType.BINARY if binary else WSMsgType.TEXT, payload))
    # of the virtual clock: as far apart as bursts of a busy venue
    await asyncio.sleep(BURST_SECONDS)


def _weigh(report: FuzzReport, share_done: float) -> None:
    if (report.frames // BURST) % 20:
        return
    resident_mb = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB
    if share_done < WARM_UP_SHARE or not report.warm_mb:
        report.warm_mb = max(report.warm_mb, resident_mb)
    report.peak_mb = max(report.peak_mb, resident_mb)
