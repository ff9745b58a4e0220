"""ccxt's trades as cryptofeed's."""

from decimal import Decimal

import pytest

from backpack_feed.constants import BACKFILL
from backpack_feed.incumbent.trades import MalformedTrade, engine_time_us, to_numbered, to_trade

GOOD = {"id": "7", "side": "buy", "price": 0.00001, "amount": 12.5, "timestamp": 1790900001025}


def test_a_trade_keeps_its_digits():
    """A float's shortest text is the venue's text."""
    trade_id, trade = to_trade(GOOD, "kPEPE-USDC-PERP")
    assert trade_id == 7
    assert (trade.symbol, trade.id, trade.side) == ("kPEPE-USDC-PERP", "7", "buy")
    assert (trade.price, trade.amount) == (Decimal("0.00001"), Decimal("12.5"))
    assert trade.timestamp == 1790900001.025


@pytest.mark.parametrize(
    "broken",
    [
        {"price": None},
        {"side": None},
        {"amount": "x"},
        {"amount": -1.0},
        {"price": float("nan")},
        {"timestamp": None},
        {"timestamp": 0},
    ],
)
def test_a_missing_or_senseless_field_is_never_passed_on(broken):
    """Where the frame had no price, ccxt returns None, and 0 where it had no time."""
    with pytest.raises(MalformedTrade, match="trade '7' has no usable"):
        to_trade(GOOD | broken, "A")


def test_rest_answers_keep_only_numbered_trades():
    """Neither a broken row nor one without an id can fill a hole."""
    rows = [GOOD, GOOD | {"id": None}, GOOD | {"id": "0"}, GOOD | {"id": "8", "price": None}]
    assert [trade_id for trade_id, _ in to_numbered(rows, "A")] == [7]


def test_a_null_id_is_told_from_a_missing_one():
    """The venue may send a trade without an id; one whose id is gone leaves a hole for REST."""
    assert to_trade(GOOD | {"id": None, "info": {"t": None}}, "A")[0] is None
    with pytest.raises(MalformedTrade, match="has no usable id"):
        to_trade(GOOD | {"id": None, "info": {"trade_id": 7}}, "A")


def test_what_comes_from_rest_says_so():
    """As with the native feed, a late trade is told from a live one by its type."""
    ((_, trade),) = to_numbered([GOOD], "A")
    assert trade.type == BACKFILL
    assert to_trade(GOOD, "A")[1].type is None


@pytest.mark.parametrize(
    ("info", "expected"),
    [({"T": 1790900001025000}, 1790900001025000), ({"T": "7"}, 7), ({}, 0), ({"T": None}, 0)],
)
def test_the_engines_time_is_read_from_the_raw_payload(info, expected):
    """The time that ccxt itself tells is that of the frame."""
    assert engine_time_us(GOOD | {"info": info}) == expected
