"""`python -m tools.backpack_auth_check`: one sentence per check, no secret, honest exit status."""

import asyncio
import base64
import json
import time

import pytest
from aiohttp import web

from tests.support.backpack_fixtures import load_fixture
from tests.support.connect_proxy import connect_proxy
from tests.support.scripted_venue import scripted_venue
from tools.backpack_auth_check import main

KEYS = load_fixture("signing_vectors")["keys"]
KEY, OTHER = KEYS["seed_00_1f"], KEYS["rfc8032_test1"]
SECRETS = [KEY["seed_b64_api_secret"], KEY["seed_hex"], KEY["keypair64_b64"]]


@pytest.fixture
async def sandbox(tmp_path):
    from backpack_sandbox import Sandbox, SandboxConfig

    async with Sandbox(SandboxConfig(state_dir=tmp_path / "sandbox", paused=True)) as venue:
        yield venue


async def check(venue, credentials, clock=time.time, *more):
    arguments = ["--credentials", str(credentials), "--rest-url", venue.rest_url]
    arguments += ["--ca-file", str(venue.ca_file), *more]
    return await asyncio.to_thread(main, arguments, clock)


def credentials(tmp_path, api_key, private_key):
    path = tmp_path / "api_key.json"
    path.write_text(json.dumps({"api_key": api_key, "private_key": private_key}))
    return path


def verdicts(capsys) -> dict[str, bool]:
    lines = capsys.readouterr().out.splitlines()
    assert not any(secret in line for secret in SECRETS for line in lines)
    return {line[5:].partition(":")[0]: line.startswith("ok") for line in lines}


async def test_usable_credentials_pass_every_check(sandbox, capsys):
    """Exit 0 only if all four hold."""
    assert await check(sandbox, sandbox.api_key_file) == 0
    assert verdicts(capsys) == dict.fromkeys(
        ["key format", "key pair", "clock", "signed request"], True
    )


async def test_a_key_that_the_venue_does_not_know_fails_only_there(sandbox, capsys, tmp_path):
    """A well formed pair of another account."""
    path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    assert await check(sandbox, path) == 1
    out = capsys.readouterr().out
    assert [line[5:19] for line in out.splitlines() if line.startswith("FAIL")] == [
        "signed request"
    ]
    assert "not registered at the venue, or was revoked: create or enable it there" in out
    assert KEY["seed_b64_api_secret"] not in out


@pytest.mark.parametrize("form", ["seed_hex", "keypair64_b64", "seed_b64_api_secret"])
async def test_every_form_of_the_secret_is_understood(tmp_path, capsys, form):
    """Hex, base64, and 64 bytes."""
    async with scripted_venue(tmp_path) as venue:
        path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY[form])
        assert await check(venue, path) == 0
    assert all(verdicts(capsys).values())


SEED = bytes.fromhex(KEY["seed_hex"])
LENGTH = (
    "FAIL key format: private_key: is {} bytes long: give base64 or hex of 32 (seed) or 64 bytes."
)
UNUSABLE = {
    "an api key that is neither encoding": (
        "nonsense!", KEY["seed_b64_api_secret"],
        "FAIL key format: api_key: is neither base64 nor hex: copy it again.",
    ),
    "a secret that is neither encoding": (
        KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"].rstrip("="),
        "FAIL key format: private_key: is neither base64 nor hex: copy it again.",
    ),
    "a secret that is too short": (
        KEY["verifying_key_b64_api_key"], "AAEC",
        LENGTH.format(3),
    ),
    "a secret that is a byte too long": (
        KEY["verifying_key_b64_api_key"], base64.b64encode(SEED + b"x").decode(),
        LENGTH.format(33),
    ),
    "an api key that is too long": (
        KEY["keypair64_b64"], KEY["seed_b64_api_secret"],
        "FAIL key format: api_key: is 64 bytes long: give base64 or hex of 32 bytes.",
    ),
    "halves of two pairs": (
        KEY["verifying_key_b64_api_key"], base64.b64encode(SEED * 2).decode(),
        "FAIL key format: private_key: its second half is not the public key of its first half.",
    ),
    "keys of two accounts": (
        OTHER["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"],
        "FAIL key pair: api_key: is not the public key of private_key: take both of one key.",
    ),
    "swapped keys": (
        KEY["seed_b64_api_secret"], KEY["verifying_key_b64_api_key"],
        "FAIL key pair: api_key: is the private key, and private_key the public one: swap them.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("api_key", "private_key", "sentence"), UNUSABLE.values(), ids=list(UNUSABLE)
)
async def test_unusable_keys_fail_in_one_sentence_and_the_clock_is_still_told(
    tmp_path, capsys, api_key, private_key, sentence
):
    """Nothing is signed with them."""
    async with scripted_venue(tmp_path) as venue:
        assert await check(venue, credentials(tmp_path, api_key, private_key)) == 1
        assert venue.asked("/api/v1/capital") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sentence in lines
    assert [line[:11] for line in lines if line.startswith("ok  ")][-1] == "ok   clock:"
    assert lines[-1] == "FAIL signed request: not tried, because the keys are unusable."
    assert [secret for secret in SECRETS for line in lines if secret in line] == []


@pytest.mark.parametrize(("seconds", "way"), [(3600, "ahead of"), (-3600, "behind")])
async def test_a_drifting_clock_fails(sandbox, capsys, seconds, way):
    """Its amount and direction are told, and the signed request fails with it."""
    clock = lambda: time.time() + seconds  # noqa: E731
    assert await check(sandbox, sandbox.api_key_file, clock) == 1
    out = capsys.readouterr().out
    assert "FAIL clock: this host is 36000" in out or "FAIL clock: this host is 3599" in out
    assert way in out
    assert "FAIL signed request: the venue answered 400" in out


REJECTIONS = {
    "Invalid signature": (400, "INVALID_CLIENT_REQUEST", "the key is not registered at the venue"),
    "Request has expired": (400, "INVALID_CLIENT_REQUEST", "synchronise this host's clock (NTP)."),
    "Invalid timestamp": (400, "INVALID_CLIENT_REQUEST", "synchronise this host's clock (NTP)."),
    "No such key": (401, "UNAUTHORIZED", "the key is not registered at the venue"),
    "Not from this address": (403, "FORBIDDEN", "403 FORBIDDEN: Not from this address."),
    "Closed": (400, "ACCOUNT_DEACTIVATED", "400 ACCOUNT_DEACTIVATED: Closed."),
    "Too many requests": (429, "TOO_MANY_REQUESTS", "try again later."),
    "Later": (503, "MAINTENANCE", "try again later."),
}


@pytest.mark.parametrize("message", REJECTIONS)
async def test_what_the_venue_says_is_told_with_the_remedy(tmp_path, capsys, message):
    """Its status, code and words."""
    status, code, remedy = REJECTIONS[message]
    body = {"code": code, "message": message}
    answers = [web.json_response(body, status=status) for _ in range(2)]
    line = await last_line(tmp_path, capsys, answers)
    assert line.startswith("FAIL signed request: ")
    assert f"venue answered {status} {code}: {message}" in line
    assert remedy in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("request\x1b[31m has\nexpired", "400 without a code: request [31m has expired"),
        ("<html><title>Bad Request</title>", "400 without a code: Bad Request"),
        ("", "400 without a code."),
    ],
)
async def test_words_of_the_venue_cannot_forge_lines(tmp_path, capsys, text, told):
    """Plain text and pages become one printable line."""
    line = await last_line(tmp_path, capsys, [web.Response(status=400, text=text)])
    assert told in line


