"""A journal that is away at a hand-over: what goes forward waits for it, and ends in a hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from feed_migration.errors import FleetUnavailable, JournalUnavailable
from feed_migration.journal.store import Journal
from feed_migration.orchestration.journal_patience import JournalPatience, only_the_journal_failed
from feed_migration.phases import Status
from tests.airflow.broken_journal import locked, ruin
from tests.airflow.conftest import Stage, run_of
from tests.airflow.half_way import (
    STEP,
    confirm_half,
    context_of,
    fails_for_good,
    gate_of,
    pass_half,
    raising,
    reverting,
)
from tests.airflow.reruns import clear, newest_run, rerun
from tests.airflow.test_approval import answer
from tests.support.lost_journal import away

DAG_ID = "backpack_migration"
GATE, ADVANCE = "cutover_50.gate", "cutover_100.advance"
PROMOTE = {"step": STEP, "run": "1", "decision": "Promote", "at_seconds": 3.0, "reasons": []}
# before, a task was tried three times
TRIES = 5


@pytest.fixture(autouse=True)
def quick_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds the journal locked is told so at once, and not after 15 s."""
    monkeypatch.setitem(Journal.__init__.__kwdefaults__, "lock_wait_seconds", 0.05)
    monkeypatch.setattr("feed_migration.orchestration.runtime.ROLLBACK_LOCK_WAIT_SECONDS", 0.05)


@pytest.fixture
def judged(stage: Stage, migration_id: str) -> str:
    """A migration of which the gate has said Promote, and nobody has promoted the step yet."""
    confirm_half(stage, migration_id)
    stage.journal.append("verdict", migration_id=migration_id, actor="gate", body=PROMOTE)
    return migration_id


@contextmanager
def gone(stage: Stage) -> Iterator[None]:
    """No file can be opened where the journal was."""
    with away(stage.home / "journal.db"):
        yield


@contextmanager
def outage(broken: Any, operator: Any) -> Iterator[list[float]]:
    """The journal is away from now on, until the operator has found it so `TRIES` times."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == TRIES:
            broken.__exit__(None, None, None)

    operator.journal_patience = JournalPatience(sleep=pause)
    broken.__enter__()
    yield pauses


def advancing(place: Any, step: str = "cutover-100") -> Any:
    from feed_migration.orchestration.act_operators import AdvanceOperator

    return AdvanceOperator(task_id="advance", place=place, step=step)


def approving(place: Any) -> Any:
    from feed_migration.orchestration.approval_operator import StepApprovalOperator

    step = replace(place.plan().step("cutover-100"), approval=True)
    return StepApprovalOperator(task_id="approval", place=place, step=step)


@pytest.mark.parametrize("broken", [locked, gone])
def test_a_promote_outlasts_a_journal_that_is_away(stage, place, judged, broken):
    """Found away more often than a task was ever tried; then the step is promoted."""
    gate = gate_of(place)
    with outage(broken(stage), gate) as pauses:
        gate.resume(context_of(judged), PROMOTE)
    assert len(pauses) == TRIES
    assert STEP in stage.journal.state(judged).promoted
    assert "rollback_started" not in stage.kinds(judged)


@pytest.mark.parametrize("broken", [locked, gone])
def test_an_act_outlasts_it_too(stage, place, judged, broken):
    """The next share is moved once, when the journal is back."""
    pass_half(stage, judged)
    advance = advancing(place)
    with outage(broken(stage), advance):
        advance.execute(context_of(judged))
    assert stage.natives == stage.fleet.names
    assert stage.kinds(judged).count("step_started") == 2


@pytest.mark.parametrize("broken", [locked, gone])
def test_a_yes_outlasts_it_too(stage, place, judged, broken):
    """A person has answered, and need not answer again."""
    pass_half(stage, judged)
    approval = approving(place)
    with outage(broken(stage), approval):
        approval.execute_complete(context_of(judged), answer("Approve"))
    assert "cutover-100" in stage.journal.state(judged).approved


@pytest.mark.parametrize("said", [answer("Reject"), {"error": "late", "error_type": "timeout"}])
def test_a_no_waits_for_no_journal(stage, place, judged, said):
    """It takes the fleet back: seconds may do, minutes not, and nothing excuses its failure."""
    approval, now = approving(place), [0.0]
    approval.journal_patience = JournalPatience(
        monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds)
    )
    context = context_of(judged)
    with gone(stage), fails_for_good():
        approval.execute_complete(context, said)
    assert now[0] <= 15.0
    assert context["said"] == {}


def test_a_journal_that_stays_away_fails_a_task_for_good_and_excuses_it(stage, place, judged):
    """Before the lease of its exposure has run out; Airflow keeps why, since the journal cannot."""
    gate, now = gate_of(place), [0.0]
    gate.journal_patience = JournalPatience(
        pause_seconds=30.0,
        monotonic=lambda: now[0],
        sleep=lambda seconds: now.append(now.pop() + seconds),
    )
    context = context_of(judged)
    with locked(stage), fails_for_good():
        gate.resume(context, PROMOTE)
    assert 400.0 < now[0] < 600.0
    assert "locked" in "".join(context["said"].values())


def test_a_fleet_that_does_not_answer_is_not_waited_for(stage, place, judged, monkeypatch):
    """Only the journal is; what else is away is tried as often as before, and takes the fleet back."""
    pass_half(stage, judged)
    monkeypatch.setattr(stage.fleet, "set_variant", raising(FleetUnavailable("away")))
    context = context_of(judged)
    with pytest.raises(FleetUnavailable):
        advancing(place).execute(context)
    assert context["said"] == {}


def test_a_proven_step_is_held_where_only_the_journal_failed(stage, place, judged):
    """Nothing is bad and a person is told; the guard watches on."""
    with fails_for_good():
        reverting(place).execute(context_of(judged, excused=[GATE], **{GATE: "failed"}))
    state = stage.journal.state(judged)
    assert (state.status, state.held_step) == (Status.HELD, STEP)
    assert GATE in state.reason
    assert stage.natives == stage.fleet.names[:2]


def test_a_lock_that_stays_keeps_the_exposure_until_the_hold_can_be_written(stage, place, judged):
    """Also at the last try: what can be read is watched by the guard, which knows the lease."""
    context = context_of(judged, excused=[GATE], **{GATE: "failed"})
    for number in (1, 6):
        context["ti"].try_number = number
        with locked(stage), pytest.raises(JournalUnavailable):
            reverting(place).execute(context)
    assert stage.natives == stage.fleet.names[:2]
    with fails_for_good():
        reverting(place).execute(context)
    assert stage.journal.state(judged).status == Status.HELD


def test_a_journal_that_cannot_be_read_takes_the_fleet_back_at_the_last_try_only(
    stage, place, judged
):
    """By then the lease is over, and nobody can tell whether a guard is there to see that."""
    ruin(stage)
    context = context_of(judged, excused=[GATE], **{GATE: "failed"})
    with pytest.raises(JournalUnavailable):
        reverting(place).execute(context)
    assert stage.natives
    context["ti"].try_number = 6
    reverting(place).execute(context)
    assert stage.natives == []


@pytest.mark.parametrize("states", [{ADVANCE: "failed"}, {ADVANCE: "skipped"}])
@pytest.mark.parametrize("breaks", [ruin, lambda stage: None])
def test_another_failure_takes_the_fleet_back_all_the_same(stage, place, judged, states, breaks):
    """One task for want of the journal and one for another reason, or by a person's hand."""
    breaks(stage)
    context = context_of(judged, excused=[GATE], **{GATE: "failed", **states})
    assert reverting(place).execute(context) == "revert"
    assert stage.natives == []


