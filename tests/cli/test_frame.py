"""The live view: a frame fits every terminal, and shows what an operator has to know."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from feed_migration import phases
from feed_migration.cli.frame import Silence, Size, frame, line
from feed_migration.cli.lists import short_threshold, spark
from feed_migration.cli.situation import Situation, next_of, wait_of
from feed_migration.cli.standing import status_of
from feed_migration.dag_run import Driver, EndedRun
from feed_migration.denial import Denial
from feed_migration.events import Event
from feed_migration.fleet.base import InstanceStatus
from feed_migration.gates.record import GateStart
from feed_migration.guard.answer import NOT_NAMED, GuardAnswer, GuardState, silent
from feed_migration.lease import HANDOVER_SECONDS, Lease
from feed_migration.model import Measurement, Outcome
from feed_migration.phases import MigrationState, Status
from tests.support.migration_plans import GATE, PLAN

NOW = 1_790_000_000.0
STEPS = tuple(
    {"name": step.name, "phase": step.phase, "percent": step.percent} for step in PLAN.steps
)
RUNNING = MigrationState(
    migration_id="mig-0001-20260921T141320Z",
    status=Status.RUNNING,
    plan_name="small",
    epoch=1,
    started_at=NOW - 3723.0,
    step="cutover-50",
    phase="cutover",
    run="1",
    steps=STEPS,
    promoted=("preflight", "shadow", "cutover-10"),
    exposed=("feed-00",),
)
LEASE = Lease(migration_id="m", holder="gate cutover-50", renewed_at=NOW, seconds=600.0)
START = GateStart(migration_id="m", step="cutover-50", run="1", started_unix=NOW - 90.0)


def measured(name, values, outcome=Outcome.SUCCESS, threshold="success <= 30, failure >= 45"):
    return [
        Measurement(
            criterion=name,
            tick_seconds=float(tick),
            outcome=outcome,
            counts_as=outcome,
            value=value,
            threshold=threshold,
        )
        for tick, value in enumerate(values)
    ]


def instance(number, *, ready=True, variant="native", reasons=()):
    return InstanceStatus(
        id=f"feed-{number:02}",
        variant=variant,
        ready=ready,
        healthy=ready,
        reasons=reasons,
        url="",
    )


def event(seq, kind="verdict", **body):
    return Event(
        seq=seq,
        at=NOW - 100.0 + seq,
        migration_id="m",
        kind=kind,
        actor="gate cutover-10",
        body=body or {"step": "cutover-10", "decision": "Promote", "reasons": []},
        prev_hash="",
        hash="",
    )


BUSY = Situation(
    now_unix=NOW,
    state=RUNNING,
    lease=LEASE,
    gate_start=START,
    gate=replace(GATE, min_duration_seconds=180.0, max_duration_seconds=3600.0),
    measurements=[
        *(one for i in range(12) for one in measured(f"criterion_{i:02}", range(40))),
        *measured("symbol_snapshot_age", [1.0, 2.0, 61.0], Outcome.FAILURE),
    ],
    events=[event(seq) for seq in range(40)],
    instances=[
        *(instance(i) for i in range(50)),
        *(instance(i, ready=False, reasons=("stale 61 s " * 20,)) for i in range(50, 60)),
    ],
)


def text(situation, width=80, height=24, silences=()):
    rows = frame(situation, list(silences), Size(width=width, height=height))
    return "\n".join(row.plain for row in rows)


@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("height", [10, 24, 40])
@pytest.mark.parametrize("situation", [BUSY, Situation(now_unix=NOW)])
def test_a_frame_fits_its_terminal(situation, width, height):
    """No line wraps and none is pushed out, whatever there is to show."""
    silences = [Silence(part="the journal", since_unix=NOW - 5, problem="locked " * 30)]
    rows = frame(situation, silences, Size(width=width, height=height))
    assert len(rows) <= height
    assert max(cell_len(row.plain) for row in rows) <= width


def test_eighty_columns_show_what_matters():
    """Status, track, gate, lease, what is not well, the newest event, and what is left out."""
    shown = text(BUSY)
    assert "RUNNING" in shown
    assert "✓ shadow" in shown
    assert "cutover: ✓10% ▶50% ·100%" in shown
    assert "gate of cutover-50: 1:30 of at least 3:00, at most 1:00:00" in shown
    assert "gate cutover-50, lease for 10:00" in shown
    assert "symbol_snapshot_age" in shown
    assert "Failure" in shown
    assert "more, all well" in shown
    assert "60 instances: 60 native; 50 well" in shown
    assert "feed-50" in shown
    assert "more are not well" in shown
    assert "14:12:19" in shown


def test_a_proven_fleet_has_no_lease_that_is_over():
    """While its consumers are asked for a day, neither the screen nor `status` frightens anybody."""
    proven = replace(RUNNING, promoted=tuple(step.name for step in PLAN.steps))
    old = replace(LEASE, holder="handover stabilisation", renewed_at=NOW - 86_400.0)
    asking = replace(BUSY, state=proven, lease=old, gate_start=None, gate=None)
    assert "watched" not in text(asking)
    assert status_of(asking)["lease"] is None
    half_way = replace(BUSY, lease=old)
    assert "handover stabilisation, lease over" in text(half_way)
    assert status_of(half_way)["lease"]["holder"] == "handover stabilisation"


def test_a_large_terminal_leaves_nothing_out():
    """Thirteen criteria, all ten instances that are not well, and events besides."""
    shown = text(BUSY, width=140, height=60)
    assert "criterion_11" in shown
    assert "feed-59" in shown
    assert "more" not in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": Status.HELD, "held_step": "cutover-50", "reason": "held by bo: odd"}, "‖50%"),
        ({"status": Status.ROLLING_BACK, "reason": "gate said so"}, "goes back to ccxt: gate said"),
        ({"status": Status.ROLLED_BACK, "reason": "gate said so"}, "✗50%"),
        ({"status": Status.PROMOTED, "promoted": tuple(s["name"] for s in STEPS)}, "✓100%"),
        (
            {"pending_act": {"act": "set_variant", "variant": "native", "instances": ["a"]}},
            "cutover-50: 1 instance goes to native",
        ),
    ],
)
def test_every_status_shows_why_nothing_goes_on(change, words):
    """And never in colour alone."""
    situation = replace(BUSY, state=replace(RUNNING, **change), gate_start=None)
    assert words in text(situation)
    assert str(situation.state.status).replace("_", " ").upper() in text(situation)


def test_a_step_that_runs_in_airflow_is_not_over():
    """What is waited for comes after a step only once that is promoted."""
    dry_run = replace(RUNNING, step="dry_run", promoted=("preflight",))
    assert wait_of(Situation(now_unix=NOW, state=dry_run)).text == "Airflow's tasks of dry_run"
    done = replace(dry_run, promoted=("preflight", "dry_run"))
    words = "Airflow's next task after dry_run"
    assert wait_of(Situation(now_unix=NOW, state=done)).text == words


def test_a_no_is_on_its_way_back_at_once():
    """From the answer on, also while the run's last tasks have yet to begin it."""
    who = {"migration_id": "m", "prev_hash": "", "hash": "", "seq": 9, "at": NOW}
    body = {"step": "cutover-50", "decision": "Reject", "reason": "odd book"}
    state = phases.apply(RUNNING, Event(kind="approval", actor="ann", body=body, **who))
    answered = replace(LEASE, holder="approval cutover-50", seconds=HANDOVER_SECONDS)
    wait = wait_of(Situation(now_unix=NOW, state=state, lease=answered))
    said = "cutover-50 was not approved: rejected by ann: odd book"
    assert (wait.kind, wait.text) == ("rollback", f"the fleet goes back to ccxt: {said}")
    asked_again = replace(answered, seconds=3600.0 + HANDOVER_SECONDS)
    assert wait_of(Situation(now_unix=NOW, state=state, lease=asked_again)).kind == "approval"
    body = {**body, "decision": "Approve"}
    state = phases.apply(state, Event(kind="approval", actor="ann", body=body, **who))
    assert state.denial is None


