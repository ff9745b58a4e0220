"""Frames and bodies become messages, or a typed error, and nothing else."""

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.errors import DecodeError
from backpack_feed.wire.decode import (
    decode,
    decode_depth_snapshot,
    decode_markets,
    decode_rest_trades,
)
from backpack_feed.wire.messages import (
    DepthMessage,
    ErrorMessage,
    OrderMessage,
    TradeMessage,
    UnknownMessage,
)
from tests.support.backpack_fixtures import load_fixture

NASTY = {case["name"]: case for case in load_fixture("nasty")["cases"]}
PUBLIC = load_fixture("ws_public_frames")["frames"]
PRIVATE = load_fixture("ws_private_frames")["frames"]
CONTROL = load_fixture("ws_control")
REST = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}

TRADE = {
    "e": "trade", "s": "SOL_USDC", "t": 100, "p": "98.97", "q": "1.00", "m": False,
    "T": 1790900001025000,
}  # fmt: skip
DEPTH = {
    "e": "depth", "s": "SOL_USDC", "U": 7, "u": 7, "a": [["98.97", "1"]], "b": [],
    "T": 1790900001025413,
}  # fmt: skip


def frame(stream: str, data: dict, **changes) -> str:
    return json.dumps({"data": data | changes, "stream": stream})


def nasty_text(name: str) -> list[str]:
    return [step["raw"] for step in NASTY[name]["input"] if step["transport"] == "ws_text"]


@pytest.mark.parametrize("case", PUBLIC + PRIVATE, ids=lambda c: c["name"])
def test_every_recorded_frame_is_read(case):
    """Streams that the feed reads become messages, all others are known to be unread."""
    kinds = {"depth": DepthMessage, "trade": TradeMessage}
    message = decode(case["raw"])
    kind = kinds.get(case["frame"]["data"].get("e"))
    if case["stream"].startswith("account.orderUpdate"):
        kind = OrderMessage
    assert isinstance(message, kind or UnknownMessage)


@pytest.mark.parametrize(
    "raw",
    [
        *nasty_text("bad_json")[:1],
        bytes.fromhex(NASTY["binary_frame"]["input"][0]["hex"]),
        *nasty_text("missing_required_field")[:1],
        "[]", "123", "null", "", '"text"', "{}", '{"data":null,"stream":"depth.SOL_USDC"}',
        '{"stream":"trade.SOL_USDC"}', b'{"data":{"s":"\xff"},"stream":"trade.SOL_USDC"}',
    ],
)  # fmt: skip
def test_garbage_is_a_decode_error(raw):
    """Whatever is not a frame of the protocol raises the one typed error."""
    with pytest.raises(DecodeError):
        decode(raw)


@pytest.mark.parametrize(
    ("stream", "data", "change"),
    [
        ("trade.SOL_USDC", TRADE, {"p": None}),
        ("trade.SOL_USDC", TRADE, {"p": "0"}),
        ("trade.SOL_USDC", TRADE, {"p": "NaN"}),
        ("trade.SOL_USDC", TRADE, {"p": "1e999999999"}),
        ("trade.SOL_USDC", TRADE, {"q": "-1"}),
        ("trade.SOL_USDC", TRADE, {"q": "Infinity"}),
        ("trade.SOL_USDC", TRADE, {"t": -1}),
        ("trade.SOL_USDC", TRADE, {"t": 2**63}),
        ("trade.SOL_USDC", TRADE, {"m": None}),
        ("trade.SOL_USDC", TRADE, {"s": 7}),
        ("depth.SOL_USDC", DEPTH, {"b": {}}),
        ("depth.SOL_USDC", DEPTH, {"a": [["98.97"]]}),
        ("depth.SOL_USDC", DEPTH, {"a": [["98.97", "-1"]]}),
        ("depth.SOL_USDC", DEPTH, {"a": [["98.97", None]]}),
        ("depth.SOL_USDC", DEPTH, {"a": [["-1", "1"]]}),
        ("depth.SOL_USDC", DEPTH, {"U": 8}),
        ("depth.SOL_USDC", DEPTH, {"u": None}),
    ],
)
def test_a_field_that_would_invent_data_drops_the_frame(stream, data, change):
    """Missing, null, infinite and negative values are errors that name the stream."""
    with pytest.raises(DecodeError) as caught:
        decode(frame(stream, data, **change))
    assert caught.value.stream == stream


@pytest.mark.parametrize("field", ["s", "p", "q", "m", "T", "t"])
def test_a_trade_without_a_required_field_is_dropped(field):
    """No trade is emitted with an invented price, amount, side, time or id."""
    with pytest.raises(DecodeError):
        decode(frame("trade.SOL_USDC", {k: v for k, v in TRADE.items() if k != field}))


def test_deep_nesting_is_a_decode_error():
    """A hundred thousand brackets neither recurse nor escape as another exception."""
    for raw in (b"[" * 100_000, b'{"stream":"depth.X","data":' + b'{"b":' * 100_000):
        with pytest.raises(DecodeError):
            decode(raw)


