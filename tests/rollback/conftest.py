"""A fleet at 50 % that is to go back, its journal, and the spool beside it."""

import io

import pytest

from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import breach


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "journal.spool.jsonl", io.StringIO())


@pytest.fixture
def exposed(journal):
    """A fleet at 50 % whose gate has just said Rollback."""
    fleet = MemoryFleet()
    return fleet, breach(journal, fleet)
