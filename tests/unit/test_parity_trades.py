"""Trades of both feeds, matched by id."""

from decimal import Decimal

import pytest

from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade
from backpack_feed.process.parity.trades import START_SECONDS

D = Decimal
S = "SOL-USDC"


@pytest.fixture
def parity():
    """Parity with a lateness bound of ten seconds."""
    return Parity(lateness_seconds=10, clock=lambda: 0.0)


def seen(at=0.0, side="buy", price="98.4", amount="1", venue=0.0):
    return SeenTrade(side, D(price), D(amount), at, venue)


def both(parity, trade_id, at=0.0, venue=0.0):
    parity.trade(CCXT, S, trade_id, seen(at, venue=venue))
    parity.trade(NATIVE, S, trade_id, seen(at, venue=venue))


def disputed(parity):
    return [(d.trade_id, d.kind) for d in parity.trade_disputes.values()]


def test_equal_trades_match_by_value_not_by_text(parity):
    """REST and socket pad decimals differently."""
    parity.trade(CCXT, S, 5, seen(price="98.4", amount="1"))
    parity.trade(NATIVE, S, 5, seen(price="98.40", amount="1.00"))
    assert parity.agreed["trade"] == 1
    assert disputed(parity) == []


def test_nothing_before_the_first_common_id_counts(parity):
    """A feed that started earlier is not ahead of anything."""
    for trade_id in (1, 2, 3):
        parity.trade(CCXT, S, trade_id, seen())
    parity.trade(NATIVE, S, 3, seen())
    parity.expire(20.0)
    assert parity.compared["trade"] == 1
    assert disputed(parity) == []


def test_a_trade_of_one_side_is_disputed_after_the_bound_and_not_before(parity):
    """Lateness is the only clock."""
    both(parity, 1)
    parity.trade(CCXT, S, 2, seen(at=1.0))
    parity.trade(NATIVE, S, 3, seen(at=2.0))
    parity.expire(11.0)
    assert disputed(parity) == []
    parity.expire(11.5)
    assert disputed(parity) == [(2, "missing")]
    parity.expire(13.0)
    parity.expire(30.0)
    assert disputed(parity) == [(2, "missing"), (3, "missing")]


def test_a_trade_that_comes_too_late_is_not_judged_twice(parity):
    """Its dispute is open already."""
    both(parity, 1)
    parity.trade(CCXT, S, 2, seen(at=1.0))
    parity.expire(12.0)
    parity.trade(NATIVE, S, 2, seen(at=12.5))
    parity.expire(40.0)
    assert disputed(parity) == [(2, "missing")]
    assert parity.pending["trade"] == 0


def test_an_id_of_neither_feed_is_a_hole(parity):
    """Ids have no holes, so what both skip is missing on both, or the venue's own."""
    both(parity, 1)
    both(parity, 3, at=1.0)
    parity.expire(10.5)
    assert disputed(parity) == []
    parity.expire(11.5)
    assert disputed(parity) == [(2, "hole")]


def test_a_trade_within_a_hole_is_late_and_not_lost(parity):
    """One feed may fill from REST what the other has skipped for good."""
    both(parity, 1)
    parity.trade(NATIVE, S, 3, seen())
    parity.trade(CCXT, S, 2, seen(at=5.0))
    parity.trade(CCXT, S, 3, seen(at=5.0))
    parity.expire(14.0)
    assert disputed(parity) == []
    parity.expire(16.0)
    assert disputed(parity) == [(2, "missing")]


def test_a_pause_of_the_whole_process_is_no_feeds_lateness():
    """What came during it is still in a socket: the bound counts from the end of the pause."""
    parity = Parity(lateness_seconds=10, stall_seconds=5, clock=lambda: 0.0)
    both(parity, 1)
    parity.trade(CCXT, S, 2, seen(at=1.0))
    parity.trade(CCXT, S, 3, seen(at=1.0))
    parity.expire(1.5)
    parity.expire(60.0)
    assert disputed(parity) == []
    parity.trade(NATIVE, S, 2, seen(at=60.1))
    for now in range(61, 71):
        parity.expire(float(now))
    assert parity.agreed["trade"] == 2
    assert disputed(parity) == [(3, "missing")]


