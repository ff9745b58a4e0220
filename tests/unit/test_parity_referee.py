"""Disputes go to the venue: what its REST and its stream must say before anybody is blamed."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from backpack_feed.errors import StaleAnswerError
from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade
from backpack_feed.process.parity.books import Change
from backpack_feed.process.parity.raw import RawMarket
from backpack_feed.process.parity.referee import Referee
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot, TradeMessage
from tests.support.conditions import eventually

D = Decimal
S, VENUE_SYMBOL = "SOL-USDC", "SOL_USDC"
BOOK = ((D(5), D(1)),)
WRONG = ((D(5), D(2)),)


class Rest:
    """A venue's answers: settable, and counted."""

    def __init__(self):
        self.book = DepthSnapshot(last_update_id=10, bids=list(BOOK), asks=[])
        self.listed = []
        self.error = None
        self.asked = 0

    def _answer(self, answer):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return answer

    async def depth(self, symbol):
        """Return the settable book."""
        assert symbol == VENUE_SYMBOL
        return self._answer(self.book)

    async def trades(self, symbol, limit=1000, *, fresh=False):
        """Return the settable trades; only fresh ones may convict somebody."""
        assert (symbol, fresh) == (VENUE_SYMBOL, True)
        return self._answer(list(self.listed))

    async def trade_history(self, symbol, offset, limit=1000):
        """Nothing is older."""
        return self._answer([])


def trade(trade_id, price=98):
    return TradeMessage(
        symbol=VENUE_SYMBOL,
        trade_id=trade_id,
        price=D(price),
        quantity=D(1),
        buyer_is_maker=False,
        engine_time_us=trade_id,
    )


def delta(sequence, bids=()):
    return DepthMessage(
        symbol=VENUE_SYMBOL,
        first_id=sequence,
        last_id=sequence,
        bids=list(bids),
        asks=[],
        engine_time_us=sequence,
    )


def seen(price=98):
    return SeenTrade("buy", D(price), D(1))


@pytest.fixture
def case():
    """Parity in which trade 7 came from ccxt alone, its referee, the venue and the stream."""
    parity = Parity(lateness_seconds=1.0, settle_seconds=1e9, clock=lambda: 0.0)
    for variant in (CCXT, NATIVE):
        parity.trade(variant, S, 6, seen())
    parity.trade(CCXT, S, 7, seen())
    parity.expire(2.0)
    rest, raw = Rest(), RawMarket()
    return parity, Referee(parity, rest, {S: (VENUE_SYMBOL, raw)}), rest, raw


