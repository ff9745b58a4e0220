"""The guard's own watch: what it asks while nobody else does, and when it asks nothing."""

from dataclasses import replace

import pytest

from feed_migration.errors import ClockAhead, ClockSilent
from feed_migration.gates.record import first_tick_unix
from feed_migration.guard.knowledge import Known
from feed_migration.guard.watch import PATIENCE_SECONDS, SETTLE_SECONDS, Watch
from feed_migration.model import Answer, Band, Criterion, Decision, Gate, Severity
from feed_migration.phases import Status

HARD = Criterion(
    name="stale",
    query="q",
    success=Band(maximum=30),
    failure=Band(minimum=45),
    severity=Severity.HARD,
    expect_series="fleet",
    confirm_interval_seconds=2.0,
)
GATE = Gate(
    interval_seconds=5.0,
    evaluation_delay_seconds=1.0,
    min_duration_seconds=60.0,
    max_duration_seconds=600.0,
    criteria=(HARD,),
)
EXPOSED = Known(
    migration_id="m", status=Status.RUNNING, step="cutover-50", exposed=("feed-00", "feed-01")
)


class Scene:
    """A watch, its clock, and a Prometheus whose every series has `value`; `asked` are times."""

    def __init__(self) -> None:
        self.now = 10_000.0
        self.value: float | None = 0.5
        self.asked: list[float] = []
        self.stepped = 0.0
        self.gate, self.known = GATE, EXPOSED
        self.watch = Watch(self, lambda: self.now + self.stepped, lambda: self.now)

    def answer(self, criterion, at_unix, *, again=False):
        self.asked.append(at_unix - self.stepped)
        if self.value is None:
            return Answer(error="connect: refused")
        names = EXPOSED.exposed
        return Answer(series=tuple(((("instance_id", one),), self.value) for one in names))

    def history(self, criterion, first_unix, step_seconds, count):
        return [self.answer(criterion, first_unix + i * step_seconds) for i in range(count)]

    def passes(self, seconds, known, journal=None):
        """Poll twice a second for that long; returns the first breach."""
        end = self.now + seconds
        while self.now < end:
            self.known = known
            if breach := self.watch.poll(known, self.gate, 2, journal):
                return breach
            self.now += 0.5
        return None


@pytest.fixture
def scene():
    return Scene()


def test_an_exposure_without_a_gate_is_watched_once_it_has_settled(scene):
    """Asked nothing for as long as processes take, then at the gate's interval."""
    scene.passes(SETTLE_SECONDS, EXPOSED)
    assert scene.asked == []
    scene.passes(20.0, EXPOSED)
    assert len(scene.asked) == 4
    scene.value = 60.0
    breach = scene.passes(10.0, EXPOSED)
    assert breach.verdict.decision is Decision.ROLLBACK
    assert not breach.gated


def test_an_act_that_has_just_ended_is_let_settle(scene):
    """However long it took: the last instance may not have been scraped on native yet."""
    scene.passes(5 * SETTLE_SECONDS, replace(EXPOSED, acting=True))
    scene.passes(SETTLE_SECONDS, EXPOSED)
    assert scene.asked == []
    scene.passes(5.0, EXPOSED)
    assert scene.asked


@pytest.mark.parametrize("step_seconds", [-7200.0, -30.0, 30.0, 7200.0])
def test_a_clock_that_steps_neither_ends_the_watch_nor_has_it_ask_the_gap(scene, step_seconds):
    """It begins anew at the new time; back by hours it would else sleep for as long."""
    scene.passes(SETTLE_SECONDS + 20.0, EXPOSED)
    scene.stepped = step_seconds
    scene.asked.clear()
    scene.passes(20.0, EXPOSED)
    assert len(scene.asked) == 4
    assert scene.asked[0] >= scene.now - 20.0 - GATE.evaluation_delay_seconds
    scene.value = 60.0
    assert scene.passes(10.0, EXPOSED).verdict.decision is Decision.ROLLBACK


def open_gate(scene, ahead_seconds=0.0):
    """A gate whose start was stamped by a clock that is that far ahead of ours."""
    return replace(EXPOSED, gate_started_unix=scene.now + ahead_seconds)


