"""Honest repeats are never taken for a new numbering, and a fresh hole is never given up."""

import pytest

from backpack_feed.sequence import RESTART_RUN, TradeSequencer

BASE_US = 1_790_900_001_000_000


def take(sequencer, trade_id, time_us):
    if sequencer.follows(trade_id, time_us):
        return [trade_id]
    return list(sequencer.offer(trade_id, trade_id, time_us).deliver)


def test_repeats_after_a_start_from_a_checkpoint_are_not_delivered_again():
    """The process starts at 1000 and the venue repeats its last trades before REST answered."""
    sequencer: TradeSequencer[int] = TradeSequencer(1_000)
    out = []
    for trade_id in range(1_001 - 2 * RESTART_RUN, 1_001):
        out += take(sequencer, trade_id, BASE_US + trade_id)
    assert out == []


def test_repeats_after_one_trade_with_an_early_time_are_not_delivered_again():
    """One trade carries an odd time (the documents have `T: 567`); then the last 30 are repeated."""
    sequencer: TradeSequencer[int] = TradeSequencer()
    out = []
    for trade_id in range(1, 31):
        out += take(sequencer, trade_id, BASE_US + trade_id)
    out += take(sequencer, 31, 567)
    for trade_id in range(1, 32):
        out += take(sequencer, trade_id, BASE_US + trade_id if trade_id < 31 else 567)
    assert out == list(range(1, 32))


def test_an_answer_of_before_a_new_numbering_is_not_delivered_after_it():
    """REST was asked for a hole, the venue numbers anew, then the old answer comes."""
    sequencer: TradeSequencer[int] = TradeSequencer(1_000)
    out = take(sequencer, 1_005, BASE_US)
    for trade_id in range(1, RESTART_RUN + 1):
        out += take(sequencer, trade_id, BASE_US + trade_id)
    assert sequencer.restarts == 1
    out += sequencer.fill(((i, i) for i in range(1_001, 1_006)), BASE_US, numbering=0)
    while sequencer.missing:
        out += sequencer.give_up()[0]
    assert out.count(1_005) == 1


@pytest.mark.parametrize("nothing", [None, 0])
def test_a_trade_without_an_id_changes_no_state(nothing):
    """It is delivered, before a start, behind a hole and within a run of old ids alike."""
    sequencer: TradeSequencer[int] = TradeSequencer()
    assert take(sequencer, nothing, BASE_US) == [nothing]
    assert sequencer.last_id is None
    assert take(sequencer, 5, BASE_US) == [5]
    assert take(sequencer, 8, BASE_US) == []
    assert take(sequencer, nothing, BASE_US + 10**12) == [nothing]
    assert (sequencer.last_id, sequencer.pending) == (5, 1)
    assert take(sequencer, 6, BASE_US) == [6]
    assert take(sequencer, 7, BASE_US) == [7, 8]
