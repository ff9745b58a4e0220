"""`backpack-feed sign`: vectors and the requests of users, without ever showing a secret."""

import json

import pytest

from backpack_feed.cli import main
from tests.support.backpack_fixtures import DIRECTORY, load_fixture

VECTORS = load_fixture("signing_vectors")
KEY = VECTORS["keys"]["seed_00_1f"]


@pytest.fixture
def credentials(tmp_path):
    path = tmp_path / "api_key.json"
    pair = {"api_key": KEY["verifying_key_b64_api_key"], "private_key": KEY["seed_b64_api_secret"]}
    path.write_text(json.dumps(pair))
    return path


def test_every_vector_matches(capsys):
    """String, signature and match, for people and for machines."""
    path = str(DIRECTORY / "signing_vectors.json")
    assert main(["sign", path]) == 0
    shown = capsys.readouterr().out
    assert main(["sign", "--json", path]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(record["match"] for record in records)
    for vector in VECTORS["vectors"]:
        assert vector["signing_string"] in shown
        assert vector["signature_b64"] in shown
        assert any(r.get("signature") == vector["signature_b64"] for r in records)


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_no_secret_of_the_file_is_shown(capsys, flag):
    """Neither as base64 nor as hex."""
    main(["sign", *flag, str(DIRECTORY / "signing_vectors.json")])
    shown = capsys.readouterr().out
    for forms in VECTORS["keys"].values():
        for form in ("seed_hex", "seed_b64_api_secret", "keypair64_b64"):
            assert forms[form] not in shown


def test_requests_of_a_user_are_signed_with_a_credentials_file(tmp_path, credentials, capsys):
    """The same signatures as the vectors of that key."""
    vectors = [v for v in VECTORS["vectors"] if v["key"] == "seed_00_1f"]
    keys = ("instruction", "method", "path", "query", "body", "timestamp_ms", "window_ms")
    path = tmp_path / "requests.json"
    path.write_text(json.dumps([{key: vector[key] for key in keys} for vector in vectors]))
    assert main(["sign", "--json", "--credentials", str(credentials), str(path)]) == 0
    out = capsys.readouterr().out
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["signature"] for r in records] == [v["signature_b64"] for v in vectors]
    assert KEY["seed_b64_api_secret"] not in out


def test_one_request_without_a_time_is_signed_for_now(tmp_path, credentials, capsys):
    """A single object will do."""
    path = tmp_path / "request.json"
    path.write_text('{"instruction": "balanceQuery"}')
    assert main(["sign", "--credentials", str(credentials), str(path)]) == 0
    assert "X-Signature: " in capsys.readouterr().out


BAD_REQUESTS = [
    ('{"instruction": "x", "price": 1}', "unknown field `price`"),
    ('[{"instruction": "x", "body": {"price": 1.5}}]', "request 0 (x): price: cannot sign a float"),
    ('{"instruction": "x", "query": {"a": 1}, "body": {"b": 2}}', "signs only one of them"),
    ('{"instruction": "x", "window_ms": 70000}', "window_ms"),
    ('"x"', "is no file of requests"),
    ("[]", "is no file of requests"),
    ("nonsense", "is not JSON"),
]


@pytest.mark.parametrize(("content", "words"), BAD_REQUESTS)
def test_a_bad_request_is_refused_in_one_line(tmp_path, credentials, capsys, content, words):
    """Exit 2 with place and remedy."""
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert main(["sign", "--credentials", str(credentials), str(path)]) == 2
    refusal = capsys.readouterr().err
    assert words in refusal
    assert refusal.count("\n") == 1


def test_requests_need_credentials(tmp_path, capsys):
    """The remedy is named."""
    path = tmp_path / "request.json"
    path.write_text('{"instruction": "balanceQuery"}')
    assert main(["sign", str(path)]) == 2
    assert "add --credentials FILE" in capsys.readouterr().err


@pytest.mark.parametrize("alter", ["signature_b64", "signing_string"])
def test_a_wrong_vector_is_exit_1(tmp_path, capsys, alter):
    """A mismatch with an expectation in the file."""
    content = json.loads(json.dumps(VECTORS))
    content["vectors"][0][alter] = "wrong"
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(content))
    assert main(["sign", str(path)]) == 1
    assert (
        f"vector rest_no_params (rfc8032_test1): {alter} should be wrong" in capsys.readouterr().out
    )


def test_an_unusable_key_is_refused_without_being_quoted(tmp_path, capsys):
    """Exit 2 with the place of the key."""
    content = json.loads(json.dumps(VECTORS))
    content["keys"]["seed_00_1f"]["seed_b64_api_secret"] = "c2VjcmV0"
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(content))
    assert main(["sign", str(path)]) == 2
    refusal = capsys.readouterr().err
    assert "keys.seed_00_1f.seed_b64_api_secret" in refusal
    assert "c2VjcmV0" not in refusal
