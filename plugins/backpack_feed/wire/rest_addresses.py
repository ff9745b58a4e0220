"""Where requests may go: one venue, through one proxy at most. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

import aiohttp

from backpack_feed.addresses import is_address
from backpack_feed.errors import ConfigError

_HOST = re.compile(r"[0-9a-z]([0-9a-z._-]*[0-9a-z])?|[0-9a-f:.]*:[0-9a-f:.]*", re.ASCII)
"""A name, an IPv4 or an IPv6 address: nothing that two parsers of addresses read differently."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP(S) proxy; the password is in no representation."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def base_url(url: str) -> str:
    """Return https://host[:port] without a trailing slash; raises `ConfigError` for anything else.

    A path, a query or a user name would let a setting send signed requests elsewhere.
    """
    parts = urlsplit(url) if is_address(url, "https") else None
    if parts is None or not _is_bare(parts):
        shown = "" if "@" in url else f" {url}"  # it may carry a password
        raise ConfigError(f"rest_url:{shown} must be https://host[:port]")
    return f"https://{parts.netloc.rstrip(':')}"


def proxy_of(url: str | None) -> Proxy | None:
    """Read http(s)://[user:password@]host[:port]; raises `ConfigError`, which never quotes it."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in ("http", "https") or port == 0 or not _is_bare(parts):
        raise ConfigError("proxy: must be http(s)://[user:password@]host[:port]")
    if parts.username is None:
        return Proxy(f"{parts.scheme}://{host}", {})
    try:
        authorization = aiohttp.encode_basic_auth(
            unquote(parts.username), unquote(parts.password or "")
        )
    except ValueError:
        raise ConfigError("proxy: its user name must not contain a colon") from None
    return Proxy(f"{parts.scheme}://{host}", {"Proxy-Authorization": authorization})


def _is_bare(parts: SplitResult) -> bool:
    return (
        _HOST.fullmatch(parts.hostname or "") is not None
        and parts.path in ("", "/")
        and not (parts.query or parts.fragment)
    )
