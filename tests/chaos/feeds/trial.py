"""One seed: a venue, a feed in this process, a feed process that is killed, and the checks."""

import asyncio
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptofeed.types import Trade

from backpack_feed.process.tape import BOOK_LEVELS
from backpack_sandbox import Sandbox, SandboxConfig
from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.market_truth import TradeRow
from tests.chaos.feeds.plan import Kill, Plan, Strike, make_plan
from tests.chaos.tape import taped_books, taped_last_ids, taped_trades
from tests.chaos.truth import Truth, side, time_us
from tests.support.conditions import eventually
from tests.support.handler_process import FeedProcess, write_config
from tests.support.native_feed import Delivered, fast_monotonic, make_feed, running

SYMBOLS = ("SOL-USDC", "kPEPE-USDC-PERP", "AAPL.US-USDC-PERP")
BOOK_EVENTS_PER_SECOND = 50.0
TRADES_PER_SECOND = 12.0
CATCH_UP_SECONDS = 60.0
SAID = 10


@dataclass
class Outcome:
    """What became of one seed; `error` when it did not come to its end."""

    seed: int
    findings: Findings = field(default_factory=Findings)
    kills: int = 0
    switches: int = 0
    faults: int = 0
    catch_up_seconds: float = 0.0
    seconds: float = 0.0
    error: str = ""

    @property
    def right(self) -> bool:
        """Nothing lost, repeated or wrong, and the feeds caught up."""
        return self.findings.right and not self.error

    def __str__(self) -> str:
        """One line, and for a failure what was found and how to see it again."""
        found = self.findings
        first = (
            f"seed {self.seed}: {'right' if self.right else 'WRONG'} ({found.trades} trades,"
            f" {found.books} books, {self.kills} kills, caught up in"
            f" {self.catch_up_seconds:.1f} s, {self.seconds:.1f} s in all)"
        )
        if self.right:
            return first
        said = [f"  {text}" for text in (*found.first[:SAID], self.error) if text]
        return "\n".join(
            [first, *said, f"  again: make chaos PART=feeds SEED={self.seed} ARGS=--count=1"]
        )


def run_seed(seed: int, folder: Path) -> Outcome:
    """Run one trial; its tape, ledger and log are left in `folder`."""
    outcome = Outcome(seed)
    started = time.monotonic()
    try:
        asyncio.run(_Trial(make_plan(seed), folder, outcome).run())
    except Exception:  # noqa: BLE001 - a trial that breaks is a result, with its seed
        outcome.error = traceback.format_exc()
    outcome.seconds = time.monotonic() - started
    return outcome


