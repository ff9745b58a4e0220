"""A guard without the signing key, in whose journal the others sign: it guards all the same."""

import pytest

import feed_migration.guard.reverting as guards
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.guard_stage import BLIND_LIMIT_SECONDS, STEP, Stage


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Half of the fleet on native; Airflow has a state directory of its own, with the key."""
    home, airflow = tmp_path / "guard", tmp_path / "airflow"
    home.mkdir()
    airflow.mkdir()
    stage = Stage(home)
    stage.goes_to(STEP)
    make_key(AuditPlace.of(airflow, {}), since=stage.journal.events()[-1].seq + 1)
    clock = stage.clock
    stage.journal = Journal(stage.deployment.journal_url, home=airflow, clock=lambda: clock.unix)
    stage.says("step_started", step=STEP, run="1")
    monkeypatch.setattr(guards, "open_fleet", lambda _: stage.fleet)
    return stage


def breached(stage):
    stage.says("verdict", step=STEP, run="1", decision="Rollback", at_seconds=3.0, reasons=[])


def test_it_says_at_once_that_it_can_write_nothing(stage, caplog):
    """With what is missing; and once, not at every round."""
    guard = stage.guard()
    for _ in range(3):
        guard.poll()
    assert caplog.text.count("can write none of it") == 1
    assert "BACKPACK_AUDIT_KEY_FILE" in caplog.text
    assert guard.health.journal_silent_seconds == 0
    assert guard.health.lease_left_seconds > 0


def test_it_takes_the_fleet_back_once_and_the_log_stays_whole(stage):
    """Its events wait in the spool; no silence and no second round follows from that."""
    guard = stage.guard()
    guard.poll()
    breached(stage)
    guard.poll()
    assert stage.fleet.native == []
    assert guard.health.reverts == 1
    assert stage.journal.verify().ok
    assert "rollback_verified" in stage.deployment.spool_file.read_text()
    for one in (guard, stage.guard()):
        stage.clock.passes(BLIND_LIMIT_SECONDS + 1)
        one.poll()
        assert one.health.exposed == 0
        assert not one.health.failed_reverts
    assert guard.health.reverts == 1


def test_with_the_key_mounted_the_journal_learns_of_it(stage, tmp_path):
    """The next start absorbs what waited, signed."""
    guard = stage.guard()
    breached(stage)
    guard.poll()
    theirs, ours = AuditPlace.of(tmp_path / "airflow", {}), AuditPlace.of(tmp_path / "guard", {})
    ours.signing_key.parent.mkdir(exist_ok=True)
    ours.signing_key.write_text(theirs.signing_key.read_text())
    stage.guard().poll()
    assert stage.journal.state(stage.migration_id).status is Status.ROLLED_BACK
    assert stage.journal.verify().ok