def test_extra_fields_and_another_key_order_are_delivered():
    """The venue adds fields without notice."""
    message = decode(nasty_text("extra_fields_and_reordered_keys")[0])
    assert isinstance(message, TradeMessage)
    assert (message.trade_id, message.price) == (104, Decimal("98.97"))


def test_ids_may_be_digit_strings():
    """The documents and the wire disagree about ids, so both are read."""
    trade, depth = (decode(raw) for raw in nasty_text("ids_as_strings")[:2])
    assert trade.trade_id == 107
    assert (depth.first_id, depth.last_id) == (1001, 1001)


def test_decimals_may_be_numbers_and_stay_exact():
    """98.97 as a JSON number is 98.97, not the nearest float."""
    trade, depth = (decode(raw) for raw in nasty_text("numbers_instead_of_decimal_strings"))
    assert (trade.price, trade.quantity) == (Decimal("98.97"), Decimal(1))
    assert depth.bids == ((Decimal("98.95"), Decimal("0.5")),)


def test_exponents_and_many_digits_stay_exact():
    """28 digits survive."""
    message = decode(nasty_text("exponent_numbers")[0])
    assert (message.price, message.quantity) == (Decimal("0.000000001"), Decimal(10_000))
    digits = "12345678901234.56789012345678"
    assert decode(frame("trade.SOL_USDC", TRADE, p=digits)).price == Decimal(digits)


def test_dotted_symbols_are_routed_by_the_payload():
    """A stream name is never split at every dot."""
    apple, berkshire = (decode(raw) for raw in nasty_text("dotted_symbols"))
    assert (apple.symbol, berkshire.symbol) == ("AAPL.US_USDC_PERP", "BRK.B.US_USDC")
    assert (berkshire.first_id, berkshire.last_id) == (77, 80)


def test_ids_above_two_to_the_53_and_unknown_events_are_not_errors():
    """New event types are told apart from garbage."""
    for name in ("ids_above_2_53", "unknown_event", "position_snapshot_without_e"):
        assert isinstance(decode(nasty_text(name)[0]), UnknownMessage)


@pytest.mark.parametrize("code", [4002, 4003, 4006, 4008, 4999])
def test_error_frames_carry_their_code(code):
    """Every venue error is read, known or not."""
    raw = json.dumps({"id": None, "error": {"code": code, "message": "Invalid"}})
    assert decode(raw) == ErrorMessage(code=code, message="Invalid")


def test_id_zero_and_null_are_trades_without_an_id():
    """They are told apart from a missing id, which is schema drift."""
    assert [decode(raw).trade_id for raw in nasty_text("trade_id_zero_or_missing")] == [0, 0, None]


def test_a_huge_delta_is_read_whole():
    """Ten thousand levels in one frame are one message."""
    levels = [[f"{price}.5", "1"] for price in range(1, 5001)]
    message = decode(frame("depth.1000ms.SOL_USDC", DEPTH, a=levels, b=levels))
    assert (len(message.asks), len(message.bids)) == (5000, 5000)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_decode_error(raw):
    """Fuzz: every input is a message or a `DecodeError`."""
    with contextlib.suppress(DecodeError):
        decode(raw)


DRIFT = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("0123456789.-+eEnaN", max_size=8)
    | st.lists(st.text("09.-", max_size=3), max_size=3)
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(TRADE | DEPTH)), DRIFT, max_size=4),
    st.sampled_from(["trade.SOL_USDC", "depth.SOL_USDC", "account.orderUpdate.SOL_USDC", "x"]),
)
def test_no_drift_raises_anything_but_a_decode_error(changes, stream):
    """Fuzz: any retyped or missing field is a message or a `DecodeError`."""
    with contextlib.suppress(DecodeError):
        decode(json.dumps({"data": TRADE | DEPTH | changes, "stream": stream}))


@pytest.mark.parametrize("name", ["depth", "depth_int_last_update_id"])
def test_a_snapshot_id_is_read_as_string_and_as_number(name):
    """`lastUpdateId` is a string on the wire and a number in places."""
    snapshot = decode_depth_snapshot(json.dumps(REST[name]["json"]).encode())
    assert snapshot.last_update_id == int(REST[name]["json"]["lastUpdateId"])
    assert snapshot.bids[-1] == (Decimal("98.96"), Decimal("287.31"))


def test_rest_trades_come_oldest_first_in_the_shape_of_the_stream():
    """Newest first and milliseconds on the wire become one shape with the stream."""
    rows = REST["trades"]["json"]
    trades = decode_rest_trades(json.dumps(rows).encode(), "SOL_USDC")
    assert [t.trade_id for t in trades] == [row["id"] for row in reversed(rows)]
    assert trades[-1].engine_time_us == rows[0]["timestamp"] * 1000
    assert trades[-1].price == Decimal(rows[0]["price"])


def test_an_unreadable_market_row_does_not_hide_the_others():
    """Drift in one row of /markets costs one market."""
    rows = REST["markets"]["json"]
    markets, unreadable = decode_markets(json.dumps([{"symbol": 7}, *rows]).encode())
    assert (len(markets), unreadable) == (len(rows), 1)