def test_an_airflow_that_does_not_say_why_excuses_nothing():
    """Without its word a failure is a failure."""
    context = context_of("m", **{GATE: "failed"})
    context["ti"].xcom_pull = raising(ConnectionError("away"))
    assert not only_the_journal_failed(context, {GATE: "failed"})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("act_intended", {"act": "set_variant", "step": "cutover-100", "variant": "native"}),
        ("approval", {"step": "cutover-100", "decision": "Reject", "reason": ""}),
        ("verdict", {**PROMOTE, "decision": "Rollback"}),
    ],
)
def test_what_nobody_may_stay_at_goes_back(stage, place, judged, kind, body):
    """Half an act, which the guard lets be; a person's No; a gate that was overruled by a breach."""
    stage.journal.append(kind, migration_id=judged, actor="ann", body=body)
    context = context_of(judged, excused=[GATE], **{GATE: "failed"})
    assert reverting(place).execute(context) == "revert"
    assert stage.natives == []


def away_at(monkeypatch: pytest.MonkeyPatch, name: str, step: str, times: int) -> list[str]:
    """Let the journal be away for so many calls of a runtime's act on `step`."""
    from feed_migration.orchestration import runtime as runtimes

    real, asked = getattr(runtimes, name), []

    def act(runtime: Any, of: str, *rest: Any) -> Any:
        if of == step and len(asked) < times:
            asked.append(of)
            raise JournalUnavailable("away")
        return real(runtime, of, *rest)

    monkeypatch.setattr(runtimes, name, act)
    return asked


def test_a_good_run_is_promoted_over_an_outage_at_a_hand_over(stage: Stage, monkeypatch):
    """The verdict is in the journal, and the journal is away when it is to be acted on."""
    asked = away_at(monkeypatch, "promote", STEP, TRIES)
    assert stage.run(DAG_ID) == "success"
    assert len(asked) == TRIES
    assert "rollback_started" not in stage.kinds()


@pytest.mark.parametrize(
    "waits", [("promote", STEP, GATE), ("require_open", "cutover-100", ADVANCE)]
)
def test_a_run_that_has_waited_in_vain_is_held_and_goes_on(stage: Stage, api, monkeypatch, waits):
    """Held at the step that made the exposure, promoted or not; its gate proves that step anew."""
    name, step, task = waits
    dag = stage.dag(DAG_ID)
    impatient = JournalPatience(seconds=0.2, pause_seconds=0.02)
    dag.get_task(task).journal_patience = impatient
    with monkeypatch.context() as patch:
        away_at(patch, name, step, 10**6)
        assert run_of(dag).state == "failed"
    journal = stage.journal
    migration_id = journal.latest_migration() or ""
    state = journal.state(migration_id)
    assert (state.status, state.held_step) == (Status.HELD, STEP)
    assert stage.natives == ["feed-00", "feed-01"]

    run_id = newest_run(DAG_ID)
    clear(api, DAG_ID, run_id, GATE, downstream=True)
    assert rerun(stage.dag(DAG_ID), run_id) == "success"
    assert journal.state(migration_id).status is Status.PROMOTED
    assert "rollback_started" not in stage.kinds()
    verdicts = [event.body for event in journal.events(migration_id, "verdict")]
    assert [body["run"] for body in verdicts if body["step"] == STEP] == ["1", "2"]


def test_an_act_that_came_far_is_waited_for_anew():
    """It had its journal for minutes, so what it finds away then is another outage."""
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    tries = iter([0.0, 500.0, 0.0])

    def act() -> str:
        lasts = next(tries, None)
        if lasts is None:
            return "done"
        now[0] += lasts
        raise JournalUnavailable("away")

    patience = JournalPatience(monotonic=lambda: now[0], sleep=pause)
    assert patience.outlast(context_of("m"), act) == "done"
