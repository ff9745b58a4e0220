"""The log of a FeedHandler process."""

import json
import logging

from backpack_feed.process.process_log import JsonLines, secrets_of


def line(message, *arguments, secrets=(), exc_info=None):
    record = logging.LogRecord(
        "backpack_feed.native.feed", logging.WARNING, __file__, 1, message, arguments, exc_info
    )
    return JsonLines(secrets).format(record)


def test_one_record_is_one_json_line_whatever_the_venue_sends():
    """Line breaks and terminal codes from the wire cannot forge a record."""
    text = line("venue said %s", "x\r\n\x1b[31m{}")
    assert "\n" not in text
    assert "\x1b" not in text
    assert json.loads(text)["message"] == "venue said x\r\n\x1b[31m{}"
    assert json.loads(text)["level"] == "warning"


def test_secrets_are_left_out(tmp_path):
    """Whatever the credentials file holds never reaches the log, tracebacks included."""
    path = tmp_path / "api_key.json"
    path.write_text('{"api_key": "PUBLICKEY=", "private_key": "SEED="}')
    error = ValueError("signed with SEED=")
    text = line("PUBLICKEY=", secrets=secrets_of(path), exc_info=(type(error), error, None))
    assert "SEED" not in text
    assert "PUBLICKEY" not in text


def test_the_password_of_a_proxy_is_left_out():
    """As it stands in the address, and as it is."""
    secrets = secrets_of(None, "http://me:p%40ss@proxy:3128")
    assert "p%40ss" not in line("cannot reach me:p%40ss@proxy", secrets=secrets)
    assert "p@ss" not in line("cannot sign in with p@ss", secrets=secrets)


def test_no_credentials_no_secrets(tmp_path):
    """An absent or unreadable file is somebody else's complaint."""
    assert secrets_of(None) == []
    assert secrets_of(tmp_path / "missing.json") == []


def test_long_messages_are_cut():
    """A gigabyte of garbage does not go through the log."""
    assert len(line("x" * 100_000)) < 3_000
