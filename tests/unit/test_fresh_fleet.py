"""What a preflight says of a fleet that is not as it must be: each thing once."""

from feed_migration.fleet.fresh import on_another_feed
from tests.support.memory_fleet import MemoryFleet


def test_a_fleet_on_ccxt_is_fresh():
    """Nothing to say."""
    assert on_another_feed(MemoryFleet().instances()) == ()


def test_the_instances_are_named_once_and_many_are_counted():
    """In one line, whatever the size of the fleet; what is not ready is said elsewhere."""
    fleet = MemoryFleet(25)
    fleet.variant.update(dict.fromkeys(list(fleet.variant)[1:], "native"))
    fleet.never_ready = {"feed-01"}
    (words,) = on_another_feed(fleet.instances())
    assert words.startswith("feed-02, feed-03, ")
    assert words.endswith(", feed-21 and 3 more on native already")
