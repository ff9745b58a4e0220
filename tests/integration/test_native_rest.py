"""The REST client against a scripted venue: typed answers, typed refusals, patience."""

import json
import time
import traceback
from decimal import Decimal

import pytest
from aiohttp import web

from backpack_feed.constants import USER_AGENT
from backpack_feed.errors import (
    AuthenticationError,
    BlockedError,
    ConfigError,
    DecodeError,
    NoContentError,
    NotFoundError,
    RateLimitedError,
    RetryableError,
    StaleAnswerError,
    UnavailableError,
    VenueError,
)
from backpack_feed.native.trade_backfill import trades_since
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.signing import Signer
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.backpack_fixtures import load_fixture
from tests.support.rest_client import Time, client_of
from tests.support.scripted_venue import rest_trade, scripted_venue

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
EXCHANGES = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}
REFUSALS = {
    "depth_unknown_symbol": VenueError,
    "depth_closed_market": NotFoundError,
    "unknown_path": NotFoundError,
    "markPrices_unknown": VenueError,
    "market_unknown": VenueError,
    "order_payload_parse": VenueError,
    "order_would_take": VenueError,
    "ticker_no_data": NoContentError,
    "order_cancel_accepted": VenueError,
    "depth_bad_limit": VenueError,
    "bad_signature": AuthenticationError,
    "expired_request": AuthenticationError,
    "bad_timestamp": AuthenticationError,
    "rate_limited": RateLimitedError,
    "rate_limited_html": RateLimitedError,
    "maintenance_503": UnavailableError,
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


def cached(age: int, body: str = "[]") -> web.Response:
    return web.Response(text=body, headers={"Age": str(age), "X-Cache": "Hit from cloudfront"})


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
    usdc = (await rest.capital())["USDC"]
    assert (usdc.available, usdc.locked, usdc.staked) == (Decimal(1), Decimal(0), Decimal(0))
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
    instruction = "balanceQuery" if kind is AuthenticationError else None
    with pytest.raises(kind) as caught:
        await rest.get(path, instruction=instruction)
    assert type(caught.value) is kind
    assert venue.asked(path) == (4 if issubclass(kind, RetryableError) else 1)
    if isinstance(caught.value, VenueError):
        said = EXCHANGES[name].get("json") or {"message": EXCHANGES[name]["text"]}
        assert caught.value.status == EXCHANGES[name]["status"]
        assert caught.value.code == said.get("code", "")
        assert caught.value.message == said["message"]


def test_every_recorded_refusal_has_its_error():
    """Nothing but 200 is an answer."""
    assert {name for name, e in EXCHANGES.items() if e["status"] != 200} == set(REFUSALS)


READERS = {
    "/api/v1/markets": lambda rest, query: rest.markets(),
    "/api/v1/depth": lambda rest, query: rest.depth(query["symbol"]),
    "/api/v1/trades": lambda rest, query: rest.trades(query["symbol"]),
    "/api/v1/time": lambda rest, query: rest.time_ms(),
    "/api/v1/status": lambda rest, query: rest.status(),
    "/api/v1/capital": lambda rest, query: rest.capital(),
}
READABLE = [
    name
    for name, exchange in EXCHANGES.items()
    if exchange["status"] == 200 and exchange["request"]["path"] in READERS
]


@pytest.mark.parametrize("name", READABLE)
async def test_a_recorded_answer_is_read(venue, rest, name):
    """With the headers of the edge, drifted fields included."""
    exchange = EXCHANGES[name]
    path, query = exchange["request"]["path"], exchange["request"]["query"]
    headers = {k: v for k, v in exchange["headers"].items() if k != "Content-Type"}
    recorded = answer(exchange)
    recorded.headers.update(headers)
    venue.failures[path] = [recorded]
    assert await READERS[path](rest, query)
    assert venue.asked(path) == 1
    assert rest.counters.stale_answers == 0


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


@pytest.mark.parametrize("name", ["expired_request", "bad_timestamp"])
async def test_a_refused_time_is_corrected_once(venue, rest, name):
    """The host's clock is wrong: it is compared with the venue's, and the request signed anew."""
    venue.clock_ahead_seconds = 90
    venue.failures["/api/v1/capital"] = [answer(EXCHANGES[name])]
    assert await rest.capital()
    first, second = (r for r in venue.rest_requests if r.path == "/api/v1/capital")
    ahead_ms = int(second.headers["X-Timestamp"]) - int(first.headers["X-Timestamp"])
    assert 89_000 < ahead_ms < 95_000
    venue.failures["/api/v1/capital"] = [answer(EXCHANGES[name]) for _ in range(3)]
    with pytest.raises(AuthenticationError):
        await rest.capital()
    assert venue.asked("/api/v1/capital") == 4


async def test_a_refused_signature_never_shows_the_secret(venue, caplog):
    """Neither the error nor the client nor the log of the connection."""
    caplog.set_level("DEBUG")
    secrets = [KEY["seed_b64_api_secret"], KEY["seed_hex"], KEY["keypair64_b64"]]
    for secret in secrets:
        signer = Signer(KEY["verifying_key_b64_api_key"], secret)
        venue.failures["/api/v1/capital"] = [answer(EXCHANGES["bad_signature"])]
        async with client_of(venue, signer=signer) as rest:
            with pytest.raises(AuthenticationError) as caught:
                await rest.capital()
            told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            told += f"{rest} {vars(rest)} {vars(rest._transport)}"
        assert [s for s in secrets if s in told + caplog.text] == []


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


async def test_a_stale_answer_is_asked_for_past_the_cache(venue, rest):
    """During an outage of the origin the edge answers 200 from an hour ago."""
    venue.trades = [rest_trade(2), rest_trade(1)]
    venue.failures["/api/v1/trades"] = [cached(3000)]
    assert [trade.trade_id for trade in await rest.trades("SOL_USDC")] == [1, 2]
    first, second = venue.rest_requests
    assert set(second.query) - set(first.query) == {"_"}
    assert rest.counters.stale_answers == 1
    venue.failures["/api/v1/trades"] = [cached(3000)]
    await rest.trades("SOL_USDC")
    assert venue.rest_requests[-1].query["_"] != second.query["_"]


@pytest.mark.parametrize("path_past", [cached(3100), web.Response(status=503)])
async def test_an_answer_that_stays_stale_is_an_error(venue, rest, path_past):
    """Old trades would look like a quiet market; what the age was is told."""
    venue.failures["/api/v1/trades"] = [cached(3000), path_past]
    with pytest.raises(StaleAnswerError, match="3000 s old") as caught:
        await rest.trades("SOL_USDC")
    assert caught.value.age_seconds == 3000
    assert venue.asked("/api/v1/trades") == 2


async def test_old_markets_are_better_than_none_and_say_so(venue, rest):
    """The caller decides; a row that cannot be read is counted."""
    body = json.dumps([*venue.rows, {"symbol": 1}])
    venue.failures["/api/v1/markets"] = [cached(3000, body), web.Response(status=503)]
    listed = await rest.markets_answer()
    assert [row.symbol for row in listed.rows] == ["SOL_USDC", "BTC_USDC_PERP"]
    assert (listed.unreadable, listed.age_seconds, listed.stale) == (1, 3000, True)
    fresh = await rest.markets_answer()
    assert (fresh.unreadable, fresh.age_seconds, fresh.stale) == (0, 0, False)


async def test_a_blocked_address_is_not_hammered(venue, rest):
    """The edge's 403 page says nothing about the request: later, but not at once."""
    page = "<!DOCTYPE html><html><head><title>403 Forbidden</title></head></html>"
    venue.failures["/api/v1/depth"] = [
        web.Response(status=403, text=page, content_type="text/html")
    ]
    with pytest.raises(BlockedError, match="403: 403 Forbidden"):
        await rest.depth("SOL_USDC")
    assert venue.asked("/api/v1/depth") == 1


async def test_a_body_is_bounded_also_when_it_is_compressed(venue, rest):
    """40 MB of zeros in a few kilobytes."""
    bomb = web.Response(body=b" " * 40_000_000)
    bomb.enable_compression()
    venue.failures["/api/v1/depth"] = [bomb]
    with pytest.raises(DecodeError, match="answered more than 33554432 bytes"):
        await rest.depth("SOL_USDC")


async def test_the_clock_is_compared_with_the_venues(venue, rest):
    """Half of the round trip is taken off, and a signer can follow."""
    venue.clock_ahead_seconds = 30
    drift = await rest.clock_drift(time.time)
    assert abs(drift.ms + 30_000) <= drift.uncertainty_ms + 1
    rest.signer.follow(drift)
    assert abs(rest.signer.now_ms() - (time.time() + 30) * 1000) < 1000


@pytest.mark.parametrize("body", ["", "x", "1.5", "-1", "9" * 5000])
async def test_a_clock_that_is_no_number_is_a_decode_error(venue, rest, body):
    """Also one that is too long to be a time."""
    venue.failures["/api/v1/time"] = [web.Response(text=body)]
    with pytest.raises(DecodeError, match="not answer with a number"):
        await rest.time_ms()


async def test_history_pages_reach_back_to_a_trade(venue, rest):
    """5,000 trades in six pages, joined by id."""
    venue.trades = [rest_trade(i) for i in range(1, 7001)]
    found = await trades_since(rest, "SOL_USDC", 2001)
    assert [trade.trade_id for trade in found.trades] == list(range(2001, 7001))
    assert found.reached
    assert venue.asked("/api/v1/trades/history") == found.pages - 1 == 5
    uncached = [request.query["_"] for request in venue.rest_requests]
    assert len(set(uncached)) == found.pages


async def test_the_sandbox_pages_alike(tmp_path):
    """Back to the first trade that it has; an unknown market is refused as on the venue."""
    config = SandboxConfig(state_dir=tmp_path / "sandbox", paused=True)
    async with Sandbox(config) as venue, client_of(venue) as rest:
        venue.advance(20)
        newest = await rest.trades("SOL_USDC")
        found = await trades_since(rest, "SOL_USDC", 1)
        assert found.trades == newest
        assert found.ended
        first = newest[0].trade_id
        assert (await trades_since(rest, "SOL_USDC", first + 1)).trades == newest[1:]
        with pytest.raises(VenueError, match="Invalid market symbol"):
            await trades_since(rest, "NOPE", 1)


async def test_the_sandboxs_outages_have_their_errors(tmp_path):
    """An HTML 503 and a 429 with Retry-After, and everything as before when they are over."""
    config = SandboxConfig(state_dir=tmp_path / "sandbox", paused=True)
    ticks = Time()
    settings = {"attempts": 2, "monotonic": ticks.monotonic, "sleep": ticks.sleep}
    async with Sandbox(config) as venue, client_of(venue, **settings) as rest:
        venue.faults.add("rest_503", user_agent="backpack-feed*")
        with pytest.raises(UnavailableError, match="/api/v1/depth: venue answered 503"):
            await rest.depth("SOL_USDC")
        venue.faults.clear()
        venue.faults.add("rest_429", user_agent="backpack-feed*")
        with pytest.raises(RateLimitedError) as caught:
            await rest.depth("SOL_USDC")
        assert caught.value.retry_after_seconds == 1
        venue.faults.clear()
        before = ticks.now
        assert (await rest.depth("SOL_USDC")).bids
        assert ticks.now == before + 1
