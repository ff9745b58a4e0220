"""REST answers: the venue's two body formats and its caching headers."""

from collections.abc import Mapping
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
TRY_LATER: Final = "Unknown error, please check your request or try again later."
MISS: Final = "Miss from cloudfront"


class ErrorCode(StrEnum):
    """Every code that a JSON error may carry: ApiErrorCode of the venue's own description."""

    ACCOUNT_DEACTIVATED = "ACCOUNT_DEACTIVATED"
    ACCOUNT_LIQUIDATING = "ACCOUNT_LIQUIDATING"
    BORROW_LIMIT = "BORROW_LIMIT"
    BORROW_REQUIRES_LEND_REDEEM = "BORROW_REQUIRES_LEND_REDEEM"
    FORBIDDEN = "FORBIDDEN"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    INSUFFICIENT_SUPPLY = "INSUFFICIENT_SUPPLY"
    INVALID_ASSET = "INVALID_ASSET"
    INVALID_CLIENT_REQUEST = "INVALID_CLIENT_REQUEST"
    INVALID_MARKET = "INVALID_MARKET"
    INVALID_ORDER = "INVALID_ORDER"
    INVALID_PRICE = "INVALID_PRICE"
    INVALID_POSITION_ID = "INVALID_POSITION_ID"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    INVALID_RANGE = "INVALID_RANGE"
    INVALID_SIGNATURE = "INVALID_SIGNATURE"
    INVALID_SOURCE = "INVALID_SOURCE"
    INVALID_SYMBOL = "INVALID_SYMBOL"
    INVALID_TWO_FACTOR_CODE = "INVALID_TWO_FACTOR_CODE"
    LEND_LIMIT = "LEND_LIMIT"
    LEND_REQUIRES_BORROW_REPAY = "LEND_REQUIRES_BORROW_REPAY"
    MAINTENANCE = "MAINTENANCE"
    MAX_LEVERAGE_REACHED = "MAX_LEVERAGE_REACHED"
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    ORDER_LIMIT = "ORDER_LIMIT"
    POSITION_LIMIT = "POSITION_LIMIT"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    SERVER_ERROR = "SERVER_ERROR"
    TIMEOUT = "TIMEOUT"
    TOO_EARLY = "TOO_EARLY"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    TRADING_PAUSED = "TRADING_PAUSED"
    UNAUTHORIZED = "UNAUTHORIZED"


def json_answer(
    body: Any,
    *,
    status: int = 200,
    cache: str = NO_CACHE,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A JSON body, compact, with the edge's headers; `headers` come on top."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": cache, "X-Cache": MISS, **(headers or {})},
    )


def text_answer(text: str, *, status: int = 200) -> web.Response:
    """A plain text body: bare values, parser errors and unknown paths."""
    return web.Response(text=text, status=status, headers={"X-Cache": MISS})


def no_content(cache: str) -> web.Response:
    """204: the market is known, but there is nothing to tell of it."""
    return web.Response(
        status=204,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": cache, "X-Cache": MISS},
    )


def paging_headers(total: int, limit: int, offset: int) -> dict[str, str]:
    """What a paged answer says of its page; pages count from 0."""
    size = max(1, limit)
    return {
        "X-PAGE-COUNT": str(-(-total // size)),
        "X-CURRENT-PAGE": str(offset // size),
        "X-PAGE-SIZE": str(limit),
        "X-TOTAL": str(total),
    }


def json_error(status: int, code: ErrorCode, message: str) -> web.Response:
    """An error that the application itself raises."""
    return json_answer({"code": code, "message": message}, status=status)


def invalid_request(message: str) -> web.Response:
    """The application refuses what the parser took."""
    return json_error(400, ErrorCode.INVALID_CLIENT_REQUEST, message)


def unknown_symbol() -> web.Response:
    """No such market."""
    return invalid_request("Invalid market symbol")


def closed_market() -> web.Response:
    """The market exists but has no book."""
    return json_error(404, ErrorCode.RESOURCE_NOT_FOUND, "Not Found")


def refused(refusal: Refusal) -> web.Response:
    """A signed request that does not hold."""
    return invalid_request(refusal.value)


def unavailable() -> web.Response:
    """Overload or maintenance: 503 from the edge, in HTML."""
    page = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
    return web.Response(
        text=page,
        status=503,
        content_type="text/html",
        headers={"X-Cache": "Error from cloudfront"},
    )


def maintenance() -> web.Response:
    """503 of the application itself; whether an order was taken is not known."""
    return json_error(503, ErrorCode.MAINTENANCE, TRY_LATER)


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


def wrong_method() -> web.Response:
    """The path is an endpoint, but not of this method. Not recorded: the framework's own words."""
    return text_answer("405 method not allowed", status=405)
