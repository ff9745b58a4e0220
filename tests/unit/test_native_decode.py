"""Frames and bodies become messages, or a typed error, and nothing else."""

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.errors import DecodeError
from backpack_feed.wire.account_messages import BalanceMessage, OrderMessage, PositionMessage
from backpack_feed.wire.bounds import MAX_LEVELS
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import (
    BookTickerMessage,
    DepthMessage,
    Envelope,
    ErrorMessage,
    KlineMessage,
    LiquidationMessage,
    MarkPriceMessage,
    Message,
    OpenInterestMessage,
    TickerMessage,
    TradeMessage,
    UnknownMessage,
)
from tests.support.backpack_fixtures import load_fixture

NASTY = {case["name"]: case for case in load_fixture("nasty")["cases"]}
PUBLIC = load_fixture("ws_public_frames")["frames"]
PRIVATE = load_fixture("ws_private_frames")["frames"]
CONTROL = load_fixture("ws_control")

TRADE = {
    "e": "trade", "s": "SOL_USDC", "t": 100, "p": "98.97", "q": "1.00", "m": False,
    "T": 1790900001025000,
}  # fmt: skip
DEPTH = {
    "e": "depth", "s": "SOL_USDC", "U": 7, "u": 7, "a": [["98.97", "1"]], "b": [],
    "T": 1790900001025413,
}  # fmt: skip


BOOK_TICKER = {
    "e": "bookTicker", "s": "SOL_USDC", "u": 7, "a": "98.97", "A": "1", "b": "98.96", "B": "2",
    "T": 1790900001024907,
}  # fmt: skip
TICKER = {
    "e": "ticker", "s": "SOL_USDC", "o": "1", "c": "2", "h": "3", "l": "1", "v": "4", "V": "5",
    "n": 6, "E": 1790900001026313,
}  # fmt: skip
KLINE = {
    "e": "kline", "s": "SOL_USDC", "t": "2026-09-02T16:44:00", "T": "2026-09-02T16:45:00",
    "o": "98.95", "h": "99.01", "l": "98.90", "c": "98.98", "v": "5.14", "n": 3, "X": False,
    "E": 1790900001026313,
}  # fmt: skip
MARK_PRICE = {
    "e": "markPrice", "s": "SOL_USDC_PERP", "p": "98.94", "f": "0.0000125", "i": "98.95",
    "n": 1790902800000, "T": 1790900001025530,
}  # fmt: skip
OPEN_INTEREST = {"e": "openInterest", "s": "SOL_USDC_PERP", "o": "206.5", "E": 1790900001026313}
LIQUIDATION = {
    "e": "liquidation", "s": "SOL_USDC_PERP", "S": "Bid", "p": "98.11", "q": "10",
    "T": 1790900001025413,
}  # fmt: skip
ORDER = {
    "e": "orderAccepted", "s": "USDT_USDC", "i": "60011223344", "S": "Ask", "o": "LIMIT",
    "X": "New", "T": 1790900001062979, "p": "1.0081", "q": "20", "z": "0", "t": None, "n": "0",
}  # fmt: skip
POSITION = {
    "s": "SOL_USDC_PERP", "i": 28600000017, "q": "-0.01", "B": "126.97", "b": "127.1142",
    "M": "120.96", "P": "0.0009", "T": 1790915599828078,
}  # fmt: skip
BALANCE = {
    "e": "balanceUpdate", "a": "USDT", "A": "10", "L": "20", "S": "0", "T": 1790900001062981,
}  # fmt: skip


def message_of(raw: bytes | str) -> Message:
    return decode(raw).data


def frame(stream: str, data: dict, **changes) -> str:
    return json.dumps({"data": data | changes, "stream": stream})


def nasty_text(name: str) -> list[str]:
    return [step["raw"] for step in NASTY[name]["input"] if step["transport"] == "ws_text"]


