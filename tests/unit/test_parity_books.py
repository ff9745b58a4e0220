"""Books of both feeds, compared level by level at the same sequence number."""

from decimal import Decimal

import pytest

from backpack_feed.process.parity import CCXT, NATIVE, Parity
from backpack_feed.process.parity import books as module
from backpack_feed.process.parity.books import Change

D = Decimal
S = "SOL-USDC"


@pytest.fixture
def parity():
    """Parity whose native feed published a book at 10."""
    parity = Parity(clock=lambda: 0.0)
    parity.native_book(S, whole(10, bids={5: 1, 4: 1}, asks={6: 2}), 0.0)
    return parity


def levels(side):
    return tuple((D(price), D(amount)) for price, amount in side.items())


def whole(sequence, bids=None, asks=None):
    return Change(sequence, levels(bids or {}), levels(asks or {}), whole=True)


def delta(sequence, bids=None, asks=None, own=None):
    return Change(sequence, levels(bids or {}), levels(asks or {}), own=own)


def top(bids=None, asks=None):
    return levels(bids or {}), levels(asks or {})


def counts(parity):
    return parity.compared["book"], parity.agreed["book"], parity.books.skipped


def test_the_state_at_an_older_number_is_compared(parity):
    """Ccxt is late: what native published since does not count."""
    parity.native_book(S, delta(11, bids={5: 3}), 0.0)
    parity.native_book(S, delta(12, bids={5: 0}), 0.0)
    parity.ccxt_book(S, 11, top({5: 3, 4: 1}, {6: 2}), 0.0)
    parity.ccxt_book(S, 12, top({4: 1}, {6: 2}), 0.0)
    assert counts(parity) == (2, 2, 0)


def test_a_book_of_ccxt_waits_for_native(parity):
    """Ccxt is early."""
    parity.ccxt_book(S, 11, top({"5.0": "1.00", 4: 1}, {6: 2}), 0.0)
    assert parity.pending["book"] == 1
    parity.native_book(S, delta(11), 0.0)
    assert counts(parity) == (1, 1, 0)
    assert parity.pending["book"] == 0


def test_a_number_that_native_did_not_publish_is_skipped_and_no_disagreement(parity):
    """Equal numbers only: a window of the venue may have swallowed this one."""
    parity.native_book(S, delta(15), 0.0)
    parity.ccxt_book(S, 13, top({9: 9}), 0.0)
    assert counts(parity) == (0, 0, 1)


def test_a_differing_level_is_disputed_with_both_books(parity):
    """Each feed is held against the venue later, so both books are kept."""
    parity.ccxt_book(S, 10, top({5: 1}, {6: 2}), 7.0)
    (dispute,) = parity.book_disputes.values()
    assert (dispute.symbol, dispute.sequence, dispute.opened_at) == (S, 10, 7.0)
    assert dispute.sample(top({5: 1, 4: 1}, {6: 2}))["first_difference"] == {
        "side": "bids",
        "depth": 1,
        CCXT: None,
        NATIVE: ["4", "1"],
        "venue": ["4", "1"],
    }


def test_a_lasting_difference_is_disputed_ever_more_rarely(parity):
    """Every comparison counts, but the venue is asked about few of them."""
    for second in range(200):
        sequence = 11 + second
        parity.native_book(S, delta(sequence), float(second))
        parity.ccxt_book(S, sequence, top({1: 1}), float(second))
    assert counts(parity) == (200, 0, 0)
    opened = [dispute.opened_at for dispute in parity.book_disputes.values()]
    assert opened == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 62.0, 92.0, 122.0, 152.0, 182.0]


def test_native_is_blamed_for_a_book_that_its_own_changes_do_not_make(parity):
    """A consumer of the changes and one of the book must see the same thing."""
    parity.native_book(S, delta(11, bids={5: 3}, own=top({5: 3, 4: 1}, {6: 2})), 0.0)
    parity.native_book(S, delta(12, bids={5: 2}, own=top({5: 3, 4: 1}, {6: 2})), 0.0)
    parity.ccxt_book(S, 12, top({5: 2, 4: 1}, {6: 2}), 0.0)
    assert parity.disagreements["own_book", NATIVE] == 1


def test_a_lower_number_of_native_starts_anew(parity):
    """The venue numbers its changes anew."""
    parity.native_book(S, whole(3, bids={5: 1}), 0.0)
    parity.ccxt_book(S, 3, top({5: 1}), 0.0)
    assert counts(parity) == (1, 1, 0)


def test_changes_that_nobody_asks_for_are_bounded(parity, monkeypatch):
    """A dead ccxt: native's changes are folded into its book."""
    monkeypatch.setattr(module, "MAX_CHANGES", 50)
    for sequence in range(11, 2_011):
        parity.native_book(S, delta(sequence, bids={5: sequence}), 0.0)
    assert parity.books.kept <= 60
    parity.ccxt_book(S, 2_010, top({5: 2_010, 4: 1}, {6: 2}), 0.0)
    assert counts(parity) == (1, 1, 0)


def test_books_that_wait_for_a_dead_native_are_bounded(parity):
    """The oldest are dropped, and counted."""
    for sequence in range(11, 111):
        parity.ccxt_book(S, sequence, top({5: 1}), 0.0)
    assert parity.pending["book"] == module.MAX_WAITING
    assert counts(parity) == (0, 0, 100 - module.MAX_WAITING)
