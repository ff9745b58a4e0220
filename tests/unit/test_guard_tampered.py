"""A guard over a journal that somebody has changed: it says so, and goes on guarding."""

import sqlite3
from contextlib import closing

import pytest
from prometheus_client import generate_latest

from feed_migration.guard.audit import LOOK_SECONDS
from feed_migration.guard.metrics import guard_registry
from feed_migration.journal.chain import canonical_json
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.take_back import JOIN_SECONDS
from tests.support.guard_stage import STEP, Stage
from tests.support.migration_plans import gate


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    stage.goes_to(STEP)
    return stage


def forge(stage, seq, **columns):
    """What somebody does who may write the database, and leaves the hashes."""
    with closing(sqlite3.connect(stage.deployment.home / "journal.db")) as database, database:
        database.execute("DROP TRIGGER IF EXISTS events_no_update")
        for name, value in columns.items():
            database.execute(f"UPDATE events SET {name} = ? WHERE seq = ?", (value, seq))  # noqa: S608


def noted(stage):
    """The number of a harmless event, to be forged."""
    stage.says("audit_note", note="x")
    return stage.journal.events()[-1].seq


def exported(stage, guard):
    text = generate_latest(guard_registry(lambda: guard.sight, lambda: stage.clock.unix)).decode()
    return [line for line in text.splitlines() if line.startswith("feed_migration_audit_intact")]


def test_it_says_within_a_minute_that_rows_were_changed(stage, caplog):
    """Also of rows that it has read long ago; once in its log, and in a metric for an alert."""
    seq = noted(stage)
    guard = stage.guard()
    guard.poll()
    assert exported(stage, guard) == ["feed_migration_audit_intact 1.0"]
    forge(stage, seq, actor="eve")
    for _ in range(3):
        stage.clock.passes(LOOK_SECONDS)
        guard.poll()
        assert exported(stage, guard) == ["feed_migration_audit_intact 0.0"]
    assert caplog.text.count(f"event {seq} is the first wrong one") == 1
    assert LOOK_SECONDS < 60.0


def test_a_forged_hold_keeps_no_exposure(stage):
    """Its row does not hash, so the fleet goes back once nobody renews the lease."""
    body = canonical_json({"reason": "x", "step": STEP})
    forge(stage, noted(stage), kind="held", body=body)
    guard = stage.guard()
    guard.poll()
    stage.clock.passes(HANDOVER_SECONDS * 2)
    guard.poll()
    assert guard.health.failed_reverts == 1


def test_a_forged_proof_ends_no_rollback(stage):
    """One that was begun and fell silent is taken over, whatever the row behind it says."""
    stage.says("rollback_started", reason="x", epoch=9, instances={})
    body = canonical_json({"instances": {"feed-00": "ccxt", "feed-01": "ccxt"}})
    forge(stage, noted(stage), kind="rollback_verified", body=body)
    guard = stage.guard()
    guard.poll()
    assert guard.health.exposed == 2
    stage.clock.passes(JOIN_SECONDS + 1.0)
    guard.poll()
    assert guard.health.failed_reverts == 1


def test_a_rollback_verdict_is_heeded_whatever_its_row_looks_like(stage):
    """What takes the fleet back is never waited for."""
    gate(stage.journal, stage.migration_id, STEP, "Rollback")
    forge(stage, stage.journal.events()[-1].seq, actor="eve")
    guard = stage.guard()
    guard.poll()
    assert guard.health.failed_reverts == 1
