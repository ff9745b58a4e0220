"""The cache in front of REST: how long it gives an answer, and to whom."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from backpack_sandbox.rest import answers
from backpack_sandbox.rest.cdn import Cdn

HIT, MISS = "Hit from cloudfront", "Miss from cloudfront"
TRADES = "/api/v1/trades?symbol=SOL_USDC"
"""5 s fresh, 5 s more while it revalidates, an hour while the origin fails."""


class Origin:
    """Counts its answers; `failing` makes them 503."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.failing = False
        self.asked = 0
        self.cache = answers.TRADES_CACHE
        self._cdn = Cdn(lambda: self.now)

    async def get(self, path: str = TRADES, method: str = "GET") -> web.Response:
        return await self._cdn.middleware(make_mocked_request(method, path), self._answer)

    async def _answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.failing:
            return answers.unavailable()
        return answers.json_answer({"n": self.asked}, cache=self.cache)


@pytest.fixture
def origin() -> Origin:
    return Origin()


async def test_an_answer_is_kept_for_its_s_maxage(origin):
    """Age counts whole seconds; the headers of the origin stay."""
    first = await origin.get()
    assert (first.body, first.headers["X-Cache"]) == (b'{"n":1}', MISS)
    assert "Age" not in first.headers
    origin.now += 4.5
    second = await origin.get()
    assert (second.body, second.headers["X-Cache"]) == (b'{"n":1}', HIT)
    assert second.headers["Age"] == "4"
    assert second.headers["Cache-Control"] == answers.TRADES_CACHE
    assert second.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_stale_answer_goes_out_once_while_it_is_revalidated(origin):
    """The next client gets the new one."""
    await origin.get()
    origin.now += 7
    stale = await origin.get()
    assert (stale.body, stale.headers["Age"]) == (b'{"n":1}', "7")
    fresh = await origin.get()
    assert (fresh.body, fresh.headers["X-Cache"]) == (b'{"n":2}', HIT)


async def test_after_that_the_origin_answers(origin):
    """Ten seconds are five too many."""
    await origin.get()
    origin.now += 10
    answer = await origin.get()
    assert (answer.body, answer.headers["X-Cache"]) == (b'{"n":2}', MISS)


async def test_an_hour_old_answer_hides_an_outage_and_an_older_one_does_not(origin):
    """The age is the only sign."""
    await origin.get()
    origin.failing = True
    origin.now += 3600
    hidden = await origin.get()
    assert (hidden.status, hidden.headers["Age"]) == (200, "3600")
    origin.now += 5
    assert (await origin.get()).status == 503


async def test_a_unique_parameter_misses(origin):
    """The whole query string is the key, in its order."""
    await origin.get()
    assert (await origin.get(f"{TRADES}&x=1")).headers["X-Cache"] == MISS
    assert (await origin.get(TRADES)).headers["X-Cache"] == HIT


async def test_what_may_not_be_cached_is_not(origin):
    """Neither a depth nor an error nor another method."""
    origin.cache = answers.NO_CACHE
    await origin.get()
    assert (await origin.get()).body == b'{"n":2}'
    origin.failing = True
    assert (await origin.get()).status == 503
    origin.failing, origin.cache = False, answers.TRADES_CACHE
    await origin.get(method="POST")
    assert (await origin.get(method="POST")).headers["X-Cache"] == MISS
