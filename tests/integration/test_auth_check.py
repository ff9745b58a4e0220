"""`python -m tools.backpack_auth_check`: one sentence per check, no secret, honest exit status."""

import asyncio
import json
import time

import pytest

from tests.support.backpack_fixtures import load_fixture
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


async def check(venue, credentials, clock=time.time):
    arguments = ["--credentials", str(credentials), "--rest-url", venue.rest_url]
    arguments += ["--ca-file", str(venue.ca_file)]
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


@pytest.mark.parametrize(
    ("api_key", "private_key", "failed"),
    [
        ("nonsense!", KEY["seed_b64_api_secret"], "key format"),
        (KEY["verifying_key_b64_api_key"], "AAEC", "key format"),
        (OTHER["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"], "key pair"),
    ],
)
async def test_unusable_keys_fail_and_the_clock_is_still_told(
    tmp_path, capsys, api_key, private_key, failed
):
    """Nothing is signed with them."""
    async with scripted_venue(tmp_path) as venue:
        assert await check(venue, credentials(tmp_path, api_key, private_key)) == 1
        assert venue.asked("/api/v1/capital") == 0
    seen = verdicts(capsys)
    assert seen["clock"]
    assert not seen[failed]
    assert not seen["signed request"]


@pytest.mark.parametrize(("seconds", "way"), [(3600, "ahead of"), (-3600, "behind")])
async def test_a_drifting_clock_fails(sandbox, capsys, seconds, way):
    """Its amount and direction are told, and the signed request fails with it."""
    clock = lambda: time.time() + seconds  # noqa: E731
    assert await check(sandbox, sandbox.api_key_file, clock) == 1
    out = capsys.readouterr().out
    assert "FAIL clock: this host is 36000" in out or "FAIL clock: this host is 3599" in out
    assert way in out
    assert "FAIL signed request: the venue answered 400" in out


async def test_an_unreachable_venue_fails_in_words(tmp_path, capsys):
    """No traceback."""
    async with scripted_venue(tmp_path) as venue:
        path = credentials(tmp_path, KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    assert await check(venue, path) == 1
    assert "cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--credentials", "x", "--rest-url", "http://127.0.0.1"],
        ["--credentials", "x", "--rest-url", "https://[::1"],
        ["--credentials", "x", "--ca-file", "/does/not/exist"],
    ],
)
def test_wrong_usage_is_exit_two(arguments, capsys):
    """As every command line tool does."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err
