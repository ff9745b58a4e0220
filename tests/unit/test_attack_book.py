"""Whatever repeats, swaps or renumberings the buffer holds: the published book is the venue's."""

from decimal import Decimal

from backpack_feed.native.book import DepthBook
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot

BASE_US = 1_790_900_001_000_000


def delta(update_id, bids=(), asks=(), *, time_us=None):
    """One frame; by default the engine's time grows with the id."""
    return DepthMessage(
        symbol="X",
        first_id=update_id,
        last_id=update_id,
        bids=[(Decimal(p), Decimal(q)) for p, q in bids],
        asks=[(Decimal(p), Decimal(q)) for p, q in asks],
        engine_time_us=BASE_US + update_id if time_us is None else time_us,
    )


def snapshot(last_id, bids=(), asks=(), *, time_us=None):
    return DepthSnapshot(
        last_update_id=last_id,
        bids=[(Decimal(p), Decimal(q)) for p, q in bids],
        asks=[(Decimal(p), Decimal(q)) for p, q in asks],
        timestamp_us=BASE_US + last_id if time_us is None else time_us,
    )


def bids(book):
    return {int(p): int(q) for p, q in book.ladder.bids.to_dict().items()}


def test_a_repeat_at_the_end_of_the_buffer_does_not_bring_a_deleted_level_back():
    """1001 sets a bid, 1002 deletes it, 1003 follows, and 1001 is repeated; REST has 1000."""
    book = DepthBook()
    for frame in (
        delta(1001, [(5, 1)]),
        delta(1002, [(5, 0)]),
        delta(1003, [(4, 1)]),
        delta(1001, [(5, 1)]),
    ):
        book.delta(frame)
    book.snapshot(snapshot(1000))
    assert not book.valid or (book.last_update_id, bids(book)) == (1003, {4: 1})


def test_a_renumbering_while_a_snapshot_is_awaited_does_not_keep_the_book_away():
    """Ids of the old numbering in the buffer must not reject every snapshot of the new one."""
    book = DepthBook()
    book.delta(delta(5_000, [(5, 1)]))
    for update_id in range(1, 200):
        book.delta(delta(update_id, [(4, update_id)], time_us=BASE_US + 10_000 + update_id))
    book.snapshot(snapshot(150, [(4, 150)], time_us=BASE_US + 10_150))
    assert book.valid
    assert (book.last_update_id, bids(book)) == (199, {4: 199})


def test_a_renumbering_by_a_few_ids_is_never_taken_for_repeats():
    """The book is at 1010; the venue goes on from 1001 with later times: not its book any more."""
    book = DepthBook()
    book.snapshot(snapshot(1000))
    for update_id in range(1001, 1011):
        book.delta(delta(update_id, [(update_id, 1)]))
    for update_id in range(1001, 1011):
        book.delta(delta(update_id, [(1, update_id)], time_us=BASE_US + 5_000 + update_id))
    book.delta(delta(1011, [(2, 1)], time_us=BASE_US + 7_000))
    assert not book.valid


def test_a_snapshot_older_than_the_distrusted_book_is_not_published():
    """A delta was unreadable, the market then is silent, and REST trails: the book went back."""
    book = DepthBook()
    book.snapshot(snapshot(1000))
    for update_id in range(1001, 1006):
        book.delta(delta(update_id, [(update_id, 1)]))
    book.resync()
    book.snapshot(snapshot(1003, [(1001, 1), (1002, 1), (1003, 1)]))
    assert not book.valid


def test_a_snapshot_of_the_old_numbering_is_not_taken_for_the_new_one():
    """REST trails the renumbered stream: its high id says nothing about the low ones."""
    book = DepthBook()
    book.snapshot(snapshot(5_000, [(9, 9)]))
    for update_id in range(1, 21):
        book.delta(delta(update_id, [(4, update_id)], time_us=BASE_US + 10_000 + update_id))
    assert not book.valid
    book.snapshot(snapshot(5_000, [(9, 9)]))
    assert not book.valid
