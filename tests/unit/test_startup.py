"""What is imported at the start is no business of the garbage collector."""

import gc
import weakref

import pytest

from backpack_feed.process.startup import imports_kept


class Node:
    """Something that refers to itself."""

    def __init__(self):
        self.me = self


@pytest.fixture(autouse=True)
def thawed():
    """The collector as it was, for the tests to come."""
    yield
    gc.unfreeze()
    gc.enable()


def test_what_the_start_leaves_behind_is_not_walked_through():
    """It is there for good; garbage of later is collected as ever."""
    with imports_kept():
        assert not gc.isenabled()
        early = Node()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(one is early for one in gc.get_objects())
    late = Node()
    gone = weakref.ref(late)
    del late
    gc.collect()
    assert gone() is None


def test_a_start_that_fails_leaves_the_collector_at_work():
    """As a refusal in the middle of the imports does."""
    with pytest.raises(ImportError), imports_kept():
        raise ImportError
    assert gc.isenabled()