def test_a_no_takes_back_without_the_dag_run_that_asked():
    """That run has ended failed by then, and nothing of it is to be mended."""
    run = Driver(dag_id="backpack_migration", run_id="manual__1")
    over = replace(BUSY, gate_start=None, ended_run=EndedRun(run=run, state="failed"))
    assert wait_of(over).kind == "person"
    denied = replace(RUNNING, denial=Denial(step="cutover-50", decision="Reject", actor="ann"))
    assert wait_of(replace(over, state=denied)).kind == "rollback"


def test_an_approval_says_who_may_and_until_when():
    """Both are known from the journal, with Airflow down, too."""
    lease = replace(LEASE, holder="approval cutover-50", seconds=3600.0 + HANDOVER_SECONDS)
    waiting = replace(BUSY, lease=lease, gate_start=None, may_answer=("ann", "bo"))
    words = "cutover-50 waits for an approval by ann or bo; none by 2026-09-21 15:13:20 UTC is a No"
    assert wait_of(waiting).text == words
    assert next_of(waiting)[0] == "backpack-migrate approve"


def test_a_part_that_is_silent_is_named_with_its_age():
    """The rest is shown as it was last known."""
    silence = Silence(part="the journal", since_unix=NOW - 75.0, problem="database is locked")
    shown = text(BUSY, silences=[silence])
    assert "! the journal silent for 1:15: database is locked" in shown
    assert "the journal does not answer" in line(BUSY, [silence])