UNUSABLE = {
    "clock is 3600 s ahead of this machine's": lambda now: ClockAhead(3600.0, now),
    "Prometheus does not say what time it is": ClockSilent,
}


def unusable(scene, problem):
    """A watch whose clock raises that."""

    def clock():
        raise UNUSABLE[problem](scene.now)

    return Watch(scene, clock, lambda: scene.now)


@pytest.mark.parametrize("problem", UNUSABLE)
def test_a_clock_that_cannot_be_gone_by_is_blindness_to_a_gate_that_nobody_asks(scene, problem):
    """By the guard's own monotonic clock, and with what is wrong: it jumped ahead, or is silent."""
    known, ticks = open_gate(scene), Ticks()
    scene.gate = replace(GATE, blind_limit_seconds=10.0, on_blind=Decision.ROLLBACK)
    scene.watch = unusable(scene, problem)
    breach = scene.passes(120.0, known, ticks)
    assert scene.asked == []
    assert breach.verdict.decision is Decision.ROLLBACK
    assert problem in breach.verdict.reasons[0].text


@pytest.mark.parametrize("problem", UNUSABLE)
def test_an_exposure_without_a_gate_is_not_asked_about_by_such_a_clock(scene, problem, caplog):
    """Being blind proves nothing to it; that it is not watched is said once, not twice a second."""
    scene.watch = unusable(scene, problem)
    assert scene.passes(SETTLE_SECONDS + 60.0, EXPOSED) is None
    assert scene.asked == []
    [said] = [line for line in caplog.messages if "is not watched" in line]
    assert problem in said


def test_a_watch_whose_first_look_fails_asks_by_the_time_of_prometheus_all_the_same(scene):
    """Its host is an hour ahead, which must be no tick of the gate."""
    known, ticks = open_gate(scene), Ticks()
    ticks.newest = 0.0
    silent = [True] * 4

    def clock():
        if silent and silent.pop():
            raise ClockSilent(scene.now + 3600.0)
        return scene.now

    scene.watch = Watch(scene, clock, lambda: scene.now)
    assert scene.passes(30.0, known, ticks) is None
    assert scene.asked
    assert max(scene.asked) <= scene.now


class Ticks:
    """A journal that somebody else writes into: `newest` is the tick that was measured last."""

    def __init__(self) -> None:
        self.newest: float | None = None
        self.forgery = ""

    def last_tick_seconds(self, migration_id, step, run):
        return self.newest

    def measurements(self, migration_id, step, run):
        return ()

    def altered(self, migration_id, step, run):
        return self.forgery

    def record(self, migration_id, step, measurements, *, run):
        self.newest = max(one.tick_seconds for one in measurements)
        return measurements


@pytest.mark.parametrize("ahead_seconds", [-300.0, -20.0, 0.0, 20.0, 300.0])
def test_a_gate_that_is_asked_in_time_is_left_alone_whatever_the_clocks_say(scene, ahead_seconds):
    """Airflow's host may be minutes ahead or behind; its ticks come at their interval all the same."""
    known, ticks = open_gate(scene, ahead_seconds), Ticks()
    for tick in range(20):
        scene.passes(GATE.interval_seconds, known, ticks)
        ticks.newest = tick * GATE.interval_seconds
    assert scene.asked == []


def test_a_gate_that_nobody_asks_any_more_is_asked(scene):
    """One interval and one second after the last tick that was seen."""
    known, ticks = open_gate(scene), Ticks()
    ticks.newest = 0.0
    scene.passes(GATE.interval_seconds + 1.0, known, ticks)
    assert scene.asked == []
    scene.passes(2.0, known, ticks)
    assert scene.asked
    scene.value = 60.0
    breach = scene.passes(15.0, known, ticks)
    assert (breach.verdict.decision, breach.gated) == (Decision.ROLLBACK, True)


SLOW = replace(
    GATE,
    criteria=(
        HARD,
        replace(HARD, name="soft", severity=Severity.SOFT, confirm_interval_seconds=3600.0),
        replace(HARD, name="noted", severity=Severity.INFO, confirm_interval_seconds=7200.0),
    ),
)


