"""The console's view model: what a person reads of a migration, from values alone."""

from dataclasses import replace

import pytest

from feed_migration.console.fleet_view import away_since, fleet_view, instance_state, moving
from feed_migration.console.gate_view import POINTS, gate_view
from feed_migration.console.parity_view import parity_view
from feed_migration.console.view import GateRunFacts, PendingApproval, migration_view
from feed_migration.fleet.base import InstanceStatus
from feed_migration.journal.store import Journal
from feed_migration.lease import Lease
from feed_migration.model import (
    Band,
    Criterion,
    FailureWindow,
    Gate,
    Measurement,
    Objective,
    Outcome,
)
from feed_migration.phases import MigrationState, Status
from feed_migration.report.parity import ShardParity
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


def shown(state, *, lease=None, approvals=(), gate=None):
    return migration_view(state, lease=lease, approvals=approvals, gate=gate)


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


def test_a_phase_that_is_over_waits_for_a_person(halfway):
    """Phase by phase: nothing is stuck, somebody has to start the next DAG."""
    lease = Lease(migration_id="m", holder="end of backpack_shadow", renewed_at=0.0, seconds=1.0)
    assert "waits for a person to start" in shown(halfway, lease=lease)["why"]


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


GATE = Gate(
    interval_seconds=15.0,
    min_duration_seconds=60.0,
    max_duration_seconds=600.0,
    criteria=(Criterion(name="age", query="q", success=Band(maximum=5)),),
)
FACTS = GateRunFacts(step="cutover-10", run="2", key="dag_x/run+1#3", started_unix=1000.0)


def row(tick, outcome=Outcome.SUCCESS, value=1.0, **more):
    return Measurement(
        criterion="age",
        tick_seconds=15.0 * tick,
        outcome=outcome,
        counts_as=outcome,
        value=value,
        **more,
    )


def with_limits(**limits):
    return replace(GATE, criteria=(replace(GATE.criteria[0], **limits),))


def test_a_criterion_has_its_newest_value_and_its_history():
    """At most as many points as a sparkline shows, the newest last."""
    rows = [row(tick, value=float(tick)) for tick in range(POINTS + 5)]
    view = gate_view(FACTS, GATE, rows)
    (criterion,) = view["criteria"]
    assert (criterion["value"], criterion["outcome"]) == (POINTS + 4.0, "Success")
    assert len(criterion["points"]) == POINTS
    assert criterion["at"] == 1000.0 + 15.0 * (POINTS + 4)
    assert (view["dag_id"], view["run_id"]) == ("dag_x", "run+1")


def test_infinite_and_missing_values_are_strict_json():
    """A page reads JSON, which has no NaN and no infinity."""
    rows = [row(0, Outcome.FAILURE, float("inf")), row(1, Outcome.NO_DATA, None)]
    (criterion,) = gate_view(FACTS, GATE, rows)["criteria"]
    assert [value for _, value, _ in criterion["points"]] == ["+Inf", None]


def test_a_criterion_that_was_never_measured_says_so():
    """A gate that has just begun lists its criteria already."""
    (criterion,) = gate_view(FACTS, GATE, [])["criteria"]
    assert (criterion["outcome"], criterion["points"]) == (None, [])


def test_measurements_are_shown_without_their_plan():
    """The plan file may be another one by now: what was measured is still true."""
    (criterion,) = gate_view(FACTS, None, [row(0, threshold="success <= 5")])["criteria"]
    assert (criterion["name"], criterion["threshold"]) == ("age", "success <= 5")


@pytest.mark.parametrize(
    ("limits", "rows", "text", "left"),
    [
        ({}, [row(0, Outcome.FAILURE)], None, None),
        ({"failure_limit": 4}, [row(0, Outcome.FAILURE), row(1)], "1 of 4 failures", 0.75),
        ({"consecutive_failure_limit": 2}, [row(k, Outcome.FAILURE) for k in range(2)], "2 of 2 failures in a row", 0.0),
        ({"consecutive_failure_limit": 2}, [row(0, Outcome.FAILURE), row(1)], "0 of 2 failures in a row", 1.0),
        ({"failure_window": FailureWindow(limit=2, window_seconds=60.0)}, [row(0, Outcome.FAILURE), row(9, Outcome.FAILURE)], "1 of 2 failures within 60 s", 0.5),
        ({"objective": Objective(target=0.99, over_seconds=6000.0)}, [row(0, Outcome.FAILURE)], "1 of 4 bad checks within 6000 s", 0.75),
        ({"failure_limit": 10, "consecutive_failure_limit": 2}, [row(0, Outcome.FAILURE)], "1 of 2 failures in a row", 0.5),
    ],
)  # fmt: skip
def test_the_budget_is_that_of_the_tightest_limit(limits, rows, text, left):
    """What is left before a breach, counted as the judge counts."""
    (criterion,) = gate_view(FACTS, with_limits(**limits), rows)["criteria"]
    budget = criterion["budget"]
    assert (budget and budget["text"]) == text
    assert (budget and pytest.approx(budget["left_share"])) == left


