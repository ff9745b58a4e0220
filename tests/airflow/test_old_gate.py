"""A gate's worker that was stopped at its beginning wakes up in another migration than it left."""

from collections.abc import Callable
from typing import Any

import pytest

from feed_migration.errors import MigrationNotRunning
from feed_migration.gates.record import GateStart, join_gate, record_verdict
from feed_migration.holding import hold
from feed_migration.journal.heads import HeadKeeper
from feed_migration.journal.store import Journal
from feed_migration.model import Decision, Verdict
from feed_migration.orchestration.place import Place
from feed_migration.phases import Status
from tests.airflow.conftest import Stage
from tests.airflow.half_way import STEP, confirm_half, context_of, fails_for_good, gate_of

KEY, CLEARED = "dag/run#0", "dag/run#1"
FIRST_UNIX, LATER_UNIX = 1_790_000_000.0, 1_790_000_900.0


def join(journal: Journal, migration_id: str, key: str, started_unix: float) -> GateStart:
    who = {"migration_id": migration_id, "step": STEP, "actor": "ann"}
    return join_gate(journal, key=key, started_unix=started_unix, **who)


def held(stage: Stage, migration_id: str, key: str) -> GateStart:
    """Another attempt's run begins, and a person holds it."""
    start = join(stage.journal, migration_id, key, FIRST_UNIX)
    hold(stage.journal, migration_id, actor="bob", reason="odd", at_unix=FIRST_UNIX + 60.0)
    return start


def starts(stage: Stage, migration_id: str) -> list[tuple[str, float]]:
    """The runs of the gate that the journal has begun."""
    events = stage.journal.events(migration_id, "step_started")
    return [(e.body["run"], e.body["started_unix"]) for e in events if "key" in e.body]


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], list[Any]]:
    """Stop the next worker right before it writes; what others do meanwhile is kept."""
    real = HeadKeeper.require

    def stop(meanwhile: Callable[[], Any]) -> list[Any]:
        done: list[Any] = []

        def stopped(*arguments: Any) -> None:
            monkeypatch.setattr(HeadKeeper, "require", real)
            done.append(meanwhile())
            real(*arguments)

        monkeypatch.setattr(HeadKeeper, "require", stopped)
        return done

    return stop


def test_it_joins_the_run_that_its_own_retry_began_and_ends_no_hold(
    stage: Stage, migration_id: str, asleep: Any
):
    """One attempt is one run with one beginning, however many workers it takes."""
    done = asleep(lambda: held(stage, migration_id, KEY))
    assert join(stage.journal, migration_id, KEY, LATER_UNIX) == done[0]
    assert starts(stage, migration_id) == [("1", FIRST_UNIX)]
    assert stage.journal.state(migration_id).status is Status.HELD


def test_it_does_not_end_the_hold_of_another_attempt(stage: Stage, migration_id: str, asleep: Any):
    """It has not seen that hold: only who clears the gate afterwards goes on from it."""
    asleep(lambda: held(stage, migration_id, CLEARED))
    with pytest.raises(MigrationNotRunning, match=f"{STEP} has gone on without this attempt"):
        join(stage.journal, migration_id, KEY, LATER_UNIX)
    assert stage.journal.state(migration_id).status is Status.HELD
    assert join(stage.journal, migration_id, "dag/run#2", LATER_UNIX).run == "2"
    assert stage.journal.state(migration_id).status is Status.RUNNING


def test_it_does_not_begin_beside_the_open_run_of_another_attempt(
    stage: Stage, migration_id: str, asleep: Any
):
    """The verdict of the run that is watched would count for nothing."""
    asleep(lambda: join(stage.journal, migration_id, CLEARED, FIRST_UNIX))
    with pytest.raises(MigrationNotRunning, match="gone on without"):
        join(stage.journal, migration_id, KEY, LATER_UNIX)
    assert starts(stage, migration_id) == [("1", FIRST_UNIX)]


def test_it_does_not_begin_what_was_promoted_meanwhile(
    stage: Stage, migration_id: str, asleep: Any
):
    """A new run takes the proof of the step away."""

    def promoted() -> None:
        start = join(stage.journal, migration_id, CLEARED, FIRST_UNIX)
        record_verdict(stage.journal, start, Verdict(decision=Decision.PROMOTE, at_seconds=60.0))
        body = {"step": STEP}
        stage.journal.append("step_promoted", migration_id=migration_id, actor="ann", body=body)

    asleep(promoted)
    with pytest.raises(MigrationNotRunning, match="gone on without"):
        join(stage.journal, migration_id, KEY, LATER_UNIX)
    assert STEP in stage.journal.state(migration_id).promoted


def test_the_task_is_refused_and_that_is_in_the_journal(
    stage: Stage, place: Place, migration_id: str
):
    """Also where it slept between its look at the migration and its question for the time."""
    confirm_half(stage, migration_id)
    woken: list[GateStart] = []

    def clock() -> float:
        if not woken:
            woken.append(held(stage, migration_id, CLEARED))
        return LATER_UNIX

    stage.prometheus.clock = clock
    with fails_for_good() as failed:
        gate_of(place).execute(context_of(migration_id))
    assert "gone on without this attempt" in str(failed.value)
    assert stage.journal.state(migration_id).status is Status.HELD
    notes = [note.body for note in stage.journal.events(migration_id, "audit_note")]
    refused = [(note["error"], note["step"]) for note in notes if "error" in note]
    assert refused == [("MigrationNotRunning", STEP)]
