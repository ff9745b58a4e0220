"""What we hand to Airflow's own pages, as a person sees it there: the question, the graph."""

import pytest
from playwright.sync_api import expect

from feed_migration.addresses import Addresses
from feed_migration.evidence import approval_body
from feed_migration.model import Approver, Measurement, Outcome, Step
from feed_migration.phases import MigrationState
from tests.console.browsing import opened
from tests.console.scene import DAG_ID, start_run, sync_dags, wait_for_approval

pytestmark = pytest.mark.timeout(180)
LAPTOP = {"width": 1280, "height": 800}
TASK = "cutover_50.approval"


def fourteen_criteria():
    names = [f"dropped_messages_{number:02}" for number in range(13)]
    return [
        Measurement(
            criterion=name,
            tick_seconds=60.0,
            outcome=Outcome.SUCCESS,
            counts_as=Outcome.SUCCESS,
            value=6.25 if name == "symbol_snapshot_age" else 0.0,
            threshold="success <= 8, failure >= 12",
            series=(("instance_id", "feed-00"), ("__name__", "long_name_of_a_series")),
            query=f'sum by (instance_id) ({name}{{variant="native"}})',
        )
        for name in (*names, "symbol_snapshot_age")
    ]


def question():
    step = Step(
        name="cutover-50",
        phase="cutover",
        percent=50,
        approval=True,
        approvers=(Approver(id="1", name="ann"),),
    )
    state = MigrationState(migration_id="mig-0001", plan_name="demo", exposed=("feed-00",))
    verdict = {"step": "cutover-10", "run": "1", "decision": "Promote", "at_seconds": 62.0}
    addresses = Addresses(airflow="http://127.0.0.1:1", prometheus="http://127.0.0.1:2")
    measured = fourteen_criteria()
    return approval_body(step, state, verdict, measured, addresses, until_unix=1_800_000_000.0)


def test_the_buttons_of_the_question_are_in_sight(browser, scene):
    """On a laptop's screen, with fourteen criteria: who is asked at night does not scroll first."""
    scene.begin()
    sync_dags()
    run_id = start_run(scene)
    wait_for_approval(run_id, TASK, body=question())
    addresses = Addresses(airflow="", prometheus="")
    path = addresses.question(DAG_ID, run_id, TASK)
    with opened(browser, scene, viewport=LAPTOP, path=path) as page:
        expect(page.get_by_role("link", name="symbol_snapshot_age").first).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("button", name="Reject")).to_be_in_viewport(ratio=1)


def test_the_graph_tells_of_a_task_group(browser, scene):
    """The runbook sends an operator there for share, criteria and durations of a step."""
    scene.begin()
    sync_dags()
    with opened(browser, scene, viewport=LAPTOP, path=f"/dags/{DAG_ID}") as page:
        page.get_by_role("button", name="Graph").first.click()
        page.get_by_text("Cutover 50 %").last.hover()
        expect(page.get_by_text("50 % of the fleet on native").first).to_be_visible()
