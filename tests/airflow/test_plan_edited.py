"""The plan is edited while a gate is open: the gate goes on by the plan that the migration began with."""

from dataclasses import asdict

import pytest
from airflow.sdk.exceptions import AirflowFailException

from feed_migration.gates.record import GateStart, join_gate
from feed_migration.orchestration.place import Place
from feed_migration.phases import Status
from tests.airflow.conftest import Stage, steady
from tests.airflow.half_way import STEP, context_of, gate_of

STARTED = 1_790_000_000.0
LOOSENED = {"failure: {min: 1}": "failure: {min: 1000}", "success: {max: 0}": "success: {max: 999}"}
BLIND_FOR_LONG = {"blind_limit: 2s": "blind_limit: 20h", "max_duration: 1s": "max_duration: 30h"}


class Clock:
    def __init__(self) -> None:
        self.now = STARTED

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def place(stage: Stage, place: Place) -> Place:
    """The stage with a plan that a test may edit."""
    path = stage.home / "plan.yaml"
    path.write_text(place.plan_path.read_text())
    return Place(home=stage.home, plan_path=path)


@pytest.fixture
def start(stage: Stage, place: Place, migration_id: str) -> GateStart:
    del place
    return join_gate(
        stage.journal,
        migration_id=migration_id,
        step=STEP,
        key="dag/run#0",
        actor="ann",
        started_unix=STARTED,
    )


def edit(place: Place, changes: dict[str, str]) -> None:
    text = place.plan_path.read_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    place.plan_path.write_text(text)


def trigger_of(place: Place, start: GateStart, clock: Clock, **more):
    from feed_migration.orchestration.gate_trigger import GateTrigger

    clocks = {"clock": clock, "monotonic": clock}
    return GateTrigger(place=place, start=asdict(start), settle_seconds=0.0, **clocks, **more)


def ended(trigger, clock: Clock, seconds: float = 300.0):
    """Look twice a second until there is a verdict; returns its body."""
    until = clock.now + seconds
    while clock.now < until:
        clock.now += 0.5
        body, _ = trigger._round()
        if body is not None:
            return body
    return None


def refusals(stage: Stage, start: GateStart) -> list[str]:
    notes = stage.journal.events(start.migration_id, "audit_note")
    return [note.body["error"] for note in notes if note.body["note"] == "refused"]


@pytest.mark.parametrize("edited", ["loosened", "broken", "lost"])
def test_a_breach_by_the_plan_that_was_begun_with_is_one(
    stage: Stage, place: Place, start: GateStart, edited: str
):
    """Also for a triggerer that starts after the edit."""
    clock = Clock()
    assert trigger_of(place, start, clock).poll() is None
    if edited == "loosened":
        edit(place, LOOSENED)
    elif edited == "broken":
        place.plan_path.write_text("no plan")
    else:
        place.plan_path.unlink()
    stage.prometheus.script = lambda query: [(labels, 50.0) for labels, _ in steady(query)]
    body = ended(trigger_of(place, start, clock), clock)
    assert body["decision"] == "Rollback"
    assert "failure >= 1)" in body["reasons"][0]["text"]


def test_an_edit_is_refused_in_the_audit_log_once(stage: Stage, place: Place, start: GateStart):
    """However often the triggerer begins anew."""
    clock = Clock()
    trigger_of(place, start, clock).poll()
    assert refusals(stage, start) == []
    edit(place, LOOSENED)
    for _ in range(3):
        trigger_of(place, start, clock).poll()
    assert refusals(stage, start) == ["PlanChanged"]


def test_an_edit_makes_no_blindness_longer(
    stage: Stage, place: Place, start: GateStart, monkeypatch: pytest.MonkeyPatch
):
    """Of a triggerer that has never seen the journal since: its arguments name the plan."""
    clock, sha256 = Clock(), place.plan().sha256
    trigger_of(place, start, clock).poll()
    edit(place, BLIND_FOR_LONG)

    def away(place: Place):
        raise OSError("disk full")

    monkeypatch.setattr("feed_migration.orchestration.runtime.open_runtime", away)
    body = ended(trigger_of(place, start, clock, plan_sha256=sha256), clock)
    assert body["decision"] == "Rollback"
    assert clock.now < STARTED + 10.0


def test_without_any_copy_of_the_plan_the_fleet_does_not_stay_unjudged(
    stage: Stage, place: Place, start: GateStart
):
    """Its own gate is nowhere to be had, and the edited one is not it."""
    edit(place, {**LOOSENED, **BLIND_FOR_LONG})
    clock = Clock()
    body = ended(trigger_of(place, start, clock), clock)
    assert body["decision"] == "Rollback"
    assert "changed since" in body["reasons"][0]["text"]
    assert refusals(stage, start) == ["PlanChanged"]


def test_a_promote_under_an_edited_plan_is_a_hold(stage: Stage, place: Place, start: GateStart):
    """Nothing is bad, and nothing may go on: a person restores the plan, and starts the gate again."""
    clock = Clock()
    body = ended(trigger_of(place, start, clock), clock)
    assert body["decision"] == "Promote"
    operator = gate_of(place)
    edit(place, LOOSENED)
    with pytest.raises(AirflowFailException, match="changed since"):
        operator.resume(context_of(start.migration_id), body)
    state = stage.journal.state(start.migration_id)
    assert (state.status, state.held_step) == (Status.HELD, STEP)
    assert STEP not in state.promoted
    assert stage.natives == ["feed-00", "feed-01"]
    assert refusals(stage, start) == ["PlanChanged"]


def test_a_held_gate_does_not_begin_anew_under_an_edited_plan(
    stage: Stage, place: Place, start: GateStart
):
    """As no other step does; the hold stands, and so does the exposure."""
    who = {"migration_id": start.migration_id, "actor": "ann"}
    stage.journal.append("held", body={"step": STEP, "reason": "odd"}, **who)
    operator = gate_of(place)
    edit(place, LOOSENED)
    with pytest.raises(AirflowFailException, match="changed since"):
        operator.execute(context_of(start.migration_id))
    assert stage.journal.state(start.migration_id).status is Status.HELD
    assert refusals(stage, start) == ["PlanChanged"]
