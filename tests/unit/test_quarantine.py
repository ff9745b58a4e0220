"""Poison frames are kept, counted, and logged without flooding or growing."""

from backpack_feed.counters import FeedCounters
from backpack_feed.native import quarantine
from backpack_feed.native.quarantine import LOG_INTERVAL_SECONDS, LOGGED_KINDS, Quarantine


def test_each_kind_is_logged_once_a_minute():
    """Whatever the other kinds do."""
    now = 0.0
    kept = Quarantine(FeedCounters(), lambda: now)
    assert [kept.may_log(kind) for kind in "aabb"] == [True, False, True, False]
    now = LOG_INTERVAL_SECONDS
    assert kept.may_log("a")


def test_names_that_the_venue_invents_take_no_memory(monkeypatch):
    """Beyond the limit they share one entry; a minute later there is room again."""
    monkeypatch.setattr(quarantine, "LOGGED_KINDS", 8)
    now = 0.0
    kept = Quarantine(FeedCounters(), lambda: now)
    assert sum(kept.may_log(str(number)) for number in range(LOGGED_KINDS)) == 9
    assert len(kept._logged_at) == 9
    now = LOG_INTERVAL_SECONDS
    assert kept.may_log("new")
    assert len(kept._logged_at) == 1
