"""The account's messages become typed events."""

import json
from decimal import Decimal
from typing import Any

import pytest

from backpack_feed.wire.account_events import (
    to_balance,
    to_initial_balance,
    to_order_update,
    to_position,
)
from backpack_feed.wire.decode import decode, decode_capital
from tests.support.backpack_fixtures import load_fixture

PRIVATE = {frame["name"]: frame for frame in load_fixture("ws_private_frames")["frames"]}
REST = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}


def private(name: str, **changes: Any) -> Any:
    """The message of a recorded frame, after `changes` of its payload."""
    content = PRIVATE[name]["frame"]
    return decode(json.dumps(content | {"data": content["data"] | changes})).data


def order(name: str, **changes: Any):
    return to_order_update(private(name, **changes), "USDT-USDC")


def same(told: Any, expected: Any) -> bool:
    return told == (Decimal(expected) if isinstance(told, Decimal) else expected)


@pytest.mark.parametrize(
    "name", [name for name, f in PRIVATE.items() if "order" in name and f["expect"]]
)
def test_an_order_event_is_normalised(name):
    """Z is the total filled, l only the last fill; null t is no fill."""
    expect, update = PRIVATE[name]["expect"], order(name)
    plain = update.to_dict()
    for key in ("id", "status", "side", "order_type"):
        if key in expect:
            assert plain[key] == expect[key]
    for key in ("price", "amount", "filled", "remaining"):
        if key in expect:
            assert plain[key] == Decimal(expect[key])
    for key, value in expect.get("fill", {}).items():
        wanted = Decimal(value) if key in ("price", "amount", "fee") else value
        assert plain[f"fill_{key}"] == wanted
    assert (update.fill is None) == ("fill" not in name)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("order_expired_post_only", "reason", "PostOnlyTaker"),
        ("order_fill_market_taker", "price", None),
        ("order_fill_market_taker", "fill_liquidity", "taker"),
        ("order_with_client_id_and_tpsl", "client_id", 4294967295),
        ("trigger_placed_percent", "status", "trigger_pending"),
        ("trigger_failed", "status", "trigger_failed"),
        ("order_modified_reduce_only", "event", "orderModified"),
    ],
)
def test_order_details_survive(name, key, value):
    """What the golden frames carry beyond the common fields."""
    assert order(name).to_dict()[key] == value


def test_an_unknown_order_state_is_passed_through():
    """The venue adds states without notice."""
    raw = PRIVATE["order_accepted"]["raw"].replace('"New"', '"Suspended"')
    assert to_order_update(decode(raw).data, "USDT-USDC").status == "Suspended"


def test_to_dict_converts_numbers_and_none_as_asked():
    """The contract of cryptofeed's own types."""
    plain = order("order_accepted").to_dict(numeric_type=str, none_to="")
    assert (plain["price"], plain["fill_id"], plain["reason"]) == ("1.0081", "", "")


@pytest.mark.parametrize(
    "name", [n for n, f in PRIVATE.items() if f["expect"] and "order" not in n]
)
def test_positions_and_balances_are_normalised(name):
    """The entry price is B and not the break-even b; a balance is all that the account has."""
    expect, message = dict(PRIVATE[name]["expect"]), private(name)
    kind = expect.pop("type")
    event = to_position(message, "SOL-USDC-PERP") if kind == "position" else to_balance(message)
    plain = event.to_dict()
    assert {key: plain[key] for key, value in expect.items() if not same(plain[key], value)} == {}


@pytest.mark.parametrize(
    ("quantity", "side"), [("-0.01", "short"), ("0.02", "long"), ("0", "flat"), ("0.00", "flat")]
)
def test_the_sign_of_a_position_is_its_side(quantity, side):
    """A closed position is flat, neither long nor short."""
    position = to_position(private("position_adjusted", q=quantity), "SOL-USDC-PERP")
    assert (position.position, position.side) == (Decimal(quantity), side)


def test_initial_positions_are_told_from_changes():
    """The frames without an event describe the state at the subscription."""
    initial = to_position(private("position_snapshot_no_e"), "SOL-USDC-PERP")
    change = to_position(private("position_closed"), "SOL-USDC-PERP")
    assert (initial.initial, initial.event) == (True, None)
    assert (change.initial, change.event) == (False, "positionClosed")
    assert initial.timestamp == 1790915599.828078


def test_a_balance_from_rest_has_the_shape_of_a_change():
    """Initial balances come from `GET /capital`, with the time of their receipt."""
    capital = decode_capital(json.dumps(REST["capital"]["json"]).encode())
    balance = to_initial_balance("USDC", capital["USDC"], 1790900001.5)
    assert (balance.balance, balance.available, balance.reserved) == (110, 100, 10)
    assert (balance.initial, balance.timestamp) == (True, 1790900001.5)
    assert balance.to_dict().keys() == to_balance(private("balance_update_1")).to_dict().keys()


def test_a_fill_stands_for_itself():
    """It carries its order, its side and its time, and says so in plain values."""
    fill = order("order_fill_partial", c=7).fill
    assert fill.to_dict(numeric_type=str) == {
        "exchange": "BACKPACK", "symbol": "USDT-USDC", "order_id": "60011223344", "client_id": 7,
        "id": "2888471", "side": "sell", "price": "1.0081", "amount": "5", "liquidity": "maker",
        "fee": "0.000504", "fee_currency": "USDC", "timestamp": 1790915534.999705,
        "backfilled": False,
    }  # fmt: skip


def test_a_fill_without_id_or_maker_flag_is_still_a_fill():
    """Nothing is made up for what the venue did not say."""
    fill = order("order_fill_partial", t=None, m=None).fill
    assert (fill.id, fill.liquidity) == (None, None)
    assert order("order_accepted", l="5", L="1").fill is None


def test_events_compare_by_value_and_show_their_fields():
    """As cryptofeed's own types do."""
    first, second = order("order_fill_partial"), order("order_fill_partial")
    assert first == second
    assert first != order("order_fill_final")
    assert "status='partial'" in repr(first)


def test_sums_keep_every_digit():
    """Python's default of 28 digits would round them."""
    amounts = {"A": "12345678901234567890.1234567890", "L": "0.00000000000000000001", "S": "1"}
    balance = to_balance(private("balance_update_1", **amounts))
    assert balance.balance == Decimal("12345678901234567891.12345678900000000001")
    update = order("order_accepted", q=amounts["A"], z=amounts["L"])
    assert update.remaining == Decimal("12345678901234567890.12345678899999999999")
