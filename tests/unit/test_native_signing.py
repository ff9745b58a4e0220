"""Signatures are the ones on which four other clients agree."""

import base64
import json

import pytest

from backpack_feed.errors import ConfigError
from backpack_feed.wire.signing import Signer, parse_seed, read_credentials, signing_string
from tests.support.backpack_fixtures import load_fixture

VECTORS = load_fixture("signing_vectors")
KEYS = VECTORS["keys"]
KEY = KEYS["seed_00_1f"]
OTHER = KEYS["rfc8032_test1"]


def signer(name: str, window_ms: int = 5000) -> Signer:
    key = KEYS[name]
    return Signer(key["verifying_key_b64_api_key"], key["seed_b64_api_secret"], window_ms=window_ms)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda v: f"{v['name']}-{v['key']}")
def test_a_vector_is_signed_exactly(vector):
    """The string, the signature and the headers."""
    params = vector["query"] or vector["body"]
    instruction, at, window = (vector[k] for k in ("instruction", "timestamp_ms", "window_ms"))
    assert signing_string(instruction, params, at, window) == vector["signing_string"]
    headers = signer(vector["key"], window).headers(instruction, params, timestamp_ms=at)
    assert headers["X-Signature"] == vector["signature_b64"]
    if "headers" in vector:
        assert headers == vector["headers"]


def test_a_subscription_is_signed_with_four_strings():
    """Numbers in the signature field are a parse error at the venue."""
    vector = next(v for v in VECTORS["vectors"] if v["name"] == "ws_subscribe")
    fields = signer(vector["key"]).subscribe_signature(timestamp_ms=vector["timestamp_ms"])
    assert fields[1] == vector["signature_b64"]
    assert all(isinstance(field, str) for field in fields)
    assert fields[2:] == [str(vector["timestamp_ms"]), "5000"]


@pytest.mark.parametrize("captured", VECTORS["captured_from_ccxt_on_loopback"])
def test_a_captured_signature_is_the_same(captured):
    """What another client put on the wire."""
    assert signer(captured["key"]).sign(captured["signing_string"]) == captured["signature_b64"]


@pytest.mark.parametrize("case", VECTORS["negative"], ids=lambda c: c["name"])
def test_wrong_strings_are_never_built(case):
    """Unsorted, True, seconds, no window, no instruction."""
    content = dict(pair.split("=", 1) for pair in case["correct_signing_string"].split("&"))
    instruction, at, window = (content.pop(k) for k in ("instruction", "timestamp", "window"))
    built = signing_string(instruction, content, int(at), int(window))
    assert built == case["correct_signing_string"] != case["bad_signing_string"]


def test_values_are_signed_raw():
    """Reserved characters are not encoded."""
    case = VECTORS["divergences"][0]
    text = signing_string("orderExecute", case["body"], 1750793021519, 5000)
    assert text == case["raw_string"]


def test_a_float_is_refused():
    """A float may print an exponent, which the venue does not verify."""
    with pytest.raises(ConfigError, match="price: cannot sign a float"):
        signing_string("orderExecute", {"price": 1e-9}, 1, 5000)


@pytest.mark.parametrize("form", ["seed_hex", "seed_b64_api_secret", "keypair64_b64"])
def test_every_usual_form_of_the_secret_is_read(form):
    """Hex, base64, and seed with public key."""
    assert parse_seed(KEY[form]) == bytes.fromhex(KEY["seed_hex"])


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("not a key!", "neither base64 nor hex"),
        ("käse", "neither base64 nor hex"),
        ("AAEC", "3 bytes long"),
        (base64.b64encode(bytes(range(32)) * 2).decode(), "second half is not"),
    ],
)
def test_a_bad_secret_is_refused_without_quoting_it(secret, message):
    """The error says what is wrong and not what was given."""
    with pytest.raises(ConfigError, match=message) as caught:
        parse_seed(secret)
    assert secret not in str(caught.value)


def test_keys_that_are_no_pair_are_refused():
    """Two keys of two accounts."""
    with pytest.raises(ConfigError, match="not the public key"):
        Signer(OTHER["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])


@pytest.mark.parametrize("window_ms", [0, 60_001])
def test_a_window_outside_the_venues_limits_is_refused(window_ms):
    """1 ms to a minute."""
    with pytest.raises(ConfigError, match="window_ms"):
        signer("seed_00_1f", window_ms)


def test_the_secret_is_in_no_representation():
    """Logs show a signer without its key."""
    assert KEY["seed_b64_api_secret"] not in repr(signer("seed_00_1f"))


def test_a_credentials_file_is_read(tmp_path):
    """The sandbox writes the same form."""
    path = tmp_path / "api_key.json"
    pair = (KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    path.write_text(json.dumps(dict(zip(("api_key", "private_key"), pair, strict=True))))
    assert read_credentials(path) == pair
    assert Signer.from_file(path, clock=lambda: 1.5).now_ms() == 1500


@pytest.mark.parametrize("content", ["", "[]", '{"api_key": "x"}', '{"api_key": 1}'])
def test_a_damaged_credentials_file_is_named(tmp_path, content):
    """Place and remedy, no content."""
    path = tmp_path / "api_key.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"api_key\.json: must be a JSON object"):
        Signer.from_file(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Signer.from_file(tmp_path / "missing.json")
