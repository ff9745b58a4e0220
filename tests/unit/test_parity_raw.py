"""What a third listener remembers of the venue's stream."""

from decimal import Decimal

from backpack_feed.process.parity import raw as module
from backpack_feed.process.parity.raw import RawBook, RawTrades, snapshot_top
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot, TradeMessage

D = Decimal


def levels(side):
    return [(D(price), D(amount)) for price, amount in side.items()]


def delta(first, last=None, bids=None, asks=None):
    return DepthMessage(
        symbol="S",
        first_id=first,
        last_id=last or first,
        bids=levels(bids or {}),
        asks=levels(asks or {}),
        engine_time_us=first,
    )


def snapshot(last, bids=None, asks=None):
    return DepthSnapshot(last_update_id=last, bids=levels(bids or {}), asks=levels(asks or {}))


def started(*deltas):
    book = RawBook()
    for each in deltas:
        book.delta(each)
    return book


def test_the_book_at_any_kept_number_is_the_snapshot_and_the_frames_up_to_it():
    """Best first, zeros removed, REST's padding and the stream's alike."""
    book = started(
        delta(9, bids={1: 9}), delta(10, bids={5: 1}), delta(11, bids={"4.0": 0}, asks={7: 2})
    )
    assert book.at(11) is None
    assert book.snapshot(snapshot(9, {4: 1, 3: 1}, {8: 1}))
    assert book.at(9) == ((levels({4: 1, 3: 1})[0], (D(3), D(1))), ((D(8), D(1)),))
    assert book.at(11) == (((D(5), D(1)), (D(3), D(1))), ((D(7), D(2)), (D(8), D(1))))
    assert book.at(8) is None
    assert book.at(12) is None


def test_a_number_within_a_frame_is_not_known():
    """A window of the venue tells only what was at its end."""
    book = started(delta(10, 14, bids={5: 1}))
    book.snapshot(snapshot(9))
    assert book.at(12) is None
    assert book.at(14) is not None


def test_a_hole_makes_the_past_unknown():
    """What cannot be proven whole is not told, and the generation shows it."""
    book = started(delta(10))
    book.snapshot(snapshot(9))
    book.delta(delta(12))
    assert book.at(10) is None
    assert book.generation == 1
    assert not book.snapshot(snapshot(10))
    assert book.snapshot(snapshot(11))
    assert book.at(12) is not None


def test_repeats_are_harmless_and_a_run_of_old_ids_is_a_new_numbering():
    """As after a restart of the venue's counter."""
    book = started(delta(100))
    book.snapshot(snapshot(99))
    for _ in range(module.STALE_RUN - 1):
        book.delta(delta(50))
    assert book.at(100) is not None
    book.delta(delta(51))
    assert book.newest_id == 51
    assert book.base_id is None


def test_a_snapshot_that_is_ahead_of_the_stream_takes_the_frames_that_are_on_their_way():
    """REST and stream are two ways of different length."""
    book = started(delta(10))
    book.snapshot(snapshot(12, {1: 1}))
    for sequence in (11, 12, 13):
        book.delta(delta(sequence, bids={2: sequence}))
    assert book.at(12) == (((D(1), D(1)),), ())
    assert book.at(13) == (((D(2), D(13)), (D(1), D(1))), ())


def test_frames_are_bounded_and_the_base_rolls_on(monkeypatch):
    """The newest numbers stay known."""
    monkeypatch.setattr(module, "MAX_DELTAS", 10)
    book = started(delta(1))
    book.snapshot(snapshot(0))
    for sequence in range(2, 1_000):
        book.delta(delta(sequence, bids={sequence % 7 + 1: sequence}))
    assert book.kept <= 20
    assert book.at(980) is None
    assert book.at(999) is not None


def test_trades_are_bounded_and_a_new_numbering_forgets_the_old(monkeypatch):
    """An id means one trade per numbering."""
    monkeypatch.setattr(module, "MAX_TRADES", 10)
    trades = RawTrades()

    def trade(trade_id, at, price=1):
        trades.trade(
            TradeMessage(
                symbol="S",
                trade_id=trade_id,
                price=D(price),
                quantity=D(1),
                buyer_is_maker=True,
                engine_time_us=at,
            )
        )

    for trade_id in range(1, 30):
        trade(trade_id, trade_id)
    trade(None, 30)
    assert trades.get(5) is None
    assert trades.get(29).side == "sell"
    trade(28, 28, price=9)
    assert trades.get(28).price == 1
    trade(7, 40)
    assert trades.get(29) is None
    assert trades.get(7) is not None


def test_a_snapshot_is_read_best_first():
    """REST ascends on both sides."""
    assert snapshot_top(snapshot(1, {1: 1, 2: 1}, {3: 1, 4: 1})) == (
        ((D(2), D(1)), (D(1), D(1))),
        ((D(3), D(1)), (D(4), D(1))),
    )