def test_a_first_tick_that_stays_away_is_asked_whatever_the_slowest_second_sample(scene):
    """After a scrape, and another for the trigger: the fleet is exposed meanwhile."""
    scene.gate, ticks = SLOW, Ticks()
    due = first_tick_unix(SLOW, 0.0)
    known = open_gate(scene, due)
    scene.passes(due + HARD.confirm_interval_seconds + PATIENCE_SECONDS, known, ticks)
    assert scene.asked == []
    scene.passes(2.0, known, ticks)
    assert scene.asked


def test_a_gate_that_an_older_version_began_is_let_begin(scene):
    """Its first tick waits for its slowest second sample, which the journal has; no sooner."""
    scene.gate, ticks = replace(SLOW, blind_limit_seconds=60.0), Ticks()
    due = SLOW.evaluation_delay_seconds + 7200.0
    known = open_gate(scene, due)
    assert scene.passes(due - 1.0, known, ticks) is None
    assert scene.asked == []
    assert scene.passes(20.0, known, ticks) is None
    assert scene.asked


def test_forged_measurements_neither_take_back_nor_end_the_watch(scene):
    """Nothing is judged over them: the fleet is watched by what is asked from then on."""
    known, ticks = open_gate(scene), Ticks()
    ticks.newest, ticks.forgery = 0.0, "stale at 0.0 s was removed"
    assert scene.passes(GATE.interval_seconds + 20.0, known, ticks) is None
    assert scene.asked
    scene.value = 60.0
    breach = scene.passes(15.0, known, ticks)
    assert (breach.verdict.decision, breach.gated) == (Decision.ROLLBACK, False)


def test_a_journal_that_is_away_for_a_moment_is_no_reason_to_ask_a_whole_gate_anew(scene):
    """A glitch in the twentieth hour would else cost twenty hours of queries."""
    known, ticks = open_gate(scene, -20 * 3600.0), Ticks()
    for tick in range(10):
        ticks.newest = float(tick)
        scene.passes(2.0, known, ticks)
        scene.passes(2.0, known, None)
    assert scene.asked == []


def stuck(gate_changes, stepped):
    """A breach an hour long that nobody but the guard could see, by a clock that was set back.

    Returns the scene, and the breach with the seconds that it took.
    """
    scene, ticks = Scene(), Ticks()
    scene.gate = replace(GATE, blind_limit_seconds=60.0, **gate_changes)
    known = open_gate(scene)
    scene.passes(20.0, known, ticks)
    began, scene.stepped = scene.now, stepped
    return scene, scene.passes(3000.0, known, ticks), scene.now - began


def test_a_clock_of_prometheus_that_was_set_back_is_blindness():
    """No tick comes for an hour, so nothing fails; the guard's own clock says how long that is."""
    _, breach, seconds = stuck({}, -3600.0)
    assert (breach.verdict.decision, breach.gated) == (Decision.ROLLBACK, True)
    assert "the clock of Prometheus" in breach.verdict.reasons[0].text
    assert 60.0 < seconds < 60.0 + 2 * GATE.interval_seconds + PATIENCE_SECONDS


def test_a_clock_of_prometheus_that_was_set_back_a_little_is_none():
    """The next tick comes a while later, as after a pause."""
    scene, breach, _ = stuck({}, -45.0)
    assert breach is None
    assert scene.asked[-1] > scene.now - 10.0


def test_where_blindness_holds_the_guard_watches_on():
    """The hold is for Airflow to write; the exposure is asked by the new time meanwhile."""
    scene, breach, _ = stuck({"on_blind": Decision.HOLD}, -3600.0)
    assert breach is None
    scene.value = 60.0
    assert not scene.passes(10.0, scene.known, Ticks()).gated


def test_a_guard_that_was_stopped_asks_before_it_calls_that_a_standstill(scene):
    """An hour of SIGSTOP: the ticks of that hour are there to be asked."""
    known, ticks = open_gate(scene), Ticks()
    scene.passes(30.0, known, ticks)
    scene.now += 3600.0
    assert scene.passes(10.0, known, ticks) is None
