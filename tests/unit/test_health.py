"""health()."""

import math

import pytest

from backpack_feed.counters import FeedCounters
from backpack_feed.health import assess
from backpack_feed.process.status import DropWatch


def snapshot(ages=None, *, private=False, heard=(), down=0.0, **counts):
    counters = FeedCounters(**counts)
    for symbol in heard:
        counters.message("l2_book", symbol, 1.0)
    return counters.snapshot(
        symbol_snapshot_age=ages or {}, private_authenticated=private, socket_down_seconds=down
    )


def test_young_books_are_healthy():
    """Every book within the limit: healthy, and no reasons."""
    verdict = assess(snapshot({"SOL-USDC": 29.9}), max_snapshot_age_seconds=30)
    assert verdict.healthy
    assert verdict.reasons == ()


def test_one_old_book_is_named_with_its_age():
    """The reason says which book, how old, the limit, and where to look."""
    verdict = assess(snapshot({"A": 1.0, "B": 31.25}, heard="AB"), max_snapshot_age_seconds=30)
    assert not verdict.healthy
    (reason,) = verdict.reasons
    assert reason.startswith("B: no book update for 31.2 s (limit 30 s): the stream fell silent")
    assert "/api/v1/depth" in reason


def test_a_stream_that_never_spoke_is_told_from_one_that_fell_silent():
    """The remedy is another one: the market may be closed, or the venue out of reach."""
    (reason,) = assess(snapshot({"B": 31.25}), max_snapshot_age_seconds=30).reasons
    assert reason.startswith("B: no book update for 31.2 s (limit 30 s) and no message since the")
    assert "market is open" in reason


def test_nan_age_is_never_healthy():
    """NaN compares false with everything and must not pass."""
    assert not assess(snapshot({"A": math.nan})).healthy


def test_a_socket_that_is_down_is_unhealthy_after_the_limit_even_without_books():
    """A feed of trades only has no book whose age would tell."""
    assert assess(snapshot(down=30.0), max_snapshot_age_seconds=30).healthy
    (reason,) = assess(snapshot(down=30.5), max_snapshot_age_seconds=30).reasons
    assert reason.startswith("socket: down for 30.5 s (limit 30 s): check that this host reaches")


@pytest.mark.parametrize(
    ("refused", "words"),
    [(0, "not authenticated yet: wait"), (2, "the venue refused 2 signatures: run python -m")],
)
def test_unsigned_private_streams_are_unhealthy_only_when_wanted(refused, words):
    """A feed without credentials is not blamed for having no private stream."""
    assert assess(snapshot()).healthy
    (reason,) = assess(snapshot(auth_failures=refused), private_expected=True).reasons
    assert reason.startswith("private streams: not authenticated")
    assert words in reason
    assert assess(snapshot(private=True), private_expected=True).healthy


def test_a_drop_is_a_reason_for_as_long_as_the_limit():
    """The count stays for ever, so only its growth says that something is wrong now."""
    drops = DropWatch()
    drops.see(0, 100.0)
    assert drops.reasons(100.0, 30.0) == ()
    drops.see(3, 110.0)
    drops.see(3, 120.0)
    (reason,) = drops.reasons(120.0, 30.0)
    assert reason.startswith("3 messages dropped since the start, the last 10 s ago: a frame was")
    assert drops.reasons(141.0, 30.0) == ()
