"""Asks the venue about every dispute and passes its word on to `verdicts.py`.

A trade is looked up by id in `/trades` and, further back, `/trades/history`. An answer counts when
it goes back to that id and beyond it, so an old one settles nothing. An id above all that it lists
is made up once it lists trades that happened later than that one is said to have.

A book is looked up in the frames of a third listener, replayed over a REST snapshot: a snapshot of
that very number is rarely to be had. Then a second snapshot, from after the dispute, must equal the
replay at its own number: the frames in between are thereby proven whole, and a venue whose REST and
stream contradict each other is found out.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from backpack_feed.errors import FeedError
from backpack_feed.native.trade_backfill import Backfill, TradeSource, trades_since
from backpack_feed.process.parity.comparison import Parity
from backpack_feed.process.parity.raw import RawMarket, snapshot_top, to_seen
from backpack_feed.process.parity.values import BOOK, VENUE, BookDispute, Top, TradeDispute
from backpack_feed.process.parity.verdicts import judge_book, judge_trade
from backpack_feed.wire.messages import DepthSnapshot

LOG = logging.getLogger(__name__)

ROUND_SECONDS: Final = 0.25
PAUSES_SECONDS: Final = (1.0, 2.0, 4.0, 10.0)
"""Between two questions about one market, as long as they settle nothing."""
STREAM_SECONDS: Final = 2.0
"""So long the stream may be behind a snapshot."""
PAGES: Final = 10
"""About 9,500 trades: what is late after 30 s is that far back at 300 a second."""
BEYOND_SECONDS: Final = 5.0
"""So much later than a trade the venue must list others, before that one can be missing there: the
feeds' times of a trade differ a little, and so do clocks."""


class VenueRest(TradeSource, Protocol):
    """The requests that the referee makes; symbols are the venue's."""

    async def depth(self, symbol: str) -> DepthSnapshot:
        """Return the book."""
        ...


