"""Who is to blame: each feed is held against the venue by itself."""

from decimal import Decimal

import pytest

from backpack_feed.process.parity import CCXT, NATIVE, SeenTrade
from backpack_feed.process.parity.values import BookDispute, TradeDispute
from backpack_feed.process.parity.verdicts import judge_book, judge_trade

TRUE = SeenTrade("buy", Decimal("98.4"), Decimal(1))
FALSE = SeenTrade("buy", Decimal("98.5"), Decimal(1))
OTHER = SeenTrade("sell", Decimal("98.4"), Decimal(1))


def judged(*, native=None, ccxt=None, listed=None, streamed=None):
    dispute = TradeDispute("S", 7, {NATIVE: native, CCXT: ccxt}, 0.0)
    return set(judge_trade(dispute, listed, streamed))


@pytest.mark.parametrize("streamed", [None, TRUE])
@pytest.mark.parametrize(
    ("native", "ccxt", "listed", "findings"),
    [
        (None, TRUE, TRUE, {("missing", "native")}),
        (TRUE, None, TRUE, {("missing", "ccxt")}),
        (FALSE, TRUE, TRUE, {("altered", "native")}),
        (TRUE, FALSE, TRUE, {("altered", "ccxt")}),
        (FALSE, OTHER, TRUE, {("altered", "native"), ("altered", "ccxt")}),
        (None, None, TRUE, {("missing", "native"), ("missing", "ccxt")}),
        (None, FALSE, TRUE, {("missing", "native"), ("altered", "ccxt")}),
    ],
)
def test_a_listed_trade_convicts_every_feed_that_said_something_else(
    native, ccxt, listed, findings, streamed
):
    """Also both at once, and whether or not the third listener heard it."""
    assert judged(native=native, ccxt=ccxt, listed=listed, streamed=streamed) == findings


def test_what_the_venue_neither_lists_nor_streamed_is_extra():
    """The feed that has it made it up; an id that nobody has is the venue's own hole."""
    assert judged(native=FALSE) == {("extra", "native")}
    assert judged(ccxt=FALSE) == {("extra", "ccxt")}
    assert judged(ccxt=FALSE, native=TRUE) == {("extra", "native"), ("extra", "ccxt")}
    assert judged() == {("hole", "venue")}


@pytest.mark.parametrize("listed", [None, FALSE])
def test_a_venue_that_lists_something_else_than_it_streamed_is_to_blame_itself(listed):
    """Whichever feed believed which of the two: neither can be held for it."""
    assert judged(native=TRUE, ccxt=None, listed=listed, streamed=TRUE) == {("missing", "venue")}
    assert judged(native=TRUE, ccxt=FALSE, listed=listed, streamed=TRUE) == {("altered", "venue")}


def test_every_book_that_is_not_the_venues_convicts_its_feed():
    """One of them or both."""
    right, wrong, worse = (((Decimal(n), Decimal(1)),) for n in (1, 2, 3))

    def books(native, ccxt):
        return set(judge_book(BookDispute("S", 7, {NATIVE: native, CCXT: ccxt}, 0.0), right))

    assert books(wrong, right) == {("book", "native")}
    assert books(right, wrong) == {("book", "ccxt")}
    assert books(wrong, worse) == {("book", "native"), ("book", "ccxt")}