class _Trial:
    def __init__(self, plan: Plan, folder: Path, outcome: Outcome) -> None:
        self._plan = plan
        self._folder = folder
        self._outcome = outcome
        self._delivered = _Checked(plan, outcome.findings)
        self._native = True
        self._log: list[str] = []

    async def run(self) -> None:
        plan = self._plan
        config = SandboxConfig(
            state_dir=self._folder / "venue",
            seed=plan.seed,
            rate=BOOK_EVENTS_PER_SECOND,
            trades_per_second=TRADES_PER_SECOND,
            trades_first=plan.trades_first,
        )
        async with AsyncExitStack() as stack:
            venue = await stack.enter_async_context(Sandbox(config))
            truth = Truth(venue)
            tape = {"kind": "tape", "directory": "tape", "book_interval_seconds": 0}
            path = write_config(self._folder, venue, SYMBOLS, sinks=[tape])
            self._delivered.truth = truth
            feed = await stack.enter_async_context(running(self._feed(venue)))
            self._process = await FeedProcess(path, native=True).__aenter__()
            stack.push_async_callback(self._end_process)
            await self._process.ready()
            await self._listening()
            await self._strike(venue, path)
            venue.faults.clear()
            calm_since = time.monotonic()
            await self._caught_up(truth)
            self._outcome.catch_up_seconds = time.monotonic() - calm_since
            venue.driver.paused = True
            await self._level(venue, truth, feed)
            assert await self._process.end(signal.SIGTERM) == 0, self._log
            self._check(truth)

    def _feed(self, venue: Sandbox) -> Any:
        return make_feed(
            venue,
            self._delivered,
            symbols=list(SYMBOLS),
            depth_window=self._plan.depth_window,
            max_depth=self._plan.max_depth,
            monotonic=fast_monotonic,
        )

    async def _strike(self, venue: Sandbox, path: Path) -> None:
        started = time.monotonic()
        for action in self._plan.actions:
            await asyncio.sleep(max(0.0, started + action.at - time.monotonic()))
            if isinstance(action, Kill):
                await self._kill(action, path)
            else:
                _begin(venue, action)
                self._outcome.faults += 1
        last = max(strike.at + strike.duration_seconds for strike in self._plan.strikes)
        await asyncio.sleep(max(0.0, started + last - time.monotonic()))

    async def _kill(self, action: Kill, path: Path) -> None:
        code = await self._process.end(signal.SIGKILL)
        assert code == -signal.SIGKILL, f"the feed had ended by itself: {code} {self._process.log}"
        self._log += self._process.log
        self._outcome.kills += 1
        self._outcome.switches += action.native_next != self._native
        self._native = action.native_next
        self._process = await FeedProcess(path, native=self._native).__aenter__()

    async def _listening(self) -> None:
        """Both have a first trade of each market: from there on every one is compared."""

        def heard() -> bool:
            first = (self._delivered.last_ids(), taped_last_ids(self._folder))
            return all(symbol in last for last in first for symbol in SYMBOLS)

        await eventually(heard, CATCH_UP_SECONDS, self._describe({}))

    async def _caught_up(self, truth: Truth) -> None:
        """Both have everything from before this moment; the market goes on meanwhile."""
        targets = {symbol: truth.last_trade_id(symbol) for symbol in SYMBOLS}

        def caught_up() -> bool:
            assert self._process.process.returncode is None, self._process.log
            return all(
                last.get(symbol, 0) >= target
                for last in (self._delivered.last_ids(), taped_last_ids(self._folder))
                for symbol, target in targets.items()
            )

        await eventually(caught_up, CATCH_UP_SECONDS, self._describe(targets))

    async def _level(self, venue: Sandbox, truth: Truth, feed: Any) -> None:
        """The market stands still: nothing is on its way any more."""
        targets = {symbol: truth.last_trade_id(symbol) for symbol in SYMBOLS}
        books = {symbol: truth.last_update_id(symbol) for symbol in SYMBOLS}

        def level() -> bool:
            venue.advance(0)  # lets the depth windows of a paused market close
            summary = feed.books_summary()
            return (
                self._delivered.last_ids() == targets == taped_last_ids(self._folder)
                and {s: summary[s]["sequence"] for s in SYMBOLS} == books
                and all(summary[s]["synced"] for s in SYMBOLS)
            )

        await eventually(level, CATCH_UP_SECONDS, self._describe(targets, feed.books_summary))

    def _describe(self, targets: Any, *more: Callable[[], object]) -> Callable[[], object]:
        return lambda: {
            "targets": targets,
            "in process": self._delivered.last_ids(),
            "tape": taped_last_ids(self._folder),
            "more": [tell() for tell in more],
            "log": self._process.log[-20:],
        }

    def _check(self, truth: Truth) -> None:
        findings = self._outcome.findings
        taped = taped_trades(self._folder)
        for symbol in SYMBOLS:
            mine = [_row(t) for t in self._delivered.trades if t.symbol == symbol]
            truth.check_trades("in process", symbol, mine, findings)
            truth.check_trades("tape", symbol, taped.get(symbol, []), findings)
            if symbol not in self._delivered.booked:
                findings.add(Finding(Kind.MISSING, "in process", symbol, None, "no book at all"))
        books = taped_books(self._folder)
        if not any(book["variant"] == "native" for book in books):
            findings.add(Finding(Kind.MISSING, "tape", "", None, "no native book at all"))
        for book in books:
            # ccxt loses its place in a gap without knowing; its books are its own affair
            if book["variant"] == "native":
                about = book["symbol"], book["sequence"]
                sides = side(book["bids"]), side(book["asks"])
                truth.check_book("tape", about, sides, findings, depth=BOOK_LEVELS)

    async def _end_process(self) -> None:
        await self._process.end(signal.SIGKILL)
        self._log += self._process.log
        (self._folder / "feed.log").write_text("\n".join(self._log))


class _Checked(Delivered):
    """Compares every published book as a whole at the moment of its publication."""

    truth: Truth

    def __init__(self, plan: Plan, findings: Findings) -> None:
        super().__init__()
        self._depth = plan.max_depth
        self._findings = findings
        self._last_ids: dict[str, int] = {}
        self.booked: set[str] = set()

    def last_ids(self) -> dict[str, int]:
        return dict(self._last_ids)

    async def trade(self, trade: Trade, receipt: float) -> None:
        self._last_ids[trade.symbol] = int(trade.id)
        await super().trade(trade, receipt)

    async def book(self, book: Any, _receipt: float) -> None:
        self.booked.add(book.symbol)
        about = book.symbol, book.sequence_number
        sides = book.book.bids.to_dict(), book.book.asks.to_dict()
        self.truth.check_book("in process", about, sides, self._findings, depth=self._depth)


def _begin(venue: Sandbox, strike: Strike) -> None:
    # of a trade without its id ccxt makes a trade that nobody can tell from the one REST gives
    only_native = strike.fault == "schema_drift"
    venue.faults.add(
        strike.fault,
        user_agent="backpack-feed/*" if only_native else "*",
        duration_seconds=strike.duration_seconds,
        share=strike.share,
        after_seconds=strike.after_seconds,
    )


def _row(trade: Trade) -> TradeRow:
    time = time_us(trade.timestamp)
    return TradeRow(int(trade.id), trade.side, trade.price, trade.amount, time)
