"""The way out for processes outside Airflow: a POST to the URL in a mounted file."""

import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from feed_migration.notices.channel import Channel
from feed_migration.notices.notice import Notice, json_values, slack_text
from feed_migration.notices.outlet import Outlet, Send, SendFailed

# To connect, and between two bytes; a server that drips is cut off by the sender's thread's end
TIMEOUT_SECONDS = 5.0
_MAX_URL = 2048


def outlets_outside(channels: Iterable[Channel]) -> tuple[Outlet, ...]:
    """Return the channels that are reached without Airflow."""
    return tuple(
        Outlet(name=channel.name, kinds=channel.kinds, send=_sender(channel, channel.url_file))
        for channel in channels
        if channel.url_file is not None
    )


def _sender(channel: Channel, url_file: Path) -> Send:
    body: Callable[[Notice], dict[str, Any]] = json_values
    if channel.kind == "slack":
        body = _slack_body

    def send(notice: Notice, /) -> None:
        post(read_url(url_file), body(notice))

    return send


def _slack_body(notice: Notice) -> dict[str, Any]:
    return {"text": slack_text(notice), "unfurl_links": False}


def read_url(path: Path) -> str:
    """Return the URL in a file, which only its owner may read; raises SendFailed without it."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o007:
            raise SendFailed(f"{path}: everybody can read it, chmod o-rwx")
        url = path.read_text(encoding="utf-8")[:_MAX_URL].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SendFailed(f"{path}: cannot be read ({type(error).__name__})") from None
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(map(str.isspace, url)):
        # not with the value: it is the secret
        raise SendFailed(f"{path}: holds no http(s) URL")
    return url


def post(url: str, body: dict[str, Any]) -> None:
    """POST `body` as JSON; raises SendFailed unless it is taken (2xx). Redirects are refusals."""
    try:
        with requests.post(
            url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as reply:
            status = reply.status_code
    except requests.RequestException as error:
        raise SendFailed(type(error).__name__) from None
    if not requests.codes.ok <= status < requests.codes.multiple_choices:
        raise SendFailed(f"status {status}")
