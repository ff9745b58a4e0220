"""By whose clock a gate ticks, and when that cannot be gone by."""

import math
from dataclasses import asdict

import pytest

from feed_migration.errors import ClockAhead
from feed_migration.gates.record import GateStart
from feed_migration.orchestration.place import Place
from feed_migration.prometheus.clock import LOOK_SECONDS, PrometheusClock
from tests.airflow.conftest import Stage, steady
from tests.airflow.ticking import Clock, begun, driven, ticked, ticks, trigger_of


@pytest.fixture
def start(stage: Stage, place: Place) -> GateStart:
    return begun(stage, place)


@pytest.mark.parametrize("step_seconds", [3600.0, -3600.0])
def test_a_step_of_the_host_clock_is_no_gap_and_no_standstill(
    stage: Stage, place: Place, start: GateStart, monkeypatch: pytest.MonkeyPatch, step_seconds
):
    """The gate ticks by the clock of Prometheus: nothing is asked of an hour that has not been."""
    import time

    from feed_migration.orchestration.gate_trigger import GateTrigger

    host = time.time
    stage.prometheus.clock = lambda: start.started_unix + 0.1
    monkeypatch.setattr(time, "time", lambda: start.started_unix + step_seconds)
    # how long a look takes is not what this is about
    arguments = {"place": place, "start": asdict(start), "settle_seconds": 0.0, "monotonic": float}
    GateTrigger(**arguments).poll()
    assert ticks(stage, start) == [0.0]
    # back, and what has passed at Prometheus is one tick of 0.2 s
    monkeypatch.setattr(time, "time", host)
    stage.prometheus.clock = lambda: start.started_unix + 0.3
    GateTrigger(**arguments).poll()
    assert ticks(stage, start) == [0.0, 0.2]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_of_prometheus_that_was_set_back_is_blindness(
    stage: Stage, place: Place, start: GateStart, restarted: bool
):
    """No tick comes for an hour, so no query fails: after `blind_limit` that is `on_blind`."""
    clock = Clock()
    trigger = ticked(trigger_of(place, start, clock), clock)
    clock.steps(-3600.0)
    stage.prometheus.script = lambda query: [(labels, 9.0) for labels, _ in steady(query)]
    trigger = trigger_of(place, start, clock) if restarted else trigger
    began = clock.now
    [event] = [event async for event in driven(trigger, clock)]
    assert event.payload["decision"] == "Rollback"
    assert "the clock of Prometheus" in event.payload["reasons"][0]["text"]
    assert 2.0 < clock.now - began < 2.0 + 2.0
    (verdict,) = stage.journal.events(start.migration_id, "verdict")
    assert verdict.body == event.payload
    assert abs(verdict.body["breach_at"] - start.started_unix - 2.4) < 2.0


async def test_a_clock_of_prometheus_that_jumps_ahead_is_blindness(
    stage: Stage, place: Place, start: GateStart
):
    """`absent` is good to this plan's queries, and nothing of the hour that is skipped is asked."""
    clock = Clock()
    told = PrometheusClock(clock, clock.monotonic, clock.monotonic)
    trigger = ticked(trigger_of(place, start, clock, told), clock)
    asked = len(ticks(stage, start))
    clock.now += LOOK_SECONDS
    clock.steps(3600.0)
    before = stage.journal.lease(start.migration_id)
    assert trigger._round()[0] is None
    # blind, and at work all the same: the lease must not end it before the plan's limit
    assert stage.journal.lease(start.migration_id).renewed_at > before.renewed_at
    [event] = [event async for event in driven(trigger, clock)]
    assert event.payload["decision"] == "Rollback"
    assert "clock is 3600 s ahead of this machine's" in event.payload["reasons"][0]["text"]
    assert len(ticks(stage, start)) == asked


@pytest.mark.parametrize("ahead_seconds", [-30.0, 0.0, 30.0])
async def test_a_breach_is_dated_by_the_clock_of_who_judges(
    stage: Stage, place: Place, start: GateStart, ahead_seconds
):
    """Who takes the fleet back counts from it by such a clock, and Prometheus's may be half a minute off."""
    clock = Clock(start.started_unix - ahead_seconds)
    trigger = ticked(trigger_of(place, start, clock, lambda: clock.now + ahead_seconds), clock)
    stage.prometheus.script = lambda query: [(labels, 9.0) for labels, _ in steady(query)]
    began = clock.now
    [event] = [event async for event in driven(trigger, clock)]
    assert event.payload["decision"] == "Rollback"
    breach_at = stage.journal.state(start.migration_id).breach_at
    assert began <= breach_at <= clock.now
    # the tick stays what it was
    assert breach_at == pytest.approx(
        start.started_unix + event.payload["at_seconds"] - ahead_seconds, abs=0.001
    )


