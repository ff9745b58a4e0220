"""Every kind of refusal is the error that says what to do."""

import json
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict

from backpack_feed.errors import (
    AuthenticationError,
    BlockedError,
    ConfigError,
    FatalError,
    NoContentError,
    NotFoundError,
    RateLimitedError,
    RetryableError,
    UnavailableError,
    VenueError,
)
from backpack_feed.wire.rest_errors import (
    MESSAGE_LIMIT,
    RETRY_AFTER_LIMIT_SECONDS,
    refusal,
    retry_after_seconds,
)

NOW = datetime(2026, 10, 1, 23, 33, 20, tzinfo=UTC).timestamp()


def refused(status, body="", **headers):
    body = body if isinstance(body, bytes) else body.encode()
    return refusal("/api/v1/depth", status, CIMultiDict(headers), body, lambda: NOW)


def coded(code, message="words"):
    return json.dumps({"code": code, "message": message})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, coded("INVALID_CLIENT_REQUEST", "Invalid market symbol"), VenueError),
        (400, coded("INVALID_SIGNATURE"), AuthenticationError),
        (400, coded("INVALID_CLIENT_REQUEST", "Request has expired"), AuthenticationError),
        (401, "request has expired", AuthenticationError),
        (401, "", AuthenticationError),
        (403, coded("FORBIDDEN"), VenueError),
        (403, "<html><head><title>403</title></head></html>", BlockedError),
        (404, coded("RESOURCE_NOT_FOUND", "Not Found"), NotFoundError),
        (404, "404 not found", NotFoundError),
        (204, "", NoContentError),
        (202, "", VenueError),
        (302, "", VenueError),
        (400, coded("TOO_MANY_REQUESTS"), RateLimitedError),
        (429, b"\xff\xfe", RateLimitedError),
        (400, coded("MAINTENANCE"), UnavailableError),
        (408, "", UnavailableError),
        (500, coded("SERVER_ERROR"), UnavailableError),
        (502, "<!DOCTYPE HTML><title>Bad gateway</title>", UnavailableError),
        (503, "", UnavailableError),
        (599, "null", UnavailableError),
        (400, '{"code": null, "message": 7}', VenueError),
        (400, "[" * 100_000, VenueError),
        (418, "{}", VenueError),
    ],
)
def test_status_code_and_text_decide_together(status, body, kind):
    """Neither of them alone is enough."""
    assert type(refused(status, body)) is kind


def test_only_what_may_pass_later_is_retryable():
    """A caller that knows only the base classes does the right thing."""
    for status in (429, 500, 503, 408):
        assert isinstance(refused(status), RetryableError)
    for status in (204, 302, 400, 401, 403, 404):
        assert isinstance(refused(status), FatalError)
    assert not issubclass(ConfigError, RetryableError)


def test_the_words_of_the_venue_are_one_short_printable_line():
    """They go to logs and terminals."""
    error = refused(400, "a\x1b[2J\nb" + "c" * 5_000)
    assert error.message.startswith("a [2J bccc")
    assert len(error.message) <= MESSAGE_LIMIT
    assert error.message.isprintable()
    assert refused(502, "<html><title>\n502 Bad\n Gateway </title>").args == (
        "/api/v1/depth: venue answered 502: 502 Bad Gateway",
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 30 "}, 30.0),
        ({"retry-after": "30"}, 30.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "9" * 400}, RETRY_AFTER_LIMIT_SECONDS),
        ({"Retry-After": "Thu, 01 Oct 2026 23:33:50 GMT"}, 30.0),
        ({"Retry-After": "Thu, 01 Oct 2026 23:33:50"}, 30.0),
        ({"Retry-After": "Thu, 01 Oct 2026 23:33:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 01 Oct 2027 23:33:00 GMT"}, RETRY_AFTER_LIMIT_SECONDS),
        (
            {
                "Retry-After": "Thu, 01 Oct 2026 20:00:09 GMT",
                "Date": "Thu, 01 Oct 2026 20:00:00 GMT",
            },
            9.0,
        ),
        ({"Retry-After": "Thu, 99 Oct 2026 23:33:50 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers, seconds):
    """Seconds or an HTTP date, which the answer's own Date dates; nonsense is ignored."""
    assert retry_after_seconds(CIMultiDict(headers), lambda: NOW) == seconds


def test_a_refusal_carries_the_time_to_wait():
    """For a caller that waits itself."""
    assert refused(429, **{"Retry-After": "7"}).retry_after_seconds == 7
    assert refused(503).retry_after_seconds is None
