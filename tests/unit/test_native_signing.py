"""Signatures are the ones on which four other clients agree."""

import base64
import json
import logging
import pickle
import traceback
from decimal import Decimal
from enum import Enum

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from backpack_feed.errors import ConfigError
from backpack_feed.wire.clock_drift import measured_drift
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


def test_the_reference_key_is_the_one_of_the_rfc():
    """RFC 8032, test 1."""
    public = base64.b64decode(signer("rfc8032_test1").api_key)
    assert public.hex() == OTHER["expected_public_key_hex_rfc8032"]


@pytest.mark.parametrize("case", VECTORS["negative"], ids=lambda c: c["name"])
def test_a_wrong_signature_does_not_verify_the_right_request(case):
    """It is a signature, but of another text; ours of the right text is another one."""
    right, wrong = (
        case["correct_signing_string"].encode(),
        base64.b64decode(case["bad_signature_b64"]),
    )
    [made_by] = [
        name
        for name in KEYS
        if signer(name).sign(case["bad_signing_string"]) == case["bad_signature_b64"]
    ]
    verify_key = VerifyKey(base64.b64decode(KEYS[made_by]["verifying_key_b64_api_key"]))
    with pytest.raises(BadSignatureError):
        verify_key.verify(right, wrong)
    verify_key.verify(right, base64.b64decode(signer(made_by).sign(right.decode())))


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
    assert text == case["raw_string"] != case["ccxt_string"]
    made = {name: signer(name).sign(text) for name in KEYS}
    assert case["raw_signature_b64"] in made.values()
    assert case["ccxt_signature_b64"] not in made.values()


def test_every_boolean_is_lower_case():
    """Where another client lower-cases only one of them."""
    case = VECTORS["divergences"][1]
    text = signing_string("orderExecute", case["body"], 1750793021519, 5000)
    assert text == case["correct_string"] == VECTORS["divergences"][2]["ccxt_string"]
    made = {signer(name).sign(text) for name in KEYS}
    assert case["correct_signature_b64"] in made
    assert case["bpx_api_signature_b64"] not in made


def test_a_query_and_a_body_are_sorted_as_one():
    """No endpoint has both; the documents sort, and so do we."""
    case = VECTORS["divergences"][3]
    text = signing_string("x", {"z": 1} | {"a": 2}, 1750793021519, 5000)
    assert text == case["merged_sort_string"]


def test_a_decimal_has_no_exponent():
    """As it stands in the body of the request."""
    body = {"price": Decimal("1E-9"), "quantity": Decimal("1E+4")}
    assert "price=0.000000001&quantity=10000&" in signing_string("orderExecute", body, 1, 5000)


def test_null_values_are_left_out_and_enumerations_are_their_values():
    """Neither `None` nor the name of a Python class is ever signed."""
    body = {"side": Side.BID, "price": None, "postOnly": False}
    text = signing_string("orderExecute", body, 1, 5000)
    assert text == "instruction=orderExecute&postOnly=false&side=Bid&timestamp=1&window=5000"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"instruction": "orderExecute"}, "instruction: is the name of the request"),
        ([{"symbol": "SOL_USDC"}, {"instruction": "x"}], "instruction: is the name of the request"),
        ([], "cannot sign an empty batch"),
        ({"price": Decimal("NaN")}, "price: cannot sign a Decimal"),
        ({"ids": [1]}, "ids: cannot sign a list"),
    ],
)
def test_what_the_venue_could_not_verify_is_refused(params, message):
    """It would come back as "Invalid signature" and nothing more."""
    with pytest.raises(ConfigError, match=message):
        signing_string("orderExecute", params, 1, 5000)


class Side(Enum):
    BID = "Bid"


def test_a_float_is_refused():
    """A float may print an exponent, which the venue does not verify."""
    with pytest.raises(ConfigError, match="price: cannot sign a float"):
        signing_string("orderExecute", {"price": 1e-9}, 1, 5000)


SEED = bytes.fromhex(KEY["seed_hex"])
PUBLIC = base64.b64decode(KEY["verifying_key_b64_api_key"])
SECRET_FORMS = {
    "hex": SEED.hex(),
    "upper hex": SEED.hex().upper(),
    "base64": KEY["seed_b64_api_secret"],
    "pair in base64": KEY["keypair64_b64"],
    "pair in hex": (SEED + PUBLIC).hex(),
    "with a line break": KEY["seed_b64_api_secret"] + "\n",
}


@pytest.mark.parametrize("secret", SECRET_FORMS.values(), ids=SECRET_FORMS)
@pytest.mark.parametrize("api_key", [KEY["verifying_key_b64_api_key"], PUBLIC.hex()])
def test_every_usual_form_of_the_keys_signs_rest_and_subscriptions(secret, api_key):
    """Hex, base64, and seed with public key; the venue is always sent base64."""
    assert parse_seed(secret) == SEED
    vectors = {v["name"]: v for v in VECTORS["vectors"] if v["key"] == "seed_00_1f"}
    at = vectors["rest_no_params"]["timestamp_ms"]
    made = Signer(api_key, secret)
    headers = made.headers("balanceQuery", timestamp_ms=at)
    assert headers == vectors["rest_no_params"]["headers"]
    assert (
        made.subscribe_signature(timestamp_ms=at) == vectors["ws_subscribe"]["frame"]["signature"]
    )


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("not a key!", "neither base64 nor hex"),
        ("käse", "neither base64 nor hex"),
        ("AAEC", "3 bytes long"),
        (SEED.hex()[:-2], "31 bytes long"),
        (base64.b64encode(SEED + b"x").decode(), "33 bytes long"),
        ("", "0 bytes long"),
        (base64.b64encode(bytes(range(32)) * 2).decode(), "second half is not"),
    ],
)
def test_a_bad_secret_is_refused_without_quoting_it(secret, message):
    """The error says what is wrong and not what was given."""
    with pytest.raises(ConfigError, match=message) as caught:
        parse_seed(secret)
    assert not secret or secret not in str(caught.value)


