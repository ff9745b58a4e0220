"""One GET of a FeedHandler that ends in time, whatever answers at its address.

The time-outs of HTTP clients are for one receive each: a byte every half second passes them all, in
the header as well as in the body. Here every receive has only what is left of the whole.
"""

import ssl
import time
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from typing import cast
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from feed_migration.whole_body import whole_body

_OK = 200


class NotOk(Exception):  # noqa: N818 - reads as the fact it states
    """It answers, but not with a 200; redirects are not followed."""


def get(
    url: str,
    *,
    seconds: float,
    most_bytes: int,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return the body at `url`, without a proxy: the fleet is ours.

    Raises `OSError` (`TimeoutError` after `seconds`), `http.client.HTTPException`, `EndlessReply`,
    or `NotOk`.
    """
    until = monotonic() + seconds
    connection, target = _connection(url, seconds)
    with closing(connection):
        connection.request("GET", target)
        # connected by `request`; its own response would read without an end
        reading = cast("socket", _Receiving(connection.sock, until, monotonic))
        response = HTTPResponse(reading, method="GET")
        with closing(response):
            response.begin()
            if response.status != _OK:
                raise NotOk(f"HTTP {response.status}")
            return whole_body(
                response.read1, most_bytes=most_bytes, seconds=seconds, monotonic=monotonic
            )


def _connection(url: str, seconds: float) -> tuple[HTTPConnection, str]:
    parts = urlsplit(url)
    host, target = parts.hostname or "", parts.path or "/"
    if parts.scheme == "https":
        context = _trust()
        return HTTPSConnection(host, parts.port, timeout=seconds, context=context), target
    return HTTPConnection(host, parts.port, timeout=seconds), target


@lru_cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)


class _Receiving(RawIOBase):
    """The receiving side of a socket until a moment of the monotonic clock."""

    def __init__(self, sock: socket, until: float, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._sock, self._until, self._monotonic = sock, until, monotonic

    def makefile(self, _mode: str) -> BufferedReader:
        """Return itself as the file that a response reads."""
        return BufferedReader(self)

    def readable(self) -> bool:
        """Say that it is for reading."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Receive what there is, in what is left of the time."""
        left = self._until - self._monotonic()
        if left <= 0:
            raise TimeoutError("no time left")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)
