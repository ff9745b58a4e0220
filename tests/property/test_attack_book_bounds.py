"""The book's short cut for `crossed` and its levels, against a naive book of two dicts."""

from decimal import Decimal

import pytest
from cryptofeed.types import OrderBook
from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.native.book import BookAction, DepthBook
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot

# the same price in two paddings, and quantities of zero in two
PRICES = [Decimal(p) for p in ("1", "2", "2.0", "3", "4.00", "4", "5", "6", "7")]
LEVELS = st.lists(
    st.tuples(
        st.sampled_from(PRICES), st.sampled_from([Decimal(q) for q in ("0", "0.00", "1", "2")])
    ),
    max_size=4,
)
STEPS = st.one_of(
    st.tuples(st.just("next"), LEVELS, LEVELS, st.integers(0, 2)),
    st.tuples(st.just("overlap"), LEVELS, LEVELS, st.integers(0, 2)),
    st.tuples(st.just("repeat"), LEVELS, LEVELS, st.integers(0, 2)),
    st.tuples(st.just("snapshot"), LEVELS, LEVELS, st.integers(0, 3)),
    st.tuples(st.just("discard"), LEVELS, LEVELS, st.just(0)),
)


class Naive:
    """Two dicts, sorted anew for every question."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def apply(self, bids, asks) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in levels:
                side.pop(price, None)
                if quantity:
                    side[price] = quantity

    def best(self, side: str, depth: int) -> list[tuple[Decimal, Decimal]]:
        ranked = sorted(getattr(self, side).items(), reverse=side == "bids")
        return ranked[:depth] if depth else ranked

    @property
    def crossed(self) -> bool:
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)


def unique(levels):
    return list({price: (price, quantity) for price, quantity in levels}.values())


@pytest.mark.parametrize("max_depth", [0, 1, 3])
@settings(deadline=None, max_examples=150)
@given(steps=st.lists(STEPS, max_size=30), asks_after=st.lists(st.booleans(), max_size=30))
def test_crossed_and_levels_are_those_of_a_naive_book(max_depth, steps, asks_after):
    """Whether or not `crossed` is asked in between, with any depth that is published."""
    book = DepthBook(OrderBook("X", "X", max_depth=max_depth).book)
    naive, last, now = Naive(), 1_000, 1
    book.snapshot(DepthSnapshot(last_update_id=last, bids=[], asks=[]))
    for index, (kind, some_bids, some_asks, extra) in enumerate(steps):
        bids, asks = some_bids, some_asks
        now += 1
        if kind in ("snapshot", "discard"):
            naive, bids, asks = Naive(), unique(bids), unique(asks)
            if kind == "discard":
                book.discard()
            last += extra
            naive.apply(bids, asks)
            step = book.snapshot(DepthSnapshot(last_update_id=last, bids=bids, asks=asks))
            assert step.action is BookAction.SNAPSHOT_APPLIED
        else:
            first = {"next": last + 1, "overlap": last, "repeat": last - 2}[kind]
            end = {"next": last + 1 + extra, "overlap": last + 1 + extra, "repeat": last - 1}[kind]
            frame = DepthMessage(
                symbol="X", first_id=first, last_id=end, bids=bids, asks=asks,
                engine_time_us=0 if kind == "repeat" else now,
            )  # fmt: skip
            step = book.delta(frame)
            if step.action is BookAction.APPLY:
                naive.apply(bids, asks)
                last = end
            else:
                assert kind == "repeat"
            if not book.valid:  # a run of repeats: section 6.3
                step = book.snapshot(
                    DepthSnapshot(
                        last_update_id=last,
                        bids=list(naive.bids.items()),
                        asks=list(naive.asks.items()),
                    )
                )
        if index >= len(asks_after) or asks_after[index]:
            assert book.crossed == naive.crossed
        assert list(book.ladder.bids.items()) == naive.best("bids", max_depth)
        assert list(book.ladder.asks.items()) == naive.best("asks", max_depth)
        assert book.last_update_id == last
    assert book.crossed == naive.crossed