@pytest.mark.parametrize("case", PUBLIC + PRIVATE, ids=lambda c: c["name"])
def test_every_recorded_frame_is_read(case):
    """Streams that the feed reads become messages, all others are known to be unread."""
    kinds = {
        "depth": DepthMessage, "trade": TradeMessage, "bookTicker": BookTickerMessage,
        "ticker": TickerMessage, "kline": KlineMessage, "markPrice": MarkPriceMessage,
        "openInterest": OpenInterestMessage, "liquidation": LiquidationMessage,
        "account.orderUpdate": OrderMessage, "account.positionUpdate": PositionMessage,
        "account.balanceUpdate": BalanceMessage,
    }  # fmt: skip
    envelope = decode(case["raw"])
    names = [name for name in kinds if f"{case['stream']}.".startswith(f"{name}.")]
    assert envelope.stream == case["stream"]
    assert type(envelope.data) is (kinds[names[0]] if names else UnknownMessage)


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
        ("depth.SOL_USDC", DEPTH, {"a": [["98.97", "0e-999999999"]]}),
        ("depth.SOL_USDC", DEPTH, {"a": [["98.97", "NaN"]]}),
        ("depth.SOL_USDC", DEPTH, {"b": [["sNaN", "1"]]}),
        ("depth.SOL_USDC", DEPTH, {"b": [["1", "1"]] * (MAX_LEVELS + 1)}),
        ("bookTicker.SOL_USDC", BOOK_TICKER, {"a": None}),
        ("bookTicker.SOL_USDC", BOOK_TICKER, {"B": None}),
        ("bookTicker.SOL_USDC", BOOK_TICKER, {"b": "0"}),
        ("bookTicker.SOL_USDC", BOOK_TICKER, {"u": None}),
        ("ticker.SOL_USDC", TICKER, {"c": None}),
        ("ticker.SOL_USDC", TICKER, {"v": "NaN"}),
        ("kline.1m.SOL_USDC", KLINE, {"t": "yesterday"}),
        ("kline.1m.SOL_USDC", KLINE, {"T": "2026-09-02T16:44:00"}),
        ("kline.1m.SOL_USDC", KLINE, {"T": "2026-09-02T16:45:00Z"}),
        ("kline.1m.SOL_USDC", KLINE, {"h": "-1"}),
        ("kline.1m.SOL_USDC", KLINE, {"v": "Infinity"}),
        ("markPrice.SOL_USDC_PERP", MARK_PRICE, {"p": None}),
        ("markPrice.SOL_USDC_PERP", MARK_PRICE, {"f": "NaN"}),
        ("markPrice.SOL_USDC_PERP", MARK_PRICE, {"i": "0"}),
        ("markPrice.SOL_USDC_PERP", MARK_PRICE, {"n": -1}),
        ("openInterest.SOL_USDC_PERP", OPEN_INTEREST, {"o": "-1"}),
        ("openInterest.SOL_USDC_PERP", OPEN_INTEREST, {"o": None}),
        ("liquidation", LIQUIDATION, {"p": "0"}),
        ("liquidation", LIQUIDATION, {"q": None}),
        ("account.orderUpdate", ORDER, {"X": None}),
        ("account.orderUpdate", ORDER, {"p": "-1"}),
        ("account.orderUpdate", ORDER, {"n": "-Infinity"}),
        ("account.orderUpdate", ORDER, {"t": -1}),
        ("account.positionUpdate", POSITION, {"q": None}),
        ("account.positionUpdate", POSITION, {"P": "NaN"}),
        ("account.balanceUpdate", BALANCE, {"A": None}),
        ("account.balanceUpdate", BALANCE, {"L": "1e99"}),
        ("trade.SOL_USDC", DEPTH, {}),
        ("depth.SOL_USDC", TRADE, {}),
        ("account.balanceUpdate", TRADE, {}),
        ("trade.SOL_USDC", TRADE, {"e": 7}),
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


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        ("depth.SOL_USDC", DEPTH), ("trade.SOL_USDC", TRADE), ("bookTicker.SOL_USDC", BOOK_TICKER),
        ("ticker.SOL_USDC", TICKER), ("kline.1m.SOL_USDC", KLINE),
        ("markPrice.SOL_USDC_PERP", MARK_PRICE), ("openInterest.SOL_USDC_PERP", OPEN_INTEREST),
        ("liquidation", LIQUIDATION), ("liquidation.SOL_USDC_PERP", LIQUIDATION),
        ("account.positionUpdate.SOL_USDC_PERP", POSITION), ("account.balanceUpdate", BALANCE),
    ],
)  # fmt: skip
def test_a_frame_without_its_event_is_read_by_its_stream(stream, data):
    """The initial position frames come so; what the stream's name says is enough for the others."""
    bare = {key: value for key, value in data.items() if key != "e"}
    assert message_of(frame(stream, bare)) == message_of(frame(stream, data))


@pytest.mark.parametrize(
    ("stream", "event"),
    [("trade.SOL_USDC", "tradeBust"), ("depthOfField.SOL", "depth"), ("account", "x"),
     ("account.depth.SOL_USDC", "depth"), ("", "trade"), ("externalTicker.X", "externalTicker")],
)  # fmt: skip
def test_an_unread_stream_or_event_is_named(stream, event):
    """New streams, and new events on known streams, are told apart from broken frames."""
    message = message_of(frame(stream, TRADE, e=event))
    assert message == UnknownMessage(stream=stream, event=event)


def test_an_unknown_order_event_is_still_an_order_event():
    """All events of the order stream have one shape, so a new one is passed on."""
    message = message_of(frame("account.orderUpdate", ORDER, e="orderReplaced"))
    assert (type(message), message.event) == (OrderMessage, "orderReplaced")


def test_a_zero_with_any_padding_is_a_quantity():
    """The venue pads zeros to the step size."""
    levels = [["98.97", "0"], ["98.98", "0.00000"], ["98.99", 0]]
    message = message_of(frame("depth.SOL_USDC", DEPTH, a=levels))
    assert [quantity for _, quantity in message.asks] == [0, 0, 0]


