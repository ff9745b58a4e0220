"""The guard's rounds over a real journal, with its clocks in the test's hand and no fleet to reach.

A rollback that it begins is a failed try here, since no supervisor answers.
"""

import pytest
import yaml

from feed_migration import cutover
from feed_migration.deployment import load_deployment
from feed_migration.errors import JournalUnavailable
from feed_migration.gate_record import join_gate
from feed_migration.guard.process import Guard
from feed_migration.guard.reading import START_SECONDS
from feed_migration.journal import Journal
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.plan import load_plan
from tests.support.guard_process import QUICK_PLAN
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import gate

STEP = "cutover-50"
BLIND_LIMIT_SECONDS = 60.0
PLAN = QUICK_PLAN.replace("blind_limit: 5s", f"blind_limit: {BLIND_LIMIT_SECONDS:g}s")


class Clock:
    """Wall and monotonic time, by the second that the test says."""

    def __init__(self) -> None:
        self.unix, self.monotonic = 1_790_000_000.0, 5000.0

    def passes(self, seconds: float) -> None:
        self.unix += seconds
        self.monotonic += seconds


class Stage:
    """One deployment with a migration at 50 %, and guards over it."""

    def __init__(self, home) -> None:
        self.clock = Clock()
        document = {
            "prometheus_url": "http://127.0.0.1:9",
            "fleet": {"kind": "supervisor", "socket": "none.sock", "ready_deadline_seconds": 1},
            "instances": [{"id": f"feed-{i:02}", "url": "http://127.0.0.1:9"} for i in range(4)],
            "venue": {"rest_url": "http://127.0.0.1:9", "ws_url": "ws://127.0.0.1:9"},
        }
        (home / "deployment.yaml").write_text(yaml.safe_dump(document))
        self.plan_path = home / "plan.yaml"
        self.plan_path.write_text(PLAN)
        self.plan = load_plan(self.plan_path)
        self.deployment = load_deployment(home, {})
        self.journal = Journal(
            self.deployment.journal_url, home=home, clock=lambda: self.clock.unix
        )
        self.migration_id = self.journal.begin_migration(
            self.plan.name, self.plan.sha256, "ana", steps=self.plan.steps
        )
        self.fleet = MemoryFleet(4)

    def goes_to(self, name: str) -> None:
        """Take the migration on until `name` has acted, the happy way."""
        for step in self.plan.steps:
            cutover.advance(step, self.plan, self.fleet, self.journal, self.migration_id, "ana")
            if step.name == name:
                return
            if step.gate is not None:
                gate(self.journal, self.migration_id, step.name)
            cutover.promote(step, self.plan, self.journal, self.migration_id, "ana")

    def says(self, kind: str, **body) -> None:
        self.journal.append(kind, migration_id=self.migration_id, actor="ana", body=body)

    def journal_goes_away(self) -> None:
        """Its file cannot be opened from now on: a directory has its name."""
        database = self.deployment.home / "journal.db"
        for path in database.parent.glob("journal.db*"):
            path.unlink()
        database.mkdir()

    def guard(self) -> Guard:
        return Guard(
            self.deployment,
            self.plan_path,
            actor="guard:here",
            clock=lambda: self.clock.unix,
            monotonic=lambda: self.clock.monotonic,
        )


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_a_guard_that_was_stopped_in_the_middle_of_a_round_asks_again(stage, monkeypatch):
    """SIGSTOP between its question and its decision: what it knows is old, not the lease."""
    stage.goes_to(STEP)
    guard, ask = stage.guard(), Journal.lease
    guard.poll()

    def stopped(journal, migration_id):
        lease = ask(journal, migration_id)
        stage.clock.passes(3600.0)
        stage.journal.renew_lease(migration_id, holder="gate", seconds=60.0)
        return lease

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "lease", stopped)
        guard.poll()
    guard.poll()
    assert guard.health.failed_reverts == 0
    assert guard.health.lease_left_seconds == 60.0


def test_a_guard_that_was_stopped_while_it_asked_does_not_call_that_silence(stage, monkeypatch):
    """The server has cut it off meanwhile, so the question fails once, an hour late."""
    stage.goes_to(STEP)
    guard = stage.guard()
    guard.poll()

    def cut_off(*_, **__):
        stage.clock.passes(3600.0)
        raise JournalUnavailable("the connection was closed", "repeat")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "events", cut_off)
        guard.poll()
    assert guard.health.failed_reverts == 0
    assert 0 < guard.health.journal_silent_seconds <= BLIND_LIMIT_SECONDS


def test_a_guard_that_starts_before_the_database_gives_it_time(stage):
    """The host was off for an hour; a journal that then stays away is silent since the copy."""
    stage.goes_to(STEP)
    stage.guard().poll()
    stage.clock.passes(3600.0)
    stage.journal_goes_away()
    guard = stage.guard()
    for _ in range(int(START_SECONDS) - 1):
        guard.poll()
        stage.clock.passes(1.0)
    assert guard.health.failed_reverts == 0
    stage.clock.passes(1.0)
    guard.poll()
    assert guard.health.failed_reverts == 1
    assert guard.health.journal_silent_seconds > 3600.0


def test_a_hold_that_is_resumed_after_hours_is_not_an_expired_lease(stage):
    """Nobody renews one during a hold; who starts the gate again has one from that moment on."""
    stage.goes_to(STEP)
    guard = stage.guard()
    guard.poll()
    stage.says("held", step=STEP, reason="not proven in time")
    guard.poll()
    stage.clock.passes(6 * 3600.0)
    join_gate(
        stage.journal,
        migration_id=stage.migration_id,
        step=STEP,
        key="run#1",
        actor="ana",
        started_unix=stage.clock.unix + 5.0,
    )
    for one in (guard, stage.guard()):
        one.poll()
        assert one.health.failed_reverts == 0
        assert one.health.lease_left_seconds == HANDOVER_SECONDS
