"""Trades of REST back to an id, however many pages that takes (protocol section 4.3).

`GET /trades` has the newest 1000. What is older comes from `GET /trades/history`, whose `offset` is
counted from the newest trade: while trades go on happening every page shifts, and a page out of a
cache shifts the other way. So pages are joined by id and never by offset: a page that does not
touch what is already covered is dropped, and asked for again closer to the newest trade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from backpack_feed.constants import TRADES_LIMIT
from backpack_feed.wire.messages import TradeMessage

BACKFILL_PAGES: Final = 50
"""Requests for one answer: about 47,500 trades. `/trades/history` admits 30 requests a minute."""
OVERLAP_ROWS: Final = 50
"""Rows that a page shares with the page before it, if nothing shifts."""


class TradeSource(Protocol):
    """Where trades are asked for; both answers are one slice of the venue's list, oldest first."""

    async def trades(
        self, symbol: str, limit: int = TRADES_LIMIT, *, fresh: bool = False
    ) -> list[TradeMessage]:
        """The newest `limit` trades; `fresh` ones do not come out of a cache."""
        ...

    async def trade_history(
        self, symbol: str, offset: int, limit: int = TRADES_LIMIT
    ) -> list[TradeMessage]:
        """`limit` trades, without the `offset` newest ones."""
        ...


@dataclass(frozen=True, slots=True)
class Backfill:
    """What REST has since an id.

    `trades` are oldest first, each id once, none below the id that was asked for, and nothing that
    the venue lists between the first and the last of them is missing. `reached`: they go back to
    that id; ids that are missing nevertheless exist nowhere. `ended`: they do not, because the
    venue lists nothing older, so asking again is of no use. With neither, the answer was cut off
    after its bounded number of pages. `jumps` counts pages that touched nothing and were dropped.
    `newest_time_us` is the time of the newest listed trade, also below that id; 0 without any.
    """

    trades: list[TradeMessage]
    reached: bool
    ended: bool
    pages: int
    jumps: int
    newest_time_us: int = 0


class BackfillPages:
    """Decides which page to ask for next, and joins the pages. Pure.

    Call `take` with the answer for `offset` (0: the newest page) until `done`.
    """

    def __init__(self, from_id: int, *, page_limit: int = BACKFILL_PAGES) -> None:
        self.offset = 0
        self.ended = False
        self.pages = 0
        self.jumps = 0
        self._from_id = from_id
        self._page_limit = page_limit
        self._newest_time_us = 0
        self._by_id: dict[int, TradeMessage] = {}
        # everything from the floor to the top is covered; no trade has the id 0
        self._floor_id = 0
        self._top_id = 0
        self._stuck = False
        self._at_end = False

    @property
    def reached(self) -> bool:
        """Whether everything from `from_id` on is covered."""
        return bool(self._by_id) and self._floor_id <= self._from_id

    @property
    def done(self) -> bool:
        """Whether another page would be of no use, or one too many."""
        return self.reached or self.ended or self._stuck or self.pages >= self._page_limit

    def take(self, page: Sequence[TradeMessage]) -> None:
        """Join the answer for `offset`; trades without an id are not part of the sequence."""
        self.pages += 1
        times_us = (trade.engine_time_us for trade in page)
        self._newest_time_us = max(self._newest_time_us, *times_us, 0)
        ids = [trade.trade_id for trade in page if trade.trade_id]
        if not page:
            self._take_nothing()
        elif not ids:
            self.offset += len(page)
        elif self._by_id and max(ids) < self._floor_id - 1:
            self._come_closer(self._floor_id - max(ids))
        elif self._by_id and min(ids) > self._top_id + 1:
            self._go_back(len(page), min(ids) - self._top_id)
        else:
            self._by_id.update((trade.trade_id, trade) for trade in page if trade.trade_id)
            self._move_on(len(page), min(ids))
            self._top_id = max(self._top_id, *ids)

    def result(self) -> Backfill:
        """Return what the pages had."""
        wanted = sorted(trade_id for trade_id in self._by_id if trade_id >= self._from_id)
        return Backfill(
            trades=[self._by_id[trade_id] for trade_id in wanted],
            reached=self.reached,
            ended=self.ended,
            pages=self.pages,
            jumps=self.jumps,
            newest_time_us=self._newest_time_us,
        )

    def _take_nothing(self) -> None:
        # a cached page may be from a time when the list was shorter
        self.ended = self._at_end or self.offset == 0
        if not self.ended:
            self._come_closer(0)

    def _come_closer(self, missing: int) -> None:
        self.jumps += 1
        # not even the newest page of the history touches what we have: it is too old
        self._stuck = self.offset == 0
        self.offset = max(self.offset - missing - OVERLAP_ROWS, 0)

    def _go_back(self, rows: int, missing: int) -> None:
        # more trades happened meanwhile than a page has: between it and what we have is a hole
        self.jumps += 1
        self.offset += rows + missing + len(self._by_id) - OVERLAP_ROWS

    def _move_on(self, rows: int, oldest: int) -> None:
        if not self._floor_id or oldest < self._floor_id:
            self._at_end = False
            self._floor_id = oldest
            self.offset += max(rows - OVERLAP_ROWS, 1)
        elif oldest == self._floor_id and rows < TRADES_LIMIT:
            # the list seems to end here; if the venue cuts pages short, there is more behind it
            self._at_end = True
            self.offset += rows
        else:
            # as many trades happened meanwhile as the page was to bring
            known = sum(trade_id < oldest for trade_id in self._by_id)
            self.offset += max(rows + known - OVERLAP_ROWS, 1)


async def trades_since(
    source: TradeSource, symbol: str, from_id: int, *, page_limit: int = BACKFILL_PAGES
) -> Backfill:
    """Return the trades of the venue symbol with `from_id` and above; raises `FeedError`.

    Asks for at most `page_limit` pages. Trades that happened meanwhile may be absent at the end.
    """
    pages = BackfillPages(from_id, page_limit=page_limit)
    pages.take(await source.trades(symbol, fresh=True))
    while not pages.done:
        pages.take(await source.trade_history(symbol, pages.offset))
    return pages.result()
