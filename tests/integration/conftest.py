"""Fixtures that several integration tests share."""

import pytest

from tests.support.supervised_fleet import supervised_fleet


@pytest.fixture(scope="module")
def supervised():
    """A real supervisord with small real processes, started once per file."""
    with supervised_fleet() as fleet:
        yield fleet


@pytest.fixture
def running(supervised):
    """The shared fleet, back in its first state: all on ccxt, nothing broken, no epoch."""
    supervised.reset()
    return supervised
