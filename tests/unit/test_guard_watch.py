"""The guard's own watch: what it asks while nobody else does, and when it asks nothing."""

from dataclasses import replace

import pytest

from feed_migration.guard.knowledge import Known
from feed_migration.guard.watch import SETTLE_SECONDS, Watch
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
        self.watch = Watch(self, lambda: self.now)

    def answer(self, criterion, at_unix):
        self.asked.append(at_unix)
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
            if breach := self.watch.poll(known, GATE, 2, journal):
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
