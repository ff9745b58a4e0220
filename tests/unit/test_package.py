"""The package's public names."""

import pytest

import backpack_feed


def test_both_feeds_are_exported_by_name():
    """The names that the README promises exist, sorted and complete."""
    assert backpack_feed.__all__ == ["BackpackFeed", "CcxtBackpackFeed"]
    assert set(backpack_feed.__all__) <= set(dir(backpack_feed))
    assert backpack_feed.CcxtBackpackFeed.id == "BACKPACK"
    assert backpack_feed.BackpackFeed.id == "BACKPACK"


def test_an_unknown_name_is_an_attribute_error():
    """Lazy export behaves like any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Feed'"):
        _ = backpack_feed.Feed
