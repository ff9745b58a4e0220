"""Whatever is dropped, repeated or swapped on the way: a valid book is the venue's book."""

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.native.book import BookAction, BookState, DepthBook
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot

PRICES = [Decimal(p) for p in range(1, 7)]
FIRST_ID = 1_000


@dataclass(frozen=True)
class Change:
    """One event of the oracle: an absolute quantity at one price of one side."""

    bid: bool
    price: Decimal
    quantity: Decimal


CHANGES = st.builds(
    Change, st.booleans(), st.sampled_from(PRICES), st.sampled_from([Decimal(q) for q in range(4)])
)
FATES = st.sampled_from(["send"] * 6 + ["drop", "repeat", "swap", "old", "restart"])


class Oracle:
    """The venue: every state that its book ever had, by id."""

    def __init__(self, changes: list[Change]) -> None:
        self.changes = changes
        self.states: list[tuple[dict, dict]] = [({}, {})]
        for change in changes:
            bids, asks = (dict(side) for side in self.states[-1])
            side = bids if change.bid else asks
            side[change.price] = change.quantity
            if not change.quantity:
                del side[change.price]
            self.states.append((bids, asks))

    def at(self, update_id: int) -> tuple[dict, dict]:
        return self.states[update_id - FIRST_ID]

    def snapshot(self, update_id: int) -> DepthSnapshot:
        bids, asks = self.at(update_id)
        return DepthSnapshot(
            last_update_id=update_id, bids=tuple(bids.items()), asks=tuple(asks.items())
        )

    def frame(self, first: int, last: int) -> DepthMessage:
        """The ids `first` to `last` as one frame, aggregated as the venue does."""
        bids: dict = {}
        asks: dict = {}
        for change in self.changes[first - FIRST_ID - 1 : last - FIRST_ID]:
            (bids if change.bid else asks)[change.price] = change.quantity
        return DepthMessage(
            symbol="X", first_id=first, last_id=last, engine_time_us=0,
            bids=tuple(bids.items()), asks=tuple(asks.items()),
        )  # fmt: skip


def held(book: DepthBook) -> tuple[dict, dict]:
    return book.ladder.bids.to_dict(), book.ladder.asks.to_dict()


def delivered(frames: list[DepthMessage], fates: list[str]) -> list[DepthMessage | str]:
    """What of the frames reaches the feed, in which order."""
    out: list[DepthMessage | str] = []
    for index, (frame, fate) in enumerate(zip(frames, fates, strict=False)):
        match fate:
            case "drop":
                pass
            case "repeat":
                out += [frame, frame]
            case "swap":
                out.insert(max(0, len(out) - 1), frame)
            case "old":
                out += [frames[index // 2], frame]
            case "restart":
                out += ["lost", frame]
            case _:
                out.append(frame)
    return out


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_valid_book_always_equals_the_venues_book_at_its_id(data):
    """Under drops, repeats, reorder, aggregation, reconnects and snapshots that trail or lead."""
    changes = data.draw(st.lists(CHANGES, min_size=1, max_size=40))
    oracle = Oracle(changes)
    newest = FIRST_ID + len(changes)
    frames, first = [], FIRST_ID + 1
    while first <= newest:
        last = min(newest, first + data.draw(st.integers(0, 2)))
        frames.append(oracle.frame(first, last))
        first = last + 1
    fates = data.draw(st.lists(FATES, min_size=len(frames), max_size=len(frames)))

    book = DepthBook()
    wants_snapshot = True
    seen = FIRST_ID
    for item in delivered(frames, fates):
        if isinstance(item, str):
            book.discard()
            wants_snapshot = True
        else:
            seen = max(seen, item.last_id)
            step = book.delta(item)
            wants_snapshot = wants_snapshot or step.needs_snapshot
            assert step.invalidated == (step.action in {BookAction.GAP, BookAction.STALE_RUN})
        if book.valid:
            assert held(book) == oracle.at(book.last_update_id)
        if wants_snapshot and data.draw(st.booleans()):
            at = min(newest, max(FIRST_ID, seen + data.draw(st.integers(-3, 2))))
            step = book.snapshot(oracle.snapshot(at))
            wants_snapshot = step.needs_snapshot
            if book.valid:
                assert held(book) == oracle.at(book.last_update_id)

    # whatever happened, a snapshot of now always ends in the venue's book
    book.resync()
    book.snapshot(oracle.snapshot(newest))
    assert book.state is BookState.LIVE
    assert held(book) == oracle.at(newest)
