"""The payload parser's words, and what it takes."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.rest.order_payloads import OrderPayloads
from backpack_sandbox.rest.payloads import ParseError, decimal, read_json, signed_text

EXECUTE = OrderPayloads.of(build_catalog()).execute
WHILE = ' (occurred while parsing "OrderExecutePayload")'
ORDER = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "1", "quantity": "1"}


def reason(document: object) -> str:
    with pytest.raises(ParseError) as refusal:
        EXECUTE.parse(read_json(json.dumps(document).encode()))
    return str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"symbol": "NOPE"}, 'failed to parse "MarketSymbol": Invalid market symbol'),
        ({"symbol": None}, 'Expected input type "MarketSymbol", found null.'),
        ({"symbol": 5}, 'Expected input type "MarketSymbol", found 5.'),
        ({"side": "bid"}, 'failed to parse "Side": Expect a valid enumeration value.'),
        ({"side": True}, 'Expected input type "Side", found true.'),
        (
            {"orderType": "Stop"},
            'failed to parse "OrderTypeEnum": Expect a valid enumeration value.',
        ),
        (
            {"timeInForce": "DAY"},
            'failed to parse "TimeInForce": Expect a valid enumeration value.',
        ),
        ({"price": "1e3"}, 'failed to parse "string(decimal)": Invalid decimal: unknown character'),
        ({"price": ""}, 'failed to parse "string(decimal)": Invalid decimal: empty'),
        ({"price": "NaN"}, 'failed to parse "string(decimal)": Invalid decimal: unknown character'),
        (
            {"price": "1" * 29},
            'failed to parse "string(decimal)": Invalid decimal: overflow from too many digits',
        ),
        ({"quantity": [1, "a"]}, 'Expected input type "string(decimal)", found [1,"a"].'),
        ({"clientId": 1.5}, 'failed to parse "integer_uint32": invalid integer'),
        (
            {"clientId": 2**32},
            'failed to parse "integer_uint32": Only integers from 0 to 4294967295 are accepted.',
        ),
        ({"postOnly": "true"}, 'Expected input type "boolean", found "true".'),
    ],
)
def test_a_bad_field_is_told_by_its_type(changes, expected):
    """The words of the recorded refusal, for every kind of field."""
    assert reason(ORDER | changes) == expected + WHILE


@pytest.mark.parametrize("name", ["symbol", "side", "orderType"])
def test_a_missing_field_is_told(name):
    """Three must be there; the others may be left out or null."""
    left = {key: value for key, value in ORDER.items() if key != name}
    assert reason(left).startswith("Expected input type")
    assert EXECUTE.parse(read_json(json.dumps(ORDER).encode()))["clientId"] is None


def test_unknown_fields_are_ignored():
    """They are signed all the same."""
    parsed = EXECUTE.parse({**ORDER, "Zed": "z"})
    assert "Zed" not in parsed
    assert parsed["price"] == Decimal(1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "EOF while parsing a value at line 1 column 2"),
        (b'{"a" 1}', "expected value at line 1 column 6"),
        (b"", 'Expected input type "OrderExecutePayload", found null.'),
        (b"nope", "expected value at line 1 column 1"),
        (b'{"a":NaN}', "expected value at line 1 column 1"),
        (b"\xff", "invalid unicode code point at line 1 column 0"),
        (b'{"a":"\\ud800"}', "lone surrogate in hex escape at line 1 column 1"),
        (b"[" * 200 + b"]" * 200, "recursion limit exceeded at line 1 column 128"),
        (b"[" * 90_000, "recursion limit exceeded at line 1 column 128"),
        (b"[]", 'Expected input type "OrderExecutePayload", found [].'),
    ],
)
def test_what_is_no_order_is_refused(body, expected):
    """Broken documents never get as far as the fields."""
    with pytest.raises(ParseError) as refusal:
        EXECUTE.parse(read_json(body))
    assert str(refusal.value) == expected


def test_a_batch_names_the_list_it_was_read_in():
    """The nested refusal, and a body that is no array."""
    with pytest.raises(ParseError) as refusal:
        EXECUTE.parse_list([ORDER, ORDER | {"side": "x"}])
    assert str(refusal.value).endswith(f'{WHILE} (occurred while parsing "[OrderExecutePayload]")')
    with pytest.raises(ParseError):
        EXECUTE.parse_list(ORDER)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*EXECUTE.fields, "other"]), JSON_VALUES) | JSON_VALUES)
def test_any_document_is_read_or_refused(document):
    """Nothing but the parser's own refusal comes out, and it can be sent."""
    try:
        EXECUTE.parse(read_json(json.dumps(document).encode()))
    except ParseError as error:
        str(error).encode()


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(body):
    """As above, for what is no JSON at all."""
    try:
        read_json(body)
    except ParseError as error:
        str(error).encode()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**15))
def test_a_decimal_keeps_its_value(value):
    """Exactly, and as it was written for the signature."""
    text = f"{value:f}"
    assert decimal().read(text) == value
    number = read_json(f'{{"price":{text}}}'.encode())["price"]
    assert signed_text(number) == text


def test_values_are_signed_as_they_stand_in_the_document():
    """Strings bare, booleans in lower case, numbers as they were written."""
    document = read_json(
        b'{"a":"x y","b":true,"c":1.50,"d":[1,{"k":null}],"e":12345678901234567890}'
    )
    assert [signed_text(value) for value in document.values()] == [
        "x y",
        "true",
        "1.50",
        '[1,{"k":null}]',
        "12345678901234567890",
    ]
