"""What the console's writes do in Airflow, and under whose name."""

import pytest
import requests

from feed_migration.phases import Status
from tests.console.scene import (
    a_field,
    airflow_log,
    fail_tasks,
    kept_answer,
    start_run,
    sync_dags,
    task_notes,
    task_states,
    wait_for_approval,
)
from tests.support.conditions import eventually_sync


@pytest.fixture
def run_id(scene) -> str:
    """A run of the whole migration, in a database that knows our DAGs."""
    sync_dags()
    return start_run(scene)


def test_an_approval_is_answered_in_airflow_under_the_users_name(scene, run_id):
    """As if it were answered in Airflow's own page: same permission, same record."""
    scene.begin()
    wait_for_approval(run_id)
    session = scene.browser("bob", "user")
    asked = eventually_sync(
        lambda: [a for a in scene.view(session)["migration"]["approvals"] if a["run_id"] == run_id]
    )
    assert asked[0]["step"] == "cutover-50"
    url = f"{scene.url}/api/dags/backpack_migration/answer"
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": "Approve"}
    assert session.post(url, json=body, timeout=15).status_code == 200
    assert task_states(run_id)["cutover_50.approval"] == "scheduled"
    owner, dag_id, run, extra = airflow_log("update_hitl_detail")[0]
    assert (owner, dag_id, run) == ("bob", "backpack_migration", run_id)
    assert extra["option"] == "Approve"
    assert session.post(url, json=body, timeout=15).status_code == 409


def test_an_answer_to_a_question_that_has_ended_is_refused(scene, run_id):
    """A page that has not caught up with a way back must not say that a step is approved."""
    scene.begin()
    wait_for_approval(run_id)
    fail_tasks(run_id, "cutover_50.approval")
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": "Approve"}
    url = f"{scene.url}/api/dags/backpack_migration/answer"
    answer = scene.browser().post(url, json=body, timeout=15)
    assert (answer.status_code, "nobody is asked" in answer.text) == (409, True)


def test_feedback_is_no_approval_of_the_console(scene, run_id):
    """Its answers are others, and Airflow takes them."""
    scene.begin()
    wait_for_approval(run_id, options=["OK"])
    session = scene.browser()
    view = eventually_sync(
        lambda: (shown := scene.view(session)["migration"])["why"].startswith("Asks ") and shown
    )
    assert view["approvals"] == []
    assert view["acts"]["approve"]["why_not"] == "nothing waits for an approval"


def answer_url(scene) -> str:
    return f"{scene.url}/api/dags/backpack_migration/answer"


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_the_reason_of_an_answer_reaches_the_question(scene, run_id, option):
    """In the field of Airflow's own form: from there the journal has it, beside the name."""
    scene.begin()
    wait_for_approval(run_id)
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": option}
    session = scene.browser("bob", "user")
    said = session.post(answer_url(scene), json={**body, "reason": " odd book "}, timeout=15)
    assert said.status_code == 200, said.text
    assert kept_answer(run_id) == ([option], {"reason": "odd book"})


@pytest.mark.parametrize(
    ("fields", "more"),
    [({}, {"reason": "odd book"}), (a_field("odd"), {"reason": "odd"}), (a_field("reason"), {})],
)
def test_a_field_is_filled_in_only_where_there_is_something_for_it(scene, run_id, fields, more):
    """Airflow fails a task for a field that its question does not have, and so moves the fleet."""
    scene.begin()
    wait_for_approval(run_id, fields=fields)
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": "Approve", **more}
    assert scene.browser().post(answer_url(scene), json=body, timeout=15).status_code == 200
    assert kept_answer(run_id) == (["Approve"], {})


@pytest.mark.parametrize("reason", [None, "", "  x ", "y" * 2001])
def test_a_reject_without_a_reason_is_refused(scene, run_id, reason):
    """It takes the whole fleet back, and afterwards nobody would know why."""
    scene.begin()
    wait_for_approval(run_id)
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": "Reject"}
    more = {} if reason is None else {"reason": reason}
    answer = scene.browser().post(answer_url(scene), json={**body, **more}, timeout=15)
    assert answer.status_code == 422
    assert "reason" in answer.text
    assert kept_answer(run_id) is None


