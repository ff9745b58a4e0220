"""What we hand to Airflow's own pages, as a person sees it there: the questions, the graph."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from feed_migration.addresses import Addresses
from feed_migration.evidence import approval_body
from feed_migration.model import Approver, Measurement, Outcome, Step
from feed_migration.orchestration.place import current_place
from feed_migration.phases import MigrationState
from feed_migration.plan.reader import load_plan
from tests.console.browsing import opened
from tests.console.scene import (
    DAG_ID,
    kept_answer,
    start_run,
    sync_dags,
    task_states,
    wait_for_approval,
)

pytestmark = pytest.mark.timeout(180)
LAPTOP = {"width": 1280, "height": 800}
SMALL_LAPTOP = {"width": 1280, "height": 720}
TASK = "cutover_50.approval"
PLANS = Path(__file__).parents[2] / "plans"
STEP = Step(
    name="cutover-50",
    phase="cutover",
    percent=50,
    approval=True,
    approvers=(Approver(id="1", name="ann"),),
)
VALUES = {"symbol_snapshot_age": 6.25, "trades_flow": 612.331, "health": 1.0}


def measured(plan: str, gate: str) -> list[Measurement]:
    """The criteria of a shipped plan's gate, as they were when it promoted."""
    return [
        Measurement(
            criterion=one.name,
            tick_seconds=60.0,
            outcome=Outcome.SUCCESS,
            counts_as=Outcome.SUCCESS,
            value=VALUES.get(one.name.removeprefix("shadow_"), 0.0),
            threshold="success <= 8, failure >= 12",
            series=(("instance_id", "feed-00"), ("__name__", "long_name_of_a_series")),
            query=f'sum by (instance_id) ({one.name}{{variant="native"}})',
        )
        for one in load_plan(PLANS / f"{plan}.yaml").step(gate).gate.criteria
    ]


def question(plan: str, gate: str) -> str:
    state = MigrationState(migration_id="mig-0001", plan_name=plan, exposed=("feed-00",))
    verdict = {"step": gate, "run": "1", "decision": "Promote", "at_seconds": 1830.0}
    addresses = Addresses(
        airflow="http://127.0.0.1:1", prometheus="http://127.0.0.1:2", grafana="http://127.0.0.1:3"
    )
    rows = measured(plan, gate)
    return approval_body(STEP, state, verdict, rows, addresses, until_unix=1_800_000_000.0)


def fields_of_approval() -> Mapping[str, Any]:
    from feed_migration.orchestration.approval_operator import StepApprovalOperator

    return StepApprovalOperator(task_id="x", place=current_place(), step=STEP).serialized_params


def fields_of_feedback() -> Mapping[str, Any]:
    from feed_migration.orchestration.feedback_operator import FeedbackOperator

    return FeedbackOperator(task_id="x", place=current_place(), consumer="c").serialized_params


@contextmanager
def asked(browser, scene, **asking: Any) -> Iterator[tuple[Page, str]]:
    """Yield the page of a question of Airflow's, and the id of the run that asks it."""
    scene.begin()
    sync_dags()
    run_id = start_run(scene)
    wait_for_approval(run_id, TASK, **asking)
    path = Addresses(airflow="", prometheus="").question(DAG_ID, run_id, TASK)
    with opened(browser, scene, viewport=LAPTOP, path=path) as page:
        yield page, run_id


@pytest.mark.parametrize(("plan", "gate"), [("production", "cutover-10"), ("demo", "shadow")])
def test_the_buttons_of_the_question_are_in_sight(browser, scene, plan, gate):
    """On a laptop's screen, with all that a shipped gate judges: who is asked does not scroll."""
    form = {"body": question(plan, gate), "fields": fields_of_approval()}
    with asked(browser, scene, **form) as (page, _):
        for name in (one.criterion for one in measured(plan, gate)):
            expect(page.get_by_role("link", name=name, exact=True)).to_be_in_viewport(ratio=1)
        for screen in (LAPTOP, SMALL_LAPTOP):
            page.set_viewport_size(screen)
            expect(page.get_by_role("button", name="Approve")).to_be_in_viewport(ratio=1)
            expect(page.get_by_role("button", name="Reject")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(("option", "reason"), [("Approve", ""), ("Reject", "odd book")])
def test_an_answer_in_airflows_form_may_have_a_reason(browser, scene, option, reason):
    """May: a field that has to be filled in would keep both buttons from working until it is."""
    with asked(browser, scene, fields=fields_of_approval()) as (page, run_id):
        button = page.get_by_role("button", name=option)
        expect(button).to_be_enabled()
        page.get_by_role("textbox").fill(reason)
        button.click()
        expect(page.get_by_text("Response received")).to_be_visible()
        assert task_states(run_id)[TASK] == "scheduled"
    options, said = kept_answer(run_id)
    assert (options, said["reason"] or "") == ([option], reason)


def test_a_consumer_may_say_that_all_is_well_without_a_word(browser, scene):
    """Who has nothing to remark has one click to make."""
    form = {"fields": fields_of_feedback(), "options": ["OK"]}
    with asked(browser, scene, **form) as (page, run_id):
        page.get_by_role("button", name="OK").click()
        expect(page.get_by_text("Response received")).to_be_visible()
    options, said = kept_answer(run_id)
    assert (options, said["healthy"], said["remark"] or "") == (["OK"], True, "")


def test_the_graph_tells_of_a_task_group(browser, scene):
    """The runbook sends an operator there for share, criteria and durations of a step."""
    scene.begin()
    sync_dags()
    with opened(browser, scene, viewport=LAPTOP, path=f"/dags/{DAG_ID}") as page:
        page.get_by_role("button", name="Graph").first.click()
        page.get_by_text("Cutover 50 %").last.hover()
        expect(page.get_by_text("50 % of the fleet on native").first).to_be_visible()