def test_pauses_without_end_excuse_no_loss():
    """A process that stands still every few seconds finds what is missing all the same."""
    parity = Parity(lateness_seconds=10, stall_seconds=5, clock=lambda: 0.0)
    both(parity, 1)
    parity.trade(CCXT, S, 2, seen(at=1.0))
    for now in range(0, 60, 6):
        parity.expire(float(now))
    assert disputed(parity) == [(2, "missing")]


def test_altered_trades_are_disputed_at_once(parity):
    """Nothing that comes later changes what was said."""
    parity.trade(CCXT, S, 1, seen(price="98.4"))
    parity.trade(NATIVE, S, 1, seen(price="98.5"))
    assert disputed(parity) == [(1, "altered")]
    assert parity.compared["trade"] == 1
    assert parity.agreed["trade"] == 0


def test_a_repeat_is_the_fault_of_who_repeats(parity):
    """Exactly once is a promise of each feed: nobody has to be asked."""
    both(parity, 1)
    parity.trade(NATIVE, S, 1, seen())
    assert parity.disagreements["repeated", NATIVE] == 1
    assert parity.summary()["samples"] == [
        {"at": 0.0, "kind": "repeated", "blamed": "native", "symbol": S, "id": 1}
    ]


@pytest.mark.parametrize("variant", [CCXT, NATIVE])
def test_a_repeat_with_other_content_is_no_loss_of_the_other_feed(parity, variant):
    """An id that is told anew and otherwise waits for no partner: that one came long ago."""
    for trade_id in (1, 2, 3):
        both(parity, trade_id, at=1.0, venue=100.0 + trade_id)
    parity.trade(variant, S, 2, seen(at=2.0, price="99", venue=102.0))
    parity.expire(20.0)
    assert disputed(parity) == []
    assert {k: n for k, n in parity.disagreements.items() if n} == {("repeated", variant): 1}


def test_a_new_numbering_with_trades_like_the_old_ones_is_no_repeat(parity):
    """A new id 1 may well have the price and amount that the old one had."""
    for trade_id in (1, 2, 3):
        both(parity, trade_id, at=1.0, venue=100.0 + trade_id)
    for trade_id in (1, 2, 3):
        both(parity, trade_id, at=2.0, venue=110.0 + trade_id)
    assert parity.trades.renumberings >= 1
    assert not any(parity.disagreements.values())
    assert disputed(parity) == []


def test_a_new_numbering_ends_the_disputes_about_old_ids(parity):
    """The venue would be asked about another trade of the same id: nobody is blamed."""
    for trade_id in (1, 2, 3, 4):
        parity.trade(NATIVE, S, trade_id, seen(at=1.0, venue=100.0 + trade_id))
        if trade_id != 3:
            parity.trade(CCXT, S, trade_id, seen(at=1.0, venue=100.0 + trade_id))
    parity.expire(12.0)
    assert disputed(parity) == [(3, "missing")]
    for variant in (NATIVE, CCXT):
        parity.trade(variant, S, 1, seen(at=13.0, price="7", venue=120.0))
    assert disputed(parity) == []
    assert parity.trades.renumberings == 1
    assert {k: n for k, n in parity.disagreements.items() if n} == {("missing", "nobody"): 1}


def test_a_new_numbering_starts_the_comparison_anew(parity):
    """Lower ids of later trades are no repeats."""
    for trade_id in range(100, 105):
        both(parity, trade_id, venue=float(trade_id))
    for trade_id in range(1, 4):
        both(parity, trade_id, venue=200.0 + trade_id)
    both(parity, 4, venue=210.0)
    assert parity.disagreements["repeated", NATIVE] == 0
    assert parity.disagreements["repeated", CCXT] == 0
    assert parity.trades.renumberings == 1
    assert parity.agreed["trade"] >= 7
    parity.expire(50.0)
    assert disputed(parity) == []


def test_a_feed_that_is_dead_from_the_start_does_not_stay_unnoticed(parity):
    """After a minute without a common id, new trades must come from both."""
    parity.trade(CCXT, S, 1, seen(at=0.0))
    parity.expire(START_SECONDS + 1)
    parity.trade(CCXT, S, 2, seen(at=START_SECONDS + 2))
    parity.expire(START_SECONDS + 13)
    assert disputed(parity) == [(2, "missing")]