class Referee:
    """Settles the disputes of `parity`; `markets` maps a symbol to (venue symbol, its frames)."""

    def __init__(
        self,
        parity: Parity,
        rest: VenueRest,
        markets: Mapping[str, tuple[str, RawMarket]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parity = parity
        self._rest = rest
        self._markets = markets
        self._monotonic = monotonic
        self._truths: dict[tuple[str, int], tuple[int, Top]] = {}
        self._due: dict[str, float] = {}
        self._vain: dict[str, int] = {}

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            self._replay()
            now = self._monotonic()
            due = [symbol for symbol in self._wanted() if self._due.get(symbol, 0.0) <= now]
            await asyncio.gather(*(self._attend(symbol) for symbol in due))
            await asyncio.sleep(ROUND_SECONDS)

    def _wanted(self) -> list[str]:
        """Markets with a dispute, or whose frames have no base to be replayed over."""
        disputed = {symbol for symbol, _ in self._parity.trade_disputes}
        disputed |= {symbol for symbol, _ in self._parity.book_disputes}
        return [
            symbol
            for symbol, (_, raw) in self._markets.items()
            if symbol in disputed or _lacks_base(raw)
        ]

    def _replay(self) -> None:
        """Work the books out while their frames are in memory."""
        open_disputes = self._parity.book_disputes
        self._truths = {key: truth for key, truth in self._truths.items() if key in open_disputes}
        for key in open_disputes.keys() - self._truths.keys():
            symbol, sequence = key
            if symbol not in self._markets:
                continue
            book = self._markets[symbol][1].book
            top = book.at(sequence)
            if top is not None:
                self._truths[key] = (book.generation, top)

    async def _attend(self, symbol: str) -> None:
        """Ask the venue once about one market; ask later, and ever later, while that is vain."""
        before = self._open(symbol)
        try:
            await self._ask(symbol)
        except FeedError as error:
            LOG.info("%s: parity cannot ask the venue: %s", symbol, error)
        settled = len(self._open(symbol)) < len(before)
        vain = 0 if settled else self._vain.get(symbol, -1) + 1
        self._vain[symbol] = vain
        pause = PAUSES_SECONDS[min(vain, len(PAUSES_SECONDS) - 1)]
        self._due[symbol] = self._monotonic() + pause

    def _open(self, symbol: str) -> list[tuple[str, int]]:
        keys = [*self._parity.trade_disputes, *self._parity.book_disputes]
        return [key for key in keys if key[0] == symbol]

    async def _ask(self, symbol: str) -> None:
        venue_symbol, raw = self._markets[symbol]
        books = [d for d in self._parity.book_disputes.values() if d.symbol == symbol]
        if books or _lacks_base(raw):
            await self._settle_books(books, raw, await self._rest.depth(venue_symbol))
        trades = [d for d in self._parity.trade_disputes.values() if d.symbol == symbol]
        for dispute in [d for d in trades if d.numbering is not None]:
            answer = await trades_since(self._rest, venue_symbol, dispute.trade_id, page_limit=1)
            self._settle_numbering(dispute, answer)
        trades = [d for d in trades if d.numbering is None and self._is_open(d)]
        if trades:
            known_id = self._parity.trades.top_id(symbol)
            first_id = min(d.trade_id for d in trades)
            first_id = min(first_id, known_id) if known_id else first_id
            answer = await trades_since(self._rest, venue_symbol, first_id, page_limit=PAGES)
            self._settle_trades(trades, raw, answer)

    def _is_open(self, dispute: TradeDispute) -> bool:
        """Whether it still is: meanwhile the id may be disputed anew, of another trade."""
        return self._parity.trade_disputes.get(dispute.key) is dispute

    # ---- trades ----------------------------------------------------------------------------------

    def _settle_trades(
        self, disputes: Sequence[TradeDispute], raw: RawMarket, answer: Backfill
    ) -> None:
        rows = {row.trade_id: to_seen(row) for row in answer.trades if row.trade_id}
        oldest, newest = min(rows, default=0), max(rows, default=0)
        for dispute in disputes:
            whole = answer.reached or answer.ended or dispute.trade_id > oldest
            beyond = dispute.trade_id < newest or self._overtaken(dispute, answer)
            known = dispute.trade_id in rows or (whole and beyond)
            if known and self._is_open(dispute):
                listed = rows.get(dispute.trade_id)
                streamed = raw.trades.get(dispute.trade_id)
                findings = judge_trade(dispute, listed, streamed)
                self._parity.settle_trade(dispute, findings, listed)

    def _overtaken(self, dispute: TradeDispute, answer: Backfill) -> bool:
        """Whether the venue lists later trades than this one, and all of them with lower ids."""
        latest_id, latest_seconds = _latest(answer)
        told = [seen for seen in dispute.said.values() if seen is not None]
        top_id = self._parity.trades.top_id(dispute.symbol)
        if not latest_id or not told or latest_id < top_id:
            return False  # nothing is listed, or the venue is about to number anew
        # nothing was told before it happened, whatever time it is said to have
        happened = max(seen.venue_seconds + min(seen.latency_seconds or 0.0, 0.0) for seen in told)
        return latest_seconds > happened + BEYOND_SECONDS

    def _settle_numbering(self, dispute: TradeDispute, answer: Backfill) -> None:
        """Anew, where the venue gives that id to a later trade or its newest id is an old one."""
        question, (latest_id, _) = dispute.numbering, _latest(answer)
        if question is None or not latest_id or not self._is_open(dispute):
            return
        listed = [to_seen(row) for row in answer.trades if row.trade_id == dispute.trade_id]
        later = any(seen.venue_seconds > question.later_than for seen in listed)
        anew = later or latest_id < question.above_id
        self._parity.settle_numbering(dispute, anew=anew)

    # ---- books -----------------------------------------------------------------------------------

    async def _settle_books(
        self, disputes: Sequence[BookDispute], raw: RawMarket, snapshot: DepthSnapshot
    ) -> None:
        if raw.book.base_id is None:
            raw.book.snapshot(snapshot)
        await self._heard(raw, snapshot.last_update_id)
        self._replay()
        replayed, listed = raw.book.at(snapshot.last_update_id), snapshot_top(snapshot)
        for dispute in disputes:
            if (dispute.symbol, dispute.sequence) in self._parity.book_disputes:
                self._settle_book(dispute, raw, snapshot.last_update_id, listed, replayed)
        if replayed is not None and replayed != listed:
            raw.book.forget()

    async def _heard(self, raw: RawMarket, sequence: int) -> None:
        deadline = self._monotonic() + STREAM_SECONDS
        while self._monotonic() < deadline:
            if (raw.book.newest_id or 0) >= sequence:
                return
            await asyncio.sleep(0.05)

    def _settle_book(
        self,
        dispute: BookDispute,
        raw: RawMarket,
        listed_id: int,
        listed: Top,
        replayed: Top | None,
    ) -> None:
        """Decide what `listed`, REST's book at `listed_id`, and the replay at it allow."""
        parity = self._parity
        key = (dispute.symbol, dispute.sequence)
        contradicted = replayed is not None and replayed != listed
        if listed_id < dispute.sequence:
            return  # from before the dispute
        if contradicted:
            truth = self._truths[key][1] if key in self._truths else None
            parity.settle_book(dispute, ((BOOK, VENUE),), truth)
        elif listed_id == dispute.sequence:
            parity.settle_book(dispute, judge_book(dispute, listed), listed)
        elif key in self._truths and self._truths[key][0] == raw.book.generation:
            if replayed is not None:
                truth = self._truths[key][1]
                parity.settle_book(dispute, judge_book(dispute, truth), truth)
        elif (raw.book.base_id or 0) > dispute.sequence or key in self._truths:
            # its frames were never heard, or are not proven to be whole
            parity.unsettled(dispute)


def _latest(answer: Backfill) -> tuple[int, float]:
    """The id and the venue's unix time of the newest trade, by time; zeros without any."""
    row = max(answer.trades, key=lambda row: row.engine_time_us, default=None)
    return (0, 0.0) if row is None else (row.trade_id or 0, to_seen(row).venue_seconds)


def _lacks_base(raw: RawMarket) -> bool:
    """Whether frames come and there is no snapshot to replay them over."""
    return raw.book.base_id is None and raw.book.newest_id is not None
