"""The book state machine does what the recorded scenarios say, action by action."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from backpack_feed.native.book import MAX_BUFFERED, STALE_RUN, BookAction, BookState, DepthBook
from backpack_feed.wire.decode import decode, decode_depth_snapshot
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot
from tests.support.backpack_fixtures import load_fixture

SCENARIOS = load_fixture("depth_sync")["scenarios"]


def levels(*pairs: tuple[str, str]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in pairs)


def delta(first: int, last: int | None = None, bids=(), asks=()) -> DepthMessage:
    return DepthMessage(
        symbol="SOL_USDC",
        first_id=first,
        last_id=first if last is None else last,
        bids=levels(*bids),
        asks=levels(*asks),
        engine_time_us=0,
    )


def snapshot(last: int, bids=(("98", "1"),), asks=(("99", "1"),)) -> DepthSnapshot:
    return DepthSnapshot(last_update_id=last, bids=levels(*bids), asks=levels(*asks))


def live_book(last: int = 1000) -> DepthBook:
    book = DepthBook()
    book.snapshot(snapshot(last))
    return book


def side(ladder_side) -> list[tuple[Decimal, Decimal]]:
    return [ladder_side.index(i) for i in range(len(ladder_side))]


def play(book: DepthBook, event: dict) -> str:
    match event["event"]:
        case "ws":
            return book.delta(decode(json.dumps(event["frame"])).data).label
        case "rest":
            body = json.dumps(event["depth_response"]).encode()
            return book.snapshot(decode_depth_snapshot(body)).label
        case _:
            return book.discard().label


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_a_recorded_scenario_plays_out_action_by_action(scenario):
    """Same action, same validity and same id after every event, same book at the end."""
    book = DepthBook()
    for event in scenario["events"]:
        assert play(book, event) == event["action"]
        assert book.valid == event["book_valid_after"]
        assert book.last_update_id == event["last_update_id_after"]
    final = scenario["final"]
    assert side(book.ladder.bids) == list(levels(*final["bids_best_first"]))
    assert side(book.ladder.asks) == list(levels(*final["asks_best_first"]))
    assert (book.last_update_id, book.valid) == (final["last_update_id"], final["valid"])


def test_an_overlapping_delta_is_applied_and_told():
    """U <= last < u: quantities are absolute, so the frame is right as of u."""
    book = live_book(1002)
    step = book.delta(delta(1000, 1005, asks=[("98.97", "5")]))
    assert (step.action, step.overlap, book.last_update_id) == (BookAction.APPLY, True, 1005)


def test_a_hole_inside_the_buffer_keeps_the_tail_and_asks_again():
    """A snapshot before the hole cannot be continued; one after it can."""
    book = DepthBook()
    for first in (10, 11, 14, 15):
        book.delta(delta(first))
    step = book.snapshot(snapshot(10))
    assert step.action is BookAction.SNAPSHOT_BEFORE_HOLE
    assert step.needs_snapshot
    step = book.snapshot(snapshot(14))
    assert (step.label, book.last_update_id) == ("snapshot_applied_replayed_1", 15)


def test_ids_that_start_over_lead_to_a_new_snapshot_with_lower_ids():
    """A run of only-stale frames ends in a resync, and the lower id is then accepted."""
    book = live_book(1_000_000)
    steps = [book.delta(delta(number)) for number in range(1, STALE_RUN + 1)]
    assert {step.action for step in steps[:-1]} == {BookAction.DROP_STALE}
    assert steps[-1].action is BookAction.STALE_RUN
    assert steps[-1].needs_snapshot
    assert not book.valid
    assert book.snapshot(snapshot(STALE_RUN)).action is BookAction.SNAPSHOT_APPLIED
    assert book.delta(delta(STALE_RUN + 1)).action is BookAction.APPLY


def test_one_good_frame_ends_a_stale_run():
    """Replays after a reconnect do not add up to a restart."""
    book = live_book(1000)
    for number in range(1001, 1040):
        book.delta(delta(5))
        assert book.delta(delta(number)).action is BookAction.APPLY


@pytest.mark.parametrize(
    ("bid", "crossed"), [("98.99", False), ("99", True), ("99.00", True), ("99.5", True)]
)
def test_a_bid_at_or_above_the_ask_is_crossed(bid, crossed):
    """Compared by value, not by text."""
    book = live_book()
    book.delta(delta(1001, bids=[(bid, "1")]))
    assert book.crossed is crossed


def test_a_one_sided_book_is_not_crossed():
    """All asks deleted is a legal book."""
    book = live_book()
    book.delta(delta(1001, asks=[("99", "0")]))
    assert (book.crossed, book.valid) == (False, True)


def test_resync_keeps_later_deltas_for_the_snapshot():
    """After distrust the stream still counts."""
    book = live_book(1000)
    book.resync()
    assert book.state is BookState.BUFFERING
    book.delta(delta(1001))
    assert book.snapshot(snapshot(1000)).replayed == 1


def test_zero_levels_of_a_snapshot_are_no_levels():
    """A snapshot must not put empty levels into the book."""
    book = DepthBook()
    book.snapshot(snapshot(1, bids=[("98", "0"), ("97", "2")]))
    assert side(book.ladder.bids) == [(Decimal(97), Decimal(2))]


def test_what_waits_for_a_snapshot_is_bounded():
    """In deltas and in levels, whatever REST does; the newest stay."""
    book = DepthBook()
    wide = delta(1, bids=[(str(price), "1") for price in range(1, 20_001)])
    for number in range(1, 101):
        book.delta(replace(wide, first_id=number, last_id=number))
    for number in range(101, 101 + 2 * MAX_BUFFERED):
        book.delta(delta(number, bids=[("98", "1")]))
    assert len(book._buffer) == MAX_BUFFERED
    assert book._buffered_levels == MAX_BUFFERED
    assert book._buffer[-1].last_id == 100 + 2 * MAX_BUFFERED
