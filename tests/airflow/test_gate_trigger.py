"""The trigger: survives restarts, gives one event, and never judges what another one has ended."""

import pytest

from feed_migration.gates.record import GateStart, join_gate
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.orchestration.place import Place
from tests.airflow.conftest import Stage, steady
from tests.airflow.ticking import Clock, begun, driven, ticked, trigger_of


@pytest.fixture
def start(stage: Stage, place: Place) -> GateStart:
    return begun(stage, place)


def test_the_trigger_is_rebuilt_from_json_alone(place: Place, start: GateStart):
    """Another triggerer knows of it only what `serialize` gave the database."""
    import json

    from airflow.sdk.module_loading import import_string

    path, arguments = trigger_of(place, start, Clock()).serialize()
    rebuilt = import_string(path)(**json.loads(json.dumps(arguments)))
    assert start == rebuilt.start
    assert place == rebuilt.place


async def test_it_ends_with_the_verdict_that_the_journal_has(
    stage: Stage, place: Place, start: GateStart
):
    """The event is the journal's own verdict, so a lost event loses nothing."""
    clock = Clock()
    trigger = trigger_of(place, start, clock)
    events = [event async for event in driven(trigger, clock)]
    (verdict,) = stage.journal.events(start.migration_id, "verdict")
    assert [event.payload["decision"] for event in events] == ["Promote"]
    assert verdict.body == events[0].payload


async def test_a_restarted_trigger_keeps_what_was_measured(
    stage: Stage, place: Place, start: GateStart
):
    """Killed after some ticks and started anew, it judges the same ticks of the same run."""
    clock = Clock()
    ticked(trigger_of(place, start, clock), clock)
    measured = stage.journal.measurements(start.migration_id, "cutover-50", start.run)
    assert measured
    second = trigger_of(place, start, clock)
    [event] = [event async for event in driven(second, clock)]
    assert event.payload["decision"] == "Promote"
    kept = stage.journal.measurements(start.migration_id, "cutover-50", start.run)
    assert measured == kept[: len(measured)]


async def test_a_gate_at_work_keeps_the_lease(stage: Stage, place: Place, start: GateStart):
    """Renewed from the first poll on, also before the first tick, and not at every one."""
    clock = Clock(start.started_unix - 5.0)
    trigger = trigger_of(place, start, clock)
    trigger.poll()
    first = stage.journal.lease(start.migration_id)
    trigger.poll()
    assert stage.journal.lease(start.migration_id) == first
    assert (first.holder, first.seconds) == (
        "gate cutover-50",
        place.plan().step("cutover-50").gate.lease_seconds,
    )


async def test_a_verdict_has_a_lease_for_the_task_that_acts_on_it(
    stage: Stage, place: Place, start: GateStart
):
    """A gate's own may be short, and a scheduler that restarts right now takes longer."""
    clock = Clock()
    [event] = [event async for event in driven(trigger_of(place, start, clock), clock)]
    assert event.payload["decision"] == "Promote"
    lease = stage.journal.lease(start.migration_id)
    assert (lease.holder, lease.seconds) == ("verdict cutover-50", HANDOVER_SECONDS)


async def test_a_restart_after_the_verdict_repeats_it(stage: Stage, place: Place, start: GateStart):
    """The first verdict of a run stands, even if Prometheus would say otherwise now."""
    clock = Clock()
    [before] = [e async for e in driven(trigger_of(place, start, clock), clock)]
    stage.prometheus.script = lambda query: [(labels, 9.0) for labels, _ in steady(query)]
    [after] = [e async for e in driven(trigger_of(place, start, clock), clock)]
    assert before.payload == after.payload
    assert stage.kinds().count("verdict") == 1


async def test_a_rollback_from_outside_ends_the_gate(stage: Stage, place: Place, start: GateStart):
    """`backpack-migrate rollback` ends a waiting gate within a poll."""
    stage.journal.append(
        "rollback_started",
        migration_id=start.migration_id,
        actor="ann",
        body={"reason": "by hand", "epoch": 2, "breach_at": 0.0, "instances": {}},
    )
    clock = Clock()
    [event] = [e async for e in driven(trigger_of(place, start, clock), clock)]
    assert event.payload["decision"] == "Rollback"
    assert "verdict" not in stage.kinds()


