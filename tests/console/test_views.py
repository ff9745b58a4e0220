"""The console's view model: what a person reads of a migration, from values alone."""

from dataclasses import replace

import pytest

from feed_migration.console.fleet_view import moving
from feed_migration.console.view import GateRunFacts, PendingApproval, migration_view
from feed_migration.dag_run import Driver
from feed_migration.journal.store import Journal
from feed_migration.lease import Lease
from feed_migration.model import Approver
from feed_migration.phases import MigrationState, Status
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, breach, pass_steps

APPROVAL = PendingApproval(
    dag_id="backpack_migration",
    run_id="manual__1",
    task_id="cutover_50.approval",
    map_index=-1,
    subject="Start cutover-50?",
    body="evidence",
    asked_at=5.0,
)


def shown(state, *, lease=None, approvals=(), gate=None, driver="", run_state=""):
    run = Driver(dag_id=driver, run_id="r1") if driver else None
    return migration_view(
        state, lease=lease, approvals=approvals, gate=gate, driver=run, run_state=run_state
    )


def track(view):
    return {step["name"]: step["state"] for step in view["steps"]}


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def halfway(journal):
    """The state of a migration that is about to ask for cutover-50."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    return journal.state(migration_id)


def test_without_a_migration_the_page_says_how_to_begin_one():
    """An empty journal is the first thing that a new operator sees."""
    view = shown(MigrationState())
    assert view["id"] is None
    assert view["steps"] == []
    assert "backpack_migration" in view["why"]


def test_the_track_tells_done_waiting_and_to_come(halfway):
    """A step that waits for a person is neither running nor to come."""
    assert track(shown(halfway, approvals=[APPROVAL])) == {
        "preflight": "done",
        "shadow": "done",
        "cutover-10": "done",
        "cutover-50": "waiting",
        "cutover-100": "pending",
        "stabilisation": "pending",
    }


def test_after_an_answer_nothing_is_said_to_be_under_way(journal, halfway):
    """First the journal has no answer yet, then it is a No and the fleet goes back."""
    asked = Lease(
        migration_id=halfway.migration_id,
        holder="approval cutover-50",
        renewed_at=0.0,
        seconds=86400.0,
    )
    assert shown(halfway, lease=asked)["why"] == "cutover-50: its answer is being taken in."
    body = {"step": "cutover-50", "decision": "Reject", "reason": "not today"}
    journal.append("approval", migration_id=halfway.migration_id, actor="ann", body=body)
    denied = shown(journal.state(halfway.migration_id))
    assert denied["why"] == (
        "Not approved, the fleet goes back to ccxt:"
        " cutover-50 was not approved: rejected by ann: not today."
    )


def test_an_approval_says_until_when_it_can_be_given(halfway):
    """The lease of the wait is as long as the person may take, and ten minutes more."""
    lease = Lease(migration_id="m", holder="approval cutover-50", renewed_at=100.0, seconds=4200.0)
    view = shown(halfway, lease=lease, approvals=[APPROVAL])
    assert view["approvals"][0]["until"] == 3700.0
    assert view["acts"]["approve"]["possible"]
    assert "50 % of the fleet" in view["acts"]["approve"]["effect"]


def test_each_question_says_what_its_own_answer_brings_about(halfway):
    """Of two the dialog of the second must not tell of the first."""
    other = replace(APPROVAL, task_id="cutover_100.approval")
    first, second = shown(halfway, approvals=[APPROVAL, other])["approvals"]
    assert "50 % of the fleet" in first["effects"]["approve"]
    assert "100 % of the fleet" in second["effects"]["approve"]
    assert "cutover-100 does not begin" in second["effects"]["reject"]


def test_each_question_is_waited_for_with_those_who_may_answer(halfway):
    """Where the plan names them; elsewhere it is whoever may act in Airflow."""
    people = (Approver(id="7", name="Kim (risk)"), Approver(id="bo", name="bo"))
    named = replace(APPROVAL, may_answer=people)
    view = shown(halfway, approvals=[named, replace(APPROVAL, task_id="cutover_100.approval")])
    assert view["why"] == (
        "Waits for a person to approve cutover-50 (may answer: Kim (risk) or bo), cutover-100."
    )
    assert [dict(one) for one in view["approvals"][0]["may_answer"]] == [
        {"id": "7", "name": "Kim (risk)"},
        {"id": "bo", "name": "bo"},
    ]


def test_a_question_to_consumers_is_no_approval(halfway):
    """Nothing begins with it, and Approve is no answer to it."""
    asked = [
        replace(APPROVAL, task_id=f"post_migration.feedback_{name}", is_feedback=True)
        for name in ("risk", "execution")
    ]
    view = shown(halfway, approvals=asked)
    assert view["approvals"] == []
    assert "waiting" not in track(view).values()
    assert view["acts"]["approve"]["why_not"] == "nothing waits for an approval"
    assert view["why"].startswith("Asks risk, execution for feedback: they give it in Airflow")


def test_a_held_step_is_held_on_the_track_with_its_reason(halfway):
    """Why it waits is the first thing that the person on call wants to know."""
    held = replace(halfway, status=Status.HELD, held_step="cutover-10", reason="gate: blind")
    view = shown(held)
    assert track(view)["cutover-10"] == "held"
    assert "gate: blind" in view["why"]
    assert not view["acts"]["hold"]["possible"]


def test_a_hold_can_be_resumed_where_its_dag_run_is_known(halfway):
    """Without a DAG run there is nothing to clear, and the page says so."""
    held = replace(halfway, status=Status.HELD, held_step="cutover-10", reason="blind")
    gate = GateRunFacts(step="cutover-10", run="1", key="backpack_migration/r1#0", started_unix=0.0)
    assert shown(held, gate=gate)["acts"]["resume"]["possible"]
    assert "no gate" in shown(held)["acts"]["resume"]["why_not"]


@pytest.mark.parametrize(("run_state", "possible"), [("running", False), ("failed", True)])
def test_a_hold_can_be_resumed_once_its_dag_run_has_ended(halfway, run_state, possible):
    """Its way back is still to come, would find the hold gone, and take the fleet back."""
    held = replace(halfway, status=Status.HELD, held_step="cutover-10", reason="blind")
    gate = GateRunFacts(step="cutover-10", run="1", key="backpack_migration/r1#0", started_unix=0.0)
    offer = shown(held, gate=gate, run_state=run_state)["acts"]["resume"]
    assert offer["possible"] is possible
    assert ("still ends" in offer["why_not"]) is not possible


def test_a_rollback_shows_which_steps_were_taken_back(journal):
    """Shadow moved nothing, so its promotion stands; the cutover's does not."""
    fleet = MemoryFleet()
    migration_id = breach(journal, fleet)
    body = {"reason": "stale was 61 s", "epoch": 2, "instances": {}, "logs": {}}
    journal.append("rollback_started", migration_id=migration_id, actor="guard", body=body)
    view = shown(journal.state(migration_id))
    assert track(view)["shadow"] == "done"
    # instances still restart: it is not over before ccxt is verified
    assert track(view)["cutover-10"] == track(view)["cutover-50"] == "going_back"
    assert "stale was 61 s" in view["why"]
    proof = {"instances": {}, "breach_at": 1.0, "breach_to_rollback_seconds": 1.0}
    journal.append("rollback_verified", migration_id=migration_id, actor="guard", body=proof)
    assert track(shown(journal.state(migration_id)))["cutover-50"] == "rolled_back"


