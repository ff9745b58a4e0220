"""Parity: what both feeds of one shadow process deliver, compared; and what came of each dispute.

Pure: times are given, and the venue is asked by `referee.py`. Every number and every list here is
bounded, so a dead feed or a dead venue costs accuracy (`nobody` is blamed) and never memory.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final, TypeGuard

from backpack_feed.process.parity.books import BookMatcher, Change
from backpack_feed.process.parity.latency import LatencyComparison
from backpack_feed.process.parity.samples import Samples
from backpack_feed.process.parity.trades import LATENESS_SECONDS, MAX_PENDING, TradeMatcher
from backpack_feed.process.parity.values import (
    BLAMED,
    BOOK,
    HOLE,
    KINDS,
    MISSING,
    NATIVE,
    NOBODY,
    OWN_BOOK,
    REPEATED,
    TRADE,
    VENUE,
    BookDispute,
    Finding,
    SeenTrade,
    Top,
    TradeDispute,
)

MAX_DISPUTES: Final = 2_000
STALL_SECONDS: Final = 5.0
"""`expire` comes every second; after a longer pause the process itself had stopped."""
SETTLE_SECONDS: Final = 60.0
"""So long the venue may take to say something about a dispute."""


class Parity:
    """Counters, open disputes and samples; `clock` (unix seconds) only stamps the samples.

    `proven` counts by symbol and kind (`COMPARED`) the trades and books of which it is known who
    was right: both feeds alike, or the venue has said. `unproven` are those of which it stays
    unknown: nobody is blamed, or the venue contradicts itself. `symbols` are those to be compared:
    they are counted from zero on, before anything was told of them.

    Where `expire` is called regularly, `stall_seconds` says how long a pause between two calls is
    one of the whole process: nothing is late then until the bound has passed once more.
    """

    def __init__(
        self,
        *,
        lateness_seconds: float = LATENESS_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
        stall_seconds: float = inf,
        max_pending: int = MAX_PENDING,
        max_disputes: int = MAX_DISPUTES,
        symbols: Iterable[str] = (),
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        self.settle_seconds = settle_seconds
        self.stall_seconds = stall_seconds
        self._expired_at = inf
        self._lenient_until = -inf
        self.max_disputes = max_disputes
        self._announced = frozenset(symbols)
        self.findings: Counter[Finding] = Counter()
        self.proven: Counter[tuple[str, str]] = Counter()
        self.unproven: Counter[tuple[str, str]] = Counter()
        self.samples = Samples()
        self.latency = LatencyComparison()
        self.trade_disputes: dict[tuple[str, int], TradeDispute] = {}
        self.book_disputes: dict[tuple[str, int], BookDispute] = {}
        self._clock = clock
        self.trades = TradeMatcher(
            dispute=self._dispute_trade,
            matched=self._matched,
            repeated=self._repeated,
            dropped=self._dropped,
            renumbered=self._renumbered,
            lateness_seconds=lateness_seconds,
            max_pending=max_pending,
        )
        self.books = BookMatcher(
            dispute=self._dispute_book,
            agrees=lambda symbol: self.proven.update([(symbol, BOOK)]),
            own_book_differs=lambda said: self._found((OWN_BOOK, NATIVE), said),
        )

    # ---- what the feeds say ----------------------------------------------------------------------

    def trade(self, variant: str, symbol: str, trade_id: int, seen: SeenTrade) -> None:
        """Take one trade of one feed."""
        self.trades.trade(variant, symbol, trade_id, seen)

    def native_book(self, symbol: str, change: Change, now: float) -> None:
        """Take what native published of a book; `now` is monotonic seconds."""
        self.books.native(symbol, change, now)

    def ccxt_book(self, symbol: str, sequence: int, top: Top, now: float) -> None:
        """Take a book of ccxt."""
        self.books.ccxt(symbol, sequence, top, now)

    def expire(self, now: float) -> None:
        """Give up on late partners, and on disputes that the venue says nothing about."""
        bound = self.trades.lateness_seconds
        # not again at once: a process that stands still all the time must not excuse every loss
        if now - self._expired_at > self.stall_seconds and now - self._lenient_until > bound:
            self._lenient_until = now + bound
        self._expired_at = now
        if now >= self._lenient_until:
            self.trades.expire(now)
        disputes: list[TradeDispute | BookDispute] = []
        disputes += self.trade_disputes.values()
        disputes += self.book_disputes.values()
        for dispute in disputes:
            if self._answered(dispute):
                self.trade_disputes.pop(dispute.key, None)
            elif now - dispute.opened_at > self.settle_seconds:
                self.unsettled(dispute)

    # ---- what becomes of a dispute ---------------------------------------------------------------

    def settle_trade(
        self,
        dispute: TradeDispute,
        findings: tuple[Finding, ...],
        listed: SeenTrade | None,
    ) -> None:
        """Close a dispute with what the venue's answer says; `listed` is that answer."""
        self.trade_disputes.pop(dispute.key, None)
        for finding in findings:
            self._found(finding, dispute.sample(listed, answered=True))
        self._prove(dispute.symbol, TRADE, findings)
        if listed is not None:
            told = [seen.at_seconds for seen in dispute.said.values() if seen is not None]
            self.trades.confirm(dispute.symbol, dispute.trade_id, min(told, default=0.0))

    def settle_numbering(self, dispute: TradeDispute, *, anew: bool) -> None:
        """Close a question of numbering: the venue numbers the market anew, or the feed repeats."""
        self.trade_disputes.pop(dispute.key, None)
        if anew:
            self.trades.renumber(dispute.symbol)
        elif dispute.numbering is not None:
            self.trades.refute(dispute.symbol, dispute.numbering.variant)

    def settle_book(
        self, dispute: BookDispute, findings: tuple[Finding, ...], truth: Top | None
    ) -> None:
        """Close a dispute; `truth` is the venue's book at that sequence number."""
        self.book_disputes.pop((dispute.symbol, dispute.sequence), None)
        for finding in findings:
            self._found(finding, dispute.sample(truth))
        self._prove(dispute.symbol, BOOK, findings)

    def unsettled(self, dispute: TradeDispute | BookDispute) -> None:
        """Close a dispute and blame nobody: the venue could not be asked."""
        self.unproven[dispute.symbol, TRADE if isinstance(dispute, TradeDispute) else BOOK] += 1
        if isinstance(dispute, TradeDispute):
            self.trade_disputes.pop(dispute.key, None)
            self._found((dispute.kind, NOBODY), dispute.sample(None, answered=False))
            if dispute.numbering is not None:
                count = self.trades.give_up(dispute.symbol, dispute.numbering.variant)
                more = max(count - 1, 0)  # none, where it was answered meanwhile
                self.findings[REPEATED, NOBODY] += more
                self.unproven[dispute.symbol, TRADE] += more
        else:
            self.book_disputes.pop((dispute.symbol, dispute.sequence), None)
            self._found((BOOK, NOBODY), dispute.sample(None))

    # ---- what is told ----------------------------------------------------------------------------

    @property
    def agreed(self) -> dict[str, int]:
        """Trades and books that both feeds published alike."""
        return {TRADE: self.trades.agreed, BOOK: self.books.agreed}

    @property
    def compared(self) -> dict[str, int]:
        """Trades and books that were compared: those alike, and those not."""
        return {
            TRADE: self.trades.agreed + self.trades.disagreed,
            BOOK: self.books.agreed + self.books.disagreed,
        }

    @property
    def disagreements(self) -> dict[Finding, int]:
        """Every finding with its count, also at zero."""
        return {(kind, blamed): self.findings[kind, blamed] for kind in KINDS for blamed in BLAMED}

    @property
    def symbols(self) -> list[str]:
        """Markets that are to be compared, or of which anything was told, sorted."""
        return sorted(self._announced | self.trades.symbols | self.books.symbols)

    @property
    def unsettled_count(self) -> int:
        """Disputes that ended with nobody to blame."""
        return sum(count for (_, blamed), count in self.findings.items() if blamed == NOBODY)

    @property
    def pending(self) -> dict[str, int]:
        """What waits: for the other feed (trade, book), and for the venue (dispute)."""
        return {
            TRADE: self.trades.pending,
            BOOK: self.books.pending,
            "dispute": len(self.trade_disputes) + len(self.book_disputes),
        }

    def oldest_pending_seconds(self, now: float) -> float:
        """Return the age of the oldest trade or dispute that waits, 0 when none does."""
        times = [d.opened_at for d in list(self.trade_disputes.values())[:1]]
        times += [d.opened_at for d in list(self.book_disputes.values())[:1]]
        oldest_trade = self.trades.oldest_at()
        if oldest_trade is not None:
            times.append(oldest_trade)
        return max(0.0, now - min(times)) if times else 0.0

    def summary(self) -> dict[str, Any]:
        """Return every counter and sample as JSON values."""
        found = {f"{kind}/{blamed}": n for (kind, blamed), n in sorted(self.findings.items()) if n}
        return {
            "compared": self.compared,
            "agreed": self.agreed,
            "disagreements": found,
            "unsettled": self.unsettled_count,
            "pending": self.pending,
            "proven": sum(self.proven.values()),
            "unproven": sum(self.unproven.values()),
            "books_skipped": self.books.skipped,
            "renumberings": self.trades.renumberings,
            "latency_seconds": {
                name: {str(q): round(value, 6) for q, value in quantiles.items()}
                for name, quantiles in self.latency.quantiles().items()
            },
            "samples": self.samples.all(),
        }

    # ---- inside ----------------------------------------------------------------------------------

    def _dispute_trade(self, dispute: TradeDispute) -> None:
        self.trade_disputes[dispute.key] = dispute
        if len(self.trade_disputes) > self.max_disputes:
            self.unsettled(next(iter(self.trade_disputes.values())))

    def _dispute_book(self, dispute: BookDispute) -> None:
        self.book_disputes[dispute.symbol, dispute.sequence] = dispute
        if len(self.book_disputes) > self.max_disputes:
            self.unsettled(next(iter(self.book_disputes.values())))

    def _repeated(self, variant: str, symbol: str, trade_id: int) -> None:
        self._found((REPEATED, variant), {"symbol": symbol, "id": trade_id})

    def _renumbered(self, symbol: str) -> None:
        """Whatever the venue says of an old id from now on, it says of another trade."""
        for dispute in [d for d in self.trade_disputes.values() if d.symbol == symbol]:
            if dispute.numbering is None:
                self.unsettled(dispute)
            else:
                self.trade_disputes.pop(dispute.key)

    def _answered(self, dispute: TradeDispute | BookDispute) -> TypeGuard[TradeDispute]:
        """Whether a question of numbering has been answered by what the feeds told since."""
        if isinstance(dispute, BookDispute) or dispute.numbering is None:
            return False
        return not self.trades.suspects(dispute.symbol, dispute.numbering.variant)

    def _dropped(self, symbol: str, count: int, why: str) -> None:
        self.findings[MISSING, NOBODY] += count
        self.unproven[symbol, TRADE] += count
        self.samples.keep((MISSING, NOBODY), self._clock(), {"symbol": symbol, "why": why})

    def _matched(self, symbol: str, native: SeenTrade, ccxt: SeenTrade) -> None:
        self.proven[symbol, TRADE] += 1
        self.latency.take(native, ccxt)

    def _prove(self, symbol: str, kind: str, findings: tuple[Finding, ...]) -> None:
        """A venue that contradicts itself convicts no feed and acquits none; a skipped id does."""
        unknown = any(blamed == VENUE and what != HOLE for what, blamed in findings)
        (self.unproven if unknown else self.proven)[symbol, kind] += 1

    def _found(self, finding: Finding, evidence: dict[str, Any]) -> None:
        self.findings[finding] += 1
        self.samples.keep(finding, self._clock(), evidence)
