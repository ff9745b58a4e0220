"""The REST client against a scripted venue: typed answers, typed refusals, patience."""

import json
import time

import pytest
from aiohttp import web

from backpack_feed.constants import USER_AGENT
from backpack_feed.errors import (
    AuthenticationError,
    ConfigError,
    DecodeError,
    RetryableError,
    VenueError,
)
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.signing import Signer
from tests.support.backpack_fixtures import load_fixture
from tests.support.scripted_venue import rest_trade, scripted_venue

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
EXCHANGES = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}
REFUSALS = {
    "depth_unknown_symbol": VenueError,
    "depth_closed_market": VenueError,
    "depth_bad_limit": VenueError,
    "bad_signature": AuthenticationError,
    "expired_request": AuthenticationError,
    "bad_timestamp": AuthenticationError,
    "rate_limited": RetryableError,
    "rate_limited_html": RetryableError,
    "maintenance_503": RetryableError,
}


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        yield venue


@pytest.fixture
async def rest(venue):
    signer = Signer(KEY["verifying_key_b64_api_key"], KEY["seed_b64_api_secret"])
    async with BackpackRest(
        venue.rest_url, ca_file=venue.ca_file, signer=signer, jitter=lambda: 0.0
    ) as client:
        yield client


def answer(exchange: dict) -> web.Response:
    content_type = exchange["headers"]["Content-Type"].partition(";")[0]
    text = exchange["text"] if "text" in exchange else json.dumps(exchange["json"])
    return web.Response(status=exchange["status"], text=text, content_type=content_type)


async def test_every_endpoint_is_typed(venue, rest):
    """Markets, depth, trades oldest first, clock, status and the signed balances."""
    venue.trades = [rest_trade(2), rest_trade(1)]
    assert [row.symbol for row in await rest.markets()] == ["SOL_USDC", "BTC_USDC_PERP"]
    assert (await rest.depth("SOL_USDC")).last_update_id == 1000
    assert [trade.trade_id for trade in await rest.trades("SOL_USDC")] == [1, 2]
    assert abs(await rest.time_ms() - time.time() * 1000) < 5_000
    assert await rest.status() == "Ok"
    assert await rest.capital() == {"USDC": {"available": "1", "locked": "0"}}
    by_path = {request.path: request for request in venue.rest_requests}
    assert by_path["/api/v1/depth"].query["limit"] == "1000"
    assert all(r.headers["User-Agent"] == USER_AGENT for r in venue.rest_requests)
    assert "X-Signature" in by_path["/api/v1/capital"].headers
    assert "X-Signature" not in by_path["/api/v1/depth"].headers


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_the_error_that_says_what_to_do(venue, rest, name):
    """JSON, plain text and HTML bodies; only what may pass later is tried again."""
    kind = REFUSALS[name]
    path = "/api/v1/capital" if kind is AuthenticationError else "/api/v1/depth"
    venue.failures[path] = [answer(EXCHANGES[name]) for _ in range(10)]
    call = rest.capital() if kind is AuthenticationError else rest.depth("SOL_USDC")
    with pytest.raises(kind) as caught:
        await call
    assert venue.asked(path) == (4 if kind is RetryableError else 1)
    if isinstance(caught.value, VenueError):
        assert caught.value.status == EXCHANGES[name]["status"]
        assert caught.value.message


async def test_a_passing_failure_is_not_noticed(venue, rest):
    """One 503 and one 429 later the answer is there."""
    venue.failures["/api/v1/depth"] = [web.Response(status=503), web.Response(status=429)]
    assert (await rest.depth("SOL_USDC")).last_update_id == 1000


async def test_retry_after_is_honoured(venue, rest):
    """Nothing is sent before the time that the venue named."""
    venue.failures["/api/v1/time"] = [web.Response(status=429, headers={"Retry-After": "1"})]
    began = time.monotonic()
    await rest.time_ms()
    assert time.monotonic() - began >= 1


async def test_each_attempt_is_signed_anew(venue, rest):
    """A signature that waited may have expired."""
    venue.failures["/api/v1/capital"] = [web.Response(status=503, headers={"Retry-After": "1"})]
    await rest.capital()
    first, second = (r.headers["X-Timestamp"] for r in venue.rest_requests)
    assert int(second) - int(first) >= 1_000


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"lastUpdateId":"1"}'])
async def test_an_unreadable_body_is_a_decode_error(venue, rest, body):
    """A 200 with something else in it is not a book."""
    venue.failures["/api/v1/depth"] = [web.Response(text=body)]
    with pytest.raises(DecodeError):
        await rest.depth("SOL_USDC")


async def test_an_unreachable_venue_is_retryable_and_named(venue):
    """The message says which address was tried."""
    async with BackpackRest("https://127.0.0.1:9", attempts=1) as client:
        with pytest.raises(RetryableError, match=r"127\.0\.0\.1:9/api/v1/time: ClientConnector"):
            await client.time_ms()


async def test_a_redirect_is_not_followed(venue, rest):
    """Signed headers must not travel to another host."""
    elsewhere = {"Location": f"{venue.rest_url}/api/v1/time"}
    venue.failures["/api/v1/status"] = [web.Response(status=302, headers=elsewhere)]
    with pytest.raises(VenueError, match="302"):
        await rest.status()
    assert venue.asked("/api/v1/time") == 0


async def test_a_signed_call_without_credentials_is_a_configuration_error(venue):
    """Before anything is sent."""
    async with BackpackRest(venue.rest_url, ca_file=venue.ca_file) as client:
        with pytest.raises(ConfigError, match="needs credentials"):
            await client.capital()
    assert venue.rest_requests == []
