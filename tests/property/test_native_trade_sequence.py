"""Every trade once, in order: for any losses, repeats, swaps and REST answers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.sequence import RESTART_RUN, TradeSequencer

FATES = st.sampled_from(["live"] * 5 + ["lost", "twice", "late", "rest"])


def time_us(trade_id: int) -> int:
    """When the trade happened: several trades share one time."""
    return 1_790_900_001_000_000 + trade_id // 3 * 700


def taken(sequencer: TradeSequencer[int], trade_id: int, engine_time_us: int) -> list[int]:
    """What is delivered, taken the way the feed takes it."""
    if sequencer.follows(trade_id, engine_time_us):
        return [trade_id]
    return list(sequencer.offer(trade_id, trade_id, engine_time_us).deliver)


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
        self.out += taken(self.sequencer, trade_id, time_us(trade_id))

    def rest(self) -> None:
        """REST answers with its newest rows; holes below them are given up."""
        rows = range(max(1, self.newest - self.rest_reach + 1), self.newest + 1)
        newest_ms = time_us(rows[-1]) // 1000  # REST cuts the microseconds off
        self.out += self.sequencer.fill(((i, i) for i in reversed(rows)), newest_ms * 1000 + 999)
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


@settings(deadline=None)
@given(
    fates=st.lists(FATES, min_size=1, max_size=40),
    first=st.integers(1, 60),
    later=st.integers(0, 60),
    repeats=st.integers(0, 60),
)
def test_a_market_that_is_numbered_anew_loses_and_repeats_nothing(fates, first, later, repeats):
    """Old ids with later times are a new numbering, however many repeats came before."""
    market = Market(100, 200)
    for fate in fates:
        market.trade(fate)
    market.rest()
    last = market.sequencer.last_id
    for trade_id in range(max(1, last - repeats), last + 1):
        market.offer(trade_id)  # the venue repeats itself after a reconnect
    assert market.sequencer.restarts == 0
    anew = list(range(first, min(first + RESTART_RUN + later, last)))
    out: list[int] = []
    for trade_id in anew:
        out += taken(market.sequencer, trade_id, time_us(last) + 1_000 + trade_id // 2)
    if len(anew) >= RESTART_RUN:
        assert (out, market.sequencer.restarts) == (anew, 1)
    else:
        assert (out, market.sequencer.restarts) == ([], 0)
    assert market.out == sorted(set(market.out))