@pytest.mark.parametrize("text", ["[]", "<html>", '{"USDC": {"available": "many"}}'])
async def test_balances_that_cannot_be_read_fail(tmp_path, capsys, text):
    """A page with status 200 is not the venue's consent."""
    line = await last_line(tmp_path, capsys, [web.Response(text=text)])
    assert line.startswith("FAIL signed request: the venue answered something unreadable (")


async def last_line(tmp_path, capsys, answers):
    """The verdict on usable credentials when `/capital` gives these answers."""
    async with scripted_venue(tmp_path) as venue:
        venue.failures["/api/v1/capital"] = list(answers)
        path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
        assert await check(venue, path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    return lines[-1]


async def test_an_unreachable_venue_fails_in_words(tmp_path, capsys):
    """No traceback."""
    async with scripted_venue(tmp_path) as venue:
        path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    assert await check(venue, path) == 1
    lines = capsys.readouterr().out.splitlines()
    host = venue.rest_url.removeprefix("https://")
    for name, line in zip(("clock", "signed request"), lines[2:], strict=True):
        assert line.startswith(f"FAIL {name}: {host} cannot be reached: check --rest-url")


async def test_an_untrusted_certificate_fails_in_words(tmp_path, capsys):
    """Whose certificate, and which option."""
    path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    async with scripted_venue(tmp_path) as venue:
        arguments = ["--credentials", str(path), "--rest-url", venue.rest_url]
        assert await asyncio.to_thread(main, arguments) == 1
        assert venue.rest_requests == []
    host = venue.rest_url.removeprefix("https://")
    line = (
        f"FAIL clock: the certificate of {host} is not trusted: check --ca-file and who is there."
    )
    assert line in capsys.readouterr().out.splitlines()


async def test_the_check_goes_through_a_proxy(tmp_path, capsys):
    """As the feed does."""
    path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    async with scripted_venue(tmp_path) as venue, connect_proxy("me:pa55") as proxy:
        assert await check(venue, path, time.time, "--proxy", proxy.url("me:pa55")) == 0
        assert proxy.tunnels
        assert await check(venue, path, time.time, "--proxy", proxy.url("me:wr0ng")) == 1
    out = capsys.readouterr().out
    assert "the proxy answered 407" in out
    assert "pa55" not in out
    assert "wr0ng" not in out


@pytest.mark.parametrize("content", ["", "{", '{"api_key": "x"}'])
async def test_a_damaged_file_is_named(tmp_path, capsys, content):
    """And nothing of what it holds."""
    path = tmp_path / "api_key.json"
    path.write_text(content)
    async with scripted_venue(tmp_path) as venue:
        assert await check(venue, path) == 1
        assert await check(venue, tmp_path / "missing.json") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"FAIL key format: {path}: must be a JSON object with the strings")
    assert lines[3].startswith(f"FAIL key format: {tmp_path / 'missing.json'}: cannot be read: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--credentials", "x", "--rest-url", "http://127.0.0.1"],
        ["--credentials", "x", "--rest-url", "https://[::1"],
        ["--credentials", "x", "--rest-url", "https://127.0.0.1/api"],
        ["--credentials", "x", "--ca-file", "/does/not/exist"],
        ["--credentials", "x", "--proxy", "socks5://127.0.0.1:1"],
    ],
)
def test_wrong_usage_is_exit_two(arguments, capsys):
    """As every command line tool does."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err