class Silent:
    """A host that is four minutes ahead, and a Prometheus whose first `looks` are not answered."""

    def __init__(self, clock: Clock, looks: float) -> None:
        self._clock, self._looks = clock, looks

    def look(self) -> float | None:
        self._looks -= 1
        return None if self._looks >= 0 else self._clock()

    def told(self) -> PrometheusClock:
        clock = self._clock
        return PrometheusClock(self.look, lambda: clock.now + 240.0, clock.monotonic)


async def test_a_trigger_that_does_not_know_the_time_asks_nothing_until_it_does(
    stage: Stage, place: Place, start: GateStart
):
    """What Prometheus repeats of its last sample is no tick of the four minutes to come."""
    clock = Clock()
    trigger = trigger_of(place, start, clock, Silent(clock, looks=2).told())
    assert trigger._round()[0] is None
    assert ticks(stage, start) == []
    # blind, and at work all the same
    assert stage.journal.lease(start.migration_id).holder == "gate cutover-50"
    began = clock.now
    [event] = [event async for event in driven(trigger, clock)]
    assert event.payload["decision"] == "Promote"
    assert event.payload["at_seconds"] <= clock.now - start.started_unix
    assert clock.now - began < 10.0


async def test_a_trigger_that_never_learns_the_time_is_blind(place: Place, start: GateStart):
    """After `blind_limit`, by its own monotonic clock, that is `on_blind`."""
    clock = Clock()
    trigger = trigger_of(place, start, clock, Silent(clock, looks=math.inf).told())
    [event] = [event async for event in driven(trigger, clock)]
    assert event.payload["decision"] == "Rollback"
    assert "does not say what time it is" in event.payload["reasons"][0]["text"]
    assert 2.0 < clock.now - start.started_unix < 2.0 + 2.0


def test_a_jump_ahead_that_is_seen_after_the_tick_ends_no_trigger(place: Place, start: GateStart):
    """The minute may be over between the tick and the pause behind it."""
    clock, looked = Clock(), []

    def ahead_behind_the_tick() -> float:
        looked.append(clock.now)
        if len(looked) > 1:
            raise ClockAhead(3600.0, clock.now)
        return clock.now

    trigger = trigger_of(place, start, clock, ahead_behind_the_tick)
    assert trigger._round() == (None, 1.0)
    assert len(looked) == 2


SLOW = """\
- name: slow
  query: sum by (instance_id) (slow)
  success: {max: 0}
  failure: {min: 1}
  severity: soft
  failure_limit: 3
  confirm_interval: 20s
phases:
"""


def test_a_gate_that_an_older_version_began_is_let_begin(stage: Stage, place: Place):
    """Its first tick may be further away than `blind_limit`, by its slowest second sample."""
    path, text = stage.home / "plan.yaml", place.plan_path.read_text()
    text = text.replace("phases:\n", SLOW).replace("[errors]", "[errors, slow]")
    path.write_text(text.replace("max_duration: 1s", "max_duration: 30s"))
    place = Place(home=stage.home, plan_path=path)
    start = begun(stage, place)
    clock = Clock(start.started_unix - 9.0)
    trigger = trigger_of(place, start, clock)
    while clock.now < start.started_unix - 0.5:
        assert trigger._round()[0] is None
        clock.now += 0.5


async def test_a_clock_of_prometheus_that_was_set_back_a_little_is_no_blindness(
    stage: Stage, place: Place, start: GateStart
):
    """A correction within `blind_limit`: the next tick comes that much later."""
    clock = Clock()
    trigger = ticked(trigger_of(place, start, clock), clock)
    clock.steps(-1.5)
    [event] = [event async for event in driven(trigger, clock)]
    assert event.payload["decision"] == "Promote"


async def test_blindness_is_counted_by_a_clock_that_nobody_sets(
    place: Place, start: GateStart, monkeypatch: pytest.MonkeyPatch
):
    """A gate that cannot be judged ends in time although Prometheus is set back meanwhile."""
    clock = Clock()
    began, asked = clock.now, []

    def away(place: Place):
        asked.append(place)
        if len(asked) == 2:
            clock.steps(-3600.0)
        raise OSError("disk full")

    monkeypatch.setattr("feed_migration.orchestration.runtime.open_runtime", away)
    [event] = [e async for e in driven(trigger_of(place, start, clock), clock)]
    assert event.payload["decision"] == "Rollback"
    assert clock.now - clock.stepped - began < 10.0