def test_a_position_is_read_with_the_types_of_the_documents_and_of_the_wire():
    """Numbers and a string id, or strings and an integer id."""
    frames = {case["name"]: case["raw"] for case in PRIVATE}
    documents, wire = (
        message_of(frames[name]) for name in ("position_docs_types", "position_opened")
    )
    assert (documents.quantity, documents.position_id) == (5, "1111343026172067")
    assert (wire.quantity, wire.position_id) == (Decimal("-0.01"), 28600000017)
    assert documents.initial_margin_fraction == Decimal("0.5")


def test_kline_times_are_read_in_every_known_form():
    """Naive ISO on the wire, a space on REST, unix seconds in one client's types."""
    for start, stop in (
        ("2026-09-02T16:44:00", "2026-09-02T16:45:00"),
        ("2026-09-02 16:44:00", "2026-09-02 16:45:00"),
        (1788367440, 1788367500),
    ):
        message = message_of(frame("kline.1m.SOL_USDC", KLINE, t=start, T=stop))
        assert (message.stop - message.start).total_seconds() == 60


def test_deep_nesting_is_a_decode_error():
    """A hundred thousand brackets neither recurse nor escape as another exception."""
    for raw in (b"[" * 100_000, b'{"stream":"depth.X","data":' + b'{"b":' * 100_000):
        with pytest.raises(DecodeError):
            decode(raw)


def test_extra_fields_and_another_key_order_are_delivered():
    """The venue adds fields without notice."""
    message = message_of(nasty_text("extra_fields_and_reordered_keys")[0])
    assert isinstance(message, TradeMessage)
    assert (message.trade_id, message.price) == (104, Decimal("98.97"))


def test_ids_may_be_digit_strings():
    """The documents and the wire disagree about ids, so both are read."""
    trade, depth = (message_of(raw) for raw in nasty_text("ids_as_strings")[:2])
    assert trade.trade_id == 107
    assert (depth.first_id, depth.last_id) == (1001, 1001)


def test_decimals_may_be_numbers_and_stay_exact():
    """98.97 as a JSON number is 98.97, not the nearest float."""
    trade, depth = (message_of(raw) for raw in nasty_text("numbers_instead_of_decimal_strings"))
    assert (trade.price, trade.quantity) == (Decimal("98.97"), Decimal(1))
    assert depth.bids == [(Decimal("98.95"), Decimal("0.5"))]


def test_exponents_and_many_digits_stay_exact():
    """28 digits survive."""
    message = message_of(nasty_text("exponent_numbers")[0])
    assert (message.price, message.quantity) == (Decimal("0.000000001"), Decimal(10_000))
    digits = "12345678901234.56789012345678"
    assert message_of(frame("trade.SOL_USDC", TRADE, p=digits)).price == Decimal(digits)


def test_dotted_symbols_are_routed_by_the_payload():
    """A stream name is never split at every dot."""
    apple, berkshire = (message_of(raw) for raw in nasty_text("dotted_symbols"))
    assert (apple.symbol, berkshire.symbol) == ("AAPL.US_USDC_PERP", "BRK.B.US_USDC")
    assert (berkshire.first_id, berkshire.last_id) == (77, 80)


def test_ids_above_two_to_the_53_and_unknown_events_are_not_errors():
    """New event types are told apart from garbage."""
    for name, event in (("ids_above_2_53", "rfqActive"), ("unknown_event", "auction")):
        envelope = decode(nasty_text(name)[0])
        assert envelope.data == UnknownMessage(stream=envelope.stream, event=event)


@pytest.mark.parametrize("code", [4002, 4003, 4006, 4008, 4999])
def test_error_frames_carry_their_code(code):
    """Every venue error is read, known or not."""
    raw = json.dumps({"id": None, "error": {"code": code, "message": "Invalid"}})
    assert decode(raw) == Envelope("", ErrorMessage(code=code, message="Invalid"))


def test_id_zero_and_null_are_trades_without_an_id():
    """They are told apart from a missing id, which is schema drift."""
    assert [message_of(raw).trade_id for raw in nasty_text("trade_id_zero_or_missing")] == [
        0,
        0,
        None,
    ]


def test_a_huge_delta_is_read_whole():
    """Ten thousand levels in one frame are one message."""
    levels = [[f"{price}.5", "1"] for price in range(1, 5001)]
    message = message_of(frame("depth.1000ms.SOL_USDC", DEPTH, a=levels, b=levels))
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
    st.sampled_from([case["frame"] for case in PUBLIC + PRIVATE]),
    st.lists(st.tuples(st.integers(0, 20), DRIFT), max_size=4),
    st.none() | st.sampled_from([case["stream"] for case in PUBLIC + PRIVATE]),
)
def test_no_drift_raises_anything_but_a_decode_error(recorded, changes, stream):
    """Fuzz: any retyped field or foreign stream is a message or a `DecodeError`."""
    data = dict(recorded["data"])
    keys = sorted(data)
    data |= {keys[index % len(keys)]: value for index, value in changes}
    with contextlib.suppress(DecodeError):
        decode(json.dumps({"data": data, "stream": stream or recorded["stream"]}))
