"""health()."""

import math

from backpack_feed.health import assess


def snapshot(ages, *, private=False):
    return {"symbol_snapshot_age": ages, "private_authenticated": private}


def test_young_books_are_healthy():
    """Every book within the limit: healthy, and no reasons."""
    verdict = assess(snapshot({"SOL-USDC": 29.9}), max_snapshot_age_seconds=30)
    assert verdict.healthy
    assert verdict.reasons == ()


def test_one_old_book_is_named_with_its_age():
    """The reason says which book, how old, and the limit."""
    verdict = assess(snapshot({"A": 1.0, "B": 31.25}), max_snapshot_age_seconds=30)
    assert not verdict.healthy
    assert verdict.reasons == ("B: no book update for 31.2 s (limit 30 s)",)


def test_nan_age_is_never_healthy():
    """NaN compares false with everything and must not pass."""
    assert not assess(snapshot({"A": math.nan})).healthy


def test_unsigned_private_streams_are_unhealthy_only_when_wanted():
    """A feed without credentials is not blamed for having no private stream."""
    assert assess(snapshot({})).healthy
    verdict = assess(snapshot({}), private_expected=True)
    assert verdict.reasons == ("private streams: not authenticated",)
    assert assess(snapshot({}, private=True), private_expected=True).healthy
