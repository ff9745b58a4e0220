"""What the guard exports of a migration, from a real journal, with the clock in the test's hand."""

import math
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from feed_migration.cutover import promote
from feed_migration.driving import JOINED
from feed_migration.feedback import FEEDBACK
from feed_migration.gates.record import join_gate, record_verdict
from feed_migration.guard.gate_reader import READ_SECONDS, added
from feed_migration.guard.metrics import guard_registry
from feed_migration.guard.sight import GateView
from feed_migration.lease import HANDOVER_SECONDS, PERSON_SECONDS, approval_holder, end_holder
from feed_migration.model import Decision, Measurement, Outcome, Severity, Verdict
from feed_migration.notices.overtaken import FEEDBACK_ASKED
from tests.support.conditions import eventually_sync
from tests.support.guard_stage import STEP, Stage
from tests.support.migration_plans import GATE, gate

APPROVAL_SECONDS = 86_400.0


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


@pytest.fixture
def guard(stage):
    guard = stage.guard()
    yield guard
    guard.close()


def exported(stage, guard):
    """{(name, label values in the order of their names): value} of one scrape."""
    registry = guard_registry(lambda: guard.sight, lambda: stage.clock.unix)
    text = generate_latest(registry).decode()
    return {
        (
            sample.name.removeprefix("feed_migration_"),
            *dict(sorted(sample.labels.items())).values(),
        ): (sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def measured(tick, outcome=Outcome.SUCCESS, value=1.0):
    return Measurement(
        criterion="stale", tick_seconds=tick, outcome=outcome, counts_as=outcome, value=value
    )


def open_gate(stage):
    return join_gate(
        stage.journal,
        migration_id=stage.migration_id,
        step=STEP,
        key="run#0",
        actor="ana",
        started_unix=stage.clock.unix,
    )


def test_before_the_first_round_there_is_only_the_guard(stage, guard):
    """Nothing is said of a journal that nobody has read."""
    found = exported(stage, guard)
    assert found["fleet_instances",] == 4
    assert found["gate_open",] == 0
    assert found["guard_reverts_total",] == 0
    assert ("guard_last_poll_timestamp_seconds",) not in found
    assert ("guard_exposed_instances",) not in found
    assert math.isnan(found["guard_lease_left_seconds",])
    assert not [name for name, *_ in found if name in {"status", "step_current", "info"}]


def test_an_exposed_migration_is_told_in_full(stage, guard):
    """Status, steps, exposure, lease and what happened so far."""
    stage.goes_to(STEP)
    guard.poll()
    found = exported(stage, guard)
    assert found["status", "running"] == 1
    assert found["status", "held"] == 0
    assert found["info", stage.migration_id, "quick", stage.plan.sha256] == 1
    assert found["step_current", "cutover", STEP] == 1
    assert found["step_current", "shadow", "shadow"] == 0
    assert found["step_promoted", "shadow", "shadow"] == 1
    assert found["step_promoted", "cutover", STEP] == 0
    assert found["step_percent", "cutover", STEP] == 50
    assert found["step_started_timestamp_seconds", "cutover", STEP] == stage.clock.unix
    assert ("step_started_timestamp_seconds", "cutover", "cutover-100") not in found
    assert found["guard_exposed_instances",] == 2
    assert found["events_total", "act_confirmed"] >= 2
    assert found["events_total", "held"] == 0
    assert found["verdicts_total", "Promote"] == 1
    assert math.isnan(found["last_rollback_seconds",])


def test_a_status_keeps_the_time_of_its_change(stage, guard):
    """Also when more is said while it lasts."""
    stage.goes_to(STEP)
    stage.clock.passes(100.0)
    stage.says("held", step=STEP, reason="not proven in time")
    held_at = stage.clock.unix
    stage.clock.passes(100.0)
    stage.says("audit_note", note="x")
    guard.poll()
    found = exported(stage, guard)
    assert found["status", "held"] == 1
    assert found["status_since_timestamp_seconds",] == held_at


def test_a_rollback_leaves_its_time_and_no_step(stage, guard):
    """Nothing is current any more; how long it took stays."""
    stage.goes_to(STEP)
    stage.says("rollback_started", reason="x", epoch=9, instances={})
    stage.says("rollback_verified", instances={}, breach_to_rollback_seconds=12.5)
    guard.poll()
    found = exported(stage, guard)
    assert found["status", "rolled_back"] == 1
    assert found["last_rollback_seconds",] == 12.5
    assert found["step_current", "cutover", STEP] == 0
    assert found["ended_timestamp_seconds",] == stage.clock.unix


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """A migration whose step of 50 % needs a person, who is asked."""
    monkeypatch.setattr(
        "tests.support.guard_stage.PLAN",
        Stage.__init__.__globals__["PLAN"].replace("percent: 50,", "percent: 50, approval: true,"),
    )
    stage = Stage(tmp_path)
    stage.goes_to("shadow")
    stage.journal.renew_lease(
        stage.migration_id,
        holder=approval_holder(STEP),
        seconds=APPROVAL_SECONDS + HANDOVER_SECONDS,
    )
    return stage


def test_a_person_is_waited_for(asking):
    """Since when, and until when, by step."""
    guard = asking.guard()
    guard.poll()
    asking.clock.passes(3600.0)
    found = exported(asking, guard)
    assert found["approval_waiting_seconds", STEP] == 3600.0
    assert found["approval_left_seconds", STEP] == APPROVAL_SECONDS - 3600.0
    assert found["lease_seconds", f"approval {STEP}"] == APPROVAL_SECONDS + HANDOVER_SECONDS
    guard.close()


def test_an_answer_ends_the_wait(asking):
    """Its lease is the hand-over's from then on."""
    asking.journal.renew_lease(
        asking.migration_id, holder=approval_holder(STEP), seconds=HANDOVER_SECONDS
    )
    asking.says("approval", step=STEP, decision="Approve", reason="")
    guard = asking.guard()
    guard.poll()
    found = exported(asking, guard)
    assert found["approval_waiting_seconds", STEP] == 0
    assert math.isnan(found["approval_left_seconds", STEP])
    guard.close()


def asks(stage, consumer):
    """Ask a consumer for feedback, as the task does: for a day at most."""
    until = stage.clock.unix + 86_400.0
    stage.says("audit_note", note=FEEDBACK_ASKED, consumer=consumer, until=until)


def waited(stage, guard, metric):
    guard.poll()
    return exported(stage, guard)[metric,]


def test_consumers_are_waited_for_until_the_last_has_answered(stage, guard):
    """Since the first of them was asked; who is asked again is waited for again."""
    stage.goes_to("post_migration")
    assert waited(stage, guard, "feedback_waiting_seconds") == 0
    asks(stage, "risk")
    stage.clock.passes(3600.0)
    asks(stage, "execution")
    assert waited(stage, guard, "feedback_waiting_seconds") == 3600.0
    stage.says("audit_note", note=FEEDBACK, consumer="risk", healthy=True)
    stage.clock.passes(60.0)
    assert waited(stage, guard, "feedback_waiting_seconds") == 60.0
    stage.says("audit_note", note=FEEDBACK, consumer="execution", healthy=False)
    assert waited(stage, guard, "feedback_waiting_seconds") == 0
    asks(stage, "risk")
    stage.clock.passes(5.0)
    assert waited(stage, guard, "feedback_waiting_seconds") == 5.0


def test_a_consumer_who_has_no_time_left_is_not_waited_for(stage, guard):
    """Airflow closes the question then; where it does not, it is Airflow that stands still."""
    stage.goes_to("post_migration")
    asks(stage, "risk")
    stage.clock.passes(86_399.0)
    assert waited(stage, guard, "feedback_waiting_seconds") == 86_399.0
    stage.clock.passes(1.0)
    assert waited(stage, guard, "feedback_waiting_seconds") == 0


def test_a_migration_that_goes_back_asks_no_consumer(stage, guard):
    """Whatever was asked before."""
    stage.goes_to("post_migration")
    asks(stage, "risk")
    stage.clock.passes(5.0)
    stage.says("rollback_started", reason="x", epoch=9, instances={})
    assert waited(stage, guard, "feedback_waiting_seconds") == 0


def ends(stage, dag_id):
    """A DAG run ends with its steps proven."""
    stage.journal.renew_lease(stage.migration_id, holder=end_holder(dag_id), seconds=PERSON_SECONDS)


def joins(stage, dag_id):
    stage.says("audit_note", note=JOINED, dag_id=dag_id, run_id="manual", key=dag_id, turn=1)


def test_between_two_phases_a_person_is_waited_for(stage, guard):
    """From the end of one DAG's run until the next one joins the migration."""
    joins(stage, "backpack_shadow")
    stage.goes_to("shadow")
    gate(stage.journal, stage.migration_id, "shadow")
    promote(stage.plan.step("shadow"), stage.plan, stage.journal, stage.migration_id, "ana")
    assert waited(stage, guard, "next_phase_waiting_seconds") == 0
    ends(stage, "backpack_shadow")
    stage.clock.passes(7200.0)
    assert waited(stage, guard, "next_phase_waiting_seconds") == 7200.0
    joins(stage, "backpack_cutover")
    assert waited(stage, guard, "next_phase_waiting_seconds") == 0


@pytest.mark.parametrize("dag_id", ["backpack_post_migration", "backpack_migration"])
def test_a_dag_that_did_not_get_to_its_own_end_leaves_no_next_phase(stage, guard, dag_id):
    """A report that failed: the fleet stays, and somebody has to look into the run."""
    joins(stage, dag_id)
    stage.goes_to("post_migration")
    ends(stage, dag_id)
    stage.clock.passes(7200.0)
    assert waited(stage, guard, "next_phase_waiting_seconds") == 0


def seen(stage, guard, ticks):
    """Let rounds pass until so many ticks are seen."""

    def polled():
        stage.clock.passes(READ_SECONDS)
        guard.poll()
        found = exported(stage, guard)
        outcomes = [outcome.value for outcome in Outcome]
        counted = [found.get(("criterion_ticks", "stale", one, STEP), 0) for one in outcomes]
        return found if sum(counted) == ticks else None

    return eventually_sync(polled)


def test_an_open_gate_shows_each_criterion(stage, guard, monkeypatch):
    """Newest value and outcome, ticks so far, the plan's thresholds; the last ones after it too."""
    monkeypatch.setattr(guard._watcher, "look", lambda *_: None)
    stage.goes_to(STEP)
    start = open_gate(stage)
    stage.journal.record(stage.migration_id, STEP, [measured(0.0), measured(5.0)], run=start.run)
    found = seen(stage, guard, 2)
    assert found["gate_open",] == 1
    assert found["gate_started_timestamp_seconds", start.run, STEP] == start.started_unix
    assert found["gate_last_tick_timestamp_seconds", start.run, STEP] == start.started_unix + 5.0
    assert found["gate_interval_seconds", start.run, STEP] == 1.0
    assert found["gate_min_duration_seconds", start.run, STEP] == 60.0
    assert found["criterion_limit", "stale", "success_max", STEP] == 30.0
    assert found["criterion_limit", "stale", "failure_min", STEP] == 45.0

    failure = measured(10.0, Outcome.FAILURE, 61.0)
    stage.journal.record(stage.migration_id, STEP, [failure], run=start.run)
    verdict = Verdict(decision=Decision.HOLD, at_seconds=10.0)
    record_verdict(stage.journal, start, verdict)
    found = seen(stage, guard, 3)
    assert found["gate_open",] == 0
    assert found["criterion_value", "stale", STEP] == 61.0
    assert found["criterion_outcome", "stale", "Failure", STEP] == 1
    assert found["criterion_outcome", "stale", "Success", STEP] == 0


@pytest.mark.parametrize("ending", ["rollback_started", "held"])
def test_a_gate_that_the_migration_has_left_is_not_open(stage, guard, ending):
    """Taken back by a person, say, with Airflow dead: no verdict of that run ever comes."""
    stage.goes_to(STEP)
    open_gate(stage)
    guard.poll()
    assert exported(stage, guard)["gate_open",] == 1
    stage.says(ending, step=STEP, reason="asked for", epoch=9, instances={})
    guard.poll()
    assert exported(stage, guard)["gate_open",] == 0


def test_a_criterion_that_decides_nothing_is_marked(stage, guard):
    """As for information only: its Failure holds up nothing."""
    info = replace(GATE.criteria[0], name="others_blamed", severity=Severity.INFO)
    gate = replace(GATE, criteria=(*GATE.criteria, info))
    view = GateView(step=STEP, run="1", started_unix=1000.0, gate=gate)
    registry = guard_registry(lambda: replace(guard.sight, gate=view), lambda: stage.clock.unix)
    decides = {
        sample.labels["criterion"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "feed_migration_criterion_decides"
    }
    assert decides == {"stale": 1, "others_blamed": 0}


def test_a_tick_that_is_read_again_counts_once():
    """As the last one is, for criteria that were not written with the first."""
    view = GateView(step=STEP, run="1", started_unix=1000.0)
    for _ in range(2):
        view = added(view, [measured(0.0), measured(5.0)])
    assert view.ticks == {("stale", Outcome.SUCCESS): 2}
    assert view.last_tick_unix == 1005.0


def test_measurements_that_cannot_be_read_are_told_of_once(stage, guard, monkeypatch, caplog):
    """As with a row that means nothing: asked again, and what was seen stays."""
    monkeypatch.setattr(guard._watcher, "look", lambda *_: None)
    stage.goes_to(STEP)
    open_gate(stage)
    asked = []

    def unreadable(*_, **__):
        asked.append(1)
        raise KeyError("outcome")

    monkeypatch.setattr(type(stage.journal), "measurements", unreadable)

    def polled():
        stage.clock.passes(READ_SECONDS)
        guard.poll()
        return len(asked) >= 3

    eventually_sync(polled)
    assert caplog.text.count("measurements cannot be read") == 1
    assert exported(stage, guard)["gate_open",] == 1


def test_a_journal_that_goes_away_leaves_what_was_known(stage, guard):
    """And says for how long it has been silent."""
    stage.goes_to(STEP)
    guard.poll()
    stage.journal_goes_away()
    stage.clock.passes(3.0)
    guard.poll()
    found = exported(stage, guard)
    assert found["status", "running"] == 1
    assert found["guard_journal_silent_seconds",] > 0


def test_a_journal_of_odd_bodies_is_exported_as_far_as_it_means_something(stage, guard):
    """As another version, or a hand, may have written it; a scrape that fails is a guard that is down."""
    odd = [{"approval": True}, {"name": 5, "phase": None, "percent": True}, {"name": "\ud800\n"}]
    body = {"plan": "\udfff", "plan_sha256": None, "epoch": "x", "steps": odd}
    stage.journal.append("migration_started", migration_id="mig-odd", actor="x", body=body)
    stage.journal.renew_lease("mig-odd", holder="end of x", seconds=1.0)
    for note in ({"note": "joined", "dag_id": "x"}, {"note": "feedback_asked", "until": "soon"}):
        stage.journal.append("audit_note", migration_id="mig-odd", actor="x", body=note)
    guard.poll()
    found = exported(stage, guard)
    assert found["status", "running"] == 1
    assert found["feedback_waiting_seconds",] == 0
    assert found["next_phase_waiting_seconds",] == 0
    assert found["step_promoted", "", "5"] == 0
    assert ("step_percent", "", "5") not in found
