"""Every trade once, in order: for any losses, repeats, swaps and REST answers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.sequence import TradeSequencer

FATES = st.sampled_from(["live"] * 5 + ["lost", "twice", "late", "rest"])


class Market:
    """A venue that trades ids 101, 102 …, a faulty way to the feed, and the feed's sequencer."""

    def __init__(self, checkpoint: int | None, rest_reach: int) -> None:
        self.sequencer: TradeSequencer[int] = TradeSequencer(checkpoint)
        self.out: list[int] = []
        self.start = checkpoint
        self.newest = 100
        self.rest_reach = rest_reach
        self.late: list[int] = []

    def trade(self, fate: str) -> None:
        """The next trade happens and meets its fate; a late one comes after the next but one."""
        self.newest += 1
        overdue = self.late
        self.late = [self.newest] if fate == "late" else []
        for trade_id in [self.newest] * {"live": 1, "twice": 2}.get(fate, 0) + overdue:
            self.offer(trade_id)
        if fate == "rest":
            self.rest()

    def offer(self, trade_id: int) -> None:
        if self.start is None:
            self.start = trade_id - 1
        self.out += self.sequencer.offer(trade_id, trade_id).deliver

    def rest(self) -> None:
        """REST answers with its newest rows; holes below them are given up."""
        rows = range(max(1, self.newest - self.rest_reach + 1), self.newest + 1)
        self.out += self.sequencer.fill((i, i) for i in reversed(rows))
        while (hole := self.sequencer.missing) is not None and hole.to_id < rows[0]:
            self.out += self.sequencer.give_up()[0]

    def undelivered(self) -> list[int]:
        if self.start is None:
            return []
        return [i for i in range(self.start + 1, self.newest + 1) if i not in set(self.out)]


@settings(deadline=None, max_examples=200)
@given(
    fates=st.lists(FATES, min_size=1, max_size=60),
    checkpoint=st.none() | st.integers(90, 100),
    rest_reach=st.integers(1, 200),
)
def test_every_id_after_the_start_is_delivered_once_in_order(fates, checkpoint, rest_reach):
    """With a REST that reaches back to the start nothing is lost; else the lost are counted."""
    market = Market(checkpoint, rest_reach)
    for fate in fates:
        market.trade(fate)
    market.rest()
    assert market.out == sorted(set(market.out))
    assert len(market.undelivered()) == market.sequencer.lost
    if market.start is not None and market.newest - rest_reach <= market.start:
        assert market.undelivered() == []


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 20))
def test_the_buffer_stays_bounded(ids, max_pending):
    """Whatever the venue sends, at most `max_pending` trades wait, and order still holds."""
    sequencer: TradeSequencer[int] = TradeSequencer(0, max_pending=max_pending)
    out: list[int] = []
    for trade_id in ids:
        out.extend(sequencer.offer(trade_id, trade_id).deliver)
        assert sequencer.pending <= max_pending
    assert out == sorted(set(out))
    assert len(out) + sequencer.pending + sequencer.duplicates == len(ids)
