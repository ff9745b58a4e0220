"""Which fleet the way back is driven over, and what is remembered of it."""

import pytest

from feed_migration.fleet import known as known_fleet
from feed_migration.fleet.choice import open_fleet
from feed_migration.guard.knowledge import Copy, KnowledgeFile, Known
from feed_migration.guard.known_way_back import Memory, open_known, remembered
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.migration_plans import begin
from tests.unit.test_known_fleet import NAMES, deployment


@pytest.fixture
def made(tmp_path):
    """The record of a fleet whose supervisor does not answer, and which nothing was written of."""
    return known_fleet.record(deployment(tmp_path))


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


def known(home, journal_id, **facts):
    path = deployment(home).guard_folder / "known.json"
    said = Known(migration_id=journal_id, status=Status.RUNNING, **facts)
    KnowledgeFile(path).save(Copy(known=said, read_at=1.0))


def test_where_nobody_can_say_who_is_there_nothing_new_is_made(tmp_path, made):
    """Two of one feeder would run once the supervisor is back."""
    edited, opened = deployment(tmp_path, ("feed-a0", *NAMES[1:])), []

    def opening(one):
        opened.append([instance.id for instance in one.instances])
        return open_fleet(one)

    open_known(edited, made, opening)
    assert opened[-1] == list(NAMES)


def test_a_journal_without_the_migration_leaves_it_to_the_copy_of_the_guard(
    tmp_path, journal, made
):
    """Restored from before it began."""
    known(tmp_path, "mig-1", fleet=made, exposed=("feed-00",))
    found = remembered(deployment(tmp_path), journal, "mig-1")
    assert found == Memory(fleet=made, exposed=("feed-00",))


def test_an_exposure_that_the_journal_lost_is_remembered(tmp_path, journal, made):
    """Restored from before the step; of another migration the copy says nothing."""
    migration_id = begin(journal, fleet=made)
    known(tmp_path, migration_id, exposed=("feed-00",))
    assert remembered(deployment(tmp_path), journal, migration_id).exposed == ("feed-00",)
    known(tmp_path, "another", exposed=("feed-00",))
    assert remembered(deployment(tmp_path), journal, migration_id) == Memory(fleet=made)


def test_what_was_taken_back_is_the_business_of_the_deployment_alone(tmp_path, journal, made):
    """A shrunken fleet is none of a later rollback's."""
    migration_id = begin(journal, fleet=made)
    body = {"reason": "x", "epoch": 2, "breach_at": 1.0, "instances": {}}
    journal.append("rollback_started", migration_id=migration_id, actor="ana", body=body)
    body = {"instances": dict.fromkeys(NAMES, "ccxt")}
    journal.append("rollback_verified", migration_id=migration_id, actor="ana", body=body)
    known(tmp_path, migration_id, fleet=made, exposed=("feed-00",))
    assert remembered(deployment(tmp_path), journal, migration_id) == Memory()