def test_how_the_guard_is_stands_below_who_watches():
    """One that is silent is told of among the silent parts, with its age and what to do."""
    watches = replace(BUSY, guard=GuardAnswer(state=GuardState.WATCHING))
    words = "watches what is exposed, because nobody else does"
    assert f"lease for 10:00\nguard    {words}\n" in text(watches)
    assert f"guard {words}" in line(watches, [])
    assert "guard    not asked" in text(replace(BUSY, guard=NOT_NAMED))
    assert "guard" not in line(replace(BUSY, guard=NOT_NAMED), [])
    gone = silent("http://guard:9699", "nothing listens")
    quiet = replace(BUSY, guard=gone)
    silence = Silence(part="the guard", since_unix=NOW - 75.0, problem=gone.detail)
    assert "! the guard silent for 1:15: start it, or roll back what is" in text(
        quiet, 80, 24, [silence]
    )
    assert text(quiet, silences=[silence]).count("guard silent") == 1
    assert "guard    " not in text(quiet, silences=[silence])
    assert line(quiet, [silence]).endswith("| the guard does not answer")
    assert status_of(quiet)["guard"]["state"] == "silent"


def test_the_line_of_a_situation_does_not_change_by_time_alone():
    """Or a log would have one a second."""
    assert line(BUSY, []) == line(replace(BUSY, now_unix=NOW + 60.0), [])
    assert "symbol_snapshot_age 61 (Failure)" in line(BUSY, [])
    assert "gate of cutover-50" in line(BUSY, [])


def test_a_spark_has_a_bar_per_tick():
    """From the least to the most; what has no value is a dot."""
    assert spark(measured("c", [0.0, 3.5, 7.0]), 16).plain == "▁▅█"
    assert spark(measured("c", [5.0, 5.0]), 16).plain == "▁▁"
    assert spark(measured("c", [None, float("nan"), float("inf")]), 16).plain == "···"
    assert len(spark(measured("c", range(100)), 16).plain) == 16


def test_thresholds_are_short():
    """They share eighty columns with four others."""
    assert short_threshold("success <= 30, failure >= 45") == "≤30, bad ≥45"
    assert short_threshold("at most 1.2 times the baseline") == "≤1.2× baseline"


def test_what_others_say_moves_no_cursor():
    """A reason, an instance or an event with escapes in it stays text of its length."""
    evil = "\x1b[2J\x07held"
    state = replace(RUNNING, status=Status.HELD, held_step="cutover-50", reason=evil)
    situation = replace(BUSY, state=state, instances=[instance(0, ready=False, reasons=(evil,))])
    assert "·[2Jheld" in text(situation)
    assert text(situation).replace("\n", "").isprintable()
    assert line(situation, []).isprintable()
