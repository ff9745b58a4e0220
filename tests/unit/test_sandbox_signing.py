"""Which signatures the sandbox takes."""

import base64

import pytest

from backpack_sandbox.account.signing import Refusal, SignatureVerifier, signing_string
from tests.support.backpack_fixtures import load_fixture

VECTORS = load_fixture("signing_vectors")
KEYS = {name: key["verifying_key_b64_api_key"] for name, key in VECTORS["keys"].items()}
SINGLE = [
    v for v in VECTORS["vectors"] if not isinstance(v.get("body"), list) and v.get("instruction")
]


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def params(vector: dict) -> dict[str, str]:
    content = (vector.get("query") or {}) | (vector.get("body") or {})
    return {key: text(value) for key, value in content.items() if value is not None}


def verifier_at(timestamp_ms: int) -> SignatureVerifier:
    return SignatureVerifier(KEYS.values(), lambda: timestamp_ms / 1000)


@pytest.mark.parametrize("vector", SINGLE, ids=lambda v: f"{v['name']}-{v['key']}")
def test_a_recorded_signature_is_accepted_at_its_time(vector):
    """Each vector on which at least four other clients agree."""
    refusal = verifier_at(vector["timestamp_ms"]).refuse(
        vector["instruction"],
        params(vector),
        api_key=KEYS[vector["key"]],
        signature=vector["signature_b64"],
        timestamp_ms=str(vector["timestamp_ms"]),
        window_ms=str(vector["window_ms"]),
    )
    assert refusal is None


@pytest.mark.parametrize("case", VECTORS["negative"], ids=lambda c: c["name"])
def test_a_wrongly_built_string_is_refused(case):
    """A signature over another string than the right one does not verify."""
    content = dict(pair.split("=", 1) for pair in case["correct_signing_string"].split("&"))
    instruction, timestamp, window = (
        content.pop(key) for key in ("instruction", "timestamp", "window")
    )
    for api_key in KEYS.values():
        assert (
            verifier_at(int(timestamp)).refuse(
                instruction,
                content,
                api_key=api_key,
                signature=case["bad_signature_b64"],
                timestamp_ms=timestamp,
                window_ms=window,
            )
            is Refusal.SIGNATURE
        )


WS = next(v for v in VECTORS["vectors"] if v.get("instruction") == "subscribe")


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
    signature = [
        KEYS[WS["key"]],
        WS["signature_b64"],
        str(WS["timestamp_ms"]),
        str(WS["window_ms"]),
    ]
    verifier = verifier_at(WS["timestamp_ms"])
    assert verifier.refuse_subscribe(signature) is None
    signature[field] = value
    assert verifier.refuse_subscribe(signature) is refusal


@pytest.mark.parametrize("drift_ms", [-5001, 5001])
def test_a_message_outside_its_window_has_expired(drift_ms):
    """Late or early alike."""
    signature = [
        KEYS[WS["key"]],
        WS["signature_b64"],
        str(WS["timestamp_ms"]),
        str(WS["window_ms"]),
    ]
    late = verifier_at(WS["timestamp_ms"] + drift_ms)
    assert late.refuse_subscribe(signature) is Refusal.EXPIRED


def test_the_string_is_the_documented_one():
    """Sorted by byte value: upper case before lower case."""
    assert signing_string("x", {"b": "2", "A": "1"}, "3", "4") == (
        "instruction=x&A=1&b=2&timestamp=3&window=4"
    )