@asynccontextmanager
async def running(referee):
    task = asyncio.create_task(referee.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def found(parity):
    return {finding for finding, count in parity.disagreements.items() if count}


async def test_a_listed_trade_convicts_who_did_not_deliver_it(case):
    """One request settles it."""
    parity, referee, rest, _ = case
    rest.listed = [trade(6), trade(7), trade(8)]
    async with running(referee):
        await eventually(lambda: not parity.trade_disputes)
    assert found(parity) == {("missing", NATIVE)}
    assert rest.asked == 1


async def test_a_trade_between_listed_ones_that_is_not_listed_is_made_up(case):
    """Unless the stream carried it: then the venue contradicts itself."""
    parity, referee, rest, _ = case
    rest.listed = [trade(6), trade(8)]
    async with running(referee):
        await eventually(lambda: not parity.trade_disputes)
    assert found(parity) == {("extra", CCXT)}


async def test_a_streamed_trade_that_rest_denies_is_the_venues_fault(case):
    """Whoever delivered it was told so."""
    parity, referee, rest, raw = case
    raw.trades.trade(trade(7))
    rest.listed = [trade(6), trade(8)]
    async with running(referee):
        await eventually(lambda: not parity.trade_disputes)
    assert found(parity) == {("missing", "venue")}


@pytest.mark.parametrize("listed", [[], [6], [3, 4, 5, 6]])
async def test_an_answer_that_does_not_go_beyond_the_id_settles_nothing(case, listed):
    """An old list is no proof; the next one may be newer."""
    parity, referee, rest, _ = case
    rest.listed = [trade(i) for i in listed]
    async with running(referee):
        await eventually(lambda: rest.asked >= 2)
        assert found(parity) == set()
        rest.listed = [trade(i) for i in range(3, 10)]
        await eventually(lambda: not parity.trade_disputes)
    assert found(parity) == {("missing", NATIVE)}


async def test_a_venue_that_does_not_answer_is_asked_ever_more_rarely(case):
    """It may be in trouble already; when patience ends nobody is blamed."""
    parity, referee, rest, _ = case
    rest.error = StaleAnswerError("/api/v1/trades: the answer is 19 s old", 19)
    async with running(referee):
        await eventually(lambda: rest.asked >= 2)
        parity.settle_seconds = 0.0
        parity.expire(1e6)
    assert found(parity) == {("missing", "nobody")}
    assert parity.samples.all()[0]["venue"] == "no answer"


def disputed_book(case, *, native=BOOK, ccxt=WRONG):
    """Let the feeds differ at 11, over a stream that goes from 10 to 12."""
    parity, _, _, raw = case
    parity.trade_disputes.clear()
    raw.book.delta(delta(10))
    raw.book.snapshot(DepthSnapshot(last_update_id=10, bids=list(BOOK), asks=[]))
    raw.book.delta(delta(11))
    raw.book.delta(delta(12, bids=[(D(4), D(3))]))
    parity.native_book(S, Change(11, native, (), whole=True), 0.0)
    parity.ccxt_book(S, 11, (ccxt, ()), 0.0)


async def test_a_book_is_judged_by_the_replay_that_a_later_snapshot_proves(case):
    """The snapshot is of 12, the dispute of 11."""
    parity, referee, rest, _ = case
    disputed_book(case)
    rest.book = DepthSnapshot(last_update_id=12, bids=[(D(4), D(3)), *BOOK], asks=[])
    async with running(referee):
        await eventually(lambda: not parity.book_disputes)
    assert found(parity) == {("book", CCXT)}


async def test_both_books_may_be_wrong(case):
    """Each is held against the venue by itself."""
    parity, referee, rest, _ = case
    disputed_book(case, native=((D(3), D(1)),))
    rest.book = DepthSnapshot(last_update_id=12, bids=[(D(4), D(3)), *BOOK], asks=[])
    async with running(referee):
        await eventually(lambda: not parity.book_disputes)
    assert found(parity) == {("book", CCXT), ("book", NATIVE)}


async def test_a_snapshot_that_the_stream_contradicts_is_the_venues_fault(case):
    """REST and stream are both the venue's word."""
    parity, referee, rest, raw = case
    disputed_book(case)
    rest.book = DepthSnapshot(last_update_id=12, bids=list(WRONG), asks=[])
    async with running(referee):
        await eventually(lambda: not parity.book_disputes)
    assert found(parity) == {("book", "venue")}
    assert raw.book.generation == 1


async def test_a_snapshot_from_before_the_dispute_settles_nothing(case):
    """The next one may be newer."""
    parity, referee, rest, _ = case
    disputed_book(case)
    async with running(referee):
        await eventually(lambda: rest.asked >= 2)
        assert found(parity) == set()
        rest.book = DepthSnapshot(last_update_id=12, bids=[(D(4), D(3)), *BOOK], asks=[])
        await eventually(lambda: not parity.book_disputes)
    assert found(parity) == {("book", CCXT)}


async def test_a_snapshot_of_that_very_number_needs_no_stream(case):
    """The rare case."""
    parity, referee, rest, raw = case
    disputed_book(case)
    raw.book.forget()
    raw.book.delta(delta(11))
    rest.book = DepthSnapshot(last_update_id=11, bids=list(WRONG), asks=[])
    async with running(referee):
        await eventually(lambda: not parity.book_disputes)
    assert found(parity) == {("book", NATIVE)}


async def test_a_stream_that_broke_in_between_proves_nothing(case):
    """The frames between dispute and snapshot are not known to be whole."""
    parity, referee, rest, raw = case
    disputed_book(case)
    async with running(referee):
        await eventually(lambda: rest.asked >= 1)
        raw.book.delta(delta(20))
        rest.book = DepthSnapshot(last_update_id=20, bids=list(BOOK), asks=[])
        await eventually(lambda: not parity.book_disputes)
    assert found(parity) == {("book", "nobody")}
