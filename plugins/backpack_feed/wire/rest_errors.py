"""Which error an answer is (protocol section 4.7). Pure.

A refusal is JSON `{"code","message"}`, plain text of the parameter parser, or an HTML page of the
edge in front of the venue. The status alone does not tell which.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import msgspec

from backpack_feed.errors import (
    AuthenticationError,
    BlockedError,
    ConnectionLostError,
    DecodeError,
    FeedError,
    NoContentError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
    UnreachableError,
    UntrustedCertificateError,
    VenueError,
)

HTTP_OK: Final = 200
HTTP_NO_CONTENT: Final = 204
HTTP_UNAUTHORIZED: Final = 401
HTTP_FORBIDDEN: Final = 403
HTTP_NOT_FOUND: Final = 404
HTTP_REQUEST_TIMEOUT: Final = 408
HTTP_TOO_MANY_REQUESTS: Final = 429
HTTP_SERVER_ERROR: Final = 500

MESSAGE_LIMIT: Final = 200
RETRY_AFTER_LIMIT_SECONDS: Final = 3600.0
"""A later time than that is taken for a mistake."""

_SIGNATURE_CODES = frozenset({"INVALID_SIGNATURE", "UNAUTHORIZED"})
_SIGNATURE_MESSAGES = frozenset({"invalid signature", "request has expired", "invalid timestamp"})
_UNAVAILABLE_CODES = frozenset({"MAINTENANCE", "SERVER_ERROR", "TIMEOUT", "TOO_EARLY"})
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)
_HTML = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)


def refusal(
    path: str, status: int, headers: Mapping[str, str], body: bytes, clock: Callable[[], float]
) -> FeedError:
    """Return the error of an answer other than 200; `clock` is unix seconds."""
    code, message, is_page = _read(body)
    text = f"{path}: venue answered {status}" + "".join(f" {word}" for word in (code,) if word)
    text += f": {message}" if message else ""
    if status == HTTP_TOO_MANY_REQUESTS or code == "TOO_MANY_REQUESTS":
        return RateLimitedError(text, retry_after_seconds(headers, clock))
    if status >= HTTP_SERVER_ERROR or status == HTTP_REQUEST_TIMEOUT or code in _UNAVAILABLE_CODES:
        return UnavailableError(text, retry_after_seconds(headers, clock))
    if is_page and status == HTTP_FORBIDDEN:
        return BlockedError(text, retry_after_seconds(headers, clock))
    return _kind(status, code, message)(status, code, message)


def _kind(status: int, code: str, message: str) -> type[VenueError]:
    if status == HTTP_NO_CONTENT:
        return NoContentError
    refused_signature = code in _SIGNATURE_CODES or status == HTTP_UNAUTHORIZED
    if refused_signature or message.strip().rstrip(".").lower() in _SIGNATURE_MESSAGES:
        return AuthenticationError
    if status == HTTP_NOT_FOUND or code == "RESOURCE_NOT_FOUND":
        return NotFoundError
    return VenueError


def _read(body: bytes) -> tuple[str, str, bool]:
    """Return (code, message, whether the body is a page of HTML)."""
    try:
        content = json_object(body)
    except DecodeError:
        pass
    else:
        return _line(content.get("code")), _line(content.get("message")), False
    text = body.decode(errors="replace")
    if not _HTML.match(text):
        return "", _line(text), False
    title = _TITLE.search(text)
    return "", _line(title.group(1) if title else "a page of HTML"), True


def _line(value: object) -> str:
    """One short printable line: bodies go to logs and terminals."""
    text = "" if value is None else str(value)[:MESSAGE_LIMIT]
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def retry_after_seconds(headers: Mapping[str, str], clock: Callable[[], float]) -> float | None:
    """Return how long the venue asks to wait: `Retry-After` in seconds or as an HTTP date.

    A date is compared with the `Date` of the same answer, so that our clock does not matter.
    """
    after = headers.get("Retry-After", "").strip()
    if after.isascii() and after.isdigit():
        return min(float(after[:10]), RETRY_AFTER_LIMIT_SECONDS)
    then = _http_date(after)
    if then is None:
        return None
    now = _http_date(headers.get("Date", ""))
    wait_seconds = then - (clock() if now is None else now)
    return min(max(wait_seconds, 0.0), RETRY_AFTER_LIMIT_SECONDS)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # no date, or one that no calendar has
        return None


def broken_exchange(address: str, error: Exception) -> UnreachableError:
    """Return the error of an exchange that ended without a whole answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        certificate_error = error.certificate_error
        reason = getattr(certificate_error, "verify_message", certificate_error)
        return UntrustedCertificateError(f"{address}: its certificate is not trusted: {reason}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return UnreachableError(f"{address}: the proxy cannot be reached: {error.os_error}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return UnreachableError(f"{address}: the proxy answered {error.status} {error.message}")
    made = not isinstance(error, aiohttp.ClientConnectorError)
    kind = ConnectionLostError if made and isinstance(error, _LOST) else UnreachableError
    # the text alone may be empty, or no more than the address once again
    cause = f"{type(error).__name__}: {error}".removesuffix(": ")
    return kind(f"{address}: {cause}")


def json_object(body: bytes) -> dict[str, Any]:
    """Read a body that must be a JSON object; raises `DecodeError`."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DecodeError("json", "the answer is not a JSON object") from None
