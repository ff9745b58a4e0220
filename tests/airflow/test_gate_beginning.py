"""A gate begins by the clock of Prometheus, also where that does not answer at once."""

from dataclasses import replace
from typing import Any

import pytest

from feed_migration.errors import ClockSilent
from feed_migration.gates.record import first_tick_unix, recorded_verdict, standing_of
from feed_migration.model import Decision
from feed_migration.orchestration.place import Place
from feed_migration.phases import Status
from tests.airflow.conftest import Stage
from tests.airflow.half_way import STEP, confirm_half, context_of, fails_for_good, gate_of

PROMETHEUS_UNIX = 1_790_000_000.0
# what the host says: half a minute behind, so that the step is yet to be made by its clock
HOST_BEHIND = 30.0
KEY = "dag/run#0"


class Beginner:
    """A gate's task whose Prometheus answers from `answers_at` on; a look takes no time."""

    def __init__(self, stage: Stage, place: Place, migration_id: str, **changes: Any) -> None:
        self.now, self.answers_at = 100.0, 100.0
        self.stage, self.migration_id = stage, migration_id
        self.leases: list[Any] = []
        gate = place.plan().step(STEP).gate
        assert gate
        self.gate = replace(gate, **changes)

    def clock(self) -> float:
        if self.now < self.answers_at:
            raise ClockSilent(PROMETHEUS_UNIX + self.now - HOST_BEHIND)
        return PROMETHEUS_UNIX + self.now

    def sleep(self, seconds: float) -> None:
        self.leases.append(self.stage.journal.lease(self.migration_id))
        self.now += seconds

    def joins(self, key: str = KEY) -> Any:
        from feed_migration.orchestration.gate_beginning import Beginning

        return Beginning(
            journal=self.stage.journal,
            migration_id=self.migration_id,
            step=STEP,
            gate=self.gate,
            clock=self.clock,
            seen=standing_of(self.stage.journal.events(self.migration_id), STEP),
            monotonic=lambda: self.now,
            sleep=self.sleep,
        ).join(key, "ann")

    def verdict(self, start: Any) -> dict[str, Any] | None:
        return recorded_verdict(self.stage.journal, start)


@pytest.fixture
def beginner(stage: Stage, place: Place, migration_id: str) -> Beginner:
    return Beginner(stage, place, migration_id, blind_limit_seconds=600.0, lease_seconds=40.0)


def test_a_gate_waits_to_be_told_what_time_it_is(beginner: Beginner):
    """By the host's clock its queries would look back to before the step was made."""
    beginner.answers_at = beginner.now + 500.0
    start = beginner.joins()
    assert start.started_unix == first_tick_unix(beginner.gate, beginner.clock())
    assert beginner.verdict(start) is None


def test_the_lease_is_kept_while_it_waits(beginner: Beginner):
    """As by a gate at work, or the guard would take a fleet back that is borne to be blind."""
    beginner.answers_at = beginner.now + 500.0
    beginner.joins()
    assert {(one.holder, one.seconds) for one in beginner.leases} == {(f"gate {STEP}", 40.0)}
    renewed = [one.renewed_at for one in beginner.leases]
    # at a quarter of its length, not at every look
    assert 500.0 / 10.0 - 2 < len(set(renewed)) < 500.0 / 10.0 + 2


@pytest.mark.parametrize("on_blind", [Decision.ROLLBACK, Decision.HOLD])
def test_a_gate_that_is_never_told_ends_as_a_blind_one(
    stage: Stage, place: Place, migration_id: str, on_blind: Decision
):
    """After `blind_limit`, with its verdict in the journal before any tick."""
    beginner = Beginner(stage, place, migration_id, blind_limit_seconds=20.0, on_blind=on_blind)
    beginner.answers_at = beginner.now + 3600.0
    start = beginner.joins()
    assert 120.0 < beginner.now <= 122.0
    verdict = beginner.verdict(start)
    assert verdict is not None
    assert verdict["decision"] == on_blind
    assert "has not said what time it is for 21 s, limit 20 s" in verdict["reasons"][0]["text"]


def test_a_migration_that_is_taken_back_meanwhile_is_not_waited_for(
    stage: Stage, beginner: Beginner, migration_id: str
):
    """Its gate begins, to be ended at once by its trigger: nothing is judged."""
    body = {"reason": "asked for", "epoch": 2, "breach_at": 1.0, "instances": {}}
    stage.journal.append("rollback_started", migration_id=migration_id, actor="bob", body=body)
    beginner.answers_at = beginner.now + 3600.0
    assert beginner.verdict(beginner.joins()) is None
    assert beginner.now == 100.0


def test_a_run_that_has_begun_is_joined_without_a_look(beginner: Beginner):
    """A retry resumes it; its trigger waits for Prometheus, and no worker with it."""
    begun = beginner.joins()
    beginner.answers_at = beginner.now + 3600.0
    assert beginner.joins() == begun
    assert beginner.now == 100.0
    beginner.answers_at = 0.0
    assert beginner.joins("dag/run#1").run == "2"


def test_a_gate_that_begins_blind_takes_the_fleet_back(stage: Stage, place: Place, migration_id):
    """Its task does, as after any verdict of a gate; and not before `blind_limit`."""
    confirm_half(stage, migration_id)
    stage.prometheus.clock = lambda: None
    with fails_for_good() as failed:
        gate_of(place).execute(context_of(migration_id))
    assert "has not said what time it is" in str(failed.value)
    assert stage.natives == []
    assert stage.journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_gate_that_is_joined_while_prometheus_is_away_waits_in_its_trigger(
    stage: Stage, place: Place, migration_id
):
    """Nothing is known of what is left of it, so its wait is a whole one."""
    from airflow.sdk.exceptions import TaskDeferred

    confirm_half(stage, migration_id)
    gate, context = gate_of(place), context_of(migration_id)
    with pytest.raises(TaskDeferred):
        gate.execute(context)
    stage.prometheus.clock = lambda: None
    with pytest.raises(TaskDeferred) as deferred:
        gate.execute(context)
    assert deferred.value.timeout.total_seconds() >= gate.longest_seconds