def test_swapped_keys_are_called_swapped():
    """Both are 32 bytes, so only their relation tells."""
    with pytest.raises(ConfigError, match="swap them"):
        Signer(KEY["seed_b64_api_secret"], KEY["verifying_key_b64_api_key"])


def test_keys_that_are_no_pair_are_refused():
    """Two keys of two accounts."""
    with pytest.raises(ConfigError, match="not the public key"):
        Signer(OTHER["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])


@pytest.mark.parametrize("window_ms", [0, -1, 60_001, 5000.5])
def test_a_window_outside_the_venues_limits_is_refused(window_ms):
    """1 ms to a minute."""
    with pytest.raises(ConfigError, match="window_ms"):
        signer("seed_00_1f", window_ms)


CANARY = bytes(range(7, 39))
ENCODINGS = [
    base64.b64encode(CANARY).decode(),
    base64.urlsafe_b64encode(CANARY).decode(),
    base64.b64encode(CANARY).decode().rstrip("="),
    CANARY.hex(),
    str(list(CANARY))[1:-1],
]
"""Every way in which a seed could appear; the last is what a printed bytearray or list has."""


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def leaks(text: str) -> list[str]:
    """The encodings of the canary that `text` has, in either case, and its Python literal."""
    return [e for e in [*ENCODINGS, repr(CANARY)[2:-1]] if e.lower() in text.lower()]


def canary_files(directory):
    """Credentials that are wrong in every way, each with the canary in them."""
    public = base64.b64encode(bytes(SigningKey(CANARY).verify_key)).decode()
    other = KEY["verifying_key_b64_api_key"]
    pairs = [(other, e) for e in ENCODINGS] + [(e, other) for e in ENCODINGS]
    pairs += [(public, e + "x") for e in ENCODINGS] + [(public, e * 2) for e in ENCODINGS]
    texts = [json.dumps({"api_key": a, "private_key": b}) for a, b in pairs]
    texts += [f'{{"private_key": "{e}"' for e in ENCODINGS]
    texts += [f'{{"api_key": "x", "private_key": ["{e}"]}}' for e in ENCODINGS] + ENCODINGS
    for number, text in enumerate(texts):
        path = directory / f"key{number}.json"
        path.write_text(text)
        yield path


def test_a_bad_credentials_file_never_shows_its_secret(tmp_path, caplog):
    """Messages, chained causes and logs, for a seed in five encodings."""
    caplog.set_level("DEBUG")
    refused = 0
    for path in canary_files(tmp_path):
        with pytest.raises(ConfigError) as caught:
            Signer.from_file(path)
        assert leaks(shown(caught.value)) == []
        refused += 1
    assert refused == 35
    assert leaks(caplog.text) == []


def test_a_signer_never_shows_its_secret(caplog):
    """Not printed, not formatted, not in its attributes, not in what it refuses."""
    caplog.set_level("DEBUG")
    public = base64.b64encode(bytes(SigningKey(CANARY).verify_key)).decode()
    made = Signer(public, base64.b64encode(CANARY).decode())
    logging.getLogger("test").warning("%s %r", made, made)
    with pytest.raises(ConfigError) as caught:
        made.headers("orderExecute", {"price": 1.5})
    with pytest.raises(TypeError) as unpicklable:
        pickle.dumps(made)
    sent = f"{made.headers('balanceQuery')} {made.subscribe_signature()}"
    told = [f"{made} {made!r} {vars(made)}", shown(caught.value), shown(unpicklable.value), sent]
    assert leaks(" ".join([*told, caplog.text])) == []


def test_the_signer_follows_the_venues_clock():
    """A host that is 7 s behind signs with the time of the venue."""
    key = (KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    made = Signer(*key, clock=lambda: 1000.0)
    made.follow(measured_drift(999.0, 1001.0, 1_007_000))
    assert made.now_ms() == 1_007_000
    made.follow(measured_drift(999.9, 1000.1, 999_500))
    assert made.now_ms() == 999_500


def test_a_drift_says_amount_direction_and_doubt():
    """Half of the round trip is taken off and told."""
    assert str(measured_drift(10.0, 10.5, 9_250)) == (
        "this host is 1000 ms ahead of the venue, ± 250 ms"
    )
    assert str(measured_drift(10.0, 10.5, 10_260)) == (
        "this host is 10 ms behind the venue, ± 250 ms"
    )


def test_a_credentials_file_is_read(tmp_path):
    """The sandbox writes the same form."""
    path = tmp_path / "api_key.json"
    pair = (KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    path.write_text(json.dumps(dict(zip(("api_key", "private_key"), pair, strict=True))))
    assert read_credentials(path) == pair
    assert Signer.from_file(path, clock=lambda: 1.5).now_ms() == 1500
    path.write_text(json.dumps({"api_key": pair[0], "private_key": pair[1], "id": 7, "tags": []}))
    assert read_credentials(path) == pair


@pytest.mark.parametrize("content", ["", "[]", '{"api_key": "x"}', '{"api_key": 1}'])
def test_a_damaged_credentials_file_is_named(tmp_path, content):
    """Place and remedy, no content."""
    path = tmp_path / "api_key.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"api_key\.json: must be a JSON object"):
        Signer.from_file(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Signer.from_file(tmp_path / "missing.json")
