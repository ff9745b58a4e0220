"""Which signatures the sandbox takes, and whose they are."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from backpack_sandbox.account.signing import Params, Refusal, SignatureVerifier, signing_string
from tests.support.backpack_fixtures import load_fixture

VECTORS = load_fixture("signing_vectors")
KEYS = {name: key["verifying_key_b64_api_key"] for name, key in VECTORS["keys"].items()}
ACCOUNTS = {key: name for name, key in KEYS.items()}
SEED = SigningKey(bytes(range(32)))
NOW_MS = 1750793021519


def signed_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def blocks(vector: dict[str, Any]) -> list[Params]:
    """One block of raw values per signed object."""
    body = vector.get("body")
    objects = body if isinstance(body, list) else [(vector.get("query") or {}) | (body or {})]
    return [[(k, signed_text(v)) for k, v in o.items() if v is not None] for o in objects]


def verifier_at(timestamp_ms: int) -> SignatureVerifier:
    return SignatureVerifier(ACCOUNTS, lambda: timestamp_ms / 1000)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda v: f"{v['name']}-{v['key']}")
def test_a_recorded_signature_names_its_account(vector):
    """Each vector on which at least four other clients agree: query, body, batch, socket."""
    account = verifier_at(vector["timestamp_ms"]).verify(
        vector["instruction"],
        blocks(vector),
        api_key=KEYS[vector["key"]],
        signature=vector["signature_b64"],
        timestamp_ms=str(vector["timestamp_ms"]),
        window_ms=str(vector["window_ms"]),
    )
    assert account == vector["key"]


@pytest.mark.parametrize(
    "captured", VECTORS["captured_from_ccxt_on_loopback"], ids=lambda c: c["name"]
)
def test_a_captured_signature_of_ccxt_holds(captured):
    """What another client really sent."""
    content = dict(pair.split("=", 1) for pair in captured["signing_string"].split("&"))
    instruction, timestamp, window = (
        content.pop(key) for key in ("instruction", "timestamp", "window")
    )
    account = verifier_at(int(timestamp)).verify(
        instruction,
        [list(content.items())],
        api_key=KEYS[captured["key"]],
        signature=captured["signature_b64"],
        timestamp_ms=timestamp,
        window_ms=window,
    )
    assert account == captured["key"]


@pytest.mark.parametrize("case", VECTORS["negative"], ids=lambda c: c["name"])
def test_a_wrongly_built_string_is_refused(case):
    """A signature over another string than the right one does not verify."""
    content = dict(pair.split("=", 1) for pair in case["correct_signing_string"].split("&"))
    instruction, timestamp, window = (
        content.pop(key) for key in ("instruction", "timestamp", "window")
    )
    for api_key in KEYS.values():
        refusal = verifier_at(int(timestamp)).verify(
            instruction,
            [list(content.items())],
            api_key=api_key,
            signature=case["bad_signature_b64"],
            timestamp_ms=timestamp,
            window_ms=window,
        )
        assert refusal is Refusal.SIGNATURE


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="&="), max_size=12)
MESSAGES = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=3)


def sign(messages: Sequence[dict[str, str]], timestamp_ms: int = NOW_MS) -> str:
    """By the documented rule, written down a second time."""
    text = ""
    for message in messages:
        text += "instruction=orderExecute&"
        text += "".join(f"{key}={message[key]}&" for key in sorted(message))
    text += f"timestamp={timestamp_ms}&window=5000"
    return base64.b64encode(SEED.sign(text.encode()).signature).decode()


def verify(messages: Sequence[dict[str, str]], signature: str) -> str | Refusal:
    return verifier_at(NOW_MS).verify(
        "orderExecute",
        [list(message.items()) for message in messages],
        api_key=KEYS["seed_00_1f"],
        signature=signature,
        timestamp_ms=str(NOW_MS),
        window_ms="5000",
    )


@given(MESSAGES)
def test_any_parameters_verify_in_any_order(messages):
    """Sorting is the verifier's: the order in which they came does not matter."""
    turned = [dict(reversed(message.items())) for message in messages]
    assert verify(turned, sign(messages)) == "seed_00_1f"


@given(MESSAGES, st.data())
def test_any_changed_parameter_is_refused(messages, data):
    """A value changed, a parameter added or taken away, an order of the batch lost."""
    signature = sign(messages)
    index = data.draw(st.integers(0, len(messages) - 1))
    altered = [dict(message) for message in messages]
    name = data.draw(st.sampled_from([*altered[index], "added"]))
    change = data.draw(st.sampled_from(["set", "drop", "lose"]))
    if change == "set":
        altered[index][name] = data.draw(VALUES)
    elif change == "drop":
        altered[index].pop(name, None)
    else:
        altered.pop(index)
    assume(altered != messages)
    assert verify(altered, signature) is Refusal.SIGNATURE


def test_a_value_without_bytes_is_refused():
    """JSON can carry a lone surrogate; nobody can have signed it."""
    assert verify([{"symbol": "\ud800"}], sign([{"symbol": "?"}])) is Refusal.SIGNATURE


WS = next(v for v in VECTORS["vectors"] if v.get("instruction") == "subscribe")
WS_FIELDS = [KEYS[WS["key"]], WS["signature_b64"], str(WS["timestamp_ms"]), str(WS["window_ms"])]


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        (0, "AAAA", Refusal.SIGNATURE),
        (1, base64.b64encode(bytes(64)).decode(), Refusal.SIGNATURE),
        (1, "not base64!", Refusal.SIGNATURE),
        (2, str(WS["timestamp_ms"] - 1), Refusal.SIGNATURE),
        (2, "now", Refusal.TIMESTAMP),
        (2, "1" * 5000, Refusal.TIMESTAMP),
        (3, "60001", Refusal.WINDOW),
        (3, "0", Refusal.WINDOW),
        (3, "4999", Refusal.SIGNATURE),
    ],
)
def test_a_changed_field_of_a_signed_subscribe_is_refused(field, value, refusal):
    """Key, signature, timestamp and window are each part of what must hold."""
    signature = list(WS_FIELDS)
    verifier = verifier_at(WS["timestamp_ms"])
    assert verifier.verify_subscribe(signature) == WS["key"]
    signature[field] = value
    assert verifier.verify_subscribe(signature) is refusal


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_subscribe_with_another_number_of_fields_is_refused(length):
    """Four fields, no more and no fewer."""
    fields = [*WS_FIELDS, "more"][:length]
    assert verifier_at(WS["timestamp_ms"]).verify_subscribe(fields) is Refusal.SIGNATURE


@pytest.mark.parametrize("drift_ms", [-5001, 5001])
def test_a_message_outside_its_window_has_expired(drift_ms):
    """Late or early alike."""
    late = verifier_at(WS["timestamp_ms"] + drift_ms)
    assert late.verify_subscribe(WS_FIELDS) is Refusal.EXPIRED


def test_the_string_is_the_documented_one():
    """Sorted by byte value, upper case before lower case; a batch repeats the instruction."""
    assert signing_string("x", [[("b", "2"), ("A", "1")]], "3", "4") == (
        "instruction=x&A=1&b=2&timestamp=3&window=4"
    )
    assert signing_string("x", [[("a", "1")], [("a", "2")]], "3", "4") == (
        "instruction=x&a=1&instruction=x&a=2&timestamp=3&window=4"
    )
