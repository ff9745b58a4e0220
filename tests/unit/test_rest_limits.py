"""The client asks less often than the venue admits, and asks again even less."""

from hypothesis import given
from hypothesis import strategies as st

from backpack_feed.wire.rest_cache import age_seconds, is_stale, past_the_cache
from backpack_feed.wire.rest_limits import (
    HISTORICAL_REQUESTS_PER_MINUTE,
    REQUESTS_PER_MINUTE,
    RequestLimits,
    SlidingWindow,
)


@given(st.integers(1, 20), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_has_more_turns_than_the_limit(limit, steps):
    """Whenever they are asked for, and however many wait at once."""
    window, now, turns = SlidingWindow(limit), 0.0, []
    for step in steps:
        now += step
        turns.append(now + window.book(now))
    assert turns == sorted(turns)
    for first, beyond in zip(turns, turns[limit:], strict=False):
        assert beyond - first >= 60 - 1e-6


def test_a_turn_that_is_not_now_is_not_taken_at_once():
    """And leaves the window as it was."""
    window = SlidingWindow(2)
    assert [window.book_at_once(0.0), window.book_at_once(1.0), window.book_at_once(59.0)] == [
        True, True, False,
    ]  # fmt: skip
    assert window.book_at_once(60.0)
    assert not window.book_at_once(60.5)


def test_the_limits_are_below_those_of_the_venue():
    """2000 a minute, of which 30 for the past."""
    assert REQUESTS_PER_MINUTE < 2000
    assert HISTORICAL_REQUESTS_PER_MINUTE < 30
    limits = RequestLimits()
    historical, _ = limits.turns("/api/v1/trades/history")
    assert limits.turns("/api/v1/klines")[0] is historical
    assert len(limits.turns("/api/v1/trades")) == 1
    waits = [historical.book(0.0) for _ in range(HISTORICAL_REQUESTS_PER_MINUTE + 1)]
    assert waits == [0.0] * HISTORICAL_REQUESTS_PER_MINUTE + [60.0]


def test_a_pause_is_never_shortened():
    """Two answers may ask for different times."""
    limits = RequestLimits()
    assert limits.pause_left(5.0) == 0
    limits.pause(30, now=0.0)
    limits.pause(10, now=5.0)
    assert limits.pause_left(5.0) == 25
    assert limits.pause_left(31.0) == 0


def test_each_endpoint_has_its_own_age():
    """Within s-maxage and stale-while-revalidate, with a margin, nothing is stale."""
    fresh = {"/api/v1/markets": 900, "/api/v1/trades": 10, "/api/v1/openInterest": 10}
    fresh |= {"/api/v1/markPrices": 4, "/api/v1/klines": 180, "/api/v1/tickers": 30}
    uncached = {"/api/v1/depth": 0, "/api/v1/time": 0, "/api/v1/status": 0}
    assert [path for path, age in (fresh | uncached).items() if is_stale(path, age)] == []
    assert [path for path, age in fresh.items() if not is_stale(path, age + 10)] == []
    assert [path for path, age in uncached.items() if not is_stale(path, age + 2)] == []


def test_an_age_that_is_no_number_is_none():
    """The header is absent on answers of the venue itself."""
    headers = [{}, {"Age": "x"}, {"Age": "-5"}, {"Age": " 7 "}]
    assert [age_seconds(h) for h in headers] == [0, 0, 0, 7]


def test_a_query_past_the_cache_was_never_asked():
    """Two of the same instant differ, and what was asked for stays."""
    first, second = (past_the_cache({"symbol": "SOL_USDC"}, lambda: 1.0) for _ in range(2))
    assert first["symbol"] == second["symbol"] == "SOL_USDC"
    assert first["_"] != second["_"]
