"""How long Airflow waits for a gate: its own limit never ends one that may still be Running."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from feed_migration.gates.run import GateRun
from feed_migration.model import Answer, Band, Criterion, Decision, Gate, Severity, Verdict
from feed_migration.orchestration.place import Place
from tests.airflow.conftest import Stage
from tests.airflow.half_way import STEP, confirm_half, context_of
from tests.support.gate_traces import MemoryLog

BEGAN_UNIX = 1_790_000_000.0
QUERY_SECONDS = 10.0


AGE = Criterion(
    name="age",
    query="age",
    baseline_query="other",
    success=Band(maximum=30),
    failure=Band(minimum=45),
    severity=Severity.SOFT,
    failure_limit=3,
    confirm_interval_seconds=5.0,
)


def gate(*more: Criterion, **changes: Any) -> Gate:
    """Half an hour of ticks every 5 s, and blindness that is borne for ten minutes."""
    values = {
        "interval_seconds": 5.0,
        "evaluation_delay_seconds": 6.0,
        "min_duration_seconds": 1800.0,
        "max_duration_seconds": 1800.0,
        "blind_limit_seconds": 600.0,
        "criteria": (AGE, *more),
    }
    return Gate(**{**values, **changes})


@dataclass
class Feed:
    """A Prometheus that hangs from `away_from` to `away_until`, and a feed that is `bad` at times."""

    away_from: float = 0.0
    away_until: float = 0.0
    bad: Callable[[float], bool] = lambda _: False
    now: float = 0.0

    def answer(self, criterion: Criterion, at_unix: float, *, again: bool = False) -> Answer:
        if self._hangs():
            return Answer(error="Read timed out")
        return self._said(at_unix)

    def history(self, criterion: Criterion, first_unix: float, step: float, count: int) -> Any:
        if self._hangs():
            return [Answer(error="Read timed out")]
        return [self._said(first_unix + step * i) for i in range(count)]

    def _hangs(self) -> bool:
        away = self.away_from <= self.now < self.away_until
        self.now += QUERY_SECONDS if away else 0.0
        return away

    def _said(self, at_unix: float) -> Answer:
        value = 60.0 if self.bad(at_unix) else 1.0
        return Answer(series=(((("instance_id", "a"),), value),), baseline=(((), 1.0),))

    def ends(self, watched: Gate) -> tuple[Verdict, float]:
        """Judge a gate that begins at 0; return its verdict and when that fell."""
        run = GateRun(
            gate=watched,
            step_name=STEP,
            migration_id="m",
            started_unix=0.0,
            fleet_size=1,
            source=self,
            journal=MemoryLog(),
        )
        while not (verdict := run.tick(self.now)).final:
            self.now = max(self.now + 0.1, run.next_due_unix())
        return verdict, self.now


@pytest.fixture
def wait_seconds(stage: Stage, place: Place, migration_id: str):
    """How long the task of that gate waits, from `late` seconds after it was begun on."""
    from airflow.sdk.exceptions import TaskDeferred

    from feed_migration.orchestration.gate_operator import GateOperator

    confirm_half(stage, migration_id)

    def waits(watched: Gate, late: float = 0.0) -> float:
        stage.prometheus.clock = lambda: BEGAN_UNIX + late
        task = GateOperator(task_id="gate", place=place, step=STEP, gate=watched)
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context_of(migration_id))
        timeout = deferred.value.timeout
        assert timeout is not None
        return float(timeout.total_seconds())

    return waits


def test_a_gate_whose_last_tick_is_long_after_its_end_is_waited_for(wait_seconds):
    """Ticks every half hour, 70 minutes: what is due at 60 is too soon, so it ends at 90."""
    slow = gate(interval_seconds=1800.0, min_duration_seconds=4200.0, max_duration_seconds=4200.0)
    verdict, seconds = Feed().ends(slow)
    assert (verdict.decision, seconds) == (Decision.PROMOTE, 5400.0)
    assert wait_seconds(slow) > seconds


@pytest.mark.parametrize(
    ("away_from", "decision"), [(1742.0, Decision.PROMOTE), (1770.0, Decision.HOLD)]
)
def test_a_gate_is_waited_for_while_prometheus_hangs_at_its_end(
    wait_seconds, away_from: float, decision: Decision
):
    """For less than `blind_limit`: what was missed is judged once it answers again.

    The very last tick is asked in vain, or missed as well.
    """
    watched = gate(min_coverage=0.9)
    verdict, seconds = Feed(away_from=away_from, away_until=away_from + 590.0).ends(watched)
    assert verdict.decision is decision
    assert away_from + 590.0 <= seconds < wait_seconds(watched)


def test_a_gate_is_waited_for_while_its_last_tick_waits_for_a_second_sample(wait_seconds):
    """Nothing is promoted over one that is due."""
    watched = gate(replace(AGE, name="slow", confirm_interval_seconds=900.0))
    verdict, seconds = Feed(bad=lambda at_unix: 1792.0 <= at_unix < 1796.0).ends(watched)
    assert verdict.final
    assert 2700.0 <= seconds < wait_seconds(watched)


@pytest.mark.parametrize("late", [1700.0, 1900.0, 3000.0, 86400.0])
def test_a_task_that_waits_again_waits_for_as_long_as_its_gate_may_be_blind(wait_seconds, late):
    """A trigger that begins anew late in the gate knows nothing of how long that was already."""
    wait_seconds(gate())
    assert wait_seconds(gate(), late) > 600.0