def test_a_rollback_is_always_on_offer_and_needs_a_reason(halfway):
    """The way back is never blocked; that it was asked for without a why is no help to anybody."""
    for state in (MigrationState(), halfway, replace(halfway, status=Status.ROLLED_BACK)):
        offer = shown(state)["acts"]["rollback"]
        assert offer["possible"]
        assert offer["needs_reason"]


def test_what_moves_the_fleet_or_stops_it_needs_a_reason(halfway):
    """A No takes the whole fleet back; a Yes and a resumption may go without words."""
    acts = shown(halfway, approvals=[APPROVAL])["acts"]
    assert {act for act, offer in acts.items() if offer["needs_reason"]} == {
        "reject",
        "hold",
        "rollback",
    }


def test_a_phase_that_is_over_waits_for_a_person(halfway):
    """Phase by phase: nothing is stuck, somebody has to start the next DAG."""
    lease = Lease(migration_id="m", holder="end of backpack_shadow", renewed_at=0.0, seconds=1.0)
    view = shown(halfway, lease=lease, driver="backpack_shadow")
    assert view["why"] == "shadow is done; cutover-50 waits for a person to start its DAG."


@pytest.mark.parametrize(
    ("run_state", "said"),
    [
        ("running", "cutover-50 is under way."),
        ("failed", "Its DAG run backpack_migration r1 has ended failed: see in Airflow which task"),
        (
            "success",
            "Its DAG run backpack_migration r1 has ended success: start backpack_migration",
        ),
    ],
)
def test_behind_a_run_that_has_ended_nothing_is_under_way(halfway, run_state, said):
    """Nobody would come; the page says what a person may do, as the shell does."""
    view = shown(halfway, driver="backpack_migration", run_state=run_state)
    assert view["why"].startswith(said)