def status(**more):
    base = {
        "id": "feed-00",
        "variant": "native",
        "ready": True,
        "healthy": True,
        "reasons": (),
        "url": "",
    }
    return InstanceStatus(**{**base, **more})


@pytest.mark.parametrize(
    ("seen", "away_seconds", "state"),
    [
        (status(), None, "native"),
        (status(variant="ccxt"), None, "ccxt"),
        (status(healthy=False), None, "unhealthy"),
        (status(healthy=False), 5.0, "restarting"),
        (status(variant="unknown", ready=False, healthy=False), 5.0, "restarting"),
        (status(variant="unknown", ready=False, healthy=False), 61.0, "unhealthy"),
    ],
)
def test_an_instance_is_in_one_of_four_states(seen, away_seconds, state):
    """Away for as long as a start may take is a restart; for longer it is a fault."""
    assert instance_state(seen, away_seconds, 60.0) == state


def test_an_instance_that_comes_back_counts_anew():
    """The next restart has the whole deadline again."""
    down = status(ready=False)
    since = away_since({}, [down], 100.0)
    assert away_since(since, [down], 130.0) == {"feed-00": 100.0}
    assert away_since(since, [status()], 140.0) == {}


def test_a_planned_restart_never_flashes_as_a_fault():
    """Unwell before it goes down, and unwell when it is up again but has not caught up."""
    unwell = status(healthy=False)
    assert away_since({}, [unwell], 100.0) == {}
    planned = away_since({}, [unwell], 100.0, {"feed-00"})
    assert planned == {"feed-00": 100.0}
    down = away_since(planned, [status(ready=False)], 101.0, {"feed-00"})
    assert away_since(down, [unwell], 103.0) == {"feed-00": 100.0}


def test_what_an_act_moves_is_known_from_the_journal(halfway):
    """Forward the instances of the act, and on the way back all that may be on native."""
    act = {"act": "set_variant", "variant": "native", "instances": ["feed-03"]}
    assert set(moving(replace(halfway, pending_act=act))) == {"feed-03"}
    back = replace(halfway, status=Status.ROLLING_BACK, exposed=("feed-00",), pending_act=None)
    assert set(moving(back)) == {"feed-00"}
    assert not moving(halfway)


def test_the_map_counts_every_state():
    """Counts are of the fleet; shadows are beside it."""
    view = fleet_view(
        [status(), status(id="feed-01", variant="ccxt"), status(id="feed-02", healthy=False)],
        [status(id="shadow-00", variant="shadow", pid=7), status(id="shadow-01", ready=False)],
        away_since={},
        now_unix=0.0,
        ready_deadline_seconds=60.0,
    )
    assert view["counts"] == {"ccxt": 1, "native": 1, "restarting": 0, "unhealthy": 1}
    assert view["total"] == 3
    assert [name for name, *_ in view["shadows"]] == ["shadow-00"]


def test_parity_names_the_party_at_fault_with_examples():
    """Native's disagreements come first: they are what the verdict is about."""
    facts = {
        "compared": {"trade": 10, "book": 4},
        "agreed": {"trade": 9, "book": 3},
        "unsettled": 1,
        "disagreements": {"book/native": 1, "missing/ccxt": 1},
        "samples": [
            {"blamed": "ccxt", "kind": "missing", "symbol": "SOL-USDC", "id": 7, "native": {"price": "1"}},
            {"blamed": "native", "kind": "book", "symbol": "SOL-USDC", "sequence": 3,
             "first_difference": {"side": "bid", "depth": 0, "native": ["1", "2"], "venue": ["1", "3"]}},
        ],
    }  # fmt: skip
    view = parity_view([ShardParity("shadow-00", facts), ShardParity("shadow-01", problem="torn")])
    assert view["compared"][0] == {"kind": "trade", "compared": 10, "agreed": 9}
    assert view["samples"][0][:4] == ["native", "book", "SOL-USDC", "3 bid 0"]
    assert view["problems"] == ["shadow-01: torn"]


def test_odd_parity_files_do_no_harm():
    """They are written by other processes, perhaps of another version."""
    odd = {"compared": {"trade": "many"}, "disagreements": [], "samples": "none", "unsettled": None}
    view = parity_view([ShardParity("shadow-00", odd)])
    assert (view["compared"], view["samples"], view["unsettled"]) == ([], [], 0)