async def test_a_hold_by_hand_ends_the_gate(stage: Stage, place: Place, start: GateStart):
    """At its next look, with the person's verdict; nothing is measured or written after it."""
    from feed_migration.holding import hold

    clock = Clock()
    trigger = ticked(trigger_of(place, start, clock), clock)
    hold(stage.journal, start.migration_id, actor="bo", reason="odd", at_unix=clock.now)
    before = stage.kinds(), stage.journal.lease(start.migration_id)
    body = trigger.poll()
    assert (body["decision"], body["reasons"][0]["text"]) == ("Hold", "held by bo: odd")
    assert before == (stage.kinds(), stage.journal.lease(start.migration_id))


async def test_a_hold_in_the_middle_of_the_last_tick_stands(
    stage: Stage, place: Place, start: GateStart
):
    """The trigger had its Promote in hand; the journal has the hold, so the task gets that."""
    from feed_migration.holding import hold

    clock = Clock()

    def held_while_asked(query):
        if clock.now > start.started_unix + 3.0 and "held" not in stage.kinds():
            hold(stage.journal, start.migration_id, actor="bo", reason="odd", at_unix=clock.now)
        return steady(query)

    stage.prometheus.script = held_while_asked
    clock.now += 600.0
    [event] = [event async for event in driven(trigger_of(place, start, clock), clock)]
    assert event.payload["decision"] == "Hold"
    assert stage.kinds().count("verdict") == 1


async def test_a_breach_found_while_a_person_holds_takes_the_fleet_back(
    stage: Stage, place: Place, start: GateStart
):
    """The tick that was asked as they held says Rollback, and that outranks a hold."""
    from feed_migration.holding import hold

    clock = Clock()

    def bad_while_held(query):
        if "held" not in stage.kinds():
            hold(stage.journal, start.migration_id, actor="bo", reason="odd", at_unix=clock.now)
        return [(labels, 9.0) for labels, _ in steady(query)]

    stage.prometheus.script = bad_while_held
    clock.now += 600.0
    [event] = [event async for event in driven(trigger_of(place, start, clock), clock)]
    assert event.payload["decision"] == "Rollback"


async def test_a_journal_that_stays_away_is_blindness(
    place: Place, start: GateStart, monkeypatch: pytest.MonkeyPatch
):
    """Longer than `blind_limit` without a judgement ends as the plan's `on_blind` says."""

    def away(place: Place):
        raise OSError("disk full")

    monkeypatch.setattr("feed_migration.orchestration.runtime.open_runtime", away)
    clock = Clock()
    [event] = [e async for e in driven(trigger_of(place, start, clock), clock)]
    assert event.payload["decision"] == "Rollback"
    assert "disk full" in event.payload["reasons"][0]["text"]


def test_a_person_who_clears_the_gate_begins_a_new_run(stage: Stage, start: GateStart):
    """A retry resumes its run; another attempt inherits no success."""
    again = {"migration_id": start.migration_id, "step": start.step, "actor": "ann"}
    retry = join_gate(stage.journal, key="dag/run#0", started_unix=2e9, **again)
    cleared = join_gate(stage.journal, key="dag/run#1", started_unix=2e9, **again)
    assert start == retry
    assert (cleared.run, cleared.started_unix) == ("2", 2e9)


async def test_the_first_event_comes_no_sooner_than_airflow_can_take_it(
    stage: Stage, place: Place, start: GateStart, monkeypatch: pytest.MonkeyPatch
):
    """An event before the deferral is stored would be lost with the task."""
    import asyncio
    import threading
    import time

    slept: list[tuple[float, float]] = []
    trigger = trigger_of(place, start, Clock(start.started_unix + 600.0))
    trigger.settle_seconds = 5.0
    real_sleep, here = asyncio.sleep, threading.get_ident()

    async def sleep(seconds: float) -> None:
        if threading.get_ident() != here:
            # a server of another test, in a loop of its own
            await real_sleep(seconds)
            return
        slept.append((time.monotonic(), seconds))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    began = time.monotonic()
    [event] = [event async for event in trigger.run()]
    at, seconds = slept[-1]
    assert began + 5.0 <= at + seconds
    assert seconds <= 5.0
    assert event


def test_the_breach_is_dated_to_the_tick_that_failed(stage: Stage, start: GateStart):
    """Time to rollback counts from the failing tick, not from its confirmation or its record."""
    from feed_migration.gates.record import record_verdict
    from feed_migration.model import Decision, Verdict

    record_verdict(stage.journal, start, Verdict(decision=Decision.ROLLBACK, at_seconds=10.0))
    assert stage.journal.state(start.migration_id).breach_at == start.started_unix + 10.0