def test_a_rollback_starts_its_dag_under_the_users_name(scene, run_id):
    """The run carries who asked and why; the journal takes both from there."""
    session = scene.browser("bob", "user")
    url = f"{scene.url}/api/dags/backpack_rollback/rollback"
    answer = session.post(url, json={"reason": "the venue is odd"}, timeout=15)
    assert answer.status_code == 200, answer.text
    rollback_run = answer.json()["done"].rpartition(" ")[2]
    api = f"{scene.airflow_url}/api/v2/dags/backpack_rollback/dagRuns/{rollback_run}"
    run = requests.get(api, headers={"Authorization": f"Bearer {scene.token()}"}, timeout=15).json()
    assert (run["triggering_user_name"], run["conf"]["reason"]) == ("bob", "the venue is odd")
    assert airflow_log("trigger_dag_run")[0][:2] == ("bob", "backpack_rollback")


@pytest.mark.parametrize("reason", ["", "  ", "x", "y" * 2001])
def test_a_rollback_without_a_reason_is_refused(scene, reason):
    """Afterwards nobody would know why."""
    url = f"{scene.url}/api/dags/backpack_rollback/rollback"
    assert scene.browser().post(url, json={"reason": reason}, timeout=15).status_code == 422


def test_a_paused_way_back_is_told_and_not_queued(scene, run_id):
    """Its run would wait for ever, and the person would believe that it goes back."""
    api = f"{scene.airflow_url}/api/v2/dags/backpack_rollback"
    headers = {"Authorization": f"Bearer {scene.token()}"}
    requests.patch(api, json={"is_paused": True}, headers=headers, timeout=15).raise_for_status()
    try:
        answer = scene.browser().post(
            f"{scene.url}/api/dags/backpack_rollback/rollback", json={"reason": "odd"}, timeout=15
        )
    finally:
        requests.patch(api, json={"is_paused": False}, headers=headers, timeout=15)
    assert answer.status_code == 409
    assert "unpause it" in answer.json()["detail"]


def test_a_gate_is_held_under_the_users_name(scene):
    """The journal says who stopped it and why; the exposure stays."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    session = scene.browser("bob", "user")
    url = f"{scene.url}/api/dags/backpack_migration/hold"
    answer = session.post(url, json={"reason": "the venue is odd"}, timeout=15)
    assert answer.status_code == 200, answer.text
    state = scene.journal.state(migration_id)
    assert (state.status, state.held_step) == (Status.HELD, "cutover-50")
    (held,) = scene.journal.events(migration_id, "held")
    assert held.actor == "bob"
    assert "the venue is odd" in held.body["reason"]
    assert session.post(url, json={"reason": "again"}, timeout=15).status_code == 409


def test_a_hold_is_resumed_by_clearing_its_gate(scene, run_id):
    """The gate and what follows it are cleared, under the user's name; what came before stays."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50", run_id)
    scene.append(migration_id, "held", step="cutover-50", reason="a look")
    session = scene.browser("bob", "user")

    def offered() -> bool:
        return scene.view(session)["migration"]["acts"]["resume"]["possible"]

    url = f"{scene.url}/api/dags/backpack_migration/resume"
    # its way back is still to come, and would find the hold gone
    early = session.post(url, json={"run_id": run_id, "dry_run": False}, timeout=15)
    assert (early.status_code, "still" in early.text) == (409, True)
    assert not offered()
    fail_tasks(run_id, "cutover_50.gate", "rollback.revert", "rollback.document", "verdict")
    eventually_sync(offered)
    other = session.post(url, json={"run_id": "another", "dry_run": False}, timeout=15)
    assert other.status_code == 409
    body = {"run_id": run_id, "dry_run": False, "reason": "the book is fine"}
    answer = session.post(url, json=body, timeout=15)
    assert answer.status_code == 200, answer.text
    states = task_states(run_id)
    assert states["cutover_50.gate"] is None
    assert states["rollback.revert"] is None
    owner, dag_id, logged_run, _ = airflow_log("post_clear_task_instances")[0]
    assert (owner, dag_id, logged_run) == ("bob", "backpack_migration", run_id)
    note = scene.journal.events(migration_id, "audit_note")[-1]
    assert (note.actor, note.body["note"]) == ("bob", "resumed")
    assert note.body["reason"] == "the book is fine"
    assert task_notes(run_id)["cutover_50.gate"] == "resumed by bob: the book is fine"
