"""What was exposed and is not listed any more is taken back or named, never forgotten."""

import pytest

from feed_migration.describing import describe
from feed_migration.errors import ExposedUnlisted, RollbackUnverified
from feed_migration.events import UNPROVEN
from feed_migration.phases import Status
from feed_migration.report.incident import incident_from, render_incident
from tests.rollback.acts import revert, verify


def renamed(fleet, old, new):
    """The fleet as a deployment.yaml shows it that calls `old` another name; `old` runs on."""
    fleet.forgotten.add(old)
    for kept in (fleet.variant, fleet.messages, fleet.restarts):
        kept[new] = kept.pop(old)
    fleet.variant[new] = "ccxt"


def test_an_exposed_instance_that_the_deployment_lost_is_never_taken_for_back(
    journal, spool, exposed
):
    """It is named with the remedy and stays exposed; named again, it comes back."""
    fleet, migration_id = exposed
    renamed(fleet, "feed-00", "feed-a0")
    revert(fleet, journal, migration_id, spool)
    with pytest.raises(RollbackUnverified, match=r"feed-00: was exposed, still is there.*repeat"):
        verify(fleet, journal, migration_id, spool)
    state = journal.state(migration_id)
    assert (state.status, "feed-00" in state.exposed) == (Status.ROLLING_BACK, True)

    renamed(fleet, "feed-a0", "feed-00")
    fleet.variant["feed-00"] = "native"
    revert(fleet, journal, migration_id, spool)
    assert "feed-00" in verify(fleet, journal, migration_id, spool).instances
    assert fleet.native == []


def test_without_a_journal_what_was_exposed_must_be_told(spool, exposed):
    """The guard knows it from its copy."""
    fleet, migration_id = exposed
    renamed(fleet, "feed-00", "feed-a0")
    revert(fleet, None, migration_id, spool)
    with pytest.raises(RollbackUnverified, match="feed-00"):
        verify(fleet, None, migration_id, spool, exposed=("feed-00", "feed-01"))


def test_an_exposed_instance_that_was_removed_altogether_is_gone(journal, spool, exposed):
    """Nothing runs it and nothing would: the proof says so, and the migration is taken back."""
    fleet, migration_id = exposed
    renamed(fleet, "feed-00", "feed-a0")
    fleet.forgotten.clear()
    revert(fleet, journal, migration_id, spool)
    proof = verify(fleet, journal, migration_id, spool)
    assert (proof.gone, "feed-00" in proof.instances) == (("feed-00",), False)
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.events(kind="rollback_verified")[-1].body["gone"] == ["feed-00"]


def test_a_proof_that_lacks_an_exposed_instance_does_not_count(journal, spool, exposed):
    """Of an older version, or of somebody who saw another fleet."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    body = {"instances": {"feed-a0": "ccxt"}}
    journal.append("rollback_verified", migration_id=migration_id, actor="old", body=body)
    state = journal.state(migration_id)
    assert state.status is Status.ROLLING_BACK
    assert "feed-00" in state.exposed


def test_who_cannot_be_proven_is_in_the_audit_log_once(journal, spool, exposed):
    """However often the rollback is tried; without a journal the spool has it, until told again."""
    fleet, migration_id = exposed
    renamed(fleet, "feed-00", "feed-a0")
    revert(fleet, journal, migration_id, spool)
    for _ in range(3):
        with pytest.raises(ExposedUnlisted):
            verify(fleet, journal, migration_id, spool)
    (note,) = [e for e in journal.events(migration_id, "audit_note") if e.body["note"] == UNPROVEN]
    assert note.body["instances"] == ["feed-00"]
    assert describe(note).startswith("NOT proven on ccxt: feed-00: was exposed, still is there")
    for again in (False, True):
        with pytest.raises(ExposedUnlisted):
            verify(fleet, None, migration_id, spool, exposed=("feed-00",), again=again)
    assert spool.path.read_text().count(UNPROVEN) == 1


def test_the_proof_names_who_is_gone_in_every_word_of_it(journal, spool, exposed):
    """A reader must not take the count for the whole fleet that was exposed."""
    fleet, migration_id = exposed
    renamed(fleet, "feed-00", "feed-a0")
    fleet.forgotten.clear()
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)
    events = journal.events(migration_id)
    assert describe(events[-1]).endswith("; feed-00 is not there any more")
    assert "feed-00 is not there any more" in render_incident(incident_from(events))
