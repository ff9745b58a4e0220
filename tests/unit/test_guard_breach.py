"""What the guard writes down of a breach that its own watch finds: once, and since when."""

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.guard.watch import SETTLE_SECONDS
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.asked_at_once import asked_at_once, passes
from tests.support.guard_stage import STEP, Stage


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    stage.goes_to(STEP)
    return stage


@pytest.fixture
def prometheus(stage, monkeypatch):
    return asked_at_once(stage, monkeypatch)


@pytest.fixture
def stuck(stage, prometheus):
    """A guard whose watch is about to find a breach, and a fleet with an instance that stays down."""
    guard = stage.guard()
    passes(stage, guard, SETTLE_SECONDS + 5.0)
    stage.fleet.never_ready = {"feed-03"}
    prometheus.value = 60.0
    return guard


def verdicts(stage):
    return stage.journal.events(stage.migration_id, "verdict")


def test_a_breach_is_recorded_once_however_often_its_rollback_is_tried(stage, stuck):
    """An instance that never comes up, and a try every ten seconds: one breach is one verdict."""
    before = len(verdicts(stage))
    passes(stage, stuck, 300.0)
    assert stuck.health.failed_reverts > 20
    (found,) = verdicts(stage)[before:]
    assert (found.actor, found.body["decision"]) == ("guard:here", "Rollback")


def test_a_breach_that_the_journal_did_not_take_is_recorded_by_a_later_try(
    stage, stuck, monkeypatch, caplog
):
    """It is told of as often as the tries are."""
    append = Journal.append

    def refused(journal, kind, **more):
        if kind == "verdict":
            raise JournalUnavailable("it is locked", "repeat")
        return append(journal, kind, **more)

    before, began = len(verdicts(stage)), stage.clock.unix
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", refused)
        passes(stage, stuck, 60.0)
    assert stuck.health.failed_reverts > 3
    assert verdicts(stage)[before:] == []
    passes(stage, stuck, 60.0)
    (found,) = verdicts(stage)[before:]
    assert began <= found.body["breach_at"] < began + 20.0
    assert caplog.text.count("is not in the journal") == caplog.text.count("taking ") == 5


@pytest.mark.parametrize("ahead_seconds", [-30.0, 0.0, 30.0])
def test_a_breach_is_dated_by_the_guards_own_clock(stage, prometheus, ahead_seconds):
    """Its rollback counts from it by the same clock, and Prometheus's may be half a minute off."""
    prometheus.ahead_seconds = ahead_seconds
    guard = stage.guard()
    passes(stage, guard, SETTLE_SECONDS + 5.0)
    began = stage.clock.unix
    prometheus.value = 60.0
    passes(stage, guard, 20.0)
    found = verdicts(stage)[-1]
    assert found.body["decision"] == "Rollback"
    assert began <= found.body["breach_at"] <= found.at
    (proof,) = stage.journal.events(stage.migration_id, "rollback_verified")
    took = proof.body["breach_to_rollback_seconds"]
    assert took == pytest.approx(proof.at - found.body["breach_at"], abs=0.001)


def test_a_later_breach_is_a_verdict_of_its_own(stage, prometheus, stuck):
    """The next migration is found bad by the same guard."""
    stage.fleet.never_ready = set()
    passes(stage, stuck, 20.0)
    assert stage.journal.state(stage.migration_id).status is Status.ROLLED_BACK
    prometheus.value = 0.5
    stage.moves_to(stage.journal)
    stage.goes_to(STEP)
    before = len(verdicts(stage))
    passes(stage, stuck, SETTLE_SECONDS + 5.0)
    prometheus.value = 60.0
    passes(stage, stuck, 20.0)
    (found,) = verdicts(stage)[before:]
    assert found.body["decision"] == "Rollback"
