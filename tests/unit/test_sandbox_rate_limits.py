"""How many signed requests an account may make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpack_sandbox.rest.rate_limits import RateLimit, RateLimits


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_histories_have_a_tighter_limit_of_their_own():
    """They count for both; the other endpoints go on."""
    limits = RateLimits(5, 2, Clock())
    assert [limits.admit("trader", history=True) for _ in range(3)] == [True, True, False]
    assert [limits.admit("trader", history=False) for _ in range(4)] == [True, True, True, False]


def test_one_account_does_not_use_up_the_other():
    """Each has its own minute."""
    limits = RateLimits(1, 1, Clock())
    assert limits.admit("house", history=False)
    assert limits.admit("trader", history=False)
    assert not limits.admit("house", history=False)


@pytest.mark.parametrize(("seconds", "admitted"), [(59.9, False), (60.0, True)])
def test_the_minute_slides(seconds, admitted):
    """A request is forgotten 60 seconds after it came."""
    clock = Clock()
    limits = RateLimits(1, 1, clock)
    limits.admit("trader", history=False)
    clock.now += seconds
    assert limits.admit("trader", history=False) is admitted


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 6))
def test_no_minute_ever_has_more_than_the_limit(pauses, limit):
    """Whenever they come, and refusals do not count."""
    clock = Clock()
    rate = RateLimit(limit, clock)
    taken = []
    for pause in pauses:
        clock.now += pause
        if rate.has_room("trader"):
            rate.take("trader")
            taken.append(clock.now)
        else:
            assert len([t for t in taken if t > clock.now - 60]) == limit
        assert len([t for t in taken if t > clock.now - 60]) <= limit
