"""What goes from a log into a document carries no secret and breaks nothing."""

import base64
import random

import pytest

from feed_migration.fleet.log_tail import log_tail
from feed_migration.redaction import MAX_CHARACTERS, redact

SEED = bytes(range(7, 39))
ENCODINGS = {
    "base64": base64.b64encode(SEED).decode(),
    "urlsafe": base64.urlsafe_b64encode(SEED).decode(),
    "unpadded": base64.b64encode(SEED).decode().rstrip("="),
    "hex": SEED.hex(),
    "upper hex": SEED.hex().upper(),
}


@pytest.mark.parametrize("secret", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize(
    "line", ["key {}", "X-Signature: {}", '{{"private_key": "{}"}}', "?signature={}&x=1", "'{}'"]
)
def test_a_key_is_removed_in_every_encoding(secret, line):
    """A 32-byte seed, bare or behind a name."""
    assert secret not in redact(line.format(secret))
    assert "[redacted]" in redact(line.format(secret))


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("line", ["got {} from", "{}", "at /v1/{}.", "[{}]", "'{}'"])
def test_no_key_passes_as_a_path(size, encode, line):
    """Some keys have a separator every few characters, as a path has; none may pass."""
    dice = random.Random(size)
    keys = [encode(dice.randbytes(size)).decode() for _ in range(3000)]
    forms = [form for key in keys for form in (key, key.rstrip("="))]
    assert [form for form in forms if form in redact(line.format(form))] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("password=hunter2 user=ana", "password=[redacted] user=ana"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("redis://bob:pass@10.0.0.1/0", "redis://[redacted]@10.0.0.1/0"),
        ("redis://:pass@10.0.0.1/0", "redis://[redacted]@10.0.0.1/0"),
        ("token: 'a b'", "token: [redacted] b'"),
    ],
)
def test_named_secrets_are_removed_and_the_rest_stays(line, expected):
    """The reader keeps what explains the failure."""
    assert redact(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "2026-10-02 10:15:30 WARNING feed-00 gap on SOL_USDC: expected 1234567890 was 1234567899",
        'File "/opt/backpack/releases/current/plugins/backpack_feed/native/connection.py", line 42',
        "ConnectionResetError: [Errno 104] Connection reset by peer",
        "backpack_feed_symbol_snapshot_age_seconds is 61.2",
        "backpack_feed_symbol_snapshot_age_seconds_m is a name of 43 characters",
        "./releases/2026_10_02/Plugins/backpack_feed/native/book.py",
    ],
)
def test_ordinary_lines_stay_as_they_are(line):
    """Paths, numbers and metric names are no secrets."""
    assert redact(line) == line


def test_control_characters_and_length_are_bounded():
    """A venue that sends escape codes or a megabyte gets one short line."""
    assert redact("a\x1b[31mred\x1b[0m\x00\r\n") == "ared"
    assert len(redact("word " * 10_000)) == MAX_CHARACTERS + 1


def test_the_tail_of_a_log_is_its_last_whole_lines(tmp_path):
    """Also of a file larger than what is read, and of none at all."""
    path = tmp_path / "feed.log"
    path.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert log_tail(path, 3) == ("line 49997", "line 49998", "line 49999")
    path.write_text("only\n")
    assert log_tail(path, 3) == ("only",)
    (reason,) = log_tail(tmp_path / "none.log", 3)
    assert reason == "(no log at none.log: No such file or directory)"
