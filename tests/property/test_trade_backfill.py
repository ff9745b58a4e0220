"""Paging back through the trades of a venue that goes on trading, behind caches of any age."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backpack_feed.constants import TRADES_LIMIT
from backpack_feed.native import trade_backfill
from backpack_feed.native.trade_backfill import OVERLAP_ROWS, Backfill, trades_since
from backpack_feed.wire.messages import TradeMessage

PAGE_LIMIT = 60


def trade(trade_id: int | None) -> TradeMessage:
    return TradeMessage(
        symbol="SOL_USDC", trade_id=trade_id, price=Decimal("98.97"), quantity=Decimal(1),
        buyer_is_maker=False, engine_time_us=1_790_900_001_025_000,
    )  # fmt: skip


@dataclass
class Venue:
    """Lists `ids`, grows before every answer, and answers from `stale` trades ago."""

    ids: list[int]
    growth: list[int] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)
    cap: int = TRADES_LIMIT
    asked: list[int] = field(default_factory=list)

    async def trades(
        self, symbol: str, limit: int = TRADES_LIMIT, *, fresh: bool = False
    ) -> list[TradeMessage]:
        return self._page(0, limit)

    async def trade_history(
        self, symbol: str, offset: int, limit: int = TRADES_LIMIT
    ) -> list[TradeMessage]:
        return self._page(offset, limit)

    def _page(self, offset: int, limit: int) -> list[TradeMessage]:
        turn = len(self.asked)
        self.asked.append(offset)
        newest = self.ids[-1] if self.ids else 0
        self.ids += range(newest + 1, newest + 1 + (self.growth[turn : turn + 1] or [0])[0])
        end = max(len(self.ids) - (self.stale[turn : turn + 1] or [0])[0], 0) - offset
        return [trade(i) for i in self.ids[max(end - min(limit, self.cap), 0) : max(end, 0)]]


def ids(backfill: Backfill) -> list[int]:
    return [t.trade_id for t in backfill.trades if t.trade_id is not None]


def assert_no_hole(venue: Venue, backfill: Backfill, from_id: int) -> None:
    """Everything that the venue lists between the first and the last trade of the answer."""
    got = ids(backfill)
    assert got == sorted(set(got))
    if got:
        assert got == [i for i in venue.ids if got[0] <= i <= got[-1]]
    if got and backfill.reached:
        assert got == [i for i in venue.ids if from_id <= i <= got[-1]]
    if backfill.ended:
        assert not backfill.reached


listed = st.builds(
    lambda count, absent: [i for i in range(1, count + 1) if i not in absent],
    st.integers(0, 5 * TRADES_LIMIT),
    st.sets(st.integers(1, 5 * TRADES_LIMIT), max_size=20),
)
shifts = st.lists(
    st.one_of(st.just(0), st.integers(0, 60), st.integers(0, 2 * TRADES_LIMIT)), max_size=30
)


@settings(max_examples=150, deadline=None)
@given(listed, shifts, shifts, st.integers(1, 5 * TRADES_LIMIT), st.sampled_from([100, 500, 1000]))
@example([], [], [], 1, 1000)
@example(list(range(1, 4001)), [0, 1000, 950, 950], [0, 0, 1200, 0], 10, 1000)
async def test_growth_and_stale_pages_never_leave_an_undetected_hole(
    all_ids, growth, stale, from_id, cap
):
    """Whatever shifts between the pages: what is returned is whole, and says how far it goes."""
    venue = Venue(list(all_ids), growth, stale, cap)
    backfill = await trades_since(venue, "SOL_USDC", from_id, page_limit=PAGE_LIMIT)
    assert backfill.pages == len(venue.asked) <= PAGE_LIMIT
    assert_no_hole(venue, backfill, from_id)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4 * TRADES_LIMIT),
    st.lists(st.integers(0, TRADES_LIMIT - OVERLAP_ROWS - 1), max_size=40),
    st.integers(1, 4 * TRADES_LIMIT),
)
async def test_growth_below_a_page_is_outrun(count, growth, from_id):
    """As long as less than a page happens between two answers, it gets there."""
    venue = Venue(list(range(1, count + 1)), growth)
    backfill = await trades_since(venue, "SOL_USDC", from_id, page_limit=200)
    assert backfill.reached
    assert_no_hole(venue, backfill, from_id)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3 * TRADES_LIMIT), shifts, shifts, st.integers(1, 500))
async def test_the_end_is_never_reported_before_it_is_seen(count, growth, stale, missing):
    """A stale or shifted page is no proof that the venue lists nothing older."""
    venue = Venue(list(range(1 + missing, 1 + missing + count)), growth, stale)
    backfill = await trades_since(venue, "SOL_USDC", 1, page_limit=PAGE_LIMIT)
    assert not backfill.reached
    if backfill.ended and backfill.trades:
        assert ids(backfill)[0] == 1 + missing


async def test_one_page_is_enough_for_what_it_holds():
    """No history is asked for in vain."""
    venue = Venue(list(range(1, 3001)))
    backfill = await trades_since(venue, "SOL_USDC", 2500)
    assert ids(backfill) == list(range(2500, 3001))
    assert (backfill.reached, backfill.pages, venue.asked) == (True, 1, [0])


async def test_what_happened_since_is_nothing():
    """The newest trade is already known."""
    backfill = await trades_since(Venue(list(range(1, 1501))), "SOL_USDC", 1501)
    assert backfill.trades == []
    assert backfill.reached


async def test_older_pages_overlap_and_come_oldest_first():
    """10,000 trades in 11 pages, each sharing rows with the one before."""
    venue = Venue(list(range(1, 20_001)))
    backfill = await trades_since(venue, "SOL_USDC", 10_001)
    assert ids(backfill) == list(range(10_001, 20_001))
    assert backfill.pages == 11
    assert venue.asked[1] == TRADES_LIMIT - OVERLAP_ROWS


async def test_a_stale_history_page_is_asked_for_again_closer():
    """The jump is noticed by id, dropped and bridged."""
    venue = Venue(list(range(1, 5001)), stale=[0, 700])
    backfill = await trades_since(venue, "SOL_USDC", 3500)
    assert ids(backfill) == list(range(3500, 5001))
    assert backfill.jumps == 1
    assert venue.asked[2] < venue.asked[1]


async def test_pages_are_bounded_and_the_shortfall_is_told():
    """A checkpoint from last week does not read the venue empty."""
    venue = Venue(list(range(1, 200_000)))
    backfill = await trades_since(venue, "SOL_USDC", 1)
    assert len(venue.asked) == trade_backfill.BACKFILL_PAGES
    assert not backfill.reached
    assert not backfill.ended
    assert len(backfill.trades) > 47_000


@pytest.mark.parametrize("oldest", [501, 2_501])
async def test_the_end_of_the_list_is_told(oldest):
    """What is older than the venue's list is lost for good."""
    venue = Venue(list(range(oldest, 3001)))
    backfill = await trades_since(venue, "SOL_USDC", 1)
    assert backfill.ended
    assert ids(backfill)[0] == oldest


async def test_a_history_older_than_the_newest_page_is_given_up():
    """No page touches what we have: asking on would not end."""
    venue = Venue(list(range(1, 9001)), stale=[0] + [5000] * 100)
    backfill = await trades_since(venue, "SOL_USDC", 1)
    assert not backfill.reached
    assert not backfill.ended
    assert backfill.pages < 10


async def test_trades_outside_the_sequence_are_left_out():
    """Id 0 and no id at all have no place in it."""

    class Odd(Venue):
        async def trades(
            self, symbol: str, limit: int = TRADES_LIMIT, *, fresh: bool = False
        ) -> list[TradeMessage]:
            return [trade(0), trade(7), trade(None), trade(8)]

    backfill = await trades_since(Odd([]), "SOL_USDC", 7)
    assert ids(backfill) == [7, 8]
