"""REST answers: the venue's two body formats and its caching headers."""

from enum import StrEnum
from typing import Any, Final

import msgspec
from aiohttp import web

from backpack_sandbox.account.signing import Refusal

PUBLIC_CACHE: Final = "public, s-maxage={}, stale-while-revalidate={}, stale-if-error=3600"
MARKETS_CACHE: Final = PUBLIC_CACHE.format(300, 600)
TRADES_CACHE: Final = PUBLIC_CACHE.format(5, 5)
TICKERS_CACHE: Final = PUBLIC_CACHE.format(20, 10)
KLINES_CACHE: Final = PUBLIC_CACHE.format(60, 120)
MARK_PRICES_CACHE: Final = PUBLIC_CACHE.format(1, 3)
NO_CACHE: Final = 'no-cache="Set-Cookie"'


class ErrorCode(StrEnum):
    """The codes of JSON errors that the sandbox uses."""

    INVALID_CLIENT_REQUEST = "INVALID_CLIENT_REQUEST"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"


def json_answer(body: Any, *, status: int = 200, cache: str = NO_CACHE) -> web.Response:
    """A JSON body, compact, with the edge's headers. Every answer here is a cache miss."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": cache, "X-Cache": "Miss from cloudfront"},
    )


def text_answer(text: str, *, status: int = 200) -> web.Response:
    """A plain text body: bare values, parser errors and unknown paths."""
    return web.Response(text=text, status=status, headers={"X-Cache": "Miss from cloudfront"})


def json_error(status: int, code: ErrorCode, message: str) -> web.Response:
    """An error that the application itself raises."""
    return json_answer({"code": code, "message": message}, status=status)


def unknown_symbol() -> web.Response:
    """No such market."""
    return json_error(400, ErrorCode.INVALID_CLIENT_REQUEST, "Invalid market symbol")


def closed_market() -> web.Response:
    """The market exists but has no book."""
    return json_error(404, ErrorCode.RESOURCE_NOT_FOUND, "Not Found")


def refused(refusal: Refusal) -> web.Response:
    """A signed request that does not hold."""
    return json_error(400, ErrorCode.INVALID_CLIENT_REQUEST, refusal.value)


def unavailable() -> web.Response:
    """Overload or maintenance: 503 from the edge, in HTML."""
    page = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
    return web.Response(
        text=page,
        status=503,
        content_type="text/html",
        headers={"X-Cache": "Error from cloudfront"},
    )


def too_many_requests(retry_after_seconds: int) -> web.Response:
    """The rate limit; its body was never recorded, nor was a Retry-After."""
    refusal = json_error(429, ErrorCode.TOO_MANY_REQUESTS, "Too many requests")
    refusal.headers["Retry-After"] = str(retry_after_seconds)
    return refusal


def unparsable(parameter: str, reason: str) -> web.Response:
    """A parameter that the parser refuses: plain text, not JSON."""
    return text_answer(f"failed to parse parameter `{parameter}`: {reason}", status=400)


def unknown_path() -> web.Response:
    """Not an endpoint."""
    return text_answer("404 not found", status=404)
