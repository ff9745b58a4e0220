"""The REST client's patience: Retry-After, budgets, limits, connections that break."""

import time
from email.utils import formatdate

import pytest
from aiohttp import web

from backpack_feed.errors import (
    ConnectionLostError,
    RateLimitedError,
    UnavailableError,
)
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.rest_limits import RequestLimits
from backpack_feed.wire.signing import Signer
from tests.support.backpack_fixtures import load_fixture
from tests.support.rest_client import Time, client_of
from tests.support.scripted_venue import scripted_venue

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
EXCHANGES = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}


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


class Aborted(web.Response):
    """The connection is reset instead of an answer, or in the middle of one."""

    def __init__(self, body: bytes = b"") -> None:
        super().__init__(body=body)

    async def prepare(self, request):
        if not self.body:
            request.transport.abort()
        return await super().prepare(request)

    async def write_eof(self, data=b""):
        await self._payload_writer.write(self.body[:-1])
        self._req.transport.abort()


async def test_a_retry_after_date_is_honoured(venue):
    """An HTTP date, compared with the venue's own clock and not with ours."""
    now = time.time() - 86_400
    headers = {
        "Retry-After": formatdate(now + 7, usegmt=True),
        "Date": formatdate(now, usegmt=True),
    }
    venue.failures["/api/v1/time"] = [web.Response(status=503, headers=headers)]
    ticks = Time()
    async with client_of(venue, monotonic=ticks.monotonic, sleep=ticks.sleep) as rest:
        await rest.time_ms()
    assert sum(ticks.slept) == 7


async def test_every_caller_waits_for_the_time_that_the_venue_named(venue):
    """A pause is the client's, not the request's."""
    venue.failures["/api/v1/time"] = [web.Response(status=429, headers={"Retry-After": "20"})]
    ticks = Time()
    async with client_of(venue, attempts=1, monotonic=ticks.monotonic, sleep=ticks.sleep) as rest:
        with pytest.raises(RateLimitedError) as caught:
            await rest.time_ms()
        assert caught.value.retry_after_seconds == 20
        assert ticks.slept == []
        await rest.depth("SOL_USDC")
    assert sum(ticks.slept) == 20


async def test_a_long_pause_is_told_at_once_and_nothing_is_sent(venue):
    """An hour is not slept away inside a call."""
    venue.failures["/api/v1/time"] = [web.Response(status=429, headers={"Retry-After": "3000"})]
    ticks = Time()
    async with client_of(venue, monotonic=ticks.monotonic, sleep=ticks.sleep) as rest:
        with pytest.raises(RateLimitedError, match="429"):
            await rest.time_ms()
        ticks.now += 1000
        with pytest.raises(RateLimitedError, match="2000 s of silence") as caught:
            await rest.depth("SOL_USDC")
        assert caught.value.retry_after_seconds == 2000
        ticks.now += 2000
        await rest.depth("SOL_USDC")
    assert (venue.asked("/api/v1/time"), venue.asked("/api/v1/depth")) == (1, 1)


async def test_an_outage_does_not_multiply_the_load(venue):
    """100 calls of four attempts each: the client has 60 retries a minute, and no more."""
    venue.failures["/api/v1/depth"] = [web.Response(status=503) for _ in range(1000)]
    ticks = Time()
    async with client_of(venue, monotonic=ticks.monotonic, sleep=ticks.sleep) as rest:
        for _ in range(100):
            with pytest.raises(UnavailableError):
                await rest.depth("SOL_USDC")
        assert venue.asked("/api/v1/depth") == 160
        assert rest.counters.retries == 60
        assert rest.counters.retries_refused == 80
        ticks.now += 60
        with pytest.raises(UnavailableError):
            await rest.depth("SOL_USDC")
    assert venue.asked("/api/v1/depth") == 164


async def test_requests_stay_below_the_venues_limit(venue):
    """The request that would exceed it waits until the minute is over."""
    ticks = Time()
    settings = {"monotonic": ticks.monotonic, "sleep": ticks.sleep}
    async with client_of(venue, limits=RequestLimits(requests_per_minute=5), **settings) as rest:
        for _ in range(5):
            await rest.time_ms()
        assert ticks.slept == []
        await rest.time_ms()
    assert ticks.slept == [60]


async def test_a_reset_connection_is_asked_again_at_once_on_a_new_one(venue):
    """As happens to reused connections now and then; the library repeats nothing behind us."""
    ticks = Time()
    async with client_of(venue, monotonic=ticks.monotonic, sleep=ticks.sleep) as rest:
        await rest.time_ms()
        venue.failures["/api/v1/depth"] = [Aborted()]
        assert (await rest.depth("SOL_USDC")).last_update_id == 1000
        first, second = (r for r in venue.rest_requests if r.path == "/api/v1/depth")
        assert first is not second
        assert ticks.slept == []
        venue.failures["/api/v1/depth"] = [Aborted() for _ in range(10)]
        with pytest.raises(ConnectionLostError, match="ServerDisconnected"):
            await rest.depth("SOL_USDC")
    assert venue.asked("/api/v1/depth") == 2 + 4
    assert len(ticks.slept) == 2
    assert rest.counters.lost_connections == 5


async def test_an_answer_that_is_cut_short_is_asked_for_again(venue, rest):
    """Half a book is no book."""
    venue.failures["/api/v1/depth"] = [Aborted(b'{"asks":[')]
    assert (await rest.depth("SOL_USDC")).last_update_id == 1000
    assert rest.counters.lost_connections == 1
