"""Trades by id: once, in order, holes named, nothing invented."""

import pytest

from backpack_feed.sequence import RESTART_RUN, Hole, Offer, TradeSequencer


def offered(sequencer: TradeSequencer[str], *ids: int) -> list[str]:
    return [trade for i in ids for trade in sequencer.offer(i, f"t{i}").deliver]


def test_without_a_checkpoint_the_first_live_trade_is_the_start():
    """Nothing before it is missing."""
    sequencer = TradeSequencer[str]()
    assert sequencer.offer(99_500_123, "t") == Offer(deliver=("t",))
    assert sequencer.last_id == 99_500_123


def test_a_repeat_is_dropped_and_counted():
    """Also while a hole is open, also for a trade that still waits."""
    sequencer = TradeSequencer[str](200)
    assert sequencer.offer(200, "t").duplicate
    sequencer.offer(203, "t203")
    assert sequencer.offer(203, "again") == Offer(duplicate=True, missing=Hole(201, 202))
    assert sequencer.duplicates == 2


def test_a_hole_holds_later_trades_back_until_it_is_filled():
    """202 then 205: 203 and 204 are named, fetched, and come before 205."""
    sequencer = TradeSequencer[str]()
    assert offered(sequencer, 202) == ["t202"]
    assert sequencer.offer(205, "t205") == Offer(missing=Hole(203, 204))
    rows = [(205, "r205"), (204, "r204"), (203, "r203"), (202, "r202")]
    assert sequencer.fill(rows) == ["r203", "r204", "t205"]
    assert (sequencer.backfilled, sequencer.missing, sequencer.pending) == (2, None, 0)


def test_a_checkpoint_is_continued_before_live_trades():
    """What happened while nobody listened comes first."""
    sequencer = TradeSequencer[str](10)
    assert offered(sequencer, 14) == []
    assert sequencer.fill((i, f"r{i}") for i in range(5, 15)) == ["r11", "r12", "r13", "t14"]


def test_a_late_trade_fills_its_own_hole():
    """A reordered frame needs no REST."""
    sequencer = TradeSequencer[str](1)
    assert offered(sequencer, 3, 2) == ["t2", "t3"]
    assert sequencer.missing is None


def test_giving_up_counts_the_lost_and_goes_on():
    """Two holes: only the older one is skipped."""
    sequencer = TradeSequencer[str](1)
    offered(sequencer, 4, 5, 7)
    assert sequencer.give_up() == (["t4", "t5"], 2)
    assert (sequencer.missing, sequencer.lost) == (Hole(6, 6), 2)
    assert TradeSequencer[str](1).give_up() == ([], 0)


@pytest.mark.parametrize("trade_id", [0, None])
def test_trades_without_an_id_are_always_delivered(trade_id):
    """Id 0 and null never de-duplicate and never open a hole."""
    sequencer = TradeSequencer[str](5)
    for _ in range(2):
        assert sequencer.offer(trade_id, "t") == Offer(deliver=("t",))
    assert (sequencer.last_id, sequencer.duplicates) == (5, 0)


def test_without_a_start_a_fill_delivers_nothing():
    """History before the first live trade is not this feed's to deliver."""
    sequencer = TradeSequencer[str]()
    assert sequencer.fill([(1, "r1"), (2, "r2")]) == []
    assert offered(sequencer, 7) == ["t7"]


def test_a_full_buffer_gives_up_the_oldest_hole():
    """Memory stays bounded when REST never answers."""
    sequencer = TradeSequencer[str](0, max_pending=3)
    assert offered(sequencer, 2, 3, 4) == []
    assert offered(sequencer, 5) == ["t2", "t3", "t4", "t5"]
    assert (sequencer.lost, sequencer.pending) == (1, 0)


def test_a_hole_knows_its_length():
    """Both ends are included."""
    assert len(Hole(203, 204)) == 2


def test_a_run_of_old_ids_that_breaks_is_made_of_repeats():
    """What waited to prove a new numbering is counted once it cannot."""
    sequencer: TradeSequencer[int] = TradeSequencer(1000)
    assert sequencer.follows(1001, 50)
    for trade_id in (5, 6, 7):
        assert sequencer.offer(trade_id, trade_id, 60 + trade_id) == Offer()
    assert sequencer.offer(900, 900, 100) == Offer(duplicate=True)
    assert (sequencer.duplicates, sequencer.restarts) == (4, 0)


def test_a_new_numbering_gives_up_what_waited():
    """Trades behind a hole come out before the first trade of the new numbers."""
    sequencer: TradeSequencer[int] = TradeSequencer(1000)
    sequencer.offer(1003, 1003, 50)
    for trade_id in range(1, RESTART_RUN):
        assert sequencer.offer(trade_id, trade_id, 60).deliver == ()
    offer = sequencer.offer(RESTART_RUN, RESTART_RUN, 60)
    assert offer.deliver == (1003, *range(1, RESTART_RUN + 1))
    assert (sequencer.lost, sequencer.last_id) == (2, RESTART_RUN)
    assert sequencer.follows(RESTART_RUN + 1, 61)


def test_one_absurd_id_does_not_end_the_market():
    """A broken frame is dropped alone; the next trade goes on where the last one was."""
    sequencer: TradeSequencer[int] = TradeSequencer(1000)
    assert sequencer.follows(1001, 50)
    assert sequencer.offer(10**15, 0, 60) == Offer()
    assert sequencer.offer(1002, 1002, 61).deliver == (1002,)
    assert (sequencer.lost, sequencer.missing) == (0, None)
    assert sequencer.follows(1003, 62)


def test_a_numbering_far_ahead_is_believed_once_it_goes_on():
    """A venue may also start over at a higher number."""
    sequencer: TradeSequencer[int] = TradeSequencer(1000)
    assert sequencer.follows(1001, 50)
    out = [t for i in range(RESTART_RUN + 5) for t in offered_at(sequencer, 10**15 + i, 60 + i)]
    assert out == [10**15 + i for i in range(RESTART_RUN + 5)]
    assert sequencer.lost == 0


def offered_at(sequencer: TradeSequencer[int], trade_id: int, time_us: int) -> list[int]:
    if sequencer.follows(trade_id, time_us):
        return [trade_id]
    return list(sequencer.offer(trade_id, trade_id, time_us).deliver)
