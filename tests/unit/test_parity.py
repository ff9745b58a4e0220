"""Native against ccxt."""

from decimal import Decimal

from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade

D = Decimal
S = "SOL-USDC"


def seen(at=0.0, side="buy", price="98.4", amount="1"):
    return SeenTrade(side, D(price), D(amount), at)


def both(parity, trade_id, at=0.0):
    parity.trade(CCXT, S, trade_id, seen(at))
    parity.trade(NATIVE, S, trade_id, seen(at))


def test_equal_trades_match_by_value_not_by_text():
    """REST and socket pad decimals differently."""
    parity = Parity()
    parity.trade(CCXT, S, 5, seen(price="98.4", amount="1"))
    parity.trade(NATIVE, S, 5, seen(price="98.40", amount="1.00"))
    assert parity.trades_matched == 1
    assert parity.samples == parity.samples.__class__()


def test_nothing_before_the_first_common_id_counts():
    """A feed that started earlier is not ahead of anything."""
    parity = Parity(lateness_seconds=10)
    for trade_id in (1, 2, 3):
        parity.trade(CCXT, S, trade_id, seen())
    parity.trade(NATIVE, S, 3, seen())
    parity.expire(100.0)
    assert parity.trades_matched == 1
    assert parity.trades_missing == {CCXT: 0, NATIVE: 0}


def test_a_trade_of_one_side_is_missing_on_the_other_after_the_bound():
    """The absent side is blamed, once, and not before the lateness bound."""
    parity = Parity(lateness_seconds=10)
    both(parity, 1)
    parity.trade(CCXT, S, 2, seen(at=1.0))
    parity.trade(NATIVE, S, 3, seen(at=2.0))
    parity.expire(11.0)
    assert parity.trades_missing == {CCXT: 0, NATIVE: 0}
    parity.expire(11.5)
    assert parity.trades_missing == {CCXT: 0, NATIVE: 1}
    parity.expire(13.0)
    parity.expire(99.0)
    assert parity.trades_missing == {CCXT: 1, NATIVE: 1}
    assert list(parity.samples) == [
        {"kind": "missing", "symbol": S, "id": 2, "variant": NATIVE},
        {"kind": "missing", "symbol": S, "id": 3, "variant": CCXT},
    ]


def test_altered_fields_are_named_with_both_values():
    """A wrong price is not a match; the sample shows who said what."""
    parity = Parity()
    parity.trade(CCXT, S, 1, seen(price="98.4"))
    parity.trade(NATIVE, S, 1, seen(price="98.5", side="sell"))
    assert parity.trades_matched == 0
    assert parity.trades_altered == {CCXT: 0, NATIVE: 1}
    assert parity.samples[0]["fields"] == {
        "side": {CCXT: "buy", NATIVE: "sell"},
        "price": {CCXT: "98.4", NATIVE: "98.5"},
    }


def test_a_repeat_is_ignored():
    """Delivering an id twice makes neither a match nor a missing trade."""
    parity = Parity(lateness_seconds=1)
    both(parity, 1)
    both(parity, 1)
    parity.expire(50.0)
    assert parity.trades_matched == 1
    assert parity.trades_missing == {CCXT: 0, NATIVE: 0}


def test_memory_is_bounded_and_the_overflow_is_counted():
    """A dead side cannot fill the memory."""
    parity = Parity(max_pending=10)
    both(parity, 1)
    for trade_id in range(2, 102):
        parity.trade(CCXT, S, trade_id, seen())
    assert parity.trades_missing[NATIVE] == 90
    assert len(parity.samples) == 50


def test_books_are_compared_at_equal_sequence_only():
    """Another sequence is no comparison; an equal one compares by value, in either order."""
    parity = Parity()
    top = (((D("98.4"), D(1)),), ((D("98.5"), D(2)),))
    padded = (((D("98.40"), D("1.0")),), ((D("98.50"), D(2)),))
    parity.book(NATIVE, S, 10, top)
    parity.book(NATIVE, S, 11, top)
    parity.book(CCXT, S, 11, padded)
    parity.book(CCXT, S, 12, top)
    parity.book(NATIVE, S, 12, top)
    assert (parity.books_compared, parity.books_mismatched) == (2, 0)


def test_a_differing_book_is_sampled_at_its_first_difference():
    """The sample names side and depth; a missing level counts as a difference."""
    parity = Parity()
    parity.book(NATIVE, S, 10, (((D(5), D(1)), (D(4), D(1))), ()))
    parity.book(CCXT, S, 10, (((D(5), D(1)),), ()))
    assert (parity.books_compared, parity.books_mismatched) == (1, 1)
    assert parity.samples[0] == {
        "kind": "book",
        "symbol": S,
        "sequence": 10,
        "first_difference": {"side": "bids", "depth": 1, CCXT: None, NATIVE: ["4", "1"]},
    }
    assert parity.summary()["books_mismatched"] == 1