def test_a_dead_side_cannot_fill_the_memory():
    """What does not fit is counted, and nobody is blamed for what is not late yet."""
    parity = Parity(max_pending=10, max_disputes=5)
    both(parity, 1)
    for trade_id in range(2, 102):
        parity.trade(CCXT, S, trade_id, seen())
    assert parity.pending["trade"] == 10
    assert parity.disagreements["missing", "nobody"] == 90
    assert parity.compared["trade"] == 91
    parity.expire(1000.0)
    assert parity.pending == {"trade": 0, "book": 0, "dispute": 5}
    assert parity.compared["trade"] == 101
    assert len(parity.samples) == 20


def test_a_flood_of_disputes_closes_no_hole_that_can_still_be_filled():
    """An id of neither feed that both deliver in time is compared, too."""
    parity = Parity(lateness_seconds=10, max_pending=5, clock=lambda: 0.0)
    both(parity, 1)
    for trade_id in range(3, 20):
        parity.trade(CCXT, S, trade_id, seen(at=1.0))
        parity.trade(NATIVE, S, trade_id, seen(at=1.0, price="7"))
    both(parity, 2, at=2.0)
    parity.expire(15.0)
    assert parity.agreed["trade"] == 2
    assert (2, "hole") not in disputed(parity)


@pytest.mark.parametrize("late", [CCXT, NATIVE])
def test_a_flood_of_disputes_closes_no_trade_that_still_waits(late):
    """What is in time is compared, however many newer ids were judged meanwhile."""
    parity = Parity(lateness_seconds=10, max_pending=5, clock=lambda: 0.0)
    both(parity, 1)
    early = NATIVE if late == CCXT else CCXT
    parity.trade(early, S, 2, seen(at=1.0))
    for trade_id in range(3, 20):
        parity.trade(CCXT, S, trade_id, seen(at=1.0))
        parity.trade(NATIVE, S, trade_id, seen(at=1.0, price="7"))
    parity.trade(late, S, 2, seen(at=2.0))
    parity.expire(15.0)
    assert parity.agreed["trade"] == 2
    assert (2, "missing") not in disputed(parity)


def test_a_dead_feed_in_a_busy_market_comes_before_the_venue():
    """What waits keeps its place until it is late: a sample of the rest, and the venue's to judge."""
    parity = Parity(max_pending=100, clock=lambda: 0.0)
    both(parity, 1)
    for second in range(60):
        for turn in range(20):
            parity.trade(CCXT, S, 2 + 20 * second + turn, seen(at=float(second)))
        parity.expire(float(second))
    assert len(disputed(parity)) >= 100
    assert {kind for _, kind in disputed(parity)} == {"missing"}
    assert parity.pending["trade"] <= 100


def test_a_late_fill_of_long_ago_is_no_repeat():
    """The other feed's trade waits for it, so this feed cannot have delivered it."""
    parity = Parity(clock=lambda: 0.0)
    both(parity, 1)
    parity.trade(CCXT, S, 2, seen(at=1.0))
    for trade_id in range(3, 1_500):
        both(parity, trade_id, at=1.0)
    parity.trade(NATIVE, S, 2, seen(at=2.0))
    assert not any(parity.disagreements.values())
    assert parity.agreed["trade"] == 1_499


def test_what_is_known_and_what_is_not_is_counted_by_market():
    """Two feeds alike prove something; a disagreement that nobody settles proves nothing."""
    parity = Parity(lateness_seconds=10, settle_seconds=60, clock=lambda: 0.0)
    for variant in (CCXT, NATIVE):
        parity.trade(variant, "QUIET", 1, seen(price="1" if variant == CCXT else "2"))
        parity.trade(variant, "BUSY", 1, seen())
    parity.expire(100.0)
    assert parity.proven == {("BUSY", "trade"): 1}
    assert parity.unproven == {("QUIET", "trade"): 1}
    assert parity.symbols == ["BUSY", "QUIET"]


def test_a_jump_of_a_million_ids_does_not_fill_the_memory():
    """The ids in between are of nobody; only the newest of them wait for somebody."""
    parity = Parity(max_pending=10)
    both(parity, 1)
    both(parity, 1_000_001)
    assert parity.pending["trade"] <= 10
    assert parity.compared["trade"] + parity.pending["trade"] == 1_000_001


def test_the_oldest_pending_trade_is_told():
    """Seconds since it was first named; 0 when nothing waits."""
    parity = Parity()
    both(parity, 1)
    assert parity.oldest_pending_seconds(5.0) == 0.0
    parity.trade(CCXT, S, 2, seen(at=1.0))
    assert parity.oldest_pending_seconds(5.0) == 4.0