def test_a_phase_that_is_done_waits_for_a_person_though_its_run_has_ended(halfway):
    """That it has is as it should be."""
    lease = Lease(migration_id="m", holder="end of backpack_shadow", renewed_at=0.0, seconds=1.0)
    view = shown(halfway, lease=lease, driver="backpack_shadow", run_state="success")
    assert view["why"] == "shadow is done; cutover-50 waits for a person to start its DAG."


def test_a_phase_that_was_started_waits_for_no_start(halfway):
    """Its run has joined; until it moves something the lease is that of the run before."""
    lease = Lease(migration_id="m", holder="end of backpack_shadow", renewed_at=0.0, seconds=1.0)
    view = shown(halfway, lease=lease, driver="backpack_cutover")
    assert view["why"] == "cutover-50 is under way."


@pytest.mark.parametrize("dag_id", ["backpack_cutover", "backpack_migration"])
def test_a_run_that_left_its_own_step_undone_is_to_be_looked_at(halfway, dag_id):
    """It failed where nothing is to be taken back: to wait for another DAG would mend nothing."""
    lease = Lease(migration_id="m", holder=f"end of {dag_id}", renewed_at=0.0, seconds=1.0)
    view = shown(halfway, lease=lease, driver=dag_id)
    assert view["why"] == f"{dag_id} is over, and cutover-50 is not done: its run says why."


def test_a_proven_fleet_shows_no_lease(journal):
    """While consumers are asked nobody renews one, and that it ended would frighten for nothing."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="post_migration")
    lease = Lease(migration_id="m", holder="gate stabilisation", renewed_at=0.0, seconds=600.0)
    state = journal.state(migration_id)
    assert (state.status, len(state.exposed)) == (Status.RUNNING, 10)
    assert shown(state, lease=lease)["lease"] is None
    watched = replace(state, promoted=state.promoted[:-1])
    assert shown(watched, lease=lease)["lease"]["counts"]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ({"act": "set_variant", "variant": "native", "instances": ["a"]}, "1 instance goes to native"),
        ({"act": "set_variant", "variant": "ccxt", "instances": ["a", "b"]}, "2 instances go to ccxt"),
        ({"act": "start_shadow", "instances": ["a", "b"]}, "2 shadows start"),
        ({"act": "odd_thing", "instances": 7}, "odd thing under way"),
    ],
)  # fmt: skip
def test_an_act_under_way_is_said_in_words(halfway, act, said):
    """No name of a function, and no `1 instances`."""
    assert shown(replace(halfway, pending_act=act))["why"].endswith(f": {said}.")


def test_names_of_steps_are_written_one_way(halfway):
    """`dry run` on the track, and `dry run` in a sentence."""
    asking = replace(APPROVAL, task_id="dry_run.approval")
    assert "approve dry run." in shown(halfway, approvals=[asking])["why"]


def test_after_the_end_the_page_says_that_there_is_a_report(halfway):
    """The link is at the top, where nobody looks who reads the track."""
    assert "The report is ready" in shown(replace(halfway, status=Status.PROMOTED))["why"]


def test_what_an_act_moves_is_known_from_the_journal(halfway):
    """Forward the instances of the act, and on the way back all that may be on native."""
    act = {"act": "set_variant", "variant": "native", "instances": ["feed-03"]}
    assert set(moving(replace(halfway, pending_act=act))) == {"feed-03"}
    back = replace(halfway, status=Status.ROLLING_BACK, exposed=("feed-00",), pending_act=None)
    assert set(moving(back)) == {"feed-00"}
    assert not moving(halfway)
